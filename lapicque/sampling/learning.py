"""One learner for all samplers: the gradient is the mean of a reward times a statistic.

The statistics of a Boltzmann machine are its units z_i and the products z_i z_j of coupled ones.
What a machine learns is a matter of the reward alone: 1 for data and -1 for the machine's own
samples raise the likelihood (`WakeSleep`, `Contrastive`, `Matching`); the ratio of two
distributions does the same without clamping (`Reweighted`); the local energy finds a ground state
(`Variational`). Where samples come from is a matter of the backend: any sampler (`Running`), or
enumeration (`Enumeration`), which makes the gradient exact.

Visible units come first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from lapicque._checks import InputError, in_range, positive, shape
from lapicque.sampling.observables import empirical
from lapicque.sampling.samplers import Chains, Sampler
from lapicque.sampling.target import LARGEST, Boltzmann, states


class Moments(NamedTuple):
    """Means of units, (n,), and of products of two units, (n, n); or their gradients."""

    biases: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.biases - other.biases, self.weights - other.weights)


class Draw(NamedTuple):
    """States, and how much each counts.

    Units that are independent given the others may be present with their conditional mean.
    """

    states: NDArray  # (..., n)
    weights: NDArray[np.float64] | None = None  # (...), sum 1; none stands for equal ones

    def histogram(self, visible: int) -> NDArray[np.float64]:
        """Share of each state of the visible units, (2^visible,)."""
        return empirical(self.states[..., :visible], self.weights)

    def moments(self, reward: ArrayLike = 1.0) -> Moments:
        """Mean of reward x statistic; `reward` has the shape of the samples, or is one number.

        The diagonal of the products is 0.
        """
        z = self.states.reshape(-1, self.states.shape[-1]).astype(np.float64)
        shares = 1 / len(z) if self.weights is None else self.weights
        factor = np.broadcast_to(np.asarray(reward, float) * shares, self.states.shape[:-1])
        weighted = z * factor.reshape(-1, 1)
        weights = weighted.T @ z
        np.fill_diagonal(weights, 0)
        return Moments(weighted.sum(0), weights)


# -- where samples come from ---------------------------------------------------------------------


class Backend(Protocol):
    """Answers to the questions a rule asks of a machine."""

    def free(self, target: Boltzmann) -> Draw:
        """The machine left alone."""
        ...

    def clamped(self, target: Boltzmann, data: NDArray) -> Draw:
        """The machine with its first units held at each row of data, (vectors, visible)."""
        ...

    def released(self, target: Boltzmann, data: NDArray, after: int) -> tuple[Draw, Draw]:
        """The machine held at data, and `after` samples later."""
        ...


@dataclass(frozen=True)
class Enumeration:
    """Exact answers, by enumeration of the visible units.

    Hidden units are averaged out in closed form if they are not coupled among themselves;
    otherwise all units are enumerated.

    Attributes:
        visible: How many units, the first ones, are visible; at most 20.
    """

    visible: int

    def free(self, target: Boltzmann) -> Draw:
        """See `Backend`.

        Raises:
            InputError: There are too many units.
        """
        if _independent(target, self.visible):
            shown = states(self.visible)
            p = np.exp(visible_log_probabilities(target, self.visible))
            return Draw(_completed(target, shown), p)
        return Draw(states(target.n), target.probabilities)

    def clamped(self, target: Boltzmann, data: NDArray) -> Draw:
        """See `Backend`.

        Raises:
            InputError: There are too many coupled hidden units.
        """
        if _independent(target, self.visible):
            return Draw(_completed(target, data))
        hidden = states(target.n - self.visible)
        given = [target.given(np.arange(self.visible), row).probabilities for row in data]
        every = np.concatenate(
            [
                np.repeat(data[:, None], len(hidden), 1),
                np.repeat(hidden[None], len(data), 0),
            ],
            -1,
        )
        return Draw(every, np.array(given) / len(data))

    def released(self, target: Boltzmann, data: NDArray, after: int) -> tuple[Draw, Draw]:
        """Not known exactly.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "What a machine does some samples after its release is not enumerated; run chains "
            "(`Running`), or use `WakeSleep`."
        )


