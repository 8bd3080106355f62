"""What a virtual chip costs: at run time over the ideal engine, in mapping, and chip by chip.

Three questions:

    overhead   the same network, ideal and on a chip: once without distortions, where all spikes
               are compared and must be equal, once with all of them, where the number of spikes
               differs a little and is shown beside the time
    mapping    time from a description to a configured wafer against the size of the network, up to
               100,000 neurons, beside the time in which the ideal engine draws the same synapses
    chips      instances of Spikey a second, each mapped, configured and run with the inhibitory
               network of 192 neurons for 100 ms; in turn, and in as many threads as there are cores

    python benchmarks/substrate.py
"""
# ruff: noqa: E402

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _race import RESULTS, Rival, keep, machine, one_core, race

ALL = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
CORE = one_core()

import numpy as np
from rich.console import Console
from rich.table import Table

from lapicque.spiking import (
    LIF,
    ConductanceExp,
    FixedInDegree,
    FixedProbability,
    FromArrays,
    Network,
    Poisson,
    Simulation,
)
from lapicque.substrate import (
    Chip,
    ChipSpec,
    Distortions,
    Emulation,
    brainscales1,
    map_network,
    spikey,
)

CELL = LIF(v_rest=-70.0, cm=0.2, tau_m=10.0, tau_refrac=2.0, v_reset=-75.0, v_thresh=-55.0)
SYNAPSES = ConductanceExp(2.0, 5.0, 0.0, -80.0)
MS = 500.0
SEED = 1


