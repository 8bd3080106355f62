"""Learning from reward: a neuron is told whether it classified a pattern of spikes correctly.

In a trial the neuron sees one of some frozen patterns and answers with spikes or with silence. A
reward R of +1 or -1 follows, and each synapse changes by ``eta f(R, E)``, where E is its
eligibility trace. Fitness of the rule f is the reward summed over all trials.

Between two rewards the weights rest, so no synapse needs a simulation of its own: its trace is a
sum over its input spikes of one filtered signal of the neuron, found by running backwards once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import in_range, one_of, positive
from lapicque.evolve.genome import Grid
from lapicque.evolve.primitives import Add, Div, Mul, Sub, constant
from lapicque.evolve.program import Program, parse, value_at
from lapicque.evolve.tasks._neuron import E_L, V_THRESH, propagators, steps_of
from lapicque.spiking.random import chain_keys, philox

Floats = NDArray[np.float64]

SIGNALS = (("R", "E"), ("R", "E", "m"), ("R", "E", "p", "n"))
"""What a rule can read: reward and eligibility; also the mean reward m; or, in its place, the means
p of positive and n of negative rewards, with p + n = m."""

URBANCZIK_SENN = parse("(R - 1) * E", SIGNALS[0])
"""Learning from mistakes alone, designed by hand (Urbanczik and Senn 2009)."""

_GAP = V_THRESH - E_L
_RHO, _DELTA = 0.01, 0.2  # 1/s, mV: how the neuron escapes
_REFRACTORY, _DELAY = 2.0, 1.0  # ms
_NEVER = -30.0  # a spike is less likely than 1e-18 in a step of 0.1 ms
_PUBLISHED_STEP = 0.01  # ms, in which the unit of the trace is defined


@dataclass(frozen=True)
class Eligibility:
    """How traces are made, ``E <- E q + (1 - q) gain / delta PSP (s - phi(V) h)`` with
    ``phi = rho exp((V - threshold) / delta)`` and ``q = exp(-h / tau)``.

    As published, the synapse takes the neuron for a smoother one than it is, and a factor of 1e9
    has no reason given. The factor fits the published learning rate, and the smoothness is needed:
    with `consistent`, which takes the neuron as it is, the rule of Urbanczik and Senn hardly
    learns, since chance alone does not bring so sharp a threshold to explore. `phi(V) h` is a
    probability and limited to 1, which the published code does not do; it matters only where
    weights explode.

    Attributes:
        tau: Time constant [ms].
        delta: Width of the escape that the synapse assumes [mV].
        rho: Rate at threshold that the synapse assumes [1/ms].
        gain: Factor, for the trace of a step of 0.01 ms.

    Raises:
        InputError: A value is not positive.

    Source: Jordan et al. (2021), the authors' code.
    """

    tau: float = 500.0
    delta: float = 5.0
    rho: float = 0.01
    gain: float = 1e9

    def __post_init__(self) -> None:
        positive("tau", self.tau, "ms")
        positive("delta", self.delta, "mV")
        positive("rho", self.rho, "1/ms")
        positive("gain", self.gain)

    @classmethod
    def consistent(cls) -> Eligibility:
        """With the escape of the neuron itself; the gain makes a spike count as much."""
        return cls(delta=_DELTA, rho=1e-3 * _RHO, gain=1e9 * _DELTA / cls.delta)


class _Instance(NamedTuple):
    """An experiment: input spikes of all patterns by arrival, and what is drawn at the start."""

    start: NDArray[np.int64]  # (patterns + 1,)
    step: NDArray[np.int64]
    synapse: NDArray[np.int64]
    labels: Floats
    sequence: NDArray[np.int64]
    weights: Floats
    key: int


@dataclass(frozen=True)
class RewardTask:
    """Fitness of rules that learn from reward.

    Attributes:
        signals: What a rule reads, one of `SIGNALS`.
        experiments: With other patterns, labels and initial weights each.
        trials: In an experiment.
        patterns: To be learned, each with a label of +1 or -1.
        n: Inputs, of which each is connected with probability `connected`.
        duration: Of a pattern [ms].
        rate: Of each input [Hz].
        spread: Standard deviation of the initial weights [pA].
        eta: Learning rate [pA].
        memory: Trials over which the means m, p and n forget.
        eligibility: How traces are made.
        h: Step [ms]. Traces are rescaled so that they do not depend on it.
        seed: Of everything random. A rule gives the same result each time.

    Raises:
        InputError: A value is out of range, or a time is no multiple of `h`.

    Source: Jordan et al. (2021), preprint version, the authors' code; m, p and n after the later
        version, whose details are not verified.
    """

    signals: tuple[str, ...] = ("R", "E")
    experiments: int = 10
    trials: int = 500
    patterns: int = 30
    n: int = 50
    connected: float = 0.8
    duration: float = 500.0
    rate: float = 6.0
    spread: float = 1000.0
    eta: float = 10.0
    memory: float = 100.0
    eligibility: Eligibility = Eligibility()
    h: float = 0.1
    seed: int = 11231

    def __post_init__(self) -> None:
        one_of("signals", self.signals, SIGNALS)
        for name in ("experiments", "trials", "patterns", "n"):
            in_range(name, getattr(self, name), 1)
        in_range("connected", self.connected, 0, 1)
        in_range("rate", self.rate, 0, unit="Hz")
        in_range("spread", self.spread, 0, unit="pA")
        in_range("eta", self.eta, unit="pA")
        in_range("memory", self.memory, 1, unit="trials")
        in_range("seed", self.seed, 0)
        positive("h", self.h, "ms")
        for name, time in (("duration", self.duration), ("delay", _DELAY)):
            steps_of(name, time, self.h)

    def grid(self) -> Grid:
        """Of the published search: 5 nodes, four operations, constants 1, 0.1 and 10."""
        return Grid(
            self.signals, (Add, Sub, Mul, Div, constant(1), constant(0.1), constant(10)), columns=5
        )

    def __call__(self, rule: Program) -> float:
        """Reward summed over trials, mean over experiments; `nan` if a weight stops being finite.

        The best possible value is the number of trials.
        """
        return float(self.rewards(rule).sum(1).mean())

    def rewards(self, rule: Program) -> Floats:
        """Reward of each trial, shape (experiments, trials).

        Raises:
            InputError: The rule has other inputs than the task.
        """
        one_of("rule.inputs", rule.inputs, (self.signals,))
        codes, arguments, values, outputs = rule.arrays
        return np.stack(
            [
                _experiment(
                    codes, arguments, values, outputs[0], len(self.signals), *instance,
                    *self._constants(),
                )
                for instance in _instances(self)
            ]
        )  # fmt: skip

    def _constants(self) -> tuple:
        e, h = self.eligibility, self.h
        q = exp(-h / e.tau)
        factor = (1 - q) * e.gain / e.delta * _PUBLISHED_STEP / h
        trace = (q, factor, e.delta, e.rho * h)
        return (
            steps_of("duration", self.duration, h), round(_REFRACTORY / h), propagators(h), h,
            trace, self.eta, 1 / self.memory,
        )  # fmt: skip


@lru_cache(maxsize=8)
def _instances(task: RewardTask) -> list[_Instance]:
    found = []
    keys = chain_keys(task.seed, np.arange(task.experiments))
    delay, steps = round(_DELAY / task.h), steps_of("duration", task.duration, task.h)
    for k in range(task.experiments):
        rng = np.random.default_rng([task.seed, k])
        linked = rng.random(task.n) < task.connected
        counts = rng.poisson(task.rate * task.duration * 1e-3, (task.patterns, task.n))
        pattern = np.repeat(np.arange(task.patterns), counts.sum(1))
        source = np.repeat(np.tile(np.arange(task.n), task.patterns), counts.ravel())
        step = np.floor(rng.uniform(0, task.duration, source.size) / task.h).astype(np.int64)
        step += delay
        seen = linked[source] & (step < steps)
        pattern, source, step = pattern[seen], source[seen], step[seen]
        order = np.lexsort((source, step, pattern))
        number = np.cumsum(linked) - 1
        found.append(
            _Instance(
                np.searchsorted(pattern[order], np.arange(task.patterns + 1)),
                step[order],
                number[source[order]],
                rng.choice((-1.0, 1.0), task.patterns),
                rng.integers(0, task.patterns, task.trials),
                rng.normal(0, task.spread, int(linked.sum())),
                int(keys[k]),
            )
        )
    return found


@njit(cache=True, error_model="numpy")
def _experiment(
    codes, arguments, values, output, n_signals, start, step, synapse, labels, sequence, initial,
    key, steps, refractory, propagators, h, trace, eta, forgetting,
):  # fmt: skip
    weights, eligibility = initial.copy(), np.empty(initial.size)
    surprise = np.empty(steps)
    rewards = np.empty(sequence.size)
    inputs, work = np.empty(n_signals), np.empty(codes.size)
    good = bad = 0.0
    for trial in range(sequence.size):
        pattern = sequence[trial]
        low, high = start[pattern], start[pattern + 1]
        spikes = respond(
            step[low:high], synapse[low:high], weights, propagators, h, refractory, trace, key,
            trial, surprise,
        )  # fmt: skip
        reward = labels[pattern] if spikes > 0 else -labels[pattern]
        rewards[trial] = reward
        eligibilities(step[low:high], synapse[low:high], surprise, propagators, trace, eligibility)
        inputs[0] = reward
        if n_signals == 3:
            inputs[2] = good + bad
        elif n_signals == 4:
            inputs[2], inputs[3] = good, bad
        for j in range(weights.size):
            inputs[1] = eligibility[j]
            weights[j] += eta * value_at(codes, arguments, values, output, inputs, work)
            if not np.isfinite(weights[j]):
                rewards[trial:] = np.nan
                return rewards
        good += forgetting * (max(reward, 0.0) - good)
        bad += forgetting * (min(reward, 0.0) - bad)
    return rewards


@njit(cache=True, error_model="numpy")
def respond(
    step, synapse, weights, propagators, h, refractory, trace, key, trial, surprise
):  # fmt: skip
    """Run the neuron from rest through a pattern.

    Args:
        step, synapse: Input spikes by their step of arrival.
        weights: Of the synapses [pA].
        propagators: Of the step `h` [ms].
        refractory: Steps of rest after a spike.
        trace: `(q, factor, delta, rho h)`, see `Eligibility`.
        key, trial: On which random numbers depend.
        surprise: Receives `s - phi(V) h` of each step.

    Returns:
        Number of spikes.
    """
    p11, p22, p21 = propagators
    u = i = passed = 0.0
    resting = spikes = at = 0
    limit = _exponential(0, trial, key)
    for t in range(surprise.size):
        if resting > 0:
            resting -= 1
        else:
            u = u * p22 + i * p21
        i *= p11
        while at < step.size and step[at] == t:
            i += weights[synapse[at]]
            at += 1
        above = u - _GAP
        fires = 0.0
        if resting == 0 and above > _NEVER * _DELTA:
            # the probability of a spike in this step is p; hazards add up to an exponential limit
            p = _RHO * np.exp(min(above / _DELTA, 700.0)) * h * 1e-3
            passed += -np.log1p(-p) if p < 1 else np.inf
            if passed >= limit:
                fires = 1.0
        surprise[t] = fires - min(trace[3] * np.exp(min(above / trace[2], 700.0)), 1.0)
        if fires > 0:
            spikes += 1
            limit, passed = _exponential(spikes, trial, key), 0.0
            u, resting = 0.0, refractory
    return spikes


@njit(cache=True, error_model="numpy")
def eligibilities(step, synapse, surprise, propagators, trace, out):
    """Eligibility traces at the end of a trial, by the adjoint of the synaptic response.

    Args:
        step, synapse: Input spikes by their step of arrival.
        surprise: See `respond`.
        propagators: Of a step.
        trace: `(q, factor, delta, rho h)`, see `Eligibility`.
        out: Receives the trace of each synapse.
    """
    p11, p22, p21 = propagators
    out[:] = 0.0
    at, decay = step.size - 1, trace[1]
    of_u = of_i = 0.0
    for t in range(surprise.size - 1, -1, -1):
        of_i = p21 * of_u + p11 * of_i
        of_u = decay * surprise[t] + p22 * of_u
        decay *= trace[0]
        while at >= 0 and step[at] == t:
            out[synapse[at]] += of_i
            at -= 1


@njit(cache=True)
def _exponential(number, trial, key):
    """A random number with mean 1 that depends on its arguments alone."""
    word, _ = philox(number, trial, key)
    return -np.log((np.float64(word) + 0.5) / 4294967296.0)
