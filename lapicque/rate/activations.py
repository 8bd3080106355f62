"""Activation functions that the published works use and JAX does not have in their form."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def identity(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """A linear neuron: its rate is its prospective potential."""
    return p


@jax.custom_jvp
def hard_sigmoid(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """clip(p, 0, 1), with slope 1 on the *closed* interval [0, 1].

    Source: Haider et al. (2021), networks of figures 2b-e and 4.
    """
    return jnp.clip(p, 0, 1)


@hard_sigmoid.defjvp
def _hard_sigmoid_jvp(primals, tangents):
    (p,), (dp,) = primals, tangents
    return hard_sigmoid(p), jnp.where((p >= 0) & (p <= 1), dp, 0)
