"""Largest independent sets: generator, exact answers, costs, and solvers."""

from itertools import combinations

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.benchmark.qubo import (
    DENSITIES,
    Exact,
    GibbsAnnealing,
    Instance,
    SpikingAnnealing,
    Tabu,
    best_known,
    geometric,
    instance,
    random_graph,
)
from lapicque.sampling import predict


def by_enumeration(problem):
    """The largest independent set of a small graph, by trying all of a size."""
    joined = {tuple(sorted(edge)) for edge in problem.edges.tolist()}
    for size in range(problem.n, -1, -1):
        for chosen in combinations(range(problem.n), size):
            if not any(pair in joined for pair in combinations(chosen, 2)):
                return size
    raise AssertionError


def test_the_55_instances_with_exact_costs_agree():
    count = 0
    for n in (10, 25, 50):
        for density in DENSITIES:
            if n == 50 and density < 0.05:
                continue
            for seed in range(5):
                problem = instance(n, density, seed)
                found = Exact().solve(problem)
                assert found.cost == problem.best_known, problem.name
                assert problem.cost(found.state) == found.cost
                count += 1
    assert count == 55


def test_graph_is_the_one_of_networkx():
    networkx = pytest.importorskip("networkx")
    for n, m, seed in [(10, 12, 0), (50, 125, 3), (7, 40, 0), (1, 0, 2)]:
        theirs = networkx.gnm_random_graph(n, m, seed).edges
        assert {frozenset(e) for e in theirs} == {
            frozenset(e) for e in random_graph(n, m, seed).tolist()
        }


def test_exact_answers_of_small_graphs():
    rng = np.random.default_rng(0)
    for seed in range(6):
        problem = Instance(9, random_graph(9, int(rng.integers(0, 30)), seed))
        assert -Exact().solve(problem).cost == by_enumeration(problem)
    ring = Instance(64, np.stack([np.arange(64), (np.arange(64) + 1) % 64], axis=1))
    assert Exact().solve(ring).cost == -32
    assert Exact().solve(Instance(64, np.zeros((0, 2)))).cost == -64


def test_costs_are_those_of_the_matrix_and_of_the_machine():
    problem = instance(50, 0.10, 1)
    states = np.random.default_rng(0).integers(0, 2, (20, 50))
    matrix = problem.matrix().astype(int)
    expected = np.einsum("si,ij,sj->s", states, matrix, states)
    np.testing.assert_array_equal(problem.cost(states), expected)
    np.testing.assert_allclose(-problem.target().log_weight(states), expected)
    one = np.zeros(50, int)
    one[problem.edges[0]] = 1
    assert problem.cost(one) == -2 + 8


def test_gap_is_positive_where_worse():
    problem = instance(25, 0.25, 0)
    assert problem.best_known == -9
    assert problem.gap(-9) == 0
    assert problem.gap(-6) == pytest.approx(1 / 3)
    assert problem.gap(-10) == pytest.approx(-1 / 9)
    assert best_known(25, 0.2, 0) is None


@pytest.mark.parametrize(
    "solver",
    [
        Tabu(20_000),
        GibbsAnnealing(500),
        SpikingAnnealing(predict("tutorial_cuba"), 1000.0, schedule=lambda d: geometric(1, 0.3, d)),
    ],
    ids=["tabu", "Gibbs", "spiking"],
)
def test_solvers_reach_the_optimum_of_small_instances(solver):
    for density, seed in [(0.05, 0), (0.25, 3)]:
        problem = instance(50, density, seed)
        found = solver.solve(problem, seed=1)
        again = solver.solve(problem, seed=1)
        x = found.state.astype(int)
        assert x @ problem.matrix().astype(int) @ x == found.cost
        assert found.cost >= problem.best_known
        assert found.repaired == problem.best_known
        assert problem.gap(found.cost) <= 0.09  # one node of thirteen
        assert (np.diff(found.costs) <= 0).all()
        np.testing.assert_array_equal(again.state, found.state)


def test_repaired_states_are_independent_and_complete():
    problem = instance(100, 0.10, 0)
    states = np.random.default_rng(0).integers(0, 2, (30, 100)).astype(np.uint8)
    fixed = problem.repaired(states)
    np.testing.assert_array_equal(problem.cost(fixed), -fixed.sum(1, dtype=int))
    joined = -(problem.matrix() * (1 - np.eye(100, dtype=np.int8))).astype(int) @ fixed.T
    assert ((joined.T < 0) | (fixed == 1)).all()
    np.testing.assert_array_equal(problem.repaired(fixed), fixed)


@pytest.mark.parametrize(
    ("edges", "message"),
    [([[0, 0]], "itself"), ([[0, 1], [1, 0]], "twice"), ([[0, 5]], "between 0 and 4")],
)
def test_bad_graphs_are_refused(edges, message):
    with pytest.raises(InputError, match=message):
        Instance(5, np.array(edges))
