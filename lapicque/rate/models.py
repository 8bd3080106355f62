"""Networks that the published works use, put together from the parts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from lapicque._checks import InputError, in_range, one_of
from lapicque.rate.activations import hard_sigmoid, identity
from lapicque.rate.network import Layer, Network
from lapicque.rate.neurons import Neurons
from lapicque.rate.synapses import Conv2d, Dense, Flatten, MaxPool2d, Series, Synapses

Feedback = Literal["transpose", "random"]


def stack(
    key: PRNGKeyArray,
    input_shape: tuple[int, ...],
    synapses: Sequence[Callable[[PRNGKeyArray], Synapses]],
    activations: Sequence[Callable[[Array], Array]],
    *,
    tau_m: float = 10.0,
    tau_r: float = 10.0,
    feedback: Feedback = "transpose",
    dtype: DTypeLike | None = None,
) -> Network:
    """Layers with the same two time constants, one behind the other.

    Args:
        key: Layer l draws its synapses from `fold_in(key, 2 l)`, its feedback from the next key.
        input_shape: Shape of one input sample.
        synapses: For each layer, synapses from a key.
        activations: For each layer, its activation function.
        tau_m: Membrane time constant [ms].
        tau_r: Prospective time constant [ms].
        feedback: "transpose" (weight transport) or "random" (fixed, drawn like the synapses).

    Raises:
        InputError: An argument is out of range or the sequences differ in length.
    """
    one_of("feedback", feedback, ("transpose", "random"))
    if len(synapses) != len(activations):
        raise InputError(
            f"There are {len(synapses)} `synapses` and {len(activations)} `activations`; "
            "each layer needs one of each."
        )
    layers = []
    for index, (draw, activation) in enumerate(zip(synapses, activations, strict=True)):
        neurons = Neurons(jnp.asarray(tau_m, dtype), jnp.asarray(tau_r, dtype), activation)
        back = draw(jax.random.fold_in(key, 2 * index + 1)) if feedback == "random" else None
        layers.append(Layer(draw(jax.random.fold_in(key, 2 * index)), neurons, back))
    return Network(layers, input_shape)


def dense(
    key: PRNGKeyArray,
    sizes: Sequence[int],
    *,
    activation: Callable[[Array], Array] = hard_sigmoid,
    output: Callable[[Array], Array] = identity,
    scale: float = 0.05,
    tau_m: float = 10.0,
    tau_r: float = 10.0,
    feedback: Feedback = "transpose",
    dtype: DTypeLike | None = None,
) -> Network:
    """All-to-all layers of the given sizes, the input's first.

    Defaults are those of Haider et al. (2021), figure 2b: hard-sigmoid hidden neurons, linear
    output, weights and biases from N(0, 0.05^2).

    Raises:
        InputError: Fewer than two sizes, or an argument out of range.
    """
    if len(sizes) < 2:
        raise InputError(f"`sizes` is {tuple(sizes)}; it must name an input and a layer or more.")
    in_range("sizes", list(sizes), 1, unit="neurons")
    pairs = list(pairwise(sizes))
    return stack(
        key,
        (sizes[0],),
        [lambda k, a=a, b=b: Dense.normal(k, a, b, scale, dtype=dtype) for a, b in pairs],
        [activation] * (len(pairs) - 1) + [output],
        tau_m=tau_m,
        tau_r=tau_r,
        feedback=feedback,
        dtype=dtype,
    )


def lenet(
    key: PRNGKeyArray,
    image: tuple[int, ...] = (1, 28, 28),
    classes: int = 10,
    *,
    channels: tuple[int, int] = (20, 50),
    hidden: int = 500,
    kernel: int = 5,
    activation: Callable[[Array], Array] = hard_sigmoid,
    scale: float = 0.05,
    tau_m: float = 10.0,
    tau_r: float = 10.0,
    feedback: Feedback = "transpose",
    dtype: DTypeLike | None = None,
) -> Network:
    """Convolution, pooling, convolution, pooling, two dense layers.

    Four layers of neurons: pooling and flattening belong to the synapses behind them.

    Source: Haider et al. (2021), figures 2d and 2e (conv 20@5x5, max 2, conv 50@5x5, max 2, 500,
    10), after LeCun et al. (1998).

    Raises:
        InputError: The image does not fit two convolutions and poolings.
    """
    if len(image) != 3:
        raise InputError(f"`image` is {image}; it must be (channels, height, width).")
    depth, height, width = image
    rows, columns = (((n - kernel + 1) // 2 - kernel + 1) // 2 for n in (height, width))
    if rows < 1 or columns < 1:
        raise InputError(
            f"`image` is {height} x {width} pixels; two {kernel} x {kernel} convolutions with "
            f"pooling need at least {3 * kernel + 1} x {3 * kernel + 1}."
        )
    flat = channels[1] * rows * columns
    return stack(
        key,
        image,
        [
            lambda k: Conv2d.normal(k, depth, channels[0], kernel, scale, dtype),
            lambda k: Series(
                MaxPool2d(2), Conv2d.normal(k, channels[0], channels[1], kernel, scale, dtype)
            ),
            lambda k: Series(
                MaxPool2d(2), Flatten(), Dense.normal(k, flat, hidden, scale, dtype=dtype)
            ),
            lambda k: Dense.normal(k, hidden, classes, scale, dtype=dtype),
        ],
        [activation, activation, activation, identity],
        tau_m=tau_m,
        tau_r=tau_r,
        feedback=feedback,
        dtype=dtype,
    )


def with_time_constants(
    network: Network,
    tau_m: Sequence[Float[Array, "*n"]],
    tau_r: Sequence[Float[Array, "*n"]],
) -> Network:
    """The same network with other time constants, layer by layer [ms]."""
    return network.with_parameters(
        tuple(
            p._replace(tau_m=m, tau_r=r)
            for p, m, r in zip(network.parameters, tau_m, tau_r, strict=True)
        )
    )


def mismatched(
    network: Network,
    key: PRNGKeyArray,
    spread: float,
    low: float = 1.0,
    high: float = 1000.0,
) -> Network:
    """Fixed-pattern mismatch: each neuron's tau_m and tau_r times its own factor from N(1, spread).

    Args:
        network: With one time constant per layer or per neuron.
        key: The chip's key: the same key gives the same pattern.
        spread: Relative standard deviation, at least 0.
        low: Lower clip of the time constants [ms].
        high: Upper clip of the time constants [ms].

    Source: Haider et al. (2021), figure 4a.
    """
    in_range("spread", spread, 0)
    below = jax.ShapeDtypeStruct((1, *network.input_shape), network.dtype)
    tau_m, tau_r = [], []
    for index, layer in enumerate(network.layers):
        below = jax.eval_shape(layer.synapses, below)
        k_m, k_r = jax.random.split(jax.random.fold_in(key, index))
        for k, tau, out in ((k_m, layer.neurons.tau_m, tau_m), (k_r, layer.neurons.tau_r, tau_r)):
            factor = 1 + spread * jax.random.normal(k, below.shape[1:], network.dtype)
            out.append(jnp.clip(tau * factor, low, high))
    return with_time_constants(network, tau_m, tau_r)


def map_layers(network: Network, change: Callable[[Layer], Layer]) -> Network:
    """The same network with `change` applied to every layer."""
    return eqx.tree_at(lambda n: n.layers, network, tuple(map(change, network.layers)))


def with_mismatch(network: Network, reading: Literal["membrane", "rate"]) -> Network:
    """The same network whose layers read their errors as `Layer.mismatch` says."""
    return map_layers(network, lambda layer: replace(layer, mismatch=reading))
