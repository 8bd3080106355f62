"""The metrics of NeuroBench, computed from a record of a run.

Definitions are those of the harness 2.3.0, read in its source; keys of `summary` are its keys.
Where the harness has a trap, ours differs and says so at the function.

Source: Yik et al. (2025), Nat. Commun. 16, 1545; code NeuroBench/neurobench 2.3.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, StorageError, in_range, positive, shape
from lapicque.benchmark.record import Record

Records = Record | Sequence[Record]

PJ_PER_MAC, PJ_PER_AC = 4.6, 0.9
"""Energy of a 32-bit floating-point multiplication and addition, and of an addition, 45 nm [pJ].

Source: Horowitz (2014), ISSCC, from memory and not verified; 3.7 pJ and 0.9 pJ.
"""


def _several(records: Records) -> Sequence[Record]:
    records = [records] if isinstance(records, Record) else records
    if not records:
        raise InputError("`records` is empty; metrics need one record or more.")
    return records


# -- of the network ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Footprint:
    """Memory of a model for one sample [bytes].

    Attributes:
        parameters: By name of the array.
        buffers: Likewise.
    """

    parameters: Mapping[str, int]
    buffers: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of it [bytes]."""
        return sum(self.parameters.values()) + sum(self.buffers.values())


def footprint(records: Records) -> Footprint:
    """Bytes of parameters and of declared buffers, zeros included.

    Buffers are those for a batch of one. The harness counts what modules have registered *before*
    the data pass: buffers that grow later count with their size at the start, and a second run of
    the same model gives another number.
    """
    first = _several(records)[0]
    return Footprint(
        {name: array.nbytes for name, array in first.stored()},
        {name: np.asarray(array).nbytes for name, array in first.buffers.items()},
    )


def parameter_count(records: Records) -> int:
    """Stored numbers of parameters, zeros included."""
    return sum(array.size for _, array in _several(records)[0].stored())


def connection_sparsity(records: Records) -> float | None:
    """Share of weights that are zero, to four decimals; `None` without connections.

    Biases count for recurrent cells only. Connections that list their synapses are compared with
    all pairs of units.
    """
    places = [c.places for c in _several(records)[0].connections]
    total = sum(n for _, n in places)
    return round(sum(zeros for zeros, _ in places) / total, 4) if total else None


def execution_rate(records: Records) -> float | None:
    """Answers per second of data, 1 / stride [Hz]; `None` without a stride.

    The leader board asks for it, the harness does not compute it.
    """
    stride = _several(records)[0].stride
    return None if stride is None else 1000.0 / stride


# -- of what it did ----------------------------------------------------------------------------


def activation_sparsity(records: Records) -> float:
    """Share of outputs that are zero: 0 is dense, 1 silent. Without any population 0.

    All populations of a batch are pooled; batches are weighted by their samples.
    """
    value, samples = 0.0, 0
    for record in _several(records):
        total = sum(p.outputs.size for p in record.populations)
        nonzero = sum(int(np.count_nonzero(p.outputs)) for p in record.populations)
        value += record.samples * (1 - nonzero / total if total else 0.0)
        samples += record.samples
    return value / samples


def activation_sparsity_by_layer(records: Records) -> dict[str, float]:
    """The same for each population, pooled over batches.

    The harness merges layers that have the same name in different modules; names are unique here.
    """
    found: dict[str, list[int]] = {}
    for record in _several(records):
        for p in record.populations:
            entry = found.setdefault(p.name, [0, 0])
            entry[0] += int(np.count_nonzero(p.outputs))
            entry[1] += p.outputs.size
    return {name: 1 - nonzero / size for name, (nonzero, size) in found.items() if size}


