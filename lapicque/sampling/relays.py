"""LIF samplers whose synapses are chains of relay neurons that shape the response.

A spike starts a chain: at every `n`-th part of a refractory time a relay tops up what has decayed,
and the last one, after the whole of it, cancels the rest. With exponential synapses the current is
a sawtooth between ``w exp(-Delta / tau_syn)`` and ``w``, ``Delta = tau_ref / n``, with a sharp end;
with many relays it is a rectangle, as the theory of sampling wants it. A relay fires once per
spike, so a chain is written as synapses of several delays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive
from lapicque.sampling.calibration import Calibration
from lapicque.sampling.lif import CLAMP
from lapicque.sampling.samplers import clamped
from lapicque.sampling.target import Boltzmann
from lapicque.spiking import CurrentExp, FromArrays, Simulation
from lapicque.spiking.models import noise_driven


def chain(n: int, length: float, tau_syn: float, dt: float) -> tuple[NDArray, NDArray]:
    """Delays [ms] and relative weights of the events that a spike causes, both (n + 1,).

    Delays are multiples of `dt`, as equal as these allow.
    """
    delays = dt * np.round(np.linspace(0, length, n + 1) / dt)
    decay = np.exp(-np.diff(delays) / tau_syn)
    return delays, np.array([1.0, *(1 - decay[:-1]), -decay[-1]])


def current(delays: NDArray, weights: NDArray, tau_syn: float, time: ArrayLike) -> NDArray:
    """Synaptic current after a spike at 0, relative to its maximum, at times [ms]."""
    after = np.asarray(time, float)[..., None] - delays
    return (weights * np.exp(-np.maximum(after, 0) / tau_syn) * (after >= 0)).sum(-1)


def area(delays: NDArray, tau_syn: float) -> float:
    """Integral of `current` [ms]."""
    return float(-tau_syn * np.expm1(-np.diff(delays) / tau_syn).sum())


@dataclass(frozen=True)
class RelaySampler:
    """LIF neurons with chains of `n` - 1 relays; see `lapicque.sampling.lif.LIFSampler`.

    Raises:
        InputError: The neuron has conductances, where the last event cannot cancel the first, or a
            value is out of range.
    """

    calibration: Calibration
    n: int = 5
    delay: float = 0.1  # ms
    interval: float = 1.0  # ms

    def __post_init__(self):
        in_range("n", self.n, 1)
        positive("delay", self.delay, "ms")
        in_range("interval", self.interval, self.calibration.dt, unit="ms")
        if not isinstance(self.calibration.preset.receptors, CurrentExp):
            raise InputError("Chains of relays need exponential currents, not conductances.")

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "RelayChains":
        """See `lapicque.sampling.samplers.Sampler`."""
        return RelayChains(self, target, chains, seed)


class RelayChains:
    """A network per chain, see `RelaySampler`."""

    def __init__(self, sampler: RelaySampler, target: Boltzmann, chains: int, seed: int):
        calibration = sampler.calibration
        self.sampler, self.target = sampler, target
        tau_ref, tau = calibration.tau_ref, float(calibration.preset.receptors.tau_syn_E)  # pyright: ignore
        network, self.neurons = noise_driven(target.n, calibration.preset)
        post, pre = np.nonzero(target.weights)
        # The next spike comes a step after the refractory time at the earliest; a response that
        # ended before would leave a gap through which an inhibited neuron escapes.
        delays, factors = chain(sampler.n, tau_ref + calibration.dt, tau, calibration.dt)
        self._factors = factors * area(np.array([0.0, tau_ref]), tau) / area(delays, tau)
        self._pairs = post, pre
        self._projection = None
        if len(post):
            self._projection = network.project(
                self.neurons,
                self.neurons,
                FromArrays(np.tile(pre, len(delays)), np.tile(post, len(delays))),
                self._weights(target),
                np.repeat(sampler.delay + delays, len(pre)),
            )
        self.simulation = Simulation(network, calibration.dt, seed=seed, chains=chains)
        self._held = np.full((chains, target.n), np.nan)
        self._on = np.zeros((0, 3), np.int64)  # step, unit and chain of spikes that still count
        self._set_biases()

    def run(self, samples: int) -> NDArray[np.uint8]:
        """See `lapicque.sampling.samplers.Chains`."""
        simulation = self.simulation
        every = round(self.sampler.interval / simulation.dt)
        refractory = round(self.sampler.calibration.tau_ref / simulation.dt)
        begin = round(simulation.time / simulation.dt)
        recording = simulation.run(samples * every * simulation.dt)
        spikes = np.concatenate([self._on, np.stack(recording.all_spikes(self.neurons), 1)])
        self._on = spikes[spikes[:, 0] > begin + samples * every - refractory]
        change = np.zeros((samples + 1, len(simulation.chains), self.target.n), np.int8)
        step, unit, place = spikes.T
        for edge, sign in ((step, 1), (step + refractory, -1)):
            # A sample at step t counts spikes of t - refractory .. t - 1.
            row = np.clip((edge - begin) // every, 0, samples)
            np.add.at(change, (row, place, unit), sign)
        return (np.cumsum(change[:-1], 0, dtype=np.int8) > 0).astype(np.uint8)

    def update(self, target: Boltzmann) -> None:
        """See `lapicque.sampling.samplers.Chains`; weights that were 0 stay so."""
        self.target = target
        if self._projection is not None:
            self.simulation.set_weights(self._projection, self._weights(target))
        self._set_biases()

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `lapicque.sampling.samplers.Chains`."""
        units, values = clamped(units, values, *self._held.shape)
        self._held[:] = np.nan
        self._held[:, units] = np.where(values > 0, CLAMP, -CLAMP)
        self._set_biases()

    def _set_biases(self) -> None:
        biases = np.where(np.isnan(self._held), self.target.biases, self._held)
        rest = np.stack([self.sampler.calibration.rest(row) for row in biases])
        self.simulation.set(self.neurons, "v_rest", rest)

    def _weights(self, target: Boltzmann) -> NDArray[np.float64]:
        weights = self.sampler.calibration.synapses(target.weights, target.biases)[self._pairs]
        return np.concatenate([factor * weights for factor in self._factors])
