"""Run directories: their names, and the `config.json` that makes them resumable."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lapicque._checks import InputError, StorageError
from lapicque.lab import config as configuration, storage
from lapicque.lab.registry import Experiment, load

FILE = "config.json"


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        experiment: The loaded experiment.
        preset: Name of the preset that the configuration began with.
        config: The configuration, settings included.
        seeds: The seeds, ascending; one of them is a single run unless `several`.
        several: Whether the run goes over seeds, with mean and spread.
    """

    experiment: Experiment
    preset: str
    config: Any
    seeds: tuple[int, ...]
    several: bool = False

    @property
    def seed(self) -> int | list[int]:
        return list(self.seeds) if self.several else self.seeds[0]

    @property
    def tag(self) -> str:
        if self.several:
            return f"{self.preset}-seeds{self.seeds[0]}-{self.seeds[-1]}"
        return f"{self.preset}-seed{self.seeds[0]}"

    def single(self, seed: int) -> Plan:
        """The plan of one of the seeds."""
        return Plan(self.experiment, self.preset, self.config, (seed,))


def plan(
    name: str, preset: str = "quick", settings: list[str] | None = None, seeds: str | int = 0
) -> Plan:
    """Check what a caller asks for.

    Args:
        name: Name or path of the experiment.
        preset: Name of one of its presets.
        settings: `field=value` texts that change the preset.
        seeds: A seed, or `A:B` for the seeds A to B - 1.

    Raises:
        InputError: The experiment, preset, a setting or the seeds are not valid.
    """
    experiment = load(name)
    if preset not in experiment.presets:
        raise InputError(
            f"{experiment.name} has no preset {preset!r}; it has {', '.join(experiment.presets)}."
        )
    config = configuration.with_settings(experiment.presets[preset], settings or ())
    # Through JSON and back, so that a resumed run starts from exactly the same values.
    config = configuration.from_json(experiment.Config, configuration.to_json(config))
    several = isinstance(seeds, str)
    numbers = _range(seeds) if isinstance(seeds, str) else (seeds,)
    if numbers[0] < 0:
        raise InputError(f"The seed is {numbers[0]}; it must be at least 0.")
    return Plan(experiment, preset, config, numbers, several)


def create(out: Path, plan: Plan) -> Path:
    """Make the directory `out/<work>/<experiment>/<time>-<preset>-seed<k>` and describe the run.

    Two runs never share one: the later gets a number at the end of its name.

    Raises:
        StorageError: It cannot be created or written.
    """
    parent = storage.make_folder(out / plan.experiment.name)
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{plan.tag}"
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        except OSError as error:
            raise storage.storage_error(error, folder, "create the folder") from error
        describe(folder, plan)
        return folder


def describe(folder: Path, plan: Plan) -> None:
    """Write `config.json`, the first file of a run.

    Raises:
        StorageError: It cannot be written.
    """
    storage.write_json(
        folder / FILE,
        {
            "experiment": plan.experiment.name,
            "address": plan.experiment.entry.address,
            "preset": plan.preset,
            "seed": plan.seed,
            "config": configuration.to_json(plan.config),
        },
    )


def read(folder: Path) -> Plan:
    """The plan of a run directory.

    Raises:
        StorageError: The folder holds no run, or its `config.json` is damaged.
        InputError: Its configuration no longer fits the experiment.
    """
    if not (folder / FILE).is_file():
        raise StorageError(
            f"`{folder}` holds no run: it has no `{FILE}`. Give the folder that a run printed, "
            "such as `runs/<work>/<experiment>/<time>-<preset>-seed<k>`."
        )
    about = storage.read_json(folder / FILE)
    try:
        seed = about["seed"]
        experiment = load(about["address"])
        config = configuration.from_json(experiment.Config, about["config"])
        seeds = tuple(seed) if isinstance(seed, list) else (seed,)
        return Plan(experiment, about["preset"], config, seeds, isinstance(seed, list))
    except (KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"`{folder / FILE}` is damaged: {error!r}.") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory, so that no other process works in it.

    Raises:
        StorageError: Another process does.
    """
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise storage.storage_error(error, folder / ".lock", "write") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"Another process is at work in `{folder}`; let it end.") from error
        yield
    finally:
        os.close(handle)


def _range(text: str) -> tuple[int, ...]:
    first, colon, last = text.partition(":")
    try:
        seeds = tuple(range(int(first), int(last))) if colon else ()
    except ValueError:
        seeds = ()
    if not seeds:
        raise InputError(
            f"`--seeds {text}` is not a range; write `--seeds A:B` for the seeds A to B - 1, "
            "such as 0:5."
        )
    return seeds
