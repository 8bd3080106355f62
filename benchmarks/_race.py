"""What every benchmark needs: one core, rivals that take turns, and a record of the machine."""

import gc
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")


def one_core() -> int | None:
    """Pin this process to the last core it may use; to be called before NumPy, JAX and PyTorch.

    The thread variables of OpenMP, OpenBLAS and MKL bind NumPy and PyTorch, but XLA's CPU client
    keeps a thread pool of its own that no flag switches off entirely. It takes its size from the
    cores that the process may use when it starts, and threads inherit the pinning, so with one
    core every rival has one thread's worth of hardware and no more.

    Returns:
        The core, or `None` where the operating system cannot pin.
    """
    for name in _THREADS:
        os.environ[f"{name}_NUM_THREADS"] = "1"
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


class Rival(NamedTuple):
    """Someone in a race."""

    name: str
    run: Callable[[], object]  # does `steps` steps and returns when they are done
    steps: int


class Time(NamedTuple):
    """Time per step [us]: the least and the middle of all rounds, by the clock and by the CPU."""

    wall: float
    wall_median: float
    cpu: float
    cpu_median: float


def race(rivals: Sequence[Rival], repeats: int) -> dict[str, Time]:
    """Time the rivals in turns, so that what disturbs the machine disturbs them all alike.

    Each must have run once before: compilation and first use are no part of the race. The least
    time is the one to compare, since other processes can only add to it.
    """
    wall: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    cpu: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, run, steps in rivals:
                wall_start, cpu_start = time.perf_counter(), time.process_time()
                run()
                cpu_end, wall_end = time.process_time(), time.perf_counter()
                wall[name].append(1e6 * (wall_end - wall_start) / steps)
                cpu[name].append(1e6 * (cpu_end - cpu_start) / steps)
    finally:
        gc.enable()
    return {
        name: Time(min(wall[name]), median(wall[name]), min(cpu[name]), median(cpu[name]))
        for name in wall
    }


def machine(core: int | None, packages: Sequence[str]) -> dict:
    """Where and with what a race was run; packages that are not installed are `None`."""
    from threadpoolctl import threadpool_info

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "pinned_to_core": core,
        "load_average_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "thread_pools": [
            {k: pool.get(k) for k in ("internal_api", "version", "architecture", "num_threads")}
            for pool in threadpool_info()
        ],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    family = f"family {fields.get('cpu family')}, model {fields.get('model')}"
    return f"{fields.get('model name', platform.processor())} ({family})"


def keep(path: Path, record: dict) -> None:
    """Write a record of figures where the next reader looks for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
