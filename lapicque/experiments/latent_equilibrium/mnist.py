"""MNIST: Latent Equilibrium with the published network, and what happens without it

A network 784-300-100-10 of leaky neurons learns handwritten digits shown for a fraction of the
membrane time constant. Variants: fixed random feedback weights; neurons that are ten times slower;
and ordinary neurons without prospective coding, which get twenty membrane time constants per digit
and still do worse.
"""

from dataclasses import dataclass, replace
from typing import Literal

from lapicque._checks import one_of
from lapicque.data import mnist
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    learning_curves,
    stacked,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.rate import Feedback, dense, with_mismatch

Variant = Literal["le", "random", "slow", "without"]
LABELS: dict[Variant, str] = {
    "le": "Latent Equilibrium",
    "random": "fixed random feedback",
    "slow": "ten times slower neurons",
    "without": "without prospective coding",
}


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the MNIST experiment."""

    n_networks: int = 1
    epochs: int = 5
    n_updates: int = 10
    dt: float = 0.01  # ms
    tau: float = 20.0  # ms
    learning_rate: float = 12.0  # per presentation: eta_0 times lr_multiplier of the published code
    hidden: tuple[int, ...] = (300, 100)
    variants: tuple[Variant, ...] = ("le",)
    source: Literal["full", "5k", "any"] = "full"  # which digits

    def __post_init__(self):
        super().__post_init__()
        for variant in self.variants:
            one_of("variants", variant, LABELS)


PRESETS = {
    "smoke": Config(
        n_networks=1, epochs=1, n_updates=4, source="any", hidden=(30, 20), variants=tuple(LABELS)
    ),
    "quick": Config(),
    "paper": Config(
        epochs=200, batch=512, n_updates=100, learning_rate=16.0, variants=tuple(LABELS)
    ),
}

CLAIMS = (
    Claim(
        "accuracy_quick",
        "Five epochs on full MNIST, ten steps per digit, are enough for 95 %",
        "le_test_accuracy",
        Certainty.NOT_VERIFIED,
        "estimate for the shortened setting, not a published value",
        at_least=0.95,
        presets=("quick",),
    ),
    Claim(
        "accuracy",
        "Latent Equilibrium reaches the test error of backprop on the same network",
        "le_test_error",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 2b: about 2.0 %, from memory",
        at_most=0.024,
        published=0.020,
        presets=("paper",),
    ),
)

CITES = ("haider2021latent", "lecun1998gradient")


def run(config: Config, seed: int, session) -> Outcome:
    """Train every variant that the configuration asks for."""
    data = mnist(config.source).flat()
    sizes = (data.shape[0], *config.hidden, data.n_classes)
    trained, metrics = {}, {}
    for name in config.variants:
        settings = config
        if name == "slow":
            settings = replace(config, tau=10 * config.tau)
        if name == "without":  # the published control: 20 membrane time constants, coarse steps
            settings = replace(config, tau=10.0, dt=1.0, n_updates=2 * config.n_updates)

        def build(key, name=name, tau=settings.tau):
            feedback: Feedback = "random" if name == "random" else "transpose"
            if name != "without":
                return dense(key, sizes, tau_m=tau, tau_r=tau, feedback=feedback)
            return with_mismatch(dense(key, sizes, tau_m=tau, tau_r=0.0), "rate")

        trained[name] = train(name, build, settings, data, seed, session)
        metrics |= trained[name].summary(f"{name}_")
        metrics[f"{name}_test_error"] = 1 - metrics[f"{name}_test_accuracy"]
    return Outcome(metrics, stacked(trained), {"mnist": data.origin})


def figures(outcome: Outcome, config: Config):
    """Validation accuracy against epoch."""
    return {
        "learning": learning_curves(
            outcome.recordings, {name: LABELS[name] for name in config.variants}
        )
    }
