"""LagNet: slow and fast neurons side by side, and an error that must be advanced to the right phase

A network 1-2-2-1 in which each hidden layer has one instantaneous neuron and one that remembers
imitates a teacher with other input weights, for an input of three incommensurate sines. The errors
of Generalized Latent Equilibrium (GLE) carry the phases of the adjoint and learn the weights, step
by step; instantaneous errors arrive with the wrong phase and do not.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lapicque._checks import in_range, positive
from lapicque.experiments.generalized_latent_equilibrium._students import error_traces, imitate
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.rate import (
    Dense,
    Layer,
    Lesson,
    Network,
    Neurons,
    Nudging,
    identity,
    per_layer,
    swapped,
)
from lapicque.rate.adjoint import free_run, without_errors
from lapicque.rate.credit import CREDITS


@dataclass(frozen=True)
class Config:
    """Settings of the small net; times are in the arbitrary unit of the publication."""

    n_students: int = 5
    duration: float = 1520.0  # with learning
    settle: float = 80.0  # without
    dt: float = 0.01
    tau_m: float = 1.0
    tau_r: tuple[float, float] = (1.0, 0.1)  # of the two neurons of each hidden layer
    frequencies: tuple[float, ...] = (0.49, 1.07, 1.98)  # angular, of the input
    beta: float = 1.0
    coupling: float = 1e-3
    learning_rate: float = 0.02  # of descent with momentum [per unit of time and beta]
    momentum: float = 0.9
    window: float = 4.0  # of the exact gradients
    chunk: float = 20.0  # between two entries of the history

    def __post_init__(self):
        for name in ("duration", "dt", "tau_m", "window", "chunk", "beta"):
            positive(name, getattr(self, name))
        in_range("n_students", self.n_students, 1)
        in_range("tau_r", self.tau_r, self.dt, hint="It must not be shorter than `dt`.")
        in_range("learning_rate", self.learning_rate, 0)
        in_range("momentum", self.momentum, 0, 1)


PRESETS = {
    "smoke": Config(n_students=2, duration=40.0, settle=20.0),
    "quick": Config(),
    "paper": Config(n_students=10, duration=2000.0),
}

_FIGURE_6 = "Ellenberger et al. (2024), figure 6; thresholds from an independent run, 3 students"
CLAIMS = (
    Claim(
        "gle_learns",
        "The worst GLE student imitates its teacher",
        "gle_worst_loss",
        Certainty.REFERENCE_RUN,
        _FIGURE_6 + ": 1e-7 to 1e-8",
        at_most=1e-6,
        published=1e-7,
    ),
    Claim(
        "gle_finds_the_teacher",
        "The learned weights are within 1 % of the teacher's",
        "gle_relative_weight_error",
        Certainty.REFERENCE_RUN,
        _FIGURE_6 + ": at most 0.4 %",
        at_most=0.01,
        published=0.004,
    ),
    Claim(
        "instantaneous_fails",
        "No student with instantaneous errors learns",
        "instantaneous_best_loss",
        Certainty.REFERENCE_RUN,
        _FIGURE_6 + ": drifts away or stays at 0.09 to 0.94",
        at_least=1e-2,
        published=0.09,
    ),
    Claim(
        "phases",
        "GLE errors are far closer to the phases of the adjoint than instantaneous ones",
        "phase_error_ratio",
        Certainty.DERIVED,
        "Ellenberger et al. (2024): equal phases in linear nets; here a nonlinear one, first layer",
        at_most=0.4,
        published=0.0,
    ),
)

CITES = ("ellenberger2024backpropagation",)

TEACHER = ((-0.5, 1.0), (0.5, 1.0), (0.5, 1.0))  # input weights, diagonal, output weights


def net(config: Config, first) -> Network:
    """The teacher's network with other input weights."""
    first = jnp.reshape(jnp.asarray(first), (2, 1))
    weights = (first, jnp.diag(jnp.array(TEACHER[1])), jnp.array([TEACHER[2]]))
    tau_r = (config.tau_r, config.tau_r, (config.tau_m,))
    layers = [
        Layer(
            Dense(weight),
            Neurons(jnp.full(len(tau), config.tau_m), jnp.array(tau), activation),
            error_filter=swapped,
        )
        for weight, tau, activation in zip(
            weights, tau_r, (jnp.tanh, jnp.tanh, identity), strict=True
        )
    ]
    return Network(layers, (1,), Nudging(config.beta), config.coupling)


def sines(config: Config):
    """From the number of a chunk to the input, one sample."""
    steps = round(config.chunk / config.dt)

    def inputs(i):
        # Phases per chunk and within it apart, so that single precision does not tire with time.
        omega = jnp.asarray(config.frequencies)
        start = (omega * config.chunk * i) % (2 * jnp.pi)
        time = config.dt * jnp.arange(steps)[:, None]
        return jnp.sin(start + omega * time).sum(-1)[:, None, None]

    return inputs


def _rules(config: Config) -> dict[str, tuple[str, float]]:
    """Name, credit and steps per window."""
    return {
        "gle": ("local", config.chunk),
        "instantaneous": ("instantaneous", config.chunk),
        "exact": ("adjoint", config.window),
    }


