"""Observables against closed forms."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling import observables as obs
from lapicque.sampling.samplers import Exact, Gibbs
from lapicque.sampling.target import beta_ensemble, states


def test_each_state_once_is_uniform():
    np.testing.assert_array_equal(obs.empirical(states(4)), np.full(16, 1 / 16))


def test_weights_are_probabilities_of_the_states():
    target = beta_ensemble(5, 0)
    found = obs.empirical(states(5), target.probabilities)
    np.testing.assert_allclose(found, target.probabilities)


def test_divergence_of_two_coins():
    p, q = [0.25, 0.75], [0.5, 0.5]
    assert obs.kl(p, q) == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5))
    assert obs.kl(p, p) == 0
    assert obs.kl([1, 0], q) == pytest.approx(np.log(2))
    assert obs.kl(q, [1, 0]) == np.inf
    assert obs.total_variation(p, q) == 0.25
    assert obs.total_variation([1, 0], [0, 1]) == 1


def test_perfect_samples_stay_above_the_target_by_the_floor():
    """Over 1000 sets of 2000 samples, the mean divergence is (2^n - 1) / (2 n_eff) within 5 %."""
    target = beta_ensemble(4, 1)
    samples = Exact().start(target, chains=1000, seed=0).run(2000)
    found = obs.kl_in_time(samples, target.probabilities, [500, 2000])
    assert found.shape == (2, 1000)
    np.testing.assert_allclose(found.mean(1), obs.kl_floor(16, [500, 2000]), rtol=0.05)
    one = obs.empirical(samples[:500, 7])
    assert found[0, 7] == pytest.approx(obs.kl(one, target.probabilities))


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, -0.5])
def test_effective_size_of_an_autoregression(a):
    """``x' = a x + noise`` has the autocorrelation time (1 + a) / (1 - a)."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((50_000, 4))
    x = np.zeros_like(noise)
    for t in range(1, len(x)):
        x[t] = a * x[t - 1] + noise[t]
    expected = len(x) * (1 - a) / (1 + a)
    np.testing.assert_allclose(obs.effective_size(x).mean(), expected, rtol=0.1)
    assert obs.effective_size(x[:, 0]).shape == ()


def test_a_chain_that_never_moves_says_it_once():
    assert obs.effective_size(np.ones(100)) == 1
    assert obs.mean(np.ones(100)) == (1, 0)


def test_chains_stuck_apart_make_the_error_large():
    apart = np.repeat([[0.0, 1.0, 1.0, 0.0]], 1000, 0)
    assert obs.mean(apart).error > 0.2


def test_errors_of_means_and_correlations_are_of_the_right_size():
    """Deviations from the exact values, in standard errors, have a spread of about 1."""
    target = beta_ensemble(4, 3)
    samples = Gibbs().start(target, chains=300, seed=1).run(600)[100:]
    first, second = target.moments()
    covariance = second - np.outer(first, first)
    sd = np.sqrt(np.diag(covariance))
    exact = covariance / np.outer(sd, sd)
    upper = np.triu_indices(4, 1)
    of_means, of_pairs = [], []
    for k in range(0, 300, 2):
        value, error = obs.marginals(samples[:, k : k + 2])
        of_means.append((value - first) / error)
        value, error = obs.correlations(samples[:, k : k + 2])
        np.testing.assert_array_equal(np.diag(value), 1)
        of_pairs.append((value - exact)[upper] / error[upper])
    for deviations in (of_means, of_pairs):
        assert 0.85 < np.std(deviations) < 1.15
        assert abs(np.mean(deviations)) < 0.15


def test_switches_pass_over_states_between_modes():
    labels = np.array([-1, 0, 0, -1, 0, 1, 1, -1, 2, 2, 2, 0, -1])
    assert obs.switches(labels) == 3
    np.testing.assert_array_equal(obs.switches(np.stack([labels, 0 * labels], 1)), [3, 0])
    assert obs.switches(np.full(5, -1)) == 0


def test_dwells_last_until_the_next_mode():
    labels = np.array([0, 0, 1, -1, 1, 2, 0, 0])
    found = obs.dwell_times(labels, interval=10.0)
    np.testing.assert_array_equal(found.labels, [1, 2])
    np.testing.assert_array_equal(found.times, [30.0, 10.0])
    assert len(obs.dwell_times(np.stack([labels, labels], 1)).times) == 4
    assert len(obs.dwell_times(np.zeros(9, int)).times) == 0


def test_likelihood_of_a_vector_that_was_sampled():
    one = np.array([[0, 1, 1, 0, 1]])
    assert obs.isl(one, one).value == pytest.approx(5 * np.log(0.95))
    flipped = one.copy()
    flipped[0, :2] ^= 1
    assert obs.isl(one, flipped, 0.9).value == pytest.approx(3 * np.log(0.9) + 2 * np.log(0.1))


def test_likelihood_is_that_of_the_smeared_distribution():
    """With all states in proportion, p(y) is the target behind a channel that flips units."""
    n, beta = 4, 0.9
    rng = np.random.default_rng(2)
    samples = states(n)[rng.integers(0, 2**n, 3000)].reshape(1000, 3, n)
    differ = (states(n)[:, None] != states(n)).sum(-1)
    p = (beta ** (n - differ) * (1 - beta) ** differ) @ obs.empirical(samples)
    value, error = obs.isl(samples, states(n), beta)
    assert value == pytest.approx(np.log(p).mean())
    assert error == pytest.approx(np.log(p).std(ddof=1) / 4)
    curve = obs.isl_in_time(samples, states(n), [10, 3000], beta)
    assert curve.value[1] == pytest.approx(value)
    assert curve.value[0] == pytest.approx(
        obs.isl(samples.reshape(-1, n)[:10], states(n), beta).value
    )


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: obs.empirical(np.zeros((3, 21))), "21 units"),
        (lambda: obs.empirical(np.zeros((3, 2), int), [1, 2]), "`weights`"),
        (lambda: obs.empirical(np.zeros((0, 2), int)), "`states`"),
        (lambda: obs.kl([0.5, 0.5], [1.0]), "`q`"),
        (lambda: obs.effective_size([1.0, 2.0]), "`series`"),
        (lambda: obs.dwell_times([0, 1], interval=0), "`interval`"),
        (lambda: obs.switches([0.5, 1.0]), "`labels`"),
        (lambda: obs.isl(np.zeros((3, 4)), np.zeros((2, 5))), "`data`"),
        (lambda: obs.isl(np.zeros((3, 4)), np.zeros((2, 4)), 1.0), "`beta"),
        (lambda: obs.kl_in_time(np.zeros((3, 1), int), [0.5, 0.5], [2, 2]), "`at`"),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(InputError, match=named):
        call()


def test_three_periodic_trains():
    """Shares of time that pairs are on together: periods of 20, on for 10, shifted by 0, 5, 10."""
    from lapicque.sampling.learning import Draw

    time = np.arange(1000)
    z = np.stack([(time - shift) % 20 < 10 for shift in (0, 5, 10)], -1).astype(np.uint8)
    found = Draw(z).moments()
    together = found.weights + np.diag(found.biases)
    expected = [[0.5, 0.25, 0.0], [0.25, 0.5, 0.25], [0.0, 0.25, 0.5]]
    np.testing.assert_allclose(together, expected, atol=1e-12)
