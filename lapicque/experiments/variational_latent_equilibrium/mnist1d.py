"""MNIST-1D with exact errors: the adjoint teaches the network instead of its causal stand-in

The network of `generalized_latent_equilibrium/mnist1d_end_to_end` learns twice from the same
initial weights and the same sequences: on line, with errors whose time constants are swapped (GLE),
and with the exact errors of the extremal action, found by a backward sweep over each window of
time: by default a whole sequence. The exact rule changes the weights once per window, not at every
step, so that it has a learning rate of its own and sees smaller batches.

The test set also steers the learning rates, so that its accuracy is that of a validation set.
"""

from dataclasses import dataclass, replace

import jax

from lapicque._checks import in_range, positive
from lapicque.data import mnist1d
from lapicque.experiments.generalized_latent_equilibrium import mnist1d_end_to_end as end_to_end
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    PUBLISHED,
    Model,
    learning_curves,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome


@dataclass(frozen=True)
class Config(end_to_end.Config):
    """Settings of the comparison; `credit` names the exact rule."""

    credit: str = "adjoint"
    exact_batch: int = 20  # sequences shown at once to the exact rule
    exact_rate: float = 5e-3  # of Adam, per window

    def __post_init__(self):
        super().__post_init__()
        in_range("exact_batch", self.exact_batch, 1)
        positive("exact_rate", self.exact_rate)


PRESETS = {
    "smoke": Config(epochs=1, train_limit=100, test_batch=200, depth=2, fast=4, slow=6),
    "quick": Config(epochs=6),
    "paper": Config(),
}

CLAIMS = (
    Claim(
        "learns",
        "After a few epochs exact errors have taught more than chance",
        "exact_test_accuracy",
        Certainty.NOT_VERIFIED,
        "own threshold; exact errors make few changes per epoch and start slowly",
        at_least=0.15,
        presets=("quick",),
    ),
    Claim(
        "not_below",
        "Exact errors do not teach worse than their causal stand-in",
        "exact_minus_local",
        Certainty.NOT_VERIFIED,
        "an expectation, not a value of Brandt et al. (2026)",
        at_least=-0.02,
        presets=("paper",),
    ),
    Claim(
        "accuracy",
        "After 150 epochs the exact rule reaches at least what GLE reached",
        "exact_test_accuracy",
        Certainty.NOT_VERIFIED,
        "an expectation; 91.72 ± 0.80 % is GLE in the released data of Ellenberger et al. (2024)",
        at_least=0.897,
        published=0.917,
        presets=("paper",),
    ),
)

CITES = (
    "brandt2026variational",
    "ellenberger2024backpropagation",
    "greydanus2024scaling",
)


def run(config: Config, seed: int, session) -> Outcome:
    """Train the same network with exact and with causal errors."""
    data = mnist1d()
    model = Model(None, end_to_end.build(jax.random.key(seed), config))
    exact = replace(config, learning_rate=config.exact_rate, batch=config.exact_batch)
    trained = {
        "exact": train("exact", model, exact, data, seed, session),
        "local": train("local", model, replace(config, credit="local"), data, seed, session),
    }
    metrics = {f"{name}_test_accuracy": result.accuracy for name, result in trained.items()}
    metrics["exact_minus_local"] = metrics["exact_test_accuracy"] - metrics["local_test_accuracy"]
    recordings = {
        f"{name}/{field}": values
        for name, result in trained.items()
        for field, values in result.history.items()
    }
    return Outcome(metrics, recordings, {"mnist1d": data.origin})


def figures(outcome: Outcome, config: Config):
    """Test accuracy against epoch of both rules, over the published curve of GLE."""
    curves = {
        "exact errors, one change per batch": outcome.recordings["exact/accuracy"],
        "causal errors (GLE), a change per step": outcome.recordings["local/accuracy"],
    }
    return {"learning": learning_curves(curves, PUBLISHED["15k"])}
