"""Which synapses a chip can realise: spikes find their way over buses, drivers and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lapicque.spiking import ConductanceExp, Network, Projection
from lapicque.spiking.drawn import Synapses
from lapicque.substrate.placement import NOWHERE, Placement, coordinates
from lapicque.substrate.spec import Buses, ChipSpec, Rows

SET = 0
REASONS = (
    "set",
    "neuron not placed",
    "source not placed",
    "same pair twice",
    "no horizontal bus",
    "no vertical bus",
    "no driver",
    "no row",
    "weight below the lowest level",
)
"""What became of a synapse: 0 if it is there, otherwise why it is lost."""
_NEURON, _SOURCE, _TWICE, _HORIZONTAL, _VERTICAL, _DRIVER, _ROW = range(1, 8)
WEAK = 8

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Routing:
    """What became of the synapses of each projection.

    Attributes:
        fate: Index into `REASONS` for each synapse, an array per projection.
        row: Number of the row on which each synapse lies; -1 if it is lost.
    """

    fate: list[NDArray[np.int8]]
    row: list[Index]


@dataclass(frozen=True)
class _Flat:
    """All synapses, one after the other, with units numbered through."""

    pre: Index
    post: Index
    inhibitory: NDArray[np.int64]
    begin: Index

    def split(self, values: NDArray) -> list[NDArray]:
        return np.split(values, self.begin[1:-1]) if self.begin.size > 1 else []


def route(
    network: Network, drawn: Sequence[Synapses], places: Placement, spec: ChipSpec
) -> Routing:
    """Find out which synapses there is room for.

    Args:
        network: The description.
        drawn: Its synapses.
        places: Where its units are.
        spec: The kind of chip.
    """
    flat = _flat(network, drawn, places)
    fate = np.zeros(flat.pre.size, np.int8)
    fate[places.missing[flat.pre]] = _SOURCE
    fate[places.missing[flat.pre] & ~places.is_source[flat.pre]] = _NEURON
    fate[places.missing[flat.post]] = _NEURON
    key = (flat.pre * len(places.chip) + flat.post) * 2 + flat.inhibitory
    order = np.argsort(key, kind="stable")
    again = np.zeros(key.size, bool)
    again[order[1:]] = key[order[1:]] == key[order[:-1]]
    fate[(fate == SET) & again] = _TWICE
    row = np.full(flat.pre.size, -1, np.int64)
    if isinstance(spec.routing, Rows):
        _through_rows(flat, places, spec.routing, spec.neurons, fate, row)
    else:
        side = _over_buses(flat, places, spec, fate)
        _through_drivers(flat, places, spec, side, fate, row)
    row[fate != SET] = -1
    return Routing(flat.split(fate), flat.split(row))


def _flat(network: Network, drawn: Sequence[Synapses], places: Placement) -> _Flat:
    index = {population: k for k, population in enumerate(network.populations)}
    pre, post, sign = [], [], []
    for projection, found in zip(network.projections, drawn, strict=True):
        pre.append(places.first[index[projection.pre]] + found.pre)
        post.append(places.first[index[projection.post]] + found.post)
        sign.append(inhibitory(projection, found))
    begin = np.concatenate([[0], np.cumsum([len(s) for s in drawn])]).astype(np.int64)
    none = [np.zeros(0, np.int64)]
    return _Flat(
        np.concatenate(none + pre), np.concatenate(none + post), np.concatenate(none + sign), begin
    )


def inhibitory(projection: Projection, found: Synapses) -> NDArray[np.int64]:
    """1 for synapses that need an inhibitory row: by the receptor, or by the sign of currents."""
    by_receptor = projection.receptor == "inhibitory"
    if isinstance(projection.post.receptors, ConductanceExp):
        return np.full(len(found), int(by_receptor))
    return np.where(found.weight == 0, by_receptor, found.weight < 0).astype(int)


# -- rows ----------------------------------------------------------------------------------------


def _through_rows(flat: _Flat, places: Placement, routing: Rows, neurons: int, fate, row) -> None:
    """Give rows to sources, those with most targets first; several share one if they can."""
    block = places.circuit[flat.post] // routing.block
    column = places.circuit[flat.post] % routing.block
    for b in np.unique(block[fate == SET]):
        mine = np.flatnonzero((fate == SET) & (block == b))
        source = flat.pre[mine] * 2 + flat.inhibitory[mine]
        kinds, which, count = np.unique(source, return_inverse=True, return_counts=True)
        order = np.argsort(which, kind="stable")
        groups = np.split(mine[order], np.cumsum(count)[:-1])
        taken = np.zeros((routing.rows, routing.block), bool)
        sign = np.full(routing.rows, NOWHERE)
        sharing = np.zeros(routing.rows, np.int64)
        for k in np.argsort(-count, kind="stable"):
            targets = column[groups[k]]
            fits = (sign == kinds[k] % 2) | (sign == NOWHERE)
            fits &= (sharing < routing.labels) & ~taken[:, targets].any(1)
            if not fits.any():
                fate[groups[k]] = _ROW
                continue
            r = int(np.argmax(fits))
            taken[r, targets] = True
            sign[r] = kinds[k] % 2
            sharing[r] += 1
            row[groups[k]] = b * routing.rows + r


# -- buses ---------------------------------------------------------------------------------------


def _over_buses(flat: _Flat, places: Placement, spec: ChipSpec, fate) -> NDArray[np.int64]:
    """Lead each bus to the chips of its targets; on which side of the chip it then arrives.

    A bus takes one of its horizontal lines along the row of its chip, and in each column where it
    has targets one of the vertical lines that the horizontal one can be switched to.
    """
    routing = spec.routing
    assert isinstance(routing, Buses)
    columns, rows = spec.grid
    lines = routing.horizontal // routing.buses
    apart = routing.vertical // routing.reach
    horizontal = np.zeros((rows, routing.horizontal, columns), bool)
    vertical = np.zeros((columns, routing.vertical, rows), bool)
    full = np.zeros(flat.pre.size, np.int64)
    alive = np.flatnonzero(fate == SET)
    if not alive.size:
        return full
    pair = places.bus[flat.pre[alive]] * spec.chips + places.chip[flat.post[alive]]
    pairs, which = np.unique(pair, return_inverse=True)
    bus, target = pairs // spec.chips, pairs % spec.chips
    tx, ty = coordinates(spec, target)
    outcome, side = np.full(len(pairs), SET), np.zeros(len(pairs), np.int64)
    starts = np.flatnonzero(np.diff(bus, prepend=-1))
    for begin, end in zip(starts, np.append(starts[1:], len(bus)), strict=True):
        own = slice(begin, end)
        sx, sy = (int(v) for v in coordinates(spec, bus[begin] // routing.buses))
        number = int(bus[begin] % routing.buses)
        mine = slice(number * lines, (number + 1) * lines)
        span = slice(min(tx[own].min(), sx), max(tx[own].max(), sx) + 1)
        free = ~horizontal[sy, mine, span].any(1)
        if not free.any():
            outcome[own] = _HORIZONTAL
            continue
        h = mine.start + int(np.argmax(free))
        horizontal[sy, h, span] = True
        for x in np.unique(tx[own]):
            here = np.flatnonzero(tx[own] == x) + begin
            span = slice(min(ty[here].min(), sy), max(ty[here].max(), sy) + 1)
            # begin on alternate sides, so that both are used alike
            turn = (np.arange(routing.reach) + (number % 2) * routing.reach // 2) % routing.reach
            options = h % apart + apart * turn
            free = ~vertical[x, options, span].any(1)
            if not free.any():
                outcome[here] = _VERTICAL
                continue
            v = int(options[np.argmax(free)])
            vertical[x, v, span] = True
            side[here] = v // (routing.vertical // 2)
    fate[alive] = outcome[which]
    full[alive] = side[which]
    return full


def _through_drivers(flat: _Flat, places: Placement, spec: ChipSpec, side, fate, row) -> None:
    """Give drivers to buses, and their half rows to groups of addresses.

    A driver feeds two rows. Each half of a row (even or odd columns) listens to 16 addresses of
    the bus, the synapses of a row have one sign, and each column has one synapse in a row.
    """
    routing = spec.routing
    assert isinstance(routing, Buses)
    alive = np.flatnonzero(fate == SET)
    if not alive.size:
        return
    pre, post = flat.pre[alive], flat.post[alive]
    group = address_group(places.address[pre]) + 4 * flat.inhibitory[alive]
    size, bus = places.size[post], places.bus[pre]
    # the inputs of a neuron from one bus and group take turns on its columns
    nth = _rank((post * (bus.max() + 1) + bus) * 8 + group)
    # begin on different columns, so that not all buses want the same half rows
    circuit = places.circuit[post] % spec.neurons + (nth + bus + 2 * group) % size
    depth = nth // size
    half, parity = circuit % 2, circuit // 2 % 2
    chips = places.chip[post]
    by_chip = np.argsort(chips, kind="stable")
    edges = np.flatnonzero(np.diff(chips[by_chip], prepend=-1, append=spec.chips))
    for begin, end in pairwise(edges):
        own = by_chip[begin:end]
        feed = bus[own] * 2 + half[own]
        feeds, which = np.unique(feed, return_inverse=True)
        deepest = int(depth[own].max()) + 1
        demand = np.zeros((len(feeds), 2, 8, deepest + 1), np.int64)
        np.add.at(demand, (which, parity[own], group[own], depth[own]), 1)
        sides = np.zeros(len(feeds), np.int64)
        sides[which] = side[alive[own]]
        drivers = _drivers(demand, feeds, sides, routing)
        depth_left, in_row = _half_rows(demand, drivers)
        kept = depth[own] < depth_left[which, parity[own], group[own]]
        lost = np.where(drivers[which] == 0, _DRIVER, _ROW)
        fate[alive[own]] = np.where(kept, SET, lost)
        at = in_row[which, parity[own], group[own], depth[own]]
        row[alive[own]] = (chips[own] * (bus.max() + 1) * 2 + feed) * 2 * routing.drivers + at


def address_group(address: NDArray) -> NDArray[np.int64]:
    """Which sixteen addresses a source is among.

    Address 0 and the last of each sixteen are not used.
    """
    return (np.asarray(address) + 1) // 15


def _rank(key: NDArray) -> Index:
    """How many equal keys come before each."""
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    start = np.flatnonzero(np.diff(sorted_key, prepend=sorted_key[0] - 1))
    rank = np.empty(key.size, np.int64)
    counts = np.diff(np.append(start, key.size))
    rank[order] = np.arange(key.size) - np.repeat(start, counts)
    return rank


def _drivers(demand: NDArray, feeds: Index, side: Index, routing: Buses) -> Index:
    """Drivers of each feed: what it needs if there are enough, by demand if not."""
    needed = (demand > 0).sum(3)  # half rows of each group
    rows = needed.reshape(len(demand), 2, 2, 4).sum(3).max(1)  # of each sign
    wanted = _in_chains(-(-rows.sum(1) // 2), feeds, routing.chain)
    quadrant = feeds % 2 * 2 + side
    given = np.zeros(len(demand), np.int64)
    total = demand.sum((1, 2, 3))
    for q in range(4):
        mine = np.flatnonzero(quadrant == q)
        mine = mine[np.argsort(-total[mine], kind="stable")]
        left = routing.drivers
        first = mine[:left]
        given[first] = np.minimum(wanted[first], 1)
        left -= int(given[first].sum())
        for feed in first:
            more = min(int(wanted[feed]) - 1, left)
            if more > 0:
                given[feed] += more
                left -= more
    return given


def _in_chains(wanted: Index, feeds: Index, chain: int) -> Index:
    """Share the drivers that a bus can have among both halves of the chip."""
    buses, which = np.unique(feeds // 2, return_inverse=True)
    both = np.zeros((len(buses), 2), np.int64)
    turned = (feeds + buses[which]) % 2  # which half gets the odd one changes from bus to bus
    both[which, turned] = wanted
    second = np.minimum(both[:, 1], np.maximum(chain // 2, chain - both[:, 0]))
    first = np.minimum(both[:, 0], chain - second)
    return np.stack([first, second], 1)[which, turned]


def _half_rows(demand: NDArray, drivers: Index) -> tuple[Index, NDArray]:
    """How deep each group is served, and in which of the feed's rows each depth lies."""
    feeds, _, _, deepest = demand.shape
    served = np.zeros((feeds, 2, 8), np.int64)
    in_row = np.zeros((feeds, 2, 8, deepest), np.int64)
    f, p = np.arange(feeds)[:, None], np.arange(2)[None]
    for r in range(2 * int(drivers.max(initial=0))):
        nxt = np.take_along_axis(demand, served[..., None], 3)[..., 0].reshape(feeds, 2, 2, 4)
        best = nxt.argmax(3)  # group of each half and sign
        gain = nxt.max(3).sum(1)
        sign = gain.argmax(1)
        group = best[f, p, sign[:, None]] + 4 * sign[:, None]
        useful = (drivers[:, None] * 2 > r) & (nxt.reshape(feeds, 2, 8)[f, p, group] > 0)
        at = served[f, p, group]
        in_row[f, p, group, at] = np.where(useful, r, in_row[f, p, group, at])
        served[f, p, group] += useful
    return served, in_row
