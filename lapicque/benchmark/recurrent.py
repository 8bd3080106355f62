"""Forecasters that learn by gradients: a long short-term memory, and a network of our own.

All instances are trained side by side in one compiled program, in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from numpy.typing import NDArray

from lapicque import rate
from lapicque._checks import in_range, one_of, positive
from lapicque.benchmark.mackey_glass import POINTS, WARM_UP, Forecast, Forecaster
from lapicque.benchmark.models import run_rate
from lapicque.benchmark.record import Cell, Dense, Population, Record
from lapicque.benchmark.reservoir import ridge_readout
from lapicque.rate.credit import CREDITS, WindowLearner


@dataclass(frozen=True)
class LongShortTermMemory:
    """Settings of the LSTM baseline.

    The last `window` points, normalised, enter a cell whose state goes on from point to point; its
    output is rectified and read out linearly.

    Raises:
        InputError: A value is out of range.

    Source: the example of the harness: 50 points, 40 units, Adam with 0.005 and weight decay 1e-3,
    200 passes over all training points at once.
    """

    window: int = 50
    units: int = 40
    epochs: int = 200
    learning_rate: float = 5e-3
    weight_decay: float = 1e-3

    def __post_init__(self):
        in_range("window", self.window, 1, POINTS)
        in_range("units", self.units, 1)
        in_range("epochs", self.epochs, 1)
        positive("learning_rate", self.learning_rate)
        in_range("weight_decay", self.weight_decay, 0)


class _Lstm(eqx.Module):
    norm: eqx.nn.LayerNorm
    cell: eqx.nn.LSTMCell
    readout: eqx.nn.Linear

    def __init__(self, settings: LongShortTermMemory, key: Any):
        cell, readout = jax.random.split(key)
        self.norm = eqx.nn.LayerNorm(settings.window)
        self.cell = eqx.nn.LSTMCell(settings.window, settings.units, key=cell)
        self.readout = eqx.nn.Linear(settings.units, 1, key=readout)

    def step(self, state: tuple[Array, Array], window: Array) -> tuple[tuple[Array, Array], _Seen]:
        entered = self.norm(window)
        after = self.cell(entered, state)
        rectified = jax.nn.relu(after[0])
        return after, _Seen(entered, *state, rectified, self.readout(rectified)[0])


class _Seen(NamedTuple):
    """What one step of the cell leaves for the metrics."""

    entered: Array
    hidden: Array
    cell: Array
    rectified: Array
    output: Array


def lstm(settings: LongShortTermMemory = LongShortTermMemory()) -> Forecaster:
    """A forecaster with one network per instance, all trained together."""
    optimizer = optax.chain(
        optax.add_decayed_weights(settings.weight_decay), optax.adam(settings.learning_rate)
    )
    zero = jnp.zeros(settings.units)

    def told(model: _Lstm, windows: Array) -> tuple[tuple[Array, Array], Array]:
        state, seen = jax.lax.scan(lambda s, w: model.step(s, w), (zero, zero), windows)
        return state, seen.output

    def trained(key: Array, points: Float[Array, " points"]) -> tuple[_Lstm, Any]:
        padded = jnp.concatenate([jnp.zeros(settings.window - 1), points[:-1]])
        windows = padded[jnp.arange(POINTS)[:, None] + jnp.arange(settings.window)]

        def loss(model: _Lstm) -> Array:
            _, outputs = told(model, windows)
            return jnp.square(outputs - points[1:])[WARM_UP:].mean()

        def update(carry, _):
            model, memory = carry
            slope = jax.grad(loss)(model)
            change, memory = optimizer.update(slope, memory, model)
            return (eqx.apply_updates(model, change), memory), None

        model = _Lstm(settings, key)
        start: Any = model, optimizer.init(cast(Any, model))
        (model, _), _ = jax.lax.scan(update, start, None, length=settings.epochs)
        state, _ = told(model, windows)

        def alone(carry, _):
            state, window, last = carry
            window = jnp.append(window[1:], last)
            state, seen = model.step(state, window)
            return (state, window, seen.output), seen

        start = state, windows[-1], points[-1]
        return model, jax.lax.scan(alone, start, None, length=POINTS)[1]

    run = jax.jit(jax.vmap(trained))

    def forecast(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        models, seen = run(keys, jnp.asarray(train, jnp.float32))
        predictions = np.asarray(seen.output, np.float64)
        records = tuple(_lstm_record(models, seen, k, settings) for k in range(len(train)))
        return Forecast(predictions, records)

    return forecast


def _lstm_record(models: Any, seen: _Seen, k: int, settings: LongShortTermMemory) -> Record:
    """The record of instance k; points in time are samples."""
    model = jax.tree.map(lambda a: np.asarray(a[k]), models)
    entered, hidden, cell, rectified, _ = (np.asarray(a[k])[:, None] for a in seen)
    connections = (
        Cell(
            "lstm",
            "lstm",
            model.cell.weight_ih,
            model.cell.weight_hh,
            entered,
            hidden,
            cell,
            model.cell.bias,
        ),
        Dense("readout", model.readout.weight, rectified, model.readout.bias),
    )
    return Record(
        connections,
        (Population("relu", rectified),),
        samples=POINTS,
        executions=POINTS,
        parameters={"norm.weight": model.norm.weight, "norm.bias": model.norm.bias},
        buffers={
            "window": np.zeros(settings.window, np.float32),
            "hidden": hidden[0, 0],
            "cell": cell[0, 0],
        },
    )


DT = 1.0  # points


# -- our own -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Equilibrium:
    """Settings of a network of prospective neurons with errors that swap time constants.

    One step is one point. The last points enter a layer of nonlinear neurons whose output is read
    as the change to the next point. Neurons that look ahead as far as they are slow answer without
    delay; those that do not remember. Every step of every pass over the training points learns
    from errors that are local in space and time (Generalized Latent Equilibrium); at the end the
    readout alone may be fitted by least squares.

    Attributes:
        window: Points that enter at once, the last one last.
        units: Nonlinear neurons.
        tau: Membrane time constant of neurons that look ahead [points].
        remembering: Share of neurons that do not look ahead.
        taus: Their membrane time constants, in turn [points].
        scale: Of the random weights at the start.
        passes: Over the training points; 0 leaves the hidden weights as drawn.
        learning_rate: Of Adam, falling to zero.
        credit: How errors are found, see `lapicque.rate.credit`.
        gain: By which the wanted change is multiplied, so that targets are of order one.
        noise: Added to the training points [standard deviations of the signal].
        ridge: Of the last fit; 0 keeps the learned readout.

    Raises:
        InputError: A value is out of range.

    Source: Ellenberger et al. (2024), arXiv 2403.16933; task and settings are our own.
    """

    window: int = 8
    units: int = 200
    tau: float = 10.0
    remembering: float = 0.0
    taus: tuple[float, ...] = (2.0, 4.0, 8.0)
    scale: float = 1.0
    passes: int = 10
    learning_rate: float = 1e-3
    credit: str = "swapped"
    gain: float = 5.0
    noise: float = 0.0
    ridge: float = 1e-4

    def __post_init__(self):
        in_range("window", self.window, 1, POINTS // 2)
        in_range("units", self.units, 1)
        in_range("passes", self.passes, 0)
        in_range("tau", self.tau, DT, unit="points")
        in_range("taus", list(self.taus), DT, unit="points")
        in_range("remembering", self.remembering, 0, 1)
        for name in ("scale", "learning_rate", "gain"):
            positive(name, getattr(self, name))
        in_range("noise", self.noise, 0)
        in_range("ridge", self.ridge, 0)
        one_of("credit", self.credit, CREDITS)


def equilibrium(settings: Equilibrium = Equilibrium()) -> Forecaster:
    """A forecaster with one network per instance, all trained together."""
    schedule = optax.cosine_decay_schedule(settings.learning_rate, max(1, settings.passes) * POINTS)
    optimizer = rate.per_layer([optax.adam(schedule)] * 2)

    def lessons(points: Array, key: Array) -> rate.Lesson:
        """Windows of points, with a little noise, and the change from the true last one."""
        noisy = points + settings.noise * jax.random.normal(key, points.shape)
        padded = jnp.concatenate([jnp.repeat(noisy[:1], settings.window - 1), noisy[:-1]])
        at = jnp.arange(POINTS)[:, None] + jnp.arange(settings.window)
        change = points[1:] - noisy[:-1]
        return rate.Lesson(padded[at][:, None], settings.gain * change[:, None, None])

    def trained(key: Array, points: Float[Array, " points"]) -> rate.Network:
        learner = WindowLearner(_network(key, settings), optimizer, settings.credit)
        rested = learner.network.init((1,))

        def one_pass(state, k):
            heard = lessons(points, jax.random.fold_in(key, k))
            return learner.step(state._replace(network=rested), heard, DT)[0], None

        state, _ = jax.lax.scan(one_pass, learner.init((1,)), jnp.arange(settings.passes))
        return learner.trained(state)

    def listen(network: rate.Network, points: Array, key: Array) -> tuple[Any, Array, Array]:
        """The last state, what the hidden layer says, and what should be read out of it."""
        heard = lessons(points, key)

        def step(state, window):
            state, _ = network.step(state, window, DT)
            return state, state.layers[0].r[0]

        state, hidden = jax.lax.scan(step, network.init((1,)), heard.input)
        return state, hidden, heard.target[:, 0, 0]

    def alone(network: rate.Network, state: Any, points: Array) -> tuple[Array, Array]:
        def step(carry, _):
            state, window = carry
            state, output = network.step(state, window[None], DT)
            new = window[-1] + output[0, 0] / settings.gain
            return (state, jnp.append(window[1:], new)), (window[None], new)

        return jax.lax.scan(step, (state, points[-settings.window :]), None, length=POINTS)[1]

    train_all, listen_all, alone_all = (jax.jit(jax.vmap(f)) for f in (trained, listen, alone))

    def forecast(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        mean, deviation = train.mean(1, keepdims=True), train.std(1, keepdims=True)
        points = jnp.asarray((train - mean) / deviation, jnp.float32)
        networks = train_all(keys, points)
        if settings.ridge:
            _, hidden, wanted = listen_all(networks, points, keys)
            networks = _read_out(networks, np.asarray(hidden), np.asarray(wanted), settings.ridge)
        states, _, _ = listen_all(networks, points, keys)
        windows, predictions = alone_all(networks, states, points)
        records = []
        for k in range(len(train)):
            network, state = jax.tree.map(lambda a, k=k: a[k], (networks, states))
            record, _, _ = run_rate(network, windows[k], DT, state=state, samples=POINTS)
            records.append(record)
        return Forecast(np.asarray(predictions, float) * deviation + mean, tuple(records))

    return forecast


def _network(key: Array, settings: Equilibrium) -> rate.Network:
    n = settings.units
    remembering = np.arange(n) < round(settings.remembering * n)
    taus = np.where(remembering, np.resize(settings.taus, n), settings.tau)
    ahead = np.where(remembering, DT, taus)
    hidden = rate.Neurons(jnp.asarray(taus), jnp.asarray(ahead), jnp.tanh)
    k_weight, k_bias, k_out = jax.random.split(key, 3)
    scale = settings.scale / np.sqrt(settings.window)
    weight = scale * jax.random.normal(k_weight, (n, settings.window))
    first = rate.Dense(weight, settings.scale / 2 * jax.random.normal(k_bias, (n,)))
    last = rate.Dense(jax.random.normal(k_out, (1, n)) / np.sqrt(n), jnp.zeros(1))
    layers = (
        rate.Layer(first, hidden, error_filter=rate.swapped),
        rate.Layer(last, rate.Neurons(DT, DT, rate.identity), error_filter=rate.swapped),
    )
    nudging = rate.Nudging(1.0)
    shape = (settings.window,)
    return rate.Network(layers, shape, nudging, coupling=0.0, schedule=rate.FULL_FORWARD)


def _read_out(
    networks: rate.Network, hidden: NDArray[Any], wanted: NDArray[Any], ridge: float
) -> rate.Network:
    """All networks with the last weights fitted by least squares."""
    hidden, wanted = hidden[:, WARM_UP:].astype(float), wanted[:, WARM_UP:].astype(float)
    ones = np.ones((*hidden.shape[:2], 1))
    features = np.concatenate([hidden, ones], 2)
    fitted = [ridge_readout(x, y, ridge) for x, y in zip(features, wanted, strict=True)]
    weights = jnp.asarray(np.stack(fitted), jnp.float32)
    return eqx.tree_at(
        lambda net: (net.layers[1].synapses.weight, net.layers[1].synapses.bias),
        networks,
        (weights[:, None, :-1], weights[:, -1:]),
    )
