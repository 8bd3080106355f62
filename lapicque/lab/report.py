"""The report of a run, a comparison of runs and the gallery: single pages that open offline."""

from __future__ import annotations

import base64
import inspect
import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapicque._checks import StorageError
from lapicque.lab import describe, folders, results, storage
from lapicque.lab.folders import Plan
from lapicque.lab.references import bibtex, citation

if TYPE_CHECKING:
    from jinja2 import Environment

FILE = "report.html"
_MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def write(folder: Path, plan: Plan, result: Mapping[str, Any]) -> Path:
    """Write the report of a run whose recordings and figures are stored; returns its path.

    Raises:
        StorageError: A file is missing or damaged, or the report cannot be written.
    """
    experiment = plan.experiment
    seeds = _seeds(folder, plan)
    drawn = folder / f"seed{plan.seeds[0]}" if plan.several else folder
    page = _render(
        "report.html",
        title=experiment.title,
        name=experiment.name,
        paragraphs=_paragraphs(experiment.doc),
        result=result,
        claims=[_claim(claim, plan, seeds) for claim in result["claims"]],
        unjudged=[claim for claim in experiment.claims if plan.preset not in claim.presets],
        metrics=_metrics(result, seeds),
        seeds=seeds,
        several=plan.several,
        figures=figures(drawn),
        figure_seed=plan.seeds[0],
        config=describe.rows(plan.config, experiment.presets[plan.preset]),
        origin=storage.read_json(folder / "provenance.json"),
        citations=[citation(key) for key in experiment.cites],
        bibtex=bibtex(experiment.cites),
    )
    path = folder / FILE
    storage.write_text(path, page)
    return path


def compare(runs: Sequence[Path], path: Path) -> Path:
    """Write a page that shows finished runs side by side; returns its path.

    Raises:
        StorageError: A run has not finished, or the page cannot be written.
    """
    columns = []
    for folder in runs:
        plan, result = folders.read(folder), results.stored(folder)
        if result is None:
            raise StorageError(f"The run in `{folder}` has not finished.")
        drawn = folder / f"seed{plan.seeds[0]}" if plan.several else folder
        columns.append(
            {
                "title": plan.experiment.title,
                "name": plan.experiment.name,
                "tag": plan.tag,
                "link": os.path.relpath(folder / FILE, path.parent),
                "claims": {claim["id"]: claim for claim in result["claims"]},
                "metrics": {one["name"]: one for one in _metrics(result, _seeds(folder, plan))},
                "config": {
                    one["name"]: one["value"] for one in describe.rows(plan.config, plan.config)
                },
                "figures": {figure["name"]: figure for figure in figures(drawn)},
                "wall_s": result["wall_s"],
            }
        )
    page = _render(
        "comparison.html",
        columns=columns,
        claims={
            claim["id"]: claim["statement"]
            for column in columns
            for claim in column["claims"].values()
        },
        metrics=_union(columns, "metrics"),
        config=(fields := _union(columns, "config")),
        differing=[
            name for name in fields if len({column["config"].get(name) for column in columns}) > 1
        ],
        figures=_union(columns, "figures"),
    )
    storage.write_text(path, page)
    return path


def gallery(cards: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write the gallery; each card has name, title, result, folder, or an error."""
    shown = [
        {
            **card,
            "link": os.path.relpath(card["folder"] / FILE, path.parent) if card["folder"] else None,
            "figure": next(iter(figures(card["folder"])), None) if card["result"] else None,
        }
        for card in cards
    ]
    storage.write_text(path, _render("gallery.html", cards=shown))
    return path


def figures(folder: Path) -> list[dict[str, str]]:
    """The drawn figures of a run, in their order: name and data URI."""
    where = folder / "figures"
    if not (where / "order.json").exists():
        return []
    return [
        {
            "name": Path(name).stem.replace("_", " "),
            "uri": f"data:{_MIME[Path(name).suffix]};base64,"
            + base64.b64encode(storage.read_bytes(where / name)).decode(),
        }
        for name in storage.read_json(where / "order.json")
    ]


def value(number: float | None) -> str:
    """A number to four digits, an integer in full, a dash for none."""
    if number is None or not math.isfinite(number):
        return "–"
    if float(number).is_integer() and abs(number) < 1e9:
        return f"{int(number)}"
    return f"{number:.4g}".replace("-", "−")


def with_spread(mean: float | None, sd: float | None) -> str:
    """Mean ± standard deviation, both to the second digit of the deviation."""
    if mean is None or sd is None or not math.isfinite(mean) or not 0 < sd < math.inf:
        return value(mean)
    digits = 1 - math.floor(math.log10(sd))
    if not 0 <= digits <= 6:
        return f"{value(mean)} ± {value(sd)}"
    return f"{mean:.{digits}f} ± {sd:.{digits}f}".replace("-", "−")


def tolerance(bounds: Sequence[float | None]) -> str:
    """A range in words of mathematics."""
    low, high = bounds
    if low is not None and high is not None:
        return f"{value(low)} to {value(high)}"
    if low is not None:
        return f"≥ {value(low)}"
    return f"≤ {value(high)}" if high is not None else "any"


def span(seconds: float) -> str:
    """A duration in the largest fitting unit."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _claim(
    claim: Mapping[str, Any], plan: Plan, seeds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    metric = next((one.metric for one in plan.experiment.claims if one.id == claim["id"]), "")
    return {
        **claim,
        "metric": metric,
        "sd": results.over_seeds(seeds).sd.get(metric) if seeds else None,
        "each": [seed["metrics"].get(metric) for seed in seeds],
    }


def _metrics(result: Mapping[str, Any], seeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not seeds:
        metrics = result["metrics"].items()
        return [{"name": name, "value": number, "sd": None} for name, number in metrics]
    over = results.over_seeds(seeds)
    return [{"name": name, "value": mean, "sd": over.sd[name]} for name, mean in over.mean.items()]


def _seeds(folder: Path, plan: Plan) -> list[dict[str, Any]]:
    if not plan.several:
        return []
    found = []
    for seed in plan.seeds:
        one = results.stored(folder / f"seed{seed}")
        if one is None:
            raise StorageError(f"Seed {seed} of `{folder}` has not finished.")
        found.append({"seed": seed, "metrics": one["metrics"], "link": f"seed{seed}/{FILE}"})
    return found


def _paragraphs(doc: str) -> list[dict[str, Any]]:
    """The docstring below its title: paragraphs, and what is indented as it stands."""
    _, _, body = inspect.cleandoc(doc).partition("\n")
    blocks = [block for block in body.strip("\n").split("\n\n") if block.strip()]
    return [
        {"text": inspect.cleandoc(block), "verbatim": block.startswith("    ")} for block in blocks
    ]


def _union(columns: Sequence[Mapping[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in column[part]))


def _render(template: str, **content: Any) -> str:
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(value=value, with_spread=with_spread, tolerance=tolerance, span=span)
    return environment
