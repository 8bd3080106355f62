"""Neuron models. Each parameter is one number or one per neuron, in PyNN's units and names."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from lapicque._checks import InputError, finite, in_range, positive


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire.

    ``cm dv/dt = cm / tau_m (v_rest - v) + i_offset + I_syn``; at `v_thresh` a spike, then `v`
    rests at `v_reset` for `tau_refrac`, while the synapses go on.

    Raises:
        InputError: A time constant or capacitance is not positive, a threshold lies below its
            reset, or a value is not finite.
    """

    v_rest: ArrayLike = -65.0  # mV
    cm: ArrayLike = 1.0  # nF
    tau_m: ArrayLike = 20.0  # ms
    tau_refrac: ArrayLike = 0.1  # ms
    v_reset: ArrayLike = -65.0  # mV
    v_thresh: ArrayLike = -50.0  # mV
    i_offset: ArrayLike = 0.0  # nA

    def __post_init__(self):
        positive("cm", self.cm, "nF")
        positive("tau_m", self.tau_m, "ms")
        in_range("tau_refrac", self.tau_refrac, 0, unit="ms")
        for name in ("v_rest", "v_reset", "v_thresh", "i_offset"):
            in_range(name, getattr(self, name), unit="nA" if name == "i_offset" else "mV")
        _above("v_thresh", self.v_thresh, "v_reset", self.v_reset)


@dataclass(frozen=True)
class AdEx:
    """Adaptive exponential integrate-and-fire; with `a` and `b` 0 the exponential one (EIF).

    ``cm dv/dt = g (v_rest - v) + g delta_T exp((v - v_thresh) / delta_T) - w + i_offset + I_syn``
    with ``g = cm / tau_m``, and ``tau_w dw/dt = a (v - v_rest) - w``. At `v_spike` a spike: `w`
    grows by `b`, and `v` rests at `v_reset` for `tau_refrac`.

    Raises:
        InputError: A time constant, `cm` or `delta_T` is not positive, the spike lies below the
            reset, or a value is not finite.
    """

    v_rest: ArrayLike = -70.6  # mV
    cm: ArrayLike = 0.281  # nF
    tau_m: ArrayLike = 9.3667  # ms
    tau_refrac: ArrayLike = 0.1  # ms
    v_reset: ArrayLike = -70.6  # mV
    v_thresh: ArrayLike = -50.4  # mV; where the exponential takes over
    i_offset: ArrayLike = 0.0  # nA
    v_spike: ArrayLike = -40.0  # mV
    delta_T: ArrayLike = 2.0  # mV
    a: ArrayLike = 4.0  # nS
    b: ArrayLike = 0.0805  # nA
    tau_w: ArrayLike = 144.0  # ms

    def __post_init__(self):
        positive("cm", self.cm, "nF")
        positive("delta_T", self.delta_T, "mV")
        positive("tau_m", self.tau_m, "ms")
        positive("tau_w", self.tau_w, "ms")
        in_range("tau_refrac", self.tau_refrac, 0, unit="ms")
        for name in ("v_rest", "v_reset", "v_thresh", "v_spike"):
            in_range(name, getattr(self, name), unit="mV")
        for name, unit in (("i_offset", "nA"), ("a", "nS"), ("b", "nA")):
            in_range(name, getattr(self, name), unit=unit)
        _above("v_spike", self.v_spike, "v_reset", self.v_reset)


Neuron = LIF | AdEx


@dataclass(frozen=True)
class CurrentExp:
    """Currents that decay exponentially; weights in nA, negative ones at the inhibitory receptor.

    Raises:
        InputError: A time constant is not positive.
    """

    tau_syn_E: ArrayLike = 5.0  # ms
    tau_syn_I: ArrayLike = 5.0  # ms

    def __post_init__(self):
        _check_taus(self)


@dataclass(frozen=True)
class CurrentAlpha:
    """Currents shaped ``e t / tau exp(-t / tau)``; the weight is the peak in nA.

    Raises:
        InputError: A time constant is not positive.
    """

    tau_syn_E: ArrayLike = 0.5  # ms
    tau_syn_I: ArrayLike = 0.5  # ms

    def __post_init__(self):
        _check_taus(self)


@dataclass(frozen=True)
class CurrentDelta:
    """Each spike moves the potential at once by its weight in mV; none does in refractoriness."""


@dataclass(frozen=True)
class ConductanceExp:
    """Conductances that decay exponentially; weights in uS, none negative.

    Raises:
        InputError: A time constant is not positive, or a reversal potential is not finite.
    """

    tau_syn_E: ArrayLike = 5.0  # ms
    tau_syn_I: ArrayLike = 5.0  # ms
    e_rev_E: ArrayLike = 0.0  # mV
    e_rev_I: ArrayLike = -70.0  # mV

    def __post_init__(self):
        _check_taus(self)
        in_range("e_rev_E", self.e_rev_E, unit="mV")
        in_range("e_rev_I", self.e_rev_I, unit="mV")


@dataclass(frozen=True)
class ConductanceAlpha(ConductanceExp):
    """Conductances shaped ``e t / tau exp(-t / tau)``; the weight is the peak in uS."""

    tau_syn_E: ArrayLike = 0.3  # ms
    tau_syn_I: ArrayLike = 0.5  # ms


Receptors = CurrentExp | CurrentAlpha | CurrentDelta | ConductanceExp

RECEPTORS = ("excitatory", "inhibitory")


def per_neuron(part: Neuron | Receptors, size: int, label: str) -> dict[str, np.ndarray]:
    """All parameters as arrays of shape (size,).

    Raises:
        InputError: A parameter has neither one entry nor `size` of them.
    """
    values = {}
    for field in fields(part):
        value = np.asarray(getattr(part, field.name), dtype=float)
        if value.ndim > 1 or value.size not in (1, size):
            raise InputError(
                f"`{field.name}` of {label} has shape {value.shape}; "
                f"it must be one number or have shape ({size},)."
            )
        values[field.name] = np.broadcast_to(value.reshape(-1), (size,)).copy()
    return values


def _check_taus(receptors) -> None:
    positive("tau_syn_E", receptors.tau_syn_E, "ms")
    positive("tau_syn_I", receptors.tau_syn_I, "ms")


def _above(high: str, values: ArrayLike, low: str, floors: ArrayLike) -> None:
    values, floors = np.broadcast_arrays(np.asarray(values, float), np.asarray(floors, float))
    finite(high, values)
    wrong = np.flatnonzero(values <= floors)
    if wrong.size:
        i = wrong[0]
        raise InputError(
            f"`{high}` is {values.flat[i]:g} mV; it must lie above `{low}`, "
            f"which is {floors.flat[i]:g} mV."
        )