@dataclass(frozen=True)
class SynapticOperations:
    """Operations per sample; see `per_execution`.

    Attributes:
        macs: Effective multiply-accumulates.
        acs: Effective accumulates.
        dense: What a machine does that skips nothing.
        executions: Answers per sample.
    """

    macs: float
    acs: float
    dense: float
    executions: float

    @property
    def per_execution(self) -> SynapticOperations:
        """Operations per answer of the model."""
        n = self.executions
        return SynapticOperations(self.macs / n, self.acs / n, self.dense / n, 1.0)


def synaptic_operations(records: Records) -> SynapticOperations:
    """Operations of all connections over all calls, divided by the number of samples.

    This is the harness's number. Rows of the leader board divide by the executions in some tasks
    (FSCIL) and not in others (detection): say which one you report. Sums are exact here, single
    precision there.
    """
    macs = acs = dense = 0.0
    samples = executions = 0
    for record in _several(records):
        for connection in record.connections:
            counted = connection.operations()
            macs, acs = macs + counted.macs, acs + counted.acs
            dense += counted.dense
        samples += record.samples
        executions += record.executions
    return SynapticOperations(macs / samples, acs / samples, dense / samples, executions / samples)


def membrane_updates(records: Records) -> float:
    """Writes to potentials per sample: all at the first call of a batch, then changes alone."""
    several = _several(records)
    updates = sum(p.updates for record in several for p in record.populations)
    return updates / sum(record.samples for record in several)


@dataclass(frozen=True)
class NeuronOperations:
    """Operations of the neurons' own dynamics, per sample."""

    effective: float
    dense: float


def neuron_operations(records: Records) -> NeuronOperations:
    """Updates times what one costs; see `lapicque.benchmark.record.UPDATE_COSTS`."""
    several = _several(records)
    samples = sum(record.samples for record in several)
    populations = [p for record in several for p in record.populations]
    return NeuronOperations(
        sum(p.updates * p.cost for p in populations) / samples,
        sum(p.dense_updates * p.cost for p in populations) / samples,
    )


def energy_proxy(
    operations: SynapticOperations, mac: float = PJ_PER_MAC, ac: float = PJ_PER_AC
) -> float:
    """Energy of arithmetic alone, per sample [pJ]; no memory, no neurons, no idle power.

    A proxy for comparison, not a prediction: NeuroBench's algorithm track measures no energy.
    """
    positive("mac", mac, "pJ")
    positive("ac", ac, "pJ")
    return mac * operations.macs + ac * operations.acs


# -- of its answers ----------------------------------------------------------------------------


