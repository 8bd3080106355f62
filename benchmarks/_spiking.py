"""What the spiking workloads have in common in all simulators: parameters, figures, options.

A run prints one line of JSON: time to build [s], time to simulate by the clock and by the CPU [s],
spikes, synaptic events among the neurons (spikes times mean out-degree of their population; input
from outside is not counted), peak resident memory and that before the network is built [MB], mean
rates with their standard errors [Hz], CV of the intervals and the time per event and per step of a
neuron [ns]. What happens in the first `--skip` ms is simulated, but counts for none of these.
A process does not pin itself: pin its parent. Units are those of PyNN.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DT = 0.1  # ms

# LIF samplers at half activity: with the unit weight of a Boltzmann machine [nA, uS], and the rate
# [Hz] and weight of the private noise, excitatory and inhibitory
SAMPLER = {"v_thresh": -50.0, "v_reset": -50.001, "cm": 0.2, "tau_m": 1.0, "tau_refrac": 10.0}
SAMPLER |= {"tau_syn_E": 10.0, "tau_syn_I": 10.0}
CURRENT = SAMPLER | {"v_rest": -50.0056}
CONDUCTANCE = SAMPLER | {"v_rest": -50.614, "e_rev_E": 0.0, "e_rev_I": -100.0}
SAMPLING = {
    "current": (CURRENT, 0.00315, 1000.0, 0.001),
    "conductance": (CONDUCTANCE, 0.00535, 3000.0, 0.001),
}
SAMPLING_DELAY = 0.1

# Brunel (2000), model A: excitation and inhibition balanced at g 5, drive of twice the threshold
BRUNEL = {"v_rest": 0.0, "v_reset": 10.0, "v_thresh": 20.0, "tau_m": 20.0, "tau_refrac": 2.0}
BRUNEL_SIZES = (10000, 2500)
BRUNEL_INPUTS = (1000, 250)
BRUNEL_WEIGHT, BRUNEL_G, BRUNEL_ETA, BRUNEL_DELAY = 0.1, 5.0, 2.0, 1.5  # mV, 1, 1, ms
BRUNEL_NOISE_RATE = (  # all external spikes of a neuron [Hz]
    1000.0 * BRUNEL_ETA * BRUNEL["v_thresh"] / (BRUNEL_WEIGHT * BRUNEL["tau_m"])
)

# Vogels and Abbott (2005) as the conductance-based benchmark of Brette et al. (2007)
VOGELS_ABBOTT = {"v_rest": -60.0, "v_reset": -60.0, "v_thresh": -50.0, "cm": 0.2, "tau_m": 20.0}
VOGELS_ABBOTT |= {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 10.0}
VOGELS_ABBOTT |= {"e_rev_E": 0.0, "e_rev_I": -80.0}
VOGELS_ABBOTT_SIZES = (3200, 800)
VOGELS_ABBOTT_WEIGHTS = (0.006, 0.067)  # uS
VOGELS_ABBOTT_P, VOGELS_ABBOTT_DELAY = 0.02, 0.2  # probability, ms
VOGELS_ABBOTT_KICK = {"rate": 300.0, "ms": 50.0}  # per neuron, with the excitatory weight

WORKLOADS = ("sampling", "brunel", "vogels_abbott")

_BLOCKS = 10  # of time, for the standard error of a rate


class Built(NamedTuple):
    """A network that is ready to run."""

    run: Callable[[float], None]  # simulates so many ms
    spikes: Callable[[], tuple[np.ndarray, np.ndarray]]  # times [ms] and neurons from 0 on
    sizes: tuple[int, ...]
    synapses: tuple[int, ...]  # out of each population
    chains: int = 1  # copies with other noise; neurons of the next follow those of the one before


def sampling_weights(n: int, unit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of different neurons, and normal weights of `unit` / sqrt(n), always the same."""
    pre, post = np.nonzero(~np.eye(n, dtype=bool))
    weight = unit / np.sqrt(n) * np.random.default_rng(1).standard_normal(len(pre))
    return pre, post, weight


