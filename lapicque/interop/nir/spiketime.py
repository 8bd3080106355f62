"""Networks of first spikes as graphs, and graphs as such networks.

A layer is a matrix and a CubaLIF; delays of axons lie before the matrix, delays of dendrites behind
the neurons, delays of single synapses in branches or in the metadata. A bias is an input of its
own, with one spike per sample. Weights are those of `lapicque.spiketime`: currents in units of
threshold per time, so that `r` is `tau_m`, and `w_in` is `tau_s / dt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, extra, in_range, one_of, positive, shape
from lapicque.interop.nir.extras import branches, header, missing, told
from lapicque.interop.nir.graphs import LARGEST, SPIKING, STATEFUL, WEIGHTS, Flat, flat, timing
from lapicque.spiketime import Clipped, Delays, Layer, Network, Neuron

Matrix = NDArray[np.float64]


def export_spike_times(
    network: Network,
    *,
    dt: float = 0.01,
    time_unit: str = "tau_s",
    unit: float = 1.0,
    delays: str = "metadata",
) -> Any:
    """A network of first spikes as an `nir.NIRGraph`.

    Args:
        network: Layers in a row.
        dt: Step of those who simulate the graph in steps, in the time unit of the graph.
        time_unit: Name of that unit; with the default, times are those of the network.
        unit: Length of the network's unit of time, in that unit.
        delays: Of single synapses: `metadata` gives the graph their mean per input and keeps the
            matrix in the metadata, with a warning; `branches` adds a delay and a matrix for each
            neuron of the layer.

    Raises:
        InputError: A membrane has no leak, for which NIR has no node with synapses; or the branches
            would not fit into memory.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    one_of("delays", delays, ("metadata", "branches"))
    positive("dt", dt, time_unit)
    positive("unit", unit, time_unit)
    size = np.asarray(network.layers[0].weights).shape[1] - (network.layers[0].bias is not None)
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array([size])})}
    edges: list[tuple[str, str]] = []
    unsaid = ["that only first spikes count"]
    before = "input"
    for k, layer in enumerate(network.layers):
        neuron = layer.neuron
        if neuron.tau_m == inf:
            raise InputError(
                f"Neurons of layer {k} have no leak; NIR has no node with synapses for these."
            )
        if layer.substrate is not None:
            unsaid.append("imperfections of a substrate")
        weights = np.asarray(layer.held(), float)
        post = len(weights)
        lengths = np.zeros(weights.shape)
        kind = None if layer.delays is None else layer.delays.kind
        if layer.delays is not None:
            values = np.asarray(layer.delays.values(), float) * unit
            lengths = np.zeros(weights.shape) if kind == "dendritic" else lengths + values
        parts = [(before, weights[:, :size], lengths[:, :size])]
        if layer.bias is not None:
            name = f"bias_{k}"
            nodes[name] = nir.Input(
                input_type={"input": np.array([1])},
                metadata={"spike_time": float(layer.bias) * unit},
            )
            unsaid.append("inputs that are the same in every sample")
            parts.append((name, weights[:, size:], lengths[:, size:]))
        cell = f"layer_{k}"
        for source, matrix, length in parts:
            added = _synapses(nir, matrix, length, kind, delays, unsaid)
            for b, (delay, part, metadata) in enumerate(added):
                tail = f"{k}" if source == before else f"{k}_bias"
                tail += f"_{b}" if b else ""
                start = source
                if delay is not None:
                    nodes[f"delay_{tail}"] = nir.Delay(delay=delay, metadata={"delays": str(kind)})
                    edges.append((start, f"delay_{tail}"))
                    start = f"delay_{tail}"
                nodes[f"weights_{tail}"] = nir.Linear(weight=part, metadata=metadata)
                edges += [(start, f"weights_{tail}"), (f"weights_{tail}", cell)]
        ones = np.ones(post)
        tau_m, tau_s = neuron.tau_m * unit, neuron.tau_s * unit
        nodes[cell] = nir.CubaLIF(
            tau_syn=tau_s * ones,
            tau_mem=tau_m * ones,
            r=neuron.tau_m * ones,
            v_leak=0 * ones,
            v_threshold=neuron.threshold * ones,
            v_reset=0 * ones,
            w_in=tau_s / dt * ones,
            metadata={"spikes": "first", "drop_above": float(layer.drop_above) * unit},
        )
        before, size = cell, post
        if kind == "dendritic":
            before = f"dendrites_{k}"
            values = np.asarray(layer.delays.values(), float) * unit  # pyright: ignore
            nodes[before] = nir.Delay(delay=values, metadata={"delays": "dendritic"})
            edges.append((cell, before))
    nodes["output"] = nir.Output(output_type={"output": np.array([size])})
    edges.append((before, "output"))
    missing(unsaid)
    graph = nir.NIRGraph(nodes, edges, header(time_unit, dt), type_check=False)
    flat(graph)
    return graph


