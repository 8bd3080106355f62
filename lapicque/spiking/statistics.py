"""What spike trains of a population have in common with noise, and with each other.

Spikes are anything with arrays `time` [ms] and `id`, such as a recording gives. A spike that a
simulation finds at the end of a step belongs to that step; so a window holds the spikes *after* its
`start`, up to and including its `stop`.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lapicque._checks import InputError, in_range, positive, shape

_SLACK = 1e-6  # ms; times on a grid are not exact


class Events(Protocol):
    """Times and units, sorted by time."""

    @property
    def time(self) -> NDArray[np.float64]: ...  # ms

    @property
    def id(self) -> NDArray[np.int64]: ...


class Correlation(NamedTuple):
    """Correlations of spike counts."""

    mean: float  # over all pairs of units whose count varies; nan if there are none
    matrix: NDArray[np.float64]  # (unit, unit); nan for units whose count is constant


class PopulationRate(NamedTuple):
    """The rate of a population as a function of time."""

    time: NDArray[np.floating]  # ms; middle of each bin
    rate: NDArray[np.floating]  # Hz per unit


class Interval(NamedTuple):
    """A mean and the interval around it."""

    mean: float
    low: float
    high: float


def rates(spikes: Events, size: int, start: float, stop: float) -> NDArray[np.float64]:
    """Spikes of each unit per time.

    Args:
        spikes: Of a population.
        size: Number of units.
        start: Beginning of the window [ms].
        stop: End of the window [ms].

    Returns:
        Rates of shape (size,) [Hz].

    Raises:
        InputError: The window is empty, or a spike belongs to no unit.
    """
    return counts(spikes, size, stop - start, start, stop)[0] * (1000.0 / (stop - start))


def counts(
    spikes: Events,
    size: int,
    bin: float,
    start: float,
    stop: float,
    neurons: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Numbers of spikes in bins.

    Args:
        spikes: Of a population.
        size: Number of units.
        bin: Width of a bin [ms]; a rest of the window shorter than that is left out.
        start: Beginning of the window [ms].
        stop: End of the window [ms].
        neurons: Which units; all by default.

    Returns:
        Counts of shape (time, neuron).

    Raises:
        InputError: The window is shorter than a bin, or a spike or a neuron belongs to no unit.
    """
    chosen = np.arange(size) if neurons is None else np.atleast_1d(neurons)
    in_range("neurons", chosen, 0, size - 1)
    row, unit, n_bins = _binned(spikes, size, bin, start, stop)
    column = np.full(size, -1)
    column[chosen] = np.arange(len(chosen))
    taken = column[unit] >= 0
    flat = row[taken] * len(chosen) + column[unit[taken]]
    found = np.bincount(flat, minlength=n_bins * len(chosen))
    return found.reshape(n_bins, len(chosen)).astype(float)


def population_rate(
    spikes: Events, size: int, bin: float, start: float, stop: float
) -> PopulationRate:
    """The rate of a population in bins.

    Args:
        spikes: Of a population.
        size: Number of units.
        bin: Width of a bin [ms]; a rest of the window shorter than that is left out.
        start: Beginning of the window [ms].
        stop: End of the window [ms].

    Raises:
        InputError: The window is shorter than a bin, or a spike belongs to no unit.
    """
    row, _, n_bins = _binned(spikes, size, bin, start, stop)
    time = start + bin * (np.arange(n_bins) + 0.5)
    return PopulationRate(time, np.bincount(row, minlength=n_bins) * (1000.0 / (bin * size)))


def cv(spikes: Events, size: int, at_least: int = 3) -> NDArray[np.float64]:
    """Coefficient of variation of the intervals between the spikes of each unit.

    It is 0 for a clock and 1 for a Poisson process.

    Args:
        spikes: Of a population.
        size: Number of units.
        at_least: Fewest intervals that count.

    Returns:
        Standard deviation over mean, shape (size,); `nan` for units with fewer intervals.

    Raises:
        InputError: `at_least` is below 1, or a spike belongs to no unit.
    """
    in_range("at_least", at_least, 1)
    time, unit = _checked(spikes, size)
    order = np.lexsort((time, unit))
    time, unit = time[order], unit[order]
    inside = unit[1:] == unit[:-1]
    interval, owner = np.diff(time)[inside], unit[1:][inside]
    number = np.bincount(owner, minlength=size)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(owner, interval, size) / number
        variance = np.bincount(owner, (interval - mean[owner]) ** 2, size) / number
        found = np.sqrt(variance) / mean
    return np.where(number >= at_least, found, np.nan)


