"""Delays on a virtual chip: trained in software, mapped, trained in the loop, moved to another.

Networks with and without axonal delays learn Yin-Yang in software, with ideal neurons and weights
of 6 bits. Then they run on specimens of a virtual BrainScaleS-2, with neurons as their
calibration left them, synapses that differ, relay neurons as delay elements, and noise from run
to run. What the chip's spikes say goes into the analytic gradient: forward on the chip, backward
in software. At last the trained network moves to the next specimen, which it has never seen.
"""

from dataclasses import dataclass
from functools import partial

from lapicque._checks import positive
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
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.spiketime import (
    Bumping,
    Imperfections,
    Neuron,
    RelativeError,
    Sigmoid,
    Trainer,
    dense,
)

VARIANTS = {"W": "weights only", "WA": "with axonal delays"}


@dataclass(frozen=True)
class Config(ChipConfig):
    """Settings of DelGrad on the virtual chip."""

    gap: float = 0.3  # tau_s, by which wrong label neurons shall spike later

    def __post_init__(self):
        super().__post_init__()
        positive("gap", self.gap, "tau_s")


PRESETS = {
    "smoke": Config(
        n_chips=1, software_epochs=1, epochs=1, recovery=1, n_train=200, batch=100, step=0.05
    ),
    "quick": Config(n_chips=2, software_epochs=150, epochs=3, recovery=1, step=0.02),
    "paper": Config(),
}

_CHIP = "Göltz, Weber et al. (2025), released runs on one chip after 300 epochs in the loop"
CLAIMS = (
    Claim(
        "axonal",
        "On the chip, axonal delays beat weights alone",
        "gain",
        Certainty.RELEASED_DATA,
        _CHIP + ": 92.6 against 84.9 %",
        at_least=0.0,
        published=0.077,
    ),
    Claim(
        "accuracy",
        "With axonal delays a network trained in the loop solves Yin-Yang on the chip",
        "WA_in_loop",
        Certainty.RELEASED_DATA,
        _CHIP,
        at_least=0.88,
        published=0.926,
    ),
    Claim(
        "loop",
        "Training in the loop makes up for what mapping costs, in part at least",
        "WA_loop_gain",
        Certainty.NOT_VERIFIED,
        "the reason for training in the loop, no number known",
        at_least=0.0,
    ),
    Claim(
        "recovery",
        "On another chip accuracy drops, and a few epochs there bring it back",
        "WA_recovered_share",
        Certainty.NOT_VERIFIED,
        "no number known; share of the drop that is made up",
        at_least=0.3,
    ),
)

CITES = ("goeltz2025delgrad", "kriener2022yinyang")


def run(config: Config, seed: int, session) -> Outcome:
    """Train in software, then on each chip; every network moves to the next chip at the end."""
    data = coded(yin_yang(), partial(spike_times, copies=config.copies))
    neuron = Neuron(tau_m=1.0, threshold=config.threshold)
    chips = specimens(config.n_chips + 1, seed, neuron, config.step)
    limit, per_unit = chips[0].raw.weight_limit, chips[0].raw.per_unit
    trainer = Trainer(
        RelativeError(config.gap),
        batch=config.batch,
        weights_rate=config.learning_rate,
        delays_rate=config.learning_rate,
        bumping=Bumping((0.05, 0.05)),
        weight_limit=limit,
    )
    recordings = calibrations(chips[0])
    for name in VARIANTS:

        def build(key, name=name):
            return dense(
                key,
                (4 * config.copies, config.n_hidden, 3),
                neuron=neuron,
                mean=(1.0, 0.075),
                spread=(0.12, 0.15),
                imperfections=Imperfections(weight_step=1 / per_unit, weight_limit=limit),
                delays="axonal" if name == "WA" else None,
                delay_form=Sigmoid(2.0, 3.5),
                delay_spread=0.5,
                copies=config.copies,
            )

        recordings |= travel(name, build, trainer, chips, config, data, seed, session)
    metrics = summary(recordings, tuple(VARIANTS))
    metrics["gain"] = metrics["WA_in_loop"] - metrics["W_in_loop"]
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Accuracy from stage to stage, and what calibration does to the neurons."""
    return {
        "stages": draw_stages(outcome.recordings, VARIANTS),
        "calibration": draw_calibration(outcome.recordings),
    }