def _synapses(nir, matrix, lengths, kind, how, unsaid):
    """Per branch: a delay per input or `None`, a matrix, metadata."""
    if kind in (None, "dendritic"):
        return [(None, matrix, {})]
    if kind == "axonal" or (lengths == lengths[:1]).all():
        return [(lengths[0], matrix, {"delays_kind": str(kind)})]
    if how == "branches":
        found = branches(matrix, lengths)
        if len(found) * matrix.nbytes > LARGEST:
            raise InputError(f"{len(found)} branches of this size do not fit into memory.")
        return [(delay, part, {"delays_kind": "synaptic"}) for delay, part in found]
    unsaid.append("delays of single synapses")
    return [(lengths.mean(0), matrix, {"delays": lengths, "delays_kind": "synaptic"})]


def import_spike_times(
    graph: Any, *, time_unit: str | float | None = None, dt: float | None = None
) -> Network:
    """A network of first spikes from a graph of CubaLIF in a row.

    Times are in the unit of the graph. Delays come back as numbers that training clips at 0;
    potentials are counted from `v_leak`, and resets do not matter, since only first spikes count.

    Args:
        graph: As `nir.NIRGraph`.
        time_unit, dt: Where the metadata does not say them; see `timing`.

    Raises:
        InputError: The graph does not hold together, is no row of layers, or its neurons differ
            within a layer in more than their gain.
    """
    clock = timing(graph, time_unit, dt)
    return _Import(flat(graph), clock.step()).all()


