"""Patterns: what learning does to the potentials of label neurons

Four classes of spike patterns over five channels: two fixed sequences, one forwards and one
nearly backwards, and two kinds of noise, uniform in time or close to one instant. One network
has a hidden layer and learns its weights; another has no hidden layer but learns the delays of
its synapses as well. Rasters and potentials show single samples before and after learning: the
neuron of the right class now reaches its threshold first.

The classes are those of a configuration released with the code. It names no accuracy; sizes of
the data set and the settings of learning are choices made here.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lapicque._checks import in_range, positive
from lapicque.data import DataSet, Samples
from lapicque.experiments._spike_times import (
    coded,
    draw_curves,
    draw_rasters,
    drawn,
    one_per_class,
    rasters,
    train,
)
from lapicque.experiments.fast_and_deep._parts import WORK
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.spiketime import (
    Bumping,
    CrossEntropy,
    Network,
    Neuron,
    Trainer,
    dense,
    potential,
    respond,
)

FORWARDS, BACKWARDS = (0.0, 2.0, 4.0, 6.0, 8.0), (9.0, 7.0, 5.0, 3.0, 1.0)  # tau_s
CLASSES = ("forwards", "backwards", "uniform", "together")
NETWORKS = {"weights": "hidden layer, weights", "delays": "weights and delays"}
TITLES = {"before": "before learning", "after": "after learning"}


@dataclass(frozen=True)
class Config:
    """Settings of the pattern experiment."""

    n_networks: int = 3
    epochs: int = 400
    hidden: int = 20  # of the network that learns its weights alone
    samples: int = 50  # per class, to learn from
    tests: int = 100  # per class
    jitter: float = 0.001  # of sequences [tau_s]
    together: float = 0.01  # spread around the instant 1 [tau_s]
    batch: int = 40
    learning_rate: float = 0.01

    def __post_init__(self):
        for name in ("n_networks", "epochs", "hidden", "samples", "tests", "batch"):
            in_range(name, getattr(self, name), 1)
        for name in ("jitter", "together"):
            in_range(name, getattr(self, name), 0, unit="tau_s")
        positive("learning_rate", self.learning_rate)


PRESETS = {
    "smoke": Config(n_networks=1, epochs=1, samples=5, tests=5),
    "quick": Config(),
    "paper": Config(n_networks=10, epochs=1000),
}

_SOURCE = f"{WORK}, released code; it names no accuracy, the number is a choice made here"
CLAIMS = (
    *(
        Claim(
            f"learned_{name}",
            f"The median network ({title}) answers 95 % of new samples correctly",
            f"{name}_test_accuracy",
            Certainty.NOT_VERIFIED,
            _SOURCE,
            at_least=0.95,
        )
        for name, title in NETWORKS.items()
    ),
    Claim(
        "gain",
        "Learning the weights is worth at least a quarter of all answers",
        "gain",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_least=0.25,
    ),
)

CITES = ("goeltz2021fast",)


def patterns(config: Config, seed: int) -> DataSet:
    """Spike times of all classes [tau_s], shape (sample, 5), in random order."""
    draw = np.random.default_rng((seed, 2021))

    def split(size: int) -> Samples:
        sequences = [
            np.array(times) + config.jitter * draw.normal(size=(size, 5))
            for times in (FORWARDS, BACKWARDS)
        ]
        noise = [draw.uniform(size=(size, 5)), 1 + config.together * draw.normal(size=(size, 5))]
        times = np.maximum(np.concatenate([*sequences, *noise]), 0)
        order = draw.permutation(len(times))
        return Samples(times, np.repeat(np.arange(4), size)).take(order)

    origin = f"Spike patterns of four classes, generated with seed {seed}"
    train, validation, test = map(split, (config.samples, config.tests, config.tests))
    return DataSet("patterns", 4, train, validation, test, origin)


def run(config: Config, seed: int, session) -> Outcome:
    """Train both networks; record spikes and potentials of one sample per class."""
    data = coded(patterns(config, seed), lambda times: times)
    shown = one_per_class(data.test.labels)
    metrics, recordings = {}, {"classes": np.asarray(data.test.labels[shown])}
    recordings["time"] = np.linspace(0, 12, 300)

    def with_weights(key) -> Network:
        sizes = 5, config.hidden, 4
        return dense(key, sizes, neuron=Neuron(tau_m=1.0), mean=(1.5, 0.5), spread=0.8, bias=0.9)

    def with_delays(key) -> Network:
        neuron = Neuron(tau_m=1.0)
        return dense(key, (5, 4), neuron=neuron, mean=1.5, spread=0.8, bias=0.0, delays="synaptic")

    for name, build in {"weights": with_weights, "delays": with_delays}.items():
        layers = len(build(jax.random.key(0)).layers)
        trained = train(
            name,
            build,
            Trainer(
                CrossEntropy(xi=0.2, alpha=0.005, beta=3.0),  # sequences last for 9 tau_s
                batch=config.batch,
                weights_rate=config.learning_rate,
                delays_rate=config.learning_rate,
                bumping=Bumping((0.3,) * (layers - 1) + (0.0,)),
            ),
            data,
            epochs=config.epochs,
            n_networks=config.n_networks,
            seed=seed,
            session=session,
        )
        networks = {"before": drawn(build, seed), "after": trained.network()}
        inputs = data.test.times[shown]
        listen = jax.jit(respond)
        spikes = {moment: listen(one, data.test.times) for moment, one in networks.items()}
        found = {
            **trained.recordings("networks"),
            **rasters(data.test.times, spikes, shown),
            **{
                f"potential/{moment}": potentials(one, inputs, recordings["time"])
                for moment, one in networks.items()
            },
        }
        recordings |= {f"{name}/{key}": value for key, value in found.items()}
        metrics |= trained.summary(f"{name}_")
        label = spikes["before"][-1]
        right = (label.argmin(1) == data.test.labels) & jnp.isfinite(label).any(1)
        metrics[f"{name}_before"] = float(right.mean())
    metrics["gain"] = metrics["weights_test_accuracy"] - metrics["weights_before"]
    return Outcome(metrics, recordings, {"patterns": data.origin})


def potentials(
    network: Network, inputs: Float[Array, "samples input"], times: np.ndarray
) -> np.ndarray:
    """Potentials of label neurons had they not spiked, shape (samples, time, classes)."""
    *below, label = network.layers
    for layer in below:
        inputs = layer(inputs)
    arrival, per_synapse = label.arrival(inputs)
    at = jnp.broadcast_to(jnp.asarray(times, inputs.dtype)[:, None], (len(times), 4))
    trace = jax.vmap(
        lambda arrival: potential(at, arrival, label.weights, label.neuron, per_synapse=per_synapse)
    )
    return np.asarray(trace(arrival))


def figures(outcome: Outcome, config: Config):
    """Learning curves; potentials of label neurons and rasters, before and after learning."""
    titles = {f"{name}/networks": title for name, title in NETWORKS.items()}
    drawings = {"learning": draw_curves(outcome.recordings, titles, "accuracy")}
    for name in NETWORKS:
        own = {
            key.removeprefix(f"{name}/"): value
            for key, value in outcome.recordings.items()
            if key.startswith(f"{name}/")
        }
        drawings[f"potentials_{name}"] = _draw_potentials(own, outcome.recordings["time"])
        drawings[f"raster_{name}"] = draw_rasters(own, TITLES, outcome.recordings["classes"])
    return drawings


def _draw_potentials(recordings, time: np.ndarray):
    figure, axes = subplots(2, 4, height=3.6, sharex=True, sharey=True)
    for row, (moment, title) in zip(axes, TITLES.items(), strict=True):
        traces = recordings[f"potential/{moment}"]
        keys = [key for key in recordings if key.startswith(f"raster/{moment}/")]
        spikes = recordings[max(keys)]
        for own, axis in enumerate(row):
            axis.axhline(1, color=MUTED, lw=0.8, ls="--")
            for k in range(4):
                axis.plot(time, traces[own, :, k], color=COLOURS[k], lw=2 if k == own else 1)
                if spikes[own, k] >= 0:
                    axis.plot(spikes[own, k], 1, "o", color=COLOURS[k], ms=4)
            axis.set_title(CLASSES[own], fontsize=9, color=COLOURS[own])
            axis.set_ylim(-1, 2)
        row[0].set_ylabel(title)
    for axis in axes[-1]:
        axis.set_xlabel("time [tau_s]")
    return figure
