"""What a spiking network is: populations, projections, private noise, and what is recorded.

A description holds no arrays of synapses and does nothing; `Simulation` draws the connections and
runs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, positive, shape
from lapicque.spiking.connectors import Connector
from lapicque.spiking.neurons import (
    RECEPTORS,
    AdEx,
    ConductanceExp,
    CurrentDelta,
    CurrentExp,
    Neuron,
    Receptors,
    per_neuron,
)
from lapicque.spiking.plasticity import Plasticity
from lapicque.spiking.sources import Rate, Source, SpikeArray

VARIABLES = ("v", "w", "syn_E", "syn_I")
"""What can be recorded besides spikes: potential [mV], adaptation [nA], current [nA] or
conductance [uS] of either receptor."""

Draw = float | ArrayLike | Callable
"""A number, one per synapse in the order of the connector, or `draw(rng, distance)`, called once
with the distances of all synapses (zeros where populations have no positions)."""


@dataclass(frozen=True, eq=False)
class Population:
    """A number of units of one kind."""

    size: int
    model: Neuron | Source
    receptors: Receptors | None  # None for sources
    v: ArrayLike | None  # mV at the start; v_rest if None
    positions: NDArray[np.float64] | None  # (size, dimensions)
    label: str

    @property
    def is_source(self) -> bool:
        """Whether its units fire on their own."""
        return self.receptors is None


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to one receptor of another."""

    pre: Population
    post: Population
    connector: Connector
    weight: Draw
    delay: Draw  # ms
    receptor: str
    plasticity: Plasticity | None
    label: str


@dataclass(frozen=True, eq=False)
class Noise:
    """A Poisson source of its own for every neuron; its spikes arrive without delay."""

    population: Population
    source: Rate
    weight: ArrayLike  # one number or one per neuron
    receptor: str


@dataclass(frozen=True, eq=False)
class Recorder:
    """What to keep of which neurons."""

    population: Population
    variable: str
    neurons: NDArray[np.int64]
    interval: float  # ms


