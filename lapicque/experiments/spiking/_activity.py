"""What the experiments on network activity have in common: statistics and figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lapicque.lab.figure import INK, subplots
from lapicque.spiking.statistics import Events, correlation, cv, population_rate, rates

_SHOWN = 50  # neurons in a raster
_SAMPLE = 200  # neurons of whom all pairs are correlated
NUMBERS = ("rate", "cv", "correlation")


def described(spikes: Events, size: int, start: float, stop: float, bin: float) -> dict[str, Any]:
    """Statistics of a population between `start` and `stop` [ms], and what the figures need.

    Of these, `NUMBERS` are numbers: the mean rate [Hz], the mean CV, and the mean correlation of
    counts in 5 ms; both are 0 where too few neurons fire.
    """
    rate, irregularity = rates(spikes, size, start, stop), cv(spikes, size)
    known = irregularity[np.isfinite(irregularity)]
    sample = np.linspace(0, size - 1, min(size, _SAMPLE)).astype(int)
    time, activity = population_rate(spikes, size, bin, start, stop)
    shown = spikes.id < _SHOWN
    return {
        "rate": rate.mean(),
        "cv": known.mean() if known.size else 0.0,
        "correlation": np.nan_to_num(correlation(spikes, size, 5.0, start, stop, sample).mean),
        "rates": rate,
        "cvs": known,
        "time": time - start,
        "activity": activity,
        "raster_time": spikes.time[shown] - start,
        "raster_id": spikes.id[shown],
    }


def figures_of(recordings: Mapping[str, np.ndarray], titles: Mapping[str, str], window: float):
    """Rasters and population rates of the first `window` [ms], and how rates and CVs spread.

    `titles` names the conditions, whose recordings are called `<condition>/<name>`.
    """
    pairs = -(-len(titles) // 2)
    columns = min(len(titles), 2)
    activity, axes = subplots(
        2 * pairs,
        columns,
        height=3.2 * pairs,
        sharex="col",
        gridspec_kw={"height_ratios": [2, 1] * pairs},
    )
    spread, (for_rates, for_cvs) = _distributions()
    for axis in axes.ravel():
        axis.set_visible(False)
    for k, (condition, title) in enumerate(titles.items()):
        found = {
            name.partition("/")[2]: array
            for name, array in recordings.items()
            if name.startswith(f"{condition}/")
        }
        upper, lower = axes[2 * (k // 2) : 2 * (k // 2) + 2, k % 2]
        early = found["raster_time"] <= window
        upper.plot(found["raster_time"][early], found["raster_id"][early], ".", ms=1.5, color=INK)
        upper.set(title=title, ylabel="neuron", xlim=(0, window), visible=True)
        early = found["time"] <= window
        lower.plot(found["time"][early], found["activity"][early], lw=0.8)
        lower.set(ylabel="rate [Hz]", xlabel="time [ms]", visible=True)
        spike = 1000.0 / (found["time"][-1] + found["time"][0])  # Hz; rates are multiples of it
        width = spike * max(1, round(found["rates"].max() / spike / 30))
        edges = np.arange(-0.5 * spike, found["rates"].max() + width, width)
        for_rates.hist(found["rates"], edges, density=True, histtype="step", label=condition)
        for_cvs.hist(found["cvs"], np.linspace(0, 3, 61), density=True, histtype="step")
    for_rates.legend()
    return {"activity": activity, "distributions": spread}


def _distributions():
    figure, axes = subplots(1, 2, height=2.8)
    left, right = axes[0]
    left.set(xlabel="rate [Hz]", ylabel="density", yscale="log")
    right.set(xlabel="CV of intervals")
    return figure, (left, right)
