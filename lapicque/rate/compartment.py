"""Dendritic compartments: each states an opinion, and the soma weighs them by conductance.

What a compartment says to its parent is a conductance g and a reversal potential E. Whatever the
tree behind it looks like, currents through parallel conductances give the parent

    u_eff = sum gE / sum g,        tau_eff = C / sum g,        tau_eff du/dt = u_eff - u

and this one formula serves the cortical microcircuit (Sacramento et al. 2018; Haider et al. 2021),
phaseless alignment learning (Max et al. 2024), and opinion pooling (Jordan et al. 2021), where g is
the reliability of the opinion E. Units are the caller's, as long as g and C agree: [1/ms] with
C = 1 for dimensionless potentials, or [uS], [nF] and [mV].
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range, known, positive
from lapicque.rate.filters import lead_lag
from lapicque.rate.part import AbstractPart

Value = Float[Array, "..."] | float
LookAhead = Callable[[Any, float], Any]


class Opinion(NamedTuple):
    """What a compartment, a synapse or an electrode tells the compartment it feeds.

    A synapse of conductance W r and reversal potential E_rev is `Opinion(W @ r, E_rev)`; a dendrite
    whose potential v is set by its input and that couples with g is `Opinion(g, v)`.
    """

    g: Value  # conductance, at least 0 [1/ms, or uS]
    E: Value  # effective reversal potential [dimensionless, or mV]


def pool(*opinions: Opinion) -> Opinion:
    """The opinion of conductances in parallel: (sum g, sum gE / sum g).

    Their order does not matter, and E is a convex combination of the single ones. Where nothing
    conducts, there is no opinion: g and E are both 0.
    """
    g = sum(opinion.g for opinion in opinions)
    current = sum(opinion.g * opinion.E for opinion in opinions)
    if isinstance(g, float | int):
        return Opinion(g, current / (g or 1.0))
    return Opinion(g, current / jnp.where(g > 0, g, 1))


class Compartment(eqx.Module):
    """A dendritic compartment without capacitance: leak, inputs, children, one parent.

    Attributes:
        g_leak: Leak conductance, at least 0.
        E_leak: Reversal potential of the leak.
        g_coupling: Conductance of the link to the parent, above 0; infinite by default.

    Raises:
        InputError: A conductance is negative, not finite (the coupling may be infinite), or the
            coupling is zero.

    Source: Jordan et al. (2021), arXiv 2104.13238, for g^L_d, g^c_d and the factor
    alpha = g^c / (g^c + g_d).
    """

    g_leak: Value
    E_leak: Value = 0.0
    g_coupling: Value = np.inf

    def __check_init__(self):
        _conductance("g_leak", self.g_leak)
        coupling = known(self.g_coupling)
        if coupling is not None:
            hint = "A compartment without a link says nothing: leave it out."
            positive("g_coupling", np.minimum(coupling, np.finfo(float).max), hint=hint)

    def inside(self, *children: Opinion, current: Value = 0.0) -> Opinion:
        """Own total conductance g_d and the potential E_d the compartment would have alone.

        Args:
            children: Opinions of synapses and of compartments further out.
            current: Injected current, conductance times potential.
        """
        g, E = pool(Opinion(self.g_leak, self.E_leak), *children)
        return Opinion(g, E + current / g)

    def __call__(self, *children: Opinion, current: Value = 0.0) -> Opinion:
        """The opinion the parent hears: g_eff = g_c g_d / (g_c + g_d) and E_eff = E_d."""
        g, E = self.inside(*children, current=current)
        return Opinion(g / (1 + g / self.g_coupling), E)

    def potential(self, inside: Opinion, u_parent: Value) -> Value:
        """Potential alpha u + (1 - alpha) E_d of the compartment when its parent is at u."""
        alpha = 1 / (1 + inside.g / self.g_coupling)
        return alpha * u_parent + (1 - alpha) * inside.E


def prospective(tau_eff: Value, dt: float) -> Value:
    """Look ahead by the membrane time constant: p = u + tau_eff du/dt, which is u_eff itself."""
    return tau_eff


def retarded(tau_eff: Value, dt: float) -> Value:
    """No look-ahead: p is the potential that the step arrives at, late by tau_eff."""
    return dt


class SomaStep(NamedTuple):
    """What one step of a soma shows."""

    u: Float[Array, "*batch n"]  # potential after the step
    p: Float[Array, "*batch n"]  # potential that is emitted, by the choice of look-ahead
    u_eff: Float[Array, "*batch n"]  # the potential it moves to
    tau_eff: Value  # how fast [ms]


class Soma(AbstractPart[Array]):
    """A membrane that hears the opinions of its compartments; its state is its potential u.

        tau_eff du/dt = u_eff - u,       p = u + lead du/dt

    Attributes:
        g_leak: Leak conductance, at least 0.
        E_leak: Reversal potential of the leak; the potential starts there.
        capacitance: C, above 0.
        look_ahead: From (tau_eff, dt) to the lead [ms]: `prospective` (Latent Equilibrium),
            `retarded` (an ordinary soma), or any other function.

    Raises:
        InputError: A conductance is negative, the capacitance is not above 0, or one of them is
            not finite.

    Source: prospective potential of Haider et al. (2021), with the membrane of Sacramento et al.
    (2018).
    """

    g_leak: Value
    E_leak: Value = 0.0
    capacitance: Value = 1.0
    look_ahead: LookAhead = eqx.field(static=True, default=prospective)

    def __check_init__(self):
        _conductance("g_leak", self.g_leak)
        capacitance = known(self.capacitance)
        if capacitance is not None:
            positive("capacitance", capacitance)

    def init(self, shape: tuple[int, ...]) -> Array:
        return jnp.broadcast_to(jnp.asarray(self.E_leak, float), shape)

    def pool(self, *opinions: Opinion) -> Opinion:
        """The pooled opinion of the leak and of all that is given."""
        return pool(Opinion(self.g_leak, self.E_leak), *opinions)

    def step(self, state: Array, input: Sequence[Opinion], dt: float) -> tuple[Array, SomaStep]:
        """One explicit Euler step of dt [ms], shorter than every tau_eff.

        Args:
            state: Potential u, (*batch, n).
            input: Opinions of the compartments and synapses that feed the soma.
            dt: Step [ms].
        """
        g, u_eff = self.pool(*input)
        u_eff = jnp.asarray(u_eff)
        tau_eff = self.capacitance / g
        u, p, _ = lead_lag(state, u_eff, self.look_ahead(tau_eff, dt), tau_eff, dt)
        return u, SomaStep(u, p, u_eff, tau_eff)

    def check_step(self, dt: float, *g: Value) -> None:
        """Raise an `InputError` unless dt < tau_eff, with conductances g added to the leak."""
        total = known(sum(g, start=self.g_leak))
        capacitance = known(self.capacitance)
        if total is None or capacitance is None:
            return
        positive("dt", dt, "ms")
        tau_eff = float(np.min(capacitance / total))
        if dt >= tau_eff:
            raise InputError(
                f"`dt` is {dt:g} ms; it must be below the shortest effective time constant, "
                f"tau_eff = {tau_eff:.4g} ms. Lower `dt`, or the conductances by the same factor."
            )


def _conductance(name: str, value: Value) -> None:
    number = known(value)
    if number is not None and number.dtype != object:
        in_range(name, number, 0, hint="A conductance is never negative.")
