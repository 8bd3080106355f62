"""From the description of a network to the flat arrays of the compiled loop."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range
from lapicque.spiking import _kernel as kernel
from lapicque.spiking._kernel import Layout, Shard
from lapicque.spiking.coefficients import kind_of
from lapicque.spiking.connectors import between
from lapicque.spiking.network import VARIABLES, Network, Population, Projection, check_weight
from lapicque.spiking.neurons import RECEPTORS
from lapicque.spiking.plasticity import TsodyksMarkram
from lapicque.spiking.random import chain_keys, often_reached, poisson_thresholds
from lapicque.spiking.rules import PARAMETERS, compiled, rule_of
from lapicque.spiking.sources import Poisson, SpikeArray
from lapicque.spiking.streams import Stream, highest_mean, most_thresholds, rate_row

SWEEP = 2000
"""Steps after which plastic synapses are brought up to date, so that histories stay short."""


class DelayWarning(UserWarning):
    """A delay that is no multiple of the time step was rounded."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses of a projection, sorted by presynaptic and then by postsynaptic unit."""

    start: NDArray[np.int64]  # (pre + 1,)
    target: NDArray[np.int32]
    weight: NDArray[np.float64]  # one or one per synapse
    delay: NDArray[np.uint16]  # [steps], one or one per synapse
    order: NDArray[np.int32] | None  # place in the connector's order of each; None if not kept


# -- synapses ------------------------------------------------------------------------------------


@njit(cache=True)
def _sorted(pre, post, n_pre, n_post):
    """The order of synapses by `pre`, then `post`, then place; and where each `pre` begins."""
    n = pre.size
    place = np.zeros(n_post + 1, np.int64)
    for k in range(n):
        place[post[k] + 1] += 1
    for j in range(n_post):
        place[j + 1] += place[j]
    by_post = np.empty(n, np.int32)
    for k in range(n):
        by_post[place[post[k]]] = k
        place[post[k]] += 1
    start = np.zeros(n_pre + 1, np.int64)
    for k in range(n):
        start[pre[k] + 1] += 1
    for j in range(n_pre):
        start[j + 1] += start[j]
    place = start[:-1].copy()
    order = np.empty_like(by_post)
    for j in range(n):
        k = by_post[j]
        order[place[pre[k]]] = k
        place[pre[k]] += 1
    return order, start


def drawn_pairs(projection: Projection, rng: np.random.Generator) -> tuple[NDArray, ...]:
    """Pre- and postsynaptic units, weights and delays in the order of the connector.

    Weights and delays are one number or one per synapse.

    Raises:
        InputError: There are not as many weights or delays as synapses.
    """
    pre, post = projection.pre, projection.post
    here, there = pre.positions, post.positions
    positions = None if here is None or there is None else (here, there)
    i, j = projection.connector.pairs(
        pre.size, post.size, rng, same=pre is post, positions=positions
    )
    in_range("synapses", len(i), 0, 2**31 - 1, hint=f"In {projection.label}.")
    distance = None
    if callable(projection.weight) or callable(projection.delay):
        box = getattr(projection.connector, "box", None)
        distance = np.zeros(len(i)) if positions is None else between(*positions, i, j, box)
    weight = _values("weight", projection.weight, rng, distance, len(i), projection.label)
    delay = _values("delay", projection.delay, rng, distance, len(i), projection.label)
    return i, j, weight, delay


def synapses(projection: Projection, rng: np.random.Generator, dt: float) -> Synapses:
    """Draw the synapses of a projection.

    Raises:
        InputError: A weight or delay is out of range, or there are not as many as synapses.
    """
    pre, post = projection.pre, projection.post
    i, j, weight, delay = drawn_pairs(projection, rng)
    order, start = _sorted(i, j, pre.size, post.size)
    check_weight(weight, post, projection.receptor, projection.label)
    steps = delay_steps(delay, dt, projection.label)
    target = j[order].astype(np.int32, copy=False)
    several = weight.size > 1 or steps.size > 1 or rule_of(projection) is not None
    return Synapses(
        start,
        target,
        weight[order] if weight.size > 1 else weight,
        steps[order] if steps.size > 1 else steps,
        order if several else None,
    )


