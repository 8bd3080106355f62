"""Yin-Yang in jaxsnn: event by event, with EventProp or with analytic gradients, in JAX.

The library's own Yin-Yang example, cut down to 30 hidden neurons and batches of 150: inputs between
0 and 2 tau_s and a bias that spikes at 0, tau_m = 2 tau_s, a reset so deep that a neuron spikes
once, squared errors of the times against 0.9 and 1.1 tau_s. A layer is a loop over as many events
as there can be: 5 + 30 in the hidden layer, 30 + 3 at the output.

Three things were changed to its advantage. The whole epoch, the shuffling included, is one compiled
program (the example compiles a scan over batches, keeps all spikes and gradients for its log and
tests after every epoch). The learning rate is 0.02 instead of 0.005, and the clipping of gradients
before Adam is gone: about 0.90 of the validation set after six epochs instead of 0.55. The last 50
points of an epoch's order, which fill no batch, are left out, as by the library's own loader.
"""
# ruff: noqa: E402

import logging
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _spiketime import BATCH, CLASSES, HIDDEN, Peer, started, version

logging.disable(logging.WARNING)  # it warns that there is no chip, and tells what it builds
from jaxsnn.base.dataset import data_loader
from jaxsnn.event.encode import spatio_temporal_encode, target_temporal_encode
from jaxsnn.event.loss import mse_loss
from jaxsnn.event.modules import LIF, LIFParameters, Linear, Source
from jaxsnn.event.topology import Topology
from jaxsnn.event.training import update
from jaxsnn.event.types import OptState
from jaxsnn.examples.event.utils import loss_wrapper

from lapicque.data.yin_yang import yin_yang

logging.disable(logging.NOTSET)

TAU_S = 5e-3  # s
RATE, DECAY = 0.02, 0.99  # of the learning rate, per epoch
CORRECT, WRONG = 0.9 * TAU_S, 1.1 * TAU_S
METHODS = {"eventprop": "EventProp", "analytical": "analytic"}


def rival(method: str = "eventprop", seed: int = 0) -> Peer:
    """Trains 5-30-3, the bias counted as an input, in float32.

    Args:
        method: `eventprop` or `analytical`.
    """

    def encoded(part):
        points = np.append(part.inputs, np.zeros((len(part.labels), 1)), axis=1)
        into = partial(
            spatio_temporal_encode, t_late=2 * TAU_S, duplication=1, duplicate_neurons=False
        )
        goal = partial(
            target_temporal_encode,
            n_classes=CLASSES,
            correct_target_time=CORRECT,
            wrong_target_time=WRONG,
        )
        spikes = jax.vmap(into)(jnp.asarray(points, jnp.float32))
        return {"inp": spikes}, jax.vmap(goal)(jnp.asarray(part.labels))

    data = yin_yang()
    train, validation = encoded(data.train), encoded(data.validation)
    batches = len(data.train.labels) // BATCH

    neuron = LIFParameters(v_reset=-1000.0, v_th=1.0, tau_syn=TAU_S, tau_mem=2 * TAU_S)
    topology = Topology(t_max=4 * TAU_S, backprop_method=method)
    parts = {
        "inp": Source(5),
        "hidden": LIF(HIDDEN, 5 + HIDDEN, neuron),
        "label": LIF(CLASSES, HIDDEN + CLASSES, neuron),
        "into": Linear(mean=3.0, std=1.6),
        "out": Linear(mean=0.5, std=0.8),
    }
    topology.add(parts)
    chain = ["inp", "into", "hidden", "out", "label"]
    topology.connect(list(pairwise(chain)))
    logging.disable(logging.WARNING)
    init, apply = topology.done()
    logging.disable(logging.NOTSET)

    schedule = optax.exponential_decay(RATE, batches, DECAY)
    optimizer = optax.chain(optax.scale(1 / TAU_S), optax.adam(schedule))
    loss = partial(loss_wrapper, apply, mse_loss, neuron.tau_mem, "label", CLASSES)

    def step(state, batch):
        return update(optimizer, loss, state, batch)[0], None

    @partial(jax.jit, donate_argnums=0)
    def epoch(state, key):
        return jax.lax.scan(step, state, data_loader(train, BATCH, batches, key))[0]

    @jax.jit
    def judge(weights):
        _, (times, _) = loss(weights, validation)
        return jnp.mean(jnp.argmin(times, -1) == jnp.argmin(validation[1], -1))

    key = jax.random.PRNGKey(seed)  # the library takes the old kind of key
    weights = init(key)
    state = OptState(optimizer.init(weights), weights, key)
    state = jax.tree.map(jnp.copy, state)  # the weights are in it twice, and it is donated
    count = 0

    def run():
        nonlocal state, count
        count += 1
        state = jax.block_until_ready(epoch(state, jax.random.PRNGKey(seed + count)))

    return Peer(
        name=f"jaxsnn, {METHODS[method]}",
        run=run,
        first_s=started(run),
        accuracy=lambda: float(judge(state.params)),
        version=f"jaxsnn {version('jaxsnn')}",
    )
