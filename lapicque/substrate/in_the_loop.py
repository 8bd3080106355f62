"""Training with a substrate in the loop: values are measured, derivatives those of an ideal twin.

A layer of the twin is ``x = max(W x_before, 0)``, up to a ceiling. On the way forward each of its
values is replaced by the measured one; the way back is the twin's, at the measured values and with
the weights that software keeps. These are floats; what is written to the substrate is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive, shape

Weights = tuple[Float[Array, "post pre"], ...]


class Substrate(Protocol):
    """What runs a layered network and lets all its layers be seen.

    Attributes:
        sizes: Units of each layer, inputs first.
        weight_step: Weight of one digital step, as the twin counts it.
        largest_weight: Digital weights lie between this and its negative.
        counts: Spikes that make an activation of 1.
        ceilings: Activation at which each layer saturates, inputs left out.
    """

    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def weight_step(self) -> float: ...
    @property
    def largest_weight(self) -> int: ...
    @property
    def counts(self) -> float: ...
    @property
    def ceilings(self) -> tuple[float, ...]: ...

    def run(
        self, weights: Sequence[NDArray[np.int64]], inputs: NDArray, trial: int
    ) -> list[NDArray[np.float64]]:
        """Write the weights and show the inputs.

        Args:
            weights: Digital weights of each layer, shape (post, pre).
            inputs: Between 0 and 1, shape (sample, input).
            trial: Number of the run. What differs from one writing to the next is drawn from it;
                what is fixed about the substrate is not.

        Returns:
            Activations of each layer, shape (sample, unit).
        """
        ...


def measured_forward(twin: Array, measured: Array) -> Array:
    """The measured value on the way forward, the twin's derivative on the way back."""
    return twin + jax.lax.stop_gradient(measured - twin)


def ideal(drive: Array, ceiling: float = inf) -> Array:
    """Activation of an ideal unit: its drive, not below 0 and not above the ceiling."""
    return jnp.clip(drive, 0.0, ceiling)


def forward(
    weights: Sequence[Array],
    inputs: Float[Array, "sample input"],
    measured: Sequence[Array] | None = None,
    ceilings: Sequence[float] | None = None,
) -> list[Float[Array, "sample unit"]]:
    """Activations of all layers, of measured value where measured ones are given.

    A hidden unit passes a gradient on where its activation lies between 0 and its ceiling. The
    last layer always does, so that silent outputs learn.

    Args:
        weights: Of each layer, shape (post, pre).
        inputs: Shape (sample, input).
        measured: Activations of each layer; the twin's own by default.
        ceilings: Of each layer; none by default.

    Source:
        Schmitt et al. (2017), the training loop; the authors' prototype code uses one graph for
        values and one for derivatives.
    """
    ceilings = (inf,) * len(weights) if ceilings is None else ceilings
    before, found = inputs, []
    for k, (weight, ceiling) in enumerate(zip(weights, ceilings, strict=True)):
        drive = before @ weight.T
        value = ideal(drive, ceiling) if measured is None else jnp.asarray(measured[k])
        if k < len(weights) - 1:
            drive = jnp.where((value > 0) & (value < ceiling), drive, 0.0)
        before = measured_forward(drive, value)
        found.append(before)
    return found


class LoopState(NamedTuple):
    """What training carries from one iteration to the next."""

    weights: Weights
    velocity: Weights


