"""A hierarchy of rate neurons with its error pathway: inference and local gradients in one step."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from lapicque._checks import InputError, one_of
from lapicque.rate.errors import ErrorFilter, instantaneous
from lapicque.rate.neurons import Neurons
from lapicque.rate.nudging import Nudging
from lapicque.rate.part import AbstractPart
from lapicque.rate.synapses import Synapses
from lapicque.rate.transmission import Transmission, per_key, sample_keys


class Schedule(NamedTuple):
    """Steps of delay per layer on the way up and on the way down, each 0 or 1."""

    up: int
    down: int


SYNCHRONOUS = Schedule(up=1, down=1)
"""Every layer reads its neighbours' values of the previous step, as parallel hardware would."""

FULL_FORWARD = Schedule(up=0, down=1)
"""Rates travel through all layers within a step; errors take one step per layer."""

SWEEPS = Schedule(up=0, down=0)
"""Rates travel up, then errors down, within a step."""


class Layer(eqx.Module):
    """Synapses and the neurons that they drive, with the way in which errors reach them.

    Attributes:
        synapses: From the rates of the layer below to the input current.
        neurons: What the current drives.
        feedback: Synapses whose transpose carries the error to the layer below; `None` uses the
            transpose of `synapses` (weight transport), other values of the same shape give
            feedback alignment.
        recurrent: Synapses from the layer's own rates of the previous step.
        error_filter: How errors change in time.
        transmission: Noise and low-pass on the way to the next layer.
        mismatch: What the layer compares with its input to know its error: the potential seen by
            its own membrane ("membrane", robust) or the one behind its rate ("rate", fragile).
            They differ only where tau_m and tau_r do.
    """

    synapses: Synapses
    neurons: Neurons
    feedback: Synapses | None = None
    recurrent: Synapses | None = None
    error_filter: ErrorFilter = eqx.field(static=True, default=instantaneous)
    transmission: Transmission = eqx.field(default_factory=Transmission)
    mismatch: Literal["membrane", "rate"] = eqx.field(static=True, default="membrane")

    def __check_init__(self):
        one_of("mismatch", self.mismatch, ("membrane", "rate"))

    def drive(self, below: Array, own: Array) -> "Drive":
        """The input current from the rates `below` and the layer's `own` previous ones."""
        current, transpose = jax.vjp(lambda syn, r: syn(r), self.synapses, below)
        if self.recurrent is None:
            return Drive(current, transpose, None)
        again, transpose_recurrent = jax.vjp(lambda syn, r: syn(r), self.recurrent, own)
        return Drive(current + again, transpose, transpose_recurrent)

    def send_down(self, below: Array, error: Array, transpose: Callable) -> Array:
        """The error that reaches the rates `below`; `transpose` is the synapses' own vjp."""
        if self.feedback is None:
            return transpose(error)[1]
        return jax.vjp(self.feedback, below)[1](error)[0]

    def slopes(self, drive: "Drive", e: Array, eps: Array, du: Array, batch: int) -> "Parameters":
        """Slope of the energy in one step: -e r^T and its like, averaged over the batch.

        Args:
            drive: What drove the neurons, with the way back through their synapses.
            e: Filtered error.
            eps: Error before the filter.
            du: Slope of the membrane [1/ms].
            batch: Number of samples.
        """

        def shared(tau: Array, value: Array) -> Array:
            """Sum over the neurons that share the time constant, mean over the batch."""
            return value.sum(tuple(range(value.ndim - tau.ndim))) / batch

        again = drive.transpose_recurrent
        return Parameters(
            synapses=drive.transpose(-e / batch)[0],
            recurrent=None if again is None else again(-e / batch)[0],
            tau_m=shared(self.neurons.tau_m, e * du),
            tau_r=shared(self.neurons.tau_r, -eps * du),
        )


class Drive(NamedTuple):
    """An input current and the vector-Jacobian products of the synapses that gave it."""

    current: Float[Array, "batch *n"]
    transpose: Callable[[Array], Any]
    transpose_recurrent: Callable[[Array], Any] | None


class Parameters(NamedTuple):
    """What a layer can learn; gradients have the same form."""

    synapses: Synapses
    recurrent: Synapses | None
    tau_m: Float[Array, "*n"]
    tau_r: Float[Array, "*n"]


