"""Training: a whole epoch in one compiled program, for one network or for many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from lapicque._checks import InputError, in_range, positive
from lapicque.spiketime.layers import Measured, Network, Parameters
from lapicque.spiketime.losses import decide
from lapicque.spiketime.silence import Bumping, BumpState

Loss = Callable[[Float[Array, "*batch class"], Int[Array, "*batch"]], Float[Array, "*batch"]]
Penalty = Callable[
    [Network, Float[Array, "batch input"], Sequence[Float[Array, "batch _"]]],
    Float[Array, " batch"],
]


@dataclass(frozen=True)
class Decay:
    """Learning rates fall by `factor` every `every` epochs.

    Raises:
        InputError: `every` is below 1, or `factor` not above zero.
    """

    every: int = 20
    factor: float = 0.95

    def __post_init__(self) -> None:
        in_range("every", self.every, low=1, unit="epochs")
        positive("factor", self.factor)


class TrainingState(NamedTuple):
    """Network, memory of the optimiser, bumps, and the number of epochs done."""

    network: Network
    optimiser: Any
    bumps: BumpState | None
    epoch: Int[Array, ""]


@dataclass(frozen=True)
class Trainer:
    """How a network learns.

    Attributes:
        loss: Of the label layer's times and the labels, per sample.
        batch: Samples per step.
        weights_rate, delays_rate: Learning rates of Adam.
        decay: Of both rates.
        bumping: What happens to silent neurons; `None` for nothing.
        penalties: Further terms of the loss, each a function of network, inputs and spikes.
        input_noise: Standard deviation of input times, mirrored at zero. [tau_s]
        weight_limit: Master weights are clipped to this size after every step; `None` for no
            limit.

    Raises:
        InputError: A value is out of its range.

    Source:
        Göltz, Kriener et al. (2021), section "Methods" as in the released code; Göltz, Weber,
        Kriener et al. (2025) for the rates of delays.
    """

    loss: Loss
    batch: int = 150
    weights_rate: float = 0.005
    delays_rate: float = 0.005
    decay: Decay = Decay()
    bumping: Bumping | None = None
    penalties: tuple[Penalty, ...] = ()
    input_noise: float = 0.0
    weight_limit: float | None = None

    def __post_init__(self) -> None:
        in_range("batch", self.batch, low=1)
        in_range("weights_rate", self.weights_rate, low=0)
        in_range("delays_rate", self.delays_rate, low=0)
        in_range("input_noise", self.input_noise, low=0, unit="tau_s")
        if self.weight_limit is not None:
            positive("weight_limit", self.weight_limit)

    @property
    def _optimiser(self) -> Any:
        rules: dict[Any, Any] = {
            "weights": optax.adam(self.weights_rate),
            "delays": optax.adam(self.delays_rate),
        }

        def names(parameters):
            return Parameters(
                jax.tree.map(lambda _: "weights", parameters.weights),
                jax.tree.map(lambda _: "delays", parameters.delays),
            )

        return optax.partition(rules, names)

    def init(self, network: Network) -> TrainingState:
        """The state before the first epoch.

        Raises:
            InputError: `bumping` names a limit for another number of layers.
        """
        if self.bumping is not None and len(self.bumping.limits) != len(network.layers):
            raise InputError(
                f"`bumping.limits` has {len(self.bumping.limits)} values; it must have "
                f"{len(network.layers)}, one per layer."
            )
        return TrainingState(
            network,
            self._optimiser.init(network.parameters),
            None if self.bumping is None else self.bumping.init(),
            jnp.asarray(0),
        )

    def epoch(
        self,
        state: TrainingState,
        inputs: Float[Array, "samples input"],
        labels: Int[Array, " samples"],
        key: Array,
    ) -> tuple[TrainingState, dict[str, Array]]:
        """One pass over all samples in a new random order; the last batch may be smaller.

        A pure function: jit it, and vmap it over states and keys to train many networks at
        once.

        Args:
            state: Where training is.
            inputs: Spike times, `+inf` for none. [tau_s]
            labels: Classes.
            key: Of this run; order and noise follow from it and the number of the epoch.

        Returns:
            The state after, and of the epoch: mean `loss`, `accuracy` of the answers given on
            the way, share of `missing` label spikes, number of batches that were `bumped`.
        """
        n = inputs.shape[0]
        batch = min(self.batch, n)
        batches = -(-n // batch)
        order_key, noise_key = jax.random.split(jax.random.fold_in(key, state.epoch))
        order = jax.random.permutation(order_key, n)
        order = jnp.pad(order, (0, batches * batch - n)).reshape(batches, batch)
        counted = (jnp.arange(batches * batch) < n).reshape(batches, batch)
        rate = self.decay.factor ** (state.epoch // self.decay.every)

        def step(carry, row):
            index, counted, number = row
            sample = inputs[index], labels[index], counted
            return self._step(
                state.network, carry, sample, jax.random.fold_in(noise_key, number), rate
            )

        carry = state.network.parameters, state.optimiser, state.bumps
        (parameters, optimiser, bumps), rows = jax.lax.scan(
            step, carry, (order, counted, jnp.arange(batches))
        )
        row = {name: rows[name].sum() / n for name in ("loss", "accuracy", "missing")}
        row["bumped"] = rows["bumped"].sum()
        network = state.network.having(parameters)
        return TrainingState(network, optimiser, bumps, state.epoch + 1), row

    def step(
        self,
        state: TrainingState,
        inputs: Float[Array, "batch input"],
        labels: Int[Array, " batch"],
        key: Array,
        measured: Sequence[Measured] | None = None,
    ) -> tuple[TrainingState, dict[str, Array]]:
        """Learn from one batch, if wanted with times measured on a chip.

        The number of epochs, and with it the learning rate, stays as it is.

        Args:
            state: Where training is.
            inputs, labels: The batch.
            key: For noise.
            measured: What the chip made of the batch, layer by layer.

        Returns:
            The state after, and the row of `epoch` as sums over the batch.
        """
        carry = state.network.parameters, state.optimiser, state.bumps
        sample = inputs, labels, jnp.ones(labels.shape, bool)
        rate = self.decay.factor ** (state.epoch // self.decay.every)
        carry, row = self._step(state.network, carry, sample, key, rate, measured)
        parameters, optimiser, bumps = carry
        return TrainingState(state.network.having(parameters), optimiser, bumps, state.epoch), row

    def _step(self, network, carry, sample, key, rate, measured=None):
        parameters, optimiser, bumps = carry
        inputs, labels, counted = sample
        input_key, substrate_key = jax.random.split(key)
        if self.input_noise > 0:
            noise = self.input_noise * jax.random.normal(input_key, inputs.shape, inputs.dtype)
            inputs = jnp.abs(inputs + noise)

        def objective(parameters):
            present = network.having(parameters)
            spikes = present(inputs, substrate_key, measured)
            losses = self.loss(spikes[-1], labels)
            for penalty in self.penalties:
                losses = losses + penalty(present, inputs, spikes)
            return jnp.sum(jnp.where(counted, losses, 0.0)) / counted.sum(), (losses, spikes)

        gradients, (losses, spikes) = jax.grad(objective, has_aux=True)(parameters)
        gradients = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), gradients)
        changes, learned = self._optimiser.update(gradients, optimiser, parameters)
        changes = jax.tree.map(lambda change: (rate * change).astype(change.dtype), changes)
        stepped = network.having(optax.apply_updates(parameters, changes)).parameters
        bumped = jnp.asarray(False)
        if self.bumping is not None:
            plan, bumps = self.bumping.plan(spikes, counted, bumps)
            bumped = bumps.layer >= 0
            raised = parameters._replace(
                weights=tuple(
                    w + bump[:, None] for w, bump in zip(parameters.weights, plan, strict=True)
                )
            )
            choose = partial(jnp.where, bumped)
            stepped = jax.tree.map(choose, raised, stepped)
            learned = jax.tree.map(choose, optimiser, learned)
        if self.weight_limit is not None:
            limit = self.weight_limit
            clipped = tuple(jnp.clip(w, -limit, limit) for w in stepped.weights)
            stepped = stepped._replace(weights=clipped)
        silent = ~jnp.isfinite(spikes[-1])
        row = {
            "loss": jnp.sum(jnp.where(counted, losses, 0.0)),
            "accuracy": jnp.sum(counted & (decide(spikes[-1]) == labels)),
            "missing": jnp.sum(jnp.where(counted[:, None], silent, False)) / silent.shape[-1],
            "bumped": bumped,
        }
        return (stepped, learned, bumps), row


class Answers(NamedTuple):
    """How a network does on a set of samples: share of right answers, of missing label spikes."""

    accuracy: Float[Array, ""]
    missing: Float[Array, ""]


def evaluate(
    network: Network,
    inputs: Float[Array, "samples input"],
    labels: Int[Array, " samples"],
    key: Array | None = None,
    batch: int = 1000,
) -> Answers:
    """Accuracy on a set of samples; a silent label layer is a wrong answer.

    Args:
        network: The network.
        inputs: Spike times. [tau_s]
        labels: Classes.
        key: For the noise of its substrate, drawn for every batch; none without a key.
        batch: Samples at once.
    """
    times = respond(network, inputs, key, batch)[-1]
    return Answers((decide(times) == labels).mean(), (~jnp.isfinite(times)).mean())


def respond(
    network: Network,
    inputs: Float[Array, "samples input"],
    key: Array | None = None,
    batch: int = 1000,
) -> tuple[Float[Array, "samples _"], ...]:
    """Spike times of every layer for many samples, in bounded memory; see `evaluate`."""
    n = inputs.shape[0]
    batch = min(batch, n)
    padded = jnp.pad(inputs, ((0, -n % batch), (0, 0))).reshape(-1, batch, inputs.shape[1])

    def one(row):
        number, times = row
        return network(times, None if key is None else jax.random.fold_in(key, number))

    spikes = jax.lax.map(one, (jnp.arange(padded.shape[0]), padded))
    return tuple(times.reshape(-1, times.shape[-1])[:n] for times in spikes)


def delay_size(network: Network, inputs: Array, spikes: Sequence[Array]) -> Float[Array, ""]:
    """Mean square of all delays, for use as a penalty. [tau_s^2]"""
    values = [layer.delays.values() for layer in network.layers if layer.delays is not None]
    return jnp.mean(jnp.concatenate([d.ravel() for d in values]) ** 2) if values else jnp.zeros(())
