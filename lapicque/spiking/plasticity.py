"""Synapses that change: short-term plasticity, spike-timing dependence, and rules of one's own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lapicque._checks import InputError, finite, in_range, one_of, positive


@dataclass(frozen=True)
class TsodyksMarkram:
    """Short-term depression and facilitation: a spike delivers ``weight * x * u``.

    After a pause of ``t`` the resources recover, ``x = 1 + (x - x u - 1) exp(-t / tau_rec)``, and
    the utilisation relaxes, ``u = U + u (1 - U) exp(-t / tau_facil)``. With `U` 1, `tau_facil` 0
    and `tau_rec` equal to the synaptic time constant, successive responses renew each other
    instead of adding up.

    Source: Tsodyks and Markram (1997) as in NEST's `tsodyks2_synapse`.

    Raises:
        InputError: `U` lies outside [0, 1], `tau_rec` is not positive or `tau_facil` negative.
    """

    U: float = 0.5  # use of resources by the first spike
    tau_rec: float = 100.0  # ms
    tau_facil: float = 0.0  # ms
    x: float = 1.0  # resources at the start
    u: float | None = None  # utilisation at the start; `U` if not given

    def __post_init__(self):
        in_range("U", self.U, 0, 1)
        positive("tau_rec", self.tau_rec, "ms")
        in_range("tau_facil", self.tau_facil, 0, unit="ms")
        in_range("x", self.x, 0, 1)
        if self.u is not None:
            in_range("u", self.u, 0, 1)


@dataclass(frozen=True)
class Rule:
    """Any rule of pairs, as two compiled functions of the weight and a trace.

    The presynaptic trace grows at every presynaptic spike and decays with `tau_plus`; the
    postsynaptic one likewise with `tau_minus`. A trace grows by 1, or is set to 1 if `nearest`.
    A postsynaptic spike reaches the synapse after the synapse's delay, as along a dendrite.

    `on_post(weight, trace, parameters)` returns the weight after a postsynaptic spike, given the
    presynaptic trace; `on_pre(weight, trace, parameters)` the weight after a presynaptic one,
    given the postsynaptic trace. Both are plain functions of floats and an array of parameters
    that Numba can compile, or compiled with the signature `lapicque.spiking.RULE`.

    With `tau_eligibility` set, weights do not change at a spike. What the rule adds is collected in
    an eligibility trace with that time constant, and `Simulation.reward` turns it into weight.

    Raises:
        InputError: A time constant is not positive, or `w_max` lies below `w_min`.
    """

    on_pre: Callable
    on_post: Callable
    parameters: tuple[float, ...] = ()
    tau_plus: float = 20.0  # ms
    tau_minus: float = 20.0  # ms
    w_min: float = 0.0  # limits of the weight, in its unit
    w_max: float = np.inf
    nearest: bool = False  # pairs of nearest neighbours only
    tau_eligibility: float | None = None  # ms

    def __post_init__(self):
        positive("tau_plus", self.tau_plus, "ms")
        positive("tau_minus", self.tau_minus, "ms")
        finite("parameters", self.parameters)
        if self.tau_eligibility is not None:
            positive("tau_eligibility", self.tau_eligibility, "ms")
        if not self.w_min <= self.w_max:
            raise InputError(f"`w_max` is {self.w_max:g}; it must be at least {self.w_min:g}.")


@dataclass(frozen=True)
class STDP:
    """Pair-based spike-timing-dependent plasticity.

    A postsynaptic spike adds ``A_plus w_max (1 - w / w_max) ** mu_plus`` times the presynaptic
    trace, a presynaptic one takes ``A_minus w_max (w / w_max) ** mu_minus`` times the postsynaptic
    trace away. Exponents of 0 are the additive rule, of 1 the multiplicative one. With
    `tau_eligibility` it is modulated by reward, see `Rule`.

    Source: Guetig et al. (2003), of which both limits are special cases.

    Raises:
        InputError: A value is out of range.
    """

    tau_plus: float = 20.0  # ms
    tau_minus: float = 20.0  # ms
    A_plus: float = 0.01
    A_minus: float = 0.01
    w_max: float = 1.0  # in the unit of the weight
    w_min: float = 0.0
    mu_plus: float = 0.0
    mu_minus: float = 0.0
    pairing: str = "all"  # or "nearest"
    tau_eligibility: float | None = None  # ms

    def __post_init__(self):
        in_range("mu_plus", self.mu_plus, 0)
        in_range("mu_minus", self.mu_minus, 0)
        finite("A_plus", self.A_plus)
        finite("A_minus", self.A_minus)
        one_of("pairing", self.pairing, ("all", "nearest"))
        positive("w_max", self.w_max)
        self.rule()

    def rule(self) -> Rule:
        """The same as a `Rule`."""
        return Rule(
            depress,
            potentiate,
            (self.A_plus, self.A_minus, self.w_max, self.mu_plus, self.mu_minus),
            self.tau_plus,
            self.tau_minus,
            self.w_min,
            self.w_max,
            self.pairing == "nearest",
            self.tau_eligibility,
        )


def potentiate(weight, trace, parameters):
    """What a postsynaptic spike makes of a weight, see `STDP`."""
    w_max = parameters[2]
    return weight + parameters[0] * w_max * max(1 - weight / w_max, 0.0) ** parameters[3] * trace


def depress(weight, trace, parameters):
    """What a presynaptic spike makes of a weight, see `STDP`."""
    w_max = parameters[2]
    return weight - parameters[1] * w_max * max(weight / w_max, 0.0) ** parameters[4] * trace


Plasticity = TsodyksMarkram | STDP | Rule
