"""What a graph does, step by step: a small reference to compare other simulators with.

A signal is a number per element and step; a spike is a 1 for one step, and an impulse of area `dt`
to what integrates it. Signals pass through a graph within a step. Only where a cycle holds no
delay of at least a step, the signals of neurons within it arrive one step later.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, finite, in_range, one_of, shape
from lapicque.interop.nir.graphs import (
    LARGEST,
    SPIKING,
    STATEFUL,
    Flat,
    NIRWarning,
    components,
    convolution,
    flat,
    number,
    remembers,
    timing,
    whole,
)

Signal = NDArray[np.float64]


class Traces(NamedTuple):
    """What a run gives.

    Attributes:
        signals: Of every node that was asked for, shape (samples, steps, *shape).
        potentials: Of every neuron that was asked for, after a possible reset; the same shape.
        currents: Of neurons with synapses.
        dt: Step, in the unit of the graph.
    """

    signals: dict[str, Signal]
    potentials: dict[str, Signal]
    currents: dict[str, Signal]
    dt: float


def simulate(
    graph: Any,
    inputs: ArrayLike | Mapping[str, ArrayLike],
    *,
    time_unit: str | float | None = None,
    dt: float | None = None,
    method: str = "exponential",
    reset: str = "value",
    once: bool = False,
    start: Mapping[str, ArrayLike] | None = None,
    record: Sequence[str] | None = None,
) -> Traces:
    """Run a graph on inputs.

    Neurons start without current. `exponential` lets potentials and currents
    decay exactly and lets a synaptic current act from the step after its spike, as an impulse at
    the end of the step would; `euler` is the forward step of most learning tools, where it acts at
    once:

        exponential  v' = V(v, I, dt),  I' = I exp(-dt / tau_syn) + (dt / tau_syn) w_in S
        euler        I' = I + (dt / tau_syn) (w_in S - I),  v' = v + (dt / tau) (v_leak - v + R I')

    with V the solution of the differential equation for a current that decays. A membrane without
    synapses takes `dt / tau R S` at the end of the step in both; the signal of an LI is a current
    that decays to it, too. What stands in the metadata only
    (refractoriness, noise) is not simulated.

    Args:
        graph: As `nir.NIRGraph`.
        inputs: Shape (samples, steps, *shape), for several inputs a dict by name; inputs that are
            left out are silent.
        time_unit, dt: Where the metadata does not say them; see `timing`.
        method: `exponential` or `euler`.
        reset: What follows a spike: `value` sets the potential to `v_reset`, as NIR means it;
            `subtract` subtracts the threshold, as many learning tools do.
        once: Whether neurons fire at most once, as in networks of first spikes.
        start: Potentials at the start by name of the neuron; by default `v_leak`, or 0 without one.
        record: Names of nodes; by default all outputs, and all neurons.

    Raises:
        InputError: The graph does not hold together, shapes do not fit, a potential is no longer
            finite, or the recording would not fit into memory.
    """
    one_of("method", method, ("exponential", "euler"))
    one_of("reset", reset, ("value", "subtract"))
    step = timing(graph, time_unit, dt).step()
    plan = flat(graph)
    given, samples, steps = _inputs(plan, inputs)
    names = list(record) if record is not None else plan.of_kind("Output", *STATEFUL)
    for name in names:
        one_of("record", name, plan.nodes)
    asked = 3 * samples * steps * sum(prod(plan.shapes[name]) for name in names) * 8
    if asked > LARGEST:
        raise InputError(
            f"The recording would take up to {asked:,} bytes; at most {LARGEST:,} are allowed. "
            "Name fewer nodes in `record`, or run fewer steps."
        )
    circuit = _Circuit(plan, samples, steps, step, method, reset, once)
    for name, values in (start or {}).items():
        one_of("start", name, circuit.v)
        finite(f"start of {name}", values)
        shape(f"start of {name}", values, plan.shapes[name])
        circuit.v[name][:] = values  # in place: graded neurons show it from the start
    signals = {name: np.empty((samples, steps, *plan.shapes[name])) for name in names}
    potentials = {name: x.copy() for name, x in signals.items() if name in circuit.v}
    currents = {name: x.copy() for name, x in signals.items() if name in circuit.i}
    for t in range(steps):
        circuit.advance({name: values[:, t] for name, values in given.items()}, t)
        for name in names:
            signals[name][:, t] = circuit.now[name]
        for name, kept in potentials.items():
            kept[:, t] = circuit.v[name]
        for name, kept in currents.items():
            kept[:, t] = circuit.i[name]
    for name, values in circuit.v.items():
        finite(f"potential of {name}", values, "A step that is too long makes `euler` diverge.")
    return Traces(signals, potentials, currents, step)


def _inputs(plan: Flat, inputs: Any) -> tuple[dict[str, Signal], int, int]:
    names = plan.of_kind("Input")
    if not isinstance(inputs, Mapping):
        if len(names) != 1:
            raise InputError(
                f"The graph has {len(names)} inputs ({', '.join(names)}); give a dict by name."
            )
        inputs = {names[0]: inputs}
    if not inputs:
        raise InputError("`inputs` is empty; at least one input must be given.")
    found, lengths = {}, set()
    for name, values in inputs.items():
        one_of("inputs", name, names)
        values = np.asarray(values, float)
        wanted = plan.shapes[name]
        if values.ndim != 2 + len(wanted) or values.shape[2:] != wanted:
            listed = ", ".join(("samples", "steps", *map(str, wanted)))
            raise InputError(
                f"`inputs` for {name!r} has shape {values.shape}; it must have shape ({listed})."
            )
        finite(f"inputs for {name}", values)
        lengths.add(values.shape[:2])
        found[name] = values
    if len(lengths) > 1:
        raise InputError(f"`inputs` differ in samples or steps: {sorted(lengths)}.")
    samples, steps = lengths.pop()
    return found, samples, steps


class _Circuit:
    """State of all nodes, and the order in which they are advanced."""

    def __init__(self, plan: Flat, samples, steps, dt, method, reset, once):
        self.plan, self._samples, self._dt = plan, samples, dt
        self._euler, self._subtract, self._once = method == "euler", reset == "subtract", once
        self.now = {n: np.zeros((samples, *shape)) for n, shape in plan.shapes.items()}
        self.v: dict[str, Signal] = {}
        self.i: dict[str, Signal] = {}
        self._fired: dict[str, NDArray[np.bool_]] = {}
        self._lines: dict[str, tuple[Signal, NDArray[np.int64]]] = {}
        late = {n for n, node in plan.nodes.items() if remembers(node, 0.5 * dt)}
        for name, node in plan.nodes.items():
            which = plan.kind(name)
            if which in STATEFUL:
                rest = np.asarray(getattr(node, "v_leak", np.zeros(np.shape(node.r))), float)
                self.v[name] = np.broadcast_to(rest, (samples, *rest.shape)).copy()
                self._fired[name] = np.zeros(self.v[name].shape, bool)
                if which not in SPIKING:
                    self.now[name] = self.v[name]
                if which.startswith("Cuba"):
                    self.i[name] = np.zeros_like(self.v[name])
            elif which == "Delay":
                self._lines[name] = self._line(name, node, steps)
        kept = [(a, b) for a, b in plan.edges if b not in late]
        group = dict(zip(plan.nodes, components(list(plan.nodes), kept), strict=True))
        behind = {(a, b) for a, b in kept if group[a] == group[b] and plan.kind(a) in STATEFUL}
        self._late = late
        # Between impulses an LI decays exponentially, and acts on a membrane as a synapse does.
        self._smooth = {
            n: [a for a in plan.into(n) if plan.kind(a) == "LI"]
            for n in plan.of_kind("LI", "LIF")
            if not self._euler
        }
        self._sources = {
            n: [(a, (a, n) in behind) for a in plan.into(n) if a not in self._smooth.get(n, ())]
            for n in plan.nodes
        }
        self._order = _sorted(list(plan.nodes), [edge for edge in kept if edge not in behind])
        self._apply = {n: self._function(n) for n in plan.nodes if plan.kind(n) not in STATEFUL}

    def _line(self, name: str, node: Any, steps: int) -> tuple[Signal, NDArray[np.int64]]:
        exact = np.asarray(node.delay, float) / self._dt
        count = np.round(np.minimum(exact, steps)).astype(np.int64)
        off = np.abs(exact - np.round(exact))
        if (off > 1e-6 * np.maximum(exact, 1)).any():
            warnings.warn(
                f"Delays of {name!r} are no multiples of the step; they are rounded by up to "
                f"{off.max() * self._dt:g}.",
                NIRWarning,
                stacklevel=4,
            )
        length = int(count.max(initial=0)) + 1
        if length * self._samples * count.size * 8 > LARGEST:
            raise InputError(
                f"The longest delay of {name!r} is {length - 1} steps; a line of this length does "
                "not fit into memory."
            )
        return np.zeros((length, self._samples, *count.shape)), count

    def advance(self, given: dict[str, Signal], t: int) -> None:
        """One step of all nodes."""
        before = self.now
        self.now = dict(before)
        for name in self._late:
            self.now[name] = self._delayed(name, t)
        for name in self._order:
            if name in self._late:
                continue
            if self.plan.kind(name) == "Input":
                self.now[name] = given.get(name, np.zeros_like(before[name]))
                continue
            total = self._total(name, before)
            node = self.plan.nodes[name]
            if name in self.v:
                self.now[name] = self._neuron(name, node, total, before)
            else:
                self.now[name] = self._apply[name](total, t)
        for name in self._late:
            line, _ = self._lines[name]
            line[t % len(line)] = self._total(name, before)

    def _total(self, name: str, before: dict[str, Signal]) -> Signal:
        parts = [before[a] if behind else self.now[a] for a, behind in self._sources[name]]
        if not parts:
            node = self.plan.nodes[name]
            weighted = self.plan.kind(name) in ("Linear", "Affine")
            form = np.shape(node.weight)[1:] if weighted else self.plan.shapes[name]
            return np.zeros((self._samples, *form))
        return sum(parts[1:], parts[0])

    def _delayed(self, name: str, t: int) -> Signal:
        line, count = self._lines[name]
        where = np.meshgrid(*map(np.arange, count.shape), indexing="ij")
        values = line[(t - count) % len(line), :, *where]
        return np.moveaxis(values, -1, 0)

    # -- neurons -------------------------------------------------------------------------------

    def _neuron(self, name: str, node: Any, s: Signal, before: dict[str, Signal]) -> Signal:
        which, h, v = self.plan.kind(name), self._dt, self.v[name]
        r = np.asarray(node.r, float)
        if which in ("I", "IF"):
            v = v + h * r * s
        elif which in ("LI", "LIF"):
            tau, leak = np.asarray(node.tau, float), np.asarray(node.v_leak, float)
            decay = 1 - h / tau if self._euler else np.exp(-h / tau)
            v = leak + (v - leak) * decay + h / tau * r * s
            for a in self._smooth.get(name, ()):
                filtered = self.plan.nodes[a]
                syn, end = np.asarray(filtered.tau, float), np.asarray(filtered.v_leak, float)
                fading = (before[a] - end) * _response(tau, syn, h)
                v = v + r * (fading + end * (1 - decay))
        else:
            v = self._cuba(name, node, s)
        if which not in SPIKING:
            self.v[name] = v
            return v
        threshold = np.asarray(node.v_threshold, float)
        fires = v > threshold
        if self._once:
            fires &= ~self._fired[name]
            self._fired[name] |= fires
        after = v - threshold if self._subtract else np.asarray(node.v_reset, float)
        self.v[name] = np.where(fires, after, v)
        return fires.astype(float)

    def _cuba(self, name: str, node: Any, s: Signal) -> Signal:
        h, v, i = self._dt, self.v[name], self.i[name]
        tau, syn = np.asarray(node.tau_mem, float), np.asarray(node.tau_syn, float)
        r, leak = np.asarray(node.r, float), np.asarray(node.v_leak, float)
        arriving = h / syn * np.asarray(node.w_in, float) * s
        if self._euler:
            self.i[name] = i = i - h / syn * i + arriving
            return v + h / tau * (leak - v + r * i)
        self.i[name] = i * np.exp(-h / syn) + arriving
        return leak + (v - leak) * np.exp(-h / tau) + r * i * _response(tau, syn, h)

    # -- nodes without state ---------------------------------------------------------------------

    def _function(self, name: str) -> Any:
        node, which = self.plan.nodes[name], self.plan.kind(name)
        if which in ("Linear", "Affine"):
            weight = np.asarray(node.weight, float).T
            bias = np.asarray(node.bias, float) if which == "Affine" else 0.0
            return lambda x, t: x @ weight + bias
        if which in ("Conv1d", "Conv2d"):
            return lambda x, t: convolve(name, node, x)
        if which in ("SumPool2d", "AvgPool2d"):
            return lambda x, t: _pool(node, x, which == "AvgPool2d")
        if which == "Scale":
            return lambda x, t: x * np.asarray(node.scale, float)
        if which == "Threshold":
            return lambda x, t: (x > np.asarray(node.threshold, float)).astype(float)
        if which == "Delay":
            return lambda x, t: self._at_once(name, x, t)
        form = self.plan.shapes[name]
        return lambda x, t: x.reshape(len(x), *form)

    def _at_once(self, name: str, x: Signal, t: int) -> Signal:
        line, _ = self._lines[name]
        line[t % len(line)] = x
        return self._delayed(name, t)


def _response(tau: Signal, syn: Signal, h: float) -> Signal:
    """Integral of ``exp(-(h - s) / tau - s / syn) / tau`` over a step."""
    rate = 1 / tau - 1 / syn
    near = np.abs(rate * h) < 1e-9
    safe = np.where(near, 1.0, rate)
    return np.exp(-h / tau) / tau * np.where(near, h, np.expm1(safe * h) / safe)


def _sorted(names: list[str], edges: list[tuple[str, str]]) -> list[str]:
    """Nodes in an order in which none comes before what it needs."""
    needs = dict.fromkeys(names, 0)
    out: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        needs[b] += 1
        out[a].append(b)
    ready = [name for name in names if needs[name] == 0]
    order = []
    while ready:
        name = ready.pop()
        order.append(name)
        for b in out[name]:
            needs[b] -= 1
            if needs[b] == 0:
                ready.append(b)
    if len(order) < len(names):
        stuck = sorted(set(names) - set(order))
        raise InputError(
            f"Nodes {', '.join(stuck[:5])} lie on a cycle whose delays are shorter than a step."
        )
    return order


def convolve(name: str, node: Any, x: Signal) -> Signal:
    """A convolution as PyTorch and NIR define it, channels first, for samples of signals.

    Raises:
        InputError: Stride, dilation or padding do not fit.
    """
    space = x.shape[2:]
    stride, dilation, padding = convolution(name, node, space)
    weight, groups = np.asarray(node.weight, float), int(number("groups", node.groups))
    kernel = weight.shape[2:]
    padded = np.pad(x, [(0, 0), (0, 0), *padding])
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    axes = tuple(range(2, 2 + len(space)))
    windows = sliding_window_view(padded, spans, axis=axes)
    steps = tuple(slice(None, None, s) for s in stride)
    windows = windows[:, :, *steps, *(slice(None, None, d) for d in dilation)]
    parts = []
    for part, own in zip(
        np.split(windows, groups, axis=1), np.split(weight, groups, axis=0), strict=True
    ):
        summed = [1, *range(2 + len(space), 2 + 2 * len(space))]
        out = np.tensordot(part, own, (summed, list(range(1, own.ndim))))
        parts.append(np.moveaxis(out, -1, 1))
    result = np.concatenate(parts, axis=1)
    if node.bias is not None:
        result = result + np.asarray(node.bias, float).reshape(-1, *[1] * len(space))
    return result


def _pool(node: Any, x: Signal, mean: bool) -> Signal:
    size = whole("kernel_size", node.kernel_size, 2, 1)
    stride = whole("stride", node.stride, 2, 1)
    padding = whole("padding", node.padding, 2, 0)
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    windows = sliding_window_view(padded, size, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    return windows.mean((-2, -1)) if mean else windows.sum((-2, -1))


def spike_signals(
    events: Sequence[tuple[ArrayLike, ArrayLike]], size: int, steps: int, dt: float
) -> Signal:
    """Spikes as signals, shape (samples, steps, size).

    Args:
        events: Times and units of each sample; a spike at `k dt` fills row `k - 1`, the step that
            ends there.
        size: Number of units.
        steps: Rows.
        dt: Step, in the unit of the times.

    Raises:
        InputError: A unit is unknown, or times are not finite.
    """
    in_range("steps", steps, 1)
    found = np.zeros((len(events), steps, size))
    for sample, (times, units) in enumerate(events):
        times, units = np.asarray(times, float).ravel(), np.asarray(units, int).ravel()
        finite("times", times)
        in_range("units", units, 0, size - 1)
        rows = np.round(times / dt).astype(np.int64) - 1
        inside = (rows >= 0) & (rows < steps)
        np.add.at(found[sample], (rows[inside], units[inside]), 1.0)
    return found
