"""Identities of delays, layers, losses, noise and training."""

from dataclasses import replace
from math import inf

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.data import spike_times, yin_yang
from lapicque.spiketime import (
    Bumping,
    Clipped,
    CrossEntropy,
    Delays,
    Imperfections,
    Layer,
    Measured,
    Network,
    Neuron,
    RelativeError,
    Shifted,
    Sigmoid,
    Substrate,
    TargetTimes,
    Trainer,
    as_measured,
    decide,
    delay_size,
    delays,
    dense,
    evaluate,
    peak_margin,
    quantise,
    respond,
)

KEY = jax.random.key(3)
LOSS = RelativeError(0.2)


@pytest.fixture(scope="module")
def batch():
    """A batch of Yin-Yang samples as spike times, and the labels."""
    samples = yin_yang().test.take(slice(60))
    return jnp.asarray(spike_times(samples.inputs)), jnp.asarray(samples.labels)


def layer(kind=None, pre=4, post=6, **options):
    """One layer in double precision."""
    weights = 1.5 + jax.random.normal(KEY, (post, pre))
    own = None if kind is None else delays(jax.random.key(1), kind, pre, post, spread=1.0)
    return Layer(weights, own, **options)


def mean_loss(network, times, labels):
    return LOSS(network(times)[-1], labels).mean()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["axonal", "dendritic", "synaptic"])
def test_gradients_of_delays(kind, batch):
    times, labels = jnp.asarray(np.asarray(batch[0])), batch[1]
    network = dense(KEY, (4, 8, 3), delays=kind, drop_above=inf, mean=1.5)
    network = jax.tree.map(lambda x: x.astype(float), network)

    @jax.jit
    def total(parameters):
        spikes = network.having(parameters)(times)[-1]
        return jnp.sum(jnp.where(jnp.isfinite(spikes), spikes, 0.0) * (1 + labels[:, None]))

    parameters = network.parameters
    slopes = jax.grad(total)(parameters)
    h = 1e-6
    for k, raw in enumerate(parameters.delays):
        flat = raw.ravel()
        for n in range(0, flat.size, 5):
            moved = []
            for sign in (1, -1):
                changed = flat.at[n].add(sign * h).reshape(raw.shape)
                new = list(parameters.delays)
                new[k] = changed
                moved.append(float(total(parameters._replace(delays=tuple(new)))))
            numeric = (moved[0] - moved[1]) / (2 * h)
            scale = float(jnp.abs(slopes.delays[k]).max())
            assert abs(numeric - float(slopes.delays[k].ravel()[n])) < 2e-8 * max(scale, 1)