class LayerState(NamedTuple):
    """What a layer carries from one step to the next."""

    u: Float[Array, "batch *n"]  # membrane potential
    p: Float[Array, "batch *n"]  # prospective potential
    r: Float[Array, "batch *n"]  # rate as the next layer sees it
    e: Float[Array, "batch *n"]  # error
    v: Float[Array, "batch *n"] | None  # state of the error filter, where it has one


class NetworkState(NamedTuple):
    """What a network carries from one step to the next. Nothing resets it."""

    layers: tuple[LayerState, ...]
    target: Float[Array, "batch *n"]  # low-passed target
    key: PRNGKeyArray | None  # one key per sample, where there is noise


class Network(AbstractPart[NetworkState]):
    """Layers of prospective neurons, their errors, and the nudging of the last one.

        tau_m du_l/dt = -u_l + I_l + gamma e_l          I_l = synapses_l(r_{l-1})
        p_l = u_l + tau_r du_l/dt                       r_l = activation(p_l)
        e_l = filter[activation'(p_l) * (dI_{l+1}/dr_l)^T e_{l+1}]
        e_L = filter[-beta activation'(p_L) * dC/dr_L]

    Learning follows the slope of the energy, d(parameters)/dt = eta (dI/d parameters)^T e: no
    phases, nothing stored, nothing differentiated through time.

    Attributes:
        layers: From the input side to the output.
        input_shape: Shape of one input sample, without batch axes.
        nudging: Cost and strength of the teacher.
        coupling: gamma, how strongly errors drive their own neurons; 1 is the theory, 0 keeps
            the activity free of errors.
        schedule: Delays between layers.

    Source: Haider et al. (2021), arXiv 2110.14549; Ellenberger et al. (2024), arXiv 2403.16933.
    """

    layers: tuple[Layer, ...] = eqx.field(converter=tuple)
    input_shape: tuple[int, ...] = eqx.field(static=True)
    nudging: Nudging = eqx.field(default_factory=Nudging)
    coupling: float = eqx.field(static=True, default=1.0)
    schedule: Schedule = eqx.field(static=True, default=SYNCHRONOUS)

    # -- state ---------------------------------------------------------------------------------

    def init(self, shape: tuple[int, ...], key: PRNGKeyArray | None = None) -> NetworkState:
        """All potentials at rest, no errors.

        Args:
            shape: Batch axes; convolutional synapses want exactly one.
            key: Source of the rate noise; sample i draws from `fold_in(key, i)`, so that it sees
                the same noise in any batch.

        Raises:
            InputError: Layers do not fit each other, or there is noise but no key.
        """
        noisy = any(layer.transmission.noise for layer in self.layers)
        if noisy and key is None:
            raise InputError("This network has rate noise; `init` needs a `key` to draw it from.")
        below = jnp.zeros((*shape, *self.input_shape), self.dtype)
        states = []
        for layer in self.layers:
            n = jax.eval_shape(layer.synapses, below).shape
            u, p, e = (jnp.zeros(n, self.dtype) for _ in range(3))
            below = jnp.copy(layer.neurons.activation(p))  # the identity would share its buffer
            states.append(LayerState(u, p, below, e, layer.error_filter.init(e)))
        keys = sample_keys(key, shape) if noisy and key is not None else None
        return NetworkState(tuple(states), jnp.zeros_like(below), keys)

    @property
    def dtype(self) -> DTypeLike:
        """Floating-point type of parameters and state."""
        return jax.tree.leaves(self.layers[0].synapses)[0].dtype

    def batch(self, input: Array) -> int:
        """Number of samples in one slice of input."""
        return math.prod(input.shape) // math.prod(self.input_shape)

    def check(self, dt: float) -> None:
        """Raise an `InputError` where time constants, noise or nudging do not fit `dt` [ms]."""
        self.nudging.check(dt)
        for layer in self.layers:
            layer.neurons.check(dt)
            layer.error_filter.check(layer.neurons, dt)
            layer.transmission.check(dt)

    # -- parameters ----------------------------------------------------------------------------

    @property
    def parameters(self) -> tuple[Parameters, ...]:
        """What the network can learn, layer by layer."""
        return tuple(
            Parameters(layer.synapses, layer.recurrent, layer.neurons.tau_m, layer.neurons.tau_r)
            for layer in self.layers
        )

    def with_parameters(self, parameters: tuple[Parameters, ...]) -> "Network":
        """The same network with other parameters."""
        layers = tuple(
            eqx.tree_at(
                lambda x: (x.synapses, x.recurrent, x.neurons.tau_m, x.neurons.tau_r),
                layer,
                tuple(new),
                is_leaf=lambda x: x is None,
            )
            for layer, new in zip(self.layers, parameters, strict=True)
        )
        return eqx.tree_at(lambda n: n.layers, self, layers)

    # -- dynamics ------------------------------------------------------------------------------

    def step(self, state: NetworkState, input: Array, dt: float) -> tuple[NetworkState, Array]:
        """One step without a teacher; the output is the rate of the last layer."""
        state, output, _ = self.step_with_gradients(state, input, None, dt)
        return state, output

    def step_with_gradients(
        self,
        state: NetworkState,
        input: Float[Array, "batch *input"],
        target: Float[Array, "batch *output"] | None,
        dt: float,
    ) -> tuple[NetworkState, Float[Array, "batch *output"], tuple[Parameters, ...]]:
        """One step under the eye of a teacher.

        Args:
            state: From `init` or the previous step.
            input: Rates of the input layer.
            target: Wanted output rates; `None` switches the nudging off.
            dt: Step [ms].

        Returns:
            The next state, the output rates, and for every layer the slope of the energy with
            respect to its parameters, averaged over the batch (to be *descended*, as Optax does).
        """
        risen = self.rise(state, input, dt)
        seen = state.target
        if target is not None:
            seen = self.nudging.filter(seen, target, dt)
        layers, gradients = self._descend(state, risen, seen if target is not None else None, dt)
        return NetworkState(layers, seen, next_keys(state)), layers[-1].r, gradients

    def rise(self, state: NetworkState, input: Array, dt: float) -> "list[Risen]":
        """Currents, potentials and rates, from the input side up."""
        risen: list[Risen] = []
        below = input
        for index, (layer, s) in enumerate(zip(self.layers, state.layers, strict=True)):
            drive = layer.drive(below, s.r)
            u, p, du = layer.neurons.integrate(s.u, drive.current + self.coupling * s.e, dt)
            r = layer.transmission.step(s.r, layer.neurons.activation(p), state.key, index, dt)
            risen.append(Risen(u, p, r, du, below, drive))
            below = s.r if self.schedule.up else r
        return risen

    def _descend(
        self, state: NetworkState, risen: "list[Risen]", target: Array | None, dt: float
    ) -> tuple[tuple[LayerState, ...], tuple[Parameters, ...]]:
        """Errors and local gradients, from the output side down."""
        layers: list[LayerState] = []
        gradients: list[Parameters] = []
        batch = self.batch(risen[0].below)
        arriving = None  # error that arrives from the layer above, at the rates of this one
        for index in reversed(range(len(self.layers))):
            layer, s, new = self.layers[index], state.layers[index], risen[index]
            seen = s if self.schedule.down else new  # the values that meet the error
            if arriving is None:
                nudged = target is not None
                arriving = self.nudging.slope(seen.r, target) if nudged else 0 * seen.r
            if new.drive.transpose_recurrent is not None:
                arriving = arriving + new.drive.transpose_recurrent(s.e)[1]
            eps = layer.neurons.slope(seen.p) * arriving
            v, e = layer.error_filter.step(s.v, eps, layer.neurons, dt)
            layers.append(LayerState(new.u, new.p, new.r, e, v))
            gradients.append(layer.slopes(new.drive, e, eps, new.du, batch))
            if index:
                sent = s.e if self.schedule.down else e
                if layer.mismatch == "rate":  # p - I instead of u + tau_m du/dt - I
                    sent = sent + (layer.neurons.tau_r - layer.neurons.tau_m) * new.du
                arriving = layer.send_down(new.below, sent, new.drive.transpose)
        return tuple(reversed(layers)), tuple(reversed(gradients))


class Risen(NamedTuple):
    """A layer after the upward half of a step."""

    u: Float[Array, "batch *n"]  # membrane potential
    p: Float[Array, "batch *n"]  # prospective potential
    r: Float[Array, "batch *n"]  # rate as the next layer sees it
    du: Float[Array, "batch *n"]  # du/dt during the step [1/ms]
    below: Float[Array, "batch *m"]  # rates that entered
    drive: Drive


def next_keys(state: NetworkState) -> PRNGKeyArray | None:
    """The keys of the next step."""
    if state.key is None:
        return None
    return per_key(lambda key: jax.random.split(key, 1)[0], state.key)
