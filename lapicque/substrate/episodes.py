"""Short runs of neurons on many chips, each from rest, between which a program may act.

LIF neurons with exponential currents receive spikes over rows of synapses, and each a noise current
of its own. A run returns spike counts and what correlation sensors have collected; with a
`lapicque.substrate.plasticity.Processor` around it, it is a closed loop:

    episodes = Episodes(neurons, tau_syn=1.8, duration=200.0, rows=32, chips=3, noise=0.1)
    for time in range(10_000):
        record = episodes.run(events, currents(weights), time, sensors=sensors)
        states, seen = processor.step(states, record.observables(time, sensors, weights, labels))
        weights = seen.weights

The grid and its order are those of `lapicque.spiking`: a neuron moves with the current at the
beginning of a step, then the current decays and takes in what arrives, then the threshold is looked
at. Without noise both give the same spikes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive, shape
from lapicque.spiking import LIF
from lapicque.spiking._kernel import CURRENT_EXP
from lapicque.spiking.coefficients import coefficients, drives
from lapicque.spiking.random import chain_keys
from lapicque.substrate.draws import fill_normal, stream
from lapicque.substrate.plasticity import (
    LARGEST_READING,
    CorrelationSensors,
    Observables,
    at_post,
    at_pre,
)

_NOISE = 2**31  # place of the noise in a chip's randomness
# of each neuron: state, and coefficients
_V, _I, _LEFT, _LEAK, _FROM_SYN, _DECAY, _DRIVE, _PER_NOISE = range(8)
_RESET, _THRESHOLD, _REFRACTORY = range(8, 11)


@dataclass(frozen=True, eq=False)
class Events:
    """Input spikes of an episode.

    Attributes:
        times: Shape (chips, n), ascending; `inf` where a chip has fewer. [ms]
        rows: On which row of synapses, same shape.
        labels: Only synapses with this label take them in, same shape; 0 without.

    Raises:
        InputError: Shapes differ, or times do not ascend.
    """

    times: NDArray[np.floating]
    rows: NDArray[np.integer]
    labels: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.times, float)
        shape("times", times, (None, None))
        if not (times[:, 1:] >= times[:, :-1]).all():
            raise InputError("`times` must ascend on every chip, with `inf` at the end.")
        shape("rows", self.rows, times.shape)
        if self.labels is not None:
            shape("labels", self.labels, times.shape)

    @classmethod
    def regular(cls, rows: NDArray[np.integer], first: float, interval: float, n: int) -> Events:
        """One train of n spikes for each chip.

        Args:
            rows: On which row, shape (chips,).
            first: When it begins. [ms]
            interval: From spike to spike. [ms]
            n: How many.
        """
        times = np.tile(first + interval * np.arange(n), (len(rows), 1))
        return cls(times, np.repeat(np.asarray(rows, np.int64)[:, None], n, axis=1))


@dataclass(frozen=True, eq=False)
class Record:
    """What an episode leaves behind.

    Attributes:
        counts: Spikes of each neuron, shape (chips, neurons).
        causal: Charge of the causal sensors, shape (chips, rows, neurons). [LSB]
        acausal: Charge of the others.
        spikes: Which neuron fired in which step, shape (chips, steps, neurons), if recorded.
        potentials: At the end of each step, same shape, if recorded. [mV]
    """

    counts: NDArray[np.int64]
    causal: NDArray[np.float64]
    acausal: NDArray[np.float64]
    spikes: NDArray[np.bool_] | None = None
    potentials: NDArray[np.float64] | None = None

    def observables(
        self,
        time: int,
        sensors: CorrelationSensors,
        weights: NDArray[np.uint8],
        labels: NDArray[np.uint8] | None = None,
    ) -> Observables:
        """As the processor sees it: 8 bits, counters and sensors read and thereby reset."""
        return Observables(
            time=time,
            counts=np.minimum(self.counts, LARGEST_READING).astype(np.uint8),
            causal=sensors.read(self.causal),
            acausal=sensors.read(self.acausal),
            weights=weights,
            labels=np.zeros_like(weights) if labels is None else labels,
            random=np.zeros(self.counts.shape, np.uint32),
        )


class Episodes:
    """Neurons that start from rest in every run.

    ``cm dv/dt = cm / tau_m (v_rest - v) + i_offset + I + I_noise``; a spike adds its current to I,
    which decays with `tau_syn`; I_noise is normal and redrawn at a fixed interval. The solution is
    exact between grid points.

    Args:
        neurons: Parameters, each a number or an array that fits (chips, neurons).
        tau_syn: Likewise. [ms]
        chips: How many; those of `neurons` without.
        size: Neurons on a chip, likewise.
        rows: Of synapses.
        duration: Of a run, whole steps. [ms]
        dt: Time step. [ms]
        noise: Standard deviation of the noise current, for each neuron alike or an array. [nA]
        noise_interval: How long it stays, whole steps. [ms]
        keys: Of the chips' randomness, shape (chips,); those of seed 0 without.
        threads: Among which chips are shared out; results do not depend on it.

    Raises:
        InputError: A value is out of range, or arrays do not fit.

    Example:
        >>> episodes = Episodes(LIF(cm=0.2), tau_syn=2.0, chips=1, size=2, rows=1, duration=50.0)
        >>> events = Events.regular(np.zeros(1, int), first=1.0, interval=10.0, n=5)
        >>> episodes.run(events, np.full((1, 1, 2), 3.0)).counts
        array([[7, 7]])
    """

    def __init__(
        self,
        neurons: LIF,
        tau_syn: ArrayLike,
        *,
        rows: int,
        duration: float,
        chips: int | None = None,
        size: int | None = None,
        dt: float = 0.1,
        noise: ArrayLike = 0.0,
        noise_interval: float = 1.0,
        keys: NDArray[np.uint32] | None = None,
        threads: int = 1,
    ):
        positive("dt", dt, "ms")
        positive("tau_syn", tau_syn, "ms")
        in_range("noise", noise, 0, unit="nA")
        in_range("rows", rows, 1)
        values = {f.name: np.asarray(getattr(neurons, f.name), float) for f in fields(neurons)}
        values |= {"tau_syn": np.asarray(tau_syn, float), "noise": np.asarray(noise, float)}
        given = np.broadcast_shapes((1, 1), *(v.shape for v in values.values()))
        wanted = (given[0] if chips is None else chips, given[1] if size is None else size)
        for name, value in values.items():
            try:
                values[name] = np.broadcast_to(value, wanted)
            except ValueError:
                raise InputError(
                    f"`{name}` has shape {value.shape}, which does not fit {wanted[0]} chips of "
                    f"{wanted[1]} neurons."
                ) from None
        self.chips, self.size = wanted
        self.rows, self.dt = rows, dt
        self.steps = _whole("duration", duration, dt)
        self.noise_steps = _whole("noise_interval", noise_interval, dt)
        self.keys = chain_keys(0, np.arange(self.chips)) if keys is None else keys
        shape("keys", self.keys, (self.chips,))
        self.noisy = bool(values["noise"].any())
        in_range("threads", threads, 1)
        edges = np.linspace(0, self.chips, min(threads, self.chips) + 1).astype(int)
        self._shares = [slice(a, b) for a, b in pairwise(edges)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._c = _coefficients(values, dt)

    def run(
        self,
        events: Events,
        currents: NDArray[np.float64],
        time: int = 0,
        *,
        labels: NDArray[np.integer] | None = None,
        sensors: CorrelationSensors | None = None,
        record: bool = False,
    ) -> Record:
        """One episode of all chips.

        Args:
            events: Input.
            currents: What a spike adds to the current through each synapse, shape
                (chips, rows, neurons). [nA]
            time: Number of the episode; its noise depends on it and on the chip's key alone.
            labels: Of the synapses, shape (chips, rows, neurons); all 0 without.
            sensors: In the synapses, of the same shape; without, nothing is collected.
            record: Keep spikes and potentials of every step.

        Raises:
            InputError: Shapes do not fit, or an input spike is out of range.
        """
        full = (self.chips, self.rows, self.size)
        shape("currents", currents, full)
        if events.times.shape[0] != self.chips:
            raise InputError(
                f"`events` are those of {events.times.shape[0]} chips; there are {self.chips}."
            )
        there = np.isfinite(events.times)
        steps = np.where(there, np.rint(events.times / self.dt), self.steps + 1).astype(np.int64)
        if steps.size:
            if steps.min() < 0 or (there & (steps > self.steps)).any():
                in_range("times", events.times[there], 0, self.steps * self.dt, "ms")
            if events.rows.min() < 0 or events.rows.max() >= self.rows:
                in_range("rows", events.rows, 0, self.rows - 1)
        absent = (self.chips, 0, 0)
        if labels is None and events.labels is None:
            given, stored = np.empty(absent[:2], np.int64), np.empty(absent, np.uint8)
        else:
            given = np.zeros(steps.shape, np.int64) if events.labels is None else events.labels
            stored = np.zeros(full, np.uint8) if labels is None else labels
            shape("labels", stored, full)
        if sensors is None:
            amplitude, tau, limit = np.empty(absent), np.empty(absent), inf
        else:
            amplitude, tau, limit = sensors.amplitude, sensors.tau, float(sensors.saturation)
            shape("sensors.amplitude", amplitude, full)
        counts = np.zeros((self.chips, self.size), np.int64)
        charge = np.zeros((self.chips, 2, self.rows, self.size))
        kept = (self.chips, self.steps if record else 0, self.size)
        spikes, potentials = np.zeros(kept, np.bool_), np.zeros(kept)
        arrays = (
            self._c,
            self.keys,
            steps,
            np.asarray(events.rows, np.int64),
            np.asarray(given, np.int64),
            np.asarray(currents, float),
            np.asarray(stored, np.uint8),
            amplitude,
            tau,
            counts,
            charge,
            spikes,
            potentials,
        )
        every = self.noise_steps if self.noisy else self.steps
        scalars = (self.steps, every, self.noisy, time, self.dt, limit)

        def share(part: slice) -> None:
            _run(*scalars, *(array[part] for array in arrays))

        if self._pool is None:
            share(slice(None))
        else:
            list(self._pool.map(share, self._shares))
        record_of: dict[str, Any] = {"spikes": spikes, "potentials": potentials} if record else {}
        return Record(counts, charge[:, 0], charge[:, 1], **record_of)


def _whole(name: str, value: float, dt: float) -> int:
    steps = round(value / dt)
    if steps < 1 or abs(steps * dt - value) > 1e-6 * dt:
        raise InputError(f"`{name}` is {value:g} ms; it must be whole steps of {dt:g} ms.")
    return steps


def _coefficients(values: dict[str, NDArray[np.float64]], dt: float) -> NDArray[np.float64]:
    """State at the beginning and what the loop multiplies with, shape (chips, 11 neurons)."""
    chips, size = values["noise"].shape
    flat = {name: value.ravel() for name, value in values.items()}
    flat |= {"tau_syn_E": flat["tau_syn"], "tau_syn_I": flat["tau_syn"]}
    given = coefficients(CURRENT_EXP, flat, dt)
    c = np.zeros((11, chips * size))
    c[_V], c[_LEFT] = flat["v_rest"], -1
    c[_RESET], c[_THRESHOLD], c[_REFRACTORY] = given[:, 0], given[:, 1], given[:, 2]
    c[_LEAK], c[_FROM_SYN], c[_DECAY] = given[:, 3], given[:, 4], given[:, 6]
    c[_DRIVE] = drives(CURRENT_EXP, flat, dt)
    c[_PER_NOISE] = -np.expm1(-dt / flat["tau_m"]) * flat["tau_m"] / flat["cm"] * flat["noise"]
    return np.ascontiguousarray(c.reshape(11, chips, size).transpose(1, 0, 2)).reshape(chips, -1)


@njit(error_model="numpy")
def _move(w, n, steps):
    """Go on until a neuron fires, `steps` at most; how many were made, and whether one fired.

    All that belongs to the n neurons lies in one flat array, see `_V` and what follows it: so the
    compiler sees that nothing overlaps and takes several neurons at a time.
    """
    for s in range(steps):
        fired = 0
        for j in range(n):
            old, current, wait = w[_V * n + j], w[_I * n + j], w[_LEFT * n + j]
            moved = old * w[_LEAK * n + j] + current * w[_FROM_SYN * n + j] + w[_DRIVE * n + j]
            new = moved if wait <= 0.0 else old
            fires = (new >= w[_THRESHOLD * n + j]) & (wait <= 0.0)
            w[_V * n + j] = w[_RESET * n + j] if fires else new
            w[_LEFT * n + j] = w[_REFRACTORY * n + j] if fires else wait - 1.0
            w[_I * n + j] = current * w[_DECAY * n + j]
            fired += fires
        if fired:
            return s + 1, True
    return steps, False


@njit(cache=True, nogil=True, error_model="numpy")
def _run(
    steps,
    noise_steps,
    noisy,
    time,
    dt,
    limit,
    coefficients,
    keys,
    event_step,
    event_row,
    event_label,
    currents,
    labels,
    amplitude,
    tau,
    counts,
    charge,
    spikes,
    potentials,
):
    n = currents.shape[2]
    w, normal, post = np.empty(coefficients.shape[1]), np.empty(n), np.empty(n)
    pre = np.empty(currents.shape[1:])
    labelled, sensed = labels.shape[1] > 0, amplitude.shape[1] > 0
    recorded = spikes.shape[1] > 0
    for chip in range(keys.size):
        c = coefficients[chip]
        w[:], post[:], pre[:] = c, -inf, -inf
        state = stream(keys[chip], time, _NOISE)
        e, s = 0, 0
        while True:
            while e < event_step.shape[1] and event_step[chip, e] == s:
                r = event_row[chip, e]
                for j in range(n):
                    if labelled and labels[chip, r, j] != event_label[chip, e]:
                        continue
                    w[_I * n + j] += currents[chip, r, j]
                    if sensed:
                        charge[chip, 1, r, j] = at_pre(
                            s * dt,
                            pre[r, j],
                            post[j],
                            amplitude[chip, r, j],
                            tau[chip, r, j],
                            limit,
                            charge[chip, 1, r, j],
                        )
                        pre[r, j] = s * dt
                e += 1
            if s == steps:
                break
            if noisy and s % noise_steps == 0:
                state = fill_normal(normal, n, state)
                for j in range(n):
                    w[_DRIVE * n + j] = c[_DRIVE * n + j] + w[_PER_NOISE * n + j] * normal[j]
            until = min(steps, s + noise_steps - s % noise_steps)
            if e < event_step.shape[1]:
                until = min(until, event_step[chip, e])
            made, fired = _move(w, n, 1 if recorded else until - s)
            s += made
            if recorded:
                potentials[chip, s - 1] = w[:n]
            if not fired:
                continue
            for j in range(n):
                if w[_LEFT * n + j] != w[_REFRACTORY * n + j]:
                    continue
                counts[chip, j] += 1
                if recorded:
                    spikes[chip, s - 1, j] = True
                if sensed:
                    for r in range(pre.shape[0]):
                        charge[chip, 0, r, j] = at_post(
                            s * dt,
                            pre[r, j],
                            post[j],
                            amplitude[chip, r, j],
                            tau[chip, r, j],
                            limit,
                            charge[chip, 0, r, j],
                        )
                post[j] = s * dt
