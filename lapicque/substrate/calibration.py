"""Calibration: finding the codes that bring a chip to its targets, by looking at it.

Nothing here knows the fixed pattern. Each quantity is measured as one would on the chip, through
noisy, rounded, offset readings of membrane potentials, and the codes are corrected step by step.
What is left is the noise of the last measurement and, for time constants, the coarseness of codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, positive
from lapicque.substrate.chip import Chip, Index
from lapicque.substrate.spec import KINDS, Quantity

Codes = NDArray[np.float64]

_COARSE = 20  # codes of a time constant that differ by more than 5 %


@dataclass(frozen=True)
class Calibration:
    """Codes for a chip.

    Attributes:
        targets: What was wanted, in the units of the quantities.
        codes: One per circuit (or row) for each quantity.
        clipped: For each quantity, which of them end at the border of their codes.
        where: Which circuits; `None` for all.
    """

    targets: Mapping[str, ArrayLike]
    codes: Mapping[str, Codes]
    clipped: Mapping[str, NDArray[np.bool_]]
    where: Index | None = None

    def realised(
        self, chip: Chip, name: str, trial: np.random.Generator | None = None
    ) -> NDArray[np.float64]:
        """What a chip makes of these codes, one value per circuit; see `Chip.realise`."""
        return chip.realise(name, self.codes[name], trial, self.where)


def uncalibrated(
    chip: Chip, targets: Mapping[str, ArrayLike], where: Index | None = None, check: bool = True
) -> Calibration:
    """The codes that would be right for an ideal chip.

    Args:
        chip: The specimen.
        targets: One number or one per circuit for each quantity, in its unit.
        where: Which circuits (or rows); all by default.
        check: Whether targets must be in the range of the chip.

    Raises:
        InputError: A target is out of range.
    """
    codes, clipped = {}, {}
    for name, target in targets.items():
        if check:
            chip.spec.check(name, target)
        quantity = chip.spec.quantities[name]
        places = _places(chip, quantity, where)
        wanted = np.broadcast_to(np.asarray(target, float), places.shape)
        codes[name] = _coded(chip, quantity, wanted, places)
        clipped[name] = np.zeros(places.size, bool)
    return Calibration(targets, codes, clipped, where)


def calibrate(
    chip: Chip,
    targets: Mapping[str, ArrayLike],
    seed: int = 0,
    rounds: int = 4,
    repeats: int = 1,
    where: Index | None = None,
    check: bool = True,
) -> Calibration:
    """Codes that bring every circuit as near to its targets as can be seen.

    Quantities that the chip cannot measure keep the codes of an ideal chip. Circuits that share a
    setting get the one that is best in the mean.

    Args:
        chip: The specimen.
        targets: One number or one per circuit for each quantity, in its unit.
        seed: Of the noise of measurements.
        rounds: How often each code is corrected.
        repeats: How many readings make a measurement. One leaves about as much spread as real
            calibrations do; more leave less.
        where: Which circuits (or rows); all by default.
        check: Whether targets must be in the range of the chip.

    Raises:
        InputError: A target is out of the chip's range, or `rounds` or `repeats` is below 1.
    """
    in_range("rounds", rounds, 1)
    in_range("repeats", repeats, 1)
    start = uncalibrated(chip, targets, where, check)
    trial = np.random.default_rng(np.random.SeedSequence([chip.seed, seed]))
    codes = {name: start.codes[name].copy() for name in targets}
    for name in sorted(targets, key=list(KINDS).index):
        quantity = chip.spec.quantities[name]
        if not quantity.seen:
            continue
        places = _places(chip, quantity, where)
        target = np.broadcast_to(np.asarray(targets[name], float), places.shape)
        wanted = target.copy()
        measure = _MEASURES[KINDS[name]]
        best, nearest = codes[name], np.full(target.shape, np.inf)
        for _ in range(rounds):
            seen = measure(chip, name, codes[name], target, trial, repeats, places)
            closer = np.abs(seen - target) < nearest
            best = np.where(closer, codes[name], best)
            nearest = np.where(closer, np.abs(seen - target), nearest)
            if quantity.multiplies:
                wanted = wanted * np.clip(target / np.maximum(seen, 1e-9), 0.5, 2.0)
            else:
                wanted = wanted + target - seen
            codes[name] = _coded(chip, quantity, wanted, places)
        if quantity.law == "inverse":
            # where neighbouring codes are far apart corrections swing to and fro
            codes[name] = np.where(codes[name] < _COARSE, best, codes[name])
    clipped = {}
    for name, values in codes.items():
        quantity = chip.spec.quantities[name]
        clipped[name] = (values <= quantity.lowest) | (values >= quantity.codes)
    return Calibration(targets, codes, clipped, where)


def _places(chip: Chip, quantity: Quantity, where: Index | None) -> Index:
    return np.arange(chip.spec.places(quantity.place)) if where is None else where


def _coded(chip: Chip, quantity: Quantity, wanted: NDArray, places: Index) -> Codes:
    """The codes of wanted values; where circuits share a setting, of their mean."""
    if not chip.distortions.codes:
        return quantity.code(wanted, whole=False)
    if quantity.sharing is not None:
        _, group = np.unique(quantity.sharing.group(places), return_inverse=True)
        wanted = (np.bincount(group, wanted) / np.bincount(group))[group]
    return quantity.code(wanted)


def _potential(chip: Chip, name, codes, target, trial, repeats, places):
    """A potential at which the membrane can be held: its reading, channel offset removed.

    The channels are read once against a common reference voltage, so what is left of their
    offset is the noise of that reading.
    """
    middle = chip.spec.reading.full_scale / 2
    offset = chip.read(np.full(places.size, middle), repeats, trial, places) - middle
    held = chip.realise(name, codes, trial, places)
    return chip.read(held, repeats, trial, places) - offset


def _decay(chip: Chip, name, codes, target, trial, repeats, places):
    """A time constant: the line through the logarithm of a decaying deflection."""
    reading = chip.spec.reading
    tau = chip.realise(name, codes, trial, places)
    rest = np.full(places.size, 0.39 * reading.full_scale)
    amplitude = 0.234 * reading.full_scale
    times = np.linspace(0.1, 1.2, 12)[:, None] * target
    trace = chip.read(rest + amplitude * np.exp(-times / tau), 2 * repeats, trial, places)
    height = trace - chip.read(rest, 4 * repeats, trial, places)
    height = np.maximum(height, 0.5 * reading.step)
    logs, weights = np.log(height), height**2
    mean_t = (weights * times).sum(0) / weights.sum(0)
    mean_y = (weights * logs).sum(0) / weights.sum(0)
    slope = (weights * (times - mean_t) * (logs - mean_y)).sum(0)
    slope = slope / (weights * (times - mean_t) ** 2).sum(0)
    return -1 / np.minimum(slope, -1e-3 / target)


def _amplitude(chip: Chip, name, codes, target, trial, repeats, places):
    """A strength: the height of a postsynaptic potential, over that of an ideal synapse.

    Rows are seen through one neuron each.
    """
    reading = chip.spec.reading
    through = places if chip.spec.quantities[name].place == "neuron" else places * 0
    gain = chip.realise(name, codes, trial, places)
    rest = np.full(places.size, 0.39 * reading.full_scale)
    height = 0.156 * reading.full_scale
    base = chip.read(rest, repeats, trial, through)
    return (chip.read(rest + height * gain, repeats, trial, through) - base) / height


_MEASURES: Mapping[str, Callable] = {
    "potential": _potential,
    "time": _decay,
    "factor": _amplitude,
}


def firing_rates(
    chip: Chip, calibration: Calibration, trial: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """Rates at which neurons fire whose leak lies above the threshold. [kHz of hardware time]

    Those whose leak does not reach the threshold are silent.

    Args:
        chip: The specimen.
        calibration: Codes of `v_rest`, `v_reset`, `v_thresh`, `tau_m` and `tau_refrac`.
        trial: Randomness of this run; without it the mean over runs.
    """
    rest, reset, threshold, tau, refractory = (
        calibration.realised(chip, name, trial)
        for name in ("v_rest", "v_reset", "v_thresh", "tau_m", "tau_refrac")
    )
    reaches = rest > threshold
    climb = np.log(np.maximum(rest - reset, 1e-9) / np.where(reaches, rest - threshold, 1.0))
    return np.where(reaches, 1e3 / (refractory + tau * np.maximum(climb, 0)), 0.0)


def calibrate_rates(
    chip: Chip, calibration: Calibration, rate: float, seed: int = 0, rounds: int = 8
) -> Calibration:
    """Bring neurons that fire on their own to a rate, by their leak and by nothing but counting.

    Args:
        chip: The specimen.
        calibration: Where to start from, with all that `firing_rates` needs.
        rate: Wanted. [kHz of hardware time]
        seed: Of what varies from run to run.
        rounds: How often leaks are corrected.

    Raises:
        InputError: `rate` is not positive, or `rounds` is below 1.

    Source:
        The leak-over-threshold calibration of the chip's library and its limits (sheet of
        substrates, 4.3). The rule of correction is ours.
    """
    positive("rate", rate, "kHz")
    in_range("rounds", rounds, 1)
    quantity = chip.spec.quantities["v_rest"]
    trial = np.random.default_rng(np.random.SeedSequence([chip.seed, 400, seed]))
    codes = dict(calibration.codes)
    codes["v_rest"] = codes["v_rest"].copy()
    low = np.full(codes["v_rest"].shape, quantity.lowest, float)
    high = np.full(codes["v_rest"].shape, quantity.codes, float)
    step = (high - low) / 8
    code, before = codes["v_rest"].astype(float), None
    for _ in range(2 * rounds):
        codes["v_rest"] = np.rint(np.clip(code, low, high)) if chip.distortions.codes else code
        seen = firing_rates(chip, Calibration(calibration.targets, codes, {}), trial)
        side = np.sign(rate - seen)
        if before is not None:
            step = np.where(side == before, step, step / 2)
        code, before = np.clip(code + side * step, low, high), side
    clipped = dict(calibration.clipped)
    clipped["v_rest"] = (codes["v_rest"] <= quantity.lowest) | (codes["v_rest"] >= quantity.codes)
    return Calibration(calibration.targets, codes, clipped, calibration.where)
