"""Every branch of every experiment, in seconds: the smoke presets."""

import math

import numpy as np
import pytest

from lapicque.lab import Quiet
from lapicque.lab.registry import entries, load

ELSEWHERE = {"bars_microcircuit", "mimic_microcircuit"}  # test_microcircuits.py
# their identities are tests of their own
LONG = {
    "fast_and_deep/mnist",
    "size_sweep",
    "fast_and_deep/chip_in_the_loop",  # as that of delgrad
    "hardware_aware",
    "exactness",
    "cifar10_lenet",
    "robustness",
    "from_exact_to_local",
    "lagnet",
}


def marked(name):
    short = name.split("/")[1]
    return pytest.param(name, marks=pytest.mark.slow) if {name, short} & LONG else name


EXPERIMENTS = [marked(e.name) for e in entries() if e.name.split("/")[1] not in ELSEWHERE]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_smoke(name):
    """It runs, its claims name metrics that exist, and its figures draw."""
    experiment = load(name)
    config = experiment.presets["smoke"]
    outcome = experiment.run(config, 0, Quiet())
    assert all(math.isfinite(value) for value in outcome.metrics.values())
    judged = {c.metric for c in experiment.claims if "quick" in c.presets or "paper" in c.presets}
    assert judged <= set(outcome.metrics)
    assert all(np.isfinite(array).all() for array in outcome.recordings.values())
    for figure in experiment.figures(outcome, config).values():
        figure.canvas.draw()
