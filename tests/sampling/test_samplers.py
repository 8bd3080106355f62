"""Abstract samplers: exact distributions, reproducible chains, clamping."""

import numpy as np
import pytest
from scipy.special import expit

from lapicque._checks import InputError
from lapicque.sampling import (
    Boltzmann,
    Exact,
    Gibbs,
    Neural,
    beta_ensemble,
    gauss_ensemble,
    index,
    layered,
    states,
)


def distance(found, target):
    p = np.bincount(index(found).ravel(), minlength=2**target.n) / found[..., 0].size
    on = p > 0
    return float((p[on] * np.log(p[on] / target.probabilities[on])).sum())


def test_samples_follow_the_target():
    """Expected divergence of independent samples: (2^n - 1) / 2 n."""
    target = beta_ensemble(5, 0)
    for sampler, limit in (
        (Exact(), 2e-4),
        (Gibbs(), 3e-4),
        (Neural(5), 1e-3),
        (Neural(20), 3e-3),
    ):
        chains = sampler.start(target, 4, 1)
        chains.run(200)
        assert distance(chains.run(50_000), target) < limit, sampler


@pytest.mark.slow
def test_the_abstract_neuron_reaches_the_stated_accuracy():
    """1e-4 after 1e6 sequential steps with 20 refractory steps, within a factor of two."""
    found = []
    for seed in range(5):
        chains = Neural(20).start(beta_ensemble(5, seed), 1, seed)
        found.append(distance(chains.run(1_000_000), chains.target))
    assert np.mean(found) < 2e-4


def test_one_refractory_step_is_gibbs_sampling_bit_for_bit():
    target = gauss_ensemble(6, 2)
    a, b = (s.start(target, 3, 7).run(500) for s in (Neural(1), Gibbs()))
    np.testing.assert_array_equal(a, b)


def test_counters_are_uniform_while_on():
    """The joint of state and counter is invariant: each value of the counter is equally likely."""
    chains = Neural(5).start(Boltzmann(np.zeros((1, 1)), np.array([0.3])), 1, 0)
    counts = np.zeros(6)
    for _ in range(6000):
        chains.run(1)
        counts[chains._counter[0, 0]] += 1
    assert counts[0] / counts.sum() == pytest.approx(1 - expit(0.3), abs=0.03)
    np.testing.assert_allclose(counts[1:] / counts[1:].sum(), 0.2, atol=0.02)


def test_synchronous_updates_are_biased():
    """All units at once: a floor that falls with the number of refractory steps."""
    target = beta_ensemble(5, 1)
    found = [
        distance(Neural(tau, "synchronous").start(target, 4, 0).run(100_000), target)
        for tau in (1, 5, 20)
    ]
    assert found[0] > 5 * found[1] > 5 * found[2]


def test_blocks():
    machine = layered([np.ones((2, 3))], [np.zeros(2), np.zeros(3)])
    blocks = ((2, 3, 4), (0, 1))
    chains = Gibbs(blocks).start(machine, 2, 0)
    chains.run(100)
    assert distance(chains.run(100_000), machine) < 3e-4
    with pytest.raises(InputError, match="coupled"):
        Gibbs(((0, 2), (1, 3, 4))).start(machine)
    with pytest.raises(InputError, match="every unit once"):
        Gibbs(((0, 1),)).start(machine)


def test_chains_are_reproducible_and_go_on():
    target = gauss_ensemble(5, 1)
    whole = Gibbs().start(target, 3, 4).run(300)
    chains = Gibbs().start(target, 3, 4)
    parts = np.concatenate([chains.run(100), chains.run(50), chains.run(150)])
    np.testing.assert_array_equal(whole, parts)
    assert (whole[:, 0] != whole[:, 1]).any()


@pytest.mark.parametrize("sampler", [Exact(), Gibbs(), Neural(3)])
def test_clamped_units_stay_and_the_others_follow_the_conditional(sampler):
    target = gauss_ensemble(4, 5)
    chains = sampler.start(target, 2, 0)
    chains.clamp([1, 2], [1, 0])
    chains.run(100)
    z = chains.run(40_000)
    assert (z[..., 1] == 1).all()
    assert (z[..., 2] == 0).all()
    assert distance(z[..., [0, 3]], target.given([1, 2], [1, 0])) < 3e-3
    chains.clamp([1], [[0], [1]])
    z = chains.run(10)
    assert (z[:, 0, 1] == 0).all()
    assert (z[:, 1, 1] == 1).all()
    chains.clamp([], np.zeros((2, 0)))
    assert distance(chains.run(60_000), target) < 3e-3


def test_temperature_may_change_from_sweep_to_sweep():
    target = gauss_ensemble(4, 2)
    chains = Gibbs().start(target, 2, 0)
    course = np.tile([1.0, 3.0], 40_000)
    z = chains.run(80_000, course)
    hot = target.at_temperature(3.0)
    assert distance(chains.run(80_000, 3.0), hot) < 3e-4
    assert distance(z, target) > 1e-3
    with pytest.raises(InputError, match="temperature"):
        chains.run(3, np.ones(4))


def test_new_parameters():
    chains = Gibbs().start(gauss_ensemble(4, 0), 1, 0)
    chains.update(gauss_ensemble(4, 1))
    chains.run(100)
    assert distance(chains.run(100_000), gauss_ensemble(4, 1)) < 1e-3
    with pytest.raises(InputError, match="5 units"):
        chains.update(gauss_ensemble(5, 1))


def test_errors():
    with pytest.raises(InputError, match="`tau` is 0"):
        Neural(0)
    with pytest.raises(InputError, match="sequential"):
        Neural(3, "random")
    with pytest.raises(InputError, match="chains"):
        Gibbs().start(gauss_ensemble(3, 0), 0)
    with pytest.raises(InputError, match="at most 20"):
        Exact().start(gauss_ensemble(21, 0)).run(1)
    assert states(3).shape == (8, 3)
