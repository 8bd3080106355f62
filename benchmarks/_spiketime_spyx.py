"""Yin-Yang in spyx: discrete time, surrogate gradients, everything in JAX.

The library's LIF neurons (decay of one tau_s) between two `nnx.Linear`, a leaky readout, and its
cross-entropy on the readout's mean over time. The form is the fastest that was found: both linear
layers see all steps at once instead of one step each in one scan over a `Sequential` (a fifth
slower), and the whole epoch, the drawing of its batches included, is one compiled program that runs
the library's own training step (`spyx.optimize.backprop`). Current-based neurons (`CuBaLIF`), the
closer model, take about 1.7 times as long and learn no better here.

Adam with 0.02, SuperSpike with slope 5 and first weights of standard deviation 2 were the best of a
dozen short trials: about 0.90 of the validation set after six epochs, 0.93 after twelve.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx.axn
import spyx.fn
import spyx.nn
from _spiketime import (
    BATCH,
    CLASSES,
    DT,
    HIDDEN,
    STEPS,
    WIDE_CLASSES,
    Peer,
    Split,
    Step,
    Wide,
    on_grid,
    splits,
    started,
    version,
)
from flax import nnx
from spyx.optimize import backprop

RATE = 0.02
SLOPE = 5
FIRST_STD = 2.0
DECAY = float(np.exp(-DT))  # of one tau_s
READOUT_DECAY = 0.98


class Net(nnx.Module):
    """Spikes of shape (step, batch, channel) to potentials of shape (step, batch, class)."""

    def __init__(self, inputs: int, hidden: int, classes: int, std: float, seed: int = 0):
        rngs = nnx.Rngs(seed)
        first = nnx.initializers.normal(std)
        self.into = nnx.Linear(inputs, hidden, kernel_init=first, rngs=rngs)
        spike = spyx.axn.superspike(SLOPE)
        self.neurons = spyx.nn.LIF((hidden,), beta=DECAY, activation=spike, rngs=rngs)
        self.out = nnx.Linear(hidden, classes, rngs=rngs)
        self.readout = spyx.nn.LI((classes,), beta=READOUT_DECAY, rngs=rngs)

    def __call__(self, spikes):
        hidden, _ = spyx.nn.run(self.neurons, self.into(spikes))
        potentials, _ = spyx.nn.run(self.readout, self.out(hidden))
        return potentials


def _functions(net: Net):
    """Parameters, loss and accuracy as functions of parameters, spike steps and labels."""
    graph, parameters, rest = nnx.split(net, nnx.Param, ...)
    cross_entropy = spyx.fn.integral_crossentropy(0.0, time_axis=0)
    hits = spyx.fn.integral_accuracy(time_axis=0)

    def potentials(parameters, steps):
        spikes = jax.nn.one_hot(steps, STEPS, axis=0)
        return nnx.merge(graph, parameters, rest)(spikes) / STEPS

    def loss(parameters, batch):
        steps, labels = batch
        return cross_entropy(potentials(parameters, steps), labels)

    def accuracy(parameters, steps, labels):
        return hits(potentials(parameters, steps), labels)[0]

    return parameters, loss, accuracy


def rival(seed: int = 0) -> Peer:
    """Trains 4-30-3 in float32."""

    def arrays(split: Split):
        return jnp.asarray(on_grid(split.times)), jnp.asarray(split.labels, jnp.int32)

    (steps, labels), validation = map(arrays, splits())
    first, loss, accuracy = _functions(Net(4, HIDDEN, CLASSES, FIRST_STD, seed))
    solver = backprop(optax.adam(RATE))(loss, first)
    whole = len(labels) // BATCH * BATCH

    def step(state, chosen):
        return solver.step(state, (steps[chosen], labels[chosen]), None)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state, key):
        order = jax.random.permutation(key, len(labels))
        state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, BATCH))
        return step(state, order[whole:])[0]

    judge = jax.jit(accuracy)
    # A copy, since the state is donated, and without weak types, which would compile it twice.
    state = jax.tree.map(lambda a: jnp.array(a, a.dtype), solver.init(None))
    count = 0

    def run():
        nonlocal state, count
        key = jax.random.fold_in(jax.random.key(seed), count)
        count += 1
        state = jax.block_until_ready(epoch(state, key))

    first_s = started(run)
    return Peer(
        name=f"spyx, {STEPS} steps",
        run=run,
        accuracy=lambda: float(judge(solver.get_params(state), *validation)),
        first_s=first_s,
        version=f"spyx {version('spyx')}",
    )


def step(work: Wide) -> Step:
    """Gradient of the loss for one batch, in float32."""
    inputs, neurons = work.weights[0].shape
    parameters, loss, _ = _functions(Net(inputs, neurons, WIDE_CLASSES, (4 / inputs) ** 0.5))
    batch = jnp.asarray(on_grid(work.times)), jnp.asarray(work.labels, jnp.int32)
    gradient = jax.jit(jax.value_and_grad(loss))

    def run():
        return jax.block_until_ready(gradient(parameters, batch))

    return Step(f"spyx, {STEPS} steps", run, started(run), f"spyx {version('spyx')}")
