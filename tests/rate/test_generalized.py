"""Generalized Latent Equilibrium: filters, phases, gains, and what learns from them."""

from dataclasses import replace
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings, strategies as st

from lapicque._checks import InputError
from lapicque.rate import (
    SWEEPS,
    Dense,
    Layer,
    Learner,
    Lesson,
    Network,
    Neurons,
    Nudging,
    dense,
    identity,
    lead_lag,
    local_sgd,
    per_layer,
    simulate,
    swapped,
)
from lapicque.rate.adjoint import (
    adjoint_gradients,
    autodiff_gradients,
    backward,
    free_run,
)
from lapicque.rate.credit import CREDITS, WindowLearner, causal, causal_gradients, windows
from lapicque.rate.errors import gain_corrected
from lapicque.rate.learning import keep_above, labelled
from lapicque.rate.stability import UnstableErrorsWarning, loop_gain
from lapicque.rate.streaming import Stream

times = st.floats(0.1, 5)


@jax.jit
def run(x, lead, lag, dt):
    """The lead-lag filter along the first axis, from rest."""

    def step(v, value):
        v, y, _ = lead_lag(v, value, lead, lag, dt)
        return v, y

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def transfer(lead, lag, dt, omega):
    """Closed form on the unit circle."""
    z = np.exp(1j * omega * dt)
    return (dt + lead * (z - 1)) / (dt + lag * (z - 1))


def response(x, y, dt, omega):
    """Complex gain from x to y at omega, over whole periods at the end of both."""
    kernel = np.exp(-1j * omega * dt * np.arange(len(x)))
    return (kernel @ y) / (kernel @ x)


def net(
    sizes=(1, 4, 4, 1), tau_r=(0.1, 0.5, 0.1), spread=0.0, seed=0, activation=jnp.tanh, **options
):
    """Swapped errors, no delays, tau_m = 1; `spread` gives each neuron its own constants."""
    rng, layers = np.random.default_rng(seed), []
    for (pre, post), tau in zip(pairwise(sizes), tau_r, strict=True):
        weight = jnp.asarray(rng.standard_normal((post, pre)) / np.sqrt(pre))
        own = np.exp(spread * rng.uniform(-1, 1, (2, post)))
        neurons = Neurons(own[0], tau * own[1], activation)
        layers.append(Layer(Dense(weight), neurons, error_filter=swapped))
    return Network(layers, (sizes[0],), Nudging(1.0), options.get("coupling", 0.0), SWEEPS)


def cosines(ours, exact):
    """Layer by layer, of the weight gradients."""
    for a, b in zip(ours, exact, strict=True):
        x, y = a.synapses.weight.ravel(), b.synapses.weight.ravel()
        yield float(x @ y / (jnp.linalg.norm(x) * jnp.linalg.norm(y)))


gradients_by = {
    "causal": eqx.filter_jit(causal_gradients),
    "exact": eqx.filter_jit(adjoint_gradients),
}


@eqx.filter_jit
def warm(network, series, dt):
    """Gradients by both rules over the middle third of a sequence, transients left behind.

    The causal errors have lived through the first third, the exact ones know of the last.
    """
    third = len(series.input) // 3
    first, second, last = (
        jax.tree.map(lambda a, i=i: a[i * third : (i + 1) * third], series) for i in range(3)
    )
    start, _, _ = causal_gradients(network, network.init((4,)), first, dt)
    _, _, ours = causal_gradients(network, start, second, dt)
    middle, trail = free_run(network, start, second, dt)
    end, later = free_run(network, middle, last, dt)
    _, terminal = backward(network, end, later, last, dt)
    exact, _ = backward(network, middle, trail, second, dt, terminal)
    return ours, exact


def alignment(network, series, dt=0.05):
    """Cosines of the causal gradients with the exact ones, layer by layer."""
    return list(cosines(*warm(network, series, dt)))


def waves(frequency, duration, dt=0.05, phases=4):
    """A sine in, a shifted one wanted; `frequency` in cycles per unit of time."""
    t = dt * np.arange(round(duration / dt))[:, None] * frequency + np.arange(phases) / phases
    x, y = np.sin(2 * np.pi * t), np.cos(2 * np.pi * t + 0.7)
    return Lesson(jnp.asarray(x)[..., None], jnp.asarray(y)[..., None])


