"""Learning from correlations: a neuron finds out which pattern of spikes comes again and again.

Noise arrives at a thousand synapses; a frozen piece of it returns every half second. Weights
change at spikes: at a presynaptic one by a rule of the weight and the trace of postsynaptic spikes,
at a postsynaptic one by a rule of the weight and the trace of the synapse's own input. Fitness is
how far the potential rises above its fluctuations when the pattern is there, the threshold removed.

The simulation goes from event to event; nothing happens in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import in_range, one_of, positive
from lapicque.evolve.genome import Grid
from lapicque.evolve.primitives import Add, Div, Mul, Pow, Sub, constant
from lapicque.evolve.program import Program, operate, parse, value_at
from lapicque.evolve.tasks._neuron import steps_of

Floats = NDArray[np.float64]

SIGNALS = ("w", "E")
"""Weight [mV, at most 1] and trace."""

HOMEOSTATIC = parse("0", SIGNALS), parse("E - 0.15", SIGNALS)
"""Homeostatic plasticity, designed by hand: the trace minus a constant at each postsynaptic spike,
nothing at presynaptic ones (Masquelier 2017). With `clip="both"`, for 200 s."""

UNCHANGED = parse("0", SIGNALS), parse("0", SIGNALS)
"""No learning."""

_TAU_M, _TAU_TRACE, _THRESHOLD = 18.0, 20.0, 20.0  # ms, ms, mV
_REFRACTORY, _DELAY = 2.0, 1.0  # ms
_FIRST = 400.1  # ms, onset of the first pattern
_TESTED = 11_000.0  # ms
_CLIPS = ("published", "both")


class Input(NamedTuple):
    """Spikes of an experiment, sorted by time.

    Attributes:
        step: When, in steps.
        source: Which input.
        onsets: Of the pattern, in steps.
        takes_part: Which inputs fire in the pattern, shape (n,).
    """

    step: NDArray[np.int64]
    source: NDArray[np.int64]
    onsets: NDArray[np.int64]
    takes_part: NDArray[np.bool_]


@dataclass(frozen=True)
class CorrelationTask:
    """Fitness of pairs of rules that learn from correlations.

    Attributes:
        experiments: With another pattern, noise and initial weight each.
        duration: Of learning [ms].
        n: Inputs.
        rate: Of the noise of each [Hz].
        pattern: Length of the pattern [ms].
        period: After which it returns [ms].
        start: Weight of all synapses at the beginning [mV], mean over experiments, and its
            standard deviation.
        eta: Learning rate.
        clip: As "published", facilitation ends at a weight of 1 and depression at 0, but not the
            other way round; with "both", both ends hold always.
        equalise: Whether inputs that take part in the pattern have less noise, so that all fire as
            often.
        h: Grid of spike times [ms].
        seed: Of everything random. Rules give the same result each time.

    Raises:
        InputError: A value is out of range, or a time is no multiple of `h`.

    Source: Jordan et al. (2021), the authors' code; task after Masquelier (2017).
    """

    experiments: int = 8
    duration: float = 100_000.0
    n: int = 1000
    rate: float = 3.0
    pattern: float = 100.0
    period: float = 500.0
    start: tuple[float, float] = (0.3844, 0.1)
    eta: float = 0.01
    clip: str = "published"
    equalise: bool = True
    h: float = 0.1
    seed: int = 11214124

    def __post_init__(self) -> None:
        for name in ("experiments", "n"):
            in_range(name, getattr(self, name), 1)
        positive("rate", self.rate, "Hz")
        positive("h", self.h, "ms")
        in_range("pattern", self.pattern, self.h, self.period - self.h, "ms")
        in_range("duration", self.duration, _FIRST + self.pattern, unit="ms")
        in_range("start", self.start, 0, unit="mV")
        in_range("eta", self.eta)
        one_of("clip", self.clip, _CLIPS)
        in_range("seed", self.seed, 0)
        for name, time in (
            ("duration", self.duration), ("pattern", self.pattern), ("period", self.period),
            ("delay", _DELAY),
        ):  # fmt: skip
            steps_of(name, time, self.h)

    def grids(self) -> tuple[Grid, Grid]:
        """Of the published search, for depression and facilitation: 5 nodes, five operations,
        constants 0.1, 1 and 10."""
        primitives = (Add, Sub, Mul, Div, Pow, constant(0.1), constant(1), constant(10))
        grid = Grid(SIGNALS, primitives, columns=5)
        return grid, grid

    def __call__(self, f_dep: Program, f_fac: Program) -> float:
        """The lowest signal-to-noise ratio over experiments; `nan` if a potential is not finite."""
        return float(self.ratios(f_dep, f_fac).min())

    def ratios(self, f_dep: Program, f_fac: Program) -> Floats:
        """Signal-to-noise ratio after learning, shape (experiments,), see `ratio`."""
        found = (self.learn(k, f_dep, f_fac)[0] for k in range(self.experiments))
        return np.array([self.ratio(k, weights) for k, weights in enumerate(found)])

    def input(self, k: int) -> Input:
        """Spikes of an experiment."""
        in_range("k", k, 0, self.experiments - 1)
        return _instance(replace(self, eta=0.0, clip="both", start=(0.0, 0.0)), k)

    def initial(self, k: int) -> float:
        """Weight of all synapses at the beginning of an experiment [mV]."""
        in_range("k", k, 0, self.experiments - 1)
        mean, spread = self.start
        drawn = np.random.default_rng([self.seed, k, 1]).normal(mean, spread)
        return float(np.clip(drawn, 0, 1))

    def learn(self, k: int, f_dep: Program, f_fac: Program) -> tuple[Floats, NDArray[np.int64]]:
        """Let the synapses learn.

        At a presynaptic spike a weight becomes ``w - eta f_dep(w, E)``, where E is the trace of
        postsynaptic spikes, at a postsynaptic spike, which is seen 1 ms later,
        ``w + eta f_fac(w, E)`` with the trace of the synapse's own spikes. What is not a number
        becomes a weight of 0.

        Args:
            k: Which experiment.
            f_dep, f_fac: Rules with the inputs `SIGNALS`.

        Returns:
            Weights, shape (n,), and when the neuron fired, in steps. Weights below 0, which a
            presynaptic spike would cut before the neuron saw them, are returned as 0.

        Raises:
            InputError: A rule has other inputs, or there is no such experiment.
        """
        for name, rule in (("f_dep", f_dep), ("f_fac", f_fac)):
            one_of(f"{name}.inputs", rule.inputs, (SIGNALS,))
        given = self.input(k)
        weights = np.full(self.n, self.initial(k))
        steps, rest = steps_of("duration", self.duration, self.h), round(_REFRACTORY / self.h)
        fired = np.empty(steps // (rest + 1) + 2, np.int64)
        count = _learn(
            *f_dep.arrays, *f_fac.arrays, given.step, given.source, steps, weights, self.eta,
            self.clip == "both", self.h, rest, round(_DELAY / self.h), fired,
        )  # fmt: skip
        return np.maximum(weights, 0.0), fired[:count]

    def potential(self, k: int, weights: Floats) -> Floats:
        """Potential without threshold at each step of the first 11 s [mV]."""
        given = self.input(k)
        steps = round(min(_TESTED, self.duration) / self.h)
        arrivals = np.zeros(steps)
        inside = given.step < steps
        np.add.at(arrivals, given.step[inside], weights[given.source[inside]])
        return _leak(arrivals, np.exp(-self.h / _TAU_M))

    def ratio(self, k: int, weights: Floats) -> float:
        """How far the highest potential in a pattern lies above the mean between patterns, in
        standard deviations between patterns; mean over the patterns of the first 11 s."""
        u = self.potential(k, weights)
        length = steps_of("pattern", self.pattern, self.h)
        onsets = self.input(k).onsets
        windows = onsets[onsets + length <= u.size, None] + np.arange(length)
        between = np.ones(u.size, bool)
        between[windows] = False
        spread = u[between].std()
        if not spread > 0:
            return 0.0 if spread == 0 else np.nan
        return float((u[windows].max(1).mean() - u[between].mean()) / spread)


@lru_cache(maxsize=64)
def _instance(task: CorrelationTask, k: int) -> Input:
    rng = np.random.default_rng([task.seed, k])
    first = rng.exponential(1e3 / task.rate, task.n)
    takes_part = first < task.pattern
    onsets = np.arange(_FIRST, task.duration - task.pattern + 1e-9, task.period)

    counts = rng.poisson(task.rate * task.duration * 1e-3, task.n)
    source = np.repeat(np.arange(task.n), counts)
    time = rng.uniform(0, task.duration, source.size)
    into = (time - _FIRST) % task.period
    inside = (into < task.pattern) & (time >= _FIRST) & (time < onsets[-1] + task.period)
    time, source = time[~inside], source[~inside]
    if task.equalise:
        alone = ~takes_part[source]
        left = np.bincount(source, minlength=task.n)
        begin = np.cumsum(left) - left
        in_pattern, in_noise = 1e3 / task.period, task.rate * (1 - task.pattern / task.period)
        wanted = (max(0.0, 1 - in_pattern / in_noise) * left * takes_part).astype(np.int64)
        drawn_for = np.repeat(np.arange(task.n), wanted)
        drawn = begin[drawn_for] + (rng.random(drawn_for.size) * left[drawn_for]).astype(np.int64)
        time = np.concatenate([time[alone], time[drawn]])
        source = np.concatenate([source[alone], drawn_for])
    members = np.flatnonzero(takes_part)
    time = np.concatenate([time, (onsets[:, None] + first[members]).ravel()])
    source = np.concatenate([source, np.tile(members, onsets.size)])
    step = np.maximum(1, np.rint(time / task.h)).astype(np.int64)
    order = np.lexsort((source, step))
    return Input(
        step[order], source[order], np.rint(onsets / task.h).astype(np.int64), takes_part
    )  # fmt: skip


@njit(cache=True)
def _leak(arrivals, keep):
    u = np.empty(arrivals.size)
    now = 0.0
    for t in range(arrivals.size):
        now = now * keep + arrivals[t]
        u[t] = now
    return u


@njit(cache=True, error_model="numpy")
def _learn(
    dep_codes, dep_arguments, dep_values, dep_outputs,
    fac_codes, fac_arguments, fac_values, fac_outputs,
    step, source, end, weights, eta, both, h, refractory, delay, fired,
):  # fmt: skip
    # Times are those of the synapses: there an input spike is one delay earlier than at the
    # soma, and a postsynaptic spike one delay later.
    n = weights.size
    traces, changes = np.zeros(n), np.empty((fac_codes.size, n))
    points = np.empty((2, n))
    inputs, work = np.empty(2), np.empty(dep_codes.size)
    waiting = np.empty(2 * delay // max(refractory, 1) + 2, np.int64)
    count = done = 0
    u, last, ready = 0.0, 0, 0
    since, trace, trace_at = 0, 0.0, 0
    k = 0
    while True:
        now = step[k] if k < step.size else end
        while done < count and waiting[done % waiting.size] + 2 * delay <= now:
            seen = waiting[done % waiting.size] + 2 * delay
            traces *= np.exp(-(seen - since) * h / _TAU_TRACE)
            since = seen
            points[0], points[1] = weights, traces
            _facilitate(
                fac_codes, fac_arguments, fac_values, fac_outputs[0], points, changes, weights,
                eta, both,
            )  # fmt: skip
            trace = 1.0 + trace * np.exp(-(seen - trace_at) * h / _TAU_TRACE)
            trace_at = seen
            done += 1
        if k == step.size:
            return count
        if (now - since) * h > 50 * _TAU_TRACE:
            traces *= np.exp(-(now - since) * h / _TAU_TRACE)
            since = now
        grows = np.exp((now - since) * h / _TAU_TRACE)
        # a postsynaptic spike seen at this very step is not part of the trace yet
        met, behind = trace, trace_at
        if trace_at == now and count > 0:
            met, behind = trace - 1.0, now
        inputs[1] = met * np.exp(-(now - behind) * h / _TAU_TRACE)
        u *= np.exp(-(now - last) * h / _TAU_M)
        last = now
        while k < step.size and step[k] == now:
            j = source[k]
            inputs[0] = weights[j]
            w = weights[j] - eta * value_at(
                dep_codes, dep_arguments, dep_values, dep_outputs[0], inputs, work
            )
            w = w if w > 0.0 else 0.0
            weights[j] = min(w, 1.0) if both else w
            traces[j] += grows
            if now >= ready:
                u += weights[j]
            k += 1
        if now >= ready and u >= _THRESHOLD:
            waiting[count % waiting.size] = now
            fired[count] = now + delay
            count += 1
            u, ready = 0.0, now + refractory + 1


@njit(cache=True, error_model="numpy")
def _facilitate(codes, arguments, values, output, points, work, weights, eta, both):
    for s in range(codes.size):
        a, b, c = arguments[s, 0], arguments[s, 1], arguments[s, 2]
        left = points[a] if a < 2 else work[a - 2]
        right = points[b] if b < 2 else work[b - 2]
        third = points[c] if c < 2 else work[c - 2]
        operate(codes[s], left, right, third, values[s], work[s])
    change = points[output] if output < 2 else work[output - 2]
    for j in range(weights.size):
        w = points[0, j] + eta * change[j]
        w = w if w < 1.0 else (0.0 if np.isnan(w) else 1.0)
        weights[j] = max(w, 0.0) if both else w
