"""Structural plasticity: synapses look for the receptors that tell irises apart

Receptors with random receptive fields in the space of Iris features send Poisson spikes over rows
of a virtual BrainScaleS-2, several of them on each row. Three neurons, one for each class, have one
synapse per row, and listen to one of its receptors. While a teacher excites the neuron of the right
class and inhibits the others, a program on the processor changes weights, in integers, and gives
synapses that stay weak to another receptor of their row. The same is done with the wiring that is
drawn at first. A flower is classified by the neuron that fires most, without teacher and learning.

Receptive fields are placed around flowers of the training set, whose classes are not looked at.
All constants are our choice. Sensors of synapses differ, and those that read little never let a
weight grow; their synapses move for ever, so that rewiring slows down less than on ideal chips.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.data import DataSet, iris
from lapicque.experiments.versatile_emulation._chip import specimen
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.spiking import LIF
from lapicque.spiking.random import chain_keys
from lapicque.substrate import Chip, Distortions, brainscales2, calibrate
from lapicque.substrate.calibration import uncalibrated
from lapicque.substrate.episodes import Episodes, Events, Record
from lapicque.substrate.plasticity import CorrelationSensors, Processor
from lapicque.substrate.rewiring import Rewiring, density, tent

WORK = "Billaudelle et al. (2021)"
CITES = ("billaudelle2021structural", "billaudelle2020versatile")

CLASSES = 3
DURATION = 200.0  # ms, for which a flower is shown
TARGETS = {
    "v_rest": 80.0, "v_reset": 70.0, "v_thresh": 125.0, "tau_m": 10.0, "tau_syn_E": 5.0,
    "tau_syn_I": 5.0, "tau_refrac": 2.0, "gain_E": 1.0, "gain_I": 1.0,
}  # fmt: skip
"""LSB and us: the default of the chip's calibration, but synapses of 5 us."""
AMPLITUDE, TAU_STDP, SENSOR_SPREAD = 0.5, 5.0, 0.5  # LSB, ms, of the logarithms
TEACHER = 30  # spikes of each train
INHIBITION = 4  # strength of the teacher's inhibition over its excitation
ROWS, LABELS = (16, 16, 16, 16, 8, 4), (1, 2, 4, 8, 16, 32)
KINDS = {"calibrated": "calibrated", "raw": "as they come", "ideal": "ideal"}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    seeds: int = 5  # chips, each with a split and receptors of its own
    epochs: int = 15
    highest: float = 100.0  # Hz, of a receptor
    jitter: float = 0.1  # of receptive fields, in ranges of features
    radius: float = 0.3  # of receptive fields for petals
    radius_all: float = 0.45  # and for all features
    strength: float = 0.16  # nA, of a weight of 1 step, shared out among the rows
    teacher: float = 0.6  # nA, of its excitation
    growth: int = 48  # steps per 64 LSB
    decay: int = 2  # steps per 64 spikes
    period: int = 10  # samples from one look at weak synapses to the next

    def __post_init__(self):
        in_range("seeds", self.seeds, 1)
        in_range("epochs", self.epochs, 1)
        for name in ("highest", "radius", "radius_all", "strength", "teacher"):
            positive(name, getattr(self, name))
        in_range("jitter", self.jitter, 0)
        self.rule(1, 1)

    def rule(self, labels: int, rows: int) -> Rewiring:
        """The program."""
        return Rewiring(labels, growth=self.growth, decay=self.decay, period=self.period, rows=rows)


PRESETS = {
    "smoke": Config(seeds=1, epochs=1),
    "quick": Config(),
    "paper": Config(seeds=10, epochs=60),
}

