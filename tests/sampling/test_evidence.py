"""Readings through noise and classes of states, against Bayes' theorem by enumeration."""

import numpy as np
import pytest
from scipy.stats import norm

from lapicque._checks import InputError
from lapicque.sampling import gauss_ensemble, states
from lapicque.sampling.evidence import Modes, Reading, observed


def test_readings_shift_biases_as_bayes_demands():
    """p(z | y) ~ p(z) N(y; mean of z, sd), for all states."""
    target, by = gauss_ensemble(5, 3), Reading(-0.3, 0.8, 0.7)
    units, y = np.array([3, 0, 4]), np.array([0.9, -1.2, 0.1])
    z = states(5)[:, units]
    expected = target.probabilities * norm.pdf(y, np.where(z, 0.8, -0.3), 0.7).prod(1)
    found = observed(target, units, y, by).probabilities
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-14)


def test_sharp_readings_hold_a_unit():
    target = gauss_ensemble(4, 0)
    given = observed(target, [1, 2], [1.0, 0.0], Reading(sd=0.1))
    first = given.moments()[0]
    np.testing.assert_allclose(first[[1, 2]], [1, 0], atol=1e-12)
    np.testing.assert_allclose(first[[0, 3]], target.given([1, 2], [1, 0]).moments()[0])


def test_a_reading_in_the_middle_says_nothing():
    assert Reading(2.0, 5.0, 0.3).shift(3.5) == 0


def test_drawn_readings_have_the_moments_they_should():
    by = Reading(1.0, 3.0, 0.5)
    y = by.draw(np.repeat([[0, 1]], 40_000, 0), np.random.default_rng(0))
    np.testing.assert_allclose(y.mean(0), [1, 3], atol=0.015)
    np.testing.assert_allclose(y.std(0), 0.5, rtol=0.02)


def test_classes_follow_bayes():
    means = np.array([[0.9, 0.2, 0.5], [0.3, 0.6, 0.1], [0.5, 0.5, 0.8]])
    z = states(3).astype(float)
    likelihood = np.prod(np.where(z[:, None], means, 1 - means), -1)
    expected = likelihood / likelihood.sum(1, keepdims=True)
    modes = Modes(means)
    np.testing.assert_allclose(modes.probabilities(z), expected, atol=1e-14)
    sure = modes.labels(z, 0.6)
    np.testing.assert_array_equal(sure >= 0, expected.max(1) >= 0.6)
    np.testing.assert_array_equal(sure[sure >= 0], expected.argmax(1)[sure >= 0])


def test_means_come_from_labelled_states():
    modes = Modes.of([[0, 1], [1, 1], [0, 0]], [1, 1, 0], margin=0.1)
    np.testing.assert_allclose(modes.means, [[0.1, 0.1], [0.5, 0.9]])


def test_the_plane_keeps_distances_between_means():
    means = np.random.default_rng(1).uniform(0.1, 0.9, (3, 20))
    corners = Modes(means).plane(means)
    assert corners[1, 0] > 0
    np.testing.assert_allclose([corners[0], corners[1, 1:].repeat(2)], 0, atol=1e-14)
    for a in range(3):
        for b in range(a):
            distance = np.linalg.norm(corners[a] - corners[b])
            assert distance == pytest.approx(np.linalg.norm(means[a] - means[b]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reading(sd=0.0), "sd"),
        (lambda: Reading().shift(np.nan), "readings"),
        (lambda: observed(gauss_ensemble(3, 0), [3], [1.0]), "units"),
        (lambda: observed(gauss_ensemble(3, 0), [1, 1], [1.0, 0.0]), "twice"),
        (lambda: observed(gauss_ensemble(3, 0), [1, 2], [1.0]), "readings"),
        (lambda: Modes(np.array([[0.0, 0.5]])), "means"),
        (lambda: Modes.of([[0, 1]], [1]), "label 0"),
        (lambda: Modes(np.full((2, 3), 0.5)).plane([0, 0, 0]), "three"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
