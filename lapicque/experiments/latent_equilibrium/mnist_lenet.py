"""MNIST with a convolutional network: the same neuron at every pixel

A LeNet of leaky neurons learns by Latent Equilibrium. Convolution and pooling are just other
synapses: errors go down through each layer's own vector-Jacobian product. The published setting
wants a GPU.
"""

from dataclasses import dataclass
from typing import Literal

from lapicque.data import mnist
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    image_data,
    learning_curves,
    stacked,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.rate import lenet


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the convolutional MNIST experiment."""

    n_networks: int = 1
    epochs: int = 5
    batch: int = 128
    n_updates: int = 12
    learning_rate: float = 8.0  # per presentation
    factors: tuple[float, ...] = (1.0, 0.1, 0.1, 0.1)
    channels: tuple[int, int] = (20, 50)
    hidden: int = 500
    source: Literal["full", "5k", "any"] = "any"  # which digits
    limit: int = 0  # so many to train on, a fifth as many to test; 0 for all


PRESETS = {
    "smoke": Config(epochs=1, batch=50, channels=(4, 6), hidden=20, limit=200),
    "quick": Config(epochs=5, channels=(8, 16), hidden=100, limit=5000, learning_rate=24.0),
    "paper": Config(epochs=100, n_updates=100, source="full"),
}

CLAIMS = (
    Claim(
        "learns",
        "A small LeNet learns from 5,000 digits within a few epochs",
        "le_test_accuracy",
        Certainty.NOT_VERIFIED,
        "expectation for the shortened setting, not a published value",
        at_least=0.85,
        presets=("quick",),
    ),
    Claim(
        "error",
        "Latent Equilibrium with a LeNet is on par with backprop",
        "le_test_error",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 2d: 1.1 +- 0.1 %, from memory",
        at_most=0.015,
        published=0.011,
        presets=("paper",),
    ),
)

CITES = ("haider2021latent", "lecun1998gradient")


def run(config: Config, seed: int, session) -> Outcome:
    """Train and test."""
    data = image_data(mnist(config.source), config.limit)
    trained = train(
        "le",
        lambda k: lenet(
            k,
            data.shape,
            data.n_classes,
            channels=config.channels,
            hidden=config.hidden,
            tau_m=config.tau,
            tau_r=config.tau,
        ),
        config,
        data,
        seed,
        session,
    )
    metrics = trained.summary("le_")
    metrics["le_test_error"] = 1 - metrics["le_test_accuracy"]
    return Outcome(metrics, stacked({"le": trained}), {"mnist": data.origin})


def figures(outcome: Outcome, config: Config):
    """Validation accuracy against epoch."""
    return {"learning": learning_curves(outcome.recordings, {"le": "Latent Equilibrium"})}
