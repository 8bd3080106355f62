import errno
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from lapicque._checks import InputError, StorageError
from lapicque.lab import storage

dtypes = st.sampled_from(["?", "i1", "u2", "i8", "f2", "f4", "f8", "c8", "c16"])
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
names = st.text("abcdefg", min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(names, arrays, max_size=4))
def test_arrays_come_back_bit_by_bit(tmp_path, given):
    storage.write_arrays(tmp_path / "a.h5", given, {"note": "é"})
    found, attributes = storage.read_arrays(tmp_path / "a.h5")
    assert attributes == {"note": "é"}
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_unusual_arrays_come_back(tmp_path):
    given = {"text": np.array(["a", "ö"]), "half": np.arange(3).astype(ml_dtypes.bfloat16)}
    storage.write_arrays(tmp_path / "a.h5", given)
    found, _ = storage.read_arrays(tmp_path / "a.h5")
    assert found["text"].tolist() == ["a", "ö"]
    assert found["half"].dtype == ml_dtypes.bfloat16
    assert found["half"].tolist() == [0, 1, 2]


def test_other_programs_can_read_the_file(tmp_path):
    import h5py

    storage.write_arrays(tmp_path / "a.h5", {"group/x": np.arange(3)})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["arrays/group/x"][:].tolist() == [0, 1, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_damaged_file_is_read(tmp_path, data):
    """Whichever byte changes, and wherever the file ends, nothing is returned."""
    path = tmp_path / "a.h5"
    storage.write_arrays(path, {"x": np.arange(50.0)})
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
    for damaged in (whole[:place], whole[:place] + flipped + whole[place + 1 :], whole + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match="damaged"):
            storage.read_arrays(path)


def test_objects_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds Python objects"):
        storage.write_arrays(tmp_path / "a.h5", {"x": np.array([object()])})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "No permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, call, number, remedy
):
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": 1})

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageError, match=remedy) as error:
        storage.write_json(path, {"new": 2})
    assert str(path) in str(error.value)
    assert storage.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_really_full_disk_is_a_storage_error(tmp_path, monkeypatch):
    """The kernel's own ENOSPC, from its device that is always full."""
    monkeypatch.setattr(
        storage.tempfile,
        "mkstemp",
        lambda **_: (os.open("/dev/full", os.O_WRONLY), str(tmp_path / "t")),
    )
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with pytest.raises(StorageError, match="disk is full"):
        storage.write_text(tmp_path / "a", "x" * 10_000)


def test_killed_before_the_rename_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": 1})
    code = (
        "import os; from pathlib import Path; from lapicque.lab import storage\n"
        "os.replace = lambda *_: os._exit(9)\n"
        f"storage.write_json(Path({str(path)!r}), {{'new': 2}})"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert storage.read_json(path) == {"old": 1}


def test_reading_what_is_not_there_or_not_json(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        storage.read_json(tmp_path / "none")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(StorageError, match="not JSON"):
        storage.read_json(tmp_path / "half.json")
    with pytest.raises(StorageError, match="the path is a file"):
        storage.make_folder(tmp_path / "half.json" / "below")


def test_what_is_not_finite_becomes_null():
    assert (
        storage.to_json({"a": [float("nan"), float("inf")], "b": 1.5})
        == '{"a": [null, null], "b": 1.5}'
    )


def test_figures_are_repeatable_and_large_ones_become_bitmaps(tmp_path, monkeypatch):
    from lapicque.lab.figure import subplots

    def draw():
        figure, axes = subplots()
        axes[0, 0].plot([1, 2, 4])
        return storage.write_figure(tmp_path, "line", figure)

    first = draw()
    content = first.read_bytes()
    assert first.suffix == ".svg"
    assert draw().read_bytes() == content
    monkeypatch.setattr(storage, "_LARGEST_SVG", 10)
    assert draw().suffix == ".png"
