"""Reservoirs that forecast: random recurrent networks with a linear readout.

An echo state network of rate units, the baseline of NeuroBench, and a reservoir of spiking
neurons whose readout listens to spikes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from lapicque._checks import in_range, one_of, positive
from lapicque.benchmark.mackey_glass import POINTS, WARM_UP, Forecast, Forecaster
from lapicque.benchmark.record import Connection, Dense, Events, Population, Record
from lapicque.spiking import LIF, CurrentExp, FixedProbability, Network, Simulation

Scaling = Literal["first", "largest"]


@dataclass(frozen=True)
class EchoState:
    """Settings of an echo state network.

        x <- (1 - leak) x + leak tanh(W x + W_in [1, u]),    y = W_out [1, u, x]

    Attributes:
        units: Size of the reservoir.
        bias_scale, input_scale: Width of the uniform distributions of input weights.
        density: Probability of a recurrent weight.
        radius: Spectral radius.
        leak: 0 to 1.
        ridge: Of the least squares.
        scaling: Which eigenvalue of W has the size `radius`: the "first" that LAPACK gives, as in
            the code of the baseline (about one percent below the largest), or the "largest".

    Raises:
        InputError: A value is out of range.

    Source: Yik et al. (2025) and the example of the harness.
    """

    units: int
    bias_scale: float
    input_scale: float
    density: float
    radius: float
    leak: float
    ridge: float
    scaling: Scaling = "first"

    def __post_init__(self):
        in_range("units", self.units, 1)
        in_range("density", self.density, 0, 1)
        in_range("leak", self.leak, 0, 1)
        for name in ("bias_scale", "input_scale", "radius"):
            in_range(name, getattr(self, name), 0)
        positive("ridge", self.ridge)
        one_of("scaling", self.scaling, ("first", "largest"))


ESN_BY_DELAY = {
    17: EchoState(966, 0.9, 0.78, 0.97, 1.19, 0.69, 1e-7),
    18: EchoState(913, 0.98, 1.0, 0.43, 1.08, 0.92, 1e-9),
    19: EchoState(836, 0.45, 0.89, 0.64, 1.25, 0.77, 1e-6),
    20: EchoState(656, 0.29, 0.83, 0.06, 1.07, 0.86, 1e-8),
    21: EchoState(547, 0.37, 0.92, 0.92, 1.08, 0.45, 1e-8),
    22: EchoState(661, 0.79, 0.92, 0.55, 1.17, 0.87, 1e-7),
    23: EchoState(577, 0.69, 0.93, 0.02, 1.01, 0.54, 1e-8),
    24: EchoState(694, 0.85, 0.98, 0.51, 1.13, 0.76, 1e-5),
    25: EchoState(831, 0.87, 0.93, 0.49, 1.21, 1.0, 1e-4),
    26: EchoState(522, 0.91, 0.95, 0.59, 1.22, 0.58, 1e-6),
    27: EchoState(952, 0.99, 0.65, 0.6, 1.19, 0.78, 1e-6),
    28: EchoState(838, 0.82, 0.83, 0.37, 1.21, 0.81, 1e-6),
    29: EchoState(728, 0.99, 0.62, 0.48, 1.23, 0.9, 1e-5),
    30: EchoState(577, 0.69, 0.93, 0.02, 1.01, 0.54, 1e-8),
}
"""Settings that the example of the harness ships for each delay. Source: the authors' code."""

SMALL_ESN = EchoState(186, 0.9, 0.8, 0.11, 1.23, 0.51, 1e-9)
"""As large and as dense as the leader board's; the other values belong to a 355-unit network."""


class Reservoir(NamedTuple):
    """Weights of an echo state network, drawn from a seed."""

    w_in: NDArray[np.float64]  # (units, 2), from [1, u]
    w: NDArray[np.float64]  # (units, units)
    settings: EchoState

    def step(self, x: NDArray[np.float64], u: float) -> NDArray[np.float64]:
        """The next state."""
        s = self.settings
        driven = np.tanh(self.w @ x + self.w_in[:, 0] + self.w_in[:, 1] * u)
        return (1 - s.leak) * x + s.leak * driven


def draw(settings: EchoState, seed: int) -> Reservoir:
    """Random weights.

    Raises:
        InputError: `seed` is negative.
    """
    in_range("seed", seed, 0)
    rng = np.random.default_rng(seed)
    n = settings.units
    scales = np.array([settings.bias_scale, settings.input_scale])
    w_in = (rng.random((n, 2)) - 0.5) * scales
    w = np.where(rng.random((n, n)) < settings.density, rng.standard_normal((n, n)), 0.0)
    sizes = np.abs(np.linalg.eigvals(w))
    size = sizes[0] if settings.scaling == "first" else sizes.max()
    return Reservoir(w_in, w * (settings.radius / size) if size > 0 else w, settings)


