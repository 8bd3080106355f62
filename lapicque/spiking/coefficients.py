"""From the parameters of neurons to the numbers that the compiled loop multiplies with."""

import numpy as np
from numpy.typing import NDArray

from lapicque.spiking import _kernel as kernel
from lapicque.spiking.network import Population
from lapicque.spiking.neurons import (
    AdEx,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentExp,
    per_neuron,
)
from lapicque.spiking.sources import SpikeArray


def kind_of(population: Population) -> int:
    """The number by which the compiled loop knows a kind of unit."""
    if isinstance(population.model, SpikeArray):
        return kernel.SPIKE_ARRAY
    if population.is_source:
        return kernel.POISSON
    if isinstance(population.model, AdEx):
        return kernel.ADEX
    receptors = population.receptors
    if isinstance(receptors, ConductanceAlpha):
        return kernel.CONDUCTANCE_ALPHA
    for part, kind in (
        (ConductanceExp, kernel.CONDUCTANCE_EXP),
        (CurrentExp, kernel.CURRENT_EXP),
        (CurrentAlpha, kernel.CURRENT_ALPHA),
    ):
        if isinstance(receptors, part):
            return kind
    return kernel.CURRENT_DELTA


def parameters(population: Population) -> dict[str, NDArray[np.float64]]:
    """All parameters of the neurons of a population, each of shape (size,)."""
    return {
        name: values
        for part in (population.model, population.receptors)
        for name, values in per_neuron(part, population.size, population.label).items()  # pyright: ignore[reportArgumentType]
    }


def coefficients(kind: int, p: dict[str, NDArray[np.float64]], h: float) -> NDArray[np.float64]:
    """What the compiled loop multiplies with, shape (neurons, `kernel.COEFFICIENTS`).

    Args:
        kind: Of the neurons.
        p: Their parameters.
        h: Time step [ms].
    """
    c = np.zeros((len(p["cm"]), kernel.COEFFICIENTS))
    c[:, -1] = h
    c[:, 0], c[:, 1] = p["v_reset"], p["v_thresh"]
    c[:, 2] = np.round(p["tau_refrac"] / h)
    leak = np.exp(-h / p["tau_m"])
    if kind == kernel.CURRENT_DELTA:
        c[:, 3] = leak
        return c
    tau_e, tau_i = p["tau_syn_E"], p["tau_syn_I"]
    decay_e, decay_i = np.exp(-h / tau_e), np.exp(-h / tau_i)
    if kind in (kernel.CURRENT_EXP, kernel.CURRENT_ALPHA):
        c[:, 3] = leak
        c[:, 6], c[:, 7] = decay_e, decay_i
        for k, tau in enumerate((tau_e, tau_i)):
            constant, rising = _filtered(p["tau_m"], tau, h)
            c[:, 4 + k] = constant / p["cm"]
            if kind == kernel.CURRENT_ALPHA:
                c[:, 8 + k] = rising / p["cm"]
                c[:, 10 + k] = np.e / tau
                c[:, 12 + k] = h * np.exp(-h / tau)
        return c
    if kind in (kernel.CONDUCTANCE_EXP, kernel.CONDUCTANCE_ALPHA):
        c[:, 3] = 1 / p["tau_m"]
        c[:, 6], c[:, 7], c[:, 8], c[:, 9] = decay_e, decay_i, p["e_rev_E"], p["e_rev_I"]
        for k, tau in enumerate((tau_e, tau_i)):
            c[:, 4 + k] = np.e / tau / p["cm"]
            c[:, 10 + k] = np.exp(-kernel.EARLY * h / tau)
            c[:, 12 + k] = np.exp(-kernel.LATE * h / tau)
        if kind == kernel.CONDUCTANCE_EXP:
            c[:, 5] = 1 / p["cm"]
        return c
    conductance = "e_rev_E" in p
    rises = p["rises"]
    c[:, 1] = p["v_spike"]
    for k, name in ((4, "v_rest"), (5, "v_thresh"), (6, "delta_T"), (9, "tau_w")):
        c[:, k] = p[name]
    c[:, 3] = 1 / p["tau_m"]
    c[:, 7], c[:, 8] = 1e-3 * p["a"] / p["cm"], p["b"] / p["cm"]
    c[:, 10], c[:, 11] = (p["e_rev_E"], p["e_rev_I"]) if conductance else (1.0, 1.0)
    c[:, 12] = float(conductance)
    c[:, 13] = np.where(rises > 0, np.e / tau_e, 1) / p["cm"]
    c[:, 14] = np.where(rises > 0, np.e / tau_i, 1) / p["cm"]
    c[:, 15], c[:, 16], c[:, 17], c[:, 18], c[:, 19] = rises, tau_e, tau_i, decay_e, decay_i
    c[:, 20], c[:, 21] = np.exp(-0.5 * h / tau_e), np.exp(-0.5 * h / tau_i)
    return c


def _filtered(tau_m, tau, h) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integrals over a step of ``exp(-(h - s) / tau_m)`` with ``exp(-s / tau)`` and ``s`` times it.

    By series where the two time constants are close, so that nothing is lost to cancellation.
    """
    beta = 1 / tau_m - 1 / tau
    x = beta * h
    near = np.abs(x) < 0.1
    wide = np.where(near, 1.0, x)
    first = np.expm1(wide) / wide
    second = (np.exp(wide) * (wide - 1) + 1) / wide**2
    series_first, series_second, term = np.zeros_like(x), np.zeros_like(x), np.ones_like(x)
    for k in range(14):
        series_first += term / (k + 1)
        series_second += term / (k + 2)
        term = term * x / (k + 1)
    factor = np.exp(-h / tau_m)
    first = np.where(near, series_first, first)
    second = np.where(near, series_second, second)
    return factor * h * first, factor * h**2 * second


def drives(kind: int, p: dict[str, NDArray[np.float64]], h: float) -> NDArray[np.float64]:
    """What moves the potential without spikes, shape (..., neurons); see `_kernel`."""
    if kind == kernel.ADEX:
        return p["i_offset"] / p["cm"] + 0 * p["v_rest"]
    target = p["v_rest"] + p["i_offset"] * p["tau_m"] / p["cm"]
    if kind in (kernel.CONDUCTANCE_EXP, kernel.CONDUCTANCE_ALPHA):
        return target / p["tau_m"]
    return -np.expm1(-h / p["tau_m"]) * target


def neuron_parameters(population: Population) -> dict[str, NDArray[np.float64]]:
    """`parameters`, and for AdEx whether its synapses rise."""
    p = parameters(population)
    if isinstance(population.model, AdEx):
        alpha = isinstance(population.receptors, CurrentAlpha | ConductanceAlpha)
        p["rises"] = np.full(population.size, float(alpha))
    return p
