"""The idx reader, on good files and on every kind of bad one."""

import contextlib
import gzip
import hashlib
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lapicque._checks import DataError
from lapicque.data import read_idx

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
DIGITS = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 3) + bytes(range(18))
TYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")


@same_folder
@given(st.sampled_from(TYPES), array_shapes(max_dims=4), st.booleans(), st.data())
def test_arrays_come_back_as_written(tmp_path, as_idx, dtype, shape, packed, data):
    array = data.draw(arrays(dtype, shape))
    content = as_idx(array)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if packed else content)
    read = read_idx(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@same_folder
@given(st.integers(0, len(DIGITS) - 1), st.booleans())
def test_a_file_cut_anywhere_is_refused(tmp_path, length, packed):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(DIGITS[:length]) if packed else DIGITS[:length])
    with pytest.raises(DataError, match=str(path)):
        read_idx(path)


@same_folder
@given(st.integers(0, len(gzip.compress(DIGITS, mtime=0)) - 1))
def test_a_packed_file_cut_anywhere_is_refused(tmp_path, length):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(DIGITS, mtime=0)[:length])
    with pytest.raises(DataError, match=str(path)):
        read_idx(path)


@same_folder
@given(st.binary(max_size=64))
def test_any_bytes_give_an_array_or_a_data_error(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert isinstance(read_idx(path, max_bytes=1000), np.ndarray)


@same_folder
@given(st.integers(0, len(DIGITS) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(tmp_path, place, change):
    damaged = bytearray(DIGITS)
    damaged[place] ^= change
    path = tmp_path / "file"
    path.write_bytes(damaged)
    with pytest.raises(DataError):
        read_idx(path, f"sha256:{hashlib.sha256(DIGITS).hexdigest()}", max_bytes=1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PNG!" + DIGITS, "no idx file: it begins with 50 4e 47 21"),
        (b"\0\0\x07\x01" + DIGITS, "type code"),
        (b"\0\0\x08\x00", "declares 0 axes"),
        (b"\0\0\x08\xff", "declares 255 axes"),
        (DIGITS + b"\0", "more follow: it is too long"),
        (DIGITS[:-1], "only 17 follow: it is truncated"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "are accepted"),
        (b"", "begins with nothing"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_a_declared_size_is_not_allocated_before_it_is_seen(tmp_path):
    """1 GB declared, 1 kB there: the memory taken stays far below the declaration."""
    content = struct.pack(">BBBBI", 0, 0, 8, 1, 10**9) + bytes(1000)
    for packed in (False, True):
        path = tmp_path / f"file{packed}"
        path.write_bytes(gzip.compress(content) if packed else content)
        tracemalloc.start()
        with pytest.raises(DataError, match="truncated"):
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10e6


def test_a_wrong_checksum_shows_both(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DIGITS)
    found = hashlib.sha256(DIGITS).hexdigest()
    with pytest.raises(DataError, match=f"{path}.*{found}, expected {'0' * 64}. Do that"):
        read_idx(path, "sha256:" + "0" * 64, advice="Do that.")


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "nothing")
