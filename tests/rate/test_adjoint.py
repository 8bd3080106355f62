"""Exact gradients through time, against automatic differentiation and the laws of the action."""

from dataclasses import replace
from itertools import pairwise

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
    Flatten,
    Layer,
    Lesson,
    MaxPool2d,
    Network,
    Neurons,
    Nudging,
    Schedule,
    Series,
    Transmission,
    cross_entropy,
    dense,
    identity,
    lead_lag,
    squared_error,
    swapped,
)
from lapicque.rate.adjoint import (
    adjoint_errors,
    adjoint_gradients,
    autodiff_gradients,
    backward,
    free_run,
)

SCHEDULES = {
    "synchronous": SYNCHRONOUS,
    "full forward": FULL_FORWARD,
    "sweeps": SWEEPS,
    "down first": Schedule(1, 0),
}


def network(
    sizes=(2, 3, 2),
    schedule=SYNCHRONOUS,
    recurrent=False,
    seed=0,
    activation=jnp.tanh,
    cost=squared_error,
    tau_syn=0.0,
    scale=0.6,
    **tau,
):
    """A net whose neurons all have their own two time constants (0.3 to 2, 0.05 to 1.5)."""
    rng, layers = np.random.default_rng(seed), []
    for pre, post in pairwise(sizes):
        tau_m, tau_r = rng.uniform(0.3, 2.0, post), rng.uniform(0.05, 1.5, post)
        weight, bias, again = (
            jnp.asarray(scale * rng.standard_normal(shape))
            for shape in ((post, pre), (post,), (post, post))
        )
        layers.append(
            Layer(
                Dense(weight, bias),
                Neurons(tau.get("tau_m", tau_m), tau.get("tau_r", tau_r), activation),
                recurrent=Dense(0.7 * again) if recurrent else None,
                transmission=Transmission(tau_syn=tau_syn),
            )
        )
    return Network(layers, (sizes[0],), Nudging(0.7, cost), 0.0, schedule)


def lessons(steps=40, batch=2, n_in=2, n_out=2, seed=1):
    rng = np.random.default_rng(seed)
    draw = [rng.standard_normal((steps, batch, n)) for n in (n_in, n_out)]
    return Lesson(*map(jnp.asarray, draw))