class TestFilters:
    @settings(deadline=None, max_examples=20)
    @given(tau=times, dt=st.floats(0.01, 0.1), seed=st.integers(0, 100))
    def test_equal_constants_pass_everything(self, tau, dt, seed):
        """G1: r = activation(s) and e = eps for any step."""
        with jax.enable_x64(True):
            x = jnp.asarray(np.random.default_rng(seed).standard_normal(100))
            np.testing.assert_allclose(run(x, tau, tau, dt), x, atol=1e-11)

    @settings(deadline=None, max_examples=20)
    @given(a=times, b=times, seed=st.integers(0, 100))
    def test_swapping_inverts(self, a, b, seed):
        """G2: the error filter undoes what the neuron's filter does."""
        with jax.enable_x64(True):
            x = jnp.asarray(np.random.default_rng(seed).standard_normal(100))
            np.testing.assert_allclose(run(run(x, a, b, 0.05), b, a, 0.05), x, atol=1e-10)

    @settings(deadline=None, max_examples=25)
    @given(omega=st.floats(0.2, 3), tau_m=times, tau_r=times)
    def test_phase_of_the_adjoint_and_inverse_gain(self, omega, tau_m, tau_r):
        """G3, V5: measured phase and gain of both errors; equal phases at every frequency."""
        with jax.enable_x64(True):
            dt = 2 * np.pi / omega / round(2 * np.pi / omega / 0.05)
            period = round(2 * np.pi / omega / dt)
            rest = period * int(np.ceil(150 / (period * dt)))  # until transients are over
            x = np.sin(omega * dt * np.arange(2 * rest + period))
            middle = slice(rest, rest + period)
            causal_error = np.asarray(run(jnp.asarray(x), tau_m, tau_r, dt))[middle]
            exact = np.asarray(run(jnp.asarray(x[::-1]), tau_r, tau_m, dt))[::-1][middle]
            e, adjoint = (response(x[middle], y, dt, omega) for y in (causal_error, exact))
            assert abs(np.angle(e / adjoint)) < 1e-6
            forward = transfer(tau_r, tau_m, dt, omega)
            np.testing.assert_allclose([e, adjoint], [1 / forward, np.conj(forward)], atol=1e-6)
            np.testing.assert_allclose(abs(e) / abs(adjoint), 1 / abs(forward) ** 2, rtol=1e-6)

    def test_numbers_of_the_sheet(self):
        """omega = 1, tau_m = 1, tau_r = 0.1; first order in dt away from continuous time."""
        for dt, phase, ratio in (
            (0.01, 0.6882, 1.972),
            (0.001, 0.6859, 1.9794),
            (1e-7, 0.6857, 1.9802),
        ):
            e, adjoint = transfer(1, 0.1, dt, 1), np.conj(transfer(0.1, 1, dt, 1))
            np.testing.assert_allclose([np.angle(e), np.angle(adjoint)], phase, atol=1e-4)
            np.testing.assert_allclose(abs(e / adjoint), ratio, atol=6e-4)

    def test_gain_correction_is_exact_at_its_frequency(self, x64):
        dt, omega = 0.001, 2.0
        neurons = Neurons(jnp.array([1.0, 0.5]), jnp.array([0.1, 2.0]))
        corrected, v = gain_corrected(omega), jnp.ones(2)
        _, e = corrected.step(v, v, neurons, dt)
        _, plain = swapped.step(v, v, neurons, dt)
        for i, (tau_m, tau_r) in enumerate(((1.0, 0.1), (0.5, 2.0))):
            gain = abs((1 + 1j * omega * tau_r) / (1 + 1j * omega * tau_m)) ** 2
            np.testing.assert_allclose(e[i] / plain[i], gain, rtol=1e-12)
        assert gain_corrected(2) is corrected


