"""Exact gradients through time: a free run forward, and the neurons' own filter run backward.

The errors of Latent Equilibrium and its generalisation are causal stand-ins for the adjoint. Here
is the adjoint itself, the extremal of the action of the prospective energy for a weak teacher:

    zeta_t = activation'(p_t) * (what reaches the rates r_t from later steps and layers above)
    h = (zeta_t - v) / tau_m,    e_t = v + tau_r h,    v <- v + dt h          from the end on

It is the filter `lead_lag(tau_r, tau_m)` that turned currents into potentials, run in reverse; a
causal error filter differs from it in nothing else. Synapses, neurons, transmission and nudging
give their own vector-Jacobian products; nothing is differentiated through time. The results equal
reverse-mode differentiation of the Euler scheme to rounding, for every `dt`.

What holds of the delays: rates climb with the network's `schedule.up` and recurrent synapses see
the previous step, so errors fall with these same delays, in the other direction. With
`schedule.down = 1` the teacher compares the target of step t with the output rates of step t - 1,
as it does in `Network.step_with_gradients`; the cost that is differentiated is that same one.
Errors do not act on the potentials here (coupling 0), and `mismatch` plays no part.

Source: Brandt et al. (2026), arXiv 2603.09600 (extremal action, adjoint); the discrete-time form
is our own derivation, tested against automatic differentiation.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError
from lapicque.rate.filters import lead_lag
from lapicque.rate.learning import Lesson
from lapicque.rate.network import LayerState, Network, NetworkState, Parameters, Risen, next_keys


class LayerTrail(NamedTuple):
    """What the backward sweep needs to know of a layer, time first."""

    p: Float[Array, "time batch *n"]  # prospective potential
    du: Float[Array, "time batch *n"]  # du/dt [1/ms]
    before: Float[Array, "time batch *n"]  # rate of the previous step


class Trail(NamedTuple):
    """A free run of a network."""

    layers: tuple[LayerTrail, ...]
    output: Float[Array, "time batch *n"]  # rates of the last layer
    target: Float[Array, "time batch *n"]  # as the teacher sees it, low-passed


class LayerAdjoint(NamedTuple):
    """What a layer carries from one step to the one *before*."""

    v: Float[Array, "batch *n"]  # state of the reversed filter
    owed: Float[Array, "batch *n"]  # downhill slope of the later cost in the rates of this step


class Errors(NamedTuple):
    """The errors of one layer, time first."""

    e: Float[Array, "time batch *n"]  # filtered: what synapses learn from
    eps: Float[Array, "time batch *n"]  # before the filter


Adjoint = tuple[LayerAdjoint, ...]


def free_run(
    network: Network, state: NetworkState, lessons: Lesson, dt: float
) -> tuple[NetworkState, Trail]:
    """Run without errors and store what the way back needs.

    Args:
        network: Its coupling is taken as 0.
        state: Where it starts.
        lessons: Inputs and targets, time first.
        dt: Step [ms].

    Returns:
        The state after and the trail, of O(time * batch * neurons) memory.

    Raises:
        InputError: `lessons` are empty or differ in length.
    """
    _check_length(lessons)
    free = without_errors(network)

    def body(state, lesson):
        state, risen, target = free_step(free, state, lesson, dt)
        return state[0], (_trail(state[1], risen), risen[-1].r, target)

    def step(state, lesson):
        after, risen, target = free_step(free, state, lesson, dt)
        layers = tuple(
            LayerTrail(new.p, new.du, s.r) for new, s in zip(risen, state.layers, strict=True)
        )
        return after, Trail(layers, risen[-1].r, target)

    return jax.lax.scan(step, state, lessons)


def free_step(
    network: Network, state: NetworkState, lesson: Lesson, dt: float
) -> tuple[NetworkState, list[Risen], Array]:
    """One step without errors: the state after, all layers, and the target as it is seen."""
    risen = network.rise(state, lesson.input, dt)
    target = network.nudging.filter(state.target, lesson.target, dt)
    layers = tuple(
        LayerState(new.u, new.p, new.r, s.e, s.v)
        for new, s in zip(risen, state.layers, strict=True)
    )
    return NetworkState(layers, target, next_keys(state)), risen, target
