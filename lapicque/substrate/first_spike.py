"""First-spike-time networks on a chip: what goes out, and what comes back to be learned from."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, positive
from lapicque.spiketime import Measured, Network, Neuron
from lapicque.spiking import (
    LIF,
    CurrentExp,
    FromArrays,
    Network as SpikingNetwork,
    Simulation,
    SpikeArray,
)
from lapicque.substrate.calibration import Calibration
from lapicque.substrate.chip import Chip

CIRCUIT = ("v_rest", "v_reset", "v_thresh", "tau_m", "tau_syn_E", "tau_syn_I", "gain_E", "gain_I")


@dataclass(frozen=True)
class FirstSpikeChip:
    """A feed-forward network of first spikes that runs on a chip.

    Each layer takes the next free neurons, each delayed axon a delay element. The samples of a
    batch follow each other in windows long enough for the membranes to forget. Nothing stops a
    neuron from spiking twice; only the first spike of a window is reported, as on the chip.

    Attributes:
        chip: The specimen.
        calibration: Its codes; `tau_syn_E` and `tau_syn_I` at the same target.
        per_unit: Digital steps of a weight of 1.
        window: Time of a sample. [tau_s]
        refractory: Refractory time of the neurons. [tau_s]
        step: Time step of the emulation. [tau_s]

    Raises:
        InputError: A value is out of range.

    Source:
        Göltz, Weber, Kriener et al. (2025), released code: 30 steps per unit, 30 tau_s of 6 us
        for each sample, spikes of delay elements, hidden and label neurons recorded.
    """

    chip: Chip
    calibration: Calibration
    per_unit: float = 30.0
    window: float = 30.0
    refractory: float = 5.0
    step: float = 0.01

    def __post_init__(self) -> None:
        for name in ("per_unit", "window", "refractory", "step"):
            positive(name, getattr(self, name))
        targets = self.calibration.targets
        for name in CIRCUIT:
            if name not in targets:
                raise InputError(f"`calibration` has no target for {name!r}; it needs one.")

    def _target(self, name: str) -> float:
        """One target for all neurons."""
        return float(np.mean(np.asarray(self.calibration.targets[name], float)))

    @property
    def tau(self) -> float:
        """Time constant of the synapses, the unit of spike times. [ms, biological]"""
        return self._target("tau_syn_E") * 1e-3 * self.chip.spec.speedup

    @property
    def weight_limit(self) -> float:
        """The largest weight that can be realised."""
        return self.chip.spec.weights.top / self.per_unit

    def digital(self, weights: NDArray) -> NDArray[np.float64]:
        """Weights in digital steps, as they are written to the chip."""
        steps = np.asarray(weights, float) * self.per_unit
        if not self.chip.distortions.weights:
            return steps
        top = self.chip.spec.weights.top
        return np.clip(np.rint(steps), -top, top)

    def run(self, network: Network, times: NDArray, trial: int) -> tuple[Measured, ...]:
        """Run a batch and record it.

        Args:
            network: Weights and axonal delays to be written to the chip.
            times: Spike times of the inputs, `+inf` for none, shape (batch, input). [tau_s]
            trial: Number of the run: its randomness, together with the chip's seed.

        Raises:
            InputError: The network is too large, has other than axonal delays, a bias, or
                neurons whose time constants are not those of the calibration.

        Returns:
            For each layer the first spikes and, where axons are delayed, when spikes arrived.
        """
        in_range("trial", trial, 0)
        times = np.asarray(times, float)
        self._check(network, times)
        randomness = np.random.default_rng(np.random.SeedSequence([self.chip.seed, trial]))
        circuits = {
            name: self.chip.realise(name, self.calibration.codes[name], randomness)
            for name in CIRCUIT
        }
        waits = self._waits(network)
        arrival = times
        if waits[0] is not None:
            jitter = self._jitter * randomness.standard_normal(times.shape)
            arrival = times + waits[0] + jitter
        plan, populations, used = SpikingNetwork(), [], 0
        senders = plan.population(arrival.shape[1], SpikeArray(self._trains(arrival)))
        for k, layer in enumerate(network.layers):
            post = layer.weights.shape[0]
            own = {name: values[used : used + post] for name, values in circuits.items()}
            neurons = plan.population(post, *self._model(own))
            # the delay of inputs is in their arrival already
            wait = None if k == 0 else waits[k]
            self._connect(plan, senders, neurons, layer, own, wait, k)
            populations.append(neurons)
            senders, used = neurons, used + post
        simulation = Simulation(plan, self.step * self.tau, seed=0)
        record = simulation.run((len(times) * self.window + 1) * self.tau)
        spikes = [self._first(*record.spikes(p), len(times), p.size) for p in populations]
        sent = [times, *spikes[:-1]]
        arrivals = [None if w is None else t + w for t, w in zip(sent, waits, strict=True)]
        arrivals[0] = None if waits[0] is None else arrival
        return tuple(
            Measured(_single(t), None if a is None else _single(a))
            for t, a in zip(spikes, arrivals, strict=True)
        )

    def _model(self, circuit) -> tuple[LIF, CurrentExp]:
        to_ms = 1e-3 * self.chip.spec.speedup
        neuron = LIF(
            v_rest=circuit["v_rest"],
            cm=1.0,
            tau_m=circuit["tau_m"] * to_ms,
            tau_refrac=self.refractory * self.tau,
            v_reset=circuit["v_reset"],
            v_thresh=circuit["v_thresh"],
        )
        return neuron, CurrentExp(circuit["tau_syn_E"] * to_ms, circuit["tau_syn_I"] * to_ms)

    @property
    def _jitter(self) -> float:
        """Standard deviation of an arrival behind a delay element. [tau_s]"""
        spec = self.chip.spec.delays
        if spec is None or not self.chip.distortions.trials:
            return 0.0
        return spec.jitter / self._target("tau_syn_E")

    def _waits(self, network: Network) -> list[NDArray[np.float64] | None]:
        """Realised delays in front of every layer, or `None`. [tau_s]"""
        waits, element = [], 0
        for layer in network.layers:
            if layer.delays is None:
                waits.append(None)
                continue
            wanted = np.asarray(layer.delays.values(), float)
            waits.append(self._delays(wanted, element))
            element += wanted.size
        return waits

    def _check(self, network: Network, times: NDArray) -> None:
        layers = network.layers
        sizes = [layer.weights.shape for layer in layers]
        delayed = sum(pre for layer, (_, pre) in zip(layers, sizes, strict=True) if layer.delays)
        self.chip.spec.fits(sum(post for post, _ in sizes), max(pre for _, pre in sizes), delayed)
        ratio = self._target("tau_m") / self._target("tau_syn_E")
        for layer in layers:
            if layer.bias is not None:
                raise InputError("A layer has a `bias`; give it as one more input instead.")
            if layer.delays is not None and layer.delays.kind != "axonal":
                raise InputError(
                    f"A layer has {layer.delays.kind} delays; the chip delays axons only."
                )
            if layer.neuron.tau_m / layer.neuron.tau_s != ratio:
                raise InputError(
                    f"A layer's tau_m / tau_s is {layer.neuron.tau_m / layer.neuron.tau_s:g}; the "
                    f"chip is calibrated to {ratio:g}."
                )
        if times.ndim != 2 or times.shape[1] != sizes[0][1]:
            raise InputError(
                f"`times` has shape {times.shape}; it must have shape (batch, {sizes[0][1]})."
            )
        finite = times[np.isfinite(times)]
        in_range("times", finite, 0, self.window / 2, "tau_s", "They must lie in the window.")

    def _delays(self, delays: NDArray, first: int) -> NDArray[np.float64]:
        """What the delay elements make of wanted delays, on the grid of the emulation. [tau_s]"""
        spec = self.chip.spec.delays
        if spec is None:
            raise InputError(f"{self.chip.spec.name} has no delay elements.")
        per_tau = self._target("tau_syn_E")
        realised = delays * per_tau
        if self.chip.distortions.codes:
            realised = spec.nominal(spec.code(realised))
        if self.chip.distortions.synapses:
            pattern = self.chip.delay_pattern[first : first + delays.size]
            realised = realised * (1 + spec.spread * pattern)
        return np.rint(realised / per_tau / self.step) * self.step

    def _trains(self, arrival: NDArray) -> list[NDArray]:
        """Spike trains of the inputs, one window after the other; arrival costs one step. [ms]"""
        starts = self.window * np.arange(len(arrival))[:, None]
        when = np.maximum((arrival - self.step + starts) * self.tau, self.step * self.tau)
        return [np.sort(column[np.isfinite(column)]) for column in when.T]

    def _connect(self, plan, sources, neurons, layer, circuit, wait, place) -> None:
        post, pre = layer.weights.shape
        unit = (self._target("v_thresh") - self._target("v_rest")) / (
            layer.neuron.threshold * self.tau
        )
        digital = self.digital(layer.weights)
        gain = np.where(digital > 0, circuit["gain_E"][:, None], circuit["gain_I"][:, None])
        factors = unit / self.per_unit * gain * self.chip.synapse_gains(pre, post, place)
        weights = (digital * factors).ravel()
        index = np.tile(np.arange(pre), post), np.repeat(np.arange(post), pre)
        delay = self.step if wait is None else np.maximum(wait, self.step)
        delay = np.tile(np.broadcast_to(delay, pre), post) * self.tau
        for receptor, chosen in (("excitatory", weights > 0), ("inhibitory", weights < 0)):
            if chosen.any():
                connector = FromArrays(index[0][chosen], index[1][chosen])
                plan.project(
                    sources, neurons, connector, weights[chosen], delay[chosen], receptor=receptor
                )

    def _first(self, when, who, batch: int, size: int) -> NDArray[np.float64]:
        """First spike of each neuron in each window. [tau_s]"""
        when = np.asarray(when) / self.tau
        window = (when / self.window).astype(int)
        kept = window < batch
        first = np.full((batch, size), inf)
        since = when[kept] - self.window * window[kept]
        np.minimum.at(first, (window[kept], np.asarray(who)[kept]), since)
        return first


def targets(neuron: Neuron, tau: float = 6.0) -> dict[str, float]:
    """Targets of a calibration for first-spike networks on BrainScaleS-2.

    Args:
        neuron: The nominal neuron; its ratio of time constants is kept.
        tau: Time constant of the synapses. [us]

    Source:
        Göltz, Weber, Kriener et al. (2025), released code: leak and reset 80, threshold 150, both
        time constants 6 us. The read-out here spans what its threshold needs.
    """
    return {
        "v_rest": 80.0,
        "v_reset": 80.0,
        "v_thresh": 150.0,
        "tau_m": tau * neuron.tau_m / neuron.tau_s,
        "tau_syn_E": tau,
        "tau_syn_I": tau,
        "gain_E": 1.0,
        "gain_I": 1.0,
    }


def _single(times: NDArray) -> jnp.ndarray:
    return jnp.asarray(times, jnp.float32)
