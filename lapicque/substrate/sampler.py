"""Sampling from Boltzmann distributions with the neurons of a chip.

LIF neurons under strong Poisson noise are on for one refractory time after each spike. All that
reaches them comes through synapses of the chip: noise, the other units, and a regular train whose
weight is the bias. The noise comes from sources of its own for every neuron, or from a pool that
neurons share. What a digital weight is worth is measured, neuron by neuron: `measure` sweeps the
bias and fits a logistic function, whose two numbers translate biases and weights.

    sampler = ChipSampler(Chip(brainscales2(), seed=1), units=5)
    activation = measure(sampler)
    sampler.write(activation.weights(target.weights), activation.biases(target.biases))
    states = sampler.run(10_000)

Several samplers lie side by side on a chip, each on circuits of its own. Times and currents are
biological.

Source:
    Petrovici et al. (2016), "Stochastic inference with spiking neurons in the high-conductance
    state", Phys. Rev. E 94: refractory state as value, activation function, translation of weights.
    What carries bias and noise on the chip, and all settings, are our choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit
from scipy.special import expit

from lapicque._checks import InputError, in_range, one_of, positive, shape
from lapicque.sampling.calibration import _area
from lapicque.spiking import (
    LIF,
    CurrentExp,
    FromArrays,
    Network,
    Poisson,
    Population,
    Projection,
    SpikeArray,
    TsodyksMarkram,
)
from lapicque.substrate.chip import Chip
from lapicque.substrate.emulation import Emulation

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SamplingSettings:
    """What neurons, noise and synapses are set to.

    Defaults make one log-odds about 8 steps of a bias and 30 of a weight on BrainScaleS-2.

    Attributes:
        v_rest, v_reset, v_thresh: Potentials. [mV]
        tau_m, tau_syn, tau_refrac: Time constants. [ms]
        noise_rate: Of all excitatory noise that a neuron gets, and of all inhibitory. [Hz]
        noise: Weight of each of these spikes. [nA]
        largest: Weight of the highest digital weight. [nA]
        bias_rate: Of the train that carries the bias. [Hz]
        pool: Sources that all neurons of a chip share; `None` gives each two of its own.
        fan_in: Excitatory and inhibitory sources that a neuron takes from the pool, of each.
        synapses: `renewing` ones do not add up successive responses, `static` ones do.
        dt: Time step. [ms]

    Raises:
        InputError: A value is out of range.
    """

    v_rest: float = -145 / 3
    v_reset: float = -155 / 3
    v_thresh: float = -145 / 3
    tau_m: float = 1.0
    tau_syn: float = 20.0
    tau_refrac: float = 20.0
    noise_rate: float = 200.0
    noise: float = 0.5
    largest: float = 1.9
    bias_rate: float = 125.0
    pool: int | None = None
    fan_in: int = 4
    synapses: Literal["renewing", "static"] = "renewing"
    dt: float = 0.5

    def __post_init__(self) -> None:
        for name, unit in (
            ("tau_m", "ms"), ("tau_syn", "ms"), ("tau_refrac", "ms"), ("dt", "ms"),
            ("noise_rate", "Hz"), ("bias_rate", "Hz"), ("noise", "nA"), ("largest", "nA"),
        ):  # fmt: skip
            positive(name, getattr(self, name), unit)
        one_of("synapses", self.synapses, ("renewing", "static"))
        in_range("noise", self.noise, 0, self.largest, "nA", "It is a weight like others.")
        in_range("fan_in", self.fan_in, 1)
        if self.pool is not None:
            in_range("pool", self.pool, 2 * self.fan_in, hint="A source has one sign per neuron.")

    def ratio(self, refractory: ArrayLike) -> Values:
        """Digital steps of a weight that act like one step of the bias.

        The mean response to the bias train, over that to a spike while its neuron is refractory.

        Args:
            refractory: Refractory times of presynaptic neurons. [ms]
        """
        refractory = np.asarray(refractory, float)
        train = self.tau_m * self.tau_syn * 1e-3 * self.bias_rate
        area = np.vectorize(_area, otypes=[float])(self.tau_syn, self.tau_m, refractory)
        return train * refractory / area


class ChipSampler:
    """Samplers side by side on a chip.

    Args:
        chip: The specimen.
        units: Of each sampler.
        copies: How many samplers, each on the next free circuits.
        settings: Of neurons, noise and synapses.
        calibrated: Whether the settings of neurons are corrected by what the chip lets one see.
        seed: Of the noise, and of who takes what from a pool.
        trial: Number of this configuration, see `Emulation`.

    Attributes:
        emulation: What runs, with its report.
        refractory: How long each unit is on after a spike, shape (copies, units): the shortest
            interval between spikes under the highest bias, since settings are coarse. [ms]

    Raises:
        InputError: A number is out of range, or the chip has too few neurons or rows.
    """

    def __init__(
        self,
        chip: Chip,
        units: int = 5,
        copies: int = 1,
        settings: SamplingSettings | None = None,
        *,
        calibrated: bool = True,
        seed: int = 0,
        trial: int = 0,
    ):
        in_range("units", units, 1)
        in_range("copies", copies, 1)
        self.chip, self.units, self.copies = chip, units, copies
        self.settings = s = SamplingSettings() if settings is None else settings
        n = units * copies
        network = Network()
        self.neurons = network.population(
            n,
            LIF(
                v_rest=s.v_rest, cm=chip.spec.capacitance, tau_m=s.tau_m,
                tau_refrac=s.tau_refrac, v_reset=s.v_reset, v_thresh=s.v_thresh,
            ),
            CurrentExp(s.tau_syn, s.tau_syn),
        )  # fmt: skip
        self._attach_noise(network, n, np.random.default_rng([seed, 7]))
        self._train = network.population(1, SpikeArray([np.zeros(0)]))
        # A silent source with the highest weight keeps the scale of digital weights where it is.
        pin = network.population(1, SpikeArray([np.zeros(0)]))
        for sign in (1, -1):
            self._project(network, pin, np.zeros(1, int), np.zeros(1, int), sign * s.largest)
        every = np.arange(n)
        self._bias = [
            self._project(network, self._train, 0 * every, every, sign * s.largest)
            for sign in (1, -1)
        ]
        self._pairs = np.nonzero(np.kron(np.eye(copies), 1 - np.eye(units)))
        renewing = s.synapses == "renewing"
        plasticity = TsodyksMarkram(U=1.0, tau_rec=s.tau_syn, tau_facil=0.0) if renewing else None
        post, pre = self._pairs
        self._recurrent = [
            self._project(network, self.neurons, pre, post, sign * s.largest, plasticity)
            for sign in (1, -1)
            if len(post)
        ]
        self.emulation = Emulation(
            network, chip, s.dt, seed=seed, trial=trial, calibrated=calibrated
        )
        self.refractory = np.full((copies, units), s.tau_refrac)
        self._last = np.full(n, -(2**62), np.int64)
        none, top = np.zeros((copies, units, units)), chip.spec.weights.top
        self.write(none, np.full((copies, units), top))
        step, unit = self._spikes(50)
        trains = [step[unit == i] for i in range(n)]
        shortest = [np.diff(own).min() if len(own) > 1 else s.tau_refrac / s.dt for own in trains]
        self.refractory = s.dt * np.reshape(shortest, (copies, units))
        self.write(none, np.zeros((copies, units)))

    def _attach_noise(self, network: Network, n: int, rng: np.random.Generator) -> None:
        s, every = self.settings, np.arange(n)
        if s.pool is None:
            for sign in (1, -1):
                sources = network.population(n, Poisson(s.noise_rate))
                self._project(network, sources, every, every, sign * s.noise)
            return
        sources = network.population(s.pool, Poisson(s.noise_rate / s.fan_in))
        taken = np.argsort(rng.random((n, s.pool)), axis=1)[:, : 2 * s.fan_in]
        post = np.repeat(every, s.fan_in)
        for k, sign in enumerate((1, -1)):
            pre = taken[:, k * s.fan_in : (k + 1) * s.fan_in].ravel()
            self._project(network, sources, pre, post, sign * s.noise)

    def _project(
        self, network: Network, pre: Population, i: NDArray, j: NDArray, weight: float,
        plasticity: TsodyksMarkram | None = None,
    ) -> Projection:  # fmt: skip
        return network.project(
            pre,
            self.neurons,
            FromArrays(i, j),
            weight,
            self.chip.spec.axon_delay,
            plasticity=plasticity,
        )

    def write(self, weights: ArrayLike, biases: ArrayLike) -> None:
        """Write weights and biases; the chip rounds them to whole steps and clips them.

        Args:
            weights: Digital steps, shape (copies, units, units) as (..., post, pre).
            biases: Digital steps, shape (copies, units).

        Raises:
            InputError: A shape does not fit.
        """
        c, n, s = self.copies, self.units, self.settings
        shape("weights", weights, (c, n, n))
        shape("biases", biases, (c, n))
        unit = s.largest / self.chip.spec.weights.top
        full = np.zeros((c, n, c, n))
        full[np.arange(c), :, np.arange(c)] = np.asarray(weights, float)
        recurrent = full.reshape(c * n, c * n)[self._pairs]
        for values, projections in (
            (recurrent, self._recurrent),
            (np.ravel(np.asarray(biases, float)), self._bias),
        ):
            for sign, projection in zip((1, -1), projections, strict=False):
                own = np.clip(sign * values * unit, 0, s.largest)
                self.emulation.set_weights(projection, sign * own)

    def run(self, samples: int) -> NDArray[np.uint8]:
        """States, one each nominal refractory time, shape (samples, copies, units).

        Raises:
            InputError: `samples` is negative.
        """
        in_range("samples", samples, 0)
        s, n = self.settings, self.units * self.copies
        begin = round(self.emulation.time / s.dt)
        grid = begin + (1 + np.arange(samples)) * round(s.tau_refrac / s.dt)
        step, unit = self._spikes(samples)
        order = np.argsort(unit, kind="stable")
        trains = np.split(step[order], np.cumsum(np.bincount(unit, minlength=n))[:-1])
        out = np.empty((samples, n), np.uint8)
        for i, on in enumerate(np.rint(self.refractory / s.dt).astype(np.int64).ravel()):
            train = np.append(self._last[i], trains[i])
            out[:, i] = grid - train[np.searchsorted(train, grid) - 1] <= on
            self._last[i] = train[-1]
        return out.reshape(samples, self.copies, self.units)

    def _spikes(self, samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Go on; steps and neurons of spikes, in the order of time."""
        s, emulation = self.settings, self.emulation
        duration = samples * round(s.tau_refrac / s.dt) * s.dt
        period = 1e3 / s.bias_rate
        numbers = np.arange(np.ceil(emulation.time / period), (emulation.time + duration) / period)
        train = numbers * period
        emulation.set(self._train, "times", [train[train > emulation.time + s.dt / 2]])
        step, unit, _ = emulation.run(duration).all_spikes(self.neurons)
        return step.astype(np.int64), unit.astype(np.int64)


