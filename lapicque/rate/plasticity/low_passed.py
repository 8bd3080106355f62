"""A low-pass filter behind any plasticity rule."""

import jax.numpy as jnp

from lapicque._checks import positive
from lapicque.rate.plasticity.rule import PlasticityRule


def low_passed(rule: PlasticityRule, tau_w: float) -> PlasticityRule:
    """Apply the running mean of a rule's changes, so that fast fluctuations cancel.

        tau_w dDelta/dt = -Delta + change

    Args:
        rule: The rule to smooth.
        tau_w: Time constant, at least one step [ms].

    Raises:
        InputError: `tau_w` is not above zero.

    Source: Sacramento et al. (2018), plasticity of the dendritic microcircuit; Max et al. (2024),
    with which learning averages over the noise that learns the feedback.
    """
    positive("tau_w", tau_w, "ms")

    def init(weights):
        return rule.init(weights), jnp.zeros_like(weights)

    def update(error, trace, state, dt):
        inner, mean = state
        change, inner = rule.update(error, trace, inner, dt)
        mean = mean + dt / tau_w * (change - mean)
        return mean, (inner, mean)

    return PlasticityRule(init, update)
