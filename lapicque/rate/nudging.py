"""Nudging: a target pulls the output neurons a little way down the slope of a cost."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import in_range

Cost = Callable[[Float[Array, "*batch n"], Float[Array, "*batch n"]], Float[Array, "*batch"]]


def squared_error(rates: Array, target: Array) -> Array:
    """Half the squared distance, summed over neurons. Its negative slope is `target - rates`."""
    return 0.5 * jnp.square(target - rates).sum(-1)


def cross_entropy(rates: Array, target: Array) -> Array:
    """Cross-entropy of softmax(rates) with target probabilities (one-hot labels)."""
    return -(target * jax.nn.log_softmax(rates)).sum(-1)


class Nudging(eqx.Module):
    """A cost on the output rates and the strength with which its slope acts.

        e = -beta * activation'(p) * dC/dr

    Attributes:
        beta: Nudging strength, at least 0. Errors are exact gradients to first order in beta.
        cost: Cost per sample from rates and targets.
        tau: Low-pass time constant of the target; 0 lets it switch at once [ms]. Set to the sum
            of the synaptic time constants on the way up, the target lags like the answer does.

    Source: Haider et al. (2021), energy E + beta C.
    """

    beta: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.1)
    cost: Cost = eqx.field(static=True, default=squared_error)
    tau: float = eqx.field(static=True, default=0.0)

    def slope(self, rates: Array, target: Array) -> Array:
        """-beta dC/dr, the pull on the output rates."""
        return -self.beta * jax.grad(lambda r: self.cost(r, target).sum())(rates)

    def filter(self, filtered: Array, target: Array, dt: float) -> Array:
        """One step of the target's low-pass."""
        return target if self.tau == 0 else filtered + dt / self.tau * (target - filtered)

    def check(self, dt: float) -> None:
        """Raise an `InputError` for a negative beta or a low-pass faster than the step."""
        in_range("beta", self.beta, 0, hint="A negative strength would push away from the target.")
        if self.tau != 0:
            in_range("tau", self.tau, dt, unit="ms", hint="Use 0 for no low-pass.")
