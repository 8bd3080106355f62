"""The time of a neuron's first spike as a function of spike times and weights.

Forward, the inputs are visited in the order of arrival and the state (potential and current) is
carried from one to the next with decays of the time between them, so nothing overflows. The
first interval in which the threshold is reached is kept, and only there the crossing is solved.
Backward, the implicit function theorem needs spike times and weights alone. It does not ask
where the spike times came from, so that measured ones can take the place of computed ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, prod
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, finite, known, one_of
from lapicque.spiketime.neuron import Mismatched, Neuron
from lapicque.spiketime.solvers import Interval
from lapicque.spiketime.sorting import sort_with

Scan = Literal["auto", "sequential", "associative"]

BLOCK = 2**24  # number of (input, neuron, sample) that are held at once,
CPU_BLOCK = 2**15  # and on a CPU, where a piece shall fit into its cache


def first_spike(
    arrival: Float[Array, "*batch pre"] | Float[Array, "*batch post pre"],
    weights: Float[Array, "post pre"],
    neuron: Neuron,
    *,
    threshold: Float[Array, " ..."] | None = None,
    drop_above: float = inf,
    scan: Scan = "auto",
    per_synapse: bool = False,
) -> Float[Array, "*batch post"]:
    """When each neuron first reaches its threshold; `+inf` where it does not.

    Differentiable in arrivals, weights and threshold, exactly; a silent neuron and an input
    that comes after the spike have zero gradients.

    Args:
        arrival: When the spike of each input arrives, `+inf` for none; in any order. Shape
            (..., pre), or (..., post, pre) with `per_synapse`. [unit of `neuron.tau_s`]
        weights: Shape (post, pre).
        neuron: Time constants, threshold, solver.
        threshold: In place of the neuron's; broadcasts to (..., post), each entry above 0.
        drop_above: In the gradient, all weights of a (sample, neuron) with an entry above this
            get none; arrivals still do.
        scan: `sequential` walks through the inputs and holds one state per neuron,
            `associative` holds one per input and neuron and needs logarithmically many steps;
            `auto` takes the first on CPUs and the second elsewhere.
        per_synapse: Whether `arrival` has an axis of neurons.

    Raises:
        InputError: Shapes do not fit, a time is negative or `nan`, or a weight is not
            finite (values are looked at outside a traced program only).

    Source:
        Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823: closed forms and their
        derivatives; the search keeps the first crossing instead of the least candidate.
    """
    times = crossing(
        arrival, weights, neuron, threshold=threshold, scan=scan, per_synapse=per_synapse
    )
    return spike_gradient(
        times,
        jnp.asarray(arrival, times.dtype),
        jnp.asarray(weights, times.dtype),
        neuron,
        threshold=threshold,
        drop_above=drop_above,
        per_synapse=per_synapse,
    )


def crossing(
    arrival: Float[Array, "*batch pre"] | Float[Array, "*batch post pre"],
    weights: Float[Array, "post pre"],
    neuron: Neuron | Mismatched,
    *,
    threshold: Float[Array, " ..."] | None = None,
    scan: Scan = "auto",
    per_synapse: bool = False,
) -> Float[Array, "*batch post"]:
    """The value of `first_spike`, without a gradient.

    Args:
        arrival, weights, threshold, scan, per_synapse: As in `first_spike`.
        neuron: Nominal neurons, or ones whose time constants differ.

    Raises:
        InputError: As in `first_spike`.
    """
    arrival, weights = _checked(arrival, weights, per_synapse)
    one_of("scan", scan, ("auto", "sequential", "associative"))
    batch = arrival.shape[: -2 if per_synapse else -1]
    limit = neuron.threshold if threshold is None else threshold
    limit = jnp.broadcast_to(jnp.asarray(limit, weights.dtype), (*batch, weights.shape[0]))
    stopped = jax.lax.stop_gradient((arrival, weights, limit))
    return _by_columns(_solve, neuron, scan, per_synapse, *stopped)


def highest_potential(
    arrival: Float[Array, "*batch pre"] | Float[Array, "*batch post pre"],
    weights: Float[Array, "post pre"],
    neuron: Neuron,
    *,
    per_synapse: bool = False,
) -> Float[Array, "*batch post"]:
    """The highest potential that each neuron would reach without a threshold; at least 0.

    Differentiable in arrivals and weights. What it lacks to the threshold gives silent
    neurons a gradient.

    Args:
        arrival, weights, neuron, per_synapse: As in `first_spike`.

    Raises:
        InputError: As in `first_spike`.
    """
    arrival, weights = _checked(arrival, weights, per_synapse)
    batch = arrival.shape[: -2 if per_synapse else -1]
    stopped = jax.lax.stop_gradient((arrival, weights))
    nothing = jnp.zeros((*batch, weights.shape[0]), weights.dtype)
    times = _by_columns(_top, neuron, "sequential", per_synapse, *stopped, nothing)
    # At the top the derivative with respect to its own time is zero.
    return potential(times, arrival, weights, neuron, per_synapse=per_synapse)


def potential(
    times: Float[Array, "*batch post"],
    arrival: Float[Array, "*batch pre"] | Float[Array, "*batch post pre"],
    weights: Float[Array, "post pre"],
    neuron: Neuron,
    *,
    per_synapse: bool = False,
) -> Float[Array, "*batch post"]:
    """Potential of each neuron at a time of its own, had it not spiked; 0 at `+inf`."""
    arrival = arrival if per_synapse else arrival[..., None, :]
    since = times[..., None] - arrival
    caused = (since > 0) & jnp.isfinite(since)
    response = neuron.psp(jnp.where(caused, since, 0.0))
    return jnp.sum(jnp.where(caused, weights * response, 0.0), -1)


def spike_gradient(
    times: Float[Array, "*batch post"],
    arrival: Float[Array, "*batch pre"] | Float[Array, "*batch post pre"],
    weights: Float[Array, "post pre"],
    neuron: Neuron,
    *,
    threshold: Float[Array, " ..."] | None = None,
    drop_above: float = inf,
    per_synapse: bool = False,
) -> Float[Array, "*batch post"]:
    """Spike times with the gradient that they have as crossings of the threshold.

    The value is `times`, wherever they come from: a solver, a chip, a simulator. With
    `V' = sum_i w_i psp'(T - t_i)` over the inputs that arrived before the spike,
    `dT/dw_i = -psp(T - t_i) / V'`, `dT/dt_i = w_i psp'(T - t_i) / V'` and
    `dT/dthreshold = 1 / V'`. Where `V'` is not above zero, which only measured times can bring
    about, the gradient is zero.

    Args:
        times: Spike times, `+inf` for silence.
        arrival, weights, neuron, threshold, drop_above, per_synapse: As in `first_spike`.

    Source:
        Göltz, Kriener et al. (2021) in implicit form, which holds for every ratio of time
        constants; for measured times as in Göltz, Weber, Kriener et al. (2025), Nat. Commun.
        16, but without the assumption of a nominal threshold.
    """
    batch = times.shape[:-1]
    limit = neuron.threshold if threshold is None else threshold
    limit = jnp.broadcast_to(jnp.asarray(limit, times.dtype), times.shape)
    size = prod(batch)
    result: Array = _attach(
        (neuron, float(drop_above)),
        times.reshape(size, -1),
        arrival.reshape(size, *arrival.shape[len(batch) :]),
        weights,
        limit.reshape(size, -1),
    )
    return result.reshape(times.shape)


def from_events(
    times: Float[Array, " events"], ids: Float[Array, " events"], size: int, start: float = 0.0
) -> Float[Array, " size"]:
    """First spike of each neuron from a sorted list of events; `+inf` for silent neurons.

    Args:
        times: Times of all spikes, ascending, none before `start`; `+inf` entries are padding.
        ids: The neuron of each, 0 to `size - 1`; -1 for padding.
        size: Number of neurons.
        start: Time that counts as zero.

    Raises:
        InputError: Times are not sorted, lie before `start` or are `nan`, or an id is out of
            range.
    """
    events, owners = known(times), known(ids)
    if events is not None and owners is not None:
        if (events[1:] < events[:-1]).any():
            raise InputError("`times` are not sorted; they must ascend, padding (+inf) last.")
        _times("times", events - start)
        bad = (owners < -1) | (owners >= size)
        if bad.any():
            raise InputError(
                f"`ids[{int(bad.argmax())}]` is {owners[bad.argmax()]}; ids must lie between 0 "
                f"and {size - 1}, or be -1 for padding."
            )
    times, ids = jnp.asarray(times), jnp.asarray(ids)
    target = jnp.where(ids < 0, size, ids)
    return jnp.full((size,), inf, times.dtype).at[target].min(times - start, mode="drop")


def _checked(arrival, weights, per_synapse):
    arrival, weights = jnp.asarray(arrival), jnp.asarray(weights)
    if weights.ndim != 2 or 0 in weights.shape:
        raise InputError(f"`weights` has shape {weights.shape}; it must have shape (post, pre).")
    wanted = weights.shape if per_synapse else weights.shape[1:]
    if arrival.shape[-len(wanted) :] != wanted or arrival.ndim < len(wanted):
        axes = "post, pre" if per_synapse else "pre"
        raise InputError(
            f"`arrival` has shape {arrival.shape}; with weights of shape {weights.shape} it must "
            f"end in ({axes}) = {wanted}."
        )
    finite("weights", weights)
    _times("arrival", arrival)
    dtype = jnp.result_type(arrival, weights)
    return arrival.astype(dtype), weights.astype(dtype)


def _times(name, value):
    values = known(value)
    if values is not None and not (values >= 0).all():
        bad = ~(values >= 0)
        raise InputError(
            f"`{name}` holds {int(bad.sum())} of {values.size} values that are negative or `nan` "
            f"(the first is {values[bad][0]:g}); spike times must be at least 0, `+inf` for none."
        )


class _Walk(NamedTuple):
    """The inputs in the order of arrival, input first; `weight` may still be gathered."""

    start: Float[Array, "pre batch #post"]
    weight: Callable[[Any], Any]
    source: Array


def _walk(arrival, weights, per_synapse) -> _Walk:
    """Sort the inputs of every sample, once for all neurons where they share the order."""
    times = jnp.moveaxis(arrival, -1, 0)
    if per_synapse:
        payload = jnp.broadcast_to(weights.T[:, None, :], times.shape)
        times, weight = sort_with(times, payload)
        return _Walk(times, lambda row: row, weight)
    index = jnp.broadcast_to(jnp.arange(times.shape[0])[:, None], times.shape)
    times, order = sort_with(times, index)
    rows = weights.T
    return _Walk(times[..., None], lambda row: rows[row], order)


def _search(neuron: Neuron, walk: _Walk, score, scan: str) -> tuple[Array, Interval]:
    """The interval between inputs of the highest score, the first where several are equal.

    `score` maps an `Interval` to numbers; intervals of score 0 or less are never chosen.
    """
    start = walk.start
    forever = 1e4 * neuron.longest
    following = jnp.concatenate([start[1:], jnp.full_like(start[:1], inf)])
    span = jnp.where(jnp.isinf(following), forever, following - start)
    membrane, synapse = neuron.decays(span)
    response = neuron.psp(span)
    per_input = (start, span, membrane, synapse, response)

    if scan == "associative":
        weight = jax.vmap(walk.weight)(walk.source)
        per_input = tuple(jnp.broadcast_to(x, weight.shape) for x in per_input)
        start, span, membrane, synapse, response = per_input

        def before(x):
            return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])

        state = (
            before(membrane),
            before(response),
            before(synapse),
            jnp.zeros_like(weight),
            weight,
        )

        def after(a, b):  # the affine map of a state over a's time and inputs, then over b's
            (am, ar, as_, av, ai), (bm, br, bs, bv, bi) = a, b
            return (bm * am, bm * ar + br * as_, bs * as_, bm * av + br * ai + bv, bs * ai + bi)

        _, _, _, v, i = jax.lax.associative_scan(after, state)
        value = score(Interval(start, v, i, span, v * membrane + i * response, membrane))
        which = jnp.argmax(value, axis=0)
        best, v, i = (jnp.take_along_axis(x, which[None], axis=0)[0] for x in (value, v, i))
        best = jnp.maximum(best, 0)
    else:

        def visit(carry, row):
            v, i, best, which, kept_v, kept_i = carry
            source, (t, span, membrane, synapse, response), number = row
            i = i + walk.weight(source)
            end = v * membrane + i * response
            value = score(Interval(t, v, i, span, end, membrane))
            better = value > best
            kept = (jnp.where(better, x, y) for x, y in ((number, which), (v, kept_v), (i, kept_i)))
            return (end, i * synapse, jnp.where(better, value, best), *kept), None

        one = jax.eval_shape(walk.weight, jax.eval_shape(lambda x: x[0], walk.source))
        nothing = jnp.zeros(one.shape, start.dtype)
        numbers = jnp.arange(start.shape[0])
        initial = (nothing, nothing, nothing, jnp.zeros(one.shape, int), nothing, nothing)
        rows = (walk.source, per_input, numbers)
        (_, _, best, which, v, i), _ = jax.lax.scan(visit, initial, rows)

    def at(x):
        if x.shape[-1] == which.shape[-1]:
            return jnp.take_along_axis(x, which[None], axis=0)[0]
        return x[which, jnp.arange(which.shape[0])[:, None], 0]

    start, span, membrane, _, response = (at(x) for x in per_input)
    return best, Interval(start, v, i, span, v * membrane + i * response, membrane)


def _solve(neuron, scan, per_synapse, arrival, weights, threshold):
    walk = _walk(arrival, weights, per_synapse)
    solver = neuron.solver
    if scan == "auto":
        scan = "sequential" if jax.default_backend() == "cpu" else "associative"

    def crossed(interval):
        return solver.reaches(neuron, interval, threshold).astype(arrival.dtype)

    found, interval = _search(neuron, walk, crossed, scan)
    found = found > 0
    # Where nothing was found, solve something harmless, so that no `nan` arises.
    zero, one = jnp.zeros_like(threshold), jnp.ones_like(threshold)
    harmless = Interval(zero, zero, 1e3 * threshold / neuron.tau_s, one, threshold, one)
    safe = Interval(*(jnp.where(found, x, y) for x, y in zip(interval, harmless, strict=True)))
    delay = jnp.clip(solver.delay(neuron, safe, threshold), 0.0, safe.span)
    return jnp.where(found, safe.start + delay, inf)


def _top(neuron, scan, per_synapse, arrival, weights, _):
    walk = _walk(arrival, weights, per_synapse)

    def height(interval):
        time, top = neuron.peak(interval.potential, interval.current)
        return jnp.where(time <= interval.span, top, interval.end)

    best, interval = _search(neuron, walk, height, scan)
    time, _ = neuron.peak(interval.potential, interval.current)
    time = interval.start + jnp.minimum(time, interval.span)
    return jnp.where(best > 0, time, inf)


@partial(jax.jit, static_argnums=(0, 2, 3))
def _by_columns(solve, neuron, scan, per_synapse, arrival, weights, threshold):
    """Apply `solve` to pieces of the neurons where all at once would take too much memory."""
    batch = threshold.shape[:-1]
    size, (post, pre) = prod(batch), weights.shape
    arrival = arrival.reshape(size, *arrival.shape[len(batch) :])
    threshold = threshold.reshape(size, post)
    pieces = _count(size * post * pre) if per_synapse else 1
    if pieces <= 1:
        times = solve(neuron, scan, per_synapse, arrival, weights, threshold)
        return times.reshape(*batch, post)
    parts = _pieces(pieces, post)

    def piece(rows):
        neuron, arrival, weights, threshold = rows
        return solve(neuron, scan, True, arrival.swapaxes(0, 1), weights, threshold.T).T

    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (post,)), neuron)
    rows = (own, arrival.swapaxes(0, 1), weights, threshold.T)
    times = jax.lax.map(piece, jax.tree.map(parts.split, rows))
    return parts.join(times).T.reshape(*batch, post)


def _count(elements: int) -> int:
    return -(-elements // (CPU_BLOCK if jax.default_backend() == "cpu" else BLOCK))


class _pieces:
    """Cut a first axis of `length` into equal pieces, padded with ones, and put it together."""

    def __init__(self, pieces: int, length: int):
        self.length, self.width = length, -(-length // pieces)
        self.pieces = -(-length // self.width)

    def split(self, x):
        missing = self.pieces * self.width - self.length
        x = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1), constant_values=1)
        return x.reshape(self.pieces, self.width, *x.shape[1:])

    def join(self, x):
        return x.reshape(-1, *x.shape[2:])[: self.length]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attach(static, times, arrival, weights, threshold):
    return times


def _attach_forward(static, times, arrival, weights, threshold):
    return times, (times, arrival, weights)


@partial(jax.jit, static_argnums=0)
def _attach_backward(static, residuals, error):
    times, arrival, weights = residuals
    (size, post), pre = times.shape, weights.shape[1]
    pieces = _count(size * post * pre)
    if pieces <= 1:
        d_arrival, d_weights, d_threshold = _pull_back(static, times, arrival, weights, error)
        return jnp.zeros_like(times), d_arrival, d_weights, d_threshold
    parts = _pieces(pieces, post)
    per_synapse = arrival.ndim == 3

    def piece(total, rows):
        times, weights, error, own = rows
        part = own.swapaxes(0, 1) if per_synapse else arrival
        d_arrival, d_weights, d_threshold = _pull_back(static, times.T, part, weights, error.T)
        if per_synapse:
            return total, (d_arrival.swapaxes(0, 1), d_weights, d_threshold.T)
        return total + d_arrival, (total[:0], d_weights, d_threshold.T)

    own = arrival.swapaxes(0, 1) if per_synapse else jnp.zeros((post, 0), arrival.dtype)
    # Padded neurons get an error of 1; their gradients are cut off, so it must not reach arrivals.
    keep = jnp.pad(jnp.ones(post, bool), (0, parts.pieces * parts.width - post))
    padded = parts.split(error.T) * keep.reshape(parts.pieces, parts.width, 1)
    rows = (parts.split(times.T), parts.split(weights), padded, parts.split(own))
    total, (d_own, d_weights, d_threshold) = jax.lax.scan(piece, jnp.zeros_like(arrival), rows)
    d_arrival = parts.join(d_own).swapaxes(0, 1) if per_synapse else total
    return jnp.zeros_like(times), d_arrival, parts.join(d_weights), parts.join(d_threshold).T


def _pull_back(static, times, arrival, weights, error):
    """Gradients for arrivals, weights and threshold; samples innermost, for they are many."""
    neuron, drop_above = static
    per_synapse = arrival.ndim == 3
    arrival = jnp.moveaxis(arrival, 0, -1)  # ([post,] pre, batch)
    arrival = arrival if per_synapse else arrival[None]
    times, error = times.T[:, None], error.T[:, None]  # (post, 1, batch)
    since = times - arrival
    caused = (since >= 0) & jnp.isfinite(times) & jnp.isfinite(arrival)
    since = jnp.where(caused, since, 0.0)
    response = neuron.psp(since)
    slope = jnp.where(caused, neuron.slope(since), 0.0)
    response = jnp.where(caused, response, 0.0)
    pull = weights[..., None] * slope
    rise = pull.sum(1, keepdims=True)
    crosses = (rise > 0) & jnp.isfinite(times)
    scaled = jnp.where(crosses, error / jnp.where(crosses, rise, 1.0), 0.0)
    d_arrival = jnp.moveaxis(scaled * pull, -1, 0)
    if not per_synapse:
        d_arrival = d_arrival.sum(1)
    learning = scaled
    if drop_above < inf:
        largest = jnp.abs(scaled) * response.max(1, keepdims=True)
        learning = jnp.where(largest > drop_above, 0.0, scaled)
    d_weights = -jnp.einsum("jib,jb->ji", response, learning[:, 0])
    return d_arrival, d_weights, scaled[:, 0].T


_attach.defvjp(_attach_forward, _attach_backward)
