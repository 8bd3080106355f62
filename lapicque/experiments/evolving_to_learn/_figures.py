"""Figures of the three experiments."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lapicque.evolve import Program
from lapicque.experiments._expressions import formula
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots


def evolution(
    histories: Mapping[str, np.ndarray], ylabel: str, reference: tuple[str, float], **options
) -> Figure:
    """Best fitness over generations, a line for each run.

    Args:
        histories: By what a group of runs has in common, shape (runs, generations + 1).
        ylabel: Of fitness, with its unit.
        reference: Name and fitness of the rule that was designed by hand.
        options: Of the axes.
    """
    figure, axes = subplots(height=3.2)
    axis = axes[0, 0]
    for k, (name, history) in enumerate(histories.items()):
        for j, row in enumerate(history):
            axis.step(
                np.arange(row.size), row, where="post", color=COLOURS[k % 6], lw=1.2,
                alpha=0.9, label=name if j == 0 else None,
            )  # fmt: skip
    name, value = reference
    axis.axhline(value, color=INK, lw=1, ls="--", label=name)
    last = max(h.shape[1] for h in histories.values()) - 1
    axis.set(xlabel="generation", ylabel=ylabel, xlim=(0, last), **options)
    axis.legend(loc="best")
    return figure


def compared(
    rows: Sequence[tuple[str, str]],
    measured: np.ndarray,
    error: np.ndarray,
    published: np.ndarray,
    xlabel: str,
    **options,
) -> Figure:
    """Measured values with their standard errors beside published ones, a line for each rule.

    Args:
        rows: Where a rule was found, and its formula.
        measured, error: Shape (rules,).
        published: Shape (rules,); `nan` where there is none.
        xlabel: Of the values, with their unit.
        options: Of the axes.
    """
    figure, axes = subplots(height=0.9 + 0.3 * len(rows))
    axis, place = axes[0, 0], np.arange(len(rows))
    axis.errorbar(
        measured, place, xerr=error, fmt="o", color=COLOURS[0], label="measured, standard error"
    )
    axis.plot(published, place, "D", mfc="none", mec=COLOURS[1], mew=1.4, ms=6, label="published")
    axis.set_yticks(place, [f"{text}   ({where})" for where, text in rows], fontsize=9)
    axis.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6), **options)
    axis.grid(axis="y", visible=False)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


def formulas(
    rules: Sequence[tuple[str, Sequence[Program]]], values: np.ndarray, head: tuple[str, str]
) -> Figure:
    """What each run ended with, and what it achieves.

    Args:
        rules: Name of a run and its expressions.
        values: Text or numbers to show, shape (rules,).
        head: Titles of expressions and values.
    """
    lines = sum(len(programs) for _, programs in rules)
    figure, axes = subplots(height=0.55 + 0.36 * lines)
    axis = axes[0, 0]
    axis.set_axis_off()
    axis.set(xlim=(0, 1), ylim=(lines - 0.4, -1.1))
    for x, text, side in ((0.0, "run", "left"), (0.24, head[0], "left"), (1.0, head[1], "right")):
        axis.text(x, -0.8, text, color=MUTED, ha=side, fontsize=9)
    line = 0
    for (name, programs), value in zip(rules, values, strict=True):
        axis.text(0.0, line, name, va="center", fontsize=9)
        axis.text(1.0, line, f"{value:.1f}", va="center", ha="right", fontsize=9)
        for program in programs:
            axis.text(0.24, line, formula(program, 60), va="center", fontsize=10)
            line += 1
    return figure


def surfaces(
    functions: Mapping[str, Callable],
    x: np.ndarray,
    y: np.ndarray,
    labels: tuple[str, str],
    bar: str,
    limit: float | None = None,
) -> Figure:
    """Values of rules over two quantities, up to two in a row, each to its own scale.

    Args:
        functions: Of two arrays, by title.
        x, y: Values of the quantities.
        labels: Names of the quantities, with their units.
        bar: What is shown.
        limit: Beyond which colours stop, in units of the root mean square.
    """
    rows = -(-len(functions) // 2)
    figure, axes = subplots(rows, 2, height=2.8 * rows + 0.3, sharex=True, sharey=True)
    mesh = np.meshgrid(x, y)
    image = None
    for axis, (title, function) in zip(axes.ravel(), functions.items(), strict=False):
        with np.errstate(all="ignore"):
            values = np.asarray(function(*mesh), float)
        usual = values[np.isfinite(values)]
        clipped = np.clip(usual, *np.percentile(usual, (5, 95))) if usual.size else np.zeros(1)
        scale = float(np.sqrt(np.mean(clipped**2))) or 1.0
        top = limit or 2.0
        image = axis.pcolormesh(
            x, y, values / scale, cmap="RdBu_r", vmin=-top, vmax=top, shading="auto",
            rasterized=True,
        )  # fmt: skip
        if usual.size and usual.min() < 0 < usual.max():
            axis.contour(x, y, values, [0.0], colors=[INK], linewidths=1.0)
        axis.set_title(f"{title}\nr.m.s. {scale:.3g}", fontsize=9)
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel(labels[0])
    for axis in axes[:, 0]:
        axis.set_ylabel(labels[1])
    for axis in axes.ravel()[len(functions) :]:
        axis.set_visible(False)
    assert image is not None
    figure.colorbar(image, ax=list(axes.ravel()), label=bar, extend="both", shrink=0.85)
    return figure
