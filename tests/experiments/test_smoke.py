"""Every branch of every experiment, in seconds: the smoke presets."""

import math

import numpy as np
import pytest

from lapicque.lab import Quiet
from lapicque.lab.registry import entries, load

ELSEWHERE = {"bars_microcircuit", "mimic_microcircuit"}  # test_microcircuits.py
# what these compose has tests of its own
LONG = {
    "cifar10_lenet",
    "delgrad/chip_in_the_loop",
    "delgrad/yin_yang",  # a stop of the tour
    "exactness",
    "fast_and_deep/chip_in_the_loop",
    "fast_and_deep/mnist",
    "fast_and_deep/yin_yang",
    "first_spike_patterns",
    "generalized_latent_equilibrium/mackey_glass",
    "from_exact_to_local",
    "hardware_aware",
    "hardware_in_the_loop/digits",  # tests/substrate/test_in_the_loop.py
    "imbalanced",
    "lagnet",
    "latent_equilibrium/mnist",
    "latent_equilibrium/yin_yang",
    "mnist1d_end_to_end",
    "neurobench/mackey_glass",
    "mnist_lenet",
    "patterns",
    "phase_and_gain",
    "rate_noise",
    "robustness",
    "size_sweep",
    "speech_commands",
    "suite",
    "time_constant_mismatch",
    "yin_yang/baselines",
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
