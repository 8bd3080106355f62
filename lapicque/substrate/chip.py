"""One specimen of a chip: its fixed pattern, what it realises, and what it lets one see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, one_of
from lapicque.substrate.spec import ChipSpec

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Distortions:
    """Which ways of being imperfect are on; with all off a chip is the ideal simulator.

    Attributes:
        pattern: Fixed pattern of neurons.
        synapses: Fixed pattern of synapses and delay elements.
        trials: What is drawn anew at every run.
        codes: Settings in whole codes; without it they are realised exactly as wanted.
        weights: Weights in whole steps, clipped.
    """

    pattern: bool = True
    synapses: bool = True
    trials: bool = True
    codes: bool = True
    weights: bool = True

    @classmethod
    def none(cls) -> Distortions:
        """The ideal."""
        return cls(False, False, False, False, False)


class Chip:
    """A specimen, the same for the same seed.

    Args:
        spec: What kind of chip.
        seed: Which specimen.
        distortions: What is on.

    Attributes:
        pattern: Deviation of each quantity, for each neuron, in units of its spread.

    Raises:
        InputError: `seed` is negative.
    """

    def __init__(self, spec: ChipSpec, seed: int, distortions: Distortions | None = None):
        in_range("seed", seed, 0)
        self.spec, self.seed = spec, int(seed)
        self.distortions = Distortions() if distortions is None else distortions
        # one stream per quantity: adding one leaves the others as they were
        self.pattern = {
            name: self._stream(k).standard_normal(spec.neurons)
            for k, name in enumerate(spec.quantities)
        }
        self.reading_offset = spec.reading_offset * self._stream(100).standard_normal(spec.neurons)
        if not self.distortions.pattern:
            self.pattern = {name: np.zeros(spec.neurons) for name in spec.quantities}
            self.reading_offset = np.zeros(spec.neurons)
        count = 0 if spec.delays is None else spec.delays.count
        self.delay_pattern = self._stream(101).standard_normal(count)

    def _stream(self, k: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(k,)))

    def realise(
        self, name: str, codes: ArrayLike, trial: np.random.Generator | None = None
    ) -> Values:
        """What the circuits make of their codes, shape (neurons,).

        Args:
            name: Of the quantity.
            codes: One per neuron.
            trial: Randomness of this run; without it the mean over runs.
        """
        one_of("name", name, self.spec.quantities)
        quantity = self.spec.quantities[name]
        deviation = quantity.spread * self.pattern[name]
        if trial is not None and self.distortions.trials:
            deviation = deviation + quantity.trial * trial.standard_normal(self.spec.neurons)
        nominal = quantity.nominal(codes)
        return nominal * np.exp(deviation) if quantity.multiplies else nominal + deviation

    def synapse_gains(self, pre: int, post: int, place: int = 0) -> Values:
        """Fixed factors of the synapses of a projection, shape (post, pre)."""
        if not self.distortions.synapses:
            return np.ones((post, pre))
        draws = self._stream(200 + place).standard_normal((post, pre))
        return np.maximum(1 + self.spec.synapse_spread * draws, 0)

    def read(self, potentials: Values, repeats: int, trial: np.random.Generator) -> Values:
        """Mean of repeated readings of potentials [LSB], each rounded and clipped.

        Args:
            potentials: Shape (..., neurons).
            repeats: How many readings are averaged.
            trial: Randomness of the readings.
        """
        top = 2**self.spec.reading_bits - 1
        total = np.zeros(potentials.shape)
        for _ in range(repeats):
            noise = self.spec.reading_noise * trial.standard_normal(potentials.shape)
            total += np.clip(np.rint(potentials + self.reading_offset + noise), 0, top)
        return total / repeats
