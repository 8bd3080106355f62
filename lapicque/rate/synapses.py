"""Synapses: differentiable maps from presynaptic rates to postsynaptic currents.

Each is a callable module on arrays with one batch axis or more in front. What a layer needs to
learn and to send errors down comes from the vector-Jacobian product of its *own* synapses at the
present input, so any map will do: dense, convolutional, pooled, or a series of them. A pooling or
a reshaping step belongs to the synapses behind it: it has no neurons and adds no delay.
"""

import math
from functools import reduce
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
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
        # Not `rates @ weight.T`: the CPU would transpose the weights afresh at every step.
        current = jnp.moveaxis(jnp.tensordot(self.weight, rates, axes=(1, -1)), 0, -1)
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
        current = jax.lax.platform_dependent(
            rates,
            self.weight,
            cpu=lambda r, w: _by_patches(r, w, self.stride, self.padding),
            default=lambda r, w: _by_convolution(r, w, self.stride, self.padding),
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


def _by_convolution(rates: Array, weight: Array, stride: int, padding: str) -> Array:
    return jax.lax.conv_general_dilated(rates, weight, (stride, stride), padding)


def _by_patches(rates: Array, weight: Array, stride: int, padding: str) -> Array:
    """The same as one matrix product over image patches.

    Inside a loop, XLA runs convolutions on one slow path of the CPU; products it runs well.
    """
    post, pre, height, width = weight.shape
    if padding == "SAME":
        pads = jax.lax.padtype_to_pads(rates.shape[2:], (height, width), (stride, stride), padding)
        rates = jnp.pad(rates, ((0, 0), (0, 0), *pads))
    pixels = rates.transpose(0, 2, 3, 1)
    rows, columns = (
        (pixels.shape[1] - height) // stride + 1,
        (pixels.shape[2] - width) // stride + 1,
    )
    patches = jnp.concatenate(
        [
            pixels[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
            for i in range(height)
            for j in range(width)
        ],
        axis=-1,
    )
    kernels = weight.transpose(2, 3, 1, 0).reshape(height * width * pre, post)
    return (patches @ kernels).transpose(0, 3, 1, 2)


class MaxPool2d(eqx.Module):
    """The largest rate in each window of `size` x `size` pixels; errors return to the winner."""

    size: int = eqx.field(static=True, default=2)

    def __call__(
        self, rates: Float[Array, "batch channel height width"]
    ) -> Float[Array, "batch channel out_height out_width"]:
        height, width = rates.shape[2:]
        if height % self.size or width % self.size:
            raise InputError(
                f"The image has {height} x {width} pixels; both must be multiples of the "
                f"pooling size {self.size}."
            )
        corners = [
            rates[:, :, i :: self.size, j :: self.size]
            for i in range(self.size)
            for j in range(self.size)
        ]
        return reduce(jnp.maximum, corners)


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
