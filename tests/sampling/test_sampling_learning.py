"""Rules of learning against differences of the exact likelihood and energy."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling import observables as obs
from lapicque.sampling.learning import (
    Adam,
    Contrastive,
    Decaying,
    Draw,
    Enumeration,
    Hyperbolic,
    Learner,
    Matching,
    Moments,
    Momentum,
    Natural,
    Parameters,
    Reweighted,
    Running,
    Translated,
    Variational,
    WakeSleep,
    natural,
    topology,
    translated,
    visible_log_probabilities,
)
from lapicque.sampling.quantum.ising import Ising
from lapicque.sampling.samplers import Exact, Gibbs, Neural
from lapicque.sampling.target import Boltzmann, beta_ensemble, states

VISIBLE, HIDDEN = 4, 3
RESTRICTED = Parameters(topology(VISIBLE, HIDDEN))
DEEP = Parameters(topology(VISIBLE, HIDDEN, 2))  # hidden units coupled among themselves
FULL = Parameters(~np.eye(6, dtype=bool))
DENSE = beta_ensemble(7, 0)
GOAL = beta_ensemble(VISIBLE, 5, scale=3.0).probabilities


def visible(target):
    return np.exp(visible_log_probabilities(target, VISIBLE))


def slope(parameters, target, objective):
    """Central differences of an objective of the machine."""
    start, h = parameters.pack(target), 1e-5
    found = np.empty_like(start)
    for k in range(len(start)):
        step = h * np.eye(len(start))[k]
        high, low = (objective(parameters.unpack(start + s)) for s in (step, -step))
        found[k] = (high - low) / (2 * h)
    return found


def likelihood(target):
    return -obs.kl(GOAL, visible(target))


def exact_gradient(rule, parameters, target):
    rng = np.random.default_rng(0)
    found, _ = rule.gradient(target, Enumeration(VISIBLE), rng)
    return parameters.pack(found)


@pytest.mark.parametrize("parameters", [RESTRICTED, DEEP, FULL])
def test_visible_distribution_is_the_sum_over_hidden_units(parameters):
    target = parameters.random(1.5, 1)
    joint = target.probabilities.reshape(2**VISIBLE, -1).sum(1)
    np.testing.assert_allclose(visible(target), joint)
    draw = Enumeration(VISIBLE).free(target)
    np.testing.assert_allclose(draw.histogram(VISIBLE), joint)
    first, second = target.moments()
    found = parameters.pack(draw.moments())
    expected = np.concatenate([first, second[parameters.pairs]])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("parameters", [RESTRICTED, DEEP, FULL])
@pytest.mark.parametrize(
    "rule", [Reweighted(GOAL), WakeSleep(states(VISIBLE), GOAL)], ids=["reweighted", "wake-sleep"]
)
def test_likelihood_rules_are_the_slope_of_the_divergence(parameters, rule):
    target = parameters.random(1.5, 2)
    expected = slope(parameters, target, likelihood)
    np.testing.assert_allclose(exact_gradient(rule, parameters, target), expected, atol=1e-9)


@pytest.mark.parametrize("parameters", [RESTRICTED, DEEP])
def test_rewards_stand_in_for_clamping(parameters):
    """The rule without clamping is data minus own moments, to machine precision."""
    target = parameters.random(1.0, 3)
    free, held = (
        exact_gradient(rule, parameters, target)
        for rule in (Reweighted(GOAL), WakeSleep(states(VISIBLE), GOAL))
    )
    np.testing.assert_allclose(free, held, atol=1e-14)


def test_nothing_is_learned_at_the_goal():
    target = RESTRICTED.random(1.0, 4)
    own = visible(target)
    for rule in (Reweighted(own), WakeSleep(states(VISIBLE), own)):
        np.testing.assert_allclose(exact_gradient(rule, RESTRICTED, target), 0, atol=1e-14)


def test_matching_moments_is_the_slope_of_the_likelihood():
    goal = beta_ensemble(VISIBLE, 5, scale=3.0)
    parameters = Parameters(~np.eye(VISIBLE, dtype=bool))
    target = parameters.random(1.0, 5)
    found = exact_gradient(Matching(goal.moments()), parameters, target)
    np.testing.assert_allclose(found, slope(parameters, target, likelihood), atol=1e-9)


@pytest.mark.parametrize("parameters", [RESTRICTED, DEEP])
def test_variational_rule_is_the_slope_of_the_energy(parameters):
    chain = Ising(VISIBLE, 0.8)
    target = parameters.random(1.5, 6)
    rule = Variational(VISIBLE, chain.local_energy)
    expected = slope(parameters, target, lambda machine: -chain.energy(visible(machine)))
    np.testing.assert_allclose(exact_gradient(rule, parameters, target), expected, atol=2e-9)


def test_variational_rule_rests_in_the_ground_state():
    chain = Ising(VISIBLE)
    rule = Variational(VISIBLE, chain.local_energy)
    np.testing.assert_allclose(rule.reward(chain.ground_state**2), 0, atol=1e-10)


def rules_for_samples():
    data = states(VISIBLE)
    return {
        "reweighted": Reweighted(GOAL),
        "wake-sleep": WakeSleep(data, GOAL, batch=100),
        "closed": WakeSleep(data, GOAL, closed=True),
        "contrastive": Contrastive(data, k=1, batch=200, probabilities=GOAL),
    }


@pytest.mark.parametrize("name", rules_for_samples())
def test_samples_give_the_exact_slope_on_average(name):
    """With independent samples, even contrastive divergence follows the likelihood."""
    rule, target = rules_for_samples()[name], RESTRICTED.random(1.0, 7)
    expected = exact_gradient(Reweighted(GOAL), RESTRICTED, target)
    backend = Running(Exact(), target, chains=8, samples=300, seed=1)
    rng = np.random.default_rng(2)
    found = [RESTRICTED.pack(rule.gradient(target, backend, rng)[0]) for _ in range(12)]
    error = np.std(found, 0) / np.sqrt(len(found))
    np.testing.assert_array_less(np.abs(np.mean(found, 0) - expected), 5 * error + 0.003)


def test_contrastive_divergence_approaches_the_likelihood_with_k():
    data = states(VISIBLE)
    target = RESTRICTED.random(2.0, 8)
    expected = exact_gradient(Reweighted(GOAL), RESTRICTED, target)

    def miss(k):
        rule = Contrastive(data, k=k, batch=4000, probabilities=GOAL)
        backend = Running(Gibbs(), target, chains=1, samples=1)
        found, _ = rule.gradient(target, backend, np.random.default_rng(0))
        return np.linalg.norm(RESTRICTED.pack(found) - expected)

    assert miss(10) < 0.5 * miss(1)


@pytest.mark.parametrize("sampler", [Gibbs(), Neural(tau=4)], ids=["gibbs", "neural"])
def test_every_sampler_learns(sampler):
    rule = Reweighted(GOAL, largest=20)
    learner = Learner(rule, RESTRICTED, Adam(Decaying(0.08, 0.985)))
    start = RESTRICTED.random(0.1, 0)
    before = obs.kl(GOAL, visible(start))
    backend = Running(sampler, start, chains=16, samples=250, discard=5)
    progress, _ = learner.run(learner.start(start), backend, 150)
    assert obs.kl(GOAL, visible(learner.machine(progress))) < 0.15 * before


def test_energy_reaches_the_ground_state_exactly():
    chain = Ising(3)
    parameters = Parameters(topology(3, 6))
    learner = Learner(Variational(3, chain.local_energy), parameters, Adam(0.02))
    progress, history = learner.run(
        learner.start(parameters.random(0.1, 1)),
        Enumeration(3),
        1500,
        lambda _, draw: {"energy": chain.energy(draw.histogram(3))},
    )
    assert (history["energy"] >= chain.ground_energy - 1e-12).all()
    assert history["energy"][-1] - chain.ground_energy < 1e-5
    assert progress.epoch == 1500


def test_learning_in_two_parts_is_learning_in_one():
    learner = Learner(Reweighted(GOAL), RESTRICTED, Adam(0.05))
    start = learner.start(RESTRICTED.random(0.1, 0))
    once, _ = learner.run(start, Enumeration(VISIBLE), 20)
    half, _ = learner.run(start, Enumeration(VISIBLE), 10)
    twice, _ = learner.run(half, Enumeration(VISIBLE), 10)
    np.testing.assert_array_equal(once.vector, twice.vector)


def test_decay_bound_and_grid_of_weights():
    learner = Learner(
        Reweighted(GOAL), RESTRICTED, Momentum(0.5), weight_decay=2.0, largest=0.3, resolution=0.25
    )
    start = learner.start(RESTRICTED.random(0.2, 0))
    progress, _ = learner.run(start, Enumeration(VISIBLE), 5)
    assert np.abs(progress.vector).max() <= 0.3
    machine = learner.machine(progress)
    np.testing.assert_array_equal(machine.biases % 0.25, 0)
    own = visible(RESTRICTED.unpack(start.vector))
    only_decay = Learner(Reweighted(own), RESTRICTED, Momentum(0.5), weight_decay=2.0)
    after, _ = only_decay.run(start, Enumeration(VISIBLE), 1)
    np.testing.assert_allclose(after.vector[7:], 0, atol=1e-14)
    np.testing.assert_allclose(after.vector[:7], start.vector[:7], atol=1e-14)


def none():
    raise AssertionError


# -- optimisers and metric -----------------------------------------------------------------------


def test_first_step_of_adam_is_the_rate():
    step, _ = Adam(0.1).step(np.array([3.0, -1e-3]), Adam().init(2), 0, none)
    np.testing.assert_allclose(step, [0.1, -0.1], rtol=1e-4)


def test_momentum_sums_a_geometric_series():
    plain, memory = Momentum(Hyperbolic(0.1, 10.0), 0.5), (np.zeros(1),)
    step, memory = plain.step(np.ones(1), memory, 0, none)
    step, memory = plain.step(np.ones(1), memory, 10, none)
    assert step == pytest.approx(0.5 * 0.1 + 0.05)


def test_metric_is_positive_and_the_slope_of_the_moments():
    target = RESTRICTED.random(1.0, 9)
    draw = Draw(states(target.n), target.probabilities)
    metric = RESTRICTED.covariance(draw)
    np.testing.assert_allclose(metric, metric.T)
    assert np.linalg.eigvalsh(metric)[0] > -1e-14

    def of(k):
        return lambda m: RESTRICTED.pack(Draw(states(m.n), m.probabilities).moments())[k]

    for k in (0, 5, 12):
        np.testing.assert_allclose(metric[k], slope(RESTRICTED, target, of(k)), atol=1e-9)


def test_natural_step_does_not_depend_on_coordinates():
    """Parameters t = A t' have gradient A^T g and metric A^T S A, and make the same step."""
    rng = np.random.default_rng(0)
    target = RESTRICTED.random(1.0, 10)
    metric = RESTRICTED.covariance(Draw(states(target.n), target.probabilities))
    gradient, change = rng.standard_normal(len(metric)), rng.standard_normal(metric.shape)
    here = natural(gradient, metric)
    there = natural(change.T @ gradient, change.T @ metric @ change)
    np.testing.assert_allclose(change @ there, here, rtol=1e-6)
    np.testing.assert_allclose(natural(gradient, metric, damping=1e9) * 1e9, gradient, rtol=1e-6)


