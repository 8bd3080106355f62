"""Learning from errors: the potential of a student is to follow that of a teacher.

Both are leaky neurons with the same Poisson input and other weights. Each synapse of the student
changes by the filtered value of a rule f(v, u, p) of the teacher's potential v (an evolved rule
sees it held for some time), its own potential u, and the response p to its own input. Fitness is
minus the distance between the two potentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import in_range, one_of, positive
from lapicque.evolve.genome import Grid
from lapicque.evolve.primitives import Add, Div, Mul, Sub, constant
from lapicque.evolve.program import Program, parse, value_at
from lapicque.evolve.tasks._neuron import E_L, propagators, steps_of

Floats = NDArray[np.float64]

SIGNALS = ("v", "u", "p")
"""Potential of the teacher and of the student [mV, absolute], response to the input [mV/pA]."""

GRADIENT = parse("(v - u) * p", SIGNALS)
"""Gradient descent on the squared difference of potentials (Urbanczik and Senn 2014)."""

_SAMPLE = 1.0  # ms, between the samples of the distance


@dataclass(frozen=True)
class ErrorTask:
    """Fitness of rules that learn from a target potential.

    A delay of the input would shift everything alike; there is none.

    Attributes:
        experiments: With other rates, inputs and teachers each.
        duration: Of an experiment [ms].
        transient: After which the distance counts [ms].
        n: Inputs.
        rates: Lowest and highest rate of an input [Hz].
        teacher: Lowest and highest weight of the teacher [pA].
        start: Weights of the student at the beginning [pA].
        eta: Learning rate [pA/ms per unit of the rule].
        tau: With which changes of weights are filtered [ms].
        hold: How long the student sees the same target before it is sampled again [ms]. As
            published; it sets a floor to the distance.
        h: Step [ms], also that in which the published 0.01 ms is replaced by a coarser one.
        seed: Of everything random. A rule gives the same result each time.

    Raises:
        InputError: A value is out of range, or a time is no multiple of `h`.

    Source: Jordan et al. (2021), the authors' code.
    """

    experiments: int = 15
    duration: float = 10_000.0
    transient: float = 1000.0
    n: int = 5
    rates: tuple[float, float] = (150.0, 850.0)
    teacher: tuple[float, float] = (-5.0, 35.0)
    start: float = 5.0
    eta: float = 1.7
    tau: float = 100.0
    hold: float = 5.0
    h: float = 0.1
    seed: int = 1235

    def __post_init__(self) -> None:
        for name in ("experiments", "n"):
            in_range(name, getattr(self, name), 1)
        in_range("rates", self.rates, 0, unit="Hz")
        for name in ("teacher", "start", "eta"):
            in_range(name, getattr(self, name))
        for name in ("h", "tau", "hold"):
            positive(name, getattr(self, name), "ms")
        in_range("transient", self.transient, 0, self.duration, "ms")
        in_range("seed", self.seed, 0)
        for name, time in (
            ("duration", self.duration), ("hold", self.hold), ("time between samples", _SAMPLE)
        ):  # fmt: skip
            steps_of(name, time, self.h)

    def grid(self) -> Grid:
        """Of the published search: 12 nodes, four operations, the constant 1."""
        return Grid(SIGNALS, (Add, Sub, Mul, Div, constant(1)), columns=12)

    def __call__(self, rule: Program) -> float:
        """Minus the root of the summed squared differences of potentials [mV], one each ms after
        the transient, mean over experiments; `nan` if something stops being finite.

        The sum is not divided by the number of samples, as published.
        """
        return float(-self.distances(rule).mean())

    def distances(self, rule: Program) -> Floats:
        """Distance of potentials in each experiment [mV], shape (experiments,)."""
        found = (self.learn(k, rule)[0] for k in range(self.experiments))
        late = round(self.transient / _SAMPLE)
        return np.array([np.sqrt(np.sum(np.diff(uv[late:], axis=1) ** 2)) for uv in found])

    def rms(self, distance: float) -> float:
        """Root mean squared difference of potentials [mV] of which a distance is the sum."""
        return distance / np.sqrt(steps_of("duration", self.duration, _SAMPLE)
                                  - round(self.transient / _SAMPLE))  # fmt: skip

    def learn(self, k: int, rule: Program) -> tuple[Floats, Floats, Floats]:
        """Run an experiment.

        Args:
            k: Which experiment.
            rule: With the inputs `SIGNALS`.

        Returns:
            Potentials of student and teacher relative to rest at each ms [mV], shape (times, 2);
            weights of the student at each ms [pA], shape (times, n); and of the teacher, (n,).

        Raises:
            InputError: The rule has other inputs, or there is no such experiment.
        """
        one_of("rule.inputs", rule.inputs, (SIGNALS,))
        in_range("k", k, 0, self.experiments - 1)
        codes, arguments, values, outputs = rule.arrays
        counts, teacher = _instance(self, k)
        every = steps_of("time between samples", _SAMPLE, self.h)
        potentials = np.full((len(counts) // every, 2), np.nan)
        weights = np.full((len(counts) // every, self.n), np.nan)
        _learn(
            codes, arguments, values, outputs[0], counts, teacher, np.full(self.n, self.start),
            propagators(self.h), exp(-self.h / self.tau), self.eta * self.h,
            steps_of("hold", self.hold, self.h), every, potentials, weights,
        )  # fmt: skip
        return potentials, weights, teacher


@lru_cache(maxsize=64)
def _instance(task: ErrorTask, k: int) -> tuple[NDArray[np.uint8], Floats]:
    """Input spikes of each step, shape (steps, n), and weights of the teacher."""
    rng = np.random.default_rng([task.seed, k])
    rates = rng.uniform(*task.rates, task.n)
    teacher = rng.uniform(*task.teacher, task.n)
    steps = steps_of("duration", task.duration, task.h)
    return rng.poisson(rates * task.h * 1e-3, (steps, task.n)).astype(np.uint8), teacher


@njit(cache=True, error_model="numpy")
def _learn(
    codes, arguments, values, output, counts, teacher, weights, propagators, keep, eta, hold, every,
    potentials, history,
):  # fmt: skip
    p11, p22, p21 = propagators
    steps, n = counts.shape
    psp, current, change = np.zeros(n), np.zeros(n), np.zeros(n)
    inputs, work = np.empty(3), np.empty(codes.size)
    u = i = held = 0.0
    for t in range(steps):
        u = u * p22 + i * p21
        i *= p11
        target = 0.0
        for j in range(n):
            psp[j] = psp[j] * p22 + current[j] * p21
            current[j] = current[j] * p11 + counts[t, j]
            i += weights[j] * counts[t, j]
            target += teacher[j] * psp[j]
        if t % hold == 0:
            held = target
        inputs[0], inputs[1] = held + E_L, u + E_L
        for j in range(n):
            inputs[2] = psp[j]
            value = value_at(codes, arguments, values, output, inputs, work)
            change[j] = change[j] * keep + (1 - keep) * value
            weights[j] += eta * change[j]
        if t % every == 0:
            if not np.isfinite(u):
                return
            potentials[t // every, 0], potentials[t // every, 1] = u, target
            history[t // every] = weights
