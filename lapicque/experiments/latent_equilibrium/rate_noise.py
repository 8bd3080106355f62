"""Noisy rates: longer presentations and synaptic filters average the noise away

Every rate carries fresh Gaussian noise at every step. A synaptic low-pass averages it, but
answers late; then stimuli must be shown for longer. Accuracy is mapped over the synaptic time
constant and the length of a presentation.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import numpy as np

from lapicque._checks import in_range
from lapicque.data import digits
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    stacked,
    summaries,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Transmission, dense, map_layers


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the noise experiment."""

    hidden: tuple[int, ...] = (100, 50)
    n_networks: int = 2
    epochs: int = 20
    noise: float = 0.2  # standard deviation of a rate at each step
    tau_syn: tuple[float, ...] = (0.0, 0.5)  # ms, 0 for no filter
    presentations: tuple[int, ...] = (20, 100)  # steps

    def __post_init__(self):
        super().__post_init__()
        in_range("noise", self.noise, 0)
        in_range("tau_syn", list(self.tau_syn), 0, unit="ms")
        in_range("presentations", list(self.presentations), 1, unit="steps")


PRESETS = {
    "smoke": Config(
        n_networks=1, epochs=1, hidden=(20, 10), tau_syn=(0.0, 0.5), presentations=(10,)
    ),
    "quick": Config(),
    "paper": Config(
        n_networks=10,
        epochs=100,
        dt=0.05,
        tau=20.0,
        tau_syn=(0.0, 0.5, 2.0),
        presentations=(20, 50, 100, 200, 500, 1000),
    ),
}

CLAIMS = (
    Claim(
        "recovers",
        "Filtered and shown for long enough, noisy networks come within five points of silent ones",
        "loss_by_noise",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 4c; the direction, no number known",
        at_most=0.05,
    ),
    Claim(
        "filter_helps",
        "At the longest presentation a synaptic filter beats none",
        "gain_by_filter",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 4c; the direction, no number known",
        at_least=0.0,
    ),
)

CITES = ("haider2021latent",)


def run(config: Config, seed: int, session) -> Outcome:
    """Train for every synaptic time constant and presentation length, and once without noise."""
    data = digits().flat()
    sizes = (data.shape[0], *config.hidden, data.n_classes)

    def build(key, noise: float, tau_syn: float):
        network = dense(key, sizes, tau_m=config.tau, tau_r=config.tau)
        passage = Transmission(noise, tau_syn)
        network = map_layers(
            network, lambda layer: eqx.tree_at(lambda x: x.transmission, layer, passage)
        )
        return eqx.tree_at(  # the target lags like the filtered way up
            lambda n: n.nudging,
            network,
            replace(network.nudging, tau=len(config.factors) * tau_syn),
        )

    longest = replace(config, n_updates=max(config.presentations))
    trained = {
        "silent": train("silent", lambda k: build(k, 0.0, 0.0), longest, data, seed, session)
    }
    for tau_syn in config.tau_syn:
        for steps in config.presentations:
            name = f"{tau_syn:g}_{steps}"
            trained[name] = train(
                name,
                lambda k, tau_syn=tau_syn: build(k, config.noise, tau_syn),
                replace(config, n_updates=steps),
                data,
                seed,
                session,
            )
    metrics = summaries(trained)
    at_longest = {
        tau: metrics[f"{tau:g}_{max(config.presentations)}_test_accuracy"] for tau in config.tau_syn
    }
    metrics["loss_by_noise"] = metrics["silent_test_accuracy"] - max(at_longest.values())
    metrics["gain_by_filter"] = (
        max(value for tau, value in at_longest.items() if tau > 0) - at_longest[0.0]
    )
    return Outcome(metrics, stacked(trained), {"digits": data.origin})


def figures(outcome: Outcome, config: Config):
    """Test accuracy against the length of a presentation."""
    figure, axes = subplots(height=3.0)
    axis = axes[0, 0]
    time = config.dt * np.array(config.presentations)
    for tau_syn in config.tau_syn:
        accuracy = np.array(
            [
                outcome.recordings[f"{tau_syn:g}_{steps}/test_accuracy"]
                for steps in config.presentations
            ]
        )
        label = f"synaptic filter {tau_syn:g} ms" if tau_syn else "no filter"
        axis.errorbar(
            time, 100 * accuracy.mean(1), 100 * accuracy.std(1), marker="o", capsize=2, label=label
        )
    axis.axhline(
        100 * outcome.metrics["silent_test_accuracy"], color="0.5", ls="--", label="no noise"
    )
    axis.set(xlabel="presentation [ms]", ylabel="test accuracy [%]", xscale="log")
    axis.legend()
    return {"noise": figure}
