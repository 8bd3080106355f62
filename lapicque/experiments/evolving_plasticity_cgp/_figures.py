"""Figures of evolved rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lapicque.evolve import Program
from lapicque.evolve.tasks.principal_component import INPUTS, OJA
from lapicque.experiments.evolving_plasticity_cgp._evolution import (
    degree,
    factored,
    has_ojas_factor,
)
from lapicque.lab.figure import COLOURS, GRID, INK, MUTED, WIDTH, subplots

_SIGNS = {"add": "+", "sub": "−", "mul": "×"}
_LETTERS = 75  # of a formula that fits in its line


def latex(rule: Program) -> str:
    """The rule as a product for a figure, or what can be said of it if it is too long."""
    import sympy

    found = factored(rule)
    if found is None or len(str(found)) > _LETTERS:
        return f"polynomial of degree {degree(rule)} in {len(rule.steps)} steps"
    if not has_ojas_factor(rule) or found == 0:
        return f"${_product(found)}$"
    x, w, y = (sympy.Symbol(name, real=True) for name in INPUTS)
    rest = sympy.factor(sympy.cancel(found / (x - w * y)))
    return f"${_product(rest)} (x - w y)$" if rest != 1 else "$x - w y$"


def _product(expression: Any) -> str:
    """A product; a minus goes into a sum, and sums begin with what is added."""
    import sympy

    number, rest = expression.as_coeff_Mul()
    factors = [factor.as_base_exp() for factor in sympy.Mul.make_args(rest)]
    sums = [k for k, (base, power) in enumerate(factors) if base.is_Add and power % 2]
    if number < 0 and sums:
        base, power = factors[sums[0]]
        number, factors[sums[0]] = -number, (-base, power)
    plain = number * sympy.Mul(*(base**power for base, power in factors if not base.is_Add))
    texts = [] if plain == 1 else ["-" if plain == -1 else sympy.latex(plain)]
    for base, power in factors:
        if base.is_Add:
            texts.append(f"({_sum(base)})" + ("" if power == 1 else f"^{{{power}}}"))
    return " ".join(texts) or "1"


def _sum(expression: Any) -> str:
    import sympy

    minus = {term: term.could_extract_minus_sign() for term in expression.args}
    terms = sorted(expression.args, key=lambda term: (minus[term], str(term)))
    texts = [f"- {sympy.latex(-t)}" if minus[t] else f"+ {sympy.latex(t)}" for t in terms]
    return " ".join(texts).removeprefix("+ ")


def evolution(history: np.ndarray, oja: np.ndarray) -> Figure:
    """Best fitness so far of each run, beside Oja's rule on the same data.

    Args:
        history: Shape (runs, populations, generations), per data set.
        oja: Shape (runs,).
    """
    runs, populations, generations = history.shape
    figure, axes = subplots(1, 2, height=3.2, sharey=True)
    every, so_far = axes[0]
    count = np.arange(1, generations + 1)
    gain = history - oja[:, None, None]
    for k in range(runs):
        every.plot(count, gain[k].T, color=COLOURS[k % 6], lw=0.6, alpha=0.6)
        best = np.maximum.accumulate(gain[k].ravel())
        so_far.plot(np.arange(1, best.size + 1), best, color=COLOURS[k % 6], lw=1.2)
    for axis, title in ((every, f"{runs * populations} populations"), (so_far, f"{runs} runs")):
        axis.axhline(0, color=INK, lw=1, ls="--")
        axis.set(title=title, ylim=(-0.5, max(0.12, 1.2 * gain.max())))
    every.set(xlabel="generation", ylabel="fitness per data set − Oja's", xlim=(1, generations))
    so_far.set(xlabel="generations of all populations", xlim=(1, populations * generations))
    so_far.text(populations * generations, -0.012, "Oja's rule", va="top", ha="right", color=INK)
    return figure


def formulas(
    rules: Sequence[Program],
    gains: np.ndarray,
    marked: np.ndarray,
    title: str,
    names: Sequence[str] = (),
) -> Figure:
    """A rule in each line, with its gain; those that are not marked are grey."""
    figure = Figure(figsize=(WIDTH, 0.5 + 0.3 * len(rules)))
    axis = figure.add_subplot()
    axis.set_axis_off()
    left = 0.14 if names else 0.07
    axis.set(xlim=(0, 1), ylim=(len(rules) - 0.4, -1.2))
    axis.text(0.0, -0.8, "data" if names else "run", color=MUTED)
    axis.text(left, -0.8, "f(x, w, y)", color=MUTED)
    axis.text(1.0, -0.8, title, color=MUTED, ha="right")
    for k, (rule, gain, good) in enumerate(zip(rules, gains, marked, strict=True)):
        colour = INK if good else "#9ca3af"
        axis.text(0.0, k, names[k] if names else str(k), color=colour, va="center")
        axis.text(left, k, latex(rule), color=colour, va="center", fontsize=10)
        axis.text(1.0, k, f"{gain:+.4f}", color=colour, va="center", ha="right")
    return figure


def fresh(recordings: Mapping[str, Any], eta: float) -> Figure:
    """How alignment grows on fresh data, and gains there beside those on known data."""
    figure, axes = subplots(1, 2, height=3.3, width_ratios=(3, 2))
    course, gain = axes[0]
    missing = np.maximum(1 - recordings["alignment"], 1e-4)
    best = int(recordings["best"])
    count = np.arange(missing.shape[1])
    for k, row in enumerate(missing[2:]):
        if k != best:
            course.semilogy(count, row, color=MUTED, lw=0.5, alpha=0.7)
    course.semilogy(count, missing[0], color=COLOURS[0], label=f"Oja, η = {eta:g}")
    tuned = float(recordings["etas"][best])
    course.semilogy(
        count, missing[1], color=COLOURS[0], ls="--", label=f"Oja, η tuned to {tuned:.3f}"
    )
    course.semilogy(
        count,
        missing[2 + best],
        color=COLOURS[1],
        label=f"best evolved rule, η = {eta:g}",
    )
    course.plot([], [], color=MUTED, lw=0.5, label="other evolved rules")
    course.set(
        xlabel="samples",
        ylabel="1 − mean |cos(w, principal axis)|",
        xlim=(0, count[-1]),
        title="Mean over fresh data sets",
    )
    course.set_ylim(top=3)
    course.legend(loc="upper right")
    train = recordings["gain_train"]
    lowest, highest = -0.06, max(0.02, 1.2 * train.max())
    gain.plot([0, highest], [0, highest], color=GRID, lw=1)
    gain.axhline(0, color=INK, lw=0.8, ls="--")
    for name, colour, label in (
        ("gain_fresh", COLOURS[1], "over Oja's rule"),
        ("gain_over_tuned", COLOURS[0], "over Oja's rule with tuned η"),
    ):
        new = recordings[name]
        inside = new >= lowest
        gain.plot(train[inside], new[inside], "o", color=colour, alpha=0.8, label=label)
        gain.plot(train[~inside], np.full((~inside).sum(), lowest), "v", color=colour, ms=7)
    gain.set(
        xlabel="gain on known data",
        ylabel="gain on fresh data",
        xlim=(min(0, train.min()) - 0.003, highest),
        ylim=(lowest - 0.004, highest + 0.03),
        title="Fitness per data set",
    )
    gain.legend(loc="upper left")
    return figure


def surfaces(rule: Program, y: float = 1.0) -> Figure:
    """Rule and Oja's over x and w at a fixed output."""
    side = np.linspace(-2, 2, 201)
    x, w = np.meshgrid(side, side)
    figure, axes = subplots(1, 2, height=3.2, sharey=True)
    image = None
    names = (f"evolved: {latex(rule)}", "Oja: $y (x - w y)$")
    for axis, one, name in zip(axes[0], (rule, OJA), names, strict=True):
        values = one(x, w, np.full_like(x, y))
        scale = float(np.sqrt(np.mean(values**2))) or 1.0
        image = axis.pcolormesh(
            side, side, values / scale, cmap="RdBu_r", vmin=-2.5, vmax=2.5, shading="auto",
            rasterized=True,
        )  # fmt: skip
        axis.contour(side, side, values, [0.0], colors=[INK], linewidths=1.2)
        axis.plot(side, side / y, color=COLOURS[2], ls=":", lw=1.8)
        title = f"{name}\nr.m.s. of f: {scale:.3g}"
        axis.set(xlabel="input x (dotted: w = x / y)", title=title, xlim=(-2, 2), ylim=(-2, 2))
        axis.grid(False)
    axes[0, 0].set_ylabel(f"weight w (output y = {y:g})")
    assert image is not None
    figure.colorbar(image, ax=list(axes[0]), label="f / r.m.s.", extend="both")
    return figure
