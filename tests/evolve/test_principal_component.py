"""Rules of plasticity that should find the first principal component."""

import pickle

import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st
from sklearn.datasets import make_spd_matrix

from lapicque._checks import InputError
from lapicque.evolve import Add, Evaluator, Grid, Mul, Program, Search, Sub, generation, parse
from lapicque.evolve.tasks.principal_component import (
    HEBB,
    INPUTS,
    OJA,
    DataSets,
    Family,
    Fitness,
    end,
    learn,
    normalised_hebb,
    random_covariance,
)

FASTER = parse("(2 * y + 1 + w) * (x - w * y)", INPUTS)
GRID = Grid(INPUTS, (Sub, Mul), columns=30)


def gaussian(covariance, sets, samples, seed):
    """Data of one covariance that begin along different directions."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((sets, samples, len(covariance))) @ np.linalg.cholesky(covariance).T
    start = rng.standard_normal((sets, len(covariance)))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    return DataSets(x, start, np.tile(np.linalg.eigh(covariance)[1][:, -1], (sets, 1)))


@pytest.mark.parametrize(
    ("rule", "weights", "mean"),
    [
        (OJA, (0.99982536, 0.03136001), 0.92401685),
        # the mean of the second as plain NumPy has it
        (FASTER, (1.00131063, -0.00101479), 0.96291806),
    ],
)
def test_golden_trajectory(rule, weights, mean):
    t = np.arange(1000.0)
    x = np.stack([np.cos(t), 0.5 * np.sin(1.3 * t)], 1)
    data = DataSets(x[None], np.array([[0.6, 0.8]]), np.array([[1.0, 0.0]]))
    learned = learn(rule, data, 0.01)
    np.testing.assert_allclose(learned.weights[0], weights, atol=1e-8)
    assert learned.alignment.mean() == pytest.approx(mean, abs=1e-8)
    w, along = np.array([0.6, 0.8]), []
    for row in x:
        along.append(abs(w[0]) / np.linalg.norm(w))
        w = w + 0.01 * rule(row, w, row @ w)
    np.testing.assert_allclose(learned.weights[0], w, rtol=1e-12)
    np.testing.assert_allclose(learned.alignment[:, 0], along, rtol=1e-12)


@pytest.mark.parametrize("text", ["tanh(y) * x - w / (1 + y * y)", "y", "x * exp(-abs(w))"])
def test_any_operation_and_any_number_of_inputs(text):
    """The compiled simulation agrees with one written out, for data sets side by side."""
    rule, data = parse(text, INPUTS), Family(sets=3, n=4, samples=50).draw(1)
    learned = learn(rule, data, 0.05)
    for d in range(3):
        w = data.start[d]
        for x in data.samples[d]:
            w = w + 0.05 * rule(x, w, x @ w)
        np.testing.assert_allclose(learned.weights[d], w, rtol=1e-9)


def test_genome_of_ojas_rule():
    """As printed: three active nodes, and all other nodes are silent."""
    rng = np.random.default_rng(0)
    dna = GRID.to_dna(GRID.random(rng, 1)[0])
    dna[9:18], dna[-3:] = [1, 2, 1, 0, 0, 3, 1, 2, 4], [-2, 5, -3]
    genome = GRID.from_dna(dna)
    x, w, y = (sympy.Symbol(name, real=True) for name in INPUTS)
    assert sympy.expand(Program.decode(GRID, genome).to_sympy() - y * (x - w * y)) == 0
    assert np.flatnonzero(GRID.active_nodes(genome)).tolist() == [0, 1, 2]
    others = GRID.random(rng, 50)
    others[:, :9], others[:, -1] = genome[:9], genome[-1]
    assert GRID.silent(np.tile(genome, (50, 1)), others).all()
    assert {Program.decode(GRID, other).key for other in others} == {OJA.key}


def test_mutation_of_the_published_size():
    """A share p of 3001 genes changes, all remain within what they may be."""
    grid, rng = Grid(INPUTS, (Sub, Mul), columns=1000), np.random.default_rng(0)
    parents = grid.random(rng, 200)
    children = grid.mutate(rng, parents, 0.05)
    changed = (children != parents).sum(1)
    n = int((grid.choices > 1).sum())
    assert n == 3001
    assert abs(changed.mean() - 0.05 * n) < 3 * np.sqrt(n * 0.05 * 0.95 / 200)
    for child in children[:20]:
        grid.check(child)


def test_selection_drifts_and_never_falls():
    task = Fitness(Family(samples=100).draw(0))
    search = Search((GRID,), seed=2)
    state, evaluator, drifted = search.init(), Evaluator(task), 0
    state = generation(search, state, evaluator)
    for _ in range(60):
        asked = search.ask(state)
        silent = ~asked.unknown
        assert (asked.fitness[silent] == state.fitness[0]).all()
        after = generation(search, state, evaluator)
        assert after.fitness[0] >= state.fitness[0]
        same = after.fitness[0] == state.fitness[0]
        drifted += same and (after.genomes[0] != state.genomes[0]).any()
        state = after
    assert drifted > 10


@pytest.mark.parametrize(
    "text", ["y / (w - w)", "w * w * w * 1e300", "log(0 - 1 - w * w)", "y*1e9"]
)
def test_what_diverges_is_worst(text):
    task = Fitness(Family(samples=200).draw(0))
    assert task(parse(text, INPUTS)) == -np.inf
    assert -np.inf < task(HEBB) < -100
    search = Search((Grid(INPUTS, (Sub, Mul), columns=5),), parents=2, tournament=1)
    oja, state = (OJA,), search.init()
    state = search.tell(state, search.ask(state), np.array([-np.inf, task(OJA)]))
    assert state.fitness[0] == Evaluator(task)([oja])[0] > -np.inf


def test_random_covariance_is_scikit_learns():
    for n, seed in ((2, 0), (3, 4), (7, 1)):
        ours = random_covariance(np.random.RandomState(seed), n)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, make_spd_matrix(n, random_state=seed), atol=1e-12)


def test_data_have_one_large_principal_axis():
    """The ratio of eigenvalues, as 2000 seeds of another program had it."""
    family = Family()
    drawn = [family.covariance(np.random.default_rng(seed)) for seed in range(500)]
    assert all(c.max() == pytest.approx(1.0) for c in drawn)
    values = np.array([np.linalg.eigvalsh(c) for c in drawn])
    ratio = values[:, 1] / values[:, 0]
    assert ratio.min() > 3
    assert np.median(ratio) == pytest.approx(5.3, abs=0.4)
    data = Family(samples=20_000, mean=2.0).draw(3)
    for x, axis in zip(data.samples, data.axes, strict=True):
        np.testing.assert_allclose(x.mean(0), 2.0, atol=0.05)
        assert abs(np.linalg.eigh(np.cov(x.T))[1][:, -1] @ axis) > 0.999
    np.testing.assert_allclose(np.linalg.norm(data.start, axis=1), 1.0)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(-180, 180), seed=st.integers(0, 2**31), n=st.integers(2, 4))
def test_axes_at_an_angle(angle, seed, n):
    data = Family(sets=2, n=n, samples=1, angle=angle).draw(seed)
    turned = np.deg2rad(angle)
    along = data.axes[:, :2] @ (np.cos(turned), np.sin(turned))
    np.testing.assert_allclose(np.abs(along), 1.0, atol=1e-9)


def test_draws_repeat_and_continue():
    """The same seed gives the same data, also for the first sets of a longer draw."""
    short, long = Family(sets=2, samples=5).draw(7), Family(sets=4, samples=5).draw(7)
    assert (short.samples == long.samples[:2]).all()
    assert (short.start == long.start[:2]).all()
    assert (Family(sets=2, samples=5).draw(8).samples != short.samples).any()


def test_fitness_is_what_it_says():
    data = Family(sets=4, samples=400).draw(1)
    learned = learn(OJA, data, 0.02)
    norm = np.linalg.norm(learned.weights, axis=1)
    expected = (learned.alignment.mean(0) - 2 * (norm - 1) ** 2).sum()
    task = Fitness(data, eta=0.02)
    assert task(OJA) == pytest.approx(expected, rel=1e-12)
    assert pickle.loads(pickle.dumps(task))(OJA) == task(OJA)
    first = DataSets(data.samples[:, :360], data.start, data.axes)
    w = learn(OJA, first, 0.02).weights
    output = (data.samples[:, 360:] * w[:, None]).sum(2)
    expected = (output.var(1) - 2 * (np.linalg.norm(w, axis=1) - 1) ** 2).sum()
    assert Fitness(data, 0.02, "variance")(OJA) == pytest.approx(expected, rel=1e-12)


def test_vanishing_weights_count_for_one_data_set_alone():
    """Weights of one data set are nothing from the start; the other keeps its merit."""
    data = Family(sets=2, samples=200).draw(0)
    start = data.start * np.array([[1.0], [0.0]])
    both = Fitness(DataSets(data.samples, start, data.axes))
    alone = Fitness(DataSets(data.samples[:1], start[:1], data.axes[:1]))
    assert both(OJA) == pytest.approx(alone(OJA) - 2.0, rel=1e-12)


def test_oja_finds_the_axis():
    """Eigenvalues 1 and 1/3, any orientation; and normalised Hebb, which it approximates."""
    turn = np.array([[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]])
    data = gaussian(turn * (1, 1 / 3) @ turn.T, 10, 5000, 0)
    alignment, norm = end(learn(OJA, data), data)
    assert alignment.min() >= 0.99
    assert np.abs(norm - 1).max() <= 0.01
    hebb = normalised_hebb(data)
    np.testing.assert_allclose(np.linalg.norm(hebb.weights, axis=1), 1.0)
    np.testing.assert_allclose(end(hebb, data)[0], alignment, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_ojas_fitness_on_the_family(seed):
    task = Fitness(Family().draw(seed))
    assert 0.95 < task(OJA) / 10 < 1


def test_mean_dynamics_rest_on_eigenvectors():
    """Averaged over samples of exactly known covariance, Oja's rule leaves unit eigenvectors."""
    c = Family(n=3).covariance(np.random.default_rng(0))
    values, vectors = np.linalg.eigh(c)
    x = np.sqrt(3) * np.linalg.cholesky(c).T  # rows whose second moments are c
    for value, w in zip(values, vectors.T, strict=True):
        y = x @ w
        change = OJA(x, w, y[:, None]).mean(0)
        np.testing.assert_allclose(change, c @ w - (w @ c @ w) * w, atol=1e-12)
        np.testing.assert_allclose(change, value * w - value * w, atol=1e-12)


