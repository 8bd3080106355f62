"""What a graph of NIR says: its nodes without nesting, their shapes, its time unit.

Nothing here needs the package `nir`: nodes are known by the names of their classes. A graph that
does not hold together is refused before anything is computed with it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lapicque._checks import InputError, finite, in_range, nearest, one_of, positive

Shape = tuple[int, ...]
Edge = tuple[str, str]

LARGEST = 2**30
"""Most bytes that a graph or a recording may ask for."""

DEEPEST = 16
"""Most levels of graphs within graphs."""

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_NEURONS = {
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
}
_CONVOLUTION = ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias")
_POOLING = ("kernel_size", "stride", "padding")
FIELDS: dict[str, tuple[str, ...]] = _NEURONS | {
    "Input": ("shape",),
    "Output": ("shape",),
    "Linear": ("weight",),
    "Affine": ("weight", "bias"),
    "Scale": ("scale",),
    "Conv1d": _CONVOLUTION,
    "Conv2d": _CONVOLUTION,
    "SumPool2d": _POOLING,
    "AvgPool2d": _POOLING,
    "Flatten": ("start_dim", "end_dim", "input_type"),
    "Delay": ("delay",),
    "Threshold": ("threshold",),
}
"""The nodes that are understood, and their fields."""

OPTIONAL = {"v_reset", "w_in", "input_shape", "input_type", "start_dim", "end_dim", "bias"}
"""Fields that a file may lack, if the node has them at all."""

STATEFUL = frozenset(_NEURONS)
SPIKING = frozenset({"IF", "LIF", "CubaLIF"})
WEIGHTS = frozenset({"Linear", "Affine", "Conv1d", "Conv2d"})


class NIRWarning(UserWarning):
    """Something that NIR cannot say, or says in a way that had to be read with care."""


class Timing(NamedTuple):
    """How long the unit of time of a graph is, and the step that its signals are meant for.

    Attributes:
        unit: Name of the unit, such as `ms`.
        ms: Its length [ms]; `nan` for a unit without a physical length.
        dt: Step, in this unit; `None` where neither the graph nor the caller says.
    """

    unit: str
    ms: float
    dt: float | None

    def step(self) -> float:
        """The step, in the unit of the graph.

        Raises:
            InputError: Nobody said it.
        """
        if self.dt is None:
            raise InputError(
                "The graph does not say its step `dt`, and a spike is a signal of height 1 for "
                "one step; give `dt` in the time unit of the graph."
            )
        return self.dt


def timing(graph: Any, time_unit: str | float | None = None, dt: float | None = None) -> Timing:
    """The unit of time and the step of a graph, from its metadata or from the caller.

    NIR has no field for units, and tools export seconds, milliseconds or steps. Nothing is
    guessed: what the metadata does not say must be given.

    Args:
        graph: As `nir.NIRGraph`.
        time_unit: `s`, `ms`, `us`, `ns`, or a number: the length of the unit [ms]. A name without
            a physical length is allowed, too.
        dt: Step, in this unit.

    Raises:
        InputError: The unit is not known, or differs from what the metadata says.
    """
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    said = metadata.get("time_unit")
    if said is not None and not isinstance(said, str):
        raise InputError(f"`time_unit` in the metadata is {said!r}; it must be text.")
    if time_unit is None and said is None:
        raise InputError(
            "The graph does not say the unit of its time constants; give `time_unit`: one of "
            f"{', '.join(map(repr, SECONDS))}, or its length in ms."
        )
    if isinstance(time_unit, str) and said is not None and time_unit != said:
        raise InputError(f"`time_unit` is {time_unit!r}, but the graph says {said!r}.")
    if isinstance(time_unit, str) or time_unit is None:
        unit = time_unit or str(said)
        length = SECONDS.get(unit, np.nan) * 1e3
    else:
        positive("time_unit", time_unit, "ms")
        unit, length = str(said or f"{float(time_unit):g} ms"), float(time_unit)
        known = SECONDS.get(unit)
        if known is not None and not np.isclose(known * 1e3, length, rtol=1e-9):
            raise InputError(f"`time_unit` is {length:g} ms, but the graph says {unit!r}.")
    stated = metadata.get("dt")
    if stated is not None:
        stated = number("dt in the metadata", stated)
        positive("dt in the metadata", stated)
        if dt is not None and not np.isclose(dt, stated, rtol=1e-9, atol=0):
            raise InputError(f"`dt` is {dt:g} {unit}, but the graph says {stated:g} {unit}.")
        dt = stated
    if dt is not None:
        positive("dt", dt, unit)
    return Timing(unit, length, None if dt is None else float(dt))


def number(name: str, value: Any) -> float:
    """A field as one number.

    Raises:
        InputError: It is not one.
    """
    try:
        values = np.asarray(value, float)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.size != 1:
        raise InputError(f"`{name}` is {value!r:.60}; it must be one number.")
    return float(values.reshape(())) if values.ndim == 0 else float(values.reshape(-1)[0])


# -- a graph without nesting ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Flat:
    """A graph without graphs inside it, checked.

    Attributes:
        nodes: By name; inner ones are called `outer.inner`. Inputs and outputs of inner graphs
            are gone.
        edges: Each once. Signals that meet at a node add up.
        shapes: Of the signal that leaves each node.
        metadata: Of the outermost graph.
    """

    nodes: dict[str, Any]
    edges: list[Edge]
    shapes: dict[str, Shape]
    metadata: dict[str, Any]

    def kind(self, name: str) -> str:
        """Name of the class of a node."""
        return kind(self.nodes[name])

    def into(self, name: str) -> list[str]:
        """Nodes whose signals a node gets."""
        return [a for a, b in self.edges if b == name]

    def out_of(self, name: str) -> list[str]:
        """Nodes that get the signal of a node."""
        return [b for a, b in self.edges if a == name]

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of all nodes of some kinds, in the order of the file."""
        return [name for name in self.nodes if self.kind(name) in kinds]


