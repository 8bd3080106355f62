"""Spiking networks: lapicque against NEST and Brian2, in time per step, events, and memory.

Sampling networks of 5, 100 and 1000 neurons with currents and conductances (one chain, and sixteen
at once), the network of Brunel (2000) and that of Vogels and Abbott (2005); on one core, by CPU
time, and for some on two with two threads, by the clock. Each simulator runs in a process of its
own and simulates as much time as it takes to run for about a second or more, after 50 ms that do
not count. Sampling and Vogels-Abbott have the same synapses everywhere, Brunel's are drawn anew.

Rates are compared first: where they differ by more than their errors allow, there is no race.
Brian2 runs as its compiled program (`standalone`); building it is part of the build time, and the
memory is that of the program alone, without Python.

    python benchmarks/spiking.py --rivals nest --workloads brunel --rounds 5
    python benchmarks/spiking.py --python PATH  # an interpreter that has lapicque and the rivals
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from _race import RESULTS, keep, machine
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
PINS = hasattr(os, "sched_setaffinity")  # whether the operating system can
CORES = sorted(os.sched_getaffinity(0) if PINS else range(os.cpu_count() or 1), reverse=True)
OWN = "lapicque"
SCRIPTS = {OWN: "_spiking_lapicque.py", "nest": "_spiking_nest.py", "brian": "_spiking_brian.py"}
MODULES = {OWN: "lapicque.spiking", "nest": "nest", "brian": "brian2"}
ERRORS = 4.0  # so many standard errors are still the same rate
WITHIN = 0.02  # and this share of it: other integrators, and other connections in `brunel`


class Workload(NamedTuple):
    """What runs, and for how much biological time [ms]."""

    arguments: tuple[str, ...]
    ms: dict[str, float]
    chains: float = 0.0  # ms of each of 16 chains, 0 without
    two: bool = False  # on two cores, too


def _sampling(n: int, synapse: str, ours: float, nest: float, brian: float, **more) -> Workload:
    arguments = ("sampling", "--n", str(n), "--synapse", synapse)
    return Workload(arguments, {OWN: ours, "nest": nest, "brian": brian}, **more)


WORKLOADS = {
    "sampling-5": _sampling(5, "current", 1.2e6, 5e4, 1e5, chains=2e5),
    "sampling-100": _sampling(100, "current", 1.2e5, 1e4, 4e4, chains=1.2e4, two=True),
    "sampling-1000": _sampling(1000, "current", 8e3, 800, 4e3, chains=400, two=True),
    "sampling-5-conductance": _sampling(5, "conductance", 1e6, 4e4, 8e4, chains=1.5e5),
    "sampling-100-conductance": _sampling(100, "conductance", 1e5, 4e3, 1.5e4, chains=1e4),
    "sampling-1000-conductance": _sampling(1000, "conductance", 8e3, 300, 1.5e3, chains=400),
    "brunel": Workload(("brunel",), {OWN: 600, "nest": 200, "brian": 150}, two=True),
    "vogels-abbott": Workload(("vogels_abbott",), {OWN: 5e3, "nest": 500, "brian": 2e3}, two=True),
}


def command(name: str, workload: Workload, threads: int, seed: int, folder: Path) -> list[str]:
    """The script of a rival with its options."""
    rival, _, chains = name.partition(" x")
    ms = workload.chains if chains else workload.ms[rival]
    parts = [SCRIPTS[rival], *workload.arguments, "--ms", str(ms), "--seed", str(seed)]
    if rival == "brian":
        return [*parts, "--target", "standalone", "--folder", str(folder)]
    parts += ["--threads", str(threads)]
    return [*parts, "--chains", chains] if chains else parts


def run(python: str, parts: list[str], cores: int) -> dict:
    """The last line of a script, run on so many cores."""
    environment = os.environ | {"OMP_NUM_THREADS": str(cores)}
    if PINS:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CORES[:cores])  # children inherit it
    try:
        done = subprocess.run(
            [python, str(HERE / parts[0]), *parts[1:]],
            capture_output=True,
            text=True,
            env=environment,
        )
    finally:
        if PINS:
            os.sched_setaffinity(0, before)
    if done.returncode:
        raise SystemExit(f"{' '.join(parts)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def disagreement(ours: dict, other: dict) -> str | None:
    """How the rates of two rivals differ by more than they may."""
    for a, b, e, f in zip(
        *(r[k] for k in ("rates_hz", "rates_error_hz") for r in (ours, other)), strict=True
    ):
        allowed = ERRORS * (e**2 + f**2) ** 0.5 + WITHIN * a
        if abs(a - b) > allowed:
            return f"{b:.2f} Hz instead of {a:.2f} Hz, {allowed:.2f} Hz allowed"
    return None


def cost(record: dict, threads: int) -> float:
    """Time per step of a neuron [ns], by the CPU or, with threads, by the clock."""
    steps = record["bio_ms"] * record["chains"] * record["n_neurons"] * 10
    return 1e9 * record["sim_cpu_s" if threads == 1 else "sim_wall_s"] / steps


def race(names: list[str], workload: Workload, threads: int, options) -> list[dict] | str:
    """Rounds in which all run once, or why there was no race."""
    records: dict[str, list[dict]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, options.rounds + 1):
            for name in names:
                parts = command(name, workload, threads, seed, Path(folder))
                records[name].append(run(options.python, parts, threads))
            if seed == 1:
                for name in names[1:]:
                    wrong = disagreement(records[names[0]][0], records[name][0])
                    if wrong:
                        return f"{name} fires at {wrong}; no race."
    best = {name: min(found, key=lambda r: cost(r, threads)) for name, found in records.items()}
    own = cost(best[names[0]], threads)
    rows = []
    for name, record in best.items():
        ns = cost(record, threads)
        steps = record["chains"] * record["n_neurons"] * record["bio_ms"] * 10
        row = {"rival": name, "simulator": record["simulator"], "threads": threads}
        row |= {"ns_per_neuron_step": ns, "ns_per_event": ns * steps / record["events"]}
        row |= {"bio_over_time": record["chains"] * record["bio_ms"] * 1e6 / (ns * steps)}
        row |= {
            "over_lapicque": ns / own,
            "least_build_s": min(r["build_s"] for r in records[name]),
        }
        row["all_ns_per_neuron_step"] = [cost(r, threads) for r in records[name]]
        kept = ("bio_ms", "chains", "n_neurons", "n_synapses", "spikes", "events", "rates_hz")
        kept += ("rates_error_hz", "cv", "peak_mb", "base_mb", "sim_cpu_s", "sim_wall_s")
        rows.append(row | {k: record[k] for k in kept})
    return rows


def table(title: str, rows: list[dict], threads: int) -> Table:
    clock = "CPU" if threads == 1 else "wall"
    made = Table(title=f"{title}, {threads} thread{'s' if threads > 1 else ''}, {clock} time")
    made.add_column("rival")
    heads = ("ns/neuron-step", "ns/event", f"biological/{clock}", "over lapicque", "rate [Hz]")
    for head in (*heads, "peak [MB]", "of it base", "build [s]"):
        made.add_column(head, justify="right")
    for row in rows:
        made.add_row(
            row["rival"],
            f"{row['ns_per_neuron_step']:.2f}",
            f"{row['ns_per_event']:.2f}",
            f"{row['bio_over_time']:.3g}",
            f"{row['over_lapicque']:.2f}",
            " ".join(f"{rate:.1f}" for rate in row["rates_hz"]),
            f"{row['peak_mb']:.0f}",
            f"{row['base_mb']:.0f}",
            f"{row['least_build_s']:.2f}",
        )
    return made


def startup(python: str) -> dict:
    """Time until the first step is done, with nothing compiled yet, and in later processes [s]."""
    found = []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(3):
            start = time.time()
            answer = subprocess.run(
                [python, str(HERE / SCRIPTS[OWN]), "sampling", "--first"],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"NUMBA_CACHE_DIR": cache},
            )
            record = json.loads(answer.stdout)
            found.append(record | {"until_done_s": record.pop("done") - start})
    first, later = found[0], min(found[1:], key=lambda r: r["until_done_s"])
    return {"compile_s": first["first_s"], "start_s": later["until_done_s"], "processes": found}


def has(python: str, rival: str) -> bool:
    test = [python, "-c", f"import {MODULES[rival]}"]
    return subprocess.run(test, capture_output=True).returncode == 0


def versions(python: str) -> dict:
    """Of the packages that ran."""
    if python == sys.executable:
        return {}
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    found = json.loads(subprocess.run([python, "-c", code], capture_output=True).stdout)
    return {k: found[k] for k in PACKAGES if k in found}


PACKAGES = ("numpy", "numba", "llvmlite", "lapicque", "nest-simulator", "brian2", "cython")


def show_roofline(record: dict, console: Console) -> None:
    speeds = ", ".join(f"{k} {v:.0f} GB/s" for k, v in record["bandwidth_gb_s"].items())
    made = Table(title=f"Bounds: {speeds}, {record['peak_gflops']:.0f} Gflop/s")
    for head in ("units", "in", "bytes", "flops", "random words", "bound", "in turn", "measured"):
        made.add_column(head, justify="right")
    made.add_column("of the bound", justify="right")
    for row in record["bounds"]:
        cells = [f"{row['units']}", row["level"], *(f"{t:.2f}" for t in row["ns"].values())]
        cells += [f"{row[k]:.2f}" for k in ("bound_ns", "in_turn_ns", "measured_ns")]
        made.add_row(*cells, f"{row['measured_over_bound']:.2f}")
    console.print(made)
    console.print("All in ns per step of a neuron with noise and without synapses.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rivals", default="nest,brian", help="separated by commas")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="1,2", help="1, 2 or 1,2")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the rivals")
    parser.add_argument("--roofline", action="store_true", help="measure the machine's bounds, too")
    parser.add_argument("--json", type=Path, default=RESULTS / "spiking.json")
    options = parser.parse_args()
    console = Console(width=130)
    record = machine(CORES[0] if PINS else None, PACKAGES)  # first, for the load of the machine
    record["versions"] |= versions(options.python)

    rivals = [OWN]
    for rival in filter(None, options.rivals.split(",")):
        if has(options.python, rival):
            rivals.append(rival)
        else:
            console.print(f"{rival} is not installed for {options.python}; left out.")
    started = startup(options.python)
    console.print(
        f"Compiled in {started['compile_s']:.1f} s once; a later process has done its first step "
        f"{started['start_s']:.2f} s after it was started."
    )
    rows, refused = [], {}
    result = {"machine": record, "startup": started, "refused": refused, "rows": rows}
    if options.roofline:
        result["roofline"] = run(options.python, ["_roofline.py"], 1)
        show_roofline(result["roofline"], console)
    for threads in map(int, options.threads.split(",")):
        for title in options.workloads.split(","):
            workload = WORKLOADS[title]
            if threads > len(CORES) or (threads > 1 and not workload.two):
                continue
            names = [rival for rival in rivals if threads == 1 or rival != "brian"]
            if workload.chains:
                names.insert(1, f"{OWN} x16")
            found = race(names, workload, threads, options)
            if isinstance(found, str):
                refused[f"{title}, threads {threads}"] = found
                console.print(f"{title}: {found}")
            else:
                console.print(table(title, found, threads))
                rows += [{"workload": title} | row for row in found]
            keep(options.json, result)  # what there is so far


if __name__ == "__main__":
    main()
