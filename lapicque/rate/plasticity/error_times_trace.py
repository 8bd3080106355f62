"""The local gradient step: post-synaptic error times pre-synaptic trace."""

import jax.numpy as jnp

from lapicque.rate.plasticity.rule import PlasticityRule


def error_times_trace() -> PlasticityRule:
    """dW/dt = <error trace^T>, the mean over the batch; the rule remembers nothing.

    Source: Urbanczik & Senn (2014), Neuron 81, 521, with error = phi(u) - phi(v_predicted) and the
    pre-synaptic rate as trace; gradient descent on the energy of Haider et al. (2021).
    """

    def update(error, trace, state, dt):
        product = error[..., :, None] * trace[..., None, :]
        return dt * jnp.mean(product, axis=tuple(range(product.ndim - 2))), state

    return PlasticityRule(lambda weights: (), update)
