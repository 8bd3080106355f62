"""Digits: a deep network of slow neurons learns to classify while it runs

Three dense layers of leaky neurons see each 8x8 digit for 2 ms, a fifth of their membrane time
constant. Ordinary leaky integrators would hardly have noticed the input; with prospective coding
the network answers and learns on the spot. Errors and plasticity are on at every step;
there are no phases, and nothing is reset between digits. Neurons that are a hundred times slower
learn the same to rounding, since prospective coding makes the speed of computation independent of
the membrane. The same network without prospective coding learns next to nothing.

The digits of scikit-learn stand in for MNIST; see `latent_equilibrium/mnist` for the real thing.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from lapicque.data import digits
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    learning_curves,
    stacked,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Network, dense, simulate


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the digits experiment."""

    hidden: tuple[int, ...] = (100, 50)
    tau_slow: float = 1000.0  # ms, time constant of the second, slow population


PRESETS = {
    "smoke": Config(n_networks=2, epochs=2, hidden=(20, 10)),
    "quick": Config(),
    "paper": Config(n_networks=10, epochs=200, n_updates=50),
}

CLAIMS = (
    Claim(
        "accuracy",
        "Latent Equilibrium classifies digits shown for a fifth of the membrane time constant",
        "test_accuracy",
        Certainty.REFERENCE_RUN,
        "independent runs with the published equations, digits 8x8, 3 seeds after 60 epochs",
        at_least=0.95,
        published=0.980,
    ),
    Claim(
        "any_tau",
        "Neurons a hundred times slower learn exactly as fast",
        "tau_accuracy_difference",
        Certainty.DERIVED,
        "Haider et al. (2021): the prospective voltage does not depend on tau",
        at_most=0.03,
        published=0.0,
    ),
    Claim(
        "prospective",
        "Without prospective coding the same network does not get there",
        "leaky_test_accuracy",
        Certainty.NOT_VERIFIED,
        "Haider et al. (2021), figure 2b: clearly worse, from memory",
        at_most=0.8,
    ),
    Claim(
        "prompt",
        "The answer of the trained network is final after as many steps as it has layers",
        "late_change",
        Certainty.DERIVED,
        "Haider et al. (2021): without error the prospective voltage equals its input",
        at_most=1e-4,
        published=0.0,
    ),
)

CITES = ("haider2021latent",)


def run(config: Config, seed: int, session) -> Outcome:
    """Train at two time constants; record how the answer to a new digit builds up."""
    data = digits().flat()
    sizes = (data.shape[0], *config.hidden, data.n_classes)
    trained = {}
    for name, tau, tau_r in _variants(config):

        def build(key, tau=tau, tau_r=tau_r):
            return dense(key, sizes, tau_m=tau, tau_r=tau_r)

        trained[name] = train(name, build, replace(config, tau=tau), data, seed, session)
    answers = {
        f"{name}/answer": _answers(
            jax.tree.map(lambda a: a[0], trained[name].networks), data.test.inputs[:2], config
        )
        for name in ("le", "leaky")
    }
    settled = answers["le/answer"][config.n_updates + len(config.hidden) : 2 * config.n_updates]
    return Outcome(
        metrics={
            **trained["le"].summary(),
            "leaky_test_accuracy": float(trained["leaky"].test_accuracy.mean()),
            "tau_accuracy_difference": abs(
                float(trained["le"].test_accuracy.mean() - trained["slow"].test_accuracy.mean())
            ),
            "late_change": float(np.abs(settled - settled[-1]).max()),
        },
        recordings={**stacked(trained), **answers, "digits": data.test.inputs[:2]},
        data={"digits": data.origin},
    )


def _variants(config: Config) -> tuple[tuple[str, float, float], ...]:
    """Name, membrane and prospective time constant [ms] of each training."""
    return (
        ("le", config.tau, config.tau),
        ("slow", config.tau_slow, config.tau_slow),
        ("leaky", config.tau, 0.0),
    )


def _answers(network: Network, images, config: Config) -> np.ndarray:
    """Output rates at every step while the first image, the second, and the first are shown."""
    shown = jnp.repeat(jnp.asarray(images)[jnp.array([0, 1, 0])], config.n_updates, axis=0)
    run = jax.jit(lambda state: simulate(network, state, shown[:, None], config.dt))
    _, output = run(network.init((1,)))
    return np.asarray(output[:, 0])


def figures(outcome: Outcome, config: Config):
    """Learning curves, and the answers of two trained networks while the input changes."""
    curves = learning_curves(
        outcome.recordings,
        {
            "le": f"prospective, tau = {config.tau:g} ms",
            "slow": f"prospective, tau = {config.tau_slow:g} ms",
            "leaky": f"not prospective, tau = {config.tau:g} ms",
        },
        styles={"slow": "--"},
    )
    figure, axes = subplots(1, 3, height=2.8, gridspec_kw={"width_ratios": (3, 3, 1)})
    shown = config.n_updates * np.arange(1, 4) - 1
    for axis, name, title in (
        (axes[0, 0], "le", "Prospective"),
        (axes[0, 1], "leaky", "Not prospective"),
    ):
        answers = outcome.recordings[f"{name}/answer"]
        right = outcome.recordings["le/answer"][shown].argmax(1)
        time = config.dt * np.arange(len(answers))
        for unit, rate in enumerate(answers.T):
            label = f"class {unit}" if unit in right else None
            axis.plot(time, rate, color=None if label else "0.8", label=label)
        axis.set(xlabel="time [ms]", title=title, ylim=(-0.4, 1.4))
    axes[0, 0].set(ylabel="output rate")
    axes[0, 0].legend(loc="upper center", ncols=2)
    side = round(outcome.recordings["digits"].shape[1] ** 0.5)
    axes[0, 2].imshow(outcome.recordings["digits"].reshape(2 * side, side), cmap="gray_r")
    axes[0, 2].set(title="Shown", xticks=[], yticks=[])
    axes[0, 2].grid(False)
    return {"learning": curves, "answer": figure}
