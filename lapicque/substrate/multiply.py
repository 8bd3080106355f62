"""The matrix mode of BrainScaleS-2: analog multiply and accumulate, digital in and out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range, positive

ACTIVATION, WEIGHT = 31, 63  # largest input and size of a weight
LOW, HIGH = -128, 127  # range of a result


@dataclass(frozen=True)
class MatrixMode:
    """`clip(floor(gain sends x W^T + noise), -128, 127)`, part by part of the synapse array.

    Attributes:
        gain: LSB of the result per product of an input and a weight.
        noise: Standard deviation of a result before it is rounded. [LSB]
        sends: How often each input is sent.
        rows: Inputs that fit into one part of the array; parts are added digitally and the sum
            is clipped again.

    Raises:
        InputError: A value is out of range.

    Source:
        The mock mode of the chip's PyTorch front end (defaults and formula from its
        documentation, sheet of substrates 4.4). Backward: the plain matrix product times gain.
    """

    gain: float = 0.002
    noise: float = 2.0
    sends: int = 1
    rows: int = 128

    def __post_init__(self) -> None:
        positive("gain", self.gain, "LSB")
        in_range("noise", self.noise, 0, unit="LSB")
        in_range("sends", self.sends, 1)
        in_range("rows", self.rows, 1)

    def __call__(
        self,
        inputs: Float[Array, "*batch pre"],
        weights: Float[Array, "post pre"],
        key: Array | None = None,
    ) -> Float[Array, "*batch post"]:
        """Multiply on the chip.

        Args:
            inputs: Whole numbers from 0 to 31.
            weights: Whole numbers from -63 to 63.
            key: For the noise; none without one.

        Raises:
            InputError: A value is out of range or the shapes do not fit.
        """
        inputs, weights = jnp.asarray(inputs), jnp.asarray(weights)
        if weights.ndim != 2 or inputs.shape[-1:] != weights.shape[1:]:
            raise InputError(
                f"`inputs` has shape {inputs.shape} and `weights` {weights.shape}; the last axes "
                "must have the same length."
            )
        in_range("inputs", inputs, 0, ACTIVATION)
        in_range("weights", weights, -WEIGHT, WEIGHT)
        return _multiply(self, inputs, weights, key)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _multiply(mode: MatrixMode, inputs, weights, key):
    total = 0.0
    for part, start in enumerate(range(0, inputs.shape[-1], mode.rows)):
        here = slice(start, start + mode.rows)
        charge = mode.gain * mode.sends * (inputs[..., here] @ weights[:, here].T)
        if key is not None:
            own = jax.random.fold_in(key, part)
            charge = charge + mode.noise * jax.random.normal(own, charge.shape, charge.dtype)
        total = total + jnp.clip(jnp.floor(charge), LOW, HIGH)
    return jnp.clip(total, LOW, HIGH)


def _forward(mode, inputs, weights, key):
    return _multiply(mode, inputs, weights, key), (inputs, weights)


def _backward(mode, residuals, error):
    inputs, weights = residuals
    scale = mode.gain * mode.sends
    flat = error.reshape(-1, error.shape[-1])
    d_weights = scale * flat.T @ inputs.reshape(-1, inputs.shape[-1])
    return scale * error @ weights, d_weights, None


_multiply.defvjp(_forward, _backward)
