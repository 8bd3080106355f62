"""What chips do to networks, one effect at a time, and what can be done against it.

Each function takes the description of a network and returns a changed one with the same
populations, so that recordings of both are asked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, positive
from lapicque.spiking import Network, Projection
from lapicque.spiking.drawn import Synapses, changed, synapses, with_synapses

Choice = Callable[[Projection], bool]


def _all(projection: Projection) -> bool:
    return True


def lose_synapses(
    network: Network, share: float, *, seed: int, chip: int = 0, only: Choice = _all
) -> Network:
    """Leave out each synapse with the same probability.

    Args:
        network: What to change; it stays as it is.
        share: Probability of a synapse to be lost.
        seed: Of the network, see `Simulation`.
        chip: Seed of what is lost.
        only: In which projections.

    Raises:
        InputError: `share` is no probability.
    """
    in_range("share", share, 0, 1)

    def change(projection, k, found: Synapses) -> Synapses:
        if not only(projection):
            return found
        draws = np.random.default_rng([chip, 1, k]).random(len(found))
        return found.kept(draws >= share)

    return changed(network, seed, change)


def scatter_weights(
    network: Network, spread: float, *, seed: int, chip: int = 0, only: Choice = _all
) -> Network:
    """Multiply each weight by a factor of its own, normally distributed around 1, none below 0.

    Args:
        network: What to change; it stays as it is.
        spread: Standard deviation of the factors.
        seed: Of the network, see `Simulation`.
        chip: Seed of the factors.
        only: In which projections.

    Raises:
        InputError: `spread` is negative.
    """
    in_range("spread", spread, 0)

    def change(projection, k, found: Synapses) -> Synapses:
        if not only(projection):
            return found
        draws = np.random.default_rng([chip, 2, k]).standard_normal(len(found))
        weight = found.weight * np.maximum(1 + spread * draws, 0)
        return Synapses(found.pre, found.post, weight, found.delay)

    return changed(network, seed, change)


def fix_delays(network: Network, delay: float, *, seed: int, only: Choice = _all) -> Network:
    """Give all synapses the same delay.

    Args:
        network: What to change; it stays as it is.
        delay: In ms.
        seed: Of the network, see `Simulation`.
        only: In which projections.

    Raises:
        InputError: `delay` is not positive.
    """
    positive("delay", delay, "ms")

    def change(projection, k, found: Synapses) -> Synapses:
        if not only(projection):
            return found
        return Synapses(found.pre, found.post, found.weight, np.full(len(found), float(delay)))

    return changed(network, seed, change)


def scale_weights(network: Network, factor: float, *, seed: int, only: Choice = _all) -> Network:
    """Multiply weights by one factor.

    Raises:
        InputError: `factor` is negative.
    """
    in_range("factor", factor, 0)

    def change(projection, k, found: Synapses) -> Synapses:
        scale = factor if only(projection) else 1.0
        return Synapses(found.pre, found.post, scale * found.weight, found.delay)

    return changed(network, seed, change)


def restore_fan_in(
    wanted: Network, realised: Network, *, seed: int, only: Choice = _all
) -> Network:
    """Make up for lost synapses by stronger ones.

    In each projection the weights of a neuron grow by the number of synapses it should have over
    the number it has, so that its mean input is what it would be. A neuron that has lost all of
    them stays without.

    Args:
        wanted: The network as it was meant.
        realised: The network as it came out, with the same projections.
        seed: Of both.
        only: In which projections.

    Source:
        Petrovici et al. (2014), compensation of synapse loss.
    """
    result = []
    for projection, before, after in zip(
        wanted.projections, synapses(wanted, seed), synapses(realised, seed), strict=True
    ):
        required = fan_in(before, projection.post.size)
        left = fan_in(after, projection.post.size)
        scale = required / np.maximum(left, 1) if only(projection) else np.ones(left.size)
        weight = after.weight * scale[after.post]
        result.append(Synapses(after.pre, after.post, weight, after.delay))
    return with_synapses(realised, result)


def fan_in(found: Synapses, size: int) -> NDArray[np.int64]:
    """Number of synapses of each postsynaptic unit, shape (size,)."""
    return np.bincount(found.post, minlength=size)


def restore_rates(
    thresholds: ArrayLike,
    rates: ArrayLike,
    target: float,
    step: float = 0.05,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> NDArray[np.float64]:
    """One round of bringing every neuron to a rate by its threshold.

    Args:
        thresholds: At present, shape (neurons,). [mV]
        rates: Measured with them, shape (neurons,). [Hz]
        target: Wanted. [Hz]
        step: Change of a threshold per deviation of the rate. [mV / Hz]
        limits: Between which thresholds stay. [mV]

    Raises:
        InputError: `step` is not positive.

    Source:
        Petrovici et al. (2014), iterative compensation; the step is ours.
    """
    positive("step", step, "mV/Hz")
    moved = np.asarray(thresholds, float) + step * (np.asarray(rates, float) - target)
    return np.clip(moved, *limits)
