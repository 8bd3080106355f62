"""Learning that is always on: an Optax transformation applied at every step of the dynamics."""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree, Shaped

from lapicque._checks import InputError, in_range, known, positive, shape as check_shape
from lapicque.rate.network import Network, NetworkState, Parameters
from lapicque.rate.part import AbstractPart
from lapicque.rate.stability import warn_if_unstable


class Lesson(NamedTuple):
    """One step's worth of teaching."""

    input: Float[Array, "batch *input"]
    target: Float[Array, "batch *output"]


def labelled(
    inputs: Float[Array, "time batch *input"], labels: Int[Array, " batch"], classes: int
) -> Lesson:
    """Lessons of classification: the class of each sample is the target at every step.

    Raises:
        InputError: A label is not one of 0 ... classes - 1, or there is not one per sample.
    """
    numbers = known(labels)
    if numbers is not None and numbers.dtype.kind not in "iu":
        raise InputError(f"`labels` are of type {numbers.dtype}; they must be integers.")
    in_range("labels", labels, 0, classes - 1, hint="They name classes, counted from 0.")
    check_shape("labels", labels, (inputs.shape[1],), hint="One label belongs to each sample.")
    target = jax.nn.one_hot(labels, classes, dtype=inputs.dtype)
    return Lesson(inputs, jnp.broadcast_to(target, (len(inputs), *target.shape)))


class LearnerState(NamedTuple):
    """A network in the middle of its life: what it knows, what it does, what it averages."""

    parameters: tuple[Parameters, ...]
    network: NetworkState
    optimizer: PyTree


class Learner(AbstractPart[LearnerState]):
    """A network whose parameters follow their local gradients at every step.

    It consumes one time slice at a time in constant memory, so its input may be endless.

    Attributes:
        network: Structure and initial parameters.
        optimizer: Turns a slope into a change; see `per_layer`.
    """

    network: Network
    optimizer: optax.GradientTransformation = eqx.field(static=True)

    def init(self, shape: tuple[int, ...], key: Any = None) -> LearnerState:
        # Copies, so that a caller may donate the state and keep the network.
        parameters = jax.tree.map(jnp.copy, self.network.parameters)
        return LearnerState(
            parameters, self.network.init(shape, key), self.optimizer.init(cast(Any, parameters))
        )

    def step(self, state: LearnerState, input: Lesson, dt: float) -> tuple[LearnerState, Array]:
        """One step of inference, error propagation and learning; the output is the last rate."""
        network = self.network.with_parameters(state.parameters)
        neurons, output, slope = network.step_with_gradients(
            state.network, input.input, input.target, dt
        )
        return self.update(state, neurons, slope), output

    def update(
        self, state: LearnerState, neurons: NetworkState, slope: tuple[Parameters, ...]
    ) -> LearnerState:
        """The state after one change of the parameters, with the network as `neurons` has it."""
        old: Any = state.parameters
        change, optimizer = self.optimizer.update(cast(Any, slope), state.optimizer, old)
        new: Any = optax.apply_updates(old, change)
        return LearnerState(new, neurons, optimizer)

    def check(self, dt: float) -> None:
        """Raise an `InputError` where parameters do not fit `dt`; warn of unstable errors."""
        self.network.check(dt)
        warn_if_unstable(self.network)

    def trained(self, state: LearnerState) -> Network:
        """The network with what it has learned."""
        return self.network.with_parameters(state.parameters)


def per_layer(
    synapses: Sequence[optax.GradientTransformation],
    tau_m: optax.GradientTransformation | None = None,
    tau_r: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """One transformation per layer for the synapses; time constants rest unless one is given.

    Time constants that learn need a lower bound: `optax.chain(optax.adam(1e-3), keep_above(dt))`.
    """
    rules: dict[Hashable, optax.GradientTransformation] = {
        str(i): rule for i, rule in enumerate(synapses)
    }
    rules["tau_m"] = optax.set_to_zero() if tau_m is None else tau_m
    rules["tau_r"] = optax.set_to_zero() if tau_r is None else tau_r

    def labels(parameters: tuple[Parameters, ...]) -> tuple[Parameters, ...]:
        return tuple(
            Parameters(
                synapses=jax.tree.map(lambda _, i=i: str(i), p.synapses),
                recurrent=jax.tree.map(lambda _, i=i: str(i), p.recurrent),
                tau_m="tau_m",  # pyright: ignore[reportArgumentType]
                tau_r="tau_r",  # pyright: ignore[reportArgumentType]
            )
            for i, p in enumerate(parameters)
        )

    return optax.multi_transform(rules, labels)


def keep_above(low: float) -> optax.GradientTransformation:
    """Shorten changes so that no parameter falls below `low`; the last link of a chain.

    For time constants [ms]: below the step `dt` the filters would overshoot.

    Raises:
        InputError: `low` is not above 0.
    """
    positive("low", low)
    return _keep_above(float(low))


@lru_cache
def _keep_above(low: float) -> optax.GradientTransformation:
    def update(updates, state, params=None):
        if params is None:
            raise ValueError("`keep_above` needs the parameters: pass them to `update`.")

        def shorten(change: Array, value: Array) -> Array:
            # A few roundings above `low`, so that the sum that Optax forms is not below it.
            floor = low * (1 + 4 * jnp.finfo(value.dtype).eps)
            return jnp.where(value + change < floor, floor - value, change)

        return jax.tree.map(shorten, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def local_sgd(rates: Sequence[float]) -> optax.GradientTransformation:
    """Plain descent with one learning rate per layer [per step].

    Raises:
        InputError: A learning rate is negative.
    """
    in_range("rates", list(rates), 0)
    return _local_sgd(tuple(rates))


@lru_cache  # equal rates give the same object, so that compiled programs are found again
def _local_sgd(rates: tuple[float, ...]) -> optax.GradientTransformation:
    return per_layer([optax.sgd(rate) for rate in rates])


def hold(
    part: AbstractPart, state: PyTree, input: PyTree[Array], steps: int, dt: float
) -> tuple[PyTree, PyTree[Array]]:
    """Present one input for a number of steps; the state after and the output of the last step."""
    if steps == 1:
        return part.step(state, input, dt)
    _, output = jax.eval_shape(lambda s: part.step(s, input, dt), state)
    output = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), output)
    return jax.lax.fori_loop(0, steps, lambda _, c: part.step(c[0], input, dt), (state, output))


def present(
    part: AbstractPart, state: PyTree, inputs: PyTree[Shaped[Array, "n ..."]], steps: int, dt: float
) -> tuple[PyTree, PyTree[Shaped[Array, "n ..."]]]:
    """Present a series of inputs, each for a number of steps of `dt` [ms].

    Returns:
        The state after, and for each input the output of its last step.
    """
    return jax.lax.scan(lambda s, x: hold(part, s, x, steps, dt), state, inputs)
