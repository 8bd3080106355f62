"""What samples say: distributions, distances from a target, mixing; with error bars.

States have shape (samples, units) or (samples, chains, units), as `Chains.run` gives them, and
series of numbers (samples,) or (samples, chains). Successive samples of a chain depend on each
other; standard errors count as many samples as would say the same if they were independent.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from lapicque._checks import InputError, finite, in_range, positive, shape
from lapicque.sampling.target import LARGEST, index


class Estimate(NamedTuple):
    """Values and their standard errors."""

    value: NDArray[np.float64]
    error: NDArray[np.float64]


# -- distributions -------------------------------------------------------------------------------


def empirical(states: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of each of the 2^n states, in the order of `target.states`.

    Args:
        states: Of shape (..., n).
        weights: Of shape (...), at least 0; by default all samples count the same.

    Raises:
        InputError: There are no samples or too many units, or the weights do not fit.
    """
    z = np.asarray(states)
    n = _units(z)
    counts = None if weights is None else np.asarray(weights, float)
    if counts is not None:
        shape("weights", counts, z.shape[:-1])
        in_range("weights", counts, 0)
        counts = counts.ravel()
    found = np.bincount(index(z).ravel(), counts, 2**n)
    if not found.sum() > 0:
        raise InputError("`states` holds no sample of positive weight.")
    return found / found.sum()


def kl(p: ArrayLike, q: ArrayLike) -> float:
    """``D_KL(p || q) = sum p log(p / q)``, infinite where q is 0 and p is not.

    With samples as `p` and the target as `q`, states that were not visited drop out.

    Raises:
        InputError: The shapes differ, or a value is negative or not finite.
    """
    p, q = _two(p, q)
    here = p > 0
    if (q[here] == 0).any():
        return float("inf")
    return float(np.sum(p[here] * (np.log(p[here]) - np.log(q[here]))))


def kl_floor(n_states: int, n_eff: ArrayLike) -> NDArray[np.float64]:
    """Expected ``D_KL(samples || target)`` of a perfect sampler, ``(n_states - 1) / (2 n_eff)``.

    Args:
        n_states: States that the target visits, 2^n for n units.
        n_eff: Independent samples; the formula holds for many per state.

    Raises:
        InputError: A number is too small.
    """
    in_range("n_states", n_states, 1)
    positive("n_eff", n_eff)
    return (n_states - 1) / (2 * np.asarray(n_eff, float))


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """``sum |p - q| / 2``: 0 for equal, 1 for disjoint distributions.

    Raises:
        InputError: The shapes differ, or a value is negative or not finite.
    """
    p, q = _two(p, q)
    return float(np.abs(p - q).sum() / 2)


def kl_in_time(
    states: ArrayLike, target_probabilities: ArrayLike, at: ArrayLike
) -> NDArray[np.float64]:
    """``D_KL(samples so far || target)`` of each chain.

    Args:
        states: Of shape (samples, units) or (samples, chains, units).
        target_probabilities: Of all states, (2^n,).
        at: Growing numbers of samples per chain, (times,).

    Returns:
        Of shape (times,) or (times, chains); the spread over chains is the error bar.

    Raises:
        InputError: There are too many units, or `at` does not grow or exceeds the samples.
    """
    z = np.asarray(states)
    n = _units(z)
    q = np.asarray(target_probabilities, float)
    shape("target_probabilities", q, (2**n,))
    ends = _growing(at, len(z))
    chained = z if z.ndim == 3 else z[:, None]
    place = index(chained) + 2**n * np.arange(chained.shape[1])
    counts = np.zeros((chained.shape[1], 2**n))
    out, start = np.empty((len(ends), chained.shape[1])), 0
    for k, end in enumerate(ends):
        counts += np.bincount(place[start:end].ravel(), minlength=counts.size).reshape(counts.shape)
        out[k] = [kl(row / end, q) for row in counts]
        start = end
    return out if z.ndim == 3 else out[:, 0]


# -- means with standard errors ------------------------------------------------------------------


def effective_size(series: ArrayLike) -> NDArray[np.float64]:
    """Independent samples that would give the mean of each chain as precisely.

    ``samples / tau`` with ``tau = 1 + 2 sum_t rho(t)``, summed up to where the sums of two
    neighbouring autocorrelations would become negative or grow. 1 for a chain that never moves.

    Args:
        series: Of shape (samples,) or (samples, chains).

    Returns:
        Of shape () or (chains,).

    Raises:
        InputError: There are fewer than 4 samples, or a value is not finite.

    Source: Geyer (1992), initial monotone sequence.
    """
    x = _series(series)
    found = np.array([len(x) / _tau(x[:, [k]]) for k in range(x.shape[1])])
    return found if np.ndim(series) == 2 else found[0]


