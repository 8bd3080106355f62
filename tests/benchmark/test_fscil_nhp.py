"""Motor prediction and few-shot learning: decoders, encoder, readouts, and what they refuse."""

import numpy as np
import pytest

from lapicque._checks import DataError
from lapicque.benchmark import metrics, tasks
from lapicque.experiments.neurobench import fscil, nhp
from lapicque.lab import Quiet


def _reaching(n=600, channels=96, steps=50):
    """A cursor whose velocity is a linear function of the spikes of the last 200 ms."""
    rng = np.random.default_rng(3)
    spikes = (rng.random((n, channels)) < 0.1).astype(np.uint8)
    counts = np.stack([spikes[max(0, t - steps + 1) : t + 1].sum(0) for t in range(n)])
    velocity = counts @ rng.standard_normal((channels, 2)) + 1.0
    train, validation, test = np.split(np.arange(n), (300, 450))
    return counts, tasks.Reaching(spikes, velocity, train, validation, test, True)


def test_a_linear_window_finds_a_linear_window():
    counts, data = _reaching()
    np.testing.assert_array_equal(nhp.window_counts(data.spikes, 50), counts)
    told = nhp.decode("window", data, nhp.Config(ridges=(1e-10,)))
    assert metrics.r2(told.velocity, data.velocity[data.test]) > 0.9999
    found = metrics.summary(told.records)
    assert found["SynapticOperations"]["Dense"] == 2 * 96
    assert found["SynapticOperations"]["Effective_MACs"] == 2 * (counts[450:] > 0).sum() / 150
    assert found["FootprintBuffers"] == 50 * 96  # the whole window, one byte each


def test_the_network_is_causal_and_costs_what_the_baseline_of_its_size_does():
    _, data = _reaching()
    config = nhp.Config(ridges=(1e-2,))
    told = nhp.decode("ahead", data, config)
    later = data.spikes.copy()
    later[500:] ^= 1
    other = nhp.decode("ahead", data._replace(spikes=later), config)
    np.testing.assert_array_equal(told.velocity[:50], other.velocity[:50])
    assert (told.velocity[51:] != other.velocity[51:]).any()
    board = nhp.LEADER_BOARD["Baseline SNN, Indy (leader board)"]
    found = metrics.summary(told.records)["SynapticOperations"]
    assert found["Dense"] == board["Dense"] == 96 * 50 + 50 * 2
    assert found["Effective_ACs"] == pytest.approx(50 * data.spikes[450:].sum() / 150)


def test_delta_modulation_follows_a_signal():
    signal = np.array([0.2, 1.5, 2.8, 2.9, 0.5, -3.0, -3.0])
    spikes = fscil.delta_modulated(signal[:, None])[:, 0]
    np.testing.assert_array_equal(spikes, [0, 1, 1, 0, -1, -1, -1])
    slow = np.cumsum(np.random.default_rng(0).uniform(-0.9, 0.9, (300, 4)), 0)
    level = np.round(slow[0]) + fscil.delta_modulated(slow).cumsum(0)
    assert np.abs(level - slow).max() <= 1.0  # a signal slower than the level is never lost


def test_kept_sums_forget_nothing_and_prototypes_are_nearest_means():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(5), (30, 20, 4, 3, 5))
    x = rng.standard_normal((62, 6)) + 3 * rng.standard_normal((5, 6))[labels]
    joint = fscil.Sums.none(6).learn(x, labels)
    old = labels < 2
    apart = fscil.Sums.none(6).learn(x[old], labels[old]).learn(x[~old], labels[~old])
    np.testing.assert_allclose(apart.gram, joint.gram, rtol=1e-12)
    share = np.sqrt(1 / np.bincount(labels)[labels])[:, None]  # every class has the same weight
    ones = np.column_stack([x, np.ones(62)])
    direct = np.linalg.lstsq(share * ones, share * np.eye(5)[labels], rcond=None)[0]
    found = apart.ridge(1e-12)
    np.testing.assert_allclose(np.column_stack(found).T, direct, atol=1e-8)
    means = np.stack([x[labels == k].mean(0) for k in range(5)])
    nearest = np.square(x[:, None] - means).sum(2).argmin(1)
    np.testing.assert_array_equal(fscil.prototypes(apart.means)(x), nearest)
    table = np.array([[[0.9, np.nan, np.nan], [0.8, 0.7, np.nan], [0.5, 0.6, 0.1]]])
    np.testing.assert_allclose(fscil.forgetting(table), [0.25])


@pytest.mark.parametrize(("module", "task", "place"), [
    (nhp, "reaching", "Zenodo"), (fscil, "keywords", "Hugging Face"),
])  # fmt: skip
def test_the_benchmark_wants_its_own_data(module, task, place, tmp_path, monkeypatch):
    monkeypatch.setenv("LAPICQUE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=place):
        module.run(module.PRESETS["paper"], 0, Quiet())
    tasks.stand_in(module.data_place(), (task,))
    with pytest.raises(DataError, match="stand-ins"):
        module.run(module.PRESETS["paper"], 0, Quiet())
