"""What the sequence classifiers share, against hand-computed cases and manual stepping."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lapicque._checks import InputError
from lapicque.data import DataSet, Samples
from lapicque.experiments.generalized_latent_equilibrium import (
    mnist1d_end_to_end as end_to_end,
    mnist1d_lagnet_mlp as lagnet,
)
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    Activity,
    Model,
    _slices,
    adam,
    at_rest,
    decisions,
    epoch,
    examine,
    newborn,
    plateau,
    slow_down,
    train,
)
from lapicque.lab import Quiet
from lapicque.rate import Learner, Lesson, simulate

STEPS = 12


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)

    def draw(n):
        return Samples(rng.normal(size=(n, STEPS)), np.arange(n) % 10)

    return DataSet("noise", 10, draw(20), None, draw(30), "noise")


@pytest.fixture(scope="module")
def config():
    return end_to_end.Config(
        epochs=2, batch=5, test_batch=10, depth=2, fast=3, slow=4, learning_rate=1e-2
    )


@pytest.fixture(scope="module")
def model(config):
    return Model(None, end_to_end.build(jax.random.key(0), config))


def on_device(samples):
    return jnp.asarray(samples.inputs, jnp.float32)[..., None], jnp.asarray(samples.labels)


def assert_same(one, other, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# -- learning rate -----------------------------------------------------------------------------


def test_rate_falls_after_patience_is_over():
    """Patience 2: the third epoch without progress halves the rate, and waiting begins anew."""
    state, rates = plateau(1.0), []
    for loss in (5.0, 4.0, 4.0, 4.1, 4.2, 4.3, 4.3, 4.3, 3.0):
        state = slow_down(state, jnp.asarray(loss), patience=2, factor=0.5)
        rates.append(float(state.rate))
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert float(state.best) == 3.0
    assert int(state.waited) == 0


def test_progress_below_the_threshold_is_none():
    state = slow_down(plateau(1.0), jnp.asarray(2.0), 0, 0.5)
    assert float(slow_down(state, jnp.asarray(2.0 * (1 - 0.9e-4)), 0, 0.5).rate) == 0.5
    assert float(slow_down(state, jnp.asarray(2.0 * (1 - 1.2e-4)), 0, 0.5).rate) == 1.0


def test_rate_stays_where_the_change_would_be_tiny():
    state = plateau(1.5e-8)
    for _ in range(4):
        state = slow_down(state, jnp.asarray(1.0), 0, 0.5)
    assert float(state.rate) == pytest.approx(1.5e-8)


# -- decisions ---------------------------------------------------------------------------------


def test_the_summed_output_decides():
    """Class 1 is the strongest at most steps and at the last one; class 0 is in sum."""
    output = jnp.zeros((5, 1, 3)).at[:, 0, 1].set(0.5).at[0, 0, 0].set(9.0)
    assert decisions(output).tolist() == [0]
    assert output[-1].argmax(-1).tolist() == [1]


def test_stretched_slices_are_interpolated_between_centres():
    inputs = jnp.array([[[0.0], [2.0], [4.0]]])
    stretched = _slices(inputs, 2)[:, 0, 0]
    np.testing.assert_allclose(stretched, [0, 0.5, 1.5, 2.5, 3.5, 4])
    assert _slices(inputs, 1)[:, 0, 0].tolist() == [0, 2, 4]


# -- training ----------------------------------------------------------------------------------


def test_epoch_equals_stepping_by_hand(model, config, data):
    """Slice by slice with `Learner.step`; nothing is reset between the batches."""
    inputs, labels = on_device(data.train)
    order = jnp.arange(20).reshape(4, 5)[::-1]
    after, row = epoch(model, newborn(model, config), inputs, labels, order, config)

    learner = Learner(model.body, adam(config.learning_rate))
    state, right, losses = learner.init((5,)), [], []
    step = jax.jit(lambda state, lesson: learner.step(state, lesson, config.dt))
    for index in order:
        target = jax.nn.one_hot(labels[index], 10)
        outputs = []
        for t in range(STEPS):
            state, output = step(state, Lesson(inputs[index, t], target))
            outputs.append(output)
        right.append(np.mean(sum(outputs).argmax(-1) == labels[index]))
        log_p = jax.nn.log_softmax(jnp.stack(outputs))
        losses.append(-(log_p * target).sum(-1).mean())
    assert_same(after.learner, state)
    assert float(row["train_accuracy"]) == pytest.approx(np.mean(right))
    assert float(row["train_loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_adam_is_that_of_optax_and_time_constants_rest(model, config, data):
    """One step from rest: every weight with a slope moves by about the learning rate."""
    inputs, labels = on_device(data.train)
    learner = Learner(model.body, adam(1e-2))
    state = learner.init((5,))
    lesson = Lesson(inputs[:5, 0], jax.nn.one_hot(labels[:5], 10))
    after, _ = jax.jit(lambda s: learner.step(s, lesson, config.dt))(state)
    slopes = jax.jit(lambda s: model.body.step_with_gradients(s, *lesson, config.dt)[2])
    slope = slopes(state.network)
    rule = optax.adam(1e-2)
    for old, new, by in zip(state.parameters, after.parameters, slope, strict=True):
        change, _ = rule.update(by.synapses, rule.init(old.synapses))
        assert_same(new.synapses, optax.apply_updates(old.synapses, change))
        np.testing.assert_array_equal(new.tau_m, old.tau_m)
        np.testing.assert_array_equal(new.tau_r, old.tau_r)


def test_examination_listens_from_the_present_state_and_changes_no_weights(model, config, data):
    inputs, labels = on_device(data.test)
    activity = at_rest(model, 5)
    after, loss, accuracy = examine(model, activity, inputs, labels, config)
    state, outputs = at_rest(model, 10).body, []
    for part in inputs.reshape(3, 10, STEPS, 1):
        state, output = simulate(model.body, state, part.swapaxes(0, 1), config.dt)
        outputs.append(output)
    decided = np.concatenate([decisions(output) for output in outputs])
    assert float(accuracy) == pytest.approx(np.mean(decided == labels))
    log_p = jax.nn.log_softmax(jnp.concatenate(outputs, axis=1))
    expected = -np.mean([log_p[:, i, label] for i, label in enumerate(labels)])
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert_same([s.u for s in after.body.layers], [s.u[:5] for s in state.layers])
    assert all(not s.e.any() for s in after.body.layers)


def test_a_fixed_front_equals_layers_that_do_not_learn(data):
    """One network of seven layers, the lower four untaught, gives the same output."""
    config = lagnet.Config(epochs=1, batch=5, test_batch=5, hidden=(8,))
    lines, reader = lagnet.lag_lines(config), lagnet.reader(jax.random.key(1), config)
    whole = replace(reader, layers=lines.layers + reader.layers, input_shape=(1,))
    inputs, labels = on_device(data.test.take(slice(5)))
    after, _, _ = examine(
        Model(lines, reader), at_rest(Model(lines, reader), 5), inputs, labels, config
    )
    state, _ = simulate(whole, whole.init((5,)), inputs.swapaxes(0, 1), config.dt)
    assert after.front is not None
    assert_same([s.r for s in after.front.layers], [s.r for s in state.layers[:4]])
    assert_same([s.r for s in after.body.layers], [s.r for s in state.layers[4:]])


def test_exact_windows_learn_once_each(model, config, data):
    """Four batches of twelve steps in windows of six: eight updates; whole sequences: four."""
    inputs, labels = on_device(data.train)
    order = jnp.arange(20).reshape(4, 5)
    for window, updates in ((6, 8), (0, 4)):
        exact = replace(config, credit="adjoint", window=window)
        after, _ = epoch(model, newborn(model, exact), inputs, labels, order, exact)
        counts = [x for x in jax.tree.leaves(after.learner.optimizer) if x.dtype == jnp.int32]
        assert {int(x) for x in counts} == {updates}


def test_sizes_are_the_published_ones():
    """Without drawing any weight."""

    def size(build):
        shapes = jax.eval_shape(lambda: build(jax.random.key(0)))
        return sum(a.size for p in shapes.parameters for a in jax.tree.leaves(p.synapses))

    large = end_to_end.Config(fast=30, slow=60)
    assert size(lambda key: end_to_end.build(key, end_to_end.Config())) == 14_956
    assert size(lambda key: end_to_end.build(key, large)) == 42_040
    assert size(lambda key: lagnet.reader(key, lagnet.Config())) == 4_930


def test_training_learns_the_rate_from_the_loss(model, config, data):
    """With patience 0 an untaught network's rate falls as soon as the loss stops falling."""
    impatient = replace(config, epochs=3, patience=0, learning_rate=1e-6)
    trained = train("noise", model, impatient, data, 0, Quiet())
    rates, losses = trained.history["learning_rate"], trained.history["test_loss"]
    rate, best, expected = 1e-6, np.inf, []
    for loss in losses:
        expected.append(rate)
        rate, best = (rate, loss) if loss < best * (1 - 1e-4) else (rate / 2, best)
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    assert trained.accuracy == trained.at(3) == trained.at(99) == trained.history["accuracy"][-1]
    activity = Activity(trained.state.front, trained.state.learner.network)
    assert len(activity.body.target) == config.batch


def test_settings_are_checked(model, config, data):
    with pytest.raises(InputError, match=r"`batch` is 21 sequences; .* 1 and 20"):
        train("noise", model, replace(config, batch=21), data, 0, Quiet())
    with pytest.raises(InputError, match="`credit` is 'bp'"):
        replace(config, credit="bp")
    with pytest.raises(InputError, match=r"`tau` is 0\.3 ms.*tau / 2"):
        replace(config, tau=0.3)
    with pytest.raises(InputError, match=r"`steps` is 5; it must divide"):
        train("x", model, replace(config, credit="adjoint", window=5), data, 0, Quiet())
