"""One look for all figures: calm, readable in print, told apart by colour-blind readers.

Figures are made with Matplotlib's objects; nothing here touches the state of `pyplot`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#22262b", "#6b7280", "#e5e7eb"
# Okabe & Ito (2008), the yellow left out since it is faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
WIDTH = 6.4  # of a figure that fills a column [inch]

_STYLE: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.4),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
    "svg.fonttype": "path",
    "savefig.facecolor": "white",
}


@contextmanager
def style() -> Iterator[None]:
    """Within this context, figures have the common look."""
    import matplotlib
    from cycler import cycler

    look: Any = {**_STYLE, "axes.prop_cycle": cycler(color=COLOURS)}
    with matplotlib.rc_context(look):
        yield


def subplots(
    rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = 3.4, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `width` x `height` [inch] and its axes, an array of shape (rows, columns)."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns, squeeze=False, **options)