class _Import:
    def __init__(self, plan: Flat, dt: float):
        self.plan, self.dt = plan, dt
        self.behind: dict[str, Matrix] = {}  # delays of dendrites, by the name of the layer

    def all(self) -> Network:
        plan = self.plan
        for name in plan.of_kind(*STATEFUL):
            if plan.kind(name) != "CubaLIF":
                raise InputError(
                    f"{name!r} is an {plan.kind(name)}; networks of first spikes are made of "
                    "CubaLIF."
                )
        biases = [n for n in plan.of_kind("Input") if "spike_time" in _metadata(plan, n)]
        mains = [n for n in plan.of_kind("Input") if n not in biases]
        if len(mains) != 1:
            raise InputError(
                f"The graph has {len(mains)} inputs that are no bias; a row of layers has one."
            )
        source, left, layers = mains[0], plan.of_kind(*SPIKING), {}
        while left:
            fed = [n for n in left if source in self._sources(n)]
            if len(fed) != 1:
                raise InputError(
                    f"{len(fed)} layers get the spikes of {source!r}; in a row it is one, and each "
                    "layer has one before it."
                )
            layers[fed[0]] = self._layer(fed[0], source, biases)
            left.remove(fed[0])
            source = fed[0]
        if not layers:
            raise InputError("The graph has no CubaLIF.")
        last = self._dendrites(source)
        if last is not None:
            self.behind[source] = last
        for name, delay in self.behind.items():
            layers[name] = self._behind(name, layers[name], delay)
        return Network(tuple(layers.values()))

    def _behind(self, name: str, layer: Layer, delay: Matrix) -> Layer:
        if layer.delays is not None:
            raise InputError(
                f"{name!r} has delays before and behind its neurons; a layer has one kind."
            )
        delays = Delays(jnp.asarray(delay), "dendritic", Clipped())
        return Layer(layer.weights, delays, layer.neuron, layer.bias, layer.drop_above)

    def _dendrites(self, name: str) -> Matrix | None:
        """Delays between the last neurons and the output."""
        plan, total = self.plan, None
        at = plan.of_kind("Output")
        for output in at:
            [*path] = plan.into(output)
            while path:
                node = path.pop()
                if plan.kind(node) == "Delay":
                    own = np.ravel(np.asarray(plan.nodes[node].delay, float))
                    total = own if total is None else total + own
                    path += plan.into(node)
                elif node != name and plan.kind(node) != "CubaLIF":
                    raise InputError(f"{node!r} lies between the last neurons and the output.")
        return total

    def _ways(self, cell: str) -> list[tuple[str, str, Matrix]]:
        """Source, matrix and delays of its inputs, for all that leads to a layer."""
        plan, found = self.plan, []
        for a in plan.into(cell):
            if plan.kind(a) not in ("Linear", "Affine"):
                kinds = ", ".join(sorted(WEIGHTS))
                raise InputError(
                    f"{a!r} leads to {cell!r}, and is a {plan.kind(a)}; it must be Linear or Affine"
                    f" (of {kinds})."
                )
            if np.any(getattr(plan.nodes[a], "bias", 0.0)):
                raise InputError(
                    f"{a!r} has a bias, which is a constant current; layers of first spikes have "
                    "a bias spike instead."
                )
            stack = [(b, np.zeros(np.shape(plan.nodes[a].weight)[1])) for b in plan.into(a)]
            while stack:
                b, delay = stack.pop()
                if plan.kind(b) == "Delay":
                    own = np.ravel(np.asarray(plan.nodes[b].delay, float))
                    before = plan.into(b)
                    marked = _metadata(plan, b).get("delays") == "dendritic"
                    if marked and [plan.kind(c) for c in before] == ["CubaLIF"]:
                        self.behind[before[0]] = own
                        own = 0.0
                    stack += [(c, delay + own) for c in before]
                elif plan.kind(b) in ("Input", "CubaLIF"):
                    found.append((b, a, delay))
                else:
                    raise InputError(f"{b!r} is a {plan.kind(b)} on the way to {cell!r}.")
        return found

    def _sources(self, cell: str) -> set[str]:
        return {source for source, _, _ in self._ways(cell)}

    def _layer(self, cell: str, source: str, biases: list[str]) -> Layer:
        ways = self._ways(cell)
        own = [b for b in biases if b in {way[0] for way in ways}]
        wrong = {way[0] for way in ways} - {source, *own}
        if wrong:
            raise InputError(
                f"{cell!r} gets spikes of {', '.join(sorted(wrong))} besides those of {source!r}; "
                "a network of first spikes is a row of layers."
            )
        if len(own) > 1:
            raise InputError(f"{cell!r} has {len(own)} biases; a layer has one.")
        neuron, gain = self._neuron(cell)
        columns = [self._columns(ways, name) for name in [source, *own]]
        weights = np.concatenate([c[0] for c in columns], axis=1) * gain[:, None]
        lengths = np.concatenate([c[1] for c in columns], axis=1)
        marked = any(c[2] for c in columns)
        delays = None
        if marked or (lengths != lengths[:1]).any():
            delays = Delays(jnp.asarray(lengths), "synaptic", Clipped())
        elif lengths.any():
            delays = Delays(jnp.asarray(lengths[0]), "axonal", Clipped())
        bias = None
        if own:
            time = np.asarray(_metadata(self.plan, own[0])["spike_time"], float)
            shape(f"spike_time of {own[0]}", time, ())
            in_range(f"spike_time of {own[0]}", time, 0)
            bias = float(time)
        drop = np.asarray(_metadata(self.plan, cell).get("drop_above", inf), float)
        return Layer(jnp.asarray(weights), delays, neuron, bias, float(drop.reshape(-1)[0]))

    def _columns(self, ways, name: str) -> tuple[Matrix, Matrix, bool]:
        """Weights and delays of the synapses from one source; whether they are per synapse."""
        own = [(matrix, delay) for source, matrix, delay in ways if source == name]
        weights = np.zeros(np.shape(self.plan.nodes[own[0][0]].weight))
        lengths = np.zeros(weights.shape)
        single = False
        for matrix, delay in own:
            part = np.asarray(self.plan.nodes[matrix].weight, float)
            metadata = _metadata(self.plan, matrix)
            if part.shape != weights.shape or np.any((part != 0) & (weights != 0)):
                raise InputError(
                    f"{matrix!r} is not the only way between two neurons; a layer has one synapse "
                    "for each pair."
                )
            full = np.broadcast_to(delay, part.shape)
            if "delays" in metadata:
                full = np.asarray(metadata["delays"], float)
                shape(f"delays of {matrix}", full, part.shape)
                in_range(f"delays of {matrix}", full, 0)
            single |= metadata.get("delays_kind") == "synaptic"
            lengths = np.where((part != 0) | (len(own) == 1), full, lengths)
            weights = weights + part
        return weights, lengths, single

    def _neuron(self, cell: str) -> tuple[Neuron, Matrix]:
        node = self.plan.nodes[cell]
        same = {}
        for name, values in (
            ("tau_mem", node.tau_mem),
            ("tau_syn", node.tau_syn),
            ("v_threshold - v_leak", np.subtract(node.v_threshold, node.v_leak)),
        ):
            values = np.ravel(np.asarray(values, float))
            if np.ptp(values) > 1e-9 * np.abs(values).max():
                raise InputError(
                    f"`{name}` of {cell!r} lies between {values.min():g} and {values.max():g}; in "
                    "a layer of first spikes it is the same for all neurons."
                )
            same[name] = float(values[0])
        tau_m, tau_s, threshold = same.values()
        if threshold <= 0:
            raise InputError(f"The threshold of {cell!r} lies {-threshold:g} below its leak.")
        if not np.array_equal(node.v_reset, node.v_leak):
            told(f"Neurons of {cell!r} do not reset to their leak; only first spikes count here.")
        gain = np.ravel(np.asarray(node.w_in, float)) * self.dt / tau_s
        return Neuron(tau_m, tau_s, threshold), gain * np.ravel(np.asarray(node.r, float)) / tau_m


