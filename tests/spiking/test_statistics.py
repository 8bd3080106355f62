from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from lapicque._checks import InputError
from lapicque.spiking.statistics import (
    correlation,
    counts,
    cv,
    fano,
    interval,
    population_rate,
    prediction,
    rates,
)


class Train(NamedTuple):
    time: np.ndarray
    id: np.ndarray


def merged(trains):
    """One train of all units, in the order of time."""
    time = np.concatenate([np.asarray(t, float) for t in trains])
    unit = np.repeat(np.arange(len(trains)), [len(t) for t in trains])
    order = np.argsort(time, kind="stable")
    return Train(time[order], unit[order])


def renewal(shape, size, n, mean=20.0, seed=0):
    """Trains with gamma-distributed intervals of this mean [ms], in equilibrium."""
    rng = np.random.default_rng(seed)
    return [np.cumsum(rng.gamma(shape, mean / shape, n)) - 500.0 for _ in range(size)]


@pytest.mark.parametrize("shape", [1, 4, 16])
def test_cv_and_fano_of_gamma_processes(shape):
    """The CV is 1 / sqrt(k), and counts of long windows have the variance CV^2 times the mean."""
    spikes = merged(renewal(shape, 50, 3000))
    np.testing.assert_allclose(cv(spikes, 50).mean(), shape**-0.5, rtol=0.01)
    found = fano(spikes, 50, 1000.0, 0.0, 50000.0).mean()
    # To the next order, the counts of a renewal process have the variance m CV^2 + (1 - CV^4) / 6
    # for a gamma process (Cox and Lewis, 1966).
    expected = 1 / shape + (1 - shape**-2.0) / 6 / 50
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_a_clock_has_no_variability():
    spikes = merged([np.arange(1, 100) * 10.0] * 2)
    np.testing.assert_allclose(cv(spikes, 2), 0.0, atol=1e-12)
    np.testing.assert_allclose(fano(spikes, 2, 50.0, 0.0, 950.0), 0.0)
    np.testing.assert_allclose(rates(spikes, 2, 0.0, 900.0), 100.0)


@pytest.mark.parametrize("c", [0.0, 0.2, 0.7])
def test_trains_thinned_from_a_common_one_are_correlated(c):
    """Each of its spikes kept with probability c: the counts of two such trains correlate by c."""
    rng = np.random.default_rng(3)
    mother = np.sort(rng.uniform(0, 1e5, 10000)) if c else np.zeros(0)
    if c:
        trains = [mother[rng.random(mother.size) < c] for _ in range(12)]
    else:
        trains = [np.sort(rng.uniform(0, 1e5, 2000)) for _ in range(12)]
    found = correlation(merged(trains), 12, 20.0, 0.0, 1e5)
    assert abs(found.mean - c) < 0.015
    np.testing.assert_allclose(np.diag(found.matrix), 1.0)
    np.testing.assert_allclose(found.matrix, found.matrix.T)


def test_correlation_is_that_of_numpy():
    spikes = merged(renewal(2, 6, 200))
    chosen = [4, 1, 3]
    table = counts(spikes, 6, 30.0, 0.0, 2000.0, chosen)
    found = correlation(spikes, 6, 30.0, 0.0, 2000.0, chosen)
    np.testing.assert_allclose(found.matrix, np.corrcoef(table.T))


def test_silent_units_are_left_out():
    spikes = merged([[1.0, 2.0, 9.0, 9.5], [], [1.5, 3.0, 8.0]])
    found = correlation(spikes, 3, 1.0, 0.0, 10.0)
    assert np.isnan(found.matrix[1]).all()
    assert found.mean == pytest.approx(found.matrix[0, 2])
    assert np.isnan(correlation(merged([[], [1.0]]), 2, 1.0, 0.0, 10.0).mean)
    assert np.isnan(cv(spikes, 3, at_least=3)).tolist() == [False, True, True]
    assert np.isnan(fano(spikes, 3, 1.0, 0.0, 10.0)).tolist() == [False, True, False]
    np.testing.assert_allclose(rates(spikes, 3, 0.0, 10.0), [400.0, 0.0, 300.0])


def test_cv_of_few_intervals():
    spikes = merged([[1.0, 2.0, 4.0, 7.0]])
    assert cv(spikes, 1)[0] == pytest.approx(np.std([1, 2, 3]) / 2)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 4)), max_size=60),
    width=st.integers(1, 40),
    first=st.integers(0, 50),
)
def test_every_step_falls_into_one_bin(steps, width, first):
    """On a grid of 0.1 ms, where times are not exact numbers, no spike is lost or moved."""
    steps.sort()
    step = np.array([s for s, _ in steps], int)
    unit = np.array([u for _, u in steps], int)
    spikes = Train(step * 0.1, unit)
    bins = (300 - first) // width
    expected = np.zeros((bins, 5))
    for s, u in steps:
        row = (s - first - 1) // width
        if s > first and row < bins:
            expected[row, u] += 1
    found = counts(spikes, 5, width * 0.1, first * 0.1, 30.0)
    np.testing.assert_array_equal(found, expected)
    total = population_rate(spikes, 5, width * 0.1, first * 0.1, 30.0)
    np.testing.assert_allclose(total.rate, expected.sum(1) / 5 / (width * 1e-4))
    np.testing.assert_allclose(total.time, first * 0.1 + (np.arange(bins) + 0.5) * width * 0.1)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_student_intervals(n):
    samples = np.random.default_rng(n).normal(3.0, 2.0, n)
    found = interval(samples, 0.9)
    expected = stats.t.interval(0.9, n - 1, samples.mean(), stats.sem(samples))
    np.testing.assert_allclose(found, (samples.mean(), *expected))
    wider = prediction(samples, 0.9)
    np.testing.assert_allclose(wider.high - wider.mean, (found.high - found.mean) * (n + 1) ** 0.5)


def test_the_next_sample_falls_into_its_prediction():
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 3.0, (4000, 5))
    hits = 0
    for *known, new in samples:
        _, low, high = prediction(known, 0.8)
        hits += low <= new <= high
    assert abs(hits / 4000 - 0.8) < 0.02


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: rates(s, 2, 5.0, 5.0), "from 5 to 5 ms is empty"),
        (lambda s: rates(s, 1, 0.0, 5.0), r"`id\[1\]` is 1"),
        (lambda s: counts(s, 2, 0.0, 0.0, 5.0), "`bin` is 0 ms"),
        (lambda s: counts(s, 2, 9.0, 0.0, 5.0), "shorter than a bin of 9 ms"),
        (lambda s: counts(s, 2, 1.0, 0.0, 5.0, [2]), r"`neurons\[0\]` is 2"),
        (lambda s: fano(s, 2, 5.0, 0.0, 5.0), "one bin"),
        (lambda s: correlation(s, 2, 5.0, 0.0, 5.0), "one bin"),
        (lambda s: cv(s, 2, at_least=0), "`at_least` is 0"),
        (lambda s: interval([1.0]), "`samples` holds 1 values"),
        (lambda s: interval([1.0, np.nan]), r"`samples\[1\]` is nan"),
        (lambda s: prediction([1.0, 2.0], 95.0), "`confidence` is 95"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make(merged([[1.0], [2.0]]))
