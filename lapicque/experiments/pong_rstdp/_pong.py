"""What the experiments share: chips that play Pong, learn it, and are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque.experiments.pong_rstdp import _game as pong
from lapicque.experiments.pong_rstdp._game import CELLS, Game
from lapicque.spiking import LIF
from lapicque.substrate.draws import random_words
from lapicque.substrate.episodes import Episodes, Events
from lapicque.substrate.plasticity import (
    FRACTION,
    CorrelationSensors,
    Observables,
    Processor,
    RewardModulated,
    Task,
    Writes,
    rewards,
)

WORK = "Wunderlich et al. (2019)"
CITES = ("wunderlich2019demonstrating",)

DURATION = 200.0  # ms, of an iteration
E_L, V_TH, V_RESET, SWING = 616.0, 1278.0, 355.0, 662.0  # mV, as on the chip
TAU_M, TAU_SYN, TAU_REF, CM = 28.53, 1.8, 3.98, 2.36e-3  # ms, ms, ms, nF
NOISE = 0.1  # nA, redrawn every millisecond
W_MEAN, W_SPREAD = 14.0, 2.0  # LSB
AMPLITUDE, TAU_STDP, SATURATION = 36.0, 64.0, 128.0  # LSB, ms, LSB
_LSB = 1200.0 / 255  # mV, of the chip's read-out
_EXAMINED, _EXCITED = 2**31, 3 * 2**30  # episodes beyond those of learning


def current(weights: NDArray[np.integer]) -> NDArray[np.float64]:
    """What a spike adds to the current through an ideal synapse [nA].

    Source: ``(w + 32) 400 / 63`` pA, and nothing for w = 0 (released code).
    """
    return np.where(weights > 0, weights + 32.0, 0.0) * (0.4 / 63)


@dataclass(frozen=True)
class Pattern:
    """How much neurons and synapses differ from each other, as standard deviations.

    Time constants and gains of neurons are lognormal, potentials normal, gains of synapses normal
    and not below 0.
    """

    tau_m: float = 0.0  # relative
    tau_syn: float = 0.0  # relative
    leak: float = 0.0  # mV
    reset: float = 0.0  # mV
    threshold: float = 0.0  # mV
    gain: float = 0.0  # relative, one for all synapses of a neuron
    synapse: float = 0.0  # relative, of each
    sensor: float = 0.0  # of the logarithms of amplitude and time constant

    def draw(self, seed: int | list[int]) -> Chip:
        """A specimen of a chip."""
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal((6, CELLS))
        return Chip(
            tau_m=TAU_M * np.exp(self.tau_m * normal[0]),
            tau_syn=TAU_SYN * np.exp(self.tau_syn * normal[1]),
            leak=E_L + self.leak * normal[2],
            reset=V_RESET + self.reset * normal[3],
            threshold=V_TH + self.threshold * normal[4],
            gains=np.exp(self.gain * normal[5])
            * np.maximum(1 + self.synapse * rng.standard_normal((CELLS, CELLS)), 0),
            amplitude=AMPLITUDE * np.exp(self.sensor * rng.standard_normal((CELLS, CELLS))),
            tau_stdp=TAU_STDP * np.exp(self.sensor * rng.standard_normal((CELLS, CELLS))),
        )


PATTERNS = {
    "ideal": Pattern(),
    "moderate": Pattern(
        tau_m=0.10, leak=0.03 * SWING, threshold=0.03 * SWING, synapse=0.10
    ),  # the sheet's rows of reference results
    "strong": Pattern(tau_m=0.20, leak=0.06 * SWING, threshold=0.06 * SWING, synapse=0.20),
    # our assumption on BrainScaleS-2, within what its calibration tests allow; 1.2 V over 8 bits
    "uncalibrated": Pattern(
        0.25, 0.25, 9 * _LSB, 12 * _LSB, 9 * _LSB, gain=0.15, synapse=0.05, sensor=0.5
    ),
    "calibrated": Pattern(
        0.35 * 0.25,
        0.15 * 0.25,
        0.25 * 9 * _LSB,
        0.15 * 12 * _LSB,
        0.3 * 9 * _LSB,
        gain=0.15 * 0.15,
        synapse=0.05,
        sensor=0.5,
    ),
}


class Chip(NamedTuple):
    """Fixed pattern, neurons on the last axis; several chips have one more axis in front."""

    tau_m: NDArray[np.float64]  # (neurons,) [ms]
    tau_syn: NDArray[np.float64]  # [ms]
    leak: NDArray[np.float64]  # [mV]
    reset: NDArray[np.float64]  # [mV]
    threshold: NDArray[np.float64]  # [mV]
    gains: NDArray[np.float64]  # (rows, neurons)
    amplitude: NDArray[np.float64]  # (rows, neurons) [LSB]
    tau_stdp: NDArray[np.float64]  # (rows, neurons) [ms]

    @classmethod
    def together(cls, chips: list[Chip]) -> Chip:
        """Several chips side by side."""
        return cls(*(np.stack(values) for values in zip(*chips, strict=True)))

    def shuffled(self, order: NDArray[np.integer]) -> Chip:
        """Several chips with the same circuits given to other neurons.

        Args:
            order: Shape (chips, neurons): neuron j gets the circuits of neuron `order[:, j]`.
        """
        return Chip(
            *(
                np.take_along_axis(values, order if values.ndim == 2 else order[:, None], -1)
                for values in self
            )
        )

    def pick(self, chips: NDArray[np.integer]) -> Chip:
        """Some of several chips."""
        return Chip(*(values[chips] for values in self))


class Play(NamedTuple):
    """State of the program on the processor."""

    game: Game
    expected: NDArray[np.int16]  # (chips, cells): expected reward, see `RewardModulated`
    rewarded: NDArray[np.uint8]  # (chips, cells): whether the last action there was
    returned: NDArray[np.int64]  # (chips,): balls so far
    missed: NDArray[np.int64]  # (chips,): likewise

    def pick(self, chips: NDArray[np.integer]) -> Play:
        """Those of some chips."""
        return Play(
            Game(*(values[chips] for values in self.game)),
            self.expected[chips],
            self.rewarded[chips],
            self.returned[chips],
            self.missed[chips],
        )


class Player:
    """Chips that play and learn, each in its own game: the closed loop of chip and processor.

    Args:
        chips: Side by side.
        keys: Of their randomness.
        noise: Of each chip, shape (chips,). [nA]
        rule: How weights change.
        threads: Among which the chips are shared out.
    """

    def __init__(
        self,
        chips: Chip,
        keys: NDArray[np.uint32],
        noise: NDArray[np.float64],
        rule: RewardModulated,
        threads: int = 1,
    ):
        self.chips, self.keys, self.n = chips, keys, len(keys)
        neurons = LIF(chips.leak, CM, chips.tau_m, TAU_REF, chips.reset, chips.threshold)
        self.episodes = Episodes(
            neurons,
            chips.tau_syn,
            chips=self.n,
            size=CELLS,
            rows=CELLS,
            duration=DURATION,
            noise=noise[:, None],
            keys=keys,
            threads=threads,
        )
        self.sensors = CorrelationSensors(chips.amplitude, chips.tau_stdp, SATURATION)
        self.rule = rule
        self.processor = Processor([Task(self._program)], keys)
        self._train = Events.regular(np.zeros(self.n, int), 1.0, 10.0, 20)

    def start(self) -> Play:
        """A new game, nothing expected."""
        words = random_words(self.keys, 0, 3, place=2**30)
        return Play(
            pong.serve(words),
            self.rule.init(self.n, CELLS),
            np.zeros((self.n, CELLS), np.uint8),
            np.zeros(self.n, np.int64),
            np.zeros(self.n, np.int64),
        )

    def iterate(
        self, play: Play, weights: NDArray[np.uint8], time: int
    ) -> tuple[Play, NDArray[np.uint8]]:
        """One iteration: the ball is seen, the network runs, the processor acts and learns."""
        record = self.answer(weights, pong.cell(play.game.y), time)
        seen = record.observables(time, self.sensors, weights)
        (play,), seen = self.processor.step((play,), seen)
        return play, seen.weights

    def answer(self, weights: NDArray[np.uint8], row: NDArray[np.integer], time: int, record=False):
        """An episode in which each chip sees the ball in a given cell, shape (chips,)."""
        events = Events(self._train.times, np.repeat(row[:, None], 20, axis=1))
        currents = current(weights) * self.chips.gains
        return self.episodes.run(events, currents, time, sensors=self.sensors, record=record)

    def _program(self, play: Play, seen: Observables) -> tuple[Play, Writes]:
        row = pong.cell(play.game.y)
        target = pong.decide(seen.counts, seen.random)
        reward = rewards(np.abs(target - row), pong.LEVELS)
        expected, weights = self.rule.update(play.expected, reward, row, seen.causal, seen.weights)
        rewarded = play.rewarded.copy()
        rewarded[np.arange(self.n), row] = reward > 0
        game, outcome = pong.step(play.game, target, seen.random)
        returned, missed = play.returned + (outcome > 0), play.missed + (outcome < 0)
        return Play(game, expected, rewarded, returned, missed), Writes(weights=weights)


def first_weights(chips: int, seed: int) -> NDArray[np.uint8]:
    """Weights before learning, shape (chips, rows, neurons)."""
    rng = np.random.default_rng([seed, 14])
    drawn = np.rint(rng.normal(W_MEAN, W_SPREAD, (chips, CELLS, CELLS)))
    return np.clip(drawn, 0, 63).astype(np.uint8)


def learn(
    player: Player,
    play: Play,
    weights: NDArray[np.uint8],
    iterations: int,
    every: int,
    label: str,
    session,
    start: int = 0,
) -> tuple[Play, NDArray[np.uint8], dict[str, NDArray[np.float64]]]:
    """Play on.

    Args:
        player: The chips.
        play: Where they are.
        weights: Shape (chips, rows, neurons).
        iterations: How many, a multiple of `every`.
        every: How often is written down how it goes.
        label: Of the loop.
        session: The laboratory's.
        start: Number of the first iteration.

    Returns:
        State and weights at the end, and for each chip the mean expected reward and the
        performance, over the states that were visited, shape (points, chips).
    """

    def some(state, i):
        play, weights = state
        for time in range(start + i * every, start + (i + 1) * every):
            play, weights = player.iterate(play, weights, time)
        return (play, weights), {"reward": mean_reward(play), "performance": performance(play)}

    (play, weights), curves = session.loop(label, some, (play, weights), iterations // every)
    return play, weights, curves


def mean_reward(play: Play) -> NDArray[np.float64]:
    """Expected reward of each chip, mean over the states that were visited."""
    visited = play.expected >= 0
    return np.where(visited, play.expected, 0).sum(1) / visited.sum(1).clip(1) / 2**FRACTION


def performance(play: Play) -> NDArray[np.float64]:
    """Share of the visited states in which the last action was rewarded."""
    visited = play.expected >= 0
    return (play.rewarded * visited).sum(1) / visited.sum(1).clip(1)


def examined(
    player: Player, weights: NDArray[np.uint8], trials: int
) -> dict[str, NDArray[np.float64]]:
    """What the network does in every state while nothing is learned, shape (chips,).

    Args:
        player: The chips.
        weights: Shape (chips, rows, neurons).
        trials: For each state.

    Returns:
        Mean reward, and the share of actions that are rewarded.
    """
    reward = np.zeros((player.n, trials, CELLS), np.int16)
    for k in range(CELLS):
        for trial in range(trials):
            time = _EXAMINED + k * trials + trial
            counts = player.answer(weights, np.full(player.n, k), time).counts
            target = pong.decide(counts, random_words(player.keys, time, CELLS))
            reward[:, trial, k] = rewards(np.abs(target - k), pong.LEVELS)
    return {
        "reward": reward.mean((1, 2)) / 2**FRACTION,
        "performance": (reward > 0).mean((1, 2)),
    }


def excitability(player: Player, weight: int, trials: int) -> NDArray[np.float64]:
    """Rate of every neuron that only its diagonal synapse excites [Hz], shape (chips, neurons)."""
    weights = np.full((player.n, CELLS, CELLS), weight, np.uint8)
    total = np.zeros((player.n, CELLS))
    for k in range(CELLS):
        for trial in range(trials):
            time = _EXCITED + k * trials + trial
            total[:, k] += player.answer(weights, np.full(player.n, k), time).counts[:, k]
    return total / trials / (1e-3 * DURATION)


def at(curve: NDArray[np.float64], iterations: int, every: int) -> NDArray[np.float64]:
    """Row of a curve after some iterations, the last one if it ended before."""
    return curve[min(iterations // every, len(curve)) - 1]
