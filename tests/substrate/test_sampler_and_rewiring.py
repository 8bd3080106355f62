"""Sampling with the neurons of a chip, and synapses that look for better sources."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from lapicque._checks import InputError
from lapicque.data import iris
from lapicque.sampling import Boltzmann
from lapicque.sampling.observables import empirical, kl, kl_floor
from lapicque.spiking import LIF
from lapicque.spiking.random import chain_keys
from lapicque.substrate import Chip, Distortions, brainscales2
from lapicque.substrate.episodes import Episodes, Events
from lapicque.substrate.plasticity import CorrelationSensors, Observables, Processor
from lapicque.substrate.rewiring import Rewiring, density, tent, words
from lapicque.substrate.sampler import ChipSampler, SamplingSettings, learn, measure, moments, put

# -- sampling ------------------------------------------------------------------------------------


def test_a_sampler_on_a_chip_samples_and_learning_brings_it_nearer():
    chip = Chip(brainscales2(), 3)
    weight, biases = np.array([[0, 1.5], [1.5, 0]]), np.array([-1.0, 0.5])
    target = Boltzmann(weight, biases)
    sampler = ChipSampler(chip, 2, 1)
    activation = measure(sampler, samples=300, points=12)
    assert np.all((activation.width > 4) & (activation.width < 16))
    start = moments(np.zeros((1, 1, 2)))._replace(biases=biases[None] * 0, weights=weight[None] * 0)
    put(sampler, activation, start)
    before = kl(empirical(sampler.run(2000)[:, 0]), target.probabilities)
    means, products = target.moments()
    data = start._replace(weights=(products * (1 - np.eye(2)))[None], biases=means[None])
    learned, seen = learn(
        sampler, activation, start, data, steps=40, samples=250, rate=lambda k: 3 / (1 + k / 10)
    )
    assert seen.shape == (40, 250, 1, 2)
    assert np.allclose(learned.weights, learned.weights.swapaxes(1, 2))
    after = kl(empirical(sampler.run(4000)[:, 0]), target.probabilities)
    assert before > 0.1
    assert after < 0.02
    # learned against what was asked for: the same machine, up to sampling and translation
    assert learned.weights[0, 0, 1] == pytest.approx(1.5, abs=0.6)


def test_units_without_weights_are_on_independently_and_by_their_bias():
    chip = Chip(brainscales2(), 0, Distortions.none())
    sampler = ChipSampler(chip, 2, 2)
    assert sampler.refractory == pytest.approx(20.0, abs=1.0)
    activation = measure(sampler, samples=400, points=12)
    biases = np.array([[-1.0, 1.0], [0.0, 2.0]])
    sampler.write(np.zeros((2, 2, 2)), activation.biases(biases))
    sampler.run(20)
    states = sampler.run(4000).astype(float)
    assert states.mean(0) == pytest.approx(1 / (1 + np.exp(-biases)), abs=0.06)
    for k in range(2):
        assert abs(np.corrcoef(states[:, k].T)[0, 1]) < 3 * 2 / np.sqrt(4000)  # neighbours depend


def test_distance_of_a_perfect_sampler_is_its_bias():
    rng = np.random.default_rng(0)
    p, n = np.full(32, 1 / 32), 2000
    found = [kl(rng.multinomial(n, p) / n, p) for _ in range(400)]
    assert np.mean(found) == pytest.approx(31 / (2 * n), rel=0.05)
    assert kl_floor(32, n) == pytest.approx(31 / (2 * n))


def test_weights_on_the_chip_have_six_bits_and_two_signs():
    sampler = ChipSampler(Chip(brainscales2(), 1), 3, 2, SamplingSettings(synapses="static"))
    values = np.zeros((2, 3, 3))
    values[1, 0, 2], values[1, 2, 0], values[0, 1, 0] = 200.0, -17.4, 0.4
    sampler.write(values, np.zeros((2, 3)))
    digital = sampler.emulation.mapped.written.digital
    projections = sampler.emulation.network.projections
    for sign, wanted in ((1, {(5, 3): 63}), (-1, {(3, 5): 17})):
        k = projections.index(sampler._recurrent[0 if sign > 0 else 1])
        drawn = sampler.emulation.mapped.drawn[k]
        there = {
            (int(i), int(j)): int(d)
            for i, j, d in zip(drawn.pre, drawn.post, digital[k], strict=True)
            if d
        }
        assert there == wanted
    assert sampler.emulation.report.lost == 0
    with pytest.raises(InputError, match="`biases` has shape"):
        sampler.write(values, np.zeros(3))


def test_shared_sources_correlate_neurons():
    chip = Chip(brainscales2(), 0, Distortions.none())
    sampler = ChipSampler(chip, 2, 8, SamplingSettings(pool=8, fan_in=4), seed=1)
    assert sampler.emulation.report.sources == 10
    states = sampler.run(3000).astype(float)
    found = [np.corrcoef(states[:, k].T)[0, 1] for k in range(8)]
    assert np.abs(found).max() > 0.15  # all eight sources reach both neurons, with either sign


@pytest.mark.parametrize(
    "wrong", [{"noise": 3.0}, {"pool": 7}, {"synapses": "learning"}, {"tau_m": 0.0}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match=f"`{next(iter(wrong))}`"):
        SamplingSettings(**wrong)


# -- structural plasticity -----------------------------------------------------------------------


def seen(weights, labels=None, causal: ArrayLike = 0, counts=0, seed=0):
    """Observables of chips that all see the same."""
    weights = np.asarray(weights, np.uint8)
    chips, _, neurons = weights.shape
    random = np.random.default_rng(seed).integers(0, 2**32, (chips, neurons), dtype=np.uint32)
    full = np.broadcast_to(np.asarray(causal, np.uint8), weights.shape)
    return Observables(
        0, np.full((chips, neurons), counts, np.uint8), full, full, weights,
        np.zeros_like(weights) if labels is None else labels, random,
    )  # fmt: skip


def learned(rule, observables):
    """Weights after the program that changes them."""
    weights = rule.learn(None, observables)[1].weights
    assert weights is not None
    return weights


def test_a_spike_reaches_the_synapses_of_its_row_and_label_alone():
    labels = np.array([[[0, 1, 2], [1, 1, 0]]])
    episodes = Episodes(LIF(cm=0.2), 5.0, chips=1, size=3, rows=2, duration=20.0)
    for row in range(2):
        for label in range(3):
            events = Events(np.array([[1.0]]), np.array([[row]]), np.array([[label]]))
            record = episodes.run(events, np.full((1, 2, 3), 0.1), labels=labels, record=True)
            assert record.potentials is not None
            excited = record.potentials[0].max(0) > -65.0 + 1e-9
            assert (excited == (labels[0, row] == label)).all()


def test_only_weights_strictly_below_the_threshold_move():
    rule = Rewiring(labels=8, threshold=5, start=8)
    before = np.array([[[3], [5], [9]]], np.uint8)
    marks = np.full_like(before, 63)
    moves, writes = rule.rewire(np.zeros(1, np.int64), seen(before, marks))
    assert writes.weights is not None
    assert writes.labels is not None
    assert writes.weights.ravel().tolist() == [8, 5, 9]
    assert (writes.labels.ravel() < 8).tolist() == [True, False, False]
    assert moves.tolist() == [1]
    frozen, writes = rule.rewire(np.array([-5]), seen(before, marks))
    assert (writes.weights == before).all()
    assert frozen.tolist() == [-5]


def test_integers_follow_the_equation_and_saturate():
    rule = Rewiring(labels=4, growth=48, decay=2, noise=False)
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 64, (5, 16, 3), dtype=np.uint8)
    causal = rng.integers(0, 256, weights.shape, dtype=np.uint8)
    new = learned(rule, seen(weights, causal=causal, counts=37))
    exact = np.clip(weights + 48 * causal.astype(float) / 64 - 2 * 37 / 64, 0, 63)
    assert np.abs(new - exact).max() <= 1
    full = learned(rule, seen(weights, causal=255))
    assert (full == 63).all()
    none = Rewiring(4, growth=0, decay=2**15 - 1, noise=False)
    assert (learned(none, seen(weights, counts=255)) == 0).all()
    sensors = CorrelationSensors(np.full((1, 1), 200.0), np.full((1, 1), 5.0), 1e4)
    charge = sensors.collect(np.arange(10.0, 100, 10), np.arange(11.0, 101, 10))
    assert sensors.read(charge).item() == 255


def test_exploration_is_a_quarter_up_and_a_quarter_down():
    weights = np.full((200, 16, 3), 30, np.uint8)
    new = learned(Rewiring(4), seen(weights)).astype(int) - 30
    for step, share in ((-1, 0.25), (0, 0.5), (1, 0.25)):
        assert (new == step).mean() == pytest.approx(share, abs=0.02)
    drawn = words(np.arange(600, dtype=np.uint32).reshape(200, 3), 16) >> np.uint32(31)
    flat = drawn.astype(float).transpose(1, 2, 0).reshape(48, -1)
    off = np.corrcoef(flat)[~np.eye(48, dtype=bool)]
    assert np.abs(off).max() < 6 / np.sqrt(200)  # no two synapses in step


def test_fan_in_and_density_stay_and_there_is_no_dead_state():
    rule = Rewiring(labels=8, growth=48, decay=4, noise=False, period=2, rows=6)
    keys = chain_keys(0, np.arange(3))
    processor = Processor(rule.tasks(), keys)
    weights, labels = rule.first(3, 6, 2, np.random.default_rng(0))
    teacher = np.full((3, 1, 2), 40, np.uint8)
    weights, labels = np.concatenate([weights, teacher], 1), np.concatenate([labels, teacher], 1)
    moves, visited = np.zeros(3, np.int64), set()
    for time in range(200):
        # activity without correlation: weights only decay
        state = seen(weights, labels, counts=30)._replace(time=time)
        (_, moves), state = processor.step((None, moves), state)
        weights, labels = state.weights, state.labels
        visited |= set(labels[:, :6].ravel().tolist())
        assert weights[:, 6].tolist() == labels[:, 6].tolist() == teacher[:, 0].tolist()
        for wiring in labels[:, :6]:
            assert density(wiring, 8) == 1 / 8
    assert visited == set(range(8))
    assert (moves > 6 * 2 * 200 / 20).all()
    assert weights[:, :6].min() >= 1


def test_tents_and_rules_by_hand():
    found = tent([[0.0, 0.0], [0.3, 0.4]], [[0.0, 0.0]], 1.0)
    assert found.ravel() == pytest.approx([1.0, 0.5])
    with pytest.raises(InputError, match="`start` is 3"):
        Rewiring(4, threshold=5, start=3)
    with pytest.raises(InputError, match="`labels`"):
        Rewiring(65)


def test_irises_are_split_by_class_and_scaled_by_those_to_learn_from():
    data = iris(seed=4)
    assert (len(data.train), len(data.test)) == (105, 45)
    assert np.bincount(data.test.labels).tolist() == [15, 15, 15]
    assert data.train.inputs.min(0).tolist() == [0] * 4
    assert data.train.inputs.max(0).tolist() == [1] * 4
