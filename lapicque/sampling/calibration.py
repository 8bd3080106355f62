"""From a neuron under noise to a unit of a Boltzmann machine, and back.

A LIF neuron counts as on for its refractory time after each spike. Under strong noise the time it
spends on is close to a logistic function of its mean free potential; two numbers describe it, the
potential at one half and the width. They translate biases and weights both ways.

Source: Petrovici et al. (2016), equations 1-9 of its fact sheet; the translation of weights matches
the area of a postsynaptic potential to that of a rectangle of one refractory time.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit
from scipy.special import expit

from lapicque._checks import InputError, StorageError, in_range, one_of, positive
from lapicque.sampling.theory import activation
from lapicque.spiking import LIF, ConductanceExp, CurrentExp, Simulation
from lapicque.spiking.models import (
    BOMBARDED,
    Bombarded,
    FreePotential,
    free_potential,
    noise_driven,
)


@dataclass(frozen=True)
class Calibration:
    """How a neuron under its noise translates into a unit.

    Potentials are mean free potentials [mV]: what the potential would be on average without
    threshold and without recurrent input.
    """

    preset: Bombarded
    dt: float  # ms
    half: float  # mean potential at an activity of one half [mV]
    width: float  # of the logistic function [mV]
    residual: float  # largest distance of the measured activity from the fit
    potentials: tuple[float, ...]  # mean potentials that were measured [mV]
    activities: tuple[float, ...]  # time spent on at these
    noise: str = "private"  # what it was measured with

    def __post_init__(self):
        if not isinstance(self.preset.receptors, CurrentExp | ConductanceExp):
            raise InputError("Calibration knows exponential currents and conductances only.")
        positive("dt", self.dt, "ms")
        positive("width", self.width, "mV")

    # -- biases --------------------------------------------------------------------------------

    def rest(self, biases: ArrayLike) -> NDArray[np.float64]:
        """Resting potentials [mV] that give these biases.

        Raises:
            InputError: The mean potential would lie outside the reversal potentials; the message
                names the unit and says how far.
        """
        mean = self.half + self.width * np.asarray(biases, float)
        self._check_reach(mean)
        free = self.free
        return self._v_rest + (mean - free.mean) * self.leak_factor

    def biases(self, rest: ArrayLike) -> NDArray[np.float64]:
        """Biases that these resting potentials [mV] give."""
        free = self.free
        mean = free.mean + (np.asarray(rest, float) - self._v_rest) / self.leak_factor
        return (mean - self.half) / self.width

    def _check_reach(self, mean: NDArray[np.float64]) -> None:
        receptors = self.preset.receptors
        if not isinstance(receptors, ConductanceExp):
            return
        low, high = float(receptors.e_rev_I), float(receptors.e_rev_E)  # pyright: ignore[reportArgumentType]
        margin = 0.02 * (high - low)
        wrong = np.flatnonzero(~((mean > low + margin) & (mean < high - margin)))
        if wrong.size:
            unit = int(wrong[0])
            at = np.ravel(mean)[unit]
            far = max(low + margin - at, at - high + margin)
            raise InputError(
                f"The bias of unit {unit} asks for a mean potential of {at:.4g} mV, {far:.3g} mV "
                f"beyond what synapses reach: {low + margin:g} to {high - margin:g} mV."
            )

    # -- weights -------------------------------------------------------------------------------

    def synapses(self, weights: ArrayLike, biases: ArrayLike) -> NDArray[np.float64]:
        """Synaptic weights [nA, or uS with the sign of the effect] of a matrix (post, pre).

        Args:
            weights: Dimensionless, shape (post, pre).
            biases: Of the postsynaptic units, shape (post,); conductances act by their distance
                from the reversal potential, which depends on them.

        Raises:
            InputError: A mean potential would lie outside the reversal potentials.
        """
        weights = np.asarray(weights, float)
        positive_unit, negative_unit = self.areas(biases)
        unit = np.where(weights >= 0, positive_unit[:, None], negative_unit[:, None])
        return weights * self.width * self.tau_ref / unit

    def weights(self, synapses: ArrayLike, biases: ArrayLike) -> NDArray[np.float64]:
        """The inverse of `synapses`."""
        synapses = np.asarray(synapses, float)
        positive_unit, negative_unit = self.areas(biases)
        unit = np.where(synapses >= 0, positive_unit[:, None], negative_unit[:, None])
        return synapses * unit / (self.width * self.tau_ref)

    def areas(self, biases: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Areas over a refractory time [mV ms] of the response to unit weights, both signs."""
        mean = self.half + self.width * np.asarray(biases, float)
        self._check_reach(mean)
        receptors, cm = self.preset.receptors, float(self.preset.neuron.cm)  # pyright: ignore[reportArgumentType]
        found = []
        for side in "EI":
            tau = float(getattr(receptors, f"tau_syn_{side}"))
            tau_eff = self.free.tau_eff
            area = _area(tau, tau_eff, self.tau_ref) / cm
            if isinstance(receptors, ConductanceExp):
                reversal = float(getattr(receptors, f"e_rev_{side}"))
                found.append(area * np.abs(reversal - mean))
            else:
                found.append(np.full_like(mean, area))
        return found[0], found[1]

    # -- conditions ----------------------------------------------------------------------------

    @property
    def tau_ref(self) -> float:
        """Refractory time [ms]."""
        return float(self.preset.neuron.tau_refrac)  # pyright: ignore[reportArgumentType]

    @property
    def _v_rest(self) -> float:
        return float(self.preset.neuron.v_rest)  # pyright: ignore[reportArgumentType]

    @property
    def free(self) -> "_Free":
        """Moments of the free potential at the resting potential of the preset."""
        return _free(self.preset)

    @property
    def leak_factor(self) -> float:
        """By how much the resting potential must move to move the mean potential by 1."""
        neuron = self.preset.neuron
        return float(neuron.tau_m) / self.free.tau_eff  # pyright: ignore[reportArgumentType]

    def check(self, preset: Bombarded, dt: float, noise: str = "private") -> None:
        """Refuse conditions other than those of the calibration.

        Raises:
            InputError: The neuron, its noise or the time step differ; the message says how.
        """
        mine, theirs = _conditions(self.preset), _conditions(preset)
        del mine["neuron.v_rest"], theirs["neuron.v_rest"]  # that is what calibration sets
        mine |= {"dt": self.dt, "noise": self.noise}
        theirs |= {"dt": dt, "noise": noise}
        differ = [f"`{k}` {mine[k]} there, {theirs[k]} here" for k in mine if mine[k] != theirs[k]]
        if differ:
            raise InputError(
                "The calibration was made under other conditions: " + "; ".join(differ) + "."
            )

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            StorageError: The file cannot be written.
        """
        record = asdict(self) | {
            "preset": _conditions(self.preset),
            "receptors": type(self.preset.receptors).__name__,
        }
        try:
            Path(path).write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Read what `save` wrote.

        Raises:
            StorageError: The file cannot be read, or is no calibration.
        """
        try:
            record = json.loads(Path(path).read_text())
            given = record.pop("preset")
            kind = {"CurrentExp": CurrentExp, "ConductanceExp": ConductanceExp}[
                record.pop("receptors")
            ]

            def part(name):
                return {k.split(".")[1]: v for k, v in given.items() if k.startswith(f"{name}.")}

            preset = Bombarded(
                LIF(**part("neuron")),
                kind(**part("receptors")),
                tuple(given["rates"]),
                tuple(given["weights"]),
            )
            for name in ("potentials", "activities"):
                record[name] = tuple(record[name])
            return cls(preset=preset, **record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} cannot be read as a calibration: {error}") from error


