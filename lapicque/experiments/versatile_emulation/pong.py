"""Pong: reward-modulated plasticity on specimens of BrainScaleS-2

The game and rule of `pong_rstdp`, on 32 neurons of virtual chips of the suite, calibrated and as
they come: expected reward while learning, what is left of it when the learned weights are given to
another chip, and what learning on there makes of it. Sensors differ from synapse to synapse.

The prototype of the original work is another chip, with other voltages; here its time constants are
targets of a BrainScaleS-2, and the way from rest to threshold is 100 LSB, so that 1 LSB stands for
6.6 mV there. A move costs so little here (`calibrated_drop`) that to make up for it says little;
what learning on brings is more. The noise current is the one that its released model has.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import InputError, in_range
from lapicque.experiments.pong_rstdp import _pong as pong
from lapicque.experiments.pong_rstdp._pong import CELLS, NOISE, Player, examined, first_weights
from lapicque.experiments.versatile_emulation._chip import CITES as _SUITE, WORK, specimen
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.spiking.random import chain_keys
from lapicque.substrate import Chip, calibrate
from lapicque.substrate.calibration import uncalibrated
from lapicque.substrate.plasticity import RewardModulated

CITES = (*_SUITE, "wunderlich2019demonstrating")
KINDS = {"calibrated": "calibrated", "raw": "as they come"}
SENSOR_SPREAD = 0.5  # of the logarithms of amplitude and time constant
REST, SWING = 110.0, 100.0  # LSB
_MV = pong.SWING / SWING  # mV of the prototype for 1 LSB
TARGETS = {
    "v_rest": REST,
    "v_thresh": REST + SWING,
    "v_reset": REST + (pong.V_RESET - pong.E_L) / _MV,
    "tau_m": pong.TAU_M,
    "tau_syn_E": pong.TAU_SYN,
    "gain_E": 1.0,
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    chips: int = 3  # of each kind
    iterations: int = 20_000
    recovery: int = 5000  # iterations on the next chip
    every: int = 200  # iterations from point to point of a curve
    trials: int = 5  # of each state, when nothing is learned
    threads: int = 2

    def __post_init__(self):
        in_range("chips", self.chips, 2, hint="Weights move from chip to chip.")
        for name in ("every", "trials", "threads"):
            in_range(name, getattr(self, name), 1)
        for name in ("iterations", "recovery"):
            value = getattr(self, name)
            if value < self.every or value % self.every:
                raise InputError(
                    f"`{name}` is {value}; it must be a multiple of `every`, {self.every}."
                )


PRESETS = {
    "smoke": Config(chips=2, iterations=20, recovery=10, every=10, trials=1, threads=1),
    "quick": Config(),
    "paper": Config(chips=10, iterations=50_000, recovery=20_000, trials=50),
}

_OURS = "the number is our demand"
CLAIMS = (
    Claim(
        "learns",
        "Calibrated chips reach an expected reward of 0.55 (median)",
        "calibrated_median",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: learned; {_OURS}",
        at_least=0.55,
    ),
    Claim(
        "calibration_helps",
        "Without calibration the reward is lower",
        "calibration_gain",
        Certainty.NOT_VERIFIED,
        "no number known",
        at_least=0.0,
    ),
    Claim(
        "absorbs",
        "but above chance, 0.106, by 0.1 or more: learning absorbs part of the mismatch",
        "raw_mean",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory, in words; {_OURS}",
        at_least=0.206,
    ),
    Claim(
        "recovers",
        "Learning on makes up for half of what a move to another calibrated chip costs",
        "calibrated_recovered",
        Certainty.NOT_VERIFIED,
        _OURS,
        at_least=0.5,
    ),
)


def player_chip(chip: Chip, calibrated: bool) -> pong.Chip:
    """The first neurons of a specimen, in the voltages of the prototype."""
    where = np.arange(CELLS)
    codes = (calibrate if calibrated else uncalibrated)(chip, TARGETS, where=where)
    trial = np.random.default_rng([chip.seed, 304])
    real = {name: codes.realised(chip, name, trial) for name in TARGETS}
    draw = np.random.default_rng([chip.seed, 305])
    spread = np.exp(SENSOR_SPREAD * draw.standard_normal((2, CELLS, CELLS)))
    volts = {n: pong.E_L + (real[n] - REST) * _MV for n in ("v_rest", "v_reset", "v_thresh")}
    return pong.Chip(
        tau_m=real["tau_m"],
        tau_syn=real["tau_syn_E"],
        leak=volts["v_rest"],
        reset=np.minimum(volts["v_reset"], volts["v_thresh"] - _MV),
        threshold=volts["v_thresh"],
        gains=real["gain_E"] * chip.synapse_gains(CELLS, CELLS),
        amplitude=pong.AMPLITUDE * spread[0],
        tau_stdp=pong.TAU_STDP * spread[1],
    )


def run(config: Config, seed: int, session) -> Outcome:
    """Learn on all chips side by side, move to the next of the same kind, learn on."""
    n, kinds = config.chips, len(KINDS)
    chips = pong.Chip.together(
        [player_chip(specimen(seed, k), kind == "calibrated") for kind in KINDS for k in range(n)]
    )
    keys = np.tile(chain_keys(seed, np.arange(n)), kinds)
    noise, rule = np.full(n * kinds, NOISE), RewardModulated()
    player = Player(chips, keys, noise, rule, config.threads)
    first = np.tile(first_weights(n, seed), (kinds, 1, 1))
    play, weights, curves = pong.learn(
        player, player.start(), first, config.iterations, config.every, "learning", session
    )
    neighbour = np.roll(np.arange(n * kinds).reshape(kinds, n), -1, axis=1).ravel()
    mover = Player(chips.pick(neighbour), keys + np.uint32(1), noise, rule, config.threads)
    _, relearned, again = pong.learn(
        mover, play, weights, config.recovery, config.every, "recovery", session,
        start=config.iterations,
    )  # fmt: skip

    def look():
        return {
            "learned": examined(player, weights, config.trials)["reward"],
            "moved": examined(mover, weights, config.trials)["reward"],
            "relearned": examined(mover, relearned, config.trials)["reward"],
        }

    found = {name: values.reshape(kinds, n) for name, values in session.stage("look", look).items()}
    last = curves["reward"][-1].reshape(kinds, n)
    metrics: dict[str, float] = {}
    for k, kind in enumerate(KINDS):
        metrics[f"{kind}_mean"] = last[k].mean()
        metrics[f"{kind}_median"] = float(np.median(last[k]))
        metrics[f"{kind}_spread"] = last[k].std()
        means = {name: values[k].mean() for name, values in found.items()}
        drop, gain = means["learned"] - means["moved"], means["relearned"] - means["moved"]
        metrics[f"{kind}_drop"] = drop
        metrics[f"{kind}_recovered"] = float(np.clip(gain / drop, 0, 1)) if drop > 0 else 1.0
    metrics["calibration_gain"] = metrics["calibrated_mean"] - metrics["raw_mean"]
    metrics["neurons"], metrics["rows"] = CELLS, CELLS
    metrics["biological_s"] = (
        1e-3 * pong.DURATION * n * kinds * (config.iterations + config.recovery)
    )
    recordings = {
        "iteration": np.arange(1, len(curves["reward"]) + 1) * config.every,
        "curve": curves["reward"].reshape(-1, kinds, n),
        "again": again["reward"].reshape(-1, kinds, n),
        **found,
    }
    return Outcome({name: float(value) for name, value in metrics.items()}, recordings)


def figures(outcome: Outcome, config: Config):
    """Expected reward while learning, and what a move costs."""
    found = outcome.recordings
    figure, axes = subplots(1, 2, height=3.0, sharey=True, width_ratios=(3, 2))
    left, right = axes[0]
    stages = ("learned", "moved", "relearned")
    for k, (label, colour) in enumerate(zip(KINDS.values(), COLOURS, strict=False)):
        curve, moved = found["curve"][:, k], np.stack([found[s][k] for s in stages])
        for axis, x, y in ((left, found["iteration"] / 1000, curve), (right, range(3), moved)):
            axis.plot(x, y, color=colour, lw=0.5, alpha=0.4)
            axis.plot(x, y.mean(1), color=colour, label=f"neurons {label}")
    for axis in (left, right):
        axis.axhline(3.4 / 32, color=MUTED, lw=0.8, ls=":")
    left.set(xlabel="iterations / 1000", ylabel="mean expected reward", ylim=(0, 1))
    left.legend(loc="upper left")
    right.set(title="weights frozen", ylabel="mean reward")
    right.set_xticks(range(3), ("learned", "another\nchip", "learned\non"))
    return {"learning": figure}
