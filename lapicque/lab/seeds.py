"""Run several seeds in processes, then take mean and spread.

Every worker may use all cores: the number of threads decides the order in which sums are taken,
so a worker held to fewer cores would not repeat, bit by bit, what the seed gives when run alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from pathlib import Path
from typing import Any

from lapicque._checks import InputError, StorageError
from lapicque.lab import folders, provenance, report, results, storage
from lapicque.lab.folders import Plan
from lapicque.lab.progress import Watch
from lapicque.lab.run import PROVENANCE, Failed, execute

_QUIET = 0.25  # a worker reports its steps no more often than this [s]


def execute_all(
    folder: Path, plan: Plan, watch: Watch, workers: int | None = None
) -> dict[str, Any]:
    """Run each seed in `folder/seed<k>`, `workers` at a time, and return the result over seeds.

    Seeds that have finished are only read. A seed that fails does not stop the others.

    Args:
        workers: Number of processes; by default one per core, but no more than seeds.

    Raises:
        Failed: A seed failed; the traceback is that of the first one.
        UserError: Something the caller can mend, such as a full disk.
    """
    if workers is not None and workers < 1:
        raise InputError(f"`--workers` is {workers}; it must be at least 1.")
    with folders.locked(folder):
        done = results.stored(folder)
        if done is not None:
            return done
        begin = time.monotonic()
        for seed in plan.seeds:
            one = storage.make_folder(folder / f"seed{seed}")
            if not (one / folders.FILE).exists():
                folders.describe(one, plan.single(seed))
        origin = provenance.collect(plan.seed, plan.experiment.entry.path)
        found = _in_processes(
            folder, plan, watch, workers or min(provenance.cores(), len(plan.seeds))
        )
        origins = [storage.read_json(folder / f"seed{seed}" / PROVENANCE) for seed in plan.seeds]
        for one in origins:
            origin["data"] = origin.get("data", {}) | one["data"]
        origin["machine"] |= {"accelerators": origins[0]["machine"]["accelerators"]}
        wall = max(time.monotonic() - begin, *(one["wall_s"] for one in found))
        origin["wall_s"] = round(wall, 3)
        storage.write_json(folder / PROVENANCE, origin)
        over = results.over_seeds(found)
        result = results.result(
            plan.experiment.name,
            plan.preset,
            plan.seed,
            over.mean,
            plan.experiment.claims,
            wall,
            folder,
            shown=over.metrics,
        )
        report.write(folder, plan, result)
        storage.write_json(folder / results.FILE, result)
        return result


def _in_processes(folder: Path, plan: Plan, watch: Watch, workers: int) -> list[dict[str, Any]]:
    """The results of all seeds, in their order."""
    context = multiprocessing.get_context("spawn")
    news = context.Queue()
    pump = threading.Thread(target=_relay, args=(news, watch), daemon=True)
    pump.start()
    found: dict[int, dict[str, Any]] = {}
    failures: list[Failed] = []
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(news,))
    try:
        tasks = {pool.submit(_one, folder / f"seed{seed}", seed): seed for seed in plan.seeds}
        for task in as_completed(tasks):
            seed = tasks[task]
            try:
                found[seed] = task.result()
            except BrokenProcessPool as error:
                raise StorageError(
                    f"A worker was killed, perhaps for want of memory. Go on with fewer at a time: "
                    f"`lapicque run --resume {folder} --workers {max(1, workers - 1)}`."
                ) from error
            except Failed as failure:
                failures.append(failure)
                watch.log(f"seed {seed}", f"failed, see {failure.folder}")
            else:
                watch.step("", "seeds", len(found), len(plan.seeds))
    except BaseException:  # a full disk, Ctrl-C: the other seeds stop too and can be resumed
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        news.put(None)
        pump.join()
    if failures:
        raise failures[0]
    return [found[seed] for seed in plan.seeds]


def _one(folder: Path, seed: int) -> dict[str, Any]:
    return execute(folder, folders.read(folder), _Reporter(), who=f"seed {seed}")


def _begin(news: Any) -> None:
    """Prepare a worker process."""
    global _news
    _news = news
    os.dup2(2, 1)  # standard output belongs to the parent's result
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers share an accelerator
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads leave the cores to others
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """End this process when its parent has gone, so that it never works on unseen."""
    connection.wait([sentinel])
    os._exit(1)


_news: Any = None


class _Reporter:
    """Sends progress from a worker to the parent."""

    def __init__(self):
        self._last = 0.0

    def step(self, who: str, label: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= _QUIET or done == total:
            self._last = now
            _news.put(("step", who, label, done, total, note))

    def log(self, who: str, message: str) -> None:
        _news.put(("log", who, message))


def _relay(news: Any, watch: Watch) -> None:
    for kind, *what in iter(news.get, None):
        getattr(watch, kind)(*what)