class Running:
    """Answers of a sampler; its chains go on from one question to the next.

    Args:
        sampler: What samples.
        target: What it samples at first.
        chains: Free-running copies.
        samples: Per chain and question.
        seed: Of all chains.
        discard: Samples thrown away at each question, before those that count.
        settle: Samples for which hidden units are given time after clamping.

    Raises:
        InputError: A number is too small.
    """

    def __init__(
        self,
        sampler: Sampler,
        target: Boltzmann,
        chains: int,
        samples: int,
        seed: int = 0,
        discard: int = 0,
        settle: int = 1,
    ):
        in_range("chains", chains, 1)
        in_range("samples", samples, 1)
        in_range("discard", discard, 0)
        in_range("settle", settle, 0)
        self._sampler, self._seed = sampler, seed
        self._chains, self._samples = chains, samples
        self._discard, self._settle = discard, settle
        self._free: Chains | None = None
        self._held: dict[tuple[str, int], Chains] = {}
        self._first = target

    def free(self, target: Boltzmann) -> Draw:
        """See `Backend`."""
        if self._free is None:
            self._free = self._sampler.start(self._first, self._chains, self._seed)
        self._free.update(target)
        if self._discard:
            self._free.run(self._discard)
        return Draw(self._free.run(self._samples))

    def clamped(self, target: Boltzmann, data: NDArray) -> Draw:
        """See `Backend`; one chain per row."""
        chains = self._copies("clamped", target, len(data))
        chains.clamp(np.arange(data.shape[1]), data)
        if self._settle:
            chains.run(self._settle)
        return Draw(chains.run(self._samples))

    def released(self, target: Boltzmann, data: NDArray, after: int) -> tuple[Draw, Draw]:
        """See `Backend`; one chain per row."""
        chains = self._copies("released", target, len(data))
        chains.clamp(np.arange(data.shape[1]), data)
        if self._settle:
            chains.run(self._settle)
        before = Draw(chains.run(1))
        chains.clamp([], [])
        return before, Draw(chains.run(after)[-1:])

    def _copies(self, use: str, target: Boltzmann, number: int) -> Chains:
        if (use, number) not in self._held:
            seed = np.random.SeedSequence([self._seed, len(self._held) + 1]).generate_state(1)[0]
            self._held[use, number] = self._sampler.start(target, number, int(seed))
        chains = self._held[use, number]
        chains.update(target)
        return chains


def visible_log_probabilities(target: Boltzmann, visible: int) -> NDArray[np.float64]:
    """Logarithm of the probability of each state of the first units, (2^visible,).

    Raises:
        InputError: There are too many units to enumerate.
    """
    if not _independent(target, visible):
        joint = target.log_probabilities.reshape(2**visible, -1)
        return np.asarray(logsumexp(joint, axis=1))
    v = states(visible).astype(float)
    inner = Boltzmann(target.weights[:visible, :visible], target.biases[:visible])
    field = v @ target.weights[:visible, visible:] + target.biases[visible:]
    log_weight = inner.log_weight(v) + np.logaddexp(0, field).sum(1)
    return log_weight - logsumexp(log_weight)


def _independent(target: Boltzmann, visible: int) -> bool:
    in_range("visible", visible, 1, target.n)
    return not target.weights[visible:, visible:].any()


def _completed(target: Boltzmann, shown: NDArray) -> NDArray[np.float64]:
    """Visible states with the conditional means of hidden units beside them."""
    visible = shown.shape[1]
    field = shown @ target.weights[:visible, visible:] + target.biases[visible:]
    return np.concatenate([shown, expit(field)], 1)


# -- rules ---------------------------------------------------------------------------------------


class Rule(Protocol):
    """What is rewarded."""

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """The direction to go, and the machine's own samples that were used for it."""
        ...


@dataclass(frozen=True)
class Matching:
    """Likelihood of data whose moments are given: data - own moments. All units are visible.

    Attributes:
        moments: Means and products, as from `Boltzmann.moments` or `Draw.moments`.
    """

    moments: tuple[NDArray[np.float64], NDArray[np.float64]]

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        first, second = (np.asarray(m, float) for m in self.moments)
        shape("moments[0]", first, (target.n,))
        shape("moments[1]", second, (target.n, target.n))
        free = backend.free(target)
        return Moments(first, second - np.diag(np.diag(second))) - free.moments(), free


