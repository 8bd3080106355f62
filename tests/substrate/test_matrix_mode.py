"""The matrix mode: formula, noise, parts, gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.substrate import MatrixMode

RNG = np.random.default_rng(0)
INPUTS = RNG.integers(0, 32, (7, 100)).astype(np.float32)
WEIGHTS = RNG.integers(-63, 64, (5, 100)).astype(np.float32)


def test_without_noise_it_is_the_formula_exactly():
    wanted = np.clip(np.floor(np.float32(0.002) * (INPUTS @ WEIGHTS.T)), -128, 127)
    np.testing.assert_array_equal(MatrixMode()(INPUTS, WEIGHTS), wanted)
    loud = MatrixMode(gain=0.1)(INPUTS, WEIGHTS)
    assert set(np.unique(loud)) & {-128.0, 127.0}


def test_noise_is_as_wide_as_it_says():
    small = jnp.full((10_000, 1), 31.0)
    results = MatrixMode(gain=0.01)(small, jnp.full((1, 1), 20.0), jax.random.key(0))
    assert abs(float(results.std()) - np.sqrt(4 + 1 / 12)) < 0.1
    assert abs(float(results.mean()) - (6.2 - 0.5)) < 0.1


def test_parts_of_the_array_are_clipped_and_added():
    inputs, weights = jnp.full((1, 256), 31.0), jnp.full((1, 256), 63.0)
    weights = weights.at[:, 128:].set(-10.0)
    mode = MatrixMode(gain=0.002)
    first = np.clip(np.floor(0.002 * 128 * 31 * 63), -128, 127)
    second = np.clip(np.floor(-0.002 * 128 * 31 * 10), -128, 127)
    assert mode(inputs, weights)[0, 0] == first + second


def test_gradients_are_those_of_the_plain_product():
    mode = MatrixMode()
    error = jnp.asarray(RNG.normal(size=(7, 5)), jnp.float32)
    _, pull = jax.vjp(lambda x, w: mode(x, w), jnp.asarray(INPUTS), jnp.asarray(WEIGHTS))
    d_inputs, d_weights = pull(error)
    np.testing.assert_allclose(d_inputs, 0.002 * error @ WEIGHTS, rtol=1e-5)
    np.testing.assert_allclose(d_weights, 0.002 * error.T @ INPUTS, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: MatrixMode()(INPUTS + 1, WEIGHTS), "between 0 and 31"),
        (lambda: MatrixMode()(INPUTS, 2 * WEIGHTS), "between -63 and 63"),
        (lambda: MatrixMode()(INPUTS[:, :9], WEIGHTS), "same length"),
        (lambda: MatrixMode(gain=0.0), "gain"),
        (lambda: MatrixMode(sends=0), "sends"),
    ],
)
def test_bad_input(act, message):
    with pytest.raises(InputError, match=message):
        act()
