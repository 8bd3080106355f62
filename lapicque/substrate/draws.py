"""Random numbers of chips: a stream for each, the same whatever runs beside it.

A word is a function of the chip's key, the time and the place where it is used (`random_words`). A
run of normal numbers begins at such a word and goes on by SplitMix64, through the ziggurat.

Source:
    Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators"; Marsaglia & Tsang
    (2000), "The ziggurat method for generating random variables".
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import in_range
from lapicque.spiking.random import philox

_U = np.uint64
_GAMMA, _FIRST, _SECOND = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_2, _7, _11, _27, _30, _31, _32 = (_U(k) for k in (2, 7, 11, 27, 30, 31, 32))
_LAYER = _U(255)
_UNIT = 2.0**-53
_EDGE, _AREA = 3.6541528853610088, 0.00492867323399  # of 256 layers under exp(-x^2 / 2)


def _layers() -> NDArray[np.float64]:
    """Right edges of the layers from the widest to the peak; entry 0 is the width of the tail's."""
    x = np.zeros(257)
    x[0], x[1] = _AREA * np.exp(0.5 * _EDGE**2), _EDGE
    for k in range(2, 256):
        x[k] = np.sqrt(-2 * np.log(_AREA / x[k - 1] + np.exp(-0.5 * x[k - 1] ** 2)))
    return x


_X = _layers()
_F = np.exp(-0.5 * _X**2)


@njit(forceinline=True)
def _word(state):
    z = state
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@njit(forceinline=True)
def _unit(state):
    """Uniform in (0, 1]."""
    return (np.float64(np.int64(_word(state) >> _11)) + 1.0) * _UNIT


@njit(forceinline=True)
def stream(key, time, place):
    """Where a run of numbers begins."""
    low, high = philox(time, place, key)
    return (high << _32) | low


@njit(forceinline=True, error_model="numpy")
def fill_normal(out, n, state):
    """Write n standard normal numbers; the state from which to go on."""
    for j in range(n):
        while True:
            state += _GAMMA
            word = _word(state)
            layer = np.int64(word & _LAYER)
            x = np.float64(np.int64(word >> _11)) * _UNIT * _X[layer]
            if x < _X[layer + 1]:
                break
            if layer == 0:
                while True:
                    state += _GAMMA
                    beyond = -np.log(_unit(state)) / _EDGE
                    state += _GAMMA
                    if -2.0 * np.log(_unit(state)) > beyond * beyond:
                        break
                x = _EDGE + beyond
                break
            state += _GAMMA
            height = _F[layer] + _unit(state) * (_F[layer + 1] - _F[layer])
            if height < np.exp(-0.5 * x * x):
                break
        out[j] = x * np.float64(1 - np.int64((word >> _7) & _2))  # a sign without a branch
    return state


def _check(time: int, place: int, n: int) -> None:
    if not (
        0 <= time < 2**32 and 0 <= place <= 2**31 - n
    ):  # called at every episode: first cheaply
        in_range("time", time, 0, 2**32 - 1)
        in_range("place", place, 0, 2**31 - n)


@njit(cache=True, error_model="numpy")
def _words(keys, time, place, out):
    for chip in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[chip, k] = philox(time, place + k, keys[chip])[0]


def random_words(keys: NDArray[np.uint32], time: int, n: int, place: int = 0) -> NDArray[np.uint32]:
    """Random integers of 32 bits, shape (chips, n).

    Args:
        keys: Of the chips, see `lapicque.spiking.random.chain_keys`.
        time: When, from 0 to 2^32 - 1.
        n: How many.
        place: The first of n places, so that what is drawn for another purpose is independent.

    Raises:
        InputError: `time` or `place` is out of range.
    """
    _check(time, place, n)
    out = np.empty((len(keys), n), np.uint32)
    _words(keys, time, place, out)
    return out


def random_normal(
    keys: NDArray[np.uint32], time: int, n: int, place: int = 0
) -> NDArray[np.float64]:
    """Standard normal numbers, shape (chips, n); arguments as those of `random_words`."""
    _check(time, place, 1)
    out = np.empty((len(keys), n))
    _normals(keys, time, place, out)
    return out


@njit(cache=True, error_model="numpy")
def _normals(keys, time, place, out):
    for chip in range(out.shape[0]):
        fill_normal(out[chip], out.shape[1], stream(keys[chip], time, place))
