"""Spike sources: units that fire without being told to by others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lapicque._checks import InputError, finite, in_range, positive, shape


@dataclass(frozen=True)
class SpikeArray:
    """Given spike times [ms], one sequence per unit; they are rounded to the grid of `dt`.

    Raises:
        InputError: A time is not finite or not above 0.
    """

    times: Sequence[ArrayLike]

    def __post_init__(self):
        for i, times in enumerate(self.times):
            positive(f"times[{i}]", times, "ms")


@dataclass(frozen=True)
class Poisson:
    """Poisson spikes of constant rate between `start` and `start + duration`.

    Raises:
        InputError: A rate or a time is negative.
    """

    rate: ArrayLike = 1.0  # Hz; one number or one per unit
    start: float = 0.0  # ms
    duration: float = np.inf  # ms

    def __post_init__(self):
        in_range("rate", self.rate, 0, unit="Hz")
        in_range("start", self.start, 0, unit="ms")
        if not self.duration >= 0:
            raise InputError(f"`duration` is {self.duration:g} ms; it must be at least 0 ms.")


@dataclass(frozen=True)
class PiecewisePoisson:
    """Poisson spikes whose rate is `rates[k]` from `times[k]` to `times[k + 1]`, the same for all.

    Raises:
        InputError: Times do not rise, shapes differ, or a rate is negative.
    """

    times: ArrayLike  # ms; the rate is 0 before the first
    rates: ArrayLike  # Hz

    def __post_init__(self):
        times = np.asarray(self.times, float)
        shape("times", times, (None,))
        shape("rates", self.rates, (len(times),))
        in_range("times", times, 0, unit="ms")
        in_range("rates", self.rates, 0, unit="Hz")
        if (np.diff(times) <= 0).any():
            raise InputError("`times` must rise from entry to entry.")


@dataclass(frozen=True)
class SinusoidalPoisson:
    """Poisson spikes of rate ``max(0, rate + amplitude sin(2 pi frequency t + phase))``.

    Raises:
        InputError: `rate` or `frequency` is negative, or a value is not finite.
    """

    rate: float = 1.0  # Hz
    amplitude: float = 0.0  # Hz
    frequency: float = 1.0  # Hz
    phase: float = 0.0  # rad

    def __post_init__(self):
        in_range("rate", self.rate, 0, unit="Hz")
        in_range("frequency", self.frequency, 0, unit="Hz")
        finite("amplitude", self.amplitude)
        finite("phase", self.phase)


Rate = Poisson | PiecewisePoisson | SinusoidalPoisson
Source = SpikeArray | Rate
