"""Calibration: finding the codes that bring a chip to its targets, by looking at it.

Nothing here knows the fixed pattern. Each quantity is measured as one would on the chip, through
noisy, rounded, offset readings of membrane potentials, and the codes are corrected step by step.
What is left is the noise of the last measurement and, for time constants, the coarseness of codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range
from lapicque.substrate.chip import Chip

Codes = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Codes for a chip.

    Attributes:
        targets: What was wanted.
        codes: One per neuron for each quantity.
        clipped: For each quantity, which neurons end at the border of their codes.
    """

    targets: Mapping[str, float]
    codes: Mapping[str, Codes]
    clipped: Mapping[str, NDArray[np.bool_]]

    def realised(
        self, chip: Chip, name: str, trial: np.random.Generator | None = None
    ) -> NDArray[np.float64]:
        """What a chip makes of these codes, shape (neurons,); see `Chip.realise`."""
        return chip.realise(name, self.codes[name], trial)


def uncalibrated(chip: Chip, targets: Mapping[str, float]) -> Calibration:
    """The codes of an ideal chip, the same for all neurons."""
    for name, target in targets.items():
        chip.spec.check(name, target)
    codes = {
        name: np.broadcast_to(
            chip.spec.quantities[name].code(target, whole=chip.distortions.codes),
            chip.spec.neurons,
        )
        for name, target in targets.items()
    }
    return Calibration(targets, codes, {name: np.zeros(chip.spec.neurons, bool) for name in codes})


def calibrate(
    chip: Chip, targets: Mapping[str, float], seed: int = 0, rounds: int = 4, repeats: int = 1
) -> Calibration:
    """Codes that bring every neuron as near to the targets as can be seen.

    Args:
        chip: The specimen.
        targets: Wanted value of each quantity, in its unit.
        seed: Of the noise of measurements.
        rounds: How often each code is corrected.
        repeats: How many readings make a measurement. One leaves about as much spread as real
            calibrations do; more leave less.

    Raises:
        InputError: A target is out of the chip's range, or `rounds` or `repeats` is below 1.
    """
    in_range("rounds", rounds, 1)
    in_range("repeats", repeats, 1)
    start = uncalibrated(chip, targets)
    trial = np.random.default_rng(np.random.SeedSequence([chip.seed, seed]))
    codes = {name: start.codes[name].copy() for name in targets}
    for name in sorted(targets, key=_ORDER.index):
        quantity, target = chip.spec.quantities[name], float(targets[name])
        wanted = np.full(chip.spec.neurons, target)
        for _ in range(rounds):
            seen = _MEASURE[name](chip, codes, trial, repeats)
            if quantity.multiplies:
                wanted = wanted * np.clip(target / np.maximum(seen, 1e-9), 0.5, 2.0)
            else:
                wanted = wanted + target - seen
            codes[name] = quantity.code(wanted, whole=chip.distortions.codes)
    clipped = {}
    for name, values in codes.items():
        quantity = chip.spec.quantities[name]
        clipped[name] = (values <= quantity.lowest) | (values >= quantity.codes)
    return Calibration(dict(targets), codes, clipped)


def _potential(name):
    """A potential at which the membrane can be held: its reading, channel offset removed.

    The channels are read once against a common reference voltage, so what is left of their
    offset is the noise of that reading.
    """

    def measure(chip, codes, trial, repeats):
        reference = np.full(chip.spec.neurons, 128.0)
        offset = chip.read(reference, repeats, trial) - 128.0
        return chip.read(chip.realise(name, codes[name], trial), repeats, trial) - offset

    return measure


def _decay(name, amplitude=60.0):
    """A time constant: the line through the logarithm of a decaying deflection."""

    def measure(chip, codes, trial, repeats):
        tau = chip.realise(name, codes[name], trial)
        leak = 100.0
        target = chip.spec.quantities[name].nominal(np.median(codes[name]))
        times = target * np.linspace(0.1, 1.2, 12)[:, None]
        trace = chip.read(leak + amplitude * np.exp(-times / tau), 2 * repeats, trial)
        rest = chip.read(np.full(chip.spec.neurons, leak), 4 * repeats, trial)
        height = np.maximum(trace - rest, 0.5)
        logs, weights = np.log(height), height**2
        mean_t = (weights * times).sum(0) / weights.sum(0)
        mean_y = (weights * logs).sum(0) / weights.sum(0)
        slope = (weights * (times - mean_t) * (logs - mean_y)).sum(0)
        slope = slope / (weights * (times - mean_t) ** 2).sum(0)
        return -1 / np.minimum(slope, -1e-3 / target)

    return measure


def _amplitude(chip, codes, trial, repeats, height=40.0):
    """A gain: the height of a postsynaptic potential that is 40 LSB high at gain 1."""
    gain = chip.realise("gain", codes["gain"], trial)
    rest = chip.read(np.full(chip.spec.neurons, 100.0), repeats, trial)
    return (chip.read(100.0 + height * gain, repeats, trial) - rest) / height


_MEASURE = {
    "leak": _potential("leak"),
    "reset": _potential("reset"),
    "threshold": _potential("threshold"),
    "tau_m": _decay("tau_m"),
    "tau_syn": _decay("tau_syn"),
    "gain": _amplitude,
}
_ORDER = list(_MEASURE)
