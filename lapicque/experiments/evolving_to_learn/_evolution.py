"""What the three experiments share: settings of the search, and runs of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range
from lapicque.evolve import Evaluator, Grid, Search, State, generation
from lapicque.evolve.search import Phenotype

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Evolution:
    """Settings of the search."""

    runs: int = 3
    generations: int = 200
    parents: int = 4
    children: int = 4
    rate: float = 0.045  # probability of mutation for each gene

    def __post_init__(self):
        in_range("runs", self.runs, 1)
        in_range("generations", self.generations, 1)
        in_range("parents", self.parents, 1)
        in_range("children", self.children, 1)
        in_range("rate", self.rate, 0, 1)

    def search(self, grids: tuple[Grid, ...], *key: int) -> Search:
        """A search whose seed follows from some numbers."""
        return Search(grids, self.parents, self.children, rate=self.rate, seed=seed_of(*key))


class Evolved(NamedTuple):
    """What evolution found.

    Attributes:
        genomes: The best of each run, shape (runs, genes).
        fitness: Of these, shape (runs,).
        history: Best fitness, shape (runs, generations + 1).
        evaluations: Of rules, shape (runs,).
    """

    genomes: NDArray[np.int64]
    fitness: Values
    history: Values
    evaluations: Values


def seed_of(*key: int) -> int:
    """A seed that follows from some numbers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def evolve(
    config: Evolution,
    grids: tuple[Grid, ...],
    fitness: Callable[..., float],
    seed: int,
    session,
    label: str,
    *seeded: Phenotype,
    runs: int | None = None,
    goal: float = np.inf,
    floor: float = -1e6,
) -> Evolved:
    """Runs of a search, each from other parents.

    Args:
        config: See `Evolution`.
        grids: Of the genomes of an individual.
        fitness: Of the expressions of an individual.
        seed: Of genomes and mutations.
        session: See `lapicque.lab.session.Session`.
        label: Of this evolution in the session.
        seeded: Expressions with which each run begins, besides random ones.
        runs: How many, if not those of `config`.
        goal: Fitness at which a run ends.
        floor: What is recorded where fitness is lower.
    """
    found: list[tuple[State, Values]] = []
    for k in range(config.runs if runs is None else runs):
        search, evaluator = config.search(grids, seed, k), Evaluator(fitness)

        def step(state: State, i: int, search=search, evaluator=evaluator) -> tuple[State, Any]:
            if not state.fitness[0] >= goal:
                state = generation(search, state, evaluator)
            return state, {"best": max(state.fitness[0], floor)}

        state, rows = session.loop(
            f"{label} {k}", step, search.init(*seeded), config.generations + 1
        )
        best = "; ".join(str(program) for program in search.champion(state))
        shown = best if len(best) < 90 else best[:86] + " ..."
        session.log(f"{label}, run {k}: {float(state.fitness[0]):.4g} by {shown}")
        found.append((state, rows["best"]))
    return Evolved(
        np.stack([state.genomes[0] for state, _ in found]),
        np.array([max(state.fitness[0], floor) for state, _ in found]),
        np.stack([history for _, history in found]),
        np.array([float(state.evaluations) for state, _ in found]),
    )


def decoded(config: Evolution, grids: tuple[Grid, ...], genomes: NDArray[Any]) -> list[Phenotype]:
    """Expressions of genomes, shape (runs, genes)."""
    return [config.search(grids, 0).phenotype(genome) for genome in genomes.astype(np.int64)]
