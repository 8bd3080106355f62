"""What is known about a data set before any of it is read."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class File:
    """A file of a data set.

    Attributes:
        name: Name in the data folder.
        size: Length [bytes].
        checksum: `algorithm:hex digest` of the file.
        gzip: Whether it may also lie, and is offered for download, as `name + ".gz"`;
            `size` and `checksum` are those of the unpacked file.
    """

    name: str
    size: int
    checksum: str
    gzip: bool = True


class Supply(Protocol):
    """Where the files of a data set can be had."""

    def deliver(self, files: tuple[File, ...], folder: Path) -> Iterator[tuple[File, Path]]:
        """Put files into `folder` and yield where, one by one, packed or not, unchecked.

        Raises:
            Undelivered: This and the remaining files cannot be had here.
        """
        ...


class Undelivered(Exception):
    """A supply that cannot deliver; says why."""


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and on which terms.

    Attributes:
        name: Short name, as in `fetch(name)`.
        title: What it is, in one line.
        kind: `generated` by this package, `installed` with another one, or `downloaded`.
        licence: Licence of the data, as far as it is known.
        obtained: How it gets onto a machine.
        reference: Whom to cite.
        requires: Distribution that carries the data, for the kind `installed`.
        extra: Extra of this package that installs `requires`; empty if it always comes along.
        files: Files to download.
        supplies: Where to get them, in order of preference.
        system_folders: Folders where system packages put the files.
        synthetic: Whether the data only stand in for real ones.
    """

    name: str
    title: str
    kind: Literal["generated", "installed", "downloaded"]
    licence: str
    obtained: str
    reference: str
    requires: str = ""
    extra: str = ""
    files: tuple[File, ...] = ()
    supplies: tuple[Supply, ...] = ()
    system_folders: tuple[str, ...] = ()
    synthetic: bool = False

    @property
    def size(self) -> int:
        """Length of the files to download, unpacked [bytes]; 0 if there are none."""
        return sum(file.size for file in self.files)

    @property
    def available(self) -> bool:
        """Whether the data can be loaded here and now; file contents are not verified."""
        if self.kind == "downloaded":
            from lapicque.data._locate import locate

            return all(locate(self, file) is not None for file in self.files)
        return not self.requires or self.installed_version is not None

    @property
    def installed_version(self) -> str | None:
        """Version of the distribution that carries the data, None if not installed."""
        try:
            return version(self.requires)
        except PackageNotFoundError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Everything a listing shows, in JSON's types."""
        shown = ("name", "title", "kind", "licence", "obtained", "reference", "size", "synthetic")
        return {
            **{field: getattr(self, field) for field in shown},
            "files": [asdict(file) for file in self.files],
            "supplies": [str(supply) for supply in self.supplies],
            "available": self.available,
        }
