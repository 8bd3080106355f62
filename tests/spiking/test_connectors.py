import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import chdtrc

from lapicque._checks import InputError
from lapicque.spiking.connectors import (
    AllToAll,
    DistanceDependent,
    DistanceInDegree,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FromArrays,
    OneToOne,
    between,
)

sizes = st.integers(1, 30)
seeds = st.integers(0, 2**32 - 1)


def near(distance):
    return np.exp(-(distance**2) / 0.08)


def draw(connector, pre, post, seed=0, same=False, positions=None):
    if positions is None:
        rng = np.random.default_rng(1000)
        there = rng.random((pre, 2))
        positions = (there, there if same else rng.random((post, 2)))
    return connector.pairs(pre, post, np.random.default_rng(seed), same=same, positions=positions)


def doubles(pre, post):
    return len(pre) - len(np.unique(np.stack([pre, post]), axis=1).T)


def is_chance(counts, expected):
    """Whether these counts are not too far from what is expected of independent events."""
    return chdtrc(len(counts) - 1, ((counts - expected) ** 2 / expected).sum()) > 1e-3


@st.composite
def connectors(draw_from):
    """A connector and the sizes of two populations that it fits."""
    pre, post = draw_from(sizes), draw_from(sizes)
    same = draw_from(st.booleans())
    post = pre if same else post
    self_connections = draw_from(st.booleans())
    fewest = min(pre, post) - (same and not self_connections)
    n = draw_from(st.integers(0, fewest))
    p = draw_from(st.floats(0, 1))
    connector = draw_from(
        st.sampled_from(
            [
                AllToAll(self_connections),
                FixedProbability(p, self_connections),
                FixedInDegree(n, self_connections, multiple=False),
                FixedOutDegree(n, self_connections, multiple=False),
                DistanceDependent(lambda d: p * near(d), self_connections, box=1.0),
                DistanceInDegree(n, near, self_connections, box=1.0),
            ]
        )
    )
    return connector, pre, post, same, self_connections


@settings(deadline=None, max_examples=150)
@given(case=connectors(), seed=seeds)
def test_pairs_exist_do_not_repeat_and_respect_the_diagonal(case, seed):
    connector, pre, post, same, self_connections = case
    i, j = draw(connector, pre, post, seed, same)
    assert i.dtype == j.dtype == np.int32
    assert i.shape == j.shape
    if i.size:
        assert 0 <= i.min() <= i.max() < pre
        assert 0 <= j.min() <= j.max() < post
    assert doubles(i, j) == 0
    if same and not self_connections:
        assert (i != j).all()
    again = draw(connector, pre, post, seed, same)
    np.testing.assert_array_equal(again, (i, j))


