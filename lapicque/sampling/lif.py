"""The spiking sampler: LIF neurons under noise, on the compiled engine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.sampling.calibration import Calibration
from lapicque.sampling.samplers import clamped
from lapicque.sampling.target import Boltzmann
from lapicque.spiking import (
    ConductanceExp,
    FromArrays,
    Network,
    Population,
    Projection,
    Simulation,
    TsodyksMarkram,
)
from lapicque.spiking.models import Bombarded

CLAMP = 20.0
"""Bias that holds a unit on or off."""


class Noise(Protocol):
    """What drives the neurons instead of the private Poisson noise of their preset."""

    def attach(self, network: Network, neurons: Population, preset: Bombarded) -> None:
        """Add it to a network."""
        ...


@dataclass(frozen=True)
class LIFSampler:
    """Samples from Boltzmann machines with LIF neurons.

    A unit is on for one refractory time after each spike of its neuron; a state is read every
    `interval`.

    Attributes:
        calibration: Of the neuron under its noise.
        synapses: `renewing` synapses recover so that successive responses do not add up, `static`
            ones do add up; or any short-term plasticity.
        scale: A factor on all synaptic weights.
        delay: Of synapses [ms].
        interval: Between two samples [ms].
        noise: Instead of the private Poisson noise of the calibration. As a calibration holds for
            the noise that it was made with, another one must be meant: set `recalibrated` if its
            moments are the same, or if being off is the point.
        recalibrated: See `noise`.
        threads: For chains.

    Raises:
        InputError: A value is out of range, or noise and calibration do not belong together.
    """

    calibration: Calibration
    synapses: str | TsodyksMarkram = "renewing"
    scale: float = 1.0
    delay: float = 0.1
    interval: float = 10.0
    noise: Noise | None = None
    recalibrated: bool = False
    threads: int = 1

    def __post_init__(self):
        if not isinstance(self.calibration, Calibration):
            raise InputError(
                "`calibration` is missing: call `lapicque.sampling.calibrate` for the neuron first."
            )
        if isinstance(self.synapses, str):
            one_of("synapses", self.synapses, ("renewing", "static"))
        positive("scale", self.scale)
        positive("delay", self.delay, "ms")
        in_range("interval", self.interval, self.calibration.dt, unit="ms")
        if self.noise is not None and not self.recalibrated:
            raise InputError(
                "The calibration was made with private Poisson noise, not with "
                f"{type(self.noise).__name__}; set `recalibrated` if it holds for that, too."
            )

    @property
    def plasticity(self) -> TsodyksMarkram | None:
        """Short-term plasticity of the synapses."""
        if isinstance(self.synapses, TsodyksMarkram):
            return self.synapses
        if self.synapses == "static":
            return None
        tau = float(self.calibration.preset.receptors.tau_syn_E)  # pyright: ignore
        return TsodyksMarkram(U=1.0, tau_rec=tau, tau_facil=0.0)

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "LIFChains":
        """See `lapicque.sampling.samplers.Sampler`.

        Raises:
            InputError: A bias cannot be reached.
        """
        return LIFChains(self, target, chains, seed)


class LIFChains:
    """A network of LIF neurons per chain, see `LIFSampler`."""

    def __init__(self, sampler: LIFSampler, target: Boltzmann, chains: int, seed: int):
        in_range("chains", chains, 1)
        calibration = sampler.calibration
        preset = calibration.preset
        self.sampler, self.target = sampler, target
        self._conductance = isinstance(preset.receptors, ConductanceExp)
        self._pairs = np.nonzero(target.weights)
        network = Network()
        self.neurons = network.population(target.n, preset.neuron, preset.receptors)
        if sampler.noise is None:
            preset.drive(network, self.neurons)
        else:
            sampler.noise.attach(network, self.neurons, preset)
        post, pre = self._pairs
        receptors = ("excitatory", "inhibitory") if self._conductance else ("excitatory",)
        self._projections: list[Projection] = []
        if len(post):
            self._projections = [
                network.project(
                    self.neurons,
                    self.neurons,
                    FromArrays(pre, post),
                    weight,
                    sampler.delay,
                    receptor=receptor,
                    plasticity=sampler.plasticity,
                )
                for receptor, weight in zip(receptors, self._weights(target), strict=False)
            ]
        self.simulation = Simulation(
            network, calibration.dt, seed=seed, chains=chains, threads=sampler.threads
        )
        self._held = np.full((chains, target.n), np.nan)
        self._last = np.full((chains, target.n), -(2**62), np.int64)
        self._every = round(sampler.interval / calibration.dt)
        self._set_biases()

    def run(self, samples: int) -> NDArray[np.uint8]:
        """See `lapicque.sampling.samplers.Chains`."""
        in_range("samples", samples, 0)
        simulation = self.simulation
        begin = round(simulation.time / simulation.dt)
        recording = simulation.run(samples * self._every * simulation.dt)
        step, unit, chain = recording.all_spikes(self.neurons)
        out = np.empty((samples, len(simulation.chains), self.target.n), np.uint8)
        refractory = round(self.sampler.calibration.tau_ref / simulation.dt)
        _read(step, unit, chain, begin, self._every, refractory, self._last, out)
        return out

    def update(self, target: Boltzmann) -> None:
        """See `lapicque.sampling.samplers.Chains`.

        Raises:
            InputError: The sizes differ, or there is a weight where there was none at the start.
        """
        if target.n != self.target.n:
            raise InputError(f"The target has {target.n} units; these chains have {self.target.n}.")
        new = target.weights.copy()
        new[self._pairs] = 0
        if new.any():
            i, j = np.argwhere(new)[0]
            raise InputError(
                f"Units {i} and {j} had no synapse when the chains were started; start anew."
            )
        self.target = target
        for projection, weight in zip(self._projections, self._weights(target), strict=False):
            self.simulation.set_weights(projection, weight)
        self._set_biases()

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `lapicque.sampling.samplers.Chains`; a bias of `CLAMP` holds a unit."""
        units, values = clamped(units, values, *self._held.shape)
        self._held[:] = np.nan
        self._held[:, units] = np.where(values > 0, CLAMP, -CLAMP)
        self._set_biases()

    def _set_biases(self) -> None:
        calibration = self.sampler.calibration
        held = ~np.isnan(self._held)
        rest = np.broadcast_to(calibration.rest(self.target.biases), self._held.shape).copy()
        if held.any():
            shift = calibration.width * calibration.leak_factor
            base = calibration.rest(np.zeros(1))[0]
            rest[held] = base + shift * self._held[held]
        shared = (rest == rest[0]).all()
        self.simulation.set(self.neurons, "v_rest", rest[0] if shared else rest)

    def _weights(self, target: Boltzmann) -> list[NDArray[np.float64]]:
        """Per projection, one weight per synapse."""
        sampler = self.sampler
        weights = sampler.calibration.synapses(target.weights, target.biases)[self._pairs]
        weights = weights * sampler.scale
        plasticity = sampler.plasticity
        if plasticity is not None:
            weights = weights / plasticity.U
        if not self._conductance:
            return [weights]
        return [np.maximum(weights, 0), np.maximum(-weights, 0)]


@njit(cache=True)
def _read(step, unit, chain, begin, every, refractory, last, out):
    """States on a grid: on from after a spike until its refractory time is over."""
    k = 0
    for m in range(out.shape[0]):
        now = begin + (m + 1) * every
        while k < step.size and step[k] < now:
            last[chain[k], unit[k]] = step[k]
            k += 1
        for c in range(out.shape[1]):
            for i in range(out.shape[2]):
                out[m, c, i] = now - last[c, i] <= refractory
    while k < step.size:
        last[chain[k], unit[k]] = step[k]
        k += 1
