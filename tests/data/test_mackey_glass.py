"""The delay equation against an independent solver and its known attractor."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lapicque._checks import InputError
from lapicque.data import mackey_glass
from lapicque.data.mackey_glass import REGIMES


def method_of_steps(tau: float, history: float, intervals: int):
    """SciPy solves one interval of length tau after the other."""
    solved = []

    def x(t):
        return history if t <= 0 else solved[min(int(t // tau), len(solved) - 1)](t)[0]

    for k in range(intervals):
        before = solved[-1] if solved else lambda t: [history]

        def slope(t, y, before=before):
            past = before(t - tau)[0]
            return [0.2 * past / (1 + past**10) - 0.1 * y[0]]

        span = (k * tau, (k + 1) * tau)
        options = {"method": "DOP853", "dense_output": True, "rtol": 1e-11, "atol": 1e-12}
        solved.append(solve_ivp(slope, span, [x(k * tau)], **options).sol)
    return x


def test_series_agrees_with_another_solver():
    series = mackey_glass(17, 70)
    x = method_of_steps(17, REGIMES[17].history, 12)
    time = 17 + series.step * np.arange(70)
    np.testing.assert_allclose(series.values, [x(t) for t in time], atol=1e-7)


def test_decay_without_a_past():
    """With history 0 nothing ever happens."""
    assert np.all(mackey_glass(17, 50, history=0.0).values == 0)


def test_attractor_at_delay_17():
    values = mackey_glass(17, 2000, step=1.0, history=1.2, start=1000.0).values
    assert 0.38 < values.min() < 0.45
    assert 1.28 < values.max() < 1.36


@pytest.mark.parametrize("tau", REGIMES)
def test_every_regime_of_the_benchmark(tau):
    series = mackey_glass(tau)
    assert series.values.shape == (3750,)
    assert series.step == pytest.approx(series.lyapunov_time / 75)
    assert 0 < series.values.min() < series.values.max() < 1.6
    assert series.values[1000:].std() > 0.1
    train, test = series.instance(29)
    assert train.shape == test.shape == (751,)
    assert train[-1] == test[0]
    np.testing.assert_array_equal(series.instance(1)[0][:10], series.values[37:47])


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="`tau` is 16; it must be one of 17, 18"):
        mackey_glass(16)
    with pytest.raises(InputError, match="`step` is -1 time units"):
        mackey_glass(17, step=-1.0)
    with pytest.raises(InputError, match=r"`k` is 30; .* 1501 points from 1125 on"):
        mackey_glass(17, 2000).instance(30)
