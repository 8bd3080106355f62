"""Binary networks with asynchronous updates: machines that sample, and the noise that lets them.

Units are 0 or 1. At each step one unit, drawn at random from all, looks at its input and decides
anew. A unit of a machine that has no randomness of its own is on when ``h + xi >= 0``, with the
field ``h = W z + b`` and the noise ``xi`` that it receives: a weighted sum of other units, random
or themselves deterministic. All quantities are dimensionless; time is counted in updates per unit.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import erfc, expit

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.sampling.target import Boltzmann, states

MATCHING = {"slope": np.sqrt(8 / np.pi), "integral": np.log(2) * np.sqrt(2 * np.pi)}
"""Inverse temperature of a threshold unit with Gaussian noise, times the noise's spread.

The error function has the slope of the logistic function at threshold, or its integral; the first
is better for weak weights, the second for strong ones.
"""

_LOGISTIC, _GAUSSIAN, _THRESHOLD, _COIN = range(4)  # kinds of units


class Drive(NamedTuple):
    """What a unit receives as noise."""

    mean: float
    sd: float
    correlation: float  # between two units, on average


@dataclass(frozen=True)
class Sources:
    """The sources of noise, of which some excite and the others inhibit.

    Raises:
        InputError: A value is out of range.
    """

    gamma: float = 0.0  # share of sources that excite
    g: float = 1.0  # strength of an inhibitory input relative to an excitatory one
    weight: float = 1.0  # of an excitatory input
    activity: float = 0.5  # probability to be 1

    def __post_init__(self):
        in_range("gamma", self.gamma, 0, 1)
        positive("g", self.g)
        positive("weight", self.weight)
        if not 0 < self.activity < 1:
            raise InputError(f"`activity` is {self.activity:g}; it must lie between 0 and 1.")

    def split(self, number: int) -> tuple[int, int]:
        """How many of a number excite and how many inhibit."""
        excitatory = round(self.gamma * number)
        return excitatory, number - excitatory

    @property
    def weights(self) -> tuple[float, float]:
        """Of an excitatory and an inhibitory input."""
        return self.weight, -self.g * self.weight

    def drive(self, in_degree: int, correlation: float = 0.0) -> Drive:
        """Mean and spread of the sum of independent inputs."""
        numbers, weights = np.array(self.split(in_degree)), np.array(self.weights)
        variance = self.activity * (1 - self.activity)
        return Drive(
            float(numbers @ weights * self.activity),
            float(np.sqrt(numbers @ weights**2 * variance)),
            correlation,
        )


# -- noise ---------------------------------------------------------------------------------------


class Noise(ABC):
    """What makes the units of machines random."""

    kind = _THRESHOLD  # of the units of machines

    @abstractmethod
    def wire(self, units: int, rng: np.random.Generator) -> "Wiring":
        """The units that make the noise for so many units of machines, and their synapses."""
        ...

    @abstractmethod
    def predict(self) -> Drive:
        """What units receive, from the parameters."""
        ...


class Wiring(NamedTuple):
    """Units that make noise; each has its kind, its bias and its targets.

    Targets up to `units` are those of machines, and those from there on other units of the pool.
    """

    kind: int
    bias: NDArray[np.float64]  # (pool,)
    source: NDArray[np.int64]  # (synapses,), in 0 .. pool - 1
    target: NDArray[np.int64]  # (synapses,), in 0 .. units + pool - 1
    weight: NDArray[np.float64]  # (synapses,)


_NOTHING = Wiring(_COIN, np.zeros(0), np.zeros(0, int), np.zeros(0, int), np.zeros(0))


@dataclass(frozen=True)
class Intrinsic(Noise):
    """Each unit of a machine draws its state itself, from the logistic function of its field."""

    kind = _LOGISTIC

    def wire(self, units, rng) -> Wiring:
        return _NOTHING

    def predict(self) -> Drive:
        return Drive(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Gaussian(Noise):
    """A fresh Gaussian number at each update.

    Raises:
        InputError: `sd` is not positive.
    """

    sd: float = 1.0
    mean: float = 0.0
    kind = _GAUSSIAN

    def __post_init__(self):
        positive("sd", self.sd)

    def wire(self, units, rng) -> Wiring:
        return _NOTHING

    def predict(self) -> Drive:
        return Drive(self.mean, self.sd, 0.0)


@dataclass(frozen=True)
class Private(Noise):
    """Random sources of its own for each unit, updated as often as the unit.

    Raises:
        InputError: There are no sources.
    """

    in_degree: int = 50
    sources: Sources = field(default_factory=Sources)

    def __post_init__(self):
        in_range("in_degree", self.in_degree, 1)

    def wire(self, units, rng) -> Wiring:
        n = units * self.in_degree
        excitatory = self.sources.split(self.in_degree)[0]
        inhibits = np.tile(np.arange(self.in_degree) >= excitatory, units).astype(int)
        return Wiring(
            _COIN,
            np.full(n, self.sources.activity),
            np.arange(n),
            np.repeat(np.arange(units), self.in_degree),
            np.array(self.sources.weights)[inhibits],
        )

    def predict(self) -> Drive:
        return self.sources.drive(self.in_degree)


@dataclass(frozen=True)
class Shared(Noise):
    """A pool of random sources, of which each unit draws its inputs.

    Two units share sources, and receive correlated noise: with Dale's law ("dale") a source has one
    sign for all, and the correlation is ``in_degree / size``; without it ("shuffled") each
    connection has a sign of its own, and the correlation is smaller by
    ``(gamma - (1 - gamma) g)^2 / (gamma + (1 - gamma) g^2)``.

    Raises:
        InputError: There are fewer sources than inputs, or the choice of signs is unknown.
    """

    size: int = 200
    in_degree: int = 100
    sources: Sources = field(default_factory=Sources)
    signs: str = "dale"  # or "shuffled"

    def __post_init__(self):
        in_range("in_degree", self.in_degree, 1)
        one_of("signs", self.signs, ("dale", "shuffled"))
        _enough(self.sources, self.size, self.in_degree)

    def wire(self, units, rng) -> Wiring:
        source, target, weight = _draw(
            self.sources, self.size, self.in_degree, units, rng, self.signs == "shuffled"
        )
        return Wiring(_COIN, np.full(self.size, self.sources.activity), source, target, weight)

    def predict(self) -> Drive:
        correlation = self.in_degree / self.size
        if self.signs == "shuffled":
            numbers, weights = np.array(self.sources.split(self.in_degree)), self.sources.weights
            total = numbers.sum()
            correlation *= (numbers @ weights) ** 2 / (numbers @ np.square(weights)) / total
        return self.sources.drive(self.in_degree, correlation)


@dataclass(frozen=True)
class Recurrent(Noise):
    """A pool of deterministic threshold units that excite and inhibit each other.

    Each has `recurrent` inputs from the others and a threshold at the mean of their sum. Where
    inhibition dominates, the feedback correlates units negatively, which takes away most of what
    two targets have in common by sharing sources. With no recurrent inputs the pool stands still;
    so does a small one after a while, as it runs into a state that no update changes: with half of
    the units as inputs, 50 units after some hundred to thousand updates of each, 100 units not
    within 20 000.

    Raises:
        InputError: There are fewer units than inputs.
    """

    size: int = 200
    in_degree: int = 100
    recurrent: int = 100
    sources: Sources = field(default_factory=Sources)

    def __post_init__(self):
        in_range("in_degree", self.in_degree, 1)
        in_range("recurrent", self.recurrent, 0)
        _enough(self.sources, self.size, self.in_degree)
        if self.recurrent:
            _enough(self.sources, self.size, self.recurrent, itself=True)

    @property
    def bias(self) -> float:
        """Of all units of the pool; half a weight below what would balance the mean input."""
        return -self.sources.drive(self.recurrent).mean - self.sources.weight / 2

    def wire(self, units, rng) -> Wiring:
        out = _draw(self.sources, self.size, self.in_degree, units, rng)
        within = _draw(self.sources, self.size, self.recurrent, self.size, rng, itself=True)
        return Wiring(
            _THRESHOLD,
            np.full(self.size, self.bias),
            np.concatenate([out[0], within[0]]),
            np.concatenate([out[1], within[1] + units]),
            np.concatenate([out[2], within[2]]),
        )

    def predict(self) -> Drive:
        """By `mean_field`, for the recurrent input; the projection has its statistics.

        Raises:
            InputError: Units of the pool have no recurrent inputs.
        """
        found = mean_field(self)
        sources, sizes = self.sources, np.array(self.sources.split(self.size))
        reach = np.array(sources.split(self.in_degree)) * sources.weights
        numbers, used = np.array(sources.split(self.in_degree)), sizes > 0
        single = found.activity * (1 - found.activity)
        between = reach[used] @ found.covariance @ reach[used]
        shared = (reach[used] ** 2 / sizes[used]) @ single
        variance = (numbers * np.square(sources.weights))[used] @ single + between
        return Drive(
            float(reach[used] @ found.activity),
            float(np.sqrt(variance)),
            float((shared + between) / variance),
        )


# -- machines ------------------------------------------------------------------------------------


class Machines:
    """Boltzmann machines of binary units that are updated one at a time, on common noise.

    Fields are scaled so that units follow the logistic function of the target as closely as noise
    of that mean and spread allows.

    Args:
        targets: What each machine is to sample; all have as many units.
        noise: What makes them random; the very same pool serves all machines.
        matching: How the error function of Gaussian noise stands for the logistic function, see
            `MATCHING`.
        drive: Mean and spread of the noise; measured over 2000 updates per unit by default, or
            predicted where the noise is independent.
        seed: Of the wiring, of initial states and of the order of updates.

    Raises:
        InputError: The targets differ in size, or have too many units.
    """

    def __init__(
        self,
        targets: Sequence[Boltzmann],
        noise: Noise,
        *,
        matching: str = "slope",
        drive: Drive | None = None,
        seed: int = 0,
    ):
        one_of("matching", matching, MATCHING)
        in_range("targets", len(targets), 1)
        n = targets[0].n
        if any(target.n != n for target in targets):
            raise InputError(f"`targets` have {[t.n for t in targets]} units; all need as many.")
        states(n)
        self.targets, self.noise = tuple(targets), noise
        self._rng = np.random.default_rng(seed)
        self._units = len(targets) * n
        self._pool = noise.wire(self._units, self._rng)
        size = len(self._pool.bias)
        if drive is None:
            drive = self.measure(2000) if isinstance(noise, Recurrent) else noise.predict()
        if not (drive.sd > 0 or noise.kind == _LOGISTIC):
            raise InputError("The noise has no spread: the units that make it stand still.")
        self.drive = drive
        scale = 1.0 if noise.kind == _LOGISTIC else drive.sd / MATCHING[matching]
        biases = np.concatenate([scale * t.biases - drive.mean for t in targets])
        source, target = (
            np.concatenate(
                [(np.nonzero(t.weights)[side] + k * n) for k, t in enumerate(targets)]
            ).astype(np.int64)
            for side in (1, 0)
        )
        weight = np.concatenate([scale * t.weights[np.nonzero(t.weights)] for t in targets])
        self._start, self._target, self._weight = _outgoing(
            self._units + size,
            np.concatenate([source, self._pool.source + self._units]),
            np.concatenate([target, self._pool.target]),
            np.concatenate([weight, self._pool.weight]),
        )
        kinds = np.concatenate([np.full(self._units, noise.kind), np.full(size, self._pool.kind)])
        self._kind = kinds.astype(np.int64)
        gaussian = isinstance(noise, Gaussian)
        self._noise = (noise.mean, noise.sd) if gaussian else (0.0, 0.0)
        self._bias = np.concatenate([biases, self._pool.bias])
        self.state = self._rng.integers(0, 2, self._units + size).astype(np.uint8)
        coins = self._kind == _COIN
        self.state[coins] = self._rng.random(coins.sum()) < self._bias[coins]

    def run(self, updates: int) -> NDArray[np.float64]:
        """Go on, and return how long each machine was in each state.

        Args:
            updates: Per unit.

        Returns:
            Shares of the time, shape (machines, 2^n), in the order of `states`.
        """
        in_range("updates", updates, 1)
        n = self.targets[0].n
        steps = int(updates) * len(self.state)
        occupancy = np.zeros((len(self.targets), 2**n))
        field = _fields(self._bias, self._start, self._target, self._weight, self.state)
        _advance(
            self._kind, self._bias, self._noise, self._start, self._target, self._weight,
            self.state, field, n, steps, self._rng, occupancy,
        )  # fmt: skip
        return occupancy / steps

    def measure(self, updates: int = 2000) -> Drive:
        """Mean, spread and correlation of the noise, with the pool alone.

        The spread is that of a unit over time, and the correlation the mean over pairs of units.
        """
        return drive_of(self.pool(updates), self._pool, self._units)

    def pool(self, updates: int, warm_up: int = 100) -> NDArray[np.uint8]:
        """States of the units that make the noise, once per update of each, (updates, pool)."""
        in_range("updates", updates, 1)
        wiring, size = self._pool, len(self._pool.bias)
        inside = wiring.target >= self._units
        start, target, weight = _outgoing(
            size, wiring.source[inside], wiring.target[inside] - self._units, wiring.weight[inside]
        )
        kind = np.full(size, wiring.kind, np.int64)
        rng = np.random.default_rng(self._rng.integers(2**63))
        state = rng.integers(0, 2, size).astype(np.uint8)
        field = _fields(wiring.bias, start, target, weight, state)
        out = np.empty((updates, size), np.uint8)
        _watch(kind, wiring.bias, start, target, weight, state, field, warm_up, rng, out)
        return out


def drive_of(pool: NDArray[np.uint8], wiring: Wiring, units: int) -> Drive:
    """What units of machines receive from a pool with these states, (samples, pool)."""
    out = wiring.target < units
    matrix = np.zeros((pool.shape[1], units))
    np.add.at(matrix, (wiring.source[out], wiring.target[out]), wiring.weight[out])
    received = pool.astype(np.float32) @ matrix.astype(np.float32)
    covariance = np.atleast_2d(np.cov(received, rowvar=False))
    variance = np.diag(covariance)
    if not variance.all():
        return Drive(float(received.mean()), float(np.sqrt(variance.mean())), np.nan)
    pairs = (covariance / np.sqrt(np.outer(variance, variance)))[np.triu_indices(units, 1)]
    correlation = float(pairs.mean()) if pairs.size else np.nan
    return Drive(float(received.mean()), float(np.sqrt(variance.mean())), correlation)


# -- theory --------------------------------------------------------------------------------------


class MeanField(NamedTuple):
    """Stationary statistics of a pool; one entry per population, empty populations left out."""

    activity: NDArray[np.float64]  # (populations,)
    covariance: NDArray[np.float64]  # (populations, populations), mean over pairs of units
    sd: NDArray[np.float64]  # (populations,), of the recurrent input


def mean_field(pool: Recurrent, iterations: int = 10_000) -> MeanField:
    """Activities and covariances of a recurrent pool, to first order in the correlations.

    With ``W_pq = K_pq J_pq S_p`` and the susceptibility ``S_p`` of the error function,

        2 c_pq = sum_r (W_pr c_rq + W_qr c_rp) + W_pq A_q / N_q + W_qp A_p / N_p

    for the covariances, ``A = a (1 - a)``, iterated together with the activities.

    Raises:
        InputError: The pool has no recurrent inputs, or the iteration does not converge.

    Source:
        Helias, Tetzlaff and Diesmann (2014), as for binary networks in Jordan et al. (2019).
    """
    in_range("recurrent", pool.recurrent, 1)
    sizes = np.array(pool.sources.split(pool.size), float)
    used = sizes > 0
    sizes, number = sizes[used], np.array(pool.sources.split(pool.recurrent), float)[used]
    weight = np.array(pool.sources.weights)[used]
    count = len(sizes)
    activity, covariance = np.full(count, pool.sources.activity), np.zeros((count, count))
    reach, sd = number * weight, np.zeros(count)
    for _ in range(iterations):
        single = activity * (1 - activity)
        variance = max((number * weight**2) @ single + reach @ covariance @ reach, 1e-12)
        sd = np.full(count, np.sqrt(variance))
        gap = (pool.bias + reach @ activity) / sd
        gain = np.exp(-(gap**2) / 2) / (np.sqrt(2 * np.pi) * sd)
        effective = np.outer(gain, reach)
        drive = effective * (single / sizes)
        one = np.eye(count)
        matrix = 2 * np.eye(count**2) - np.kron(effective, one) - np.kron(one, effective)
        solved = np.linalg.solve(matrix, (drive + drive.T).ravel()).reshape(count, count)
        updated = 0.5 * erfc(-gap / np.sqrt(2))
        change = max(np.abs(updated - activity).max(), np.abs(solved - covariance).max())
        step = 1 / (1 + np.abs(effective).sum(1).max())  # strong feedback overshoots
        activity = activity + step * (updated - activity)
        covariance = covariance + step * (solved - covariance)
        if change < 1e-13:
            return MeanField(activity, covariance, sd)
    raise InputError(f"The mean field of {pool} does not settle within {iterations} iterations.")


def threshold_law(target: Boltzmann, matching: str | None = "slope") -> NDArray[np.float64]:
    """Stationary distribution of threshold units with white Gaussian noise, (2^n,).

    They are updated one at a time at random. Without a `matching` they are logistic, and the
    distribution is that of the target.

    Raises:
        InputError: There are more than 10 units.
    """
    in_range("n", target.n, 1, 10)
    z = states(target.n)
    logits = target.logits(z)
    if matching is None:
        up = expit(logits)
    else:
        one_of("matching", matching, MATCHING)
        up = 0.5 * erfc(-logits / (np.sqrt(2) * MATCHING[matching]))
    n, size = target.n, len(z)
    transition = np.zeros((size, size))  # from row to column
    rows = np.arange(size)
    for k in range(n):
        bit = 1 << (n - 1 - k)
        transition[rows, rows | bit] += up[:, k] / n
        transition[rows, rows & ~bit] += (1 - up[:, k]) / n
    system = np.concatenate([transition.T - np.eye(size), np.ones((1, size))])
    return np.linalg.lstsq(system, np.eye(size + 1)[-1], rcond=None)[0]


# -- inside --------------------------------------------------------------------------------------


@njit(cache=True)
def _advance(
    kind, bias, noise, start, target, weight, state, field, n, steps, rng, occupancy
):  # fmt: skip
    machines, units = occupancy.shape[0], occupancy.shape[0] * n
    code = np.zeros(machines, np.int64)
    since = np.zeros(machines, np.int64)
    for i in range(units):
        code[i // n] |= np.int64(state[i]) << (n - 1 - i % n)
    for t in range(steps):
        i = int(rng.random() * state.size)
        new = _decide(kind[i], field[i], bias[i], noise, rng)
        if new == state[i]:
            continue
        if i < units:
            k = i // n
            occupancy[k, code[k]] += t - since[k]
            since[k] = t
            code[k] ^= 1 << (n - 1 - i % n)
        state[i] = new
        sign = 1.0 if new else -1.0
        for s in range(start[i], start[i + 1]):
            field[target[s]] += sign * weight[s]
    for k in range(machines):
        occupancy[k, code[k]] += steps - since[k]


@njit(cache=True)
def _watch(kind, bias, start, target, weight, state, field, warm_up, rng, out):
    for t in range(-warm_up, out.shape[0]):
        for _ in range(state.size):
            i = int(rng.random() * state.size)
            new = _decide(kind[i], field[i], bias[i], (0.0, 0.0), rng)
            if new == state[i]:
                continue
            state[i] = new
            sign = 1.0 if new else -1.0
            for s in range(start[i], start[i + 1]):
                field[target[s]] += sign * weight[s]
        if t >= 0:
            out[t] = state


@njit(cache=True)
def _decide(kind, field, bias, noise, rng):
    if kind == _THRESHOLD:
        return field >= 0
    if kind == _COIN:
        return rng.random() < bias
    if kind == _GAUSSIAN:
        return field + noise[0] + noise[1] * rng.standard_normal() >= 0
    return rng.random() * (1 + np.exp(-field)) < 1


def _fields(
    bias: NDArray, start: NDArray, target: NDArray, weight: NDArray, state: NDArray
) -> NDArray[np.float64]:
    """Input of each unit in a state, computed anew so that sums of differences do not drift."""
    active = np.repeat(state, np.diff(start)).astype(bool)
    return bias + np.bincount(target[active], weight[active], len(bias)).astype(float)


def _outgoing(
    size: int, source: NDArray, target: NDArray, weight: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Synapses sorted by their source: where each source begins, targets, and weights."""
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=size))])
    return start.astype(np.int64), target[order].astype(np.int64), weight[order].astype(float)


