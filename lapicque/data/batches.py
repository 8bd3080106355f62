"""The order in which an epoch visits the samples."""

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of `range(n)` that depends on nothing but its arguments.

    A run resumed at epoch 7 thus sees what an uninterrupted run sees in epoch 7.

    Args:
        n: Number of samples, at least 1.
        seed: Seed of the run, at least 0.
        epoch: Number of the epoch, at least 0.

    Raises:
        InputError: An argument is below its bound.
    """
    in_range("n", n, low=1)
    in_range("seed", seed, low=0)
    in_range("epoch", epoch, low=0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,))).permutation(n)


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Sample indices of an epoch's batches, shape (n // batch_size, batch_size).

    The order is that of `epoch_order`; the remainder that fills no batch is left out, other
    samples in every epoch.

    Raises:
        InputError: `batch_size` is not between 1 and `n`, or an argument of `epoch_order`
            is below its bound.
    """
    order = epoch_order(n, seed, epoch)
    in_range("batch_size", batch_size, 1, n, "samples")
    n_batches = n // batch_size
    return order[: n_batches * batch_size].reshape(n_batches, batch_size)
