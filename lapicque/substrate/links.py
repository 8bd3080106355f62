"""Spikes on their way into and out of chips, through links that carry only so many a second."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

Values = NDArray[np.float64]
LOST = np.inf


@dataclass
class Pulses:
    """What became of spikes; stimuli go down, recorded spikes come up.

    Attributes:
        down_generated: Spikes that sources were to send.
        down_dropped: Those that the memory of stimuli could not keep.
        down_lost: Those that a link could not carry.
        down_sent: Those that arrived.
        up_sent: Spikes of neurons that were recorded.
        up_lost: Those that took part in the network, but are missing in the recording.
        on_wafer: Spikes that neurons sent to each other; none of them is lost.
    """

    down_generated: int = 0
    down_dropped: int = 0
    down_lost: int = 0
    down_sent: int = 0
    up_sent: int = 0
    up_lost: int = 0
    on_wafer: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Queues:
    """Servers that let one event pass after another; whoever finds the waiting room full is lost.

    Args:
        n: How many.
        rate: Events a second that each lets pass; infinite for no limit. [Hz]
        depth: Events that can wait.
    """

    def __init__(self, n: int, rate: float, depth: int):
        self.free = np.zeros(n)  # when each server is free again [ms]
        self.interval = 1e3 / rate
        self.depth = depth

    def passed(self, time: Values, server: NDArray[np.int64]) -> Values:
        """When events leave, `LOST` for those that are lost.

        Args:
            time: When they arrive, rising. [ms]
            server: At which server.
        """
        if self.interval == 0:
            return time.copy()
        return _pass(time, server, self.free, self.interval, self.depth)


@njit(cache=True)
def _pass(time, server, free, interval, depth):
    leaves = np.empty_like(time)
    for k in range(time.size):
        s = server[k]
        if not np.isfinite(time[k]) or free[s] - time[k] > depth * interval:
            leaves[k] = np.inf
            continue
        leaves[k] = max(time[k], free[s])
        free[s] = leaves[k] + interval
    return leaves