def test_bad_input_is_named():
    data = Family(sets=1, samples=10).draw(0)
    with pytest.raises(InputError, match=r"`eta` is 0"):
        Fitness(data, eta=0)
    with pytest.raises(InputError, match=r"`mode` is 'angel'.*Did you mean 'angle'"):
        Fitness(data, mode="angel")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"has inputs \('a',\)"):
        learn(parse("a", ("a",)), data)
    with pytest.raises(InputError, match=r"`start` has shape"):
        DataSets(data.samples, data.start[:, :1], data.axes)
    with pytest.raises(InputError, match=r"`angle` is 270 degrees"):
        Family(angle=270)


def test_evolution_from_oja_never_falls_below_it():
    task = Fitness(Family(samples=1000).draw(0))
    search = Search((Grid(INPUTS, (Add, Sub, Mul), columns=20),), parents=2, children=4)
    state, evaluator = search.init((OJA,)), Evaluator(task)
    for _ in range(200):
        state = generation(search, state, evaluator)
        assert state.fitness[0] >= task(OJA)


@pytest.mark.slow
def test_evolution_from_nothing():
    """As in the authors' code, but 30 columns: at least 2 of 5 reach Oja's fitness."""
    reached, divisible = 0, 0
    x, w, y = (sympy.Symbol(name, real=True) for name in INPUTS)
    for seed in range(5):
        task = Fitness(Family(samples=1000).draw(seed))
        search = Search((GRID,), parents=1, children=4, rate=0.05, seed=seed)
        state, evaluator = search.init(), Evaluator(task)
        for _ in range(2001):
            state = generation(search, state, evaluator)
        if state.fitness[0] >= task(OJA):
            reached += 1
            (rule,) = search.champion(state)
            divisible += sympy.expand(rule.to_sympy().subs(x, w * y)) == 0
    assert reached >= 2
    assert divisible >= 1
