"""LagLine: two slow neurons in a row learn weights and memory spans from a teacher

A chain of two neurons that remember (tau_m > tau_r) imitates a chain with other weights and time
constants. To get the first neuron right, errors must be undone in time through the second one.
The errors of Generalized Latent Equilibrium (GLE), causal and local, do that and find weights and
time constants; instantaneous errors, which ignore the delay, get stuck. Exact gradients over
windows of a few time units, as backpropagation through time would give them, are the comparison.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.ndimage import gaussian_filter1d

from lapicque._checks import InputError, in_range, positive
from lapicque.experiments.generalized_latent_equilibrium._students import error_traces, imitate
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.rate import Dense, Layer, Lesson, Network, Neurons, Nudging, per_layer, swapped
from lapicque.rate.adjoint import free_run, without_errors
from lapicque.rate.credit import CREDITS
from lapicque.rate.learning import keep_above


@dataclass(frozen=True)
class Config:
    """Settings of the chain; times are in the arbitrary unit of the publication."""

    n_students: int = 3
    duration: float = 1000.0  # with learning
    settle: float = 60.0  # without; 50 in the publication, here whole chunks
    dt: float = 0.01
    weights: tuple[float, float] = (1.0, 2.0)  # of the teacher
    tau_m: tuple[float, float] = (1.0, 2.0)  # of the teacher
    tau_r: float = 0.1  # of all; also the lower bound of tau_m
    beta: float = 0.01
    coupling: float = 1.0
    learning_rate: float = 1e-4  # of Adam [per step]
    batch: int = 100
    half_period: float = 2.0  # of the square wave
    smoothing: float = 0.05  # of the square wave, standard deviation
    windows: tuple[float, ...] = (4.0,)  # of the exact gradients
    chunk: float = 20.0  # between two entries of the history

    def __post_init__(self):
        for name in ("duration", "dt", "tau_r", "half_period", "chunk"):
            positive(name, getattr(self, name))
        in_range("n_students", self.n_students, 1)
        in_range("batch", self.batch, 1)
        in_range("beta", self.beta, 0)
        in_range("learning_rate", self.learning_rate, 0)
        in_range("tau_r", self.tau_r, self.dt, hint="It must not be shorter than `dt`.")
        in_range("tau_m", self.tau_m, self.tau_r)
        steps = round(self.chunk / self.dt)
        if any(steps % round(window / self.dt) for window in self.windows):
            raise InputError(f"`windows` are {self.windows}; each must divide `chunk`.")


PRESETS = {
    "smoke": Config(n_students=2, duration=40.0, settle=20.0, batch=10),
    "quick": Config(duration=700.0),
    "paper": Config(duration=4000.0, windows=(4.0, 2.0, 1.0)),
}

_FIGURE_5 = "Ellenberger et al. (2024), figure 5; thresholds from an independent run, 3 seeds"
CLAIMS = (
    Claim(
        "gle_learns",
        "The worst GLE student ends with a loss near numerical precision",
        "gle_worst_loss",
        Certainty.REFERENCE_RUN,
        _FIGURE_5 + ": 3e-11 (caption: fluctuates around 1e-10)",
        at_most=1e-9,
        published=1e-10,
    ),
    Claim(
        "gle_finds_the_teacher",
        "All weights and time constants are those of the teacher",
        "gle_parameter_error",
        Certainty.REFERENCE_RUN,
        _FIGURE_5,
        at_most=2e-3,
        published=6e-4,
    ),
    Claim(
        "instantaneous_stalls",
        "Errors that ignore the neurons' delays get stuck",
        "instantaneous_best_loss",
        Certainty.REFERENCE_RUN,
        _FIGURE_5 + ": 1.27e-2",
        at_least=1e-3,
        published=1.27e-2,
    ),
    Claim(
        "instantaneous_forgets",
        "They drive the memory of all neurons to its lower bound",
        "instantaneous_largest_tau_m",
        Certainty.REFERENCE_RUN,
        _FIGURE_5 + ": both tau_m at the bound 0.1",
        at_most=0.101,
        published=0.1,
        presets=("paper",),
    ),
)

CITES = ("ellenberger2024backpropagation", "haider2021latent")


def chain(config: Config, weights, tau_m) -> Network:
    """Softplus neurons in a row, without biases."""
    layers = [
        Layer(
            Dense(jnp.reshape(w, (1, 1))),
            Neurons(jnp.reshape(tau, (1,)), jnp.full(1, config.tau_r), jax.nn.softplus),
            error_filter=swapped,
        )
        for w, tau in zip(weights, tau_m, strict=True)
    ]
    return Network(layers, (1,), Nudging(config.beta), config.coupling)


def square_wave(config: Config, seed: int):
    """From the number of a chunk to smoothed square waves, one random shift per sample."""
    half = round(config.half_period / config.dt)
    wave = np.repeat([1.0, -1.0], half)
    wave = gaussian_filter1d(wave, config.smoothing / config.dt, mode="wrap")
    shifts = np.random.default_rng(seed).integers(0, 2 * half, config.batch)
    table, shifts = jnp.asarray(wave, jnp.float32), jnp.asarray(shifts)
    steps = round(config.chunk / config.dt)

    def inputs(i):
        time = (i * steps + jnp.arange(steps))[:, None]
        return table[(time + shifts) % (2 * half)][..., None]

    return inputs


def _rules(config: Config) -> dict[str, tuple[str, int, float]]:
    """Name, credit, steps per window, learning rate per update."""
    chunk, rate = round(config.chunk / config.dt), config.learning_rate
    rules = {"gle": ("local", chunk, rate), "instantaneous": ("instantaneous", chunk, rate)}
    for window in config.windows:
        steps = round(window / config.dt)
        rules[f"exact_{window:g}"] = ("adjoint", steps, rate * steps)
    return rules


def run(config: Config, seed: int, session) -> Outcome:
    """Train the same students by each rule."""
    metrics, recordings = {}, {}
    for name in _rules(config):
        history = _learn(config, name, seed, session)
        loss, numbers = history["loss"], history["parameters"]
        wanted = np.array([config.weights, config.tau_m]).T.ravel()
        metrics |= {
            f"{name}_worst_loss": float(loss[-1].max()),
            f"{name}_best_loss": float(loss[-1].min()),
            f"{name}_parameter_error": float(np.abs(numbers[-1] - wanted).max()),
            f"{name}_largest_tau_m": float(numbers[-1][:, 1::2].max()),
        }
        recordings |= {f"{name}/loss": loss, f"{name}/parameters": numbers}
    return Outcome(metrics, {**recordings, **_traces(config, seed)})


def learn_exactly(config: Config, seed: int, session) -> dict[str, np.ndarray]:
    """History of students that learn from exact gradients over the first of the windows."""
    return _learn(config, f"exact_{config.windows[0]:g}", seed, session)


def _learn(config: Config, name: str, seed: int, session) -> dict[str, np.ndarray]:
    credit, steps, rate = _rules(config)[name]
    adam = optax.adam(rate)
    _, history = imitate(
        name,
        chain(config, config.weights, config.tau_m),
        lambda key: _student(config, key),
        jax.random.split(jax.random.key(seed), config.n_students),
        per_layer([adam] * 2, tau_m=optax.chain(adam, keep_above(config.tau_r))),
        credit,
        square_wave(config, seed),
        session,
        settle=round(config.settle / config.chunk),
        chunks=round(config.duration / config.chunk),
        window=steps,
        dt=config.dt,
    )
    return history


def _student(config: Config, key) -> Network:
    drawn = jax.random.uniform(key, (4,))
    return chain(config, drawn[:2], jnp.maximum(drawn[2:], config.tau_r))


def _traces(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Errors of an untrained student, causal and exact, for one sample."""
    teacher = chain(config, config.weights, config.tau_m)
    key = jax.random.split(jax.random.key(seed), config.n_students)[0]
    student = without_errors(_student(config, key))
    x = square_wave(config, seed)(jnp.asarray(0))[:, :1]
    _, trail = free_run(teacher, teacher.init((1,)), Lesson(x, jnp.zeros_like(x)), config.dt)
    target = jnp.concatenate([jnp.zeros_like(x[:1]), trail.output[:-1]])
    networks = {
        "gle": student,
        "instantaneous": CREDITS["instantaneous"].prepare(student),
    }
    found = jax.jit(lambda lessons: error_traces(networks, lessons, config.dt))(Lesson(x, target))
    period = round(2 * config.half_period / config.dt)
    return {f"error/{name}": np.asarray(e)[-3 * period : -period, 0] for name, e in found.items()}


