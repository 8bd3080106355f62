"""Symbolic regression of (x + y)^2 on 1000 points: our compiled search against four engines.

    lapicque  Cartesian genetic programming, 12 x 2 nodes, 10 + 10, p = 0.03, levels back 5
    hal-cgp   the same search, expressions as NumPy functions; give its repository with `--hal`
    pyoperon  tree genetic programming in C++, one thread, without local search
    DEAP      tree genetic programming on NumPy arrays
    gplearn   tree genetic programming, its defaults

Evaluations per second say how fast an engine is, evaluations to solution how well it searches; how
many steps its expressions have says what an evaluation costs. Each engine runs in a process of its
own, in turns; the best of all turns counts, and is CPU time. The others may be installed for
another interpreter, see `--peers`; those that are missing are named and left out.

Then: our plain search with expensive fitness on one and two worker processes, against none; and a
generation of the published search in each family of plasticity tasks.

    python benchmarks/evolve.py --peers ../peers/bin/python --hal ../hal-cgp
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _race import RESULTS, keep, machine
from rich.console import Console
from rich.table import Table

from lapicque._checks import InputError, in_range
from lapicque.evolve import Add, Div, Grid, Mul, Search, Sub, constant, generation
from lapicque.evolve.evaluation import Evaluator, processes

ENGINES = ("lapicque", "hal", "pyoperon", "deap", "gplearn")
HERE = Path(__file__).parent
WAIT = 0.02  # s, of one fitness in the table of workers


def engine(name: str, options, console: Console) -> dict | None:
    """One turn of an engine, or `None` where it is missing."""
    python = sys.executable if name == "lapicque" else options.peers
    environment = dict(os.environ)
    if name == "hal":
        if options.hal is None:
            return None
        environment["HAL_CGP"] = str(options.hal.resolve())
    command = [str(python), str(HERE / f"_evolve_{name}.py"), "--seeds", str(options.seeds)]
    done = subprocess.run(
        [*command, "--seconds", str(options.seconds)],
        capture_output=True, text=True, env=environment, cwd=HERE,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        console.print(f"{name} is missing ({last}); left out.", markup=False)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def race(options, console: Console) -> dict[str, dict]:
    """All engines in turns; of each, what it found and the best of its times."""
    turns: dict[str, list[dict]] = {}
    if options.hal is None:
        console.print("hal is missing (no --hal REPOSITORY); left out.")
    for turn in range(options.repeats):
        for name in ENGINES:
            if turn == 0 or name in turns:
                found = engine(name, options, console)
                if found is not None:
                    turns.setdefault(name, []).append(found)
    rows = {}
    for name, found in turns.items():
        speeds = [turn["steady"]["evaluations"] / turn["steady"]["cpu_s"] for turn in found]
        runs = found[0]["runs"]
        solved = [run for run in runs if run["solved"]]
        cpu = np.min([[run["cpu_s"] for run in turn["runs"]] for turn in found], axis=0)
        # only what every engine reports of itself
        rows[name] = {
            "version": found[0]["version"],
            "evaluations_per_cpu_s": max(speeds),
            "all_evaluations_per_cpu_s": speeds,
            "evaluations_per_wall_s": max(
                turn["steady"]["evaluations"] / turn["steady"]["wall_s"] for turn in found
            ),
            "length": found[0]["steady"].get("length"),
            "solved": len(solved),
            "runs": len(runs),
            "generations_to_solution": [run["generations"] for run in solved],
            "evaluations_to_solution": [run["evaluations"] for run in solved],
            "cpu_s_to_solution": [float(c) for c, run in zip(cpu, runs, strict=True)
                                  if run["solved"]],
        }  # fmt: skip
    return rows


def race_table(rows: dict[str, dict]) -> Table:
    table = Table(title="(x + y)^2, 1000 points, one thread; medians over the runs that solved it")
    heads = ("engine", "evaluations/s", "ours over it", "steps", "solved", "generations",
             "evaluations", "CPU [ms]")  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right")
    own = rows["lapicque"]["evaluations_per_cpu_s"]
    for name, row in rows.items():
        rate = row["evaluations_per_cpu_s"]
        cells = [f"{rate:,.0f}", f"{own / rate:.1f}"]
        cells.append("" if row["length"] is None else f"{row['length']:.1f}")
        cells.append(f"{row['solved']}/{row['runs']}")
        for key, scale in (
            ("generations_to_solution", 1),
            ("evaluations_to_solution", 1),
            ("cpu_s_to_solution", 1000),
        ):
            cells.append(f"{scale * np.median(row[key]):.4g}" if row[key] else "")
        table.add_row(name, *cells)
    return table


# -- workers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Busy:
    """Fitness that takes a fixed CPU time, as a simulation would."""

    seconds: float = WAIT

    def __call__(self, program) -> float:
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return float(np.nan_to_num(program(0.5, 1.5)))


def workers(options, console: Console) -> dict[str, float]:
    """Generations per second of the plain search, by worker processes; the same in each case."""
    grid = Grid(("x", "y"), (Add, Sub, Mul, Div, constant(1.0)), 12)
    search = Search((grid,), 4, 16, 1, 0.2, seed=0)
    found, states = {}, []
    for n in (0, 1, 2):
        with Evaluator(Busy(), processes(n) if n else None, chunk=2) as evaluator:
            evaluator([search.phenotype(g) for g in search.init().genomes])  # starts them
            state = generation(search, search.init(), evaluator)
            begin = time.perf_counter()
            for _ in range(options.generations):
                state = generation(search, state, evaluator)
            found[str(n)] = options.generations / (time.perf_counter() - begin)
            states.append(state)
    assert all((s.genomes == states[0].genomes).all() for s in states)
    table = Table(title=f"Generations of 16 children at {1e3 * WAIT:.0f} ms each, plain search")
    for head in ("workers", "generations/s", "over none"):
        table.add_column(head, justify="right")
    for n, rate in found.items():
        table.add_row(n, f"{rate:.2f}", f"{rate / found['0']:.2f}")
    console.print(table)
    return found


# -- families of plasticity tasks ------------------------------------------------------------------


def families() -> dict[str, tuple]:
    """Fitness and search of each family, with the published settings; those that can be loaded."""
    found = {}
    prefix = "lapicque.evolve.tasks."
    try:
        module = importlib.import_module(prefix + "principal_component")
        task = module.Fitness(module.Family(10, 2, 2000).draw(0))
        grid = Grid(("x", "w", "y"), (Sub, Mul), 30)
        found["principal component"] = task, Search((grid,), 1, 4, 1, 0.05)
    except ImportError:
        pass
    for name, kind, rate, size in (
        ("reward", "RewardTask", 0.045, 4),
        ("error", "ErrorTask", 0.045, 4),
        ("correlation", "CorrelationTask", 0.05, 8),
    ):
        try:
            task = getattr(importlib.import_module(prefix + name), kind)()
        except ImportError:
            continue
        grids = task.grids() if name == "correlation" else (task.grid(),)
        found[name] = task, Search(grids, size, size, 1, rate)
    return found


def plasticity(options, console: Console) -> dict[str, dict]:
    """Time per generation from random parents, and per expression that is evaluated."""
    table = Table(title="Plasticity rules, published settings, one process")
    for head in ("family", "s/generation", "s/evaluation", "evaluated", "finite"):
        table.add_column(head, justify="right")
    rows = {}
    for name, (task, search) in families().items():
        evaluator = Evaluator(task)
        state = generation(search, search.init(), evaluator)  # compiles, too
        before, begin, made = len(evaluator.known), time.perf_counter(), 0
        while made < options.generations and time.perf_counter() - begin < options.most:
            state, made = generation(search, state, evaluator), made + 1
        spent, count = time.perf_counter() - begin, len(evaluator.known) - before
        finite = int(np.isfinite(list(evaluator.known.values())[before:]).sum())
        rows[name] = {
            "s_per_generation": spent / made,
            "s_per_evaluation": spent / max(1, count),
            "generations": made, "evaluated": count, "finite": finite,
        }  # fmt: skip
        table.add_row(
            name, f"{spent / made:.3f}", f"{spent / max(1, count):.4f}", f"{count}", f"{finite}"
        )
    console.print(table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of every engine")
    parser.add_argument("--seeds", type=int, default=10, help="runs to solution")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn without a goal")
    parser.add_argument("--generations", type=int, default=20, help="of the last two tables")
    parser.add_argument("--most", type=float, default=30.0, help="seconds for a family")
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="interpreter")
    parser.add_argument("--hal", type=Path, help="repository of hal-cgp")
    parser.add_argument("--json", type=Path, default=RESULTS / "evolve.json")
    options = parser.parse_args()
    try:
        for name in ("repeats", "seeds", "generations"):
            in_range(f"--{name}", getattr(options, name), 1)
        in_range("--seconds", options.seconds, 1, unit="s")
    except InputError as error:
        parser.error(str(error))
    console = Console(width=None if Console().is_terminal else 120)
    record = {
        **machine(None, ["lapicque", "numpy", "numba"]),
        "work": {"target": "(x + y)^2", "points": 1000, "turns": options.repeats},
    }
    record["engines"] = race(options, console)
    console.print(race_table(record["engines"]))
    keep(options.json, record)
    record["generations_per_s_by_workers"] = workers(options, console)
    record["plasticity"] = plasticity(options, console)
    keep(options.json, record)
    console.print(f"Written to {options.json}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
