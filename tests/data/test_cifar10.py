"""The CIFAR-10 loader on a tiny archive, and archives that mean harm."""

import hashlib
import io
import tarfile
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from lapicque._checks import DataError
from lapicque.data import File, cifar10
from lapicque.data._tar import read_members

module = import_module("lapicque.data.cifar10")
FOLDER = "cifar-10-batches-bin"


def archive(members: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def batches():
    """Six batches of four photographs; the label of each is its number, its pixels too."""
    contents, number = {}, 0
    for batch in module.BATCHES:
        records = b""
        for _ in range(4):
            planes = b"".join(bytes([number + plane]) * 1024 for plane in (0, 50, 100))
            records += bytes([number % 10]) + planes
            number += 1
        contents[f"{FOLDER}/{batch}.bin"] = records
    return contents


@pytest.fixture
def place(monkeypatch, bare):
    """Put an archive where the loader looks, with a matching checksum."""

    def put(content: bytes):
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        file = File(module.SOURCE.files[0].name, len(content), checksum, gzip=False)
        monkeypatch.setattr(module, "SOURCE", replace(module.SOURCE, files=(file,)))
        (bare / "cifar10").mkdir(parents=True, exist_ok=True)
        path = bare / "cifar10" / file.name
        path.write_bytes(content)
        return path

    return put


def test_photographs_come_channels_first_in_their_order(place, batches):
    place(archive(batches))
    data = cifar10(scale=1.0)
    assert [len(split) for split in data.splits.values()] == [16, 4, 4]
    assert data.shape == (3, 32, 32)
    assert data.train.labels.tolist() == [i % 10 for i in range(16)]
    np.testing.assert_array_equal(data.train.inputs[3, :, 0, 0], [3, 53, 103])
    assert data.validation is not None
    assert data.validation.inputs[0, 0, 0, 0] == 16
    assert data.test.inputs[0, 0, 0, 0] == 20
    assert len(cifar10(validation=False).train) == 20
    assert "16/4/4" in data.origin


def test_planes_are_read_row_by_row():
    planes = np.arange(3072) % 251
    images, labels = module.read_records(bytes([7, *planes]))
    assert labels.tolist() == [7]
    np.testing.assert_array_equal(images[0], planes.reshape(3, 32, 32))


def test_a_damaged_archive_is_refused_before_it_is_unpacked(place, batches):
    path = place(archive(batches))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"(?s)its md5 is .*, expected .*fetch it again"):
        cifar10()


def test_a_missing_archive_is_named(bare):
    with pytest.raises(DataError, match=r"(?s)cifar-10-binary.tar.gz.*lapicque data fetch cifar10"):
        cifar10()


def test_broken_records_are_refused(place, batches):
    name = f"{FOLDER}/data_batch_2.bin"
    place(archive({**batches, name: batches[name][:-1]}))
    with pytest.raises(DataError, match=r"data_batch_2.*whole number of records"):
        cifar10()
    place(archive({**batches, name: b"\x0b" + batches[name][1:]}))
    with pytest.raises(DataError, match=r"data_batch_2.*label 11"):
        cifar10()
    del batches[name]
    place(archive(batches))
    with pytest.raises(DataError, match=r"does not hold .*data_batch_2"):
        cifar10()


def test_hostile_members_have_no_effect(tmp_path):
    """Paths that lead elsewhere are not followed: nothing is written at all."""
    inner = tmp_path / "inner"
    inner.mkdir()
    evil = {"../escaped": b"x", str(tmp_path / "absolute"): b"x", "wanted": b"good"}
    (inner / "a.tar.gz").write_bytes(archive(evil, links={"link": "/etc/passwd"}))
    assert read_members(inner / "a.tar.gz", {"wanted": 10}) == {"wanted": b"good"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "inner"]


@pytest.mark.parametrize(
    ("members", "links", "message"),
    [
        ({}, {"wanted": "/etc/passwd"}, "not a plain file"),
        ({"wanted": b"x" * 11}, {}, "11 bytes; at most 10"),
        ({"../wanted": b"x"}, {}, "does not hold wanted"),
    ],
)
def test_untrustworthy_members_are_refused(tmp_path, members, links, message):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(archive(members, links=links))
    with pytest.raises(DataError, match=message):
        read_members(path, {"wanted": 10})


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    for content in (b"<html>Not found</html>" * 50, archive({"other": bytes(5000)})[:60], b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"damaged|does not hold"):
            read_members(path, {"wanted": 10})
