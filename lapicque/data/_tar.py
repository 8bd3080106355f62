"""Reading a few known files out of a tar archive, and nothing else."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

from lapicque._checks import DataError
from lapicque.data._locate import opened


def read_members(path: Path, wanted: Mapping[str, int]) -> dict[str, bytes]:
    """Contents of the wanted members of an archive, plain or packed with gzip.

    Nothing is written to disk and only names in `wanted` are looked at, so that links,
    devices and paths that lead elsewhere have no effect.

    Args:
        path: The archive.
        wanted: Names of members, and the largest length of each that is accepted [bytes].

    Raises:
        DataError: The archive cannot be read or is damaged; a wanted member is missing, is
            not a regular file, or is longer than allowed.
    """
    found: dict[str, bytes] = {}
    try:
        with opened(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name not in wanted or name in found:
                    continue
                if not member.isreg():
                    raise DataError(f"{path} is not trusted: its `{name}` is not a plain file.")
                if member.size > wanted[name]:
                    raise DataError(
                        f"{path} is not trusted: its `{name}` has {member.size:,} bytes; "
                        f"at most {wanted[name]:,} are expected."
                    )
                content = archive.extractfile(member)
                assert content is not None
                found[name] = content.read()
                if len(found) == len(wanted):
                    break
    except tarfile.TarError as error:
        raise DataError(f"{path} is damaged: it is no readable tar archive ({error}).") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path} does not hold {', '.join(missing)}.")
    return found
