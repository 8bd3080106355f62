"""Yin-Yang: do errors reach the hidden layer?

A small network learns the Yin-Yang data set with Latent Equilibrium, once with transposed and
once with fixed random feedback weights, and once with its lower layer frozen. The data set was
made so that a frozen lower layer falls well behind: the gap shows that errors really arrive.

Yin-Yang is unforgiving of the wrong errors that a synchronous network sends while a new sample
makes its way through the layers, so rates and errors travel in sweeps here. The local gradients
feed Adam, at every step.
"""

from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lapicque.data import yin_yang
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    learning_curves,
    stacked,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Feedback, Nudging, classify, cross_entropy, dense, per_layer

VARIANTS = {
    "le": "transposed feedback",
    "random": "fixed random feedback",
    "frozen": "lower layer frozen",
}


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the Yin-Yang experiment."""

    n_networks: int = 4
    epochs: int = 40
    batch: int = 25
    n_updates: int = 4
    learning_rate: float = 3e-3  # of Adam, per step
    factors: tuple[float, ...] = (1.0, 1.0)
    schedule: Literal["synchronous", "full_forward", "sweeps"] = "sweeps"
    n_hidden: int = 30
    scale: float = 1.0  # standard deviation of initial weights
    grid: int = 80  # points per side of the decision map


PRESETS = {
    "smoke": Config(n_networks=2, epochs=1, n_hidden=10, grid=10),
    "quick": Config(),
    "paper": Config(n_networks=10, epochs=200),
}

_README = "Kriener et al. (2021), the data set's own table for a network 4-30-3"
CLAIMS = (
    Claim(
        "accuracy",
        "Latent Equilibrium learns Yin-Yang as networks trained by backprop do",
        "le_test_accuracy",
        Certainty.AUTHORS_CODE,
        _README + " trained by backprop: 97.6 +- 1.5 %",
        at_least=0.95,
        published=0.976,
    ),
    Claim(
        "errors_arrive",
        "Learning the lower layer is worth at least eight points of accuracy",
        "gain_over_frozen",
        Certainty.AUTHORS_CODE,
        _README + ": 97.6 against 85.5 % with a frozen lower layer",
        at_least=0.08,
        published=0.121,
    ),
)

CITES = ("haider2021latent", "kriener2022yinyang")


def run(config: Config, seed: int, session) -> Outcome:
    """Train the three variants and map their decisions over the disc."""
    data = yin_yang()
    data = replace(
        data,
        **{n: replace(s, inputs=s.inputs.astype(np.float32)) for n, s in data.splits.items()},
    )
    sizes = (data.shape[0], config.n_hidden, data.n_classes)
    trained = {}
    for name in VARIANTS:
        feedback: Feedback = "random" if name == "random" else "transpose"
        factors = (0.0, *config.factors[1:]) if name == "frozen" else config.factors
        rules = [optax.adam(config.learning_rate * factor) for factor in factors]

        def build(key, feedback: Feedback = feedback):
            network = dense(
                key,
                sizes,
                scale=config.scale,
                tau_m=config.tau,
                tau_r=config.tau,
                feedback=feedback,
            )
            return replace(network, nudging=Nudging(config.beta, cross_entropy))

        trained[name] = train(name, build, config, data, seed, session, per_layer(rules))
    side = np.linspace(0, 1, config.grid, dtype=np.float32)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    points = jnp.stack([x, y, 1 - x, 1 - y], axis=-1)
    maps = {
        f"{name}/map": np.asarray(
            classify(
                jax.tree.map(lambda a: a[0], result.networks), points, config.n_updates, config.dt
            )
        ).reshape(config.grid, config.grid)
        for name, result in trained.items()
    }
    metrics = {
        k: v for name, result in trained.items() for k, v in result.summary(f"{name}_").items()
    }
    metrics["gain_over_frozen"] = metrics["le_test_accuracy"] - metrics["frozen_test_accuracy"]
    return Outcome(metrics, {**stacked(trained), **maps}, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Learning curves and decision regions of one network per variant."""
    figure, axes = subplots(1, 3, height=2.5)
    side = np.linspace(0, 1, config.grid)
    inside = np.hypot(*(np.meshgrid(side - 0.5, side - 0.5))) <= 0.5
    for axis, (name, label) in zip(axes[0], VARIANTS.items(), strict=True):
        regions = np.where(inside, outcome.recordings[f"{name}/map"], np.nan)
        axis.imshow(regions, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=2)
        accuracy = 100 * outcome.metrics[f"{name}_test_accuracy"]
        axis.set(title=f"{label}\n{accuracy:.1f} %", xticks=[], yticks=[])
        axis.grid(False)
    return {"regions": figure, "learning": learning_curves(outcome.recordings, VARIANTS)}
