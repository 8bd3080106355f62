"""Distortions that are set together, and verdicts on what they leave of a network's function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.lab.figure import INK, WIDTH, subplots
from lapicque.spiking import Network
from lapicque.substrate.transforms import Choice, fix_delays, lose_synapses, scatter_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Distortion(NamedTuple):
    """What a chip does to a network; what is not set is left alone."""

    loss: float = 0.0  # share of synapses
    spread: float = 0.0  # standard deviation of weights over their mean
    delay: float | None = None  # of all synapses [ms]

    def of(self, network: Network, seed: int, only: Choice | None = None) -> Network:
        """The distorted network: synapses are lost, weights scattered, delays made one.

        Args:
            network: What to change; it stays as it is.
            seed: Of the network. The seed of the chip is the same.
            only: In which projections; all by default.
        """
        chosen = only or (lambda projection: True)
        if self.loss > 0:
            network = lose_synapses(network, self.loss, seed=seed, chip=seed, only=chosen)
        if self.spread > 0:
            network = scatter_weights(network, self.spread, seed=seed, chip=seed, only=chosen)
        if self.delay is not None:
            network = fix_delays(network, self.delay, seed=seed, only=chosen)
        return network


def check_distortion(loss: float, spread: float, delay: float) -> None:
    """Each is one that a chip could have.

    Raises:
        InputError: One is out of range.
    """
    in_range("loss", loss, 0, 1)
    in_range("spread", spread, 0)
    positive("delay", delay, "ms")


class Measure(NamedTuple):
    """A number by which the function of a network is judged."""

    label: str
    within: float  # deviation from the ideal network that is allowed; our limits
    relative: bool = True  # to its value there
    form: str = ".3g"

    def kept(self, value: float, ideal: float) -> bool:
        """Whether a value is close enough to that of the ideal network."""
        return abs(value - ideal) <= self.within * (abs(ideal) if self.relative else 1.0) + 1e-9


def judged(
    measures: Mapping[str, Measure], rows: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, float], np.ndarray]:
    """All measured values, and the share of the measures in which a condition is like the first.

    Returns:
        Metrics `<condition>_<measure>` and `<condition>_kept`, and the values as a table of shape
        (conditions, measures).
    """
    first = next(iter(rows.values()))
    metrics = {}
    for condition, row in rows.items():
        for name in measures:
            metrics[f"{condition}_{name}"] = float(row[name])
        kept = [m.kept(row[name], first[name]) for name, m in measures.items()]
        metrics[f"{condition}_kept"] = float(np.mean(kept))
    table = np.array([[row[name] for name in measures] for row in rows.values()], float)
    return metrics, table


def draw_verdicts(
    measures: Mapping[str, Measure], titles: Sequence[str], table: np.ndarray
) -> Figure:
    """The table, each number coloured by whether it is like that of the first row."""
    figure, axes = subplots(height=0.6 + 0.3 * len(titles))
    axis = axes[0, 0]
    axis.set(xlim=(-0.5, len(measures) - 0.5), ylim=(len(titles) - 0.5, -0.5))
    for i, row in enumerate(table):
        for j, (measure, value) in enumerate(zip(measures.values(), row, strict=True)):
            kept = measure.kept(value, table[0, j])
            if i > 0:
                axis.add_patch(_cell(j, i, "#d9efe5" if kept else "#f9dcc8"))
            mark = "" if i == 0 else " \N{CHECK MARK}" if kept else " \N{MULTIPLICATION SIGN}"
            axis.text(j, i, f"{value:{measure.form}}{mark}", ha="center", va="center", color=INK)
    axis.set_xticks(range(len(measures)), [m.label for m in measures.values()])
    axis.set_yticks(range(len(titles)), titles)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    figure.set_size_inches(WIDTH, 0.7 + 0.28 * len(titles))
    return figure


def _cell(column: int, row: int, colour: str):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.48, row - 0.45), 0.96, 0.9, facecolor=colour, edgecolor="none")
