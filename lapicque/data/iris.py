"""Fisher's irises, which scikit-learn carries."""

from importlib.metadata import version

import numpy as np

from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source
from lapicque.data._split import stratified

SOURCE = Source(
    name="iris",
    title="Iris, 105 / 45 flowers, 4 features, 3 classes",
    kind="installed",
    licence="CC BY 4.0 (UCI repository); shipped by scikit-learn under BSD-3-Clause",
    obtained="comes with scikit-learn",
    reference="Fisher (1936), Annals of Eugenics 7",
    requires="scikit-learn",
)


def iris(*, seed: int = 0) -> DataSet:
    """The 150 irises: length and width of sepals, then of petals.

    There is no official split. Here 45 flowers are the test set, chosen with `seed` so that every
    class keeps its share. Features are scaled to the range that each has in the training set.

    Args:
        seed: Seed of the split, between 0 and 2**32 - 1.

    Returns:
        Splits with inputs of shape (sample, 4), float32, those of training in [0, 1].
    """
    from sklearn.datasets import load_iris  # slow to import

    features, labels = (np.asarray(array) for array in load_iris(return_X_y=True))
    test, train = stratified(labels, (45, 105), seed)
    low, high = features[train].min(0), features[train].max(0)
    inputs = ((features - low) / (high - low)).astype(np.float32)
    origin = (
        f"Iris, all 150 flowers shipped with scikit-learn {version('scikit-learn')}, "
        f"split 105/45 stratified with seed {seed}"
    )
    return DataSet(
        "iris",
        3,
        Samples(inputs[train], labels[train]),
        None,
        Samples(inputs[test], labels[test]),
        origin,
    )
