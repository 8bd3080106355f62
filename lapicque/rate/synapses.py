"""Synapses: differentiable maps from presynaptic rates to postsynaptic currents.

Each is a callable module on arrays with one batch axis or more in front. What a layer needs to
learn and to send errors down comes from the vector-Jacobian product of its *own* synapses at the
present input, so any map will do: dense, convolutional, pooled, or a series of them. A pooling or
a reshaping step belongs to the synapses behind it: it has no neurons and adds no delay.
"""

import math
from typing import Literal

import equinox as eqx
import jax
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from lapicque._checks import InputError, in_range, shape as check_shape


class Dense(eqx.Module):
    """All-to-all synapses: current = weight @ rate + bias."""

    weight: Float[Array, "post pre"]
    bias: Float[Array, " post"] | None = None

    def __check_init__(self):
        if isinstance(self.weight, jax.Array) and self.weight.ndim == 2 and self.bias is not None:
            check_shape("bias", self.bias, (self.weight.shape[0],))

    def __call__(self, rates: Float[Array, "*batch pre"]) -> Float[Array, "*batch post"]:
        if rates.shape[-1] != self.weight.shape[-1]:
            raise InputError(
                f"The input has {rates.shape[-1]} channels (shape {rates.shape}); these synapses "
                f"expect {self.weight.shape[-1]} presynaptic neurons on the last axis."
            )
        current = rates @ self.weight.T
        return current if self.bias is None else current + self.bias

    @staticmethod
    def normal(
        key: PRNGKeyArray,
        pre: int,
        post: int,
        scale: float = 0.05,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> "Dense":
        """Weights and biases drawn from N(0, scale^2), as in Haider et al. (2021)."""
        in_range("scale", scale, 0)
        k_weight, k_bias = jax.random.split(key)
        return Dense(
            scale * jax.random.normal(k_weight, (post, pre), dtype),
            scale * jax.random.normal(k_bias, (post,), dtype) if bias else None,
        )


class Conv2d(eqx.Module):
    """A bank of kernels slid over an image; the same neuron at every output pixel."""

    weight: Float[Array, "post pre height width"]
    bias: Float[Array, " post"] | None = None
    stride: int = eqx.field(static=True, default=1)
    padding: Literal["VALID", "SAME"] = eqx.field(static=True, default="VALID")

    def __call__(
        self, rates: Float[Array, "batch pre in_height in_width"]
    ) -> Float[Array, "batch post out_height out_width"]:
        if rates.ndim != 4 or rates.shape[1] != self.weight.shape[1]:
            raise InputError(
                f"The input has shape {rates.shape}; these synapses expect "
                f"(batch, {self.weight.shape[1]}, height, width)."
            )
        current = jax.lax.conv_general_dilated(
            rates, self.weight, (self.stride, self.stride), self.padding
        )
        return current if self.bias is None else current + self.bias[:, None, None]

    @staticmethod
    def normal(
        key: PRNGKeyArray,
        pre: int,
        post: int,
        kernel: int,
        scale: float = 0.05,
        dtype: DTypeLike | None = None,
    ) -> "Conv2d":
        """Square kernels and biases drawn from N(0, scale^2)."""
        k_weight, k_bias = jax.random.split(key)
        return Conv2d(
            scale * jax.random.normal(k_weight, (post, pre, kernel, kernel), dtype),
            scale * jax.random.normal(k_bias, (post,), dtype),
        )


class MaxPool2d(eqx.Module):
    """The largest rate in each window of `size` x `size` pixels; errors return to the winner."""

    size: int = eqx.field(static=True, default=2)

    def __call__(
        self, rates: Float[Array, "batch channel height width"]
    ) -> Float[Array, "batch channel out_height out_width"]:
        batch, channel, height, width = rates.shape
        if height % self.size or width % self.size:
            raise InputError(
                f"The image has {height} x {width} pixels; both must be multiples of the "
                f"pooling size {self.size}."
            )
        windows = (batch, channel, height // self.size, self.size, width // self.size, self.size)
        return rates.reshape(windows).max((3, 5))


class Flatten(eqx.Module):
    """An image read as one vector: the projection from convolutional to dense layers."""

    def __call__(
        self, rates: Float[Array, "batch channel height width"]
    ) -> Float[Array, "batch pre"]:
        return rates.reshape(rates.shape[0], math.prod(rates.shape[1:]))


class Series(eqx.Module):
    """Maps applied one behind the other, such as pooling, flattening and a dense projection."""

    maps: tuple[eqx.Module, ...]

    def __init__(self, *maps: eqx.Module):
        self.maps = maps

    def __call__(self, rates: Array) -> Array:
        for part in self.maps:
            rates = part(rates)  # pyright: ignore[reportCallIssue]
        return rates


Synapses = Dense | Conv2d | MaxPool2d | Flatten | Series
