import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "lab"))
from toys import WALK, write_walk

from lapicque.cli import app
from lapicque.lab import storage, tour

KEYS = ["experiment", "preset", "seed", "metrics", "claims", "wall_s", "run_dir"]
CLAIM = ["id", "statement", "published", "certainty", "source", "measured", "tolerance", "holds"]


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """Path of the toy experiment, with an empty folder as the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return str(write_walk(tmp_path / "work"))


def lapicque(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def process(*arguments, **options):
    command = [sys.executable, "-m", "lapicque.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def refused(result, message):
    """Exit status 2, one message on standard error, no traceback, nothing on standard output."""
    assert result.exit_code == 2, result.output
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return True


def test_json_is_exactly_one_object(walk):
    done = lapicque("run", walk, "--seed", 3, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert list(result) == KEYS
    assert all(list(claim) == CLAIM for claim in result["claims"])
    assert (result["experiment"], result["preset"], result["seed"]) == ("toy/walk", "quick", 3)
    assert [claim["tolerance"] for claim in result["claims"]] == [[0.1, 9.0], [None, 100.0]]
    assert json.loads((Path(result["run_dir"]) / "metrics.json").read_text()) == result


def test_json_of_a_process_holds_nothing_but_the_object(walk):
    done = process("run", walk, "--seeds", "0:2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seed"] == [0, 1]
    assert "an experiment that prints" in done.stderr


def test_what_is_not_a_number_is_null_and_does_not_hold(walk):
    done = lapicque("run", walk, "--set", "end=missing", "--json")
    assert done.exit_code == 3
    result = json.loads(done.stdout, parse_constant=pytest.fail)
    assert result["metrics"] == {"spread": None, "far": None}
    assert [claim["holds"] for claim in result["claims"]] == [False, False]


def test_claim_that_does_not_hold_is_exit_status_3(walk):
    assert lapicque("run", walk).exit_code == 0
    done = lapicque("run", walk, "--set", "limit=-1")
    assert done.exit_code == 3
    assert "does not hold" in done.stdout
    assert "report.html" in done.stdout


def test_preset_that_judges_nothing_holds(walk):
    done = lapicque("run", walk, "--preset", "smoke", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["claims"] == []


def test_crash_keeps_its_traceback_and_can_be_resumed(walk):
    done = lapicque("run", walk, "--set", "end=crash", "--json")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "the floor gave way" in done.stderr
    error = next(Path("runs").rglob("error.txt"))
    assert "the floor gave way" in error.read_text()
    assert lapicque("run", "--resume", error.parent).exit_code == 1
    Path(walk).write_text(WALK.replace("raise RuntimeError", "str"))
    resumed = lapicque("run", "--resume", error.parent)
    assert resumed.exit_code == 0
    assert "the file of the experiment was edited" in resumed.stderr
    assert not error.exists()


def test_crash_of_one_seed_does_not_stop_the_others(walk):
    Path(walk).write_text(WALK.replace('if config.end == "crash":', "if seed == 0:"))
    done = process("run", walk, "--seeds", "0:3", "--json")
    assert done.returncode == 1
    assert "the floor gave way" in done.stderr
    assert len(list(Path("runs").rglob("seed*/metrics.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Which experiment"),
        (["run", "latent_equilibrium/digit"], "Did you mean 'latent_equilibrium/digits'"),
        (["run", "WALK", "--preset", "fast"], "no preset 'fast'; it has smoke, quick, paper"),
        (["run", "WALK", "--set", "step=3"], "no field 'step'.*Did you mean 'steps'"),
        (["run", "WALK", "--set", "steps=x"], "`steps` is 'x'; it must be int"),
        (["run", "WALK", "--set", "pull=3"], "`pull` is 3; it must lie between 0 and 1"),
        (["run", "WALK", "--set", "pull"], "lacks a value"),
        (["run", "WALK", "--seed", "-1"], "seed is -1; it must be at least 0"),
        (["run", "WALK", "--seed", "x"], "Invalid value for '--seed'"),
        (["run", "WALK", "--seeds", "3:3"], "not a range; write `--seeds A:B`"),
        (["run", "WALK", "--seeds", "3"], "not a range"),
        (["run", "WALK", "--seeds", "-2:3"], "must be at least 0"),
        (["run", "WALK", "--seed", "1", "--seeds", "0:2"], "exclude each other"),
        (["run", "WALK", "--seeds", "0:2", "--workers", "0"], "Invalid value for '--workers'"),
        (["run", "WALK", "--out", "/proc/none"], "Cannot create the folder"),
        (["run", "WALK", "--out", "/dev/null/x"], "A part of the path is a file"),
        (["run", "WALK", "--set", "end=full", "--json"], "The disk is full"),
        (["run", "--resume", "nowhere"], "`nowhere` holds no run"),
        (["run", "--nonsense"], "No such option"),
        (["report", "nowhere"], "`nowhere` holds no run"),
        (["list", "--work", "latent"], "There is no work 'latent'"),
        (["show", "x"], "There is no experiment 'x'"),
        (["cite", "x"], "There is no experiment 'x'"),
        (["data", "fetch", "mnits"], "mnist"),
        (["nonsense"], "No such command"),
    ],
)
def test_misuse_is_one_message_and_exit_status_2(walk, arguments, message):
    assert refused(lapicque(*[walk if one == "WALK" else one for one in arguments]), message)


def test_full_disk_while_saving_is_exit_status_2_and_can_be_resumed(walk, monkeypatch):
    replace = os.replace

    def full(source, target):
        if str(target).endswith("recordings.h5"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(storage.os, "replace", full)
    assert refused(lapicque("run", walk, "--json"), "disk is full: free some space")
    monkeypatch.undo()
    os.chdir(Path(walk).parents[2] / "here")
    folder = next(Path("runs").rglob("config.json")).parent
    assert lapicque("run", "--resume", folder).exit_code == 0


def test_damaged_checkpoint_is_refused_by_name(walk):
    lapicque("run", walk, "--set", "end=crash")
    path = next(Path("runs").rglob("checkpoint/walk.h5"))
    path.write_bytes(path.read_bytes()[:-1])
    folder = path.parents[1]
    assert refused(lapicque("run", "--resume", folder, "--json"), "walk.h5` is damaged")


def test_resuming_a_finished_run_returns_what_is_stored(walk):
    first = json.loads(lapicque("run", walk, "--json").stdout)
    path = Path(first["run_dir"]) / "recordings.h5"
    path.unlink()
    again = lapicque("run", walk, "--resume", first["run_dir"], "--set", "n=20", "--json")
    assert json.loads(again.stdout) == first
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", 1], "has the seed 0, not 1"),
        (["--preset", "smoke"], "has the preset quick, not smoke"),
        (["--set", "n=4"], "has the value of `n` 20, not 4"),
        (["latent_equilibrium/digits"], "has the experiment toy/walk"),
    ],
)
def test_resuming_another_run_than_asked_for_is_refused(walk, arguments, message):
    folder = json.loads(lapicque("run", walk, "--json").stdout)["run_dir"]
    assert refused(lapicque("run", *arguments, "--resume", folder), message)


def test_seeds_in_processes_equal_single_runs(walk):
    done = process("run", walk, "--seeds", "0:3", "--workers", 2, "--json")
    result = json.loads(done.stdout)
    alone = [json.loads(lapicque("run", walk, "--seed", k, "--json").stdout) for k in range(3)]
    for seed, one in enumerate(alone):
        among = json.loads((Path(result["run_dir"]) / f"seed{seed}/metrics.json").read_text())
        assert among["metrics"] == one["metrics"]
    values = [one["metrics"]["spread"] for one in alone]
    mean = sum(values) / 3
    sd = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert result["seed"] == [0, 1, 2]
    assert result["metrics"]["spread"] == pytest.approx(mean)
    assert result["metrics"]["spread_sd"] == pytest.approx(sd)
    assert result["claims"][0]["measured"] == result["metrics"]["spread"]
    again = lapicque("run", "--resume", result["run_dir"], "--json")
    assert json.loads(again.stdout) == result
    assert lapicque("report", result["run_dir"], alone[0]["run_dir"]).exit_code == 0
    assert Path("runs/toy/walk/comparison.html").exists()


def test_interrupted_run_says_how_to_go_on(walk):
    command = [sys.executable, "-m", "lapicque.cli", "run", walk, "--set", "pause=0.5"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not list(Path("runs").rglob("checkpoint/start.h5")):
        time.sleep(0.05)
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130
    hint = re.search(r"lapicque run --resume (\S+)", err)
    assert hint is not None, err
    assert "Traceback" not in err
    assert out == ""
    assert (Path(hint[1]) / "config.json").exists()


def test_list_show_and_cite(walk):
    listed = lapicque("list", "--work", "latent_equilibrium")
    assert "latent_equilibrium/digits" in listed.stdout
    assert "not run here" in listed.stdout
    shown = lapicque("show", walk)
    assert shown.exit_code == 0
    for part in ("Walkers take", "share of the way home", "[spread]", "0.1 to 9", "haider2021"):
        assert part in shown.stdout
    assert lapicque("cite", walk).stdout.startswith("@inproceedings{haider2021latent,")
    assert "yin_yang" in lapicque("data", "list").stdout
    assert lapicque("--version").stdout.startswith("lapicque 0.")


def test_tour_goes_on_after_a_failure_and_writes_a_gallery(walk, tmp_path, monkeypatch):
    broken = tmp_path / "work" / "toy" / "broken.py"
    broken.write_text(WALK.replace("return Outcome", "return 1 / 0 or Outcome"))
    monkeypatch.setattr(tour.tour, "__defaults__", ((str(broken), walk), print))
    done = lapicque("tour")
    assert done.exit_code == 1, done.output
    page = Path("runs/tour/index.html").read_text()
    assert "ZeroDivisionError" in page
    link = re.search(r'href="(\.\./[^"]+report.html)"', page)
    assert link is not None
    assert (Path("runs/tour") / link[1]).exists()
    monkeypatch.setattr(tour.tour, "__defaults__", ((walk,), print))
    assert lapicque("tour").exit_code == 0


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_load_nothing_heavy(arguments, tmp_path):
    code = (
        f"import sys\nsys.argv = ['lapicque', *{arguments}]\nfrom lapicque.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'jax', 'numpy', 'matplotlib', 'numba', 'h5py', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
