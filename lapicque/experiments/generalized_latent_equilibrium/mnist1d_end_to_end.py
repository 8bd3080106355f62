"""MNIST-1D, end to end: neurons of several time constants learn to read a signal over time

A single input channel carries 360 values, one per step. Six hidden layers of slow and fast neurons,
all of their synapses plastic, learn on line which class the sequence belongs to. There is no
backpropagation through time and no stored past: the errors pass through the same two filters as the
rates, with their time constants swapped, and are used at once.

The test set also steers the learning rate, as in the published code, so that its accuracy is that
of a validation set.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lapicque._checks import in_range, positive
from lapicque.data import mnist1d
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    PUBLISHED,
    Model,
    SequenceConfig,
    learning_curves,
    train,
    uniform,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.rate import Layer, Network, Neurons, Nudging, cross_entropy, identity, swapped


@dataclass(frozen=True)
class Config(SequenceConfig):
    """Settings of the network with plastic synapses throughout."""

    depth: int = 6  # hidden layers
    fast: int = 17  # instantaneous neurons per hidden layer
    slow: int = 36  # leaky integrators per hidden layer; half of them with tau / 2
    tau: float = 1.2  # ms

    def __post_init__(self):
        super().__post_init__()
        for name in ("depth", "fast"):
            in_range(name, getattr(self, name), 1)
        in_range("slow", self.slow, 0)
        positive("tau", self.tau, "ms")
        in_range("tau", self.tau, 2 * self.dt, unit="ms", hint="The fastest tau_m is tau / 2.")


PRESETS = {
    "smoke": Config(epochs=2, train_limit=200, test_batch=200, depth=2, fast=4, slow=6),
    "quick": Config(epochs=10),
    "paper": Config(),
}

_SOURCE = "Ellenberger et al. (2024), figure 8d, 15k parameters: released data, 10 seeds"
CLAIMS = (
    Claim(
        "learns",
        "After 10 epochs the network is on the published learning curve",
        "test_accuracy_10",
        Certainty.RELEASED_DATA,
        f"{_SOURCE}, 45.8 ± 6.2 % at epoch 10",
        at_least=0.34,
        at_most=0.58,
        published=0.458,
    ),
    Claim(
        "accuracy",
        "After 150 epochs it classifies like the published one",
        "test_accuracy",
        Certainty.RELEASED_DATA,
        f"{_SOURCE}, 91.72 ± 0.80 % at epoch 150",
        at_least=0.897,
        at_most=0.937,
        published=0.917,
        presets=("paper",),
    ),
)

CITES = ("ellenberger2024backpropagation", "greydanus2024scaling")


def build(key, config: Config) -> Network:
    """All layers plastic; the first hidden layer is linear, as is the output.

    Source: sheet of Ellenberger et al. (2024), figure 9 and released code: groups of neurons
    with (tau_m, tau_r) = (tau, tau), (tau / 2, dt), (tau, dt).
    """
    half = config.slow // 2
    tau_m = [config.tau] * config.fast
    tau_m += [config.tau / 2] * half + [config.tau] * (config.slow - half)
    tau_r = [config.tau] * config.fast + [config.dt] * config.slow
    mixed = jnp.array(tau_m), jnp.array(tau_r)
    sizes = [1] + [config.fast + config.slow] * config.depth
    layers = []
    for i in range(config.depth):
        synapses = uniform(jax.random.fold_in(key, i), sizes[i], sizes[i + 1])
        neurons = Neurons(*mixed, jnp.tanh if i else identity)
        layers.append(Layer(synapses, neurons, error_filter=swapped))
    synapses = uniform(jax.random.fold_in(key, config.depth), sizes[-1], 10)
    layers.append(Layer(synapses, Neurons(config.tau, config.tau, identity), error_filter=swapped))
    return Network(layers, (1,), Nudging(config.beta, cross_entropy), coupling=0.0)


def run(config: Config, seed: int, session) -> Outcome:
    """Train one network and test it after every epoch."""
    data = mnist1d()
    model = Model(None, build(jax.random.key(seed), config))
    trained = train("epochs", model, config, data, seed, session)
    return Outcome(
        metrics={
            "test_accuracy": trained.accuracy,
            "test_accuracy_10": trained.at(10),
            "test_accuracy_75": trained.at(75),
            "test_loss": float(trained.history["test_loss"][-1]),
            "parameters": float(model.size),
        },
        recordings=trained.history,
        data={"mnist1d": data.origin},
    )


def figures(outcome: Outcome, config: Config):
    """Test accuracy against epoch, over the published curve."""
    curves = {"lapicque": outcome.recordings["accuracy"]}
    return {"learning": learning_curves(curves, PUBLISHED["15k"])}
