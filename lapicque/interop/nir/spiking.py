"""Networks of `lapicque.spiking` as graphs, and graphs as such networks.

A population of LIF neurons with exponential currents is a CubaLIF where excitation and inhibition
decay alike, and otherwise an LIF behind two LI, one per receptor. A spike is a signal of height 1
for one step, so that `w_in` (or `r` of an LI) is `tau_syn / dt`. Times are in ms, potentials in
mV, currents in nA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, extra, one_of, positive, shape
from lapicque.interop.nir.extras import (
    branches,
    described,
    header,
    missing,
    plain,
    restored,
    told,
    unique,
)
from lapicque.interop.nir.graphs import (
    LARGEST,
    SPIKING,
    STATEFUL,
    WEIGHTS,
    Flat,
    Timing,
    flat,
    number,
    timing,
)
from lapicque.interop.nir.simulate import convolve
from lapicque.spiking import FromArrays, Network, Population, Simulation
from lapicque.spiking.neurons import LIF, CurrentDelta, CurrentExp, Receptors, per_neuron
from lapicque.spiking.sources import SpikeArray

_SILENT = 1e30  # mV; the threshold of neurons that never fire

Matrix = NDArray[np.float64]


class Imported(NamedTuple):
    """A network made from a graph.

    Attributes:
        network: See `lapicque.spiking.Network`.
        populations: By the name of their node.
        timing: Unit of time of the graph, and its step.
    """

    network: Network
    populations: dict[str, Population]
    timing: Timing


# -- out -----------------------------------------------------------------------------------------


def export_spiking(
    network: Network,
    dt: float = 0.1,
    *,
    seed: int = 0,
    delays: str = "metadata",
    outputs: Sequence[Population] | None = None,
) -> Any:
    """A network as an `nir.NIRGraph`; its synapses are drawn as `Simulation` draws them.

    Args:
        network: Populations of LIF neurons with exponential currents or jumps of the potential, and
            sources, which become inputs.
        dt: Step for which the graph is written [ms].
        seed: Of the connections.
        delays: Where synapses of one neuron differ in their delay: `metadata` gives the graph their
            mean and keeps the matrix in the metadata, with a warning; `branches` adds a delay and a
            matrix for each.
        outputs: Populations whose spikes are outputs; by default all neurons.

    Raises:
        InputError: A neuron or receptor is of a kind that NIR has no node for, or matrices would
            not fit into memory.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    one_of("delays", delays, ("metadata", "branches"))
    simulation = Simulation(network, dt, seed=seed)
    cells = network.populations
    names = dict(zip(cells, unique(p.label for p in cells), strict=True))
    need = 8 * sum(p.pre.size * p.post.size for p in network.projections)
    if need > LARGEST:
        raise InputError(
            f"The matrices of this network would take {need:,} bytes; at most {LARGEST:,} are "
            "allowed."
        )
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    unsaid: list[str] = []
    for population, name in names.items():
        if population.is_source:
            nodes[name] = nir.Input(
                input_type={"input": np.array([population.size])},
                metadata={"source": described(population.model)},
            )
            if not isinstance(population.model, SpikeArray):
                unsaid.append("sources of random spikes")
        else:
            nodes |= _neurons(nir, population, name, simulation, dt, unsaid)
            edges += [(node, name) for node in nodes if node in _doors(name)]
    for k, projection in enumerate(network.projections):
        pre, post, delay = simulation.connections(projection)
        weight = np.broadcast_to(simulation.weights(projection), (*np.shape(pre),))
        if weight.ndim > 1:
            weight = weight[0]
        metadata: dict[str, Any] = {"receptor": projection.receptor, "label": projection.label}
        if projection.plasticity is not None:
            unsaid.append("plasticity")
            metadata["plasticity"] = described(projection.plasticity)
        start = names[projection.pre]
        door = names[projection.post]
        if f"{door}__{projection.receptor}" in nodes:
            door = f"{door}__{projection.receptor}"
        size = (projection.post.size, projection.pre.size)
        for b, (length, matrix) in enumerate(
            _matrices(pre, post, weight, delay, size, delays, metadata, unsaid)
        ):
            tail = "" if b == 0 else f"_{b}"
            nodes[f"delay_{k}{tail}"] = nir.Delay(delay=length)
            nodes[f"synapses_{k}{tail}"] = nir.Linear(weight=matrix, metadata=dict(metadata))
            edges += [
                (start, f"delay_{k}{tail}"),
                (f"delay_{k}{tail}", f"synapses_{k}{tail}"),
                (f"synapses_{k}{tail}", door),
            ]
    for population in cells if outputs is None else outputs:
        if not population.is_source:
            name = names[population]
            nodes[f"output_{name}"] = nir.Output(
                output_type={"output": np.array([population.size])}
            )
            edges.append((name, f"output_{name}"))
    missing(unsaid)
    graph = nir.NIRGraph(nodes, edges, header("ms", dt), type_check=False)
    flat(graph)
    return graph


