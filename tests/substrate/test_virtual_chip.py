"""Chips: codes, fixed patterns, calibration, and first-spike networks on them."""

from dataclasses import replace
from math import inf

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lapicque._checks import InputError
from lapicque.data import spike_times, yin_yang
from lapicque.spiketime import (
    Bumping,
    Neuron,
    RelativeError,
    Sigmoid,
    Trainer,
    decide,
    dense,
)
from lapicque.substrate import (
    Chip,
    DelayElement,
    Distortions,
    FirstSpikeChip,
    Quantity,
    brainscales2,
    calibrate,
)
from lapicque.substrate.calibration import calibrate_rates, firing_rates, uncalibrated
from lapicque.substrate.first_spike import targets

NEURON = Neuron(tau_m=1.0, threshold=2.6)
TARGETS = targets(NEURON)
SPEC = brainscales2()


def trimmed(values):
    """Standard deviation without the outer 5 % on both sides, as calibration tests take it."""
    values = np.sort(values)
    cut = values.size // 20
    return values[cut:-cut].std()


def network(delays=None, hidden=12, seed=0):
    return dense(
        jax.random.key(seed),
        (20, hidden, 3),
        neuron=NEURON,
        mean=(1.0, 0.9),
        spread=(0.12, 0.15),
        delays=delays,
        delay_form=Sigmoid(2.0, 3.5),
        delay_spread=0.5,
        copies=5,
    )


@pytest.fixture(scope="module")
def batch():
    samples = yin_yang().test.take(slice(40))
    return spike_times(samples.inputs, copies=5), samples.labels


@given(value=st.floats(50, 160), name=st.sampled_from(["v_rest", "v_reset", "v_thresh"]))
@settings(max_examples=50, deadline=None)
def test_codes_of_potentials_come_back_within_half_a_step(value, name):
    quantity = SPEC.quantities[name]
    assert abs(quantity.nominal(quantity.code(value)) - value) <= 0.5 * 255 / 1023 + 1e-9


@given(value=st.floats(1.0, 30.0))
@settings(max_examples=50, deadline=None)
def test_codes_of_time_constants_are_the_nearest(value):
    quantity = SPEC.quantities["tau_syn_E"]
    code = int(quantity.code(value))
    rate = quantity.full_scale / value  # the code sets a conductance
    assert abs(code - rate) <= 0.5 + 1e-9


@given(delay=st.floats(0, 60))
@settings(max_examples=50, deadline=None)
def test_delay_codes(delay):
    element = DelayElement()
    realised = element.nominal(element.code(delay))
    assert 8.25 <= realised <= 33.25
    if 8.25 <= delay <= 33.25:
        assert abs(realised - delay) <= 0.0625 + 1e-9