def relative(ours, exact):
    """The largest relative error of any parameter group in any layer."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(exact), strict=True)
    return max(float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in pairs)


# Compiled once per structure; `dt` is an array so that its values share a program.
exact_gradients = eqx.filter_jit(adjoint_gradients)
oracle = eqx.filter_jit(autodiff_gradients)


@eqx.filter_jit
def sweep(net, series, dt):
    """End, trail and exact errors of a run from rest."""
    end, trail = free_run(net, net.init(series.input.shape[1:2]), series, dt)
    return end, trail, adjoint_errors(net, end, trail, series, dt)


def both(net, series, dt, state=None):
    state = net.init(series.input.shape[1:2]) if state is None else state
    dt = jnp.asarray(dt, net.dtype)
    return exact_gradients(net, state, series, dt), oracle(net, state, series, dt)


class TestAgainstAutodiff:
    """V1: all parameter groups, W, b, recurrent W, tau_m and tau_r."""

    @settings(deadline=None, max_examples=5)
    @pytest.mark.parametrize(
        ("schedule", "recurrent"),
        [(name, True) for name in SCHEDULES] + [("synchronous", False), ("sweeps", False)],
    )
    @given(seed=st.integers(0, 1000), dt=st.floats(0.01, 0.2))
    def test_double(self, schedule, recurrent, seed, dt):
        with jax.enable_x64(True):
            net = network(schedule=SCHEDULES[schedule], recurrent=recurrent, seed=seed)
            (_, output, ours), (_, same, exact) = both(net, lessons(seed=seed), dt)
            assert relative(ours, exact) < 1e-10
            np.testing.assert_allclose(output, same, rtol=1e-12, atol=1e-14)

    def test_single(self):
        net, series = network(recurrent=True), lessons()
        assert net.dtype == series.input.dtype == jnp.float32
        (_, _, ours), (_, _, exact) = both(net, series, 0.1)
        assert relative(ours, exact) < 1e-4

    def test_a_recurrent_population(self, x64):
        """The sheet's case: 8 neurons, all to all, one step of delay, 400 steps of 0.1."""
        net = network((2, 8), recurrent=True)
        (_, _, ours), (_, _, exact) = both(net, lessons(400, 2, 2, 8), 0.1)
        assert relative(ours, exact) < 1e-13

    def test_synaptic_filters_shared_constants_and_other_costs(self, x64):
        net = network(tau_syn=0.3, cost=cross_entropy, tau_m=1.1, tau_r=0.4, sizes=(2, 3, 2))
        net = replace(net, nudging=replace(net.nudging, tau=0.5))
        series = lessons()
        series = series._replace(target=jax.nn.softmax(series.target))
        (_, _, ours), (_, _, exact) = both(net, series, 0.1)
        assert relative(ours, exact) < 1e-12

    def test_convolution(self, x64):
        rng = np.random.default_rng(0)
        kernels = Conv2d(jnp.asarray(rng.standard_normal((2, 1, 3, 3))))
        read_out = Series(MaxPool2d(2), Flatten(), Dense(jnp.asarray(rng.standard_normal((2, 8)))))
        layers = [Layer(kernels, Neurons(1.5, 0.4, jnp.tanh)), Layer(read_out, Neurons(0.9, 0.3))]
        net = Network(layers, (1, 6, 6), Nudging(0.7))
        series = Lesson(rng.standard_normal((6, 2, 1, 6, 6)), rng.random((6, 2, 2)))
        (_, _, ours), (_, _, exact) = both(net, jax.tree.map(jnp.asarray, series), 0.1)
        assert relative(ours, exact) < 1e-12

    def test_from_any_state(self, x64):
        """The start need not be rest; what lies before it is constant."""
        net, series = network(recurrent=True), lessons()
        state, _, _ = exact_gradients(net, net.init((2,)), lessons(seed=5), jnp.asarray(0.1))
        (_, _, ours), (_, _, exact) = both(net, series, 0.1, state)
        assert relative(ours, exact) < 1e-12


class TestWindows:
    @pytest.mark.parametrize("schedule", ["synchronous", "full forward"])
    def test_joined_windows_give_the_whole(self, x64, schedule):
        """The adjoint handed from window to window makes their sum exact."""
        net, series, dt = network(schedule=SCHEDULES[schedule], recurrent=True), lessons(), 0.1
        state = net.init((2,))
        _, _, whole = adjoint_gradients(net, state, series, dt)
        halves = [jax.tree.map(lambda a, s=s: a[s], series) for s in (slice(25), slice(25, None))]
        middle, first = free_run(net, state, halves[0], dt)
        end, second = free_run(net, middle, halves[1], dt)
        late, adjoint = backward(net, end, second, halves[1], dt)
        early, _ = backward(net, middle, first, halves[0], dt, adjoint)
        assert relative(jax.tree.map(jnp.add, early, late), whole) < 1e-13

    def test_truncation_decays_with_the_membrane(self, x64):
        """What a window of K steps misses falls like (1 - dt/tau_m)^K."""
        dt, tau = 0.05, 0.8
        net = network((2, 2), tau_m=tau, tau_r=0.2, activation=identity)
        _, trail, _ = sweep(net, lessons(240), dt)
        # A teacher at the last step alone: every earlier error has come all the way back.
        seen = jnp.concatenate([jnp.zeros_like(trail.output[:1]), trail.output[:-1]])
        _, _, (errors,) = sweep(net, lessons(240)._replace(target=seen.at[-1].add(1.0)), dt)
        missing = [jnp.abs(errors.e[:-window].sum(0)) for window in (40, 80, 120)]
        for more, less in pairwise(missing):
            np.testing.assert_allclose(less / more, (1 - dt / tau) ** 40, rtol=0.05)


