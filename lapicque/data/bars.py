"""The eight 3x3 bars."""

import numpy as np

from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source

SOURCE = Source(
    name="bars",
    title="Bars, eight 3x3 patterns, 3 classes",
    kind="generated",
    licence="none needed: generated",
    obtained="generated",
    reference="Haider et al. (2021), NeurIPS 34, Fig. 3",
)


def bars() -> DataSet:
    """Three horizontal, three vertical and two diagonal bars, pixels 0 or 1.

    Returns:
        Inputs of shape (8, 3, 3), float32; labels 0 horizontal, 1 vertical, 2 diagonal.
        Training, validation and test are the same eight patterns.

    Source:
        Haider et al. (2021), "Latent Equilibrium", NeurIPS 34, microcircuit experiment.
    """
    rows = np.stack([np.outer(np.arange(3) == i, np.ones(3)) for i in range(3)])
    diagonals = np.stack([np.eye(3), np.eye(3)[::-1]])
    patterns = np.concatenate([rows, rows.transpose(0, 2, 1), diagonals]).astype(np.float32)
    samples = Samples(patterns, np.repeat([0, 1, 2], [3, 3, 2]))
    origin = "Bars, all eight 3x3 patterns, without noise; train, validation and test are the same"
    return DataSet("bars", 3, samples, samples, samples, origin)