def _doors(name: str) -> tuple[str, str]:
    return f"{name}__excitatory", f"{name}__inhibitory"


def _neurons(nir, population, name, simulation, dt, unsaid) -> dict[str, Any]:
    model, receptors = population.model, population.receptors
    if not isinstance(model, LIF) or not isinstance(receptors, CurrentExp | CurrentDelta):
        raise InputError(
            f"{population.label} has {type(model).__name__} neurons with "
            f"{type(receptors).__name__}; NIR has nodes for LIF neurons with CurrentExp or "
            "CurrentDelta only."
        )
    p = per_neuron(model, population.size, population.label)
    p |= per_neuron(receptors, population.size, population.label)
    metadata: dict[str, Any] = {"cm": p["cm"], "i_offset": p["i_offset"]}
    if p["tau_refrac"].any():
        unsaid.append("refractoriness")
        metadata["tau_refrac"] = p["tau_refrac"]
    noises = [n for n in simulation.network.noises if n.population is population]
    if noises:
        unsaid.append("noise")
        metadata["noise"] = {
            str(k): {
                "source": described(noise.source),
                "weight": plain(noise.weight),
                "receptor": noise.receptor,
            }
            for k, noise in enumerate(noises)
        }
    leak = p["v_rest"] + p["i_offset"] * p["tau_m"] / p["cm"]
    start = simulation.get(population, "v")[0]
    if (start != leak).any():
        unsaid.append("potentials at the start")
        metadata["v"] = start
    common = {"v_leak": leak, "v_threshold": p["v_thresh"], "v_reset": p["v_reset"]}
    if isinstance(receptors, CurrentDelta):
        r = p["tau_m"] / dt
        return {name: nir.LIF(tau=p["tau_m"], r=r, **common, metadata=metadata)}
    tau_e, tau_i = p["tau_syn_E"], p["tau_syn_I"]
    resistance = p["tau_m"] / p["cm"]
    if (tau_e == tau_i).all():
        cell = nir.CubaLIF(
            tau_syn=tau_e,
            tau_mem=p["tau_m"],
            r=resistance,
            w_in=tau_e / dt,
            **common,
            metadata=metadata,
        )
        return {name: cell}
    found = {name: nir.LIF(tau=p["tau_m"], r=resistance, **common, metadata=metadata)}
    for door, tau in zip(_doors(name), (tau_e, tau_i), strict=True):
        found[door] = nir.LI(tau=tau, r=tau / dt, v_leak=np.zeros_like(tau))
    return found


def _matrices(pre, post, weight, delay, size, how, metadata, unsaid):
    """Delays of inputs and matrices of weights; one pair where inputs have one delay each."""
    matrix = np.zeros(size)
    slots = np.zeros(size)
    pairs, first = np.unique(np.stack([post, pre]), axis=1, return_index=True)
    slots[pairs[0], pairs[1]] = delay[first]
    doubled = not np.array_equal(slots[post, pre], delay)
    if doubled:
        raise InputError(
            "Two synapses between the same neurons have different delays; NIR holds matrices, "
            "with one synapse per pair."
        )
    np.add.at(matrix, (post, pre), weight)
    there = np.zeros(size, bool)
    there[post, pre] = True
    low = np.where(there, slots, np.inf).min(0, initial=np.inf)
    high = np.where(there, slots, -np.inf).max(0, initial=-np.inf)
    if (high <= low).all():
        any_delay = float(delay[0]) if len(delay) else 1.0
        return [(np.where(there.any(0), slots.max(0, initial=0.0), any_delay), matrix)]
    if how == "branches":
        found = branches(matrix, slots)
        if len(found) * matrix.nbytes > LARGEST:
            raise InputError(f"{len(found)} branches of this size do not fit into memory.")
        return found
    unsaid.append("delays of single synapses")
    metadata["delays"] = slots
    counts = np.maximum(there.sum(0), 1)
    return [((slots * there).sum(0) / counts, matrix)]


