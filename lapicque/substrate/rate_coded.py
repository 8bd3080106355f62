"""Layered networks of rate-coded units as a chip runs them: a fast surrogate, and with spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, positive, shape
from lapicque.spiking import (
    LIF,
    AllToAll,
    ConductanceExp,
    FromArrays,
    Network,
    Simulation,
    SpikeArray,
)
from lapicque.substrate.chip import Chip
from lapicque.substrate.emulation import map_network
from lapicque.substrate.in_the_loop import check_run
from lapicque.substrate.routing import SET

Values = NDArray[np.float64]

SPREADS = {
    "mild": (0.2, 0.1, 0.05, 0.02),
    "middle": (0.3, 0.2, 0.1, 0.05),
    "wafer": (0.5, 0.3, 0.2, 0.1),
}
"""Spreads of synapses, gains, offsets and trials of `RateChip`, by name."""


def _stream(*seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed[0], spawn_key=seed[1:]))


@dataclass(frozen=True)
class RateChip:
    """A fast surrogate: the rates of a chip, without its spikes.

    ``x = clip(round(counts gain (W f x_before + offset)) / counts, 0, ceiling)``. Synapses have a
    fixed factor ``f = 1 + N`` (not below 0), units a fixed gain ``1 + N`` and offset ``N``; every
    writing multiplies the gain by another ``1 + N``.

    Attributes:
        sizes: Units of each layer, inputs first.
        seed: Which specimen.
        synapses: Standard deviation of the factors of synapses.
        gains: That of the gains of units.
        offsets: That of their offsets.
        trials: That of what is drawn at every writing.
        counts: Spikes that make an activation of 1.
        ceiling: Activation at which hidden units saturate; outputs do not.
        weight_step: Weight of one digital step.
        largest_weight: Largest digital weight.

    Raises:
        InputError: A value is out of range.

    Source:
        A substrate of our own for the network of Schmitt et al. (2017); ranges of spreads after
        what is known of the wafer (20 % for synapses, a few percent from writing to writing).
    """

    sizes: tuple[int, ...] = (100, 15, 15, 5)
    seed: int = 0
    synapses: float = 0.0
    gains: float = 0.0
    offsets: float = 0.0
    trials: float = 0.0
    counts: float = 20.0
    ceiling: float = 1.5
    weight_step: float = 0.1
    largest_weight: int = 15

    def __post_init__(self) -> None:
        _check_layers(self)
        for name in ("synapses", "gains", "offsets", "trials"):
            in_range(name, getattr(self, name), 0)
        positive("ceiling", self.ceiling)

    @classmethod
    def named(cls, name: str, sizes: Sequence[int], seed: int, **settings) -> RateChip:
        """A specimen with the spreads that go by a name.

        Args:
            name: One of `SPREADS`.
            sizes: Units of each layer, inputs first.
            seed: Which specimen.
            settings: Other attributes.

        Raises:
            InputError: There is no such name, or a value is out of range.
        """
        one_of("name", name, SPREADS)
        return cls(tuple(sizes), seed, *SPREADS[name], **settings)

    @property
    def ceilings(self) -> tuple[float, ...]:
        """Activation at which each layer saturates."""
        return (self.ceiling,) * (len(self.sizes) - 2) + (inf,)

    @cached_property
    def pattern(self) -> list[tuple[Values, Values, Values]]:
        """Factors of synapses (post, pre), gains and offsets of units (post,), of each layer."""
        found = []
        for k, (pre, post) in enumerate(pairwise(self.sizes)):
            factors = 1 + self.synapses * _stream(self.seed, 0, k).standard_normal((post, pre))
            gains = 1 + self.gains * _stream(self.seed, 1, k).standard_normal(post)
            offsets = self.offsets * _stream(self.seed, 2, k).standard_normal(post)
            found.append((np.maximum(factors, 0), gains, offsets))
        return found

    def run(self, weights: Sequence[NDArray], inputs: NDArray, trial: int) -> list[Values]:
        """Activations of each layer, shape (sample, unit), multiples of one count.

        Args:
            weights: Digital weights of each layer, shape (post, pre).
            inputs: Between 0 and 1, shape (sample, input).
            trial: Number of the run, for what differs from one writing to the next.

        Raises:
            InputError: A shape does not fit, or a value is out of range.
        """
        check_run(self.sizes, self.largest_weight, weights, inputs, trial)
        steps = [self.weight_step * np.asarray(w, float) for w in weights]
        return self._layers(steps, np.asarray(inputs, float), trial, np, rounded=True)

    def response(self, weights: Sequence[Any], inputs: Any, trial: int) -> list[Any]:
        """What `run` finds, but of weights in floats and without rounding: differentiable.

        Args:
            weights: Of each layer, in the units of the twin, shape (post, pre).
            inputs: Shape (sample, input).
            trial: Number of the run.
        """
        return self._layers(weights, inputs, trial, jnp, rounded=False)

    def _layers(self, weights, inputs, trial, xp, rounded):
        randomness = _stream(self.seed, 3, trial)
        before, found = inputs, []
        for weight, (factors, gains, offsets), ceiling in zip(
            weights, self.pattern, self.ceilings, strict=True
        ):
            gain = gains * (1 + self.trials * randomness.standard_normal(gains.size))
            value = gain * (before @ (factors * weight).T + offsets)
            if rounded:
                value = xp.rint(value * self.counts) / self.counts
            before = xp.clip(value, 0, ceiling)
            found.append(before)
        return found


NEURON = LIF(
    v_rest=-60.0, cm=0.2, tau_m=10.0, tau_refrac=5.0, v_reset=-60.0, v_thresh=-55.0
)  # mV, nF, ms
RECEPTORS = ConductanceExp(tau_syn_E=5.0, tau_syn_I=5.0, e_rev_E=-20.0, e_rev_I=-100.0)

_VOLTAGES = ("v_rest", "v_reset", "v_thresh", "e_rev_E", "e_rev_I")
_OF_NEURON = ("v_rest", "v_reset", "v_thresh", "tau_m", "tau_refrac", "cm")
_OF_RECEPTORS = ("tau_syn_E", "tau_syn_I", "e_rev_E", "e_rev_I")
_GAP = 0.5  # mV by which a threshold lies above its reset at least
_PIECE = 100  # images of one simulation


@dataclass(frozen=True, eq=False)
class SpikingRateChip:
    """Spiking neurons whose counts are activations, with an excitatory and an inhibitory synapse
    for every connection, of which one is silent.

    Images follow each other; between two of them inputs pause and the neurons relax. Inputs fire
    at `top_rate` times the intensity. A synapse that begins at a neuron is stronger by the ratio
    of rates, so that an activation of 1 counts as much as an intensity of 1.

    Attributes:
        sizes: Units of each layer, inputs first.
        seed: Of what differs from run to run, and of the spikes of inputs.
        neurons: Each parameter one number, or one per unit of all layers, hidden ones first.
        receptors: Likewise.
        gains: For each layer factors of excitatory and of inhibitory synapses, both of shape
            (post, pre); 1 by default.
        rewriting: Spread of what every run adds to a parameter: mV for voltages, relative for
            other parameters and for "synapses".
        conductance: Of one digital step in front of an input. [nS]
        weight_step: Weight of one digital step, as the twin counts it.
        largest_weight: Largest digital weight.
        top_rate: Of an input of intensity 1. [Hz]
        unit_rate: Of a neuron with an activation of 1. [Hz]
        duration: Of an image. [ms]
        pause: Between images. [ms]
        dt: Time step. [ms]
        regular: Inputs at regular intervals instead of Poisson spikes.
        threads: How many parts of a batch run at the same time; results do not depend on it.

    Raises:
        InputError: A value is out of range, or a shape does not fit.

    Source:
        Schmitt et al. (2017): 0.9 s (biological) per image, pairs of synapses, counts as
        activations, from memory. Neurons and conductances are our own choice.
    """

    sizes: tuple[int, ...] = (100, 15, 15, 5)
    seed: int = 0
    neurons: LIF = NEURON
    receptors: ConductanceExp = RECEPTORS
    gains: Sequence[tuple[ArrayLike, ArrayLike]] | None = None
    rewriting: Mapping[str, float] = field(default_factory=dict)
    conductance: float = 0.5
    weight_step: float = 0.1
    largest_weight: int = 15
    top_rate: float = 100.0
    unit_rate: float = 50.0
    duration: float = 900.0
    pause: float = 100.0
    dt: float = 0.5
    regular: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        for name, unit in (
            ("conductance", "nS"), ("top_rate", "Hz"), ("unit_rate", "Hz"), ("duration", "ms"),
            ("dt", "ms"),
        ):  # fmt: skip
            positive(name, getattr(self, name), unit)
        _check_layers(self)
        in_range("pause", self.pause, 0, unit="ms")
        in_range("threads", self.threads, 1)
        for name, spread in self.rewriting.items():
            one_of("rewriting", name, ("synapses", *_OF_NEURON, *_OF_RECEPTORS))
            in_range(f"rewriting[{name!r}]", spread, 0)
        for part in (self.neurons, self.receptors):
            for name in (f.name for f in fields(part)):
                if np.size(getattr(part, name)) != 1:
                    shape(name, getattr(part, name), (self.units,))
        if self.gains is not None:
            if len(self.gains) != len(self.sizes) - 1:
                raise InputError(
                    f"`gains` has {len(self.gains)} layers; it needs {len(self.sizes) - 1}."
                )
            for k, (pre, post) in enumerate(pairwise(self.sizes)):
                for factors in self.gains[k]:
                    shape(f"gains[{k}]", factors, (post, pre))
                    in_range(f"gains[{k}]", factors, 0)

    @classmethod
    def on(
        cls, chip: Chip, sizes: Sequence[int], *, calibrated: bool = True, **settings
    ) -> SpikingRateChip:
        """The network as a specimen of a chip realises it.

        All connections are mapped once, with a synapse for each sign, on neurons of 16 circuits
        and all buses alike. A synapse that finds no place has no strength.

        Args:
            chip: The specimen, as `Chip(brainscales1("reticle"), seed)`.
            sizes: Units of each layer, inputs first.
            calibrated: Whether neurons are calibrated.
            settings: Other attributes; `neurons` and `receptors` are the nominal ones.

        Raises:
            InputError: The chip has no room for the neurons, or cannot be set to them.
        """
        nominal = cls(tuple(sizes), chip.seed, **settings)
        plan, layers, used = Network(), [], 0
        senders = plan.population(sizes[0], SpikeArray([np.zeros(0)] * sizes[0]))
        strength = 1e-3 * nominal.conductance * nominal.largest_weight
        for size in sizes[1:]:
            here = slice(used, used + size)
            parts = (_part(p, here, nominal.units) for p in (nominal.neurons, nominal.receptors))
            neurons = plan.population(size, *parts)
            for receptor, _ in _RECEPTOR:
                plan.project(senders, neurons, AllToAll(), strength, nominal.dt, receptor=receptor)
            layers.append(neurons)
            senders, used = neurons, used + size
        # what varies from run to run is added by `rewriting`
        still = Chip(chip.spec, chip.seed, replace(chip.distortions, trials=False))
        mapped = map_network(
            plan, still, calibrated=calibrated, size=16, spread=True, max_synapse_loss=0.5
        )
        own = [mapped.configured.values[p] for p in layers]

        def realised(part):
            names = [f.name for f in fields(part) if f.name in own[0]]
            return replace(part, **{n: np.concatenate([v[n] for v in own]) for n in names})

        there = [
            ((fate == SET) * chip.gains(len(fate), k)).reshape(p.post.size, p.pre.size)
            for k, (p, fate) in enumerate(zip(plan.projections, mapped.routing.fate, strict=True))
        ]
        quantities, trials = chip.spec.quantities, chip.distortions.trials
        rewriting = {
            name: quantity.trial / (chip.spec.volts[0] if name in _VOLTAGES else 1.0)
            for name, quantity in quantities.items()
            if trials and name in (*_OF_NEURON, *_OF_RECEPTORS)
        }
        return replace(
            nominal,
            neurons=realised(nominal.neurons),
            receptors=realised(nominal.receptors),
            gains=tuple(zip(there[::2], there[1::2], strict=True)),
            rewriting=rewriting,
        )

    @property
    def units(self) -> int:
        """Number of neurons."""
        return sum(self.sizes[1:])

    @property
    def counts(self) -> float:
        """Spikes that make an activation of 1."""
        return self.unit_rate * self.duration * 1e-3

    @property
    def ceilings(self) -> tuple[float, ...]:
        """Activation that the nominal refractory time allows, the same in all layers."""
        tau = float(np.mean(np.asarray(self.neurons.tau_refrac, float)))
        top = inf if tau == 0 else 1e3 / tau / self.unit_rate
        return (top,) * (len(self.sizes) - 1)

    def run(self, weights: Sequence[NDArray], inputs: NDArray, trial: int) -> list[Values]:
        """Activations of each layer, shape (sample, unit), multiples of one count.

        Args:
            weights: Digital weights of each layer, shape (post, pre).
            inputs: Between 0 and 1, shape (sample, input).
            trial: Number of the run, for spikes of inputs and for what every writing adds.

        Raises:
            InputError: A shape does not fit, or a value is out of range.
        """
        check_run(self.sizes, self.largest_weight, weights, inputs, trial)
        inputs = np.asarray(inputs, float)
        randomness = _stream(self.seed, 2, trial)
        draws = {
            name: self.rewriting.get(name, 0.0) * randomness.standard_normal(self.units)
            for name in (*_OF_NEURON, *_OF_RECEPTORS)
        }
        neurons, receptors = (_shifted(p, draws) for p in (self.neurons, self.receptors))
        synapses = self._synapses(weights, randomness)
        # of fixed size, with spikes of their own: threads change nothing
        pieces = [
            (inputs[k : k + _PIECE], _stream(self.seed, 3, trial, k))
            for k in range(0, len(inputs), _PIECE)
        ]

        def one(piece) -> list[Values]:
            return self._shown(neurons, receptors, synapses, *piece)

        if self.threads == 1 or len(pieces) == 1:
            parts = [one(piece) for piece in pieces]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                parts = list(pool.map(one, pieces))
        if not parts:
            return [np.zeros((0, size)) for size in self.sizes[1:]]
        return [np.concatenate(layer) for layer in zip(*parts, strict=True)]

    def transfer(self, drives: ArrayLike, sources: int = 10, repeats: int = 5) -> Values:
        """Activation of every neuron as a function of its drive, shape (drive, unit).

        All neurons get the same spikes through synapses of nominal strength.

        Args:
            drives: Sum of weights times intensities.
            sources: Inputs that share the drive.
            repeats: Images that are averaged.

        Raises:
            InputError: A drive is negative or more than the inputs can bring about.
        """
        top = sources * self.weight_step * self.largest_weight
        drives = np.atleast_1d(np.asarray(drives, float))
        in_range("drives", drives, 0, top)
        weight = max(1, int(np.ceil(drives.max() / (sources * self.weight_step))))
        bank = replace(self, sizes=(sources, self.units), gains=None, rewriting={})
        share = np.repeat(drives, repeats)[:, None] / (sources * weight * self.weight_step)
        weights = np.full((self.units, sources), weight)
        found = bank.run([weights], np.tile(share, sources), 0)[0]
        return found.reshape(drives.size, repeats, self.units).mean(1)

    def _synapses(self, weights, randomness) -> list[list[tuple[str, NDArray, NDArray, Values]]]:
        """For each layer receptor, presynaptic and postsynaptic unit, and conductance [uS]."""
        found = []
        for k, digital in enumerate(np.asarray(w) for w in weights):
            per_step = 1e-3 * self.conductance
            per_step *= 1.0 if k == 0 else self.top_rate / self.unit_rate
            spread = self.rewriting.get("synapses", 0.0)
            noise = np.maximum(1 + spread * randomness.standard_normal(digital.shape), 0)
            layer = []
            for sign, (receptor, place) in zip((1, -1), _RECEPTOR, strict=True):
                post, pre = np.nonzero(sign * digital > 0)
                strength = per_step * np.abs(digital[post, pre]) * noise[post, pre]
                if self.gains is not None:
                    strength = strength * np.asarray(self.gains[k][place], float)[post, pre]
                if post.size:
                    layer.append((receptor, pre, post, strength))
            found.append(layer)
        return found

    def _shown(self, neurons, receptors, synapses, inputs, randomness) -> list[Values]:
        """Activations of a few images, one after the other."""
        slot = self.duration + self.pause
        plan = Network()
        senders = plan.population(self.sizes[0], SpikeArray(self._trains(inputs, randomness)))
        populations, used = [], 0
        for size, layer in zip(self.sizes[1:], synapses, strict=True):
            here = slice(used, used + size)
            model = (_part(part, here, self.units) for part in (neurons, receptors))
            population = plan.population(size, *model)
            for receptor, pre, post, strength in layer:
                plan.project(
                    senders, population, FromArrays(pre, post), strength, self.dt, receptor=receptor
                )
            populations.append(population)
            senders, used = population, used + size
        record = Simulation(plan, self.dt).run(len(inputs) * slot + self.dt)
        found = []
        for population in populations:
            time, unit = record.spikes(population)
            image = np.minimum((time / slot).astype(int), len(inputs) - 1)
            index = image * population.size + unit
            totals = np.bincount(index, minlength=len(inputs) * population.size)
            found.append(totals.reshape(len(inputs), population.size) / self.counts)
        return found

    def _trains(self, inputs, randomness) -> list[Values]:
        """Spike times of every input. [ms]"""
        slot, top = self.duration + self.pause, self.top_rate * self.duration * 1e-3
        trains = []
        for column in inputs.T:
            if self.regular:
                phase = randomness.random(column.size)
                number = np.ceil(np.maximum(column * top - phase, 0)).astype(int)
                image = np.repeat(np.arange(column.size), number)
                nth = np.arange(image.size) - np.repeat(np.cumsum(number) - number, number)
                when = (nth + phase[image]) / (column[image] * top) * self.duration
            else:
                number = randomness.poisson(column * top)
                image = np.repeat(np.arange(column.size), number)
                when = self.duration * randomness.random(image.size)
            trains.append(np.sort(image * slot + when) + self.dt)  # on the grid, not at 0
        return trains


_RECEPTOR = (("excitatory", 0), ("inhibitory", 1))


def _shifted(part: Any, draws: Mapping[str, Values]) -> Any:
    """Neurons or receptors with deviations added: mV to voltages, logarithms to others."""
    changed = {}
    for name in (f.name for f in fields(part) if f.name in draws):
        value = np.asarray(getattr(part, name), float)
        add = name in _VOLTAGES
        changed[name] = value + draws[name] if add else value * np.exp(draws[name])
    if "v_reset" in changed:
        changed["v_reset"] = np.minimum(changed["v_reset"], changed["v_thresh"] - _GAP)
    return replace(part, **changed)


def _part(part: Any, here: slice, units: int) -> Any:
    """Parameters of some units."""
    found = {}
    for name in (f.name for f in fields(part)):
        value = np.asarray(getattr(part, name), float).reshape(-1)
        found[name] = np.broadcast_to(value, units)[here]
    return replace(part, **found)


def _check_layers(chip: RateChip | SpikingRateChip) -> None:
    in_range("sizes", chip.sizes, 1)
    if len(chip.sizes) < 2:
        raise InputError(f"`sizes` is {chip.sizes}; it needs inputs and at least one layer.")
    in_range("seed", chip.seed, 0)
    positive("counts", chip.counts)
    positive("weight_step", chip.weight_step)
    in_range("largest_weight", chip.largest_weight, 1)
