"""Where data files lie, and whether they are what they should be."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lapicque._checks import DataError
from lapicque.data._sources import File, Source

ENVIRONMENT = "LAPICQUE_DATA"
CHUNK = 1 << 20  # bytes read at a time, so that no declared size is ever allocated unseen
GZIP_MAGIC = b"\x1f\x8b"


def data_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds a folder per data set.

    It is `root` if given, else the environment variable LAPICQUE_DATA, else the user's cache
    folder.
    """
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT]).expanduser()
    return _cache()


def folders(source: Source, root: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders searched for the files of `source`, first to last.

    With `root`: its subfolder named after the data set, then `root` itself, nothing else.
    Without: LAPICQUE_DATA, the user's cache folder, the folders of system packages.
    """
    first = data_folder(root)
    if root is not None:
        return [first / source.name, first]
    own = dict.fromkeys([first / source.name, _cache() / source.name])
    return [*own, *map(Path, source.system_folders)]


def locate(source: Source, file: File, root: str | os.PathLike[str] | None = None) -> Path | None:
    """The first place where the file lies, unpacked or as .gz; None if nowhere."""
    names = (file.name, f"{file.name}.gz") if file.gzip else (file.name,)
    for folder in folders(source, root):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def located(
    source: Source, root: str | os.PathLike[str] | None = None, hint: str = ""
) -> list[Path]:
    """Where each file of `source` lies, in the order of `source.files`.

    Raises:
        DataError: One is missing; the message says where it was sought and how to get it.
    """
    paths = [locate(source, file, root) for file in source.files]
    missing = [file for file, path in zip(source.files, paths, strict=True) if path is None]
    if missing:
        searched = folders(source, root)
        names = "\n".join(f"  {file.name} ({file.size:,} bytes)" for file in missing)
        places = "\n".join(f"  {folder}" for folder in searched)
        packed = ", unpacked or as .gz," if any(file.gzip for file in missing) else ""
        raise DataError(
            f"The data set `{source.name}` is not on this machine. Missing:\n{names}\n"
            f"Searched:\n{places}\n"
            f"Fetch it with {_command(source, root)}, or put the files{packed} into "
            f"{searched[0]} by hand." + (f" {hint}" if hint else "")
        )
    return [path for path in paths if path is not None]


@contextmanager
def opened(path: Path, unpack: bool = True) -> Iterator[BinaryIO]:
    """Open a file for reading; unpack it on the fly if its content is gzip and `unpack` is set.

    Raises:
        DataError: The file cannot be read, or its packing is damaged (also while reading
            within the context).
    """
    try:
        with open(path, "rb") as raw:
            packed = unpack and raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if packed:
                with gzip.open(raw) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield raw
    except DataError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: it does not unpack ({error}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def chunks(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    """What the stream holds, a chunk at a time, at most `limit` bytes in all."""
    while limit > 0 and (chunk := stream.read(min(CHUNK, limit))):
        limit -= len(chunk)
        yield chunk


def content(path: Path, file: File) -> Iterator[bytes]:
    """The unpacked content of `path` in chunks, cut off just past the size of `file`.

    Raises:
        DataError: It cannot be read or does not unpack. What goes wrong with a chunk in the
            caller's hands, such as a full disk, is not mistaken for this.
    """
    with opened(path, file.gzip) as stream:
        # One byte more than there should be shows a file that is too long.
        yield from chunks(stream, file.size + 1)


class Digest:
    """Running checksum of what is read, to be compared with `algorithm:hex digest`."""

    def __init__(self, checksum: str) -> None:
        self._algorithm, _, self._expected = checksum.partition(":")
        self._hash = hashlib.new(self._algorithm, usedforsecurity=False)

    def update(self, data: bytes | bytearray) -> None:
        self._hash.update(data)

    def check(self, path: str | os.PathLike[str], advice: str) -> None:
        """Compare.

        Raises:
            DataError: The checksums differ; the message shows both and ends with `advice`.
        """
        found = self._hash.hexdigest()
        if found != self._expected:
            raise DataError(
                f"{path} is damaged or another file: its {self._algorithm} is {found}, "
                f"expected {self._expected}. {advice}"
            )


def verify(path: Path, file: File, advice: str = "") -> None:
    """Check the content of `path`, unpacked if packed, against the file's size and checksum.

    Raises:
        DataError: It cannot be read or differs.
    """
    digest = Digest(file.checksum)
    for chunk in content(path, file):
        digest.update(chunk)
    digest.check(path, advice)


def refetch(source: Source, root: str | os.PathLike[str] | None = None) -> str:
    """Advice for a file that turned out to be damaged."""
    return f"Delete it, then fetch it again with {_command(source, root)}."


def _command(source: Source, root: str | os.PathLike[str] | None) -> str:
    if root is not None:
        return f'`lapicque.data.fetch("{source.name}", root="{root}")`'
    command = f"`lapicque data fetch {source.name}`"
    return f"{command} or `make data`" if "mnist" in source.name else command


def _cache() -> Path:
    import pooch  # loads its HTTP client, which listing and loading elsewhere do not need

    return Path(pooch.os_cache("lapicque"))
