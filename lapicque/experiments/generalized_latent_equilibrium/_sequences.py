"""What the sequence classifiers share: a configuration, an epoch in one program, a plateau rule.

A sequence is shown one slice per step, its class is the target at every step, and the network
learns at every step. Nothing is reset between sequences, batches and epochs, nor for the test. The
decision is the strongest output, summed over the steps of the sequence.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from lapicque._checks import in_range, one_of, positive
from lapicque.data import DataSet, Samples, epoch_batches
from lapicque.lab import Session
from lapicque.lab.figure import subplots
from lapicque.rate import Dense, LearnerState, Lesson, Network, NetworkState, Parameters, simulate
from lapicque.rate.adjoint import free_step
from lapicque.rate.credit import CREDITS, WindowLearner, windows


@dataclass(frozen=True)
class SequenceConfig:
    """Settings of a sequence classifier."""

    epochs: int = 150
    batch: int = 100  # sequences shown at once
    test_batch: int = 1000
    dt: float = 0.2  # ms; the published code has no unit
    beta: float = 1.0  # nudging strength
    learning_rate: float = 1e-3  # of Adam, per update: every step, or every window if exact
    patience: int = 2  # epochs without progress of the test loss before learning slows down
    factor: float = 0.5  # by which it then does
    stretch: int = 1  # steps per slice; between slices the input is interpolated
    train_limit: int = 0  # sequences to train on; 0 for all
    credit: str = "local"  # how errors are found, see `lapicque.rate.credit`
    window: int = 0  # steps that exact errors look back over, then an update; 0 for a sequence

    def __post_init__(self):
        for name in ("epochs", "batch", "test_batch", "stretch"):
            in_range(name, getattr(self, name), 1)
        for name in ("dt", "learning_rate"):
            positive(name, getattr(self, name))
        in_range("beta", self.beta, 0)
        in_range("patience", self.patience, 0)
        in_range("window", self.window, 0)
        in_range("factor", self.factor, 0, 1)
        in_range("train_limit", self.train_limit, 0)
        one_of("credit", self.credit, CREDITS)


class Model(eqx.Module):
    """A network that learns, behind one that does not.

    The fixed `front` turns slices of the sequence into the input of `body`, one step later, as
    a layer would. Since it neither learns nor hears errors, none are computed for it.
    """

    front: Network | None
    body: Network

    @property
    def size(self) -> int:
        """Number of weights and biases that learn."""
        return sum(a.size for p in self.body.parameters for a in jax.tree.leaves(p.synapses))


class Activity(NamedTuple):
    """What the two networks carry from one step to the next."""

    front: NetworkState | None
    body: NetworkState


class Plateau(NamedTuple):
    """A learning rate that falls when a loss no longer does."""

    rate: Float[Array, ""]  # learning rate
    best: Float[Array, ""]  # lowest loss so far
    waited: Int[Array, ""]  # epochs since


class Training(NamedTuple):
    """A model in the middle of its training."""

    front: NetworkState | None
    learner: LearnerState
    plateau: Plateau


# -- learning rate -----------------------------------------------------------------------------


def plateau(rate: float) -> Plateau:
    """The beginning: no loss is known yet."""
    return Plateau(
        jnp.asarray(rate, jnp.float32), jnp.asarray(jnp.inf, jnp.float32), jnp.asarray(0, jnp.int32)
    )


def slow_down(
    state: Plateau,
    loss: Float[Array, ""],
    patience: int,
    factor: float,
    threshold: float = 1e-4,
) -> Plateau:
    """Multiply the rate by `factor` after more than `patience` epochs without progress.

    Progress is a loss below `best * (1 - threshold)`. As in PyTorch's `ReduceLROnPlateau`
    (mode "min", relative threshold, no cooldown), changes below 1e-8 are left out.
    """
    better = loss < state.best * (1 - threshold)
    waited = jnp.where(better, 0, state.waited + 1)
    enough = waited > patience
    slower = state.rate * factor
    slower = jnp.where(state.rate - slower > 1e-8, slower, state.rate)
    return Plateau(
        rate=jnp.where(enough, slower, state.rate),
        best=jnp.where(better, loss, state.best),
        waited=jnp.where(enough, 0, waited),
    )


def adam(rate: float | Array) -> optax.GradientTransformation:
    """Adam for weights and biases; time constants rest.

    The rate may be traced: it is no part of the optimiser's state, so it can change between
    epochs without another compilation.
    """

    def labels(parameters: tuple[Parameters, ...]) -> tuple[Parameters, ...]:
        def name(p: Parameters, tree):
            return jax.tree.map(lambda _: "learn", tree)

        return tuple(
            Parameters(name(p, p.synapses), name(p, p.recurrent), "rest", "rest")  # pyright: ignore[reportArgumentType]
            for p in parameters
        )

    rules: dict[Hashable, optax.GradientTransformation] = {
        "learn": optax.adam(rate),
        "rest": optax.set_to_zero(),
    }
    return optax.multi_transform(rules, labels)


# -- training ----------------------------------------------------------------------------------


def newborn(model: Model, config: SequenceConfig, key: PRNGKeyArray | None = None) -> Training:
    """A model at rest that has learned nothing.

    Raises:
        InputError: Time constants do not fit the step, or there is noise but no key.
    """
    learner = _learner(model, config, config.learning_rate)
    learner.check(config.dt)
    if model.front is not None:
        model.front.check(config.dt)
    front, _ = at_rest(model, config.batch, key)
    return Training(front, learner.init((config.batch,), key), plateau(config.learning_rate))


def at_rest(model: Model, batch: int, key: PRNGKeyArray | None = None) -> Activity:
    """No activity in either network; a key is needed where there is noise."""
    front_key = None if key is None else jax.random.fold_in(key, 1)
    front = None if model.front is None else model.front.init((batch,), front_key)
    return Activity(front, model.body.init((batch,), key))


def _learner(model: Model, config: SequenceConfig, rate: float | Array) -> WindowLearner:
    return WindowLearner(model.body, adam(rate), config.credit)


@eqx.filter_jit
def epoch(
    model: Model,
    state: Training,
    inputs: Float[Array, "samples time channels"],
    labels: Int[Array, " samples"],
    order: Int[Array, "batches batch"],
    config: SequenceConfig,
) -> tuple[Training, dict[str, Array]]:
    """Live through the sequences, batch by batch, learning all the time.

    Returns:
        The state after, with the mean `train_loss` and `train_accuracy` on the way.
    """
    learner = _learner(model, config, state.plateau.rate)
    classes = state.learner.network.target.shape[-1]

    def body(carry, index):
        front, student = carry
        front, slices = _preprocessed(
            model, front, _slices(inputs[index], config.stretch), config.dt
        )
        target = jax.nn.one_hot(labels[index], classes, dtype=slices.dtype)
        lesson = Lesson(slices, jnp.broadcast_to(target, (len(slices), *target.shape)))
        parts = windows(lesson, config.window or len(slices))
        student, output = simulate(learner, student, parts, config.dt)
        output = output.reshape(-1, *output.shape[2:])
        return (front, student), _judged(output, labels[index])

    (front, student), (loss, right) = jax.lax.scan(body, (state.front, state.learner), order)
    row = {"train_loss": loss.mean(), "train_accuracy": right.mean()}
    return Training(front, student, state.plateau), row


@eqx.filter_jit
def examine(
    model: Model,
    activity: Activity,
    inputs: Float[Array, "samples time channels"],
    labels: Int[Array, " samples"],
    config: SequenceConfig,
) -> tuple[Activity, Float[Array, ""], Float[Array, ""]]:
    """Listen without a teacher, from the present state on.

    Args:
        model: With what it has learned.
        activity: Where it is; its first axis is the batch.

    Returns:
        The activity after, for the same batch as before, without errors; the cross-entropy, mean
        over steps and samples; the accuracy. A remainder that fills no batch is left out.
    """
    batch = min(config.test_batch, len(inputs))
    before = len(activity.body.target)
    n = len(inputs) // batch
    order = jnp.arange(n * batch).reshape(n, batch)
    nothing = jnp.zeros((batch, activity.body.target.shape[-1]), inputs.dtype)

    def listen(state, value):
        state, risen, _ = free_step(model.body, state, Lesson(value, nothing), config.dt)
        return state, risen[-1].r

    def body(activity, index):
        front, slices = _preprocessed(
            model, activity.front, _slices(inputs[index], config.stretch), config.dt
        )
        state, output = jax.lax.scan(listen, activity.body, slices)
        return Activity(front, state), _judged(output, labels[index])

    activity, (loss, right) = jax.lax.scan(body, _resized(activity, batch), order)
    silent = tuple(
        s._replace(e=jnp.zeros_like(s.e), v=None if s.v is None else jnp.zeros_like(s.v))
        for s in activity.body.layers
    )
    activity = activity._replace(body=activity.body._replace(layers=silent))
    return _resized(activity, before), loss.mean(), right.mean()


def _slices(
    inputs: Float[Array, "batch slices channels"], stretch: int
) -> Float[Array, "time batch channels"]:
    """Time first, `stretch` steps per slice, linear between the centres of the slices."""
    slices = jnp.moveaxis(inputs, 1, 0)
    if stretch == 1:
        return slices
    n = len(slices)
    place = jnp.clip((jnp.arange(n * stretch) + 0.5) / stretch - 0.5, 0, n - 1)
    low = jnp.minimum(place.astype(int), max(n - 2, 0))
    part = (place - low)[:, None, None].astype(slices.dtype)
    return (1 - part) * slices[low] + part * slices[jnp.minimum(low + 1, n - 1)]


def _preprocessed(
    model: Model, state: NetworkState | None, slices: Float[Array, "time batch channels"], dt: float
) -> tuple[NetworkState | None, Float[Array, "time batch n"]]:
    """What the body sees: the front's rates of the step before."""
    front = model.front
    if front is None or state is None:
        return state, slices
    last = state.layers[-1].r

    def rise(state, value):
        nothing = jnp.zeros_like(state.target)
        state, risen, _ = free_step(front, state, Lesson(value, nothing), dt)
        return state, risen[-1].r

    state, rates = jax.lax.scan(rise, state, slices)
    return state, jnp.concatenate([last[None], rates[:-1]])


