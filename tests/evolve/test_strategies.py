"""Evolution strategies against known optima and the library's own loop; local search of numbers."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings, strategies as st

from lapicque._checks import InputError
from lapicque.evolve import Add, Grid, Mul, Program, Search, Step, Sub, parameter, parse
from lapicque.evolve.evaluation import Evaluator
from lapicque.evolve.parameters import (
    Natural,
    descend,
    learning_generation,
    parameters_of,
    with_values,
)
from lapicque.evolve.strategies import CMAES, OpenES, centred_ranks, maximised


def sphere(x):
    return -np.sum((x - 1) ** 2, -1)


def rosenbrock(x):
    return -np.sum(100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2, -1)


CASES = [CMAES(0.5, seed=3), OpenES(20, 0.1, optax.adam(0.1), seed=3)]


# -- strategies ----------------------------------------------------------------------------------


def test_cma_is_the_librarys_own_loop_bit_for_bit():
    """Though the library's object is made anew from arrays in every call."""
    strategy, n = CMAES(0.5, seed=5), 30
    state = maximised(strategy, rosenbrock, strategy.init(np.zeros(4)), n)
    library = strategy._library(np.zeros(4), 0.5, 0)
    for k in range(n):
        rng = np.random.default_rng(np.random.SeedSequence([5, k]))
        library.sm.randn = lambda *size, rng=rng: rng.standard_normal(size)
        points = library.ask()
        library.tell(points, (-rosenbrock(np.array(points))).tolist())
    assert (state.mean == library.mean).all()
    assert (state.C == library.sm.C).all()
    assert state.sigma == library.sigma
    assert -state.best_fitness == library.best.f


def test_cma_finds_the_end_of_rosenbrocks_valley():
    strategy = CMAES(0.5, seed=1)
    state = maximised(strategy, rosenbrock, strategy.init(np.full(3, -0.5)), 150)
    np.testing.assert_allclose(state.best, 1, atol=1e-4)
    assert state.best_fitness == rosenbrock(state.best)


def test_openai_es_climbs_sphere_and_valley():
    strategy = OpenES(20, 0.05, optax.adam(0.05), seed=0)
    state = maximised(strategy, sphere, strategy.init(np.full(5, 3.0)), 200)
    np.testing.assert_allclose(state.mean, 1, atol=0.05)
    state = maximised(strategy, rosenbrock, strategy.init(np.zeros(2)), 200)
    assert rosenbrock(state.mean) > -0.1


def test_openai_es_sees_the_gradient_of_the_ranks():
    """For a linear fitness E[rank * noise] is known: density of the difference of two Gaussians."""
    strategy = OpenES(4000, 0.3, seed=2)
    state = strategy.init(np.zeros(3))
    points = strategy.ask(state)
    slope = np.array([2.0, 0.0, -1.0])
    found = strategy.gradient(state, points, points @ slope)
    expected = slope / np.linalg.norm(slope) / (2 * np.sqrt(np.pi)) / strategy.sigma
    np.testing.assert_allclose(found, expected, atol=0.06)


@pytest.mark.parametrize("strategy", CASES, ids=["cma", "openai"])
def test_a_run_in_pieces_through_a_file_is_the_same_run(strategy, tmp_path):
    start = np.zeros(3)
    whole = maximised(strategy, rosenbrock, strategy.init(start), 25)
    piece = maximised(strategy, rosenbrock, strategy.init(start), 10)
    leaves, tree = jax.tree.flatten(piece)
    np.savez(tmp_path / "state.npz", *leaves, allow_pickle=False)
    np.random.seed(0)  # noqa: NPY002 - must not matter
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        piece = jax.tree.unflatten(tree, [file[name] for name in file.files])
    piece = maximised(strategy, rosenbrock, piece, 15)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(piece), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("strategy", CASES, ids=["cma", "openai"])
def test_fitness_that_is_not_finite_is_the_worst(strategy):
    def walled(x):
        values = sphere(x)
        values[x[:, 0] < -0.5] = np.nan
        values[x[:, 1] < -0.5] = -np.inf
        return values

    state = maximised(strategy, walled, strategy.init(np.zeros(2)), 60)
    np.testing.assert_allclose(state.mean, 1, atol=0.15)
    with pytest.raises(InputError, match="fitness"):
        strategy.tell(state, strategy.ask(state), np.zeros(3))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_ranks_are_centred_and_increase(values):
    ranks = centred_ranks(values)
    assert abs(ranks.sum()) < 1e-12
    assert (np.diff(ranks[np.argsort(values, kind="stable")]) >= 0).all()
    for a, b in pairwise(values):
        assert (a == b) == (ranks[values.index(a)] == ranks[values.index(b)])


