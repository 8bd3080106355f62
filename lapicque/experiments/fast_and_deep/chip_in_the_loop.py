"""First spikes on a virtual chip: trained in software, mapped, trained in the loop, moved.

A network 4-120-3 with a bias learns Yin-Yang with first-spike times, then runs on specimens of a
virtual BrainScaleS-2. The forward pass is the chip's: six bits of weight, neurons as their
calibration left them, noise from run to run. The backward pass is the analytic gradient of
nominal neurons at the spike times that were measured.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range
from lapicque.data import yin_yang
from lapicque.data.latency import spike_times
from lapicque.experiments._in_the_loop import (
    ChipConfig,
    calibrations,
    draw_calibration,
    draw_stages,
    specimens,
    summary,
    travel,
)
from lapicque.experiments._spike_times import coded
from lapicque.experiments.fast_and_deep._parts import CITES as CITES, WORK
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.spiketime import Bumping, CrossEntropy, Imperfections, Neuron, Trainer, dense

NAME = "first_spikes"


@dataclass(frozen=True)
class Config(ChipConfig):
    """Settings of Fast and Deep on the virtual chip."""

    n_hidden: int = 120
    threshold: float = 1.52  # in units of weights
    bias: float = 0.9  # tau_s, time of the bias spike

    def __post_init__(self):
        super().__post_init__()
        in_range("bias", self.bias, 0, unit="tau_s")


PRESETS = {
    "smoke": Config(
        n_chips=1, software_epochs=1, epochs=1, recovery=1, n_train=200, n_hidden=20, batch=100,
        step=0.05,
    ),
    "quick": Config(n_chips=1, software_epochs=200, epochs=4, recovery=2, n_train=3000, step=0.03),
    "paper": Config(),
}  # fmt: skip

CLAIMS = (
    Claim(
        "accuracy",
        "Trained in the loop, first spikes solve Yin-Yang on the chip",
        f"{NAME}_in_loop",
        Certainty.NOT_VERIFIED,
        f"{WORK}, table 1, from memory: 95.0 +- 0.9 % after 200 epochs on one chip",
        at_least=0.90,
        published=0.95,
        presets=("paper",),
    ),
    Claim(
        "loop",
        "Training in the loop makes up for what mapping costs, in part at least",
        f"{NAME}_loop_gain",
        Certainty.NOT_VERIFIED,
        "the reason for training in the loop, no number known",
        at_least=0.0,
    ),
    Claim(
        "recovery",
        "After a move to another chip a few epochs there make up for part of the drop",
        f"{NAME}_recovered_share",
        Certainty.NOT_VERIFIED,
        "no number known; share of the drop that is made up",
        at_least=0.3,
    ),
)


def run(config: Config, seed: int, session) -> Outcome:
    """Train in software, then on each chip; the network moves to the next chip at the end."""

    def encode(inputs):
        return np.tile(spike_times(inputs, t_bias=config.bias), config.copies)

    data = coded(yin_yang(), encode)
    neuron = Neuron(tau_m=1.0, threshold=config.threshold)
    chips = specimens(config.n_chips + 1, seed, neuron, config.step)
    limit, per_unit = chips[0].raw.weight_limit, chips[0].raw.per_unit
    trainer = Trainer(
        CrossEntropy(0.2, 0.005, 1.0),
        batch=config.batch,
        weights_rate=config.learning_rate,
        bumping=Bumping((0.3, 0.05)),
        weight_limit=limit,
    )

    def build(key):
        return dense(
            key,
            (5 * config.copies, config.n_hidden, 3),
            neuron=neuron,
            mean=(0.10, 0.075),
            spread=(0.12, 0.15),
            imperfections=Imperfections(weight_step=1 / per_unit, weight_limit=limit),
        )

    recordings = calibrations(chips[0])
    recordings |= travel(NAME, build, trainer, chips, config, data, seed, session)
    return Outcome(summary(recordings, (NAME,)), recordings, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Accuracy from stage to stage, and what calibration does to the neurons."""
    return {
        "stages": draw_stages(outcome.recordings, {NAME: "first spikes"}),
        "calibration": draw_calibration(outcome.recordings),
    }
