"""One specimen of a chip: its fixed pattern, what it realises, and what it lets one see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, one_of
from lapicque.substrate.spec import KINDS, ChipSpec

Values = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Distortions:
    """Which ways of being imperfect are on; with all off a chip is the ideal simulator.

    Attributes:
        pattern: Fixed pattern of neurons and rows, and circuits that cannot be used.
        synapses: Fixed pattern of single synapses and delay elements.
        trials: What is drawn anew at every run.
        codes: Settings in whole codes and shared where circuits share them; without it they are
            realised exactly as wanted.
        weights: Weights in whole steps, clipped.
        delays: Delays as the chip has them, not as wanted.
        links: Spikes get lost where links are too slow.
    """

    pattern: bool = True
    synapses: bool = True
    trials: bool = True
    codes: bool = True
    weights: bool = True
    delays: bool = True
    links: bool = True

    @classmethod
    def none(cls) -> Distortions:
        """The ideal."""
        return cls(False, False, False, False, False, False, False)


class Chip:
    """A specimen, the same for the same seed.

    Args:
        spec: What kind of chip.
        seed: Which specimen.
        distortions: What is on.

    Raises:
        InputError: `seed` is negative.
    """

    def __init__(self, spec: ChipSpec, seed: int = 0, distortions: Distortions | None = None):
        in_range("seed", seed, 0)
        self.spec, self.seed = spec, int(seed)
        self.distortions = Distortions() if distortions is None else distortions
        self._patterns: dict[str, Values] = {}
        count = 0 if spec.delays is None else spec.delays.count
        self.delay_pattern = self._stream(101).standard_normal(count)

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def pattern(self, name: str) -> Values:
        """Deviations of a quantity in units of its spread, one per circuit (or row).

        Raises:
            InputError: There is no such quantity.
        """
        one_of("name", name, self.spec.quantities)
        if name not in self._patterns:
            n = self.spec.places(self.spec.quantities[name].place)
            # one stream per quantity: adding one leaves the others as they were
            drawn = self._stream(list(KINDS).index(name)).standard_normal(n)
            self._patterns[name] = drawn if self.distortions.pattern else np.zeros(n)
        return self._patterns[name]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which circuits are not defective, shape (circuits,)."""
        if not self.distortions.pattern:
            return np.ones(self.spec.circuits, bool)
        return self._stream(102).random(self.spec.circuits) >= self.spec.defects

    @cached_property
    def reading_offset(self) -> Values:
        """Offset of each read-out channel, shape (circuits,)."""
        if not self.distortions.pattern:
            return np.zeros(self.spec.circuits)
        return self.spec.reading.offset * self._stream(100).standard_normal(self.spec.circuits)

    def realise(
        self,
        name: str,
        codes: ArrayLike,
        trial: np.random.Generator | None = None,
        where: Index | None = None,
    ) -> Values:
        """What the circuits make of their codes, in the unit of the quantity.

        Args:
            name: Of the quantity.
            codes: One, or one for each circuit.
            trial: Randomness of this run; without it the mean over runs.
            where: Which circuits (or rows); all by default.
        """
        pattern = self.pattern(name)
        quantity = self.spec.quantities[name]
        pattern = pattern if where is None else pattern[where]
        deviation = quantity.spread * pattern
        if trial is not None and self.distortions.trials:
            deviation = deviation + quantity.trial * trial.standard_normal(pattern.shape)
        nominal = quantity.nominal(codes)
        return nominal * np.exp(deviation) if quantity.multiplies else nominal + deviation

    def synapse_gains(self, pre: int, post: int, place: int = 0) -> Values:
        """Fixed factors of the synapses of a projection, shape (post, pre)."""
        return self.gains(post * pre, place).reshape(post, pre)

    def gains(self, n: int, place: int) -> Values:
        """Fixed factors of the synapses in a certain place of the chip, shape (n,)."""
        if not self.distortions.synapses:
            return np.ones(n)
        draws = self._stream(200 + place).standard_normal(n)
        return np.maximum(1 + self.spec.synapse_spread * draws, 0)

    def read(
        self,
        potentials: Values,
        repeats: int,
        trial: np.random.Generator,
        where: Index | None = None,
    ) -> Values:
        """Mean of repeated readings of potentials, each rounded and clipped.

        Args:
            potentials: In the unit of potentials, shape (..., circuits).
            repeats: How many readings are averaged.
            trial: Randomness of the readings.
            where: Which circuits; all by default.
        """
        reading = self.spec.reading
        offset = self.reading_offset if where is None else self.reading_offset[where]
        total = np.zeros(potentials.shape)
        for _ in range(repeats):
            noise = reading.noise * trial.standard_normal(potentials.shape)
            steps = np.rint((potentials + offset + noise) / reading.step)
            total += reading.step * np.clip(steps, 0, 2**reading.bits - 1)
        return total / repeats