# -- numbers in expressions ----------------------------------------------------------------------

X = np.linspace(-2, 2, 50)
Y = 2.5 * X**2 - 1.3
P = parameter()
PARABOLA = (
    Program(
        ("x",),
        (Step(Mul, (0, 0)), Step(P, (), 1.0), Step(Mul, (2, 1)), Step(P, (), 1.0),
         Step(Sub, (3, 4))),
        (5,),
    ),
)  # fmt: skip


def error(program):
    return -float(np.mean((program(X) - Y) ** 2))


def test_the_gradient_recovers_constants():
    """2.5 x^2 - 1.3, and one step of descent by hand."""
    with jax.enable_x64(True):
        found, loss = descend(PARABOLA, lambda f: jnp.mean((f(X) - Y) ** 2), 400, 0.05)
        np.testing.assert_allclose(parameters_of(found), [2.5, 1.3], atol=1e-4)
        assert loss == pytest.approx(-error(found[0]), abs=1e-12)
        once, _ = descend(PARABOLA, lambda f: jnp.mean((f(X) - Y) ** 2), 1, 0.01, clip=1e9)
    residual = X**2 - 1 - Y
    gradient = [np.mean(2 * residual * X**2), np.mean(-2 * residual)]
    np.testing.assert_allclose(parameters_of(once), 1 - 0.01 * np.array(gradient), rtol=1e-12)


@pytest.mark.parametrize("utility", ["ranked", "max_first"])
def test_the_natural_strategy_recovers_constants(utility):
    found, fitness, count = Natural(200, utility=utility)(PARABOLA, error, np.random.default_rng(1))
    np.testing.assert_allclose(parameters_of(found), [2.5, 1.3], atol=1e-5)
    assert fitness == error(found[0])
    assert count == 2 + 200 * 6


def test_utilities():
    """The published weights of ranks, and those of the library whose maximum comes first."""
    raw = np.maximum(0, np.log(4) - np.log(np.arange(1, 7)))
    np.testing.assert_allclose(Natural().utilities(6), raw / raw.sum() - 1 / 6)
    other = np.log(4) - np.log(np.arange(1, 7))
    np.testing.assert_allclose(
        Natural(utility="max_first").utilities(6), other / other.sum() - 1 / 6
    )
    assert abs(Natural().utilities(8).sum()) < 1e-12


def test_local_search_never_makes_worse_and_minds_errors():
    def fragile(program):
        if parameters_of((program,))[0] > 1.01:
            raise ArithmeticError
        return np.nan if parameters_of((program,))[1] < 0.99 else error(program)

    found, fitness, _ = Natural(5)(PARABOLA, fragile, np.random.default_rng(0))
    assert fitness >= error(PARABOLA[0])
    plain = (parse("x + 1", ["x"]),)
    assert Natural()(plain, error, np.random.default_rng(0))[0] is plain
    with pytest.raises(InputError, match="values"):
        with_values(found, [1.0])


def test_what_is_learned_is_inherited():
    """A flawless learner ends with the constants in the genes, and its children begin with them."""
    grid = Grid(("x",), (Add, Sub, Mul, P), 8)
    search = Search((grid,), parents=2, children=6, rate=0.05, seed=2)
    evaluator = Evaluator(error)
    state = learning_generation(search, search.init(PARABOLA), evaluator, method=Natural(40))
    assert state.fitness[0] == error(*search.champion(state)) > -0.01
    assert int(state.evaluations) > 40 * 6
    before = state
    state = learning_generation(search, before, evaluator, method=Natural(40))
    assert state.fitness[0] >= before.fitness[0]
    learned = parameters_of(search.champion(state))
    asked = search.ask(state)
    same = asked.genomes[:, :24:3] == state.genomes[0, :24:3]
    inherited = [row[kept] for row, kept in zip(asked.parameters, same, strict=True)]
    assert any(np.isin(learned, row).all() for row in inherited)
    again = learning_generation(search, before, Evaluator(error), method=Natural(40))
    assert all((a == b).all() for a, b in zip(state, again, strict=True))
