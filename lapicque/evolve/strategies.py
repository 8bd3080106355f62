"""Evolution strategies for vectors of numbers: CMA-ES and OpenAI-ES, behind one `ask` and `tell`.

As in `lapicque.evolve.search`, fitness is what is maximised, states are plain arrays, and what
happens in a generation follows from the state and the seed alone, so that a run can be cut anywhere
and goes on the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, extra, finite, in_range, positive, shape

Values = NDArray[np.float64]
S = TypeVar("S")


class Strategy(Protocol[S]):
    """What all strategies have in common."""

    def init(self, mean: ArrayLike) -> S:
        """Where the search begins, shape (d,)."""
        ...

    def ask(self, state: S) -> Values:
        """Points of which the fitness is wanted, shape (population, d)."""
        ...

    def tell(self, state: S, points: Values, fitness: ArrayLike) -> S:
        """The state after a generation; fitness has shape (population,)."""
        ...


def centred_ranks(fitness: ArrayLike) -> Values:
    """Ranks from -1/2 for the worst to 1/2 for the best; equal values share the mean of theirs."""
    values = np.asarray(fitness, float)
    below = (values[:, None] > values).sum(1)
    same = (values[:, None] == values).sum(1)
    return (below + (same - 1) / 2) / max(1, values.size - 1) - 0.5


def _finite_fitness(fitness: ArrayLike, n: int) -> Values:
    """Fitness with `nan` as the worst."""
    shape("fitness", fitness, (n,))
    values = np.asarray(fitness, float)
    return np.where(np.isnan(values), -np.inf, values)


# -- OpenAI-ES -------------------------------------------------------------------------------------


class OpenState(NamedTuple):
    """State of `OpenES`.

    Attributes:
        generation: How many have passed.
        mean: Of the distribution, shape (d,).
        optimizer: State of the Optax transformation, a tree of arrays.
        best, best_fitness: Of all points so far.
    """

    generation: NDArray[np.int64]
    mean: Values
    optimizer: Any
    best: Values
    best_fitness: Values


@dataclass(frozen=True)
class OpenES:
    """Ascend the gradient that a Gaussian cloud of fixed width sees, by ranks of fitness.

    Attributes:
        population: Points in a generation, an even number; half of them mirror the others.
        sigma: Standard deviation of the cloud.
        optimizer: An Optax transformation; by default Adam with a learning rate of 0.05.
        seed: Of everything random.

    Raises:
        InputError: A value is out of range.

    Source:
        Salimans et al. (2017), algorithm 1, with mirrored sampling and centred ranks (section 2).
    """

    population: int = 32
    sigma: float = 0.1
    optimizer: Any = None
    seed: int = 0

    def __post_init__(self) -> None:
        in_range("population", self.population, 2)
        if self.population % 2:
            raise InputError(f"`population` is {self.population}; it must be even.")
        positive("sigma", self.sigma)
        in_range("seed", self.seed, 0)

    @property
    def _optax(self):
        import optax

        return optax.adam(0.05) if self.optimizer is None else self.optimizer

    def init(self, mean: ArrayLike) -> OpenState:
        """Begin at a mean of shape (d,).

        Raises:
            InputError: It is no vector, or not finite.
        """
        shape("mean", mean, (None,))
        finite("mean", mean)
        start = np.array(mean, float)
        _, optimizer = self._updated(np.zeros_like(start), None, start)
        return OpenState(np.array(0), start, optimizer, start.copy(), np.array(-np.inf))

    def _updated(self, descent: Values, optimizer: Any, mean: Values) -> tuple[Values, Any]:
        """What Optax makes of a gradient, in float64; without a state the first state."""
        import jax

        with jax.enable_x64(True):
            if optimizer is None:
                return descent, jax.tree.map(np.asarray, self._optax.init(mean))
            updates, after = self._optax.update(descent, optimizer, mean)
            return np.asarray(updates, float), jax.tree.map(np.asarray, after)

    def _noise(self, state: OpenState) -> Values:
        seeds = np.random.SeedSequence([self.seed, int(state.generation)])
        half = np.random.default_rng(seeds).standard_normal((self.population // 2, state.mean.size))
        return np.concatenate([half, -half])

    def ask(self, state: OpenState) -> Values:
        """Points, shape (population, d); the second half mirrors the first."""
        return state.mean + self.sigma * self._noise(state)

    def gradient(self, state: OpenState, points: Values, fitness: ArrayLike) -> Values:
        """Estimate of the gradient of the ranked fitness with respect to the mean, shape (d,)."""
        weights = centred_ranks(fitness)
        return weights @ (points - state.mean) / (self.population * self.sigma**2)

    def tell(self, state: OpenState, points: Values, fitness: ArrayLike) -> OpenState:
        """The state after a generation.

        Raises:
            InputError: Shapes do not fit.
        """
        shape("points", points, (self.population, state.mean.size))
        values = _finite_fitness(fitness, self.population)
        descent = -self.gradient(state, points, values)
        updates, optimizer = self._updated(descent, state.optimizer, state.mean)
        top = int(values.argmax())
        better = values[top] > state.best_fitness
        return OpenState(
            state.generation + 1,
            state.mean + updates,
            optimizer,
            points[top].copy() if better else state.best,
            np.array(values[top]) if better else state.best_fitness,
        )


# -- CMA-ES ----------------------------------------------------------------------------------------


class CMAState(NamedTuple):
    """State of `CMAES`; what is named as in the library has its meaning there.

    Attributes:
        generation: How many have passed.
        mean: Of the distribution, shape (d,).
        sigma: Step size.
        pc, ps: Evolution paths of the covariance and of the step size, shape (d,).
        C: Covariance, shape (d, d).
        B, D: Its eigenvectors, and roots of its eigenvalues, when they were last computed.
        counts: Of updates and decompositions, and when the last one was.
        best, best_fitness: Of all points so far.
    """

    generation: NDArray[np.int64]
    mean: Values
    sigma: Values
    pc: Values
    ps: Values
    C: Values
    B: Values
    D: Values
    counts: NDArray[np.int64]
    best: Values
    best_fitness: Values


_COUNTS = ("count_tell", "count_eigen", "last_update", "_corr_condition_count_eigen")


@dataclass(frozen=True)
class CMAES:
    """Covariance matrix adaptation, by the library `cma` (extra `evolve`).

    The library's object is made anew from the state in each call, with random numbers of our own,
    so that nothing is hidden in it. Only the algorithm is used: its stopping criteria, bounds and
    changes of coordinates for ill-conditioned covariances are not.

    Attributes:
        sigma: Initial step size: about a third of the range in which the optimum is sought.
        population: Points in a generation; by default `4 + floor(3 ln d)`.
        seed: Of everything random.

    Raises:
        InputError: A value is out of range.

    Source:
        Hansen and Ostermeier (2001); Hansen's library `cma`.
    """

    sigma: float = 0.5
    population: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        positive("sigma", self.sigma)
        in_range("seed", self.seed, 0)
        if self.population is not None:
            in_range("population", self.population, 3)

    def _library(self, mean: ArrayLike, sigma: float, generation: int) -> Any:
        cma = extra("cma", "evolve")
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, generation]))
        options = {
            "verbose": -9,
            "seed": np.nan,  # the library then leaves NumPy's global generator alone
            "randn": lambda *size: rng.standard_normal(size),
            "conditioncov_alleviate": False,
        }
        if self.population is not None:
            options["popsize"] = self.population
        return cma.CMAEvolutionStrategy(np.array(mean, float), sigma, options)

    def init(self, mean: ArrayLike) -> CMAState:
        """Begin at a mean of shape (d,).

        Raises:
            InputError: It has fewer than two entries, or is not finite.
            MissingExtra: The library is not installed.
        """
        shape("mean", mean, (None,))
        in_range("dimensions", np.size(mean), 2, hint="CMA-ES adapts a covariance.")
        finite("mean", mean)
        library = self._library(mean, self.sigma, 0)
        return self._state(library, np.array(mean, float), np.array(-np.inf))

    def _state(self, library: Any, best: Values, best_fitness: Values) -> CMAState:
        return CMAState(
            np.array(library.countiter),
            np.array(library.mean),
            np.array(library.sigma, float),
            np.array(library.pc, float),
            np.array(library.adapt_sigma.ps, float),
            np.array(library.sm.C),
            np.array(library.sm.B),
            np.array(library.sm.D),
            np.array([getattr(library.sm, name) for name in _COUNTS]),
            best,
            best_fitness,
        )

    def _restored(self, state: CMAState) -> Any:
        library = self._library(state.mean, self.sigma, int(state.generation))
        library.sigma, library.mean_old = float(state.sigma), library.mean
        library.countiter = int(state.generation)
        library.countevals = int(state.generation) * library.popsize
        library.timer = extra("cma", "evolve").utilities.utils.ElapsedWCTime()
        library.pc = state.pc.copy()
        library.adapt_sigma.ps = state.ps.copy()
        library.sm.C, library.sm.B, library.sm.D = state.C.copy(), state.B.copy(), state.D.copy()
        for name, count in zip(_COUNTS, state.counts.tolist(), strict=True):
            setattr(library.sm, name, count)
        return library

    def ask(self, state: CMAState) -> Values:
        """Points, shape (population, d)."""
        return np.array(self._restored(state).ask())

    def tell(self, state: CMAState, points: Values, fitness: ArrayLike) -> CMAState:
        """The state after a generation.

        Raises:
            InputError: Shapes do not fit, or no fitness is finite.
        """
        library = self._restored(state)
        asked = np.array(library.ask())
        shape("points", points, asked.shape)
        values = _finite_fitness(fitness, len(asked))
        known = np.isfinite(values)
        if not known.any():
            raise InputError(
                "`fitness` has no finite value; begin nearer, or with a smaller sigma."
            )
        # only ranks matter
        bounded = np.clip(values, values[known].min() - 1, values[known].max() + 1)
        library.tell(list(points), (-bounded).tolist())
        top = int(values.argmax())
        if values[top] > state.best_fitness:
            return self._state(library, points[top].copy(), np.array(values[top]))
        return self._state(library, state.best, state.best_fitness)


def maximised(
    strategy: Strategy[S],
    fitness: Callable[[Values], ArrayLike],
    state: S,
    generations: int,
) -> S:
    """Let a strategy go on for some generations.

    Args:
        strategy: Any.
        fitness: Of points of shape (population, d); returns shape (population,).
        state: Of `init` or of an earlier run.
        generations: How many.
    """
    for _ in range(generations):
        points = strategy.ask(state)
        state = strategy.tell(state, points, fitness(points))
    return state
