"""Fitness of many expressions: each different one once, here or wherever an executor runs.

Fitness must depend on the expression alone (and on what the function carries with it), so that it
does not matter where, in what order or how often it is computed. Then a worker that dies costs time
and nothing else: what it had is computed again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError, InputError, StorageError, UserError, in_range
from lapicque.evolve.program import Program
from lapicque.evolve.search import Asked, Phenotype, Search, State

Fitness = Callable[..., float]
_PROBES = 10
_SMALL = 65_536  # bytes of a pickled fitness that are sent with each task without asking
_ATTEMPTS = 3
_FUNCTIONS = 8  # that a process holds


def processes(workers: int) -> Callable[[], Executor]:
    """What makes an executor of processes, each begun afresh, since JAX does not survive a fork.

    Raises:
        InputError: `workers` is below 1.
    """
    in_range("workers", workers, 1)
    return partial(ProcessPoolExecutor, workers, mp_context=get_context("spawn"))


@dataclass
class Evaluator:
    """Computes fitness, and remembers it.

    Each process unpickles the fitness function once and keeps it. Where it is large, such as one
    that carries data, only its digest is sent, and the function itself to those who lack it.

    Attributes:
        fitness: A function of as many expressions as an individual has genomes. What it raises
            counts as the worst fitness, as does `nan`.
        executor: Anything like `concurrent.futures.Executor`; or a function that makes one, so that
            a new one can be made where a pool of processes breaks; or `None` to compute here.
        chunk: Individuals that are sent together.
        semantic: Whether expressions that agree on ten random points count as the same.
        known: Fitness by what an individual does.
        events: How often fitness was not finite or an error was raised, by name.
        repeated: How many tasks were lost and computed again.

    Raises:
        InputError: `chunk` is below 1.
    """

    fitness: Fitness
    executor: Executor | Callable[[], Executor] | None = None
    chunk: int = 4
    semantic: bool = False
    known: dict[bytes, float] = field(default_factory=dict)
    events: Counter = field(default_factory=Counter)
    repeated: int = 0

    def __post_init__(self) -> None:
        in_range("chunk", self.chunk, 1)
        self._pool: Any = None
        self._sent: _Sent | None = None

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut down the executor, if it was made here."""
        if self._pool is not None and self._pool is not self.executor:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def __call__(self, individuals: Sequence[Phenotype]) -> NDArray[np.float64]:
        """Fitness of each individual; -inf where there is none.

        Raises:
            UserError: Tasks were lost again and again, or cannot be sent.
        """
        keys = [self._key(programs) for programs in individuals]
        missing: dict[bytes, Phenotype] = {}
        for key, programs in zip(keys, individuals, strict=True):
            if key not in self.known:
                missing.setdefault(key, programs)
        waiting = list(missing.values())
        parts = [waiting[k : k + self.chunk] for k in range(0, len(waiting), self.chunk)]
        if self.executor is None:
            results = [_evaluate(self.fitness, part) for part in parts]
        else:
            results = self._elsewhere(parts)
        found = [pair for part in results for pair in part]
        for key, (value, event) in zip(missing, found, strict=True):
            self.known[key] = value
            if event:
                self.events[event] += 1
        return np.array([self.known[key] for key in keys])

    # -- elsewhere -----------------------------------------------------------------------------

    def _elsewhere(self, parts: list[list[Phenotype]]) -> list[list[tuple[float, str]]]:
        """Results of all parts in their order; what is lost is sent again."""
        results: dict[int, list[tuple[float, str]]] = {}
        lost, error = 0, None
        sent = self._prepared()
        with_function = dict.fromkeys(range(len(parts)), len(sent.pickled or b"") <= _SMALL)
        while len(results) < len(parts):
            if lost == _ATTEMPTS:
                raise UserError(
                    f"{len(parts) - len(results)} of {len(parts)} tasks were lost {lost} times in "
                    f"a row; the last error was {type(error).__name__}: {error}"
                ) from error
            futures, progress = {}, False
            for k in range(len(parts)):
                if k not in results:
                    try:
                        futures[k] = self._submit(sent, parts[k], with_function[k])
                    except (BrokenProcessPool, RuntimeError) as broken:
                        error = broken
                        self._replace(broken)
            for k, future in futures.items():
                # what fitness raises comes back as a value, so an error is one of the executor
                try:
                    result = future.result()
                except Exception as broken:
                    error = broken
                    self.repeated += 1
                    if isinstance(broken, BrokenProcessPool):
                        self._replace(broken)
                    continue
                progress = True
                if result is None:
                    with_function[k] = True
                else:
                    results[k] = result
            lost = 0 if progress else lost + 1
        return [results[k] for k in range(len(parts))]

    def _prepared(self) -> _Sent:
        """The fitness function as it is sent; pickled once."""
        if self._sent is None or self._sent.function is not self.fitness:
            try:
                pickled = pickle.dumps(self.fitness)
            except Exception:  # a closure, say: threads do without, Dask has means of its own
                self._sent = _Sent(self.fitness, None, b"")
            else:
                digest = blake2b(pickled, digest_size=16).digest()
                self._sent = _Sent(self.fitness, pickled, digest)
        return self._sent

    def _submit(self, sent: _Sent, part: list[Phenotype], with_function: bool):
        if self._pool is None:
            made = self.executor() if callable(self.executor) else self.executor
            self._pool = made
        if sent.pickled is None:
            return self._pool.submit(_evaluate, sent.function, part)
        pickled = sent.pickled if with_function else None
        return self._pool.submit(_evaluate_sent, sent.digest, pickled, part)

    def _replace(self, error: BaseException) -> None:
        """Make a new executor where the old one is broken."""
        if not callable(self.executor):
            raise UserError(
                f"The executor is broken ({error}). Give `executor` a function that makes one, so "
                "that it can be replaced."
            ) from error
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def _key(self, programs: Phenotype) -> bytes:
        if not self.semantic:
            return b"||".join(program.key for program in programs)
        return b"||".join(_meaning(program) for program in programs)