_OURS = "the number is our demand"
CLAIMS = (
    Claim(
        "sparse",
        "With rewiring, a connectome of density 1/8 classifies 0.90 by petals",
        "accuracy_16x8",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: above 0.9; {_OURS}",
        at_least=0.90,
        published=0.90,
    ),
    Claim(
        "all_features",
        "and by all four features",
        "accuracy_all",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: above 0.9; {_OURS}",
        at_least=0.90,
        published=0.90,
    ),
    Claim(
        "rewiring_helps",
        "With four synapses for each neuron, rewiring is worth at least 0.10",
        "gain_4x32",
        Certainty.NOT_VERIFIED,
        f"{WORK}, abstract, in words; {_OURS}",
        at_least=0.10,
    ),
    Claim(
        "receptive_fields",
        "Synapses find receptors of their class: overlap with its flowers doubles at least",
        "overlap_gain",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: labels cluster on regions of a class; {_OURS}",
        at_least=2.0,
    ),
    Claim(
        "fan_in",
        "Every neuron keeps one synapse for each row, with a label of that row",
        "violations",
        Certainty.PUBLISHED,
        f"{WORK}, abstract: constant fan-in",
        at_most=0,
        published=0,
    ),
    Claim(
        "settles",
        "Synapses move at most 0.3 times as often in the end as in the first epoch",
        "moves_ratio_16x8",
        Certainty.NOT_VERIFIED,
        _OURS,
        at_most=0.3,
    ),
    Claim(
        "goes_on",
        "but still do",
        "moves_last",
        Certainty.NOT_VERIFIED,
        "exploration never ends",
        at_least=1e-6,
    ),
    Claim(
        "chip",
        "Calibrated chips come within 0.05 of ideal ones",
        "chip_loss",
        Certainty.NOT_VERIFIED,
        _OURS,
        at_most=0.05,
    ),
)


