"""Pictures of evolved expressions: as formulas and as graphs."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lapicque.evolve import Program
from lapicque.lab.figure import COLOURS, INK, MUTED, WIDTH

_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "xʸ", "neg": "−", "if_else": "if"}
_SECOND = ("sub", "div", "pow")  # operations whose arguments do not commute
_LETTERS = 80  # of a formula that fits in its line
_STEPS = 10  # up to which expressions are simplified


def formula(rule: Program, letters: int = _LETTERS) -> str:
    """The expression as text for a figure, or its number of steps if it is too long."""
    if len(rule.steps) > 3 * _STEPS or rule.written_size > 1000:
        return f"expression of {len(rule.steps)} steps"
    import sympy

    found = rule.to_sympy(simplify=len(rule.steps) <= _STEPS)
    texts = [sympy.latex(found, fold_short_frac=True, order=o) for o in ("lex", "rev-lex")]
    text = min(texts, key=lambda t: t.count("(-") + t.startswith("-"))
    if len(str(found)) > letters:
        return f"expression of {len(rule.steps)} steps"
    return str(found) if "begin" in text or "tilde" in text else f"${text}$"


def graph(rules: dict[str, Program]) -> Figure:
    """Inputs and steps of expressions, one below the other.

    Edges to the second argument of a difference, a quotient or a power are broken.

    Args:
        rules: By the name of their output.
    """
    layouts = [_layout(rule) for rule in rules.values()]
    heights = [max(0.9, 0.5 + 0.55 * max(map(len, layers))) for layers in layouts]
    figure = Figure(figsize=(WIDTH, 0.3 + sum(heights)))
    axes = figure.subplots(len(rules), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, rule), layers in zip(axes, rules.items(), layouts, strict=True):
        _draw(axis, name, rule, layers)
    return figure


def _layout(rule: Program) -> list[list[int]]:
    """Inputs that are read and steps by their depth; constants stand before their reader."""
    n_in = len(rule.inputs)
    read = {a for step in rule.steps for a in step.arguments} | set(rule.outputs)
    depth = [0] * n_in
    for step in rule.steps:
        depth.append(1 + max((depth[a] for a in step.arguments), default=-1))
    found = [
        [k for k, d in enumerate(depth) if d == level and (k in read or k >= n_in)]
        for level in range(max(depth) + 1)
    ]
    return [layer for layer in found if layer]


def _draw(axis, name: str, rule: Program, layers: list[list[int]]) -> None:
    n_in = len(rule.inputs)
    place: dict[int, tuple[float, float]] = {}
    for level, nodes in enumerate(layers):
        order = list(nodes)
        if level:  # near the middle of what they read
            order.sort(
                key=lambda k: -np.mean([place[a][1] for a in rule.steps[k - n_in].arguments])
            )
        for i, node in enumerate(order):
            spread = (len(order) - 1) / 2 - i
            # off the straight line, so that edges that skip a layer are seen
            place[node] = level, spread + (0.28 if level % 2 else -0.12) * (level > 0)
    for k, step in enumerate(rule.steps):
        same = len(set(step.arguments)) < len(step.arguments)
        for j, argument in enumerate(step.arguments):
            second = step.primitive.name in _SECOND and j == 1
            bend = (0.25, -0.25, 0.4)[j] if same else 0.06 * (1 if j else -1)
            axis.annotate(
                "", place[n_in + k], place[argument],
                arrowprops={
                    "arrowstyle": "-|>", "color": COLOURS[1] if second else MUTED, "lw": 1.1,
                    "ls": "--" if second else "-", "shrinkA": 11, "shrinkB": 11,
                    "connectionstyle": f"arc3,rad={bend}",
                },
            )  # fmt: skip
    for node, (x, y) in place.items():
        step = None if node < n_in else rule.steps[node - n_in]
        if step is None:
            label = rule.inputs[node]
        elif step.primitive.arity == 0:
            label = f"{step.value:g}"
        else:
            label = _SIGNS.get(step.primitive.name, step.primitive.name)
        given = step is None or step.primitive.arity == 0
        axis.plot(
            x, y, "o", ms=21, mfc="#dbeafe" if given else "white",
            mec=COLOURS[0] if given else INK, mew=1.0,
        )  # fmt: skip
        axis.text(x, y, label, ha="center", va="center", fontsize=9 if len(label) > 3 else 11,
                  style="italic" if step is None else "normal")  # fmt: skip
    x, y = place[rule.outputs[0]]
    axis.annotate(
        "", (x + 0.62, y), (x, y), arrowprops={"arrowstyle": "-|>", "color": MUTED, "shrinkA": 11}
    )
    axis.text(x + 0.68, y, name, va="center", ha="left", fontsize=11)
    low, high = min(y for _, y in place.values()), max(y for _, y in place.values())
    axis.set_axis_off()
    axis.set(xlim=(-0.4, len(layers) + 0.6), ylim=(low - 0.5, high + 0.5))
