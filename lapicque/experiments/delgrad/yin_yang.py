"""Yin-Yang with trained delays: weights only, axonal, dendritic and synaptic delays.

Small networks, 4 inputs, 30 neurons, 3 labels, in which every neuron counts by its first spike.
Delays are learned along with the weights: a spike time's exact derivative with respect to when
an input arrives is the derivative with respect to its delay as well. Absolute times are free, the
right label neuron shall only be the first by a gap.

Without delays a neuron can weigh its inputs but must take them as they come. With them it
chooses what coincides; synaptic delays double the number of parameters and cut the error by a
third or more. Late in training, single networks still lose and regain a point from one epoch to
the next, so what counts is the median over networks.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from lapicque._checks import in_range, one_of
from lapicque.data.latency import spike_times
from lapicque.experiments._spike_times import (
    CodedData,
    Trained,
    disc_maps,
    draw_curves,
    draw_disc,
    draw_rasters,
    drawn,
    rasters,
)
from lapicque.experiments.delgrad._simulation import (
    VARIANTS,
    SimulationConfig,
    builder,
    learn,
    points,
)
from lapicque.lab import Certainty, Claim, Outcome, Session
from lapicque.lab.figure import COLOURS, subplots
from lapicque.spiketime import Network

STAGES = {"before": "before training", "after": "after training"}
DELAYED = ("WA", "WD", "WS")
SHOWN = ((0.6, 0.2), (0.4, 0.8), (0.75, 0.5))  # spikes are drawn of the samples nearest to these
EARLY = 20  # epochs after which WS is judged for the first time


@dataclass(frozen=True)
class Config(SimulationConfig):
    """Settings of DelGrad on Yin-Yang."""

    n_hidden: int = 30
    shown: Literal["W", "WA", "WD", "WS"] = "WS"  # whose decisions and spikes are drawn
    grid: int = 100  # points per side of the maps

    def __post_init__(self):
        super().__post_init__()
        in_range("n_hidden", self.n_hidden, 1)
        one_of("shown", self.shown, VARIANTS)
        in_range("grid", self.grid, 2)


PRESETS = {
    "smoke": Config(n_networks=2, epochs=1, n_hidden=4, grid=10),
    "quick": Config(n_networks=4),
    "paper": Config(n_networks=10),
}

_RELEASED = "Göltz, Weber et al. (2025), released results of one network after 300 epochs"
CLAIMS = (
    Claim(
        "weights",
        "Weights alone solve Yin-Yang with first-spike times",
        "W_test_accuracy",
        Certainty.RELEASED_DATA,
        _RELEASED,
        at_least=0.95,
        published=0.967,
    ),
    Claim(
        "axonal",
        "So do weights and axonal delays",
        "WA_test_accuracy",
        Certainty.RELEASED_DATA,
        _RELEASED,
        at_least=0.95,
        published=0.975,
    ),
    Claim(
        "synaptic",
        "With synaptic delays the networks are better still",
        "WS_test_accuracy",
        Certainty.RELEASED_DATA,
        _RELEASED,
        at_least=0.965,
        published=0.982,
    ),
    Claim(
        "early",
        f"With synaptic delays, {EARLY} epochs are enough for 92 % of the validation set",
        "WS_early_validation_accuracy",
        Certainty.RELEASED_DATA,
        _RELEASED.replace("300", str(EARLY)),
        at_least=0.92,
        published=0.965,
    ),
)

CITES = ("goeltz2025delgrad", "goeltz2021fast", "kriener2022yinyang")


def run(config: Config, seed: int, session: Session) -> Outcome:
    """Train the four kinds of networks; look closer at one of them."""
    data = points()
    metrics: dict[str, float] = {}
    recordings: dict[str, np.ndarray] = {}
    for name in VARIANTS:
        build = builder(name, config.n_hidden, config)
        trained = learn(name, name, build, config, data, seed, session)
        metrics |= trained.summary(f"{name}_")
        first = min(EARLY, config.epochs)
        metrics[f"{name}_early_validation_accuracy"] = float(
            np.median(trained.history["validation"][first - 1])
        )
        metrics[f"{name}_parameters"] = trained.network().n_parameters
        metrics[f"{name}_bumped"] = float(trained.history["bumped"].sum(0).mean())
        recordings |= trained.recordings(name)
        if name in DELAYED:
            recordings |= _delays(name, build, trained, config, seed)
        if name == config.shown:
            maps = disc_maps(trained.network(), spike_times, config.grid)
            recordings |= {f"shown/{what}": values for what, values in maps.items()}
            recordings |= _samples(drawn(build, seed), trained.network(), data)
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def _samples(before: Network, after: Network, data: CodedData) -> dict[str, np.ndarray]:
    """Spikes of three samples of the test set, one per class."""
    places = np.asarray(data.test.times)[:, :2] - spike_times(np.array(SHOWN))[:, None]
    shown = (places**2).sum(-1).argmin(-1)
    answer = jax.jit(lambda network: network(data.test.times))
    return rasters(data.test.times, {"before": answer(before), "after": answer(after)}, shown)


def _delays(name: str, build, trained: Trained, config: Config, seed: int) -> dict[str, np.ndarray]:
    """All delays of all networks before and after, per layer."""
    networks = {
        "before": [drawn(build, seed, k) for k in range(config.n_networks)],
        "after": [trained.network(k) for k in range(config.n_networks)],
    }
    return {
        f"{name}/{stage}/{layer}_delays": np.concatenate([_values(n, i) for n in ensemble])
        for stage, ensemble in networks.items()
        for i, layer in enumerate(("hidden", "label"))
    }


def _values(network: Network, layer: int) -> np.ndarray:
    delays = network.layers[layer].delays
    assert delays is not None
    return np.asarray(delays.values()).ravel()


def figures(outcome: Outcome, config: Config):
    """Learning curves, decisions over the disc, spikes of three samples, delays."""
    return {
        "learning": draw_curves(outcome.recordings, VARIANTS),
        "disc": draw_disc(outcome.recordings, "shown"),
        "spikes": draw_rasters(outcome.recordings, STAGES, np.arange(len(SHOWN))),
        "delays": _histograms(outcome.recordings, config),
    }


def _histograms(recordings, config: Config):
    figure, axes = subplots(1, len(DELAYED), height=2.6)
    bins = np.linspace(0, config.longest_delay, 31)
    for axis, name in zip(axes[0], DELAYED, strict=True):
        for layer, colour in zip(("hidden", "label"), COLOURS, strict=False):
            before, after = (
                recordings[f"{name}/{stage}/{layer}_delays"] for stage in ("before", "after")
            )
            axis.hist(before, bins, density=True, histtype="step", color=colour, ls=":", lw=1)
            axis.hist(
                after, bins, density=True, color=colour, alpha=0.5, label=f"to {layer} neurons"
            )
        axis.set(title=VARIANTS[name].removeprefix("with "), xlabel="delay [tau_s]")
    axes[0, 0].set_ylabel("density (dotted: before)")
    axes[0, 0].legend(loc="upper left")
    axes[0, 0].margins(y=0.35)
    return figure