# -- in ------------------------------------------------------------------------------------------


def import_spiking(
    graph: Any,
    *,
    time_unit: str | float | None = None,
    dt: float | None = None,
    spikes: Mapping[str, Sequence[ArrayLike]] | None = None,
) -> Imported:
    """A network from a graph; potentials are read as mV, and what the metadata keeps is restored.

    Inputs become sources with given spike times. LI and CubaLI become neurons that never fire,
    except an LI between synapses and an LIF, which is a receptor. The engine has no instantaneous
    synapses: where the graph has no delay, there is one of a step.

    Args:
        graph: As `nir.NIRGraph`; recurrence as a cycle or as an inner graph.
        time_unit, dt: Where the metadata does not say them; see `timing`.
        spikes: Spike times [ms] of the units of inputs, by name.

    Raises:
        InputError: The graph does not hold together, its unit of time has no length in ms, or it
            holds what the engine has no counterpart for.
    """
    clock = timing(graph, time_unit, dt)
    if not np.isfinite(clock.ms):
        raise InputError(
            f"The unit of time {clock.unit!r} has no length in ms; give it as `time_unit`."
        )
    return _Import(flat(graph), clock, dict(spikes or {})).all()


class _Synapses(NamedTuple):
    source: str
    weight: Matrix  # (post, pre)
    delay: Matrix  # (post, pre), ms
    metadata: dict[str, Any]


