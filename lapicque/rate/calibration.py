"""Neuron-local calibration: each neuron learns to answer without lag."""

import equinox as eqx
import jax
from jaxtyping import Array, Float

from lapicque._checks import finite, positive
from lapicque.rate.models import with_time_constants
from lapicque.rate.network import Network, NetworkState


def calibrate_tau_m(
    network: Network,
    state: NetworkState,
    inputs: Float[Array, "time batch *input"],
    rate: float,
    dt: float,
) -> tuple[Network, NetworkState]:
    """Adapt every membrane time constant to its neuron's prospective one, without a teacher.

        d tau_m / dt = rate <(u + tau_r du/dt - I) du/dt>_batch

    Without errors the bracket is (tau_r - tau_m) (du/dt)^2, so the fixed point is tau_m = tau_r;
    every factor is known to the neuron. Time constants stay at or above `dt`.

    Args:
        network: With one tau_m per neuron.
        state: Where the network is now; nothing is reset.
        inputs: One input per step; they must vary, or nothing is learned.
        rate: Learning rate, above 0 [ms].
        dt: Step [ms].

    Returns:
        The calibrated network and its state.

    Source: Haider et al. (2021), figure 4b.
    """
    positive("rate", rate, "ms")
    finite("inputs", inputs)
    network.check(dt)

    return _calibrate(network, state, inputs, rate, dt)


@eqx.filter_jit
def _calibrate(network: Network, state: NetworkState, inputs: Array, rate: float, dt: float):
    tau_r = [layer.neurons.tau_r for layer in network.layers]

    def body(carry, x):
        tau_m, state = carry
        now = with_time_constants(network, tau_m, tau_r)
        after, _ = now.step(state, x, dt)
        adapted = []
        for layer, before, new in zip(now.layers, state.layers, after.layers, strict=True):
            tau = layer.neurons.tau_m
            slope = (new.u - before.u) / dt
            current = before.u + tau * slope
            lead = ((new.p - current) * slope).mean(tuple(range(new.u.ndim - tau.ndim)))
            adapted.append((tau + dt * rate * lead).clip(dt))
        return (tuple(adapted), after), None

    start = tuple(layer.neurons.tau_m for layer in network.layers)
    (tau_m, state), _ = jax.lax.scan(body, (start, state), inputs)
    return with_time_constants(network, tau_m, tau_r), state