def run(config: Config, seed: int, session) -> Outcome:
    """Train the same students by each rule."""
    teacher = net(config, TEACHER[0])
    keys = jax.random.split(jax.random.key(seed), config.n_students)
    inputs = sines(config)

    def student(key):
        return net(config, jax.random.uniform(key, (2,), minval=-1, maxval=1))

    rate = config.learning_rate * config.dt / config.beta
    descent = optax.sgd(rate, config.momentum)
    metrics, recordings = {}, {}
    for name, (credit, window) in _rules(config).items():
        _, history = imitate(
            name,
            teacher,
            student,
            keys,
            per_layer([descent, optax.set_to_zero(), optax.set_to_zero()]),
            credit,
            inputs,
            session,
            settle=round(config.settle / config.chunk),
            chunks=round(config.duration / config.chunk),
            window=round(window / config.dt),
            dt=config.dt,
        )
        loss, weights = history["loss"], history["parameters"][:, :, :2]
        wanted = np.array(TEACHER[0])
        metrics |= {
            f"{name}_worst_loss": float(loss[-1].max()),
            f"{name}_best_loss": float(loss[-1].min()),
            f"{name}_relative_weight_error": float(np.abs(weights[-1] / wanted - 1).max()),
        }
        recordings |= {f"{name}/loss": loss, f"{name}/weights": weights}
    traces = _traces(config, teacher, student(keys[0]), inputs)
    for name in ("gle", "instantaneous"):
        metrics[f"{name}_phase_error"] = _phase_error(
            config, traces[f"error/{name}/0"], traces["error/exact/0"]
        )
    metrics["phase_error_ratio"] = metrics["gle_phase_error"] / metrics["instantaneous_phase_error"]
    return Outcome(metrics, {**recordings, **traces})


def _traces(config: Config, teacher: Network, student: Network, inputs) -> dict[str, np.ndarray]:
    """Errors of an untrained student without delays, causal and exact."""
    quiet = [
        replace(without_errors(n), schedule=type(n.schedule)(0, 0)) for n in (teacher, student)
    ]
    x = jnp.concatenate([inputs(jnp.asarray(i)) for i in range(12)])
    _, trail = free_run(quiet[0], quiet[0].init((1,)), Lesson(x, jnp.zeros_like(x)), config.dt)
    networks = {"gle": quiet[1], "instantaneous": CREDITS["instantaneous"].prepare(quiet[1])}
    found = eqx.filter_jit(error_traces)(networks, Lesson(x, trail.output), config.dt)
    margin = round(config.chunk / config.dt)  # transients of both directions
    return {f"error/{name}": np.asarray(e)[margin:-margin, 0] for name, e in found.items()}


def _phase_error(config: Config, e: np.ndarray, exact: np.ndarray) -> float:
    """Mean phase between two errors at the input's frequencies, over the first layer [rad]."""
    time = config.dt * np.arange(len(e))
    window = np.hanning(len(e))[:, None]
    waves = [np.exp(-1j * omega * time) @ (window * e) for omega in config.frequencies]
    other = [np.exp(-1j * omega * time) @ (window * exact) for omega in config.frequencies]
    return float(np.abs(np.angle(np.array(waves) / np.array(other))).mean())


def figures(outcome: Outcome, config: Config):
    """Loss and weights of the students over time; errors of an untrained one."""
    recordings = outcome.recordings
    names = {"gle": "GLE", "instantaneous": "instantaneous", "exact": "exact adjoint"}
    figure, axes = subplots(1, 2, height=2.9)
    loss, weights = axes[0]
    for colour, (name, label) in zip(COLOURS, names.items(), strict=False):
        values = recordings[f"{name}/loss"]
        time = config.chunk * np.arange(1, len(values) + 1) - config.settle
        loss.semilogy(time, values[:, 0], color=colour, label=label)
        loss.semilogy(time, values[:, 1:], color=colour, alpha=0.3)
        if name != "exact":
            weights.plot(time, recordings[f"{name}/weights"].reshape(len(time), -1), color=colour)
    loss.set(title="Loss of each student", xlabel="time", ylabel="mean squared error")
    loss.legend()
    for target in TEACHER[0]:
        weights.axhline(target, color="0.4", ls="--", zorder=3)
    weights.set(title="Input weights (dashed: teacher)", xlabel="time", ylim=(-2.5, 2.5))
    traces, panels = subplots(2, 1, height=4, sharex=True)
    shown = slice(0, round(30 / config.dt))
    for axis, unit in zip(panels[:, 0], range(2), strict=True):
        for colour, (name, label) in zip((*COLOURS[:2], COLOURS[-1]), names.items(), strict=True):
            e = recordings[f"error/{name}/0"][shown, unit]
            axis.plot(config.dt * np.arange(len(e)), e / np.abs(e).max(), color=colour, label=label)
        kind = "instantaneous" if config.tau_r[unit] == config.tau_m else "slow"
        axis.set(
            title=f"Error of the {kind} neuron of the first layer", ylabel="scaled to its peak"
        )
    panels[0, 0].legend(loc="upper right", ncols=3)
    panels[0, 0].set(ylim=(-1.2, 1.7))
    panels[1, 0].set(xlabel="time", ylim=(-1.2, 1.2))
    return {"lagnet": figure, "errors": traces}
