"""Neurons that do not spike have no gradient: two ways to bring them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lapicque._checks import in_range, positive
from lapicque.spiketime.layers import Network


class BumpState(NamedTuple):
    """Size of the last bump, and the layer it went to; -1 for none."""

    size: Float[Array, ""]
    layer: Int[Array, ""]


@dataclass(frozen=True)
class Bumping:
    """Raise the weights of neurons that stay silent, until few enough do.

    The first layer, from the input on, in which more than its share of spikes is missing in a
    batch is bumped: all incoming weights of each neuron that missed a spike grow. In such a
    batch nothing is learned. Bumps of the same layer in a row double.

    Attributes:
        limits: Share of missing spikes that is tolerated, per layer.
        size: First bump.

    Raises:
        InputError: A limit is outside [0, 1], or `size` is not above zero.

    Source:
        Göltz, Kriener et al. (2021), released code (targeted, exponential).
    """

    limits: tuple[float, ...]
    size: float = 0.0005

    def __post_init__(self) -> None:
        in_range("limits", list(self.limits), 0, 1)
        positive("size", self.size)

    def init(self) -> BumpState:
        """Nothing bumped yet."""
        return BumpState(jnp.asarray(self.size), jnp.asarray(-1, int))

    def plan(
        self,
        spikes: Sequence[Float[Array, "batch post"]],
        counted: Bool[Array, " batch"],
        state: BumpState,
    ) -> tuple[tuple[Float[Array, " post"], ...], BumpState]:
        """What to add to the incoming weights of each neuron, and the state after.

        Args:
            spikes: Spike times of every layer.
            counted: Which samples count.
            state: After the batch before.
        """
        missing = [~jnp.isfinite(times) & counted[:, None] for times in spikes]
        share = jnp.stack([m.sum() / (counted.sum() * m.shape[1]) for m in missing])
        above = share > jnp.asarray(self.limits)
        layer = jnp.where(above.any(), jnp.argmax(above), -1)
        again = (layer == state.layer) & (layer >= 0)
        size = jnp.where(again, 2 * state.size, self.size)
        bumps = tuple(jnp.where((layer == k) & m.any(0), size, 0.0) for k, m in enumerate(missing))
        return bumps, BumpState(size, layer)


def peak_margin(
    network: Network,
    inputs: Float[Array, "batch input"],
    spikes: Sequence[Float[Array, "batch _"]],
    margin: float = 0.0,
) -> Float[Array, " batch"]:
    """What silent neurons lack to their threshold, squared: a smooth alternative to bumps.

    The sum over all layers of `(threshold (1 + margin) - highest potential)^2` of the neurons
    that are silent, divided by the number of neurons. Its gradient is that of the potential at
    its top, for weights and delays. A neuron without any excitatory drive keeps none.

    Args:
        network: The network.
        inputs: Spike times that went in. [tau_s]
        spikes: Spike times of every layer, as the network returned them.
        margin: How far above the threshold silent neurons shall come, relative.

    Raises:
        InputError: `margin` is below zero.
    """
    in_range("margin", margin, low=0)
    total, count = jnp.zeros(inputs.shape[:-1], inputs.dtype), 0
    for layer, before, times in zip(network.layers, (inputs, *spikes), spikes, strict=False):
        lack = jnp.maximum(layer.neuron.threshold * (1 + margin) - layer.highest(before), 0)
        total = total + jnp.sum(jnp.where(jnp.isfinite(times), 0.0, lack**2), -1)
        count += times.shape[-1]
    return total / count
