"""First-spike times: bars of 7x7 pixels, learned in software and then in the loop

A network 49-16-4 tells horizontal, vertical and two kinds of diagonal bars apart, of whose pixels
5 % are flipped. Dark pixels spike early, bright ones late, and the label neuron that fires first
answers. Training begins in software; then the weights, in six bits, go to specimens of a virtual
BrainScaleS-2 and learn on with the spike times that are measured there, and the analytic gradient
of nominal neurons. Of each class there is a bar in the middle, and its two neighbours.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range
from lapicque.data import DataSet, Samples
from lapicque.data.latency import spike_times
from lapicque.experiments._in_the_loop import ChipConfig, _epoch, accuracy, specimens
from lapicque.experiments._spike_times import Coded, coded
from lapicque.experiments.versatile_emulation._chip import CITES as _SUITE, WORK
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.spiketime import (
    Bumping,
    CrossEntropy,
    Imperfections,
    Network,
    Neuron,
    Trainer,
    decide,
    dense,
)

CITES = (*_SUITE, "goeltz2021fast")
NAME = "bars"
SIDE, PLACES = 7, (-1, 0, 1)
STAGES = {
    "software": "software", "raw": "neurons\nas they come", "mapped": "calibrated",
    "in_loop": "trained\nin the loop", "clean": "clean\npatterns",
}  # fmt: skip
CLASSES = ("horizontal", "vertical", "falling", "rising")


@dataclass(frozen=True)
class Config(ChipConfig):
    """Settings of the experiment."""

    n_chips: int = 5
    software_epochs: int = 100
    epochs: int = 3  # in the loop
    n_train: int = 1000
    n_hidden: int = 16
    copies: int = 1
    learning_rate: float = 0.006
    threshold: float = 1.52  # in units of weights
    step: float = 0.03  # of the emulation, tau_s
    noise: float = 0.05  # share of pixels that are flipped
    samples: int = 2000  # to learn from
    tests: int = 400

    def __post_init__(self):
        super().__post_init__()
        in_range("noise", self.noise, 0, 0.5)
        in_range("samples", self.samples, self.n_train)
        in_range("tests", self.tests, 1)


PRESETS = {
    "smoke": Config(
        n_chips=1, software_epochs=1, epochs=1, n_train=80, samples=80, tests=20, step=0.05
    ),
    "quick": Config(),
    "paper": Config(software_epochs=200, epochs=30, n_train=2000, step=0.01),
}

_OURS = "the number is our demand"
CLAIMS = (
    Claim(
        "clean",
        "The ideal network answers all clean patterns",
        "clean",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: all patterns are classified; {_OURS}",
        at_least=1.0,
        published=1.0,
    ),
    Claim(
        "in_loop",
        "Trained in the loop, chips answer 97 % of noisy patterns",
        f"{NAME}_in_loop",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: perfect or nearly so; {_OURS}",
        at_least=0.97,
    ),
    Claim(
        "mapped",
        "Weights that were only mapped are worse by 5 % of patterns at least",
        f"{NAME}_loop_gain",
        Certainty.NOT_VERIFIED,
        _OURS,
        at_least=0.05,
    ),
)


def templates() -> Samples:
    """Clean bars, pixels 0 or 1: of each class one in the middle, and its neighbours."""
    places = np.arange(SIDE)
    rows = np.stack([np.outer(places == SIDE // 2 + k, np.ones(SIDE)) for k in PLACES])
    falling = np.stack([np.eye(SIDE, k=k) for k in PLACES])
    patterns = np.concatenate([rows, rows.swapaxes(1, 2), falling, falling[:, ::-1]])
    return Samples(patterns.astype(np.float32), np.repeat(np.arange(4), len(PLACES)))


def noisy_bars(config: Config, seed: int) -> DataSet:
    """Bars with flipped pixels; all classes are as frequent."""
    clean, draw = templates(), np.random.default_rng([seed, 77])

    def split(n: int) -> Samples:
        label = np.arange(n) % len(CLASSES)
        of = [draw.choice(np.flatnonzero(clean.labels == c)) for c in label]
        flips = draw.random((n, SIDE, SIDE)) < config.noise
        order = draw.permutation(n)
        return Samples(np.abs(clean.inputs[of] - flips).astype(np.float32), label).take(order)

    origin = f"Bars of 7x7 pixels, {100 * config.noise:g} % flipped, generated with seed {seed}"
    train, validation, test = map(split, (config.samples, config.tests, config.tests))
    return DataSet(NAME, len(CLASSES), train, validation, test, origin)


def encode(pixels: np.ndarray) -> np.ndarray:
    """Dark pixels early, bright ones late [tau_s]."""
    return spike_times(1 - pixels, 0.15, 2.0)


def network_and_trainer(config: Config, per_unit: float, limit: float):
    """How a network is built from a key, and how it learns."""

    def build(key) -> Network:
        return dense(
            key,
            (SIDE**2, config.n_hidden, len(CLASSES)),
            neuron=Neuron(tau_m=1.0, threshold=config.threshold),
            mean=(0.08, 0.25),
            spread=(0.12, 0.25),
            imperfections=Imperfections(weight_step=1 / per_unit, weight_limit=limit),
        )

    trainer = Trainer(
        CrossEntropy(0.2, 0.005, 1.0),
        batch=config.batch,
        weights_rate=config.learning_rate,
        bumping=Bumping((0.3, 0.05)),
        weight_limit=limit,
    )
    return build, trainer


def run(config: Config, seed: int, session) -> Outcome:
    """Train in software, then on each chip; the network moves to the next chip at the end."""
    dataset = noisy_bars(config, seed)
    data = coded(dataset, encode)
    clean = templates().flat()
    patterns = Coded(jnp.asarray(encode(clean.inputs), jnp.float32), jnp.asarray(clean.labels))
    neuron = Neuron(tau_m=1.0, threshold=config.threshold)
    chips = specimens(config.n_chips, seed, neuron, config.step)
    limit, per_unit = chips[0].raw.weight_limit, chips[0].raw.per_unit
    build, trainer = network_and_trainer(config, per_unit, limit)
    epoch, learn = jax.jit(trainer.epoch), jax.jit(trainer.step)
    key = jax.random.key(seed)
    start, _ = session.loop(
        "software",
        lambda state, _: epoch(state, *data.train, key),
        trainer.init(build(key)),
        config.software_epochs,
    )
    ideal, shown = start.network(data.test.times)[-1], start.network(patterns.times)[-1]
    rows: dict[str, list[float]] = {stage: [] for stage in STAGES}
    rows["software"] = [float(jnp.mean(decide(ideal) == data.test.labels))] * config.n_chips
    curves = []
    for k, chip in enumerate(chips):
        rows["raw"].append(accuracy(chip.raw, start.network, data.test, 0))
        rows["mapped"].append(accuracy(chip.calibrated, start.network, data.test, 0))

        def step(state, i, chip=chip):
            return _epoch(chip.calibrated, trainer, learn, state, data.train, config, seed, i, key)

        state, history = session.loop(f"chip{k}", step, start, config.epochs)
        curves.append(history["accuracy"])
        rows["in_loop"].append(accuracy(chip.calibrated, state.network, data.test, 1))
        rows["clean"].append(accuracy(chip.calibrated, state.network, patterns, 1))
    recordings = {stage: np.array(values) for stage, values in rows.items()}
    metrics = {f"{NAME}_{stage}": float(values.mean()) for stage, values in recordings.items()}
    metrics["clean"] = float(jnp.mean(decide(shown) == patterns.labels))
    metrics[f"{NAME}_in_loop_lowest"] = float(recordings["in_loop"].min())
    metrics[f"{NAME}_loop_gain"] = metrics[f"{NAME}_in_loop"] - metrics[f"{NAME}_mapped"]
    metrics["neurons"] = config.n_hidden + len(CLASSES)
    metrics["rows"] = 2 * max(SIDE**2, config.n_hidden)  # a row for each sign
    samples = config.epochs * config.n_train + 3 * len(data.test.labels) + len(patterns.labels)
    one = chips[0].calibrated
    metrics["biological_s"] = config.n_chips * samples * one.window * one.tau * 1e-3
    recordings |= {
        "learning": np.stack(curves), "patterns": templates().inputs,
        "noisy": dataset.test.inputs[: len(patterns.labels)],
    }  # fmt: skip
    return Outcome(metrics, recordings, {NAME: data.origin})


def figures(outcome: Outcome, config: Config):
    """Bars, and accuracy from stage to stage."""
    found = outcome.recordings
    return {"stages": _draw_stages(found), "bars": _draw_bars(found)}


def _draw_stages(found):
    figure, axes = subplots(1, 2, height=2.8, sharey=True, width_ratios=(3, 2))
    left, right = axes[0]
    for k, stage in enumerate(STAGES):
        values = 100 * found[stage]
        left.plot(np.full(values.size, k), values, ".", color=COLOURS[0], alpha=0.5)
        left.plot([k - 0.2, k + 0.2], [values.mean()] * 2, color=COLOURS[0], lw=2.5)
    left.axhline(100 / len(CLASSES), color=MUTED, lw=0.8, ls=":")
    left.set_xticks(range(len(STAGES)), STAGES.values())
    left.set(ylabel="test accuracy [%]", ylim=(20, 102))
    curves = 100 * found["learning"]
    epochs = np.arange(1, curves.shape[1] + 1)
    right.plot(epochs, curves.T, color=COLOURS[0], lw=0.8, alpha=0.5)
    right.plot(epochs, curves.mean(0), "o-", color=COLOURS[0])
    right.set(xlabel="epoch in the loop", ylabel="while learning [%]", xticks=epochs)
    return figure


def _draw_bars(found):
    figure, axes = subplots(2, len(found["patterns"]), height=1.5)
    for row, images in zip(axes, (found["patterns"], found["noisy"]), strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image, cmap="Greys", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
    axes[0, 0].set_ylabel("clean")
    axes[1, 0].set_ylabel("tests")
    return figure
