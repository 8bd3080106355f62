"""The official harness: one of our models as a `NeuroBenchModel`, for a submission.

The harness sees torch modules and needs from them only the calls that fire its hooks. `Mirror` has
a torch layer for every connection of a record, with our weights, and a replay neuron for every
population, which says what was recorded; buffers stand for states and delay lines. Our model
computes, the mirror tells. Needs the extra `neurobench`, which brings torch.

    model = wrap(lambda batch: run_rate(network, batch.swapaxes(0, 1), dt)[:2], example)
    Benchmark(model, loader, [], [], [[Footprint], [SynapticOperations]]).run()

Ours differs from the harness where `lapicque.benchmark.metrics` and `Cell` say so; synapses that
are listed one by one become a dense matrix here, whose zeros count in its footprint. Spikes that a
unit sends twice in a step become a two, which the harness takes for a graded input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, extra
from lapicque.benchmark.record import Cell, Connection, Convolution, Dense, Events, Record

Respond = Callable[[NDArray[Any]], "tuple[Record | Sequence[Record], NDArray[Any]]"]
"""From a batch, as the harness hands it over, to its record and to the answers."""


def mirror(record: Record) -> Any:
    """A `torch.nn.Module` with the layers, neurons and buffers of a record.

    Its method `tell(record)` makes the calls of a run with the recorded values.

    Raises:
        MissingExtra: torch or snntorch is not installed.
        InputError: A connection has no counterpart.
    """
    torch: Any = extra("torch", "neurobench")
    base, replay = _classes()

    class Mirror(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.connections = torch.nn.ModuleList(_layer(c) for c in record.connections)
            self.populations = torch.nn.ModuleDict()
            for p in record.populations:
                name = p.name.replace(".", "_")
                neuron = base() if p.membrane is None else type(p.kind, (replay,), {})(p.reset)
                self.populations[name] = neuron
            for k, (_, array) in enumerate(record.parameters.items()):
                held = torch.nn.Parameter(_tensor(array), requires_grad=False)
                self.register_parameter(f"stored{k}", held)
            for k, (_, array) in enumerate(record.buffers.items()):
                self.register_buffer(f"state{k}", _tensor(array))

        def tell(self, told: Record) -> None:
            """Call every layer and neuron with what was recorded, call by call."""
            layers = list(zip(self.connections, told.connections, strict=True))
            neurons = list(zip(self.populations.values(), told.populations, strict=True))
            with torch.no_grad():
                for t in range(_calls(told)):
                    for layer, connection in layers:
                        layer(*_entering(connection, t))
                    for neuron, population in neurons:
                        membrane = population.membrane
                        neuron.said = _tensor(population.outputs[t], float_too=True)
                        if membrane is not None:
                            neuron.next_mem = _tensor(membrane[t], float_too=True)
                        neuron(neuron.said)

    return Mirror()


def wrap(respond: Respond, example: Record) -> Any:
    """A `NeuroBenchModel` whose answers and activity are those of our model.

    Args:
        respond: Runs our model on a batch (NumPy, as the loader gives it) and returns its record
            and its answers. One batch is one record.
        example: A record of any run, for the layers of the mirror.

    Raises:
        MissingExtra: The harness is not installed.
    """
    models: Any = extra("neurobench.models", "neurobench")
    snntorch: Any = extra("snntorch", "neurobench")
    torch: Any = extra("torch", "neurobench")
    base, _ = _classes()
    net = mirror(example)

    class Wrapped(models.NeuroBenchModel):
        def __init__(self):
            super().__init__()
            self.add_activation_module(snntorch.SpikingNeuron)
            self.add_activation_module(base)

        def __net__(self):
            return net

        def __call__(self, batch):
            records, answers = respond(np.asarray(batch.detach().cpu()))
            for record in [records] if isinstance(records, Record) else records:
                net.tell(record)
            return torch.as_tensor(np.ascontiguousarray(answers))

    return Wrapped()


_CLASSES: list[Any] = []


def _classes() -> tuple[Any, Any]:
    """Replay modules without and with a potential; made once, as they are told apart by class."""
    if _CLASSES:
        return tuple(_CLASSES)  # pyright: ignore[reportReturnType]
    torch: Any = extra("torch", "neurobench")
    snntorch: Any = extra("snntorch", "neurobench")

    class Replay(torch.nn.Module):
        """Says what it was told to."""

        said: Any = None

        def forward(self, _):
            return self.said

    class ReplayNeuron(snntorch.SpikingNeuron):
        """The same for a neuron whose potential the harness looks at before and after."""

        def __init__(self, reset: str):
            torch.nn.Module.__init__(self)
            self.init_hidden, self.output, self._reset_mechanism = True, False, reset
            self.mem = self.next_mem = torch.zeros(0)
            self.said = None

        def forward(self, _):
            self.mem = self.next_mem
            return self.said

    _CLASSES.extend((Replay, ReplayNeuron))
    return Replay, ReplayNeuron


def _tensor(array: NDArray[Any], float_too: bool = False) -> Any:
    torch: Any = extra("torch", "neurobench")
    array = np.ascontiguousarray(array)
    if float_too and array.dtype.kind not in "f":
        array = array.astype(np.float32)
    return torch.tensor(array)


def _layer(connection: Connection) -> Any:
    """The torch layer with the weights of a connection."""
    nn: Any = extra("torch.nn", "neurobench")
    if isinstance(connection, Events):
        n_pre, n_post = connection.size
        weight = np.zeros((n_post, n_pre), connection.weight.dtype)
        pairs = connection.pre.astype(np.int64) * n_post + connection.post
        if np.unique(pairs).size != pairs.size:
            raise InputError(
                f"{connection.name} has several synapses between the same units; a torch layer "
                "has one weight for each pair."
            )
        weight[connection.post, connection.pre] = connection.weight
        layer = nn.Linear(n_pre, n_post, bias=False)
        _fill(layer, weight=weight)
    elif isinstance(connection, Dense):
        post, pre = connection.weight.shape
        layer = nn.Linear(pre, post, bias=connection.bias is not None)
        _fill(layer, weight=connection.weight, bias=connection.bias)
    elif isinstance(connection, Convolution):
        out, _, *kernel = connection.weight.shape
        before = [low for low, _ in connection.padding]
        if any(low != high for low, high in connection.padding):
            raise InputError(f"{connection.name} pads one side more; torch pads both alike.")
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(kernel) - 1]
        layer = kind(
            connection.inputs.shape[2],
            out,
            tuple(kernel),
            stride=connection.stride,
            padding=tuple(before),
            dilation=connection.dilation,
            groups=connection.groups,
            bias=connection.bias is not None,
        )
        _fill(layer, weight=connection.weight, bias=connection.bias)
    elif isinstance(connection, Cell):
        kind = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[connection.kind]
        biased = connection.bias_ih is not None or connection.bias_hh is not None
        layer = kind(connection.weight_ih.shape[1], connection.weight_hh.shape[1], bias=biased)
        given = dict(connection.arrays)
        if biased:
            zeros = np.zeros(len(connection.weight_ih), connection.weight_ih.dtype)
            given = {"bias_ih": zeros, "bias_hh": zeros, **given}
        _fill(layer, **given)
    else:
        raise InputError(f"{connection.name} is of a kind that torch has no layer for.")
    return layer


def _fill(layer: Any, **arrays: NDArray[Any] | None) -> None:
    """Replace parameters, types included, so that the footprint is that of our arrays."""
    nn: Any = extra("torch.nn", "neurobench")
    for name, array in arrays.items():
        if array is not None:
            setattr(layer, name, nn.Parameter(_tensor(array), requires_grad=False))


def _entering(connection: Connection, t: int) -> tuple[Any, ...]:
    """What a layer is called with, in the type of its weights."""
    if isinstance(connection, Cell):
        dtype = connection.weight_ih.dtype
        x, h = (_tensor(a[t].astype(dtype)) for a in (connection.inputs, connection.hidden))
        if connection.cell is None:
            return x, h
        return x, (h, _tensor(connection.cell[t].astype(dtype)))
    if isinstance(connection, Events):
        return (_tensor(connection.spikes[t].astype(connection.weight.dtype)),)
    assert isinstance(connection, Dense | Convolution)
    return (_tensor(connection.inputs[t].astype(connection.weight.dtype)),)


def _calls(record: Record) -> int:
    """How often the layers are called.

    Raises:
        InputError: They are not called equally often.
    """
    counts = {c.name: len(_input(c)) for c in record.connections}
    counts |= {p.name: len(p.outputs) for p in record.populations}
    if len(set(counts.values())) > 1:
        raise InputError(f"Layers have different numbers of calls: {counts}.")
    return next(iter(counts.values()), 0)


def _input(connection: Connection) -> NDArray[Any]:
    return connection.spikes if isinstance(connection, Events) else connection.inputs  # pyright: ignore[reportAttributeAccessIssue]