@dataclass(frozen=True)
class _Free:
    mean: float
    sd: float
    tau_eff: float


def _free(preset: Bombarded) -> _Free:
    found: FreePotential = free_potential(*noise_driven(1, preset))
    return _Free(*(float(x[0]) for x in found))


def _conditions(preset: Bombarded) -> dict:
    found = {f"neuron.{k}": v for k, v in asdict(preset.neuron).items()}
    found |= {f"receptors.{k}": v for k, v in asdict(preset.receptors).items()}  # pyright: ignore[reportArgumentType]
    return found | {"rates": list(preset.rates), "weights": list(preset.weights)}


def _area(tau: float, tau_eff: float, duration: float) -> float:
    """Area of the response to an exponential current of unit charge rate, over `duration`."""
    if np.isclose(tau, tau_eff, rtol=1e-6):
        tau = tau * (1 + 1e-6)
    slow = tau * -np.expm1(-duration / tau)
    fast = tau_eff * -np.expm1(-duration / tau_eff)
    return (slow - fast) / (1 / tau_eff - 1 / tau)


def find(preset: str | Bombarded) -> Bombarded:
    """A preset by its name, or as it is.

    Raises:
        InputError: There is none of that name.
    """
    if isinstance(preset, str):
        one_of("preset", preset, BOMBARDED)
        return BOMBARDED[preset]
    return preset


