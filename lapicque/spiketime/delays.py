"""Transmission delays: of an axon, of a dendrite, of each synapse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range, one_of

Kind = Literal["axonal", "dendritic", "synaptic"]
Sharing = Literal["tiled", "interleaved"]


class Form(Protocol):
    """How trained numbers become delays that are never negative."""

    def delays(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Delays from the trained numbers. [tau_s]"""
        ...

    def project(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """The trained numbers after a step of the optimiser, moved back to where they may be."""
        ...


@dataclass(frozen=True)
class Sigmoid:
    """`d = low + (high - low) / (1 + exp(-raw))`.

    Attributes:
        low, high: Range of the delays, `0 <= low < high`. [tau_s]

    Raises:
        InputError: The range is empty or reaches below zero.

    Source:
        Göltz, Weber, Kriener et al. (2025), released code: 0 to 1 in simulations, 2 to 3.5
        on the chip.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        in_range("low", self.low, low=0, unit="tau_s")
        if not self.high > self.low:
            raise InputError(
                f"`high` is {self.high:g} tau_s; it must be above `low`, {self.low:g}."
            )

    def delays(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Delays between `low` and `high`."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(raw)

    def project(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Nothing to do."""
        return raw


@dataclass(frozen=True)
class Clipped:
    """`d = raw`; what falls below zero is set to zero after each step."""

    def delays(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """The numbers themselves."""
        return raw

    def project(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """Negative numbers become zero."""
        return jnp.maximum(raw, 0)


@dataclass(frozen=True)
class Shifted:
    """`d = raw`; when one falls below zero, all are shifted, which changes no differences."""

    def delays(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """The numbers themselves."""
        return raw

    def project(self, raw: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """All numbers are raised until the least is zero, if it was below."""
        return raw - jnp.minimum(raw.min(), 0)


class Delays(eqx.Module):
    """Trainable delays in front of a layer, or behind it if they are dendritic.

    Attributes:
        raw: The trained numbers; shape (pre,) if axonal, (post,) if dendritic, (post, pre) if
            synaptic, fewer where they are shared.
        kind: Whose delays they are.
        form: How they stay positive.
        copies: So many axons (or neurons) share one delay.
        sharing: Order of the copies: `tiled` is d1 d2 d3 d1 d2 d3, `interleaved` d1 d1 d2 d2.

    Raises:
        InputError: A choice is unknown, `copies` is below 1, or synaptic delays are shared.

    Source:
        Göltz, Weber, Kriener et al. (2025), Nat. Commun. 16.
    """

    raw: Float[Array, " ..."]
    kind: Kind = eqx.field(static=True, default="axonal")
    form: Form = eqx.field(static=True, default=Sigmoid())
    copies: int = eqx.field(static=True, default=1)
    sharing: Sharing = eqx.field(static=True, default="tiled")

    def __check_init__(self) -> None:
        one_of("kind", self.kind, ("axonal", "dendritic", "synaptic"))
        one_of("sharing", self.sharing, ("tiled", "interleaved"))
        in_range("copies", self.copies, low=1)
        if self.kind == "synaptic" and self.copies > 1:
            raise InputError(
                f"`copies` is {self.copies}; synaptic delays cannot be shared, it must be 1."
            )

    def values(self) -> Float[Array, " ..."]:
        """The delays: shape (pre,), (post,) or (post, pre). [tau_s]"""
        delays = self.form.delays(self.raw)
        if self.copies == 1:
            return delays
        if self.sharing == "tiled":
            return jnp.tile(delays, self.copies)
        return jnp.repeat(delays, self.copies)

    def project(self) -> Delays:
        """The same with its numbers where they may be; to be called after each update."""
        return replace(self, raw=self.form.project(self.raw))


def delays(
    key: Array,
    kind: Kind,
    pre: int,
    post: int,
    *,
    form: Form = Sigmoid(),
    mean: float = 0.0,
    spread: float = 0.25,
    copies: int = 1,
    sharing: Sharing = "tiled",
) -> Delays:
    """Delays whose trained numbers are drawn from a normal distribution.

    Args:
        key: Random key.
        kind: Whose delays.
        pre, post: Number of inputs and of neurons.
        form: How they stay positive.
        mean, spread: Of the trained numbers.
        copies, sharing: As in `Delays`; `copies` must divide the number of axons or neurons.

    Raises:
        InputError: A choice is unknown or the copies do not come out even.
    """
    one_of("kind", kind, ("axonal", "dendritic", "synaptic"))
    shape = {"axonal": (pre,), "dendritic": (post,), "synaptic": (post, pre)}[kind]
    if shape[0] % copies:
        raise InputError(f"`copies` is {copies}; it must divide the {shape[0]} delays.")
    if copies > 1:
        shape = (shape[0] // copies,)
    raw = form.project(mean + spread * jax.random.normal(key, shape))
    return Delays(raw, kind, form, copies, sharing)
