"""What both experiments share: populations that evolve rules, and how a rule is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range, positive
from lapicque.evolve import Evaluator, Grid, Mul, Program, Search, State, Sub, generation
from lapicque.evolve.tasks.principal_component import (
    INPUTS,
    DataSets,
    Family,
    Fitness,
    learn,
)

Values = NDArray[np.float64]

WORK = "Mettler et al. (2021), arXiv:2102.04312"
CITES = ("mettler2021evolving", "oja1982simplified")
FLOOR = -1.0
"""Where weights diverge or fitness is lower, a data set counts so much in means."""
_LARGEST = 16  # degree of polynomials that are factored


@dataclass(frozen=True)
class Evolution:
    """Settings of the task and of the search."""

    sets: int = 10  # data sets on which a rule is tried
    samples: int = 1000  # per data set
    eta: float = 0.01  # learning rate
    columns: int = 12  # nodes of a genome
    parents: int = 5
    children: int = 10
    tournament: int = 2  # parents of which the best is cloned
    active_genes: int | None = 1  # that mutation changes; if none, `rate` is used
    rate: float = 0.05  # probability of mutation for each gene
    generations: int = 300  # of each population, the first included
    populations: int = 10  # one after the other in each run; the best rule of all counts

    def __post_init__(self):
        for name in ("sets", "columns", "parents", "children", "populations"):
            in_range(name, getattr(self, name), 1)
        in_range("samples", self.samples, 10)
        in_range("generations", self.generations, 2)
        in_range("tournament", self.tournament, 1, self.parents)
        in_range("rate", self.rate, 0, 1)
        positive("eta", self.eta)
        if self.active_genes is not None:
            in_range("active_genes", self.active_genes, 1)

    @property
    def grid(self) -> Grid:
        """Of genomes that say f(x, w, y)."""
        return Grid(INPUTS, (Sub, Mul), self.columns)

    def family(self, **changes: Any) -> Family:
        """Data sets like those of evolution, with some changes."""
        return Family(**{"sets": self.sets, "samples": self.samples} | changes)

    def fitness(self, data: DataSets) -> Fitness:
        """Fitness on data sets."""
        return Fitness(data, self.eta, alpha=2.0 * data.n)

    def search(self, *key: int) -> Search:
        """A search whose seed follows from some numbers."""
        return Search(
            (self.grid,), self.parents, self.children, self.tournament, self.rate,
            self.active_genes, seed_of(*key),
        )  # fmt: skip


def seed_of(*key: int) -> int:
    """A seed that follows from some numbers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


class Progress(NamedTuple):
    """Where evolution stands.

    Attributes:
        population: The one that evolves.
        genomes: The best of each run so far, shape (runs, genes).
        fitness: Of these, shape (runs,).
        evaluations: Different rules that were asked for in finished populations.
    """

    population: State
    genomes: NDArray[np.int64]
    fitness: Values
    evaluations: NDArray[np.int64]


class Evolved(NamedTuple):
    """What evolution found.

    Attributes:
        genomes: The best of each run, shape (runs, genes).
        fitness: Of these, shape (runs,).
        history: Best fitness of the population that evolved, shape (runs, populations,
            generations).
        evaluations: How often a fitness was asked for that did not follow from a parent's.
    """

    genomes: NDArray[np.int64]
    fitness: Values
    history: Values
    evaluations: int


def evolve(config: Evolution, tasks: Sequence[Fitness], seed: int, session, label: str) -> Evolved:
    """Evolve a rule for each task, in populations that begin anew.

    Args:
        config: See `Evolution`.
        tasks: A fitness for each run.
        seed: Of genomes and mutations.
        session: See `lapicque.lab.session.Session`.
        label: Of this evolution in the session.
    """
    per_run = config.populations * config.generations
    evaluators = [Evaluator(task) for task in tasks]
    grid = config.grid

    def step(progress: Progress, i: int) -> tuple[Progress, dict[str, Any]]:
        run, rest = divmod(i, per_run)
        population, number = divmod(rest, config.generations)
        search = config.search(seed, run, population)
        state = search.init() if number == 0 else progress.population
        before = 0 if number == 0 else int(state.evaluations)
        state = generation(search, state, evaluators[run])
        genomes, fitness = progress.genomes.copy(), progress.fitness.copy()
        if state.fitness[0] > fitness[run]:
            genomes[run], fitness[run] = state.genomes[0], state.fitness[0]
        asked = progress.evaluations + int(state.evaluations) - before
        return Progress(state, genomes, fitness, asked), {"fitness": state.fitness[0]}

    def note(progress: Progress) -> str:
        gains = [best / task.data.sets for best, task in zip(progress.fitness, tasks, strict=True)]
        run = int(np.argmax(gains))
        if gains[run] == -np.inf:
            return ""
        rule = str(Program.decode(grid, progress.genomes[run]))
        return f"best so far {gains[run]:.4f}: {rule if len(rule) < 60 else rule[:56] + ' ...'}"

    start = Progress(
        config.search(seed, 0, 0).init(),
        np.zeros((len(tasks), grid.length), np.int64),
        np.full(len(tasks), -np.inf),
        np.array(0),
    )
    last, history = session.loop(label, step, start, len(tasks) * per_run, note)
    shape = (len(tasks), config.populations, config.generations)
    return Evolved(
        last.genomes, last.fitness, history["fitness"].reshape(shape), int(last.evaluations)
    )


# -- judging ---------------------------------------------------------------------------------------


def per_set(rule: Program, task: Fitness) -> float:
    """Mean fitness over data sets, where none counts as less than `FLOOR`."""
    found = task.of_sets(learn(rule, task.data, task.eta))
    return float(np.maximum(found, FLOOR).mean())


def tuned(rule: Program, task: Fitness, etas: Values) -> float:
    """The learning rate at which a rule does best."""
    found = [Fitness(task.data, eta, task.mode, task.alpha)(rule) for eta in etas]
    return float(etas[int(np.argmax(found))])


def degree(rule: Program) -> int:
    """Of the polynomial, as far as it shows without multiplying out."""
    found = [1] * len(rule.inputs)
    for step in rule.steps:
        parts = [found[a] for a in step.arguments]
        found.append(sum(parts) if step.primitive == Mul else max(parts, default=0))
    return found[rule.outputs[0]]


def factored(rule: Program) -> Any:
    """The rule in SymPy as a product, or `None` if its degree is too high to look at."""
    import sympy

    return sympy.factor(rule.to_sympy()) if degree(rule) <= _LARGEST else None


def has_ojas_factor(rule: Program) -> bool:
    """Whether the polynomial can be divided by x - w y; False if its degree is too high to tell."""
    import sympy

    if degree(rule) > _LARGEST:
        return False
    x, w, y = (sympy.Symbol(name, real=True) for name in INPUTS)
    # a polynomial has the factor if and only if it vanishes where the factor does
    return sympy.expand(rule.to_sympy().subs(x, w * y)) == 0
