"""Measured forward, ideal backward; and the two substrates that rate-coded networks run on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.spiking import LIF
from lapicque.substrate import Chip, brainscales1
from lapicque.substrate.in_the_loop import LoopTrainer, cosines, forward, measured_forward
from lapicque.substrate.rate_coded import NEURON, RateChip, SpikingRateChip

SIZES = (6, 8, 7, 3)
RNG = np.random.default_rng(0)
INPUTS = RNG.random((40, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, 40)
SHORT: dict[str, Any] = {"duration": 200.0, "pause": 80.0}


def on_grid(trainer, seed=0):
    """Weights that whole steps realise exactly, and with many units active."""
    weights = [0.3 + 2 * np.asarray(w) for w in trainer.init(seed, SIZES).weights]
    return tuple(jnp.asarray(trainer.weight_step * w) for w in trainer.written(weights))


def by_hand(weights, values, labels, sharpness, ceiling):
    """The update rule of the paper: errors go back where activity lies between its limits."""
    odds = np.exp(sharpness * values[-1])
    error = odds / odds.sum(1, keepdims=True) - np.eye(values[-1].shape[1])[labels]
    error *= sharpness / len(labels)
    gradients = []
    for k in range(len(weights) - 1, -1, -1):
        gradients.insert(0, error.T @ values[k])
        error = (error @ np.asarray(weights[k])) * ((values[k] > 0) & (values[k] < ceiling))
    return gradients


def test_value_is_measured_and_derivative_the_twins():
    value, slope = jax.value_and_grad(lambda x: measured_forward(x**2, jnp.float32(7.0)))(3.0)
    assert (float(value), float(slope)) == (7.0, 6.0)


def test_without_distortions_measured_and_ideal_agree_to_one_count():
    chip = RateChip(SIZES, counts=20, ceiling=4.0)
    trainer = LoopTrainer.of(chip)
    weights = on_grid(trainer)
    found = chip.run(trainer.written(weights), INPUTS, 0)
    before: Any = INPUTS
    for weight, value in zip(weights, found, strict=True):
        alone = forward([weight], jnp.asarray(before, jnp.float32))[0]
        alone = np.minimum(alone, 4.0) if value is not found[-1] else alone
        assert np.abs(value - alone).max() <= 0.5 / 20 + 1e-5
        assert (value * 20 == np.rint(value * 20)).all()
        before = value
    fine = RateChip(SIZES, counts=1e7, ceiling=4.0).run(trainer.written(weights), INPUTS, 0)
    for one, other in zip(
        fine, forward(weights, jnp.asarray(INPUTS), None, chip.ceilings), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_gradient_without_distortions_is_that_of_the_ideal_network():
    chip = RateChip(SIZES, counts=1e7, ceiling=4.0)
    trainer = LoopTrainer.of(chip)
    weights = on_grid(trainer)
    measured = chip.run(trainer.written(weights), INPUTS, 0)

    def loss(weights):
        x = INPUTS
        for k, weight in enumerate(weights):
            x = x @ weight.T
            x = jnp.clip(x, 0, 4.0) if k < 2 else measured_forward(x, jax.nn.relu(x))
        return -jnp.mean(jax.nn.log_softmax(3 * x)[jnp.arange(40), LABELS])

    _, found = trainer.gradient(weights, INPUTS, LABELS, tuple(measured))
    for one, other in zip(found, jax.jit(jax.grad(loss))(weights), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("spreads", ["none", "wafer"])
def test_gradient_is_the_rule_at_measured_values(spreads):
    chip = RateChip(SIZES) if spreads == "none" else RateChip.named(spreads, SIZES, 3)
    trainer = LoopTrainer.of(chip)
    weights = on_grid(trainer)
    measured = chip.run(trainer.written(weights), INPUTS, 5)
    assert (measured[0] == 0).any()
    assert (measured[0] == 1.5).any()
    _, found = trainer.gradient(weights, INPUTS, LABELS, tuple(measured))
    wanted = by_hand(weights, [INPUTS, *measured], LABELS, 3.0, 1.5)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_dead_unit_learns_nothing_and_teaches_nothing():
    chip = RateChip(SIZES)
    trainer = LoopTrainer.of(chip)
    weights = list(on_grid(trainer))
    weights[0] = weights[0].at[2].set(-1.0)
    measured = chip.run(trainer.written(weights), INPUTS, 0)
    assert not measured[0][:, 2].any()
    _, found = trainer.gradient(tuple(weights), INPUTS, LABELS, tuple(measured))
    assert not np.asarray(found[0][2]).any()
    assert not np.asarray(found[1][:, 2]).any()
    assert np.asarray(found[0]).any()
    assert np.asarray(found[1]).any()


def test_small_updates_add_up_in_software_before_they_are_written():
    chip = RateChip((1, 2))
    trainer = LoopTrainer.of(chip, rate=0.01, momentum=0.0)
    state = trainer.init(0, (1, 2))._replace(weights=(jnp.asarray([[0.5], [0.5]]),))
    first, written = state, trainer.written(state.weights)[0]
    inputs, labels = np.ones((1, 1)), np.zeros(1, np.int64)
    state, _ = trainer.iterate(chip, state, inputs, labels, 0)
    assert 0 < np.abs(state.weights[0] - first.weights[0]).max() < chip.weight_step / 2
    np.testing.assert_array_equal(trainer.written(state.weights)[0], written)
    for trial in range(20):
        state, _ = trainer.iterate(chip, state, inputs, labels, trial)
    assert (trainer.written(state.weights)[0] != written).all()


def test_weights_stay_where_they_can_be_written():
    trainer = LoopTrainer(rate=100.0)
    state, _ = trainer.step(trainer.init(0, SIZES), jnp.asarray(INPUTS), jnp.asarray(LABELS))
    assert max(float(jnp.abs(w).max()) for w in state.weights) == pytest.approx(1.5)
    assert {int(np.abs(w).max()) for w in trainer.written(state.weights)} == {15}


def test_writing_again_redraws_gains_and_keeps_the_pattern():
    chip = RateChip.named("middle", SIZES, 3)
    weights = on_grid(LoopTrainer.of(chip))
    one, other = (np.asarray(chip.response(weights, INPUTS, t)[0]) for t in (0, 1))
    linear = (one > 0.01) & (one < 1.5) & (other > 0.01) & (other < 1.5)
    for unit in np.flatnonzero(linear.sum(0) > 3):
        ratio = (one / np.where(linear, other, 1))[linear[:, unit], unit]
        assert ratio.std() < 1e-4
        assert abs(ratio[0] - 1) > 1e-4
    again = RateChip.named("middle", SIZES, 3).response(weights, INPUTS, 0)
    np.testing.assert_array_equal(chip.response(weights, INPUTS, 0)[-1], again[-1])
    elsewhere = RateChip.named("middle", SIZES, 4).response(weights, INPUTS, 0)
    assert np.abs(elsewhere[-1] - again[-1]).max() > 0.05


def test_the_smooth_copy_is_the_chip_and_its_gradient_that_of_differences():
    chip = RateChip.named("middle", SIZES, 1, counts=1e9)
    trainer = LoopTrainer.of(chip)
    weights = on_grid(trainer)
    with jax.enable_x64(True):
        exact = [jnp.asarray(np.asarray(w, float)) for w in weights]
        smooth = jax.jit(lambda w: chip.response(w, np.asarray(INPUTS, float), 2))(exact)
        for one, other in zip(chip.run(trainer.written(weights), INPUTS, 2), smooth, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)

        @jax.jit
        def loss(weights):
            x = chip.response(weights, np.asarray(INPUTS, float), 2)[-1]
            return trainer.cross_entropy(x, jnp.asarray(LABELS))

        slopes = jax.jit(jax.grad(loss))(exact)
        for k in range(3):
            way = np.random.default_rng(k).standard_normal(exact[k].shape)
            ahead, behind = (
                loss([w + s * way if j == k else w for j, w in enumerate(exact)])
                for s in (1e-6, -1e-6)
            )
            assert float((ahead - behind) / 2e-6) == pytest.approx(
                float((slopes[k] * way).sum()), rel=1e-3, abs=1e-7
            )


def test_the_loop_makes_up_for_a_mismatched_chip():
    chip = RateChip.named("wafer", SIZES, 5)
    trainer = LoopTrainer.of(chip)
    centres = RNG.random((3, 6))
    labels = RNG.integers(0, 3, 600)
    inputs = np.clip(centres[labels] + 0.1 * RNG.standard_normal((600, 6)), 0, 1)
    inputs = inputs.astype(np.float32)
    state = trainer.init(1, SIZES)
    for _ in range(300):
        state, _ = trainer.step(state, inputs, labels)
    mapped = trainer.accuracy(chip, state, inputs, labels, 1)
    assert trainer.accuracy(None, state, inputs, labels) > 0.95
    for trial in range(60):
        state, _ = trainer.iterate(chip, state, inputs, labels, trial)
    assert trainer.accuracy(chip, state, inputs, labels, 1) > max(0.9, mapped + 0.05)


def test_cosines():
    assert cosines([np.ones(2), np.zeros(2)], [np.array([1.0, 0.0]), np.ones(2)]) == [
        pytest.approx(0.5**0.5),
        0.0,
    ]


# -- spikes ------------------------------------------------------------------------------------


def test_spiking_neurons_follow_the_sign_of_their_drive():
    chip = SpikingRateChip((4, 3), **SHORT)
    weights = [np.array([[12] * 4, [0] * 4, [-12] * 4])]
    found = chip.run(weights, np.ones((3, 4)), 0)[0]
    assert (found[:, 0] > 0.5).all()
    assert not found[:, 1:].any()
    assert found.max() <= chip.ceilings[0] + 1 / chip.counts
    half = chip.run([np.array([[12, 12, -12, -12]] * 3)], np.ones((3, 4)), 0)[0]
    assert half.mean() < 0.25 * found[:, 0].mean()


def test_transfer_rises_from_a_threshold_and_saturates():
    chip = SpikingRateChip.on(Chip(brainscales1("reticle"), 1), (4, 6), duration=400.0)
    curve = chip.transfer([0, 0.5, 1.5, 3.0, 12.0], repeats=2)
    assert curve.shape == (5, 6)
    assert not curve[0].any()
    assert (np.diff(curve[1:], axis=0) > 0).all()
    assert (curve[-1] <= 1000 / np.asarray(chip.neurons.tau_refrac) / chip.unit_rate).all()
    assert curve[-1].mean() > 0.6 * chip.ceilings[0]
    assert curve[2].std() > 0.02


def test_a_dark_image_after_a_bright_one_is_dark():
    chip = SpikingRateChip((4, 3, 2), **SHORT)
    weights = [np.full((3, 4), 15), np.full((2, 3), 15)]
    images = np.zeros((6, 4))
    images[::2] = 1.0
    for layer in chip.run(weights, images, 0):
        assert (layer[::2] > 0.5).all()
        assert not layer[1::2].any()


@pytest.mark.parametrize("regular", [False, True])
def test_inputs_fire_as_often_as_they_should(regular):
    chip = SpikingRateChip((3, 1), duration=900.0, regular=regular)
    images = np.tile([0.0, 0.31, 1.0], (200, 1))
    trains = chip._trains(images, np.random.default_rng(0))
    assert trains[0].size == 0
    for train, rate in zip(trains[1:], (31, 100), strict=True):
        counts = np.bincount((train // 1000).astype(int), minlength=200)
        mean = 0.9 * rate
        assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / 200)
        assert np.ptp(counts) <= 1 if regular else 0.7 < counts.var() / mean < 1.4
        assert ((train - chip.dt) % 1000 <= 900).all()


def test_results_do_not_depend_on_threads():
    images = RNG.random((130, 4))
    weights = [RNG.integers(-15, 16, (5, 4))]
    one, two = (
        SpikingRateChip.on(
            Chip(brainscales1("reticle"), 2), (4, 5), duration=50.0, pause=50.0, threads=n
        ).run(weights, images, 3)[0]
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert one.any()


def test_given_gains_and_neurons_are_used():
    weights, images = [np.array([[9, 9], [9, 9]])], np.ones((4, 2))
    ones, zeros = np.ones((2, 2)), np.zeros((2, 2))
    gains = np.array([[1.0, 1.0], [0.0, 0.0]])
    chip = SpikingRateChip((2, 2), gains=[(gains, zeros)], **SHORT)
    plain = SpikingRateChip((2, 2), gains=[(ones, zeros)], **SHORT).run(weights, images, 0)[0]
    found = chip.run(weights, images, 0)[0]
    np.testing.assert_array_equal(found[:, 0], plain[:, 0])
    assert plain[:, 1].all()
    assert not found[:, 1].any()
    lazy = LIF(
        **{n: getattr(NEURON, n) for n in ("v_rest", "cm", "tau_m", "tau_refrac", "v_reset")},
        v_thresh=np.array([-55.0, -20.0]),  # as high as the excitatory reversal potential
    )
    found = SpikingRateChip((2, 2), neurons=lazy, **SHORT).run(weights, images, 0)[0]
    np.testing.assert_array_equal(found[:, 0], plain[:, 0])
    assert not found[:, 1].any()


W = [np.zeros((3, 4), int)]
X = np.zeros((2, 4))


@pytest.mark.parametrize("chip", [RateChip((4, 3)), SpikingRateChip((4, 3))], ids=["rate", "spike"])
@pytest.mark.parametrize(
    ("weights", "inputs", "trial", "message"),
    [
        ([W[0] + 16], X, 0, "between -15 and 15"),
        ([W[0] + 0.5], X, 0, "whole numbers"),
        ([W[0][:, 1:]], X, 0, "shape"),
        (W * 2, X, 0, "layers"),
        (W, X + 1.5, 0, "between 0 and 1"),
        (W, X[:, 1:], 0, "shape"),
        (W, X, -1, "trial"),
    ],
)
def test_bad_runs(chip, weights, inputs, trial, message):
    with pytest.raises(InputError, match=message):
        chip.run(weights, inputs, trial)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: RateChip((4,)), "at least one layer"),
        (lambda: RateChip((4, 3), gains=-0.1), "gains"),
        (lambda: RateChip.named("wafers", (4, 3), 0), "Did you mean 'wafer'"),
        (lambda: LoopTrainer(momentum=1.5), "momentum"),
        (lambda: SpikingRateChip((4, 3), duration=0.0), "duration.* ms"),
        (lambda: SpikingRateChip((4, 3), gains=[(np.ones((4, 3)), np.ones((3, 4)))]), "gains"),
        (lambda: SpikingRateChip.on(Chip(brainscales1(), 0), (4, 90)), "no place"),
        (lambda: SpikingRateChip((4, 3), neurons=LIF(tau_m=[10.0, 9.0])), "tau_m"),
        (lambda: SpikingRateChip((4, 3)).transfer([99.0]), "drives"),
    ],
)
def test_bad_settings(act, message):
    with pytest.raises(InputError, match=message):
        act()
