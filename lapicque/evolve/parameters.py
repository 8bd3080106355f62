"""Local search for the numbers in expressions: along the gradient, or by a natural strategy.

Evolution finds the form of an expression; the values of its parameters (`parameter()` among the
primitives) are learned within a lifetime and, in `learning_generation`, passed on to children.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, one_of, positive, shape
from lapicque.evolve.evaluation import Evaluator, fitness_of
from lapicque.evolve.primitives import PARAMETER
from lapicque.evolve.program import Program, Step
from lapicque.evolve.search import Phenotype, Search, State

Values = NDArray[np.float64]
LEAST = 1e-9  # of the width of a search distribution


def parameters_of(programs: Phenotype) -> Values:
    """Values of all parameters in the order of programs and steps, shape (parameters,)."""
    return np.array([s.value for p in programs for s in p.steps if s.primitive.code == PARAMETER])


def with_values(programs: Phenotype, values: ArrayLike) -> Phenotype:
    """The same expressions with other parameters.

    Raises:
        InputError: There are not as many values as parameters.
    """
    shape("values", values, parameters_of(programs).shape)
    rest = iter(np.asarray(values, float).tolist())

    def changed(step: Step) -> Step:
        return replace(step, value=next(rest)) if step.primitive.code == PARAMETER else step

    return tuple(replace(p, steps=tuple(changed(s) for s in p.steps)) for p in programs)


# -- along the gradient ----------------------------------------------------------------------------


def descend(
    programs: Phenotype,
    loss: Callable[..., Any],
    steps: int = 10,
    rate: float = 0.1,
    clip: float | None = None,
) -> tuple[Phenotype, float]:
    """Follow the gradient of a loss with respect to the parameters.

    Args:
        programs: Expressions with parameters; without any they are returned as they are.
        loss: Takes a function for each expression, made of those of `jax.numpy`, and returns a
            number in JAX, such as `lambda f: jnp.mean((f(x) - y) ** 2)`.
        steps: Of gradient descent.
        rate: Learning rate.
        clip: Longest gradient that is followed; by default `0.1 / rate`.

    Returns:
        The expressions with the parameters that had the smallest loss on the way, and this loss.
        It is infinite where the loss was never a number.

    Raises:
        InputError: A number is out of range.

    Source:
        As in hal-cgp, the library of Jordan et al. (2021), section 2.4 of the sheet, which keeps
        the last parameters, not the best.
    """
    import jax
    import jax.numpy as jnp

    in_range("steps", steps, 0)
    positive("rate", rate)
    clip = 0.1 / rate if clip is None else clip
    positive("clip", clip)
    start = parameters_of(programs)

    def total(values):
        rest = iter(values)
        return loss(*(_function(program, rest) for program in programs))

    value_and_gradient = jax.jit(jax.value_and_grad(total))
    values = jnp.asarray(start)
    if not start.size:
        return programs, _number(total(values))
    best, least = start, np.inf
    for k in range(steps + 1):
        found, gradient = value_and_gradient(values)
        if _number(found) < least:
            best, least = np.asarray(values, float), _number(found)
        if k == steps or not bool(jnp.isfinite(gradient).all()):
            break
        size = jnp.sqrt(jnp.sum(gradient**2))
        values = values - rate * gradient * jnp.minimum(1.0, clip / jnp.maximum(size, 1e-30))
    return with_values(programs, best), least


def _function(program: Program, rest) -> Callable:
    """A function in JAX in which parameters are taken from an iterator."""
    import jax.numpy as jnp

    steps = [
        replace(s, value=next(rest)) if s.primitive.code == PARAMETER else s for s in program.steps
    ]
    return replace(program, steps=tuple(steps)).function(jnp)


def _number(value: Any) -> float:
    return float(value) if np.isfinite(float(value)) else np.inf


# -- a natural evolution strategy ------------------------------------------------------------------


@dataclass(frozen=True)
class Natural:
    """A separable natural evolution strategy with mirrored samples.

    Attributes:
        steps: Generations.
        width: Of the distribution at the beginning, relative to each parameter (to 1 where it is
            0).
        utility: `"ranked"`, or `"max_first"`, which takes the larger of a constant and 0 instead of
            the larger of each rank's value and 0, as the library hal-cgp does.

    Raises:
        InputError: A value is out of range.

    Source:
        Wierstra et al. (2014), algorithm 6; section 2.4 of the sheet on Jordan et al. (2021).
    """

    steps: int = 10
    width: float = 0.05
    utility: Literal["ranked", "max_first"] = "ranked"

    def __post_init__(self) -> None:
        in_range("steps", self.steps, 0)
        positive("width", self.width)
        one_of("utility", self.utility, ("ranked", "max_first"))

    def utilities(self, n: int) -> Values:
        """Weights of ranks, the best first; they add up to 0. Shape (n,)."""
        top, ranks = log(n / 2 + 1), np.log(np.arange(n) + 1)
        raw = np.maximum(0.0, top - ranks) if self.utility == "ranked" else max(0.0, top) - ranks
        return raw / raw.sum() - 1 / n

    def __call__(
        self,
        programs: Phenotype,
        fitness: Callable[..., float],
        rng: np.random.Generator,
        known: float | None = None,
    ) -> tuple[Phenotype, float, int]:
        """Better parameters.

        Args:
            programs: Expressions with parameters; without any they are returned as they are.
            fitness: Of as many expressions; what it raises, and `nan`, is the worst.
            rng: Source of randomness.
            known: Fitness of the expressions as they are, if known.

        Returns:
            The expressions with the mean of the distribution or, where this is no better, as they
            were; their fitness; and how often it was computed.
        """
        count = 0

        def value(at: Values) -> float:
            nonlocal count
            count += 1
            try:
                found = float(fitness(*with_values(programs, at)))
            except Exception:  # whatever the user's function raises
                return -np.inf
            return -np.inf if np.isnan(found) else found

        mean = parameters_of(programs)
        d = mean.size
        before = value(mean) if known is None else known
        if not d:
            return programs, before, count
        half = -(-(4 + int(3 * log(d))) // 2)
        utilities = self.utilities(2 * half)
        rate = (3 + log(d)) / (5 * sqrt(d))
        sigma = np.maximum(LEAST, self.width * np.where(mean == 0, 1.0, np.abs(mean)))
        for _ in range(self.steps):
            drawn = rng.standard_normal((half, d))
            s = np.concatenate([drawn, -drawn])
            scores = np.array([value(mean + sigma * row) for row in s])
            u = utilities[np.argsort(np.argsort(-scores, kind="stable"), kind="stable")]
            mean = mean + sigma * (u @ s)
            sigma = np.maximum(LEAST, sigma * np.exp(rate / 2 * (u @ (s**2 - 1))))
        after = value(mean)
        return (with_values(programs, mean), after, count) if after > before else (
            programs, before, count
        )  # fmt: skip


def learning_generation(
    search: Search,
    state: State,
    evaluator: Evaluator,
    best: int | None = None,
    method: Natural | None = None,
) -> State:
    """A generation in which children improve their parameters before they are selected.

    Children of such a child inherit what it has learned. What is random follows from the seed of
    the search and the state.

    Args:
        search: What to do.
        state: It stays as it is.
        evaluator: Fitness, also of what is tried during the local search, which runs here.
        best: How many children learn, the best ones; by default all.
        method: By default `Natural()`.

    Returns:
        The next population; what was tried counts among its evaluations.

    Raises:
        InputError: `best` is out of range.
    """
    method = Natural() if method is None else method
    asked = search.ask(state)
    fitness = fitness_of(search, asked, evaluator)
    n = len(fitness) if best is None else best
    in_range("best", n, 0, hint="None stands for all.")
    seeds = np.random.SeedSequence([search.seed, int(state.generation), int(state.evaluations), 3])
    parameters, count = asked.parameters.copy(), 0
    for k, seed in zip(np.argsort(-fitness, kind="stable")[:n], seeds.spawn(n), strict=False):
        programs = search.phenotype(asked.genomes[k], asked.parameters[k])
        if parameters_of(programs).size and np.isfinite(fitness[k]):
            rng = np.random.default_rng(seed)
            found, fitness[k], more = method(programs, evaluator.fitness, rng, float(fitness[k]))
            parameters[k] = search.with_parameters(asked.genomes[k], found, parameters[k])
            count += more
    after = search.tell(state, asked._replace(parameters=parameters), fitness)
    return after._replace(evaluations=after.evaluations + count)
