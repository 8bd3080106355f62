"""How an error changes in time before it drives a neuron and its synapses.

An error filter is a pair of pure functions. It sees the instantaneous error of its neurons,
`eps = activation'(p) * (error from above)`, and gives the error `e` that acts on them:

    instantaneous     e = eps                                       Latent Equilibrium
    swapped           tau_r dv/dt = eps - v, e = v + tau_m dv/dt    Generalized Latent Equilibrium
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from lapicque._checks import in_range
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