def _judged(
    output: Float[Array, "time batch classes"], labels: Int[Array, " batch"]
) -> tuple[Array, Array]:
    """Mean cross-entropy over steps and samples, and the share of right decisions."""
    log_p = jax.nn.log_softmax(output)
    loss = -jnp.take_along_axis(log_p, labels[None, :, None], axis=-1).mean()
    return loss, (decisions(output) == labels).mean()


def decisions(output: Float[Array, "time batch classes"]) -> Int[Array, " batch"]:
    """The class of each sequence: the strongest output, summed over all steps."""
    return output.sum(0).argmax(-1)


def _resized(activity: Activity, n: int) -> Activity:
    """The same for another batch: sample i goes on from where i mod (old batch) was."""
    old = len(activity.body.target)
    return activity if n == old else jax.tree.map(lambda a: a[jnp.arange(n) % old], activity)


class Trained(NamedTuple):
    """The outcome of a training; arrays have one entry per epoch."""

    model: Model
    state: Training
    history: dict[str, np.ndarray]

    @property
    def accuracy(self) -> float:
        """Share of right decisions on unseen data after the last epoch."""
        return float(self.history["accuracy"][-1])

    def at(self, epoch: int) -> float:
        """Accuracy after `epoch` epochs; that of the last one if there were fewer."""
        accuracy = self.history["accuracy"]
        return float(accuracy[min(epoch, len(accuracy)) - 1])

    def tested(self, samples: Samples, config: SequenceConfig) -> float:
        """Share of right decisions on other data, from the present state on."""
        activity = Activity(self.state.front, self.state.learner.network)
        return float(examine(self.model, activity, *_on_device(samples), config)[2])