class TestAction:
    @pytest.mark.parametrize("recurrent", [False, True])
    def test_discrete_euler_lagrange(self, x64, recurrent):
        """V2: with e as cotangent of the membrane equation, the action is stationary in all u."""
        net, series, dt = (
            network((2, 8), recurrent=recurrent, schedule=SWEEPS),
            lessons(80, 2, 2, 8),
            0.1,
        )
        end, trail, (errors,) = sweep(net, series, dt)
        (layer,), steps = net.layers, len(series.input)
        tau_m, tau_r = layer.neurons.tau_m, layer.neurons.tau_r
        q = trail.layers[0].du
        u = jnp.concatenate([trail.layers[0].p - tau_r * q, end.layers[0].u[None]])

        def residual_and_cost(u):
            q = (u[1:] - u[:-1]) / dt
            r = jnp.tanh(u[:-1] + tau_r * q)
            s = layer.synapses(series.input)
            if recurrent:
                before = jnp.concatenate([jnp.zeros_like(r[:1]), r[:-1]])
                s = s + layer.recurrent(before)
            cost = net.nudging.beta * net.nudging.cost(r, series.target).sum()
            return tau_m * q + u[:-1] - s, cost

        (rho, _), pull = jax.vjp(residual_and_cost, u)
        assert float(jnp.abs(rho).max()) < 1e-12
        (slope,) = pull((errors.e, jnp.ones(())))
        assert slope.shape[0] == steps + 1
        assert float(jnp.abs(slope[1:]).max()) < 1e-12
        assert float(jnp.abs(errors.e).max()) > 0.1

    def test_finite_beta_is_a_boundary_problem(self, x64):
        """Newton on all potentials at once: dS/du = 0, and its slope in W is -sum e r^T."""
        net, dt = network((1, 2), schedule=SWEEPS, seed=3), 0.2
        series = lessons(15, 1, 1, 2)
        (layer,) = net.layers
        tau_m, tau_r = layer.neurons.tau_m, layer.neurons.tau_r

        def parts(flat, weight):
            u = jnp.concatenate([jnp.zeros((1, 1, 2)), flat.reshape(-1, 1, 2)])
            q = (u[1:] - u[:-1]) / dt
            e = tau_m * q + u[:-1] - series.input @ weight.T - layer.synapses.bias
            cost = net.nudging.cost(jnp.tanh(u[:-1] + tau_r * q), series.target).sum()
            return e, 0.5 * jnp.square(e).sum() + 0.1 * cost

        def action(flat, weight):
            return parts(flat, weight)[1]

        weight = layer.synapses.weight
        u = jnp.zeros(2 * 15)
        u = newton(lambda u: action(u, weight), u)
        assert float(jnp.abs(jax.grad(action)(u, weight)).max()) < 1e-12
        e, _ = parts(u, weight)
        local = -jnp.einsum("tbi,tbj->ij", e, series.input)
        np.testing.assert_allclose(jax.grad(action, 1)(u, weight), local, atol=1e-12)

        def least(beta, weight):  # envelope: d(min S)/dW / beta is the exact gradient as beta -> 0
            u = jnp.zeros(2 * 15)

            def weak(u):
                e, total = parts(u, weight)
                kinetic = 0.5 * jnp.square(e).sum()
                return kinetic + 10 * beta * (total - kinetic)

            return parts(newton(weak, u), weight)[0]

        e = least(1e-6, weight)
        _, _, exact = adjoint_gradients(net, net.init((1,)), series, dt)
        ours = -jnp.einsum("tbi,tbj->ij", e, series.input) / 1e-6
        np.testing.assert_allclose(ours, exact[0].synapses.weight / 0.7, rtol=1e-4)

    def test_boundary(self, x64):
        """tau_m e = tau_r zeta at the end: the natural boundary condition."""
        net, series = network(schedule=SWEEPS), lessons()
        _, _, found = sweep(net, series, 0.1)
        for layer, errors in zip(net.layers, found, strict=True):
            last = layer.neurons.tau_r / layer.neurons.tau_m * errors.eps[-1]
            np.testing.assert_allclose(errors.e[-1], last, rtol=1e-12)

    def test_substituting_past_for_future_gives_the_causal_error(self, x64):
        """V3: D-[e] = D-[zeta] with I- for D- is what the swapped filter solves."""
        x, dt, tau_m, tau_r = (
            jnp.asarray(np.random.default_rng(0).standard_normal(500)),
            0.1,
            1.3,
            0.4,
        )
        e = run(x, tau_m, tau_r, dt)
        leaky = [run(signal, 0.0, tau, dt) for signal, tau in ((e, tau_m), (x, tau_r))]
        np.testing.assert_allclose(*leaky, atol=1e-12)
        # and the exact error solves the equation itself, with the discrete look-back
        exact = run(x[::-1], tau_r, tau_m, dt)[::-1]
        back = [
            signal[1:] * (1 - tau / dt) + tau / dt * signal[:-1]
            for signal, tau in ((exact[::-1], tau_m), (x[::-1], tau_r))
        ]
        assert len(back[0]) == 499
        np.testing.assert_allclose(
            tau_m * exact[:-1] + (dt - tau_m) * exact[1:],
            tau_r * x[:-1] + (dt - tau_r) * x[1:],
            atol=1e-12,
        )

    def test_equal_time_constants_make_all_errors_one(self, x64):
        """V4: exact, GLE and LE errors coincide without delays."""
        net = network(schedule=SWEEPS, tau_m=0.7, tau_r=0.7)
        series, dt = lessons(), 0.1
        _, _, exact = sweep(net, series, dt)
        for error_filter in (swapped, net.layers[0].error_filter):
            layers = tuple(replace(layer, error_filter=error_filter) for layer in net.layers)
            causal = replace(net, layers=layers)

            def step(state, lesson, causal=causal):
                state, _, _ = causal.step_with_gradients(state, *lesson, dt)
                return state, tuple(layer.e for layer in state.layers)

            _, errors = jax.lax.scan(step, causal.init((2,)), series)
            for ours, now in zip(errors, exact, strict=True):
                np.testing.assert_allclose(ours, now.e, atol=1e-12)


