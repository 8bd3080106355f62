"""The compiled search: the same arithmetic, selection and probabilities as the plain one."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from lapicque._checks import InputError
from lapicque.evolve import Add, Div, Grid, Log, Max, Mul, Pow, Search, Sub, constant, parameter
from lapicque.evolve.evaluation import Evaluator, evolve
from lapicque.evolve.regression import Regression

X = np.random.default_rng(0).uniform(-3, 3, (2, 1000))
SQUARE = (X[0] + X[1]) ** 2
GRID = Grid(("x", "y"), (Add, Sub, Mul, Div, constant(1.0)), 8, 2, 4)
WILD = Grid(("x", "y"), (Add, Sub, Mul, Div, Pow, Log, Max, constant(0.3)), 10)
SMALL = Grid(("x", "y"), (Add, Sub, Mul), 5)


def compiled(seed=0, memory=0, **options):
    return Regression(Search((GRID,), 4, 6, 2, 0.06, seed=seed, **options), X, SQUARE, memory)


@pytest.mark.parametrize("grid", [GRID, WILD], ids=["plain", "wild"])
def test_fitness_is_that_of_the_expression(grid):
    """To the last bit for all parents, and to rounding by NumPy; no `nan`."""
    search = Search((grid,), 5, 8, 1, 0.1, seed=1)
    regression = Regression(search, X, SQUARE)
    state = regression.init()
    for _ in range(5):
        state, _ = regression.run(state, 10)
        for genome, fitness in zip(state.genomes, state.fitness, strict=True):
            program = search.phenotype(genome)[0]
            assert regression(program) == fitness
            with np.errstate(all="ignore"):
                plain = -np.mean((program.function(np)(*X) - SQUARE) ** 2)
            np.testing.assert_allclose(fitness, -np.inf if np.isnan(plain) else plain, 1e-9)
            grid.check(genome)
        assert (np.diff(state.fitness) <= 0).all()


def test_runs_in_pieces_and_with_memory_are_the_same():
    whole, history = compiled().run(compiled().init(), 200, 1.0)
    piece, first = compiled().run(compiled().init(), 70, 1.0)
    piece, second = compiled().run(piece, 130, 1.0)
    assert all((a == b).all() for a, b in zip(whole, piece, strict=True))
    assert (history == np.concatenate([first, second])).all()
    assert (np.diff(history) >= 0).all()
    knowing = compiled(memory=12)
    other, same = knowing.run(knowing.init(), 200, 1.0)
    assert (same == history).all()
    assert (other.genomes == whole.genomes).all()
    assert 0 < other.evaluations < whole.evaluations


def test_it_stops_at_the_goal():
    state, history = compiled(3).run(compiled(3).init(), 20_000, -1e-20)
    assert state.generation == len(history) < 20_000
    assert history[-1] >= -1e-20
    assert (history[:-1] < -1e-20).all()
    np.testing.assert_allclose(compiled(3).champion(state)(*X), SQUARE, atol=1e-9)


def test_generations_to_solution_have_the_distribution_of_the_plain_search():
    """Same first populations, other random numbers: Kolmogorov-Smirnov over 60 seeds."""
    x = X[:, :20]
    target = x[0] * x[1] + x[0]
    plain, fast = [], []
    for seed in range(60):
        search = Search((SMALL,), 2, 4, 2, 0.1, seed=seed)
        regression = Regression(search, x, target)
        _, history = regression.run(regression.init(), 200, -1e-20)
        fast.append(len(history))
        found = evolve(search, Evaluator(regression), 200, -1e-20)
        plain.append(len(found.history) - 1)
        assert regression.init().fitness[0] == found.history[0]
    assert len(set(plain)) > 25
    assert ks_2samp(plain, fast).pvalue > 0.01


def test_evaluations_leave_out_silent_children():
    """As in the plain search, within four standard errors over seeds."""
    plain, fast = [], []
    for seed in range(40):
        search = Search((GRID,), 4, 6, 1, 0.03, seed=seed)
        regression = Regression(search, X[:, :20], X[0, :20] ** 4)
        state, _ = regression.run(regression.init(), 30, 1.0)
        fast.append(int(state.evaluations))
        plain.append(int(evolve(search, Evaluator(regression), 30).state.evaluations))
    assert 4 < np.mean(fast) < 4 + 30 * 6 / 2
    error = np.sqrt((np.var(plain) + np.var(fast)) / 40)
    assert abs(np.mean(plain) - np.mean(fast)) < 4 * error


@pytest.mark.parametrize(
    ("search", "inputs", "target", "says"),
    [
        (Search((GRID, GRID)), X, SQUARE, "2 grids"),
        (Search((Grid(("x", "y"), (Add, parameter())),)), X, SQUARE, "parameter"),
        (Search((GRID,), active_genes=1), X, SQUARE, "active_genes"),
        (Search((GRID,)), X[:1], SQUARE, "inputs"),
        (Search((GRID,)), X, SQUARE[1:], "target"),
        (Search((GRID,)), X, np.full(1000, np.nan), "target"),
    ],
)
def test_what_it_cannot_do_is_said(search, inputs, target, says):
    with pytest.raises(InputError, match=says):
        Regression(search, inputs, target)
