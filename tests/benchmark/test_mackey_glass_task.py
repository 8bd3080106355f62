"""The protocol, its baselines and our entries."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.benchmark import mackey_glass as task, metrics
from lapicque.benchmark.recurrent import Equilibrium, LongShortTermMemory, equilibrium, lstm
from lapicque.benchmark.reservoir import (
    ESN_BY_DELAY,
    SMALL_ESN,
    EchoState,
    SpikingReservoir,
    draw,
    echo_state,
    ridge_readout,
    spiking,
)
from lapicque.data import mackey_glass


def instances(n, tau=17):
    return [task.instance(tau, k) for k in range(n)]


def points(of):
    return np.stack([i.train for i in of])


@pytest.mark.parametrize("tau", task.CHECKSUMS)
def test_series_have_their_checksums(tau):
    assert task.checksum(mackey_glass(tau, task.SHADOWED).values) == task.CHECKSUMS[tau]


def test_instances_are_cut_as_the_benchmark_does():
    series = mackey_glass(17).values
    third = task.instance(17, 3)
    np.testing.assert_array_equal(third.train, series[112:863])
    np.testing.assert_array_equal(third.targets, series[863:1613])
    with pytest.raises(InputError, match="`k`"):
        task.instance(17, 30)


def test_the_mean_is_what_must_be_beaten():
    some = instances(30)
    scores = task.score(task.mean_value(points(some), range(30)), some)
    assert scores.smape.mean() == pytest.approx(21.7, abs=0.1)
    perfect = task.Forecast(np.stack([i.targets for i in some]))
    assert not task.score(perfect, some).smape.any()
    assert (task.score(perfect, some).valid_time == 10).all()


def test_valid_time_ends_where_the_error_first_exceeds():
    targets = np.zeros(750)
    told = np.r_[np.full(75, 0.4), np.full(30, 0.41), np.zeros(645)]
    assert task.valid_time(told, targets, 1.0) == 1.0
    assert task.valid_time(np.full(750, np.nan), targets, 1.0) == 0.0


def test_ridge_is_the_same_from_either_side():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 20)), rng.standard_normal(30)
    wide = np.concatenate([x, np.zeros((30, 20))], 1)
    np.testing.assert_allclose(ridge_readout(wide, y, 0.1)[:20], ridge_readout(x, y, 0.1))
    expected = np.linalg.solve(x.T @ x + 0.1 * np.eye(20), x.T @ y)
    np.testing.assert_allclose(ridge_readout(x, y, 0.1), expected)


@pytest.mark.parametrize("scaling", ["first", "largest"])
def test_spectral_radius(scaling):
    settings = EchoState(40, 0.9, 0.8, 0.5, 1.2, 0.7, 1e-7, scaling)
    size = np.abs(np.linalg.eigvals(draw(settings, 3).w)).max()
    assert size == pytest.approx(1.2) if scaling == "largest" else size >= 1.2 - 1e-9


def test_small_echo_state_network_predicts():
    some = instances(6)
    forecast = echo_state(SMALL_ESN)(points(some), range(6))
    scores = task.score(forecast, some)
    assert np.median(scores.smape) < 18  # the mean as prediction has 21.7
    assert np.median(scores.valid_time) > 1.5
    found = metrics.row(metrics.summary(forecast.records))
    n = 186
    assert found["Dense"] == n**2 + 2 * n + n + 2 == pytest.approx(3.52e4, rel=2e-3)
    assert found["Effective_MACs"] == pytest.approx(4.37e3, rel=0.05)
    assert found["ConnectionSparsity"] == pytest.approx(0.876, abs=0.01)
    assert found["Footprint"] == 8 * (n**2 + 3 * n + 2) + 8 * n


@pytest.mark.slow
def test_echo_state_network_of_the_harness():
    some = instances(30)
    forecast = echo_state(ESN_BY_DELAY[17])(points(some), range(30))
    assert 7 <= task.score(forecast, some).smape.mean() <= 15
    assert metrics.synaptic_operations(forecast.records[0]).dense == 936_056


@pytest.mark.slow  # compiles for long
def test_lstm_has_the_operations_of_its_sizes():
    some = instances(2)
    settings = LongShortTermMemory(window=5, units=4, epochs=2)
    forecast = lstm(settings)(points(some), range(2))
    assert forecast.predictions.shape == (2, 750)
    found = metrics.synaptic_operations(forecast.records)
    assert found.dense == 4 * 4 * (5 + 4) + 3 * 4 + 4
    assert found.acs == 0
    assert metrics.footprint(forecast.records).total == 4 * (16 * 9 + 16 + 5 + 10 + 5 + 8)


def test_slow_neurons_that_look_ahead_predict():
    some = instances(3)
    forecast = equilibrium(Equilibrium(units=120, passes=0))(points(some), range(3))
    assert np.median(task.score(forecast, some).smape) < 16  # the mean as prediction has 21.7


def test_spiking_reservoir_is_driven_by_events():
    some = instances(1)
    settings = SpikingReservoir(units=40, window=3, hold=5.0, dt=0.5, density=0.2)
    forecast = spiking(settings)(points(some), [0])
    assert np.isfinite(forecast.predictions).all()
    (record,) = forecast.records
    spikes = record.populations[0].outputs
    fan_out = sum(c.fan_out for c in record.connections[1:3])
    expected = (spikes.sum((0, 1), dtype=int) * (fan_out + 1)).sum() / 750
    found = metrics.synaptic_operations(record)
    assert found.acs == expected > 0
    assert found.macs == 40 * 3
