"""PyNN's synapses as plasticity of the engine.

Amplitudes of STDP are those of PyNN's NEST backend: a pair of spikes `t` apart changes the weight
by ``A_plus w_max (1 - w / w_max) ** mu_plus exp(-t / tau_plus)`` or by
``-A_minus w_max (w / w_max) ** mu_minus exp(-t / tau_minus)``, so that `A_plus` and `A_minus` are
relative to `w_max`, whatever the weight dependence. `mu` is 0 where the dependence is additive and
1 where it is multiplicative. PyNN's text has the distance from `w_min` instead of `w`; both agree
where `w_min` is 0, and a rule with `mu_minus` above 0 takes no other.
"""
# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any, ClassVar

from pyNN.parameters import ParameterSpace
from pyNN.standardmodels import build_translations, synapses

from lapicque.interop.pynn.cells import same_names
from lapicque.interop.pynn.simulator import state
from lapicque.interop.pynn.unsupported import SUPPORTED, unsupported
from lapicque.spiking.plasticity import STDP, Plasticity, TsodyksMarkram


class EngineSynapse:
    """What projections ask of a synapse type."""

    plastic_weight: ClassVar[bool] = False

    def _get_minimum_delay(self) -> float:
        return state.delay_limits[0]

    def plasticity(self, values: Mapping[str, float]) -> Plasticity | None:
        """Plasticity of synapses with these parameters, none by default.

        Raises:
            InputError: A value is out of range.
        """
        return None


class StaticSynapse(EngineSynapse, synapses.StaticSynapse):
    __doc__ = synapses.StaticSynapse.__doc__
    translations = same_names(synapses.StaticSynapse)


class TsodyksMarkramSynapse(EngineSynapse, synapses.TsodyksMarkramSynapse):
    """Short-term depression and facilitation, see `lapicque.spiking.TsodyksMarkram`.

    Resources that were used recover at once with `tau_rec`; in NEST's `tsodyks_synapse` they are
    first active for the time constant of the synapse, which matters where that is not short
    against `tau_rec`.
    """

    translations = same_names(synapses.TsodyksMarkramSynapse)

    def plasticity(self, values: Mapping[str, float]) -> TsodyksMarkram:
        return TsodyksMarkram(values["U"], values["tau_rec"], values["tau_facil"])


class STDPMechanism(EngineSynapse, synapses.STDPMechanism):
    """Spike-timing-dependent plasticity; the delay is dendritic.

    Raises:
        UnsupportedError: A fraction of the delay is axonal, or the parts are others than
            `SpikePairRule` and one of the weight dependences.
    """

    plastic_weight = True
    timing_dependence: Any
    weight_dependence: Any
    base_translations = build_translations(
        *((name, name) for name in ("weight", "delay", "dendritic_delay_fraction"))
    )

    def __init__(
        self,
        timing_dependence=None,
        weight_dependence=None,
        voltage_dependence=None,
        dendritic_delay_fraction=1.0,
        weight=0.0,
        delay=None,
    ):
        _all_dendritic(dendritic_delay_fraction)
        if voltage_dependence is not None:
            raise unsupported("a voltage dependence of STDP", "Leave it out.")
        for part, kind, allowed in (
            (timing_dependence, "STDP timing", SpikePairRule),
            (weight_dependence, "STDP weight dependence", _WeightDependence),
        ):
            if not isinstance(part, allowed):
                raise unsupported(
                    f"`{type(part).__name__}` as {kind}", f"Use {' or '.join(SUPPORTED[kind])}."
                )
        super().__init__(
            timing_dependence,  # pyright: ignore[reportCallIssue]
            weight_dependence,
            voltage_dependence,
            dendritic_delay_fraction,
            weight,
            delay,
        )

    def _build_translations(self) -> None:
        # PyNN's own writes those of the parts into the class, where other mechanisms see them.
        self.translations = {
            **self.base_translations,
            **self.timing_dependence.translations,
            **self.weight_dependence.translations,
        }

    @property
    def native_parameters(self) -> ParameterSpace:
        return self.translate(self.parameter_space)

    def plasticity(self, values: Mapping[str, float]) -> STDP:
        _all_dendritic(values["dendritic_delay_fraction"])
        mu_plus, mu_minus = self.weight_dependence.exponents(values)
        if values["w_min"] != 0 and mu_minus > 0:
            raise unsupported(
                "`w_min` other than 0 where depression depends on the weight",
                "Set it to 0 or use AdditiveWeightDependence.",
            )
        return STDP(
            tau_plus=values["tau_plus"],
            tau_minus=values["tau_minus"],
            A_plus=values["A_plus"],
            A_minus=values["A_minus"],
            w_max=values["w_max"],
            w_min=values["w_min"],
            mu_plus=mu_plus,
            mu_minus=mu_minus,
        )


def _all_dendritic(fraction: float) -> None:
    if fraction != 1:
        raise unsupported(
            f"`dendritic_delay_fraction` {fraction}",
            "In STDP all of the delay is dendritic; set it to 1.",
        )


class SpikePairRule(synapses.SpikePairRule):
    __doc__ = synapses.SpikePairRule.__doc__
    translations = same_names(synapses.SpikePairRule)
    possible_models = frozenset({"STDP"})


class _WeightDependence:
    mu: ClassVar[tuple[float, float]]  # of potentiation and of depression
    possible_models = frozenset({"STDP"})

    def exponents(self, values: Mapping[str, float]) -> tuple[float, float]:
        """`mu_plus` and `mu_minus`."""
        return self.mu


class AdditiveWeightDependence(_WeightDependence, synapses.AdditiveWeightDependence):
    __doc__ = synapses.AdditiveWeightDependence.__doc__
    translations = same_names(synapses.AdditiveWeightDependence)
    mu = (0.0, 0.0)


class MultiplicativeWeightDependence(_WeightDependence, synapses.MultiplicativeWeightDependence):
    __doc__ = synapses.MultiplicativeWeightDependence.__doc__
    translations = same_names(synapses.MultiplicativeWeightDependence)
    mu = (1.0, 1.0)


class AdditivePotentiationMultiplicativeDepression(
    _WeightDependence, synapses.AdditivePotentiationMultiplicativeDepression
):
    __doc__ = synapses.AdditivePotentiationMultiplicativeDepression.__doc__
    translations = same_names(synapses.AdditivePotentiationMultiplicativeDepression)
    mu = (0.0, 1.0)


class GutigWeightDependence(_WeightDependence, synapses.GutigWeightDependence):
    __doc__ = synapses.GutigWeightDependence.__doc__
    translations = same_names(synapses.GutigWeightDependence)

    def exponents(self, values: Mapping[str, float]) -> tuple[float, float]:
        return values["mu_plus"], values["mu_minus"]


PLASTICITY_PARAMETERS = frozenset(
    {"U", "tau_rec", "tau_facil", "tau_plus", "tau_minus", "A_plus", "A_minus"}
    | {"w_min", "w_max", "mu_plus", "mu_minus", "dendritic_delay_fraction"}
)
"""Parameters that belong to the rule; synapses that differ in one have rules of their own."""
