"""The theory of Latent Equilibrium as exact identities, in double precision."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lapicque._checks import InputError
from lapicque.rate import (
    FULL_FORWARD,
    SWEEPS,
    SYNCHRONOUS,
    Conv2d,
    Dense,
    Layer,
    Network,
    Neurons,
    Nudging,
    calibrate_tau_m,
    cross_entropy,
    dense,
    energy,
    lenet,
    map_layers,
    mismatched,
    simulate,
    squared_error,
    swapped,
    with_mismatch,
)

SIZES = (20, 15, 12, 5)
SCHEDULES = {"synchronous": SYNCHRONOUS, "full forward": FULL_FORWARD, "sweeps": SWEEPS}


def tanh_net(beta, tau=10.0, schedule=SYNCHRONOUS, seed=0, sizes=SIZES, cost=squared_error):
    key = jax.random.key(seed)
    network = dense(
        key, sizes, activation=jnp.tanh, output=jnp.tanh, scale=0.3, tau_m=tau, tau_r=tau
    )
    return dataclasses.replace(network, nudging=Nudging(beta, cost), schedule=schedule)


def samples(n=8, seed=1, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.standard_normal((n, sizes[0]))), jnp.asarray(
        rng.standard_normal((n, sizes[-1]))
    )


def feedforward(network, x):
    """The same network without time: one layer after the other."""
    rates = []
    for layer in network.layers:
        x = layer.neurons.activation(layer.synapses(x))
        rates.append(x)
    return rates


def settle(network, x, y, steps, dt=0.1, state=None):
    """State, output and gradients after every step of a constant input."""
    step = eqx.filter_jit(network.step_with_gradients)
    state = network.init(x.shape[:1]) if state is None else state
    trail = []
    for _ in range(steps):
        state, output, gradients = step(state, x, y, dt)
        trail.append((state, output, gradients))
    return trail


def backprop(network, x, y):
    def loss(parameters):
        answer = feedforward(network.with_parameters(parameters), x)[-1]
        return network.nudging.cost(answer, y).mean()

    return jax.grad(loss)(network.parameters)


def compare(gradients, reference, beta):
    """Cosine and relative error of every layer's synaptic gradient."""
    for g, r in zip(gradients, reference, strict=True):
        a = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(g.synapses)]) / beta
        b = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(r.synapses)])
        norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
        yield float(a @ b / norms), float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


@pytest.mark.parametrize("tau", [1.0, 50.0])
def test_the_answer_is_final_after_as_many_steps_as_layers(x64, tau):
    """beta = 0, synchronous: r_L is the static forward pass after exactly L steps."""
    network, (x, _) = tanh_net(0.0, tau), samples()
    trail = settle(network, x, None, 6)
    exact = feedforward(network, x)[-1]
    depth = len(network.layers)
    np.testing.assert_allclose(trail[depth - 1][1], exact, rtol=1e-12)
    assert float(jnp.abs(trail[depth - 2][1] - exact).max()) > 1e-3
    np.testing.assert_allclose(trail[-1][1], exact, rtol=1e-12)


def test_full_forward_answers_within_one_step(x64):
    network, (x, _) = tanh_net(0.0, schedule=FULL_FORWARD), samples()
    ((_, output, _),) = settle(network, x, None, 1)
    np.testing.assert_allclose(output, feedforward(network, x)[-1], rtol=1e-12)


@settings(deadline=None, max_examples=10)
@given(
    tau=st.floats(0.2, 5000),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    beta=st.floats(0, 0.5),
    seed=st.integers(0, 100),
)
def test_no_trajectory_depends_on_tau(tau, schedule, beta, seed):
    """T1: potentials, rates, errors and gradients are those of any other time constant."""
    with jax.enable_x64(True):
        trails = []
        for tau_m in (10.0, tau):
            network = tanh_net(beta, tau_m, SCHEDULES[schedule], seed)
            state, both = network.init((4,)), []
            for k in (1, 2):  # the state is carried over a change of the stimulus
                trail = settle(network, *samples(4, k), 6, state=state)
                state = trail[-1][0]
                both += trail
            trails.append(both)
        for (a, out_a, g_a), (b, out_b, g_b) in zip(*trails, strict=True):
            np.testing.assert_allclose(out_a, out_b, atol=1e-9)
            for p, q, s, t in zip(a.layers, b.layers, g_a, g_b, strict=True):
                np.testing.assert_allclose(p.p, q.p, atol=1e-9)
                np.testing.assert_allclose(p.e, q.e, atol=1e-9)
                np.testing.assert_allclose(s.synapses.weight, t.synapses.weight, atol=1e-9)