def _metadata(plan: Flat, name: str) -> dict[str, Any]:
    metadata = getattr(plan.nodes[name], "metadata", None)
    return metadata if isinstance(metadata, dict) else {}


def input_signals(
    graph: Any, times: ArrayLike, steps: int, *, dt: float | None = None
) -> Mapping[str, Matrix]:
    """Inputs for `simulate`: the spikes of samples, and those of the biases of the graph.

    Args:
        graph: As `export_spike_times` makes it.
        times: Spike times, `+inf` for none, shape (samples, inputs), in the unit of the graph. A
            spike at `k dt` fills row `k - 1`.
        steps: Rows.
        dt: Step, where the graph does not say it.

    Raises:
        InputError: Shapes do not fit, or a spike falls before the end of the first step.
    """
    step = timing(graph, 1.0 if "time_unit" not in graph.metadata else None, dt).step()
    plan = flat(graph)
    times = np.asarray(times, float)
    found: dict[str, Matrix] = {}
    for name in plan.of_kind("Input"):
        size = plan.shapes[name][0]
        said = _metadata(plan, name).get("spike_time")
        own = times if said is None else np.full((len(times), 1), float(np.ravel(said)[0]))
        shape("times", own, (None, size))
        rows = np.full(own.shape, -1)
        rows[np.isfinite(own)] = np.round(own[np.isfinite(own)] / step).astype(np.int64) - 1
        in_range("row of a spike", np.where(np.isfinite(own), rows, 0), 0)
        signal = np.zeros((len(times), steps, size))
        sample, unit = np.nonzero(np.isfinite(own) & (rows < steps))
        signal[sample, rows[sample, unit], unit] = 1.0
        found[name] = signal
    return found
