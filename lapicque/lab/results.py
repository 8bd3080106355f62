"""The result of a run: metrics, judged claims, and the JSON object that holds both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapicque._checks import InputError, StorageError
from lapicque.lab import storage
from lapicque.lab.experiment import Claim

FILE = "metrics.json"
_KEYS = {"experiment", "preset", "seed", "metrics", "claims", "wall_s", "run_dir"}


def result(
    experiment: str,
    preset: str,
    seed: int | list[int],
    metrics: Mapping[str, float],
    claims: Iterable[Claim],
    wall: float,
    folder: Path,
    shown: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The JSON object of a finished run; claims that the preset does not judge are left out.

    Args:
        metrics: What the claims are judged by.
        shown: What is listed, if it is more.
    """
    return {
        "experiment": experiment,
        "preset": preset,
        "seed": seed,
        "metrics": {name: _number(value) for name, value in (shown or metrics).items()},
        "claims": [judged(claim, metrics) for claim in claims if preset in claim.presets],
        "wall_s": round(wall, 3),
        "run_dir": str(folder),
    }


def judged(claim: Claim, metrics: Mapping[str, float]) -> dict[str, Any]:
    """A claim beside its measured value; one that was not measured does not hold."""
    measured = metrics.get(claim.metric, math.nan)
    return {
        "id": claim.id,
        "statement": claim.statement,
        "published": claim.published,
        "certainty": str(claim.certainty),
        "source": claim.source,
        "measured": _number(measured),
        "tolerance": [claim.at_least, claim.at_most],
        "holds": claim.holds(measured),
    }


def checked(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as Python floats.

    Raises:
        InputError: One is not a single number.
    """
    found = {}
    for name, value in metrics.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"The metric {name!r} is not a number: {value!r}.") from error
    return found


@dataclass(frozen=True)
class OverSeeds:
    """Each metric over seeds; `nan` where a seed has no value, or the deviation of a single seed.

    Attributes:
        mean: Mean by the name of the metric.
        sd: Standard deviation (ddof = 1) by the name of the metric.
    """

    mean: Mapping[str, float]
    sd: Mapping[str, float]

    @property
    def metrics(self) -> dict[str, float]:
        """`<name>`, the mean, and `<name>_sd`; a metric that bears this very name gives way."""
        found = {}
        for name, mean in self.mean.items():
            taken = name.removesuffix("_sd") in self.mean and name.endswith("_sd")
            shown = f"{name}_within" if taken else name
            found |= {shown: mean, f"{shown}_sd": self.sd[name]}
        return found


def over_seeds(results: Sequence[Mapping[str, Any]]) -> OverSeeds:
    """Take the metrics of several results together."""
    mean, sd = {}, {}
    for name in results[0]["metrics"]:
        values = [number(one["metrics"].get(name)) for one in results]
        known = all(map(math.isfinite, values))
        mean[name] = statistics.fmean(values) if known else math.nan
        sd[name] = statistics.stdev(values) if known and len(values) > 1 else math.nan
    return OverSeeds(mean, sd)


def hold(result: Mapping[str, Any]) -> bool:
    """Whether all judged claims hold."""
    return all(claim["holds"] for claim in result["claims"])


def stored(folder: Path) -> dict[str, Any] | None:
    """The result in a run directory, or None where the run has not finished."""
    try:
        found = storage.read_json(folder / FILE)
    except StorageError:
        return None  # missing or damaged: the run is not finished
    if not isinstance(found, dict) or not found.keys() >= _KEYS:
        return None
    return found | {"run_dir": str(folder)}


def number(value: float | None) -> float:
    """A number of a JSON file, where null stands for `nan`."""
    return math.nan if value is None else float(value)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
