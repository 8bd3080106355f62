"""When the potential crosses the threshold: closed forms, and Newton's method for the rest.

Between two inputs the potential is known from its value `v` and the synaptic current `i` at the
start of the interval. A solver answers two questions: does the potential reach the threshold
before the interval ends, and how long after its start. All use the same facts: the potential has
at most one maximum, and it is concave on its way up to it, since there both the current and
the slope are positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from lapicque._checks import InputError, in_range

if TYPE_CHECKING:
    from lapicque.spiketime.neuron import Neuron


class Interval(NamedTuple):
    """Time between two inputs.

    Attributes:
        start: When it begins.
        potential, current: Both at the start, after the input.
        span: How long it lasts; the last one lasts practically for ever.
        end: Potential at its end.
        decay: What is left of the potential at the end.
    """

    start: Float[Array, " ..."]
    potential: Float[Array, " ..."]
    current: Float[Array, " ..."]
    span: Float[Array, " ..."]
    end: Float[Array, " ..."]
    decay: Float[Array, " ..."]


class Solver(Protocol):
    """What finds the instant of a crossing; frozen, comparable, without state."""

    def check(self, ratio: float) -> None:
        """Raise an `InputError` where `tau_m / tau_s` is a ratio that it cannot solve."""
        ...

    def reaches(
        self, neuron: Neuron, interval: Interval, threshold: Float[Array, " ..."]
    ) -> Bool[Array, " ..."]:
        """Whether the threshold is reached within the interval, started below it."""
        ...

    def delay(
        self, neuron: Neuron, interval: Interval, threshold: Float[Array, " ..."]
    ) -> Float[Array, " ..."]:
        """Time from the start of the interval to the crossing, given that there is one."""
        ...


def _only(solver: Solver, ratio: float, wanted: float, meaning: str) -> None:
    if ratio != wanted:
        raise InputError(
            f"`solver` is {solver}, which needs {meaning}; here tau_m / tau_s is {ratio:g}. "
            "`Newton()` solves every ratio."
        )


@jax.tree_util.register_static
@dataclass(frozen=True)
class Quadratic:
    """`tau_m = 2 tau_s`: a quadratic equation in `exp(-s / tau_m)`.

    Source:
        Göltz, Kriener et al. (2021), the double time constant, from the state at the last input
        instead of sums of growing exponentials.
    """

    def check(self, ratio: float) -> None:
        _only(self, ratio, 2, "tau_m = 2 tau_s")

    def reaches(self, neuron, interval, threshold):
        # V = a x - b x^2 with x falling from 1 to `decay`; its top a^2 / 4b is at a / 2b.
        b = neuron.tau_m * interval.current
        a = interval.potential + b
        top_inside = (a <= 2 * b) & (a >= 2 * b * interval.decay) & (b > 0)
        return (interval.end >= threshold) | (top_inside & (a * a >= 4 * b * threshold))

    def delay(self, neuron, interval, threshold):
        b = neuron.tau_m * interval.current
        a = interval.potential + b
        root = jnp.sqrt(jnp.maximum(a * a - 4 * b * threshold, 0))
        return neuron.tau_m * jnp.log(2 * b / (a + root))


@jax.tree_util.register_static
@dataclass(frozen=True)
class Lambert:
    """`tau_m = tau_s`: the principal branch of Lambert's function.

    Source:
        Göltz, Kriener et al. (2021), the equal time constants.
    """

    def check(self, ratio: float) -> None:
        _only(self, ratio, 1, "tau_m = tau_s")

    def reaches(self, neuron, interval, threshold):
        return _reaches(neuron, interval, threshold)

    def delay(self, neuron, interval, threshold):
        # (v + i s) exp(-s / tau) = threshold
        ratio = interval.potential / (neuron.tau_s * interval.current)
        scaled = threshold / (neuron.tau_s * interval.current)
        return -neuron.tau_s * (ratio + lambert_w(-scaled * jnp.exp(-ratio)))


@jax.tree_util.register_static
@dataclass(frozen=True)
class NonLeaky:
    """`tau_m = inf`: the potential nears its final value exponentially."""

    def check(self, ratio: float) -> None:
        _only(self, ratio, inf, "a membrane without leak, tau_m = inf")

    def reaches(self, neuron, interval, threshold):
        return interval.end >= threshold

    def delay(self, neuron, interval, threshold):
        missing = (threshold - interval.potential) / (neuron.tau_s * interval.current)
        return -neuron.tau_s * jnp.log1p(-missing)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Newton:
    """Any ratio of time constants: Newton's method between the start and the top.

    The potential is concave there, so that from below every step stays below the crossing, and
    one step too far is caught by the bracket.

    Attributes:
        iterations: Number of steps. The first guess is a parabola through the top, and near it
            it is nearly exact.

    Raises:
        InputError: `iterations` is not between 1 and 100.
    """

    iterations: int = 10

    def __post_init__(self) -> None:
        in_range("iterations", self.iterations, 1, 100)

    def check(self, ratio: float) -> None:
        pass

    def reaches(self, neuron, interval, threshold):
        return _reaches(neuron, interval, threshold)

    def delay(self, neuron, interval, threshold):
        v, i = interval.potential, interval.current
        top, height = neuron.peak(v, i)
        low, high = jnp.zeros_like(v), jnp.minimum(interval.span, top)
        # V'' = I' = -I / tau_s where V' = 0
        above = 2 * neuron.tau_m * neuron.tau_s * jnp.maximum(height - threshold, 0) / height
        guess = jnp.where(jnp.isfinite(top), top - jnp.sqrt(above), 0.0)
        s = jnp.clip(guess, low, high)
        for _ in range(self.iterations):
            membrane, synapse = neuron.decays(s)
            potential = v * membrane + i * neuron.psp(s)
            slope = i * synapse - potential / neuron.tau_m
            below = potential < threshold
            low, high = jnp.where(below, s, low), jnp.where(below, high, s)
            step = (threshold - potential) / jnp.where(slope > 0, slope, 1.0)
            s = jnp.clip(s + jnp.where(slope > 0, step, 0.0), low, high)
        return s


def _reaches(neuron: Neuron, interval: Interval, threshold):
    top, height = neuron.peak(interval.potential, interval.current)
    inside = (top > 0) & (top <= interval.span)
    return (interval.end >= threshold) | (inside & (height >= threshold))


def lambert_w(z: Float[Array, " ..."]) -> Float[Array, " ..."]:
    """The principal branch of Lambert's function for `-1/e <= z <= 0`, below which it is -1.

    Three of Halley's steps from the series at the branch point; exact to rounding.
    """
    p = jnp.sqrt(jnp.maximum(2 * (jnp.e * z + 1), 0))
    w = -1 + p * (1 + p * (-1 / 3 + p * (11 / 72)))
    for _ in range(3):
        e = jnp.exp(w)
        f = w * e - z
        grazing = w + 1 < 1e-6
        below = jnp.where(grazing, 1.0, e * (w + 1) - (w + 2) * f / (2 * w + 2 + grazing))
        w = w - jnp.where(grazing, 0.0, f / below)
    return w
