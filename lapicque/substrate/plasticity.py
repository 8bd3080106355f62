"""On-chip plasticity: correlation sensors in the synapses, and the processor that reads them.

The processor has small integers only. A plasticity program is a pure function

    state, observables -> state, writes

of arrays of such integers, called at scheduled times. Its sums and products saturate at the ends
of their type where others would wrap around; products are rounded to the nearest, since a processor
that rounds down takes half a step off a weight at every update. Leading axes are chips: they all
run the same program.

Source:
    What the processor of BrainScaleS-2 sees and does: published software of the platform. Its
    form as a pure function, and 32-bit random words, are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive, shape
from lapicque.substrate.draws import random_words

LARGEST_WEIGHT = 63  # 6 bits
LARGEST_READING = 255  # 8 bits, of counters and correlations
_PER_TASK = 2**20  # places of random words

# -- integers that saturate ----------------------------------------------------------------------


def saturated(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Whole numbers as a small integer type; those beyond its range become its nearest end."""
    info = np.iinfo(np.dtype(dtype))
    return np.minimum(np.maximum(values, info.min), info.max).astype(info.dtype)


def sat_add(a: NDArray[Any], b: ArrayLike) -> NDArray[Any]:
    """Sum in the type of `a`, of at most 16 bits."""
    return saturated(np.add(a, b, dtype=np.int32), a.dtype)


def sat_sub(a: NDArray[Any], b: ArrayLike) -> NDArray[Any]:
    """Difference in the type of `a`, of at most 16 bits."""
    return saturated(np.subtract(a, b, dtype=np.int32), a.dtype)


def sat_mul(a: NDArray[Any], b: ArrayLike, shift: int = 0) -> NDArray[Any]:
    """`a b / 2^shift` in the type of `a`, of at most 16 bits, rounded to the nearest.

    Halves are rounded up. The product is formed exactly before it is shifted.

    Raises:
        InputError: `shift` is not between 0 and 31.
    """
    if not 0 <= shift <= 31:
        in_range("shift", shift, 0, 31)
    product = np.multiply(a, b, dtype=np.int64)
    return saturated((product + ((1 << shift) >> 1)) >> shift, a.dtype)


# -- correlation sensors -------------------------------------------------------------------------


@njit(forceinline=True)
def at_post(t, pre, post, amplitude, tau, limit, causal):
    """Charge of the causal side after a postsynaptic spike at t.

    `pre` and `post` are the last spikes before. A presynaptic spike counts once: where `post` came
    after it, it is used up. One at the same time as `post` came after it.
    """
    if pre >= post and pre > -inf:
        return min(causal + amplitude * np.exp((pre - t) / tau), limit)
    return causal


@njit(forceinline=True)
def at_pre(t, pre, post, amplitude, tau, limit, acausal):
    """Charge of the acausal side after a presynaptic spike at t, see `at_post`."""
    if post > pre:
        return min(acausal + amplitude * np.exp((post - t) / tau), limit)
    return acausal


