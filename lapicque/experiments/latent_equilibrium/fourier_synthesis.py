"""Fourier synthesis: a continuous target, learned in one pass

Fifty sines go in, a sawtooth is wanted. There are no samples, no batches and no pauses: the network
learns while the signals run, and keeps the sawtooth after learning and nudging have been switched
off. The signals are as fast as the membrane is slow: the target's period is five membrane time
constants, the fastest input's a fifth of one.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Learner, Lesson, Nudging, dense, local_sgd, simulate


@dataclass(frozen=True)
class Config:
    """Settings of the Fourier synthesis."""

    n_inputs: int = 50
    n_hidden: int = 30
    duration: float = 600.0  # ms
    taught: float = 2 / 3  # share of the duration with nudging and learning
    dt: float = 0.005  # ms
    tau: float = 10.0  # ms
    beta: float = 0.1
    learning_rate: float = 0.25  # 1/ms
    fundamental: float = 10.0  # Hz, of the inputs
    period: float = 50.0  # ms, of the target
    chunk: float = 5.0  # ms between two entries of the history

    def __post_init__(self):
        for name in ("duration", "dt", "tau", "period", "chunk"):
            positive(name, getattr(self, name), "ms")
        in_range("tau", self.tau, self.dt, unit="ms", hint="It must not be shorter than `dt`.")
        in_range("chunk", self.chunk, self.dt, self.duration, unit="ms")
        in_range("beta", self.beta, 0)
        in_range("taught", self.taught, 0, 1)
        in_range("learning_rate", self.learning_rate, 0)
        in_range("n_inputs", self.n_inputs, 1)
        in_range("n_hidden", self.n_hidden, 1)


PRESETS = {
    "smoke": Config(duration=30.0, dt=0.05, n_hidden=10),
    "quick": Config(),
    "paper": Config(),
}

CLAIMS = (
    Claim(
        "remembers",
        "The sawtooth stays after nudging and learning are switched off",
        "mse_untaught",
        Certainty.REFERENCE_RUN,
        "the authors' code, run: MSE 0.0087 over the last fifth; the paper shows it as a figure",
        at_most=0.02,
        published=0.0087,
    ),
)

CITES = ("haider2021latent",)


def signals(config: Config, start: float, steps: int) -> Lesson:
    """Sines and sawtooth from `start` [ms] on, shapes (steps, 1, n_inputs) and (steps, 1, 1)."""
    time = start + config.dt * jnp.arange(steps)
    frequencies = config.fundamental * jnp.arange(1, config.n_inputs + 1)
    sines = jnp.sin(2e-3 * jnp.pi * frequencies * time[:, None])
    sawtooth = 2 * (time / config.period % 1) - 1
    return Lesson(sines[:, None], sawtooth[:, None, None])


def run(config: Config, seed: int, session) -> Outcome:
    """Teach for a while, then leave the network alone."""
    key = jax.random.key(seed)
    scale = 1 / np.sqrt(config.n_inputs)
    network = dense(
        key,
        (config.n_inputs, config.n_hidden, 1),
        activation=jnp.tanh,
        scale=scale,
        tau_m=config.tau,
        tau_r=config.tau,
    )
    network = eqx.tree_at(lambda n: n.nudging, network, Nudging(config.beta))
    rate = config.learning_rate * config.dt
    learner = Learner(network, local_sgd([rate] * len(network.layers)))
    learner.check(config.dt)
    steps = round(config.chunk / config.dt)
    chunks = round(config.duration / config.chunk)

    @partial(jax.jit, static_argnames="taught")
    def listen(state, start, taught: bool):
        lesson = signals(config, start, steps)
        if taught:
            state, output = simulate(learner, state, lesson, config.dt)
        else:
            neurons, output = simulate(
                learner.trained(state), state.network, lesson.input, config.dt
            )
            state = state._replace(network=neurons)
        shown = slice(None, None, max(1, steps // 50))
        row = {"mse": jnp.square(output - lesson.target).mean(), "output": output[shown, 0, 0]}
        return state, row

    def step(state, i):
        taught = i < round(config.taught * chunks)
        return listen(state, i * config.chunk, taught)

    _, history = session.loop("signals", step, learner.init((1,)), chunks)
    mse = history["mse"]
    last = mse[-max(1, chunks // 5) :]
    return Outcome(
        metrics={
            "mse_start": float(mse[: max(1, chunks // 20)].mean()),
            "mse_untaught": float(last.mean()),
            "target_variance": 1 / 3,
        },
        recordings={"mse": mse, "output": history["output"]},
    )


def figures(outcome: Outcome, config: Config):
    """Output against target at the beginning and at the end, and the error over time."""
    figure, axes = subplots(2, 2, height=4.2, gridspec_kw={"height_ratios": (3, 2)})
    output = outcome.recordings["output"]
    chunks, shown = output.shape
    time = config.chunk * np.arange(chunks * shown) / shown
    target = 2 * (time / config.period % 1) - 1
    window = max(1, round(2 * config.period / config.chunk)) * shown
    for axis, part, title in (
        (axes[0, 0], slice(window), "First two periods"),
        (axes[0, 1], slice(-window, None), "Last two, without a teacher"),
    ):
        axis.plot(time[part], target[part], color="0.6", label="target")
        axis.plot(time[part], output.ravel()[part], label="output")
        axis.set(xlabel="time [ms]", title=title, ylim=(-1.6, 1.6))
    axes[0, 0].legend(loc="upper left")
    for axis in axes[1]:
        axis.remove()
    error = figure.add_subplot(axes[1, 0].get_gridspec()[1, :])
    error.semilogy(config.chunk * (np.arange(chunks) + 1), outcome.recordings["mse"])
    error.axvline(config.taught * config.duration, color="0.5", ls="--")
    error.set(xlabel="time [ms]", ylabel="mean squared error", title="Teaching ends at the dashes")
    return {"synthesis": figure}
