"""Where the noise of spiking samplers comes from; each source is a part that can be exchanged.

``noise.attach(network, neurons, preset)`` adds it to a network, with the weights and as far as
possible the rates of the preset, and ``noise.report(preset)`` measures what a neuron gets from it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, positive
from lapicque.sampling.calibration import find
from lapicque.spiking import (
    LIF,
    CurrentExp,
    FixedInDegree,
    FromArrays,
    Network,
    Poisson,
    Population,
    Simulation,
    SinusoidalPoisson,
)
from lapicque.spiking.models import Bombarded

_SIDES = ("excitatory", "inhibitory")
_KICK = 100.0  # ms of Poisson noise that starts an ensemble which is to be measured


class Report(NamedTuple):
    """What neurons get from a source of noise, while their own threshold is out of reach."""

    rate: float  # of a single source [Hz]; nan where each neuron has one private source
    mean: float  # of the free potential [mV]
    sd: float  # of the free potential of a neuron over time [mV], on average
    spread: float  # of the mean from neuron to neuron [mV]
    correlation: float  # of the free potentials of two neurons, on average over pairs


class NoiseSource(ABC):
    """Something that drives neurons at random, or as if it were."""

    def attach(self, network: Network, neurons: Population, preset: Bombarded) -> None:
        """Drive neurons of a network, which need noise of these rates and weights.

        Raises:
            InputError: The source does not fit the neurons.
        """
        self.connect(network, neurons, preset)

    @abstractmethod
    def connect(
        self,
        network: Network,
        neurons: Population,
        preset: Bombarded,
        onto: Population | None = None,
    ) -> list[Population]:
        """Drive neurons, as `attach`.

        Args:
            network: Where they are.
            neurons: Which.
            preset: Rates and weights of the noise that they need.
            onto: Neurons that get the input in place of these, as many of them.

        Returns:
            The populations of sources; none where each neuron has its own.
        """
        ...

    def report(
        self,
        preset: str | Bombarded,
        neurons: int = 20,
        duration: float = 5000.0,
        warm_up: float = 500.0,
        dt: float = 0.1,
        seed: int = 0,
    ) -> Report:
        """Measure what neurons without threshold get from this source.

        Args:
            preset: A name of `BOMBARDED`, or one of your own.
            neurons: How many.
            duration: Of the measurement [ms].
            warm_up: Before it [ms].
            dt: Time step [ms].
            seed: Of connections, initial potentials and noise.

        Raises:
            InputError: A value is out of range, or the source does not fit the neurons.
        """
        preset = find(preset)
        in_range("neurons", neurons, 2)
        positive("duration", duration, "ms")
        network = Network()
        above = replace(preset.neuron, v_thresh=1e6)
        shadows = network.population(neurons, above, preset.receptors, label="free")
        sources = self._drive(network, neurons, preset, shadows, np.random.default_rng(seed))
        network.record(shadows, "v", interval=1.0)
        simulation = Simulation(network, dt, seed=seed)
        simulation.run(warm_up)
        recording = simulation.run(duration)
        v = recording.signal(shadows)[:, 0]
        spikes = sum(len(recording.spikes(source).id) for source in sources)
        units = sum(source.size for source in sources)
        rate = spikes / units / duration * 1000.0 if units else np.nan
        pairs = np.asarray(np.corrcoef(v, rowvar=False))[np.triu_indices(neurons, 1)]
        means = v.mean(0)
        sd = np.sqrt(v.var(0).mean())
        return Report(rate, means.mean(), sd, means.std(), float(pairs.mean()))

    def _drive(self, network, neurons, preset, shadows, rng) -> list[Population]:
        return self.connect(network, shadows, preset)


@dataclass(frozen=True)
class PrivatePoisson(NoiseSource):
    """A Poisson source of either sign for every neuron; the potentials are independent.

    Attributes:
        factor: On the rates of the preset.
    """

    factor: float = 1.0

    def __post_init__(self):
        in_range("factor", self.factor, 0)

    def connect(self, network, neurons, preset, onto=None) -> list[Population]:
        excitation, inhibition = (Poisson(rate) for rate in np.multiply(self.factor, preset.rates))
        preset.drive(network, onto or neurons, (excitation, inhibition))
        return []


@dataclass(frozen=True)
class Oscillating(NoiseSource):
    """Private Poisson sources whose rates are ``r (1 + depth sin(2 pi frequency t + phase))``.

    Raises:
        InputError: A value is out of range.
    """

    depth: float = 0.5
    frequency: float = 10.0  # Hz
    phase: float = 0.0  # rad
    factor: float = 1.0  # on the rates of the preset

    def __post_init__(self):
        in_range("depth", self.depth, 0, 1)
        in_range("frequency", self.frequency, 0, unit="Hz")
        in_range("phase", self.phase)
        in_range("factor", self.factor, 0)

    def connect(self, network, neurons, preset, onto=None) -> list[Population]:
        excitation, inhibition = (
            SinusoidalPoisson(mean, self.depth * mean, self.frequency, self.phase)
            for mean in np.multiply(self.factor, preset.rates)
        )
        preset.drive(network, onto or neurons, (excitation, inhibition))
        return []


@dataclass(frozen=True)
class SharedPoisson(NoiseSource):
    """A pool of Poisson sources of either sign, of which each neuron draws `in_degree`.

    The rate of a source is that of the preset over `in_degree`. Two neurons have a share
    ``in_degree / size`` of their sources in common, and this is the correlation of their free
    potentials.

    Raises:
        InputError: There are fewer sources than inputs, or the delay is not positive.
    """

    size: int = 400  # sources of each sign
    in_degree: int = 100
    delay: float = 0.1  # ms

    def __post_init__(self):
        in_range("in_degree", self.in_degree, 1)
        in_range("size", self.size, self.in_degree, hint="Inputs are drawn without doubles.")
        positive("delay", self.delay, "ms")

    def connect(self, network, neurons, preset, onto=None) -> list[Population]:
        connector, pools = FixedInDegree(self.in_degree, multiple=False), []
        for receptor, rate, weight in zip(_SIDES, preset.rates, preset.weights, strict=True):
            pool = network.population(
                self.size, Poisson(rate / self.in_degree), label=f"{receptor} pool"
            )
            pools.append(pool)
            network.project(pool, onto or neurons, connector, weight, self.delay, receptor=receptor)
        return pools


@dataclass(frozen=True)
class RecurrentNetwork(NoiseSource):
    """A deterministic network of excitatory and inhibitory LIF neurons.

    Its neurons rest above their threshold, so that the network never stops, and inhibit each other
    strongly, so that it is irregular. Each driven neuron has as many inputs of either sign as
    replace the preset's rate, or a share `connectivity` of the pool if that is less; the weights of
    the preset are then larger, so that the mean input is the same, and its variance larger by the
    same factor.

    Raises:
        InputError: A value is out of range.

    Source: the parameters of a test of the library spike-based-sampling.
    """

    size: int = 384
    gamma: float = 0.8  # share of excitatory neurons
    connectivity: float = 0.1  # within, and at most to the neurons that are driven
    J: float = 0.0635  # nA; excitatory weight within
    g: float = 10.0  # inhibitory over excitatory weight
    delay: float = 1.0  # ms
    nominal: float = 30.0  # Hz, expected rate of its neurons
    wiring: int = 0  # seed of initial potentials

    def __post_init__(self):
        in_range("size", self.size, 10)
        if not 0 < self.gamma < 1:
            raise InputError(f"`gamma` is {self.gamma:g}; it must lie between 0 and 1.")
        in_range("connectivity", self.connectivity, 1 / min(self._sizes), 1)
        positive("J", self.J, "nA")
        positive("g", self.g)
        positive("delay", self.delay, "ms")
        positive("nominal", self.nominal, "Hz")

    @property
    def _sizes(self) -> tuple[int, int]:
        excitatory = round(self.gamma * self.size)
        return excitatory, self.size - excitatory

    def connect(self, network, neurons, preset, onto=None) -> list[Population]:
        neuron = LIF(
            v_rest=-40.0, v_reset=-60.0, v_thresh=-50.0, cm=1.0, tau_m=20.0, tau_refrac=0.1
        )
        rng = np.random.default_rng(self.wiring)
        pools = [
            network.population(
                number,
                neuron,
                CurrentExp(tau_syn_E=5.0, tau_syn_I=5.0),
                v=rng.uniform(-60.0, -50.0, number),
                label=f"{side} pool",
            )
            for side, number in zip(_SIDES, self._sizes, strict=True)
        ]
        for pool, side, weight, rate, noise in zip(
            pools, _SIDES, (self.J, -self.g * self.J), preset.rates, preset.weights, strict=True
        ):
            most = max(1, round(self.connectivity * pool.size))
            inputs = FixedInDegree(most, self_connections=False, multiple=False)
            for other in pools:
                network.project(pool, other, inputs, weight, self.delay, receptor=side)
            number = min(most, max(1, round(rate / self.nominal)))
            scaled = noise * rate / (number * self.nominal)
            outputs = FixedInDegree(number, multiple=False)
            network.project(pool, onto or neurons, outputs, scaled, self.delay, receptor=side)
        return pools


@dataclass(frozen=True)
class Ensemble(NoiseSource):
    """Other sampling networks: each neuron hears neurons of networks other than its own.

    Neurons ``k members .. (k + 1) members - 1`` of the population are a network. A neuron that is
    on half of the time fires at ``1 / (2 tau_refrac)``, 50 Hz for 10 ms: 40 of them replace a
    Poisson source of 2 kHz. Nothing is random but the wiring, so start from random potentials.

    Raises:
        InputError: A number is out of range.
    """

    members: int = 6  # neurons of a network
    in_degree: tuple[int, int] = (40, 40)  # excitatory and inhibitory
    delay: float = 0.1  # ms
    wiring: int = 0  # seed of the connections

    def __post_init__(self):
        in_range("members", self.members, 1)
        in_range("in_degree", self.in_degree, 0)
        positive("delay", self.delay, "ms")

    def pairs(self, size: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Sources and targets, excitatory before inhibitory, for a population of this size.

        Raises:
            InputError: The networks do not divide the population, or are too few.
        """
        others = size - self.members
        if size % self.members:
            raise InputError(
                f"A population of {size} neurons cannot be divided into networks of {self.members}."
            )
        if sum(self.in_degree) > others:
            raise InputError(
                f"A neuron needs {sum(self.in_degree)} inputs from other networks, but these have "
                f"{others} neurons. Add networks or lower `in_degree`."
            )
        rng, total = np.random.default_rng(self.wiring), sum(self.in_degree)
        drawn = np.stack([rng.permutation(others)[:total] for _ in range(size)])
        target = np.arange(size)[:, None]
        drawn += self.members * (drawn >= target // self.members * self.members)
        parts = np.split(drawn, [self.in_degree[0]], axis=1)
        return [(p.ravel(), np.broadcast_to(target, p.shape).ravel()) for p in parts]

    def connect(self, network, neurons, preset, onto=None) -> list[Population]:
        onto = onto or neurons
        for side, weight, (source, target) in zip(
            _SIDES, preset.weights, self.pairs(neurons.size), strict=True
        ):
            if source.size:
                network.project(
                    neurons,
                    onto,
                    FromArrays(source, target),
                    weight,
                    self.delay,
                    receptor=side,
                )
        return [neurons]

    def report(self, preset, neurons=120, duration=5000.0, warm_up=500.0, dt=0.1, seed=0) -> Report:
        """See `NoiseSource.report`; `neurons` form the ensemble, unconnected within networks."""
        return super().report(preset, neurons, duration, warm_up, dt, seed)

    def _drive(self, network, neurons, preset, shadows, rng) -> list[Population]:
        reset, threshold = float(preset.neuron.v_reset), float(preset.neuron.v_thresh)  # pyright: ignore[reportArgumentType]
        v = rng.uniform(reset - 5.0, threshold, neurons)
        population = network.population(
            neurons, preset.neuron, preset.receptors, v=v, label="ensemble"
        )
        for side, rate, weight in zip(_SIDES, preset.rates, preset.weights, strict=True):
            network.noise(population, Poisson(rate, duration=_KICK), weight, receptor=side)
        self.connect(network, population, preset)
        return self.connect(network, population, preset, shadows)