class _Sent(NamedTuple):
    function: Fitness
    pickled: bytes | None
    digest: bytes


_HELD: dict[bytes, Fitness] = {}


def _evaluate_sent(
    digest: bytes, pickled: bytes | None, part: Sequence[Phenotype]
) -> list[tuple[float, str]] | None:
    """As `_evaluate`, with the function that this process holds; `None` where it holds none."""
    fitness = _HELD.get(digest)
    if fitness is None:
        if pickled is None:
            return None
        fitness = pickle.loads(pickled)
        if len(_HELD) >= _FUNCTIONS:
            _HELD.clear()
        _HELD[digest] = fitness
    return _evaluate(fitness, part)


def _evaluate(fitness: Fitness, part: Sequence[Phenotype]) -> list[tuple[float, str]]:
    """Fitness of some individuals, and what went wrong."""
    found = []
    for programs in part:
        try:
            value, event = float(fitness(*programs)), ""
            if np.isnan(value):
                value, event = -np.inf, "nan"
            elif np.isinf(value):
                event = "infinite"
        except Exception as error:  # whatever the user's function raises
            value, event = -np.inf, type(error).__name__
        found.append((value, event))
    return found


def _meaning(program: Program) -> bytes:
    """Values on some fixed random points, to ten digits."""
    points = np.random.default_rng(0).uniform(-2, 2, (len(program.inputs), _PROBES))
    with np.errstate(all="ignore"):
        values = np.stack(program.all(*points))
    finite = np.isfinite(values)
    short = [f"{v:.9e}" if ok else str(v) for v, ok in zip(values.flat, finite.flat, strict=True)]
    return " ".join(short).replace("-0.000000000e+00", "0.000000000e+00").encode()


# -- generations -----------------------------------------------------------------------------------


def generation(search: Search, state: State, evaluator: Evaluator) -> State:
    """One generation: ask, evaluate what is not known, tell."""
    asked = search.ask(state)
    return search.tell(state, asked, fitness_of(search, asked, evaluator))


def fitness_of(search: Search, asked: Asked, evaluator: Evaluator) -> NDArray[np.float64]:
    """Fitness of all that were asked for."""
    unknown = np.flatnonzero(asked.unknown)
    fitness = asked.fitness.copy()
    if unknown.size:
        fitness[unknown] = evaluator(
            [search.phenotype(asked.genomes[k], asked.parameters[k]) for k in unknown]
        )
    return fitness


