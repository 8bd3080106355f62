"""The first-order lead-lag filter: the single building block of neurons and of their errors.

    lag dv/dt = x - v,      y = v + lead dv/dt

A leaky integrator has lead = 0, a prospective one lead > 0; with lead = lag the output is the
input. In discrete time (explicit Euler) the transfer function is
(dt + lead (z - 1)) / (dt + lag (z - 1)), so that swapping lead and lag inverts the filter exactly.

Source: the operators D+ and I- of Ellenberger et al. (2024), arXiv 2403.16933.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque.rate.part import AbstractPart


class Filtered(NamedTuple):
    """One step of the filter."""

    v: Float[Array, "*batch n"]  # state after the step
    y: Float[Array, "*batch n"]  # output of the step
    slope: Float[Array, "*batch n"]  # dv/dt during the step [1/ms]


def lead_lag(
    v: Float[Array, "*batch n"],
    x: Float[Array, "*batch n"],
    lead: Float[Array, "*n"] | float,
    lag: Float[Array, "*n"] | float,
    dt: float,
) -> Filtered:
    """One explicit Euler step; the output uses the state *before* the step.

    Args:
        v: State.
        x: Input.
        lead: Look-ahead time constant, at least 0 [ms].
        lag: Integration time constant; stable for lag > dt/2, monotone for lag >= dt [ms].
        dt: Step [ms].
    """
    slope = (x - v) / lag
    return Filtered(v + dt * slope, v + lead * slope, slope)


class LeadLag(AbstractPart[Array]):
    """`lead_lag` as a part; its state is `v`, an array of the shape of its input."""

    lead: Float[Array, "*n"] | float
    lag: Float[Array, "*n"] | float

    def init(self, shape: tuple[int, ...]) -> Array:
        return jnp.zeros(shape)

    def step(self, state: Array, input: Array, dt: float) -> tuple[Array, Array]:
        v, y, _ = lead_lag(state, input, self.lead, self.lag, dt)
        return v, y
