"""How much memory a network needs, asked before any of it is allocated."""

from pathlib import Path

import numpy as np

from lapicque._checks import InputError
from lapicque.spiking.connectors import (
    AllToAll,
    DistanceInDegree,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
)
from lapicque.spiking.network import Network, Projection
from lapicque.spiking.rules import rule_of


def expected_synapses(projection: Projection) -> float:
    """How many synapses a connector will draw, where that is known beforehand."""
    connector, pre, post = projection.connector, projection.pre.size, projection.post.size
    if isinstance(connector, AllToAll):
        return float(pre) * post
    if isinstance(connector, FixedProbability):
        return float(connector.p) * pre * post
    if isinstance(connector, FixedInDegree | DistanceInDegree):
        return float(connector.n) * post
    if isinstance(connector, FixedOutDegree):
        return float(connector.n) * pre
    return 0.0


def check_memory(network: Network, chains: int, longest: float) -> None:
    """Compare what a network needs with what is available, before anything is allocated.

    Args:
        network: The description.
        chains: In how many copies it runs.
        longest: Longest delay, where it is known [steps].

    Raises:
        InputError: It needs more.
    """
    need = 0.0
    for p in network.projections:
        several = callable(p.weight) or np.size(p.weight) > 1
        width = 16 + 8 * several + 4 * callable(p.delay) + (24 * chains if rule_of(p) else 0)
        need += width * expected_synapses(p)
    units = sum(p.size for p in network.populations)
    need += units * chains * (200 + 16 * longest)
    available = available_memory()
    if available is not None and need > available:
        raise InputError(
            f"This network needs about {need / 2**30:.1f} GiB of memory and "
            f"{available / 2**30:.1f} GiB are available; use fewer synapses, units or chains."
        )


def available_memory() -> float | None:
    """Bytes that can still be had, or `None` where the system does not say."""
    limits = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(1024.0 * int(line.split()[1]))
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            limits.append(float(limit) - float((group / "memory.current").read_text()))
    except OSError:
        pass
    return min(limits, default=None)
