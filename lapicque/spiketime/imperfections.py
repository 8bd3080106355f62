"""What a physical substrate does to weights, thresholds, time constants and arrival times."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range
from lapicque.spiketime.neuron import Mismatched, Neuron


def quantise(
    weights: Float[Array, " ..."], step: float = 0.0, limit: float = inf
) -> Float[Array, " ..."]:
    """Weights as a substrate holds them: clipped to `limit`, rounded to multiples of `step`.

    The gradient passes as if nothing had happened, so that a fine master copy is trained.

    Args:
        weights: Any shape.
        step: Resolution; 0 for none.
        limit: Largest size of a weight, above 0.

    Raises:
        InputError: `step` is below zero, or `limit` is not above zero.

    Source:
        Göltz, Kriener et al. (2021), released code: steps of 1/30, limit 63/30.
    """
    in_range("step", step, low=0)
    if not limit > 0:
        raise InputError(f"`limit` is {limit:g}; it must be above 0.")
    held = jnp.clip(weights, -limit, limit) if limit < inf else weights
    if step > 0:
        held = step * jnp.round(held / step)
    return weights + jax.lax.stop_gradient(held - weights)


@dataclass(frozen=True)
class Imperfections:
    """How far a substrate is from the ideal; everything off by default.

    Attributes:
        weight_step, weight_limit: Resolution and largest size of weights.
        threshold_bias, threshold_spread: Mean and standard deviation of a fixed deviation of
            each neuron's threshold.
        threshold_batch: Standard deviation of one that is drawn for each neuron and batch.
        threshold_trial: The same for each neuron and sample.
        jitter: Standard deviation of arrival times, drawn for each sample and synapse. [tau_s]
        tau_spread: Standard deviation of both time constants, relative, fixed for each neuron.

    Raises:
        InputError: A standard deviation or `weight_step` is below zero.

    Source:
        Göltz, Weber, Kriener et al. (2025), released code (`hardware_aware()` has its values);
        spread of time constants: Göltz, Kriener et al. (2021), figure 5.
    """

    weight_step: float = 0.0
    weight_limit: float = inf
    threshold_bias: float = 0.0
    threshold_spread: float = 0.0
    threshold_batch: float = 0.0
    threshold_trial: float = 0.0
    jitter: float = 0.0
    tau_spread: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "weight_step",
            "threshold_spread",
            "threshold_batch",
            "threshold_trial",
            "jitter",
            "tau_spread",
        ):
            in_range(name, getattr(self, name), low=0)
        if not self.weight_limit > 0:
            raise InputError(f"`weight_limit` is {self.weight_limit:g}; it must be above 0.")

    @classmethod
    def hardware_aware(cls) -> Imperfections:
        """The model of BrainScaleS-2 that DelGrad's hardware-aware training uses."""
        return cls(1 / 30, 63 / 30, 0.13, 0.08, 0.04, 0.0, 0.01)

    def draw(self, key: Array, neuron: Neuron, post: int) -> Pattern:
        """The fixed part, drawn once for `post` neurons.

        Time constants are kept above a tenth of the nominal ones.
        """
        keys = jax.random.split(key, 3)
        normal = [jax.random.normal(k, (post,)) for k in keys]
        stretch = [jnp.maximum(1 + self.tau_spread * z, 0.1) for z in normal[1:]]
        return Pattern(
            self.threshold_bias + self.threshold_spread * normal[0],
            neuron.tau_m * stretch[0],
            neuron.tau_s * stretch[1],
        )


class Pattern(NamedTuple):
    """The fixed pattern of a population, shape (post,) each: threshold shift, time constants."""

    threshold: Float[Array, " post"]
    tau_m: Float[Array, " post"]
    tau_s: Float[Array, " post"]


class Substrate(eqx.Module):
    """One population's imperfections: how large they are, and their fixed pattern.

    Attributes:
        imperfections: How large.
        pattern: What was drawn; not trained.
    """

    imperfections: Imperfections = eqx.field(static=True)
    pattern: Pattern

    def neurons(self, nominal: Neuron) -> Neuron | Mismatched:
        """The neurons as they are."""
        if self.imperfections.tau_spread == 0:
            return nominal
        _, tau_m, tau_s = jax.lax.stop_gradient(self.pattern)
        return Mismatched(tau_m, tau_s, nominal.threshold)

    def thresholds(
        self, nominal: Neuron, batch: tuple[int, ...], key: Array | None
    ) -> Float[Array, " ..."]:
        """Thresholds in this batch, broadcasting to (..., post); fixed ones without a key."""
        size = self.imperfections
        limit = nominal.threshold + jax.lax.stop_gradient(self.pattern.threshold)
        if key is None:
            return limit
        post = limit.shape[-1:]
        slow, fast = jax.random.split(key)
        if size.threshold_batch > 0:
            limit = limit + size.threshold_batch * jax.random.normal(slow, post, limit.dtype)
        if size.threshold_trial > 0:
            limit = limit + size.threshold_trial * jax.random.normal(
                fast, (*batch, *post), limit.dtype
            )
        return jnp.maximum(limit, 1e-3 * nominal.threshold)