def mean(series: ArrayLike) -> Estimate:
    """Mean over samples and chains, with the standard error that their dependence leaves.

    Chains that sit in different places make the error large, however many samples each has.

    Raises:
        InputError: There are fewer than 4 samples, or a value is not finite.
    """
    x = _series(series)
    return Estimate(x.mean(), np.sqrt(x.var() * _tau(x) / x.size))


def marginals(states: ArrayLike) -> Estimate:
    """Mean of each unit, shape (units,), with standard errors.

    Raises:
        InputError: There are fewer than 4 samples.
    """
    z = _chained(states)
    return _stack([mean(z[..., k]) for k in range(z.shape[2])])


def correlations(states: ArrayLike) -> Estimate:
    """Correlation coefficient of each two units, shape (units, units), with standard errors.

    It is 0 (and so is its error) for a unit that never changes; 1 on the diagonal.

    Raises:
        InputError: There are fewer than 4 samples.

    Source: errors to first order in the deviations of means, variances and products.
    """
    z = _chained(states).astype(float)
    z -= z.mean((0, 1))
    spread = z.std((0, 1))
    z /= np.where(spread > 0, spread, 1)
    n = z.shape[2]
    value, error = np.diag((spread > 0).astype(float)), np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            r = np.mean(z[..., i] * z[..., j])
            influence = z[..., i] * z[..., j] - r / 2 * (z[..., i] ** 2 + z[..., j] ** 2)
            value[i, j] = value[j, i] = r
            error[i, j] = error[j, i] = mean(influence).error
    return Estimate(value, error)


def _tau(x: NDArray[np.float64]) -> float:
    """Integrated autocorrelation time of chains around their common mean; (samples, chains)."""
    samples = len(x)
    x = x - x.mean()
    if not (np.abs(x) > 0).any():
        return float(samples)
    size = 1 << (2 * samples - 1).bit_length()
    covariance = np.zeros(size)
    for k in range(x.shape[1]):
        covariance += np.fft.irfft(np.abs(np.fft.rfft(x[:, k], size)) ** 2, size)
    rho = covariance[:samples] / covariance[0]
    even = samples // 2 * 2
    pairs = rho[:even].reshape(-1, 2).sum(1)
    stop = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: stop[0] if len(stop) else None])
    tau = 2 * pairs.sum() - 1
    # Chains that alternate beat independent ones; how far is not resolved by a finite series.
    return float(np.clip(tau, 1 / max(1.0, np.log10(samples)), samples))


# -- mixing --------------------------------------------------------------------------------------


def switches(labels: ArrayLike) -> NDArray[np.int64]:
    """How often each chain goes from one mode to another.

    Args:
        labels: Mode of each sample, (samples,) or (samples, chains); a negative one stands for a
            state between modes and is passed over.

    Returns:
        Of shape () or (chains,).
    """
    given = _labels(labels)
    found = np.array([len(_visits(column)[0]) - 1 for column in given.T]).clip(0)
    return found if np.ndim(labels) == 2 else found[0]


class Dwells(NamedTuple):
    """Visits to modes that were seen from their beginning to their end."""

    labels: NDArray[np.int64]  # (visits,)
    times: NDArray[np.float64]  # (visits,), in the unit of the interval


def dwell_times(labels: ArrayLike, interval: float = 1.0) -> Dwells:
    """How long chains stay in a mode, until they reach another one.

    The first and the last visit of each chain are cut off by the record and left out.

    Args:
        labels: As for `switches`.
        interval: Time between two samples, such as 10 ms.

    Raises:
        InputError: The interval is not positive.
    """
    positive("interval", interval)
    modes, times = [np.zeros(0, np.int64)], [np.zeros(0)]
    for column in _labels(labels).T:
        mode, start = _visits(column)
        modes.append(mode[1:-1])
        times.append(np.diff(start)[1:] * interval)
    return Dwells(np.concatenate(modes), np.concatenate(times))


