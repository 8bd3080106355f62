"""Temperature: how it changes in time, and samplers and learners that use it to leave deep modes.

At temperature T a machine samples from ``p_T(z) ~ p(z)^(1 / T)``; 1 is the one that is meant. A
schedule is a function of the time [ms] that returns temperatures. Abstract samplers make one sweep
per refractory period, by convention 10 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import atan, hypot, pi
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from lapicque._checks import InputError, finite, in_range, one_of, positive, shape
from lapicque.sampling.calibration import Calibration
from lapicque.sampling.samplers import Gibbs, _same_size, _sweeps, clamped
from lapicque.sampling.target import LARGEST, Boltzmann, layered, states
from lapicque.spiking.models import Bombarded
from lapicque.spiking.network import Network, Population
from lapicque.spiking.neurons import CurrentExp
from lapicque.spiking.sources import SinusoidalPoisson

# -- schedules ---------------------------------------------------------------------------------


class Schedule(Protocol):
    """A temperature that changes in time."""

    def __call__(self, time: ArrayLike) -> NDArray[np.float64]:
        """Temperatures at times [ms], of the shape of `time`."""
        ...


@dataclass(frozen=True)
class ConstantTemperature:
    """The same at all times.

    Raises:
        InputError: It is not positive.
    """

    temperature: float = 1.0

    def __post_init__(self):
        positive("temperature", self.temperature)

    def __call__(self, time: ArrayLike) -> NDArray[np.float64]:
        """See `Schedule`."""
        return np.full(np.shape(time), self.temperature)


@dataclass(frozen=True)
class PiecewiseTemperature:
    """Straight lines between given points; constant beyond them, or repeated.

    Raises:
        InputError: Times do not rise, shapes differ, a temperature is not positive, or the period
            is shorter than the points.
    """

    times: Sequence[float]  # ms
    temperatures: Sequence[float]
    period: float | None = None  # ms; with it, the first point follows upon the last

    def __post_init__(self):
        times = np.asarray(self.times, float)
        shape("times", times, (None,))
        shape("temperatures", self.temperatures, (len(times),))
        finite("times", times)
        positive("temperatures", self.temperatures)
        if (np.diff(times) <= 0).any():
            raise InputError("`times` must rise from entry to entry.")
        if self.period is not None:
            in_range("period", self.period, float(np.ptp(times)), unit="ms")
            positive("period", self.period, "ms")

    def __call__(self, time: ArrayLike) -> NDArray[np.float64]:
        """See `Schedule`."""
        return np.interp(np.asarray(time, float), self.times, self.temperatures, period=self.period)


@dataclass(frozen=True)
class OscillatingRate:
    """The temperature that balanced background noise of oscillating rate makes.

    The rate is ``rate + amplitude sin(2 pi frequency t + phase)``, and the variance of the
    potential follows it, low-passed by the square of the postsynaptic response. Temperature is
    the standard deviation relative to that at the reference rate.

    Source: Korcsak-Gorzo et al. (2022); the filter is derived, see `response`.

    Raises:
        InputError: A value is out of range, or the rate would become negative.
    """

    rate: float  # Hz
    amplitude: float  # Hz
    frequency: float  # Hz
    phase: float = -pi / 2  # rad; the default starts at the coldest
    reference: float = 400.0  # Hz, where the temperature is 1
    tau_syn: float = 10.0  # ms; 0 for samplers without synapses
    skew: float = 0.0  # share of the rate above the reference that moves from E to I

    def __post_init__(self):
        positive("rate", self.rate, "Hz")
        in_range("skew", self.skew, -1, 1)
        in_range(
            "amplitude", self.amplitude, -self.rate, self.rate, "Hz", "Rates cannot be negative."
        )
        in_range("frequency", self.frequency, 0, unit="Hz")
        finite("phase", self.phase)
        positive("reference", self.reference, "Hz")
        in_range("tau_syn", self.tau_syn, 0, unit="ms")

    @classmethod
    def between(
        cls,
        coldest: float,
        hottest: float,
        frequency: float,
        reference: float = 400.0,
        tau_syn: float = 10.0,
    ) -> "OscillatingRate":
        """The oscillation that, if it is slow, reaches these two temperatures; it starts cold.

        Raises:
            InputError: Temperatures are not positive, or in the wrong order.
        """
        positive("coldest", coldest)
        in_range("hottest", hottest, coldest)
        low, high = reference * coldest**2, reference * hottest**2
        return cls(
            (high + low) / 2,
            (high - low) / 2,
            frequency,
            reference=reference,
            tau_syn=tau_syn,
        )

    def __call__(self, time: ArrayLike) -> NDArray[np.float64]:
        """See `Schedule`."""
        gain, lag = response(self.frequency, self.tau_syn)
        angle = 2 * pi * self.frequency * np.asarray(time, float) / 1000 + self.phase - lag
        return np.sqrt(
            np.maximum(self.rate + gain * self.amplitude * np.sin(angle), 0) / self.reference
        )

    def sources(self) -> tuple[SinusoidalPoisson, SinusoidalPoisson]:
        """The sources of excitatory and of inhibitory spikes."""
        excess = self.skew * (self.rate - self.reference)
        return tuple(
            SinusoidalPoisson(
                self.rate + sign * excess,
                self.amplitude * (1 + sign * self.skew),
                self.frequency,
                self.phase,
            )
            for sign in (-1, 1)
        )  # pyright: ignore[reportReturnType]

    def attach(self, network: Network, neurons: Population, preset: Bombarded) -> None:
        """Private noise of every neuron, as `lapicque.sampling.lif.Noise` asks for."""
        preset.drive(network, neurons, self.sources())

    def centred(self, reference: Calibration, hottest: Calibration) -> "OscillatingRate":
        """With the `skew` that keeps neurons half active when they get hot.

        The mean potential at which a neuron is active half of the time falls as the noise grows.
        With equal rates of excitation and inhibition all units would lean to 1 in the hot phase.

        Args:
            reference: Calibration at the reference rate; the noise must act by currents.
            hottest: Calibration at the highest rate.

        Raises:
            InputError: The neurons have conductances, or both rates are equal.
        """
        preset = reference.preset
        if not isinstance(preset.receptors, CurrentExp):
            raise InputError("Centring is for noise that acts by currents.")
        more = np.asarray(hottest.preset.rates) - np.asarray(preset.rates)
        if not (more > 0).all():
            raise InputError("The calibration `hottest` must have higher rates than `reference`.")
        taus = np.array([preset.receptors.tau_syn_E, preset.receptors.tau_syn_I], float)
        leak = float(preset.neuron.cm) / float(preset.neuron.tau_m)  # pyright: ignore[reportArgumentType]
        effect = np.asarray(preset.weights) * taus * more / 1000 / leak  # mV, of either side
        moved = reference.half - hottest.half + effect.sum()
        return replace(self, skew=float(moved / (effect[0] - effect[1])))


def response(frequency: float, tau_syn: float) -> tuple[float, float]:
    """Gain and lag [rad] with which the variance of the potential follows an oscillating rate.

    The square of an exponential response is an exponential with half the time constant, so that
    the gain is ``1 / sqrt(1 + (pi f tau_syn)^2)`` and the lag ``atan(pi f tau_syn)``, for a
    membrane that is much faster than the synapse.

    Args:
        frequency: Of the rate [Hz].
        tau_syn: Synaptic time constant [ms].

    Raises:
        InputError: One is negative.
    """
    in_range("frequency", frequency, 0, unit="Hz")
    in_range("tau_syn", tau_syn, 0, unit="ms")
    x = pi * frequency * tau_syn / 1000
    return 1 / hypot(1, x), atan(x)


def cold(temperatures: ArrayLike, margin: float = 0.02) -> NDArray[np.bool_]:
    """Which samples count: those taken at a temperature of at most ``1 + margin``.

    Raises:
        InputError: `margin` is negative.
    """
    in_range("margin", margin, 0)
    return np.asarray(temperatures, float) <= 1 + margin


# -- simulated tempering -------------------------------------------------------------------------


@dataclass(frozen=True)
class Tempering:
    """Adaptive simulated tempering: a sweep, then a move up or down a ladder of temperatures.

    The pair of state and level k has the probability ``exp(-beta_k E(z)) / g_k``. A move to a
    neighbouring level is accepted with ``min(1, r g_k / g_k' exp(-(beta_k' - beta_k) E))``, where
    E is the energy of the state just drawn and r corrects for the ends, from where there is one
    way only. The weight of the level that is reached grows by the factor
    ``1 + gain / (1 + t / decay)``, until all levels are visited alike. Each chain has its own.

    Source: Salakhutdinov (2010); the course of the gain is that of the code base lif_pong.

    Raises:
        InputError: The first beta is not 1, betas do not fall or are negative, or a constant is
            out of range.
    """

    betas: tuple[float, ...] = tuple(np.linspace(1, 0.5, 10).tolist())
    gain: float = 10.0
    decay: float = 100.0  # sweeps

    def __post_init__(self):
        betas = np.asarray(self.betas, float)
        shape("betas", betas, (None,))
        in_range("betas", betas, 0, 1)
        if not len(betas) or betas[0] != 1 or (np.diff(betas) >= 0).any():
            raise InputError(f"`betas` is {self.betas}; it must fall, from 1 on.")
        in_range("gain", self.gain, 0)
        positive("decay", self.decay, "sweeps")

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "TemperedChains":
        """See `lapicque.sampling.samplers.Sampler`."""
        return TemperedChains(self, target, chains, seed)


class TemperedChains:
    """Chains that carry a level of temperature with them, see `Tempering`.

    Attributes:
        levels: Present level of each chain, (chains,).
        log_weights: Logarithm of g, (chains, levels); the largest is 0.
        visits: Sweeps made at each level, (chains, levels).
    """

    def __init__(self, tempering: Tempering, target: Boltzmann, chains: int, seed: int):
        in_range("chains", chains, 1)
        self.target, self._tempering = target, tempering
        self._betas = np.asarray(tempering.betas, float)
        seeds = np.random.SeedSequence(seed).spawn(chains)
        self._rngs = [np.random.default_rng(s) for s in seeds]
        self._states = np.stack([rng.integers(0, 2, target.n) for rng in self._rngs])
        self._free = np.ones((chains, target.n), np.bool_)
        self.levels = np.zeros(chains, np.int64)
        self.log_weights = np.zeros((chains, len(self._betas)))
        self.visits = np.zeros((chains, len(self._betas)), np.int64)

    @property
    def states(self) -> NDArray[np.uint8]:
        """Present states, (chains, units), at whatever temperature."""
        return self._states.astype(np.uint8)

    def run(self, samples: int) -> NDArray[np.uint8]:
        """Go on until each chain has made this many sweeps at temperature 1; the states after them.

        Chains need different numbers of sweeps, see `visits`.

        Raises:
            InputError: Temperature 1 is not found again in a thousand times as many sweeps.
        """
        return self._advance(samples, False)[0]

    def sweep(self, sweeps: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Make sweeps; states (sweeps, chains, units) and the level of each, (sweeps, chains)."""
        return self._advance(sweeps, True)

    def update(self, target: Boltzmann) -> None:
        """See `lapicque.sampling.samplers.Chains`."""
        self.target = _same_size(self.target, target)

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `lapicque.sampling.samplers.Chains`."""
        units, values = clamped(units, values, len(self._states), self.target.n)
        self._free[:] = True
        self._free[:, units] = False
        self._states[:, units] = values

    def _advance(self, rows: int, keep_all: bool):
        in_range("samples", rows, 0)
        chains, n = self._states.shape
        out = np.empty((rows, chains, n), np.uint8)
        levels = np.empty((rows, chains), np.int64)
        for chain, rng in enumerate(self._rngs):
            kept = _temper(
                rng,
                self.target.weights,
                self.target.biases,
                self._states[chain],
                self._free[chain],
                self._betas,
                self.log_weights[chain],
                self.levels[chain : chain + 1],
                self.visits[chain],
                self._tempering.gain,
                self._tempering.decay,
                keep_all,
                1000 * rows + 100_000,
                out[:, chain],
                levels[:, chain],
            )
            if kept < rows:
                raise InputError(
                    f"Chain {chain} was at temperature 1 in {kept} of {1000 * rows + 100_000} "
                    f"sweeps only; {rows} were asked for. Levels further apart are hard to pass."
                )
        return out, levels


@njit(cache=True, error_model="numpy")
def _temper(
    rng, weights, biases, state, free, betas, log_g, level, visits, gain, decay, keep_all, most,
    out, levels,
):  # fmt: skip
    n = biases.size
    order = np.arange(n)
    uniform, now = np.empty((1, n)), np.empty((1, n), np.uint8)
    kept = 0
    for _ in range(most):
        if kept == out.shape[0]:
            break
        k = level[0]
        for i in range(n):
            uniform[0, i] = rng.random()
        _sweeps(weights, biases, state, free, order, 1, betas[k : k + 1], uniform, now)
        visits[k] += 1
        if keep_all or k == 0:
            out[kept], levels[kept] = now[0], k
            kept += 1
        energy = 0.0
        for i in range(n):
            if state[i]:
                energy -= biases[i]
                for j in range(i):
                    if state[j]:
                        energy -= weights[i, j]
        level[0] = _move(k, energy, betas, log_g, rng.random(), rng.random())
        log_g[level[0]] += np.log1p(gain / (1 + visits.sum() / decay))
        log_g -= log_g.max()
    return kept


@njit(cache=True, error_model="numpy")
def _move(k, energy, betas, log_g, direction, uniform):
    """The next level, given two uniform random numbers."""
    top = betas.size - 1
    if top == 0:
        return 0
    if k == 0:
        to = 1
    elif k == top:
        to = top - 1
    else:
        to = k + 1 if direction < 0.5 else k - 1
    accept = log_g[k] - log_g[to] - (betas[to] - betas[k]) * energy
    if k == 0 or k == top:
        accept -= np.log(2.0)
    if to == 0 or to == top:
        accept += np.log(2.0)
    return to if uniform < np.exp(min(accept, 0.0)) else k


# -- restricted machines -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RBM:
    """A restricted Boltzmann machine: visible units are coupled to hidden ones alone.

    ``p(v, h) ~ exp(v W h + a v + b h)``. Labels, one unit per class, are the last visible units.

    Raises:
        InputError: Shapes do not fit, or a value is not finite.
    """

    weights: NDArray[np.float64]  # (visible, hidden)
    visible: NDArray[np.float64]  # (visible,), biases
    hidden: NDArray[np.float64]  # (hidden,), biases

    def __post_init__(self):
        for name in ("weights", "visible", "hidden"):
            finite(name, getattr(self, name))
        shape("weights", self.weights, (np.size(self.visible), np.size(self.hidden)))

    def target(self) -> Boltzmann:
        """As a machine over all units, visible before hidden."""
        return layered([self.weights], [self.visible, self.hidden])

    def gibbs(self) -> Gibbs:
        """The sampler of `target` that updates one layer after the other."""
        v, n = len(self.visible), len(self.visible) + len(self.hidden)
        return Gibbs((tuple(range(v, n)), tuple(range(v))))

    def hidden_logits(self, v: ArrayLike) -> NDArray[np.float64]:
        """Log-odds of hidden units given visible ones, (..., visible) to (..., hidden)."""
        return np.asarray(v, float) @ self.weights + self.hidden

    def visible_logits(self, h: ArrayLike) -> NDArray[np.float64]:
        """Log-odds of visible units given hidden ones, (..., hidden) to (..., visible)."""
        return np.asarray(h, float) @ self.weights.T + self.visible

    def step(
        self,
        v: NDArray[np.float64],
        rng: np.random.Generator,
        beta: ArrayLike = 1.0,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Block Gibbs sampling of all chains at once: hidden given visible units, then visible.

        Args:
            v: Visible states, (chains, visible).
            rng: Source of randomness.
            beta: Inverse temperature, one or one per chain.

        Returns:
            New visible states and the hidden ones that they were drawn from.
        """
        beta = np.asarray(beta, float).reshape(-1, 1)
        logits = beta * self.hidden_logits(v)
        h = (rng.random(logits.shape) < expit(logits)).astype(float)
        logits = beta * self.visible_logits(h)
        return (rng.random(logits.shape) < expit(logits)).astype(float), h

    def energy(self, v: ArrayLike, h: ArrayLike) -> NDArray[np.float64]:
        """Of states (..., visible) and (..., hidden)."""
        v, h = np.asarray(v, float), np.asarray(h, float)
        return -np.einsum("...i,...i->...", v, self.visible_logits(h)) - h @ self.hidden

    def free_energy(self, v: ArrayLike) -> NDArray[np.float64]:
        """Minus the logarithm of the weight of visible states (..., visible)."""
        return -np.asarray(v, float) @ self.visible - np.logaddexp(0, self.hidden_logits(v)).sum(-1)

    def log_partition(self) -> float:
        """Logarithm of the sum over all states, by enumeration of the smaller layer.

        Raises:
            InputError: Both layers have more than 20 units.
        """
        if len(self.hidden) <= len(self.visible):
            h = states(len(self.hidden)).astype(float)
            rest = np.logaddexp(0, self.visible_logits(h)).sum(-1)
            return float(np.logaddexp.reduce(h @ self.hidden + rest))
        if len(self.visible) > LARGEST:
            raise InputError(
                f"The layers have {len(self.visible)} and {len(self.hidden)} units; one of them "
                f"must have at most {LARGEST} to be enumerated."
            )
        return float(np.logaddexp.reduce(-self.free_energy(states(len(self.visible)))))

    def log_likelihood(self, v: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the probability of visible states, exact.

        Raises:
            InputError: Both layers have more than 20 units.
        """
        return -self.free_energy(v) - self.log_partition()

    def label_log_odds(self, images: ArrayLike, classes: int) -> NDArray[np.float64]:
        """Log-probability of each label given an image, exact, (..., classes).

        Args:
            images: Visible units but the labels, (..., visible - classes).
            classes: How many visible units are labels; one of them is on.
        """
        images = np.asarray(images, float)
        shape("images", images, (*images.shape[:-1], len(self.visible) - classes))
        full = np.empty((*images.shape[:-1], classes, len(self.visible)))
        full[..., :-classes] = images[..., None, :]
        full[..., -classes:] = np.eye(classes)
        weight = -self.free_energy(full)
        return weight - np.logaddexp.reduce(weight, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Training:
    """How an `RBM` learns.

    Attributes:
        method: `pcd` takes the negative phase from persistent chains. `cast` couples each of these
            to a second one that is tempered, see `Tempering`, and exchanges states with it.
        final_rate: Learning rate at the end, as a share of that at the start.
        exchange: Updates after which states are exchanged once the tempered chain is at 1.
        tempering: Of `cast`. A small gain: while weights of levels change fast, chains are driven
            to temperature 1 before they have cooled down.

    Raises:
        InputError: A value is out of range.
    """

    method: str = "pcd"
    epochs: int = 300
    batch: int = 50
    rate: float = 0.05
    final_rate: float = 0.05
    momentum: float = 0.0
    decay: float = 1e-4  # of weights, per unit of learning rate
    exchange: int = 50
    tempering: Tempering = field(default_factory=lambda: Tempering(gain=1.0))

    def __post_init__(self):
        one_of("method", self.method, ("pcd", "cast"))
        in_range("epochs", self.epochs, 1)
        in_range("batch", self.batch, 1)
        positive("rate", self.rate)
        in_range("final_rate", self.final_rate, 0, 1)
        in_range("momentum", self.momentum, 0, 1)
        in_range("decay", self.decay, 0)
        in_range("exchange", self.exchange, 1)


def train_rbm(data: ArrayLike, hidden: int, training: Training | None = None, seed: int = 0) -> RBM:
    """Raise the likelihood of data by stochastic gradients.

    Args:
        data: Visible states, (samples, visible), with labels if there are any.
        hidden: Number of hidden units.
        training: How; by default persistent chains.
        seed: Of weights, batches and chains.

    Raises:
        InputError: Data are not 0 or 1.

    Source:
        Persistent chains: Tieleman (2008). Coupled adaptive simulated tempering: Salakhutdinov
        (2010), where chains exchange states only while both are at temperature 1.
    """
    data, how = np.asarray(data, float), training or Training()
    shape("data", data, (None, None))
    in_range("hidden", hidden, 1)
    if not np.isin(data, (0, 1)).all():
        raise InputError("`data` must be 0 or 1.")
    rng = np.random.default_rng(seed)
    mean = (data.sum(0) + 1) / (len(data) + 2)
    rbm = RBM(
        0.01 * rng.standard_normal((data.shape[1], hidden)),
        np.log(mean / (1 - mean)),
        np.zeros(hidden),
    )
    batch = min(how.batch, len(data))
    start = data[rng.integers(0, len(data), batch)]
    negative = _Persistent(start) if how.method == "pcd" else _Coupled(start, how)
    per_epoch = len(data) // batch
    updates = how.epochs * per_epoch
    velocity = [np.zeros_like(p) for p in (rbm.weights, rbm.visible, rbm.hidden)]
    for update in range(updates):
        if update % per_epoch == 0:
            order = rng.permutation(len(data))
        here = batch * (update % per_epoch)
        v = data[order[here : here + batch]]
        h, model = expit(rbm.hidden_logits(v)), negative.step(rbm, rng)
        model_h = expit(rbm.hidden_logits(model))
        gradients = (
            (v.T @ h - model.T @ model_h) / batch - how.decay * rbm.weights,
            (v - model).mean(0),
            (h - model_h).mean(0),
        )
        rate = how.rate * (1 - (1 - how.final_rate) * update / updates)
        velocity = [
            how.momentum * old + rate * new for old, new in zip(velocity, gradients, strict=True)
        ]
        rbm = RBM(rbm.weights + velocity[0], rbm.visible + velocity[1], rbm.hidden + velocity[2])
    return rbm


class _Persistent:
    """Chains that go on from update to update."""

    def __init__(self, v: NDArray[np.float64]):
        self.v = v.copy()

    def step(self, rbm: RBM, rng: np.random.Generator) -> NDArray[np.float64]:
        self.v, _ = rbm.step(self.v, rng)
        return self.v


class _Coupled(_Persistent):
    """Persistent chains, each with a tempered one from which it takes states now and then."""

    def __init__(self, v: NDArray[np.float64], how: Training):
        super().__init__(v)
        ladder, self._every = how.tempering, how.exchange
        self._gain, self._decay = ladder.gain, ladder.decay
        self.betas = np.asarray(ladder.betas, float)
        self.fast = v.copy()
        self.level = np.zeros(len(v), np.int64)
        self.log_g = np.zeros((len(v), len(self.betas)))
        self._waited = np.zeros(len(v), np.int64)
        self._age = 0

    def step(self, rbm: RBM, rng: np.random.Generator) -> NDArray[np.float64]:
        super().step(rbm, rng)
        self.fast, h = rbm.step(self.fast, rng, self.betas[self.level])
        self._age += 1
        self._waited += 1
        now = (self.level == 0) & (self._waited >= self._every)
        self._waited[now] = 0
        self.v[now], self.fast[now] = self.fast[now], self.v[now]
        energy = rbm.energy(self.fast, h)
        energy[now] = np.nan
        growth = np.log1p(self._gain / (1 + self._age / self._decay))
        _move_all(self.level, energy, self.betas, self.log_g, growth, rng.random((len(h), 2)))
        return self.v


@njit(cache=True, error_model="numpy")
def _move_all(level, energy, betas, log_g, growth, uniform):
    for c in range(level.size):
        if not np.isnan(energy[c]):
            level[c] = _move(level[c], energy[c], betas, log_g[c], uniform[c, 0], uniform[c, 1])
        log_g[c, level[c]] += growth
        log_g[c] -= log_g[c].max()
