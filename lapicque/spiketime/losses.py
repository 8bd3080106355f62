"""What is asked of the spike times of a label layer: one neuron per class, the first one wins."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lapicque._checks import in_range, positive

UNDEFINED = 100.0  # loss of a sample whose times say nothing; without gradient


@dataclass(frozen=True)
class CrossEntropy:
    """`ln sum_n exp(-(t_n - t_c) / xi) + alpha exp(t_c / beta)`, `c` the class of the sample.

    Attributes:
        xi: Times that differ by this count as different. [tau_s]
        alpha: Weight of the wish for an early spike of the right neuron.
        beta: Its scale. [tau_s]

    Raises:
        InputError: `xi` or `beta` is not above zero, or `alpha` is below zero.

    Source:
        Göltz, Kriener et al. (2021), released code.
    """

    xi: float = 0.2
    alpha: float = 0.005
    beta: float = 1.0

    def __post_init__(self) -> None:
        positive("xi", self.xi, "tau_s")
        positive("beta", self.beta, "tau_s")
        in_range("alpha", self.alpha, low=0)

    def __call__(
        self, times: Float[Array, "*batch class"], labels: Int[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Loss of each sample; 100 without a gradient where the right neuron is silent."""
        times, present = _guarded(times)
        own, answered = _own(times, labels), _own(present, labels)
        counted = present | ~answered[..., None]  # never an empty sum
        log = jax.nn.logsumexp(-(times - own[..., None]) / self.xi, axis=-1, where=counted)
        early = self.alpha * jnp.exp(own / self.beta)
        return jnp.where(answered, log + early, UNDEFINED)


@dataclass(frozen=True)
class RelativeError:
    """`1/2 sum_n (t_n - t_c - gap)^2` over the wrong neurons `n`; absolute times are free.

    Attributes:
        gap: How much later than the right neuron the others shall spike. [tau_s]
        alpha, beta: Optional wish for early spikes, as in `CrossEntropy`.

    Raises:
        InputError: A value is not finite, `alpha` is below or `beta` not above zero.

    Source:
        Göltz, Weber, Kriener et al. (2025), released code: gap 0.2 in simulations, 0.3 on the
        chip and in its model.
    """

    gap: float = 0.2
    alpha: float = 0.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        in_range("gap", self.gap, unit="tau_s")
        in_range("alpha", self.alpha, low=0)
        positive("beta", self.beta, "tau_s")

    def __call__(
        self, times: Float[Array, "*batch class"], labels: Int[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Loss of each sample; 100 without a gradient where any neuron is silent."""
        times, present = _guarded(times)
        own = _own(times, labels)
        wrong = 1 - jax.nn.one_hot(labels, times.shape[-1], dtype=times.dtype)
        error = times - own[..., None] - self.gap * wrong
        loss = 0.5 * jnp.sum(error * error, -1)
        if self.alpha:
            loss += self.alpha * jnp.exp(own / self.beta)
        return jnp.where(present.all(-1), loss, UNDEFINED)


@dataclass(frozen=True)
class TargetTimes:
    """`1/2 sum_n (t_n - target_n)^2` with one time for the right neuron, one for the others.

    Attributes:
        right, wrong: Target times. [tau_s]

    Raises:
        InputError: A time is negative or not finite.

    Source:
        Göltz, Kriener et al. (2021), released code.
    """

    right: float = 0.9
    wrong: float = 1.9

    def __post_init__(self) -> None:
        in_range("right", self.right, low=0, unit="tau_s")
        in_range("wrong", self.wrong, low=0, unit="tau_s")

    def __call__(
        self, times: Float[Array, "*batch class"], labels: Int[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Loss of each sample; 100 without a gradient where any neuron is silent."""
        times, present = _guarded(times)
        own = jax.nn.one_hot(labels, times.shape[-1], dtype=times.dtype)
        error = times - (self.wrong + (self.right - self.wrong) * own)
        return jnp.where(present.all(-1), 0.5 * jnp.sum(error * error, -1), UNDEFINED)


def decide(times: Float[Array, "*batch class"]) -> Int[Array, "*batch"]:
    """The class whose neuron spikes first; -1 where all are silent."""
    return jnp.where(jnp.isfinite(times).any(-1), times.argmin(-1), -1)


def _guarded(times):
    present = jnp.isfinite(times)
    return jnp.where(present, times, 0.0), present


def _own(values, labels):
    return jnp.take_along_axis(values, labels[..., None], axis=-1)[..., 0]