def kind(node: Any) -> str:
    """Name of the class of a node."""
    return type(node).__name__


def flat(graph: Any) -> Flat:
    """A graph with its inner graphs opened, after all checks.

    Both ways of wiring recurrence are read: a cycle in the graph, and an inner graph of four
    nodes around a neuron.

    Raises:
        InputError: A node is unknown, an edge dangles, a cycle has no state, parameters are out
            of range, or shapes do not fit.
    """
    nodes, edges = _opened(graph, "", 0)
    nodes, edges = _without_passages(nodes, edges)
    _check_cycles(nodes, edges)
    for name, node in nodes.items():
        _check_parameters(name, node)
    shapes = _shapes(nodes, edges)
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    return Flat(nodes, edges, shapes, metadata)


class _Passage:
    """Input or output of an inner graph: what comes in goes out."""


def _opened(graph: Any, prefix: str, level: int) -> tuple[dict[str, Any], list[Edge]]:
    if kind(graph) != "NIRGraph":
        raise InputError(f"`graph` is a {kind(graph)}; it must be an NIRGraph.")
    if level > DEEPEST:
        raise InputError(f"Graphs lie in graphs over more than {DEEPEST} levels.")
    nodes: dict[str, Any] = {}
    doors: dict[str, tuple[str, str]] = {}
    edges: list[Edge] = []
    for name, node in graph.nodes.items():
        full = prefix + str(name)
        if kind(node) == "NIRGraph":
            inner, more = _opened(_unscrambled(node, full), full + ".", level + 1)
            doors[name] = _doors(node, full)
            nodes |= inner
            edges += more
        else:
            if kind(node) not in FIELDS:
                raise InputError(
                    f"Node {full!r} is a {kind(node)}, which is not known."
                    + nearest(kind(node), FIELDS)
                )
            inner_door = level > 0 and kind(node) in ("Input", "Output")
            nodes[full] = _Passage() if inner_door else node
            doors[name] = (full, full)
    for edge in graph.edges:
        if len(edge) != 2:
            raise InputError(f"Edge {edge!r:.60} does not have two ends.")
        for end in edge:
            if end not in graph.nodes:
                raise InputError(
                    f"Edge {edge[0]!r:.60} -> {edge[1]!r:.60} refers to a node that is not there."
                    + nearest(end, graph.nodes)
                )
        edges.append((doors[edge[0]][1], doors[edge[1]][0]))
    return nodes, list(dict.fromkeys(edges))


def _doors(graph: Any, full: str) -> tuple[str, str]:
    found = []
    for wanted in ("Input", "Output"):
        names = [name for name, node in graph.nodes.items() if kind(node) == wanted]
        if len(names) != 1:
            raise InputError(
                f"The inner graph {full!r} has {len(names)} nodes {wanted}; it must have one."
            )
        found.append(f"{full}.{names[0]}")
    return found[0], found[1]


