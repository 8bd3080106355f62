"""What a running experiment may ask of the laboratory: resumable loops, stages, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

from lapicque._checks import InputError

Tree = TypeVar("Tree")


class Session(Protocol):
    """Handed to `run`; an experiment reaches the outside world through this alone."""

    def loop(
        self,
        label: str,
        step: Callable[[Tree, int], tuple[Tree, Mapping[str, Any]]],
        state: Tree,
        n: int,
        note: Callable[[Tree], str] | None = None,
    ) -> tuple[Tree, dict[str, np.ndarray]]:
        """Run `state, row = step(state, i)` for i = 0 .. n-1, resumably.

        `state` is a tree of arrays, `row` a dict of numbers or arrays for the history. State and
        history are saved every few seconds and at the end; after a kill the loop goes on from
        there. `step` must depend on its arguments alone, so that the result is the same, and may
        donate the state it is given. Each label is used once in a run. `note` says now and then,
        for whoever watches, something short about the state.

        Returns the last state and the history: for each name, an array with n rows.

        Raises:
            InputError: The state cannot be stored, or changes its form in `step`; or the rows
                differ in their names or shapes.
            StorageError: A checkpoint cannot be written or read, or does not fit `state`.
        """
        ...

    def stage(self, label: str, compute: Callable[[], Tree]) -> Tree:
        """The result of `compute()`, a dict or tuple of arrays, saved so that it is computed once.

        Raises:
            InputError: The result holds something other than arrays, numbers and text in dicts,
                tuples and lists.
            StorageError: The result cannot be written or read.
        """
        ...

    def log(self, message: str) -> None:
        """A line for whoever watches."""
        ...


class Quiet:
    """A session without memory or voice: for tests, notebooks and scripts."""

    def loop(self, label, step, state, n, note=None):
        history = History(label)
        for i in range(n):
            state, row = step(state, i)
            history.append(row)
        return state, history.arrays()

    def stage(self, label, compute):
        return compute()

    def log(self, message):
        pass


class History:
    """Rows of a loop, copied as they come, since a later step may reuse their memory."""

    def __init__(self, label: str, arrays: Mapping[str, np.ndarray] | None = None):
        self._label = label
        self._rows = {name: list(rows) for name, rows in (arrays or {}).items()}
        self._length = len(next(iter(self._rows.values()), ()))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row.

        Raises:
            InputError: Its names or shapes differ from those of the rows before.
        """
        new = {name: np.array(value) for name, value in row.items()}
        if self._length == 0:
            self._rows = {name: [] for name in new}
        if set(new) != set(self._rows):
            raise self._error(f"its names are {sorted(new)}, before {sorted(self._rows)}")
        for name, value in new.items():
            before = self._rows[name]
            if before and np.shape(before[0]) != value.shape:
                raise self._error(f"{name!r} has shape {value.shape}, before {np.shape(before[0])}")
            before.append(value)
        self._length += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """For each name, all rows as one array."""
        return {name: np.stack(rows) for name, rows in self._rows.items()}

    def _error(self, what: str) -> InputError:
        return InputError(
            f"Row {self._length} of the loop {self._label!r} is unlike others: {what}."
        )
