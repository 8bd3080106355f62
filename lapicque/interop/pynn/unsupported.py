"""What PyNN has and this front end has not."""
# pyright: reportMissingImports=false

from pyNN import errors
from pyNN.standardmodels import StandardModelType, cells, electrodes, receptors, synapses

from lapicque._checks import UserError

SUPPORTED = {
    "cell": (
        "IF_curr_exp",
        "IF_curr_alpha",
        "IF_curr_delta",
        "IF_cond_exp",
        "IF_cond_alpha",
        "EIF_cond_exp_isfa_ista",
        "EIF_cond_alpha_isfa_ista",
        "SpikeSourceArray",
        "SpikeSourcePoisson",
    ),
    "synapse": ("StaticSynapse", "TsodyksMarkramSynapse", "STDPMechanism"),
    "STDP timing": ("SpikePairRule",),
    "STDP weight dependence": (
        "AdditiveWeightDependence",
        "MultiplicativeWeightDependence",
        "AdditivePotentiationMultiplicativeDepression",
        "GutigWeightDependence",
    ),
    "current source": ("DCSource", "StepCurrentSource", "ACSource", "NoisyCurrentSource"),
}
"""Names of the standard models, by kind."""

_KINDS = {cells: "cell", receptors: "cell", synapses: "synapse", electrodes: "current source"}
_STANDARD = "Use a standard model."
_POINT = "All cells are points."
_ELSEWHERE = {
    "MultiCompartmentNeuron": _POINT,
    "NaChannel": _POINT,
    "KdrChannel": _POINT,
    "PassiveLeak": _POINT,
    "PassiveLeakHH": _POINT,
    "native_cell_type": _STANDARD,
    "native_synapse_type": _STANDARD,
    "native_electrode_type": _STANDARD,
    "NativeRNG": "Use NumpyRNG.",
    "SmallWorldConnector": "PyNN has not implemented it; use another connector.",
}


class UnsupportedError(UserError, NotImplementedError, errors.NoModelAvailableError):
    """A PyNN model or feature that lapicque does not have."""


def unsupported(what: str, instead: str) -> UnsupportedError:
    """The error to raise where a script asks for `what`."""
    return UnsupportedError(f"lapicque.pynn does not support {what}. {instead}")


def unavailable(name: str) -> type:
    """A stand-in for what other backends have under this name.

    A script may mention it; using it raises `UnsupportedError`.

    Raises:
        AttributeError: PyNN has no model of this name.
    """
    kind = next((k for module, k in _KINDS.items() if _is_model(vars(module).get(name))), None)
    if name in _ELSEWHERE:
        instead = _ELSEWHERE[name]
    elif kind is not None:
        instead = f"It has {', '.join(SUPPORTED[kind])}."
    else:
        raise AttributeError(f"module 'lapicque.pynn' has no attribute {name!r}")

    def refuse(self, *args, **parameters):
        raise unsupported(f"`{name}`", instead)

    return type(name, (), {"__init__": refuse, "__doc__": "Not supported."})


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, StandardModelType)
