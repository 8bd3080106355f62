"""The bound of the machine on a step of a neuron: bandwidth, arithmetic, random words.

Counted is the LIF neuron with two exponential currents and two streams of private noise
(`_current_exp`, `_draw`, `_words`, `_count` and `_add` of `lapicque/spiking/_kernel.py`): each load
and store of the source in bytes, and each operation once; selects count as operations on integers.
The thresholds of the noise are looked at in pairs, so a stream with `m` of them makes `m / 2`
passes; all but the first find their words and counts in the nearest cache and count for nothing.

The bound is the longest of three times, as if the other two were hidden behind it:

    bytes / bandwidth, out of the level of cache that holds the arrays
    floating-point operations / peak of a loop of fused multiply-adds in registers
    time of the random words and counts alone, one word per stream, in the nearest cache

`in_turn_ns` is what it takes if the random words and everything else come one after the other, as
they do in the loop.
"""

import json
import time
from collections.abc import Callable

import numpy as np
from _spiking import DT, SAMPLING
from numba import njit

from lapicque.spiking import LIF, CurrentExp, Network, Poisson, Simulation
from lapicque.spiking._kernel import _count, _words
from lapicque.spiking.random import poisson_thresholds

WORDS = "words: step, stream and key; two words"
COUNTS = "counts: word of each of two streams, first pass"

# bytes of a neuron in a step: loads, stores
TRAFFIC = {
    "neuron: v, two currents, drive (8), refractory (4)": (4 * 8 + 4, 3 * 8 + 4),
    "neuron: two inputs from the ring, set to 0 behind": (2 * 8, 2 * 8),
    "neuron: two noises": (2 * 8, 0),
    "neuron: whether it fired": (0, 1),
    "noise: set to 0, two streams": (0, 2 * 8),
    WORDS: (3 * 4, 2 * 4),
    COUNTS: (2 * 4, 2 * 4),
    "adding counts times weight: two streams": (2 * (4 + 8), 2 * 8),
}
# floating-point operations: potential 3 + 3, threshold 1, two currents 1 + 2 each; noise 2 each
FLOPS = 7 + 2 * 3 + 2 * 2
# resident bytes: state 37, ring of 3 steps, noise, words, counts and their constants
RESIDENT = 4 * 8 + 4 + 1 + 3 * 16 + 16 + 8 + 4 + 12


@njit
def _triad(a, b, c, rounds):
    for _ in range(rounds):
        for k in range(a.size):
            a[k] = b[k] + 3.0 * c[k]


@njit(fastmath={"contract"})
def _fused(start, out):
    """Eight independent chains per lane, so that few multiply-adds wait for another."""
    for k in range(start.size):
        x = start[k]
        a, b, c, d = x, x + 1, x + 2, x + 3
        e, f, g, h = x + 4, x + 5, x + 6, x + 7
        for _ in range(16):
            a, b, c, d = a * x + 0.1, b * x + 0.2, c * x + 0.3, d * x + 0.4
            e, f, g, h = e * x + 0.5, f * x + 0.6, g * x + 0.7, h * x + 0.8
        out[k] = (a + b + c + d) + (e + f + g + h)


@njit
def _noise(step, stream, key, words, count, thresholds, rounds):
    for r in range(rounds):
        _words(r, step, stream, key, words[0], words[1])
        _count(words[0], thresholds, count)
        _count(words[1], thresholds, count)


def _least(run: Callable[[], object], repeats: int = 7) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def bandwidth(size: int) -> float:
    """Of a triad over three arrays of together so many bytes [bytes/s]; stores count once."""
    n = size // 24
    a, b, c = np.zeros(n), np.ones(n), np.ones(n)
    rounds = max(1, 50_000_000 // n)
    return 24 * n * rounds / _least(lambda: _triad(a, b, c, rounds))


def peak_flops() -> float:
    """Of one core, double precision [1/s]."""
    start, out = np.linspace(0.1, 0.9, 512), np.zeros(512)
    rounds = 2000

    def run() -> None:
        for _ in range(rounds):
            _fused(start, out)

    return 2 * 8 * 16 * len(start) * rounds / _least(run)


def random_words() -> tuple[float, int]:
    """Time of the words and counts of a neuron in a step [s], and thresholds per stream."""
    n, rounds = 512, 5000
    _, _, rate, _ = SAMPLING["current"]
    thresholds = np.zeros(64, np.uint32)
    thresholds = thresholds[: poisson_thresholds(rate * DT * 1e-3, thresholds)]
    constants = [np.arange(n, dtype=np.uint32) for _ in range(3)]
    words, count = np.zeros((2, n), np.uint32), np.zeros(n, np.int32)
    took = _least(lambda: _noise(*constants, words, count, thresholds, rounds))
    return took / n / rounds, len(thresholds)


def roofline(measured: dict[int, float]) -> dict:
    """Bounds for so many neurons times chains, and how far measured times [ns] are from them."""
    loads, stores = (sum(column) for column in zip(*TRAFFIC.values(), strict=True))
    flops, (noise, thresholds) = peak_flops(), random_words()
    near, far = bandwidth(400 * 1024), bandwidth(256 * 2**20)
    middle = bandwidth(4 * 2**20)
    record = {
        "loads_bytes": loads,
        "stores_bytes": stores,
        "flops": FLOPS,
        "thresholds_per_stream": thresholds,
        "traffic": TRAFFIC,
        "bandwidth_gb_s": {"L2": near / 1e9, "L3": middle / 1e9, "memory": far / 1e9},
        "peak_gflops": flops / 1e9,
        "bounds": [],
    }
    for units, ns in measured.items():
        resident = units * RESIDENT
        level = "L2" if resident < 2**20 else ("L3" if resident < 2**24 else "memory")
        speed = {"L2": near, "L3": middle, "memory": far}[level]
        times = {
            "bytes": 1e9 * (loads + stores) / speed,
            "flops": 1e9 * FLOPS / flops,
            "random words": 1e9 * noise,
        }
        words = 1e9 * (sum(TRAFFIC[WORDS]) + sum(TRAFFIC[COUNTS])) / speed
        limit = max(times, key=lambda name: times[name])
        bound = {"units": units, "resident_kb": resident / 1024, "level": level}
        bound |= {"ns": times, "limit": limit, "bound_ns": times[limit], "measured_ns": ns}
        in_turn = times["bytes"] - words + times["random words"]
        bound |= {"in_turn_ns": in_turn, "measured_over_bound": ns / times[limit]}
        record["bounds"].append(bound)
    return record


def measured(n: int, chains: int, ms: float) -> float:
    """Time of the engine per step of a neuron without synapses [ns]."""
    parameters, _, rate, noise = SAMPLING["current"]
    synaptic = {k: parameters[k] for k in ("tau_syn_E", "tau_syn_I")}
    network = Network()
    neurons = network.population(
        n, LIF(**{k: v for k, v in parameters.items() if k not in synaptic}), CurrentExp(**synaptic)
    )
    network.noise(neurons, Poisson(rate), noise)
    network.noise(neurons, Poisson(rate), -noise, receptor="inhibitory")
    simulation = Simulation(network, DT, chains=chains)
    return 1e9 * _least(lambda: simulation.run(ms)) / (n * chains * ms / DT)


if __name__ == "__main__":
    print(json.dumps(roofline({1600: measured(100, 16, 1000.0), 12500: measured(12500, 1, 200.0)})))