class Run(NamedTuple):
    """What `evolve` found.

    Attributes:
        state: The last population.
        history: Best fitness after each generation, the first one being that of the parents.
    """

    state: State
    history: NDArray[np.float64]


def evolve(
    search: Search,
    evaluator: Evaluator,
    generations: int,
    goal: float = np.inf,
    seeded: Sequence[Phenotype] = (),
    checkpoint: str | Path | None = None,
) -> Run:
    """Search for some generations, or until the best fitness reaches a goal.

    Args:
        search: What to do.
        evaluator: Fitness; what it knows is kept with checkpoints, and grows.
        generations: At most so many, those before a checkpoint included.
        goal: Fitness at which to stop.
        seeded: First parents, see `Search.init`.
        checkpoint: A file that is written after each generation. If it is there already, the search
            goes on from it, and ends as if it had never been interrupted.

    Raises:
        InputError: `generations` is negative, or the checkpoint belongs to another search.
        StorageError: The checkpoint cannot be written or read.
    """
    in_range("generations", generations, 0)
    path = None if checkpoint is None else Path(checkpoint)
    history: list[float] = []
    if path is not None and path.exists():
        state, history = load(path, search, evaluator)
    else:
        state = generation(search, search.init(*seeded), evaluator)
        history = [float(state.fitness[0])]
        if path is not None:
            save(path, search, state, history, evaluator)
    while int(state.generation) < generations and not state.fitness[0] >= goal:
        state = generation(search, state, evaluator)
        history.append(float(state.fitness[0]))
        if path is not None:
            save(path, search, state, history, evaluator)
    return Run(state, np.array(history))


# -- checkpoints -----------------------------------------------------------------------------------


def save(
    path: str | Path, search: Search, state: State, history: Sequence[float], evaluator: Evaluator
) -> None:
    """Write a population and all known fitness to an `.npz` file, at once or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    path = Path(path)
    keys = list(evaluator.known)
    arrays = {f"state/{name}": array for name, array in state._asdict().items()}
    arrays |= {
        "search": np.array(repr(search)),
        "history": np.array(history),
        "known/keys": np.frombuffer(b"".join(keys), np.uint8),
        "known/lengths": np.array([len(key) for key in keys], np.int64),
        "known/fitness": np.array([evaluator.known[key] for key in keys]),
        "events/names": np.array(list(evaluator.events), str),
        "events/counts": np.array(list(evaluator.events.values()), np.int64),
    }
    partial = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            partial = Path(file.name)
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise StorageError(f"The checkpoint {path} cannot be written: {error}") from error
    finally:
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink()


def load(path: str | Path, search: Search, evaluator: Evaluator) -> tuple[State, list[float]]:
    """Read a population and its history; what is known and has happened goes to the evaluator.

    Raises:
        InputError: The file belongs to another search.
        DataError: It is damaged, or no checkpoint.
        StorageError: It cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        owner = str(arrays["search"])
        state = State(*(arrays[f"state/{name}"] for name in State._fields))
        whole, edges = arrays["known/keys"].tobytes(), np.cumsum(arrays["known/lengths"]).tolist()
        keys = [whole[a:b] for a, b in zip([0, *edges], edges, strict=False)]
        known = dict(zip(keys, arrays["known/fitness"].tolist(), strict=True))
        counts = arrays["events/counts"].tolist()
        events = dict(zip(arrays["events/names"].tolist(), counts, strict=True))
        history = arrays["history"].tolist()
    except OSError as error:
        raise StorageError(f"The checkpoint {path} cannot be read: {error}") from error
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise DataError(
            f"{path} is no checkpoint of a search, or damaged ({error}); delete it to begin anew."
        ) from error
    if owner != repr(search):
        raise InputError(
            f"The checkpoint {path} belongs to another search, {owner}; delete it or give another "
            "name."
        )
    evaluator.known.update(known)
    evaluator.events.clear()
    evaluator.events.update(events)
    return state, history
