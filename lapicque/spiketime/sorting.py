"""Sorting of short rows in compiled programs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

LONG = 256  # longer rows go to XLA's own sort: the network takes long to compile


def sort_with(
    keys: Float[Array, "n *rest"], payload: Shaped[Array, "n *rest"]
) -> tuple[Float[Array, "n *rest"], Shaped[Array, "n *rest"]]:
    """Sort along the first axis and carry a payload along.

    A bitonic network: its comparisons do not depend on the data, so that all columns go through
    in vector instructions. On a CPU this is several times faster than XLA's sort, which
    calls a comparison for each pair. Equal keys may change places.
    """
    n = keys.shape[0]
    if n > LONG:
        keys, payload = jax.lax.sort((keys, payload), dimension=0, num_keys=1)
        return keys, payload
    size = 1 << (n - 1).bit_length()
    padding = [(0, size - n)] + [(0, 0)] * (keys.ndim - 1)
    keys = jnp.pad(keys, padding, constant_values=jnp.inf)
    payload = jnp.pad(payload, padding)
    block = 2
    while block <= size:
        # The first comparison of a merge is with the mirrored partner, so that all later ones
        # point the same way.
        keys, payload = _compare(keys, payload, block, mirrored=True)
        width = block // 2
        while width > 1:
            keys, payload = _compare(keys, payload, width, mirrored=False)
            width //= 2
        block *= 2
    return keys[:n], payload[:n]


def _compare(keys, payload, block, *, mirrored):
    def halves(x):
        x = x.reshape(-1, 2, block // 2, *x.shape[1:])
        return x[:, 0], x[:, 1, ::-1] if mirrored else x[:, 1]

    def whole(low, high):
        x = jnp.stack([low, high[:, ::-1] if mirrored else high], axis=1)
        return x.reshape(-1, *x.shape[3:])

    (low, high), (a, b) = halves(keys), halves(payload)
    swap = high < low
    return (
        whole(jnp.where(swap, high, low), jnp.where(swap, low, high)),
        whole(jnp.where(swap, b, a), jnp.where(swap, a, b)),
    )
