"""Learning from an endless stream: one slice at a time, in memory that does not grow."""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lapicque._checks import InputError, finite, shape
from lapicque.rate.learning import Learner, LearnerState, Lesson


class Stream:
    """A learner that lives through time slices as they come and guards its state.

        stream = Stream(learner, learner.init((1,)), dt)
        for output in stream.over(slices):
            ...

    A slice is learned from and forgotten; what stays is one state, updated in place where the
    device can. A slice that is not finite, has a wrong shape, or would make the state infinite
    raises an error and changes nothing: `state` is then the last good one, and the stream may go on
    with the next slice.

    Attributes:
        learner: What learns.
        dt: Step [ms].
        steps: Number of slices learned from.
    """

    def __init__(self, learner: Learner, state: LearnerState, dt: float):
        """
        Args:
            learner: What learns.
            state: Where it starts; copied, so that the caller's stays valid.
            dt: Step [ms].

        Raises:
            InputError: The network's parameters do not fit `dt`.
        """
        learner.check(dt)
        self.learner, self.dt, self.steps = learner, dt, 0
        self._state = jax.tree.map(jnp.copy, state)
        key = jax.random.key(0)
        one = jax.eval_shape(lambda: learner.network.init((1,), key).target)
        self._batch_axes = self._state.network.target.ndim - one.ndim + 1
        self._advance = jax.jit(self._guarded, donate_argnums=0)

    @property
    def state(self) -> LearnerState:
        """A copy of the present state: parameters, activity, optimiser."""
        return jax.tree.map(jnp.copy, self._state)

    def feed(self, lesson: Lesson) -> Array:
        """Learn from one slice; the output rates of this step, shape (batch, n).

        Raises:
            InputError: The slice has a wrong shape or is not finite, or learning diverged; the
                state is what it was before.
        """
        lesson = Lesson(*lesson)
        target = self._state.network.target.shape
        inputs = (*target[: self._batch_axes], *self.learner.network.input_shape)
        shape(f"input of slice {self.steps}", lesson.input, inputs)
        shape(f"target of slice {self.steps}", lesson.target, target)
        self._state, output, good = self._advance(self._state, lesson)
        if not good:
            hint = "The state is what it was before; go on with the next slice."
            finite(f"input of slice {self.steps}", np.asarray(lesson.input), hint)
            finite(f"target of slice {self.steps}", np.asarray(lesson.target), hint)
            raise InputError(
                f"Learning from slice {self.steps} would make the state infinite. The state is "
                "what it was before; lower the learning rate or the gain of the errors."
            )
        self.steps += 1
        return output

    def over(self, slices: Iterable[Lesson]) -> Iterator[Array]:
        """Feed slice after slice, which may never end; yields the output of each."""
        for lesson in slices:
            yield self.feed(lesson)

    def _guarded(self, state: LearnerState, lesson: Lesson):
        new, output = self.learner.step(state, lesson, self.dt)
        leaves = [x for x in jax.tree.leaves(new) if jnp.issubdtype(x.dtype, jnp.inexact)]
        good = jnp.stack([jnp.isfinite(x).all() for x in (*leaves, *lesson)]).all()
        kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, state)
        return kept, output, good