@dataclass(frozen=True)
class WakeSleep:
    """Likelihood of data: reward 1 for samples with clamped data, -1 for free ones.

    With few samples per step this is persistent contrastive divergence, since the free chains
    go on from step to step.

    Attributes:
        data: Binary, (vectors, visible).
        probabilities: Of the vectors, (vectors,); by default all are as frequent.
        batch: Vectors drawn at each step; by default all take part.
        closed: Whether the clamped machine is averaged in closed form, whatever the backend.
    """

    data: NDArray
    probabilities: NDArray[np.float64] | None = None
    batch: int | None = None
    closed: bool = False

    def __post_init__(self):
        _check_data(self.data, self.probabilities)
        if self.batch is not None:
            in_range("batch", self.batch, 1)

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        free = backend.free(target)
        wake = Enumeration(self.data.shape[1]) if self.closed else backend
        if self.batch is None:
            held = wake.clamped(target, self.data)
            share = _shares(self.data, self.probabilities)
            if held.weights is not None:  # (vectors, states of the hidden units)
                share = share[:, None]
            return held.moments(share * len(self.data)) - free.moments(), free
        chosen = rng.choice(len(self.data), self.batch, p=self.probabilities)
        return wake.clamped(target, self.data[chosen]).moments() - free.moments(), free


@dataclass(frozen=True)
class Contrastive:
    """Contrastive divergence: data against what the machine makes of them after k samples.

    Attributes:
        data: Binary, (vectors, visible).
        k: Samples after the release.
        batch: Vectors drawn at each step, one per chain.
        probabilities: Of the vectors, (vectors,); by default all are as frequent.

    Source: Hinton (2002).
    """

    data: NDArray
    k: int = 1
    batch: int = 64
    probabilities: NDArray[np.float64] | None = None

    def __post_init__(self):
        _check_data(self.data, self.probabilities)
        in_range("k", self.k, 1)
        in_range("batch", self.batch, 1)

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        chosen = rng.choice(len(self.data), self.batch, p=self.probabilities)
        before, after = backend.released(target, self.data[chosen], self.k)
        return before.moments() - after.moments(), after


