"""Correlation sensors, the integer processor, and the episodes that feed them."""

from dataclasses import replace
from math import exp, inf

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import kstest

from lapicque._checks import InputError
from lapicque.spiking import LIF, CurrentExp, FromArrays, Network, Simulation, SpikeArray
from lapicque.spiking.random import chain_keys
from lapicque.substrate.draws import random_normal, random_words
from lapicque.substrate.episodes import Episodes, Events
from lapicque.substrate.plasticity import (
    FRACTION,
    CorrelationSensors,
    Observables,
    Processor,
    RewardModulated,
    Task,
    Writes,
    rewards,
    sat_add,
    sat_mul,
    sat_sub,
)

NEURON = LIF(v_rest=616.0, cm=2.36e-3, tau_m=28.53, tau_refrac=3.98, v_reset=355.0, v_thresh=1278.0)
ONE = 2**FRACTION


def sensors(*size, saturation=128.0, spread=0.0):
    return CorrelationSensors.drawn(
        size,
        np.random.default_rng(3),
        amplitude=36.0,
        tau=64.0,
        saturation=saturation,
        spread=spread,
    )


# -- integers ------------------------------------------------------------------------------------


@given(st.sampled_from([np.int8, np.int16, np.uint8]), st.data(), st.integers(0, 20))
def test_arithmetic_saturates(dtype, data, shift):
    """Sums, differences and products are those of whole numbers, cut at the ends of the type."""
    info = np.iinfo(dtype)
    a, b = (data.draw(st.integers(int(info.min), int(info.max))) for _ in range(2))
    for found, exact in (
        (sat_add(np.array([a], dtype), b), a + b),
        (sat_sub(np.array([a], dtype), b), a - b),
        (sat_mul(np.array([a], dtype), b, shift), int(np.floor(a * b / 2**shift + 0.5))),
    ):
        assert found.dtype == dtype
        assert found[0] == min(max(exact, int(info.min)), int(info.max))


@given(
    st.integers(0, 63),
    st.integers(0, 255),
    st.lists(st.sampled_from([1.0, 0.7, 0.4, 0.1, 0.0]), min_size=2, max_size=30),
)
def test_rule_in_integers_follows_the_rule_in_reals(weight, correlation, history):
    """At every update the two differ by 1 LSB at most, and both stay within 0 and 63."""
    rule = RewardModulated()
    expected, mean = rule.init(1, 1), None
    seen = np.full((1, 1, 1), correlation, np.uint8)
    for reward in history:
        mean = reward if mean is None else mean
        delta = reward - mean
        exact = np.clip(np.rint(weight + 0.125 * correlation * delta), 0, 63)
        mean += delta / 2
        stored = np.full((1, 1, 1), weight, np.uint8)
        fixed = np.rint(np.array([reward]) * ONE).astype(np.int16)
        expected, stored = rule.update(expected, fixed, np.zeros(1, int), seen, stored)
        assert abs(int(stored[0, 0, 0]) - exact) <= 1
        assert abs(expected[0, 0] / ONE - mean) < 1e-3
        weight = int(stored[0, 0, 0])
        assert 0 <= weight <= 63


