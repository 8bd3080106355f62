import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

from lapicque._checks import InputError
from lapicque.rate import (
    Learner,
    Lesson,
    classify,
    dense,
    epoch,
    hold,
    local_sgd,
    per_layer,
    present,
)


def lessons(n=3, batch=4, sizes=(6, 3)):
    rng = np.random.default_rng(0)
    draw = [rng.random((n, batch, size)).astype(np.float32) for size in sizes]
    return Lesson(*map(jnp.asarray, draw))


def test_holding_is_stepping():
    learner = Learner(dense(jax.random.key(0), (6, 5, 3)), local_sgd([0.1, 0.1]))
    lesson = jax.tree.map(lambda a: a[0], lessons())
    held, output = hold(learner, learner.init((4,)), lesson, 5, 0.1)
    state = learner.init((4,))
    for _ in range(5):
        state, last = learner.step(state, lesson, 0.1)
    np.testing.assert_allclose(output, last, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(held), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


def test_the_state_outlives_the_presentation():
    """Two halves of a series give what the whole gives: nothing is reset in between."""
    learner = Learner(dense(jax.random.key(0), (6, 5, 3)), local_sgd([0.1, 0.1]))
    series = lessons(6)
    whole, _ = present(learner, learner.init((4,)), series, 3, 0.1)
    state = learner.init((4,))
    for part in (slice(3), slice(3, None)):
        state, _ = present(learner, state, jax.tree.map(lambda a, p=part: a[p], series), 3, 0.1)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_layer_of_rate_zero_rests_and_time_constants_stay():
    network = dense(jax.random.key(0), (6, 5, 3))
    learner = Learner(network, local_sgd([0.0, 0.5]))
    state, _ = present(learner, learner.init((4,)), lessons(), 5, 0.1)
    first, second = learner.trained(state).layers
    np.testing.assert_array_equal(first.synapses.weight, network.layers[0].synapses.weight)
    assert float(jnp.abs(second.synapses.weight - network.layers[1].synapses.weight).max()) > 1e-4
    np.testing.assert_array_equal(second.neurons.tau_m, network.layers[1].neurons.tau_m)


def test_any_optax_transformation_can_learn():
    learner = Learner(
        dense(jax.random.key(0), (6, 8, 3)),
        per_layer([optax.adam(3e-3), optax.chain(optax.clip(1.0), optax.adam(3e-3))]),
    )
    series = lessons(1)
    state, before = present(learner, learner.init((4,)), series, 10, 0.1)
    state, after = present(learner, state, series, 1500, 0.1)
    error = [float(jnp.square(y[0] - series.target[0]).mean()) for y in (before, after)]
    assert error[1] < 0.05 * error[0]


def test_digits_are_learned():
    """The full rule on real data: well above a linear read-out of an untrained hidden layer."""
    x, y = load_digits(return_X_y=True)
    x, y = jnp.asarray(x / 16, jnp.float32), jnp.asarray(y)
    network = dense(jax.random.key(0), (64, 100, 50, 10))
    learner = Learner(network, local_sgd([0.2, 0.04, 0.02]))
    train = jax.jit(lambda s, o: epoch(learner, s, x, y, o, 20, 0.1))
    state = learner.init((64,))
    rng = np.random.default_rng(0)
    for _ in range(25):
        state, row = train(state, rng.permutation(1437)[: 22 * 64].reshape(22, 64))
    answers = classify(learner.trained(state), x[1437:], 20, 0.1)
    assert float((answers == y[1437:]).mean()) > 0.86
    assert float(row["accuracy"]) > 0.9


def test_classify_does_not_depend_on_padding():
    network = dense(jax.random.key(0), (6, 5, 3))
    x = jnp.asarray(np.random.default_rng(0).random((10, 6)), jnp.float32)
    whole = classify(network, x, 5, 0.1)
    np.testing.assert_array_equal(whole, classify(network, x, 5, 0.1, batch=4))


def test_negative_learning_rates_are_refused():
    with pytest.raises(InputError, match=r"`rates\[1\]` is -0\.1; it must be at least 0"):
        local_sgd([0.1, -0.1])


def test_a_state_can_be_donated_and_keeps_its_types():
    """No buffer is shared and no type changes, so that a step compiles once."""
    learner = Learner(dense(jax.random.key(0), (6, 5, 3)), local_sgd([0.1, 0.1]))
    step = jax.jit(lambda s, x: learner.step(s, x, 0.1)[0], donate_argnums=0)
    lesson = jax.tree.map(lambda a: a[0], lessons())
    state = learner.init((4,))
    for _ in range(3):
        state = step(state, lesson)
    assert step._cache_size() == 1