def test_settled_errors(x64):
    """Errors within 1 % of their end after 2L+2 steps (beta 0.01); still after 60 (beta 0.1)."""
    x, y = samples()
    trail = settle(tanh_net(0.01), x, y, 100)
    early, end = trail[2 * 3 + 1][0], trail[-1][0]
    for a, b in zip(early.layers, end.layers, strict=True):
        assert float(jnp.linalg.norm(a.e - b.e) / jnp.linalg.norm(b.e)) < 0.01
    trail = settle(tanh_net(0.1), x, y, 61)
    for a, b in zip(trail[-2][0].layers, trail[-1][0].layers, strict=True):
        assert float(jnp.abs(a.e - b.e).max()) < 1e-6


@pytest.mark.parametrize("cost", [squared_error, cross_entropy])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_local_gradients_are_those_of_backprop(x64, schedule, cost):
    """T2: cosine > 0.9999 and relative error < 5e-4 at beta = 1e-4, proportional to beta."""
    x, y = samples()
    if cost is cross_entropy:
        y = jax.nn.one_hot(jnp.arange(len(y)) % y.shape[1], y.shape[1])
    errors = []
    for beta in (1e-4, 1e-3):
        network = tanh_net(beta, schedule=SCHEDULES[schedule], cost=cost)
        gradients = settle(network, x, y, 30)[-1][2]
        reference = backprop(network, x, y)
        cosines, relative = zip(*compare(gradients, reference, beta), strict=True)
        assert min(cosines) > 0.9999
        errors.append(max(relative))
    assert errors[0] < 5e-4
    assert 8 < errors[1] / errors[0] < 12


def test_gradients_arrive_layer_by_layer(x64):
    """The top layer is right after L+1 steps, the bottom one only L-1 steps later."""
    network, (x, y) = tanh_net(1e-4), samples()
    reference = backprop(network, x, y)
    trail = settle(network, x, y, 6)
    at_4 = [cosine for cosine, _ in compare(trail[3][2], reference, 1e-4)]
    at_6 = [cosine for cosine, _ in compare(trail[5][2], reference, 1e-4)]
    assert at_4[-1] > 0.9999 > 0.99 > at_4[0]
    assert min(at_6) > 0.9999


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_settled_state_is_stationary(x64, schedule):
    """T3: dE/dp vanishes for finite beta. T4: dE/d(parameters) are the local gradients."""
    network, (x, y) = tanh_net(0.1, schedule=SCHEDULES[schedule]), samples()
    state, _, gradients = settle(network, x, y, 150)[-1]
    potentials = [layer.p for layer in state.layers]
    for residual in jax.grad(lambda p: energy(network, p, x, y))(potentials):
        assert float(jnp.abs(residual).max()) < 1e-10
    slopes = jax.grad(lambda p: energy(network.with_parameters(p), potentials, x, y))(
        network.parameters
    )
    for ours, exact in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(ours.synapses.weight, exact.synapses.weight, atol=1e-10)
        np.testing.assert_allclose(ours.synapses.bias, exact.synapses.bias, atol=1e-10)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1000), beta=st.floats(0.01, 0.2), width=st.sampled_from([1, 4]))
def test_every_settled_network_is_stationary(seed, beta, width):
    with jax.enable_x64(True):
        sizes = (5, width, 3)
        network = tanh_net(beta, seed=seed, sizes=sizes)
        x, y = samples(3, seed, sizes)
        state = settle(network, x, y, 150)[-1][0]
        potentials = [layer.p for layer in state.layers]
        for residual in jax.grad(lambda p: energy(network, p, x, y))(potentials):
            assert float(jnp.abs(residual).max()) < 1e-9


def test_recurrent_gradients_equal_implicit_differentiation(x64):
    """T5: recurrent weights, fixed point of r = tanh(W x + R r)."""
    key, n = jax.random.key(3), 6
    layers = [
        Layer(
            Dense.normal(key, 4, n, 0.4),
            Neurons(10.0, 10.0, jnp.tanh),
            recurrent=Dense(0.25 * jax.random.normal(jax.random.fold_in(key, 1), (n, n))),
        ),
        Layer(Dense.normal(jax.random.fold_in(key, 2), n, 2, 0.5), Neurons(5.0, 5.0, jnp.tanh)),
    ]
    beta = 1e-5
    network = Network(layers, (4,), nudging=Nudging(beta))
    x, y = samples(5, 2, (4, 2))
    gradients = settle(network, x, y, 300)[-1][2]

    def fixed_point(parameters, r0):
        first = parameters[0]
        return jnp.tanh(first.synapses(x) + first.recurrent(r0))

    r = jnp.zeros((5, n))
    for _ in range(500):
        r = fixed_point(network.parameters, r)

    def loss_of_rate(parameters, r):
        return squared_error(jnp.tanh(parameters[1].synapses(r)), y).sum() / 5

    # implicit function theorem: dr = (1 - df/dr)^-1 df/d(parameters)
    jacobian = jax.jacobian(lambda r: fixed_point(network.parameters, r))(r)
    jacobian = jacobian.reshape(5 * n, 5 * n)
    slope = jax.grad(loss_of_rate, 1)(network.parameters, r).ravel()
    adjoint = jnp.linalg.solve((jnp.eye(5 * n) - jacobian).T, slope).reshape(5, n)
    (implicit,) = jax.vjp(lambda p: fixed_point(p, r), network.parameters)[1](adjoint)
    np.testing.assert_allclose(
        gradients[0].recurrent.weight / beta, implicit[0].recurrent.weight, rtol=2e-3, atol=3e-5
    )
    np.testing.assert_allclose(
        gradients[0].synapses.weight / beta, implicit[0].synapses.weight, rtol=2e-3, atol=3e-5
    )


