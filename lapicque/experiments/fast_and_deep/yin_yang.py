"""Yin-Yang: a deep network learns to answer with one early spike

A network 4-120-3 of leaky neurons with equal time constants learns when to spike. Inputs are
times, the label neuron that spikes first decides, and what is learned follows from the exact
derivatives of spike times. Wherever a label neuron stays silent, weights are raised instead.
"""

from dataclasses import dataclass

import jax
import numpy as np

from lapicque._checks import in_range
from lapicque.experiments._spike_times import (
    disc_maps,
    draw_curves,
    draw_disc,
    draw_rasters,
    drawn,
    one_per_class,
    rasters,
    train,
)
from lapicque.experiments.fast_and_deep._parts import (
    CITES as CITES,
    WORK,
    YinYangConfig,
    encode,
    yin_yang_times,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import INK
from lapicque.spiketime import respond

TITLES = {"before": "before training", "after": "after training"}
PUBLISHED = {
    1: 0.594,
    5: 0.862,
    10: 0.893,
    20: 0.886,
    50: 0.921,
    100: 0.938,
    200: 0.951,
    300: 0.964,
}
EARLY = 50  # epochs


@dataclass(frozen=True)
class Config(YinYangConfig):
    """Settings of the Yin-Yang experiment."""

    side: int = 80  # points per side of the maps

    def __post_init__(self):
        super().__post_init__()
        in_range("side", self.side, 2)


PRESETS = {
    "smoke": Config(n_networks=1, epochs=1, hidden=10, side=10),
    "quick": Config(),
    "paper": Config(n_networks=10, side=200),
}

_NET = f"{WORK}, network released with the code"
CLAIMS = (
    Claim(
        "accuracy",
        "The median network reaches 95 % on the test set after 300 epochs",
        "test_accuracy",
        Certainty.RELEASED_DATA,
        _NET,
        at_least=0.95,
        published=0.96,
    ),
    Claim(
        "mean_accuracy",
        "The mean over networks is no further below the published one than its spread",
        "test_accuracy_mean",
        Certainty.NOT_VERIFIED,
        f"{WORK}, table 1: 95.9 +- 0.7 % over 20 networks, from memory",
        at_least=0.952,
        published=0.959,
        presets=("paper",),
    ),
    Claim(
        "early_accuracy",
        "The median network reaches 91 % on the validation set after 50 epochs",
        "early_validation_accuracy",
        Certainty.RELEASED_DATA,
        _NET + ", its learning curve",
        at_least=0.91,
        published=0.921,
    ),
)


def run(config: Config, seed: int, session) -> Outcome:
    """Train, then look at decisions over the disc and at single samples."""
    data = yin_yang_times()
    trained = train(
        "networks",
        config.network,
        config.trainer,
        data,
        epochs=config.epochs,
        n_networks=config.n_networks,
        seed=seed,
        session=session,
    )
    network = trained.network()
    shown = one_per_class(data.test.labels)
    listen = jax.jit(respond)
    spikes = {
        "before": listen(drawn(config.network, seed), data.test.times),
        "after": listen(network, data.test.times),
    }
    hidden, label = map(np.asarray, spikes["after"])
    decision = label.min(axis=1)
    answered = np.isfinite(decision)
    validation = trained.history["validation"][min(EARLY, config.epochs) - 1]
    metrics = {
        **trained.summary(),
        "early_validation_accuracy": float(np.median(validation)),
        "decision_time": float(np.median(decision[answered])) if answered.any() else 0.0,  # tau_s
        "hidden_before_decision": float((hidden <= decision[:, None])[answered].mean()),
    }
    maps = {f"disc/{k}": v for k, v in disc_maps(network, encode, config.side).items()}
    recordings = {
        **trained.recordings("networks"),
        **maps,
        **rasters(data.test.times, spikes, shown),
        "classes": np.asarray(data.test.labels[shown]),
    }
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Learning curve, decisions and spike times over the disc, rasters of one sample per class."""
    curves = draw_curves(outcome.recordings, {"networks": f"{config.n_networks} networks"})
    axis = curves.axes[0]
    epochs = [epoch for epoch in PUBLISHED if epoch <= config.epochs]
    errors = [100 * (1 - PUBLISHED[epoch]) for epoch in epochs]
    axis.plot(epochs, errors, "o", color=INK, label="released network")
    axis.legend()
    return {
        "learning": curves,
        "disc": draw_disc(outcome.recordings, "disc"),
        "raster": draw_rasters(outcome.recordings, TITLES, outcome.recordings["classes"]),
    }