@pytest.mark.usefixtures("x64")
def test_a_dendritic_delay_is_an_output_delay(batch):
    times = jnp.asarray(np.asarray(batch[0]))
    late = layer("dendritic")
    plain = replace(late, delays=None)
    np.testing.assert_array_equal(late(times), plain(times) + late.delays.values())
    as_synaptic = Delays(
        jnp.broadcast_to(late.delays.values()[:, None], (6, 4)), "synaptic", Clipped()
    )
    np.testing.assert_allclose(replace(late, delays=as_synaptic)(times), late(times), rtol=1e-12)

    def error(d):
        moved = replace(late, delays=Delays(d, "dendritic", Clipped()))
        spikes = moved(times)
        return jnp.sum(jnp.where(jnp.isfinite(spikes), spikes, 0.0) ** 2)

    spikes = np.asarray(late(times))
    expected = np.where(np.isfinite(spikes), 2 * np.where(np.isfinite(spikes), spikes, 0), 0).sum(0)
    np.testing.assert_allclose(jax.grad(error)(late.delays.values()), expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_synaptic_delays_contain_the_others(batch):
    times = jnp.asarray(np.asarray(batch[0]))
    axonal, dendritic = layer("axonal"), layer("dendritic")
    sums = dendritic.delays.values()[:, None] + axonal.delays.values()[None]
    synaptic = replace(axonal, delays=Delays(sums, "synaptic", Clipped()))
    np.testing.assert_allclose(
        synaptic(times), axonal(times) + dendritic.delays.values(), rtol=1e-12
    )
    none = replace(axonal, delays=Delays(jnp.zeros((6, 4)), "synaptic", Clipped()))
    np.testing.assert_allclose(none(times), replace(axonal, delays=None)(times), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_common_shifts_leave_the_relative_loss_alone(batch):
    times, labels = jnp.asarray(np.asarray(batch[0])), batch[1]
    network = jax.tree.map(lambda x: x.astype(float), dense(KEY, (4, 12, 3), delays="axonal"))
    network = Network(
        tuple(
            replace(each, delays=Delays(each.delays.values(), "axonal", Clipped()), drop_above=inf)
            for each in network.layers
        )
    )
    parameters = network.parameters

    def loss(parameters):
        return mean_loss(network.having(parameters), times, labels)

    value, slopes = jax.value_and_grad(loss)(parameters)
    shifted = parameters._replace(delays=(parameters.delays[0] + 0.7, parameters.delays[1] + 0.2))
    moved, same = jax.value_and_grad(loss)(shifted)
    assert float(moved) == pytest.approx(float(value), rel=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12), slopes, same)
    for slope in slopes.delays:
        assert abs(float(slope.sum())) < 1e-12
    errors = jax.grad(lambda t: LOSS(t, labels).sum())(network(times)[-1])
    np.testing.assert_allclose(errors.sum(-1), 0, atol=1e-12)

    # the gradient of axonal delays is the error that arrives at the layer below
    below, above = network.layers
    hidden = below(times)

    def from_hidden(hidden):
        return LOSS(above(hidden), labels).mean()

    arriving = jax.grad(from_hidden)(hidden).sum(0)
    np.testing.assert_allclose(slopes.delays[1], arriving, rtol=1e-9, atol=1e-14)


def test_a_late_input_is_not_in_the_causal_set():
    plain = Layer(jnp.array([[3.0, 1.0]]), Delays(jnp.array([0.0, 5.0]), "axonal", Clipped()))
    times = jnp.array([0.2, 0.1])

    def spike(raw):
        return replace(plain, delays=Delays(raw, "axonal", Clipped()))(times)[0]

    value, slope = jax.value_and_grad(spike)(plain.delays.raw)
    assert value == Layer(jnp.array([[3.0]]))(times[:1])[0]
    assert slope[1] == 0
    assert slope[0] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("form", [Sigmoid(0.5, 2.0), Clipped(), Shifted()])
def test_forms_keep_delays_positive(form):
    raw = jnp.array([-3.0, 0.2, 4.0])
    values = form.delays(form.project(raw))
    assert (values >= 0).all()
    if isinstance(form, Sigmoid):
        assert (values > 0.5).all()
        assert (values < 2).all()
        sigma = 1 / (1 + np.exp(-np.asarray(raw)))
        slope = jax.vmap(jax.grad(form.delays))(raw)
        np.testing.assert_allclose(slope, 1.5 * sigma * (1 - sigma), rtol=1e-5)
    else:
        np.testing.assert_allclose(form.project(values), values)
    if isinstance(form, Shifted):
        np.testing.assert_allclose(np.diff(values), np.diff(raw), rtol=1e-6)


def test_sharing():
    raw = jnp.array([0.1, 0.2, 0.3])
    tiled = Delays(raw, "axonal", Clipped(), 2)
    woven = Delays(raw, "axonal", Clipped(), 2, "interleaved")
    np.testing.assert_allclose(tiled.values(), [0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(woven.values(), [0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert delays(KEY, "axonal", 20, 30, copies=5).raw.shape == (4,)


@pytest.mark.parametrize(
    ("kind", "hidden", "count"),
    [(None, 30, 210), ("axonal", 30, 244), ("dendritic", 30, 243), ("synaptic", 30, 420),
     ("synaptic", 5, 70)],
)  # fmt: skip
def test_numbers_of_parameters(kind, hidden, count):
    assert dense(KEY, (4, hidden, 3), delays=kind).n_parameters == count


def test_numbers_of_parameters_with_copies():
    assert dense(KEY, (20, 30, 3)).n_parameters == 690
    assert dense(KEY, (20, 30, 3), delays="axonal", copies=5).n_parameters == 724


def test_measured_times_stand_in(batch):
    times, labels = batch
    network = dense(KEY, (4, 12, 3), delays="axonal")
    rng = np.random.default_rng(0)

    def noisy(x):
        return jnp.asarray(np.asarray(x) + rng.normal(0, 0.01, np.shape(x)), jnp.float32)

    arrivals = [noisy(times + network.layers[0].delays.values())]
    spikes = [noisy(network(times)[0])]
    arrivals.append(noisy(spikes[0] + network.layers[1].delays.values()))
    spikes.append(noisy(network(times)[1]))
    record = [Measured(s, a) for s, a in zip(spikes, arrivals, strict=True)]

    def loss(network, record=None):
        return LOSS(network(times, measured=record)[-1], labels).mean()

    for got, want in zip(network(times, measured=record), spikes, strict=True):
        np.testing.assert_array_equal(got, want)
    modelled, measured = (jax.grad(loss)(network, r).parameters for r in (None, record))
    a, b = (np.concatenate([x.ravel() for x in jax.tree.leaves(g)]) for g in (modelled, measured))
    assert np.isfinite(b).all()
    assert a @ b > 0.95 * np.linalg.norm(a) * np.linalg.norm(b)


def test_straight_through():
    def square(computed):
        return jnp.sum(as_measured(jnp.array([1.0, inf]), computed))

    assert jnp.isinf(square(jnp.array([3.0, 2.0])))
    np.testing.assert_array_equal(jax.grad(square)(jnp.array([3.0, 2.0])), [1, 1])


def test_losses():
    labels = jnp.array([0, 2])
    times = jnp.array([[0.5, 0.8, inf], [0.9, 0.6, 0.7]])
    expected = np.log(1 + np.exp(-0.3 / 0.2)) + 0.005 * np.exp(0.5)
    values = CrossEntropy()(times, labels)
    assert values[0] == pytest.approx(expected, rel=1e-6)
    assert RelativeError(0.2)(times, labels)[0] == 100
    assert RelativeError(0.2)(times, labels)[1] == pytest.approx(0.5 * (0.0**2 + 0.3**2), abs=1e-6)
    assert TargetTimes(0.9, 1.9)(times, labels)[1] == pytest.approx(
        0.5 * (1.0**2 + 1.3**2 + 0.2**2), rel=1e-6
    )
    silent = jnp.full((2, 3), inf)
    for loss in (CrossEntropy(), RelativeError(), TargetTimes()):
        assert (loss(silent, labels) == 100).all()
        slope = jax.grad(lambda t, loss=loss: loss(t, labels).sum())(silent)
        assert (slope == 0).all()
        assert np.isfinite(jax.grad(lambda t, loss=loss: loss(t, labels).sum())(times)).all()
    assert decide(jnp.concatenate([times, silent])).tolist() == [0, 1, -1, -1]


def test_quantised_weights_pass_gradients():
    weights = jnp.array([0.031, -0.52, 3.0])
    held = quantise(weights, 1 / 30, 63 / 30)
    np.testing.assert_allclose(held, [1 / 30, -16 / 30, 63 / 30], rtol=1e-6)
    slope = jax.grad(lambda w: (quantise(w, 1 / 30, 63 / 30) ** 2).sum())(weights)
    np.testing.assert_allclose(slope, 2 * held, rtol=1e-6)


def test_imperfections(batch):
    times, _ = batch
    ideal = layer()

    def worse(**size):
        settings = Imperfections(**size)
        pattern = settings.draw(jax.random.key(5), ideal.neuron, 6)
        return replace(ideal, substrate=Substrate(settings, pattern))

    off = worse()
    np.testing.assert_array_equal(off(times, KEY), ideal(times))
    shifted = worse(threshold_bias=0.2)
    louder = replace(ideal, neuron=Neuron(threshold=1.2))
    np.testing.assert_array_equal(shifted(times), louder(times))
    spread = worse(threshold_spread=0.1, tau_spread=0.1)
    assert (spread(times) != ideal(times)).mean() > 0.5
    np.testing.assert_array_equal(spread(times), spread(times, KEY))
    for size in ({"threshold_batch": 0.1}, {"threshold_trial": 0.1}, {"jitter": 0.05}):
        noisy = worse(**size)
        assert (noisy(times, KEY) != noisy(times, jax.random.key(6))).mean() > 0.5
        np.testing.assert_array_equal(noisy(times), ideal(times))
    same = jnp.broadcast_to(times[:1], times.shape)

    def varies(part):
        spikes = np.asarray(part(same, KEY))
        return np.ptp(spikes[:, np.isfinite(spikes).all(0)], axis=0).max() > 0

    assert not varies(worse(threshold_batch=0.1))
    assert varies(worse(threshold_trial=0.1))
    jitter = worse(jitter=0.05)
    arrival, per_synapse = jitter.arrival(times, KEY)
    assert per_synapse
    noise = np.asarray(arrival - times[:, None])
    assert abs(noise.std() - 0.05) < 0.005


def test_bumping():
    bumping = Bumping((0.3, 0.0), 0.001)
    state = bumping.init()
    full, half = jnp.zeros((4, 2)), jnp.array([[0.0, inf]] * 4)
    counted = jnp.array([True] * 3 + [False])
    plan, state = bumping.plan((full, full), counted, state)
    assert state.layer == -1
    assert all((bump == 0).all() for bump in plan)
    for size in (0.001, 0.002, 0.004):
        plan, state = bumping.plan((half, half), counted, state)
        np.testing.assert_allclose(plan[0], [0, size], rtol=1e-6)
        assert (plan[1] == 0).all()
    plan, state = bumping.plan((full, half), counted, state)
    np.testing.assert_allclose(plan[1], [0, 0.001], rtol=1e-6)
    last = full.at[3, 0].set(inf)  # a sample that does not count
    assert bumping.plan((full, last), counted, state)[1].layer == -1


def test_the_margin_pulls_silent_neurons_up(batch):
    times, _ = batch
    network = dense(KEY, (4, 6, 3), mean=0.3, spread=0.2)

    def lack(network):
        return peak_margin(network, times, network(times), 0.1).mean()

    @jax.jit
    def descend(network):
        slope = jax.grad(lack)(network).parameters
        return network.having(jax.tree.map(lambda p, g: p - 5.0 * g, network.parameters, slope))

    before = float(lack(network))
    for _ in range(200):
        network = descend(network)
    assert before > 0.01
    assert float(lack(network)) < 0.01 * before
    assert np.isfinite(network(times)[-1]).mean() > 0.9


def test_training_and_its_reproducibility():
    data = yin_yang()
    inputs = jnp.asarray(spike_times(data.train.inputs), jnp.float32)[:1000]
    labels = jnp.asarray(data.train.labels)[:1000]
    trainer = Trainer(
        LOSS, weights_rate=0.01, delays_rate=0.003, bumping=Bumping((0.3, 0.0)), batch=150
    )
    epoch = jax.jit(trainer.epoch)

    def trained(seed, epochs):
        state = trainer.init(dense(jax.random.key(seed), (4, 12, 3), delays="synaptic"))
        for _ in range(epochs):
            state, row = epoch(state, inputs, labels, jax.random.key(7))
        return state, row

    one, two = (trained(0, 3)[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one.network, two.network)
    state, row = trained(0, 25)
    assert row["accuracy"] > 0.8
    assert float(evaluate(state.network, inputs, labels).accuracy) > 0.8
    spikes = respond(state.network, inputs[:130], batch=50)
    whole = state.network(inputs[:130])
    for one, two in zip(spikes, whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.slow
def test_many_networks_train_as_one_does():
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.uniform(0.15, 2, (200, 4)), jnp.float32)
    labels = jnp.asarray((inputs[:, 0] > inputs[:, 1]).astype(int))
    trainer = Trainer(LOSS, batch=50, bumping=Bumping((0.3, 0.0)), input_noise=0.01)
    networks = [dense(jax.random.key(k), (4, 6, 2), delays="axonal") for k in range(3)]
    keys = jnp.stack([jax.random.key(10 + k) for k in range(3)])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *map(trainer.init, networks))
    together, _ = jax.jit(jax.vmap(trainer.epoch, in_axes=(0, None, None, 0)))(
        stacked, inputs, labels, keys
    )
    epoch = jax.jit(trainer.epoch)
    for k in range(3):
        alone, _ = epoch(trainer.init(networks[k]), inputs, labels, keys[k])
        jax.tree.map(
            lambda a, b, k=k: np.testing.assert_allclose(a, b[k], rtol=1e-4, atol=1e-5),
            alone.network,
            together.network,
        )


def test_all_silent_batches_bump_and_learn_nothing(batch):
    times, labels = batch
    network = dense(KEY, (4, 6, 3), mean=-1.0, spread=0.1)
    trainer = Trainer(LOSS, batch=20, bumping=Bumping((0.3, 0.0)))
    state, row = jax.jit(trainer.epoch)(trainer.init(network), times, labels, KEY)
    assert row["missing"] == 1
    assert row["accuracy"] == 0
    assert row["bumped"] == 3
    for before, after in zip(network.layers[:1], state.network.layers[:1], strict=True):
        np.testing.assert_allclose(after.weights - before.weights, 0.0005 * (1 + 2 + 4), rtol=1e-3)
    np.testing.assert_array_equal(network.layers[1].weights, state.network.layers[1].weights)


def test_regularised_delays():
    network = dense(KEY, (4, 5, 3), delays="axonal")
    values = np.concatenate([each.delays.values() for each in network.layers])
    size = delay_size(network, jnp.zeros((1, 4)), ())
    assert float(size) == pytest.approx((values**2).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(KEY, (4,)), "sizes"),
        (lambda: dense(KEY, (4, 0)), "sizes"),
        (lambda: dense(KEY, (4, 5, 3), mean=(1.0,)), "one per layer"),
        (lambda: dense(KEY, (4, 5, 3), bias=-0.2), "bias"),
        (lambda: dense(KEY, (4, 5, 3), delays="somatic"), "kind"),
        (lambda: dense(KEY, (4, 5, 3), delays="axonal", copies=3), "copies"),
        (lambda: delays(KEY, "synaptic", 4, 4, copies=2), "copies"),
        (lambda: Sigmoid(-0.1, 1.0), "low"),
        (lambda: Sigmoid(1.0, 1.0), "high"),
        (lambda: RelativeError(np.nan), "gap"),
        (lambda: CrossEntropy(xi=0.0), "xi"),
        (lambda: TargetTimes(-1.0), "right"),
        (lambda: Bumping((1.2,)), "limits"),
        (lambda: Imperfections(jitter=-0.1), "jitter"),
        (lambda: Imperfections(weight_limit=0.0), "weight_limit"),
        (lambda: quantise(jnp.ones(2), -1.0), "step"),
        (lambda: Trainer(LOSS, batch=0), "batch"),
        (lambda: Trainer(LOSS, bumping=Bumping((0.1,))).init(dense(KEY, (4, 5, 3))), "limits"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()