def test_convolutional_gradients_are_those_of_backprop(x64):
    """Cosine > 0.999 in every layer of a LeNet, pooling included, at beta = 1e-4."""
    key = jax.random.key(0)
    network = lenet(key, (1, 16, 16), 4, channels=(3, 5), hidden=12, scale=0.2, activation=jnp.tanh)
    network = dataclasses.replace(network, nudging=Nudging(1e-4))
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.random((3, 1, 16, 16))), jnp.asarray(rng.random((3, 4)))
    gradients = settle(network, x, y, 20)[-1][2]
    for cosine, error in compare(gradients, backprop(network, x, y), 1e-4):
        assert cosine > 0.999
        assert error < 2e-3


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolution_by_patches_is_convolution(x64, stride, padding):
    """The two forms, one for CPUs and one for accelerators, are the same linear map."""
    key = jax.random.key(0)
    rates, weight = jax.random.normal(key, (2, 3, 11, 8)), jax.random.normal(key, (4, 3, 5, 4))
    ours = Conv2d(weight, None, stride, padding)(rates)
    exact = jax.lax.conv_general_dilated(rates, weight, (stride, stride), padding)
    np.testing.assert_allclose(ours, exact, atol=1e-12)


def test_batches_are_means_of_their_parts(x64):
    """Gradients and states do not depend on how samples are split into batches."""
    network, (x, y) = tanh_net(0.1), samples(6)
    whole = settle(network, x, y, 8)[-1]
    parts = [settle(network, x[i : i + 2], y[i : i + 2], 8)[-1] for i in (0, 2, 4)]
    np.testing.assert_allclose(whole[1], jnp.concatenate([p[1] for p in parts]), atol=1e-12)
    for layer, gradient in enumerate(whole[2]):
        mean = sum(p[2][layer].synapses.weight for p in parts) / 3
        np.testing.assert_allclose(gradient.synapses.weight, mean, atol=1e-12)


def test_random_feedback_replaces_the_transpose(x64):
    """The hidden error is built from B where there is one, and learning still uses W's input."""
    key = jax.random.key(0)
    network = dense(key, (6, 5, 3), feedback="random", activation=jnp.tanh, scale=0.4)
    x, y = samples(4, 1, (6, 3))
    state, _, gradients = settle(network, x, y, 60)[-1]
    hidden, top = state.layers
    back = network.layers[1].feedback.weight
    np.testing.assert_allclose(hidden.e, (1 - jnp.tanh(hidden.p) ** 2) * (top.e @ back), atol=1e-10)
    np.testing.assert_allclose(gradients[0].synapses.weight, -hidden.e.T @ x / 4, atol=1e-12)
    assert float(jnp.abs(back - network.layers[1].synapses.weight).max()) > 0.1


def test_calibration_finds_the_prospective_time_constant(x64):
    """T8: from 20 % mismatch to below 1 %, without a teacher."""
    key = jax.random.key(5)
    network = mismatched(dense(key, (20, 30, 20), scale=0.2), jax.random.fold_in(key, 1), 0.2)
    inputs = jax.random.uniform(key, (3000, 16, 20))
    after, _ = calibrate_tau_m(network, network.init((16,)), inputs, rate=3000.0, dt=0.1)
    for before, now in zip(network.parameters, after.parameters, strict=True):
        assert float(jnp.mean(jnp.abs(before.tau_m / before.tau_r - 1))) > 0.1
        assert float(jnp.mean(jnp.abs(now.tau_m / now.tau_r - 1))) < 0.01


def test_both_error_readings_agree_without_mismatch_and_differ_with_it(x64):
    x, y = samples()

    def errors(network):
        return settle(network, x, y, 12)[-1][0].layers[0].e

    ideal = tanh_net(0.1)
    np.testing.assert_allclose(errors(ideal), errors(with_mismatch(ideal, "rate")), atol=1e-12)
    spread = mismatched(ideal, jax.random.key(1), 0.2)
    difference = jnp.abs(errors(spread) - errors(with_mismatch(spread, "rate"))).max()
    assert float(difference) > 1e-4