class Activation(NamedTuple):
    """Logistic functions of the bias d, ``p(z = 1) = 1 / (1 + exp(-(d - half) / width))``.

    Attributes:
        half: Bias at which a neuron is on half of the time, shape (copies, units). [steps]
        width: Steps of the bias that are worth one log-odds, same shape.
        residual: Largest distance of measured activities from the fit, same shape.
        ratio: Of presynaptic neurons, same shape; see `SamplingSettings.ratio`.
    """

    half: Values
    width: Values
    residual: Values
    ratio: Values

    def biases(self, biases: ArrayLike) -> Values:
        """Digital steps of biases in log-odds, shape (copies, units)."""
        return self.half + self.width * np.asarray(biases, float)

    def weights(self, weights: ArrayLike) -> Values:
        """Digital steps of weights in log-odds, shape (copies, units, units)."""
        return self.width[..., None] * self.ratio[..., None, :] * np.asarray(weights, float)

    def copied(self, copies: int) -> Activation:
        """The means over all neurons, given to samplers of as many units."""
        units = self.half.shape[1]
        return Activation(*(np.full((copies, units), float(np.mean(v))) for v in self))


def measure(
    sampler: ChipSampler, samples: int = 500, points: int = 22, settle: int = 20
) -> Activation:
    """Sweep the bias of all neurons, without weights, and fit what they do.

    Args:
        sampler: What is measured; biases and weights are 0 afterwards.
        samples: Refractory times for each bias.
        points: How many biases.
        settle: Refractory times that do not count, after each change.

    Raises:
        InputError: A number is too small, or a neuron has fewer than 3 activities between 0.02
            and 0.98 over all biases.
    """
    in_range("samples", samples, 10)
    in_range("points", points, 5)
    in_range("settle", settle, 0)
    c, n = sampler.copies, sampler.units
    top = sampler.chip.spec.weights.top
    steps = np.rint(np.linspace(-top, top, points))
    none, activity = np.zeros((c, n, n)), np.empty((points, c, n))
    for k, d in enumerate(steps):
        sampler.write(none, np.full((c, n), d))
        sampler.run(settle)
        activity[k] = sampler.run(samples).mean(0)
    sampler.write(none, np.zeros((c, n)))
    found = np.array([_fitted(steps, a, top) for a in activity.reshape(points, -1).T])
    half, width, residual = found.T.reshape(3, c, n)
    return Activation(half, width, residual, sampler.settings.ratio(sampler.refractory))


