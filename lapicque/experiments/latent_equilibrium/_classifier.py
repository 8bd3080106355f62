"""What the classification experiments of Latent Equilibrium share: a configuration and a loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, PRNGKeyArray

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.data import DataSet, Samples, epoch_batches
from lapicque.lab import Session
from lapicque.lab.figure import subplots
from lapicque.rate import (
    FULL_FORWARD,
    SWEEPS,
    SYNCHRONOUS,
    Learner,
    LearnerState,
    Network,
    classify,
    epoch,
    local_sgd,
)

SCHEDULES = {"synchronous": SYNCHRONOUS, "full_forward": FULL_FORWARD, "sweeps": SWEEPS}


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
    schedule: Literal["synchronous", "full_forward", "sweeps"] = "synchronous"  # delays

    def __post_init__(self):
        for name in ("n_networks", "epochs", "batch", "n_updates"):
            in_range(name, getattr(self, name), 1)
        for name in ("dt", "tau"):
            positive(name, getattr(self, name), "ms")
        in_range("tau", self.tau, self.dt, unit="ms", hint="It must not be shorter than `dt`.")
        in_range("beta", self.beta, 0)
        in_range("learning_rate", self.learning_rate, 0)
        in_range("factors", list(self.factors), 0)
        one_of("schedule", self.schedule, SCHEDULES)


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
    optimizer: optax.GradientTransformation | None = None,
) -> Trained:
    """Train `config.n_networks` networks side by side and test them.

    Network k draws its weights from `fold_in(key(seed), k)`. The optimizer is plain descent at the
    configuration's learning rates unless another is given; learning per presentation then does
    not depend on the number of steps it takes.
    """
    if config.batch > len(data.train):
        in_range("batch", config.batch, 1, len(data.train), "samples")
    depth = len(jax.eval_shape(build, jax.random.key(0)).layers)
    if len(config.factors) != depth:
        raise InputError(
            f"`factors` has {len(config.factors)} entries; the network has {depth} layers, "
            "each needs one."
        )
    if optimizer is None:
        rates = [config.learning_rate * factor / config.n_updates for factor in config.factors]
        optimizer = local_sgd(rates)
    networks, state = _newborn(build, config, seed, optimizer)
    networks.check(config.dt)
    held_out = data.test if data.validation is None else data.validation
    samples, unseen = (
        (jnp.asarray(s.inputs), jnp.asarray(s.labels)) for s in (data.train, held_out)
    )

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


def _newborn(
    build: Callable[[PRNGKeyArray], Network],
    config: ClassifierConfig,
    seed: int,
    optimizer: optax.GradientTransformation,
) -> tuple[Network, LearnerState]:
    """All networks and their states, each with a leading axis of networks."""

    pairs = []
    for k in range(config.n_networks):
        key = jax.random.fold_in(jax.random.key(seed), k)
        network = build(key)
        nudging = replace(network.nudging, beta=config.beta)
        network = replace(network, nudging=nudging, schedule=SCHEDULES[config.schedule])
        state = Learner(network, optimizer).init((config.batch,), jax.random.fold_in(key, 1))
        pairs.append((network, state))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs)


@eqx.filter_jit
def _learn(networks, optimizer, state, order, samples, unseen, steps, dt):
    """One epoch of every network, and what it then knows."""

    inputs, labels = samples

    def one(network, state, order):
        return epoch(Learner(network, optimizer), state, inputs, labels, order, steps, dt)

    state, row = _side_by_side(one)(networks, state, order)
    trained = jax.vmap(lambda n, s: n.with_parameters(s.parameters))(networks, state)
    accuracy = _accuracy(trained, unseen, steps, dt)
    return state, {"train_cost": row["cost"], "accuracy": accuracy}


@eqx.filter_jit
def _accuracy(networks, samples, steps, dt):
    """Share of right answers of every network; those with noise all draw from the same key."""
    inputs, labels = samples
    key = jax.random.key(0)
    answers = _side_by_side(lambda n: classify(n, inputs, steps, dt, key=key))(networks)
    return (answers == labels).mean(-1)


def _side_by_side(function: Callable) -> Callable:
    """`jax.vmap`, but a single network is not mapped: a mapped convolution is slow on a CPU."""

    def mapped(*arguments):
        if jax.tree.leaves(arguments)[0].shape[0] > 1:
            return jax.vmap(function)(*arguments)
        result = function(*jax.tree.map(lambda a: a[0], arguments))
        return jax.tree.map(lambda a: a[None], result)

    return mapped


def image_data(data: DataSet, limit: int = 0) -> DataSet:
    """Images of shape (sample, channel, height, width).

    With a `limit`, at most so many to train on and a fifth as many to validate and to test.
    """

    def some(samples: Samples | None, n: int) -> Samples | None:
        if samples is None:
            return None
        inputs = samples.inputs if samples.inputs.ndim == 4 else samples.inputs[:, None]
        kept = slice(n if limit else None)
        return Samples(inputs[kept], samples.labels[kept])

    origin = data.origin
    if limit:
        origin += f"; the first {limit:,} of them to train on, a fifth as many to validate and test"
    return replace(
        data,
        origin=origin,
        **{
            "train": some(data.train, limit),
            "validation": some(data.validation, limit // 5),
            "test": some(data.test, limit // 5),
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
        axis.legend(loc="center right")
    return figure
