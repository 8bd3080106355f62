"""Mismatched time constants: graceful with one way of reading the error, fatal with the other

On analogue hardware no two neurons have the same time constants. Then a neuron's membrane
(tau_m) and its look-ahead (tau_r) no longer cancel. If a neuron reads its error from the potential
that its own membrane sees, learning hardly suffers from a spread of 20 or 30 %. If it reads it from
the potential behind its rate, small mismatch already does harm. A calibration that is local to
each neuron, without a teacher, removes the mismatch altogether.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import InputError, in_range, positive
from lapicque.data import digits
from lapicque.experiments.latent_equilibrium._classifier import (
    ClassifierConfig,
    stacked,
    summaries,
    train,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Network, calibrate_tau_m, dense, mismatched, with_mismatch


@dataclass(frozen=True)
class Config(ClassifierConfig):
    """Settings of the mismatch experiment."""

    hidden: tuple[int, ...] = (100, 50)
    n_networks: int = 2
    epochs: int = 30
    spreads: tuple[float, ...] = (0.0, 0.01, 0.05, 0.2)  # relative, of tau_m and tau_r
    calibration_spread: float = 0.2
    calibration_rate: float = 5000.0  # ms
    calibration_steps: int = 2000

    def __post_init__(self):
        super().__post_init__()
        in_range("spreads", list(self.spreads), 0, 1)
        if 0 not in self.spreads or max(self.spreads) == 0:
            raise InputError(f"`spreads` is {self.spreads}; it must hold 0 and a value above.")
        in_range("calibration_spread", self.calibration_spread, 0, 1)
        positive("calibration_rate", self.calibration_rate, "ms")
        in_range("calibration_steps", self.calibration_steps, 1)


PRESETS = {
    "smoke": Config(
        n_networks=2, epochs=1, hidden=(20, 10), spreads=(0.0, 0.2), calibration_steps=50
    ),
    "quick": Config(),
    "paper": Config(
        n_networks=10,
        epochs=100,
        n_updates=100,
        dt=0.01,
        tau=20.0,
        spreads=(0.0, 0.01, 0.05, 0.2, 0.3),
        calibration_steps=20000,
    ),
}

_FIGURE = "Haider et al. (2021), figure 4a; the direction, no number known"
CLAIMS = (
    Claim(
        "graceful",
        "With errors read from the membrane, the largest mismatch still trains",
        "worst_membrane_test_accuracy",
        Certainty.NOT_VERIFIED,
        _FIGURE,
        at_least=0.92,
    ),
    Claim(
        "fragile",
        "With errors read from the rate, the same mismatch destroys learning",
        "worst_rate_test_accuracy",
        Certainty.NOT_VERIFIED,
        _FIGURE,
        at_most=0.6,
    ),
    Claim(
        "one_percent_against_twenty",
        "1 % mismatch read from the rate does more harm than 20 % read from the membrane",
        "harm_of_reading_rates",
        Certainty.AUTHORS_CODE,
        "the authors' failure case (job list of figure 4a); its outcome is not known here",
        at_least=0.0,
    ),
    Claim(
        "calibrated",
        "Local calibration brings tau_m within 1 % of tau_r",
        "mismatch_after",
        Certainty.DERIVED,
        "Haider et al. (2021), figure 4b: fixed point tau_m = tau_r",
        at_most=0.01,
        published=0.0,
    ),
)

CITES = ("haider2021latent",)


def run(config: Config, seed: int, session) -> Outcome:
    """Train at every spread with both error readings, then after calibration."""
    data = digits().flat()
    sizes = (data.shape[0], *config.hidden, data.n_classes)

    def chip(key, spread: float) -> Network:
        network = dense(key, sizes, tau_m=config.tau, tau_r=config.tau)
        return mismatched(network, jax.random.fold_in(key, 2), spread)

    def calibrated(key) -> Network:
        network = chip(key, config.calibration_spread)
        shape = (config.calibration_steps, 16, sizes[0])
        inputs = jax.random.uniform(jax.random.fold_in(key, 3), shape)
        network, _ = calibrate_tau_m(
            network, network.init((16,)), inputs, config.calibration_rate, config.dt
        )
        return network

    trained = {}
    for spread in config.spreads:
        for reading in ("membrane", "rate"):
            if spread == 0 and reading == "rate":  # without mismatch the two are the same
                trained["rate_0"] = trained["membrane_0"]
                continue
            trained[f"{reading}_{spread:g}"] = train(
                f"{reading}_{spread:g}",
                lambda k, spread=spread, reading=reading: with_mismatch(chip(k, spread), reading),
                config,
                data,
                seed,
                session,
            )
    trained["calibrated"] = train("calibrated", calibrated, config, data, seed, session)

    key = jax.random.fold_in(jax.random.key(seed), 0)
    before, after = chip(key, config.calibration_spread), calibrated(key)
    metrics = summaries(trained)
    largest, smallest = (f"{f(s for s in config.spreads if s):g}" for f in (max, min))
    for reading in ("membrane", "rate"):
        worst = trained[f"{reading}_{largest}"].test_accuracy
        metrics[f"worst_{reading}_test_accuracy"] = float(worst.mean())
    metrics["harm_of_reading_rates"] = (
        metrics["worst_membrane_test_accuracy"] - metrics[f"rate_{smallest}_test_accuracy"]
    )
    metrics |= {"mismatch_before": _mismatch(before), "mismatch_after": _mismatch(after)}
    taus = {
        f"{stage}/{tau}": np.concatenate([getattr(p, tau) for p in network.parameters])
        for stage, network in (("before", before), ("after", after))
        for tau in ("tau_m", "tau_r")
    }
    return Outcome(metrics, {**stacked(trained), **taus}, {"digits": data.origin})


def _mismatch(network: Network) -> float:
    """Mean of |tau_m - tau_r| / tau_r over all neurons."""
    relative = [jnp.abs(p.tau_m - p.tau_r) / p.tau_r for p in network.parameters]
    return float(jnp.concatenate(relative).mean())


def figures(outcome: Outcome, config: Config):
    """Accuracy against spread for both readings, and the calibration of every neuron."""
    figure, axes = subplots(1, 2, height=3.0)
    for reading in ("membrane", "rate"):
        accuracy = np.array(
            [outcome.recordings[f"{reading}_{s:g}/test_accuracy"] for s in config.spreads]
        )
        axes[0, 0].errorbar(
            100 * np.array(config.spreads),
            100 * accuracy.mean(1),
            100 * accuracy.std(1),
            marker="o",
            capsize=2,
            label=f"error read from the {reading}",
        )
    axes[0, 0].plot(
        100 * config.calibration_spread,
        100 * outcome.metrics["calibrated_test_accuracy"],
        "*",
        markersize=10,
        label="membrane, calibrated first",
    )
    axes[0, 0].set(xlabel="spread of time constants [%]", ylabel="test accuracy [%]", ylim=(0, 101))
    axes[0, 0].legend(loc="lower center")
    for stage in ("before", "after"):
        r = outcome.recordings
        axes[0, 1].plot(r[f"{stage}/tau_r"], r[f"{stage}/tau_m"], ".", label=f"{stage} calibration")
    axes[0, 1].set(xlabel="tau_r [ms]", ylabel="tau_m [ms]", title="Every dot a neuron")
    axes[0, 1].legend()
    return {"mismatch": figure}