def test_hand_case():
    """A spike 3 ms after an input: A = 36 exp(-3/64) = 34.35; delta = 0.5 takes 14 to 16."""
    sensor = sensors(1, 1, 1)
    charge = sensor.collect([10.0], [13.0])
    assert charge == pytest.approx(36 * exp(-3 / 64))
    rule, weights = RewardModulated(), np.full((1, 1, 1), 14, np.uint8)
    here, expected = np.zeros(1, int), np.array([[ONE // 5]], np.int16)
    reward = np.array([ONE // 5 + ONE // 2], np.int16)
    new, changed = rule.update(expected, reward, here, sensor.read(charge), weights)
    assert changed == 16
    assert new[0, 0] == ONE // 5 + ONE // 4
    first, same = rule.update(rule.init(1, 1), reward, here, sensor.read(charge), weights)
    assert same == 14  # the first visit changes nothing
    assert first == reward


def test_rewards_by_distance():
    found = rewards(np.arange(6), (1.0, 0.7, 0.4, 0.1)) / ONE
    np.testing.assert_allclose(found, [1, 0.7, 0.4, 0.1, 0, 0], atol=0.5 / ONE)


# -- sensors -------------------------------------------------------------------------------------

times = st.lists(st.integers(1, 400), max_size=20, unique=True).map(lambda x: np.sort(x) / 2)


@given(times, times)
def test_pairs_are_nearest_neighbours(pre, post):
    """Each input interval counts once, with its first postsynaptic spike; and the reverse."""
    post = post + 0.25  # at no time both

    def sum_over_intervals(first, second):
        total = 0.0
        for start, stop in zip(first, np.append(first, inf)[1:], strict=True):
            after = [t for t in second if start < t < stop]
            total += 36 * exp(-(after[0] - start) / 64) if after else 0
        return min(total, 128.0)

    sensor = sensors(1, 1)
    assert sensor.collect(pre, post)[0, 0] == pytest.approx(sum_over_intervals(pre, post))
    acausal = sensor.collect(pre, post, acausal=True)[0, 0]
    assert acausal == pytest.approx(sum_over_intervals(post, pre))


def test_readings_saturate():
    """Charge stops at its limit, a reading at 8 bits; a fixed pattern scatters both ways."""
    spikes = np.arange(0, 500, 10.0)
    assert sensors(1, 1).collect(spikes, spikes + 1) == 128
    unlimited = sensors(1, 1, saturation=inf)
    assert unlimited.collect(spikes, spikes + 1) > 1000
    assert unlimited.read(unlimited.collect(spikes, spikes + 1)) == 255
    several = sensors(40, 40, spread=0.5)
    assert np.log(several.amplitude / 36).std() == pytest.approx(0.5, abs=0.03)
    assert several.collect(spikes, spikes + 1).max() == 128


# -- randomness ----------------------------------------------------------------------------------


def test_numbers_are_normal_and_independent():
    keys = chain_keys(1, np.arange(3))
    draws = random_normal(keys, 5, 200_000)
    assert all(kstest(row, "norm").pvalue > 1e-3 for row in draws)
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.01
    np.testing.assert_array_equal(draws[1:2, :50], random_normal(keys[1:2], 5, 50))
    assert np.abs(draws).max() > 4  # the tail beyond the last layer
    words = random_words(keys, 5, 1000)
    assert np.unique(words).size == words.size


# -- episodes ------------------------------------------------------------------------------------


def episodes(chips=1, size=6, rows=4, **options):
    return Episodes(NEURON, 1.8, chips=chips, size=size, rows=rows, duration=200.0, **options)


def scene(chips, size=6, rows=4, n=60, seed=0):
    rng = np.random.default_rng(seed)
    moments = np.sort(rng.integers(1, 1990, (chips, n)), axis=1) / 10
    events = Events(moments, rng.integers(0, rows, (chips, n)))
    return events, rng.uniform(0.1, 0.6, (chips, rows, size))


def test_spikes_are_those_of_the_engine():
    """Without noise, spike by spike what `lapicque.spiking` computes from the same network."""
    events, currents = scene(1)
    record = episodes().run(events, currents, record=True)
    assert record.spikes is not None
    network = Network()
    given = [events.times[0][events.rows[0] == r] - 0.1 for r in range(4)]
    source = network.population(4, SpikeArray(given))
    cells = network.population(6, NEURON, CurrentExp(1.8, 1.8), v=616.0)
    pre, post = np.divmod(np.arange(24), 6)
    network.project(source, cells, FromArrays(pre, post), currents[0].ravel(), 0.1)
    found = Simulation(network, dt=0.1, seed=0).run(200.0).spikes(cells)
    step, neuron = np.nonzero(record.spikes[0])
    assert step.size > 30
    np.testing.assert_array_equal(np.rint(found.time * 10) - 1, step)
    np.testing.assert_array_equal(np.asarray(found.id), neuron)


def test_charge_of_a_response():
    """The response to one spike at w = 14 holds the charge of 223 mV."""
    current = np.full((1, 1, 1), 46 * 0.4 / 63)
    record = episodes(size=1, rows=1).run(
        Events(np.ones((1, 1)), np.zeros((1, 1), int)), current, record=True
    )
    assert record.potentials is not None
    assert (record.potentials - 616.0).sum() * 0.1 / 28.53 == pytest.approx(223, rel=0.01)


def test_sensors_of_an_episode_see_its_spikes():
    """What they collect is what the recorded spikes leave behind, labels included."""
    events, currents = scene(2)
    rng = np.random.default_rng(1)
    events = replace(events, labels=rng.integers(0, 2, events.rows.shape))
    stored = rng.integers(0, 2, (2, 4, 6)).astype(np.uint8)
    collect = sensors(2, 4, 6, spread=0.5)
    record = episodes(2, noise=0.1).run(
        events, currents, 7, labels=stored, sensors=collect, record=True
    )
    assert record.spikes is not None
    chip, row, neuron = 1, 2, 3
    mine = (events.rows[chip] == row) & (events.labels[chip] == stored[chip, row, neuron])
    post = 0.1 * (np.flatnonzero(record.spikes[chip, :, neuron]) + 1)
    assert post.size > 2
    for acausal, found in ((False, record.causal), (True, record.acausal)):
        exact = collect.collect(np.unique(events.times[chip][mine]), post, acausal=acausal)
        assert found[chip, row, neuron] == pytest.approx(exact[chip, row, neuron])


def test_labels_choose_synapses():
    """An event with label a on row r excites exactly the synapses of r that store a."""
    stored = np.array([[[0, 1, 2, 1, 0, 3], [1, 1, 1, 1, 1, 1]]], np.uint8)
    event = Events(np.ones((1, 1)), np.zeros((1, 1), int), np.ones((1, 1), int))
    record = episodes(rows=2).run(event, np.full((1, 2, 6), 2.0), labels=stored)
    np.testing.assert_array_equal(record.counts[0] > 0, stored[0, 0] == 1)


def test_chips_do_not_depend_on_company():
    """A chip does the same alone, among others, in threads and when asked again; time matters."""
    keys = chain_keys(4, np.arange(5))
    events, currents = scene(5)
    collect = sensors(5, 4, 6)
    several = episodes(5, noise=0.1, keys=keys, threads=2).run(events, currents, 9, sensors=collect)
    alone = episodes(1, noise=0.1, keys=keys[3:4])
    own = Events(events.times[3:4], events.rows[3:4])
    record = alone.run(own, currents[3:4], 9, sensors=sensors(1, 4, 6))
    np.testing.assert_array_equal(record.counts, several.counts[3:4])
    np.testing.assert_array_equal(record.causal, several.causal[3:4])
    later = alone.run(own, currents[3:4], 10, sensors=sensors(1, 4, 6))
    assert (later.counts != record.counts).any()


def test_bad_input_is_refused():
    events, currents = scene(1)
    with pytest.raises(InputError, match=r"`duration` is 200.05 ms"):
        Episodes(NEURON, 1.8, rows=1, duration=200.05)
    with pytest.raises(InputError, match=r"`tau_m` has shape"):
        Episodes(replace(NEURON, tau_m=np.ones((3, 6))), 1.8, rows=1, duration=1.0, chips=2)
    with pytest.raises(InputError, match="must ascend"):
        Events(events.times[:, ::-1], events.rows)
    with pytest.raises(InputError, match="`rows"):
        episodes().run(replace(events, rows=events.rows + 4), currents)
    with pytest.raises(InputError, match="`times"):
        episodes().run(replace(events, times=events.times + 100), currents)


# -- the processor -------------------------------------------------------------------------------


def seen(time, chips=2):
    empty = np.zeros((chips, 3, 4), np.uint8)
    counts = np.zeros((chips, 4), np.uint8)
    return Observables(time, counts, empty, empty, empty, empty, counts.astype(np.uint32))


def test_tasks_run_by_deadline():
    """What is due first runs first, and what it writes the next one sees."""
    calls = []

    def writer(name, add):
        def program(state, observables):
            calls.append((observables.time, name, int(observables.weights[0, 0, 0])))
            return state + 1, Writes(weights=sat_add(observables.weights, add))

        return program

    keys = chain_keys(0, np.arange(2))
    processor = Processor(
        [Task(writer("slow", 1), period=4, first=2), Task(writer("fast", 10))], keys
    )
    states = (0, 0)
    for time in range(7):
        states, result = processor.step(states, seen(time))
    assert states == (2, 7)
    assert calls[2:4] == [(2, "fast", 0), (2, "slow", 10)]
    assert result.weights[0, 0, 0] == 11
    with pytest.raises(InputError, match=r"`weights\[0, 0, 0\]` is 110"):
        Processor([Task(writer("wild", 110))], keys).step((0,), seen(0))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.integers(0, 3))
def test_programs_draw_their_own_numbers(time, other):
    """Random words differ between tasks, times and chips, and are the same when asked again."""
    drawn = []

    def program(state, observables):
        drawn.append(observables.random)
        return state, Writes()

    processor = Processor([Task(program), Task(program)], chain_keys(0, np.arange(2)))
    for when in (time, time, time + 1 + other):
        processor.step((None, None), seen(when))
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert len({array.tobytes() for array in drawn}) == 4
