"""Yin-Yang: three classes on a disc (Kriener, Göltz & Petrovici 2021)."""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source

R_BIG = 0.5  # radius of the disc, which is centred at (R_BIG, R_BIG)
R_SMALL = 0.1  # radius of the two dots

SOURCE = Source(
    name="yin_yang",
    title="Yin-Yang, 5,000 / 1,000 / 1,000 points, 4 inputs, 3 classes",
    kind="generated",
    licence="none needed: generated (the authors' generator is MIT; this one is our own)",
    obtained="generated, bit-identical to the published arrays",
    reference="Kriener, Göltz & Petrovici (2021), arXiv:2102.08211",
)


def yin_yang_class(x: float, y: float) -> int:
    """Class of a point of the disc: 0 and 1 for the two commas, 2 for the dots."""
    to_right = sqrt((x - 1.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    to_left = sqrt((x - 0.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    if to_right < R_SMALL or to_left < R_SMALL:
        return 2
    right_rim = to_right <= R_SMALL
    left_bump = R_SMALL < to_left <= 0.5 * R_BIG
    upper_half = y > R_BIG and to_right > 0.5 * R_BIG
    return 1 if right_rim or left_bump or upper_half else 0


@lru_cache(maxsize=16)
def yin_yang_samples(size: int, seed: int) -> Samples:
    """Points drawn as the published generator draws them, bit for bit.

    A class is drawn uniformly, then points of the square until one falls into that class
    of the disc; so the classes are balanced in expectation only. The result is kept, so a
    second call costs nothing.

    Args:
        size: Number of points, at least 1.
        seed: Seed between 0 and 2**32 - 1. Splits must not share one.

    Returns:
        Inputs `(x, y, 1 - x, 1 - y)`, float64 in [0, 1], shape (size, 4), and labels.

    Raises:
        InputError: An argument is out of its bounds.
    """
    in_range("size", size, low=1)
    in_range("seed", seed, 0, 2**32 - 1)
    # The published data are defined by this legacy generator and by the order of its calls.
    draw = np.random.RandomState(seed)
    points = np.empty((size, 2))
    labels = np.empty(size, dtype=np.int64)
    for i in range(size):
        goal = draw.randint(3)
        while True:
            x, y = (draw.rand(2) * 2.0 * R_BIG).tolist()
            inside = sqrt((x - R_BIG) ** 2 + (y - R_BIG) ** 2) <= R_BIG
            if inside and yin_yang_class(x, y) == goal:
                break
        points[i] = x, y
        labels[i] = goal
    inputs: NDArray[np.float64] = np.concatenate([points, 1.0 - points], axis=1)
    return Samples(inputs, labels)


def yin_yang(
    sizes: tuple[int, int, int] = (5000, 1000, 1000), seeds: tuple[int, int, int] = (42, 41, 40)
) -> DataSet:
    """The Yin-Yang data set; by default the standard splits of the literature.

    Args:
        sizes: Number of points for training, validation and test.
        seeds: Seeds of the three splits.

    Returns:
        Splits with inputs of shape (sample, 4), float64, and 3 classes.

    Raises:
        InputError: A size or a seed is out of its bounds.

    Source:
        Kriener, Göltz & Petrovici (2021), arXiv:2102.08211.
    """
    train, validation, test = map(yin_yang_samples, sizes, seeds)
    standard = (tuple(sizes), tuple(seeds)) == ((5000, 1000, 1000), (42, 41, 40))
    origin = (
        f"Yin-Yang, {'standard splits: ' if standard else ''}train/validation/test "
        f"{'/'.join(f'{size:,}' for size in sizes)} points from seeds "
        f"{'/'.join(map(str, seeds))}; generated, bit-identical to the published generator"
    )
    return DataSet("yin_yang", 3, train, validation, test, origin)