def balanced(n: int, fan_in: int, sources: int, rate: float) -> Network:
    """Excitatory and inhibitory neurons with given fan-in, driven by shared sources."""
    network = Network()
    drive = network.population(sources, Poisson(rate), label="sources")
    excitatory = network.population(4 * n // 5, CELL, SYNAPSES, label="excitatory")
    inhibitory = network.population(n // 5, CELL, SYNAPSES, label="inhibitory")
    for post in (excitatory, inhibitory):
        network.project(drive, post, FixedInDegree(20, multiple=False), 0.008, 1.2)
        network.project(
            excitatory, post, FixedInDegree(4 * fan_in // 5, multiple=False), 0.003, 1.2
        )
        network.project(
            inhibitory,
            post,
            FixedInDegree(fan_in // 5, multiple=False),
            0.02,
            1.2,
            receptor="inhibitory",
        )
    return network


def local(n: int, fan_in: int) -> Network:
    """Neurons with inputs from their neighbours, as large networks on wafers are built."""
    network = Network()
    cells = network.population(n, CELL, SYNAPSES, label="cells")
    rng = np.random.default_rng(0)
    post = np.repeat(np.arange(n), fan_in)
    away = rng.integers(1, 300, post.size) * rng.choice([-1, 1], post.size)
    network.project(cells, cells, FromArrays((post + away) % n, post), 0.003, 1.2)
    return network


def inhibitory() -> Network:
    """The network of the lab course on Spikey: 192 neurons, 15 inhibitory inputs each."""
    network = Network()
    cell = LIF(v_rest=-40.0, cm=0.2, tau_m=10.0, tau_refrac=1.0, v_reset=-80.0, v_thresh=-55.0)
    cells = network.population(192, cell, ConductanceExp(5.0, 5.0, 0.0, -80.0))
    connector = FixedInDegree(15, self_connections=False, multiple=False)
    network.project(cells, cells, connector, 0.007, 1.0, receptor="inhibitory")
    return network


def overhead(name: str, network: Network, spec: ChipSpec, repeats: int, **options: Any) -> dict:
    """Time per neuron and step of ideal and virtual runs, in turns."""
    neurons = sum(p.size for p in network.populations)
    ideal = Simulation(network, 0.1, seed=SEED)
    plain = Emulation(network, Chip(spec, SEED, Distortions.none()), 0.1, seed=SEED, **options)
    chip = Emulation(network, Chip(spec, SEED), 0.1, seed=SEED, **options)
    first = {k: s.run(MS) for k, s in (("ideal", ideal), ("plain", plain), ("chip", chip))}
    spikes = {}
    for key, record in first.items():
        found = [record.spikes(p) for p in network.populations if not p.is_source]
        spikes[key] = sum(len(s.time) for s in found)
        if key == "plain":
            wanted = [first["ideal"].spikes(p) for p in network.populations if not p.is_source]
            for a, b in zip(wanted, found, strict=True):
                if not (np.array_equal(a.time, b.time) and np.array_equal(a.id, b.id)):
                    raise SystemExit(f"{name}: the chip without distortions has other spikes.")
    steps = int(neurons * MS / 0.1)
    times = race(
        [
            Rival("ideal", lambda: ideal.run(MS), steps),
            Rival("no distortions", lambda: plain.run(MS), steps),
            Rival("all distortions", lambda: chip.run(MS), steps),
        ],
        repeats,
    )
    base = times["ideal"].wall
    return {
        "work": name,
        "neurons": neurons,
        "spikes": spikes,
        "ns_per_neuron_step": {k: 1e3 * t.wall for k, t in times.items()},
        "medians": {k: 1e3 * t.wall_median for k, t in times.items()},
        "ratios": {k: t.wall / base for k, t in times.items()},
        "pulses": chip.report.pulses.as_dict(),
    }


def mapping(n: int) -> dict:
    """Seconds to map a network with local connections onto a wafer."""
    network = local(n, 50)
    chip = Chip(brainscales1("wafer"), SEED)
    size = 4 if n * 4 <= 181_248 else 1
    start = time.perf_counter()
    Simulation(network, 0.1, seed=SEED)
    drawn = time.perf_counter() - start
    start = time.perf_counter()
    mapped = map_network(
        network, chip, seed=SEED, size=size, max_synapse_loss=1.0, max_neuron_loss=1.0
    )
    return {
        "neurons": n,
        "synapses": mapped.report.synapses,
        "size": size,
        "chips": mapped.report.chips,
        "loss": mapped.report.loss,
        "seconds": time.perf_counter() - start,
        "ideal_build_seconds": drawn,
    }


def chips(n: int, threads: int) -> dict:
    """Chips a second: mapped, calibrated, run."""
    network = inhibitory()

    def one(seed: int) -> int:
        allowed = {"max_neuron_loss": 0.05, "max_synapse_loss": 0.1}
        emulation = Emulation(network, Chip(spikey(), seed), 0.1, seed=SEED, **allowed)
        return len(emulation.run(100.0).spikes(network.populations[0]).time)

    one(0)
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        spikes = list(pool.map(one, range(n)))
    seconds = time.perf_counter() - start
    return {"chips": n, "threads": threads, "chips_per_second": n / seconds, "spikes": spikes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 30_000, 100_000])
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--json", type=Path, default=RESULTS / "substrate.json")
    arguments = parser.parse_args()
    console = Console()
    record: dict = {"machine": machine(CORE, ["numpy", "numba"])}

    small = Network()
    drive = small.population(40, Poisson(20.0), label="sources")
    cells = small.population(150, CELL, ConductanceExp(5.0, 5.0, 0.0, -80.0), label="cells")
    small.project(drive, cells, FixedProbability(0.3), 0.008, 1.2)
    small.project(cells, cells, FixedProbability(0.1), 0.01, 1.2, receptor="inhibitory")
    record["overhead"] = [
        overhead("Spikey, 150 neurons", small, spikey(), arguments.repeats, max_neuron_loss=0.05),
        overhead(
            "BrainScaleS-1, 1000 neurons",
            balanced(1000, 60, 200, 20.0),
            brainscales1("wafer", chain=16),
            arguments.repeats,
            size=4,
        ),
    ]
    table = Table("work", "ideal [ns]", "no distortions", "all", "spikes ideal/all")
    for row in record["overhead"]:
        ratios = row["ratios"]
        table.add_row(
            row["work"],
            f"{row['ns_per_neuron_step']['ideal']:.2f}",
            f"{ratios['no distortions']:.2f} x",
            f"{ratios['all distortions']:.2f} x",
            f"{row['spikes']['ideal']} / {row['spikes']['chip']}",
        )
    console.print(table)

    record["mapping"] = [mapping(n) for n in arguments.sizes]
    table = Table("neurons", "synapses", "chips", "loss", "mapping [s]", "ideal build [s]")
    for row in record["mapping"]:
        table.add_row(
            str(row["neurons"]),
            str(row["synapses"]),
            str(row["chips"]),
            f"{100 * row['loss']:.1f} %",
            f"{row['seconds']:.2f}",
            f"{row['ideal_build_seconds']:.2f}",
        )
    console.print(table)

    record["chips"] = [chips(arguments.chips, 1)]
    if CORE is not None:
        os.sched_setaffinity(0, ALL)
    if len(ALL) > 1:
        record["chips"].append(chips(arguments.chips, len(ALL)))
    for row in record["chips"]:
        console.print(f"{row['chips_per_second']:.1f} chips/s in {row['threads']} thread(s)")
    if len(record["chips"]) > 1 and record["chips"][0]["spikes"] != record["chips"][1]["spikes"]:
        raise SystemExit("Chips in threads differ from chips in turn.")
    keep(arguments.json, record)


if __name__ == "__main__":
    main()
