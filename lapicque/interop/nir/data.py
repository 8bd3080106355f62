"""Spikes and traces as NIRData, and back. Times are in the unit of the graph beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, extra, in_range, positive, shape
from lapicque.interop.nir.graphs import LARGEST
from lapicque.interop.nir.simulate import Traces
from lapicque.spiking import Population
from lapicque.spiking.recording import Recording


def events(
    trains: Sequence[tuple[ArrayLike, ArrayLike]], size: int, t_max: float, start: float = 0.0
) -> Any:
    """Spikes as `nir.EventData`, padded with unit -1 at time infinity.

    Args:
        trains: Times and units of each sample.
        size: Number of units.
        t_max: End of the recording.
        start: Subtracted from all times.

    Raises:
        InputError: There are not as many units as times, or one is unknown.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    positive("t_max", t_max)
    pairs = [(np.asarray(t, float).ravel() - start, np.asarray(i).ravel()) for t, i in trains]
    length = max((len(t) for t, _ in pairs), default=0)
    idx = np.full((len(pairs), length), -1, np.int64)
    time = np.full((len(pairs), length), np.inf)
    for k, (times, units) in enumerate(pairs):
        shape(f"units of sample {k}", units, (len(times),))
        if len(times):
            in_range(f"units of sample {k}", units, 0, size - 1)
            in_range(f"times of sample {k}", times, 0)
        order = np.argsort(times, kind="stable")
        idx[k, : len(times)], time[k, : len(times)] = units[order], times[order]
    return nir.EventData(idx, time, size, float(t_max))


def trains(data: Any) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Times and units of each sample of `nir.EventData`."""
    kept = [row >= 0 for row in data.idx]
    return [
        (np.asarray(t, float)[k], np.asarray(i, np.int64)[k])
        for t, i, k in zip(data.time, data.idx, kept, strict=True)
    ]


def first_spikes(data: Any) -> NDArray[np.float64]:
    """First spike of every unit, `+inf` for none, shape (samples, units).

    Raises:
        InputError: There are so many units that the array would not fit into memory.
    """
    samples = len(data.idx)
    if 8 * samples * data.n_neurons > LARGEST:
        raise InputError(f"{samples} samples of {data.n_neurons} units do not fit into memory.")
    found = np.full((samples, data.n_neurons), np.inf)
    for k, (times, units) in enumerate(trains(data)):
        np.minimum.at(found[k], units, times)
    return found


def from_first_spikes(times: ArrayLike, t_max: float) -> Any:
    """Spike times of shape (samples, units), `+inf` for none, as `nir.EventData`.

    Raises:
        InputError: Shapes do not fit, or a time is negative.
    """
    times = np.asarray(times, float)
    shape("times", times, (None, None))
    pairs = [(row[np.isfinite(row)], np.flatnonzero(np.isfinite(row))) for row in times]
    return events(pairs, times.shape[1], t_max)


def from_recording(
    recording: Recording, populations: Mapping[str, Population], variables: Sequence[str] = ()
) -> Any:
    """Spikes and traces of a run [ms] as `nir.NIRGraphData`; chains are samples.

    Args:
        recording: What `Simulation.run` gave.
        populations: By the name of their node.
        variables: Recorded state variables to take along.

    Raises:
        InputError: Something was not recorded.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    nodes = {}
    for name, population in populations.items():
        _, _, chain = recording.all_spikes(population)
        count = max(int(chain.max(initial=0)) + 1, 1)
        for variable in variables if not population.is_source else ():
            count = max(count, recording.signal(population, variable).shape[1])
        pairs = [recording.spikes(population, c) for c in range(count)]
        end = recording.duration
        seen = {"spikes": events(pairs, population.size, end, recording.start)}
        for variable in variables if not population.is_source else ():
            values = np.moveaxis(recording.signal(population, variable), 1, 0)
            times = recording.times(population, variable)
            interval = float(np.diff(times)[0]) if len(times) > 1 else float(recording.duration)
            seen[variable] = nir.TimeGriddedData(np.ascontiguousarray(values), interval)
        nodes[name] = nir.NIRNodeData(seen)
    return nir.NIRGraphData(nodes)


def from_traces(traces: Traces) -> Any:
    """What `simulate` gave as `nir.NIRGraphData`: signals, potentials `v` and currents `i`.

    Axes of neurons are flattened. A signal of zeros and ones is kept as truth values.

    Raises:
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    nodes = {}
    for name, signal in traces.signals.items():
        binary = np.isin(signal, (0.0, 1.0)).all()
        seen = {"spikes" if binary else "signal": signal.astype(bool) if binary else signal}
        if name in traces.potentials:
            seen["v"] = traces.potentials[name]
        if name in traces.currents:
            seen["i"] = traces.currents[name]
        nodes[name] = nir.NIRNodeData(
            {
                key: nir.TimeGriddedData(value.reshape(*value.shape[:2], -1), traces.dt)
                for key, value in seen.items()
            }
        )
    return nir.NIRGraphData(nodes)