@dataclass(frozen=True, eq=False)
class CorrelationSensors:
    """Sensors that collect ``amplitude exp(-|t_post - t_pre| / tau)`` over pairs of spikes.

    Every synapse has two. The causal one pairs a postsynaptic spike with the last presynaptic one
    before it, if no other has been paired with that; the acausal one does so with the roles
    changed. Charge builds up until it is read, and no further than to `saturation`. Of spikes at
    the same time the postsynaptic one comes first.

    Attributes:
        amplitude: Of a pair without delay, shape (..., rows, neurons). [LSB]
        tau: Likewise. [ms]
        saturation: The largest charge. [LSB]

    Raises:
        InputError: A value is not positive, or the shapes of `amplitude` and `tau` differ.

    Example:
        >>> sensors = CorrelationSensors(np.full((1, 1), 36.0), np.full((1, 1), 64.0), 128.0)
        >>> sensors.read(sensors.collect([10.0], [13.0]))  # 34.35
        array([[34]], dtype=uint8)

    Source:
        Nearest-neighbour pairing, one pair for each presynaptic interval, as the released code of
        Wunderlich et al. (2019) has it, there causal only, with 36 LSB, 64 ms and 128 LSB.
    """

    amplitude: NDArray[np.float64]
    tau: NDArray[np.float64]
    saturation: float = inf

    def __post_init__(self) -> None:
        for name, unit in (("amplitude", "LSB"), ("tau", "ms")):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), float))
            positive(name, getattr(self, name), unit)
        shape("tau", self.tau, self.amplitude.shape)
        if not self.saturation > 0:
            positive("saturation", self.saturation, "LSB")

    @classmethod
    def drawn(
        cls,
        size: tuple[int, ...],
        rng: np.random.Generator,
        *,
        amplitude: float,
        tau: float,
        saturation: float = inf,
        spread: float = 0.0,
    ) -> CorrelationSensors:
        """Sensors with a fixed pattern.

        Args:
            size: Shape (..., rows, neurons).
            rng: Randomness of the pattern.
            amplitude: Median. [LSB]
            tau: Median. [ms]
            saturation: Of all. [LSB]
            spread: Standard deviation of the logarithms of both.
        """
        in_range("spread", spread, 0)
        draws = np.exp(spread * rng.standard_normal((2, *size)))
        return cls(amplitude * draws[0], tau * draws[1], saturation)

    def collect(
        self, pre: ArrayLike, post: ArrayLike, *, acausal: bool = False
    ) -> NDArray[np.float64]:
        """Charge that spikes leave behind, the same spikes at all synapses [LSB].

        Args:
            pre: Presynaptic spikes, ascending. [ms]
            post: Postsynaptic spikes, ascending. [ms]
            acausal: The other sensor.
        """
        charge = np.zeros(self.amplitude.shape)
        _collect(
            np.asarray(pre, float),
            np.asarray(post, float),
            self.amplitude.ravel(),
            self.tau.ravel(),
            float(self.saturation),
            acausal,
            charge.reshape(-1),
        )
        return charge

    def read(self, charge: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Digital reading: rounded to whole LSB, at most 255."""
        return np.minimum(np.rint(charge), LARGEST_READING).astype(np.uint8)


@njit(cache=True, error_model="numpy")
def _collect(pre, post, amplitude, tau, limit, acausal, charge):
    for k in range(charge.size):
        last_pre, last_post = -inf, -inf
        i, j = 0, 0
        while i < pre.size or j < post.size:
            if j < post.size and (i == pre.size or post[j] <= pre[i]):
                if not acausal:
                    charge[k] = at_post(
                        post[j], last_pre, last_post, amplitude[k], tau[k], limit, charge[k]
                    )
                last_post = post[j]
                j += 1
            else:
                if acausal:
                    charge[k] = at_pre(
                        pre[i], last_pre, last_post, amplitude[k], tau[k], limit, charge[k]
                    )
                last_pre = pre[i]
                i += 1


# -- the processor -------------------------------------------------------------------------------


class Observables(NamedTuple):
    """What a program sees. Counters and sensors count from the last time they were read."""

    time: int  # number of the episode
    counts: NDArray[np.uint8]  # (chips, neurons): spikes, at most 255
    causal: NDArray[np.uint8]  # (chips, rows, neurons) [LSB]
    acausal: NDArray[np.uint8]  # (chips, rows, neurons) [LSB]
    weights: NDArray[np.uint8]  # (chips, rows, neurons)
    labels: NDArray[np.uint8]  # (chips, rows, neurons)
    random: NDArray[np.uint32]  # (chips, neurons): random words, new at every call


class Writes(NamedTuple):
    """What a program writes; `None` leaves it as it is."""

    weights: NDArray[np.uint8] | None = None
    labels: NDArray[np.uint8] | None = None


Program = Callable[[Any, Observables], tuple[Any, Writes]]


@dataclass(frozen=True)
class Task:
    """A program and when it runs: at `first`, and every `period` episodes from there.

    Raises:
        InputError: A number is out of range.
    """

    program: Program
    period: int = 1
    first: int = 0

    def __post_init__(self) -> None:
        in_range("period", self.period, 1)
        in_range("first", self.first, 0)

    def due(self, time: int) -> bool:
        """Whether it runs after this episode."""
        return time >= self.first and (time - self.first) % self.period == 0


class Processor:
    """Runs tasks, those that are due at the same time in the order of their deadlines.

    The deadline of a call is the next one of the same task. What a task writes, the next one sees.

    Args:
        tasks: Of equal deadlines, those named first run first.
        keys: Of the chips' randomness, see `lapicque.spiking.random.chain_keys`.

    Example:
        >>> def decay(state, seen):  # a step off every weight, none below 0
        ...     return state, Writes(weights=sat_sub(seen.weights, 1))
        >>> processor = Processor([Task(decay, period=10)], chain_keys(0, np.arange(4)))
    """

    def __init__(self, tasks: list[Task] | tuple[Task, ...], keys: NDArray[np.uint32]):
        self.tasks, self.keys = tuple(tasks), keys

    def step(
        self, states: tuple[Any, ...], observables: Observables
    ) -> tuple[tuple[Any, ...], Observables]:
        """Run what is due.

        Args:
            states: Of the tasks, in their order.
            observables: What there is to see; `random` is replaced for each task.

        Returns:
            New states, and the observables with what was written.

        Raises:
            InputError: A task wrote weights or labels of another type, of another shape, or
                above 63.
        """
        time, new = observables.time, list(states)
        due = [k for k, task in enumerate(self.tasks) if task.due(time)]
        n = observables.counts.shape[-1]
        for k in sorted(due, key=lambda k: self.tasks[k].period):
            words = random_words(self.keys, time, n, place=k * _PER_TASK)
            seen = observables._replace(random=words)
            new[k], writes = self.tasks[k].program(new[k], seen)
            for name, values in writes._asdict().items():
                if values is not None:
                    _writable(name, values, getattr(observables, name))
                    observables = observables._replace(**{name: values})
        return tuple(new), observables


def _writable(name: str, values: NDArray[Any], before: NDArray[np.uint8]) -> None:
    if values.dtype != np.uint8:
        raise InputError(f"A program wrote `{name}` as {values.dtype}; they must be uint8.")
    shape(name, values, before.shape)
    if values.max(initial=0) > LARGEST_WEIGHT:
        in_range(name, values, 0, LARGEST_WEIGHT, hint="Weights and labels have 6 bits.")


# -- reward-modulated plasticity -----------------------------------------------------------------

FRACTION = 12
"""Bits of a reward after the binary point: 1 is 4096."""


@dataclass(frozen=True)
class RewardModulated:
    """Reward-modulated STDP in 16-bit integers.

    A row of synapses stands for a state of the world. After an episode in state k with reward R,

        delta = R - E[k];   E[k] += delta / 2;   w[k, j] += A[k, j] delta / 2^rate_shift

    where E is the expected reward, a running mean that begins with the first reward of the state
    (so the first visit changes nothing), and A the causal correlation. Changes of weights are
    rounded to the nearest; weights stay within `lowest` and 63.

    Attributes:
        rate_shift: The learning rate is 2^-rate_shift per LSB of correlation.
        lowest: The smallest weight; where 0 switches a synapse off, 1 keeps it alive.

    Raises:
        InputError: `rate_shift` is not between 0 and 15, or `lowest` not between 0 and 63.

    Source:
        Wunderlich et al. (2019), constants from their released code: learning rate 1/8, factor
        1/2. That weights do not fall below 0 is the chip's; the code lets them.
    """

    rate_shift: int = 3
    lowest: int = 0

    def __post_init__(self) -> None:
        in_range("rate_shift", self.rate_shift, 0, 15)
        in_range("lowest", self.lowest, 0, LARGEST_WEIGHT)

    def init(self, chips: int, rows: int) -> NDArray[np.int16]:
        """Expected rewards, shape (chips, rows); a negative one has not been visited."""
        return np.full((chips, rows), -1, np.int16)

    def update(
        self,
        expected: NDArray[np.int16],
        reward: NDArray[np.int16],
        row: NDArray[np.integer],
        correlation: NDArray[np.uint8],
        weights: NDArray[np.uint8],
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """After an episode.

        Args:
            expected: Shape (chips, rows), in units of 2^-FRACTION.
            reward: Shape (chips,), likewise.
            row: The state of each chip's world.
            correlation: Of all synapses, shape (chips, rows, neurons). [LSB]
            weights: Likewise.

        Returns:
            New expected rewards and weights.
        """
        chips = np.arange(len(row))
        before = expected[chips, row]
        before = np.where(before < 0, reward, before)
        delta = sat_sub(reward, before)
        expected = expected.copy()
        expected[chips, row] = sat_add(before, sat_mul(delta, 1, 1))
        eligibility = correlation[chips, row].astype(np.int16)
        change = sat_mul(eligibility, delta[:, None], FRACTION + self.rate_shift)
        weights = weights.copy()
        moved = sat_add(change, weights[chips, row])
        weights[chips, row] = np.clip(moved, self.lowest, LARGEST_WEIGHT)
        return expected, weights


def rewards(distance: NDArray[np.integer], levels: ArrayLike) -> NDArray[np.int16]:
    """Reward by distance from the goal, in units of 2^-FRACTION.

    Args:
        distance: Any shape, not negative.
        levels: Rewards of distances 0, 1, ...; farther away there is none.

    Raises:
        InputError: A level is below 0 or too large for 16 bits.
    """
    levels = np.asarray(levels, float)
    in_range("levels", levels, 0, (2**15 - 1) / 2**FRACTION)
    table = np.append(np.rint(levels * 2**FRACTION), 0).astype(np.int16)
    return table[np.minimum(distance, len(levels))]
