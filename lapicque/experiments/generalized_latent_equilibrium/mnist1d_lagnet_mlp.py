"""MNIST-1D with lag lines: a fixed bank of slow neurons spreads the past out in space

Ten parallel chains of four neurons, each chain with its own membrane time constant and identity
synapses, turn one signal into ten versions that lag behind it by different amounts. On top, an
instantaneous network of 10-60-60-10 neurons (Latent Equilibrium) learns on line to read the class
from what it sees at the moment. Time has become space; only the upper network is plastic.

The test set also steers the learning rate, as in the published code, so that its accuracy is that
of a validation set.
"""

from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range
from lapicque.data import mnist1d
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    PUBLISHED,
    Model,
    SequenceConfig,
    learning_curves,
    train,
    uniform,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import subplots
from lapicque.rate import Dense, Layer, Network, Neurons, Nudging, cross_entropy, identity


@dataclass(frozen=True)
class Config(SequenceConfig):
    """Settings of the lag lines and of what reads them."""

    channels: int = 10  # chains, from tau_m = dt to tau_max
    length: int = 4  # neurons per chain
    tau_max: float = 1.8  # ms
    hidden: tuple[int, ...] = (60, 60)
    tau: float = 2.0  # ms, of the instantaneous neurons

    def __post_init__(self):
        super().__post_init__()
        for name in ("channels", "length"):
            in_range(name, getattr(self, name), 1)
        in_range("hidden", list(self.hidden), 1)
        for name in ("tau_max", "tau"):
            in_range(name, getattr(self, name), self.dt, unit="ms", hint="Not below `dt`.")


PRESETS = {
    "smoke": Config(epochs=2, train_limit=200, test_batch=200, hidden=(12, 12)),
    "quick": Config(epochs=10),
    "paper": Config(),
}

_SOURCE = "Ellenberger et al. (2024), figure 10f: released data, 10 seeds"
CLAIMS = (
    Claim(
        "learns",
        "After 10 epochs the network is on the published learning curve",
        "test_accuracy_10",
        Certainty.RELEASED_DATA,
        f"{_SOURCE}, 52.5 ± 7.7 % at epoch 10",
        at_least=0.37,
        at_most=0.68,
        published=0.525,
    ),
    Claim(
        "accuracy",
        "After 150 epochs it classifies like the published one",
        "test_accuracy",
        Certainty.RELEASED_DATA,
        f"{_SOURCE}, 90.89 ± 0.63 % at epoch 150",
        at_least=0.894,
        at_most=0.924,
        published=0.909,
        presets=("paper",),
    ),
    Claim(
        "half_way",
        "After 75 epochs it is nearly there",
        "test_accuracy_75",
        Certainty.RELEASED_DATA,
        f"{_SOURCE}, 90.7 ± 0.6 % at epoch 75",
        at_least=0.88,
        published=0.907,
        presets=("paper",),
    ),
)

CITES = ("ellenberger2024backpropagation", "greydanus2024scaling")


def lag_lines(config: Config) -> Network:
    """Chains of leaky integrators (tau_r = dt) with identity synapses; they do not learn."""
    n = config.channels
    tau_m = jnp.asarray(np.round(np.linspace(config.dt, config.tau_max, n), 2), jnp.float32)
    neurons = Neurons(tau_m, config.dt, identity)
    inward = Layer(Dense(jnp.ones((n, 1))), neurons)
    return Network(
        [inward] + [Layer(Dense(jnp.eye(n)), neurons) for _ in range(config.length - 1)],
        (1,),
        coupling=0.0,
    )


def reader(key, config: Config) -> Network:
    """Instantaneous tanh neurons with a linear output."""
    sizes = (config.channels, *config.hidden, 10)
    layers = []
    for i, (pre, post) in enumerate(pairwise(sizes)):
        last = i == len(config.hidden)
        neurons = Neurons(config.tau, config.tau, identity if last else jnp.tanh)
        layers.append(Layer(uniform(jax.random.fold_in(key, i), pre, post), neurons))
    nudging = Nudging(config.beta, cross_entropy)
    return Network(layers, (config.channels,), nudging, coupling=0.0)


def run(config: Config, seed: int, session) -> Outcome:
    """Train one network and test it after every epoch."""
    data = mnist1d()
    model = Model(lag_lines(config), reader(jax.random.key(seed), config))
    trained = train("epochs", model, config, data, seed, session)
    example = data.test.inputs[0]
    return Outcome(
        metrics={
            "test_accuracy": trained.accuracy,
            "test_accuracy_10": trained.at(10),
            "test_accuracy_75": trained.at(75),
            "test_loss": float(trained.history["test_loss"][-1]),
            "parameters": float(model.size),
        },
        recordings={**trained.history, "signal": example, "lags": _lags(config, example)},
        data={"mnist1d": data.origin},
    )


def _lags(config: Config, signal: np.ndarray) -> np.ndarray:
    """Rates of the last neuron of every chain, shape (time, channels)."""
    lines = lag_lines(config)
    slices = jnp.asarray(signal, jnp.float32)[:, None, None]
    _, rates = jax.jit(lambda s: jax.lax.scan(lambda s, x: lines.step(s, x, config.dt), s, slices))(
        lines.init((1,))
    )
    return np.asarray(rates[:, 0])


def figures(outcome: Outcome, config: Config):
    """Test accuracy against epoch over the published curve, and what the lag lines make."""
    curves = {"lapicque": outcome.recordings["accuracy"]}
    figure, axes = subplots(height=2.6)
    axis = axes[0, 0]
    signal, lags = outcome.recordings["signal"], outcome.recordings["lags"]
    time = config.dt * np.arange(len(signal))
    for channel, rates in enumerate(lags.T):
        shade = 0.25 + 0.65 * channel / max(1, lags.shape[1] - 1)
        axis.plot(time, rates, color=(0, 0.45 * shade, shade), lw=1)
    axis.plot(time, signal, color="0.2", lw=1, ls="--", label="signal")
    axis.set(xlabel="time [ms]", ylabel="rate", title="One sequence in all lag lines")
    axis.legend(loc="upper right")
    return {"learning": learning_curves(curves, PUBLISHED["lagnet"]), "lag_lines": figure}
