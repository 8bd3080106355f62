"""Epochs of classification: batches in, a trained state and an accuracy out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lapicque._checks import in_range
from lapicque.rate.learning import Learner, LearnerState, Lesson, hold, present
from lapicque.rate.network import Network


def epoch(
    learner: Learner,
    state: LearnerState,
    inputs: Float[Array, "samples *input"],
    labels: Int[Array, " samples"],
    order: Int[Array, "batches batch"],
    steps: int,
    dt: float,
) -> tuple[LearnerState, dict[str, Array]]:
    """Present the samples batch by batch in the given order, learning at every step.

    Args:
        learner: The network and its optimiser.
        state: Where both are now.
        inputs: All samples.
        labels: Their classes; targets are one-hot.
        order: Indices of the samples of every batch.
        steps: Steps per batch.
        dt: Step [ms].

    Raises:
        InputError: A label is not one of 0 ... classes - 1 (outside a traced program).

    Returns:
        The state after, with the mean `cost` and `accuracy` of the answers given on the way.
    """
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    classes = state.network.target.shape[-1]
    in_range("labels", labels, 0, classes - 1, hint="They name classes, counted from 0.")

    def body(state, index):
        y = labels[index]
        lesson = Lesson(inputs[index], jax.nn.one_hot(y, classes, dtype=state.network.target.dtype))
        state, answer = hold(learner, state, lesson, steps, dt)
        cost = learner.network.nudging.cost(answer, lesson.target).mean()
        return state, {"cost": cost, "accuracy": (answer.argmax(-1) == y).mean()}

    state, rows = jax.lax.scan(body, state, order)
    return state, {name: value.mean() for name, value in rows.items()}


def classify(
    network: Network,
    inputs: Float[Array, "samples *input"],
    steps: int,
    dt: float,
    batch: int = 1000,
    key: Array | None = None,
) -> Int[Array, " samples"]:
    """The class of each sample: the strongest output after `steps` steps without a teacher.

    The network starts at rest; batch follows batch without a reset, as stimuli do.
    """
    n = inputs.shape[0]
    batch = min(batch, n)
    padded = jnp.pad(inputs, [(0, -n % batch)] + [(0, 0)] * (inputs.ndim - 1))
    batches = padded.reshape(-1, batch, *inputs.shape[1:])
    _, answers = present(network, network.init((batch,), key), batches, steps, dt)
    return answers.argmax(-1).reshape(-1)[:n]