def _draw(
    sources: Sources,
    size: int,
    in_degree: int,
    units: int,
    rng: np.random.Generator,
    shuffled: bool = False,
    itself: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Inputs of each unit without doubles: sources, targets, weights.

    Excitatory sources come first in the pool; with `shuffled` any source may have either sign. With
    `itself` the targets are the sources, and none has itself as input.
    """
    numbers, sizes = sources.split(in_degree), sources.split(size)
    chosen = np.empty((units, in_degree), np.int64)
    for unit in range(units):
        if shuffled:
            chosen[unit] = rng.choice(size, in_degree, replace=False)
            continue
        first, at = 0, 0
        for number, pool in zip(numbers, sizes, strict=True):
            candidates = np.arange(first, first + pool)
            if itself:
                candidates = candidates[candidates != unit]
            chosen[unit, at : at + number] = rng.choice(candidates, number, replace=False)
            first, at = first + pool, at + number
    inhibits = np.tile(np.arange(in_degree) >= numbers[0], units).astype(int)
    weights = np.array(sources.weights)[inhibits]
    return chosen.ravel(), np.repeat(np.arange(units), in_degree), weights


def _enough(sources: Sources, size: int, in_degree: int, itself: bool = False) -> None:
    for sign, pool, number in zip(
        ("excite", "inhibit"), sources.split(size), sources.split(in_degree), strict=True
    ):
        there = pool - itself if pool else 0
        if number > there:
            raise InputError(
                f"A unit needs {number} inputs that {sign}, but there are only {there} such units "
                f"among {size}. Raise `size` or lower the number of inputs."
            )
