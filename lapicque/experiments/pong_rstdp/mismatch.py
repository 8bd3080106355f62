"""Pong learned on chips with mismatch: what learning absorbs (Wunderlich et al. 2019)

The task and the rule of `pong_rstdp/learning`, on specimens of chips whose neurons, synapses and
sensors differ. After learning, the weights are given to the same circuits in another order, and to
another chip, and learn on there.

That weights make up for the circuits they were learned on, as on the real chip, shows little in
this model, which is that of the released code: most weights of neurons that do not win fall to 0,
where a synapse is off and no longer learns, so that a shuffle has few competitors to wake. With
`lowest=1` synapses stay alive, and shuffling costs about 0.1.

Two patterns are those of reference runs of another program: "moderate" with 10 % of time
constants, 3 % of the way from rest to threshold and 10 % of synapses, "strong" with twice that. The
others are our assumption on BrainScaleS-2 before and after its calibration, sensors included; they
are not measured chip data.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from lapicque._checks import InputError, in_range, one_of
from lapicque.experiments.pong_rstdp._pong import (
    CITES as CITES,
    DURATION,
    NOISE,
    PATTERNS,
    WORK,
    Chip,
    Player,
    at,
    examined,
    excitability,
    first_weights,
    learn,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.spiking.random import chain_keys
from lapicque.substrate.plasticity import RewardModulated

_MARKS = (2000, 6000, 10_000, 20_000)  # iterations
_QUIET = "strong_quiet"  # a strong pattern without temporal noise
_WEIGHT = 20  # LSB, at which excitability is measured


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    patterns: tuple[str, ...] = ("calibrated", "moderate", "strong", "uncalibrated")
    repeats: int = 3  # chips of each pattern
    iterations: int = 20_000
    recovery: int = 5000  # iterations after the weights were moved
    every: int = 200  # iterations from point to point of a curve
    trials: int = 10  # of each state, when nothing is learned
    lowest: int = 0  # LSB, to which a weight may fall
    threads: int = 2

    def __post_init__(self):
        in_range("lowest", self.lowest, 0, 63, "LSB")
        in_range("threads", self.threads, 1)
        for name in self.patterns:
            one_of("patterns", name, PATTERNS)
        missing = {"calibrated", "moderate", "strong", "uncalibrated"} - set(self.patterns)
        if missing:
            raise InputError(f"`patterns` lacks {sorted(missing)[0]!r}, which claims are about.")
        in_range("repeats", self.repeats, 2, hint="Weights move from chip to chip.")
        in_range("every", self.every, 1)
        in_range("trials", self.trials, 1)
        for name in ("iterations", "recovery"):
            value = getattr(self, name)
            if value < self.every or value % self.every:
                raise InputError(
                    f"`{name}` is {value}; it must be a multiple of `every`, {self.every}."
                )


PRESETS = {
    "smoke": Config(repeats=2, iterations=20, recovery=10, every=10, trials=1, threads=1),
    "quick": Config(),
    "paper": Config(repeats=10, iterations=50_000, recovery=20_000, trials=50),
}

_OWN = "our own runs of another program, range of three seeds"
_LIMIT = "limits: that range and twice the deviation between chips, 0.1, on both sides"
_PAPER = f"{WORK}, abstract, in words"


def _row(name: str, what: str, mark: int, low: float, high: float) -> Claim:
    return Claim(
        f"{name}_{mark}",
        f"{what}: expected reward after {mark} iterations, {low:g} to {high:g} in reference runs",
        f"{name}_reward_{mark}",
        Certainty.REFERENCE_RUN,
        f"{_OWN}; {_LIMIT}",
        at_least=max(0.0, low - 0.1),
        at_most=high + 0.1,
        published=(low + high) / 2,
    )


CLAIMS = (
    Claim(
        "learns_on_chip",
        "On a calibrated chip expected reward reaches 0.55 (median of chips)",
        "calibrated_reward_20000_median",
        Certainty.NOT_VERIFIED,
        f"{_PAPER}; the number is our demand",
        at_least=0.55,
    ),
    Claim(
        "specialised",
        "Shuffling the neurons of a calibrated chip lowers the reward by 0.15 or more",
        "calibrated_shuffle_drop",
        Certainty.NOT_VERIFIED,
        f"{_PAPER}; the number is our demand",
        at_least=0.15,
    ),
    Claim(
        "recovers",
        "and 5000 iterations make up for at least 0.8 of the drop",
        "calibrated_shuffle_recovered",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory; the number is our demand",
        at_least=0.8,
    ),
    Claim(
        "moves",
        "After a move to another chip they do so, too",
        "calibrated_move_recovered",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory; the number is our demand",
        at_least=0.8,
    ),
    Claim(
        "compensates",
        "Weights are small where neurons are excitable: rank correlation below -0.3 on a "
        "calibrated chip (one chip of three may fail)",
        "calibrated_compensation",
        Certainty.NOT_VERIFIED,
        f"{_PAPER}; the number is our demand",
        at_most=-0.3,
    ),
    Claim(
        "calibration_helps",
        "Without calibration there is learning, to a lower reward",
        "calibration_gain",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory, no number known",
        at_least=0.0,
    ),
    Claim(
        "uncalibrated_learns",
        "Without calibration reward is above chance, 0.106",
        "uncalibrated_reward_20000",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory, no number known",
        at_least=0.106,
    ),
    _row("moderate", "Moderate pattern", 2000, 0.27, 0.38),
    _row("moderate", "Moderate pattern", 6000, 0.35, 0.62),
    _row("moderate", "Moderate pattern", 10_000, 0.56, 0.72),
    _row("moderate", "Moderate pattern", 20_000, 0.66, 0.76),
    _row("strong", "Strong pattern", 2000, 0.11, 0.20),
    _row("strong", "Strong pattern", 6000, 0.19, 0.34),
    _row("strong", "Strong pattern", 10_000, 0.25, 0.40),
    _row("strong", "Strong pattern", 20_000, 0.29, 0.48),
    _row(_QUIET, "Strong pattern, no temporal noise", 20_000, 0.07, 0.15),
)


def run(config: Config, seed: int, session) -> Outcome:
    """Learn on all chips side by side; move what was learned; learn on."""
    groups, repeats = (*config.patterns, _QUIET), config.repeats
    chips = Chip.together(
        [
            PATTERNS["strong" if name == _QUIET else name].draw([seed, k])
            for name in groups
            for k in range(repeats)
        ]
    )
    noise = np.repeat([0.0 if name == _QUIET else NOISE for name in groups], repeats)
    keys = np.tile(chain_keys(seed, np.arange(repeats)), len(groups))
    rule = RewardModulated(lowest=config.lowest)
    player = Player(chips, keys, noise, rule, config.threads)
    first = np.tile(first_weights(repeats, seed), (len(groups), 1, 1))
    session.log("learning")
    play, weights, curves = learn(
        player, player.start(), first, config.iterations, config.every, "learning", session
    )
    rates = session.stage("rates", lambda: excitability(player, _WEIGHT, config.trials))

    n = repeats * len(config.patterns)  # those with noise
    order = np.argsort(np.random.default_rng([seed, 5]).random((n, chips.tau_m.shape[1])), axis=1)
    neighbour = np.roll(np.arange(n).reshape(-1, repeats), -1, axis=1).ravel()
    old = chips.pick(np.arange(n))
    new = Chip.together([*_each(old.shuffled(order)), *_each(old.pick(neighbour))])
    twice = np.tile(np.arange(n), 2)
    mover = Player(new, keys[twice] + np.uint32(1), noise[twice], rule, config.threads)
    session.log("recovery")
    _, relearned, again = learn(
        mover, play.pick(twice), weights[twice], config.recovery, config.every, "recovery", session,
        start=config.iterations,
    )  # fmt: skip

    def look():
        return {
            "learned": examined(player, weights, config.trials)["reward"],
            "moved": examined(mover, weights[twice], config.trials)["reward"],
            "relearned": examined(mover, relearned, config.trials)["reward"],
        }

    found = session.stage("examined", look)
    diagonal = weights[:, np.arange(weights.shape[1]), np.arange(weights.shape[1])]
    metrics: dict[str, float] = {}
    compensation = np.array(
        [_rank_correlation(*pair) for pair in zip(diagonal, rates, strict=True)]
    )
    learned = found["learned"].reshape(-1, repeats)
    moved = found["moved"].reshape(2, -1, repeats)
    relearned = found["relearned"].reshape(2, -1, repeats)
    for g, name in enumerate(groups):
        mine = slice(g * repeats, (g + 1) * repeats)
        for mark in _MARKS:
            values = at(curves["reward"][:, mine], mark, config.every)
            metrics[f"{name}_reward_{mark}"] = values.mean()
            metrics[f"{name}_reward_{mark}_median"] = np.median(values)
        metrics[f"{name}_performance_20000"] = at(
            curves["performance"][:, mine], 20_000, config.every
        ).mean()
        metrics[f"{name}_greedy"] = learned[g].mean()
        metrics[f"{name}_off"] = (weights[mine] == 0).mean()
        # of three chips the second, of ten the seventh
        metrics[f"{name}_compensation"] = np.sort(compensation[mine])[2 * repeats // 3 - 1]
        if name == _QUIET:
            continue
        for k, how in enumerate(("shuffle", "move")):
            drop = learned[g].mean() - moved[k, g].mean()
            gain = relearned[k, g].mean() - moved[k, g].mean()
            metrics[f"{name}_{how}_drop"] = drop
            metrics[f"{name}_{how}_recovered"] = np.clip(gain / drop, 0, 1) if drop > 0 else 1.0
    metrics["calibration_gain"] = (
        metrics["calibrated_reward_20000"] - metrics["uncalibrated_reward_20000"]
    )
    metrics["biological_s"] = (
        1e-3 * DURATION * (len(keys) * config.iterations + 2 * n * config.recovery)
    )
    recordings = {
        "iteration": np.arange(1, len(curves["reward"]) + 1) * config.every,
        "curve": curves["reward"].reshape(-1, len(groups), repeats),
        "again": again["reward"].reshape(-1, 2, len(config.patterns), repeats),
        "learned": learned,
        "moved": moved,
        "relearned": relearned,
        "diagonal": diagonal.reshape(len(groups), repeats, -1),
        "rates": rates.reshape(len(groups), repeats, -1),
        "compensation": compensation.reshape(len(groups), repeats),
    }
    return Outcome({name: float(value) for name, value in metrics.items()}, recordings)


def _each(chips: Chip) -> list[Chip]:
    return [Chip(*values) for values in zip(*chips, strict=True)]


def _rank_correlation(weights: np.ndarray, rates: np.ndarray) -> float:
    if np.ptp(weights) == 0 or np.ptp(rates) == 0:
        return 0.0
    return float(spearmanr(weights, rates).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def figures(outcome: Outcome, config: Config):
    """Learning curves; what a move costs and how it is made up for; compensation."""
    found = outcome.recordings
    return {
        "learning": _draw_curves(found, config),
        "moves": _draw_moves(found, config),
        "compensation": _draw_compensation(found, config),
    }


def _draw_curves(found, config):
    figure, axes = subplots(1, 1, height=3.2)
    axis = axes[0, 0]
    labels = (*config.patterns, "strong, no temporal noise")
    for k, (label, colour) in enumerate(zip(labels, (*COLOURS[:4], MUTED), strict=False)):
        axis.plot(found["iteration"] / 1000, found["curve"][:, k], color=colour, lw=0.5, alpha=0.4)
        axis.plot(
            found["iteration"] / 1000, found["curve"][:, k].mean(1), color=colour, label=label
        )
    axis.axhline(3.4 / 32, color=MUTED, lw=0.8, ls=":")
    axis.set(xlabel="iterations / 1000", ylabel="mean expected reward", ylim=(0, 1))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _draw_moves(found, config):
    figure, axes = subplots(1, 2, height=3.0, sharey=True)
    stages = ("learned", "moved", "learned\nagain")
    for axis, k, title in zip(axes[0], (0, 1), ("neurons shuffled", "another chip"), strict=True):
        for g, (name, colour) in enumerate(zip(config.patterns, COLOURS, strict=False)):
            values = np.stack([found["learned"][g], found["moved"][k, g], found["relearned"][k, g]])
            axis.plot(range(3), values, "o-", color=colour, lw=0.5, alpha=0.4, ms=3)
            axis.plot(range(3), values.mean(1), "-", color=colour, label=name)
        axis.axhline(3.4 / 32, color=MUTED, lw=0.8, ls=":")
        axis.set(title=title, ylim=(0, 1), xlim=(-0.2, 2.2))
        axis.set_xticks(range(3), stages)
    axes[0, 0].set(ylabel="mean reward, weights frozen")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_compensation(found, config):
    shown = [config.patterns.index(name) for name in ("calibrated", "strong")]
    figure, axes = subplots(1, len(shown), height=3.0, sharey=True)
    for axis, g in zip(axes[0], shown, strict=True):
        for k, colour in zip(range(min(3, config.repeats)), COLOURS, strict=False):
            axis.plot(
                found["rates"][g, k],
                found["diagonal"][g, k],
                "o",
                color=colour,
                alpha=0.7,
                label=f"chip {k}, rank correlation {found['compensation'][g, k]:.2f}",
            )
        axis.set(title=config.patterns[g], xlabel=f"rate at a weight of {_WEIGHT} LSB / Hz")
        axis.set(ylim=(-2, 95), yticks=range(0, 61, 20))
        axis.legend(loc="upper left")
    axes[0, 0].set(ylabel="learned weight $w_{kk}$ / LSB")
    return figure
