"""The compiled loop: neurons, noise, spikes and synapses of one shard of a network.

Units live in flat arrays; entry `neuron * chains + chain` belongs to one neuron in one chain. In a
step from grid point n to n + 1 a neuron moves with the synaptic state of n, then the synapses decay
and take in what arrives at n + 1, then the threshold is looked at: the order of NEST. A spike
belongs to the grid point at the end of its step.

Steps come in rounds no longer than the shortest delay. Within a round neurons need no news from
others; at its end all shards read the spikes of all, in the order of time, population and unit, and
write those of their own neurons' inputs into a ring of future steps. So sums are formed in the same
order however units are shared out and however a run is cut.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque.spiking._atomic import call_rule, wait_for_all
from lapicque.spiking.random import philox, poisson_thresholds

CURRENT_EXP, CURRENT_ALPHA, CURRENT_DELTA, CONDUCTANCE_EXP, CONDUCTANCE_ALPHA, ADEX = range(6)
SPIKE_ARRAY, POISSON = 10, 11
CONSTANT, PIECEWISE, SINUSOIDAL = range(3)
SCALAR, PER_SYNAPSE, PER_CHAIN = range(3)
COEFFICIENTS = 32
# Neurons that differ are updated side by side, too: so many coefficients of so many neurons lie
# together, at distances that the compiler knows.
EACH, ABREAST = 14, 256
_CHUNK = 64
LEVELS = 6  # an AdEx step is cut into at most 2 ** (LEVELS - 1) pieces

_U = np.uint64
# Without counts of references: to keep them for all arrays of a shard at every call takes longer
# than a step of a small network. Nothing here allocates.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_inlined = njit(forceinline=True, **_OPTIONS)
_compiled = njit(**_OPTIONS)
_kept = njit(cache=True, nogil=True, **_OPTIONS)
EARLY, LATE = 0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6  # nodes of the two-stage Gauss method
A12, A21 = 0.25 - 3**0.5 / 6, 0.25 + 3**0.5 / 6


class Layout(NamedTuple):
    """What does not change in a run, and is the same in all shards."""

    kind: NDArray[np.int64]  # of each population
    n: NDArray[np.int64]  # number of shards, shortest delay, length of the ring, random block
    projections: NDArray[np.int64]  # of each population, one after the other
    outgoing: NDArray[np.int64]  # where those of a population begin in `projections`
    receptor: NDArray[np.int64]  # of each projection
    weight_mode: NDArray[np.int64]
    delay_mode: NDArray[np.int64]
    tm: NDArray[np.int64]  # index of short-term plasticity, or -1
    tm_values: NDArray[np.float64]  # (index, 3): U, tau_rec, tau_facil in steps
    rule: NDArray[np.int64]  # index of a rule, or -1
    rule_values: NDArray[
        np.float64
    ]  # (index, 6): tau_plus, tau_minus, w_min, w_max, nearest, tau_e
    rule_address: NDArray[np.int64]  # (index, 2): on_pre, on_post
    rule_parameters: NDArray[np.float64]  # (index, 16)
    rate_kind: NDArray[np.int64]  # of each stream of Poisson spikes
    rate_values: NDArray[np.float64]  # (stream, 6): means per step, see `_mean`
    rate_steps: NDArray[np.float64]  # times [steps] of piecewise rates, one after the other
    rate_means: NDArray[np.float64]  # means per step from those times on
    rate_start: NDArray[np.int64]  # where those of a stream begin


class Shard(NamedTuple):
    """Neurons and chains that one thread looks after, with their inputs."""

    first: NDArray[np.int64]  # of each population: its first local unit, counted in the population
    size: NDArray[np.int64]  # of each population: number of local units
    begin: NDArray[np.int64]  # where its units begin in the arrays below, in units
    alike: NDArray[np.bool_]  # of each population: one row of coefficients for all
    n: NDArray[np.int64]  # chains, local neurons, index of the shard
    v: NDArray[np.float64]
    w: NDArray[np.float64]
    refractory: NDArray[np.int32]  # steps left
    e: NDArray[np.float64]  # excitatory current or conductance
    e_rise: NDArray[np.float64]
    i: NDArray[np.float64]  # inhibitory
    i_rise: NDArray[np.float64]
    drive: NDArray[np.float64]
    fired: NDArray[np.uint8]
    fired_by_eight: NDArray[np.uint64]  # the same memory
    coefficient: NDArray[np.float64]  # (neuron, COEFFICIENTS)
    each: NDArray[np.float64]  # (block, EACH, ABREAST), flat: the same in blocks of neurons
    each_at: NDArray[np.int64]  # first place of a population therein, of a single chain
    ring: NDArray[np.float64]  # (step, receptor, neuron and chain), flat
    # streams of Poisson spikes, two of a population drawn together
    pair: NDArray[np.int64]  # (pair, 7): two streams or -1, where, length, stride, table rows
    stream_step: NDArray[np.uint32]
    stream_id: NDArray[np.uint32]
    stream_key: NDArray[np.uint32]
    word: NDArray[np.uint32]  # (2, ...)
    count: NDArray[np.int32]
    threshold: NDArray[np.uint32]  # (table, ...)
    thresholds: NDArray[np.int64]  # how many of each table
    common: NDArray[np.int64]  # how many of these are often reached
    table: NDArray[np.int64]  # (stream, 4): first table, tables, destination, first to write there
    stream_weight: NDArray[np.float64]  # of each entry of each stream, one after the other
    stream_at: NDArray[np.int64]  # where those of a stream begin
    noise: NDArray[np.float64]
    noise_at: NDArray[np.int64]  # (population, 2): where its noise begins, -1 without
    # given spikes
    given_step: NDArray[np.int64]
    given_unit: NDArray[np.int64]
    given_at: NDArray[np.int64]  # (population, 3): begin, end, next
    # synapses
    start: NDArray[np.int64]  # first synapse of each unit in each projection
    start_at: NDArray[np.int64]  # where those of a projection begin
    target: NDArray[np.int32]
    target_at: NDArray[np.int64]
    weight: NDArray[np.float64]
    weight_at: NDArray[np.int64]
    delay: NDArray[np.uint16]
    delay_at: NDArray[np.int64]
    # short-term plasticity, of each unit and chain
    tm_at: NDArray[np.int64]
    tm_x: NDArray[np.float64]
    tm_u: NDArray[np.float64]
    tm_last: NDArray[np.int64]
    # long-term plasticity
    pre_at: NDArray[np.int64]
    pre_trace: NDArray[np.float64]
    pre_last: NDArray[np.int64]
    pre_seen: NDArray[np.int64]
    post_begin: NDArray[np.int64]  # where the postsynaptic units begin
    post_at: NDArray[np.int64]
    post_size: NDArray[np.int64]  # spikes kept per unit and chain
    post_step: NDArray[np.int64]
    post_trace: NDArray[np.float64]
    post_count: NDArray[np.int64]
    post_count_at: NDArray[np.int64]
    rules_of: NDArray[np.int64]  # rules with targets in a population, one after the other
    rules_at: NDArray[np.int64]
    eligibility: NDArray[np.float64]
    eligibility_last: NDArray[np.int64]
    eligibility_at: NDArray[np.int64]
    # what is recorded
    sample_every: NDArray[np.int64]  # of each group
    sample_at: NDArray[np.int64]  # where a group begins in `sample_what`
    sample_what: NDArray[np.int64]  # (entry, 2): variable, index


class Board(NamedTuple):
    """Where shards tell each other about their spikes."""

    unit: NDArray[np.int32]  # (shard, parity, ...): unit in its population
    chain: NDArray[np.int32]
    first: NDArray[np.int64]  # (shard, parity, step * population)
    arrived: NDArray[np.int64]


class Moving(NamedTuple):
    """What of a shard moves in a step, whole or a stretch of it."""

    v: NDArray[np.float64]
    e: NDArray[np.float64]
    i: NDArray[np.float64]
    refractory: NDArray[np.int32]
    drive: NDArray[np.float64]
    fired: NDArray[np.uint8]
    ring_e: NDArray[np.float64]
    ring_i: NDArray[np.float64]
    noise_e: NDArray[np.float64]
    noise_i: NDArray[np.float64]


@_inlined
def _whole(shard):
    return Moving(
        shard.v, shard.e, shard.i, shard.refractory, shard.drive, shard.fired,
        shard.ring, shard.ring, shard.noise, shard.noise,
    )  # fmt: skip


@_inlined
def _stretch(shard, n, k, e, i, ne, ni):
    """So many neurons from these places on; the compiler sees that none overlaps another."""
    return Moving(
        shard.v[k : k + n], shard.e[k : k + n], shard.i[k : k + n], shard.refractory[k : k + n],
        shard.drive[k : k + n], shard.fired[k : k + n], shard.ring[e : e + n],
        shard.ring[i : i + n], shard.noise[ne : ne + n], shard.noise[ni : ni + n],
    )  # fmt: skip


@_inlined
def _cross(k, old, new, left, v, refractory, fired, reset, threshold, rest):
    """Write the potential of a step, or hold it, or fire; whether it fires. Without branches."""
    active = left == 0
    new = new if active else old
    fires = active & (new >= threshold)
    v[k] = reset if fires else new
    refractory[k] = rest if fires else (0 if active else left - 1)
    fired[k] = fires
    return fires


@_inlined
def _current_exp_one(
    k, at_e, at_i, at_ne, at_ni, part, reset, threshold, rest, leak, from_e, from_i, decay_e,
    decay_i,
):  # fmt: skip
    old = part.v[k]
    left = part.refractory[k]
    current_e, current_i = part.e[k], part.i[k]
    new = old * leak + current_e * from_e + current_i * from_i + part.drive[k]
    fires = _cross(k, old, new, left, part.v, part.refractory, part.fired, reset, threshold, rest)
    part.e[k] = current_e * decay_e + (part.ring_e[at_e] + part.noise_e[at_ne])
    part.i[k] = current_i * decay_i + (part.ring_i[at_i] + part.noise_i[at_ni])
    part.ring_e[at_e] = 0.0
    part.ring_i[at_i] = 0.0
    return fires


@_inlined
def _current_exp(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i):
    part = _whole(shard)
    leak, from_e, from_i = c[row, 3], c[row, 4], c[row, 5]
    decay_e, decay_i = c[row, 6], c[row, 7]
    reset, threshold, rest = c[row, 0], c[row, 1], np.int32(c[row, 2])
    total = 0
    for j in range(n):
        total += _current_exp_one(
            k0 + j, inputs_e + j, inputs_i + j, noise_e + j, noise_i + j, part,
            reset, threshold, rest, leak, from_e, from_i, decay_e, decay_i,
        )  # fmt: skip
    return total


@_inlined
def _current_exp_each(part, c):
    """The same for a stretch of neurons with coefficients of their own, see `Shard.each`."""
    w, total = _U(ABREAST), 0
    for j in range(_U(part.v.size)):
        total += _current_exp_one(
            j, j, j, j, j, part, c[j], c[w + j], np.int32(c[2 * w + j]), c[3 * w + j],
            c[4 * w + j], c[5 * w + j], c[6 * w + j], c[7 * w + j],
        )  # fmt: skip
    return total


@_inlined
def _current_alpha(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i):
    v, e, i, refractory, drive = shard.v, shard.e, shard.i, shard.refractory, shard.drive
    e_rise, i_rise = shard.e_rise, shard.i_rise
    ring, noise, fired = shard.ring, shard.noise, shard.fired
    leak, from_e, from_i = c[row, 3], c[row, 4], c[row, 5]
    decay_e, decay_i, rise_e, rise_i = c[row, 6], c[row, 7], c[row, 8], c[row, 9]
    jump_e, jump_i, feed_e, feed_i = c[row, 10], c[row, 11], c[row, 12], c[row, 13]
    reset, threshold, rest = c[row, 0], c[row, 1], np.int32(c[row, 2])
    total = 0
    for j in range(n):
        k = k0 + j
        old = v[k]
        left = refractory[k]
        new = old * leak + e[k] * from_e + i[k] * from_i + drive[k]
        new = new + e_rise[k] * rise_e + i_rise[k] * rise_i
        fires = _cross(k, old, new, left, v, refractory, fired, reset, threshold, rest)
        e[k] = e[k] * decay_e + e_rise[k] * feed_e
        i[k] = i[k] * decay_i + i_rise[k] * feed_i
        e_rise[k] = e_rise[k] * decay_e + jump_e * (ring[inputs_e + j] + noise[noise_e + j])
        i_rise[k] = i_rise[k] * decay_i + jump_i * (ring[inputs_i + j] + noise[noise_i + j])
        ring[inputs_e + j] = 0.0
        ring[inputs_i + j] = 0.0
        total += fires
    return total


@_inlined
def _current_delta(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i):
    v, refractory, drive = shard.v, shard.refractory, shard.drive
    ring, noise, fired = shard.ring, shard.noise, shard.fired
    leak = c[row, 3]
    reset, threshold, rest = c[row, 0], c[row, 1], np.int32(c[row, 2])
    total = 0
    for j in range(n):
        k = k0 + j
        old = v[k]
        left = refractory[k]
        arriving = (ring[inputs_e + j] + noise[noise_e + j]) + (
            ring[inputs_i + j] + noise[noise_i + j]
        )
        new = old * leak + drive[k] + arriving
        fires = _cross(k, old, new, left, v, refractory, fired, reset, threshold, rest)
        ring[inputs_e + j] = 0.0
        ring[inputs_i + j] = 0.0
        total += fires
    return total


@_inlined
def _gauss(v, early_e, early_i, late_e, late_i, g, drive, reversal_e, reversal_i, h):
    """One step of `dv/dt = b(t) - a(t) v` by the two-stage Gauss method: order 4, A-stable.

    As the equation is linear in `v`, the implicit stages are solved in closed form. Conductances
    and drive are divided by the capacitance; they are exact at the two nodes.
    """
    a1 = h * (g + early_e + early_i)
    a2 = h * (g + late_e + late_i)
    p1 = h * (drive + early_e * reversal_e + early_i * reversal_i) - a1 * v
    p2 = h * (drive + late_e * reversal_e + late_i * reversal_i) - a2 * v
    m1, m2 = 1 + 0.25 * a1, 1 + 0.25 * a2
    n1, n2 = a1 * A12, a2 * A21
    return v + 0.5 * ((p1 * (m2 - n2) + p2 * (m1 - n1)) / (m1 * m2 - n1 * n2))


@_inlined
def _conductance_exp_one(
    k, at_e, at_i, at_ne, at_ni, part, h, reset, threshold, rest, g, jump, decay_e, decay_i,
    reversal_e, reversal_i, early_e, early_i, late_e, late_i,
):  # fmt: skip
    old = part.v[k]
    left = part.refractory[k]
    g_e, g_i = part.e[k], part.i[k]
    new = _gauss(
        old,
        g_e * early_e,
        g_i * early_i,
        g_e * late_e,
        g_i * late_i,
        g,
        part.drive[k],
        reversal_e,
        reversal_i,
        h,
    )
    fires = _cross(k, old, new, left, part.v, part.refractory, part.fired, reset, threshold, rest)
    part.e[k] = g_e * decay_e + jump * (part.ring_e[at_e] + part.noise_e[at_ne])
    part.i[k] = g_i * decay_i + jump * (part.ring_i[at_i] + part.noise_i[at_ni])
    part.ring_e[at_e] = 0.0
    part.ring_i[at_i] = 0.0
    return fires


@_inlined
def _conductance_exp(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i, h):
    part = _whole(shard)
    g, jump = c[row, 3], c[row, 5]
    decay_e, decay_i, reversal_e, reversal_i = c[row, 6], c[row, 7], c[row, 8], c[row, 9]
    early_e, early_i, late_e, late_i = c[row, 10], c[row, 11], c[row, 12], c[row, 13]
    reset, threshold, rest = c[row, 0], c[row, 1], np.int32(c[row, 2])
    total = 0
    for j in range(n):
        total += _conductance_exp_one(
            k0 + j, inputs_e + j, inputs_i + j, noise_e + j, noise_i + j, part, h,
            reset, threshold, rest, g, jump, decay_e, decay_i,
            reversal_e, reversal_i, early_e, early_i, late_e, late_i,
        )  # fmt: skip
    return total


@_inlined
def _conductance_exp_each(part, c, h):
    """The same for a stretch of neurons with coefficients of their own, see `Shard.each`."""
    w, total = _U(ABREAST), 0
    for j in range(_U(part.v.size)):
        total += _conductance_exp_one(
            j, j, j, j, j, part, h, c[j], c[w + j], np.int32(c[2 * w + j]), c[3 * w + j],
            c[5 * w + j], c[6 * w + j], c[7 * w + j], c[8 * w + j], c[9 * w + j],
            c[10 * w + j], c[11 * w + j], c[12 * w + j], c[13 * w + j],
        )  # fmt: skip
    return total


@_inlined
def _conductance_alpha(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i, h):
    v, e, i, refractory, drive = shard.v, shard.e, shard.i, shard.refractory, shard.drive
    e_rise, i_rise = shard.e_rise, shard.i_rise
    ring, noise, fired = shard.ring, shard.noise, shard.fired
    g, jump_e, jump_i = c[row, 3], c[row, 4], c[row, 5]
    decay_e, decay_i, reversal_e, reversal_i = c[row, 6], c[row, 7], c[row, 8], c[row, 9]
    early_e, early_i, late_e, late_i = c[row, 10], c[row, 11], c[row, 12], c[row, 13]
    reset, threshold, rest = c[row, 0], c[row, 1], np.int32(c[row, 2])
    early, late = EARLY * h, LATE * h
    total = 0
    for j in range(n):
        k = k0 + j
        old = v[k]
        left = refractory[k]
        g_e, g_i, x_e, x_i = e[k], i[k], e_rise[k], i_rise[k]
        new = _gauss(
            old,
            (g_e + early * x_e) * early_e,
            (g_i + early * x_i) * early_i,
            (g_e + late * x_e) * late_e,
            (g_i + late * x_i) * late_i,
            g,
            drive[k],
            reversal_e,
            reversal_i,
            h,
        )
        fires = _cross(k, old, new, left, v, refractory, fired, reset, threshold, rest)
        e[k] = (g_e + h * x_e) * decay_e
        i[k] = (g_i + h * x_i) * decay_i
        e_rise[k] = x_e * decay_e + jump_e * (ring[inputs_e + j] + noise[noise_e + j])
        i_rise[k] = x_i * decay_i + jump_i * (ring[inputs_i + j] + noise[noise_i + j])
        ring[inputs_e + j] = 0.0
        ring[inputs_i + j] = 0.0
        total += fires
    return total


@_inlined
def _adex_slope(v, w, g_e, g_i, g, rest, threshold, delta, drive, alpha_e, alpha_i, beta, peak):
    v = min(v, peak)
    synaptic = g_e * (alpha_e - beta * v) + g_i * (alpha_i - beta * v)
    return g * (rest - v + delta * np.exp((v - threshold) / delta)) - w + drive + synaptic


@_inlined
def _adex(k0, n, c, shard, row, inputs_e, inputs_i, noise_e, noise_i, h):
    """Runge-Kutta of order 4 with pieces that shorten as the spike current steepens.

    All currents are divided by the capacitance. With `beta` 0 the synapses are currents.
    """
    v, w, e, i, refractory, drive = (
        shard.v,
        shard.w,
        shard.e,
        shard.i,
        shard.refractory,
        shard.drive,
    )
    e_rise, i_rise = shard.e_rise, shard.i_rise
    ring, noise, fired = shard.ring, shard.noise, shard.fired
    reset, peak, wait = c[row, 0], c[row, 1], np.int32(c[row, 2])
    g, rest, threshold, delta, a, b, tau_w = (
        c[row, 3],
        c[row, 4],
        c[row, 5],
        c[row, 6],
        c[row, 7],
        c[row, 8],
        c[row, 9],
    )
    alpha_e, alpha_i, beta = c[row, 10], c[row, 11], c[row, 12]
    jump_e, jump_i, has_rise = c[row, 13], c[row, 14], c[row, 15]
    tau_e, tau_i = c[row, 16], c[row, 17]
    total = 0
    for j in range(n):
        k = k0 + j
        x, y = v[k], w[k]
        g_e, g_i, x_e, x_i = e[k], i[k], e_rise[k], i_rise[k]
        left = refractory[k]
        fires = False
        if left > 0:
            bound = a * (reset - rest)
            y = bound + (y - bound) * np.exp(-h / tau_w)
            x = reset
            decay_e, decay_i = c[row, 18], c[row, 19]
            g_e, g_i = (g_e + h * x_e) * decay_e, (g_i + h * x_i) * decay_i
            x_e, x_i = x_e * decay_e, x_i * decay_i
            refractory[k] = left - 1
        else:
            steep = h * g * np.exp((min(x, peak) - threshold) / delta) + h * (
                g + beta * (g_e + g_i)
            )
            level, pieces = 0, 1
            while level < LEVELS - 1 and steep > 0.3 * pieces:
                level += 1
                pieces *= 2
            piece = h / pieces
            if level == 0:
                decay_e, decay_i, half_e, half_i = c[row, 18], c[row, 19], c[row, 20], c[row, 21]
            else:
                half_e, half_i = np.exp(-0.5 * piece / tau_e), np.exp(-0.5 * piece / tau_i)
                decay_e, decay_i = half_e * half_e, half_i * half_i
            done = 0
            while done < pieces:
                done += 1
                middle_e, middle_i = (
                    (g_e + 0.5 * piece * x_e) * half_e,
                    (g_i + 0.5 * piece * x_i) * half_i,
                )
                end_e, end_i = (g_e + piece * x_e) * decay_e, (g_i + piece * x_i) * decay_i
                k1 = _adex_slope(
                    x,
                    y,
                    g_e,
                    g_i,
                    g,
                    rest,
                    threshold,
                    delta,
                    drive[k],
                    alpha_e,
                    alpha_i,
                    beta,
                    peak,
                )
                l1 = (a * (min(x, peak) - rest) - y) / tau_w
                x2, y2 = x + 0.5 * piece * k1, y + 0.5 * piece * l1
                k2 = _adex_slope(
                    x2, y2, middle_e, middle_i, g, rest, threshold, delta, drive[k],
                    alpha_e, alpha_i, beta, peak,
                )  # fmt: skip
                l2 = (a * (min(x2, peak) - rest) - y2) / tau_w
                x3, y3 = x + 0.5 * piece * k2, y + 0.5 * piece * l2
                k3 = _adex_slope(
                    x3, y3, middle_e, middle_i, g, rest, threshold, delta, drive[k],
                    alpha_e, alpha_i, beta, peak,
                )  # fmt: skip
                l3 = (a * (min(x3, peak) - rest) - y3) / tau_w
                x4, y4 = x + piece * k3, y + piece * l3
                k4 = _adex_slope(
                    x4, y4, end_e, end_i, g, rest, threshold, delta, drive[k],
                    alpha_e, alpha_i, beta, peak,
                )  # fmt: skip
                l4 = (a * (min(x4, peak) - rest) - y4) / tau_w
                x += piece / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
                y += piece / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
                g_e, g_i = end_e, end_i
                x_e, x_i = x_e * decay_e, x_i * decay_i
                if x >= peak:
                    fires = True
                    x, y = reset, y + b
                    rest_of_step = (pieces - done) * piece
                    if rest_of_step > 0:
                        bound = a * (reset - rest)
                        y = bound + (y - bound) * np.exp(-rest_of_step / tau_w)
                        gone_e, gone_i = (
                            np.exp(-rest_of_step / tau_e),
                            np.exp(-rest_of_step / tau_i),
                        )
                        g_e = (g_e + rest_of_step * x_e) * gone_e
                        g_i = (g_i + rest_of_step * x_i) * gone_i
                        x_e, x_i = x_e * gone_e, x_i * gone_i
                    break
            refractory[k] = wait if fires else 0
        v[k], w[k] = x, y
        in_e = jump_e * (ring[inputs_e + j] + noise[noise_e + j])
        in_i = jump_i * (ring[inputs_i + j] + noise[noise_i + j])
        if has_rise > 0:
            e[k], i[k] = g_e, g_i
            e_rise[k], i_rise[k] = x_e + in_e, x_i + in_i
        else:
            e[k], i[k] = g_e + in_e, g_i + in_i
        ring[inputs_e + j] = 0.0
        ring[inputs_i + j] = 0.0
        fired[k] = fires
        total += fires
    return total


@_inlined
def _update_each(shard, p, kind, k0, e, i, noise_e, noise_i):
    """`_update` of neurons that differ, side by side in stretches."""
    units = shard.size[p]
    h = shard.coefficient[0, COEFFICIENTS - 1]
    total = 0
    for begin in range(0, units, ABREAST):
        n = min(ABREAST, units - begin)
        ne = noise_e + begin if noise_e > 0 else 0
        ni = noise_i + begin if noise_i > 0 else 0
        part = _stretch(shard, n, k0 + begin, e + begin, i + begin, ne, ni)
        at = (shard.each_at[p] + begin) * EACH
        c = shard.each[at : at + ABREAST * EACH]
        if kind == CURRENT_EXP:
            total += _current_exp_each(part, c)
        else:
            total += _conductance_exp_each(part, c, h)
    return total


@_inlined
def _update(layout, shard, p, slot, block_step):
    """Move the neurons of one population to the grid point of a slot; how many fired."""
    chains = shard.n[0]
    units = shard.size[p]
    width = shard.n[1] * chains
    kind = layout.kind[p]
    k0 = shard.begin[p] * chains
    arriving = slot * 2 * width + k0
    here = units * chains
    noise_e, noise_i = shard.noise_at[p, 0], shard.noise_at[p, 1]
    moving = block_step * here
    noise_e = noise_e + moving if noise_e > 0 else 0
    noise_i = noise_i + moving if noise_i > 0 else 0
    alike = shard.alike[p]
    if not alike and chains == 1 and kind in (CURRENT_EXP, CONDUCTANCE_EXP):
        return _update_each(shard, p, kind, k0, arriving, arriving + width, noise_e, noise_i)
    segments = 1 if alike else units
    n = here if alike else chains
    c = shard.coefficient
    h = c[0, COEFFICIENTS - 1]
    total = 0
    for s in range(segments):
        row = shard.begin[p] + s
        at = _U(k0 + s * n)
        e, i = _U(arriving + s * n), _U(arriving + width + s * n)
        ne = _U(noise_e + s * n if noise_e > 0 else 0)
        ni = _U(noise_i + s * n if noise_i > 0 else 0)
        if kind == CURRENT_EXP:
            total += _current_exp(at, _U(n), c, shard, row, e, i, ne, ni)
        elif kind == CURRENT_DELTA:
            total += _current_delta(at, _U(n), c, shard, row, e, i, ne, ni)
        elif kind == CONDUCTANCE_EXP:
            total += _conductance_exp(at, _U(n), c, shard, row, e, i, ne, ni, h)
        elif kind == CURRENT_ALPHA:
            total += _current_alpha(at, _U(n), c, shard, row, e, i, ne, ni)
        elif kind == CONDUCTANCE_ALPHA:
            total += _conductance_alpha(at, _U(n), c, shard, row, e, i, ne, ni, h)
        else:
            total += _adex(at, _U(n), c, shard, row, e, i, ne, ni, h)
    return total


@_inlined
def _mean(layout, stream, step):
    """Mean number of spikes of a stream with changing rate in a step."""
    kind, values = layout.rate_kind[stream], layout.rate_values[stream]
    if kind == SINUSOIDAL:
        return max(0.0, values[0] + values[1] * np.sin(values[2] * (step + 0.5) + values[3]))
    if kind == PIECEWISE:
        begin, end = layout.rate_start[stream], layout.rate_start[stream + 1]
        k = np.searchsorted(layout.rate_steps[begin:end], step + 0.5) - 1
        return layout.rate_means[begin + k] if k >= 0 else 0.0
    return values[0]


@_compiled
def _words(step, now, stream, key, first, second):
    """Two random words for every entry."""
    for k in range(now.size):
        low, high = philox(np.uint64(now[k]) + np.uint64(step), stream[k], key[k])
        first[k] = np.uint32(low)
        second[k] = np.uint32(high)


@_compiled
def _count(word, threshold, common, count):
    """Set each count to how many thresholds its word reaches.

    The first thresholds, `common` of them, are looked at for all words; the others only where one
    is reached, which is rare.
    """
    n = word.size
    if common % 2:
        last = threshold[common - 1]
        for k in range(n):
            count[k] = np.int32(word[k] >= last)
    else:
        for k in range(n):
            count[k] = 0
    for t in range(common // 2):
        low, high = threshold[2 * t], threshold[2 * t + 1]
        for k in range(n):
            count[k] += np.int32(word[k] >= low) + np.int32(word[k] >= high)
    if common == threshold.size:
        return
    edge = threshold[common]
    for begin in range(0, n, _CHUNK):
        some = word[begin : begin + _CHUNK]
        found = 0
        for k in range(some.size):
            found += np.int32(some[k] >= edge)
        if found > 0:
            for k in range(some.size):
                for t in range(common, threshold.size):
                    if some[k] < threshold[t]:
                        break
                    count[begin + k] += 1


@_compiled
def _add(count, weight, noise, begins):
    """Add spikes times their weight: one for all, or one for each of as many as there are.

    Where `begins` is set, nothing has been added before.
    """
    n = weight.size
    if n == 1 and begins:
        each = weight[0]
        for k in range(count.size):
            noise[k] = each * count[k]
    elif n == 1:
        each = weight[0]
        for k in range(count.size):
            noise[k] += each * count[k]
    else:
        if begins:
            noise[:] = 0.0
        for b in range(count.size // n):
            here, there = noise[b * n : (b + 1) * n], count[b * n : (b + 1) * n]
            for k in range(n):
                here[k] += weight[k] * there[k]


@_inlined
def _draw(layout, shard, step):
    """Fill a block of steps with Poisson spikes of all streams, from `step` on."""
    block = layout.n[3]
    for q in range(shard.pair.shape[0]):
        begin, length = shard.pair[q, 2], shard.pair[q, 3]
        here = length // block
        place = slice(begin, begin + length)
        _words(
            step,
            shard.stream_step[place],
            shard.stream_id[place],
            shard.stream_key[place],
            shard.word[0, :length],
            shard.word[1, :length],
        )
        for half in range(2):
            stream = shard.pair[q, half]
            if stream < 0:
                continue
            word, count = shard.word[half, :length], shard.count[:length]
            table, rows = shard.table[stream, 0], shard.table[stream, 1]
            values, kind = layout.rate_values[stream], layout.rate_kind[stream]
            if kind == CONSTANT and rows == 1 and values[4] < 0:
                m = shard.thresholds[table]
                _count(word, shard.threshold[table, :m], shard.common[table], count)
            else:
                width = here // rows
                for b in range(block):
                    windowed = kind == CONSTANT and values[4] >= 0
                    if windowed and not values[4] <= step + b < values[5]:
                        count[b * here : (b + 1) * here] = 0
                        continue
                    for u in range(rows):
                        edges = shard.threshold[table + u]
                        if kind == CONSTANT:
                            m, common = shard.thresholds[table + u], shard.common[table + u]
                        else:
                            m = poisson_thresholds(_mean(layout, stream, step + b), edges)
                            common = m
                        at = b * here + u * width
                        _count(word[at : at + width], edges[:m], common, count[at : at + width])
            to = shard.table[stream, 2]
            weight = shard.stream_weight[shard.stream_at[stream] : shard.stream_at[stream + 1]]
            _add(count, weight, shard.noise[to : to + length], shard.table[stream, 3] > 0)


@_inlined
def _remember(layout, shard, p, unit, chain, now):
    """Note a postsynaptic spike for the rules of synapses that end there."""
    chains = shard.n[0]
    for q in range(shard.rules_at[p], shard.rules_at[p + 1]):
        r = shard.rules_of[q]
        values, size = layout.rule_values[r], shard.post_size[r]
        cell = unit * chains + chain
        who = shard.post_count_at[r] + cell
        at = shard.post_at[r] + cell * size
        n = shard.post_count[who]
        trace = 1.0
        if n > 0 and values[4] == 0:
            last = at + (n - 1) % size
            trace += shard.post_trace[last] * np.exp(-(now - shard.post_step[last]) / values[1])
        shard.post_step[at + n % size] = now
        shard.post_trace[at + n % size] = trace
        shard.post_count[who] = n + 1


@_inlined
def _change(layout, shard, r, at, synapse, new, now):
    """Write a weight, or collect its change where reward decides."""
    values = layout.rule_values[r]
    if values[5] > 0:
        k = shard.eligibility_at[r] + synapse
        gone = np.exp(-(now - shard.eligibility_last[k]) / values[5])
        shard.eligibility[k] = shard.eligibility[k] * gone + (new - shard.weight[at])
        shard.eligibility_last[k] = now
    else:
        shard.weight[at] = min(max(new, values[2]), values[3])


@_inlined
def _learn(layout, shard, projection, source, chain, now, fires):
    """Bring the plastic synapses of a unit up to a grid point, where it may fire itself.

    Postsynaptic spikes arrive after the delay of the synapse. Those at `now` still meet the trace
    of earlier presynaptic spikes, and a presynaptic spike only the trace of earlier postsynaptic
    ones, as in NEST.
    """
    r = layout.rule[projection]
    values, parameters = layout.rule_values[r], layout.rule_parameters
    chains = shard.n[0]
    who = shard.pre_at[r] + source * chains + chain
    seen, last, trace = shard.pre_seen[who], shard.pre_last[who], shard.pre_trace[who]
    at = shard.start_at[projection] + source
    size = shard.post_size[r]
    scalar_delay = layout.delay_mode[projection] == SCALAR
    for s in range(shard.start[at], shard.start[at + 1]):
        delay = np.int64(shard.delay[shard.delay_at[projection] + (0 if scalar_delay else s)])
        unit = shard.target[shard.target_at[projection] + s] - shard.post_begin[r]
        cell = unit * chains + chain
        history = shard.post_at[r] + cell * size
        n = shard.post_count[shard.post_count_at[r] + cell]
        synapse = s * chains + chain
        weight = shard.weight_at[projection] + synapse
        m = n
        while m > 0 and n - m < size and shard.post_step[history + (m - 1) % size] > seen - delay:
            m -= 1
        while m < n and shard.post_step[history + m % size] <= now - delay:
            arrival = shard.post_step[history + m % size] + delay
            seen_trace = trace * np.exp(-(arrival - last) / values[0])
            new = call_rule(  # pyright: ignore
                layout.rule_address[r, 1], shard.weight[weight], seen_trace, parameters, r * 16
            )
            _change(layout, shard, r, weight, synapse, new, arrival)
            m += 1
        if fires:
            m = n
            while m > 0 and shard.post_step[history + (m - 1) % size] >= now - delay:
                m -= 1
            other = 0.0
            if m > 0 and n - m < size:
                k = history + (m - 1) % size
                other = shard.post_trace[k] * np.exp(
                    -(now - delay - shard.post_step[k]) / values[1]
                )
            new = call_rule(  # pyright: ignore
                layout.rule_address[r, 0], shard.weight[weight], other, parameters, r * 16
            )
            _change(layout, shard, r, weight, synapse, new, now)
    shard.pre_seen[who] = now
    if fires:
        grown = 1.0 if values[4] > 0 else 1.0 + trace * np.exp(-(now - last) / values[0])
        shard.pre_trace[who] = grown
        shard.pre_last[who] = now


@_kept
def catch_up(layout, shard, projection, now):
    """Bring all synapses of a plastic projection up to a grid point.

    Weights do not depend on when this is called: it only carries out what has happened already.
    """
    r = layout.rule[projection]
    chains = shard.n[0]
    sources = shard.start_at[projection + 1] - shard.start_at[projection] - 1
    for source in range(sources):
        for chain in range(chains):
            if now > shard.pre_seen[shard.pre_at[r] + source * chains + chain]:
                _learn(layout, shard, projection, source, chain, now, False)


@_inlined
def _deliver(layout, shard, p, unit, chain, now):
    """Send the spike of a unit at a grid point along all its synapses of this shard."""
    chains = shard.n[0]
    width = shard.n[1] * chains
    length = layout.n[2]
    ring = shard.ring
    slot = now % length
    for q in range(layout.outgoing[p], layout.outgoing[p + 1]):
        projection = layout.projections[q]
        factor = 1.0
        tm = layout.tm[projection]
        if tm >= 0:
            k = shard.tm_at[tm] + unit * chains + chain
            x, u = shard.tm_x[k], shard.tm_u[k]
            if shard.tm_last[k] >= 0:
                passed = now - shard.tm_last[k]
                values = layout.tm_values[tm]
                x = 1 + (x - x * u - 1) * np.exp(-passed / values[1])
                u = values[0] + (
                    u * (1 - values[0]) * np.exp(-passed / values[2]) if values[2] > 0 else 0.0
                )
            shard.tm_x[k], shard.tm_u[k], shard.tm_last[k] = x, u, now
            factor = x * u
        if layout.rule[projection] >= 0:
            _learn(layout, shard, projection, unit, chain, now, True)
        at = shard.start_at[projection] + unit
        low, high = shard.start[at], shard.start[at + 1]
        if low == high:
            continue
        row = layout.receptor[projection] * width + chain
        targets = _U(shard.target_at[projection] + low)
        weight_mode, weight_at = layout.weight_mode[projection], shard.weight_at[projection]
        n, step = _U(high - low), _U(chains)
        target = shard.target
        if layout.delay_mode[projection] == SCALAR:
            delay = np.int64(shard.delay[shard.delay_at[projection]])
            to = slot + delay
            to = to - length if to >= length else to
            base = _U(to * 2 * width + row)
            if weight_mode == SCALAR:
                weight = shard.weight[weight_at] * factor
                for s in range(n):
                    ring[base + _U(target[targets + s]) * step] += weight
            else:
                per_chain = weight_mode == PER_CHAIN
                weights = _U(weight_at + (low * chains + chain if per_chain else low))
                stride = step if per_chain else _U(1)
                weight = shard.weight
                for s in range(n):
                    ring[base + _U(target[targets + s]) * step] += (
                        weight[weights + s * stride] * factor
                    )
        else:
            delays = _U(shard.delay_at[projection] + low)
            per_chain = weight_mode == PER_CHAIN
            scalar = weight_mode == SCALAR
            first = low * chains + chain if per_chain else low
            weights = _U(weight_at + (0 if scalar else first))
            stride = _U(0) if scalar else (step if per_chain else _U(1))
            weight, delay = shard.weight, shard.delay
            for s in range(n):
                to = slot + np.int64(delay[delays + s])
                to = to - length if to >= length else to
                base = _U(to * 2 * width + row)
                ring[base + _U(target[targets + s]) * step] += weight[weights + s * stride] * factor


@_inlined
def _emit(layout, shard, board, p, step, block_step, parity, n):
    """Write the spikes of a population's units in a step on the board; how many there are now."""
    me, chains = shard.n[2], shard.n[0]
    first = shard.first[p]
    units, when = board.unit[me, parity], board.chain[me, parity]
    kind = layout.kind[p]
    if kind == SPIKE_ARRAY:
        k, end = shard.given_at[p, 2], shard.given_at[p, 1]
        while k < end and shard.given_step[k] == step + 1:
            for c in range(chains):
                units[n], when[n] = shard.given_unit[k], c
                n += 1
            k += 1
        shard.given_at[p, 2] = k
        return n
    here = shard.size[p] * chains
    if kind == POISSON:
        at = shard.noise_at[p, 0] + block_step * here
        for k in range(here):
            for _ in range(int(shard.noise[at + k])):
                units[n], when[n] = first + k // chains, k % chains
                n += 1
        return n
    at = shard.begin[p] * chains
    learns = shard.rules_at[p + 1] > shard.rules_at[p]
    fired, eight = shard.fired, shard.fired_by_eight
    for word in range(at // 8, (at + here + 7) // 8):
        if eight[word] == 0:
            continue
        for k in range(max(8 * word, at), min(8 * word + 8, at + here)):
            if fired[k]:
                unit, chain = (k - at) // chains, (k - at) % chains
                units[n], when[n] = first + unit, chain
                n += 1
                if learns:
                    _remember(layout, shard, p, unit, chain, step + 1)
    return n


@_inlined
def _sample(shard, step, samples, written, group):
    """Copy what is recorded after a step."""
    begin, end = shard.sample_at[group], shard.sample_at[group + 1]
    to = written[group, 0] + written[group, 1] * (end - begin)
    for k in range(begin, end):
        variable, index = shard.sample_what[k, 0], shard.sample_what[k, 1]
        if variable == 0:
            value = shard.v[index]
        elif variable == 1:
            value = shard.w[index]
        elif variable == 2:
            value = shard.e[index]
        else:
            value = shard.i[index]
        samples[to + k - begin] = value
    written[group, 1] += 1


@_kept
def advance(
    layout, shard, board, step, stop, spike_step, spike_unit, spike_chain, samples, written
):
    """Run a shard from a grid point to another, together with all other shards.

    Args:
        layout: See there.
        shard: Its arrays are changed in place.
        board: Shared by all shards.
        step: Grid point where to begin.
        stop: Grid point where to end.
        spike_step: Room for the grid points of all spikes of this shard's units.
        spike_unit: The same for ``population << 32 | unit``.
        spike_chain: The same for chains.
        samples: Room for recorded variables.
        written: (group, 2): where a group's samples begin, and how many there are already.

    Returns:
        How many spikes there were.
    """
    populations = layout.kind.size
    shards, shortest, block = layout.n[0], layout.n[1], layout.n[3]
    me = shard.n[2]
    kept = 0
    parity = 0
    random = shard.pair.shape[0] > 0
    groups = shard.sample_every.size
    length = layout.n[2]
    slot, block_step = (step + 1) % length, step % block
    if random:
        _draw(layout, shard, step - block_step)
    while step < stop:
        end = min(step + shortest, stop)
        n = 0
        for now in range(step, end):
            if block_step == block:
                block_step = 0
                if random:
                    _draw(layout, shard, now)
            for p in range(populations):
                board.first[me, parity, (now - step) * populations + p] = n
                if layout.kind[p] >= SPIKE_ARRAY or _update(layout, shard, p, slot, block_step) > 0:
                    n = _emit(layout, shard, board, p, now, block_step, parity, n)
            for group in range(groups):
                if (now + 1) % shard.sample_every[group] == 0:
                    _sample(shard, now, samples, written, group)
            block_step += 1
            slot = slot + 1 if slot + 1 < length else 0
        board.first[me, parity, (end - step) * populations] = n
        if shards > 1:
            wait_for_all(board.arrived, shards)
        for now in range(step, end):
            for p in range(populations):
                here = (now - step) * populations + p
                for q in range(shards):
                    low, high = board.first[q, parity, here], board.first[q, parity, here + 1]
                    for k in range(low, high):
                        unit, chain = board.unit[q, parity, k], board.chain[q, parity, k]
                        if q == me:
                            spike_step[kept] = now + 1
                            spike_unit[kept] = p << 32 | unit
                            spike_chain[kept] = chain
                            kept += 1
                        _deliver(layout, shard, p, unit, chain, now + 1)
        step = end
        parity = 1 - parity
    return kept