def _fitted(steps: Values, activity: Values, top: float) -> tuple[float, float, float]:
    slope = (activity > 0.02) & (activity < 0.98)
    if slope.sum() < 3:
        raise InputError(
            f"A neuron was on between 0.02 and 0.98 of the time at {slope.sum()} of "
            f"{steps.size} biases; it cannot be calibrated. Is the chip calibrated?"
        )
    spread = np.sqrt(activity[slope] * (1 - activity[slope]))
    middle = float(np.interp(0.5, activity[slope], steps[slope]))
    (half, width), _ = curve_fit(
        lambda d, half, width: expit((d - half) / width),
        steps[slope],
        activity[slope],
        (middle, top / 8),
        sigma=spread,
    )
    residual = np.abs(activity - expit((steps - half) / width)).max()
    return float(half), float(abs(width)), float(residual)


class Shadow(NamedTuple):
    """Weights and biases as they are learned, in log-odds; the chip gets them in whole steps."""

    weights: Values  # (copies, units, units)
    biases: Values  # (copies, units)


def moments(states: NDArray) -> Shadow:
    """Means of products, with a diagonal of 0, and of units, sampler by sampler.

    Args:
        states: Shape (samples, copies, units).
    """
    z = np.moveaxis(np.asarray(states), 1, 0).astype(np.float32)
    products = (z.swapaxes(1, 2) @ z).astype(float) / z.shape[1]
    means = np.diagonal(products, axis1=1, axis2=2).copy()
    products[:, np.arange(z.shape[2]), np.arange(z.shape[2])] = 0
    return Shadow(products, means)


