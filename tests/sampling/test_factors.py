"""Factor graphs as Boltzmann machines: identities by enumeration, and evidence."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling.factors import (
    BayesianNetwork,
    Factor,
    FactorGraph,
    clamped,
    illusion,
    random_network,
)
from lapicque.sampling.observables import empirical, kl
from lapicque.sampling.samplers import Exact, Gibbs, Neural
from lapicque.sampling.target import states

# Divergences D_KL(network || machine) of the illusion, by another program.
TABLE = {
    0.1: {2: 0.25, 4: 0.0196, 6: 4.6e-4, 8: 8.7e-6, 10: 1.6e-7},
    0.5: {2: 0.311, 4: 0.0331, 6: 8.4e-4, 8: 1.6e-5, 10: 3.0e-7},
    1.0: {2: 0.365, 4: 0.0527, 6: 1.5e-3, 8: 2.9e-5, 10: 5.3e-7},
    3.0: {2: 0.461, 4: 0.143, 6: 5.5e-3, 8: 1.1e-4, 10: 2.1e-6},
}


@pytest.fixture(scope="module")
def graph():
    return illusion().graph


def random_graph(seed: int = 3, orders=(3, 2, 1, 3)) -> FactorGraph:
    rng = np.random.default_rng(seed)
    factors = [
        Factor(tuple(rng.permutation(4)[:order]), rng.uniform(0.1, 2, (2,) * order))
        for order in orders
    ]
    return FactorGraph(4, tuple(factors))


def test_joint_of_illusion(graph):
    """The joint distribution and posteriors, worked out by hand."""
    p = graph.probabilities
    np.testing.assert_allclose(
        p[:8], [0.21375, 0.02375, 0.01125, 0.00125, 0.01, 0.09, 0.015, 0.135]
    )
    np.testing.assert_allclose(p.sum(), 1)
    np.testing.assert_allclose(graph.posterior({2: 1})[:2], [0.6977, 0.5581], atol=5e-5)
    np.testing.assert_allclose(graph.posterior({2: 1, 3: 0})[:2], [0.8923, 0.1231], atol=5e-5)
    np.testing.assert_allclose(graph.posterior({2: 1, 3: 1})[:2], [0.5362, 0.9191], atol=5e-5)


@pytest.mark.parametrize("eps", TABLE)
def test_mapping_error_against_another_program(graph, eps):
    for M, expected in TABLE[eps].items():
        digits = 0.01 if expected > 0.01 else 0.06  # as many as the table has
        assert graph.compile(M, eps).mapping_error() == pytest.approx(expected, rel=digits)


def test_parameters_of_illusion(graph):
    target = graph.compile(10.0, 1.0).target
    assert target.n == 12
    np.testing.assert_allclose(
        target.biases,
        [0, -2.197, 0, -2.197, 3.611, -10, -7.292, -16.865, -8.901, -16.445, -17.292, -26.865],
        atol=1e-3,
    )
    assert target.weights[1, 3] == pytest.approx(4.394, abs=1e-3)


def test_closed_form_is_the_sum_over_auxiliary_units(graph):
    compiled = graph.compile(3.0, 0.7)
    summed = compiled.target.probabilities.reshape(16, -1).sum(1)
    np.testing.assert_allclose(np.exp(compiled.log_probabilities), summed, atol=1e-14)
    direct = kl(graph.probabilities, summed)
    assert compiled.mapping_error() == pytest.approx(direct, rel=1e-9)


def test_auxiliary_logits_fall_with_the_distance(graph):
    M, compiled = 5.0, graph.compile(5.0, 0.5)
    z = np.zeros((16, 12))
    z[:, :4] = states(4)
    logits = compiled.target.logits(z)[:, 4:]
    distance = (states(4)[:, None, :3] != states(3)).sum(2)
    table = np.asarray(graph.factors[2].table).ravel()
    mu = 1.5 * table / table.min()
    np.testing.assert_allclose(logits, np.log(mu - 1) - M * distance, atol=1e-12)


def test_pairs_need_no_auxiliary_units():
    chain = BayesianNetwork(
        ((), (0,), (1,), (2,)), (0.3, (0.2, 0.7), (0.9, 0.4), (0.05, 0.5))
    ).graph
    compiled = chain.compile()
    assert compiled.auxiliaries == 0
    assert abs(compiled.mapping_error()) < 1e-14
    np.testing.assert_allclose(compiled.target.probabilities, chain.probabilities, atol=1e-14)


def test_scaled_factors_change_nothing():
    graph = random_graph()
    scaled = FactorGraph(4, [Factor(f.variables, 7.3 * f.table) for f in graph.factors])  # pyright: ignore
    one, other = graph.compile().target, scaled.compile().target
    np.testing.assert_allclose(one.biases, other.biases, atol=1e-12)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-12)


def test_flipped_variable_flips_the_result():
    graph = random_graph()
    flipped = FactorGraph(
        4,
        tuple(
            Factor(
                f.variables, np.flip(f.table, f.variables.index(1)) if 1 in f.variables else f.table
            )
            for f in graph.factors
        ),
    )
    one = graph.compile(2.0).log_probabilities.reshape((2,) * 4)
    other = flipped.compile(2.0).log_probabilities.reshape((2,) * 4)
    np.testing.assert_allclose(np.flip(one, 1), other, atol=1e-12)


def test_without_a_gap_the_smallest_entry_needs_no_unit(graph):
    assert graph.compile(6.0, 0.5).auxiliaries == 8
    spare = graph.compile(12.0, 0.0)
    assert spare.auxiliaries == 7
    assert spare.mapping_error() < 1e-8


def test_random_networks():
    """50 networks at M = 12: another program found a median of 2.6e-9 and at most 3.8e-5."""
    errors = [
        random_network(5, seed).graph.compile(12.0, 0.5).mapping_error() for seed in range(50)
    ]
    assert np.median(errors) < 1e-8
    assert max(errors) < 1e-3


def test_evidence_is_conditioning(graph):
    evidence = {2: 1, 0: 0}
    z = states(4)
    kept = graph.probabilities * (z[:, 2] == 1) * (z[:, 0] == 0)
    np.testing.assert_allclose(graph.given(evidence), kept / kept.sum())


@pytest.mark.parametrize("sampler", [Gibbs(), Neural(20), Exact()])
def test_samplers_answer_with_clamped_evidence(graph, sampler):
    """Posterior under evidence from the compiled machine; Gibbs is within its sampling error."""
    compiled = graph.compile(6.0, 0.5)
    chains = sampler.start(compiled.target, 4, 0)
    chains.clamp(*clamped({2: 1, 3: 0}, 4))
    samples = {Neural: 100_000, Gibbs: 5000}.get(type(sampler), 2000)
    z = compiled.variables(chains.run(samples))
    assert (z[..., 2] == 1).all()
    assert not z[..., 3].any()
    np.testing.assert_allclose(z.mean((0, 1))[:2], [0.8923, 0.1231], atol=0.03)


def test_abstract_neurons_sample_the_illusion(graph):
    compiled = graph.compile(8.0, 0.5)
    z = compiled.variables(Neural(20).start(compiled.target, 4, 1).run(250_000))
    assert kl(empirical(z), graph.probabilities) < 0.003


def test_zeros_need_a_floor():
    graph = FactorGraph(3, (Factor((0, 1, 2), np.array([[[1, 2], [0, 1]], [[1, 1], [1, 1.0]]])),))
    with pytest.raises(InputError, match=r"is 0 at \(0, 1, 0\)"):
        graph.compile()
    compiled = graph.compile(30.0, 0.5, floor=1e-4)
    assert compiled.mapping_error() == pytest.approx(2e-4 / 8, rel=0.01)
    assert graph.posterior({0: 0, 1: 1})[2] == 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Factor((0, 1), np.ones(4)), r"`table` has shape \(4,\)"),
        (lambda: Factor((0, 0), np.ones((2, 2))), "may occur once"),
        (lambda: Factor((0,), np.array([1.0, -1.0])), r"`table\[1\]` is -1"),
        (lambda: FactorGraph(2, (Factor((2,), np.ones(2)),)), "between 0 and 1"),
        (lambda: BayesianNetwork(((1,), (0,)), ((0.5, 0.5), (0.5, 0.5))), "form a cycle"),
        (lambda: BayesianNetwork(((),), (1.5,)), "between 0 and 1"),
        (lambda: BayesianNetwork(((), (0,)), (0.5, 0.5)), r"`tables\[1\]` has shape"),
        (lambda: illusion().graph.posterior({0: 2}), "must be 0 or 1"),
        (lambda: illusion().graph.posterior({4: 1}), "`evidence"),
        (lambda: illusion().graph.compile(0.0), "`M` is 0"),
    ],
)
def test_wrong_input_is_named(make, match):
    with pytest.raises(InputError, match=match):
        make()


def test_impossible_evidence():
    sure = BayesianNetwork(((), (0,)), (0.5, (0.0, 1.0))).graph
    with pytest.raises(InputError, match="has probability 0"):
        sure.posterior({0: 0, 1: 1})