def test_specimens_are_reproducible_and_differ():
    one, same, other = Chip(SPEC, 3), Chip(SPEC, 3), Chip(SPEC, 4)
    code = SPEC.quantities["v_rest"].code(80.0)
    np.testing.assert_array_equal(one.realise("v_rest", code), same.realise("v_rest", code))
    assert (one.realise("v_rest", code) != other.realise("v_rest", code)).mean() > 0.99
    first, again, second = (
        one.realise("v_rest", code, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).all()
    assert abs((first - one.realise("v_rest", code)).std() - 0.3) < 0.05


def test_fixed_patterns_are_as_specified():
    chip = Chip(SPEC, 0)
    rest = chip.realise("v_rest", SPEC.quantities["v_rest"].code(80.0))
    assert abs(rest.std() - 9) < 1
    tau = chip.realise("tau_m", SPEC.quantities["tau_m"].code(6.0))
    assert abs(np.log(tau).std() - 0.25) < 0.03
    gains = chip.synapse_gains(200, 30)
    assert gains.shape == (30, 200)
    assert abs(gains.std() - 0.05) < 0.005


@pytest.mark.parametrize("seed", range(3))
def test_what_calibration_achieves(seed):
    """The limits of the tests of the chip's own calibration library."""
    chip = Chip(SPEC, seed)
    raw, calibrated = uncalibrated(chip, TARGETS), calibrate(chip, TARGETS)
    limits = {"v_rest": 0.30, "v_reset": 0.20, "v_thresh": 0.35, "tau_m": 0.45, "tau_syn_E": 0.20}
    for name, limit in limits.items():
        before, after = raw.realised(chip, name), calibrated.realised(chip, name)
        assert trimmed(after) < limit * trimmed(before), name
        assert np.median(after) == pytest.approx(TARGETS[name], rel=0.02)
        assert not calibrated.clipped[name].any()
    better = calibrate(chip, TARGETS, repeats=50)
    assert trimmed(better.realised(chip, "v_rest")) < 0.5 * trimmed(
        calibrated.realised(chip, "v_rest")
    )


def test_targets_at_the_border_are_reported_as_clipped():
    spec = replace(SPEC, quantities={"tau_m": replace(SPEC.quantities["tau_m"], spread=1.0)})
    chip = Chip(spec, 0)
    calibrated = calibrate(chip, {"tau_m": 0.5}, repeats=20)
    assert 0.2 < calibrated.clipped["tau_m"].mean() < 0.8
    assert (calibrated.codes["tau_m"] <= 1023).all()


def test_calibration_does_not_subtract_what_it_cannot_see():
    """With codes of two bits only, no calibration can help much."""
    coarse = replace(SPEC.quantities["v_rest"], bits=2)
    chip = Chip(replace(SPEC, quantities={"v_rest": coarse}), 0)
    after = calibrate(chip, {"v_rest": 80.0}, repeats=20).realised(chip, "v_rest")
    assert trimmed(after) > 5


@pytest.mark.parametrize("delays", [None, "axonal"])
def test_an_ideal_chip_is_the_model_up_to_its_time_step(batch, delays):
    times, _ = batch
    ideal = Chip(SPEC, 0, Distortions.none())
    model = network(delays)
    wanted = [np.asarray(t) for t in model(jnp.asarray(times))]
    errors = []
    for step in (0.02, 0.005):
        chip = FirstSpikeChip(ideal, uncalibrated(ideal, TARGETS), step=step)
        got = [np.asarray(m.spikes) for m in chip.run(model, times, trial=0)]
        for want, have in zip(wanted, got, strict=True):
            assert (np.isfinite(want) == np.isfinite(have)).mean() > 0.99
        both = np.isfinite(wanted[1]) & np.isfinite(got[1])
        errors.append(np.abs(got[1][both] - wanted[1][both]).mean())
    assert errors[1] < 0.35 * errors[0] < 0.02
    assert both.mean() > 0.3


def test_runs_are_reproducible_and_trials_differ(batch):
    times, _ = batch
    chip = Chip(SPEC, 1)
    emulated = FirstSpikeChip(chip, calibrate(chip, TARGETS), step=0.02)
    one, same, other = (emulated.run(network("axonal"), times, trial=k) for k in (0, 0, 1))
    np.testing.assert_array_equal(one[1].spikes, same[1].spikes)
    assert (np.asarray(one[1].spikes) != np.asarray(other[1].spikes)).mean() > 0.2


def test_what_comes_back_is_what_a_chip_records(batch):
    times, _ = batch
    chip = Chip(SPEC, 1)
    emulated = FirstSpikeChip(chip, calibrate(chip, TARGETS), step=0.02)
    hidden, label = emulated.run(network("axonal"), times, trial=0)
    assert hidden.spikes.shape == (40, 12)
    assert label.spikes.shape == (40, 3)
    waits = np.asarray(label.arrival) - np.asarray(hidden.spikes)
    waits = waits[np.isfinite(waits)]
    assert (waits > 1.9).all()
    assert (waits < 3.7).all()
    late = np.asarray(hidden.arrival) - times
    assert (late.std(0) > 0).all()  # jitter
    assert (late.std(0) < 0.02).all()
    plain = emulated.run(network(), times, trial=0)
    assert plain[0].arrival is None
    silent = emulated.run(network(), np.full((3, 20), inf), trial=0)
    assert np.isinf(silent[1].spikes).all()


def test_weights_are_written_in_whole_steps():
    chip = Chip(SPEC, 0)
    emulated = FirstSpikeChip(chip, uncalibrated(chip, TARGETS))
    np.testing.assert_array_equal(emulated.digital(np.array([0.02, -0.5, 9.0])), [1, -15, 63])
    assert emulated.weight_limit == 2.1


def test_learning_in_the_loop_improves_on_a_chip():
    data = yin_yang().train.take(slice(400))
    times, labels = spike_times(data.inputs, copies=5), jnp.asarray(data.labels)
    chip = Chip(SPEC, 5)
    emulated = FirstSpikeChip(chip, calibrate(chip, TARGETS), step=0.05)
    trainer = Trainer(
        RelativeError(0.3),
        batch=50,
        weights_rate=0.01,
        delays_rate=0.01,
        bumping=Bumping((0.3, 0.3)),
        weight_limit=2.1,
    )
    learn = jax.jit(trainer.step)
    state = trainer.init(network("axonal", hidden=20))

    def right(state):
        measured = emulated.run(state.network, times, trial=0)
        return float((decide(measured[-1].spikes) == labels).mean())

    before = right(state)
    for k in range(6):
        for n in range(0, 400, 50):
            part = slice(n, n + 50)
            measured = emulated.run(state.network, times[part], trial=100 * k + n)
            state, _ = learn(
                state, jnp.asarray(times[part]), labels[part], jax.random.key(0), measured
            )
    assert right(state) > max(before + 0.1, 0.5)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: calibrate(Chip(SPEC, 0), {"v_rest": 20.0}), "between 50 and 160 LSB"),
        (lambda: calibrate(Chip(SPEC, 0), {"speed": 1.0}), "speed"),
        (lambda: Chip(SPEC, -1), "seed"),
        (lambda: Quantity("mV", -1.0, 0, 1, 0.1), "full_scale"),
        (lambda: Quantity("mV", 1.0, 2, 1, 0.1), "high"),
        (lambda: SPEC.fits(600, 20, 10), "88 too few"),
        (lambda: SPEC.fits(10, 200, 10), "signed inputs"),
        (lambda: SPEC.fits(10, 20, 200), "delay elements"),
    ],
)
def test_bad_input(act, message):
    with pytest.raises(InputError, match=message):
        act()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neuron": Neuron(tau_m=2.0)}, "calibrated to 1"),
        ({"bias": 0.9}, "bias"),
        ({"delays": "synaptic"}, "delays axons only"),
        ({"sizes": (20, 600, 3)}, "too few"),
    ],
)
def test_networks_that_a_chip_cannot_hold(batch, change, message):
    chip = Chip(SPEC, 0)
    emulated = FirstSpikeChip(chip, uncalibrated(chip, TARGETS))
    settings = {"neuron": NEURON, "sizes": (20, 5, 3), **change}
    model = dense(jax.random.key(0), settings.pop("sizes"), **settings)
    with pytest.raises(InputError, match=message):
        emulated.run(model, batch[0], trial=0)


def test_times_must_lie_in_the_window(batch):
    chip = Chip(SPEC, 0)
    emulated = FirstSpikeChip(chip, uncalibrated(chip, TARGETS))
    for times, message in ((batch[0] + 20, "times"), (batch[0][:, :4], "shape")):
        with pytest.raises(InputError, match=message):
            emulated.run(network(), times, trial=0)


@pytest.mark.parametrize("rate", [20.0, 60.0, 120.0])
def test_rates_can_be_calibrated_by_counting_alone(rate):
    """85 % of all neurons within 8 % of their rate: the limit of the chip's own library."""
    wanted = {
        "v_rest": 150.0, "v_reset": 70.0, "v_thresh": 125.0, "tau_m": 600 / rate, "tau_refrac": 2.0
    }  # fmt: skip
    chip = Chip(SPEC, 2)
    start = calibrate(chip, wanted)
    after = firing_rates(chip, calibrate_rates(chip, start, rate))
    assert (np.abs(after / rate - 1) < 0.08).mean() > 0.85
    before = firing_rates(chip, start)
    assert (np.abs(before / np.median(before) - 1) < 0.08).mean() < 0.8
