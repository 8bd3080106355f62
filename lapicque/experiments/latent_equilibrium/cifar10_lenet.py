"""CIFAR-10 with a convolutional network: colour photographs, no augmentation

A LeNet of leaky neurons learns by Latent Equilibrium. Convolution and pooling are just other
synapses: errors go down through each layer's own vector-Jacobian product. The published setting
wants a GPU. The smoke preset runs on generated stand-in images, which say nothing about CIFAR-10.
"""

from dataclasses import dataclass
from typing import Literal

from lapicque.data import cifar10, synthetic_images
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
    """Settings of the CIFAR-10 experiment."""

    n_networks: int = 1
    epochs: int = 5
    batch: int = 128
    n_updates: int = 12
    learning_rate: float = 8.0
    factors: tuple[float, ...] = (1.0, 0.2, 0.2, 0.1)
    channels: tuple[int, int] = (20, 50)
    hidden: int = 500
    source: Literal["cifar10", "synthetic"] = "cifar10"  # real photographs or stand-ins
    limit: int = 0  # so many to train on, a fifth as many to test; 0 for all


PRESETS = {
    "smoke": Config(epochs=1, batch=50, channels=(4, 6), hidden=20, limit=200, source="synthetic"),
    "quick": Config(epochs=2, channels=(8, 16), hidden=100, limit=5000),
    "paper": Config(epochs=100, n_updates=50),
}

CLAIMS = (
    Claim(
        "learns",
        "A small LeNet does better than chance on 5,000 photographs within two epochs",
        "le_test_accuracy",
        Certainty.NOT_VERIFIED,
        "expectation for the shortened setting, not a published value",
        at_least=0.2,
        presets=("quick",),
    ),
    Claim(
        "error",
        "Latent Equilibrium with a LeNet is on par with backprop",
        "le_test_error",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 2e: 38.0 +- 1.3 %, from memory",
        at_most=0.42,
        published=0.380,
        presets=("paper",),
    ),
)

CITES = ("haider2021latent", "krizhevsky2009learning")


def run(config: Config, seed: int, session) -> Outcome:
    """Train and test."""
    real = config.source == "cifar10"
    data = image_data(cifar10() if real else synthetic_images(1000, (3, 32, 32)), config.limit)
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
    return Outcome(metrics, stacked({"le": trained}), {data.name: data.origin})


def figures(outcome: Outcome, config: Config):
    """Validation accuracy against epoch."""
    return {"learning": learning_curves(outcome.recordings, {"le": "Latent Equilibrium"})}
