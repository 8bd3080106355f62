"""How an error changes in time before it drives a neuron and its synapses.

An error filter is a pair of pure functions. It sees the instantaneous error of its neurons,
`eps = activation'(p) * (error from above)`, and gives the error `e` that acts on them:

    instantaneous     e = eps                                       Latent Equilibrium
    swapped           tau_r dv/dt = eps - v, e = v + tau_m dv/dt    Generalized Latent Equilibrium
    gain corrected    the same times the gain that makes it exact at one frequency

The exact error of backpropagation through time runs the neuron's own filter in reverse and needs
the future; see `lapicque.rate.adjoint`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from lapicque._checks import in_range, positive
from lapicque.rate.filters import lead_lag
from lapicque.rate.neurons import Neurons


class ErrorFilter(NamedTuple):
    """`init(eps) -> v`, `step(v, eps, neurons, dt) -> (v, e)`, `check(neurons, dt)`."""

    init: Callable[[Array], Array | None]
    step: Callable[[Array | None, Array, Neurons, float], tuple[Array | None, Array]]
    check: Callable[[Neurons, float], None]


def _swapped_step(v, eps, neurons: Neurons, dt: float):
    v, e, _ = lead_lag(v, eps, lead=neurons.tau_m, lag=neurons.tau_r, dt=dt)
    return v, e


def _swapped_check(neurons: Neurons, dt: float) -> None:
    hint = f"It is the lag of the error neurons, stable only above dt = {dt:g} ms."
    in_range("tau_r", neurons.tau_r, dt, unit="ms", hint=hint)


instantaneous = ErrorFilter(
    init=lambda eps: None,
    step=lambda v, eps, neurons, dt: (v, eps),
    check=lambda neurons, dt: None,
)
"""Errors act at once. Exact for tau_m = tau_r (Haider et al. 2021)."""

swapped = ErrorFilter(init=jnp.zeros_like, step=_swapped_step, check=_swapped_check)
"""The neuron's own filter with its time constants swapped: the phase of the adjoint, causally
(Ellenberger et al. 2024)."""


def gain_corrected(omega: float) -> ErrorFilter:
    """`swapped`, scaled so that phase *and* gain are those of the adjoint at one frequency.

        e = g * swapped(eps),    g = (1 + omega^2 tau_r^2) / (1 + omega^2 tau_m^2)

    Args:
        omega: Angular frequency at which it is exact, above 0 [1/ms].

    Raises:
        InputError: `omega` is not above 0.

    Source: own derivation from the transfer functions of Ellenberger et al. (2024).
    """
    positive("omega", omega, "1/ms")
    return _gain_corrected(float(omega))


@lru_cache  # equal frequencies give the same object, so that compiled programs are found again
def _gain_corrected(omega: float) -> ErrorFilter:
    def step(v, eps, neurons: Neurons, dt: float):
        v, e = _swapped_step(v, eps, neurons, dt)
        gain = (1 + (omega * neurons.tau_r) ** 2) / (1 + (omega * neurons.tau_m) ** 2)
        return v, gain * e

    return ErrorFilter(jnp.zeros_like, step, _swapped_check)
