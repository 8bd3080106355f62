"""Run an experiment once, in its run directory, from wherever it stopped."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapicque._checks import InputError, StorageError, UserError
from lapicque.lab import figure, folders, provenance, report, results, storage
from lapicque.lab.experiment import Outcome
from lapicque.lab.folders import Plan
from lapicque.lab.progress import Watch
from lapicque.lab.running import Running

if TYPE_CHECKING:
    import numpy as np

PROVENANCE, RECORDINGS, HISTORY, ERROR = (
    "provenance.json",
    "recordings.h5",
    "history.h5",
    "error.txt",
)


class Failed(Exception):
    """An experiment raised an error that is not the caller's; its traceback is in `error.txt`."""

    def __init__(self, folder: Path, trace: str):
        super().__init__(folder, trace)  # the arguments, so that it travels between processes
        self.folder = folder
        self.trace = trace


def execute(folder: Path, plan: Plan, watch: Watch, who: str = "") -> dict[str, Any]:
    """Run one seed to its end and return its result; a finished run is only read.

    The directory is filled in this order: provenance, checkpoints, recordings, history, figures,
    report, and last `metrics.json`, which says that the run has finished.

    Raises:
        Failed: The experiment raised an error; its traceback is in `error.txt`.
        UserError: Something the caller can mend, such as a full disk.
    """
    with folders.locked(folder):
        done = results.stored(folder)
        if done is not None:
            return done
        try:
            return _execute(folder, plan, watch, who)
        except UserError:
            raise
        except Exception as error:  # whatever an experiment may raise is kept and shown
            trace = traceback.format_exc()
            with suppress(StorageError):  # a full disk must not hide what went wrong
                storage.write_text(folder / ERROR, trace)
            raise Failed(folder, trace) from error


def _execute(folder: Path, plan: Plan, watch: Watch, who: str) -> dict[str, Any]:
    experiment, seed = plan.experiment, plan.seeds[0]
    session = Running(storage.make_folder(folder / "checkpoint"), watch, who)
    origin = provenance.collect(seed, experiment.entry.path)
    if (folder / PROVENANCE).exists():
        before = storage.read_json(folder / PROVENANCE)
        changed = provenance.changes(before, origin)
        if changed:
            session.log(f"results may differ from an undisturbed run: {'; '.join(changed)}")
        origin = before | {"resumed": [*before.get("resumed", []), origin["started"]]}
    storage.write_json(folder / PROVENANCE, origin)

    outcome = experiment.run(plan.config, seed, session)
    if not isinstance(outcome, Outcome):
        raise InputError(f"`run` returned a {type(outcome).__name__}; it must return an `Outcome`.")
    metrics = results.checked(outcome.metrics)
    storage.write_arrays(folder / RECORDINGS, outcome.recordings)
    storage.write_arrays(folder / HISTORY, _flat(session.histories))
    origin["machine"] |= {"accelerators": provenance.accelerators()}
    origin |= {"wall_s": round(session.elapsed, 3), "data": dict(outcome.data)}
    storage.write_json(folder / PROVENANCE, origin)

    result = results.result(
        experiment.name, plan.preset, seed, metrics, experiment.claims, session.elapsed, folder
    )
    session.log("drawing")
    draw(folder, plan, read_outcome(folder, result))
    report.write(folder, plan, result)
    storage.write_json(folder / results.FILE, result)
    (folder / ERROR).unlink(missing_ok=True)
    return result


def read_outcome(folder: Path, result: Mapping[str, Any]) -> Outcome:
    """What a run found, from its files.

    Raises:
        StorageError: A file is missing or damaged.
    """
    metrics = {name: results.number(value) for name, value in result["metrics"].items()}
    recordings, _ = storage.read_arrays(folder / RECORDINGS)
    return Outcome(metrics, recordings, storage.read_json(folder / PROVENANCE)["data"])


def draw(folder: Path, plan: Plan, outcome: Outcome) -> list[Path]:
    """Draw the figures of a run into `folder/figures`, and remove those it no longer has.

    Raises:
        StorageError: One cannot be written.
    """
    where = storage.make_folder(folder / "figures")
    with figure.style():
        drawn = plan.experiment.figures(outcome, plan.config)
        paths = [storage.write_figure(where, name, one) for name, one in drawn.items()]
    storage.write_json(where / "order.json", [path.name for path in paths])
    for path in where.iterdir():
        if path.suffix in (".svg", ".png") and path not in paths:
            path.unlink()
    return paths


def rebuild(folder: Path) -> Path:
    """Draw figures and report of a finished run again from what it stored; returns the report.

    Raises:
        StorageError: The run has not finished, or a file is missing or damaged.
    """
    plan = folders.read(folder)
    result = results.stored(folder)
    if result is None:
        raise StorageError(
            f"The run in `{folder}` has not finished; go on with `lapicque run --resume {folder}`."
        )
    if plan.several:
        for seed in plan.seeds:
            rebuild(folder / f"seed{seed}")
    else:
        draw(folder, plan, read_outcome(folder, result))
    return report.write(folder, plan, result)


def _flat(histories: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        f"{label.replace('/', '∕')}/{name}": rows
        for label, history in histories.items()
        for name, rows in history.items()
    }