@dataclass(frozen=True)
class Reweighted:
    """Likelihood of a known distribution p*, from free samples alone: reward p*(v) / p(v) - 1.

    p is the histogram of the same samples; states that did not occur cannot be rewarded, which
    biases the rule by their share of p*.

    Attributes:
        probabilities: p* of all visible states, (2^visible,).
        largest: Bound of the ratio, against the noise of rare states.

    Source: Czischek et al. (2022), rule for learning from samples of the free network.
    """

    probabilities: NDArray[np.float64]
    largest: float = inf

    def __post_init__(self):
        _visible(self.probabilities)
        in_range("probabilities", self.probabilities, 0)
        if not self.largest > 1:
            raise InputError(f"`largest` is {self.largest:g}; it must be above 1.")

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        return rewarded(backend.free(target), _visible(self.probabilities), self.reward)

    def reward(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each visible state."""
        ratio = np.divide(self.probabilities, p, out=np.zeros_like(p), where=p > 0)
        return np.minimum(ratio, self.largest) - 1


@dataclass(frozen=True)
class Variational:
    """Ground state psi(v) = sqrt(p(v)): reward E - E_loc(v), from free samples alone.

    Attributes:
        visible: How many units are visible.
        local_energy: From a distribution (2^visible,) to the local energies (2^visible,), such
            as `Ising.local_energy`.

    Source: Klassert et al. (2022); dE/dtheta = Cov(E_loc, statistic).
    """

    visible: int
    local_energy: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        return rewarded(backend.free(target), self.visible, self.reward)

    def reward(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each visible state."""
        local = self.local_energy(p)
        return p @ local - local


def rewarded(
    free: Draw, visible: int, reward: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[Moments, Draw]:
    """Mean of reward x statistic, where the reward depends on visible states and their shares."""
    shown = free.states[..., :visible].astype(np.int64)
    place = shown @ (1 << np.arange(visible - 1, -1, -1))
    return free.moments(reward(free.histogram(visible))[place]), free


@dataclass(frozen=True)
class Translated:
    """A rule whose gradient is averaged over a ring of visible units, shifted around.

    Hidden units form rings of the same length, one after the other. A machine that starts
    symmetric remains so.

    Attributes:
        rule: The rule.
        visible: Length of the ring.
    """

    rule: Rule
    visible: int

    def gradient(
        self, target: Boltzmann, backend: Backend, rng: np.random.Generator
    ) -> tuple[Moments, Draw]:
        """See `Rule`."""
        found, free = self.rule.gradient(target, backend, rng)
        return translated(found, self.visible), free


def translated(moments: Moments, visible: int) -> Moments:
    """Average over all shifts of the visible ring and of the hidden rings with it.

    Raises:
        InputError: The hidden units are not whole rings.
    """
    n = len(moments.biases)
    if n % visible:
        raise InputError(
            f"{n - visible} hidden units are not whole rings of {visible}; choose a multiple."
        )
    rings = np.arange(n).reshape(-1, visible)
    shifted = [np.roll(rings, k, 1).ravel() for k in range(visible)]
    return Moments(
        np.mean([moments.biases[s] for s in shifted], 0),
        np.mean([moments.weights[s[:, None], s] for s in shifted], 0),
    )


# -- parameters ----------------------------------------------------------------------------------


def topology(*layers: int) -> NDArray[np.bool_]:
    """Which units are coupled, (n, n): neighbouring layers. Two layers are a restricted machine.

    Raises:
        InputError: A layer is empty.
    """
    in_range("layers", layers, 1)
    layer = np.repeat(np.arange(len(layers)), layers)
    return np.abs(layer[:, None] - layer) == 1


@dataclass(frozen=True, eq=False)
class Parameters:
    """A machine as a vector: its biases, then the weights of coupled pairs.

    Attributes:
        coupled: Symmetric, (n, n), false on the diagonal.

    Raises:
        InputError: `coupled` is not.
    """

    coupled: NDArray[np.bool_]

    def __post_init__(self):
        given = np.asarray(self.coupled, bool)
        shape("coupled", given, (len(given), len(given)))
        if (given != given.T).any() or np.diag(given).any():
            raise InputError("`coupled` must be symmetric, and false on the diagonal.")

    @cached_property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Units i < j of each weight."""
        i, j = np.nonzero(np.triu(self.coupled))
        return i, j

    @property
    def n(self) -> int:
        """Number of units."""
        return len(self.coupled)

    def __len__(self) -> int:
        return self.n + len(self.pairs[0])

    def pack(self, given: Boltzmann | Moments) -> NDArray[np.float64]:
        """The vector of a machine, or of a gradient."""
        return np.concatenate([given.biases, given.weights[self.pairs]])

    def unpack(self, vector: ArrayLike) -> Boltzmann:
        """The machine of a vector.

        Raises:
            InputError: The vector has another length, or is not finite.
        """
        vector = np.asarray(vector, float)
        shape("vector", vector, (len(self),))
        weights = np.zeros((self.n, self.n))
        weights[self.pairs] = vector[self.n :]
        return Boltzmann(weights + weights.T, vector[: self.n])

    def random(self, spread: float, seed: int) -> Boltzmann:
        """Weights and biases uniform within +- `spread`."""
        return self.unpack(np.random.default_rng(seed).uniform(-spread, spread, len(self)))

    def covariance(self, draw: Draw) -> NDArray[np.float64]:
        """Of the statistics, (parameters, parameters); four times the metric of sqrt(p)."""
        z = draw.states.reshape(-1, self.n)
        shares = np.full(len(z), 1 / len(z)) if draw.weights is None else draw.weights.ravel()
        i, j = self.pairs
        mean, second = np.zeros(len(self)), np.zeros((len(self), len(self)))
        for start in range(0, len(z), 16_384):
            here = slice(start, start + 16_384)
            part = np.ascontiguousarray(z[here].T, np.float64)
            root = np.sqrt(shares[here])
            each = np.concatenate([part, part[i] * part[j]]) * root
            mean += each @ root
            second += each @ each.T
        return second - np.outer(mean, mean)


# -- optimisers ----------------------------------------------------------------------------------

Rate = float | Callable[[int], float]
"""A step size, or one that depends on the epoch."""

Memory = tuple[NDArray[np.float64], ...]
"""What an optimiser remembers."""

Metric = Callable[[], NDArray[np.float64]]
"""The covariance of the statistics, worked out if it is asked for."""


class Optimiser(Protocol):
    """Turns gradients into steps."""

    def init(self, size: int) -> Memory:
        """Memory before the first step."""
        ...

    def step(
        self, gradient: NDArray[np.float64], memory: Memory, epoch: int, metric: Metric
    ) -> tuple[NDArray[np.float64], Memory]:
        """The step uphill, and the memory after it."""
        ...


@dataclass(frozen=True)
class Adam:
    """Steps of about `rate` in every parameter.

    Source: Kingma & Ba (2015).
    """

    rate: Rate = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def init(self, size: int) -> Memory:
        """See `Optimiser`."""
        return np.zeros(size), np.zeros(size)

    def step(
        self, gradient: NDArray[np.float64], memory: Memory, epoch: int, metric: Metric
    ) -> tuple[NDArray[np.float64], Memory]:
        """See `Optimiser`."""
        m = self.beta1 * memory[0] + (1 - self.beta1) * gradient
        v = self.beta2 * memory[1] + (1 - self.beta2) * gradient**2
        bias1, bias2 = 1 - self.beta1 ** (epoch + 1), 1 - self.beta2 ** (epoch + 1)
        step = _rate(self.rate, epoch) * (m / bias1) / (np.sqrt(v / bias2) + self.epsilon)
        return step, (m, v)


@dataclass(frozen=True)
class Momentum:
    """Plain steps, `rate` x gradient, that go on with a part of the last one."""

    rate: Rate = 0.1
    momentum: float = 0.0

    def __post_init__(self):
        in_range("momentum", self.momentum, 0, np.nextafter(1, 0))

    def init(self, size: int) -> Memory:
        """See `Optimiser`."""
        return (np.zeros(size),)

    def step(
        self, gradient: NDArray[np.float64], memory: Memory, epoch: int, metric: Metric
    ) -> tuple[NDArray[np.float64], Memory]:
        """See `Optimiser`."""
        step = self.momentum * memory[0] + _rate(self.rate, epoch) * gradient
        return step, (step,)


@dataclass(frozen=True)
class Natural:
    """Steps of a given length in the space of distributions, along the natural gradient.

    A step of length `rate` changes the distribution by about ``D_KL = rate^2 / 2``. It crosses
    plateaus, where plain gradients are small, at the same speed as slopes, and ends only as the
    rate falls.

    Attributes:
        rate: Length of a step.
        damping: Added to the metric; above the noise that samples leave in it.
    """

    rate: Rate = 0.1
    damping: float = 1e-3

    def __post_init__(self):
        in_range("damping", self.damping, 0)

    def init(self, size: int) -> Memory:
        """See `Optimiser`."""
        return ()

    def step(
        self, gradient: NDArray[np.float64], memory: Memory, epoch: int, metric: Metric
    ) -> tuple[NDArray[np.float64], Memory]:
        """See `Optimiser`."""
        covariance = metric()
        x = natural(gradient, covariance, self.damping)
        length = np.sqrt(max(float(x @ covariance @ x), 0.0))
        return x * (_rate(self.rate, epoch) / length if length > 0 else 0.0), memory


@dataclass(frozen=True)
class Decaying:
    """``rate(epoch) = max(first decay^epoch, last)``."""

    first: float
    decay: float
    last: float = 0.0

    def __post_init__(self):
        positive("first", self.first)
        in_range("decay", self.decay, 0, 1)

    def __call__(self, epoch: int) -> float:
        return max(self.first * self.decay**epoch, self.last)


@dataclass(frozen=True)
class Hyperbolic:
    """``rate(epoch) = first / (1 + epoch / half)``."""

    first: float
    half: float

    def __post_init__(self):
        positive("first", self.first)
        positive("half", self.half)

    def __call__(self, epoch: int) -> float:
        return self.first / (1 + epoch / self.half)


def natural(
    gradient: NDArray[np.float64],
    covariance: NDArray[np.float64],
    damping: float = 0.0,
    relative: float = 0.0,
) -> NDArray[np.float64]:
    """The step that changes the distribution, not its parameters, along the gradient.

    Solves ``(S + damping + relative diag(S)) x = gradient`` with S the covariance of the
    statistics (a quarter of it for amplitudes); directions in which S vanishes are left out.

    Raises:
        InputError: A damping is negative, or shapes do not fit.
    """
    in_range("damping", damping, 0)
    in_range("relative", relative, 0)
    shape("covariance", covariance, (len(gradient), len(gradient)))
    metric = covariance + np.diag(damping + relative * np.diag(covariance))
    return np.asarray(np.linalg.lstsq(metric, gradient, rcond=1e-12)[0], np.float64)


def _rate(rate: Rate, epoch: int) -> float:
    return rate if isinstance(rate, float | int) else rate(epoch)


# -- the learner ---------------------------------------------------------------------------------


class Progress(NamedTuple):
    """What learning carries from one epoch to the next; a tree of arrays."""

    vector: NDArray[np.float64]
    memory: Memory
    epoch: int = 0


@dataclass(frozen=True)
class Learner:
    """Climbs along the gradient of a rule.

    Attributes:
        rule: What is rewarded.
        parameters: Which weights there are.
        optimiser: How steps follow from gradients.
        weight_decay: Share of the weights that is lost per step of rate 1.
        largest: Bound of weights and biases.
        resolution: Grid of the weights and biases that are sampled; 0 for none. Learning itself
            remembers them without rounding.

    Raises:
        InputError: A number is negative.
    """

    rule: Rule
    parameters: Parameters
    optimiser: Optimiser = Adam()
    weight_decay: float = 0.0
    largest: float = inf
    resolution: float = 0.0

    def __post_init__(self):
        in_range("weight_decay", self.weight_decay, 0)
        in_range("resolution", self.resolution, 0)
        if not self.largest > 0:
            raise InputError(f"`largest` is {self.largest:g}; it must be above 0.")

    def start(self, target: Boltzmann) -> Progress:
        """Progress before the first epoch.

        Raises:
            InputError: It has another size, or couples units that `parameters` keeps apart.
        """
        shape("target.biases", target.biases, (self.parameters.n,))
        if (target.weights[~self.parameters.coupled] != 0).any():
            raise InputError("`target` couples units that `parameters` does not.")
        vector = self.parameters.pack(target)
        return Progress(vector, self.optimiser.init(len(vector)))

    def machine(self, progress: Progress) -> Boltzmann:
        """The machine as it is sampled."""
        vector = progress.vector
        if self.resolution:
            vector = self.resolution * np.round(vector / self.resolution)
        return self.parameters.unpack(vector)

    def run(
        self,
        progress: Progress,
        backend: Backend,
        epochs: int,
        watch: Callable[[Boltzmann, Draw], Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> tuple[Progress, dict[str, NDArray]]:
        """Go on for some epochs.

        Args:
            progress: Where to go on.
            backend: What samples.
            epochs: How many.
            watch: From a machine and its own samples to numbers for the record.
            seed: Of the choice of data.

        Returns:
            The progress, and what was watched, a row per epoch.
        """
        in_range("epochs", epochs, 1)
        rows: dict[str, list] = {}
        for _ in range(epochs):
            target = self.machine(progress)
            rng = np.random.default_rng([seed, progress.epoch])
            found, free = self.rule.gradient(target, backend, rng)
            for name, value in (watch(target, free) if watch else {}).items():
                rows.setdefault(name, []).append(value)
            gradient = self.parameters.pack(found)
            if self.weight_decay:
                gradient[self.parameters.n :] -= (
                    self.weight_decay * progress.vector[self.parameters.n :]
                )
            step, memory = self.optimiser.step(
                gradient,
                progress.memory,
                progress.epoch,
                lambda free=free: self.parameters.covariance(free),
            )
            vector = np.clip(progress.vector + step, -self.largest, self.largest)
            progress = Progress(vector, memory, progress.epoch + 1)
        return progress, {name: np.array(values) for name, values in rows.items()}


# -- checks --------------------------------------------------------------------------------------


def _check_data(data: NDArray, probabilities: NDArray[np.float64] | None) -> None:
    shape("data", data, (None, None))
    if not len(data) or not np.isin(data, (0, 1)).all():
        raise InputError("`data` must hold vectors of 0 and 1.")
    if probabilities is not None:
        shape("probabilities", probabilities, (len(data),))
        in_range("probabilities", probabilities, 0)
        if abs(np.sum(probabilities) - 1) > 1e-9:
            raise InputError(f"`probabilities` sum to {np.sum(probabilities):g}; they must to 1.")


def _shares(data: NDArray, probabilities: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return np.full(len(data), 1 / len(data)) if probabilities is None else probabilities


def _visible(probabilities: NDArray[np.float64]) -> int:
    visible = int(np.size(probabilities)).bit_length() - 1
    if (
        np.ndim(probabilities) != 1
        or not 1 <= visible <= LARGEST
        or 2**visible != np.size(probabilities)
    ):
        raise InputError(
            f"`probabilities` has shape {np.shape(probabilities)}; it must have shape (2^n,)."
        )
    return visible
