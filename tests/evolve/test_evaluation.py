"""Fitness elsewhere: processes and a Dask cluster, workers that die, runs that are cut."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lapicque._checks import DataError, InputError, UserError
from lapicque.evolve import Add, Div, Grid, Mul, Search, Sub, constant, parse
from lapicque.evolve.evaluation import Evaluator, evolve, load, processes, save

GRID = Grid(("x", "y"), (Add, Sub, Mul, Div, constant(1.0)), 8)
SEARCH = Search((GRID,), parents=3, children=6, rate=0.15, seed=7)
POINTS = np.random.default_rng(0).uniform(-2, 2, (2, 30))


@dataclass(frozen=True)
class Distance:
    """Mean squared distance from (x + y)^2; `ballast` makes it too large to be sent each time."""

    wait: float = 0.0  # s
    kill: str = ""  # a file; whoever creates it is killed
    ballast: bytes = b""

    def __call__(self, program):
        time.sleep(self.wait)
        if self.kill and not os.path.exists(self.kill):
            with open(self.kill, "x") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return -float(np.mean((program(*POINTS) - POINTS.sum(0) ** 2) ** 2))


def reference(generations):
    evaluator = Evaluator(Distance())
    return evolve(SEARCH, evaluator, generations), evaluator


def same(one, other):
    assert all((a == b).all() for a, b in zip(one.state, other.state, strict=True))
    assert (one.history == other.history).all()


def test_what_goes_wrong_is_counted_and_costs_the_fitness():
    program = {name: (parse(name, ["x"]),) for name in ("x", "x * x", "x + 1", "x - 1")}

    def fitness(expression):
        match str(expression):
            case "x":
                return np.nan
            case "x * x":
                raise ZeroDivisionError
            case "x + 1":
                return np.inf
        return 2.0

    evaluator = Evaluator(fitness)
    found = evaluator([*program.values(), program["x"]])
    assert found.tolist() == [-np.inf, -np.inf, np.inf, 2.0, -np.inf]
    assert evaluator.events == {"nan": 1, "ZeroDivisionError": 1, "infinite": 1}


def test_expressions_that_agree_everywhere_are_evaluated_once():
    calls = []
    evaluator = Evaluator(lambda p: calls.append(p) or 1.0, semantic=True)
    evaluator([(parse(text, ["x"]),) for text in ("x + x", "2 * x", "x * 2 - 0", "x")])
    assert len(calls) == 2


def test_processes_give_the_serial_result_and_survive_a_kill(tmp_path):
    """One pool, a worker of which kills itself in the first generation."""
    expected, serial = reference(6)
    fitness = Distance(kill=str(tmp_path / "killed"), ballast=bytes(100_000))
    with Evaluator(fitness, processes(2), chunk=2) as evaluator:
        same(evolve(SEARCH, evaluator, 6), expected)
        assert evaluator.known == serial.known
    assert (tmp_path / "killed").exists()
    assert evaluator.repeated > 0


class Lossy(Executor):
    """Loses every third task, and has to be told what to compute, as a cluster might."""

    def __init__(self):
        self.count = 0

    def submit(self, fn, /, *args, **kwargs):
        self.count += 1
        future = Future()
        if self.count % 3 == 0:
            future.set_exception(ConnectionError("worker lost"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


class Dead(Executor):
    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_exception(ConnectionError("nobody there"))
        return future


def test_lost_tasks_are_sent_again_but_not_for_ever():
    expected, _ = reference(4)
    evaluator = Evaluator(Distance(ballast=bytes(200_000)), Lossy(), chunk=1)
    same(evolve(SEARCH, evaluator, 4), expected)
    assert evaluator.repeated > 0
    with pytest.raises(UserError, match=r"lost 3 times in a row.*nobody there"):
        evolve(SEARCH, Evaluator(Distance(), Dead()), 1)


def test_threads_take_what_cannot_be_pickled():
    with ThreadPoolExecutor(2) as pool:
        found = Evaluator(lambda p: float(p(2.0)), pool)([(parse("x * x", ["x"]),)])
    assert found.tolist() == [4.0]


class Cut(BaseException):
    pass


def test_a_run_that_is_cut_goes_on_to_the_same_end(tmp_path):
    expected, serial = reference(12)
    path, calls = tmp_path / "search.npz", []

    def fitness(program):
        calls.append(program)
        if len(calls) == 20:
            raise Cut
        return Distance()(program)

    with pytest.raises(Cut):
        evolve(SEARCH, Evaluator(fitness), 12, checkpoint=path)
    before = len(calls)
    again = Evaluator(fitness)
    same(evolve(SEARCH, again, 12, checkpoint=path), expected)
    assert again.known == serial.known
    assert len(calls) - before < len(serial.known)  # what was known was not computed again
    assert [p.name for p in tmp_path.iterdir()] == ["search.npz"]
    evolve(SEARCH, Evaluator(fitness), 12, checkpoint=path)
    with pytest.raises(InputError, match="another search"):
        load(path, Search((GRID,), seed=1), Evaluator(fitness))


def test_a_checkpoint_holds_no_pickle_and_damage_is_named(tmp_path):
    found, evaluator = reference(2)
    path = tmp_path / "search.npz"
    save(path, SEARCH, found.state, found.history.tolist(), evaluator)
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        load(path, SEARCH, Evaluator(Distance()))
    with pytest.raises(OSError, match="cannot be written"):
        save(tmp_path / "no" / "f.npz", SEARCH, found.state, [0.0], evaluator)


_SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_evaluation import SEARCH, Distance, Evaluator, evolve
evolve(SEARCH, Evaluator(Distance(wait=0.02)), 12, checkpoint=sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_end(tmp_path):
    path, here = tmp_path / "search.npz", str(Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, here, str(path)])
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.15)
    process.kill()
    process.wait()
    expected, _ = reference(12)
    same(evolve(SEARCH, Evaluator(Distance()), 12, checkpoint=path), expected)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each a process of its own, over TCP on this machine."""
    distributed = pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.DEVNULL}
    options["stdout"] = subprocess.DEVNULL

    def begin(*arguments):
        return subprocess.Popen([sys.executable, "-m", *arguments], **options)

    running = [begin("distributed.cli.dask_scheduler", "--no-dashboard", "--host", address)]
    running += [
        begin("distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1",
              "--no-dashboard", "--local-directory", str(tmp_path / f"worker{k}"))
        for k in range(2)
    ]  # fmt: skip
    try:
        client = distributed.Client(address, timeout=120)
        client.wait_for_workers(2, timeout=120)
        yield client, running[1:]
        client.close()
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_dask_cluster_gives_the_serial_result_and_survives_a_kill(cluster):
    client, workers = cluster
    expected, serial = reference(6)
    executor = client.get_executor(pure=False)
    evaluator = Evaluator(Distance(wait=0.05, ballast=bytes(100_000)), executor, chunk=1)
    killed = []

    def killer():
        time.sleep(0.6)
        workers[0].send_signal(signal.SIGKILL)
        killed.append(time.monotonic())

    with ThreadPoolExecutor(1) as aside:
        aside.submit(killer)
        found = evolve(SEARCH, evaluator, 6)
        ended = time.monotonic()
    same(found, expected)
    assert evaluator.known == serial.known
    assert killed
    assert killed[0] < ended
    client.wait_for_workers(1, timeout=10)
    assert len(client.scheduler_info()["workers"]) == 1
