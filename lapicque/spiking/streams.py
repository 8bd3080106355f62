"""Streams of Poisson spikes: private noise, and sources that send their spikes on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError
from lapicque.spiking import _kernel as kernel
from lapicque.spiking.network import Network
from lapicque.spiking.neurons import RECEPTORS
from lapicque.spiking.sources import PiecewisePoisson, Poisson, Rate


class Stream(NamedTuple):
    """Poisson spikes of every unit of a population, as noise or sent on."""

    population: int
    source: Rate
    weight: NDArray[np.float64]
    receptor: int  # row of the noise of its population
    identity: int  # number of its first random stream
    half: int  # which of the two words


def rate_row(source: Rate, dt: float) -> tuple[int, NDArray[np.float64], NDArray, NDArray]:
    """Kind, values, and times and means of a piecewise rate; means are per step.

    Raises:
        InputError: More than 500 spikes per step.
    """
    scale, values = dt * 1e-3, np.zeros(6)
    none = np.zeros(0)
    if isinstance(source, Poisson):
        values[0] = np.max(source.rate) * scale
        always = source.start == 0 and np.isinf(source.duration)
        stop = source.start + source.duration
        values[4] = -1 if always else round(source.start / dt)
        values[5] = 2.0**62 if np.isinf(stop) else round(stop / dt)
        row = kernel.CONSTANT, values, none, none
    elif isinstance(source, PiecewisePoisson):
        means = np.asarray(source.rates, float) * scale
        row = kernel.PIECEWISE, values, np.asarray(source.times, float) / dt, means
    else:
        values[0], values[1] = source.rate * scale, source.amplitude * scale
        values[2], values[3] = 2 * np.pi * source.frequency * scale, source.phase
        row = kernel.SINUSOIDAL, values, none, none
    if highest_mean(source, dt) > 500:
        raise InputError(
            f"A rate of {highest_mean(source, dt) / scale:g} Hz is more than 500 spikes per time "
            f"step of {dt:g} ms; use a lower rate with larger weights, or a shorter step."
        )
    return row


def highest_mean(source: Rate, dt: float) -> float:
    """The largest mean number of spikes per step."""
    if isinstance(source, Poisson):
        return float(np.max(source.rate)) * dt * 1e-3
    if isinstance(source, PiecewisePoisson):
        return float(np.max(np.asarray(source.rates, float), initial=0)) * dt * 1e-3
    return (source.rate + abs(source.amplitude)) * dt * 1e-3


def most_thresholds(mean: float) -> int:
    """Room for thresholds of a Poisson distribution: nothing above fits into a word."""
    return int(mean + 12 * np.sqrt(mean + 1) + 12)


def streams_of(network: Network) -> list[Stream]:
    """All Poisson streams; those of one population share random words by twos."""
    found: list[Stream] = []
    identity = 0
    for k, population in enumerate(network.populations):
        sources: list[tuple[Rate, NDArray[np.float64], str]] = [
            (noise.source, np.atleast_1d(np.asarray(noise.weight, float)), noise.receptor)
            for noise in network.noises
            if noise.population is population
        ]
        if isinstance(population.model, Rate):
            sources = [(population.model, np.ones(1), RECEPTORS[0])]
        for q, (source, weight, receptor) in enumerate(sources):
            row = RECEPTORS.index(receptor)
            found.append(Stream(k, source, weight, row, identity, q % 2))
            if q % 2 or q == len(sources) - 1:
                identity += population.size
    return found
