"""Random numbers that depend on nothing but where they are used: seed, chain, unit and step.

Philox 2x32 with ten rounds maps a counter of 64 bits and a key of 32 to two words of 32 bits. The
counter is (step, stream), where every unit and every source of noise has a stream of its own; the
key stands for the seed and the chain. So a result depends neither on the order in which units are
updated, nor on how a run is cut into pieces, nor on the number of threads or chains.

Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

WORD = 2.0**32
_MULTIPLIER = np.uint64(0xD256D193)
_WEYL = np.uint64(0x9E3779B9)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(forceinline=True)
def philox(step, stream, key):
    """Two words of 32 random bits, as 64-bit integers."""
    low, high, key = np.uint64(step) & _LOW, np.uint64(stream), np.uint64(key)
    for _ in range(10):
        product = _MULTIPLIER * low
        low = ((product >> _HALF) ^ key ^ high) & _LOW
        high = product & _LOW
        key = (key + _WEYL) & _LOW
    return low, high


def chain_keys(seed: int, chains: NDArray[np.int64]) -> NDArray[np.uint32]:
    """A key per chain; no two chains of a seed share one."""
    base = int(np.random.SeedSequence(seed).generate_state(1)[0])
    odd = 0x85EBCA6B  # one step per chain through all 2**32 keys
    return np.array([(base + int(chain) * odd) % 2**32 for chain in chains], np.uint32)


@njit(cache=True, error_model="numpy")
def poisson_thresholds(mean, out):
    """Write thresholds so that the count of those not above a random word is Poisson.

    Returns:
        How many; from there on they do not fit into a word.
    """
    probability = np.exp(-mean)
    cumulative, n = probability, 0
    while n < out.size and cumulative * 4294967296.0 < 4294967295.5:
        out[n] = np.uint32(cumulative * 4294967296.0)
        n += 1
        probability *= mean / n
        cumulative += probability
        if probability * 4294967296.0 < 1e-3 and n > mean:
            break
    return n


def often_reached(
    threshold: NDArray[np.uint32], thresholds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many thresholds of each table more than one word in two thousand reaches."""
    rare = threshold >= WORD * (1 - 1 / 2000)
    return np.minimum(thresholds, np.where(rare.any(1), rare.argmax(1), rare.shape[1]))