def train(
    label: str,
    model: Model,
    config: SequenceConfig,
    data: DataSet,
    seed: int,
    session: Session,
    key: PRNGKeyArray | None = None,
    renew: Callable[[int], Samples] | None = None,
) -> Trained:
    """Train for `config.epochs` epochs; after each, the loss on unseen data steers the rate.

    Unseen are the validation split or, where there is none, the test split.

    Args:
        label: Name of the loop in the session.
        model: As it is born.
        data: Its inputs have shape (samples, time) or (samples, time, channels).
        seed: Of the order of the sequences.
        key: Of the noise, where there is any.
        renew: Gives what to train on in each epoch, such as other disturbances, instead of the
            training split; always of the same size.

    Raises:
        InputError: The batch is larger than the training set, or the model does not fit `dt`.
    """
    n = min(config.train_limit or len(data.train), len(data.train))
    in_range("batch", config.batch, 1, n, "sequences")
    taught = _on_device(data.train.take(slice(n)))
    unseen = _on_device(data.test if data.validation is None else data.validation)

    def step(state: Training, i: int):
        order = jnp.asarray(epoch_batches(n, config.batch, seed, i))
        inputs, labels = taught if renew is None else _on_device(renew(i))
        state, row = epoch(model, state, inputs, labels, order, config)
        state, seen = reviewed(model, state, *unseen, config)
        return state, row | seen

    state, history = session.loop(label, step, newborn(model, config, key), config.epochs)
    return Trained(_with_learned(model, state, config), state, history)


