"""Delays on a substrate that is not ideal: a model of the chip, with and without axonal delays.

Before a chip is trained, its faults are: weights of 6 bits, thresholds that differ between
neurons and from batch to batch, spikes that arrive a little early or late, independently at every
synapse. Every input comes five times, since one synapse of the chip is too weak to matter. The
noise is on while training and in tests.

With 34 delays more on 690 weights, accuracy rises by about three points and no label neuron stays
silent. The lead shows late: without delays, networks still lose several points from one epoch to
the next. Copies of an input share a delay as they do on the chip (`sharing = tiled`) or get
different ones, as in the authors' own model of it (`interleaved`). The gradient is that of the
noisy spike time; theirs takes the threshold to be nominal.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.data import yin_yang
from lapicque.data.latency import spike_times
from lapicque.experiments._spike_times import coded, disc_maps, draw_curves, draw_disc, train
from lapicque.lab import Certainty, Claim, Outcome, Session
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.spiketime import (
    Bumping,
    Imperfections,
    Neuron,
    RelativeError,
    Sigmoid,
    Trainer,
    dense,
)

VARIANTS = {"W": "weights only", "WA": "with axonal delays"}
MODEL = {"W": 84.9, "WA": 92.8}  # released results of the authors' model [%]
CHIP = {"W": 84.9, "WA": 92.6}  # released results of BrainScaleS-2 [%]


@dataclass(frozen=True)
class Config:
    """Settings of the hardware-aware training."""

    n_networks: int = 3
    epochs: int = 300
    batch: int = 40
    n_hidden: int = 30
    copies: int = 5  # of each input
    sharing: Literal["tiled", "interleaved"] = "tiled"  # tiled: copies of an input share a delay
    learning_rate: float = 0.002  # of Adam, for weights and delays
    weights_mean: tuple[float, float] = (1.0, 0.075)  # initial, hidden and label layer
    weights_spread: tuple[float, float] = (0.12, 0.15)
    shortest_delay: float = 2.0  # tau_s
    longest_delay: float = 3.5  # tau_s
    delays_spread: float = 0.5  # of the numbers behind initial delays
    threshold: float = 2.6  # tau_s in units of weights
    weight_limit: float = 2.1
    weight_step: float = 1 / 30
    threshold_bias: float = 0.13
    threshold_spread: float = 0.08  # from neuron to neuron
    threshold_batch: float = 0.04  # from batch to batch
    jitter: float = 0.01  # tau_s, of arrivals
    gap: float = 0.3  # tau_s
    tolerated: tuple[float, float] = (0.05, 0.05)  # share of missing spikes
    grid: int = 100  # points per side of the maps

    def __post_init__(self):
        for name in ("n_networks", "epochs", "batch", "n_hidden", "copies"):
            in_range(name, getattr(self, name), 1)
        one_of("sharing", self.sharing, ("tiled", "interleaved"))
        in_range("learning_rate", self.learning_rate, 0)
        in_range("delays_spread", self.delays_spread, 0)
        positive("threshold", self.threshold)
        positive("weight_limit", self.weight_limit)
        in_range("tolerated", list(self.tolerated), 0, 1)
        in_range("grid", self.grid, 2)


PRESETS = {
    "smoke": Config(n_networks=2, epochs=1, n_hidden=4, copies=2, batch=200, grid=10),
    # Jitter makes every synapse see an order of its own, which takes four times as long.
    "quick": Config(n_networks=4, jitter=0.0),
    "paper": Config(n_networks=10),
}

_RELEASED = "Göltz, Weber et al. (2025), released result of one network after 300 epochs"
CLAIMS = (
    Claim(
        "axonal",
        "With axonal delays the imperfect substrate solves Yin-Yang",
        "WA_test_accuracy",
        Certainty.RELEASED_DATA,
        _RELEASED,
        at_least=0.90,
        published=0.928,
    ),
    Claim(
        "gain",
        "Axonal delays are worth at least two points, on average over networks",
        "gain",
        Certainty.RELEASED_DATA,
        _RELEASED + " each, 92.8 and 84.9 %",
        at_least=0.02,
        published=0.079,
    ),
)

CITES = ("goeltz2025delgrad", "kriener2022yinyang")


def run(config: Config, seed: int, session: Session) -> Outcome:
    """Train both kinds of networks on the same imperfect substrates."""

    encode = partial(spike_times, copies=config.copies)
    data = coded(yin_yang(), encode)
    faults = Imperfections(
        weight_step=config.weight_step,
        weight_limit=config.weight_limit,
        threshold_bias=config.threshold_bias,
        threshold_spread=config.threshold_spread,
        threshold_batch=config.threshold_batch,
        jitter=config.jitter,
    )
    trainer = Trainer(
        RelativeError(config.gap),
        batch=config.batch,
        weights_rate=config.learning_rate,
        delays_rate=config.learning_rate,
        bumping=Bumping(config.tolerated),
        weight_limit=config.weight_limit,
    )
    metrics: dict[str, float] = {}
    recordings: dict[str, np.ndarray] = {}
    tests = {}
    for name in VARIANTS:

        def build(key, name=name):
            return dense(
                key,
                (4 * config.copies, config.n_hidden, 3),
                neuron=Neuron(1.0, threshold=config.threshold),
                mean=config.weights_mean,
                spread=config.weights_spread,
                imperfections=faults,
                delays="axonal" if name == "WA" else None,
                delay_form=Sigmoid(config.shortest_delay, config.longest_delay),
                delay_spread=config.delays_spread,
                copies=config.copies,
                sharing=config.sharing,
            )

        trained = train(
            name,
            build,
            trainer,
            data,
            epochs=config.epochs,
            n_networks=config.n_networks,
            seed=seed,
            session=session,
            noisy=True,
        )
        tests[name] = trained.test
        metrics |= trained.summary(f"{name}_")
        metrics[f"{name}_parameters"] = trained.network().n_parameters
        metrics[f"{name}_bumped"] = float(trained.history["bumped"].sum(0).mean())
        recordings |= trained.recordings(name)
        recordings |= {
            f"{name}/{what}": values
            for what, values in disc_maps(trained.network(), encode, config.grid).items()
        }
    metrics["gain"] = float((tests["WA"] - tests["W"]).mean())
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Accuracy of every network, learning curves, decisions over the disc without noise."""
    return {
        "accuracy": _accuracy(outcome),
        "learning": draw_curves(outcome.recordings, VARIANTS),
        "disc_weights": draw_disc(outcome.recordings, "W"),
        "disc_axonal": draw_disc(outcome.recordings, "WA"),
    }


def _accuracy(outcome: Outcome):
    figure, axes = subplots(width=4.4, height=3.0)
    axis = axes[0, 0]
    pairs = 100 * np.stack([outcome.recordings[f"{name}/test"] for name in VARIANTS], axis=-1)
    places = range(len(VARIANTS))
    for pair in pairs:
        axis.plot(places, pair, color=MUTED, linewidth=0.8)
    for place, (name, colour) in enumerate(zip(VARIANTS, COLOURS, strict=False)):
        axis.plot([place] * len(pairs), pairs[:, place], "o", color=colour)
        axis.plot(place + 0.12, MODEL[name], "_", color=INK, markersize=12)
        axis.plot(place + 0.12, CHIP[name], "x", color=INK)
    axis.plot([], [], "o-", color=MUTED, linewidth=0.8, label="this run, same substrate")
    axis.plot([], [], "_", color=INK, markersize=12, label="authors' model")
    axis.plot([], [], "x", color=INK, label="authors' chip")
    axis.set(xticks=list(places), xticklabels=list(VARIANTS.values()), xlim=(-0.5, 1.5))
    axis.set_ylabel("test accuracy [%]")
    axis.legend()
    return figure
