"""Tiny experiments written into a folder, addressed by their paths like those of a user."""

from pathlib import Path

WALK = '''"""A walk that forgets: mean and spread.

Walkers take Gaussian steps and are pulled home.
"""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapicque._checks import StorageError, in_range
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots


@dataclass(frozen=True)
class Config:
    n: int = 20  # number of walkers
    steps: int = 12  # number of steps
    pull: float = 0.1  # share of the way home per step
    pause: float = 0.0  # wait at each step [s]
    end: Literal["well", "crash", "full", "missing"] = "well"
    limit: float = 9.0

    def __post_init__(self):
        in_range("pull", self.pull, 0, 1)


PRESETS = {"smoke": Config(n=3, steps=3), "quick": Config(), "paper": Config(n=100)}
CLAIMS = (
    Claim(
        "spread", "The <b>spread</b> settles.", "spread", Certainty.DERIVED, "theory", 0.1, 9.0, 2.3
    ),
    Claim("far", "Nobody goes far.", "far", Certainty.NOT_VERIFIED, "hearsay", at_most=100.0),
)
CITES = ("haider2021latent",)


def run(config, seed, session):
    start = session.stage("start", lambda: {"x": np.random.default_rng(seed).normal(size=config.n)})

    def step(x, i):
        time.sleep(config.pause)
        noise = np.random.default_rng([seed, i]).normal(size=config.n)
        x = (1 - config.pull) * x + noise
        return x, {"mean": x.mean(), "walkers": x}

    x, history = session.loop("walk", step, start["x"], config.steps)
    print("an experiment that prints")
    if config.end == "crash":
        raise RuntimeError("the floor gave way")
    if config.end == "full":
        raise StorageError("Cannot write `x` (No space left on device). The disk is full.")
    metrics = {"spread": x.std(), "far": np.abs(x).max() + 1000 * (config.limit < 0)}
    if config.end == "missing":
        metrics |= {"spread": np.nan, "far": np.inf}
    return Outcome(metrics, {"mean": history["mean"]}, {"noise": "generated"})


def figures(outcome, config):
    figure, axes = subplots()
    axes[0, 0].plot(outcome.recordings["mean"])
    return {"mean": figure}
'''


def write_walk(folder: Path) -> Path:
    """Write the experiment `toy/walk` and return its file."""
    path = folder / "toy" / "walk.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WALK)
    return path
