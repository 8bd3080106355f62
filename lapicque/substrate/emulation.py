"""A network on a chip: mapped once, then run like a simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, shape
from lapicque.spiking import FromArrays, Network, Population, Projection, Recording, Simulation
from lapicque.spiking.drawn import Synapses, synapses
from lapicque.spiking.sources import SpikeArray
from lapicque.substrate.check import check
from lapicque.substrate.chip import Chip
from lapicque.substrate.links import Queues
from lapicque.substrate.placement import Placement, place
from lapicque.substrate.realise import (
    Configured,
    Written,
    configure,
    realised_model,
    realised_plasticity,
    realised_synapses,
    write_weights,
)
from lapicque.substrate.report import Report, losses, report
from lapicque.substrate.routing import SET, Routing, route


@dataclass(frozen=True)
class Mapped:
    """A network and what each stage made of it.

    Attributes:
        network: The description.
        drawn: Its synapses, projection by projection.
        places: Where its units are.
        routing: Which synapses there are.
        written: Their weights.
        configured: Neurons as they are realised.
        report: What was lost, clipped and averaged.
    """

    network: Network
    drawn: list[Synapses]
    places: Placement
    routing: Routing
    written: Written
    configured: Configured
    report: Report


def map_network(
    network: Network,
    chip: Chip,
    *,
    seed: int = 0,
    trial: int = 0,
    calibrated: bool = True,
    size: int | None = None,
    spread: bool = False,
    merge: bool = False,
    max_synapse_loss: float = 0.0,
    max_neuron_loss: float = 0.0,
    ignore_ranges: bool = False,
) -> Mapped:
    """Take a network through all stages: check, place, route, realise, configure.

    Args:
        network: What to map; it stays as it is.
        chip: The specimen.
        seed: Of the network's connections, see `Simulation`.
        trial: Number of this configuration: what varies from one to the next.
        calibrated: Whether settings are corrected by what the chip lets one see.
        size: Circuits of a neuron, see `place`.
        spread: Use all buses alike, see `place`.
        merge: Use few buses, see `place`.
        max_synapse_loss: Share of synapses that may be lost.
        max_neuron_loss: Share of neurons and sources that may be lost.
        ignore_ranges: Take the nearest possible for parameters out of range.

    Raises:
        InputError: The chip has no such model, a parameter is out of range, or more is lost than
            is allowed.
    """
    in_range("max_synapse_loss", max_synapse_loss, 0, 1)
    in_range("max_neuron_loss", max_neuron_loss, 0, 1)
    in_range("trial", trial, 0)
    spec = chip.spec
    violations = check(network, spec, ignore_ranges)
    drawn = synapses(network, seed)
    places = place(network, drawn, chip, size, spread, merge)
    routing = route(network, drawn, places, spec)
    written = write_weights(network, drawn, routing, chip, trial)
    found = losses(network, routing, written.clipped)
    configured = configure(network, places, chip, calibrated, trial)
    notes = []
    if chip.distortions.codes and any(_starts_off_rest(p) for p in network.populations):
        notes.append("Potentials at the start cannot be set; neurons start at rest.")
    made = report(
        network, places, found, spec, ranges=violations, clipped=configured.clipped,
        shared=configured.shared, notes=notes,
    )  # fmt: skip
    made.refuse_loss(max_neuron_loss, max_synapse_loss, spec)
    return Mapped(network, drawn, places, routing, written, configured, made)


def _starts_off_rest(population: Population) -> bool:
    if population.v is None:
        return False
    return bool(np.any(np.asarray(population.v, float) != getattr(population.model, "v_rest", 0)))


class Emulation:
    """A network on a chip, with the interface of a `Simulation`.

    Populations and projections are those of the description: recordings and weights are asked for
    by them. Times and potentials are biological. With all distortions off and nothing lost, spikes
    are those of `Simulation(network, dt, seed=seed)`.

    Args:
        network: What to run.
        chip: The specimen.
        dt: Time step [ms].
        seed: Of connections and stimuli.
        trial: Number of this configuration: what varies from one to the next.
        threads: See `Simulation`.
        options: See `map_network`.

    Attributes:
        mapped: What each stage of the mapping made of the network.
        report: What was lost, clipped and averaged, with counters of spikes that grow in each run.

    Raises:
        InputError: See `map_network`.
    """

    def __init__(
        self,
        network: Network,
        chip: Chip,
        dt: float = 0.1,
        *,
        seed: int = 0,
        trial: int = 0,
        threads: int = 1,
        **options,
    ):
        self.network, self.chip, self.dt, self.seed = network, chip, float(dt), int(seed)
        self.trial, self.options = int(trial), options
        self.mapped = map_network(network, chip, seed=seed, trial=trial, **options)
        self.report = self.mapped.report
        self._writes = 0
        self._signs = [np.sign(s.weight) for s in self.mapped.drawn]
        self._fed = chip.spec.links is not None and chip.distortions.links
        self._build(threads)

    # -- building ------------------------------------------------------------------------------

    def _build(self, threads: int) -> None:
        network, chip = self.network, self.chip
        plan, self._population, self._projection = Network(), {}, {}
        for population in network.populations:
            self._population[population] = self._add(plan, population)
        for projection, own in zip(network.projections, self._acting(), strict=True):
            self._projection[projection] = plan.project(
                self._population[projection.pre],
                self._population[projection.post],
                FromArrays(own.pre, own.post),
                own.weight,
                own.delay if len(own) else self.dt,
                receptor=projection.receptor,
                plasticity=realised_plasticity(projection.plasticity, chip),
                label=projection.label,
            )
        for recorder in network.recorders:
            target = self._population[recorder.population]
            plan.recorders.append(replace(recorder, population=target))
        self._simulation = Simulation(plan, self.dt, seed=self.seed, threads=threads)
        self._sources = [p for p in network.populations if p.is_source]
        self._stimuli: Simulation | None = None
        if self._fed:
            self._prepare_links()
        on_wafer = [p for p in network.projections if not p.pre.is_source]
        self._senders = {p.pre for p in on_wafer}

    def _add(self, plan: Network, population: Population) -> Population:
        if population.is_source:
            model = population.model
            if self._fed:
                model = SpikeArray([np.zeros(0)] * population.size)
            return plan.population(
                population.size, model, positions=population.positions, label=population.label
            )
        model, receptors = realised_model(population, self.mapped.configured.values[population])
        return plan.population(
            population.size,
            model,
            receptors,
            v=None if self.chip.distortions.codes else population.v,
            positions=population.positions,
            label=population.label,
        )

    def _acting(self) -> list[Synapses]:
        m = self.mapped
        return realised_synapses(
            m.network, m.drawn, m.places, m.routing, m.written, m.configured, self.chip, self.dt
        )

    def _prepare_links(self) -> None:
        spec, places = self.chip.spec, self.mapped.places
        links = spec.links
        assert links is not None
        groups = -(-spec.chips // links.group)
        self._memory = (
            Queues(1, links.in_total, links.memory),
            Queues(groups, links.per_group, links.memory),
        )
        self._down = Queues(spec.chips, links.per_chip, links.depth)
        self._up = Queues(spec.chips, links.per_chip, links.depth)
        self._waiting = {p: (np.zeros(0), np.zeros(0, np.int64)) for p in self._sources}
        self._enters = {
            p: places.chip[places.units(k)] for k, p in enumerate(self.network.populations)
        }
        if self._sources:
            plan = Network()
            plan.populations = list(self._sources)
            self._stimuli = Simulation(plan, self.dt, seed=self.seed)

    # -- running -------------------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Where the emulation is [ms]."""
        return self._simulation.time

    def run(self, duration: float) -> Recording:
        """Go on for a while.

        Args:
            duration: How long, in biological time [ms].

        Raises:
            InputError: It is negative or not finite.
        """
        in_range("duration", duration, 0, unit="ms")
        stimuli = None
        if self._stimuli is not None:
            stimuli = self._stimuli.run(duration)
            self._feed(stimuli, self.time + duration)
        recording = self._simulation.run(duration)
        pulses = self.report.pulses
        spikes = {}
        for population, own in self._population.items():
            if stimuli is not None and population.is_source:
                found = stimuli.all_spikes(population)  # as they were sent
            else:
                found = recording.all_spikes(own)
            if population in self._senders:
                pulses.on_wafer += len(found[0])
            spikes[population] = found
        if self._fed:
            spikes = self._recorded(spikes)
        back = {own: population for population, own in self._population.items()}
        signals = {(back[p], name): v for (p, name), v in recording._signals.items()}
        return Recording(recording.start, recording.duration, self.dt, spikes, signals)

    def _feed(self, stimuli: Recording, end: float) -> None:
        """Send stimuli through the links, and give the network what arrives."""
        pulses = self.report.pulses
        parts = [stimuli.all_spikes(p)[:2] for p in self._sources]
        owner = np.repeat(np.arange(len(parts)), [len(step) for step, _ in parts])
        step = np.concatenate([step for step, _ in parts])
        unit = np.concatenate([unit for _, unit in parts]).astype(np.int64)
        order = np.lexsort((unit, owner, step))
        owner, unit, time = owner[order], unit[order], (step[order] * self.dt).astype(float)
        chip: NDArray[np.int64] = np.zeros(time.size, np.int64)
        for k, population in enumerate(self._sources):
            mine = owner == k
            chip[mine] = self._enters[population][unit[mine]]
        placed = chip >= 0  # others were never to be sent
        owner, unit, time, chip = owner[placed], unit[placed], time[placed], chip[placed]
        links = self.chip.spec.links
        assert links is not None
        # the memory decides what is kept; how fast it is read is the links' matter
        kept = np.isfinite(self._memory[0].passed(time, np.zeros(time.size, np.int64)))
        kept[kept] = np.isfinite(self._memory[1].passed(time[kept], chip[kept] // links.group))
        leaves = np.full(time.size, np.inf)
        leaves[kept] = self._down.passed(time[kept], chip[kept])
        arrives = np.isfinite(leaves)
        pulses.down_generated += time.size
        pulses.down_dropped += int((~kept).sum())
        pulses.down_lost += int((kept & ~arrives).sum())
        pulses.down_sent += int(arrives.sum())
        for k, population in enumerate(self._sources):
            mine = arrives & (owner == k)
            when, who = self._waiting[population]
            when, who = np.append(when, leaves[mine]), np.append(who, unit[mine])
            later = when > end + 1e-9
            self._waiting[population] = when[later], who[later]
            when, who = np.maximum(when[~later], self.time + self.dt), who[~later]
            sort = np.lexsort((when, who))
            edges = np.cumsum(np.bincount(who, minlength=population.size))[:-1]
            trains = np.split(when[sort], edges)
            self._simulation.set(self._population[population], "times", trains)

    def _recorded(self, spikes):
        """What the links bring back of the neurons' spikes."""
        neurons = [p for p in spikes if not p.is_source]
        if not neurons:
            return spikes
        owner = np.repeat(np.arange(len(neurons)), [len(spikes[p][0]) for p in neurons])
        columns = [np.concatenate([spikes[p][c] for p in neurons]) for c in range(3)]
        order = np.lexsort((columns[1], owner, columns[0]))
        chip = np.zeros(order.size, np.int64)
        for k, p in enumerate(neurons):
            mine = owner == k
            chip[mine] = self._enters[p][columns[1][mine].astype(np.int64)]
        back = np.zeros(order.size, bool)
        time = (columns[0][order] * self.dt).astype(float)
        back[order] = np.isfinite(self._up.passed(time, np.maximum(chip[order], 0)))
        pulses = self.report.pulses
        pulses.up_sent += int(back.sum())
        pulses.up_lost += int((~back).sum())
        kept = {p: tuple(c[back & (owner == k)] for c in columns) for k, p in enumerate(neurons)}
        return {**spikes, **kept}

    # -- parameters ----------------------------------------------------------------------------

    def get(self, population: Population, name: str) -> NDArray[np.float64]:
        """A realised parameter or state variable, see `Simulation.get`."""
        return self._simulation.get(self._own(population), name)

    def set(self, population: Population, name: str, value) -> None:
        """Change what a source sends: its `rate`, or the `times` of its spikes.

        Raises:
            InputError: It is something else; that is written before a run and cannot change.
        """
        if not population.is_source:
            raise InputError(
                f"`{name}` of {population.label} cannot be set on {self.chip.spec.name} between "
                "runs; describe the network anew and map it again."
            )
        if self._stimuli is not None:
            self._stimuli.set(population, name, value)
        else:
            self._simulation.set(self._own(population), name, value)

    def weights(self, projection: Projection) -> NDArray[np.float64]:
        """Realised weights in the connector's order, 0 for synapses that are lost."""
        k = self._index(projection)
        result = np.zeros(len(self.mapped.drawn[k]))
        kept = self.mapped.routing.fate[k] == SET
        result[kept] = self._simulation.weights(self._projection[projection])
        return result

    def is_set(self, projection: Projection) -> NDArray[np.bool_]:
        """Which synapses there are, in the connector's order."""
        return self.mapped.routing.fate[self._index(projection)] == SET

    def set_weights(self, projection: Projection, weights: ArrayLike) -> None:
        """Write new weights to the synapses that there are.

        Args:
            projection: Whose.
            weights: One number, or one per synapse in the connector's order. Zeros silence theirs;
                the sign of a synapse is that of its row and stays.

        Raises:
            InputError: The shape does not fit, or a synapse would change its sign.
        """
        m, k = self.mapped, self._index(projection)
        n = len(m.drawn[k])
        weights = np.asarray(weights, float)
        if weights.size != 1:
            shape("weights", weights, (n,))
        drawn = list(m.drawn)
        old = drawn[k]
        full = np.broadcast_to(weights, (n,))
        drawn[k] = Synapses(old.pre, old.post, full, old.delay)
        turned = (full * self._signs[k] < 0) & self.is_set(projection)
        if turned.any():
            j = int(np.argmax(turned))
            raise InputError(
                f"`weights[{j}]` of {projection.label} is {full[j]:g}; its row has the other sign. "
                "Use a synapse for each sign."
            )
        silent = Routing([f.copy() for f in m.routing.fate], [r.copy() for r in m.routing.row])
        self._writes += 1
        written = write_weights(m.network, drawn, silent, self.chip, self.trial + self._writes)
        acting = realised_synapses(
            m.network, drawn, m.places, m.routing, written, m.configured, self.chip, self.dt
        )
        self.mapped = replace(m, drawn=drawn, written=written)
        self._simulation.set_weights(self._projection[projection], acting[k].weight)

    def connections(self, projection: Projection):
        """Units and delay of each synapse that there is, see `Simulation.connections`."""
        return self._simulation.connections(self._projection[projection])

    def _own(self, population: Population) -> Population:
        if population not in self._population:
            raise InputError(f"{population.label} is not a population of this network.")
        return self._population[population]

    def _index(self, projection: Projection) -> int:
        if projection not in self._projection:
            raise InputError(f"{projection.label} is not a projection of this network.")
        return self.network.projections.index(projection)
