"""Evolved expressions as plasticity rules of the spiking engine."""

from __future__ import annotations

from numba import njit

from lapicque._checks import InputError, finite, one_of, positive
from lapicque.evolve.program import Program
from lapicque.spiking import Rule


def spiking_rule(
    f_dep: Program,
    f_fac: Program,
    rate: float,
    *,
    clip: str = "both",
    w_max: float = 1.0,
    tau_plus: float = 20.0,
    tau_minus: float = 20.0,
) -> Rule:
    """A rule of pairs from two expressions of the weight and a trace.

    A presynaptic spike makes ``w - rate f_dep(w, trace)`` of a weight, with the postsynaptic trace;
    a postsynaptic spike ``w + rate f_fac(w, trace)``, with the presynaptic one. What is not a
    number becomes a weight of 0.

    Args:
        f_dep, f_fac: Expressions with two inputs, weight and trace.
        rate: Learning rate, in the unit of the weight.
        clip: With "both", weights stay between 0 and `w_max`; with "published", as in
            `CorrelationTask`, depression ends at 0 and facilitation at `w_max`, but not the other
            way round.
        w_max: In the unit of the weight.
        tau_plus, tau_minus: Time constants of the traces [ms].

    Raises:
        InputError: An expression has other than two inputs, or a value is out of range.
    """
    for name, rule in (("f_dep", f_dep), ("f_fac", f_fac)):
        if len(rule.inputs) != 2:
            raise InputError(
                f"`{name}` has the inputs {rule.inputs}; it must have two, weight and trace."
            )
    finite("rate", rate)
    one_of("clip", clip, ("published", "both"))
    positive("w_max", w_max)
    depress = njit(f_dep.compiled(), error_model="numpy")
    facilitate = njit(f_fac.compiled(), error_model="numpy")

    @njit(error_model="numpy")
    def on_pre(weight, trace, parameters):
        new = weight - parameters[0] * depress(weight, trace)
        return new if new > 0.0 else 0.0

    @njit(error_model="numpy")
    def on_post(weight, trace, parameters):
        new = weight + parameters[0] * facilitate(weight, trace)
        if new < parameters[1]:
            return new
        return 0.0 if new != new else parameters[1]

    low, high = (0.0, w_max) if clip == "both" else (-float("inf"), float("inf"))
    return Rule(
        on_pre, on_post, (float(rate), float(w_max)), tau_plus, tau_minus, w_min=low, w_max=high
    )
