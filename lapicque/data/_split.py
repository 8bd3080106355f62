"""Splitting data that come without an official split."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError


def stratified(
    labels: NDArray[np.integer[Any]], sizes: tuple[int, ...], seed: int
) -> tuple[NDArray[np.int64], ...]:
    """Disjoint index arrays of the given sizes, each with the class mixture of the whole.

    The samples are shuffled and then dealt so that every class is spread evenly over the
    deal; each part is a run of it. Parts are therefore mixed in class throughout.

    Raises:
        InputError: The sizes do not add up to the number of labels.
    """
    if sum(sizes) != labels.size or min(sizes) < 0:
        raise InputError(f"`sizes` is {sizes}; they must add up to the {labels.size} labels.")
    # RandomState is frozen for good: a newer NumPy must not move samples between splits.
    shuffled = np.random.RandomState(seed).permutation(labels.size)
    place = np.empty(labels.size)
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        place[members] = (np.arange(members.size) + 0.5) / members.size
    dealt = shuffled[np.argsort(place, kind="stable")]
    ends = np.cumsum((0, *sizes))
    return tuple(dealt[start:end] for start, end in pairwise(ends))
