"""The state of an experiment's claims, from its newest finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lapicque.lab import results
from lapicque.lab.registry import Entry


def newest(entry: Entry, out: Path) -> dict[str, Any] | None:
    """Result of the newest finished run that judges claims, else of the newest; None without."""
    folder = out / entry.name
    if not folder.is_dir():
        return None
    runs = sorted((path for path in folder.iterdir() if path.is_dir()), key=_time, reverse=True)
    found = [result for path in runs if (result := results.stored(path)) is not None]
    return next((result for result in found if result["claims"]), found[0] if found else None)


def sentence(result: dict[str, Any] | None) -> str:
    """One line on the claims of a run."""
    if result is None:
        return "not run here"
    seed = result["seed"]
    seeds = f"{len(seed)} seeds" if isinstance(seed, list) else f"seed {seed}"
    where = f"({result['preset']}, {seeds})"
    claims = result["claims"]
    if not claims:
        return f"ran, no claim judged {where}"
    holding = sum(bool(claim["holds"]) for claim in claims)
    return f"{holding} of {len(claims)} hold {where}"


def _time(path: Path) -> tuple[str, float]:
    return path.name[:15], path.stat().st_mtime