def vogels_abbott_synapses() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of different neurons from each population to all, always the same.

    With other connections the rates differ by a tenth, which would hide a wrong answer.
    """
    rng, total, first, found = np.random.default_rng(1), sum(VOGELS_ABBOTT_SIZES), 0, []
    for size in VOGELS_ABBOTT_SIZES:
        rows = []
        for unit in range(first, first + size):  # one by one, for the sake of memory
            chosen = rng.random(total) < VOGELS_ABBOTT_P
            chosen[unit] = False
            rows.append(np.flatnonzero(chosen))
        pre = np.repeat(np.arange(first, first + size), [len(row) for row in rows])
        found.append((pre, np.concatenate(rows)))
        first += size
    return found


def irregularity(times: np.ndarray, neurons: np.ndarray) -> float | None:
    """Mean CV of the intervals of the neurons with at least three of them."""
    order = np.lexsort((times, neurons))
    trains = np.split(times[order], np.nonzero(np.diff(neurons[order]))[0] + 1)
    intervals = [np.diff(train) for train in trains if len(train) > 3]
    return float(np.mean([i.std() / i.mean() for i in intervals])) if intervals else None


def figures(built: Built, ms: float, skip: float, times: np.ndarray, neurons: np.ndarray) -> dict:
    """What was simulated after `skip`, in numbers that all simulators share."""
    counted = times > skip + DT / 2
    times, neurons = times[counted], neurons[counted]
    sizes = np.array(built.sizes)
    bins = (np.linspace(skip, skip + ms, _BLOCKS + 1) + DT / 2, np.cumsum((0, *built.sizes)))
    counts, _, _ = np.histogram2d(times, neurons % sizes.sum(), bins)
    rates = counts / sizes / built.chains / (ms / _BLOCKS) * 1000.0
    spikes = counts.sum(0)
    return {
        "bio_ms": ms,
        "chains": built.chains,
        "n_neurons": int(sizes.sum()),
        "n_synapses": sum(built.synapses),
        "spikes": int(spikes.sum()),
        "events": round(float(spikes @ (np.array(built.synapses) / sizes))),
        "rates_hz": rates.mean(0).round(3).tolist(),
        "rates_error_hz": (rates.std(0, ddof=1) / _BLOCKS**0.5).round(3).tolist(),
        "cv": irregularity(times, neurons),
    }


def with_costs(record: dict) -> dict:
    """Add the time per event and per step of a neuron [ns of CPU], and the speed."""
    cpu = 1e9 * record["sim_cpu_s"]
    steps = record["chains"] * record["n_neurons"] * record["bio_ms"] / DT
    return record | {
        "ns_per_event": round(cpu / max(record["events"], 1), 2),
        "ns_per_neuron_step": round(cpu / steps, 3),
        "bio_s_per_cpu_s": record["chains"] * record["bio_ms"] / 1e3 / record["sim_cpu_s"],
    }


def memory() -> float:
    """Peak resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(build: Callable[[], Built], ms: float, skip: float) -> dict:
    """Build and simulate in this process."""
    base = memory()
    start = time.perf_counter()
    built = build()
    build_s = time.perf_counter() - start
    built.run(skip)
    wall, cpu = time.perf_counter(), time.process_time()
    built.run(ms)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    record = {"build_s": build_s, "sim_wall_s": wall, "sim_cpu_s": cpu}
    record |= {"peak_mb": memory(), "base_mb": base}  # before the statistics
    return with_costs(record | figures(built, ms, skip, *built.spikes()))


def command_line(description: str) -> argparse.ArgumentParser:
    """The options that all simulators share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--n", type=int, default=5, help="neurons (sampling)")
    parser.add_argument("--synapse", choices=SAMPLING, default="current", help="(sampling)")
    parser.add_argument("--ms", type=float, default=1000.0, help="biological time")
    parser.add_argument("--skip", type=float, default=50.0, help="biological time before that")
    parser.add_argument("--seed", type=int, default=1, help="of noise and random connections")
    return parser
