"""Loaders of the downloaded tasks, on tiny generated files of the same format."""

import numpy as np
import pytest

from lapicque._checks import DataError
from lapicque.benchmark import tasks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tasks.stand_in(tmp_path_factory.mktemp("stand_in"))


def test_keywords_and_their_sessions(folder):
    data = tasks.keywords(folder)
    assert data.synthetic
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 8, 16)
    sound = data.train[0].read()
    assert sound.shape == (tasks.CLIP,)
    assert 0.05 < np.abs(sound).max() <= 1
    first, second = tasks.sessions(data, seed=1)
    assert len(first[0]) == len(second[0]) == 2 * 5
    assert len(second[1]) == 2 * len(first[1]) == 24
    assert not set(first[0] + second[0]) & set(second[1])


def test_reaching_is_split_by_reaches_in_order(folder):
    data = tasks.reaching(folder)
    assert data.synthetic
    assert data.spikes.shape == (4000, 96)
    assert set(np.unique(data.spikes)) == {0, 1}
    assert data.velocity.shape == (4000, 2)
    together = np.concatenate([data.train, data.validation, data.test])
    np.testing.assert_array_equal(together, np.arange(4000))
    assert (len(data.train), len(data.validation)) == (10 * 200 - 1, 5 * 200)
    ahead = data.spikes[data.train].astype(float)
    wanted = data.velocity[data.train]
    fit = np.linalg.lstsq(ahead, wanted, rcond=None)[0]
    assert np.corrcoef((ahead @ fit)[:, 0], wanted[:, 0])[0, 1] > 0.5  # aligned in time


def test_a_real_session_is_checked(folder, tmp_path):
    (tmp_path / "indy_20160622_01.mat").write_bytes((folder / "indy_20160622_01.mat").read_bytes())
    with pytest.raises(DataError, match="md5"):
        tasks.reaching(tmp_path)
    assert not tasks.reaching(tmp_path, check=False).synthetic


def test_gestures_and_activities(folder):
    train, test = tasks.gestures(folder, "train"), tasks.gestures(folder, "test")
    assert (len(train), len(test)) == (22, 11)
    counts = tasks.frames(train[0].events())
    assert counts.shape == (150, 2, 32, 32)
    assert 399 <= counts.sum() <= 400  # the last event may end the last frame
    data = tasks.activities(folder)
    assert data["train"].inputs.shape == (70, 40, 6)
    assert set(data["test"].labels) == set(range(7))


@pytest.mark.parametrize("load", [tasks.keywords, tasks.reaching, tasks.activities,
                                  lambda f: tasks.gestures(f, "train")])  # fmt: skip
def test_missing_data_are_explained(tmp_path, load):
    with pytest.raises(DataError, match=r"Get them from .* \(licence"):
        load(tmp_path)


def test_damaged_and_hostile_files(folder, tmp_path):
    (tmp_path / "indy_20160622_01.mat").write_bytes(b"MATLAB 7.3" * 100)
    with pytest.raises(DataError, match="no readable session"):
        tasks.reaching(tmp_path, check=False)
    (tmp_path / "watch_subset2_40.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="no readable archive"):
        tasks.activities(tmp_path)
    for split in ("train", "val", "test"):
        (tmp_path / f"base_{split}.csv").write_text("../../../etc/passwd,word,en\n")
    with pytest.raises(DataError, match="out of the folder"):
        tasks.keywords(tmp_path)