def learn(
    sampler: ChipSampler,
    activation: Activation,
    shadow: Shadow,
    data: Shadow,
    *,
    steps: int,
    samples: int,
    rate: Callable[[int], float],
    settle: int = 5,
    limit: float = 4.0,
) -> tuple[Shadow, NDArray[np.uint8]]:
    """Wake-sleep learning in the loop: ``dW = rate (<z z>_data - <z z>_chip)``, biases likewise.

    All units are visible, so the wake phase is the moments of the data.

    Args:
        sampler: The chip; it is left with the last weights.
        activation: Translates to digital steps. It may be wrong: learning makes up for it.
        shadow: Where to start.
        data: Moments that are wanted, see `moments`.
        steps: How many.
        samples: Refractory times for each.
        rate: Learning rate of each step.
        settle: Refractory times that do not count, after each write.
        limit: Largest size of a weight or bias. [log-odds]

    Returns:
        The last shadow, and the states on the way, shape (steps, samples, copies, units).

    Raises:
        InputError: A number is too small.
    """
    in_range("steps", steps, 0)
    in_range("samples", samples, 1)
    positive("limit", limit)
    seen = np.empty((steps, samples, sampler.copies, sampler.units), np.uint8)
    for k in range(steps):
        put(sampler, activation, shadow)
        sampler.run(settle)
        seen[k] = sampler.run(samples)
        own, speed = moments(seen[k]), rate(k)
        shadow = Shadow(
            np.clip(shadow.weights + speed * (data.weights - own.weights), -limit, limit),
            np.clip(shadow.biases + speed * (data.biases - own.biases), -limit, limit),
        )
    put(sampler, activation, shadow)
    sampler.run(settle)
    return shadow, seen


def put(sampler: ChipSampler, activation: Activation, shadow: Shadow) -> None:
    """Write weights and biases that are given in log-odds."""
    sampler.write(activation.weights(shadow.weights), activation.biases(shadow.biases))
