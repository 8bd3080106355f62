"""Five kinds of handwritten digits, in few pixels."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError, MissingExtra
from lapicque.data import DataSet, Samples, digits, mnist

Source = Literal["any", "mnist", "digits"]


class Images(NamedTuple):
    """Intensities between 0 and 1, and classes counted from 0."""

    inputs: NDArray[np.float32]  # (image, pixel)
    labels: NDArray[np.int64]  # (image,)

    def first(self, n: int) -> "Images":
        """The first images."""
        return Images(self.inputs[:n], self.labels[:n])


class FiveDigits(NamedTuple):
    """Images to learn from and to be tested with."""

    train: Images
    test: Images
    name: str
    origin: str


def five_digits(
    source: Source, classes: tuple[int, ...], n_train: int, n_test: int, seed: int
) -> FiveDigits:
    """MNIST in 10x10 pixels, means of 2x2 of the inner 20x20, or digits of 8x8 pixels.

    Args:
        source: `any` for MNIST where it is present, all of it or a part, and 8x8 digits otherwise.
        classes: Which digits.
        n_train: How many images to learn from, at most.
        n_test: How many to be tested with, at most.
        seed: Which ones.

    Raises:
        DataError: MNIST is asked for and missing.
    """
    data, pooled = _loaded(source)
    rng = np.random.default_rng(seed)
    train = _chosen(data.train, classes, n_train, pooled, rng)
    test = _chosen(data.test, classes, n_test, pooled, rng)
    size = "10x10" if pooled else "8x8"
    kinds = ", ".join(map(str, classes))
    origin = (
        f"{data.origin}; digits {kinds} in {size} pixels, {len(train.labels):,} to learn from and "
        f"{len(test.labels):,} to be tested with, drawn with seed {seed}"
    )
    return FiveDigits(train, test, data.name, origin)


def _loaded(source: Source) -> tuple[DataSet, bool]:
    if source == "digits":
        return digits(), False
    try:
        return mnist("any", validation=False), True
    except (DataError, MissingExtra):
        if source == "mnist":
            raise
        return digits(), False


def _chosen(samples: Samples, classes, n: int, pooled: bool, rng) -> Images:
    found = np.flatnonzero(np.isin(samples.labels, classes))
    found = rng.permutation(found)[:n]
    images = samples.inputs[found]
    if pooled:
        inner = images[:, 4:24, 4:24]
        images = inner.reshape(len(found), 10, 2, 10, 2).mean((2, 4))
    labels = np.array([classes.index(label) for label in samples.labels[found]], np.int64)
    return Images(images.reshape(len(found), -1).astype(np.float32), labels)