class Setup:
    """Chips side by side, with receptors and flowers: first those that rewire, then the others.

    Args:
        config: Settings.
        seed: Of the run.
        rows: Plastic rows, which are synapses for each neuron.
        labels: Receptors on a row.
        kind: One of `KINDS`.
        everything: Show all features, not only those of petals.
    """

    def __init__(
        self, config: Config, seed: int, rows: int, labels: int, kind: str, everything: bool = False
    ):
        one_of("kind", kind, KINDS)
        n = config.seeds
        self.config, self.rows, self.labels, self.n, self.seed = config, rows, labels, n, seed
        self.rule = config.rule(labels, rows)
        self.data: list[DataSet] = [iris(seed=100 * seed + k) for k in range(n)]
        columns = slice(None) if everything else slice(2, None)
        radius = config.radius_all if everything else config.radius
        self.rates: dict[str, list[np.ndarray]] = {"train": [], "test": []}
        self.centres = []
        for k, data in enumerate(self.data):
            draw, known = np.random.default_rng([seed, k, 5]), data.train.inputs[:, columns]
            centres = known[draw.integers(len(known), size=rows * labels)]
            centres = centres + config.jitter * draw.standard_normal(centres.shape)
            self.centres.append(centres)
            for split, rates in self.rates.items():
                points = getattr(data, split).inputs[:, columns]
                rates.append(config.highest * tent(points, centres, radius))
        places = [place(specimen(seed, k), kind, rows + 2) for k in range(n)]
        values = {name: np.tile(np.stack([p[name] for p in places]), (2, *(1,) * (d - 1)))
                  for name, d in _DIMENSIONS.items()}  # fmt: skip
        self.gains = values.pop("gains")
        self.sensors = CorrelationSensors(values.pop("amplitude"), values.pop("tau_stdp"), 256.0)
        tau_syn = values.pop("tau_syn")
        # what differs on chips that rewire and those that do not is wiring alone
        self.keys = np.tile(chain_keys(seed, np.arange(n)), 2)
        self.episodes = Episodes(
            LIF(**values), tau_syn, rows=rows + 2, duration=DURATION, keys=self.keys
        )
        self.processor = Processor(self.rule.tasks(), self.keys)

    def start(self):
        """Weights and labels, and moves of the synapses so far."""
        draw = np.random.default_rng([self.seed, 3])
        weights, labels = self.rule.first(self.n, self.rows, CLASSES, draw)
        teacher = np.full((self.n, 2, CLASSES), 63, np.uint8)
        own = np.broadcast_to(np.arange(CLASSES, dtype=np.uint8), teacher.shape)
        moves = np.repeat(np.array([0, -(2**40)]), self.n)
        return (
            np.tile(np.concatenate([weights, teacher], 1), (2, 1, 1)),
            np.tile(np.concatenate([labels, own], 1), (2, 1, 1)),
            moves,
        )

    def show(self, weights, labels, split: str, i: int, time: int, teach: bool) -> Record:
        """Flower i of each chip's split."""
        draw = np.random.default_rng([self.seed, 11, time])
        rates = np.stack([r[i] for r in self.rates[split]])
        counts = draw.poisson(rates * 1e-3 * DURATION)
        own = [int(getattr(d, split).labels[i]) for d in self.data]
        trains = [self._train(draw, counts[k], own[k] if teach else None) for k in range(self.n)]
        length = max(len(t[0]) for t in trains)
        times, rows, marks = (np.zeros((self.n, length), d) for d in (float, int, int))
        times[:] = np.inf
        for k, (when, row, mark) in enumerate(trains):
            for full, values in ((times, when), (rows, row), (marks, mark)):
                full[k, : len(when)] = values
        events = Events(*(np.tile(v, (2, 1)) for v in (times, rows, marks)))
        per_step = np.full(self.rows + 2, self.config.strength / self.rows)
        per_step[-2:] = np.array([1, -INHIBITION]) * self.config.teacher / 63
        currents = weights * per_step[:, None] * self.gains
        return self.episodes.run(events, currents, time, labels=labels, sensors=self.sensors)

    def _train(self, draw, counts, own: int | None):
        """Times, rows and labels of all spikes that a chip gets."""
        source = np.repeat(np.arange(counts.size), counts)
        row, mark = source // self.labels, source % self.labels
        if own is not None:
            others = [c for c in range(CLASSES) if c != own]
            row = np.append(row, np.repeat([self.rows, self.rows + 1, self.rows + 1], TEACHER))
            mark = np.append(mark, np.repeat([own, *others], TEACHER))
        when = draw.uniform(0.1, DURATION, row.size)
        order = np.argsort(when)
        return when[order], row[order], mark[order]

    def epoch(self, state, number: int):
        """Show every flower once and learn from it."""
        weights, labels, moves = state
        before, size = moves, len(self.data[0].train)
        order = np.random.default_rng([self.seed, 13, number]).permutation(size)
        for k, i in enumerate(order):
            time = number * size + k
            record = self.show(weights, labels, "train", i, time, teach=True)
            seen = record.observables(time, self.sensors, weights, labels)
            (_, moves), seen = self.processor.step((None, moves), seen)
            weights, labels = seen.weights, seen.labels
        looks = size / self.rule.period * self.rows * CLASSES
        row = {
            "accuracy": self.test(weights, labels),
            "moves": ((moves - before) / looks)[: self.n],
            "overlap": self.overlap(labels),
            "weight": weights[:, : self.rows].mean((1, 2)),
        }
        return (weights, labels, moves), row

    def test(self, weights, labels) -> np.ndarray:
        """Share of flowers that each chip classifies, without teacher; shape (chips,)."""
        size = len(self.data[0].test)
        right = np.zeros(2 * self.n)
        for i in range(size):
            record = self.show(weights, labels, "test", i, 2**31 + i, teach=False)
            answer = np.argmax(record.counts, 1)
            answer[record.counts.max(1) == 0] = -1
            right += answer == np.tile([d.test.labels[i] for d in self.data], 2)
        return right / size

    def overlap(self, labels) -> np.ndarray:
        """Mean activity of a neuron's receptors for flowers of its class, over the highest rate."""
        found = np.zeros(len(labels))
        for k, wiring in enumerate(labels[:, : self.rows]):
            data, rates = self.data[k % self.n], self.rates["train"][k % self.n]
            for c in range(CLASSES):
                source = self.labels * np.arange(self.rows) + wiring[:, c]
                own = rates[data.train.labels == c][:, source]
                found[k] += own.mean() / self.config.highest / CLASSES
        return found

    def violations(self, labels) -> int:
        """Synapses with a label that no source of their row has, and densities that are off."""
        wrong = int((labels[:, : self.rows] >= self.labels).sum())
        for wiring in labels[:, : self.rows]:
            wrong += abs(density(wiring, self.labels) * self.labels - 1) > 1e-12
        return wrong


_DIMENSIONS = {
    "v_rest": 2, "v_reset": 2, "v_thresh": 2, "tau_m": 2, "tau_refrac": 2, "cm": 2, "tau_syn": 2,
    "gains": 3, "amplitude": 3, "tau_stdp": 3,
}  # fmt: skip


