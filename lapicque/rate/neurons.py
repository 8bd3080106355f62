"""Leaky rate neurons that answer with their prospective potential."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from lapicque._checks import in_range
from lapicque.rate.filters import Filtered, lead_lag
from lapicque.rate.part import AbstractPart


def _strong(value: ArrayLike) -> Array:
    """An array whose type does not give way to others, so that a step keeps the type of a state."""
    return jnp.asarray(value, jnp.asarray(value).dtype)


class NeuronState(NamedTuple):
    """What `Neurons` carry from one step to the next."""

    u: Float[Array, "*shape"]  # membrane potential [dimensionless]


class Neurons(AbstractPart[NeuronState]):
    """Leaky integrators with two time constants, one to remember, one to look ahead.

        tau_m du/dt = -u + current,     rate = activation(u + tau_r du/dt)

    Attributes:
        tau_m: Membrane time constant, a number or one per neuron [ms].
        tau_r: Prospective time constant; equal to `tau_m` the lag cancels exactly, at zero the
            neuron is an ordinary leaky integrator [ms].
        activation: Element-wise function from prospective potential to rate.

    Source: Haider et al. (2021), prospective voltage; Ellenberger et al. (2024) for two constants.
    """

    tau_m: Float[Array, "*n"] = eqx.field(converter=_strong)
    tau_r: Float[Array, "*n"] = eqx.field(converter=_strong)
    activation: Callable[[Array], Array] = eqx.field(static=True, default=jax.nn.sigmoid)

    def init(self, shape: tuple[int, ...]) -> NeuronState:
        return NeuronState(jnp.zeros(shape, self.tau_m.dtype))

    def integrate(self, u: Float[Array, "*shape"], current: Array, dt: float) -> Filtered:
        """One Euler step: the next `u`, the prospective potential `y`, and the slope du/dt."""
        return lead_lag(u, current, self.tau_r, self.tau_m, dt)

    def step(self, state: NeuronState, input: Array, dt: float) -> tuple[NeuronState, Array]:
        u, p, _ = self.integrate(state.u, input, dt)
        return NeuronState(u), self.activation(p)

    def slope(self, p: Array) -> Array:
        """Derivative of the activation at the prospective potential `p`."""
        return jax.jvp(self.activation, (p,), (jnp.ones_like(p),))[1]

    def check(self, dt: float) -> None:
        """Raise an `InputError` unless tau_m >= dt and tau_r >= 0."""
        in_range("dt", dt, 0, unit="ms")
        hint = f"Below the step (dt = {dt:g} ms) the potential would overshoot; lower `dt`."
        in_range("tau_m", self.tau_m, dt, unit="ms", hint=hint)
        in_range("tau_r", self.tau_r, 0, unit="ms")
