"""A leaky integrator behind exponential synapses that counts by its first spike."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, positive
from lapicque.spiketime.solvers import Lambert, Newton, NonLeaky, Quadratic, Solver


@jax.tree_util.register_static
@dataclass(frozen=True)
class Neuron:
    """`dV/dt = -V / tau_m + I`, `I` a sum of `w exp(-(t - t_i) / tau_s)` after each input.

    The neuron rests at 0 and has unit capacitance, so weights are currents in units of
    threshold per time. It spikes when `V` first reaches `threshold`; what it does afterwards
    does not matter.

    Attributes:
        tau_m: Time constant of the membrane; `inf` for no leak. [tau_s, or any unit of time]
        tau_s: Time constant of the synapses, in the same unit.
        threshold: Above 0.
        solver: How the instant of the crossing is found; by default the closed form for
            this ratio of time constants where there is one, Newton's method elsewhere.

    Raises:
        InputError: A value is not above zero, or `solver` cannot solve this ratio.

    Source:
        Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, in these units. With
        `tau_m = tau_s = 1`, threshold 1 it is that work's neuron; with `tau_m = 2`, threshold
        1 the one of DelGrad's simulations, with `tau_m = 1`, threshold 2.6 that of its chip.
    """

    tau_m: float = 2.0
    tau_s: float = 1.0
    threshold: float = 1.0
    solver: Solver | None = None

    def __post_init__(self) -> None:
        positive("tau_s", self.tau_s)
        positive("threshold", self.threshold)
        if isnan(self.tau_m) or self.tau_m <= 0:
            raise InputError(f"`tau_m` is {self.tau_m:g}; it must be above 0, or `inf`.")
        if self.solver is None:
            object.__setattr__(self, "solver", closed_form(self.tau_m / self.tau_s))
        else:
            self.solver.check(self.tau_m / self.tau_s)

    @property
    def longest(self) -> float:
        """The longest finite time constant."""
        return self.tau_s if self.tau_m == inf else max(self.tau_m, self.tau_s)

    def decays(self, s: Float[Array, " ..."]) -> tuple[Float[Array, " ..."], Float[Array, " ..."]]:
        """What is left of the potential and of the current after a time `s`."""
        if self.tau_m == inf:
            return jnp.ones_like(s), jnp.exp(-s / self.tau_s)
        membrane = jnp.exp(-s / self.tau_m)
        if self.tau_m == self.tau_s:
            return membrane, membrane
        if self.tau_m == 2 * self.tau_s:
            return membrane, membrane * membrane
        return membrane, jnp.exp(-s / self.tau_s)

    def psp(self, s: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Potential a time `s >= 0` after one input of weight 1, for any ratio."""
        if self.tau_m == 2 * self.tau_s:
            membrane = jnp.exp(-s / self.tau_m)
            return self.tau_m * membrane * (1 - membrane)
        slow = jnp.exp(-s / max(self.tau_m, self.tau_s))
        rate = abs(1 / self.tau_s - 1 / self.tau_m)
        return slow * s if rate == 0 else -slow * jnp.expm1(-rate * s) / rate

    def slope(self, s: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Derivative of `psp` with respect to time."""
        return self.decays(s)[1] - self.psp(s) / self.tau_m

    def peak(
        self, potential: Float[Array, " ..."], current: Float[Array, " ..."]
    ) -> tuple[Float[Array, " ..."], Float[Array, " ..."]]:
        """When the potential will be highest if nothing more arrives, and how high.

        The potential has at most one maximum. Where it only falls, the time is 0; where it
        rises for ever (no leak), the time is `inf`.
        """
        if self.tau_m == inf:
            rises = current > 0
            time = jnp.where(rises, inf, 0.0)
            return time, jnp.where(rises, potential + self.tau_s * current, potential)
        rate = 1 / self.tau_s - 1 / self.tau_m
        return _peak(self.tau_m, self.tau_s, rate, potential, current)


class Mismatched(NamedTuple):
    """Neurons that differ in their time constants; a stand-in for `Neuron` in `crossing`.

    Attributes:
        tau_m, tau_s: Time constants of each neuron, finite, shape (post,).
        threshold: Above 0.
        solver: One for any ratio.
    """

    tau_m: Float[Array, " post"]
    tau_s: Float[Array, " post"]
    threshold: float = 1.0
    solver: Solver = Newton()

    @property
    def longest(self) -> Float[Array, " post"]:
        """The longest time constant of each."""
        return jnp.maximum(self.tau_m, self.tau_s)

    def decays(self, s: Float[Array, " ..."]) -> tuple[Float[Array, " ..."], Float[Array, " ..."]]:
        """As `Neuron.decays`."""
        return jnp.exp(-s / self.tau_m), jnp.exp(-s / self.tau_s)

    @property
    def _rate(self) -> Float[Array, " post"]:
        # Exactly equal time constants are taken as nearly equal, so that one formula serves all.
        rate = 1 / self.tau_s - 1 / self.tau_m
        least = 1e-6 / self.tau_s
        return jnp.where(jnp.abs(rate) < least, least, rate)

    def psp(self, s: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """As `Neuron.psp`."""
        rate = jnp.abs(self._rate)
        return -jnp.exp(-s / self.longest) * jnp.expm1(-rate * s) / rate

    def peak(
        self, potential: Float[Array, " ..."], current: Float[Array, " ..."]
    ) -> tuple[Float[Array, " ..."], Float[Array, " ..."]]:
        """As `Neuron.peak`."""
        return _peak(self.tau_m, self.tau_s, self._rate, potential, current)


def _peak(tau_m, tau_s, rate, potential, current):
    rises = (current > 0) & (potential < tau_m * current)
    drive = jnp.where(rises, current, 1.0)
    start = jnp.where(rises, potential, 0.0)
    gap = drive - start / tau_m
    # V' = 0 at V = tau_m I; log1p keeps the limit of equal time constants.
    if isinstance(rate, float) and rate == 0:
        time = tau_s * gap / drive
    else:
        time = jnp.log1p(rate * tau_m * gap / (drive + rate * start)) / rate
    top = tau_m * drive * jnp.exp(-time / tau_s)
    return jnp.where(rises, time, 0.0), jnp.where(rises, top, potential)


def closed_form(ratio: float) -> Solver:
    """The closed form for a ratio `tau_m / tau_s`, or Newton's method where there is none."""
    if ratio == 2:
        return Quadratic()
    if ratio == 1:
        return Lambert()
    return NonLeaky() if ratio == inf else Newton()
