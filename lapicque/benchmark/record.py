"""What a run leaves behind for its metrics: what entered each connection, what each neuron did.

A record holds one batch. Every array has the calls of the network first, then the samples of the
batch: (call, batch, ...). Networks that step through time are called once per step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, one_of, positive, shape

Arrays = Mapping[str, NDArray[Any]]

UPDATE_COSTS = {
    ("Leaky", "zero"): 4,
    ("Leaky", "subtract"): 4,
    ("Synaptic", "zero"): 8,
    ("Synaptic", "subtract"): 6,
    ("Lapicque", "zero"): 11,
    ("Lapicque", "subtract"): 11,
    ("Alpha", "zero"): 24,
    ("Alpha", "subtract"): 18,
    ("LIF", "zero"): 8,
    ("AdEx", "zero"): 20,
    ("Prospective", ""): 6,
    ("FirstSpike", ""): 1,
}
"""Operations per update of a neuron, by its kind and how it resets.

The first eight are the harness's table (its code, 2.3.0); for other kinds it gives 0. Ours:
`LIF` with two exponential currents counts as `Synaptic`; `AdEx` about twenty; `Prospective` is
``du = (I - u) / tau_m; u += dt du; p = u + tau_r du``, six; a first spike is one.
"""


class Operations(NamedTuple):
    """Counts over all calls and samples of a batch."""

    macs: float
    acs: float
    dense: float


class Connection(ABC):
    """Synapses, and all that entered them."""

    name: str

    @property
    @abstractmethod
    def arrays(self) -> Arrays:
        """What is stored: weights, biases, indices."""

    @property
    @abstractmethod
    def places(self) -> tuple[int, int]:
        """Weights that are zero, and all."""

    @abstractmethod
    def operations(self) -> Operations:
        """Multiply-accumulates, accumulates, and what a dense machine would do."""


def _as_operations(
    effective: NDArray[np.float64], spiking: NDArray[np.bool_], dense: float
) -> Operations:
    """Split effective operations per call by whether the call saw spikes alone."""
    acs = float(effective[spiking].sum())
    return Operations(float(effective.sum()) - acs, acs, float(dense))


def _spiking(*inputs: NDArray[Any]) -> NDArray[np.bool_]:
    """For each call whether every value that entered is -1, 0 or 1."""
    calls = np.ones(len(inputs[0]), bool)
    for values in inputs:
        if values.dtype != bool:
            flat = values.reshape(len(values), -1)
            calls &= ((flat == 0) | (np.abs(flat) == 1)).all(1)
    return calls


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """All-to-all weights, shape (post, pre), and inputs, shape (call, batch, pre).

    An operation is effective where input and weight are both nonzero. A call counts as
    accumulates if all its inputs are -1, 0 or 1, else as multiply-accumulates, as in the harness:
    the decision is made for the whole batch. Biases are not counted.
    """

    name: str
    weight: NDArray[Any]
    inputs: NDArray[Any]
    bias: NDArray[Any] | None = None

    def __post_init__(self):
        shape("weight", self.weight, (None, None))
        shape("inputs", self.inputs, (None, None, self.weight.shape[1]))
        if self.bias is not None:
            shape("bias", self.bias, (self.weight.shape[0],))

    @property
    def arrays(self) -> Arrays:
        return _given(weight=self.weight, bias=self.bias)

    @property
    def places(self) -> tuple[int, int]:
        return int((self.weight == 0).sum()), self.weight.size

    def operations(self) -> Operations:
        reached = (self.weight != 0).sum(0).astype(float)
        effective = ((self.inputs != 0).sum(1) * reached).sum(-1)
        calls, batch, _ = self.inputs.shape
        return _as_operations(effective, _spiking(self.inputs), calls * batch * self.weight.size)


@dataclass(frozen=True, eq=False)
class Convolution(Connection):
    """Kernels in one, two or three dimensions.

    Attributes:
        name: Of the connection.
        weight: Shape (out, in / groups, *kernel).
        inputs: Shape (call, batch, in, *space).
        bias: Shape (out,).
        stride, dilation: Per dimension of space.
        padding: Zeros before and after, per dimension; they are never multiplied, so that even
            the dense count leaves them out, as in the harness.
        groups: How many groups of channels see each other only.
    """

    name: str
    weight: NDArray[Any]
    inputs: NDArray[Any]
    bias: NDArray[Any] | None = None
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self):
        space = self.weight.ndim - 2
        in_range("space", space, 1, 3, hint="`weight` has shape (out, in, *kernel).")
        for name, default in (("stride", (1,)), ("padding", ((0, 0),)), ("dilation", (1,))):
            given = getattr(self, name) or default * space
            object.__setattr__(self, name, given)
            if len(given) != space:
                raise InputError(
                    f"`{name}` has {len(given)} entries; it needs {space}, one per dimension."
                )
        channels = self.weight.shape[1] * self.groups
        shape("inputs", self.inputs, (None, None, channels, *[None] * space))

    @property
    def arrays(self) -> Arrays:
        return _given(weight=self.weight, bias=self.bias)

    @property
    def places(self) -> tuple[int, int]:
        return int((self.weight == 0).sum()), self.weight.size

    def operations(self) -> Operations:
        present = self.inputs != 0
        effective = self._pairs(present, self.weight != 0)
        dense = self._pairs(np.ones_like(present[:1]), np.ones(self.weight.shape, bool))
        return _as_operations(effective, _spiking(self.inputs), dense.sum() * len(present))

    def _pairs(self, x: NDArray[np.bool_], w: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How many products of a nonzero input with a nonzero weight there are in each call."""
        out, kernel = self.weight.shape[0], self.weight.shape[2:]
        reached = w.reshape(self.groups, out // self.groups, *w.shape[1:]).sum(1)
        reached = reached.reshape(-1, *kernel).astype(float)  # (in, *kernel)
        x = np.pad(x, ((0, 0), (0, 0), (0, 0), *self.padding))
        total = np.zeros(len(x))
        for offset in np.ndindex(*kernel):
            window = []
            for at, n, k, s, d in zip(
                offset, x.shape[3:], kernel, self.stride, self.dilation, strict=True
            ):
                positions = (n - d * (k - 1) - 1) // s + 1
                window.append(slice(at * d, at * d + s * (positions - 1) + 1, s))
            seen = x[(slice(None), slice(None), slice(None), *window)]
            counts = seen.reshape(*seen.shape[:3], -1).sum((1, 3))  # (call, in)
            total += counts @ reached[(slice(None), *offset)]
        return total


@dataclass(frozen=True, eq=False)
class Cell(Connection):
    """A recurrent cell with PyTorch's layout of weights.

    Products of weights count as in `Dense`; element-wise ones count where both factors are not
    zero: f c, i g and o tanh(c) of an LSTM, r (W h), (1 - z) n and z h of a GRU. Activation
    functions and biases are not counted.

    Other than in the harness, states enter the decision between MAC and AC (there only `inputs`
    do, so that an LSTM on spikes would count as accumulates though its states are analog); states
    that begin at zero do not lower the dense count; and a gate behind a sigmoid is never zero
    (there it is where nothing entered it, and 1 - z is zero where one thing did). With states and
    biases that are not zero the counts agree.

    Attributes:
        name: Of the connection.
        kind: "rnn", "lstm" or "gru".
        weight_ih: Shape (gates * h, d), in the order i, f, g, o or r, z, n.
        weight_hh: Shape (gates * h, h).
        inputs: Shape (call, batch, d).
        hidden: Shape (call, batch, h), before each call.
        cell: Likewise, of an LSTM.
        bias_ih, bias_hh: Shape (gates * h,).
    """

    name: str
    kind: Literal["rnn", "lstm", "gru"]
    weight_ih: NDArray[Any]
    weight_hh: NDArray[Any]
    inputs: NDArray[Any]
    hidden: NDArray[Any]
    cell: NDArray[Any] | None = None
    bias_ih: NDArray[Any] | None = None
    bias_hh: NDArray[Any] | None = None

    def __post_init__(self):
        one_of("kind", self.kind, ("rnn", "lstm", "gru"))
        h = self.weight_hh.shape[1]
        gates = {"rnn": 1, "lstm": 4, "gru": 3}[self.kind]
        shape("weight_hh", self.weight_hh, (gates * h, h))
        shape("weight_ih", self.weight_ih, (gates * h, None))
        shape("inputs", self.inputs, (None, None, self.weight_ih.shape[1]))
        shape("hidden", self.hidden, (*self.inputs.shape[:2], h))
        if (self.cell is None) != (self.kind != "lstm"):
            raise InputError("`cell` holds the cell state of an LSTM; others have none.")
        if self.cell is not None:
            shape("cell", self.cell, self.hidden.shape)

    @property
    def arrays(self) -> Arrays:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return _given(**{name: getattr(self, name) for name in names})

    @property
    def places(self) -> tuple[int, int]:
        arrays = self.arrays.values()
        return sum(int((a == 0).sum()) for a in arrays), sum(a.size for a in arrays)

    def operations(self) -> Operations:
        x, h = self.inputs != 0, self.hidden != 0
        w, u = self.weight_ih != 0, self.weight_hh != 0
        from_x, from_h = x.astype(float) @ w.T, h.astype(float) @ u.T  # (call, batch, gates * h)
        entered = from_x + from_h
        effective = entered.sum((1, 2))
        n = self.hidden.shape[2]
        products = np.zeros(h.shape)
        if self.kind == "lstm":
            assert self.cell is not None
            g = self._reached(entered, self.bias_ih, self.bias_hh)[..., 2 * n : 3 * n]
            c = self.cell != 0
            products = c.astype(float) + g + (c | g)
        elif self.kind == "gru":
            again = self._reached(from_h, self.bias_hh)[..., 2 * n :]
            candidate = self._reached(from_x, self.bias_ih)[..., 2 * n :] | again
            products = again.astype(float) + candidate + h
        effective = effective + products.sum((1, 2))
        extra = {"rnn": 0, "lstm": 3, "gru": 3}[self.kind] * n
        dense = len(x) * x.shape[1] * (w.size + u.size + extra)
        states = (self.hidden,) if self.cell is None else (self.hidden, self.cell)
        return _as_operations(effective, _spiking(self.inputs, *states), dense)

    @staticmethod
    def _reached(counts: NDArray[np.float64], *biases: NDArray[Any] | None) -> NDArray[np.bool_]:
        """Which sums are not zero for sure, by what enters them."""
        reached = counts > 0
        for bias in biases:
            if bias is not None:
                reached = reached | (bias != 0)
        return reached


@dataclass(frozen=True, eq=False)
class Events(Connection):
    """Single synapses that are visited when their presynaptic unit spikes.

    Every delivery of a spike to a nonzero weight is one accumulate; a unit that spikes twice in a
    step delivers twice, and two synapses between the same units are two. The dense count is that
    of a matrix (post, pre) at every step.

    Attributes:
        name: Of the connection.
        pre, post: Units of each synapse, shape (synapses,).
        weight: Of each synapse.
        size: Number of presynaptic and postsynaptic units.
        spikes: Shape (step, batch, pre): how often units spiked.
        delay: Of each synapse, or one for all; stored, without influence on counts.
        stored: What the engine keeps of the synapses; by default the arrays given here.
    """

    name: str
    pre: NDArray[np.integer]
    post: NDArray[np.integer]
    weight: NDArray[Any]
    size: tuple[int, int]
    spikes: NDArray[Any]
    delay: NDArray[Any] | None = None
    stored: Arrays | None = None

    def __post_init__(self):
        for name in ("post", "weight"):
            shape(name, getattr(self, name), self.pre.shape)
        in_range("pre", self.pre, 0, self.size[0] - 1)
        in_range("post", self.post, 0, self.size[1] - 1)
        shape("spikes", self.spikes, (None, None, self.size[0]))

    @property
    def arrays(self) -> Arrays:
        if self.stored is not None:
            return self.stored
        return _given(weight=self.weight, pre=self.pre, post=self.post, delay=self.delay)

    @property
    def places(self) -> tuple[int, int]:
        n_pre, n_post = self.size
        real = self.weight != 0
        pairs = self.pre[real].astype(np.int64) * n_post + self.post[real]
        return n_pre * n_post - np.unique(pairs).size, n_pre * n_post

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Nonzero synapses of each presynaptic unit."""
        return np.bincount(self.pre[self.weight != 0], minlength=self.size[0])

    def operations(self) -> Operations:
        steps, batch, _ = self.spikes.shape
        delivered = float((self.spikes.sum((0, 1), dtype=np.int64) * self.fan_out).sum())
        return Operations(0.0, delivered, float(steps * batch) * self.size[0] * self.size[1])


@dataclass(frozen=True, eq=False)
class Population:
    """What a layer of neurons did.

    Attributes:
        name: Unique within a record.
        outputs: Spikes or rates, shape (call, batch, ...).
        membrane: Potentials after each call, the same shape; `None` for neurons without.
        kind, reset: Entry of `UPDATE_COSTS`.
    """

    name: str
    outputs: NDArray[Any]
    membrane: NDArray[Any] | None = None
    kind: str = "Leaky"
    reset: str = "zero"

    def __post_init__(self):
        if self.membrane is not None:
            shape("membrane", self.membrane, self.outputs.shape)
            one_of("(kind, reset)", (self.kind, self.reset), UPDATE_COSTS)

    @property
    def updates(self) -> int:
        """How often a potential was written: all at the first call, then those that changed."""
        if self.membrane is None or len(self.membrane) == 0:
            return 0
        changed = int((self.membrane[1:] != self.membrane[:-1]).sum())
        return self.membrane[0].size + changed

    @property
    def dense_updates(self) -> int:
        """Neurons times calls."""
        return 0 if self.membrane is None else self.membrane.size

    @property
    def cost(self) -> int:
        """Operations per update."""
        return UPDATE_COSTS.get((self.kind, self.reset), 0)


@dataclass(frozen=True, eq=False)
class Record:
    """One batch.

    Attributes:
        connections: Every map from one layer to the next.
        populations: Every layer of neurons with a nonlinearity or spikes.
        samples: What counts are divided by: samples of the batch or, in sequence-to-sequence
            tasks, points in time.
        executions: How often the model gave an answer, over all samples.
        parameters: Stored numbers that belong to no connection, such as time constants.
        buffers: States, delay lines and input windows that inference needs, for batch 1.
        stride: Time of the data between answers [ms]; `None` where there is none.
    """

    connections: tuple[Connection, ...]
    populations: tuple[Population, ...]
    samples: int
    executions: int
    parameters: Arrays = field(default_factory=dict)
    buffers: Arrays = field(default_factory=dict)
    stride: float | None = None

    def __post_init__(self):
        in_range("samples", self.samples, 1)
        in_range("executions", self.executions, 1)
        if self.stride is not None:
            positive("stride", self.stride, "ms")
        for what in ("connections", "populations"):
            names = [part.name for part in getattr(self, what)]
            if len(set(names)) != len(names):
                raise InputError(f"`{what}` have the names {names}; each must be unique.")

    def stored(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Names and arrays of all parameters; what is shared comes once."""
        seen: set[int] = set()
        for connection in self.connections:
            for name, array in connection.arrays.items():
                if id(array) not in seen:
                    seen.add(id(array))
                    yield f"{connection.name}.{name}", array
        for name, array in self.parameters.items():
            if id(array) not in seen:
                seen.add(id(array))
                yield name, array


def _given(**arrays: NDArray[Any] | None) -> Arrays:
    return {name: array for name, array in arrays.items() if array is not None}
