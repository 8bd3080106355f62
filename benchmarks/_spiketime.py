"""The work of `spiketime.py`, how a point becomes spikes, and what a rival has to offer.

The work is an epoch of Yin-Yang: 5000 points in batches of 150, the last of 50, through 4-30-3, on
the splits of `lapicque.data.yin_yang`. Spike times go from 0.15 to 2 tau_s, as published. Rivals in
discrete time see one spike per channel on a grid of 80 steps of 0.05 tau_s.
"""

import importlib.metadata
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque.data.latency import spike_times
from lapicque.data.yin_yang import yin_yang

BATCH = 150
HIDDEN = 30
CLASSES = 3
STEPS = 80  # of a rival in discrete time
DT = 0.05  # tau_s
WIDE_BATCH = 80
WIDE_CLASSES = 10
PREFIXES = 2e9  # bytes that the public exact solver may hold
WIDTHS = ((49, 22), (98, 44), (140, 62), (196, 88), (392, 175), (784, 350))  # inputs, neurons


class Peer(NamedTuple):
    """Someone who trains; runs go on from the parameters that the last one left."""

    name: str
    run: Callable[[], object]  # one epoch, and back when it is done
    accuracy: Callable[[], float]  # on the validation set, with the parameters as they are
    first_s: float  # the first epoch, compilation included [s]
    version: str


class Step(NamedTuple):
    """Someone who computes the gradient of a loss on 10 outputs, for one batch of 80."""

    name: str
    run: Callable[[], object]
    first_s: float
    version: str
    # Of both layers, (pre, post), to compare; None where spike times are not exact.
    gradients: Callable[[], list[NDArray]] | None = None


class Split(NamedTuple):
    """Points as spike times."""

    times: NDArray[np.float64]  # [tau_s], shape (sample, 4)
    labels: NDArray[np.int64]


def splits() -> tuple[Split, Split]:
    """Training and validation."""
    data = yin_yang()
    assert data.validation is not None  # for type checkers
    parts = data.train, data.validation
    train, validation = (Split(spike_times(part.inputs), part.labels) for part in parts)
    return train, validation


def on_grid(times: NDArray[np.float64]) -> NDArray[np.int32]:
    """Step in which each spike falls."""
    return np.floor(times / DT).astype(np.int32)


class Wide(NamedTuple):
    """A batch for a wide layer: every input spikes once."""

    times: NDArray[np.float64]  # [tau_s], shape (80, inputs)
    labels: NDArray[np.int64]
    weights: tuple[NDArray[np.float64], NDArray[np.float64]]  # (pre, post)


def wide(inputs: int, neurons: int, seed: int = 0) -> Wide:
    """Spikes as from images and weights as published for 784-350-10.

    The means grow as the layer shrinks, so that a narrow net is driven as the wide one is.
    """
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.15, 2.0, (WIDE_BATCH, inputs))
    hidden = rng.normal(0.05 * 784 / inputs, 0.8, (inputs, neurons))
    output = rng.normal(0.15 * 350 / neurons, 0.8, (neurons, WIDE_CLASSES))
    return Wide(times, rng.integers(WIDE_CLASSES, size=WIDE_BATCH), (hidden, output))


def too_wide(work: Wide) -> bool:
    """Whether the public exact solver would hold too much: weights of all prefixes, and a copy."""
    inputs, neurons = work.weights[0].shape
    return 2 * 8 * len(work.times) * inputs**2 * neurons > PREFIXES


def started(run: Callable[[], object]) -> float:
    """Wall time of a first call [s]."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def version(package: str) -> str:
    return importlib.metadata.version(package)
