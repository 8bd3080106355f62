"""What happens to a rate on its way to the next layer: noise, then the synapse's low-pass."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from lapicque._checks import in_range


class Transmission(eqx.Module):
    """Rate noise and synaptic filter.

        r <- r + xi,  xi ~ N(0, noise^2) per neuron and step,      tau_syn dr_bar/dt = r - r_bar

    Attributes:
        noise: Standard deviation of the noise [rate].
        tau_syn: Synaptic time constant; 0 switches the filter off [ms].

    Source: Haider et al. (2021), robustness to substrate imperfections.
    """

    noise: float = eqx.field(static=True, default=0.0)
    tau_syn: float = eqx.field(static=True, default=0.0)

    def step(
        self, filtered: Array, rate: Array, keys: PRNGKeyArray | None, layer: int, dt: float
    ) -> Array:
        """The rate that the next layer sees; `keys` has one key per sample where there is noise."""
        if self.noise and keys is not None:
            shape = rate.shape[keys.ndim :]

            def draw(key: PRNGKeyArray) -> Array:
                return jax.random.normal(jax.random.fold_in(key, layer), shape, rate.dtype)

            rate = rate + self.noise * per_key(draw, keys)
        return rate if self.tau_syn == 0 else filtered + dt / self.tau_syn * (rate - filtered)

    def check(self, dt: float) -> None:
        """Raise an `InputError` for negative noise or a filter faster than the step."""
        in_range("noise", self.noise, 0)
        if self.tau_syn != 0:
            in_range("tau_syn", self.tau_syn, dt, unit="ms", hint="Use 0 for no filter.")


def sample_keys(key: PRNGKeyArray, batch_shape: tuple[int, ...]) -> PRNGKeyArray:
    """One key per sample; sample i has the same key in a batch of any size."""
    n = jnp.arange(math.prod(batch_shape))
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(n).reshape(batch_shape)


def per_key(function: Callable[[PRNGKeyArray], Array], keys: PRNGKeyArray) -> Array:
    """`function` of every key, with the axes of `keys` in front."""
    for _ in range(keys.ndim):
        function = jax.vmap(function)
    return function(keys)