class Network:
    """A description that grows by what is added to it.

    Example:
        >>> network = Network()
        >>> cells = network.population(100, LIF(), CurrentExp())
        >>> network.noise(cells, Poisson(8000.0), weight=0.05)
        >>> network.project(cells, cells, FixedProbability(0.1), weight=-0.1, delay=1.5,
        ...                 receptor="inhibitory")
        >>> spikes = Simulation(network, dt=0.1, seed=1).run(1000.0).spikes(cells)
    """

    def __init__(self):
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.noises: list[Noise] = []
        self.recorders: list[Recorder] = []

    def population(
        self,
        size: int,
        model: Neuron | Source,
        receptors: Receptors | None = None,
        *,
        v: ArrayLike | None = None,
        positions: ArrayLike | None = None,
        label: str | None = None,
    ) -> Population:
        """Add units.

        Args:
            size: How many.
            model: A neuron or a source; its parameters are numbers or have one entry per unit.
            receptors: How synapses act on a neuron; exponential currents by default.
            v: Potential at the start [mV], `v_rest` by default.
            positions: One row of coordinates per unit, for distances.
            label: Name in messages.

        Raises:
            InputError: Shapes do not fit, or a source is given receptors.
        """
        label = label or f"population {len(self.populations)}"
        in_range("size", size, 1)
        if isinstance(model, Neuron):
            receptors = CurrentExp() if receptors is None else receptors
            per_neuron(model, size, label)
            per_neuron(receptors, size, label)
            if isinstance(model, AdEx) and isinstance(receptors, CurrentDelta):
                raise InputError("AdEx neurons need receptors with a time course, not delta ones.")
            if v is not None:
                in_range("v", v, unit="mV")
                if np.size(v) != 1:
                    shape("v", v, (size,))
        else:
            if receptors is not None:
                raise InputError(f"{label} is a spike source; it has no `receptors`.")
            if isinstance(model, SpikeArray) and len(model.times) != size:
                raise InputError(
                    f"`times` of {label} has {len(model.times)} entries; it needs {size}, one "
                    "per unit."
                )
            rate = getattr(model, "rate", 0.0)
            if np.size(rate) != 1:
                shape("rate", rate, (size,))
        if positions is not None:
            positions = np.asarray(positions, float)
            shape("positions", positions, (size, None))
        added = Population(int(size), model, receptors, v, positions, label)
        self.populations.append(added)
        return added

    def project(
        self,
        pre: Population,
        post: Population,
        connector: Connector,
        weight: Draw,
        delay: Draw,
        *,
        receptor: str = "excitatory",
        plasticity: Plasticity | None = None,
        label: str | None = None,
    ) -> Projection:
        """Add synapses.

        Args:
            pre: Where spikes come from.
            post: Where they go.
            connector: Which pairs are connected.
            weight: In nA, uS or mV, as the receptors of `post` say.
            delay: From the spike to its effect [ms], at least one time step.
            receptor: `excitatory` or `inhibitory`.
            plasticity: How synapses change; static by default.
            label: Name in messages.

        Raises:
            InputError: A population is not of this network, `post` is a source, or a given
                number is out of range. Drawn ones are checked when the simulation is built.
        """
        self._own(pre)
        self._own(post)
        label = label or f"{pre.label} -> {post.label}"
        one_of("receptor", receptor, RECEPTORS)
        if post.is_source:
            raise InputError(f"{post.label} is a spike source; synapses cannot end there.")
        if not callable(delay):
            positive("delay", delay, "ms")
        if not callable(weight):
            check_weight(weight, post, receptor, label)
        added = Projection(pre, post, connector, weight, delay, receptor, plasticity, label)
        self.projections.append(added)
        return added

    def noise(
        self,
        population: Population,
        source: Rate,
        weight: ArrayLike,
        *,
        receptor: str = "excitatory",
    ) -> Noise:
        """Give every neuron a Poisson source of its own.

        Raises:
            InputError: The population is a source, or a value is out of range.
        """
        self._own(population)
        one_of("receptor", receptor, RECEPTORS)
        if population.is_source or isinstance(source, SpikeArray):
            raise InputError("Private noise needs a population of neurons and a Poisson source.")
        check_weight(weight, population, receptor, f"noise of {population.label}")
        for name, value in (("weight", weight), ("rate", getattr(source, "rate", 0.0))):
            if np.size(value) != 1:
                shape(name, value, (population.size,))
        added = Noise(population, source, weight, receptor)
        self.noises.append(added)
        return added

    def record(
        self,
        population: Population,
        variables: str | Sequence[str] = "v",
        *,
        neurons: ArrayLike | None = None,
        interval: float = 0.1,
    ) -> None:
        """Keep state variables, see `VARIABLES`; spikes are always kept.

        Args:
            population: Whose.
            variables: One name or several.
            neurons: Indices within the population; all by default.
            interval: Time between samples [ms]; the first is taken after one interval.

        Raises:
            InputError: An unknown name, an index that dangles, or a source.
        """
        self._own(population)
        positive("interval", interval, "ms")
        if population.is_source:
            raise InputError(f"{population.label} is a spike source; it has no state variables.")
        chosen = np.arange(population.size) if neurons is None else np.atleast_1d(neurons)
        in_range("neurons", chosen, 0, population.size - 1)
        for variable in [variables] if isinstance(variables, str) else variables:
            one_of("variables", variable, VARIABLES)
            recorder = Recorder(population, variable, chosen.astype(np.int64), float(interval))
            self.recorders.append(recorder)

    def _own(self, population: Population) -> None:
        if not any(p is population for p in self.populations):
            raise InputError(f"{population.label} is not a population of this network.")


def check_weight(weight: ArrayLike, post: Population, receptor: str, label: str) -> None:
    """Weights are finite, and conductances not negative.

    Raises:
        InputError: One is not.
    """
    if isinstance(post.receptors, ConductanceExp):
        in_range("weight", weight, 0, unit="uS", hint=f"{label} ends at conductances.")
    else:
        in_range("weight", weight, hint=f"In {label}.")
