"""What the classification experiments of Latent Equilibrium share: a configuration and a loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from lapicque._checks import InputError, in_range, positive
from lapicque.data import DataSet, Samples, epoch_batches
from lapicque.lab import Session
from lapicque.lab.figure import subplots
from lapicque.rate import Learner, LearnerState, Network, classify, epoch, local_sgd


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of a Latent Equilibrium classifier."""

    n_networks: int = 3  # networks that differ in initial weights and order of samples
    epochs: int = 60
    batch: int = 64  # samples presented at once
    n_updates: int = 20  # steps per presentation
    dt: float = 0.1  # ms
    tau: float = 10.0  # ms, membrane and prospective time constant
    beta: float = 0.1  # nudging strength
    learning_rate: float = 4.0  # per presentation: eta_0 times lr_multiplier of the published code
    factors: tuple[float, ...] = (1.0, 0.2, 0.1)  # of the learning rate, layer by layer

    def __post_init__(self):
        for name in ("n_networks", "epochs", "batch", "n_updates"):
            in_range(name, getattr(self, name), 1)
        for name in ("dt", "tau"):
            positive(name, getattr(self, name), "ms")
        in_range("tau", self.tau, self.dt, unit="ms", hint="It must not be shorter than `dt`.")
        in_range("beta", self.beta, 0)
        in_range("learning_rate", self.learning_rate, 0)
        in_range("factors", list(self.factors), 0)


class Trained(NamedTuple):
    """Networks after training; every array has one entry per network on its last axis."""

    networks: Network  # all networks in one, their arrays stacked along a new first axis
    train_cost: Float[np.ndarray, "epochs networks"]
    accuracy: Float[np.ndarray, "epochs networks"]  # on the validation set, or else the test set
    test_accuracy: Float[np.ndarray, " networks"]

    def summary(self, prefix: str = "") -> dict[str, float]:
        """Mean and spread of the final test accuracy, as metrics."""
        return {
            f"{prefix}test_accuracy": float(self.test_accuracy.mean()),
            f"{prefix}test_accuracy_spread": float(self.test_accuracy.std()),
        }


def train(
    label: str,
    build: Callable[[PRNGKeyArray], Network],
    config: ClassifierConfig,
    data: DataSet,
    seed: int,
    session: Session,
) -> Trained:
    """Train `config.n_networks` networks side by side and test them.

    Network k draws its weights from `fold_in(key(seed), k)`; learning per presentation does not
    depend on the number of steps it takes.
    """
    if config.batch > len(data.train):
        in_range("batch", config.batch, 1, len(data.train), "samples")
    networks, state = _newborn(build, config, seed)
    if len(config.factors) != len(networks.layers):
        raise InputError(
            f"`factors` has {len(config.factors)} entries; the network has "
            f"{len(networks.layers)} layers, each needs one."
        )
    networks.check(config.dt)
    held_out = data.test if data.validation is None else data.validation
    samples, unseen = (
        (jnp.asarray(s.inputs), jnp.asarray(s.labels)) for s in (data.train, held_out)
    )
    optimizer = _optimizer(config)

    def step(state, i):
        orders = [
            epoch_batches(len(data.train), config.batch, 1000 * seed + k, i)
            for k in range(config.n_networks)
        ]
        order = np.stack(orders)
        return _learn(
            networks, optimizer, state, order, samples, unseen, config.n_updates, config.dt
        )

    state, history = session.loop(label, step, state, config.epochs)
    networks = jax.vmap(lambda n, s: n.with_parameters(s.parameters))(networks, state)
    test_accuracy = history["accuracy"][-1]
    if data.validation is not None:
        test = jnp.asarray(data.test.inputs), jnp.asarray(data.test.labels)
        test_accuracy = np.asarray(_accuracy(networks, test, config.n_updates, config.dt))
    return Trained(networks, history["train_cost"], history["accuracy"], test_accuracy)


def _optimizer(config: ClassifierConfig):
    return local_sgd([config.learning_rate * f / config.n_updates for f in config.factors])


def _newborn(
    build: Callable[[PRNGKeyArray], Network], config: ClassifierConfig, seed: int
) -> tuple[Network, LearnerState]:
    """All networks and their states, each with a leading axis of networks."""

    @eqx.filter_vmap
    def born(k):
        key = jax.random.fold_in(jax.random.key(seed), k)
        network = build(key)
        nudging = replace(network.nudging, beta=config.beta)
        network = eqx.tree_at(lambda n: n.nudging, network, nudging)
        learner = Learner(network, local_sgd([0.0] * len(network.layers)))
        return network, learner.init((config.batch,), jax.random.fold_in(key, 1))

    return eqx.filter_jit(born)(jnp.arange(config.n_networks))


@eqx.filter_jit
def _learn(networks, optimizer, state, order, samples, unseen, steps, dt):
    """One epoch of every network, and what it then knows."""

    inputs, labels = samples

    def one(network, state, order):
        return epoch(Learner(network, optimizer), state, inputs, labels, order, steps, dt)

    state, row = jax.vmap(one)(networks, state, order)
    trained = jax.vmap(lambda n, s: n.with_parameters(s.parameters))(networks, state)
    accuracy = _accuracy(trained, unseen, steps, dt)
    return state, {"train_cost": row["cost"], "accuracy": accuracy}


@eqx.filter_jit
def _accuracy(networks, samples, steps, dt):
    """Share of right answers of every network; those with noise all draw from the same key."""
    inputs, labels = samples
    key = jax.random.key(0)
    answers = jax.vmap(lambda n: classify(n, inputs, steps, dt, key=key))(networks)
    return (answers == labels).mean(-1)


def image_data(data: DataSet, limit: int = 0) -> DataSet:
    """Images of shape (sample, channel, height, width), at most `limit` of them to train on."""

    def with_channel(samples: Samples | None) -> Samples | None:
        if samples is None or samples.inputs.ndim == 4:
            return samples
        return Samples(samples.inputs[:, None], samples.labels)

    train = data.train.take(slice(limit)) if limit else data.train
    origin = f"{data.origin}; {len(train):,} of them to train on" if limit else data.origin
    return replace(
        data,
        origin=origin,
        **{
            name: with_channel(s)
            for name, s in (("train", train), ("validation", data.validation), ("test", data.test))
        },
    )


def summaries(trained: dict[str, Trained]) -> dict[str, float]:
    """Mean and spread of the test accuracy of several trainings."""
    return {
        metric: value
        for name, result in trained.items()
        for metric, value in result.summary(f"{name}_").items()
    }


def stacked(trained: dict[str, Trained]) -> dict[str, np.ndarray]:
    """Learning curves of several trainings as recordings."""
    return {
        f"{name}/{field}": np.asarray(getattr(result, field))
        for name, result in trained.items()
        for field in ("train_cost", "accuracy", "test_accuracy")
    }


def learning_curves(recordings, labels: Mapping[str, str], styles: Mapping[str, str] | None = None):
    """Accuracy against epoch, mean and range over networks, one line per training."""
    figure, axes = subplots()
    axis = axes[0, 0]
    for name, label in labels.items():
        accuracy = 100 * recordings[f"{name}/accuracy"]
        epochs = np.arange(1, len(accuracy) + 1)
        (line,) = axis.plot(epochs, accuracy.mean(1), (styles or {}).get(name, "-"), label=label)
        axis.fill_between(
            epochs, accuracy.min(1), accuracy.max(1), color=line.get_color(), alpha=0.2
        )
    axis.set(xlabel="epoch", ylabel="accuracy [%]", ylim=(None, 100.5))
    if len(labels) > 1:
        axis.legend(loc="lower right")
    return figure
