"""One file per loop or stage of a run: its state, its history so far, and whether it is done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from lapicque._checks import InputError, StorageError
from lapicque.lab import storage, trees

_STATE, _HISTORY = "state", "history"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint file holds.

    Attributes:
        done: Number of steps that are done.
        state: Description of the state; its arrays are in `arrays`.
        arrays: Arrays of the state by their path.
        history: For each recorded name, an array with `done` rows.
        elapsed: Wall time of the whole run when it was saved [s].
    """

    done: int
    state: trees.Description
    arrays: Mapping[str, np.ndarray]
    history: Mapping[str, np.ndarray]
    elapsed: float

    def restore(self, template: Any) -> Any:
        """The state in the structure of `template`.

        Raises:
            StorageError: Structure, shapes or dtypes differ from those of the template.
        """
        wrong = list(trees.differences(self.state, trees.describe(template, {})))
        if wrong:
            raise StorageError(
                f"The checkpoint does not fit the experiment: {'; '.join(wrong[:3])}. "
                "The code has changed since; start a new run."
            )
        return trees.restore(self.state, self.arrays, template)


def path_of(folder: Path, label: str) -> Path:
    """The file of a label; letters that a file name cannot hold become `-` and a short hash."""
    name = re.sub(r"[^\w.=+-]+", "-", label)[:80]
    if name != label or name.startswith("."):
        name = f"{name.lstrip('.')}-{sha256(label.encode()).hexdigest()[:8]}"
    return folder / f"{name}.h5"


def save(
    path: Path,
    label: str,
    done: int,
    state: Any,
    history: Mapping[str, np.ndarray],
    elapsed: float,
    like: trees.Description | None = None,
) -> trees.Description:
    """Write a checkpoint atomically and return the description of its state.

    Args:
        like: Description of the first state, which this one must resemble to be restorable.

    Raises:
        InputError: The state cannot be stored or has another form than the first.
        StorageError: The file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    description = trees.describe(state, arrays)
    wrong = [] if like is None else list(trees.differences(description, like))
    if wrong:
        raise InputError(
            f"The state of the loop {label!r} changes its form in `step`, so that it could not be "
            f"resumed: {'; '.join(wrong[:3])}. Give the first state the form of the later ones."
        )
    arrays |= {f"{_HISTORY}/{name}": rows for name, rows in history.items()}
    about = {
        "label": label,
        "done": done,
        "state": description,
        "history": list(history),
        "elapsed": elapsed,
    }
    storage.write_arrays(path, arrays, {"checkpoint": json.dumps(about)})
    return description


def load(path: Path, label: str) -> Saved | None:
    """Read a checkpoint; None where there is none yet.

    Raises:
        StorageError: The file is damaged or belongs to another label.
    """
    if not path.exists():
        return None
    arrays, attributes = storage.read_arrays(path)
    try:
        about = json.loads(attributes["checkpoint"])
        if about["label"] != label:
            raise StorageError(f"`{path}` belongs to {about['label']!r}, not to {label!r}.")
        history = {name: arrays.pop(f"{_HISTORY}/{name}") for name in about["history"]}
        return Saved(about["done"], about["state"], arrays, history, about["elapsed"])
    except KeyError as error:
        raise StorageError(f"`{path}` is not a checkpoint: it lacks {error}.") from error