@pytest.mark.parametrize("multiple", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_degrees_are_exact(multiple, same):
    pre, post = (40, 40) if same else (40, 25)
    for connector in (
        FixedInDegree(7, False, multiple),
        DistanceInDegree(7, near, False, multiple),
    ):
        i, j = draw(connector, pre, post, same=same)
        np.testing.assert_array_equal(np.bincount(j, minlength=post), 7)
        np.testing.assert_array_equal(j, np.repeat(np.arange(post), 7))
        assert (doubles(i, j) > 0) == multiple
    i, j = draw(FixedOutDegree(7, False, multiple), pre, post, same=same)
    np.testing.assert_array_equal(i, np.repeat(np.arange(pre), 7))
    assert (doubles(i, j) > 0) == multiple


def test_all_units_can_be_drawn_without_doubles():
    i, j = draw(FixedInDegree(9, self_connections=False, multiple=False), 10, 10, same=True)
    assert doubles(i, j) == 0
    assert len(i) == 90


@pytest.mark.parametrize("multiple", [True, False])
def test_inputs_are_drawn_evenly(multiple):
    """Of all others each is as likely, also where a unit itself is left out."""
    connector = FixedInDegree(3, self_connections=False, multiple=multiple)
    hits = np.zeros((8, 8))
    for seed in range(2000):
        i, j = draw(connector, 8, 8, seed, same=True)
        np.add.at(hits, (j, i), 1)
    others = hits[~np.eye(8, dtype=bool)].reshape(8, 7)
    assert all(is_chance(row, 2000 * 3 / 7) for row in others)


def test_a_matrix_lends_its_order_to_all_to_all():
    i, j = draw(AllToAll(), 3, 2)
    np.testing.assert_array_equal(i, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(j, [0, 0, 0, 1, 1, 1])
    i, j = draw(AllToAll(self_connections=False), 4, 4, same=True)
    post, pre = np.nonzero(~np.eye(4, dtype=bool))
    np.testing.assert_array_equal((i, j), (pre, post))


def test_self_connections_are_between_a_population_and_itself():
    assert len(draw(AllToAll(self_connections=False), 4, 4)[0]) == 16


def test_one_to_one():
    np.testing.assert_array_equal(draw(OneToOne(), 5, 5), (np.arange(5), np.arange(5)))


@pytest.mark.parametrize("p", [0.02, 0.5, 0.97])
def test_the_number_of_synapses_is_binomial(p):
    pre, post = 300, 400
    i, j = draw(FixedProbability(p), pre, post)
    spread = np.sqrt(pre * post * p * (1 - p))
    assert abs(len(i) - pre * post * p) < 4 * spread
    for index, size, others in ((i, pre, post), (j, post, pre)):
        degrees = np.bincount(index, minlength=size)
        np.testing.assert_allclose(degrees.var(), others * p * (1 - p), rtol=0.4)


def test_certain_and_impossible_connections():
    assert len(draw(FixedProbability(1.0), 5, 6)[0]) == 30
    assert len(draw(FixedProbability(0.0), 5, 6)[0]) == 0
    assert len(draw(DistanceDependent(lambda d: np.ones_like(d)), 5, 6)[0]) == 30


def test_the_shortest_way_on_a_torus():
    there, here = [[0.1, 0.5], [0.2, 0.2]], [[0.9, 0.5], [0.2, 1.7]]
    found = between(there, here, [0, 1], [0, 1], box=(1.0, 2.0))
    np.testing.assert_allclose(found, [0.2, 0.5])
    np.testing.assert_allclose(between(there, here, [0, 1], [0, 1]), [0.8, 1.5])
    assert between(there, here, np.arange(2), np.arange(2)[:, None], 1.0).shape == (2, 2)


@pytest.mark.parametrize("box", [None, 1.0])
def test_the_probability_follows_the_distance(box):
    rng = np.random.default_rng(1)
    place = rng.random((500, 2))
    connector = DistanceDependent(lambda d: 0.4 * near(d), box=box)
    i, j = draw(connector, 500, 500, same=True, positions=(place, place))
    every = between(place, place, np.arange(500), np.arange(500)[:, None], box)
    every = every[~np.eye(500, dtype=bool)]
    edges = np.quantile(every, np.linspace(0, 1, 11))
    drawn, _ = np.histogram(between(place, place, i, j, box), edges)
    p = 0.4 * near(every)
    mean, _ = np.histogram(every, edges, weights=p)
    variance, _ = np.histogram(every, edges, weights=p * (1 - p))
    assert chdtrc(10, ((drawn - mean) ** 2 / variance).sum()) > 1e-3


@pytest.mark.parametrize("multiple", [True, False])
def test_few_inputs_follow_the_profile(multiple):
    """One of many is drawn in proportion to the profile, again and again."""
    place = np.linspace(0, 1, 12)[:, None]
    hits = np.zeros(12)
    connector = DistanceInDegree(1, lambda d: np.exp(-d), multiple=multiple)
    i, _ = draw(connector, 12, 4000, positions=(place, np.zeros((4000, 1))))
    hits = np.bincount(i, minlength=12)
    expected = np.exp(-place[:, 0])
    assert is_chance(hits, 4000 * expected / expected.sum())


def test_inputs_without_doubles_are_drawn_one_after_the_other():
    """The pair {a, b} has probability a b / (1 - a) + a b / (1 - b) for weights that sum to 1."""
    weight = np.array([0.6, 0.3, 0.1])
    place = np.arange(3.0)[:, None]
    connector = DistanceInDegree(2, lambda d: weight[d.astype(int)])
    i, _ = draw(connector, 3, 6000, positions=(place, np.zeros((6000, 1))))
    left_out = np.bincount(3 - i.reshape(-1, 2).sum(1), minlength=3)
    pairs = [(1, 2), (0, 2), (0, 1)]
    a, b = (weight[[pair[k] for pair in pairs]] for k in (0, 1))
    assert is_chance(left_out, 6000 * (a * b / (1 - a) + a * b / (1 - b)))


def test_blocks_of_distances_leave_no_seam(monkeypatch):
    rng = np.random.default_rng(2)
    place = rng.random((30, 2))
    for connector in (
        DistanceInDegree(5, near),
        DistanceInDegree(5, near, multiple=True),
        DistanceDependent(near),
    ):
        whole = draw(connector, 30, 30, same=True, positions=(place, place))
        with monkeypatch.context() as patch:
            patch.setattr("lapicque.spiking.connectors._BLOCK", 100)
            parts = draw(connector, 30, 30, same=True, positions=(place, place))
        np.testing.assert_array_equal(parts, whole)


def test_given_pairs_keep_their_order():
    i, j = draw(FromArrays([2, 0, 2], [1, 1, 1]), 3, 2)
    np.testing.assert_array_equal((i, j), ([2, 0, 2], [1, 1, 1]))
    assert len(draw(FromArrays([], []), 3, 2)[0]) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedProbability(1.2), "`p` is 1.2; it must lie between 0 and 1"),
        (lambda: FixedProbability(float("nan")), "`p` is nan"),
        (lambda: FixedInDegree(-1), "`n` is -1; it must be a whole number, at least 0"),
        (lambda: FixedOutDegree(2.5), "`n` is 2.5"),  # type: ignore[arg-type]
        (lambda: DistanceInDegree(2, near, box=0.0), "`box` is 0; it must be above 0"),
        (lambda: FromArrays([0, 1], [0]), "`pre` has 2 entries and `post` 1"),
        (lambda: FromArrays([0.0], [0]), "`pre` holds float64; indices are integers"),
        (lambda: FromArrays([[0]], [0]), "`pre` has shape"),
        (lambda: draw(OneToOne(), 3, 4), "these have 3 and 4 units"),
        (lambda: draw(FromArrays([0, 7], [0, 0]), 5, 5), r"`pre\[1\]` is 7.* 5 units, 0 to 4"),
        (lambda: draw(FromArrays([0], [-1]), 5, 5), r"`post\[0\]` is -1"),
        (lambda: draw(FixedInDegree(6, multiple=False), 5, 9), "`n` is 6, but there are only 5"),
        (lambda: draw(FixedOutDegree(6, multiple=False), 9, 5), "only 5 units"),
        (lambda: draw(FixedInDegree(5, False, False), 5, 5, same=True), "only 4 units"),
        (lambda: draw(FixedInDegree(1, False), 1, 1, same=True), "only 0 units"),
        (lambda: draw(DistanceInDegree(6, near), 5, 9), "only 5 units"),
        (lambda: draw(DistanceDependent(lambda d: 2 + d), 3, 3), "`probability` is 2.* 0 and 1"),
        (lambda: draw(DistanceDependent(lambda d: d[0]), 3, 3), "one value per distance"),
        (lambda: draw(DistanceInDegree(1, lambda d: -d), 3, 3), "`profile` is -.*at least 0"),
        (
            lambda: draw(DistanceInDegree(2, lambda d: 1.0 * (d > 1e9)), 3, 3),
            "above zero for 0 inputs of unit 0; it needs 2",
        ),
        (
            lambda: draw(DistanceInDegree(1, near, multiple=True, box=(1, 1, 1)), 3, 3),
            "`box` has 3 edges; positions have 2 dimensions",
        ),
        (
            lambda: DistanceDependent(near).pairs(3, 3, np.random.default_rng(0)),
            "`DistanceDependent` needs positions of both populations",
        ),
        (
            lambda: draw(
                DistanceDependent(near), 3, 3, positions=(np.ones((3, 1)), np.ones((3, 2)))
            ),
            "Both populations need as many dimensions",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
