"""Mackey-Glass: predicting chaos on line, from one value at a time

The signal depends on its own value of 17 time units ago, so that no one can tell its future from
its present alone. A network of slow and fast neurons sees the present value only and learns on
line to predict the value some time ahead; its memory lies in its membranes. Errors with swapped
time constants (Generalized Latent Equilibrium) are compared with errors that act at once, with
backpropagation through time in the same network, and with linear predictors.

The settings of the published experiment are not known; task and thresholds here are our own.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.data import mackey_glass
from lapicque.experiments.generalized_latent_equilibrium._sequences import adam, uniform
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Layer, Lesson, Network, Neurons, Nudging, identity, simulate, swapped
from lapicque.rate.credit import CREDITS, WindowLearner, windows


@dataclass(frozen=True)
class Config:
    """Settings of the prediction task; one time unit of the equation is one ms."""

    delay: int = 17  # ms, of the equation
    horizon: int = 10  # ms, how far ahead to predict
    streams: int = 20  # parts of the series that are heard at the same time
    steps: int = 2000  # ms, length of each part
    rounds: int = 15  # times that all parts are heard
    test_steps: int = 3000  # ms
    dt: float = 1.0  # ms, also the time between samples
    hidden: tuple[int, ...] = (60, 60)
    taus: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)  # ms, tau_m of the slow neurons, in turn
    tau_r: float = 1.0  # ms, of the slow neurons
    fast: float = 0.2  # share of instantaneous neurons
    beta: float = 1.0
    learning_rate: float = 5e-4  # of Adam, per step
    window: int = 100  # ms, of backpropagation through time
    window_gain: float = 10.0  # learning rate per window, relative to that per step
    credits: tuple[str, ...] = ("swapped", "instantaneous", "bptt")
    taps: int = 20  # values that the linear predictor remembers, 1 ms apart

    def __post_init__(self):
        for name in ("horizon", "streams", "steps", "rounds", "window", "taps"):
            in_range(name, getattr(self, name), 1)
        in_range("test_steps", self.test_steps, 10 * self.taps)
        for name in ("dt", "learning_rate", "window_gain"):
            positive(name, getattr(self, name))
        in_range("hidden", list(self.hidden), 2)
        in_range("taus", list(self.taus), self.dt, unit="ms")
        in_range("tau_r", self.tau_r, self.dt, unit="ms")
        in_range("fast", self.fast, 0, 1)
        for credit in self.credits:
            one_of("credits", credit, CREDITS)
        if self.steps % self.window:
            raise InputError(
                f"`steps` is {self.steps} ms; it must be a multiple of `window`, {self.window} ms."
            )


PRESETS = {
    "smoke": Config(streams=3, steps=200, rounds=1, test_steps=300, hidden=(8,)),
    "quick": Config(),
    "paper": Config(rounds=100, streams=50),
}

_OWN = "own threshold from own runs; settings and values of the paper are not known"
CLAIMS = (
    Claim(
        "predicts",
        "Errors with swapped time constants teach the network to predict",
        "swapped_nrmse",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.25,
    ),
    Claim(
        "beyond_linear",
        "It predicts better than least squares from the last 20 values",
        "swapped_over_linear",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.75,
    ),
    Claim(
        "errors_need_time",
        "Errors that act at once do worse",
        "swapped_over_instantaneous",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.7,
    ),
    Claim(
        "against_bptt",
        "It is not far behind backpropagation through time in the same network",
        "swapped_over_bptt",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=1.35,
    ),
)

CITES = ("ellenberger2024backpropagation", "mackey1977oscillation")


def build(key, config: Config) -> Network:
    """Hidden layers of fast and slow neurons and one linear output; the first layer is linear."""
    sizes = (1, *config.hidden, 1)
    layers = []
    for i, n in enumerate(config.hidden):
        quick = round(config.fast * n)
        slow = [config.taus[j % len(config.taus)] for j in range(n - quick)]
        tau_m = jnp.array([config.taus[0]] * quick + slow)
        tau_r = jnp.array([config.taus[0]] * quick + [config.tau_r] * len(slow))
        synapses = uniform(jax.random.fold_in(key, i), sizes[i], n)
        neurons = Neurons(tau_m, tau_r, jnp.tanh if i else identity)
        layers.append(Layer(synapses, neurons, error_filter=swapped))
    synapses = uniform(jax.random.fold_in(key, len(layers)), sizes[-2], 1)
    neurons = Neurons(config.taus[0], config.taus[0], identity)
    layers.append(Layer(synapses, neurons, error_filter=swapped))
    return Network(layers, (1,), Nudging(config.beta), coupling=0.0)


def lessons(config: Config) -> tuple[Lesson, Lesson]:
    """To train on, shapes (steps, streams, 1), and to test, (test_steps, 1, 1); mean 0, sd 1."""
    n = config.streams * config.steps + config.test_steps + config.horizon
    series = mackey_glass(config.delay, n, step=config.dt, history=1.2, start=1000.0)
    taught = series.values[: config.streams * config.steps]
    values = jnp.asarray((series.values - taught.mean()) / taught.std(), jnp.float32)
    now, then = values[: -config.horizon], values[config.horizon :]

    def part(of: Array, start: int, streams: int, steps: int) -> Float[Array, "steps streams 1"]:
        return of[start : start + streams * steps].reshape(streams, steps).T[..., None]

    train = Lesson(*(part(x, 0, config.streams, config.steps) for x in (now, then)))
    rest = config.streams * config.steps
    test = Lesson(*(part(x, rest, 1, config.test_steps) for x in (now, then)))
    return train, test


def run(config: Config, seed: int, session) -> Outcome:
    """Train the same network with every rule; compare them with linear predictors."""
    train, test = lessons(config)
    network = build(jax.random.key(seed), config)
    metrics = _linear(train, test, config.taps)
    recordings = {"target": np.asarray(test.target[:, 0, 0])}
    for credit in config.credits:
        rate = config.learning_rate * (1 if CREDITS[credit].causal else config.window_gain)
        learner = WindowLearner(network, adam(rate), credit)
        learner.check(config.dt)

        @partial(jax.jit, donate_argnums=0)
        def hear(state, learner=learner):
            state, _ = simulate(learner, state, windows(train, config.window), config.dt)
            prediction = _predictions(learner.trained(state), test, config)
            return state, {"nrmse": _nrmse(prediction, test.target[:, 0, 0])}

        start = learner.init((config.streams,))
        state, history = session.loop(credit, lambda s, i, h=hear: h(s), start, config.rounds)
        prediction = np.asarray(_predictions(learner.trained(state), test, config))
        recordings |= {f"{credit}/nrmse": history["nrmse"], f"{credit}/prediction": prediction}
        metrics[f"{credit}_nrmse"] = float(history["nrmse"][-1])
    if "swapped" in config.credits:
        for other in ("memoryless", "linear", "instantaneous", "bptt"):
            if f"{other}_nrmse" in metrics:
                ratio = metrics["swapped_nrmse"] / metrics[f"{other}_nrmse"]
                metrics[f"swapped_over_{other}"] = ratio
    origin = mackey_glass(config.delay, 1, step=config.dt, history=1.2, start=1000.0).origin
    return Outcome(metrics, recordings, {"mackey_glass": origin})


def _predictions(network: Network, test: Lesson, config: Config) -> Float[Array, " steps"]:
    """What the network says at every step, from rest and without a teacher."""
    _, output = simulate(network, network.init((1,)), test.input, config.dt)
    return output[:, 0, 0]


def _nrmse(prediction, target, settled: int = 100):
    """Root mean squared error over the standard deviation, once the network has a past."""
    error = jnp.square(prediction - target)[settled:].mean()
    return jnp.sqrt(error / target[settled:].var())


def _linear(train: Lesson, test: Lesson, taps: int) -> dict[str, float]:
    """Least squares from the present value, and from that and those before it."""

    def columns(lesson: Lesson, n: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = (np.asarray(a[..., 0], np.float64).T for a in lesson)
        past = np.lib.stride_tricks.sliding_window_view(x, n, axis=1).reshape(-1, n)
        return np.column_stack([past, np.ones(len(past))]), y[:, n - 1 :].ravel()

    found = {}
    for name, n in (("memoryless", 1), ("linear", taps)):
        past, future = columns(train, n)
        weights = np.linalg.solve(past.T @ past + 1e-6 * np.eye(n + 1), past.T @ future)
        past, future = columns(test, n)
        found[f"{name}_nrmse"] = float(_nrmse(past @ weights, future))
    return found


def figures(outcome: Outcome, config: Config):
    """The error of every rule while it learns, and what it predicts in the end."""
    labels = {
        "swapped": "swapped time constants (GLE)",
        "instantaneous": "errors at once",
        "bptt": "backpropagation through time",
    }
    figure, axes = subplots(1, 2, height=3.6, gridspec_kw={"width_ratios": (2, 3)})
    r = outcome.recordings
    shown = slice(max(0, len(r["target"]) - 300), None)
    time = config.dt * np.arange(len(r["target"][shown]))
    axes[0, 1].plot(time, r["target"][shown], color="0.7", lw=4)
    for credit in config.credits:
        nrmse = r[f"{credit}/nrmse"]
        label = labels.get(credit, credit)
        axes[0, 0].semilogy(np.arange(1, len(nrmse) + 1), nrmse, label=label)
        axes[0, 1].plot(time, r[f"{credit}/prediction"][shown], lw=1)
    for name, style in (("memoryless", ":"), ("linear", "--")):
        level = outcome.metrics[f"{name}_nrmse"]
        axes[0, 0].axhline(level, color="0.5", ls=style, lw=1, label=f"least squares, {name}")
    axes[0, 0].set(xlabel="times heard", ylabel="error / standard deviation")
    axes[0, 1].set(
        xlabel="time [ms]", title=f"The signal, and what was said {config.horizon} ms before"
    )
    figure.legend(loc="outside lower center", ncols=2)
    return {"prediction": figure}