def place(chip: Chip, kind: str, rows: int) -> dict[str, np.ndarray]:
    """What the first neurons of a chip make of their settings, and their synapses.

    Args:
        chip: The specimen.
        kind: Whether its neurons are calibrated, raw or ideal.
        rows: Of synapses; the last one is inhibitory.
    """
    spec = chip.spec
    if kind == "ideal":
        chip = Chip(brainscales2(), 0, Distortions.none())
    where = np.arange(CLASSES)
    codes = (uncalibrated if kind == "raw" else calibrate)(chip, TARGETS, where=where)
    trial = np.random.default_rng([chip.seed, 302])
    real = {name: spec.to_biology(name, codes.realised(chip, name, trial)) for name in TARGETS}
    draw = np.random.default_rng([chip.seed, 303])
    spread = 0.0 if kind == "ideal" else SENSOR_SPREAD
    sensors = CorrelationSensors.drawn(
        (rows, CLASSES), draw, amplitude=AMPLITUDE, tau=TAU_STDP, spread=spread
    )
    gains = chip.synapse_gains(CLASSES, rows) * real["gain_E"]
    gains[-1] *= real["gain_I"] / real["gain_E"]
    return {
        **{name: real[name] for name in ("v_rest", "v_thresh", "tau_m", "tau_refrac")},
        "v_reset": np.minimum(real["v_reset"], real["v_thresh"] - 0.1),
        "cm": np.full(CLASSES, spec.capacitance),
        "tau_syn": real["tau_syn_E"],
        "gains": gains,
        "amplitude": sensors.amplitude,
        "tau_stdp": sensors.tau,
    }


