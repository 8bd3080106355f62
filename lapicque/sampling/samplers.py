"""Samplers behind one interface: start some chains, run them, change what they sample, go on.

Every sampler is a description with ``start(target, chains, seed) -> Chains``. Chains give states of
shape (samples, chains, units); they can be clamped and given new parameters between two runs, as
learning needs it. `lapicque.sampling.lif` holds the spiking one.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, shape
from lapicque.sampling.target import Boltzmann, states


class Chains(Protocol):
    """Some copies of a machine, each in a state of its own."""

    target: Boltzmann

    def run(self, samples: int) -> NDArray[np.uint8]:
        """Go on, and return the states on the way, shape (samples, chains, units)."""
        ...

    def update(self, target: Boltzmann) -> None:
        """Go on with other weights and biases."""
        ...

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """Hold units at values of shape (units,) or (chains, units); none frees all."""
        ...


class Sampler(Protocol):
    """A way of sampling."""

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> Chains:
        """Chains in a random state."""
        ...


@dataclass(frozen=True)
class Exact:
    """Independent samples by enumeration, for up to 20 units."""

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "ExactChains":
        """See `Sampler`.

        Raises:
            InputError: There are too many units.
        """
        return ExactChains(target, chains, seed)


class ExactChains:
    """Independent samples, see `Exact`."""

    def __init__(self, target: Boltzmann, chains: int, seed: int):
        in_range("chains", chains, 1)
        self.target, self._chains = target, chains
        self._rng = np.random.default_rng(seed)
        self._units, self._values = _unclamped(chains)

    def run(self, samples: int) -> NDArray[np.uint8]:
        """See `Chains`."""
        in_range("samples", samples, 0)
        out = np.empty((samples, self._chains, self.target.n), np.uint8)
        rest = np.setdiff1d(np.arange(self.target.n), self._units)
        for chain in range(self._chains):
            values = self._values[chain]
            out[:, chain, self._units] = values
            if rest.size:
                free = self.target.given(self._units, values) if values.size else self.target
                chosen = self._rng.choice(2**free.n, samples, p=free.probabilities)
                out[:, chain, rest] = states(free.n)[chosen]
        return out

    def update(self, target: Boltzmann) -> None:
        """See `Chains`."""
        self.target = _same_size(self.target, target)

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `Chains`."""
        self._units, self._values = clamped(units, values, self._chains, self.target.n)


@dataclass(frozen=True)
class Gibbs:
    """Heat-bath updates, unit after unit; a sample follows each sweep.

    Attributes:
        blocks: Groups of units that are not coupled among themselves and can be updated at once,
            such as the layers of a restricted machine; by default each unit is its own.
    """

    blocks: tuple[tuple[int, ...], ...] | None = None

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "NeuralChains":
        """See `Sampler`.

        Raises:
            InputError: Units of a block are coupled, or the blocks leave units out.
        """
        order = np.arange(target.n)
        if self.blocks is not None:
            order = np.concatenate([np.asarray(b, int) for b in self.blocks])
            if not np.array_equal(np.sort(order), np.arange(target.n)):
                raise InputError("`blocks` must hold every unit once.")
            for block in self.blocks:
                if target.weights[np.ix_(block, block)].any():
                    raise InputError(f"Units of the block {block} are coupled.")
        return NeuralChains(target, chains, seed, 1, order)


@dataclass(frozen=True)
class Neural:
    """The abstract neuron that samples: after firing it stays on for `tau` updates.

    Its counter falls from `tau` to 0; at 0 and 1 it fires with probability
    ``sigmoid(u - log(tau))``. With `tau` 1 this is `Gibbs`. The joint distribution is exact when
    units are updated one after the other.

    Source: Buesing et al. (2011), discrete time.

    Raises:
        InputError: `tau` is below 1, or the order is unknown.
    """

    tau: int = 20  # refractory updates
    order: str = "sequential"  # or "synchronous", where all units look at the same past

    def __post_init__(self):
        in_range("tau", self.tau, 1)
        one_of("order", self.order, ("sequential", "synchronous"))

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "NeuralChains":
        """See `Sampler`."""
        order = np.arange(target.n)
        return NeuralChains(target, chains, seed, self.tau, order, self.order == "synchronous")


