"""Parts of our models as metadata: what NIR cannot say, kept so that it can be read back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from lapicque import __version__
from lapicque._checks import InputError
from lapicque.interop.nir.graphs import NIRWarning
from lapicque.spiking.plasticity import STDP, TsodyksMarkram
from lapicque.spiking.sources import PiecewisePoisson, Poisson, SinusoidalPoisson, SpikeArray

_PARTS = {
    part.__name__: part
    for part in (Poisson, PiecewisePoisson, SinusoidalPoisson, STDP, TsodyksMarkram)
}


def header(time_unit: str, dt: float) -> dict[str, Any]:
    """What stands at the head of every graph that is written here."""
    return {"time_unit": time_unit, "dt": float(dt), "generator": f"lapicque {__version__}"}


def described(part: Any) -> dict[str, Any]:
    """A source or a rule of plasticity as numbers and text."""
    if isinstance(part, SpikeArray):
        times = [np.asarray(x, float).ravel() for x in part.times]
        return {
            "kind": "SpikeArray",
            "unit": np.repeat(np.arange(len(times)), [len(x) for x in times]),
            "time": np.concatenate([np.zeros(0), *times]),
        }
    said: dict[str, Any] = {"kind": type(part).__name__}
    for field in fields(part) if hasattr(part, "__dataclass_fields__") else ():
        value = getattr(part, field.name)
        if value is None or isinstance(value, str | bool):
            said[field.name] = str(value)
        else:
            try:
                said[field.name] = plain(value)
            except (TypeError, ValueError):
                said[field.name] = str(value)[:200]
    return said


def plain(value: Any) -> Any:
    """A number or an array, as a file can hold it."""
    values = np.asarray(value, float)
    return values if values.ndim else float(values)


def restored(said: Any, size: int) -> Any:
    """The part again, or `None` with a warning if it is not one of ours."""
    if not isinstance(said, dict) or "kind" not in said:
        return None
    if said["kind"] == "SpikeArray":
        unit, time = np.asarray(said.get("unit")), np.asarray(said.get("time"), float)
        if unit.shape != time.shape or unit.dtype.kind not in "iu":
            raise InputError("A `SpikeArray` in the metadata has not as many units as times.")
        return SpikeArray([time[unit == k] for k in range(size)])
    part = _PARTS.get(str(said["kind"]))
    if part is None:
        told(f"{str(said['kind'])[:60]!r} in the metadata cannot be restored; it is left out.")
        return None
    values = {}
    for field in fields(part):
        if field.name in said:
            value = said[field.name]
            if isinstance(value, str):
                words = {"None": None, "True": True, "False": False}
                value = words.get(value, value)
            elif np.ndim(value) == 0:
                value = float(value)
            values[field.name] = value
    try:
        return part(**values)
    except TypeError as error:
        raise InputError(f"{part.__name__} in the metadata does not fit: {error}.") from error


def told(message: str) -> None:
    """Warn."""
    warnings.warn(message, NIRWarning, stacklevel=3)


def missing(what: Sequence[str]) -> None:
    """Warn once about all that stands in the metadata only."""
    if what:
        told(
            f"NIR cannot say: {', '.join(dict.fromkeys(what))}. It stands in the metadata, which "
            "other tools ignore."
        )


def unique(names: Iterable[str]) -> list[str]:
    """Names of nodes from labels: without separators of paths, each once."""
    found: list[str] = []
    for label in names:
        name = "".join(c if c.isalnum() or c in "_-" else "_" for c in label) or "node"
        while name in found:
            name += "_"
        found.append(name)
    return found


def branches(weights: np.ndarray, delays: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Synapses with delays of their own as pairs of a delay per input and a matrix.

    The k-th branch holds, for each input, the synapses with the k-th of its different delays, so
    there are as many branches as an input has different delays at most.

    Args:
        weights: Shape (post, pre).
        delays: Of the same shape; where a weight is 0 it does not count.

    Returns:
        Delays of shape (pre,) and weights of shape (post, pre), branch by branch.
    """
    pre = weights.shape[1]
    place = np.zeros(weights.shape, np.int64)
    levels = [np.unique(delays[weights[:, i] != 0, i]) for i in range(pre)]
    for i, own in enumerate(levels):
        place[:, i] = np.searchsorted(own, delays[:, i])
    count = max(1, max((len(own) for own in levels), default=1))
    found = []
    for k in range(count):
        delay = np.array([own[k] if k < len(own) else 0.0 for own in levels])
        found.append((delay, np.where(place == k, weights, 0.0)))
    return found
