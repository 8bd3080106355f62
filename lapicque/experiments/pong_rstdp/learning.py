"""Pong learned by reward-modulated STDP, with and without temporal noise (Wunderlich et al. 2019)

A ball is seen by one of 32 input units, 32 neurons answer, and the paddle moves to the cell of the
one that fires most. The chip's processor plays the game, reads correlation sensors and writes 6-bit
weights in integers. Neurons are ideal here; what differs is the amplitude of the noise current,
which is what explores: initial weights sit at threshold, so that without noise the same neuron wins
again and again.

Expected reward is the processor's own running mean of each state, performance the share of states
in which the last action came within three cells of the ball; both are means over visited states.
`biological_s_per_s` is the one number that depends on the machine.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from lapicque._checks import InputError, in_range
from lapicque.experiments.pong_rstdp import _game as pong
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
    first_weights,
    learn,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, GRID, MUTED, subplots
from lapicque.spiking.random import chain_keys
from lapicque.substrate.plasticity import RewardModulated

_MARKS = (2000, 6000, 10_000, 20_000)  # iterations
_BALL = 12  # cell of the ball in the figure of one iteration


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    repeats: int = 3  # chips per amplitude of the noise
    iterations: int = 20_000
    noise: tuple[float, ...] = (0.0, 0.025, 0.05, 0.1, 0.2)  # nA, standard deviation
    every: int = 200  # iterations from point to point of a curve
    trials: int = 10  # of each state, when nothing is learned
    watched: int = 200  # iterations of the game in the figure
    threads: int = 2

    def __post_init__(self):
        in_range("repeats", self.repeats, 1)
        in_range("every", self.every, 1)
        in_range("noise", self.noise, 0, unit="nA")
        in_range("trials", self.trials, 1)
        in_range("watched", self.watched, 2)
        in_range("threads", self.threads, 1)
        if self.iterations < self.every or self.iterations % self.every:
            raise InputError(
                f"`iterations` is {self.iterations}; it must be a multiple of `every`, "
                f"{self.every}."
            )
        if not {0.0, NOISE} <= set(self.noise):
            raise InputError(f"`noise` must hold 0 and {NOISE:g} nA, which the claims compare.")


PRESETS = {
    "smoke": Config(
        repeats=1, iterations=40, noise=(0.0, 0.1), every=20, trials=1, watched=10, threads=1
    ),
    "quick": Config(),
    "paper": Config(repeats=10, iterations=50_000, noise=(0.0, 0.1), trials=50),
}  # fmt: skip

_OWN = "our own runs of another program, range of three seeds"
_LIMIT = "limits: that range and twice the deviation between seeds, 0.08, on both sides"


def _row(mark: int, low: float, high: float) -> Claim:
    return Claim(
        f"reference_{mark}",
        f"Mean expected reward after {mark} iterations, {low:g} to {high:g} in reference runs",
        f"reward_{mark}",
        Certainty.REFERENCE_RUN,
        f"{_OWN}; {_LIMIT}",
        at_least=low - 0.08,
        at_most=high + 0.08,
        published=(low + high) / 2,
    )


CLAIMS = (
    Claim(
        "learns",
        "With noise, expected reward reaches 0.7 within 10,000 iterations, whatever the seed",
        "reward_10000_lowest",
        Certainty.REFERENCE_RUN,
        f"{_OWN}, 0.73 to 0.81",
        at_least=0.70,
        published=0.73,
    ),
    Claim(
        "plays",
        "and nine in ten states answer within reach of the ball",
        "performance_10000_lowest",
        Certainty.REFERENCE_RUN,
        f"{_OWN}, 0.94 to 1",
        at_least=0.90,
        published=0.94,
    ),
    Claim(
        "noise_is_needed",
        "Without temporal noise nothing is learned: reward stays near chance, 0.106",
        "quiet_10000_highest",
        Certainty.REFERENCE_RUN,
        f"{_OWN}, 0.10 to 0.17; in words also {WORK}, abstract",
        at_most=0.25,
        published=0.17,
    ),
    _row(2000, 0.40, 0.49),
    _row(6000, 0.68, 0.76),
    _row(10_000, 0.73, 0.81),
    _row(20_000, 0.79, 0.83),
    Claim(
        "at_threshold",
        "Initial weights sit at threshold: without noise 0.3 to 0.9 of neurons answer",
        "answering",
        Certainty.DERIVED,
        "responses of 20 input spikes add up to about 750 mV, 662 mV are needed",
        at_least=0.3,
        at_most=0.9,
    ),
    Claim(
        "published_reward",
        "The expected reward saturates between 0.7 and 0.9",
        "reward_20000",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory",
        at_least=0.7,
        at_most=0.9,
        published=0.8,
    ),
)


def run(config: Config, seed: int, session) -> Outcome:
    """Learn with every amplitude side by side, then look at what was learned."""
    repeats, levels = config.repeats, np.array(config.noise)
    n = repeats * len(levels)
    ideal = PATTERNS["ideal"].draw(0)
    player = Player(
        Chip.together([ideal] * n),
        np.tile(chain_keys(seed, np.arange(repeats)), len(levels)),
        np.repeat(levels, repeats),
        RewardModulated(),
        config.threads,
    )
    first = np.tile(first_weights(repeats, seed), (len(levels), 1, 1))
    play, weights, curves = learn(
        player, player.start(), first, config.iterations, config.every, "learning", session
    )
    greedy = session.stage("examined", lambda: examined(player, weights, config.trials))
    shown = repeats * config.noise.index(NOISE)  # the first chip with this noise
    quiet = repeats * config.noise.index(0.0)
    watched = session.stage("watched", lambda: _watched(player, play, weights, config))
    before = player.answer(first, np.full(n, _BALL), 0, record=True)
    after = player.answer(weights, np.full(n, _BALL), 0, record=True)
    assert before.spikes is not None
    assert after.spikes is not None
    answering = (before.counts[quiet : quiet + repeats] > 0).mean()

    reward = {name: curve.reshape(-1, len(levels), repeats) for name, curve in curves.items()}
    noisy = {name: curve[:, config.noise.index(NOISE)] for name, curve in reward.items()}
    silent = reward["reward"][:, config.noise.index(0.0)]
    metrics = {}
    for mark in _MARKS:
        here = {name: at(curve, mark, config.every) for name, curve in noisy.items()}
        metrics[f"reward_{mark}"] = here["reward"].mean()
        metrics[f"reward_{mark}_lowest"] = here["reward"].min()
        metrics[f"performance_{mark}_lowest"] = here["performance"].min()
        metrics[f"quiet_{mark}_highest"] = at(silent, mark, config.every).max()
    by_noise = greedy["reward"].reshape(len(levels), repeats)
    for level, values in zip(config.noise, by_noise, strict=True):
        metrics[f"greedy_reward_{1000 * level:g}pA"] = values.mean()
    returned = play.returned.reshape(len(levels), repeats)[config.noise.index(NOISE)].sum()
    missed = play.missed.reshape(len(levels), repeats)[config.noise.index(NOISE)].sum()
    metrics["returned"] = returned / max(1, returned + missed)
    metrics["answering"] = answering
    metrics["first_spikes"] = before.counts[shown : shown + repeats].mean()
    metrics["biological_s"] = n * config.iterations * 1e-3 * DURATION
    metrics["chip_s"] = metrics["biological_s"] / 1000
    metrics["biological_s_per_s"] = watched.pop("speed")
    session.log(f"{metrics['biological_s_per_s']:.0f} biological seconds per second")

    recordings = {f"curve/{name}": curve for name, curve in reward.items()}
    recordings |= {f"game/{name}": values[:, shown] for name, values in watched.items()}
    recordings |= {
        "iteration": np.arange(1, len(silent) + 1) * config.every,
        "noise": levels,
        "greedy": by_noise,
        "weights/before": first[shown],
        "weights/after": weights[shown],
        "spikes/before": before.spikes[shown],
        "spikes/after": after.spikes[shown],
    }
    return Outcome({name: float(value) for name, value in metrics.items()}, recordings)


def _watched(player: Player, play, weights, config: Config) -> dict:
    """A piece of all games, each number of shape (iterations, chips), and the speed."""
    x, y, paddle = [], [], []
    begin = perf_counter()
    for time in range(config.iterations, config.iterations + config.watched):
        play, weights = player.iterate(play, weights, time)
        x.append(play.game.x)
        y.append(play.game.y)
        paddle.append(play.game.paddle)
    speed = player.n * config.watched * 1e-3 * DURATION / (perf_counter() - begin)
    return {"x": np.array(x), "y": np.array(y), "paddle": np.array(paddle), "speed": speed}


def figures(outcome: Outcome, config: Config):
    """Learning curves; the role of noise; weights; an iteration of the network; the game."""
    found = outcome.recordings
    return {
        "learning": _draw_curves(found),
        "noise": _draw_noise(found),
        "weights": _draw_weights(found),
        "iteration": _draw_iteration(found),
        "game": _draw_game(found),
    }


def _draw_curves(found):
    figure, axes = subplots(1, 2, height=3.0, sharex=True, sharey=True)
    shades = (MUTED, COLOURS[4], COLOURS[2], COLOURS[0], COLOURS[1], *COLOURS)
    for axis, name, label in zip(
        axes[0], ("reward", "performance"), ("mean expected reward", "performance"), strict=True
    ):
        for k, level in enumerate(found["noise"]):
            curves = found[f"curve/{name}"][:, k]
            thousands = found["iteration"] / 1000
            axis.plot(thousands, curves, color=shades[k], lw=0.5, alpha=0.4)
            axis.plot(thousands, curves.mean(1), color=shades[k], label=f"{1000 * level:g} pA")
        axis.set(xlabel="iterations / 1000", ylabel=label, ylim=(0, 1.02))
    axes[0, 0].axhline(3.4 / 32, color=MUTED, lw=0.8, ls=":")
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, title="noise", loc="outside upper center", ncols=len(labels))
    return figure


def _draw_noise(found):
    figure, axes = subplots(1, 1, width=3.6, height=2.8)
    axis, greedy = axes[0, 0], found["greedy"]
    for column in greedy.T:
        axis.plot(1000 * found["noise"], column, "o", color=COLOURS[0], alpha=0.4)
    axis.plot(1000 * found["noise"], greedy.mean(1), "-", color=COLOURS[0])
    axis.axhline(3.4 / 32, color=MUTED, lw=0.8, ls=":")
    axis.annotate("chance", (1000 * found["noise"].max(), 3.4 / 32), va="bottom", ha="right")
    axis.set(xlabel="noise current / pA", ylabel="mean reward after learning", ylim=(0, 1))
    return figure


def _draw_weights(found):
    figure, axes = subplots(1, 2, height=3.0)
    images = []
    for axis, when in zip(axes[0], ("before", "after"), strict=True):
        image = axis.imshow(found[f"weights/{when}"].T, vmin=0, vmax=63, origin="lower")
        images.append(image)
        axis.set(title=f"{when} learning", xlabel="cell of the ball", ylabel="neuron")
        axis.grid(False)
    figure.colorbar(images[0], ax=axes[0], label="weight / LSB", shrink=0.85)
    return figure


def _draw_iteration(found):
    figure, axes = subplots(1, 2, height=2.8, sharey=True)
    for axis, when in zip(axes[0], ("before", "after"), strict=True):
        step, neuron = np.nonzero(found[f"spikes/{when}"])
        axis.axhspan(_BALL - 0.5, _BALL + 0.5, color=GRID, zorder=0)
        axis.plot(0.1 * (step + 1), neuron, "|", color=COLOURS[0], ms=4)
        axis.set(title=f"{when} learning", xlabel="time / ms", xlim=(0, DURATION))
        axis.grid(False)
    axes[0, 0].set(ylabel="neuron (shaded: cell of the ball)", ylim=(-1, 32))
    return figure


def _draw_game(found):
    figure, axes = subplots(1, 2, height=3.0, width_ratios=(1, 1.6))
    court, time = axes[0]
    x, y, paddle = (found[f"game/{name}"] for name in ("x", "y", "paddle"))
    jumps = np.flatnonzero(np.hypot(np.diff(x), np.diff(y)) > 2 * pong.SPEED) + 1
    path = np.insert(np.stack([x, y]), jumps, np.nan, axis=1)  # a new ball
    court.plot(*path, color=COLOURS[0], lw=0.8)
    court.plot(x[-1], y[-1], "o", color=COLOURS[0], ms=5)
    court.plot([1, 1], paddle[-1] + np.array([-0.5, 0.5]) * pong.LENGTH, color=COLOURS[1], lw=4)
    court.set(xlim=(-0.01, 1.02), ylim=(-0.01, 1.01), aspect="equal", xlabel="x", ylabel="y")
    court.spines[["top", "left", "bottom"]].set_visible(True)
    steps = np.arange(len(y))
    time.plot(steps, np.where(np.isin(steps, jumps), np.nan, y), color=COLOURS[0], label="ball")
    time.fill_between(
        steps,
        paddle - pong.LENGTH / 2,
        paddle + pong.LENGTH / 2,
        color=COLOURS[1],
        alpha=0.5,
        lw=0,
        label="paddle",
    )
    time.set(xlabel="iteration", ylabel="y", ylim=(-0.01, 1.01), xlim=(0, len(y) - 1))
    figure.legend(*time.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
