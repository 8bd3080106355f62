"""Tiny files in the formats of the real ones, and a machine that has none of the real ones."""

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lapicque.data import File, _locate

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def _as_idx(array) -> bytes:
    """The idx file of an array, written from the format's description."""
    array = np.asarray(array)
    header = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def _as_file(name: str, content: bytes, **options) -> File:
    """The registry's entry for a file of that content."""
    return File(name, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}", **options)


@pytest.fixture(scope="session")
def as_idx():
    """Turns an array into the content of an idx file."""
    return _as_idx


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without data: no environment variable, and an empty cache, which is returned."""
    cache = tmp_path / "cache"
    monkeypatch.delenv("LAPICQUE_DATA", raising=False)
    monkeypatch.setattr(_locate, "_cache", lambda: cache)
    return cache


@pytest.fixture
def website(tmp_path):
    """A folder that is served, and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    folder = tmp_path / "website"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tiny_mnist():
    """Contents and registry entries of an MNIST of 30 and 10 images."""
    rng = np.random.default_rng(0)
    contents = {}
    for part, n in (("train", 30), ("t10k", 10)):
        pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        contents[f"{part}-images-idx3-ubyte"] = _as_idx(pixels)
        contents[f"{part}-labels-idx1-ubyte"] = _as_idx(np.arange(n, dtype=np.uint8) % 10)
    return contents, tuple(_as_file(name, content) for name, content in contents.items())


@pytest.fixture
def put():
    """Write contents into a folder, packed or not."""

    def write(folder, contents, packed=False):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)

    return write
