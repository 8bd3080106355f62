"""Tell whoever watches how far a run is: a bar on a terminal, a line now and then elsewhere.

All of it goes to standard error; standard output belongs to results.
"""

from __future__ import annotations

import sys
import time
from typing import IO, Any, Protocol, Self

_PAUSE = 5.0  # between two lines where there is no terminal [s]


class Watch(Protocol):
    """Where the progress of runs is shown."""

    def step(self, who: str, label: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps of the loop `label` of the run `who` are done.

        `note` says something about its state.
        """
        ...

    def log(self, who: str, message: str) -> None:
        """A line from the run `who`."""
        ...


class Pace:
    """Steps per second and time left of each loop, counted from when it was first seen."""

    def __init__(self):
        self._start: dict[tuple[str, str], tuple[float, int]] = {}

    def rate(self, who: str, label: str, done: int) -> float:
        """Steps per second; 0 until it is known."""
        now = time.monotonic()
        since, first = self._start.setdefault((who, label), (now, done))
        return (done - first) / (now - since) if now > since else 0.0


class Lines:
    """Plain lines, one every few seconds at most and one at the end of each loop."""

    def __init__(self, file: IO[str] | None = None, pause: float = _PAUSE):
        self._file = file or sys.stderr
        self._pause = pause
        self._last = time.monotonic()
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, who: str, label: str, done: int, total: int, note: str = "") -> None:
        rate = self._pace.rate(who, label, done)
        now = time.monotonic()
        if now - self._last < self._pause:
            return
        self._last = now
        pace = f", {_speed(rate)}, {_span((total - done) / rate)} left" if rate else ""
        self._write(who, f"{label} {done}/{total}{pace}{f'; {note}' if note else ''}")

    def log(self, who: str, message: str) -> None:
        self._write(who, message)

    def _write(self, who: str, message: str) -> None:
        print(f"{who}: {message}" if who else message, file=self._file, flush=True)


class Bars:
    """A live bar per running loop, with its rate and the time that remains."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", style="dim"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
        )
        self._pace = Pace()
        self._tasks: dict[str, tuple[str, Any]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, who: str, label: str, done: int, total: int, note: str = "") -> None:
        speed = _speed(self._pace.rate(who, label, done))
        shown, task = self._tasks.get(who, ("", None))
        if shown != label:
            if task is not None:
                self._progress.remove_task(task)
            task = self._progress.add_task(f"{who} {label}".strip(), total=total, speed="", note="")
            self._tasks[who] = (label, task)
        self._progress.update(task, completed=done, speed=speed, note=note)
        if done == total:
            self._progress.remove_task(task)
            del self._tasks[who]

    def log(self, who: str, message: str) -> None:
        self._progress.console.print(f"{who}: {message}" if who else message, markup=False)


def watch() -> Lines | Bars:
    """What suits standard error; use it as a context."""
    return Bars() if sys.stderr.isatty() else Lines()


def _speed(rate: float) -> str:
    if rate <= 0:
        return ""
    return f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
