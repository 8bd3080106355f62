"""Files that are whole or absent: atomic writes, checked reads.

A file is written under a temporary name in its own folder, forced to the disk and renamed.
Arrays are stored as HDF5 behind a 512-byte block (HDF5's user block, which its readers skip)
with the SHA-256 of all that follows, so that no damaged byte is ever read as a number.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapicque._checks import InputError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_BLOCK = 512
_MAGIC = b"lapicque arrays 1\n"
_LARGEST_SVG = 1_500_000  # bytes; beyond, a bitmap is smaller and faster to show

_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space",
    errno.EDQUOT: "Your disk quota is used up: free some space",
    errno.EACCES: "No permission: choose another folder with `--out`, or change its permissions",
    errno.EPERM: "No permission: choose another folder with `--out`, or change its permissions",
    errno.EROFS: "The file system is read-only: choose another folder with `--out`",
    errno.ENOENT: "There is no such file or folder: check the path",
    errno.ENOTDIR: "A part of the path is a file: choose another folder with `--out`",
    errno.EEXIST: "A file is in the way: move it, or choose another folder with `--out`",
    errno.EISDIR: "A folder is in the way: move it, or choose another folder with `--out`",
    errno.ENAMETOOLONG: "The name is too long: choose a shorter path",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n`",
}


def storage_error(error: OSError, path: Path, doing: str) -> StorageError:
    """The error to raise for a failed system call: what, where, why, and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "Check the disk")
    return StorageError(f"Cannot {doing} `{path}` ({error.strerror or error}). {remedy}.")


def make_folder(path: Path) -> Path:
    """Create a folder and those above it, if they are missing.

    Raises:
        StorageError: It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path, "create the folder") from error
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by `content`, entirely or not at all.

    Raises:
        StorageError: It cannot be written; the file is as it was before.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
        temporary = None
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself must survive a power cut
        finally:
            os.close(folder)
    except OSError as error:
        raise storage_error(error, path, "write") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) atomically. Raises `StorageError` like `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically. Raises `StorageError` like `write_bytes`."""
    write_text(path, to_json(value, indent=2) + "\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON text; a float that is not finite becomes null."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False)


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, str] | None = None
) -> None:
    """Replace an HDF5 file atomically by named arrays; a `/` in a name makes a group.

    Raises:
        InputError: An array holds Python objects, or its name is also that of a group.
        StorageError: It cannot be written; the file is as it was before.
    """
    import h5py
    import numpy as np

    # The image is made in memory, so that a full disk is met in `write_bytes`, not within HDF5.
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        for name, value in (attributes or {}).items():
            file[f"attributes/{name}"] = np.frombuffer(value.encode(), dtype=np.uint8)
        file.create_group("arrays")
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind == "O":
                raise InputError(
                    f"`{name}` holds Python objects; only numbers and text are stored."
                )
            dtype = array.dtype.name
            if array.dtype.kind == "U":
                array = np.char.encode(array, "utf-8")
                dtype = "text"
            elif (
                array.dtype.kind == "V" and array.dtype.names is None
            ):  # numbers HDF5 does not know, such as bfloat16
                array = array.view(f"u{array.dtype.itemsize}")
            try:
                dataset = file.create_dataset(f"arrays/{name}", data=array)
            except (ValueError, TypeError) as error:
                raise InputError(f"`{name}` cannot be stored ({error}).") from error
            dataset.attrs["dtype"] = dtype
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, (_MAGIC + sha256(image).digest()).ljust(_BLOCK, b"\0") + image)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and attributes of a file of `write_arrays`, by their names.

    Raises:
        StorageError: It cannot be read, or a byte of it differs from what was written.
    """
    import h5py

    content = read_bytes(path)
    image = content[_BLOCK:]
    header = (_MAGIC + sha256(image).digest()).ljust(_BLOCK, b"\0")
    if content[:_BLOCK] != header:
        raise StorageError(
            f"`{path}` is damaged or incomplete: its content does not match its checksum. "
            "Delete it; what it held is computed again."
        )
    arrays: dict[str, np.ndarray] = {}
    attributes: dict[str, str] = {}
    with h5py.File(io.BytesIO(image), "r") as file:

        def visit(name: str, item: Any) -> None:
            kind, _, rest = name.partition("/")
            if not isinstance(item, h5py.Dataset):
                return
            if kind == "arrays":
                arrays[rest] = _restored(item[()], str(item.attrs["dtype"]))
            else:
                attributes[rest] = bytes(item[()]).decode()

        file.visititems(visit)
    return arrays, attributes


def write_figure(folder: Path, name: str, figure: Figure) -> Path:
    """Draw a figure into `folder` as SVG, or as PNG if the SVG would be very large.

    The same figure gives the same bytes.

    Raises:
        StorageError: It cannot be written.
    """
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "lapicque"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    kind = "svg"
    if buffer.tell() > _LARGEST_SVG:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
        kind = "png"
    path = folder / f"{name}.{kind}"
    write_bytes(path, buffer.getvalue())
    return path


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error(error, path, "read") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        StorageError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise StorageError(f"`{path}` is damaged: it is not JSON ({error}).") from error


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def _restored(array: Any, dtype: str) -> np.ndarray:
    import numpy as np

    array = np.asarray(array)
    if dtype == "text":
        return np.char.decode(array, "utf-8")
    if array.dtype.name != dtype and array.dtype.kind == "u":
        import ml_dtypes

        return array.view(getattr(ml_dtypes, dtype))
    return array


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