class TestAlignment:
    def test_gain_corrected_errors_are_exact_in_linear_nets(self, x64):
        """G5, V6: one frequency, linear neurons: cosine with backpropagation through time is 1."""
        frequency = 0.3
        linear = net(activation=identity, spread=0.7)
        learner = WindowLearner(
            linear, local_sgd([0.1] * 3), causal(gain_corrected(2 * np.pi * frequency))
        )
        series = waves(frequency, 60, 0.01)
        assert min(alignment(learner.network, series, 0.01)) > 0.999
        plain, exact = warm(linear, series, 0.01)
        norms = [
            float(jnp.linalg.norm(a.synapses.weight) / jnp.linalg.norm(b.synapses.weight))
            for a, b in zip(plain, exact, strict=True)
        ]
        assert norms[0] > 5  # uncorrected, the first layer's gradient is far too large

    def test_slow_signals_are_aligned_fast_ones_are_not(self, x64):
        """G6: cosines above 0.99 for omega tau_m < 0.5; nothing is promised beyond."""
        for frequency in (0.02, 0.05):
            assert min(alignment(net(), waves(frequency, 150))) > 0.99

    def test_deeper_errors_lead_by_the_phases_of_all_layers(self, x64):
        """Instantaneous errors miss the phase: at 0.3 cycles they align worse than swapped."""
        series = waves(0.3, 100)
        linear = net(activation=identity, spread=0.7)
        without = WindowLearner(linear, local_sgd([0.1] * 3), "instantaneous").network
        ours, instant = alignment(linear, series), alignment(without, series)
        assert ours[0] > instant[0] + 0.05
        np.testing.assert_allclose(ours[-1], 1, rtol=1e-3)

    def test_stationarity(self, x64):
        """G7: I-_{tau_m}[e] = I-_{tau_r}[eps] in every layer; dE/dW is -e r^T."""
        network, series, dt = net(), waves(0.3, 10), 0.05

        def step(state, lesson):
            risen = network.rise(state, lesson.input, dt)
            after, _, slope = network.step_with_gradients(state, *lesson, dt)
            arriving, eps = network.nudging.slope(risen[-1].r, lesson.target), []
            for layer, new, s in reversed(
                list(zip(network.layers, risen, after.layers, strict=True))
            ):
                eps.append(layer.neurons.slope(new.p) * arriving)
                arriving = s.e @ layer.synapses.weight
            local = -after.layers[0].e.T @ lesson.input / 4
            wrong = jnp.abs(slope[0].synapses.weight - local).max()
            return after, (tuple(s.e for s in after.layers), tuple(reversed(eps)), wrong)

        _, (e, eps, wrong) = jax.lax.scan(step, network.init((4,)), series)
        assert float(wrong.max()) < 1e-14
        for layer, ours, before in zip(network.layers, e, eps, strict=True):
            n = layer.neurons
            left, right = run(ours, 0.0, n.tau_m, dt), run(before, 0.0, n.tau_r, dt)
            np.testing.assert_allclose(left, right, atol=1e-10)

    def test_the_reversed_filter_makes_the_rule_exact(self, x64):
        """G4: nothing but the direction of the filter separates this rule from the gradient."""
        network, series = net(), waves(0.3, 5)
        _, _, exact = gradients_by["exact"](network, network.init((4,)), series, 0.05)
        _, _, oracle = eqx.filter_jit(autodiff_gradients)(network, network.init((4,)), series, 0.05)
        for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(oracle), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


