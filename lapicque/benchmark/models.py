"""Records of runs of our own models: rate networks, spiking simulations, first-spike networks."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range
from lapicque.benchmark.record import (
    Connection,
    Convolution,
    Dense,
    Events,
    Population,
    Record,
)

if TYPE_CHECKING:
    from lapicque import rate, spiketime, spiking

_LARGEST = 1 << 31  # entries of a dense array of spikes


# -- rate --------------------------------------------------------------------------------------


def run_rate(
    network: rate.Network,
    inputs: Any,
    dt: float,
    *,
    state: rate.NetworkState | None = None,
    samples: int | None = None,
    stride: float | None = None,
) -> tuple[Record, NDArray[Any], rate.NetworkState]:
    """Run a network of prospective neurons without a teacher and keep what the metrics need.

    Its connections see graded rates, so that their operations are multiply-accumulates unless a
    layer happens to send 0 and 1 alone. Recurrent synapses are connections of their own. Layers
    with the activation `identity` are no populations, as a torch network would have no module
    there; their potentials are states all the same. Pooling costs nothing. Feedback synapses and
    errors serve learning and are not counted.

    Args:
        network: Trained.
        inputs: Shape (time, batch, *input).
        dt: Step [ms].
        state: Where to go on; at rest by default.
        samples: What counts are divided by; the batch by default, `time` in sequence-to-sequence
            tasks.
        stride: Time of the data between answers [ms].

    Returns:
        The record, the output of every step, and the last state.

    Raises:
        InputError: `inputs` is empty, or the network has rate noise and no `state` is given.
    """
    import jax.numpy as jnp

    inputs = jnp.asarray(inputs)
    if inputs.shape[0] == 0:
        raise InputError("`inputs` has no steps; a run needs one step or more.")
    batch_shape = inputs.shape[1 : inputs.ndim - len(network.input_shape)]
    if len(batch_shape) != 1:
        raise InputError(
            f"`inputs` has shape {inputs.shape}; it must have one axis of time, one of the batch "
            f"and those of a sample, {network.input_shape}."
        )
    begin = network.init(batch_shape) if state is None else state

    last, (below, own, layers, outputs) = _compiled()(network, begin, inputs, dt)
    connections: list[Connection] = []
    populations: list[Population] = []
    parameters, buffers = {}, {}
    for k, layer in enumerate(network.layers):
        connections += _synapses(f"layer{k}", layer.synapses, below[k])
        if layer.recurrent is not None:
            connections += _synapses(f"layer{k}.recurrent", layer.recurrent, own[k])
        u, r = (np.asarray(a) for a in layers[k])
        if not _is_identity(layer.neurons.activation):
            populations.append(Population(f"layer{k}", r, u, "Prospective", ""))
        parameters[f"layer{k}.tau_m"] = np.asarray(layer.neurons.tau_m)
        parameters[f"layer{k}.tau_r"] = np.asarray(layer.neurons.tau_r)
        buffers[f"layer{k}.u"] = u[0, :1]
        if network.schedule.up or layer.recurrent is not None or layer.transmission.tau_syn:
            buffers[f"layer{k}.r"] = r[0, :1]
    time, batch = inputs.shape[:2]
    record = Record(
        tuple(connections),
        tuple(populations),
        samples=batch if samples is None else samples,
        executions=time * batch,
        parameters=parameters,
        buffers=buffers,
        stride=stride,
    )
    return record, np.asarray(outputs), last


@cache
def _compiled() -> Any:
    """The run of a rate network, compiled once for each structure and shape."""
    import equinox as eqx
    import jax

    def step(network, dt, state, value):
        risen = network.rise(state, value, dt)
        below, own = [new.below for new in risen], [layer.r for layer in state.layers]
        state, output = network.step(state, value, dt)
        return state, (below, own, [(layer.u, layer.r) for layer in state.layers], output)

    @eqx.filter_jit
    def run(network, state, inputs, dt):
        return jax.lax.scan(lambda s, value: step(network, dt, s, value), state, inputs)

    return run


def _is_identity(activation: Any) -> bool:
    from lapicque.rate import identity

    return activation is identity


def _synapses(name: str, synapses: Any, inputs: Any) -> list[Connection]:
    """A connection for every weighted map of a series, with what enters it."""
    import jax

    from lapicque import rate

    maps = synapses.maps if isinstance(synapses, rate.Series) else (synapses,)
    found: list[Connection] = []
    for k, part in enumerate(maps):
        own = name if len(maps) == 1 else f"{name}.{k}"
        if isinstance(part, rate.Dense | rate.Conv2d):
            bias = None if part.bias is None else np.asarray(part.bias)
            arrays = np.asarray(part.weight), np.asarray(inputs)
            if isinstance(part, rate.Dense):
                found.append(Dense(own, *arrays, bias))
            else:
                stride = (part.stride,) * 2
                sizes, kernel = arrays[1].shape[3:], arrays[0].shape[2:]
                pads = [
                    _same(n, m, part.stride) if part.padding == "SAME" else (0, 0)
                    for n, m in zip(sizes, kernel, strict=True)
                ]
                found.append(Convolution(own, *arrays, bias, stride, tuple(pads)))
        elif not isinstance(part, rate.MaxPool2d | rate.Flatten):
            raise InputError(
                f"{name} has synapses of the kind {type(part).__name__}; operations are known for "
                "Dense, Conv2d, MaxPool2d and Flatten."
            )
        if k + 1 < len(maps):
            inputs = jax.vmap(part)(inputs)  # pyright: ignore[reportArgumentType]
    return found


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that the output has size / stride positions, rounded up."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# -- spiking -----------------------------------------------------------------------------------


def record_spiking(
    simulation: spiking.Simulation,
    recording: spiking.Recording,
    *,
    samples: int | None = None,
    executions: int | None = None,
    stride: float | None = None,
) -> Record:
    """The record of a simulated stretch; chains are the samples.

    The simulation is driven by events: operations are spikes times fan-out, all accumulates.
    Delays change when a spike is delivered, not whether. Spikes of private noise are not counted,
    as noise belongs to the substrate. The engine updates every neuron at every step; where `v` was
    recorded at every step, only what changed counts as a membrane update, as in the harness.
    Parameters and buffers are what the engine holds for one chain.

    Args:
        simulation: After the run.
        recording: What it gave back.
        samples: What counts are divided by; the chains by default.
        executions: Answers over all samples; one per step and chain by default.
        stride: Time of the data between answers [ms]; none, as events have none.

    Raises:
        InputError: The recording is too long to be held as an array of spikes per step.
    """
    chains, steps = len(simulation.chains), round(recording.duration / simulation.dt)
    in_range("steps of the recording", steps, 1)
    first = round(recording.start / simulation.dt)
    trains = {}
    for population in simulation.network.populations:
        entries = steps * chains * population.size
        if entries > _LARGEST:
            raise InputError(
                f"{population.label} has {entries:,} units, steps and chains; at most "
                f"{_LARGEST:,} can be held. Record a shorter stretch."
            )
        step, unit, chain = recording.all_spikes(population)
        spikes = np.zeros((steps, chains, population.size), np.uint8)
        np.add.at(spikes, (np.clip(step - first - 1, 0, steps - 1), chain, unit), 1)
        trains[population] = spikes
    connections = []
    for k, projection in enumerate(simulation.network.projections):
        pre, post, _ = simulation.connections(projection)
        weight = simulation.weights(projection)
        drawn = simulation._synapses[k]
        stored = {"start": drawn.start, "target": drawn.target, "delay": drawn.delay}
        connections.append(
            Events(
                f"{k}: {projection.label}",
                pre,
                post,
                weight if weight.ndim == 1 else weight.mean(0),
                (projection.pre.size, projection.post.size),
                trains[projection.pre],
                stored={"weight": drawn.weight, **stored},
            )
        )
    populations, parameters = [], {}
    for k, population in enumerate(simulation.network.populations):
        if population.is_source:
            continue
        kind = type(population.model).__name__
        try:
            v = recording.signal(population)
        except InputError:
            v = None
        if v is None or v.shape != trains[population].shape:
            # Written at every step: any values will do that differ from step to step.
            v = np.broadcast_to(np.arange(steps)[:, None, None], trains[population].shape)
        name = f"{k}: {population.label}"
        populations.append(Population(name, trains[population], v, kind))
        for parameter, values in simulation._values[population].items():
            alike = values.size and (values == values.flat[0]).all()
            parameters[f"{name}.{parameter}"] = values.flat[:1].copy() if alike else values
    return Record(
        tuple(connections),
        tuple(populations),
        samples=chains if samples is None else samples,
        executions=chains * steps if executions is None else executions,
        parameters=parameters,
        buffers=_evolving(simulation, chains),
        stride=stride,
    )


def _evolving(simulation: spiking.Simulation, chains: int) -> dict[str, NDArray[Any]]:
    """Potentials, currents and the ring of delayed spikes as the engine holds them for a chain."""
    names = ("v", "w", "refractory", "e", "e_rise", "i", "i_rise", "ring")
    found = dict.fromkeys(names, 0)
    kinds: dict[str, np.dtype] = {}
    for key, array in simulation.state().items():
        name = key.rpartition("/")[2]
        if name in found:
            found[name] += array.size
            kinds[name] = array.dtype
    return {name: np.zeros(n // chains, kinds[name]) for name, n in found.items() if n}


# -- first spikes ------------------------------------------------------------------------------


def run_spiketime(network: spiketime.Network, times: Any) -> tuple[Record, tuple[NDArray, ...]]:
    """Run a network of first-spike neurons and keep what the metrics need.

    A sample is one call. Each spike that is sent reaches all nonzero weights of its fan-out: an
    accumulate each, also where it arrives after the neuron has spiked. The bias is one more input
    that spikes in every sample. Outputs are 1 for a spike and 0 for silence. Parameters are
    weights and delays; states are a potential, a current and a spike time per neuron.

    Args:
        network: Trained.
        times: Shape (batch, input), `+inf` for silence [tau_s].

    Returns:
        The record, and the spike times of every layer.

    Raises:
        InputError: `times` has not two axes.
    """
    times = np.asarray(times)
    if times.ndim != 2:
        raise InputError(f"`times` has shape {times.shape}; it must have shape (batch, input).")
    layers = tuple(np.asarray(t) for t in network(times))
    connections, populations = [], []
    parameters, buffers = {}, {}
    sent = times
    for k, (layer, spikes) in enumerate(zip(network.layers, layers, strict=True)):
        entering = np.isfinite(sent)
        if layer.bias is not None:
            entering = np.concatenate([entering, np.ones((len(sent), 1), bool)], 1)
        connections.append(Dense(f"layer{k}", np.asarray(layer.held()), entering[None]))
        fired = np.isfinite(spikes)
        populations.append(Population(f"layer{k}", fired[None], spikes[None], "FirstSpike", ""))
        if layer.delays is not None:
            parameters[f"layer{k}.delays"] = np.asarray(layer.delays.raw)
        for name in ("potential", "current", "time"):
            buffers[f"layer{k}.{name}"] = np.zeros(spikes.shape[1:], spikes.dtype)
        sent = spikes
    n = len(times)
    record = Record(
        tuple(connections),
        tuple(populations),
        samples=n,
        executions=n,
        parameters=parameters,
        buffers=buffers,
    )
    return record, layers