def _values(name, value, rng, distance, n, label) -> NDArray[np.float64]:
    """One number, or one per synapse."""
    drawn = value(rng, distance) if isinstance(value, Callable) else value
    values = np.asarray(drawn, float).reshape(-1)
    if values.size not in (1, n) or (values.size == 0 and n > 0):
        raise InputError(
            f"`{name}` of {label} has {values.size} entries; "
            f"it must be one number or one per synapse ({n})."
        )
    if values.size > 1 and (values == values[0]).all():
        values = values[:1]
    return values if values.size else np.zeros(1)


def delay_steps(delay: NDArray[np.float64], dt: float, label: str) -> NDArray[np.uint16]:
    """Delays in steps, rounded with a warning.

    Raises:
        InputError: A delay is not finite, shorter than a step or longer than 65,535 steps.
    """
    longest = 65535 * dt
    wrong = ~((delay >= dt * (1 - 1e-9)) & (delay <= longest))
    if wrong.any():
        raise InputError(
            f"`delay` of {label} is {delay[wrong][0]:g} ms; "
            f"it must lie between the time step, {dt:g} ms, and {longest:g} ms."
        )
    steps = np.round(delay / dt)
    off = np.abs(steps * dt - delay).max()
    if off > 1e-6 * dt:
        warnings.warn(
            f"Delays of {label} were rounded to multiples of the time step, {dt:g} ms, by up to "
            f"{off:g} ms.",
            DelayWarning,
            stacklevel=4,
        )
    return steps.astype(np.uint16)


# -- layout and shards ---------------------------------------------------------------------------


