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
    check_length(lessons)
    free = without_errors(network)

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


def without_errors(network: Network) -> Network:
    """The same network, whose potentials are free of errors."""
    return replace(network, coupling=0.0)


def rest(network: Network, state: NetworkState) -> Adjoint:
    """The adjoint at the true end of a sequence: nothing comes after."""
    return tuple(LayerAdjoint(jnp.zeros_like(s.u), jnp.zeros_like(s.r)) for s in state.layers)


def backward(
    network: Network,
    end: NetworkState,
    trail: Trail,
    lessons: Lesson,
    dt: float,
    terminal: Adjoint | None = None,
) -> tuple[tuple[Parameters, ...], Adjoint]:
    """Exact gradients of the cost along a free run.

    Args:
        network: That of the run.
        end: The state after the run.
        trail: What `free_run` returned.
        lessons: What it was given.
        dt: Step [ms].
        terminal: The adjoint of what comes after, for a window within a longer sequence; `None`
            at a true end, or for gradients that are truncated there.

    Returns:
        For every layer the slope of beta * (cost summed over the steps), averaged over the batch,
        in the form of the local gradients and on their scale: what a local rule would add up
        over the window. Then the adjoint at its start, the `terminal` of the window before.
    """

    def step(carry, row):
        total, *rest_of_it = carry
        rest_of_it, slopes, _ = _backward_step(network, rest_of_it, row, dt)
        return (jax.tree.map(jnp.add, total, slopes), *rest_of_it), None

    zero = jax.tree.map(jnp.zeros_like, network.parameters)
    (total, adjoint, _), _ = _scan_back(step, (zero,), network, end, trail, lessons, terminal)
    return total, adjoint


def adjoint_errors(
    network: Network,
    end: NetworkState,
    trail: Trail,
    lessons: Lesson,
    dt: float,
    terminal: Adjoint | None = None,
) -> tuple[Errors, ...]:
    """The errors of every layer at every step, as `backward` finds them; arguments as there."""

    def step(carry, row):
        carry, _, errors = _backward_step(network, carry, row, dt)
        return tuple(carry), errors

    return _scan_back(step, (), network, end, trail, lessons, terminal)[1]


def adjoint_gradients(
    network: Network,
    state: NetworkState,
    lessons: Lesson,
    dt: float,
    terminal: Adjoint | None = None,
) -> tuple[NetworkState, Float[Array, "time batch *n"], tuple[Parameters, ...]]:
    """A free run and its exact gradients.

    Returns:
        The state after, the output rates of every step, and the gradients (see `backward`).

    Raises:
        InputError: `lessons` are empty or differ in length.
    """
    end, trail = free_run(network, state, lessons, dt)
    gradients, _ = backward(network, end, trail, lessons, dt, terminal)
    return end, trail.output, gradients


def autodiff_gradients(
    network: Network, state: NetworkState, lessons: Lesson, dt: float
) -> tuple[NetworkState, Float[Array, "time batch *n"], tuple[Parameters, ...]]:
    """The same by backpropagation through time: JAX differentiates the whole loop.

    An independent oracle for `adjoint_gradients`, and the baseline of machine learning.

    Raises:
        InputError: `lessons` are empty or differ in length.
    """
    check_length(lessons)

    def action(parameters):
        free = without_errors(network).with_parameters(parameters)

        def step(state, lesson):
            after, risen, target = free_step(free, state, lesson, dt)
            output = risen[-1].r
            seen = state.layers[-1].r if free.schedule.down else output
            return after, (output, free.nudging.cost(seen, target).sum())

        after, (output, cost) = jax.lax.scan(step, state, lessons)
        total = free.nudging.beta * cost.sum() / free.batch(lessons.input[0])
        return total, (after, output)

    gradients, (after, output) = jax.grad(action, has_aux=True)(network.parameters)
    return after, output, gradients


def _scan_back(step, first: tuple, network, end, trail, lessons, terminal):
    adjoint = rest(network, end) if terminal is None else terminal
    rates = tuple(s.r for s in end.layers)
    rows = (trail.layers, lessons.input, trail.target)
    return jax.lax.scan(step, (*first, adjoint, rates), rows, reverse=True)


def _backward_step(network: Network, carry, row, dt: float):
    """From step t to t - 1; the carry is the adjoint and the rates at step t."""
    adjoint, rates = carry
    trail, input, target = row
    up, down = network.schedule
    batch = network.batch(input)
    owed: list[Array] = [jnp.zeros_like(r) for r in rates]  # to the rates of step t - 1
    v, slopes, errors = [], [], []
    sent = None  # error that falls within the step
    for index in reversed(range(len(network.layers))):
        layer, now = network.layers[index], trail[index]
        arriving = adjoint[index].owed
        if sent is not None:
            arriving = arriving + sent
        elif index == len(network.layers) - 1 and not down:
            arriving = arriving + network.nudging.slope(rates[index], target)

        def transmit(filtered, rate, layer=layer, index=index):
            return layer.transmission.step(filtered, rate, None, index, dt)

        # Noise is added, so that it does not change the way back: no keys are needed.
        _, back = jax.vjp(transmit, now.before, rates[index])
        lasting, arriving = back(arriving)
        owed[index] = owed[index] + lasting
        eps = layer.neurons.slope(now.p) * arriving
        new_v, e, _ = lead_lag(
            adjoint[index].v, eps, lead=layer.neurons.tau_r, lag=layer.neurons.tau_m, dt=dt
        )
        beneath = [layer.before for layer in trail] if up else rates
        below = beneath[index - 1] if index else input
        drive = layer.drive(below, now.before)
        if drive.transpose_recurrent is not None:
            owed[index] = owed[index] + drive.transpose_recurrent(e)[1]
        sent = None
        if index:
            falling = layer.send_down(below, e, drive.transpose)
            if up:
                owed[index - 1] = owed[index - 1] + falling
            else:
                sent = falling
        v.append(new_v)
        slopes.append(layer.slopes(drive, e, eps, now.du, batch))
        errors.append(Errors(e, eps))
    if down:
        owed[-1] = owed[-1] + network.nudging.slope(trail[-1].before, target)
    before = tuple(LayerAdjoint(*pair) for pair in zip(reversed(v), owed, strict=True))
    carry = [before, tuple(layer.before for layer in trail)]
    return carry, tuple(reversed(slopes)), tuple(reversed(errors))


def check_length(lessons: Lesson) -> int:
    """The number of steps.

    Raises:
        InputError: There are none, or inputs and targets differ in length.
    """
    steps, wanted = len(lessons.input), len(lessons.target)
    if steps != wanted:
        raise InputError(
            f"`lessons` has {steps} inputs and {wanted} targets; each step needs one of each."
        )
    if steps == 0:
        raise InputError("`lessons` has no steps; there is nothing to learn from.")
    return steps
