"""The session of a real run: loops and stages that survive a kill."""

from __future__ import annotations

import time
from math import inf
from pathlib import Path

import numpy as np

from lapicque._checks import InputError, StorageError
from lapicque.lab import checkpoint, trees
from lapicque.lab.progress import Watch
from lapicque.lab.session import History

_INTERVAL = 2.0  # between two checkpoints [s]
_NOTE = 0.5  # between two notes on the state [s]
_SHARE = 20  # a checkpoint may cost at most one part in so many of the time


class Running:
    """A `Session` that keeps its checkpoints in a folder.

    Attributes:
        histories: The history of each loop that has finished, by its label.
    """

    def __init__(self, folder: Path, watch: Watch, who: str = "", interval: float = _INTERVAL):
        self.histories: dict[str, dict[str, np.ndarray]] = {}
        self._folder = folder
        self._watch = watch
        self._who = who
        self._interval = interval
        self._labels: set[str] = set()
        self._start = time.monotonic()
        self._earlier = 0.0

    @property
    def elapsed(self) -> float:
        """Wall time of the run [s], with that of killed attempts up to their last checkpoint."""
        return self._earlier + time.monotonic() - self._start

    def loop(self, label, step, state, n, note=None):
        path, saved = self._open(label)
        like = trees.describe(state, {})
        first, history = 0, History(label)
        if saved is not None:
            if saved.done > n:
                raise StorageError(f"`{path}` holds {saved.done} steps, more than {n}.")
            state = saved.restore(state)
            first, history = saved.done, History(label, saved.history)
            if 0 < first < n:
                self.log(f"{label}: going on after step {first} of {n}")
        due = time.monotonic() + self._interval
        noted, said = -inf, ""
        for i in range(first, n):
            state, row = step(state, i)
            history.append(row)
            if note is not None and time.monotonic() >= noted + _NOTE:
                noted, said = time.monotonic(), note(state)
            self._watch.step(self._who, label, i + 1, n, said)
            if time.monotonic() >= due and i + 1 < n:
                begin = time.monotonic()
                checkpoint.save(path, label, i + 1, state, history.arrays(), self.elapsed, like)
                now = time.monotonic()
                due = now + max(self._interval, _SHARE * (now - begin))
        if saved is None or first < n:
            checkpoint.save(path, label, n, state, history.arrays(), self.elapsed, like)
        self.histories[label] = history.arrays()
        return state, history.arrays()

    def stage(self, label, compute):
        path, saved = self._open(label)
        if saved is not None:
            return trees.restore_plain(saved.state, saved.arrays)
        result = compute()
        if not trees.is_plain(trees.describe(result, {})):
            raise InputError(
                f"The stage {label!r} returns a {type(result).__name__}; return arrays and numbers "
                "in dicts, tuples or lists."
            )
        checkpoint.save(path, label, 1, result, {}, self.elapsed)
        return result

    def log(self, message):
        self._watch.log(self._who, message)

    def _open(self, label: str) -> tuple[Path, checkpoint.Saved | None]:
        if label in self._labels:
            raise InputError(
                f"The label {label!r} is used twice; each loop and stage needs its own."
            )
        self._labels.add(label)
        path = checkpoint.path_of(self._folder, label)
        saved = checkpoint.load(path, label)
        if saved is not None:
            self._earlier = max(self._earlier, saved.elapsed)
        return path, saved
