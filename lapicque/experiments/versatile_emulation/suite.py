"""The suite in one table: what calibration and learning are worth, what is used, how long it takes

All experiments of the suite run on the same specimens of BrainScaleS-2, in short. For each there is
one score, the larger the better, on neurons as they come, on calibrated ones, and after
learning on calibrated ones. Chips are counted from 0 for every seed; runs with several seeds show
the spread over chips.

What calibration is: of neurons alone, or, for sampling, also of their activation functions. What
learning is: in the loop for first spikes and sampling, rewiring for structural plasticity. Pong has
no score without learning: its two columns are what is learned with and without calibration.
Sampling counts ``-log10 D_KL``. Insect navigation is missing. Names that end in
`wall_s` depend on the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from lapicque._checks import in_range
from lapicque.experiments.versatile_emulation import (
    first_spike_patterns,
    pong,
    sampling,
    structural_plasticity,
)
from lapicque.experiments.versatile_emulation._chip import CITES as _SUITE
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.substrate import brainscales2
from lapicque.substrate.spec import Rows

CITES = tuple(
    dict.fromkeys((*_SUITE, *first_spike_patterns.CITES, *pong.CITES, *structural_plasticity.CITES))
)
PARTS = {
    "first_spike_patterns": "first spikes\n(accuracy)",
    "sampling": "sampling\n(-log10 $D_{KL}$)",
    "pong": "Pong\n(reward)",
    "structural_plasticity": "rewiring\n(accuracy)",
}
_SAMPLING = ("raw", "measured", "trained")
LEARNING = ("first_spike_patterns", "sampling", "structural_plasticity")
COLUMNS = {"raw": "as they come", "calibrated": "calibrated", "trained": "calibrated, trained"}


@dataclass(frozen=True)
class Config:
    """Settings of the suite."""

    chips: int = 2
    short: float = 1.0  # how long parts learn, 1 as in `quick`

    def __post_init__(self):
        in_range("chips", self.chips, 2)
        in_range("short", self.short, 0, 10)

    def parts(self):
        """The configuration of each experiment."""
        n, scale = self.chips, self.short

        def some(value: int, lowest: int = 1) -> int:
            return max(lowest, round(scale * value))

        return {
            "first_spike_patterns": first_spike_patterns.Config(
                n_chips=n, software_epochs=some(60), epochs=some(2), step=0.04, tests=200,
                n_train=some(1000, 80), samples=some(2000, 80),
            ),
            "sampling": sampling.Config(
                chips=n, copies=2, sweep=some(300, 60), steps=some(100, 2), samples=some(500, 20),
                test=some(10_000, 100), ideal=some(20_000, 100),
            ),
            "pong": pong.Config(
                chips=n, iterations=some(10_000 // 200) * 200, recovery=200, trials=some(5)
            ) if scale >= 0.1 else pong.PRESETS["smoke"],
            "structural_plasticity": structural_plasticity.Config(seeds=n, epochs=some(6)),
        }  # fmt: skip


PRESETS = {
    "smoke": Config(short=0.001),
    "quick": Config(),
    "paper": Config(chips=10, short=4.0),
}

_OURS = "the number is our demand"
CLAIMS = (
    Claim(
        "calibration",
        "Without calibration at least three of four scores are lower",
        "lower_without_calibration",
        Certainty.NOT_VERIFIED,
        f"{_OURS}, there four of five",
        at_least=3,
    ),
    Claim(
        "learning",
        "Learning makes up for half of what missing calibration costs, in all three parts where "
        "it is compared",
        "recovered",
        Certainty.NOT_VERIFIED,
        f"{_OURS}, there four of five",
        at_least=3,
    ),
    Claim(
        "fits",
        "No part needs more neurons, rows or labels than a chip has",
        "overdrawn",
        Certainty.AUTHORS_CODE,
        "512 neurons, 256 rows, 64 labels on a row (labels not verified)",
        at_most=0,
        published=0,
    ),
)


class _Labelled:
    """A session whose labels carry the name of a part."""

    def __init__(self, session, name: str):
        self._session, self._name = session, name

    def loop(self, label, step, state, n):
        return self._session.loop(f"{self._name}-{label}", step, state, n)

    def stage(self, label, compute):
        return self._session.stage(f"{self._name}-{label}", compute)

    def log(self, message):
        self._session.log(f"{self._name}: {message}")


def scores(name: str, m) -> tuple[float, float, float]:
    """Raw, calibrated and trained score of a part, from its metrics.

    For Pong there is no third, and both others are learned; the third is that of calibrated chips.
    """
    if name == "first_spike_patterns":
        return m["bars_raw"], m["bars_mapped"], m["bars_in_loop"]
    if name == "sampling":
        raw, measured, trained = (-np.log10(m[f"private_{s}"]) for s in _SAMPLING)
        return raw, measured, trained
    if name == "pong":
        return m["raw_mean"], m["calibrated_mean"], m["calibrated_mean"]
    return m["fixed_raw"], m["fixed_16x8"], m["accuracy_16x8"]


def run(config: Config, seed: int, session) -> Outcome:
    """All parts, one after the other."""
    runs: dict[str, Callable] = {
        "first_spike_patterns": first_spike_patterns.run,
        "sampling": sampling.run,
        "pong": pong.run,
        "structural_plasticity": structural_plasticity.run,
    }
    spec = brainscales2()
    metrics, table, data = {}, np.zeros((len(PARTS), 3)), {}
    audit = np.zeros((len(PARTS), 3))
    times = np.zeros((len(PARTS), 3))
    for k, (name, part) in enumerate(config.parts().items()):
        begin = perf_counter()
        found = runs[name](part, seed, _Labelled(session, name))
        wall = perf_counter() - begin
        data |= found.data
        table[k] = scores(name, found.metrics)
        # where nothing is said, each row has one source; sources of noise have labels
        labels = found.metrics["neurons"] if name == "sampling" else 1.0
        audit[k] = [
            found.metrics["neurons"],
            found.metrics["rows"],
            found.metrics.get("labels", labels),
        ]
        biological = found.metrics["biological_s"]
        times[k] = biological, biological / spec.speedup, wall
        for column, value in zip(COLUMNS, table[k], strict=True):
            metrics[f"{name}_{column}"] = value
        for what, value in zip(("neurons", "rows", "labels"), audit[k], strict=True):
            metrics[f"{name}_{what}"] = value
        for what, value in zip(("biological_s", "chip_s", "wall_s"), times[k], strict=True):
            metrics[f"{name}_{what}"] = value
    assert isinstance(spec.routing, Rows)
    limits = np.array([spec.neurons, spec.routing.rows, spec.routing.labels])
    raw, calibrated, trained = table.T
    learning = [list(PARTS).index(name) for name in LEARNING]
    half = (trained - raw >= 0.5 * (calibrated - raw))[learning]
    metrics["lower_without_calibration"] = (raw < calibrated).sum()
    metrics["recovered"] = half.sum()
    metrics["overdrawn"] = (audit > limits).sum()
    recordings = {"scores": table, "audit": audit, "times": times}
    return Outcome({name: float(v) for name, v in metrics.items()}, recordings, data)


def figures(outcome: Outcome, config: Config):
    """Scores, and a table of what is used."""
    found = outcome.recordings
    return {"scores": _draw_scores(found), "audit": _draw_audit(found)}


def _draw_scores(found):
    figure, axes = subplots(1, len(PARTS), height=2.6)
    colours = (COLOURS[1], COLOURS[4], COLOURS[0])
    for axis, title, values in zip(axes[0], PARTS.values(), found["scores"], strict=True):
        shown = values[:2] if title.startswith("Pong") else values
        axis.bar(range(len(shown)), shown, color=colours[: len(shown)], width=0.7)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set(title=title, xticks=[], xlim=(-0.6, 2.6))
        axis.grid(axis="x")
    figure.legend(axes[0, 0].patches, COLUMNS.values(), loc="outside lower center", ncols=3)
    return figure


def _draw_audit(found):
    figure, axes = subplots(height=1.9)
    axis = axes[0, 0]
    axis.axis("off")
    columns = ("neurons", "rows", "labels", "biological time / s", "chip time / s", "run / s")
    rows = [
        [*(f"{v:.0f}" for v in used), *(f"{v:.4g}" for v in times)]
        for used, times in zip(found["audit"], found["times"], strict=True)
    ]
    table = axis.table(
        rows, colLabels=columns, rowLabels=[t.split("\n")[0] for t in PARTS.values()],
        loc="center", edges="horizontal",
    )  # fmt: skip
    table.auto_set_font_size(False)
    table.set_fontsize(7.5)
    table.scale(1, 1.4)
    return figure