def _unscrambled(graph: Any, full: str) -> Any:
    """An inner graph of a neuron and its recurrent weights, its input led to the neuron.

    Some tools lead the input of such a graph to the recurrent weights and mean the neuron.
    """
    by_kind: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        group = "neuron" if kind(node) in STATEFUL else kind(node)
        group = "weights" if group in WEIGHTS else group
        by_kind.setdefault(group, []).append(name)
    if {k: len(v) for k, v in by_kind.items()} != dict.fromkeys(
        ("Input", "Output", "neuron", "weights"), 1
    ):
        return graph
    entry, neuron, weights = (by_kind[k][0] for k in ("Input", "neuron", "weights"))
    wiring = {(str(a), str(b)) for a, b in graph.edges}
    if (entry, weights) not in wiring or (entry, neuron) in wiring:
        return graph
    if not {(weights, neuron), (neuron, weights)} <= wiring:
        return graph
    warnings.warn(
        f"The inner graph {full!r} leads its input to the recurrent weights, as some tools write "
        "recurrent neurons; it is read as leading to the neuron.",
        NIRWarning,
        stacklevel=2,
    )
    mended = [(entry, neuron) if edge == (entry, weights) else edge for edge in graph.edges]

    class NIRGraph:  # known by its name, as all nodes are
        pass

    plain = NIRGraph()
    plain.__dict__ |= {"nodes": graph.nodes, "edges": mended, "metadata": graph.metadata}
    return plain


def _without_passages(nodes: dict[str, Any], edges: list[Edge]) -> tuple[dict, list[Edge]]:
    for name in [name for name, node in nodes.items() if isinstance(node, _Passage)]:
        sources = [a for a, b in edges if b == name and a != name]
        targets = [b for a, b in edges if a == name and b != name]
        edges = [edge for edge in edges if name not in edge]
        edges += [(a, b) for a in sources for b in targets]
        del nodes[name]
    return nodes, list(dict.fromkeys(edges))


def components(names: list[str], edges: list[Edge]) -> NDArray[np.int64]:
    """The strongly connected component that each node belongs to."""
    place = {name: k for k, name in enumerate(names)}
    rows = [place[a] for a, _ in edges]
    columns = [place[b] for _, b in edges]
    matrix = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(names),) * 2)
    return connected_components(matrix, connection="strong")[1]


def remembers(node: Any, least: float = 0.0) -> bool:
    """Whether a delay hands on nothing sooner than after `least`."""
    return kind(node) == "Delay" and bool((np.asarray(node.delay, float) > least).all())


def _check_cycles(nodes: dict[str, Any], edges: list[Edge]) -> None:
    for name, node in nodes.items():
        if kind(node) == "Input" and any(b == name for _, b in edges):
            raise InputError(f"An edge ends at the input {name!r}.")
        if kind(node) == "Output" and any(a == name for a, _ in edges):
            raise InputError(f"An edge begins at the output {name!r}.")
        if kind(node) == "Delay":
            _numbers(name, "delay", node.delay)
    instant = [n for n, node in nodes.items() if kind(node) not in STATEFUL | {"Input", "Output"}]
    instant = [name for name in instant if not remembers(nodes[name])]
    within = [(a, b) for a, b in edges if a in set(instant) and b in set(instant)]
    if not instant:
        return
    group = components(instant, within)
    sizes = np.bincount(group)
    for name, own in zip(instant, group, strict=True):
        if sizes[own] > 1 or (name, name) in within:
            raise InputError(
                f"Node {name!r} lies on a cycle without any state: its signal would depend on "
                "itself at the same time. Cycles need a neuron or a delay."
            )


# -- parameters ----------------------------------------------------------------------------------


def _numbers(name: str, field: str, value: Any) -> NDArray[np.float64]:
    try:
        values = np.asarray(value, float)
    except (TypeError, ValueError):
        raise InputError(f"`{field}` of {name!r} holds something other than numbers.") from None
    finite(f"{field} of {name}", values)
    return values


