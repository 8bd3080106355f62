"""What an accelerator must agree on with the CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque.rate import Learner, Lesson, dense, lenet, local_sgd, present

pytestmark = pytest.mark.gpu


@pytest.fixture
def devices():
    accelerators = [d for d in jax.devices() if d.platform != "cpu"]
    if not accelerators:
        pytest.skip("no accelerator here")
    return accelerators[0], jax.devices("cpu")[0]


NETWORKS = {
    "dense": lambda key: dense(key, (20, 30, 5)),
    "random feedback": lambda key: dense(key, (20, 30, 5), feedback="random"),
    "convolutional": lambda key: lenet(key, (1, 16, 16), 5, channels=(4, 6), hidden=10, scale=0.2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_learning_is_the_same_on_both(devices, name):
    """Weights and answers after 30 steps agree to single precision."""
    results = []
    for device in devices:
        with jax.default_device(device), jax.default_matmul_precision("highest"):
            network = NETWORKS[name](jax.random.key(0))
            learner = Learner(network, local_sgd([0.1] * len(network.layers)))
            rng = np.random.default_rng(0)
            lesson = Lesson(
                jnp.asarray(rng.random((6, 8, *network.input_shape), np.float32)),
                jnp.asarray(rng.random((6, 8, 5), np.float32)),
            )
            run = jax.jit(lambda s, x, learner=learner: present(learner, s, x, 5, 0.1))
            state, answers = run(learner.init((8,)), lesson)
            assert {d.platform for d in answers.devices()} == {device.platform}
            results.append(jax.tree.map(np.asarray, (state.parameters, answers)))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def test_noise_is_the_same_on_both(devices):
    draws = []
    for device in devices:
        with jax.default_device(device):
            draws.append(np.asarray(jax.random.normal(jax.random.key(3), (1000,))))
    np.testing.assert_allclose(*draws, rtol=1e-5, atol=1e-6)
