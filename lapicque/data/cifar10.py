"""CIFAR-10, from the binary version of its archive."""

import os

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError
from lapicque.data._locate import located, refetch, verify
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import File, Source
from lapicque.data._supplies import Mirror
from lapicque.data._tar import read_members
from lapicque.data.pixels import scaled

RECORD = 1 + 3 * 32 * 32  # a label byte, then the red, green and blue planes row by row
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")

# The binary version because, unlike the Python version, reading it executes nothing.
SOURCE = Source(
    name="cifar10",
    title="CIFAR-10, 50,000 / 10,000 colour photographs of 32x32, 10 classes",
    kind="downloaded",
    licence="not stated by the authors; they ask to be cited",
    obtained="downloaded from the authors",
    reference="Krizhevsky (2009), Learning multiple layers of features from tiny images",
    files=(
        File(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            gzip=False,
        ),
    ),
    supplies=(Mirror("https://www.cs.toronto.edu/~kriz/"),),
)


def cifar10(
    *,
    root: str | os.PathLike[str] | None = None,
    scale: float = 255.0,
    validation: bool = True,
) -> DataSet:
    """CIFAR-10: colour photographs of 32x32 pixels. Nothing is downloaded here; see `fetch`.

    Args:
        root: Where the archive lies: `root/cifar10/` or `root` itself. By default the
            environment variable LAPICQUE_DATA, then the user's cache folder.
        scale: Pixel values 0 to 255 are divided by this.
        validation: Whether to hold out the last 10,000 of the 50,000 training photographs,
            which are the archive's fifth batch.

    Returns:
        Splits with inputs of shape (sample, 3, 32, 32), channels first in the order red,
        green, blue, float32 in [0, 1] by default: about 740 MB for all.

    Raises:
        DataError: The archive is missing, damaged, or has a wrong checksum.
        InputError: `scale` is not above zero.

    Source:
        Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    (path,) = located(SOURCE, root)
    verify(path, SOURCE.files[0], refetch(SOURCE, root))
    members = [f"cifar-10-batches-bin/{batch}.bin" for batch in BATCHES]
    contents = read_members(path, dict.fromkeys(members, 10_000 * RECORD))
    batches = [read_records(contents.pop(member), member) for member in members]

    def joined(parts: list[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> Samples:
        images = scaled(np.concatenate([images for images, _ in parts]), scale)
        return Samples(images, np.concatenate([labels for _, labels in parts]))

    train = joined(batches[:4] if validation else batches[:5])
    held_out = joined(batches[4:5]) if validation else None
    test = joined(batches[5:])
    sizes = "/".join(f"{len(part):,}" for part in (train, held_out, test) if part is not None)
    origin = f"CIFAR-10, binary version, MD5 verified; {sizes} photographs, the test batch last"
    return DataSet("cifar10", 10, train, held_out, test, origin)


def read_records(
    content: bytes, name: str = "content"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of a file of the binary version.

    Args:
        content: The file: records of 3,073 bytes.
        name: What errors call it.

    Returns:
        Images, shape (sample, 3, 32, 32), and labels, shape (sample,), as stored.

    Raises:
        DataError: The length is no positive multiple of a record, or a label is above 9.
    """
    if not content or len(content) % RECORD:
        raise DataError(
            f"{name} is damaged: its {len(content):,} bytes are no whole number of records of "
            f"{RECORD:,} bytes."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{name} is damaged: it holds the label {labels.max()}; expected 0 to 9.")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels
