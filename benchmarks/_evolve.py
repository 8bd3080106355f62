"""The work that engines of symbolic regression are timed on; imported by all of them.

Each `_evolve_*.py` runs one engine in a process of its own and prints a line of JSON:

    {"version", "runs": [{"seed", "solved", "generations", "evaluations", "wall_s", "cpu_s"}],
     "steady": {"evaluations", "wall_s", "cpu_s"}}

`runs` go until (x + y)^2 is found, `steady` goes on for a time without a goal and may tell the
mean `length` of expressions. An evaluation is one expression evaluated on all points.
"""

import argparse
import importlib.metadata
import json
import os
import time

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402 - after the variables that bind its threads

POINTS, LOW, HIGH = 1000, -5.0, 5.0
SOLVED = 1e-10  # of the mean squared error
MOST = 1_000_000  # evaluations of a run


def points():
    """Inputs of shape (2, points), and (x + y)^2."""
    inputs = np.random.default_rng(0).uniform(LOW, HIGH, (2, POINTS))
    return inputs, inputs.sum(0) ** 2


def options():
    """Seeds of the runs, and for how long the engine runs without a goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    return parser.parse_args()


def timed(function, *arguments) -> dict:
    """What a function returns, a dictionary, with the time that it took unless that is in it."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = function(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"wall_s": wall, "cpu_s": cpu} | found


def report(package: str, single, steady) -> None:
    """Run an engine and print what it did.

    Args:
        package: Whose version is named.
        single: `seed -> {"solved", "generations", "evaluations"}`; called once before, too.
        steady: `seconds -> {"evaluations"}`.
    """
    chosen = options()
    single(0)
    runs = [{"seed": k, **timed(single, k)} for k in range(chosen.seeds)]
    found = timed(steady, chosen.seconds)
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = None
    print(json.dumps({"version": version, "runs": runs, "steady": found}, default=float))


def repeated(run, seconds: float) -> dict:
    """Call `run(k) -> evaluations` for k = 0, 1, ... until the time is over."""
    total, k, end = 0, 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        total += run(k)
        k += 1
    return {"evaluations": total}
