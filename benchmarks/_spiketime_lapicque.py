"""Yin-Yang in lapicque: exact first-spike times, whole epochs in one compiled program.

Rates, first weights and delays, loss and bumps are those of the published configurations, as in
`_spiketime_public.py`. A last batch of 50 points is filled up to 150 that do not count.
"""

import contextlib
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _spiketime import BATCH, CLASSES, HIDDEN, Peer, Split, Step, Wide, splits, started, version
from numpy.typing import NDArray

from lapicque.spiketime.delays import Kind
from lapicque.spiketime.layers import dense
from lapicque.spiketime.losses import CrossEntropy, RelativeError
from lapicque.spiketime.neuron import Neuron
from lapicque.spiketime.silence import Bumping
from lapicque.spiketime.spikes import first_spike
from lapicque.spiketime.training import Trainer, evaluate


class Variant(NamedTuple):
    """Published configuration of one kind of network."""

    delays: Kind | None
    mean: float  # of the first weights
    weights_rate: float
    delays_rate: float


VARIANTS = {
    "W": Variant(None, 0.5, 0.02, 0.0),
    "WA": Variant("axonal", 1.0, 0.005, 0.005),
    "WS": Variant("synaptic", 1.0, 0.01, 0.003),
}


def answers(weights: list[NDArray], delays: list[NDArray | None]) -> NDArray:
    """Label times of the validation set for weights and delays of shape (pre, post), (pre, 1)."""
    neuron = Neuron(tau_m=2.0)
    times = jnp.asarray(splits()[1].times, jnp.float32)
    for weight, delay in zip(weights, delays, strict=True):
        weight = jnp.asarray(weight.T, jnp.float32)
        if delay is None:
            arrival, synaptic = times, False
        elif delay.shape[1] == 1:
            arrival, synaptic = times + jnp.asarray(delay[:, 0], jnp.float32), False
        else:
            arrival, synaptic = times[:, None] + jnp.asarray(delay.T, jnp.float32), True
        times = first_spike(arrival, weight, neuron, per_synapse=synaptic)
    return np.asarray(times)


def rival(variant: str = "W", double: bool = False, seed: int = 0) -> Peer:
    """Trains 4-30-3: weights (W), and axonal (WA) or synaptic (WS) delays; float32 or float64."""
    choice = VARIANTS[variant]
    precision = partial(jax.enable_x64, True) if double else contextlib.nullcontext

    def arrays(split: Split):
        dtype = jnp.float64 if double else jnp.float32
        return jnp.asarray(split.times, dtype), jnp.asarray(split.labels)

    trainer = Trainer(
        RelativeError(gap=0.2),
        batch=BATCH,
        weights_rate=choice.weights_rate,
        delays_rate=choice.delays_rate,
        bumping=Bumping(limits=(0.3, 0.0)),
    )
    with precision():
        train, validation = map(arrays, splits())
        key = jax.random.key(seed)
        sizes = (4, HIDDEN, CLASSES)
        state = trainer.init(dense(key, sizes, mean=choice.mean, delays=choice.delays))
    epoch = jax.jit(trainer.epoch, donate_argnums=0)
    judge = jax.jit(evaluate)

    def run():
        nonlocal state
        with precision():
            state, _ = jax.block_until_ready(epoch(state, *train, key))

    def accuracy() -> float:
        with precision():
            return float(judge(state.network, *validation).accuracy)

    name = f"lapicque {variant}{' float64' if double else ''}"
    return Peer(name, run, accuracy, started(run), f"lapicque {version('lapicque')}")


def step(work: Wide) -> Step:
    """Gradient of the time-to-first-spike loss for one batch, tau_m = tau_s, in float32."""
    neuron, loss = Neuron(tau_m=1.0), CrossEntropy()
    weights = [jnp.asarray(weight.T, jnp.float32) for weight in work.weights]
    times, labels = jnp.asarray(work.times, jnp.float32), jnp.asarray(work.labels)

    @jax.jit
    def gradient(weights, times, labels):
        def mean_loss(weights):
            answer = times
            for weight in weights:
                answer = first_spike(answer, weight, neuron, drop_above=0.2)
            return loss(answer, labels).mean()

        return jax.value_and_grad(mean_loss)(weights)

    def run():
        return jax.block_until_ready(gradient(weights, times, labels))

    def gradients():
        return [np.asarray(part).T for part in run()[1]]

    name = f"lapicque {version('lapicque')}"
    return Step("lapicque, exact", run, started(run), name, gradients)