def _pair(predictions: ArrayLike, targets: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    predicted, wanted = np.asarray(predictions), np.asarray(targets)
    shape("predictions", predicted, wanted.shape, "It must be that of `targets`.")
    if wanted.size == 0:
        raise InputError("`targets` is empty; a score needs one target or more.")
    return predicted, wanted


def accuracy(predictions: ArrayLike, targets: ArrayLike) -> float:
    """Share of predicted classes that are right.

    Raises:
        InputError: The shapes differ; the harness prints the error and gives 0.
    """
    predicted, wanted = _pair(predictions, targets)
    return float((predicted == wanted).mean())


def mse(predictions: ArrayLike, targets: ArrayLike) -> float:
    """Mean squared error.

    Raises:
        InputError: The shapes differ.
    """
    predicted, wanted = _pair(predictions, targets)
    return float(np.square(predicted - wanted).mean())


def smape(predictions: ArrayLike, targets: ArrayLike) -> float:
    """Symmetric mean absolute percentage error, 0 to 200.

        200 mean(|p - y| / (|p| + |y|));  200 where a prediction is not finite

    Where prediction and target are both zero the harness gives 200 for the whole batch; here such
    a point counts 0, as the perfect prediction that it is.

    Raises:
        InputError: The shapes differ.
    """
    predicted, wanted = (a.astype(float) for a in _pair(predictions, targets))
    if not np.isfinite(predicted).all():
        return 200.0
    size = np.abs(predicted) + np.abs(wanted)
    error = np.abs(predicted - wanted)
    return float(200 * np.divide(error, size, out=np.zeros_like(size), where=size > 0).mean())


def r2(predictions: ArrayLike, targets: ArrayLike) -> float:
    """Explained variance, the mean over columns of 1 - SSE / (n population variance).

    Args:
        predictions, targets: Shape (points, columns), all batches together; the harness wants
            exactly two columns.

    Raises:
        InputError: The shapes differ, or a column of targets does not vary.
    """
    predicted, wanted = (a.astype(float) for a in _pair(predictions, targets))
    shape("targets", wanted, (None, None))
    scatter = len(wanted) * wanted.var(0)
    if (scatter == 0).any():
        raise InputError("`targets` has a column that does not vary; R2 is not defined for it.")
    return float((1 - np.square(predicted - wanted).sum(0) / scatter).mean())


# -- together ----------------------------------------------------------------------------------


def summary(records: Records, **correctness: float) -> dict[str, Any]:
    """All metrics under the harness's names, and those that it lacks.

    Args:
        records: One per batch.
        correctness: Such as `SMAPE=14.8`; they come first.
    """
    operations, memory = synaptic_operations(records), footprint(records)
    neurons = neuron_operations(records)
    each = operations.per_execution
    return {
        **correctness,
        "Footprint": memory.total,
        "FootprintParameters": sum(memory.parameters.values()),
        "FootprintBuffers": sum(memory.buffers.values()),
        "ParameterCount": parameter_count(records),
        "ConnectionSparsity": connection_sparsity(records),
        "ActivationSparsity": activation_sparsity(records),
        "ActivationSparsityByLayer": activation_sparsity_by_layer(records),
        "SynapticOperations": {
            "Effective_MACs": operations.macs,
            "Effective_ACs": operations.acs,
            "Dense": operations.dense,
        },
        "SynapticOperationsPerExecution": {
            "Effective_MACs": each.macs,
            "Effective_ACs": each.acs,
            "Dense": each.dense,
        },
        "MembraneUpdates": membrane_updates(records),
        "NeuronOperations": {
            "Effective Neuron Ops": neurons.effective,
            "Neuron Dense Ops": neurons.dense,
        },
        "ModelExecutionRate": execution_rate(records),
        "EnergyProxy_pJ": energy_proxy(operations),
    }


def write_results(path: str | Path, found: Mapping[str, Any], **provenance: Any) -> None:
    """Write a summary with versions, seed and checksums of the data as JSON.

    Raises:
        StorageError: The file cannot be written.
    """
    from importlib.metadata import version

    versions = {name: version(name) for name in ("numpy", "jax", "numba")}
    content = {"metrics": dict(found), "provenance": {"versions": versions, **provenance}}
    try:
        Path(path).write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error


COLUMNS = (
    "Footprint",
    "ConnectionSparsity",
    "ActivationSparsity",
    "Dense",
    "Effective_MACs",
    "Effective_ACs",
)
"""Columns of the leader board, beside the score."""


def row(found: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of the leader board out of a summary."""
    flat = {**found, **found["SynapticOperations"]}
    return {name: flat[name] for name in COLUMNS}


def table(score: str, rows: Mapping[str, Mapping[str, Any]], width: int = 13) -> str:
    """Rows in the columns of the leader board, as plain text.

    Args:
        score: Name of the score, the first column.
        rows: By name of the entry; what a row lacks is shown as a dash.
        width: Of a column, at least 8 [characters].
    """
    in_range("width", width, 8)
    columns = (score, *COLUMNS)
    first = max(map(len, rows), default=0) + 2

    def cell(value: Any) -> str:
        if value is None:
            return "-"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    titles = [name.replace("Effective_", "").replace("Sparsity", "Sp.") for name in columns]
    lines = [" " * first + "".join(title.rjust(width) for title in titles)]
    for name, values in rows.items():
        shown = "".join(cell(values.get(column)).rjust(width) for column in columns)
        lines.append(name.ljust(first) + shown)
    return "\n".join(lines)
