"""Boltzmann machines: enumeration, conditionals, and the other coding."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lapicque._checks import InputError
from lapicque.sampling import (
    Boltzmann,
    beta_ensemble,
    gauss_ensemble,
    index,
    layered,
    states,
)

machines = st.builds(gauss_ensemble, st.integers(1, 6), st.integers(0, 10_000))


@settings(max_examples=30, deadline=None)
@given(machines)
def test_probabilities_and_conditionals(machine):
    z, p = states(machine.n), machine.probabilities
    assert p.sum() == pytest.approx(1)
    np.testing.assert_array_equal(index(z), np.arange(2**machine.n))
    for k in range(machine.n):
        other = z.copy()
        other[:, k] ^= 1
        on, off = np.maximum(z, other), np.minimum(z, other)
        odds = np.log(p[index(on)] / p[index(off)])
        np.testing.assert_allclose(machine.logits(z)[:, k], odds, atol=1e-9)
    means, products = machine.moments()
    np.testing.assert_allclose(np.diag(products), means)


@settings(max_examples=30, deadline=None)
@given(machines)
def test_the_other_coding_is_the_same_distribution(machine):
    couplings, fields = machine.to_spins()
    s = 2.0 * states(machine.n) - 1
    energy = 0.5 * np.einsum("...i,...i->...", s @ couplings, s) + s @ fields
    p = np.exp(energy - energy.max())
    np.testing.assert_allclose(p / p.sum(), machine.probabilities, atol=1e-12)
    back = Boltzmann.from_spins(couplings, fields)
    np.testing.assert_allclose(back.weights, machine.weights, atol=1e-12)
    np.testing.assert_allclose(back.biases, machine.biases, atol=1e-12)
    hot = Boltzmann.from_spins(couplings / 3, fields / 3)
    np.testing.assert_allclose(hot.biases, machine.at_temperature(3.0).biases, atol=1e-12)


def test_given_units_condition_the_joint():
    machine = gauss_ensemble(5, 3)
    rest = machine.given([1, 3], [1, 0])
    z = states(5)
    mine = (z[:, 1] == 1) & (z[:, 3] == 0)
    p = machine.probabilities[mine]
    np.testing.assert_allclose(rest.probabilities, p / p.sum(), atol=1e-12)


def test_independent_units():
    machine = Boltzmann(np.zeros((3, 3)), np.array([0.0, 1.0, -2.0]))
    np.testing.assert_allclose(machine.moments()[0], 1 / (1 + np.exp(-machine.biases)))


def test_temperature_limits():
    machine = gauss_ensemble(4, 1)
    np.testing.assert_allclose(machine.at_temperature(1e9).moments()[0], 0.5, atol=1e-6)
    cold = machine.at_temperature(1e-3).probabilities
    assert cold[machine.probabilities.argmax()] == pytest.approx(1)


def test_layers():
    machine = layered([np.ones((2, 3))], [np.zeros(2), np.arange(3.0)])
    assert machine.n == 5
    assert not machine.weights[:2, :2].any()
    assert machine.weights[0, 2:].tolist() == [1, 1, 1]


def test_ensembles_stay_within_their_scale():
    machine = beta_ensemble(8, 1)
    assert np.abs(machine.weights).max() <= 0.6
    assert np.abs(machine.biases).max() <= 0.6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Boltzmann(np.array([[0, 1.0], [2, 0]]), np.zeros(2)), r"\(0, 1\) is 1.*is 2"),
        (lambda: Boltzmann(np.eye(2), np.zeros(2)), "diagonal entry 1 at unit 0"),
        (lambda: Boltzmann(np.zeros((3, 3)), np.zeros(2)), "weights"),
        (lambda: Boltzmann(np.zeros((1, 1)), np.array([np.nan])), "biases"),
        (lambda: gauss_ensemble(25, 0).probabilities, r"25 units.*GiB.*at most 20"),
        (lambda: gauss_ensemble(3, 0).at_temperature(0.0), "temperature"),
        (lambda: gauss_ensemble(3, 0).given([3], [1]), "units"),
        (lambda: gauss_ensemble(3, 0).given([0], [0.5]), "0 or 1"),
        (lambda: layered([np.zeros((2, 2))], [np.zeros(2), np.zeros(3)]), r"layers\[0\]"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
