"""The energy behind the dynamics, for checks: dynamics and plasticity are its stationary points."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque.rate.network import Network


def energy(
    network: Network,
    potentials: Sequence[Float[Array, "batch *n"]],
    input: Float[Array, "batch *input"],
    target: Float[Array, "batch *output"] | None,
) -> Float[Array, ""]:
    """Mismatch energy of prospective potentials, averaged over the batch.

        E = 1/2 sum_l |p_l - I_l|^2 + beta C(activation(p_L))

    At a settled state dE/dp = 0, and dE/d(parameters) is what `Network.step_with_gradients`
    returns.

    Source: Haider et al. (2021), energy in the prospective voltage.
    """
    total = jnp.asarray(0.0, network.dtype)
    below = input
    for layer, p in zip(network.layers, potentials, strict=True):
        rate = layer.neurons.activation(p)
        current = layer.synapses(below)
        if layer.recurrent is not None:
            current = current + layer.recurrent(rate)
        total = total + 0.5 * jnp.square(p - current).sum()
        below = rate
    if target is not None:
        total = total + (network.nudging.beta * network.nudging.cost(below, target)).sum()
    return total / input.shape[0]