@dataclass(frozen=True)
class LoopTrainer:
    """Gradient descent with momentum on weights that a substrate realises in whole steps.

    Attributes:
        weight_step: Weight of one digital step.
        largest_weight: Largest digital weight; floats are clipped where it lies.
        ceilings: Activation at which each layer saturates; none where it is empty.
        rate: Learning rate.
        momentum: Share of the last change that is kept.
        sharpness: Factor on output activations before the softmax.
        decay: Of the weights, per unit of the learning rate.

    Raises:
        InputError: A value is out of range.

    Source:
        Schmitt et al. (2017). Momentum, clipping and signed steps as remembered; the sharpness is
        ours, 1 there.
    """

    weight_step: float = 0.1
    largest_weight: int = 15
    ceilings: tuple[float, ...] = ()
    rate: float = 0.1
    momentum: float = 0.9
    sharpness: float = 3.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        positive("weight_step", self.weight_step)
        in_range("largest_weight", self.largest_weight, 1)
        in_range("rate", self.rate, 0)
        in_range("momentum", self.momentum, 0, 1)
        positive("sharpness", self.sharpness)
        in_range("decay", self.decay, 0)

    @classmethod
    def of(cls, substrate: Substrate, **settings) -> LoopTrainer:
        """A trainer in the units of a substrate.

        Args:
            substrate: Its scale factors are taken over.
            settings: Other attributes.
        """
        return cls(
            substrate.weight_step, substrate.largest_weight, tuple(substrate.ceilings), **settings
        )

    @property
    def limit(self) -> float:
        """The largest weight that can be written."""
        return self.weight_step * self.largest_weight

    def init(self, seed: int, sizes: Sequence[int]) -> LoopState:
        """Weights drawn with a standard deviation of one over the root of the fan-in.

        Args:
            seed: Of the weights.
            sizes: Units of each layer, inputs first.

        Raises:
            InputError: `seed` is negative.
        """
        in_range("seed", seed, 0)
        rng = np.random.default_rng(seed)
        weights = []
        for pre, post in pairwise(sizes):
            draw = rng.standard_normal((post, pre)) / np.sqrt(pre)
            weights.append(np.clip(draw, -self.limit, self.limit).astype(np.float32))
        return LoopState(
            tuple(jnp.asarray(w) for w in weights),
            tuple(jnp.asarray(np.zeros_like(w)) for w in weights),
        )

    def written(self, weights: Sequence[Array]) -> list[NDArray[np.int64]]:
        """Digital weights, as the substrate gets them."""
        steps = [np.rint(np.asarray(w, float) / self.weight_step) for w in weights]
        top = self.largest_weight
        return [np.clip(w, -top, top).astype(np.int64) for w in steps]

    def loss(
        self,
        weights: Sequence[Array],
        inputs: Float[Array, "sample input"],
        labels: Int[Array, " sample"],
        measured: Sequence[Array] | None = None,
    ) -> tuple[Array, Array]:
        """Cross-entropy, averaged over samples, and the share that is right."""
        outputs = forward(weights, inputs, measured, self.ceilings or None)[-1]
        return self.cross_entropy(outputs, labels), jnp.mean(jnp.argmax(outputs, 1) == labels)

    @partial(jax.jit, static_argnums=0)
    def outputs(
        self, weights: Weights, inputs: Float[Array, "sample input"]
    ) -> Float[Array, "sample unit"]:
        """Activations of the last layer in software."""
        return forward(weights, inputs, None, self.ceilings or None)[-1]

    def cross_entropy(
        self, outputs: Float[Array, "sample unit"], labels: Int[Array, " sample"]
    ) -> Array:
        """Of the softmax of output activations, averaged over samples."""
        chosen = jax.nn.log_softmax(self.sharpness * outputs)
        return -jnp.mean(jnp.take_along_axis(chosen, labels[:, None], 1))

    @partial(jax.jit, static_argnums=0)
    def gradient(
        self, weights: Weights, inputs: Array, labels: Array, measured: Sequence[Array] | None
    ) -> tuple[tuple[Array, Array], Weights]:
        """Loss, share that is right, and the gradient of the loss for each layer's weights."""
        return jax.value_and_grad(self.loss, has_aux=True)(weights, inputs, labels, measured)

    @partial(jax.jit, static_argnums=0)
    def step(
        self,
        state: LoopState,
        inputs: Float[Array, "sample input"],
        labels: Int[Array, " sample"],
        measured: Sequence[Array] | None = None,
    ) -> tuple[LoopState, dict[str, Array]]:
        """One update, from measured activations or in software alone.

        Args:
            state: Weights and velocities.
            inputs: Shape (sample, input).
            labels: Class of each sample.
            measured: Activations of each layer, shape (sample, unit); the twin's by default.

        Returns:
            The new state, and `loss` and `accuracy` before the update.
        """
        (loss, right), gradient = self.gradient(state.weights, inputs, labels, measured)

        def faster(velocity, slope, weight):
            return self.momentum * velocity - self.rate * (slope + self.decay * weight)

        velocity = jax.tree.map(faster, state.velocity, gradient, state.weights)
        weights = jax.tree.map(
            lambda w, v: jnp.clip(w + v, -self.limit, self.limit), state.weights, velocity
        )
        return LoopState(weights, velocity), {"loss": loss, "accuracy": right}

    def iterate(
        self, substrate: Substrate, state: LoopState, inputs: NDArray, labels: NDArray, trial: int
    ) -> tuple[LoopState, dict[str, Array]]:
        """One iteration in the loop: write the weights, measure, update.

        Args:
            substrate: Where the network runs.
            state: Weights and velocities.
            inputs: Between 0 and 1, shape (sample, input).
            labels: Class of each sample.
            trial: Number of the run.

        Raises:
            InputError: The network does not fit the substrate.
        """
        measured = substrate.run(self.written(state.weights), inputs, trial)
        single = tuple(jnp.asarray(x, jnp.float32) for x in measured)
        return self.step(state, jnp.asarray(inputs, jnp.float32), jnp.asarray(labels), single)

    def accuracy(
        self,
        substrate: Substrate | None,
        state: LoopState,
        inputs: NDArray,
        labels: NDArray,
        trial: int = 0,
    ) -> float:
        """Share of samples whose label unit is the most active one; software without substrate."""
        if substrate is None:
            outputs = np.asarray(self.outputs(state.weights, jnp.asarray(inputs, jnp.float32)))
        else:
            outputs = substrate.run(self.written(state.weights), inputs, trial)[-1]
        return float(np.mean(outputs.argmax(1) == labels))


def cosines(one: Sequence[ArrayLike], other: Sequence[ArrayLike]) -> list[float]:
    """Cosine of the angle between two gradients, layer by layer; 0 where one of them vanishes."""
    found = []
    for a, b in zip(one, other, strict=True):
        a, b = np.ravel(np.asarray(a, float)), np.ravel(np.asarray(b, float))
        length = np.linalg.norm(a) * np.linalg.norm(b)
        found.append(float(a @ b / length) if length > 0 else 0.0)
    return found


def check_run(
    sizes: Sequence[int], largest: int, weights: Sequence[NDArray], inputs: NDArray, trial: int
) -> None:
    """Check what a substrate is asked to run.

    Raises:
        InputError: Shapes do not fit, weights are no whole numbers in range, inputs do not lie
            between 0 and 1, or `trial` is negative.
    """
    in_range("trial", trial, 0)
    if len(weights) != len(sizes) - 1:
        raise InputError(
            f"`weights` has {len(weights)} layers; the substrate has {len(sizes) - 1}."
        )
    for k, weight in enumerate(weights):
        shape(f"weights[{k}]", weight, (sizes[k + 1], sizes[k]))
        in_range(f"weights[{k}]", weight, -largest, largest, "steps")
        if (np.asarray(weight) != np.rint(weight)).any():
            raise InputError(f"`weights[{k}]` holds fractions; digital weights are whole numbers.")
    shape("inputs", inputs, (None, sizes[0]))
    in_range("inputs", inputs, 0, 1)