def test_noise_belongs_to_the_sample_not_to_the_batch(x64):
    network, (x, _) = tanh_net(0.1), samples(4)
    noisy = dataclasses.replace(network.layers[0].transmission, noise=0.2)
    network = map_layers(network, lambda layer: eqx.tree_at(lambda m: m.transmission, layer, noisy))
    key = jax.random.key(9)

    def output(state, x):
        return simulate(network, state, jnp.stack([x] * 5), 0.1)[1]

    whole = output(network.init((4,), key), x)
    first_two = output(network.init((2,), key), x[:2])
    np.testing.assert_array_equal(whole[:, :2], first_two)
    assert float(jnp.std(whole[-1] - feedforward(network, x)[-1])) > 0.1


def test_a_synaptic_filter_lags_by_its_time_constant(x64):
    network = tanh_net(0.0, sizes=(2, 2))
    filtered = dataclasses.replace(network.layers[0].transmission, tau_syn=2.0)
    network = map_layers(
        network, lambda layer: eqx.tree_at(lambda m: m.transmission, layer, filtered)
    )
    x = jnp.ones((1, 2))
    _, output = simulate(network, network.init((1,)), jnp.stack([x] * 200), 0.01)
    exact = feedforward(network, x)[-1]
    np.testing.assert_allclose(output[-1], exact * (1 - 0.995**200), rtol=1e-9)


def test_the_error_filter_swaps_the_time_constants(x64):
    """A constant error passes; a step in it is advanced by tau_m / tau_r."""
    key = jax.random.key(0)
    layer = Layer(Dense.normal(key, 2, 3), Neurons(4.0, 2.0, jnp.tanh), error_filter=swapped)
    network = Network([layer], (2,), nudging=Nudging(0.5), coupling=0.0)
    x, y = jnp.ones((1, 2)), jnp.ones((1, 3))
    trail = settle(network, x, y, 400)
    p, e = trail[-1][0].layers[0].p, trail[-1][0].layers[0].e
    np.testing.assert_allclose(e, 0.5 * (1 - jnp.tanh(p) ** 2) * (y - jnp.tanh(p)), rtol=1e-4)
    np.testing.assert_allclose(trail[0][0].layers[0].e, 0.5 * 4 / 2 * y, rtol=1e-12)


class TestBadInput:
    def test_negative_beta(self):
        with pytest.raises(InputError, match=r"`beta` is -0\.1; it must be at least 0"):
            tanh_net(-0.1).check(0.1)

    def test_tau_below_dt(self):
        with pytest.raises(InputError, match=r"`tau_m` is 10 ms; it must be at least 20 ms"):
            tanh_net(0.1).check(20.0)

    def test_wrong_shape(self):
        network = tanh_net(0.1)
        with pytest.raises(InputError, match=r"input has 7 channels .* expect 20"):
            network.step(network.init((2,)), jnp.zeros((2, 7)), 0.1)

    def test_layers_that_do_not_fit(self):
        key = jax.random.key(0)
        layers = [Layer(Dense.normal(key, 4, 5), Neurons(1.0, 1.0))] * 2
        with pytest.raises(InputError, match=r"input has 5 channels .* expect 4"):
            Network(layers, (4,)).init((1,))

    def test_noise_without_a_key(self):
        network = tanh_net(0.1)
        noisy = dataclasses.replace(network.layers[0].transmission, noise=0.2)
        network = map_layers(
            network, lambda layer: eqx.tree_at(lambda m: m.transmission, layer, noisy)
        )
        with pytest.raises(InputError, match="needs a `key`"):
            network.init((1,))

    def test_unknown_names(self):
        with pytest.raises(InputError, match="`mismatch` is 'axon'; it must be one of"):
            with_mismatch(tanh_net(0.1), "axon")
        with pytest.raises(InputError, match=r"`feedback` is 'transposed'.*'transpose'"):
            dense(jax.random.key(0), (2, 2), feedback="transposed")

    def test_image_too_small(self):
        with pytest.raises(InputError, match="8 x 8 pixels"):
            lenet(jax.random.key(0), (1, 8, 8))

    def test_nan_in_calibration(self):
        network = mismatched(tanh_net(0.0), jax.random.key(0), 0.1)
        inputs = jnp.zeros((5, 2, 20)).at[3, 0, 1].set(jnp.nan)
        with pytest.raises(InputError, match=r"`inputs` holds 1 of 200 .* index \(3, 0, 1\)"):
            calibrate_tau_m(network, network.init((2,)), inputs, 1.0, 0.1)