def _visits(column: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Modes in the order they are visited, and where each visit starts."""
    decided = np.flatnonzero(column >= 0)
    modes = column[decided]
    new = np.concatenate([[True], modes[1:] != modes[:-1]]) if len(modes) else modes.astype(bool)
    return modes[new], decided[new]


# -- likelihood ----------------------------------------------------------------------------------


def isl(samples: ArrayLike, data: ArrayLike, beta: float = 0.95) -> Estimate:
    """Indirect sampling likelihood: mean log-likelihood of data under smeared-out samples.

    ``log p(y) = log mean_s prod_i beta^[x_si = y_i] (1 - beta)^[x_si != y_i]`` [nats].

    Args:
        samples: Binary, (..., units).
        data: Binary, (vectors, units).
        beta: Probability with which a unit of a sample is kept.

    Returns:
        The mean over data, and its standard error from the spread over data.

    Raises:
        InputError: The shapes do not fit, or `beta` does not lie between 0.5 and 1.

    Source: Breuleux, Bengio & Vincent (2011).
    """
    x = np.asarray(samples)
    curve = isl_in_time(x, data, [x[..., 0].size], beta)
    return Estimate(curve.value[0], curve.error[0])


def isl_in_time(samples: ArrayLike, data: ArrayLike, at: ArrayLike, beta: float = 0.95) -> Estimate:
    """`isl` of the first `at` samples, growing numbers of shape (times,); see there.

    Chains count one after the other at each time.
    """
    x, y = np.asarray(samples), np.asarray(data)
    if x.ndim < 2:
        raise InputError(f"`samples` has shape {x.shape}; it must have shape (..., units).")
    shape("data", y, (None, x.shape[-1]))
    in_range("beta", beta, 0.5, np.nextafter(1, 0))
    if not len(y):
        raise InputError("`data` holds no vector.")
    flat, units = x.reshape(-1, x.shape[-1]), x.shape[-1]
    ends, start = _growing(at, len(flat)), 0
    y = y.astype(np.float32)
    ones, penalty = y.sum(1), np.log(1 - beta) - np.log(beta)
    total = np.full(len(y), -np.inf)  # log of the sum over samples
    value, error = np.empty(len(ends)), np.full(len(ends), np.nan)
    piece = max(1, 4_000_000 // len(y))
    for k, end in enumerate(ends):
        for first in range(start, end, piece):
            part = flat[first : min(end, first + piece)].astype(np.float32)
            differ = part.sum(1)[:, None] + ones - 2 * (part @ y.T)
            total = np.logaddexp(total, logsumexp(penalty * differ.astype(float), axis=0))
        each = units * np.log(beta) + total - np.log(end)
        value[k] = each.mean()
        if len(y) > 1:
            error[k] = each.std(ddof=1) / np.sqrt(len(y))
        start = end
    return Estimate(value, error)


# -- checks --------------------------------------------------------------------------------------


def _units(z: NDArray) -> int:
    if z.ndim < 1 or not z.size:
        raise InputError(f"`states` has shape {z.shape}; it must hold samples of units.")
    if z.shape[-1] > LARGEST:
        raise InputError(
            f"`states` has {z.shape[-1]} units; their joint distribution has 2^{z.shape[-1]} "
            f"entries. At most {LARGEST} units can be counted; choose some."
        )
    return z.shape[-1]


def _two(p: ArrayLike, q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, q = np.asarray(p, float), np.asarray(q, float)
    shape("q", q, p.shape)
    in_range("p", p, 0)
    in_range("q", q, 0)
    return p, q


def _series(series: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(series, float)
    if x.ndim not in (1, 2) or len(x) < 4:
        raise InputError(
            f"`series` has shape {x.shape}; it must have shape (samples,) or (samples, chains) "
            "with at least 4 samples."
        )
    finite("series", x)
    return x if x.ndim == 2 else x[:, None]


def _chained(states: ArrayLike) -> NDArray:
    z = np.asarray(states)
    if z.ndim not in (2, 3):
        raise InputError(
            f"`states` has shape {z.shape}; it must have shape (samples, units) or "
            "(samples, chains, units)."
        )
    return z if z.ndim == 3 else z[:, None]


def _labels(labels: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(labels)
    if given.ndim not in (1, 2) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"`labels` has shape {given.shape} and type {given.dtype}; it must be integers of "
            "shape (samples,) or (samples, chains)."
        )
    return given.astype(np.int64) if given.ndim == 2 else given[:, None].astype(np.int64)


def _growing(at: ArrayLike, largest: int) -> NDArray[np.int64]:
    ends = np.atleast_1d(np.asarray(at, np.int64))
    in_range("at", ends, 1, largest)
    if (np.diff(ends) <= 0).any():
        raise InputError("`at` must grow.")
    return ends


def _stack(found: list[Estimate]) -> Estimate:
    return Estimate(np.array([e.value for e in found]), np.array([e.error for e in found]))
