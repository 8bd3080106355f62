"""Metrics without torch: known counts, and the official harness where it is installed

NeuroBench's definitions are computed here in NumPy. The counts that its project expects of small
layers are checked by themselves; a convolution, the three recurrent cells and an echo state network
go through the official harness as well, if the extra `neurobench` is installed, and every number
must be the same.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lapicque._checks import MissingExtra, in_range
from lapicque.benchmark import metrics
from lapicque.benchmark.mackey_glass import instance
from lapicque.benchmark.record import Cell, Convolution, Dense, Population, Record
from lapicque.benchmark.reservoir import EchoState, echo_state
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots


@dataclass(frozen=True)
class Config:
    """Settings of the comparison."""

    units: int = 60  # of the echo state network
    steps: int = 10  # of the layers
    batch: int = 7

    def __post_init__(self):
        for name in ("units", "steps", "batch"):
            in_range(name, getattr(self, name), 1)


PRESETS = {
    "smoke": Config(units=10, steps=2, batch=2),
    "quick": Config(),
    "paper": Config(units=186, steps=100, batch=50),
}

_CODE = "NeuroBench/neurobench 2.3.0, its own tests"


_CELLS: tuple[tuple[Literal["rnn", "lstm", "gru"], int], ...] = (
    ("rnn", 1),
    ("lstm", 4),
    ("gru", 3),
)


def _count(name: str, statement: str, value: float) -> Claim:
    return Claim(
        name,
        statement,
        name,
        Certainty.AUTHORS_CODE,
        _CODE,
        at_least=value,
        at_most=value,
        published=value,
    )


CLAIMS = (
    _count("linear", "A 3 x 3 layer with three zero weights and one zero input: 4 operations", 4),
    _count("rnn", "An RNN cell 25-5 has 150 dense operations", 150),
    _count("lstm", "an LSTM cell 615", 615),
    _count("gru", "a GRU cell 465", 465),
    _count("convolution", "Padding is not counted: 968 of 1,152", 968),
    Claim(
        "parity",
        "The official harness gives the same 20 numbers; without it none is compared",
        "equal",
        Certainty.AUTHORS_CODE,
        "neurobench 2.3.0, run beside ours",
        at_least=20,
        published=20,
        presets=("paper",),
    ),
)

CITES = ("yik2025neurobench",)


def run(config: Config, seed: int, session) -> Outcome:
    """Count by ourselves, then ask the harness."""
    found = _known()
    ours, theirs = {}, {}
    for name, record in _records(config, seed).items():
        session.log(name)
        mine = metrics.summary(record)
        try:
            official = _official(record)
        except MissingExtra as error:
            session.log(str(error))
            official = {}
        for key, value in _flat(official).items():
            ours[f"{name}: {key}"], theirs[f"{name}: {key}"] = _flat(mine)[key], value
    same = [bool(np.isclose(ours[k], theirs[k], rtol=1e-6, atol=1e-7)) for k in ours]
    found |= {"compared": float(len(same)), "equal": float(sum(same))}
    recordings = {
        "ours": np.array(list(ours.values()), float),
        "harness": np.array(list(theirs.values()), float),
    }
    return Outcome(found, recordings)


def _known() -> dict[str, float]:
    """The counts of the project's tests."""

    def counted(connection, samples: int) -> metrics.SynapticOperations:
        return metrics.synaptic_operations(Record((connection,), (), samples, samples))

    weight = np.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    found = {"linear": counted(Dense("w", weight, np.array([[[0, 1.3, -1]]])), 1).macs}
    d, h = 25, 5
    x, state = np.full((1, 2, d), 0.5), np.full((1, 2, h), 0.5)
    for kind, gates in _CELLS:
        weights = np.ones((gates * h, d)), np.ones((gates * h, h))
        cell = state if kind == "lstm" else None
        found[kind] = counted(Cell(kind, kind, *weights, x, state, cell), 2).dense
    image = np.full((1, 1, 1, 8, 8), 0.5)
    conv = Convolution("c", np.ones((2, 1, 3, 3)), image, padding=((1, 1), (1, 1)))
    return found | {"convolution": counted(conv, 1).dense}


