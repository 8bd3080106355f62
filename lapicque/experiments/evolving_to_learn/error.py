"""Rules that learn from a target potential, evolved and compared with published ones

The potential of a student neuron is to follow that of a teacher with the same input. Its synapses
change by an expression of the teacher's potential v, its own potential u, and the response p to
their own input. Gradient descent is (v - u) p; five of six published champions are that, once or
twice, since |u| is large beside 1 mV and p small. Fitness is minus the root of a sum of squares
over all milliseconds, not of a mean.

Published numbers are those of other inputs and of a step of 0.01 ms, ours of 0.1 ms. Ours, not the
authors', are also genes that mutate with a probability of 0.2 in evolution. The published
probability is 0.045, but the version of the library that was used changed most genes of a child.
When 1.7 of 37 genes change, as 0.045 means, most runs stay with rules that do not depend on p: of
three runs of 1000 generations none found the gradient, of four with 0.2 three did within 600.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.evolve import Program, parse
from lapicque.evolve.tasks.error import GRADIENT, SIGNALS, ErrorTask
from lapicque.experiments._expressions import formula, graph
from lapicque.experiments.evolving_to_learn import _figures
from lapicque.experiments.evolving_to_learn._champions import CITES as _WORKS, CORRECTED, FILES
from lapicque.experiments.evolving_to_learn._evolution import Evolution, decoded, evolve, seed_of
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots

_POINT = (-59.5, -60.0, 0.01)  # mV, mV, mV/pA: where slopes are compared


@dataclass(frozen=True)
class Config(Evolution):
    """Settings of the experiment."""

    rate: float = 0.2  # probability of mutation for each gene
    runs: int = 4
    generations: int = 600
    experiments: int = 15  # new ones, on which rules are tried
    duration: float = 10_000.0  # ms, of these
    h: float = 0.1  # ms, step
    evolved_on: int = 3  # experiments in evolution
    evolved_for: float = 3000.0  # ms, duration of these

    def __post_init__(self):
        super().__post_init__()
        in_range("experiments", self.experiments, 2)
        in_range("duration", self.duration, 1100, unit="ms")
        in_range("evolved_on", self.evolved_on, 1)
        in_range("evolved_for", self.evolved_for, 1100, unit="ms")
        positive("h", self.h, "ms")

    def new(self, seed: int) -> ErrorTask:
        """Experiments on which rules are tried."""
        return ErrorTask(self.experiments, self.duration, h=self.h, seed=seed_of(seed, 1))


PRESETS = {
    "smoke": Config(runs=1, generations=3, experiments=2, duration=1500.0, evolved_on=1,
                    evolved_for=1200.0),
    "quick": Config(),
    "paper": Config(runs=6, generations=1000, experiments=50, evolved_on=15, evolved_for=10_000.0),
}  # fmt: skip

CLAIMS = (
    Claim(
        "gradient",
        "Gradient descent brings the student to a summed distance of 14.6 mV from its teacher",
        "gradient",
        Certainty.RELEASED_DATA,
        f"{FILES}, validation of run 5: standard deviation 3.8 over 15 experiments",
        at_least=-17,
        at_most=-9,
        published=-14.59,
    ),
    Claim(
        "twice",
        "Twice the gradient is closer by 5 to 25 %",
        "gain_of_twice",
        Certainty.RELEASED_DATA,
        f"{FILES}: 9 % in evolution, 21 % in validation; limits as of our own reference runs",
        at_least=0.05,
        at_most=0.25,
        published=0.215,
    ),
    Claim(
        "no_input",
        "The rule that does not depend on the response to the input is 1.8 times as far",
        "ratio_of_run_1",
        Certainty.RELEASED_DATA,
        f"{FILES}: 25.75 against 14.59 in validation",
        at_least=1.5,
        at_most=2.5,
        published=1.765,
    ),
    Claim(
        "learning",
        "Without learning the distance is above 80 mV",
        "control",
        Certainty.REFERENCE_RUN,
        "our own runs of another program, -191 +- 125",
        at_most=-80,
        published=-190.8,
    ),
    Claim(
        "evolved",
        "At least one run of evolution finds a rule at most 10 % worse than the gradient on new "
        "experiments that is proportional to p",
        "evolved_gradient",
        Certainty.RELEASED_DATA,
        f"{FILES}: five of six runs; the limit is ours",
        at_least=1,
        published=5,
    ),
)

CITES = (*_WORKS, "urbanczik2014learning")


def run(config: Config, seed: int, session) -> Outcome:
    """Try published rules, evolve own ones, and try these."""
    new = config.new(seed)
    session.log(f"{len(CORRECTED)} published rules")
    published = [parse(row.rule, SIGNALS) for row in CORRECTED]
    control = parse("0 * u", SIGNALS)
    distances = session.stage(
        "published", lambda: np.stack([new.distances(rule) for rule in (*published, control)])
    )
    gradient = [row.run for row in CORRECTED].index(5)

    task = ErrorTask(config.evolved_on, config.evolved_for, h=config.h, seed=seed_of(seed, 2))
    grids = (task.grid(),)
    found = evolve(config, grids, task, seed_of(seed, 3), session, "evolving", floor=-1e5)
    rules = [rule for (rule,) in decoded(config, grids, found.genomes)]
    evolved = session.stage(
        "trying", lambda: np.nan_to_num(np.stack([_bounded(new, rule) for rule in rules]))
    )
    growth = np.array([_growth(rule) for rule in rules])
    share = evolved.mean(1) / distances[gradient].mean()
    alike = (share <= 1.1) & (np.abs(growth - 1) < 0.1)
    best = int(np.argmin(evolved.mean(1)))
    traces = session.stage("traces", lambda: _traces(new, (GRADIENT, rules[best])))

    fitness = -distances.mean(1)
    of = {row.run: fitness[k] for k, row in enumerate(CORRECTED)}
    metrics = {
        "gradient": of[5],
        "gradient_rms": new.rms(-of[5]),
        "control": fitness[-1],
        "gain_of_twice": 1 - of[4] / of[5],
        "ratio_of_run_1": of[1] / of[5],
        "evolved_best": -evolved[best].mean(),
        "evolved_share": share.min(),
        "evolved_gradient": alike.sum(),
        "evolved_slope": _slope(rules[best]),
        "evaluations": found.evaluations.sum(),
    } | {f"run_{k}": value for k, value in of.items()}
    recordings = {
        "distances": distances,
        "evolved": evolved,
        "growth": growth,
        "best": np.array(best),
        "genomes": found.genomes,
        "history": found.history,
        "reference": np.array(task(GRADIENT)),
        **traces,
    }
    return Outcome({name: float(value) for name, value in metrics.items()}, recordings)


def _bounded(task: ErrorTask, rule: Program) -> np.ndarray:
    """Distances, at most 1e5 mV."""
    return np.minimum(np.nan_to_num(task.distances(rule), nan=1e5), 1e5)


def _slope(rule: Program) -> float:
    """Of the gradient."""
    return float(np.nan_to_num(rule(*_POINT) / GRADIENT(*_POINT), posinf=0, neginf=0))


def _growth(rule: Program) -> float:
    """Exponent with which the rule grows with p, 0 where it changes its sign or is nothing."""
    v, u, p = _POINT
    once, twice = float(rule(v, u, p)), float(rule(v, u, 2 * p))
    if not (np.isfinite(once) and np.isfinite(twice) and once * twice > 0):
        return 0.0
    return float(np.log2(twice / once))


def _traces(task: ErrorTask, rules: tuple[Program, ...]) -> dict[str, np.ndarray]:
    """Weights and potentials in the first experiment."""
    found = [task.learn(0, rule) for rule in rules]
    return {
        "weights": np.nan_to_num(np.stack([weights for _, weights, _ in found])),
        "potentials": np.nan_to_num(np.stack([potentials for potentials, _, _ in found])),
        "teacher": found[0][2],
    }


def figures(outcome: Outcome, config: Config):
    """Published rules, evolution, what it found, how it learns, and what it does where."""
    recordings = outcome.recordings
    grids = (config.new(0).grid(),)
    rules = [rule for (rule,) in decoded(config, grids, recordings["genomes"])]
    best = rules[int(recordings["best"])]
    distances = recordings["distances"]
    rows = [(f"run {row.run}", formula(parse(row.rule, SIGNALS))) for row in CORRECTED]
    evolved = recordings["evolved"].mean(1)
    return {
        "published": _figures.compared(
            [*rows, ("control", "no learning")], distances.mean(1),
            distances.std(1) / np.sqrt(distances.shape[1]),
            np.array([-row.validated for row in CORRECTED] + [np.nan]),
            "distance of potentials [mV]", xscale="log",
        ),
        "evolution": _figures.evolution(
            {"evolved": np.maximum(-recordings["history"], 1e-3)},
            "distance of potentials [mV]",
            ("(v − u) p", -float(recordings["reference"])), yscale="log",
        ),
        "rules": _figures.formulas(
            [(str(k), (rule,)) for k, rule in enumerate(rules)], evolved,
            ("f(v, u, p)", "distance, new experiments [mV]"),
        ),
        "graph": graph({"f": best}),
        "learning": _learning(recordings, config),
        "rule": _surfaces(best),
    }  # fmt: skip


def _learning(recordings, config: Config):
    figure, axes = subplots(1, 3, height=3.0, width_ratios=(3, 3, 2))
    weights, teacher = recordings["weights"], recordings["teacher"]
    time = np.arange(weights.shape[1]) / 1000
    for axis, course, title in zip(
        axes[0, :2], weights, ("(v − u) p", "best evolved rule"), strict=True
    ):
        for j, target in enumerate(teacher):
            axis.axhline(target, color=COLOURS[j % 6], lw=0.8, ls="--")
            axis.plot(time, course[:, j], color=COLOURS[j % 6])
        axis.set(xlabel="time [s]", title=title, xlim=(0, time[-1]),
                 ylim=(min(teacher.min(), 0) - 5, max(teacher.max(), 10) + 8))  # fmt: skip
    axes[0, 0].set_ylabel("weights; dashed: teacher's [pA]")
    rows = [row.run for row in CORRECTED].index(5)
    pairs = recordings["distances"][rows], recordings["evolved"][int(recordings["best"])]
    low, high = min(map(np.min, pairs)) * 0.9, max(map(np.max, pairs)) * 1.1
    scatter = axes[0, 2]
    scatter.set_title("New experiments", fontsize=9)
    scatter.plot([low, high], [low, high], color=INK, lw=0.8, ls="--")
    scatter.plot(*pairs, "o", color=COLOURS[1], alpha=0.7)
    scatter.set(xlabel="by (v − u) p [mV]", ylabel="by the best evolved rule [mV]",
                 xlim=(low, high), ylim=(low, high))  # fmt: skip
    return figure


def _surfaces(best: Program):
    u = -60.0
    return _figures.surfaces(
        {
            "(v − u) p": lambda p, gap: GRADIENT(u + gap, np.full_like(p, u), p),
            "best evolved rule": lambda p, gap: best(u + gap, np.full_like(p, u), p),
        },
        np.linspace(0.0, 0.03, 121),
        np.linspace(-4.0, 4.0, 121),
        ("response p [mV/pA]", "v − u, with u = −60 mV [mV]"),
        "f / r.m.s.",
    )