class NeuralChains:
    """Counters of abstract neurons, see `Neural` and `Gibbs`."""

    def __init__(
        self,
        target: Boltzmann,
        chains: int,
        seed: int,
        tau: int,
        order: NDArray[np.int64],
        synchronous: bool = False,
    ):
        in_range("chains", chains, 1)
        self.target, self.temperature = target, 1.0
        self._tau, self._order, self._synchronous = tau, order.astype(np.int64), synchronous
        seeds = np.random.SeedSequence(seed).spawn(chains)
        self._rngs = [np.random.default_rng(s) for s in seeds]
        self._counter = np.stack(
            [
                rng.integers(0, 2, target.n) * rng.integers(1, tau + 1, target.n)
                for rng in self._rngs
            ]
        )
        self._free = np.ones((chains, target.n), np.bool_)

    @property
    def states(self) -> NDArray[np.uint8]:
        """Present states, (chains, units)."""
        return (self._counter > 0).astype(np.uint8)

    def run(self, samples: int, temperature: ArrayLike | None = None) -> NDArray[np.uint8]:
        """See `Chains`.

        Args:
            samples: How many sweeps.
            temperature: One for all, or one per sweep.

        Raises:
            InputError: A temperature is not positive, or there are not as many as sweeps.
        """
        in_range("samples", samples, 0)
        given = np.asarray(1.0 if temperature is None else temperature, float)
        in_range("temperature", given, 1e-12)
        if given.ndim:
            shape("temperature", given, (samples,))
        course = np.broadcast_to(given, (samples,))
        out = np.empty((samples, len(self._counter), self.target.n), np.uint8)
        sweep = _sweeps_at_once if self._synchronous else _sweeps
        for chain, rng in enumerate(self._rngs):
            done = 0
            while done < samples:
                part = min(samples - done, max(1, 1_000_000 // self.target.n))
                here = slice(done, done + part)
                sweep(
                    self.target.weights,
                    self.target.biases,
                    self._counter[chain],
                    self._free[chain],
                    self._order,
                    self._tau,
                    1 / course[here],
                    rng.random((part, self.target.n)),
                    out[here, chain],
                )
                done += part
        return out

    def update(self, target: Boltzmann) -> None:
        """See `Chains`."""
        self.target = _same_size(self.target, target)

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `Chains`."""
        units, values = clamped(units, values, len(self._counter), self.target.n)
        self._free[:] = True
        self._free[:, units] = False
        self._counter[:, units] = values


@njit(cache=True, error_model="numpy")
def _sweeps(weights, biases, counter, free, order, tau, beta, uniform, out):
    n = biases.size
    field = biases.copy()
    for j in range(n):
        if counter[j] > 0:
            for k in range(n):
                field[k] += weights[j, k]
    shift = np.log(tau)
    for t in range(uniform.shape[0]):
        for q in range(n):
            k = order[q]
            if not free[k]:
                continue
            old = counter[k]
            if old > 1:
                counter[k] = old - 1
                continue
            fires = uniform[t, q] * (1 + np.exp(shift - beta[t] * field[k])) < 1
            counter[k] = tau if fires else 0
            if fires != (old > 0):
                sign = 1.0 if fires else -1.0
                for j in range(n):
                    field[j] += sign * weights[k, j]
        for k in range(n):
            out[t, k] = counter[k] > 0
        if t % 4096 == 4095:  # sums of many differences drift
            field[:] = biases
            for j in range(n):
                if counter[j] > 0:
                    for k in range(n):
                        field[k] += weights[j, k]


@njit(cache=True, error_model="numpy")
def _sweeps_at_once(weights, biases, counter, free, order, tau, beta, uniform, out):
    n = biases.size
    field = np.empty(n)
    shift = np.log(tau)
    for t in range(uniform.shape[0]):
        field[:] = biases
        for j in range(n):
            if counter[j] > 0:
                for k in range(n):
                    field[k] += weights[j, k]
        for q in range(n):
            k = order[q]
            if not free[k]:
                continue
            if counter[k] > 1:
                counter[k] -= 1
            else:
                fires = uniform[t, q] * (1 + np.exp(shift - beta[t] * field[k])) < 1
                counter[k] = tau if fires else 0
        for k in range(n):
            out[t, k] = counter[k] > 0


# -- shared --------------------------------------------------------------------------------------


def clamped(
    units: ArrayLike, values: ArrayLike, chains: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Units, and their values in each chain, (chains, units).

    Raises:
        InputError: A unit does not exist, a value is neither 0 nor 1, or shapes do not fit.
    """
    chosen = np.atleast_1d(np.asarray(units, np.int64))
    in_range("units", chosen, 0, n - 1)
    given = np.asarray(values, float)
    if given.ndim < 2:
        given = np.broadcast_to(np.atleast_1d(given), (chains, len(chosen)))
    shape("values", given, (chains, len(chosen)))
    if not np.isin(given, (0, 1)).all():
        raise InputError("`values` must be 0 or 1.")
    return chosen, given.astype(np.uint8)


def _unclamped(chains: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    return np.zeros(0, np.int64), np.zeros((chains, 0), np.uint8)


def _same_size(old: Boltzmann, new: Boltzmann) -> Boltzmann:
    if new.n != old.n:
        raise InputError(f"The target has {new.n} units; these chains have {old.n}.")
    return new