def fano(spikes: Events, size: int, bin: float, start: float, stop: float) -> NDArray[np.float64]:
    """Variance over mean of the spike counts of each unit; 1 for a Poisson process.

    Args:
        spikes: Of a population.
        size: Number of units.
        bin: Width of a bin [ms].
        start: Beginning of the window [ms].
        stop: End of the window [ms].

    Returns:
        Shape (size,); `nan` for silent units.

    Raises:
        InputError: The window holds less than two bins, or a spike belongs to no unit.
    """
    found = _several(counts(spikes, size, bin, start, stop))
    with np.errstate(invalid="ignore"):
        return found.var(0, ddof=1) / found.mean(0)


def correlation(
    spikes: Events,
    size: int,
    bin: float,
    start: float,
    stop: float,
    neurons: ArrayLike | None = None,
) -> Correlation:
    """Pearson's correlation of the spike counts of all pairs of units.

    Args:
        spikes: Of a population.
        size: Number of units.
        bin: Width of a bin [ms].
        start: Beginning of the window [ms].
        stop: End of the window [ms].
        neurons: Which units; all by default. The matrix grows with the square of their number.

    Raises:
        InputError: The window holds less than two bins, or a spike or a neuron belongs to no unit.
    """
    found = _several(counts(spikes, size, bin, start, stop, neurons))
    found -= found.mean(0)
    norm = np.sqrt((found**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = (found.T @ found) / np.outer(norm, norm)
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    known = pairs[np.isfinite(pairs)]
    return Correlation(float(known.mean()) if known.size else np.nan, matrix)


def interval(samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student's interval of confidence for the mean of independent samples, such as seeds.

    Raises:
        InputError: There are less than two samples, or `confidence` lies outside (0, 1).
    """
    return _student(samples, confidence, 0.0)


def prediction(samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student's interval in which one more sample falls with this confidence.

    It is what a single run is compared with: ``mean +- t s sqrt(1 + 1 / n)``, for samples from one
    normal distribution.

    Raises:
        InputError: There are less than two samples, or `confidence` lies outside (0, 1).
    """
    return _student(samples, confidence, 1.0)


def _student(samples: ArrayLike, confidence: float, extra: float) -> Interval:
    values = np.asarray(samples, dtype=float)
    shape("samples", values, (None,))
    in_range("samples", values)
    if not 0 < confidence < 1:
        raise InputError(f"`confidence` is {confidence:g}; it must lie between 0 and 1.")
    n = len(values)
    if n < 2:
        raise InputError(f"`samples` holds {n} values; a spread needs at least 2.")
    half = stdtrit(n - 1, 0.5 + confidence / 2) * values.std(ddof=1) * np.sqrt(extra + 1 / n)
    mean = values.mean()
    return Interval(float(mean), float(mean - half), float(mean + half))


def _binned(spikes: Events, size: int, bin: float, start: float, stop: float):
    """Bin and unit of each spike in the window, and the number of bins."""
    in_range("start", start, unit="ms")
    in_range("stop", stop, unit="ms")
    if not stop > start:
        raise InputError(f"The window from {start:g} to {stop:g} ms is empty.")
    positive("bin", bin, "ms")
    n_bins = int((stop - start + _SLACK) / bin)
    if n_bins < 1:
        raise InputError(
            f"The window from {start:g} to {stop:g} ms is shorter than a bin of {bin:g} ms."
        )
    time, unit = _checked(spikes, size)
    row = np.ceil((time - start - _SLACK) / bin).astype(np.int64) - 1
    inside = (row >= 0) & (row < n_bins)
    return row[inside], unit[inside], n_bins


def _checked(spikes: Events, size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    in_range("size", size, 1)
    time, unit = np.asarray(spikes.time, dtype=float), np.asarray(spikes.id, dtype=np.int64)
    in_range("id", unit, 0, size - 1)
    return time, unit


def _several(found: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(found) < 2:
        raise InputError("The window holds one bin; a spread over bins needs at least 2.")
    return found
