"""What a result depends on besides its configuration: versions, commit, machine, command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lapicque

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "numba", "h5py", "matplotlib")


def collect(seed: int | list[int], source: Path) -> dict[str, Any]:
    """Describe this process.

    Args:
        seed: The seed or seeds of the run.
        source: File of the experiment, whose checksum is recorded.
    """
    return {
        "seed": seed,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["lapicque", *sys.argv[1:]]),
        "versions": versions(),
        "commit": commit(Path(lapicque.__file__).parent),
        "experiment_sha256": sha256(source.read_bytes()).hexdigest(),
        "machine": machine(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that compute; missing ones are left out."""
    found = {"lapicque": lapicque.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that tracks `folder`, and whether it was changed; None without one."""
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # not a checkout, or one that only surrounds the installed package
    head = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if head is None else {"sha": head, "dirty": bool(changes)}


def machine() -> dict[str, Any]:
    """Processor, usable cores, memory [GiB], accelerators and operating system."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "accelerators": accelerators(),
        "system": platform.platform(),
    }


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def accelerators() -> list[str]:
    """Names of the accelerators that JAX uses; empty if JAX has not been loaded."""
    jax = sys.modules.get("jax")
    if jax is None:
        return []
    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed between two descriptions that may change a result, one phrase each."""
    found = [
        f"{package} was {before['versions'].get(package)}, is {number}"
        for package, number in now["versions"].items()
        if before["versions"].get(package) != number
    ]
    if before["commit"] != now["commit"]:
        found.append("the commit of lapicque is another one")
    if before["experiment_sha256"] != now["experiment_sha256"]:
        found.append("the file of the experiment was edited")
    found += [
        f"{what} was {before['machine'][what]}, is {now['machine'][what]}"
        for what in ("processor", "cores")
        if before["machine"][what] != now["machine"][what]
    ]
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here
    return done.stdout.strip() if done.returncode == 0 else None