def run(config: Config, seed: int, session) -> Outcome:
    """Learn with fewer and fewer synapses; then on other chips, and with all features."""
    runs = {
        f"{rows}x{labels}": (rows, labels, "calibrated", False)
        for rows, labels in zip(ROWS, LABELS, strict=True)
    }
    runs |= {kind: (16, 8, kind, False) for kind in ("ideal", "raw")}
    runs["all"] = (16, 8, "calibrated", True)
    recordings, metrics, violations = {}, {}, 0
    biological = 0.0
    for name, what in runs.items():
        session.log(name)
        setup = Setup(config, seed, *what)
        start = setup.start()
        (weights, labels, _), history = session.loop(name, setup.epoch, start, config.epochs)
        first = setup.overlap(start[1])
        violations += setup.violations(labels)
        curve = history["accuracy"].reshape(config.epochs, 2, config.seeds)
        metrics[f"accuracy_{name}"] = curve[-1, 0].mean()
        metrics[f"fixed_{name}"] = curve[-1, 1].mean()
        metrics[f"gain_{name}"] = curve[-1, 0].mean() - curve[-1, 1].mean()
        recordings[f"{name}/accuracy"] = curve
        recordings[f"{name}/moves"] = history["moves"]
        recordings[f"{name}/overlap"] = np.concatenate([first[None], history["overlap"]])
        size = len(setup.data[0].train) + len(setup.data[0].test)
        biological += 2 * config.seeds * config.epochs * size * 1e-3 * DURATION
        if name in ("16x8", "ideal"):
            moves = history["moves"].mean(1)
            last = moves[-max(1, config.epochs // 5) :].mean()
            metrics[f"moves_ratio_{name}"] = last / max(moves[0], 1e-9)
        if name == "16x8":
            strong = setup.sensors.amplitude[: config.seeds, : setup.rows] > AMPLITUDE
            learned = weights[: config.seeds, : setup.rows]
            metrics["weight_strong_sensors"] = learned[strong].mean()
            metrics["weight_weak_sensors"] = learned[~strong].mean()
            metrics["moves_first"] = moves[0]
            metrics["moves_last"] = last
            metrics["overlap_first"] = first[: config.seeds].mean()
            metrics["overlap_last"] = history["overlap"][-1, : config.seeds].mean()
            metrics["overlap_gain"] = metrics["overlap_last"] / metrics["overlap_first"]
            recordings |= _picture(setup, weights, labels, start[1])
    metrics["violations"] = violations
    metrics["chip_loss"] = metrics["accuracy_ideal"] - metrics["accuracy_16x8"]
    metrics["calibration_gain"] = metrics["accuracy_16x8"] - metrics["accuracy_raw"]
    metrics["neurons"], metrics["rows"], metrics["labels"] = CLASSES, max(ROWS) + 2, max(LABELS)
    metrics["biological_s"] = biological
    origin = setup.data[0].origin
    return Outcome({name: float(v) for name, v in metrics.items()}, recordings, {"iris": origin})


def _picture(setup: Setup, weights, labels, first) -> dict[str, np.ndarray]:
    """Flowers and receptors of the first chip."""
    data = setup.data[0].train
    return {
        "flowers": data.inputs[:, 2:],
        "classes": data.labels,
        "centres": setup.centres[0],
        "source/before": _sources(setup, first),
        "source/after": _sources(setup, labels),
        "weights": weights[0, : setup.rows],
    }


def _sources(setup: Setup, labels) -> np.ndarray:
    return setup.labels * np.arange(setup.rows)[:, None] + labels[0, : setup.rows].astype(int)


def figures(outcome: Outcome, config: Config):
    """Accuracy against density, learning, and where the receptive fields went."""
    found = outcome.recordings
    return {
        "sparsity": _draw_sparsity(found),
        "learning": _draw_learning(found, config),
        "fields": _draw_fields(found),
    }


_WIRING = {"rewiring": COLOURS[0], "wiring fixed": COLOURS[1]}


def _draw_sparsity(found):
    figure, axes = subplots(1, 2, height=3.0, sharey=True)
    left, right = axes[0]
    names = [f"{r}x{s}" for r, s in zip(ROWS, LABELS, strict=True)]
    for k, (label, colour) in enumerate(_WIRING.items()):
        last = np.stack([found[f"{name}/accuracy"][-1, k] for name in names])
        left.plot(range(len(names)), last, ".", color=colour, alpha=0.4)
        left.plot(range(len(names)), last.mean(1), "-", color=colour, label=label)
        kinds = np.stack([found[f"{n}/accuracy"][-1, k] for n in ("ideal", "16x8", "raw", "all")])
        shift = 0.1 * (2 * k - 1)
        right.plot(np.arange(4) + shift, kinds, ".", color=colour, alpha=0.4)
        right.plot(np.arange(4) + shift, kinds.mean(1), "_", color=colour, ms=14, mew=2.5)
    ticks = [f"{r}\n1/{s}" for r, s in zip(ROWS, LABELS, strict=True)]
    left.set_xticks(range(len(names)), ticks)
    left.set(xlabel="synapses per neuron, density", ylabel="test accuracy", ylim=(0.3, 1.02))
    left.legend(loc="lower left")
    right.set_xticks(range(4), ["ideal", "calibrated", "raw", "calibrated,\nall features"])
    right.set(xlabel="chips, 16 synapses of density 1/8")
    for axis in axes[0]:
        axis.axhline(1 / CLASSES, color=MUTED, lw=0.8, ls=":")
    return figure


def _draw_learning(found, config):
    figure, axes = subplots(1, 2, height=3.2)
    epochs = np.arange(1, config.epochs + 1)
    for k, (label, colour) in enumerate(_WIRING.items()):
        for name, style in (("16x8", "-"), ("4x32", "--")):
            curve = found[f"{name}/accuracy"][:, k].mean(1)
            text = f"{label}, {name.split('x')[0]} synapses"
            axes[0, 0].plot(epochs, curve, style, color=colour, label=text)
    axes[0, 0].set(xlabel="epoch", ylabel="test accuracy", ylim=(0.3, 1.02))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    for name, style in (("16x8", "-"), ("4x32", "--")):
        moves = 100 * found[f"{name}/moves"].mean(1)
        axes[0, 1].plot(epochs, moves, style, color=COLOURS[0])
    axes[0, 1].set(xlabel="epoch", ylabel=f"synapses that move\nper {config.period} samples [%]")
    axes[0, 1].set_ylim(bottom=0)
    return figure


def _draw_fields(found):
    figure, axes = subplots(1, 2, height=3.2, sharex=True, sharey=True)
    for axis, when in zip(axes[0], ("before", "after"), strict=True):
        axis.plot(*found["centres"].T, "o", color=MUTED, alpha=0.2, ms=3, mew=0)
        for c in range(CLASSES):
            own = found["flowers"][found["classes"] == c]
            axis.plot(*own.T, ".", color=COLOURS[c], ms=3, alpha=0.5)
            x, y = found["centres"][found[f"source/{when}"][:, c]].T
            size = 60.0 if when == "before" else 2.0 * found["weights"][:, c]
            axis.scatter(x, y, s=size, facecolors="none", edgecolors=COLOURS[c], label=f"class {c}")
        axis.set(title=f"{when} learning", xlabel="length of petals, scaled")
    axes[0, 0].set(ylabel="width of petals, scaled")
    axes[0, 0].legend(loc="upper left")
    return figure
