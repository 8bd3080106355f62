"""Expressions found from points: symbolic regression by Cartesian genetic programming

A population of expressions is evolved until one passes through all points. Where the formula has
no constants but those of the grid, the whole search is compiled; where it has, form and numbers are
found together, since children improve their numbers before they are selected, and pass them on; in
the end, the gradient polishes those of the best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range
from lapicque.evolve import (
    Add,
    Div,
    Exp,
    Grid,
    Mul,
    Search,
    State,
    Sub,
    constant,
    generation,
    parameter,
)
from lapicque.evolve.evaluation import Evaluator
from lapicque.evolve.parameters import Natural, descend, learning_generation
from lapicque.evolve.regression import Regression
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, GRID, INK, MUTED, subplots

_BEST, _WORST = -16.0, 6.0  # decades of the mean squared error that are told apart
SOLVED = 1e-12  # of the mean squared error
NEAR = 1e-6  # the same, where constants are learned
RATE = 0.05  # of gradient descent
LEARNER = Natural(steps=10, width=0.3)


@dataclass(frozen=True)
class Task:
    """A formula to be found.

    Attributes:
        formula: As LaTeX.
        function: Of points of shape (inputs, points).
        low, high: Between which inputs are drawn.
        grid: Of the genomes.
        learned: Whether constants are learned.
    """

    formula: str
    function: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    grid: Grid
    learned: bool = False

    @property
    def limit(self) -> float:
        """Mean squared error below which it counts as solved."""
        return NEAR if self.learned else SOLVED


_TWO = Grid(("x", "y"), (Add, Sub, Mul, constant(1.0)), 12, 2, 5)
_ONE = Grid(("x",), (Add, Sub, Mul, Div, constant(1.0)), 16)
_LEARNED = Grid(("x",), (Add, Sub, Mul, parameter()), 12)
_DECAY = Grid(("x",), (Add, Mul, Exp, parameter(-1.0)), 12)

TASKS = {
    "square": Task(r"(x + y)^2", lambda p: (p[0] + p[1]) ** 2, -5, 5, _TWO),
    "quartic": Task(r"x^4 + x^3 + x^2 + x", lambda p: p[0] + p[0] ** 2 + p[0] ** 3 + p[0] ** 4,
                    -1, 1, _ONE),
    "rational": Task(r"x^3 / (1 + x^2)", lambda p: p[0] ** 3 / (1 + p[0] ** 2), -3, 3, _ONE),
    "parabola": Task(r"2.5\,x^2 - 1.3", lambda p: 2.5 * p[0] ** 2 - 1.3, -2, 2, _LEARNED, True),
    "decay": Task(r"0.7\,e^{-x/2.5}", lambda p: 0.7 * np.exp(-p[0] / 2.5), 0, 6, _DECAY, True),
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    runs: int = 20  # of each target without constants
    generations: int = 5000
    learned_runs: int = 5  # of each target with constants
    learned_generations: int = 200
    learned_rate: float = 0.08
    learners: int = 4  # parents, and children, where constants are learned
    polish: int = 400  # steps of gradient descent at the end
    parents: int = 10
    children: int = 10
    rate: float = 0.03  # probability with which a gene mutates
    points: int = 1000
    learned_points: int = 50
    memory: int = 14  # so many powers of two of expressions are remembered

    def __post_init__(self):
        for name in ("runs", "generations", "learned_runs", "learned_generations"):
            in_range(name, getattr(self, name), 1)
        in_range("parents", self.parents, 1)
        in_range("children", self.children, 1)
        in_range("learners", self.learners, 1)
        in_range("rate", self.rate, 0, 1)
        in_range("learned_rate", self.learned_rate, 0, 1)
        in_range("polish", self.polish, 0)
        in_range("memory", self.memory, 0, 28)
        in_range("points", self.points, 2)
        in_range("learned_points", self.learned_points, 2)


PRESETS = {
    "smoke": Config(runs=2, generations=30, learned_runs=1, learned_generations=4, points=40),
    "quick": Config(),
    "paper": Config(runs=100, generations=50_000, learned_runs=20, learned_generations=1500),
}

_HAL = "our own runs of hal-cgp's development version, five seeds"

CLAIMS = (
    Claim(
        "square",
        "(x + y)^2 is found exactly from every random population",
        "success_square",
        Certainty.REFERENCE_RUN,
        _HAL + "; our limit leaves one run in ten",
        at_least=0.9,
        published=1.0,
    ),
    Claim(
        "generations",
        "This takes as many generations as in another implementation of the same search",
        "generations_square",
        Certainty.REFERENCE_RUN,
        _HAL + ": 26 to 972",
        at_least=26,
        at_most=972,
    ),
    Claim(
        "quartic",
        "At least half of the runs find a polynomial of four terms",
        "success_quartic",
        Certainty.DERIVED,
        "the target itself is exact; our limit",
        at_least=0.5,
    ),
    Claim(
        "constants",
        "Form and numbers of 2.5 x^2 - 1.3 are found together",
        "success_parabola",
        Certainty.DERIVED,
        "the target itself is exact; our limit is one run in five, more fail than succeed",
        at_least=0.2,
    ),
    Claim(
        "values",
        "The best such run has both numbers to within a thousandth",
        "constants_parabola",
        Certainty.DERIVED,
        "the target itself, 2.5 and -1.3",
        at_most=1e-3,
        published=0.0,
    ),
)

CITES = ("jordan2021evolving", "miller2000cartesian", "koza1992genetic", "wierstra2014natural")


def run(config: Config, seed: int, session) -> Outcome:
    """Search for each formula from several random populations."""
    metrics: dict[str, float] = {}
    recordings: dict[str, np.ndarray] = {}
    for name, task in TASKS.items():
        session.log(name)
        search = learned if task.learned else compiled
        found = search(config, name, seed, session)
        errors = found["errors"]
        solved = errors[:, -1] <= np.log10(task.limit)
        ends = _generations(errors, task)
        metrics[f"success_{name}"] = float(solved.mean())
        metrics[f"generations_{name}"] = float(np.median(ends))
        metrics[f"evaluations_{name}"] = float(np.median(found["evaluations"]))
        metrics[f"error_{name}"] = float(10 ** errors[:, -1].min())
        recordings |= {f"{name}/{key}": value for key, value in found.items()}
    values = _values(config, recordings)
    metrics["constants_parabola"] = float(np.abs(values - [2.5, 0.0, -1.3]).max())
    return Outcome(metrics, recordings)


def _search(config: Config, name: str, seed: int) -> Search:
    c, task = config, TASKS[name]
    if task.learned:
        return Search((task.grid,), c.learners, c.learners, 1, c.learned_rate, seed=seed)
    return Search((task.grid,), c.parents, c.children, 1, c.rate, seed=seed)


def _seeds(seed: int, name: str, n: int) -> list[int]:
    words = np.random.SeedSequence([seed, list(TASKS).index(name)]).generate_state(n)
    return [int(word) for word in words]


def _points(task: Task, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(task.low, task.high, (len(task.grid.inputs), n))
    return inputs, task.function(inputs)


def _decades(fitness: Any) -> np.ndarray:
    """Logarithm of the mean squared error, within what is told apart."""
    error = -np.asarray(fitness, float)
    return np.clip(np.log10(np.maximum(error, 1e-300)), _BEST, _WORST)


def _generations(errors: np.ndarray, task: Task) -> np.ndarray:
    """Generations until a run was solved, or all that it had; shape (runs,)."""
    solved = errors <= np.log10(task.limit)
    return np.where(solved.any(1), solved.argmax(1), errors.shape[1] - 1)


def compiled(config: Config, name: str, seed: int, session) -> dict[str, np.ndarray]:
    """All runs of a formula without learned constants, in one piece each."""
    task = TASKS[name]

    def single(own: int) -> dict[str, np.ndarray]:
        regression = Regression(
            _search(config, name, own), *_points(task, config.points, seed), config.memory
        )
        first = regression.init()
        state, history = regression.run(first, config.generations, -SOLVED)
        errors = np.full(config.generations + 1, _decades(state.fitness[0]))
        errors[: 1 + len(history)] = _decades(np.r_[first.fitness[0], history])
        return {
            "errors": errors,
            "genomes": state.genomes[0],
            "parameters": np.zeros(task.grid.nodes),
            "evaluations": np.array(int(state.evaluations)),
        }

    def every() -> dict[str, np.ndarray]:
        rows = [single(own) for own in _seeds(seed, name, config.runs)]
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    return session.stage(name, every)


def learned(config: Config, name: str, seed: int, session) -> dict[str, np.ndarray]:
    """All runs of a formula whose constants are learned, each polished at the end."""
    task = TASKS[name]
    inputs, target = _points(task, config.learned_points, seed)

    def fitness(program) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return -float(np.mean((program(*inputs) - target) ** 2))

    rows = []
    for k, own in enumerate(_seeds(seed, name, config.learned_runs)):
        search = _search(config, name, own)
        evaluator = Evaluator(fitness)

        def step(state: State, _: int, search=search, evaluator=evaluator):
            if state.fitness[0] < -NEAR or np.isnan(state.fitness[0]):
                state = learning_generation(search, state, evaluator, method=LEARNER)
            return state, {"error": _decades(state.fitness[0])}

        first = generation(search, search.init(), evaluator)
        first_error = _decades(first.fitness[0])
        state, history = session.loop(f"{name}-{k}", step, first, config.learned_generations)
        rows.append(
            session.stage(
                f"{name}-{k}-polished",
                lambda search=search, state=state, errors=np.r_[first_error, history["error"]]: (
                    _polished(config, search, state, errors, inputs, target)
                ),
            )
        )
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _polished(config: Config, search: Search, state: State, errors, inputs, target) -> dict:
    """The best individual after gradient descent, and all errors with its own at the end."""
    with jax.enable_x64(True):
        programs, error = descend(
            search.champion(state),
            lambda f: jnp.mean((f(*inputs) - target) ** 2),
            config.polish,
            RATE,
        )
    return {
        "errors": np.r_[errors, _decades(-error)],
        "genomes": state.genomes[0],
        "parameters": search.with_parameters(state.genomes[0], programs, state.parameters[0]),
        "evaluations": np.array(int(state.evaluations)),
    }


def _champion(config: Config, recordings, name: str) -> tuple[Search, np.ndarray, np.ndarray]:
    """The search, genome and parameters of the best run, of those the shortest expression."""
    search, errors = _search(config, name, 0), recordings[f"{name}/errors"][:, -1]
    genomes, parameters = recordings[f"{name}/genomes"], recordings[f"{name}/parameters"]
    solved = errors <= np.log10(TASKS[name].limit)
    sizes = [len(search.phenotype(genome)[0].steps) for genome in genomes]
    # among those that solve it the shortest, else the best
    order = np.where(solved, -1e3 + np.array(sizes), errors)
    best = int(np.argmin(order))
    return search, genomes[best], parameters[best]


def _values(config: Config, recordings) -> np.ndarray:
    """Coefficients of x^2, x and 1 in the best parabola, fitted to its values."""
    search, genome, parameters = _champion(config, recordings, "parabola")
    program = search.phenotype(genome, parameters)[0]
    x = np.linspace(-2, 2, 101)
    values = program(x)
    return np.polyfit(x, np.nan_to_num(values, posinf=0.0, neginf=0.0), 2)


# -- figures ---------------------------------------------------------------------------------------


def figures(outcome: Outcome, config: Config):
    """Errors over generations, and the champion of each target as a graph and a formula."""
    return {
        "fitness": _fitness_figure(outcome, config),
        "champions": _champions_figure(outcome, config),
    }


def _fitness_figure(outcome: Outcome, config: Config):
    figure, axes = subplots(2, 3, height=4.6)
    for axis, (name, task), colour in zip(axes.flat, TASKS.items(), COLOURS, strict=False):
        errors = outcome.recordings[f"{name}/errors"]
        time = np.arange(errors.shape[1]) + 1
        for row in errors:
            end = int(_generations(row[None], task)[0]) + 1
            axis.plot(time[:end], 10 ** row[:end], color=colour, linewidth=0.7, alpha=0.6)
            if row[end - 1] <= np.log10(task.limit):
                axis.plot(time[end - 1], 10 ** row[end - 1], "o", color=colour, markersize=3)
        share = outcome.metrics[f"success_{name}"]
        axis.set_title(f"${task.formula}$", fontsize=9)
        axis.text(0.04, 0.06, f"{round(share * len(errors))} of {len(errors)} solved",
                  transform=axis.transAxes, fontsize=8, color=MUTED)  # fmt: skip
        axis.set(xscale="log", yscale="log", ylim=(10 ** (_BEST - 1), 1e5))
        axis.set_yticks(10.0 ** np.arange(-16, 5, 4))
        if not task.learned:
            axis.axhspan(10 ** (_BEST - 1), SOLVED, color=GRID, linewidth=0)
        else:
            axis.axhspan(10 ** (_BEST - 1), NEAR, color=GRID, linewidth=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean squared error")
    for axis in (*axes[1, :2], axes[0, 2]):
        axis.set_xlabel("generation")
    _success(axes[1, 2], outcome)
    return figure


def _success(axis, outcome: Outcome) -> None:
    """Share of runs that are solved, over generations."""
    for (name, task), colour in zip(TASKS.items(), COLOURS, strict=False):
        errors = outcome.recordings[f"{name}/errors"]
        share = (errors <= np.log10(task.limit)).mean(0)
        axis.plot(np.arange(share.size) + 1, 100 * share, color=colour, label=name)
    axis.set(xscale="log", xlabel="generation", ylabel="solved runs [%]", ylim=(-4, 104))
    axis.legend(fontsize=7, handlelength=1.2, loc="upper left")


def _champions_figure(outcome: Outcome, config: Config):
    figure, axes = subplots(len(TASKS), 1, height=1.25 * len(TASKS))
    for axis, name in zip(axes[:, 0], TASKS, strict=True):
        search, genome, parameters = _champion(config, outcome.recordings, name)
        _graph(axis, search.grids[0], genome, parameters)
        error = outcome.metrics[f"error_{name}"]
        size = "below 1e−15" if error < 1e-15 else f"{error:.0e}"
        text = _formula(search.phenotype(genome, parameters)[0])
        axis.set_title(f"{name}:  $f = {text}$   (mean squared error {size})", fontsize=9)
    return figure


def _formula(program) -> str:
    import sympy

    if program.written_size > 200:
        return r"\mathrm{(long)}"
    found = sympy.expand(program.to_sympy())
    if found.count_ops() > 25:
        return r"\mathrm{(long)}"
    learned = any(step.primitive.name == "parameter" for step in program.steps)
    if not learned:
        return sympy.latex(sympy.factor(found))
    found = found.evalf()
    return sympy.latex(found.xreplace({n: sympy.Float(n, 4) for n in found.atoms(sympy.Float)}))


_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}


def _graph(axis, grid: Grid, genome: np.ndarray, parameters: np.ndarray) -> None:
    """Inputs on the left, nodes in their columns, those that matter in colour."""
    n_in, width = len(grid.inputs), 1 + grid.arity
    active = grid.active_nodes(genome)
    place = {k: (-1.0, (n_in - 1) / 2 - k) for k in range(n_in)}
    for node in range(grid.nodes):
        column, row = divmod(node, grid.rows)
        place[n_in + node] = (float(column), (grid.rows - 1) / 2 - row)
    output = (float(grid.columns), 0.0)
    for node in np.flatnonzero(active):
        at = int(node) * width
        arity = grid.primitives[int(genome[at])].arity
        for argument in genome[at + 1 : at + 1 + arity]:
            _edge(axis, place[int(argument)], place[n_in + int(node)])
    _edge(axis, place[int(genome[-1])], output)
    for k, name in enumerate(grid.inputs):
        _node(axis, place[k], name, "#ffffff", INK)
    for node in range(grid.nodes):
        primitive = grid.primitives[int(genome[node * width])]
        label = _SIGNS.get(primitive.name, primitive.name)
        if primitive.name == "parameter":
            label = f"{parameters[node]:.2g}" if active[node] else "p"
        colour = COLOURS[4] if active[node] else "#ffffff"
        _node(axis, place[n_in + node], label, colour, INK if active[node] else "#c3c8cf")
    _node(axis, output, "f", "#ffffff", INK)
    axis.set(xlim=(-1.6, grid.columns + 0.6), ylim=(-1.1, 1.3))
    axis.axis("off")


def _node(axis, at: tuple[float, float], label: str, face: str, ink: str) -> None:
    box = {"boxstyle": "round,pad=0.3", "facecolor": face, "edgecolor": ink, "linewidth": 0.8}
    axis.text(*at, label, ha="center", va="center", fontsize=7, color=ink, bbox=box, zorder=3)


def _edge(axis, start: tuple[float, float], end: tuple[float, float]) -> None:
    bend = 0.0 if abs(end[0] - start[0]) <= 1 else -0.2
    style = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.9}
    style["connectionstyle"] = f"arc3,rad={bend}"
    axis.annotate("", xy=end, xytext=start, arrowprops=style, zorder=1)
