"""Networks for which exact and local gradients are compared."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lapicque.rate import Dense, Layer, Network, Neurons, Nudging, Schedule, swapped


def various(
    seed: int,
    sizes: Sequence[int],
    schedule: Schedule,
    *,
    recurrent: bool = False,
    scale: float = 0.4,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> Network:
    """Every neuron with its own constants: tau_m in 0.3 ... 2, tau_r in 0.05 ... 1.5."""
    rng, layers = np.random.default_rng(seed), []
    for pre, post in pairwise(sizes):
        layers.append(
            Layer(
                Dense(*(jnp.asarray(scale * rng.standard_normal(s)) for s in ((post, pre), post))),
                Neurons(rng.uniform(0.3, 2, post), rng.uniform(0.05, 1.5, post), activation),
                recurrent=Dense(jnp.asarray(scale * rng.standard_normal((post, post))))
                if recurrent
                else None,
            )
        )
    return Network(layers, (sizes[0],), Nudging(1.0), 0.0, schedule)


def layered(
    seed: int, tau_r: Sequence[float], activation: Callable[[Array], Array] = jnp.tanh
) -> Network:
    """1 - n - n - 1 neurons with tau_m = 1; tau_r per hidden neuron, 1 at the output; no delays."""
    rng, layers = np.random.default_rng(seed), []
    constants = (tau_r, tau_r, (1.0,))
    for (pre, post), tau in zip(pairwise((1, len(tau_r), len(tau_r), 1)), constants, strict=True):
        weight = jnp.asarray(rng.standard_normal((post, pre)) / np.sqrt(pre))
        neurons = Neurons(jnp.ones(post), jnp.array(tau), activation)
        layers.append(Layer(Dense(weight), neurons, error_filter=swapped))
    return Network(layers, (1,), Nudging(1.0), 0.0, Schedule(0, 0))


def relative_error(ours, exact) -> dict[str, float]:
    """The largest relative difference of each group of parameters, over the layers."""
    errors: dict[str, list[float]] = {}
    for a, b in zip(ours, exact, strict=True):
        for name in a._fields:
            pairs = zip(
                jax.tree.leaves(getattr(a, name)), jax.tree.leaves(getattr(b, name)), strict=True
            )
            found = [float(jnp.linalg.norm(x - y) / jnp.linalg.norm(y)) for x, y in pairs]
            errors.setdefault(name, []).extend(found)
    return {name: max(values) for name, values in errors.items() if values}