@eqx.filter_jit
def reviewed(
    model: Model, state: Training, inputs: Array, labels: Array, config: SequenceConfig
) -> tuple[Training, dict[str, Array]]:
    """Test, and slow learning down where the loss rests."""
    grown = _with_learned(model, state, config)
    activity = Activity(state.front, state.learner.network)
    activity, loss, accuracy = examine(grown, activity, inputs, labels, config)
    row = {"test_loss": loss, "accuracy": accuracy, "learning_rate": state.plateau.rate}
    slower = slow_down(state.plateau, loss, config.patience, config.factor)
    learner = state.learner._replace(network=activity.body)
    return Training(activity.front, learner, slower), row


def _with_learned(model: Model, state: Training, config: SequenceConfig) -> Model:
    learner = _learner(model, config, config.learning_rate)
    return replace(model, body=learner.trained(state.learner))


def _on_device(samples: Samples) -> tuple[Float[Array, "samples time channels"], Array]:
    inputs = jnp.asarray(samples.inputs, jnp.float32)
    return inputs[..., None] if inputs.ndim == 2 else inputs, jnp.asarray(samples.labels)


def uniform(key: PRNGKeyArray, pre: int, post: int) -> Dense:
    """Weights and biases uniform within 1 / sqrt(pre) of 0: PyTorch's default.

    The initial values of the published networks are not known; this is an assumption.
    """
    k_weight, k_bias = jax.random.split(key)
    high = pre**-0.5
    return Dense(
        jax.random.uniform(k_weight, (post, pre), minval=-high, maxval=high),
        jax.random.uniform(k_bias, (post,), minval=-high, maxval=high),
    )


# -- figures -----------------------------------------------------------------------------------

_EPOCHS = (1, 5, 10, 20, 30, 50, 75, 150)
_MEANS = {
    "42k": (14.9, 42.0, 52.5, 57.5, 68.2, 90.4, 93.3, 93.5),
    "15k": (13.5, 37.7, 45.8, 51.2, 60.8, 87.7, 91.5, 91.7),
    "lagnet": (26.8, 51.7, 52.5, 61.7, 66.4, 89.4, 90.7, 90.9),
}
_DEVIATIONS = {
    "42k": (3.9, 6.4, 7.7, 11.0, 13.4, 4.1, 0.9, 0.9),
    "15k": (3.9, 7.1, 6.2, 10.5, 9.3, 6.0, 0.9, 0.8),
    "lagnet": (5.9, 8.0, 7.7, 9.3, 9.7, 1.2, 0.6, 0.6),
}
PUBLISHED = {name: np.array([_EPOCHS, _MEANS[name], _DEVIATIONS[name]]).T for name in _MEANS}
"""For each network, rows of epoch, mean test accuracy and its standard deviation over 10 seeds [%].

Source: released data of Ellenberger et al. (2024)."""


def learning_curves(
    curves: dict[str, np.ndarray],
    published: Float[np.ndarray, "epochs 3"] | None = None,
    chance: float = 0.1,
):
    """Test accuracy against epoch, over the published mean and standard deviation."""
    figure, axes = subplots()
    axis = axes[0, 0]
    if published is not None:
        epoch, mean, sd = published.T
        shown = epoch <= max(2 * max(map(len, curves.values())), 10)
        epoch, mean, sd = epoch[shown], mean[shown], sd[shown]
        axis.fill_between(epoch, mean - sd, mean + sd, color="0.88", label="published, mean ± sd")
        axis.plot(epoch, mean, color="0.6", marker="o", lw=1)
    for label, accuracy in curves.items():
        axis.plot(np.arange(1, len(accuracy) + 1), 100 * accuracy, label=label)
    axis.axhline(100 * chance, color="0.6", ls=":", lw=1)
    axis.set(xlabel="epoch", ylabel="test accuracy [%]", ylim=(0, 101))
    axis.legend(loc="lower right")
    return figure