def _check_parameters(name: str, node: Any) -> None:
    which = kind(node)
    if which in STATEFUL:
        shapes = {}
        for field in FIELDS[which]:
            values = _numbers(name, field, getattr(node, field))
            shapes[field] = values.shape
            if field.startswith("tau"):
                positive(f"{field} of {name}", values)
        if len(set(shapes.values())) > 1:
            listed = ", ".join(f"{field} {shape}" for field, shape in shapes.items())
            raise InputError(f"Parameters of {name!r} differ in shape: {listed}.")
    elif which in ("Linear", "Affine"):
        weight = _numbers(name, "weight", node.weight)
        if weight.ndim != 2:
            raise InputError(
                f"`weight` of {name!r} has shape {weight.shape}; it must have shape (out, in)."
            )
        if which == "Affine":
            bias = _numbers(name, "bias", node.bias)
            if bias.shape != weight.shape[:1]:
                raise InputError(
                    f"`bias` of {name!r} has shape {bias.shape}; it must have shape "
                    f"({weight.shape[0]},)."
                )
    elif which in ("Conv1d", "Conv2d"):
        dimensions = 1 if which == "Conv1d" else 2
        weight = _numbers(name, "weight", node.weight)
        if weight.ndim != dimensions + 2 or 0 in weight.shape:
            raise InputError(
                f"`weight` of {name!r} has shape {weight.shape}; it must have {dimensions + 2} "
                "axes: channels out, channels in, and the kernel."
            )
        if node.bias is not None:
            bias = _numbers(name, "bias", node.bias)
            if bias.shape != weight.shape[:1]:
                raise InputError(
                    f"`bias` of {name!r} has shape {bias.shape}; it must be ({weight.shape[0]},)."
                )
        groups = number(f"groups of {name}", node.groups)
        if groups < 1 or groups != int(groups) or weight.shape[0] % int(groups):
            raise InputError(
                f"`groups` of {name!r} is {groups:g}; it must be whole and divide the "
                f"{weight.shape[0]} output channels."
            )
        whole(f"stride of {name}", node.stride, dimensions, 1)
        whole(f"dilation of {name}", node.dilation, dimensions, 1)
        if isinstance(node.padding, str):
            one_of(f"padding of {name}", node.padding, ("same", "valid"))
        else:
            whole(f"padding of {name}", node.padding, dimensions, 0)
    elif which in ("SumPool2d", "AvgPool2d"):
        whole(f"kernel_size of {name}", node.kernel_size, 2, 1)
        whole(f"stride of {name}", node.stride, 2, 1)
        whole(f"padding of {name}", node.padding, 2, 0)
    elif which == "Delay":
        in_range(f"delay of {name}", _numbers(name, "delay", node.delay), 0)
    elif which in ("Scale", "Threshold"):
        field = which.lower()
        _numbers(name, field, getattr(node, field))


