"""Where the units of a network go: neurons to circuits, sources to the chips where they enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, one_of
from lapicque.spiking import Network, Poisson, SpikeArray
from lapicque.spiking.drawn import Synapses
from lapicque.spiking.streams import highest_mean
from lapicque.substrate.chip import Chip
from lapicque.substrate.spec import Buses, ChipSpec

Index = NDArray[np.int64]
NOWHERE = -1


@dataclass(frozen=True)
class Placement:
    """Where all units are; `NOWHERE` if there was no room.

    Units are numbered through, population by population.

    Attributes:
        first: Number of the first unit of each population, and of all units at the end.
        is_source: Whether units are sources, shape (units,).
        chip: On which a neuron sits, or where a source enters.
        circuit: First circuit of each neuron; `NOWHERE` for sources.
        size: Circuits of each neuron; 0 for sources.
        bus: Number of the bus on which it sends, where the chip has buses.
        address: On that bus.
    """

    first: Index
    is_source: NDArray[np.bool_]
    chip: Index
    circuit: Index
    size: Index
    bus: Index
    address: Index

    def units(self, population: int) -> slice:
        """The numbers of a population's units."""
        return slice(int(self.first[population]), int(self.first[population + 1]))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which units found no place."""
        return self.chip == NOWHERE


def coordinates(spec: ChipSpec, chip: NDArray) -> tuple[Index, Index]:
    """Column and row of chips."""
    return chip % spec.grid[0], chip // spec.grid[0]


def place(
    network: Network,
    drawn: Sequence[Synapses],
    chip: Chip,
    size: int | None = None,
    spread: bool = False,
    merge: bool = False,
) -> Placement:
    """Give every unit a place, populations in the order of the network.

    Chips are filled from the middle of the wafer outwards, each bus by bus; the neurons of an
    eighth of a chip share a bus. A source enters at
    the chip with most of its targets, or at the nearest that has an address and enough bandwidth
    left.

    Args:
        network: What to place.
        drawn: Its synapses.
        chip: The specimen; its defective circuits are not used.
        size: Circuits of a neuron; by default the fewest with enough synapses for the neuron of
            each population that has most inputs, at least 4 where circuits can be joined.
        spread: Use all buses of a chip alike. That loses fewer synapses of small networks, whose
            buses then have fewer senders each, and more of large ones, which need more buses.
        merge: Lead two, four or all eighths of a chip to one bus, if it has addresses for them.
            That loses fewer synapses of large networks with neurons of several circuits, whose
            buses would have few senders each.

    Raises:
        InputError: Circuits cannot be joined in this number, or buses are both spread and merged.

    Source:
        Strategies of the released mapping tool: neuron blocks go straight to their buses, or
        adjacent ones are merged so that fewer buses are needed.
    """
    spec = chip.spec
    if spread and merge:
        raise InputError("`spread` and `merge` are both True; buses are used alike, or few are.")
    if size is not None:
        sizes = spec.routing.sizes if isinstance(spec.routing, Buses) else (1,)
        one_of("size", size, sizes)
    counts = [p.size for p in network.populations]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(first[-1])
    is_source = np.repeat([p.is_source for p in network.populations], counts).astype(bool)
    chips, circuit, bus, address = np.full((4, n), NOWHERE, np.int64)
    places = Placement(first, is_source, chips, circuit, np.zeros(n, np.int64), bus, address)
    for k, population in enumerate(network.populations):
        if not population.is_source:
            places.size[places.units(k)] = size or _needed(network, drawn, k, spec)
    _place_neurons(places, chip, spread, merge)
    if isinstance(spec.routing, Buses):
        _place_sources(network, drawn, places, spec, spread)
    else:
        places.chip[is_source] = 0
    return places


def _needed(network: Network, drawn: Sequence[Synapses], k: int, spec: ChipSpec) -> int:
    """Circuits that the neurons of a population need for their inputs."""
    if not isinstance(spec.routing, Buses):
        return 1
    population = network.populations[k]
    inputs = np.zeros(population.size, np.int64)
    for projection, found in zip(network.projections, drawn, strict=True):
        if projection.post is population:
            inputs += np.bincount(found.post, minlength=population.size)
    enough = [s for s in spec.routing.sizes[2:] if spec.fan_in(s) >= inputs.max(initial=0)]
    return min(enough, default=max(spec.routing.sizes))


def _order(spec: ChipSpec) -> Index:
    """Chips from the middle of the wafer outwards, ring by ring, neighbours one after the other."""
    chips = np.arange(spec.chips)
    x, y = coordinates(spec, chips)
    x, y = x - (spec.grid[0] - 1) / 2, y - (spec.grid[1] - 1) / 2
    around = np.arctan2(y, x)
    return chips[np.lexsort((around, np.maximum(np.abs(x), np.abs(y))))]


def _place_neurons(places: Placement, chip: Chip, spread: bool, merge: bool) -> None:
    spec, routing = chip.spec, chip.spec.routing
    usable = chip.usable
    buses = routing.buses if isinstance(routing, Buses) else 1
    # small neurons are counted by addresses, large ones by circuits
    addressed = buses * routing.addresses if isinstance(routing, Buses) else spec.neurons
    order = _order(spec)
    at, circuit, used = 0, 0, 0.0  # place in `order`, circuits and share of this chip in use
    shares = np.zeros(len(places.chip))  # of its chip that is in use before each neuron
    for unit in np.flatnonzero(~places.is_source):
        size = int(places.size[unit])
        share = size / (addressed if size <= 8 else spec.neurons)
        while at < len(order):
            here = int(order[at])
            base = here * spec.neurons
            while circuit + size <= spec.neurons and not usable[base + circuit]:
                circuit += size
            if circuit + size <= spec.neurons and used + share <= 1 + 1e-9:
                break
            at, circuit, used = at + 1, 0, 0.0
        if at == len(order):
            break
        places.chip[unit], places.circuit[unit] = here, base + circuit
        shares[unit] = used
        circuit += size
        used += share
    for here in np.unique(places.chip[places.chip >= 0]):
        mine = np.flatnonzero(places.chip == here)
        part = np.arange(mine.size) / mine.size if spread else shares[mine]
        bus = np.minimum((part * buses + 1e-9).astype(int), buses - 1)
        if merge and isinstance(routing, Buses):
            bus = _merged(bus, routing)
        places.bus[mine] = here * buses + bus
        places.address[mine] = np.arange(mine.size) - np.searchsorted(bus, bus)


def _merged(block: Index, routing: Buses) -> Index:
    """The fewest buses that have addresses for the neurons of all blocks, for each neuron."""
    joined = routing.buses
    while joined > 1:
        bus = block // joined
        if np.bincount(bus).max() <= routing.addresses:
            return bus
        joined //= 2
    return block


def _place_sources(
    network: Network, drawn: Sequence[Synapses], places: Placement, spec: ChipSpec, spread: bool
) -> None:
    routing = spec.routing
    assert isinstance(routing, Buses)
    free = np.full(spec.chips * routing.buses, routing.addresses)
    placed = ~places.is_source & ~places.missing
    np.subtract.at(free, places.bus[placed], 1)
    left = np.full(spec.chips, np.inf if spec.links is None else spec.links.per_chip)
    preferred = _preferred(network, drawn, places, spec)
    x, y = coordinates(spec, np.arange(spec.chips))
    nearest: dict[int, Index] = {}
    room = free.reshape(spec.chips, routing.buses)
    for k, population in enumerate(network.populations):
        if not population.is_source:
            continue
        rates = _rates(population.model, population.size)
        for j, unit in enumerate(range(*places.units(k).indices(len(places.chip)))):
            wish = int(preferred[unit])
            if wish not in nearest:
                distance = np.abs(x - x[wish]) + np.abs(y - y[wish])
                nearest[wish] = np.argsort(distance, kind="stable")
            chips = nearest[wish]
            addressed = room[chips].any(1)
            good = addressed & (left[chips] >= rates[j])
            good = good if good.any() else addressed
            if not good.any():
                continue
            here = int(chips[np.argmax(good)])
            choice = room[here] if spread else room[here] > 0
            bus = here * routing.buses + int(np.argmax(choice))
            places.chip[unit], places.bus[unit] = here, bus
            places.address[unit] = routing.addresses - free[bus]
            free[bus] -= 1
            left[here] -= rates[j]


def _rates(model, size: int) -> NDArray[np.float64]:
    """Highest rates of sources [Hz]; those of given spikes are not known before."""
    if isinstance(model, Poisson):
        return np.broadcast_to(np.asarray(model.rate, float), (size,))
    if isinstance(model, SpikeArray):
        return np.zeros(size)
    return np.full(size, highest_mean(model, 1.0) * 1e3)


def _preferred(
    network: Network, drawn: Sequence[Synapses], places: Placement, spec: ChipSpec
) -> Index:
    """The chip with most targets of each unit."""
    index = {population: k for k, population in enumerate(network.populations)}
    pre, where = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for projection, found in zip(network.projections, drawn, strict=True):
        if projection.pre.is_source:
            chips = places.chip[places.first[index[projection.post]] + found.post]
            pre.append((places.first[index[projection.pre]] + found.pre)[chips >= 0])
            where.append(chips[chips >= 0])
    keys, count = np.unique(
        np.concatenate(pre) * spec.chips + np.concatenate(where), return_counts=True
    )
    best = np.full(len(places.chip), int(_order(spec)[0]))
    order = np.argsort(count, kind="stable")
    best[keys[order] // spec.chips] = keys[order] % spec.chips  # the last write is the largest
    return best