class TestCredit:
    @pytest.mark.parametrize("credit", CREDITS)
    def test_one_word_changes_the_rule(self, credit):
        """Every rule learns the same toy within the same lines."""
        network = net((1, 4, 1), (0.5, 0.9))
        optimizer = per_layer([optax.sgd(0.05)] * 2, tau_m=optax.sgd(1e-4))
        learner = WindowLearner(network, optimizer, credit)
        learner.check(0.1)
        series = waves(0.05, 400, 0.1)
        series = windows(series._replace(target=0.8 * jnp.roll(series.input, 10, 0)), 200)
        _, output = eqx.filter_jit(simulate)(learner, learner.init((4,)), series, 0.1)
        cost = jnp.square(output - series.target).mean((1, 2, 3))
        assert float(cost[-1]) < 0.5 * float(cost[0])

    def test_bptt_and_adjoint_take_the_same_path(self, x64):
        series = windows(waves(0.1, 10), 50)
        ends = []
        for credit in ("adjoint", "bptt"):
            learner = WindowLearner(net(), local_sgd([0.01] * 3), credit)
            ends.append(simulate(learner, learner.init((4,)), series, 0.05)[0].parameters)
        for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)

    def test_local_credit_is_the_learner(self, x64):
        """Window by window or step by step: the same, with the network's own filters."""
        network, series = net(), waves(0.1, 10)
        learner = WindowLearner(network, local_sgd([0.01] * 3), "local")
        state, output = simulate(learner, learner.init((4,)), windows(series, 50), 0.05)
        plain = Learner(network, local_sgd([0.01] * 3))
        same, again = simulate(plain, plain.init((4,)), series, 0.05)
        np.testing.assert_allclose(output.reshape(again.shape), again, rtol=1e-12)
        for a, b in zip(*map(jax.tree.leaves, (state, same)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)

    def test_time_constants_learn_and_stay_above_the_bound(self):
        network = net((1, 4, 1), (0.5, 0.9))
        rule = optax.chain(optax.sgd(3.0), keep_above(0.1))
        learner = Learner(network, per_layer([optax.sgd(0.0)] * 2, tau_m=rule, tau_r=rule))
        state = learner.init((4,))
        series = jax.tree.map(lambda a: a.astype(jnp.float32), waves(0.3, 20, 0.1))
        state, _ = simulate(learner, state, series, 0.1)
        learner.trained(state).check(0.1)
        constants = jnp.concatenate([t for p in state.parameters for t in (p.tau_m, p.tau_r)])
        assert float(constants.min()) >= np.float32(0.1)
        assert float(jnp.abs(constants - 0.1).min()) < 1e-6

    @settings(deadline=None, max_examples=50)
    @given(low=st.floats(1e-3, 10), value=st.floats(1, 1e3), change=st.floats(-1e4, 1e4))
    def test_nothing_falls_below_the_bound(self, low, value, change):
        value, change = jnp.float32(low * value), jnp.float32(change)
        rule = keep_above(low)
        short, _ = rule.update(change, rule.init(value), value)
        after = optax.apply_updates(value, short)
        assert float(after) >= low * (1 - 1e-6 * max(1, float(value) / low))
        if float(value + change) > 1.01 * low:
            assert float(short) == float(change)


class TestStability:
    @pytest.mark.parametrize(("scale", "explodes"), [(1.0, True), (0.1, False)])
    def test_the_estimate_tells_explosion_from_peace(self, x64, scale, explodes):
        """The sheet's recurrent net (8 neurons, W std 0.4, tau_m/tau_r up to 12)."""
        rng = np.random.default_rng(0)
        weight = jnp.asarray(scale * 0.4 * rng.standard_normal((8, 8)))
        tau_m, tau_r = rng.uniform(0.3, 2, 8), rng.uniform(0.11, 1.5, 8)
        layer = Layer(
            Dense(jnp.asarray(rng.standard_normal((8, 2)))),
            Neurons(tau_m, tau_r, jnp.tanh),
            recurrent=Dense(weight),
            error_filter=swapped,
        )
        network = Network([layer], (2,), Nudging(1.0), 0.0)
        gain = loop_gain(network)
        assert (gain.value > 1) == explodes
        assert "recurrent synapses of layer 0" in gain.loop
        x = jnp.asarray(0.1 * rng.standard_normal((100, 1, 2)))
        series = Lesson(x, jnp.zeros((100, 1, 8)))
        state, _, _ = gradients_by["causal"](network, network.init((1,)), series, 0.1)
        assert (float(jnp.abs(state.layers[0].e).max()) > 1e3) == explodes
        learner = Learner(network, local_sgd([0.1]))
        if explodes:
            with pytest.warns(UnstableErrorsWarning, match=r"recurrent .* Lower .* tau_m / tau_r"):
                learner.check(0.1)
            # The exact adjoint runs no loop of causal errors: nothing to warn of.
            WindowLearner(network, local_sgd([0.1]), "adjoint").check(0.1)

    def test_coupling_closes_a_loop_in_feedforward_nets(self, x64):
        """gamma beta |J|^2, whatever the time constants: one filter undoes the other."""
        network = replace(net((1, 1), (0.1,), activation=identity), coupling=0.5)
        np.testing.assert_allclose(loop_gain(network).value, 0.5, rtol=1e-6)
        deep = replace(net((1, 4, 1), (0.1, 0.5), activation=identity), coupling=0.5)
        weight = deep.layers[1].synapses.weight
        expected = 0.5 * max(1.0, float(jnp.square(weight).sum()))
        np.testing.assert_allclose(loop_gain(deep).value, expected, rtol=1e-6)
        strong = replace(deep, nudging=Nudging(50.0))
        with pytest.warns(UnstableErrorsWarning, match="`beta` \\(now 50\\) or `coupling`"):
            Learner(strong, local_sgd([0.1, 0.1])).check(0.1)

    def test_no_loop_no_gain(self):
        assert loop_gain(net()).value == 0


class TestStream:
    def stream(self):
        network = dense(jax.random.key(0), (3, 4, 2))
        learner = Learner(network, local_sgd([0.1, 0.1]))
        return learner, Stream(learner, learner.init((2,)), 0.1)

    def slices(self, n):
        rng = np.random.default_rng(0)
        for _ in range(n):
            yield Lesson(rng.random((2, 3), np.float32), rng.random((2, 2), np.float32))

    def test_slice_by_slice_is_the_whole(self):
        learner, stream = self.stream()
        outputs = jnp.stack(list(stream.over(self.slices(20))))
        series = jax.tree.map(lambda *a: jnp.stack(a), *self.slices(20))
        state, whole = simulate(learner, learner.init((2,)), series, 0.1)
        np.testing.assert_allclose(outputs, whole, rtol=1e-5, atol=1e-7)
        for a, b in zip(*map(jax.tree.leaves, (stream.state, state)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
        assert stream.steps == 20

    def test_memory_does_not_grow(self):
        _, stream = self.stream()

        def live():
            return len(jax.live_arrays()), sum(x.nbytes for x in jax.live_arrays())

        for _ in stream.over(self.slices(10)):
            pass
        before = live()
        for _ in stream.over(self.slices(300)):
            pass
        assert live() == before

    def test_a_bad_slice_leaves_the_state_as_it_was(self):
        _, stream = self.stream()
        good = list(self.slices(6))
        for lesson in good[:3]:
            stream.feed(lesson)
        before = stream.state
        bad = good[3].input.copy()
        bad[1, 2] = np.nan
        with pytest.raises(InputError, match=r"`input of slice 3` holds 1 of 6 .* index \(1, 2\)"):
            stream.feed(Lesson(bad, good[3].target))
        for a, b in zip(*map(jax.tree.leaves, (stream.state, before)), strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(InputError, match=r"`target of slice 3` has shape \(2, 3\)"):
            stream.feed(Lesson(good[3].input, good[3].input))
        for lesson in good[3:]:
            stream.feed(lesson)
        _, untroubled = self.stream()
        for lesson in good:
            untroubled.feed(lesson)
        for a, b in zip(*map(jax.tree.leaves, (stream.state, untroubled.state)), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_divergence_is_noticed(self):
        network = dense(jax.random.key(0), (3, 4, 2), output=identity)
        learner = Learner(network, local_sgd([1e30, 1e30]))
        stream = Stream(learner, learner.init((2,)), 0.1)
        with pytest.raises(InputError, match="would make the state infinite"):
            list(stream.over(self.slices(50)))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(stream.state))


class TestBadInput:
    def test_time_constants_below_the_step(self):
        network = net((1, 4, 1), (0.5, 0.05))
        with pytest.raises(InputError, match=r"`tau_r\[0\]` is 0.05 ms.* lag of the error neurons"):
            WindowLearner(network, local_sgd([0.1, 0.1]), "local").check(0.1)
        with pytest.raises(InputError, match=r"`tau_m\[0\]` is 1 ms"):
            WindowLearner(network, local_sgd([0.1, 0.1]), "adjoint").check(2.0)
        # The exact rule needs no causal filter, so a tau_r below the step is fine.
        WindowLearner(network, local_sgd([0.1, 0.1]), "adjoint").check(0.1)

    @pytest.mark.parametrize("credit", CREDITS)
    def test_empty_windows(self, credit):
        learner = WindowLearner(net(), local_sgd([0.1] * 3), credit)
        empty = jax.tree.map(lambda a: a[:0], waves(0.1, 1))
        with pytest.raises(InputError, match="no steps"):
            learner.step(learner.init((4,)), empty, 0.1)

    def test_unknown_credit(self):
        with pytest.raises(InputError, match=r"`credit` is 'adjiont'.* Did you mean 'adjoint'"):
            WindowLearner(net(), local_sgd([0.1] * 3), "adjiont")

    def test_windows_that_do_not_fit(self):
        with pytest.raises(InputError, match="divide the length of the sequence, 20 steps"):
            windows(waves(0.1, 1), 7)

    def test_labels(self):
        inputs = jnp.zeros((5, 3, 2))
        assert labelled(inputs, jnp.array([0, 2, 1]), 3).target.shape == (5, 3, 3)
        with pytest.raises(InputError, match=r"`labels\[1\]` is 3; it must lie between 0 and 2"):
            labelled(inputs, jnp.array([0, 3, 1]), 3)
        with pytest.raises(InputError, match=r"`labels\[0\]` is -1"):
            labelled(inputs, jnp.array([-1, 0, 1]), 3)
        with pytest.raises(InputError, match=r"`labels` has shape \(2,\)"):
            labelled(inputs, jnp.array([0, 1]), 3)
        with pytest.raises(InputError, match="must be integers"):
            labelled(inputs, jnp.array([0.0, 1.0, 2.0]), 3)

    def test_bad_numbers(self):
        with pytest.raises(InputError, match="`omega` is 0"):
            gain_corrected(0.0)
        with pytest.raises(InputError, match="`low` is -1"):
            keep_above(-1.0)
