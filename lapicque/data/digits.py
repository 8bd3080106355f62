"""The 8x8 digits that scikit-learn carries."""

from importlib.metadata import version

import numpy as np

from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source
from lapicque.data._split import stratified
from lapicque.data.pixels import scaled

SOURCE = Source(
    name="digits",
    title="Digits 8x8, 1,437 / 360 images, 10 classes",
    kind="installed",
    licence="CC BY 4.0 (UCI repository); shipped by scikit-learn under BSD-3-Clause",
    obtained="comes with scikit-learn",
    reference="Alpaydin & Kaynak (1998), UCI Optical Recognition of Handwritten Digits",
    requires="scikit-learn",
)


def digits(*, seed: int = 0, scale: float = 16.0, validation: bool = False) -> DataSet:
    """The 1,797 digits of 8x8 pixels, the test part of the UCI collection.

    There is no official split. Here 360 digits are the test set, chosen with `seed` so that
    every class keeps its share; `validation` takes 360 more out of the 1,437 that remain.

    Args:
        seed: Seed of the split, between 0 and 2**32 - 1.
        scale: Pixel values 0 to 16 are divided by this.
        validation: Whether to hold out a validation set.

    Returns:
        Splits with inputs of shape (sample, 8, 8), float32 in [0, 1] by default.

    Raises:
        InputError: `scale` is not above zero.
    """
    from sklearn.datasets import load_digits  # slow to import

    images, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    inputs = scaled(images.reshape(-1, 8, 8), scale)
    sizes = (360, 360, 1077) if validation else (360, 0, 1437)
    test, held_out, train = (
        Samples(inputs[index], labels[index]) for index in stratified(labels, sizes, seed)
    )
    parts = "1,077/360/360" if validation else "1,437/360"
    origin = (
        f"Digits 8x8, all 1,797 images shipped with scikit-learn {version('scikit-learn')}, "
        f"split {parts} stratified with seed {seed}"
    )
    return DataSet("digits", 10, train, held_out if validation else None, test, origin)