def whole(name: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """A field as so many whole numbers; a single one stands for all.

    Raises:
        InputError: It is something else, below `least`, or above 2^20.
    """
    try:
        values = np.asarray(value, float).reshape(-1)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.size not in (1, count) or not (values == np.round(values)).all():
        raise InputError(f"`{name}` is {value!r:.60}; it must be {count} whole numbers.")
    in_range(name, values, least, 2**20)
    return tuple(int(v) for v in np.broadcast_to(values, (count,)))


# -- shapes --------------------------------------------------------------------------------------


def _shapes(nodes: dict[str, Any], edges: list[Edge]) -> dict[str, Shape]:
    """Shapes of all signals, from the inputs and from what parameters say."""
    found: dict[str, Shape] = {}
    for name, node in nodes.items():
        shape = _own_shape(name, node)
        if shape is not None:
            found[name] = _sensible(name, shape)
    into: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        into[b].append(a)
    waiting = [name for name in nodes if name not in found]
    while waiting:
        rest = []
        for name in waiting:
            given = next((found[a] for a in into[name] if a in found), None)
            if given is None:
                rest.append(name)
            else:
                found[name] = _sensible(name, _answer_shape(name, nodes[name], given))
        if len(rest) == len(waiting):
            raise InputError(
                f"The shape of {rest[0]!r} cannot be told: no input with a shape leads to it."
            )
        waiting = rest
    for a, b in edges:
        wanted = _wanted_shape(b, nodes[b], found[a])
        if found[a] != wanted:
            raise InputError(f"{a!r} gives signals of shape {found[a]}, but {b!r} takes {wanted}.")
    return found


def _sensible(name: str, shape: Shape) -> Shape:
    if any(n < 1 for n in shape) or prod(shape) * 8 > LARGEST:
        raise InputError(
            f"{name!r} has signals of shape {shape}; axes must hold at least one entry, and all "
            f"together at most {LARGEST // 8}."
        )
    return shape


def _stated(name: str, value: Any) -> Shape | None:
    """The shape that an input or output states."""
    shape = next(iter(value.values()), None) if isinstance(value, dict) else value
    if shape is None:
        return None
    values = np.asarray(shape).reshape(-1)
    if values.dtype.kind not in "iuf" or not (values == np.round(values)).all():
        raise InputError(f"The shape of {name!r} is {shape!r:.60}; it must be whole numbers.")
    in_range(f"shape of {name}", values, 1, 2**40)
    return tuple(int(n) for n in values)


def _own_shape(name: str, node: Any) -> Shape | None:
    """The shape of the signal that leaves a node, where the node itself tells."""
    which = kind(node)
    if which == "Input":
        shape = _stated(name, node.input_type)
        if shape is None:
            raise InputError(f"The input {name!r} does not say its shape.")
        return shape
    if which in STATEFUL:
        return np.shape(node.r)
    if which in ("Linear", "Affine"):
        return np.shape(node.weight)[:1]
    field = {"Delay": "delay", "Scale": "scale", "Threshold": "threshold"}.get(which)
    return None if field is None else np.shape(getattr(node, field))


def _wanted_shape(name: str, node: Any, given: Shape) -> Shape:
    """The shape of the signal that a node takes."""
    which = kind(node)
    if which in ("Linear", "Affine"):
        return np.shape(node.weight)[1:]
    if which == "Output":
        return _stated(name, node.output_type) or given
    if which in ("Conv1d", "Conv2d"):
        channels = np.shape(node.weight)[1] * int(number("groups", node.groups))
        space = given[1:] if node.input_shape is None else tuple(np.ravel(node.input_shape))
        return (channels, *(int(n) for n in space))
    if which in ("SumPool2d", "AvgPool2d", "Flatten"):
        return given
    return _own_shape(name, node) or given


def _answer_shape(name: str, node: Any, given: Shape) -> Shape:
    which = kind(node)
    if which in ("Conv1d", "Conv2d"):
        dimensions = 1 if which == "Conv1d" else 2
        if len(given) != dimensions + 1:
            raise InputError(
                f"{name!r} takes signals with {dimensions + 1} axes, channels first; it gets "
                f"shape {given}."
            )
        stride, dilation, padding = convolution(name, node, given[1:])
        kernel = np.shape(node.weight)[2:]
        sides = (
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(given[1:], padding, dilation, kernel, stride, strict=True)
        )
        return (np.shape(node.weight)[0], *sides)
    if which in ("SumPool2d", "AvgPool2d"):
        if len(given) != 3:
            raise InputError(f"{name!r} takes signals with 3 axes; it gets shape {given}.")
        size = whole("kernel_size", node.kernel_size, 2, 1)
        stride, padding = whole("stride", node.stride, 2, 1), whole("padding", node.padding, 2, 0)
        sides = (
            (n + 2 * p - k) // s + 1
            for n, p, k, s in zip(given[1:], padding, size, stride, strict=True)
        )
        return (given[0], *sides)
    if which == "Flatten":
        first = int(number(f"start_dim of {name}", node.start_dim))
        last = int(number(f"end_dim of {name}", node.end_dim))
        axes = len(given)
        low = first if first >= 0 else first + axes
        high = last if last >= 0 else last + axes
        if not 0 <= low <= high < axes:
            raise InputError(
                f"`start_dim` {first} and `end_dim` {last} of {name!r} do not fit signals of "
                f"shape {given}."
            )
        return (*given[:low], prod(given[low : high + 1]), *given[high + 1 :])
    return given


def convolution(
    name: str, node: Any, space: Shape
) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """Stride, dilation, and padding on both sides of each axis."""
    dimensions = len(space)
    stride = whole(f"stride of {name}", node.stride, dimensions, 1)
    dilation = whole(f"dilation of {name}", node.dilation, dimensions, 1)
    kernel = np.shape(node.weight)[2:]
    if node.padding == "valid":
        padding = [(0, 0)] * dimensions
    elif isinstance(node.padding, str):
        if any(s != 1 for s in stride):
            raise InputError(f"{name!r} pads to the same size; its stride must be 1.")
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = [(span // 2, span - span // 2) for span in spans]
    else:
        padding = [(p, p) for p in whole(f"padding of {name}", node.padding, dimensions, 0)]
    return stride, dilation, padding
