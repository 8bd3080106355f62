"""The way of a first-spike network from software over chips: mapped, trained in the loop, moved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lapicque._checks import in_range, positive
from lapicque.data.batches import epoch_order
from lapicque.experiments._spike_times import Coded, CodedData
from lapicque.lab import Session
from lapicque.lab.figure import COLOURS, subplots
from lapicque.spiketime import Network, Neuron, Trainer, TrainingState, decide
from lapicque.substrate import Chip, FirstSpikeChip, brainscales2, calibrate
from lapicque.substrate.calibration import uncalibrated
from lapicque.substrate.first_spike import targets

STAGES = ("software", "uncalibrated", "mapped", "in_loop", "moved", "recovered")


class Specimen(NamedTuple):
    """One chip as it comes and after calibration."""

    raw: FirstSpikeChip
    calibrated: FirstSpikeChip


def specimens(n: int, seed: int, neuron: Neuron, step: float) -> list[Specimen]:
    """Specimens of BrainScaleS-2; every seed gets others."""
    wanted, found = targets(neuron), []
    for k in range(n):
        chip = Chip(brainscales2(), 1000 * seed + k)
        codes = uncalibrated(chip, wanted), calibrate(chip, wanted)
        found.append(Specimen(*(FirstSpikeChip(chip, c, step=step) for c in codes)))
    return found


@dataclass(frozen=True)
class ChipConfig:
    """Settings of a network that learns Yin-Yang in software and then on chips."""

    n_chips: int = 5
    software_epochs: int = 300  # before the network meets a chip
    epochs: int = 30  # in the loop
    recovery: int = 5  # epochs in the loop on the next chip
    batch: int = 40
    n_train: int = 5000  # samples of an epoch in the loop
    n_hidden: int = 30
    copies: int = 5  # of each input
    learning_rate: float = 0.002  # of Adam
    threshold: float = 2.6  # in units of weights
    step: float = 0.01  # of the emulation, tau_s

    def __post_init__(self):
        for name in ("n_chips", "software_epochs", "epochs", "batch", "n_hidden", "copies"):
            in_range(name, getattr(self, name), 1)
        in_range("recovery", self.recovery, 1)
        in_range("n_train", self.n_train, self.batch, 5000)
        in_range("learning_rate", self.learning_rate, 0)
        positive("threshold", self.threshold)
        positive("step", self.step, "tau_s")


def travel(
    name: str,
    build: Callable[[Array], Network],
    trainer: Trainer,
    chips: Sequence[Specimen],
    config: ChipConfig,
    data: CodedData,
    seed: int,
    session: Session,
) -> dict[str, np.ndarray]:
    """Train one network in software, then on each chip but the last, and move it to the next.

    Returns:
        For each of `STAGES` the test accuracy for every chip, under `<name>_<stage>`, and the
        accuracy of every epoch in the loop under `<name>/<chip>/accuracy`.
    """
    epoch, learn = jax.jit(trainer.epoch), jax.jit(trainer.step)
    key = jax.random.key(seed)
    rows: dict[str, list[float]] = {stage: [] for stage in STAGES}
    found: dict[str, np.ndarray] = {}
    start, _ = session.loop(
        f"{name}-software",
        lambda state, _: epoch(state, *data.train, key),
        trainer.init(build(key)),
        config.software_epochs,
    )
    ideal = jnp.mean(decide(start.network(data.test.times)[-1]) == data.test.labels)

    def stay(label, chip, state, epochs, order):
        def step(state, i):
            return _epoch(chip, trainer, learn, state, data.train, config, order, i, key)

        return session.loop(label, step, state, epochs)

    for k, (here, there) in enumerate(pairwise(chips)):
        rows["software"].append(float(ideal))
        rows["uncalibrated"].append(accuracy(here.raw, start.network, data.test, 0))
        rows["mapped"].append(accuracy(here.calibrated, start.network, data.test, 0))
        state, history = stay(f"{name}-chip{k}", here.calibrated, start, config.epochs, seed)
        found[f"{name}/{k}/accuracy"] = history["accuracy"]
        rows["in_loop"].append(accuracy(here.calibrated, state.network, data.test, 1))
        rows["moved"].append(accuracy(there.calibrated, state.network, data.test, 1))
        label = f"{name}-chip{k}-moved"
        state, _ = stay(label, there.calibrated, state, config.recovery, seed + 1)
        rows["recovered"].append(accuracy(there.calibrated, state.network, data.test, 2))
    return found | {f"{name}_{stage}": np.array(values) for stage, values in rows.items()}


def _epoch(chip, trainer, learn, state: TrainingState, samples: Coded, config, seed, i, key):
    """Each batch runs on the chip, then the gradient uses its spikes."""
    batch = min(trainer.batch, config.n_train)
    order = epoch_order(len(samples.labels), seed, i)[: config.n_train // batch * batch]
    totals = {"accuracy": 0.0, "missing": 0.0}
    for n, index in enumerate(order.reshape(-1, batch)):
        times = samples.times[index]
        measured = chip.run(state.network, np.asarray(times), trial=10_000 * (i + 1) + n)
        state, row = learn(state, times, samples.labels[index], key, measured)
        for name in totals:
            totals[name] += float(row[name]) / order.size
    return state._replace(epoch=state.epoch + 1), totals


def accuracy(chip: FirstSpikeChip, network: Network, samples: Coded, trial: int) -> float:
    """Share of samples whose first label spike on the chip is the right one."""
    measured = chip.run(network, np.asarray(samples.times), trial)
    return float(jnp.mean(decide(measured[-1].spikes) == samples.labels))


def summary(recordings: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, float]:
    """Means and spreads over chips, and what the loop and the recovery are worth."""
    metrics = {}
    for name in names:
        for stage in STAGES:
            values = recordings[f"{name}_{stage}"]
            metrics[f"{name}_{stage}"] = float(values.mean())
            metrics[f"{name}_{stage}_spread"] = float(values.std())
        metrics[f"{name}_loop_gain"] = metrics[f"{name}_in_loop"] - metrics[f"{name}_mapped"]
        drop = max(metrics[f"{name}_in_loop"] - metrics[f"{name}_moved"], 1e-3)
        regained = metrics[f"{name}_recovered"] - metrics[f"{name}_moved"]
        metrics[f"{name}_drop"] = metrics[f"{name}_in_loop"] - metrics[f"{name}_moved"]
        metrics[f"{name}_recovered_share"] = regained / drop
    return metrics


def calibrations(specimen: Specimen) -> dict[str, np.ndarray]:
    """What the neurons of a chip realise before and after calibration, as recordings."""
    chip = specimen.raw.chip
    return {
        f"{when}/{name}": emulated.calibration.realised(chip, name)
        for when, emulated in zip(("before", "after"), specimen, strict=True)
        for name in emulated.calibration.targets
    }


def draw_stages(recordings, labels):
    """Accuracy from stage to stage: a dot for each chip, a line for the mean."""
    figure, axes = subplots(height=3.0)
    axis = axes[0, 0]
    shifts = np.linspace(-0.1, 0.1, len(labels)) if len(labels) > 1 else np.zeros(1)
    for shift, colour, (name, label) in zip(shifts, COLOURS, labels.items(), strict=False):
        for k, stage in enumerate(STAGES):
            values = 100 * recordings[f"{name}_{stage}"]
            x = k + shift
            axis.plot(np.full(values.size, x), values, ".", color=colour, alpha=0.6)
            mean = [values.mean()] * 2
            axis.plot([x - 0.12, x + 0.12], mean, color=colour, label=None if k else label)
    axis.set_xticks(range(len(STAGES)), [stage.replace("_", " ") for stage in STAGES])
    axis.set(ylabel="test accuracy [%]")
    axis.legend()
    return figure


def draw_calibration(recordings):
    """Histograms of what the neurons of a chip realise, before and after calibration."""
    names = {"v_rest": "LSB", "v_thresh": "LSB", "tau_m": "us", "tau_syn_E": "us", "gain_E": ""}
    figure, axes = subplots(1, len(names), height=2.2)
    for axis, (name, unit) in zip(axes[0], names.items(), strict=True):
        before, after = recordings[f"before/{name}"], recordings[f"after/{name}"]
        low, high = np.percentile(before, (0.5, 99.5))
        bins = np.linspace(low, high, 40)
        axis.hist(before, bins, alpha=0.6, label="before")
        axis.hist(after, bins, alpha=0.6, label="after")
        axis.set(title=f"{name} [{unit}]" if unit else name, yticks=[])
        axis.grid(False)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
