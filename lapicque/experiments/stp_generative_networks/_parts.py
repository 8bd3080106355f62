"""What the experiments of this work share: samplers, small digits, and what to read from states."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque.data.digits import digits
from lapicque.sampling.calibration import Calibration
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.observables import isl, switches
from lapicque.sampling.samplers import Sampler
from lapicque.spiking import TsodyksMarkram

PIXELS = 64
SYNAPSES: dict[str, str | TsodyksMarkram] = {
    "renewing": "renewing",
    "static": "static",
    "slow": TsodyksMarkram(U=0.01, tau_rec=280.0),
    "fast": TsodyksMarkram(U=0.1, tau_rec=100.0),
    "strong": TsodyksMarkram(U=0.05, tau_rec=280.0),
}
LABELS = {
    "gibbs": "Gibbs",
    "tempered": "tempering",
    "renewing": "LIF, renewing",
    "static": "LIF, static",
    "slow": "LIF, U = 0.01, 280 ms",
    "fast": "LIF, U = 0.1, 100 ms",
    "strong": "LIF, U = 0.05, 280 ms",
}


def spiking(calibration: Calibration, name: str, scale: float = 1.0) -> Sampler:
    """LIF neurons with one of the `SYNAPSES`."""
    return LIFSampler(calibration, SYNAPSES[name], scale=scale)


class Digits(NamedTuple):
    """Binary images, shape (images, 64), and the place of their class among those chosen."""

    train: NDArray[np.float64]
    train_labels: NDArray[np.int64]
    test: NDArray[np.float64]
    test_labels: NDArray[np.int64]
    origin: str


def small_digits(classes: tuple[int, ...], seed: int) -> Digits:
    """Some classes of the 8x8 digits; a pixel is on above 7.5 of 16."""
    data = digits(seed=seed, scale=1.0).flat()
    images, places = [], []
    for split in (data.train, data.test):
        chosen = split.take(np.isin(split.labels, classes))
        order = np.argsort(classes)
        images.append((chosen.inputs > 7.5).astype(float))
        places.append(order[np.searchsorted(np.asarray(classes)[order], chosen.labels)])
    return Digits(images[0], places[0], images[1], places[1], data.origin)


def with_labels(images: NDArray, labels: NDArray, classes: int) -> NDArray[np.float64]:
    """Visible states: pixels, then one unit per class."""
    return np.concatenate([images, np.eye(classes)[labels]], 1)


def shown(states: NDArray, classes: int) -> NDArray[np.int64]:
    """The class that states (..., units) show; -1 where not just one label is on."""
    units = states[..., PIXELS : PIXELS + classes]
    return np.where(units.sum(-1) == 1, units.argmax(-1), -1)


def voted(states: NDArray, classes: int) -> NDArray[np.int64]:
    """The label unit that was on most, of states (samples, chains, units)."""
    return states[..., PIXELS : PIXELS + classes].mean(0).argmax(-1)


def generation(states: NDArray, data: Digits, classes: int) -> dict[str, Any]:
    """Of free states (samples, chains, units): likelihood, classes shown, and their changes.

    The likelihood and the number of changes are means over chains, each taken by itself.
    """
    label = shown(states, classes)
    pixels = states[..., :PIXELS]
    decided = np.bincount(label[label >= 0], minlength=classes)
    return {
        "isl": np.array(
            [isl(pixels[:, c], data.test).value for c in range(states.shape[1])]
        ).mean(),
        "occupancy": decided / max(decided.sum(), 1),
        "switches": np.mean(switches(label)),
        "one_hot": np.mean(label >= 0),
        "images": pixels[:: max(1, len(pixels) // 100), 0][:100],
        "labels": label[:, 0],
    }
