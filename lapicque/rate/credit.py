"""Who gets the credit: one word chooses how the errors behind learning are found.

    word             errors                                        updates
    local            the network's own error filters (LE, GLE)     every step
    instantaneous    e = eps, whatever the time constants          every step
    swapped          GLE, whatever the network's own filters       every step
    adjoint          exact, by a backward sweep                    every window
    bptt             exact, by automatic differentiation           every window

`causal(error_filter)` makes a rule of any other error filter, such as `gain_corrected(omega)`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from lapicque._checks import InputError, one_of
from lapicque.rate.adjoint import adjoint_gradients, autodiff_gradients, check_length
from lapicque.rate.errors import ErrorFilter, instantaneous, swapped
from lapicque.rate.learning import Learner, LearnerState, Lesson
from lapicque.rate.models import map_layers
from lapicque.rate.network import Network, NetworkState, Parameters
from lapicque.rate.part import AbstractPart, simulate

Outputs = Float[Array, "time batch *n"]
Gradients = Callable[
    [Network, NetworkState, Lesson, float], tuple[NetworkState, Array, tuple[Parameters, ...]]
]


class Credit(NamedTuple):
    """A way to find errors.

    Attributes:
        prepare: The network as this rule needs it.
        learn: `(learner, state, lessons, dt) -> (state, outputs)` over one window.
        causal: Whether errors run beside the potentials, and could feed on themselves.
    """

    prepare: Callable[[Network], Network]
    learn: Callable[[Learner, LearnerState, Lesson, float], tuple[LearnerState, Array]]
    causal: bool


def with_error_filter(network: Network, error_filter: ErrorFilter) -> Network:
    """The same network with one error filter in every layer."""
    return map_layers(network, lambda layer: replace(layer, error_filter=error_filter))


@lru_cache  # the same filter gives the same object, so that compiled programs are found again
def causal(error_filter: ErrorFilter) -> Credit:
    """Errors by a causal filter in every layer, learned from at every step."""
    return Credit(lambda network: with_error_filter(network, error_filter), simulate, causal=True)


def windowed(gradients: Gradients) -> Credit:
    """Errors that are known at the end of a window; one update follows each window.

    The state of the network goes on from window to window; the errors do not, so that windows
    shorter than the sequence truncate the gradient.
    """

    def learn(learner: Learner, state: LearnerState, lessons: Lesson, dt: float):
        network = learner.network.with_parameters(state.parameters)
        neurons, outputs, slope = gradients(network, state.network, lessons, dt)
        return learner.update(state, neurons, slope), outputs

    # The network's own filters play no part here, nor do the demands that they make.
    return Credit(lambda network: with_error_filter(network, instantaneous), learn, False)


def causal_gradients(
    network: Network, state: NetworkState, lessons: Lesson, dt: float
) -> tuple[NetworkState, Outputs, tuple[Parameters, ...]]:
    """What the network's own errors would change over a window in which nothing changes.

    The same form as `adjoint_gradients` and `autodiff_gradients`, to compare with them.

    Returns:
        The state after, the output rates, and the local slopes summed over the steps.

    Raises:
        InputError: `lessons` are empty or differ in length.
    """
    check_length(lessons)

    def step(carry, lesson):
        state, total = carry
        state, output, slope = network.step_with_gradients(state, lesson.input, lesson.target, dt)
        return (state, jax.tree.map(jnp.add, total, slope)), output

    zero = jax.tree.map(jnp.zeros_like, network.parameters)
    (state, total), outputs = jax.lax.scan(step, (state, zero), lessons)
    return state, outputs, total


def causal_errors(
    network: Network, state: NetworkState, lessons: Lesson, dt: float
) -> tuple[Float[Array, "time batch *n"], ...]:
    """The network's own errors `e` of every layer at every step, to compare with the adjoint's.

    Raises:
        InputError: `lessons` are empty or differ in length.
    """
    check_length(lessons)

    def step(state, lesson):
        state, _, _ = network.step_with_gradients(state, lesson.input, lesson.target, dt)
        return state, tuple(layer.e for layer in state.layers)

    return jax.lax.scan(step, state, lessons)[1]


CREDITS: dict[str, Credit] = {
    "local": Credit(lambda network: network, simulate, causal=True),
    "instantaneous": causal(instantaneous),
    "swapped": causal(swapped),
    "adjoint": windowed(adjoint_gradients),
    "bptt": windowed(autodiff_gradients),
}


class WindowLearner(AbstractPart[LearnerState]):
    """A learner whose step is a whole window of `dt` steps, with any rule of credit.

        learner = WindowLearner(network, optimizer, "adjoint")
        state, outputs = simulate(learner, learner.init((batch,)), windows(lessons, 100), dt)

    Gradients of a window are summed over its steps, so that a small learning rate of plain descent
    moves the parameters alike with every rule. Transformations that normalise (Adam) count
    updates: multiply their rate by the number of steps per window.

    Attributes:
        network: Structure and initial parameters.
        optimizer: Turns a slope into a change; see `per_layer`.
        credit: A word (see above) or a `Credit`.
    """

    network: Network
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    credit: Credit = eqx.field(static=True)

    def __init__(
        self, network: Network, optimizer: optax.GradientTransformation, credit: str | Credit
    ):
        """
        Raises:
            InputError: `credit` is not known.
        """
        if isinstance(credit, str):
            one_of("credit", credit, CREDITS)
            credit = CREDITS[credit]
        self.network = credit.prepare(network)
        self.optimizer = optimizer
        self.credit = credit

    @property
    def each_step(self) -> Learner:
        """The learner that does the steps, or holds the optimiser where windows do."""
        return Learner(self.network, self.optimizer)

    def init(self, shape: tuple[int, ...], key: Any = None) -> LearnerState:
        return self.each_step.init(shape, key)

    def step(self, state: LearnerState, input: Lesson, dt: float) -> tuple[LearnerState, Outputs]:
        """Live through one window, time first, and learn; the outputs are those of every step.

        Raises:
            InputError: The window is empty or its parts differ in length.
        """
        check_length(input)
        return self.credit.learn(self.each_step, state, input, dt)

    def check(self, dt: float) -> None:
        """Raise an `InputError` where parameters do not fit `dt`; warn of unstable errors."""
        if self.credit.causal:
            self.each_step.check(dt)
        else:
            self.network.check(dt)

    def trained(self, state: LearnerState) -> Network:
        """The network with what it has learned."""
        return self.network.with_parameters(state.parameters)


def windows(lessons: Lesson, steps: int) -> Lesson:
    """Cut a sequence into windows: (time, ...) becomes (time / steps, steps, ...).

    Raises:
        InputError: The sequence is empty or no multiple of `steps`.
    """
    total = check_length(lessons)
    if steps < 1 or total % steps:
        raise InputError(
            f"`steps` is {steps}; it must divide the length of the sequence, {total} steps."
        )
    return jax.tree.map(lambda a: jnp.reshape(a, (-1, steps, *a.shape[1:])), lessons)
