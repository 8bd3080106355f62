"""Networks whose synapses are drawn, so that they can be looked at and changed one by one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import shape
from lapicque.spiking.build import drawn_pairs
from lapicque.spiking.connectors import FromArrays
from lapicque.spiking.network import Network, Projection, check_weight


@dataclass(frozen=True, eq=False)
class Synapses:
    """All synapses of a projection, in the order of its connector.

    Attributes:
        pre: Presynaptic unit, shape (synapses,).
        post: Postsynaptic unit, shape (synapses,).
        weight: In nA, uS or mV, shape (synapses,).
        delay: In ms, shape (synapses,).

    Raises:
        InputError: The arrays differ in length.
    """

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.float64]

    def __post_init__(self):
        for name in ("post", "weight", "delay"):
            shape(name, getattr(self, name), self.pre.shape)

    def __len__(self) -> int:
        return self.pre.size

    def kept(self, which: NDArray[np.bool_]) -> "Synapses":
        """Those that are chosen."""
        return Synapses(self.pre[which], self.post[which], self.weight[which], self.delay[which])


def synapses(network: Network, seed: int) -> list[Synapses]:
    """The synapses of every projection, as `Simulation` draws them for this seed.

    Raises:
        InputError: A drawn weight or delay is out of range.
    """
    found = []
    for k, projection in enumerate(network.projections):
        pre, post, weight, delay = drawn_pairs(projection, np.random.default_rng([seed, k]))
        n = len(pre)
        check_weight(weight, projection.post, projection.receptor, projection.label)
        found.append(
            Synapses(
                pre.astype(np.int64),
                post.astype(np.int64),
                np.broadcast_to(weight, (n,)),
                np.broadcast_to(delay, (n,)),
            )
        )
    return found


def with_synapses(network: Network, drawn: list[Synapses]) -> Network:
    """The same populations, noise and recorders, with given synapses.

    A `Simulation` of what `synapses` returned has the same spikes as one of `network` itself.
    """
    changed = Network()
    changed.populations = list(network.populations)
    changed.noises = list(network.noises)
    changed.recorders = list(network.recorders)
    changed.projections = [
        replace(p, connector=FromArrays(s.pre, s.post), weight=s.weight, delay=s.delay)
        for p, s in zip(network.projections, drawn, strict=True)
    ]
    return changed


def changed(
    network: Network, seed: int, change: Callable[[Projection, int, Synapses], Synapses]
) -> Network:
    """A network with synapses that were changed projection by projection.

    Args:
        network: What to change; it stays as it is.
        seed: With which its synapses are drawn, that of the `Simulation`.
        change: Gets the projection, its number and its synapses.
    """
    drawn = synapses(network, seed)
    return with_synapses(
        network,
        [change(p, k, s) for k, (p, s) in enumerate(zip(network.projections, drawn, strict=True))],
    )