def echo_state(settings: EchoState) -> Forecaster:
    """A forecaster with one network per instance."""

    def forecast(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
        told = [_one(settings, points, seed) for points, seed in zip(train, seeds, strict=True)]
        return Forecast(np.stack([p for p, _ in told]), tuple(record for _, record in told))

    return forecast


def _one(
    settings: EchoState, points: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], Record]:
    net = draw(settings, seed)
    x = np.zeros(settings.units)
    features = np.empty((POINTS, settings.units + 2))
    for t, u in enumerate(points[:-1]):
        x = net.step(x, u)
        features[t] = np.concatenate([[1.0, u], x])
    w_out = ridge_readout(features[WARM_UP:], points[WARM_UP + 1 :], settings.ridge)
    predictions, states = np.empty(POINTS), np.empty((POINTS + 1, settings.units))
    inputs = np.empty(POINTS)
    states[0], u = x, points[-1]
    for t in range(POINTS):
        inputs[t] = u
        states[t + 1] = net.step(states[t], u)
        predictions[t] = u = w_out[:2] @ (1.0, u) + w_out[2:] @ states[t + 1]
    return predictions, esn_record(net, w_out, inputs, states)


def esn_record(
    net: Reservoir,
    w_out: NDArray[np.float64],
    inputs: NDArray[np.float64],
    states: NDArray[np.float64],
) -> Record:
    """The record of a run: points in time are samples, as in the harness.

    Args:
        net: The reservoir.
        w_out: Readout of [1, u, x], shape (units + 2,).
        inputs: u of every call, shape (time,).
        states: x before and after every call, shape (time + 1, units).
    """
    told = np.column_stack([np.ones(len(inputs)), inputs])[:, None]
    before, after = states[:-1, None], states[1:, None]
    return Record(
        (
            Dense("W", net.w, before),
            Dense("Win", net.w_in, told),
            Dense("Wout", w_out[None], np.concatenate([told, after], 2)),
        ),
        (),
        samples=len(inputs),
        executions=len(inputs),
        buffers={"state": states[0]},
    )


