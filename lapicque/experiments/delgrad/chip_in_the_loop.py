"""Delays on a virtual chip: trained in software, mapped, trained in the loop, moved to another.

Networks with and without axonal delays learn Yin-Yang in software, with ideal neurons and weights
of 6 bits. Then they run on specimens of a virtual BrainScaleS-2, with neurons as their
calibration left them, synapses that differ, relay neurons as delay elements, and noise from run
to run. What the chip's spikes say goes into the analytic gradient: forward on the chip, backward
in software. At last the trained network moves to the next specimen, which it has never seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range, positive
from lapicque.data import yin_yang
from lapicque.data.batches import epoch_order
from lapicque.data.latency import spike_times
from lapicque.experiments._spike_times import coded
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.spiketime import (
    Bumping,
    Imperfections,
    Neuron,
    RelativeError,
    Sigmoid,
    Trainer,
    decide,
    dense,
)
from lapicque.substrate import Chip, FirstSpikeChip, brainscales2, calibrate
from lapicque.substrate.calibration import uncalibrated
from lapicque.substrate.first_spike import targets

VARIANTS = {"W": "weights only", "WA": "with axonal delays"}
STAGES = ("software", "uncalibrated", "mapped", "in_loop", "moved", "recovered")


@dataclass(frozen=True)
class Config:
    """Settings of training on the virtual chip."""

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
    gap: float = 0.3  # tau_s
    step: float = 0.01  # of the emulation, tau_s

    def __post_init__(self):
        for name in ("n_chips", "software_epochs", "epochs", "batch", "n_hidden", "copies"):
            in_range(name, getattr(self, name), 1)
        in_range("recovery", self.recovery, 1)
        in_range("n_train", self.n_train, self.batch, 5000)
        in_range("learning_rate", self.learning_rate, 0)
        positive("threshold", self.threshold)
        positive("gap", self.gap, "tau_s")
        positive("step", self.step, "tau_s")


PRESETS = {
    "smoke": Config(
        n_chips=1, software_epochs=1, epochs=1, recovery=1, n_train=200, batch=100, step=0.05
    ),
    "quick": Config(n_chips=2, software_epochs=150, epochs=3, recovery=1, step=0.02),
    "paper": Config(),
}

_CHIP = "Göltz, Weber et al. (2025), released runs on one chip after 300 epochs in the loop"
CLAIMS = (
    Claim(
        "axonal",
        "On the chip, axonal delays beat weights alone",
        "gain",
        Certainty.RELEASED_DATA,
        _CHIP + ": 92.6 against 84.9 %",
        at_least=0.0,
        published=0.077,
    ),
    Claim(
        "accuracy",
        "With axonal delays a network trained in the loop solves Yin-Yang on the chip",
        "WA_in_loop",
        Certainty.RELEASED_DATA,
        _CHIP,
        at_least=0.88,
        published=0.926,
    ),
    Claim(
        "loop",
        "Training in the loop makes up for what mapping costs, in part at least",
        "WA_loop_gain",
        Certainty.NOT_VERIFIED,
        "the reason for training in the loop, no number known",
        at_least=0.0,
    ),
    Claim(
        "recovery",
        "On another chip accuracy drops, and a few epochs there bring it back",
        "WA_recovered_share",
        Certainty.NOT_VERIFIED,
        "no number known; share of the drop that is made up",
        at_least=0.3,
    ),
)

CITES = ("goeltz2025delgrad", "kriener2022yinyang")


def run(config: Config, seed: int, session) -> Outcome:
    """Train in software, then on each chip; every network moves to the next chip at the end."""
    data = coded(yin_yang(), partial(spike_times, copies=config.copies))
    neuron = Neuron(tau_m=1.0, threshold=config.threshold)
    wanted = targets(neuron)
    chips = []
    for k in range(config.n_chips + 1):
        chip = Chip(brainscales2(), 1000 * seed + k)
        raw, calibrated = uncalibrated(chip, wanted), calibrate(chip, wanted)
        chips.append([FirstSpikeChip(chip, c, step=config.step) for c in (raw, calibrated)])
    limit = chips[0][0].weight_limit
    held = Imperfections(weight_step=1 / chips[0][0].per_unit, weight_limit=limit)
    trainer = Trainer(
        RelativeError(config.gap),
        batch=config.batch,
        weights_rate=config.learning_rate,
        delays_rate=config.learning_rate,
        bumping=Bumping((0.05, 0.05)),
        weight_limit=limit,
    )
    epoch, learn = jax.jit(trainer.epoch), jax.jit(trainer.step)
    key = jax.random.key(seed)
    metrics: dict[str, float] = {}
    recordings: dict[str, np.ndarray] = {}
    rows = {f"{v}_{stage}": [] for v in VARIANTS for stage in STAGES}
    for name in VARIANTS:

        def build(key, name=name):
            return dense(
                key,
                (4 * config.copies, config.n_hidden, 3),
                neuron=neuron,
                mean=(1.0, 0.075),
                spread=(0.12, 0.15),
                imperfections=held,
                delays="axonal" if name == "WA" else None,
                delay_form=Sigmoid(2.0, 3.5),
                delay_spread=0.5,
                copies=config.copies,
            )

        def software(state, _):
            return epoch(state, *data.train, key)

        start = trainer.init(build(key))
        state, _ = session.loop(f"{name}-software", software, start, config.software_epochs)
        ideal = float((decide(state.network(data.test.times)[-1]) == data.test.labels).mean())
        for k in range(config.n_chips):
            (raw, chip), (_, other) = chips[k], chips[k + 1]
            rows[f"{name}_software"].append(ideal)
            rows[f"{name}_uncalibrated"].append(accuracy(raw, state.network, data.test, 0))
            rows[f"{name}_mapped"].append(accuracy(chip, state.network, data.test, 0))

            def in_loop(state, i, chip=chip):
                return loop_epoch(chip, learn, state, data.train, config, seed, i, key)

            label = f"{name}-chip{k}"
            trained, history = session.loop(label, in_loop, state, config.epochs)
            recordings[f"{name}/{k}/accuracy"] = history["accuracy"]
            rows[f"{name}_in_loop"].append(accuracy(chip, trained.network, data.test, 1))
            rows[f"{name}_moved"].append(accuracy(other, trained.network, data.test, 1))

            def there(state, i, other=other):
                return loop_epoch(other, learn, state, data.train, config, seed + 1, i, key)

            again, _ = session.loop(f"{label}-moved", there, trained, config.recovery)
            rows[f"{name}_recovered"].append(accuracy(other, again.network, data.test, 2))
    for name, values in rows.items():
        metrics[name] = float(np.mean(values))
        metrics[f"{name}_spread"] = float(np.std(values))
        recordings[name] = np.asarray(values)
    metrics["gain"] = metrics["WA_in_loop"] - metrics["W_in_loop"]
    metrics["WA_loop_gain"] = metrics["WA_in_loop"] - metrics["WA_mapped"]
    drop = max(metrics["WA_in_loop"] - metrics["WA_moved"], 1e-3)
    metrics["WA_recovered_share"] = (metrics["WA_recovered"] - metrics["WA_moved"]) / drop
    chip, calibrated = chips[0][1].chip, chips[0][1].calibration
    for name in wanted:
        recordings[f"before/{name}"] = chips[0][0].calibration.realised(chip, name)
        recordings[f"after/{name}"] = calibrated.realised(chip, name)
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def loop_epoch(chip: FirstSpikeChip, learn, state, samples, config: Config, seed, i: int, key):
    """One epoch in the loop: each batch runs on the chip, then the gradient uses its spikes."""
    order = epoch_order(len(samples.labels), seed, i)[: config.n_train]
    order = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch)
    right = missing = 0.0
    for n, index in enumerate(order):
        times, labels = samples.times[index], samples.labels[index]
        measured = chip.run(state.network, np.asarray(times), 1000 * i + n)
        state, row = learn(state, times, labels, key, measured)
        right += float(row["accuracy"])
        missing += float(row["missing"])
    return state._replace(epoch=state.epoch + 1), {
        "accuracy": right / order.size,
        "missing": missing / order.size,
    }


def accuracy(chip: FirstSpikeChip, network, samples, trial: int) -> float:
    """Share of samples whose first label spike on the chip is the right one."""
    measured = chip.run(network, np.asarray(samples.times), trial)
    return float(jnp.mean(decide(measured[-1].spikes) == samples.labels))


def figures(outcome: Outcome, config: Config):
    """Accuracy from stage to stage, and what calibration does to the neurons."""
    return {
        "stages": _stages(outcome.recordings),
        "calibration": _calibration(outcome.recordings),
    }


def _stages(recordings: Mapping[str, np.ndarray]):
    figure, axes = subplots(height=3.0)
    axis = axes[0, 0]
    for shift, colour, (name, label) in zip((-0.1, 0.1), COLOURS, VARIANTS.items(), strict=False):
        for k, stage in enumerate(STAGES):
            values = 100 * recordings[f"{name}_{stage}"]
            axis.plot(np.full(values.size, k + shift), values, ".", color=colour, alpha=0.6)
            axis.plot(
                [k + shift - 0.12, k + shift + 0.12], [values.mean()] * 2, color=colour,
                label=label if k == 0 else None,
            )  # fmt: skip
    axis.set_xticks(range(len(STAGES)), [stage.replace("_", " ") for stage in STAGES])
    axis.set(ylabel="test accuracy [%]")
    axis.legend()
    return figure


def _calibration(recordings: Mapping[str, np.ndarray]):
    names = ("leak", "threshold", "tau_m", "tau_syn", "gain")
    figure, axes = subplots(1, len(names), height=2.2)
    for axis, name in zip(axes[0], names, strict=True):
        before, after = recordings[f"before/{name}"], recordings[f"after/{name}"]
        low, high = np.percentile(before, (0.5, 99.5))
        bins = np.linspace(low, high, 40)
        axis.hist(before, bins, alpha=0.6, label="before")
        axis.hist(after, bins, alpha=0.6, label="after")
        axis.set(title=name, yticks=[])
        axis.grid(False)
    axes[0, 0].legend()
    return figure