def _records(config: Config, seed: int) -> dict[str, Record]:
    """Layers of all kinds with random zeros, and an echo state network."""
    rng = np.random.default_rng(seed)
    t, n, d, h = config.steps, config.batch, 9, 5

    def sparse(*shape: int):
        return (rng.standard_normal(shape) * (rng.random(shape) < 0.6)).astype(np.float32)

    def full(*shape: int):
        return (0.5 + rng.random(shape)).astype(np.float32)

    spikes = (rng.random((t, n, d)) < 0.3).astype(np.float32)
    membrane = sparse(t, n, 4)
    layers = [
        Dense("dense", sparse(4, d), spikes, full(4)),
        Convolution("convolution", sparse(4, 3, 3, 2), sparse(t, n, 6, 8, 7), full(4), (2, 1),
                    ((1, 1), (0, 0)), (1, 2), 2),
    ]  # fmt: skip
    for kind, gates in _CELLS:
        cell = full(t, n, h) if kind == "lstm" else None
        bias = full(gates * h), full(gates * h)
        weights = sparse(gates * h, d), sparse(gates * h, h)
        layers.append(Cell(kind, kind, *weights, sparse(t, n, d), full(t, n, h), cell, *bias))
    neurons = (Population("out", sparse(t, n, 4), membrane, "Leaky", "zero"),)
    settings = EchoState(config.units, 0.9, 0.8, 0.3, 1.2, 0.5, 1e-7)
    points = instance(17, 0).train[None]
    return {
        "layers": Record(tuple(layers), neurons, n, n * t),
        "echo state network": echo_state(settings)(points, [seed]).records[0],
    }


def _official(record: Record) -> dict:
    """What the harness finds.

    Raises:
        MissingExtra: It is not installed.
    """
    from lapicque._checks import extra
    from lapicque.interop.neurobench import wrap

    benchmarks: Any = extra("neurobench.benchmarks", "neurobench")
    static: Any = extra("neurobench.metrics.static", "neurobench")
    workload: Any = extra("neurobench.metrics.workload", "neurobench")
    data: Any = extra("torch.utils.data", "neurobench")
    torch: Any = extra("torch", "neurobench")
    blank = torch.zeros(record.samples, 1)
    loader = data.DataLoader(data.TensorDataset(blank, blank), batch_size=record.samples)
    model = wrap(lambda batch: (record, batch), record)
    what = [static.Footprint, static.ParameterCount, static.ConnectionSparsity], [
        workload.ActivationSparsity, workload.SynapticOperations, workload.MembraneUpdates,
        workload.NeuronOperations,
    ]  # fmt: skip
    return benchmarks.Benchmark(model, loader, [], [], list(what)).run(quiet=True)


def _flat(found: dict) -> dict[str, float]:
    flat = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": v for key, v in value.items()}
        else:
            flat[name] = value
    return flat


def figures(outcome: Outcome, config: Config):
    """Ours against theirs; the known counts where the harness is absent."""
    figure, axes = subplots(height=3.6)
    ax = axes[0, 0]
    ours, theirs = outcome.recordings["ours"], outcome.recordings["harness"]
    if ours.size:
        top = 2 * max(ours.max(), 1.0)
        ax.plot([0, top], [0, top], color="0.8", lw=1)
        ax.plot(theirs, ours, "o", color=COLOURS[0], ms=5)
        ax.set_xscale("symlog", linthresh=0.1)
        ax.set_yscale("symlog", linthresh=0.1)
        ax.set(xlabel="official harness", ylabel="ours", title="Every metric of both records")
    else:
        names = ("linear", "rnn", "lstm", "gru", "convolution")
        ax.barh(names, [outcome.metrics[name] for name in names], color=COLOURS[0])
        ax.set(xlabel="operations", title="Known counts; the harness is not installed")
    return {"parity": figure}