def layout_of(
    network: Network,
    drawn: list[Synapses],
    streams: list[Stream],
    dt: float,
    shards: int,
    chains: int,
) -> Layout:
    """What all shards have in common."""
    delays = [s.delay for s in drawn if s.target.size]
    shortest = min((int(d.min()) for d in delays), default=10)
    longest = max((int(d.max()) for d in delays), default=1)
    outgoing = [
        [k for k, p in enumerate(network.projections) if p.pre is q] for q in network.populations
    ]
    tm, tm_values, rule, rule_values, address, given = [], [], [], [], [], []
    for p in network.projections:
        law = rule_of(p)
        tm.append(len(tm_values) if isinstance(p.plasticity, TsodyksMarkram) else -1)
        rule.append(-1 if law is None else len(rule_values))
        if isinstance(p.plasticity, TsodyksMarkram):
            t = p.plasticity
            tm_values.append((t.U, t.tau_rec / dt, t.tau_facil / dt))
        if law is not None:
            tau_e = -1.0 if law.tau_eligibility is None else law.tau_eligibility / dt
            rule_values.append(
                (law.tau_plus / dt, law.tau_minus / dt, law.w_min, law.w_max, law.nearest, tau_e)
            )
            address.append((compiled(law.on_pre).address, compiled(law.on_post).address))
            given.append(np.pad(np.asarray(law.parameters, float), (0, PARAMETERS))[:PARAMETERS])
    rows = [rate_row(s.source, dt) for s in streams]
    units = sum(p.size for p in network.populations)
    block = max(1, min(512, 2048 // max(units * chains, 1)))
    return Layout(
        kind=_ints([kind_of(p) for p in network.populations]),
        n=_ints([shards, shortest, longest + 2, block]),
        projections=_ints([k for group in outgoing for k in group]),
        outgoing=_begins([len(group) for group in outgoing]),
        receptor=_ints([RECEPTORS.index(p.receptor) for p in network.projections]),
        weight_mode=_ints(
            [
                kernel.PER_CHAIN
                if rule_of(p) is not None
                else (kernel.PER_SYNAPSE if s.weight.size > 1 else kernel.SCALAR)
                for p, s in zip(network.projections, drawn, strict=True)
            ]
        ),
        delay_mode=_ints([int(s.delay.size > 1) for s in drawn]),
        tm=_ints(tm),
        tm_values=np.array(tm_values, float).reshape(-1, 3),
        rule=_ints(rule),
        rule_values=np.array(rule_values, float).reshape(-1, 6),
        rule_address=np.array(address, np.int64).reshape(-1, 2),
        rule_parameters=np.array(given, float).reshape(-1, PARAMETERS),
        rate_kind=_ints([row[0] for row in rows]),
        rate_values=np.array([row[1] for row in rows], float).reshape(-1, 6),
        rate_steps=np.concatenate([row[2] for row in rows] or [np.zeros(0)]),
        rate_means=np.concatenate([row[3] for row in rows] or [np.zeros(0)]),
        rate_start=_begins([len(row[2]) for row in rows]),
    )


class Block(NamedTuple):
    """Units of each population and chains that a shard looks after."""

    first: list[int]
    stop: list[int]
    chains: NDArray[np.int64]
    index: int  # among the shards that share one board


def shard_of(
    network: Network,
    drawn: list[Synapses],
    streams: list[Stream],
    layout: Layout,
    block: Block,
    seed: int,
    dt: float,
) -> Shard:
    """The arrays of a shard at the start."""
    populations, projections = network.populations, network.projections
    index = {population: k for k, population in enumerate(populations)}
    chains, rounds = len(block.chains), int(layout.n[3])
    size = [b - a for a, b in zip(block.first, block.stop, strict=True)]
    real = [0 if p.is_source else n for p, n in zip(populations, size, strict=True)]
    begin = _begins(real)
    abreast = kernel.ABREAST * _begins([-(-n // kernel.ABREAST) for n in real])
    neurons = int(begin[-1])
    width = neurons * chains

    coefficient = np.zeros((max(neurons, 1), kernel.COEFFICIENTS))
    coefficient[:, -1] = dt
    v, alike = np.zeros(width), np.ones(len(populations), bool)
    for k, population in enumerate(populations):
        if real[k]:
            here = slice(block.first[k], block.stop[k])
            start = (
                getattr(population.model, "v_rest", 0.0) if population.v is None else population.v
            )
            values = np.broadcast_to(np.asarray(start, float), (population.size,))[here]
            v[begin[k] * chains : begin[k + 1] * chains] = np.repeat(values, chains)

    # Poisson streams
    zeros = max([n * chains for n in real] + [1])
    noise_at = np.full((len(populations), 2), -1, np.int64)
    room = zeros
    keys = chain_keys(seed, block.chains)
    pairs, steps, ids, all_keys = [], [], [], []
    table, tables, weights = np.zeros((len(streams), 4), np.int64), [], []
    placed = 0
    for s, stream in enumerate(streams):
        k = stream.population
        here = size[k] * chains
        if noise_at[k, stream.receptor] < 0:
            noise_at[k, stream.receptor] = room
            room += rounds * here
            table[s, 3] = 1
        table[s, 2] = noise_at[k, stream.receptor]
        mine = slice(block.first[k], block.stop[k])
        rates = np.asarray(getattr(stream.source, "rate", 0.0), float)
        table[s, 0] = len(tables)
        if isinstance(stream.source, Poisson) and rates.size > 1 and np.ptp(rates) > 0:
            tables += list(rates[mine] * dt * 1e-3)
            table[s, 1] = size[k]
        else:
            tables.append(highest_mean(stream.source, dt))
            table[s, 1] = 1
        several = stream.weight.size > 1 and np.ptp(stream.weight) > 0
        weights.append(
            np.repeat(stream.weight[mine], chains) if several else stream.weight[:1].astype(float)
        )
        if stream.half == 0:
            length = rounds * here
            pairs.append([s, -1, placed, length])
            unit = np.repeat(np.arange(mine.start, mine.stop) + stream.identity, chains)
            steps.append(np.repeat(np.arange(rounds, dtype=np.uint32), here))
            ids.append(np.tile(unit.astype(np.uint32), rounds))
            all_keys.append(np.tile(keys, rounds * size[k]))
            placed += length
        else:
            pairs[-1][1] = s
    rows = max((most_thresholds(m) for m in tables), default=1)
    threshold = np.zeros((max(len(tables), 1), rows), np.uint32)
    thresholds = np.zeros(max(len(tables), 1), np.int64)
    for t, mean in enumerate(tables):
        thresholds[t] = poisson_thresholds(mean, threshold[t])
    common = often_reached(threshold, thresholds)
    longest = max((pair[3] for pair in pairs), default=0)

    given_step, given_unit, given_at = [], [], []
    for k, population in enumerate(populations):
        before = sum(map(len, given_step))
        if isinstance(population.model, SpikeArray):
            when, who = given(population, range(block.first[k], block.stop[k]), dt)
            given_step.append(when)
            given_unit.append(who)
        after = sum(map(len, given_step))
        given_at.append((before, after, before))

    # synapses
    starts, targets, all_weights, delays = [], [], [], []
    for p, s in zip(projections, drawn, strict=True):
        q = index[p.post]
        mine = (s.target >= block.first[q]) & (s.target < block.stop[q])
        if mine.all():
            start, target, weight, delay = s.start, s.target, s.weight, s.delay
        else:
            start = np.concatenate([[0], np.cumsum(mine)])[s.start]
            target = s.target[mine]
            weight = s.weight[mine] if s.weight.size > 1 else s.weight
            delay = s.delay[mine] if s.delay.size > 1 else s.delay
        offset = int(begin[q]) - block.first[q]
        targets.append(target + np.int32(offset) if offset else target)
        if rule_of(p) is not None:
            weight = np.repeat(np.broadcast_to(weight, target.shape), chains)
        starts.append(start.astype(np.int64))
        all_weights.append(weight)
        delays.append(delay)

    tm = [
        (p.pre.size * chains, p.plasticity)
        for p in projections
        if isinstance(p.plasticity, TsodyksMarkram)
    ]
    ruled = [
        (p, law, targets[k].size)
        for k, p in enumerate(projections)
        if (law := rule_of(p)) is not None
    ]
    pre_size = [p.pre.size * chains for p, _, _ in ruled]
    post_cells = [size[index[p.post]] * chains for p, _, _ in ruled]
    history = [_history(p.post, int(layout.n[2]) + int(layout.n[1]), dt) for p, _, _ in ruled]
    post_room = [cells * h for cells, h in zip(post_cells, history, strict=True)]
    eligible = [n * chains if law.tau_eligibility is not None else 0 for _, law, n in ruled]
    rules_of = [[r for r, (p, _, _) in enumerate(ruled) if p.post is q] for q in populations]

    every, what_at, what = [], [0], []
    for recorder in network.recorders:
        k = index[recorder.population]
        chosen = recorder.neurons
        mine = chosen[(chosen >= block.first[k]) & (chosen < block.stop[k])]
        every.append(max(1, round(recorder.interval / dt)))
        for c in range(chains):
            for unit in mine:
                local = (begin[k] + unit - block.first[k]) * chains + c
                what.append((VARIABLES.index(recorder.variable), local))
        what_at.append(len(what))

    eight = np.zeros(width // 8 + 1, np.uint64)
    shard = Shard(
        first=_ints(block.first),
        size=_ints(size),
        begin=begin,
        alike=alike,
        n=_ints([chains, neurons, block.index]),
        v=v,
        w=np.zeros(width),
        refractory=np.zeros(width, np.int32),
        e=np.zeros(width),
        e_rise=np.zeros(width),
        i=np.zeros(width),
        i_rise=np.zeros(width),
        drive=np.zeros(width),
        fired=eight.view(np.uint8),
        fired_by_eight=eight,
        coefficient=coefficient,
        each=np.zeros(int(abreast[-1]) * kernel.EACH if chains == 1 else 0),
        each_at=abreast[:-1],
        ring=np.zeros(max(int(layout.n[2]) * 2 * width, 1)),
        pair=np.array(pairs, np.int64).reshape(-1, 4),
        stream_step=_joined(steps, np.uint32),
        stream_id=_joined(ids, np.uint32),
        stream_key=_joined(all_keys, np.uint32),
        word=np.zeros((2, max(longest, 1)), np.uint32),
        count=np.zeros(max(longest, 1), np.int32),
        threshold=threshold,
        thresholds=thresholds,
        common=common,
        table=table,
        stream_weight=_joined(weights, np.float64),
        stream_at=_begins([len(w) for w in weights]),
        noise=np.zeros(room),
        noise_at=noise_at,
        given_step=_joined(given_step, np.int64),
        given_unit=_joined(given_unit, np.int64),
        given_at=np.array(given_at, np.int64).reshape(-1, 3),
        start=_joined(starts, np.int64),
        start_at=_begins([len(s) for s in starts]),
        target=_joined(targets, np.int32),
        target_at=_begins([len(t) for t in targets]),
        weight=_joined(all_weights, np.float64),
        weight_at=_begins([len(w) for w in all_weights]),
        delay=_joined(delays, np.uint16),
        delay_at=_begins([len(d) for d in delays]),
        tm_at=_begins([n for n, _ in tm]),
        tm_x=_joined([np.full(n, t.x) for n, t in tm]),
        tm_u=_joined([np.full(n, t.U if t.u is None else t.u) for n, t in tm]),
        tm_last=np.full(sum(n for n, _ in tm), -1, np.int64),
        pre_at=_begins(pre_size),
        pre_trace=np.zeros(sum(pre_size)),
        pre_last=np.zeros(sum(pre_size), np.int64),
        pre_seen=np.zeros(sum(pre_size), np.int64),
        post_begin=_ints([int(begin[index[p.post]]) for p, _, _ in ruled]),
        post_at=_begins(post_room),
        post_size=_ints(history),
        post_step=np.zeros(sum(post_room), np.int64),
        post_trace=np.zeros(sum(post_room)),
        post_count=np.zeros(sum(post_cells), np.int64),
        post_count_at=_begins(post_cells),
        rules_of=_ints([r for group in rules_of for r in group]),
        rules_at=_begins([len(group) for group in rules_of]),
        eligibility=np.zeros(sum(eligible)),
        eligibility_last=np.zeros(sum(eligible), np.int64),
        eligibility_at=_begins(eligible),
        sample_every=_ints(every),
        sample_at=_ints(what_at),
        sample_what=np.array(what, np.int64).reshape(-1, 2),
    )
    return shard


def given(population: Population, units: range, dt: float) -> tuple[NDArray, NDArray]:
    """Grid points and units of the spikes of a `SpikeArray`, sorted.

    Raises:
        InputError: A spike lies before the first grid point.
    """
    assert isinstance(population.model, SpikeArray)
    times = [np.atleast_1d(np.asarray(population.model.times[k], float)) for k in units]
    when = np.concatenate([np.round(t / dt) for t in times] or [np.zeros(0)]).astype(np.int64)
    who = np.repeat(np.asarray(units, np.int64), [len(t) for t in times])
    if (when < 1).any():
        raise InputError(
            f"`times` of {population.label} holds {np.concatenate(times)[when < 1][0]:g} ms; "
            f"spikes must not come before the first time step ends, at {dt:g} ms."
        )
    order = np.lexsort((who, when))
    return when[order], who[order]


def _history(post: Population, extra: int, dt: float) -> int:
    """How many spikes a neuron can fire between two sweeps, delays included."""
    waiting = int(np.min(np.round(np.asarray(getattr(post.model, "tau_refrac", 0.0), float) / dt)))
    return (SWEEP + extra) // (waiting + 1) + 3


def _ints(values) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _begins(sizes) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(_ints(sizes))]).astype(np.int64)


def _joined(parts, kind: type = np.float64) -> NDArray:
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0], kind)
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, kind)
