"""Layers and stacks of neurons that answer with the time of their first spike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range
from lapicque.spiketime.delays import Delays, Form, Kind, Sharing, Sigmoid, delays as draw_delays
from lapicque.spiketime.imperfections import Imperfections, Substrate, quantise
from lapicque.spiketime.neuron import Neuron
from lapicque.spiketime.spikes import (
    Scan,
    crossing,
    highest_potential,
    spike_gradient,
)

_DEFAULT, _FORM = Neuron(), Sigmoid()


class Measured(NamedTuple):
    """What a chip has recorded of a layer, in place of what a model computes.

    Attributes:
        spikes: First spikes of the neurons, `+inf` for none, shape (..., post). [tau_s]
        arrival: Arrival times behind axonal delay elements, shape (..., pre), bias included;
            `None` where they were not recorded.
    """

    spikes: Float[Array, "*batch post"]
    arrival: Float[Array, "*batch pre"] | None = None


class Layer(eqx.Module):
    """Delays, synapses and neurons.

    Attributes:
        weights: Trained, shape (post, pre); a bias is the last column.
        delays: Trained, or `None`.
        neuron: Time constants, threshold, solver.
        bias: Time of one more input that spikes in every sample; `None` for none. [tau_s]
        drop_above: See `first_spike`.
        substrate: Imperfections, or `None` for the ideal.
        scan: See `first_spike`.

    Source:
        Göltz, Kriener et al. (2021); delays: Göltz, Weber, Kriener et al. (2025).
    """

    weights: Float[Array, "post pre"]
    delays: Delays | None = None
    neuron: Neuron = eqx.field(static=True, default=_DEFAULT)
    bias: float | None = eqx.field(static=True, default=None)
    drop_above: float = eqx.field(static=True, default=inf)
    substrate: Substrate | None = None
    scan: Scan = eqx.field(static=True, default="auto")

    def __check_init__(self) -> None:
        if self.bias is not None:
            in_range("bias", self.bias, low=0, unit="tau_s")

    def held(self) -> Float[Array, "post pre"]:
        """The weights as the substrate holds them."""
        if self.substrate is None:
            return self.weights
        size = self.substrate.imperfections
        return quantise(self.weights, size.weight_step, size.weight_limit)

    def arrival(
        self, times: Float[Array, "*batch pre"], key: Array | None = None
    ) -> tuple[Float[Array, " ..."], bool]:
        """When spikes sent at `times` arrive; and whether the result has an axis of neurons.

        The result has shape (..., pre), or (..., post, pre) with synaptic delays or jitter.
        """
        if self.bias is not None:
            bias = jnp.full((*times.shape[:-1], 1), self.bias, times.dtype)
            times = jnp.concatenate([times, bias], axis=-1)
        per_synapse = False
        if self.delays is not None and self.delays.kind != "dendritic":
            per_synapse = self.delays.kind == "synaptic"
            times = (times[..., None, :] if per_synapse else times) + self.delays.values()
        jitter = 0.0 if self.substrate is None else self.substrate.imperfections.jitter
        if jitter > 0 and key is not None:
            times = times if per_synapse else times[..., None, :]
            shape = (*times.shape[:-2], *self.weights.shape)
            noise = jitter * jax.random.normal(key, shape, times.dtype)
            times, per_synapse = jnp.maximum(times + noise, 0), True
        return times, per_synapse

    def __call__(
        self,
        times: Float[Array, "*batch pre"],
        key: Array | None = None,
        measured: Measured | None = None,
    ) -> Float[Array, "*batch post"]:
        """Spike times of the neurons, dendritic delays included.

        Args:
            times: Spike times of the inputs, `+inf` for none, without the bias. [tau_s]
            key: For the noise of the substrate; without one there is only its fixed pattern.
            measured: Recorded times; they become the values, with the gradients of the model.

        Raises:
            InputError: As `first_spike`.
        """
        arrival_key, threshold_key = (None, None) if key is None else jax.random.split(key)
        arrival, per_synapse = self.arrival(times, arrival_key)
        if measured is not None and measured.arrival is not None:
            arrival = as_measured(measured.arrival, arrival)
        weights, substrate = self.held(), self.substrate
        if measured is not None:
            spikes = jnp.asarray(measured.spikes, arrival.dtype)
        elif substrate is None:
            spikes = crossing(
                arrival, weights, self.neuron, scan=self.scan, per_synapse=per_synapse
            )
        else:
            spikes = crossing(
                arrival,
                weights,
                substrate.neurons(self.neuron),
                threshold=substrate.thresholds(self.neuron, times.shape[:-1], threshold_key),
                scan=self.scan,
                per_synapse=per_synapse,
            )
        spikes = spike_gradient(
            spikes,
            arrival,
            weights,
            self.neuron,
            drop_above=self.drop_above,
            per_synapse=per_synapse,
        )
        if self.delays is not None and self.delays.kind == "dendritic":
            spikes = spikes + self.delays.values()
        return spikes

    def highest(self, times: Float[Array, "*batch pre"]) -> Float[Array, "*batch post"]:
        """The potential that each neuron would reach without a threshold; see `peak_margin`."""
        arrival, per_synapse = self.arrival(times)
        return highest_potential(arrival, self.held(), self.neuron, per_synapse=per_synapse)


class Network(eqx.Module):
    """Layers in a row.

    Attributes:
        layers: From the input to the label layer.
    """

    layers: tuple[Layer, ...]

    def __call__(
        self,
        times: Float[Array, "*batch input"],
        key: Array | None = None,
        measured: Sequence[Measured] | None = None,
    ) -> tuple[Float[Array, "*batch _"], ...]:
        """Spike times of every layer, the label layer last; arguments as of `Layer`."""
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        records = measured or [None] * len(self.layers)
        spikes = []
        for layer, k, record in zip(self.layers, keys, records, strict=True):
            times = layer(times, k, record)
            spikes.append(times)
        return tuple(spikes)

    @property
    def parameters(self) -> Parameters:
        """What is trained."""
        return Parameters(
            tuple(layer.weights for layer in self.layers),
            tuple(None if layer.delays is None else layer.delays.raw for layer in self.layers),
        )

    def having(self, parameters: Parameters) -> Network:
        """The same network with other parameters, delays moved back to where they may be."""

        def with_raw(delays, raw):
            return None if delays is None else replace(delays, raw=raw).project()

        return Network(
            tuple(
                replace(layer, weights=weights, delays=with_raw(layer.delays, raw))
                for layer, weights, raw in zip(
                    self.layers, parameters.weights, parameters.delays, strict=True
                )
            )
        )

    @property
    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(x.size for x in jax.tree.leaves(self.parameters))


class Parameters(NamedTuple):
    """What is trained, layer by layer: weights, and the numbers behind delays (or `None`)."""

    weights: tuple[Float[Array, "post pre"], ...]
    delays: tuple[Float[Array, " ..."] | None, ...]


def dense(
    key: Array,
    sizes: Sequence[int],
    *,
    neuron: Neuron = _DEFAULT,
    mean: float | Sequence[float] = 1.0,
    spread: float | Sequence[float] = 1.0,
    bias: float | Sequence[float | None] | None = None,
    drop_above: float = 0.2,
    imperfections: Imperfections | None = None,
    delays: Kind | None = None,
    delay_form: Form = _FORM,
    delay_mean: float = 0.0,
    delay_spread: float = 0.25,
    copies: int = 1,
    sharing: Sharing = "tiled",
) -> Network:
    """Fully connected layers with normally distributed weights and, if wanted, delays.

    Args:
        key: Random key.
        sizes: Number of inputs, of neurons of each layer, of classes.
        neuron: Of all layers.
        mean, spread: Of the weights; one value, or one per layer.
        bias: Time of a bias spike [tau_s] or `None`; one value, or one per layer.
        drop_above: See `first_spike`.
        imperfections: Of the substrate; a fixed pattern is drawn for each layer.
        delays: Whose delays are trained, in front of every layer; none by default.
        delay_form, delay_mean, delay_spread: How they stay positive, and how the numbers
            behind them are drawn.
        copies, sharing: Of the delays of the first layer; see `Delays`.

    Raises:
        InputError: Fewer than two sizes, one below 1, or values that do not match the layers.

    Source:
        Göltz, Kriener et al. (2021); Göltz, Weber, Kriener et al. (2025).
    """
    if len(sizes) < 2:
        raise InputError(f"`sizes` is {tuple(sizes)}; it must name inputs and at least one layer.")
    in_range("sizes", list(sizes), low=1)
    count = len(sizes) - 1
    means, spreads = _each("mean", mean, count), _each("spread", spread, count)
    in_range("spread", spreads, low=0)
    biases = _each("bias", bias, count)
    layers = []
    for k, (pre, post) in enumerate(pairwise(sizes)):
        keys = jax.random.split(jax.random.fold_in(key, k), 3)
        pre = pre + (biases[k] is not None)
        weights = means[k] + spreads[k] * jax.random.normal(keys[0], (post, pre))
        own = None
        if delays is not None:
            own = draw_delays(
                keys[1],
                delays,
                pre,
                post,
                form=delay_form,
                mean=delay_mean,
                spread=delay_spread,
                copies=copies if k == 0 else 1,
                sharing=sharing,
            )
        substrate = None
        if imperfections is not None:
            substrate = Substrate(imperfections, imperfections.draw(keys[2], neuron, post))
        layers.append(Layer(weights, own, neuron, biases[k], drop_above, substrate))
    return Network(tuple(layers))


def _each(name, value, count):
    values = list(value) if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        raise InputError(f"`{name}` has {len(values)} values; it must have {count}, one per layer.")
    return values


@jax.custom_vjp
def as_measured(
    measured: Float[Array, " ..."], computed: Float[Array, " ..."]
) -> Float[Array, " ..."]:
    """The measured values with the gradients of the computed ones (straight through).

    Source:
        Göltz, Weber, Kriener et al. (2025): delay elements on the chip.
    """
    return jnp.broadcast_to(jnp.asarray(measured, computed.dtype), computed.shape)


as_measured.defvjp(
    lambda measured, computed: (as_measured(measured, computed), measured),
    lambda measured, error: (jnp.zeros_like(measured), error),
)