class _Import:
    def __init__(self, plan: Flat, clock: Timing, spikes: dict[str, Sequence[ArrayLike]]):
        self.plan, self.clock, self.spikes = plan, clock, spikes
        self.step = clock.step() * clock.ms
        self.late = False
        self.network = Network()
        self.found: dict[str, Population] = {}
        self.receptors: dict[str, list[str]] = {}  # LI that are receptors of a neuron

    def all(self) -> Imported:
        plan = self.plan
        for name in self.spikes:
            one_of("spikes", name, plan.of_kind("Input"))
        neurons = plan.of_kind(*STATEFUL)
        taken = set()
        for name in neurons:
            if plan.kind(name) == "LIF":
                doors = [a for a in plan.into(name) if self._is_receptor(a)]
                if len(doors) > 2:
                    raise InputError(
                        f"{name!r} has {len(doors)} receptors; neurons here have two at most."
                    )
                self.receptors[name] = doors
                taken |= set(doors)
        for name in plan.of_kind("Input"):
            self._input(name)
        for name in neurons:
            if name not in taken:
                self._population(name)
        for name in neurons:
            if name not in taken:
                self._connect(name)
        if self.late:
            told("Synapses without a delay get one of a step.")
        return Imported(self.network, self.found, self.clock)

    def _is_receptor(self, name: str) -> bool:
        plan = self.plan
        return plan.kind(name) == "LI" and len(plan.out_of(name)) == 1 and bool(plan.into(name))

    def _input(self, name: str) -> None:
        size = int(np.prod(self.plan.shapes[name]))
        metadata = _metadata(self.plan.nodes[name])
        source = None
        if name in self.spikes:
            if len(self.spikes[name]) != size:
                raise InputError(
                    f"`spikes` of {name!r} has {len(self.spikes[name])} entries; it needs {size}."
                )
            source = SpikeArray(self.spikes[name])
        elif "source" in metadata:
            source = restored(metadata["source"], size)
        if source is None:
            source = SpikeArray([np.zeros(0)] * size)
        self.found[name] = self.network.population(size, source, label=name)

    def _population(self, name: str) -> None:
        node, which, ms = self.plan.nodes[name], self.plan.kind(name), self.clock.ms
        if which in ("I", "IF"):
            raise InputError(f"{name!r} is an {which}; the engine has leaky neurons only.")
        metadata = _metadata(node)
        size = int(np.prod(self.plan.shapes[name]))

        def flat_values(value):
            return np.broadcast_to(np.asarray(value, float), self.plan.shapes[name]).reshape(-1)

        tau = flat_values(node.tau_mem if which.startswith("Cuba") else node.tau) * ms
        r = flat_values(node.r)
        if (r == 0).any():
            raise InputError(f"`r` of {name!r} is 0; nothing would reach the neuron.")
        cm = _kept(metadata, "cm", size, tau / np.abs(r))
        offset = _kept(metadata, "i_offset", size, np.zeros(size))
        # the graph holds the resting potential that the offset has moved
        leak = flat_values(node.v_leak) - offset * tau / cm
        offset = offset + self._constant(name, tau, cm, r)
        spiking = which in SPIKING
        neuron = LIF(
            v_rest=leak,
            cm=cm,
            tau_m=tau,
            tau_refrac=_kept(metadata, "tau_refrac", size, np.zeros(size)),
            v_reset=flat_values(node.v_reset) if spiking else np.minimum(leak, 0.0),
            v_thresh=flat_values(node.v_threshold) if spiking else np.full(size, _SILENT),
            i_offset=offset,
        )
        start = _kept(metadata, "v", size, None)
        added = self.network.population(size, neuron, self._kind(name), v=start, label=name)
        self.found[name] = added
        noises = metadata.get("noise", {})
        if not isinstance(noises, dict):
            raise InputError(f"`noise` in the metadata of {name!r} must be a group.")
        for said in noises.values():
            source = restored(said.get("source"), size) if isinstance(said, dict) else None
            if source is not None:
                self.network.noise(
                    added, source, said["weight"], receptor=str(said.get("receptor", "excitatory"))
                )

    def _kind(self, name: str) -> Receptors:
        node, doors, ms = self.plan.nodes[name], self.receptors.get(name, []), self.clock.ms
        if self.plan.kind(name).startswith("Cuba"):
            tau = np.ravel(np.asarray(node.tau_syn, float)) * ms
            return CurrentExp(tau, tau)
        if not doors:
            return CurrentDelta()
        direct = [a for a in self.plan.into(name) if a not in doors]
        if direct:
            raise InputError(
                f"{name!r} has both receptors and inputs without one ({direct[0]!r}); the engine "
                "has neurons with the one or the other."
            )
        taus = [np.ravel(np.asarray(self.plan.nodes[d].tau, float)) * ms for d in doors]
        return CurrentExp(taus[0], taus[-1])

    def _constant(self, name: str, tau: Matrix, cm: Matrix, r: Matrix) -> Matrix:
        """Current [nA] that biases of Affine nodes and leaks of receptors make."""
        total, node = np.zeros(len(tau)), self.plan.nodes[name]
        doors = self.receptors.get(name, [])
        for door in doors:
            total += np.ravel(np.asarray(self.plan.nodes[door].v_leak, float))
        for target in [name, *doors]:
            for a in self.plan.into(target):
                bias = getattr(self.plan.nodes[a], "bias", None)
                if bias is None or not np.any(bias):
                    continue
                current = np.asarray(bias, float)
                if current.size != len(tau):
                    current = np.repeat(current, len(tau) // current.size)
                if target != name:
                    current = current * np.ravel(np.asarray(self.plan.nodes[target].r, float))
                elif self.plan.kind(name).startswith("Cuba"):
                    current = current * np.ravel(np.asarray(node.w_in, float))
                if target != name or self.plan.kind(name).startswith("Cuba"):
                    told(f"The bias of {a!r} acts at once, and not with the delay of a synapse.")
                total += current
        return total * r * cm / tau

    # -- synapses --------------------------------------------------------------------------------

    def _connect(self, name: str) -> None:
        node, ms, plan = self.plan.nodes[name], self.clock.ms, self.plan
        size = self.found[name].size
        tau = np.ravel(np.asarray(getattr(node, "tau_mem", getattr(node, "tau", 1.0)), float)) * ms
        r = np.ravel(np.asarray(node.r, float))
        cm = per_neuron(self.found[name].model, size, name)["cm"]  # pyright: ignore
        doors = self.receptors.get(name, [])
        for target in doors or [name]:
            if doors:
                door = plan.nodes[target]
                gain = np.ravel(np.asarray(door.r, float)) * self.step / ms
                gain = gain / np.ravel(np.asarray(door.tau, float)) * r * cm / tau
            elif plan.kind(name).startswith("Cuba"):
                gain = np.ravel(np.asarray(node.w_in, float)) * self.step / ms
                gain = gain / np.ravel(np.asarray(node.tau_syn, float)) * r * cm / tau
            else:
                gain = r * self.step / tau  # mV
            own = ("excitatory", "inhibitory")[doors.index(target) if doors else 0]
            for synapses in self._synapses(target):
                self._project(name, synapses, gain, own, bool(doors))

    def _project(self, name: str, synapses: _Synapses, gain: Matrix, own: str, fixed: bool) -> None:
        post, pre = np.nonzero(synapses.weight)
        if not len(post):
            return
        metadata = synapses.metadata
        delay = synapses.delay
        if "delays" in metadata:
            kept = np.asarray(metadata["delays"], float)
            shape("delays in the metadata", kept, synapses.weight.shape)
            delay = kept * self.clock.ms
        chosen = delay[post, pre]
        short = chosen < 0.5 * self.step
        self.late |= bool(short.any())
        said = str(metadata.get("receptor", own))
        self.network.project(
            self.found[synapses.source],
            self.found[name],
            FromArrays(pre, post),
            (synapses.weight * gain[:, None])[post, pre],
            np.where(short, self.step, chosen),
            receptor=own if fixed else said,
            plasticity=restored(metadata.get("plasticity"), len(post)),
            label=str(metadata["label"]) if "label" in metadata else None,
        )

    def _synapses(self, target: str) -> list[_Synapses]:
        """All ways from a source or a neuron to a node, through one matrix at most."""
        found = []
        size = int(np.prod(self.plan.shapes[target]))
        for a in self.plan.into(target):
            stack = [(a, None, np.zeros(size), {})]
            while stack:
                name, matrix, delay, metadata = stack.pop()
                which, node = self.plan.kind(name), self.plan.nodes[name]
                if name in self.found:
                    if matrix is None:
                        matrix = np.eye(size)
                    full = (
                        np.broadcast_to(delay, matrix.shape)
                        if delay.ndim == 2
                        else (np.broadcast_to(delay[:, None], matrix.shape))
                    )
                    found.append(_Synapses(name, matrix, full, metadata))
                    continue
                if which in WEIGHTS:
                    if matrix is not None:
                        raise InputError(
                            f"{name!r} leads to {target!r} through other weights without a neuron "
                            "between them; multiply the matrices first."
                        )
                    matrix = self._matrix(name)
                    delay = np.broadcast_to(delay[:, None], matrix.shape)
                    metadata = _metadata(node)
                elif which == "Delay":
                    length = np.ravel(np.asarray(node.delay, float)) * self.clock.ms
                    delay = delay + length  # of inputs behind a matrix, else of outputs
                elif which == "Scale":
                    factor = np.ravel(np.asarray(node.scale, float))
                    base = np.eye(size) if matrix is None else matrix
                    if matrix is None:
                        raise InputError(f"{name!r} scales signals behind a matrix; fold it in.")
                    matrix = base * factor
                elif which != "Flatten":
                    raise InputError(
                        f"{name!r} is a {which} between a neuron and {target!r}; the engine has no "
                        "counterpart."
                    )
                stack += [(b, matrix, delay, metadata) for b in self.plan.into(name)]
        return found

    def _matrix(self, name: str) -> Matrix:
        node, which = self.plan.nodes[name], self.plan.kind(name)
        if which in ("Linear", "Affine"):
            return np.asarray(node.weight, float)
        sources = self.plan.into(name)
        if not sources:
            raise InputError(f"Nothing leads to {name!r}.")
        given, out = self.plan.shapes[sources[0]], self.plan.shapes[name]
        n, m = int(np.prod(given)), int(np.prod(out))
        if 16 * n * m * max(1, int(number("groups", node.groups))) > LARGEST:
            raise InputError(
                f"{name!r} has {n} inputs and {m} outputs; as a matrix it does not fit into memory."
            )
        plain = _Unbiased(node)
        return convolve(name, plain, np.eye(n).reshape(n, *given)).reshape(n, m).T


class _Unbiased:
    bias = None

    def __init__(self, node: Any):
        for field in ("weight", "stride", "padding", "dilation", "groups"):
            setattr(self, field, getattr(node, field))


def _metadata(node: Any) -> dict[str, Any]:
    return node.metadata if isinstance(getattr(node, "metadata", None), dict) else {}


def _kept(metadata: dict[str, Any], name: str, size: int, default: Any) -> Any:
    if name not in metadata:
        return default
    values = np.asarray(metadata[name], float)
    shape(f"{name} in the metadata", values, (size,))
    if name == "cm":
        positive("cm in the metadata", values, "nF")
    return values