def test_natural_steps_have_a_length_in_distributions():
    target = RESTRICTED.random(1.0, 11)
    metric = RESTRICTED.covariance(Draw(states(target.n), target.probabilities))
    gradient = np.random.default_rng(1).standard_normal(len(metric))
    step, _ = Natural(0.01, damping=1e-6).step(gradient, (), 0, lambda: metric)
    moved = RESTRICTED.unpack(RESTRICTED.pack(target) + step)
    assert obs.kl(target.probabilities, moved.probabilities) == pytest.approx(5e-5, rel=0.03)
    still, _ = Natural().step(0 * gradient, (), 0, lambda: metric)
    assert not still.any()


def test_natural_gradient_crosses_the_plateau():
    """Four spins at the critical point: 100 steps reach what plain ones need thousands for."""
    chain = Ising(4)
    parameters = Parameters(topology(4, 8))
    learner = Learner(Variational(4, chain.local_energy), parameters, Natural(Decaying(0.3, 0.95)))
    progress, _ = learner.run(learner.start(parameters.random(0.5, 0)), Enumeration(4), 150)
    assert chain.energy(visible(learner.machine(progress))) - chain.ground_energy < 1e-3


# -- symmetry ------------------------------------------------------------------------------------


def test_symmetric_machines_stay_symmetric():
    n = 4
    parameters = Parameters(topology(n, 2 * n))
    random = parameters.random(1.0, 0)
    from_random = translated(Moments(random.biases, random.weights), n)
    start = Boltzmann(from_random.weights, from_random.biases)
    rule = Translated(Variational(n, Ising(n).local_energy), n)
    learner = Learner(rule, parameters, Adam(0.05))
    progress, _ = learner.run(learner.start(start), Enumeration(n), 30)
    p = np.exp(visible_log_probabilities(learner.machine(progress), n)).reshape([2] * n)
    np.testing.assert_allclose(p, p.transpose([1, 2, 3, 0]), rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Reweighted(np.ones(3) / 3), "`probabilities`"),
        (lambda: WakeSleep(np.array([[0, 2]])), "`data`"),
        (lambda: WakeSleep(states(2), np.ones(4)), "`probabilities` sum"),
        (lambda: Contrastive(states(2), k=0), "`k`"),
        (lambda: Parameters(np.eye(3, dtype=bool)), "`coupled`"),
        (lambda: RESTRICTED.unpack(np.zeros(3)), "`vector`"),
        (lambda: Learner(Reweighted(GOAL), RESTRICTED).start(FULL.random(1.0, 0)), "`target"),
        (lambda: Learner(Reweighted(GOAL), RESTRICTED).start(DENSE), "`target` couples"),
        (lambda: translated(Draw(states(5)).moments(), 2), "whole rings"),
        (lambda: exact_gradient(Contrastive(states(4)), RESTRICTED, RESTRICTED.random(1, 0)), "k"),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(InputError, match=named):
        call()
