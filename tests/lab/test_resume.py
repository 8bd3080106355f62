"""A run that is killed at any moment and resumed ends with the result of an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-m", "lapicque.cli", "run"]
SLOW = os.environ.get("LAPICQUE_KILL_TEST", "latent_equilibrium/yin_yang:smoke")


def run(*arguments, cwd, **options):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=600, **options
    )


def kill_after(seconds, arguments, cwd):
    """Start a run, kill its whole group after so many seconds; whether it was still running."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def only_run(folder):
    found = [path.parent for path in folder.glob("runs/*/*/*/config.json")]
    assert len(found) <= 1
    return found[0] if found else None


def result_of(process):
    assert process.returncode in (0, 3), process.stderr
    result = json.loads(process.stdout)
    return {key: result[key] for key in ("metrics", "claims", "seed", "preset")}


def check_kills(arguments, folder, moments):
    """Kill at each of the moments [s], one after the other, then let it end."""
    undisturbed = folder / "undisturbed"
    undisturbed.mkdir()
    expected = result_of(run(*arguments, "--json", cwd=undisturbed))
    kills = 0
    for i, moment in enumerate(moments):
        where = folder / str(i)
        where.mkdir()
        begun = list(arguments)
        for pause in (moment, moment / 2):  # a resumed run may be killed as well
            kills += kill_after(pause, begun, where)
            if (one := only_run(where)) is not None:
                begun = ["--resume", str(one)]
        final = run(*begun, "--json", cwd=where)
        assert result_of(final) == expected
        for file in ("recordings.h5", "history.h5"):
            for path in only_run(undisturbed).rglob(file):
                twin = only_run(where) / path.relative_to(only_run(undisturbed))
                assert twin.read_bytes() == path.read_bytes(), twin
        assert not list(only_run(where).rglob(".*.??????*")), "a temporary file is left"
    return kills


def test_killed_run_ends_like_an_undisturbed_one(walk, tmp_path):
    arguments = [walk, "--set", "steps=60", "--set", "pause=0.05"]
    assert check_kills(arguments, tmp_path, [0.4, 2.9]) >= 2


def test_killed_seeds_end_like_undisturbed_ones(walk, tmp_path):
    arguments = [walk, "--set", "steps=20", "--set", "pause=0.05", "--seeds", "0:2"]
    assert check_kills(arguments, tmp_path, [1.7]) >= 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_experiment_killed_at_twenty_moments_ends_like_an_undisturbed_one(tmp_path):
    """Set LAPICQUE_KILL_TEST=<work>/<name>:<preset> to try another experiment."""
    name, _, preset = SLOW.partition(":")
    arguments = [name, "--preset", preset or "smoke"]
    begin = time.monotonic()
    (tmp_path / "timing").mkdir()
    run(*arguments, cwd=tmp_path / "timing")
    length = time.monotonic() - begin
    draw = random.Random(0)
    moments = [draw.uniform(0, 1.1 * length) for _ in range(20)]
    assert check_kills(arguments, tmp_path, moments) >= 10
