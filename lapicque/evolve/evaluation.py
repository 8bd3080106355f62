"""Fitness of many expressions: each different one once, here or wherever an executor runs.

Fitness must depend on the expression alone (and on what the function carries with it), so that it
does not matter where, in what order or how often it is computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range
from lapicque.evolve.program import Program
from lapicque.evolve.search import Asked, Phenotype, Search, State

Fitness = Callable[..., float]
_PROBES = 10


@dataclass
class Evaluator:
    """Computes fitness, and remembers it.

    Attributes:
        fitness: A function of as many expressions as an individual has genomes. What it raises
            counts as the worst fitness, as does `nan`.
        executor: Anything like `concurrent.futures.Executor`, or `None` to compute here.
        chunk: Individuals that are sent together.
        semantic: Whether expressions that agree on ten random points count as the same.
        known: Fitness by what an individual does.
        events: How often fitness was not finite or an error was raised, by name.

    Raises:
        InputError: `chunk` is below 1.
    """

    fitness: Fitness
    executor: Executor | None = None
    chunk: int = 4
    semantic: bool = False
    known: dict[bytes, float] = field(default_factory=dict)
    events: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        in_range("chunk", self.chunk, 1)

    def __call__(self, individuals: Sequence[Phenotype]) -> NDArray[np.float64]:
        """Fitness of each individual; -inf where there is none."""
        keys = [self._key(programs) for programs in individuals]
        missing: dict[bytes, Phenotype] = {}
        for key, programs in zip(keys, individuals, strict=True):
            if key not in self.known:
                missing.setdefault(key, programs)
        waiting = list(missing.values())
        parts = [waiting[k : k + self.chunk] for k in range(0, len(waiting), self.chunk)]
        if self.executor is None:
            results = [_evaluate(self.fitness, part) for part in parts]
        else:
            futures = [self.executor.submit(_evaluate, self.fitness, part) for part in parts]
            results = [future.result() for future in futures]
        found = [pair for part in results for pair in part]
        for key, (value, event) in zip(missing, found, strict=True):
            self.known[key] = value
            if event:
                self.events[event] += 1
        return np.array([self.known[key] for key in keys])

    def _key(self, programs: Phenotype) -> bytes:
        if not self.semantic:
            return b"||".join(program.key for program in programs)
        return b"||".join(_meaning(program) for program in programs)


def _evaluate(fitness: Fitness, part: Sequence[Phenotype]) -> list[tuple[float, str]]:
    """Fitness of some individuals, and what went wrong."""
    found = []
    for programs in part:
        try:
            value, event = float(fitness(*programs)), ""
            if np.isnan(value):
                value, event = -np.inf, "nan"
            elif np.isinf(value):
                event = "infinite"
        except Exception as error:  # whatever the user's function raises
            value, event = -np.inf, type(error).__name__
        found.append((value, event))
    return found


def _meaning(program: Program) -> bytes:
    """Values on some fixed random points, to ten digits."""
    points = np.random.default_rng(0).uniform(-2, 2, (len(program.inputs), _PROBES))
    with np.errstate(all="ignore"):
        values = np.stack(program.all(*points))
    finite = np.isfinite(values)
    short = [f"{v:.9e}" if ok else str(v) for v, ok in zip(values.flat, finite.flat, strict=True)]
    return " ".join(short).replace("-0.000000000e+00", "0.000000000e+00").encode()


def generation(search: Search, state: State, evaluator: Evaluator) -> State:
    """One generation: ask, evaluate what is not known, tell."""
    asked = search.ask(state)
    return search.tell(state, asked, fitness_of(search, asked, evaluator))


def fitness_of(search: Search, asked: Asked, evaluator: Evaluator) -> NDArray[np.float64]:
    """Fitness of all that were asked for."""
    unknown = np.flatnonzero(asked.unknown)
    fitness = asked.fitness.copy()
    if unknown.size:
        fitness[unknown] = evaluator(
            [search.phenotype(asked.genomes[k], asked.parameters[k]) for k in unknown]
        )
    return fitness