def calibrate(
    preset: str | Bombarded,
    *,
    dt: float = 0.1,
    seed: int = 0,
    points: int = 31,
    duration: float = 40_000.0,
    chains: int = 8,
    threads: int = 1,
) -> Calibration:
    """Measure the activity over mean potentials around the prediction, and fit a logistic function.

    Args:
        preset: A name of `lapicque.spiking.models.BOMBARDED`, or one of your own.
        dt: Time step [ms]; use the one that you will sample with.
        seed: Of the noise.
        points: How many potentials.
        duration: Simulated time per potential [ms], shared out among chains.
        chains: Copies that run side by side.
        threads: On how many threads.

    Raises:
        InputError: A value is out of range, or no potential gives an activity between 0.05 and
            0.95.
    """
    preset = find(preset)
    in_range("points", points, 5)
    in_range("duration", duration, 1000, unit="ms")
    in_range("chains", chains, 1)
    guess = predict(preset, dt)
    mean = guess.half + guess.width * np.linspace(-4.5, 4.5, points)
    rest = replace(guess, potentials=(), activities=()).rest((mean - guess.half) / guess.width)
    network, neurons = noise_driven(points, preset, v_rest=rest)
    simulation = Simulation(network, dt, seed=seed, chains=chains, threads=threads)
    simulation.run(500.0)
    length = duration / chains
    _, unit, _ = simulation.run(length).all_spikes(neurons)
    tau_ref = float(preset.neuron.tau_refrac)  # pyright: ignore[reportArgumentType]
    spikes = np.bincount(unit, minlength=points).astype(np.float64)
    activity = spikes * (tau_ref / (length * chains))
    return _fitted(preset, dt, mean, activity)


def predict(preset: str | Bombarded, dt: float = 0.1) -> Calibration:
    """A calibration by theory alone, without simulation: see `lapicque.sampling.theory`."""
    preset = find(preset)
    free = _free(preset)
    threshold = float(preset.neuron.v_thresh)  # pyright: ignore[reportArgumentType]
    mean = threshold + free.sd * np.linspace(-3.5, 2.5, 25)
    return _fitted(preset, dt, mean, activation(preset, mean))


def _fitted(
    preset: Bombarded, dt: float, mean: NDArray[np.float64], activity: NDArray[np.float64]
) -> Calibration:
    slope = (activity > 0.05) & (activity < 0.95)
    if slope.sum() < 3:
        raise InputError(
            f"Only {slope.sum()} of {len(mean)} mean potentials between {mean.min():.4g} and "
            f"{mean.max():.4g} mV gave an activity between 0.05 and 0.95; the neuron does not "
            "sample under this noise."
        )
    scale = np.ptp(mean)
    middle = np.interp(0.5, activity[slope], mean[slope])
    x = (mean - middle) / scale
    (half, width), _ = curve_fit(
        lambda x, half, width: expit((x - half) / width), x[slope], activity[slope], (0.0, 0.1)
    )
    residual = np.abs(activity - expit((x - half) / width)).max()
    return Calibration(
        preset,
        dt,
        float(middle + half * scale),
        float(abs(width) * scale),
        float(residual),
        tuple(map(float, mean)),
        tuple(map(float, activity)),
    )