def figures(outcome: Outcome, config: Config):
    """Loss, weights and time constants of the students over time; errors of an untrained one."""
    recordings = outcome.recordings
    names = {"gle": "GLE", "instantaneous": "instantaneous"}
    names |= {f"exact_{w:g}": f"exact, window {w:g}" for w in config.windows}
    figure, axes = subplots(2, 2, height=5.2)
    loss, traces, weights, constants = axes.ravel()
    for colour, (name, label) in zip(COLOURS, names.items(), strict=False):
        values = recordings[f"{name}/loss"]
        time = config.chunk * np.arange(1, len(values) + 1) - config.settle
        loss.semilogy(time, values[:, 0], color=colour, label=label)
        loss.semilogy(time, values[:, 1:], color=colour, alpha=0.4)
    loss.set(title="Loss of each student", xlabel="time", ylabel="mean squared error")
    loss.legend(loc="lower left")
    for axis, column, title, wanted in (
        (weights, 0, "Weights", config.weights),
        (constants, 1, "Membrane time constants", config.tau_m),
    ):
        for target in wanted:
            axis.axhline(target, color="0.6", ls="--", zorder=1)
        for colour, name in zip(COLOURS, ("gle", "instantaneous"), strict=False):
            axis.plot(time, recordings[f"{name}/parameters"][:, 0, column::2], color=colour)
        axis.set(title=title, xlabel="time")
        axis.annotate(
            "first student; dashed: teacher", (0.98, 0.93), xycoords="axes fraction", ha="right"
        )
    shown = config.dt * np.arange(len(recordings["error/exact/0"]))
    for colour, (name, label) in zip(
        (*COLOURS[:2], COLOURS[-1]),
        (*list(names.items())[:2], ("exact", "exact adjoint")),
        strict=True,
    ):
        e = recordings[f"error/{name}/0"][:, 0]
        traces.plot(shown, e / np.abs(e).max(), color=colour, label=label)
    traces.set(title="First neuron's errors, untrained", xlabel="time")
    traces.set(ylabel="e, scaled to its peak")
    traces.margins(y=0.35)
    traces.legend(loc="upper right", ncols=2)
    return {"lagline": figure}
