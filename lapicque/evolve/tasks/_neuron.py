"""The leaky neuron with exponential currents that learns from reward and from errors."""

from math import exp, log
from typing import NamedTuple

from lapicque._checks import InputError, positive

C_M, TAU_M, TAU_S = 250.0, 10.0, 2.0  # pF, ms, ms
E_L, V_THRESH = -70.0, -55.0  # mV


class Propagators(NamedTuple):
    """What a step of length h makes of potential and current: `u <- u p22 + i p21`, `i <- i p11`.

    `p21` is in mV per pA.

    Source: Rotter and Diesmann (1999), exact integration.
    """

    p11: float
    p22: float
    p21: float


def propagators(h: float) -> Propagators:
    """Of a step of `h` [ms].

    Raises:
        InputError: `h` is not positive.
    """
    positive("h", h, "ms")
    p11, p22 = exp(-h / TAU_S), exp(-h / TAU_M)
    return Propagators(p11, p22, TAU_S * TAU_M / (C_M * (TAU_M - TAU_S)) * (p22 - p11))


def psp_peak() -> tuple[float, float]:
    """When [ms] the response to a current of 1 pA that jumps and decays is highest, and how high
    [mV]."""
    time = TAU_M * TAU_S / (TAU_M - TAU_S) * log(TAU_M / TAU_S)
    return time, propagators(time).p21


def steps_of(name: str, duration: float, h: float) -> int:
    """How many steps of `h` [ms] a duration [ms] takes.

    Raises:
        InputError: It is no multiple of `h`.
    """
    n = round(duration / h)
    if abs(n * h - duration) > 1e-6 * max(h, duration):
        raise InputError(f"`{name}` is {duration:g} ms; it must be a multiple of {h:g} ms.")
    return n