def ridge_readout(
    features: NDArray[np.float64], targets: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Weights that minimise ``|features w - targets|^2 + ridge |w|^2``.

    Args:
        features: Shape (time, features).
        targets: Shape (time,).
        ridge: Above 0.

    Raises:
        InputError: `ridge` is not positive.
    """
    positive("ridge", ridge)
    times, n = features.shape
    if n > times:  # the same weights from the smaller of the two systems
        gram = features @ features.T + ridge * np.eye(times)
        return features.T @ _solved(gram, targets)
    return _solved(features.T @ features + ridge * np.eye(n), features.T @ targets)


def _solved(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return np.asarray(solve(gram, right, assume_a="pos"), np.float64)
    except np.linalg.LinAlgError:  # rounding made it indefinite
        return np.asarray(np.linalg.lstsq(gram, right, rcond=None)[0], np.float64)


# -- spiking -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpikingReservoir:
    """Settings of leaky integrate-and-fire neurons whose spikes are read out.

    The last points enter as a current that is held for `hold`; recurrent synapses are few and
    random. The readout is a leaky neuron without threshold, in which each spike leaves an alpha
    function ``t / tau exp(-t / tau)`` times its weight. It says the change to the next point,
    fitted by least squares.

    Attributes:
        units: Neurons.
        window: Points that enter at once.
        hold: Duration of a point [ms].
        dt: Step of the simulation [ms].
        gain: Standard deviation of the current from a window of deviation one, over rheobase.
        bias: Mean current over rheobase; neurons with less than one are silent at rest.
        spread: Of the bias from neuron to neuron.
        density: Probability of a recurrent synapse.
        strength: Scale of the recurrent weights, over rheobase.
        tau_readout: Time constant of the readout, of current and potential [ms].
        ridge: Of the least squares.
        rhythm: Whether potentials and currents return to rest at each point, as a strong common
            rhythm would make them: spike times then code the window, and not the past.

    Raises:
        InputError: A value is out of range.

    Source: our own entry.
    """

    units: int = 500
    window: int = 8
    hold: float = 40.0
    dt: float = 0.2
    gain: float = 1.0
    bias: float = 2.0
    spread: float = 0.5
    density: float = 0.01
    strength: float = 0.1
    tau_readout: float = 20.0
    ridge: float = 1e-4
    rhythm: bool = True

    def __post_init__(self):
        in_range("units", self.units, 1)
        in_range("window", self.window, 1, POINTS // 2)
        for name in ("dt", "gain", "tau_readout", "ridge"):
            positive(name, getattr(self, name))
        in_range("hold", self.hold, self.dt, unit="ms")
        in_range("density", self.density, 0, 1)
        for name in ("bias", "spread", "strength"):
            in_range(name, getattr(self, name), 0)


def spiking(settings: SpikingReservoir) -> Forecaster:
    """A forecaster; instances are chains of one simulation.

    Recurrent synapses are drawn once for all instances of a call, from its first seed; weights of
    the input are drawn for each from its own. The record is that of the first instance.
    """

    def forecast(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
        return _Spiking(settings, train, seeds).forecast()

    return forecast


class _Spiking:
    """A reservoir in the middle of its life."""

    def __init__(self, s: SpikingReservoir, train: NDArray[np.float64], seeds: Sequence[int]):
        self.s, self.n = s, len(train)
        self.mean, self.deviation = train.mean(1), train.std(1)
        self.points = (train - self.mean[:, None]) / self.deviation[:, None]
        rngs = [np.random.default_rng([seed, 1]) for seed in seeds]
        model = LIF(tau_m=20.0, cm=1.0, tau_refrac=2.0)  # rests at -65 mV, spikes at -50 mV
        self.rheobase = 15.0 / 20.0  # nA: (v_thresh - v_rest) cm / tau_m
        self.w_in = np.stack([rng.standard_normal((s.units, s.window)) for rng in rngs])
        self.w_in *= s.gain / np.sqrt(s.window)
        self.bias = np.stack([s.bias + s.spread * rng.standard_normal(s.units) for rng in rngs])
        network = Network()
        self.cells = network.population(s.units, model, CurrentExp(5.0, 5.0))
        inhibitory = s.strength * self.rheobase
        for receptor, sign in (("excitatory", 1.0), ("inhibitory", -1.0)):
            network.project(
                self.cells,
                self.cells,
                FixedProbability(s.density / 2, self_connections=False),
                sign * inhibitory,
                1.0,
                receptor=receptor,
            )
        self.simulation = Simulation(network, s.dt, seed=int(seeds[0]), chains=self.n)
        self.currents, self.traces = (np.zeros((self.n, s.units)) for _ in range(2))

    def hear(self, windows: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hold windows, shape (instances, window), for a while; first chain's steps and units."""
        s = self.s
        drive = self.bias + np.einsum("kij,kj->ki", self.w_in, windows)
        self.simulation.set(self.cells, "i_offset", self.rheobase * drive)
        if s.rhythm:
            for name, rest in (("v", -65.0), ("syn_E", 0.0), ("syn_I", 0.0)):
                self.simulation.set(self.cells, name, rest)
            self.currents[:] = self.traces[:] = 0.0
        start = self.simulation.time
        step, unit, chain = self.simulation.run(s.hold).all_spikes(self.cells)
        ago = self.simulation.time - step * s.dt
        passed, decay = s.hold / s.tau_readout, np.exp(-s.hold / s.tau_readout)
        self.traces = decay * (self.traces + passed * self.currents)
        self.currents *= decay
        left = np.exp(-ago / s.tau_readout)
        np.add.at(self.currents, (chain, unit), left)
        np.add.at(self.traces, (chain, unit), ago / s.tau_readout * left)
        first = chain == 0
        return step[first] - round(start / s.dt) - 1, unit[first]

    def forecast(self) -> Forecast:
        s = self.s
        past = np.repeat(self.points[:, :1], s.window - 1, 1)
        heard = np.concatenate([past, self.points], 1)
        features = np.empty((POINTS, self.n, s.units + 1))
        features[..., -1] = 1.0
        for t in range(POINTS):
            self.hear(heard[:, t : t + s.window])
            features[t, :, :-1] = self.traces
        change = np.diff(self.points, axis=1)
        weights = np.stack(
            [
                ridge_readout(features[WARM_UP:, k], change[k, WARM_UP:], s.ridge)
                for k in range(self.n)
            ]
        )
        window = heard[:, -s.window :].copy()
        predictions, windows = np.empty((self.n, POINTS)), np.empty((POINTS, 1, s.window))
        per_point = round(s.hold / s.dt)
        spikes = np.zeros((POINTS, per_point, s.units), np.uint8)
        for t in range(POINTS):
            windows[t, 0] = window[0]
            step, unit = self.hear(window)
            np.add.at(spikes[t], (step, unit), 1)
            said = (self.traces * weights[:, :-1]).sum(1) + weights[:, -1]
            predictions[:, t] = window[:, -1] + said
            window = np.concatenate([window[:, 1:], predictions[:, t : t + 1]], 1)
        record = self._record(windows, spikes.reshape(-1, 1, s.units), weights[0])
        return Forecast(predictions * self.deviation[:, None] + self.mean[:, None], (record,))

    def _record(
        self, windows: NDArray[np.float64], spikes: NDArray[np.uint8], weights: NDArray[np.float64]
    ) -> Record:
        s = self.s
        connections: list[Connection] = [Dense("input", self.w_in[0], windows, self.bias[0])]
        size = (s.units, s.units)
        for k, projection in enumerate(self.simulation.network.projections):
            pre, post, _ = self.simulation.connections(projection)
            weight = self.simulation.weights(projection)
            connections.append(Events(f"recurrent {k}", pre, post, weight, size, spikes))
        readout = weights[None, :-1], spikes, weights[-1:]
        connections.append(Dense("readout", *readout))
        written = np.broadcast_to(np.arange(len(spikes))[:, None, None], spikes.shape)
        return Record(
            tuple(connections),
            (Population("reservoir", spikes, written, "LIF"),),
            samples=POINTS,
            executions=POINTS,
            buffers={
                "potential, currents": np.zeros(3 * s.units),
                "delayed spikes": np.zeros((round(1.0 / s.dt), s.units), bool),
                "window": windows[0, 0],
                "readout": np.zeros(2),
            },
        )