def newton(function, x):
    step = jax.jit(lambda x: x - jnp.linalg.solve(jax.hessian(function)(x), jax.grad(function)(x)))
    for _ in range(20):
        x = step(x)
    return x


@jax.jit
def run(x, lead, lag, dt):
    """The lead-lag filter along the first axis, from rest."""

    def step(v, value):
        v, y, _ = lead_lag(v, value, lead, lag, dt)
        return v, y

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


times = st.floats(0.05, 5)


class TestFilters:
    @settings(deadline=None, max_examples=25)
    @given(lead=times, lag=times, seed=st.integers(0, 1000))
    def test_the_reversed_filter_is_the_transpose(self, lead, lag, seed):
        """<F a, b> = <a, F' b> with F' = reverse, filter, reverse."""
        with jax.enable_x64(True):
            a, b = jnp.asarray(np.random.default_rng(seed).standard_normal((2, 200)))
            forth = run(a, lead, lag, 0.05) @ b
            back = a @ run(b[::-1], lead, lag, 0.05)[::-1]
            scale = float(jnp.linalg.norm(a) * jnp.linalg.norm(b)) * max(1, lead / lag)
            assert abs(float(forth - back)) < 1e-12 * scale

    def test_the_backward_sweep_is_the_filter_of_reversed_time(self, x64):
        """Reverse the errors, run the neurons' filter forward, reverse again."""
        net, series, dt = network(schedule=SWEEPS), lessons(), 0.1
        _, _, found = sweep(net, series, dt)
        for layer, errors in zip(net.layers, found, strict=True):
            n = layer.neurons
            again = run(errors.eps[::-1], n.tau_r, n.tau_m, dt)[::-1]
            np.testing.assert_allclose(again, errors.e, atol=1e-14)


class TestBadInput:
    def test_no_steps(self):
        net = dense(jax.random.key(0), (1, 1))
        with pytest.raises(InputError, match="has no steps"):
            adjoint_gradients(net, net.init((1,)), lessons(0), 0.1)
        with pytest.raises(InputError, match="has no steps"):
            autodiff_gradients(net, net.init((1,)), lessons(0), 0.1)

    def test_unequal_lengths(self):
        net, series = dense(jax.random.key(0), (1, 1)), lessons(5)
        with pytest.raises(InputError, match="has 5 inputs and 4 targets"):
            free_run(net, net.init((2,)), series._replace(target=series.target[1:]), 0.1)
