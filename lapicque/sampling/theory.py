"""Activity of a LIF neuron under strong noise, from first principles.

Spikes come in bursts of back-to-back refractory times. Between two spikes of a burst the free
potential moves like an Ornstein-Uhlenbeck process; once it has fallen below the threshold, the next
burst waits for a first passage.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc, erfcx, zeta

from lapicque.spiking import LIF
from lapicque.spiking.models import Bombarded, free_potential, noise_driven

_COLOURED = float(abs(zeta(0.5))) if np.isfinite(zeta(0.5)) else 1.4603545088095868


def activation(
    preset: Bombarded,
    mean: ArrayLike,
    *,
    coloured: bool = True,
    drift: bool = True,
    points: int = 250,
    bursts: int = 400,
) -> NDArray[np.float64]:
    """Share of time that a neuron spends refractory, by propagating bursts.

    Args:
        preset: The neuron and its noise.
        mean: Mean free potentials [mV].
        coloured: Raise the threshold of first passage, as noise with a memory demands; to first
            order in ``sqrt(tau_eff / tau_syn)``.
        drift: Count the time that the potential needs from reset to threshold within a burst.
        points: Of the grid over free potentials.
        bursts: Longest burst that is followed.

    Source: Petrovici et al. (2013, 2016); equations 10-15 of the fact sheet.
    """
    neuron: LIF = preset.neuron
    threshold, reset = float(neuron.v_thresh), float(neuron.v_reset)  # pyright: ignore[reportArgumentType]
    tau_ref = float(neuron.tau_refrac)  # pyright: ignore[reportArgumentType]
    tau_syn = float(preset.receptors.tau_syn_E)  # pyright: ignore
    free = free_potential(*noise_driven(1, preset))
    sd, tau_eff = float(free.sd[0]), float(free.tau_eff[0])
    raised = _COLOURED * sd * np.sqrt(tau_eff / tau_syn) if coloured else 0.0
    found = [
        _activity(
            threshold - m,
            threshold + raised - m,
            reset - m,
            sd,
            tau_ref,
            tau_syn,
            tau_eff if drift else 0.0,
            points,
            bursts,
        )
        for m in np.atleast_1d(np.asarray(mean, float))
    ]
    return np.array(found).reshape(np.shape(mean))


def _activity(theta, theta_raised, reset, sd, tau_ref, tau_syn, tau_eff, points, bursts) -> float:
    """For potentials relative to their mean."""
    r = np.exp(-tau_ref / tau_syn)
    spread = sd * np.sqrt(1 - r**2)
    top = max(7 * sd, theta + 3 * sd)
    above = np.linspace(theta, top, points)
    below = np.linspace(min(-7 * sd, theta - 3 * sd), theta, points)
    waiting = _first_passage(below / sd, theta_raised / sd, tau_syn)
    crossing = np.zeros(points)
    if tau_eff > 0:
        gap = np.maximum(above - theta, 1e-3 * sd)
        crossing = tau_eff * np.log((above - reset) / gap) if reset < theta else crossing

    step_above = np.gradient(above)
    step_above[[0, -1]] = 0.5 * (above[1] - above[0])
    step_below = np.full(points, below[1] - below[0])
    step_below[[0, -1]] *= 0.5

    def kernel(start, to, step):
        distance = to[:, None] - r * start[None, :]
        return np.exp(-(distance**2) / (2 * spread**2)) * step[:, None]

    def ended(start):
        return 0.5 * erfc((r * start - theta) / (np.sqrt(2) * spread))

    up, down = kernel(above, above, step_above), kernel(above, below, step_below)
    first = np.array([theta])
    density, ends = kernel(first, above, step_above)[:, 0], kernel(first, below, step_below)[:, 0]
    end = float(ended(first)[0])
    leaving = ended(above)
    alive, on, total, drifted = 1.0, 0.0, 0.0, 0.0
    for n in range(1, bursts + 1):
        wait = ends @ waiting / max(ends.sum(), 1e-300)
        on += alive * end * n * tau_ref
        total += alive * end * (n * tau_ref + drifted + wait)
        alive *= 1 - end
        if alive < 1e-9:
            break
        weight = density / density.sum()
        drifted += weight @ crossing
        end = float(leaving @ weight)
        density, ends = up @ weight, down @ weight
    else:  # the tail: no burst is followed any longer
        on += alive * (bursts + 1) * tau_ref
        total += alive * ((bursts + 1) * tau_ref + drifted)
    return on / total


def _first_passage(start, stop, tau_syn) -> NDArray[np.float64]:
    """Mean first-passage times from `start` to `stop`, in units of the spread."""
    grid = np.linspace(start.min(), stop, 4001) / np.sqrt(2)
    values = erfcx(-grid)
    steps = np.diff(grid)
    sums = np.concatenate([[0], np.cumsum(0.5 * (values[1:] + values[:-1]) * steps)])
    return tau_syn * np.sqrt(np.pi) * (sums[-1] - np.interp(start / np.sqrt(2), grid, sums))
