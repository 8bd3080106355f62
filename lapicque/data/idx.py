"""The idx file format of MNIST and its kin."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError
from lapicque.data._locate import Digest, chunks, opened

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 8


def read_idx(
    path: str | os.PathLike[str],
    checksum: str | None = None,
    *,
    advice: str = "",
    max_bytes: int = 1 << 30,
) -> NDArray[Any]:
    """Read an idx file, plain or packed with gzip.

    Format: two zero bytes, a type code, the number of axes, the length of each axis as
    big-endian 32-bit integer, then the values in big-endian order, last axis fastest. The
    lengths are believed only as far as the file bears them out.

    Args:
        path: The file.
        checksum: Expected `algorithm:hex digest` of the unpacked file; None to skip.
        advice: What to do about a wrong checksum; ends that message.
        max_bytes: Largest size of the array that is accepted [bytes].

    Returns:
        The array in the machine's byte order.

    Raises:
        DataError: The file cannot be read, does not unpack, is no idx file, is shorter or
            longer than it declares, declares more than `max_bytes`, or has another checksum.
    """
    path = Path(path)
    with opened(path) as stream:
        header = stream.read(4)
        if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in TYPES:
            raise DataError(
                f"{path} is no idx file: it begins with {header.hex(' ') or 'nothing'}; "
                "expected 00 00 and a type code. " + advice
            )
        n_axes = header[3]
        if not 1 <= n_axes <= MAX_AXES:
            raise DataError(f"{path} declares {n_axes} axes; 1 to {MAX_AXES} are supported.")
        lengths = stream.read(4 * n_axes)
        if len(lengths) < 4 * n_axes:
            raise DataError(f"{path} is truncated within its header. " + advice)
        shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
        dtype = np.dtype(TYPES[header[2]])
        size = math.prod(shape) * dtype.itemsize
        if size > max_bytes:
            raise DataError(
                f"{path} declares {size:,} bytes of values, shape {shape}; "
                f"at most {max_bytes:,} are accepted."
            )
        values = bytearray()
        # One byte more than declared shows a file that is too long.
        for chunk in chunks(stream, size + 1):
            values += chunk
    if len(values) != size:
        found = f"only {len(values):,} follow" if len(values) < size else "more follow"
        raise DataError(
            f"{path} declares {size:,} bytes of values, shape {shape}, but {found}: "
            f"it is {'truncated' if len(values) < size else 'too long'}. " + advice
        )
    if checksum is not None:
        digest = Digest(checksum)
        for part in (header, lengths, values):
            digest.update(part)
        digest.check(path, advice)
    array = np.frombuffer(values, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
