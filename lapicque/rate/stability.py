"""Do errors feed on themselves? An estimate of the gain of the loops that they run through.

Causal errors are amplified where a neuron remembers: the error filter passes fast changes with the
gain tau_m / tau_r. Where errors return to themselves, through recurrent synapses or through the
potentials that they drive (coupling > 0), a gain above 1 lets them grow without bound.
"""

import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lapicque._checks import known
from lapicque.rate.network import Layer, Network, NetworkState


class UnstableErrorsWarning(UserWarning):
    """The errors of a network may grow without bound."""


class LoopGain(NamedTuple):
    """The strongest loop that errors can run through.

    Attributes:
        value: Estimated gain for one round; 0 where there is no loop. Above 1 errors may grow.
        loop: Which loop, in words.
        remedy: What to lower.
    """

    value: float
    loop: str
    remedy: str


def loop_gain(network: Network) -> LoopGain:
    """Estimate how much stronger an error is after it has run once through its own loop.

        recurrent synapses    spectral radius of  k |activation'| W^T,   k = tau_m / tau_r
        coupling              gamma beta |J|^2 times the gains of all filters on the way

    with J the way from a layer's potential to the output, k the gain of the error filter, and
    activations at their steepest. Slow and fast changes are looked at; the larger gain counts.
    The estimate takes neurons to be linear; saturation makes loops weaker than it says.

    Source: own estimate, after the fast limit of the transfer functions of Ellenberger et al.
    (2024).
    """
    if not _has_loops(network):
        return LoopGain(0.0, "none", "nothing")
    again, around = (np.asarray(gains) for gains in _gains(network))
    found = []
    for index, gain in enumerate(again):
        neurons = network.layers[index].neurons
        ratio = float(jnp.max(neurons.tau_m / neurons.tau_r))
        remedy = f"the recurrent weights or tau_m / tau_r (now up to {ratio:.3g})"
        found.append(LoopGain(float(gain), f"recurrent synapses of layer {index}", remedy))
    for index, gain in enumerate(around):
        remedy = (
            f"`beta` (now {float(network.nudging.beta):g}) or `coupling` ({network.coupling:g})"
        )
        found.append(LoopGain(float(gain), f"layer {index}, the output, and back", remedy))
    return max(found)


def warn_if_unstable(network: Network) -> None:
    """Issue an `UnstableErrorsWarning` where `loop_gain` exceeds 1.

    Inside a traced program, where values are not known yet, nothing is checked.
    """
    if any(known(leaf) is None for leaf in jax.tree.leaves(network)):
        return
    gain = loop_gain(network)
    if gain.value > 1:
        warnings.warn(
            f"Errors may grow without bound: one round through the loop ({gain.loop}) multiplies "
            f"them by about {gain.value:.3g}, above 1. Lower {gain.remedy}.",
            UnstableErrorsWarning,
            stacklevel=3,
        )


def _has_loops(network: Network) -> bool:
    return network.coupling != 0 or any(layer.recurrent is not None for layer in network.layers)


@eqx.filter_jit
def _gains(network: Network) -> tuple[Array, Array]:
    """For every layer the gain of its recurrent loop and of the loop through the output."""
    state = network.init((1,), jax.random.key(0))
    again, around = [], []
    for index, (layer, s) in enumerate(zip(network.layers, state.layers, strict=True)):
        slow, fast = _filter_gains(layer, s.e)
        gain = jnp.maximum(slow, fast) * _steepest(layer)
        if layer.recurrent is None:
            again.append(jnp.zeros(()))
        else:
            _, back = jax.vjp(layer.recurrent, s.r)
            again.append(_radius(lambda x, back=back, gain=gain: gain * back(x)[0], s.e))
        ways = [
            _radius(lambda x, i=index, fast=fast: _round(network, state, i, x, fast), s.e)
            for fast in (False, True)
        ]
        around.append(jnp.maximum(*ways))
    return jnp.stack(again), jnp.stack(around)


def _round(network: Network, state: NetworkState, start: int, x: Array, fast: bool) -> Array:
    """What becomes of an error of layer `start` on its way to the output and back."""
    ways = []
    x = network.coupling * x
    for index in range(start, len(network.layers)):
        layer, s = network.layers[index], state.layers[index]
        if index > start:
            x, back = jax.jvp(layer.synapses, (below,), (x,))[1], jax.vjp(layer.synapses, below)[1]
            ways.append(back)
        x = _steepest(layer) * x * (layer.neurons.tau_r / layer.neurons.tau_m if fast else 1)
        below = s.r
    even = jnp.full_like(below, 1 / below.shape[-1])
    x = jax.jvp(lambda r: network.nudging.slope(r, even), (below,), (x,))[1]
    for index in reversed(range(start, len(network.layers))):
        layer = network.layers[index]
        x = _steepest(layer) * x * _filter_gains(layer, x)[int(fast)]
        if index > start:
            x = ways.pop()(x)[0]
    return x


def _filter_gains(layer: Layer, like: Array) -> tuple[Array, Array]:
    """Gain of the error filter for slow changes and for fast ones."""
    one = jnp.ones_like(like)
    v = layer.error_filter.init(one)
    settled = None if v is None else one
    slow, fast = (layer.error_filter.step(w, one, layer.neurons, 1.0)[1] for w in (settled, v))
    return slow, fast


def _steepest(layer: Layer) -> Array:
    return jnp.abs(layer.neurons.slope(jnp.linspace(-10, 10, 401))).max()


def _radius(linear, like: Array, steps: int = 80, settle: int = 40) -> Array:
    """Spectral radius of a linear map: how a vector grows when it is applied again and again."""
    x = jax.random.normal(jax.random.key(0), like.shape, like.dtype)

    def body(i, carry):
        x, total = carry
        norm = jnp.linalg.norm(x)
        x = linear(x / jnp.where(norm > 0, norm, 1))
        grown = jnp.log(jnp.maximum(jnp.linalg.norm(x), 1e-30))
        return x, total + jnp.where(i >= settle, grown, 0)

    _, total = jax.lax.fori_loop(0, steps, body, (x, jnp.zeros((), like.dtype)))
    return jnp.exp(total / (steps - settle))
