"""Robustness: what noise and mismatch do to a network that was trained without

Lag lines with a small network on top learn MNIST-1D, as in
`generalized_latent_equilibrium/mnist1d_lagnet_mlp` but with half as many points per sequence.
Then its neurons become imperfect: their rates noisy, or their time constants different from
neuron to neuron, so that the lag lines lag by other amounts and the instantaneous neurons no
longer are. It is not trained again.

The published panels could not be read: what is claimed are directions, no numbers.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import InputError, in_range
from lapicque.data import MNIST1DOptions, mnist1d
from lapicque.experiments.generalized_latent_equilibrium import mnist1d_lagnet_mlp as lagnet
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    Model,
    at_rest,
    examine,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Network, Transmission, map_layers, mismatched


@dataclass(frozen=True)
class Config(lagnet.Config):
    """Settings of the robustness experiment."""

    epochs: int = 20
    patience: int = 1
    tau_max: float = 0.9  # ms: half as many points, half the lag
    points: int = 180  # per sequence
    noises: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)  # sd, on every rate at every step
    spreads: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)  # relative, of tau_m and tau_r
    chips: int = 3  # patterns of mismatch

    def __post_init__(self):
        super().__post_init__()
        in_range("points", self.points, 2)
        in_range("noises", list(self.noises), 0)
        in_range("spreads", list(self.spreads), 0, 1)
        in_range("chips", self.chips, 1)
        for name in ("noises", "spreads"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(values):
                raise InputError(
                    f"`{name}` is {values}; it must hold two ascending values or more."
                )


PRESETS = {
    "smoke": Config(
        epochs=1,
        train_limit=200,
        points=72,
        hidden=(12,),
        noises=(0.1, 1.0),
        spreads=(0.1, 0.4),
        chips=1,
    ),
    "quick": Config(),
    "paper": Config(epochs=150, patience=2, points=360, tau_max=1.8, chips=10),
}

_SOURCE = "expected direction; Ellenberger et al. (2024), figure 10a-c, values not known"
CLAIMS = (
    Claim(
        "small_noise",
        "The smallest noise on all rates hardly matters",
        "loss_by_least_noise",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_most=0.05,
    ),
    Claim(
        "large_noise",
        "Noise as large as the signal does matter",
        "loss_by_most_noise",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_least=0.1,
    ),
    Claim(
        "small_mismatch",
        "The smallest mismatch hardly matters",
        "loss_by_least_mismatch",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_most=0.08,
    ),
    Claim(
        "graceful",
        "With twenty percent mismatch the network still knows much more than chance",
        "mismatch_0.2_accuracy",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_least=0.3,
    ),
)

CITES = ("ellenberger2024backpropagation", "greydanus2024scaling")


def noisy(network: Network, noise: float) -> Network:
    """The same network with noise of this standard deviation on all of its rates."""
    return map_layers(
        network,
        lambda layer: replace(layer, transmission=Transmission(noise, layer.transmission.tau_syn)),
    )


def run(config: Config, seed: int, session) -> Outcome:
    """Train without disturbance, then test with it."""
    data = mnist1d(MNIST1DOptions(length=config.points))
    key = jax.random.key(seed)
    start = Model(lagnet.lag_lines(config), lagnet.reader(key, config))
    trained = train("epochs", start, config, data, seed, session)
    inputs = jnp.asarray(data.test.inputs, jnp.float32)[..., None]
    labels = jnp.asarray(data.test.labels)

    def accuracy(change) -> float:
        model = trained.model
        assert model.front is not None  # the lag lines
        model = Model(change(model.front, 0), change(model.body, 1))
        batch = min(config.test_batch, len(labels))
        rest = at_rest(model, batch, jax.random.fold_in(key, 1))
        return float(examine(model, rest, inputs, labels, config)[2])

    def chip(spread: float, number: int) -> float:
        own = jax.random.fold_in(jax.random.fold_in(key, 2), number)

        def change(network: Network, part: int) -> Network:
            return mismatched(network, jax.random.fold_in(own, part), spread, low=config.dt)

        return accuracy(change)

    def disturbed() -> dict[str, np.ndarray]:
        noise = [accuracy(lambda network, _, sd=sd: noisy(network, sd)) for sd in config.noises]
        mismatch = [[chip(spread, i) for i in range(config.chips)] for spread in config.spreads]
        none = accuracy(lambda network, _: network)
        return {"none": np.array(none), "noise": np.array(noise), "mismatch": np.array(mismatch)}

    found = session.stage("disturbed", disturbed)
    clean, noise, mismatch = float(found["none"]), found["noise"], found["mismatch"].mean(1)
    metrics = {
        "clean_accuracy": clean,
        "loss_by_least_noise": clean - float(noise[0]),
        "loss_by_most_noise": clean - float(noise[-1]),
        "loss_by_least_mismatch": clean - float(mismatch[0]),
        "loss_by_most_mismatch": clean - float(mismatch[-1]),
        "mismatch_0.2_accuracy": float(np.interp(0.2, config.spreads, mismatch)),
    }
    return Outcome(metrics, {**trained.history, **found}, {"mnist1d": data.origin})


def figures(outcome: Outcome, config: Config):
    """Accuracy against noise, and against mismatch with its range over chips."""
    figure, axes = subplots(1, 2, height=2.8, sharey=True)
    clean = 100 * outcome.metrics["clean_accuracy"]
    axes[0, 0].plot(config.noises, 100 * outcome.recordings["noise"], "o-")
    axes[0, 0].set(xscale="log", xlabel="noise on the rates, sd", ylabel="test accuracy [%]")
    spread = 100 * np.array(config.spreads)
    mismatch = 100 * outcome.recordings["mismatch"]
    axes[0, 1].plot(spread, mismatch.mean(1), "o-")
    axes[0, 1].fill_between(spread, mismatch.min(1), mismatch.max(1), alpha=0.2)
    axes[0, 1].set(xlabel="spread of time constants [%]", ylim=(0, 101))
    for axis in axes[0]:
        axis.axhline(clean, color="0.5", ls="--", lw=1)
    axes[0, 0].text(config.noises[0], clean + 2, "undisturbed", color="0.4")
    return {"robustness": figure}
