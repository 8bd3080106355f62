"""Exact identities of single first-spike neurons."""

from functools import partial
from itertools import pairwise, product
from math import e, inf, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import lambertw

from lapicque._checks import InputError
from lapicque.spiketime import (
    Lambert,
    Mismatched,
    Neuron,
    Newton,
    NonLeaky,
    Quadratic,
    crossing,
    first_spike,
    from_events,
    highest_potential,
    potential,
    spike_gradient,
    spikes,
)
from lapicque.spiketime.solvers import lambert_w
from lapicque.spiketime.sorting import sort_with

pytestmark = pytest.mark.usefixtures("x64")

RATIOS = (2.0, 1.0, inf, 3.7, 0.6, 1.0001)
SCANS = ("sequential", "associative")

# (tau_m, arrivals, weights, T, dT/dw, dT/dt), from the fact sheet's independent computation
GOLDEN = (
    (2, [0.2], [4], 0.5166943676407499, [-0.103553390593], [1]),
    (
        2,
        [0.2, 0.5, 1],
        [3, 1.2, -0.4],
        0.5993050493843743,
        [-0.114069970992, -0.035471345211, 0],
        [0.6032012085, 0.3967987915, 0],
    ),
    (
        2,
        [0.3, 0.3, 0.9],
        [1.5, 1.5, 2],
        0.7748015723032384,
        [-0.244016935856, -0.244016935856, 0],
        [0.5, 0.5, 0],
    ),
    (
        2,
        [0.1, 0.4, 0.8],
        [-1, 2, 2.5],
        1.123183483263566,
        [-0.250022056263, -0.220103605108, -0.132198085241],
        [-0.06214691411, 0.285169988377, 0.776976925733],
    ),
    (2, [0.2, 0.5, 1], [1, 1.2, -0.4], inf, [0, 0, 0], [0, 0, 0]),
    (1, [0.2], [4], 0.5574029561813889, [-0.139046296439], [1]),
    (
        1,
        [0.2, 0.5, 1],
        [3, 1.2, -0.4],
        0.6419346618514711,
        [-0.144229067274, -0.062527568611, 0],
        [0.546387849702, 0.453612150298, 0],
    ),
    (
        1,
        [0.3, 0.3, 0.9],
        [1.5, 1.5, 2],
        0.9045909345732737,
        [-0.125597071169, -0.125597071169, -0.001737783518],
        [0.12321278163, 0.12321278163, 0.753574436741],
    ),
    (
        1,
        [0.1, 0.4, 0.8],
        [-1, 2, 2.5],
        1.1815406674455584,
        [-0.285752994011, -0.278732661246, -0.202999471725],
        [0.021543794475, 0.155824907579, 0.822631297946],
    ),
)


def random_neurons(seed, tau_m, pre=12, post=40, span=3.0):
    """Inputs and weights of which a good part makes neurons spike."""
    rng = np.random.default_rng(seed)
    neuron = Neuron(tau_m=tau_m)
    unit = 2 * float(neuron.psp(jnp.linspace(0, 20, 2000)).max())
    arrival = rng.uniform(0, span, pre)
    weights = rng.normal(3 / pre, 6 / pre, (post, pre)) / unit
    return jnp.asarray(arrival), jnp.asarray(weights), neuron


def brute_force(arrival, weights, neuron):
    """First crossing of one neuron: a dense grid in every interval, then bisection."""

    def v(t):
        since = np.maximum(np.asarray(t)[..., None] - arrival, 0)
        fast, slow = np.exp(-since / neuron.tau_s), np.exp(-since / neuron.tau_m)
        if neuron.tau_m == neuron.tau_s:
            psp = since * fast
        else:
            psp = (slow - fast) / (1 / neuron.tau_s - 1 / neuron.tau_m)
        return psp @ weights - neuron.threshold

    edges = np.append(np.sort(arrival), arrival.max() + 40)
    for low, high in pairwise(edges):
        grid = np.linspace(low, high, 800)
        values = v(grid)
        above = np.flatnonzero(values >= 0)
        if above.size:
            k = above[0]
            return grid[k] if k == 0 else brentq(v, grid[k - 1], grid[k], xtol=1e-15)
    return inf


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize(
    ("general", "scan"), [(False, "sequential"), (True, "sequential"), (False, "associative")]
)
def test_golden_vectors(case, general, scan):
    tau_m, arrival, weights, time, d_weights, d_arrival = case
    neuron = Neuron(tau_m=float(tau_m), solver=Newton() if general else None)

    def t(arrival, weights):
        return first_spike(arrival, weights, neuron, scan=scan)[0]

    arguments = jnp.array(arrival, float), jnp.array([weights], float)
    assert t(*arguments) == pytest.approx(time, abs=1e-14)
    da, dw = jax.grad(t, (0, 1))(*arguments)
    np.testing.assert_allclose(dw[0], d_weights, atol=2e-12)
    np.testing.assert_allclose(da, d_arrival, atol=2e-10)


@pytest.mark.parametrize("tau_m", RATIOS)
def test_agrees_with_brute_force(tau_m):
    spikes = 0
    for seed in range(4):
        arrival, weights, neuron = random_neurons(seed, tau_m, post=20)
        times = np.asarray(first_spike(arrival, weights, neuron))
        expected = [brute_force(np.asarray(arrival), np.asarray(w), neuron) for w in weights]
        np.testing.assert_allclose(times, expected, atol=2e-12)
        spikes += np.isfinite(times).sum()
    assert 10 < spikes < 75


def test_agrees_with_an_ode_solver():
    arrival, weights, neuron = random_neurons(3, 3.7, pre=6, post=8)
    times = np.asarray(first_spike(arrival, weights, neuron))
    for w, time in zip(np.asarray(weights), times, strict=True):
        order = np.argsort(arrival)
        v, i, t = 0.0, 0.0, 0.0
        found = inf
        for k, following in zip(order, [*np.asarray(arrival)[order[1:]], 30.0], strict=True):
            i = i * np.exp(-(arrival[k] - t)) + w[k] if t else w[k]
            t = float(arrival[k])

            def rhs(_, y):
                return [-y[0] / neuron.tau_m + y[1], -y[1] / neuron.tau_s]

            def cross(_, y):
                return y[0] - neuron.threshold

            cross.terminal, cross.direction = True, 1
            step = solve_ivp(rhs, (t, following), [v, i], events=cross, rtol=1e-11, atol=1e-12)
            if step.t_events[0].size:
                found = step.t_events[0][0]
                break
            (v, _), t_end = step.y[:, -1], step.t[-1]
            i, t = step.y[1, -1], t_end
        assert time == pytest.approx(found, abs=1e-8)


def test_error_of_a_fine_step_integration_falls_with_its_step():
    arrival, weights, neuron = random_neurons(5, 2.0, pre=10, post=30)
    exact = np.asarray(first_spike(arrival, weights, neuron))
    errors = []
    for step in (0.01, 0.005, 0.0025):
        v, i, times = np.zeros(30), np.zeros(30), np.full(30, inf)
        for n in range(int(12 / step)):
            new = (np.asarray(arrival) >= n * step) & (np.asarray(arrival) < (n + 1) * step)
            i = i + np.asarray(weights)[:, new].sum(1)
            v = v + step * (i - v / neuron.tau_m)
            i = i * (1 - step / neuron.tau_s)
            times = np.where((v >= 1) & np.isinf(times), (n + 1) * step, times)
        both = np.isfinite(times) & np.isfinite(exact)
        errors.append(np.abs(times[both] - exact[both]).mean())
    assert errors[0] > 1.6 * errors[1] > 1.6 * 1.6 * errors[2]


@pytest.mark.parametrize("tau_m", [2.0, 1.0, inf, 0.6])
def test_gradients_are_those_of_finite_differences(tau_m):
    arrival, weights, neuron = random_neurons(7, tau_m)

    @jax.jit
    def total(arrival, weights, threshold):
        times = first_spike(arrival, weights, neuron, threshold=threshold)
        return jnp.where(jnp.isfinite(times), times, 0.0)

    threshold = jnp.ones(weights.shape[0])
    slopes = jax.jacrev(total, (0, 1, 2))(arrival, weights, threshold)
    # Near grazing the second derivative spoils differences: steep crossings are compared.
    steep = np.abs(slopes[2]).max(1) < 5
    spiking = np.isfinite(first_spike(arrival, weights, neuron)) & steep
    assert spiking.sum() >= 5
    h = 1e-6
    for k in range(0, arrival.size, 3):
        up, down = (total(arrival.at[k].add(s * h), weights, threshold) for s in (1, -1))
        scale = np.abs(slopes[0]).max(1)[spiking]
        numeric = np.asarray((up - down) / (2 * h))[spiking]
        assert np.max(np.abs(numeric - slopes[0][spiking, k]) / scale) < 2e-8
        up, down = (total(arrival, weights.at[:, k].add(s * h), threshold) for s in (1, -1))
        rows = np.arange(len(weights))
        own = slopes[1][rows, rows]
        scale = np.abs(own).max(1)[spiking]
        numeric = np.asarray((up - down) / (2 * h))[spiking]
        assert np.max(np.abs(numeric - own[spiking, k]) / scale) < 2e-8
    up, down = (total(arrival, weights, threshold + s * h) for s in (1, -1))
    own = np.diagonal(slopes[2])[spiking]
    np.testing.assert_allclose(np.asarray((up - down) / (2 * h))[spiking], own, rtol=2e-8)


@given(
    seed=st.integers(0, 10**6),
    tau_m=st.sampled_from([2.0, 0.6]),
    shift=st.floats(0, 50),
    factor=st.sampled_from([0.5, 4.0]),
)
@settings(max_examples=4, deadline=None)
def test_invariances(seed, tau_m, shift, factor):
    """Shifts, scalings and permutations move spike times as they must."""
    arrival, weights, neuron = random_neurons(seed, tau_m, pre=6, post=10)
    times = first_spike(arrival, weights, neuron)
    spiking = np.isfinite(times)
    limits = {"rtol": 1e-7, "atol": 1e-7}
    np.testing.assert_allclose(
        first_spike(arrival + shift, weights, neuron), times + shift, **limits
    )
    loud = Neuron(tau_m=tau_m, threshold=factor)
    np.testing.assert_allclose(first_spike(arrival, factor * weights, loud), times, **limits)
    slow = Neuron(tau_m=factor * tau_m, tau_s=factor, solver=Newton())
    stretched = first_spike(factor * arrival, weights / factor, slow)
    np.testing.assert_allclose(stretched, factor * times, **limits)
    order = np.random.default_rng(seed).permutation(6)
    mixed = first_spike(arrival[order], weights[:, order], neuron)
    np.testing.assert_allclose(mixed, times, **limits)

    def total(arrival, weights):
        times = first_spike(arrival, weights, neuron)
        return jnp.where(jnp.isfinite(times), times, 0.0)

    by_arrival, by_weight = jax.jacrev(total, (0, 1))(arrival, weights)
    np.testing.assert_allclose(by_arrival.sum(1)[spiking], 1, rtol=1e-7)
    assert (by_arrival[~spiking] == 0).all()
    assert (by_weight[~spiking] == 0).all()
    late = np.asarray(arrival)[None] > np.asarray(times)[:, None]
    assert (np.asarray(by_arrival)[late] == 0).all()
    own = by_weight[np.arange(10), np.arange(10)]
    slope = jax.vmap(jax.grad(lambda t, k: potential(jnp.full(10, t), arrival, weights, neuron)[k]))
    rise = slope(jnp.where(spiking, times, 1.0), jnp.arange(10))
    np.testing.assert_allclose(
        ((weights * own).sum(1) * rise)[spiking], -1, rtol=1e-6
    )  # T(lambda w, lambda threshold) = T


@pytest.mark.parametrize(
    ("tau_m", "critical", "when"), [(2.0, 2.0, 2 * log(2)), (1.0, e, 1.0), (inf, 1.0, inf)]
)
def test_critical_weight_of_a_single_input(tau_m, critical, when):
    neuron = Neuron(tau_m=tau_m)
    for solver in (None, Newton()):
        neuron = Neuron(tau_m=tau_m, solver=solver)

        def spike(weight, neuron=neuron):
            return float(first_spike(jnp.zeros(1), jnp.array([[weight]]), neuron)[0])

        assert spike(critical * (1 - 1e-9)) == inf
        just = spike(critical * (1 + 1e-9))
        if when < inf:
            assert just == pytest.approx(when, abs=1e-3)
        else:
            assert 9 < just < inf


def test_coinciding_inputs_and_ties():
    neuron = Neuron()
    one = first_spike(jnp.array([0.3, 0.9]), jnp.array([[3.0, 2.0]]), neuron)
    split = first_spike(jnp.array([0.3, 0.3, 0.3, 0.9]), jnp.array([[1.0, 1, 1, 2]]), neuron)
    np.testing.assert_allclose(one, split, rtol=1e-14)
    last = first_spike(jnp.array([0.3, float(one[0])]), jnp.array([[3.0, -9.0]]), neuron)
    np.testing.assert_allclose(last, one, rtol=1e-13)


def test_silence_is_infinite_and_has_no_gradient():
    for tau_m in (2.0, inf, 0.6):
        neuron = Neuron(tau_m=tau_m)
        arrival = jnp.array([[inf, inf], [0.1, inf], [inf, 0.2]])
        weights = jnp.array([[5.0, -1.0], [-3.0, 4.0]])
        times = first_spike(arrival, weights, neuron)
        assert np.isinf(times).tolist() == [[True, True], [False, True], [True, False]]

        def total(arrival, weights, neuron=neuron):
            return first_spike(arrival, weights, neuron).ravel()

        for slope in jax.jacrev(total, (0, 1))(arrival, weights):
            assert np.isfinite(slope).all()
            assert (np.asarray(slope)[[0, 1, 3, 4]] == 0).all()


@pytest.mark.parametrize("tau_m", [2.0, pytest.param(0.6, marks=pytest.mark.slow)])
def test_ways_of_scanning_agree(tau_m):
    arrival, weights, neuron = random_neurons(11, tau_m, pre=33, post=50)
    batch = jnp.stack([arrival, arrival[::-1] + 0.1, arrival.at[3].set(inf)])
    one, two = (crossing(batch, weights, neuron, scan=scan) for scan in SCANS)
    np.testing.assert_allclose(one, two, rtol=1e-12)
    copies = jnp.broadcast_to(batch[:, None], (3, *weights.shape))
    np.testing.assert_allclose(crossing(copies, weights, neuron, per_synapse=True), one, rtol=1e-12)
    np.testing.assert_allclose(crossing(batch[1], weights, neuron), one[1], rtol=1e-12)


@pytest.mark.parametrize("per_synapse", [False, True])
def test_pieces_give_what_the_whole_gives(per_synapse):
    """All samples at once take several pieces of neurons, half of them take one."""
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(0.1, 0.4, (41, 20)))
    shape = (64, 41, 20) if per_synapse else (64, 20)
    assert 64 * weights.size > spikes.CPU_BLOCK > 32 * weights.size
    arrival = jnp.asarray(rng.uniform(0, 2, shape))

    def loss(arrival, weights):
        times = first_spike(arrival, weights, Neuron(), per_synapse=per_synapse)
        return jnp.sum(jnp.where(jnp.isfinite(times), times, 0.0) ** 2)

    slope = jax.value_and_grad(loss, (0, 1))
    whole, (d_arrival, d_weights) = slope(arrival, weights)
    halves = [slope(half, weights) for half in (arrival[:32], arrival[32:])]
    assert sum(float(value) for value, _ in halves) == pytest.approx(float(whole), rel=1e-12)
    np.testing.assert_allclose(
        d_arrival, jnp.concatenate([d for _, (d, _) in halves]), rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(d_weights, sum(d for _, (_, d) in halves), rtol=1e-9, atol=1e-12)


def test_single_precision_is_near_double():
    """Within 3e-5 tau_s, but for crossings that graze; decisions differ only within that, too."""
    counted, worst, grazing = 0, 0.0, 0
    for tau_m, seed in product((2.0, 1.0), range(3)):
        rng = np.random.default_rng(seed)
        for pre, span in ((30, 2.0), (784, 2.0), (784, 120.0)):
            arrival = rng.uniform(0, span, (10, 784))
            arrival[:, pre:] = inf
            arrival = jnp.asarray(arrival, jnp.float32)
            scale = span / pre
            weights = jnp.asarray(rng.normal(scale, 2 * scale**0.5, (60, 784)), jnp.float32)
            neuron = Neuron(tau_m=tau_m)
            single = np.asarray(first_spike(arrival, weights, neuron), float)
            double = np.asarray(first_spike(arrival.astype(float), weights.astype(float), neuron))
            top = highest_potential(arrival.astype(float), weights.astype(float), neuron)
            clearance = np.abs(np.asarray(top) - 1)
            differ = np.isfinite(single) != np.isfinite(double)
            assert (clearance[differ] < 3e-5).all()
            compared = np.isfinite(single) & np.isfinite(double)
            clear = compared & (clearance > 1e-3)
            counted += single.size
            grazing += (compared & ~clear).sum()
            worst = max(worst, np.abs(single[clear] - double[clear]).max())
    assert counted == 10_800
    assert grazing < 20
    assert worst < 3e-5


def test_highest_potential_is_the_maximum_over_time():
    for tau_m in (1.0, 0.6):
        arrival, weights, neuron = random_neurons(2, tau_m)
        grid = jnp.linspace(0, 30, 30_001)
        trace = partial(potential, arrival=arrival, weights=weights, neuron=neuron)
        traces = jax.vmap(lambda t, f=trace: f(jnp.full(40, t)))(grid)
        top = highest_potential(arrival, weights, neuron)
        assert (top >= traces.max(0) - 1e-12).all()
        np.testing.assert_allclose(top, np.maximum(traces.max(0), 0), atol=3e-4)

        def total(weights, arrival=arrival, neuron=neuron):
            return highest_potential(arrival, weights, neuron).sum()

        slope = jax.grad(total)(weights)
        h = 1e-6
        for k in (0, 5):
            moved = [total(weights.at[:, k].add(s * h)) for s in (1, -1)]
            assert (moved[0] - moved[1]) / (2 * h) == pytest.approx(
                float(slope[:, k].sum()), rel=1e-5
            )


def test_neurons_that_differ():
    arrival, weights, _ = random_neurons(4, 2.0, post=6)
    tau_m, tau_s = jnp.array([2.0, 1, 3, 0.5, 1.3, 2]), jnp.array([1.0, 1, 0.8, 1, 1.3, 1.1])
    together = crossing(arrival, weights, Mismatched(tau_m, tau_s))
    for k in (1, 2, 4):
        neuron = Neuron(tau_m=float(tau_m[k]), tau_s=float(tau_s[k]), solver=Newton())
        alone = crossing(arrival, weights[k : k + 1], neuron)[0]
        assert together[k] == pytest.approx(float(alone), abs=1e-5)


def test_gradient_at_measured_times():
    arrival, weights, neuron = random_neurons(9, 2.0)
    times = first_spike(arrival, weights, neuron)
    measured = jnp.where(jnp.isfinite(times), times + 0.05, inf)

    def total(arrival, weights):
        return spike_gradient(measured, arrival, weights, neuron)

    np.testing.assert_array_equal(total(arrival, weights), measured)
    by_arrival, by_weight = jax.jacrev(total, (0, 1))(arrival, weights)
    since = np.maximum(np.asarray(measured)[:, None] - np.asarray(arrival)[None], 0)
    since[np.isinf(since)] = 0
    slope = np.where(since > 0, np.asarray(neuron.slope(since)), 0)
    rise = (np.asarray(weights) * slope).sum(1)
    good = np.isfinite(measured) & (rise > 0)
    expected = np.where(
        good[:, None], np.asarray(weights) * slope / np.where(good, rise, 1)[:, None], 0
    )
    np.testing.assert_allclose(by_arrival, expected, rtol=1e-12, atol=1e-14)
    assert np.isfinite(by_weight).all()


def test_large_weight_gradients_are_dropped_together():
    neuron = Neuron()
    arrival, weights = jnp.array([0.2, 0.3]), jnp.array([[1.3, 1.0], [3.0, 2.0]])

    def slopes(limit):
        return jax.grad(lambda w, t: first_spike(t, w, neuron, drop_above=limit).sum(), (0, 1))(
            weights, arrival
        )

    (free, by_arrival), (kept, same) = slopes(inf), slopes(0.3)
    assert np.abs(free).max(1)[0] > 0.3 > np.abs(free).max(1)[1]
    assert (kept[0] == 0).all()
    np.testing.assert_array_equal(kept[1], free[1])
    np.testing.assert_array_equal(by_arrival, same)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 31])
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_sorting_network(n, seed):
    rng = np.random.default_rng(seed)
    keys = rng.choice([0.5, inf, *rng.uniform(0, 1, 20)], (n, 3))
    ordered, payload = jax.jit(sort_with)(jnp.asarray(keys), jnp.asarray(keys) * 2)
    np.testing.assert_array_equal(ordered, np.sort(keys, axis=0))
    np.testing.assert_array_equal(payload, 2 * np.sort(keys, axis=0))


def test_long_rows_are_sorted_too():
    keys = np.random.default_rng(0).uniform(0, 1, (300, 2))
    ordered, payload = sort_with(jnp.asarray(keys), -jnp.asarray(keys))
    np.testing.assert_array_equal(ordered, np.sort(keys, axis=0))
    np.testing.assert_array_equal(payload, -np.sort(keys, axis=0))


def test_lambert_function():
    z = np.concatenate([-np.exp(-1) + np.logspace(-14, -0.5, 60), -np.logspace(-12, -1, 20)])
    z = z[z < 0]
    np.testing.assert_allclose(lambert_w(jnp.asarray(z)), lambertw(z).real, atol=3e-8, rtol=1e-12)


def test_from_events():
    times = jnp.array([0.1, 0.2, 0.2, 0.9, inf])
    ids = jnp.array([2, 0, 2, 0, -1])
    np.testing.assert_array_equal(from_events(times, ids, 4), [0.2, inf, 0.1, inf])
    np.testing.assert_allclose(from_events(times + 3, ids, 3, start=3.0), [0.2, inf, 0.1])
    with pytest.raises(InputError, match="not sorted"):
        from_events(times[::-1], ids, 4)
    with pytest.raises(InputError, match="between 0 and 1"):
        from_events(times, ids, 2)
    with pytest.raises(InputError, match="at least 0"):
        from_events(times, ids, 4, start=0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arrival": [0.1, -0.2]}, "negative or `nan`"),
        ({"arrival": [0.1, np.nan]}, "negative or `nan`"),
        ({"arrival": [0.1]}, "must end in"),
        ({"weights": [[1.0, np.inf]]}, "not finite"),
        ({"weights": [1.0, 2.0]}, r"\(post, pre\)"),
        ({"scan": "sideways"}, "scan"),
        ({"per_synapse": True}, r"\(post, pre\)"),
    ],
)
def test_bad_input(arguments, message):
    good = {"arrival": [0.1, 0.2], "weights": [[1.0, 2.0]]}
    given = {**good, **arguments}
    options = {k: v for k, v in given.items() if k not in good}
    with pytest.raises(InputError, match=message):
        first_spike(jnp.array(given["arrival"]), jnp.array(given["weights"]), Neuron(), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau_m": 0.0}, "tau_m"),
        ({"tau_m": np.nan}, "tau_m"),
        ({"tau_s": -1.0}, "tau_s"),
        ({"threshold": 0.0}, "threshold"),
        ({"tau_m": 1.5, "solver": Quadratic()}, "tau_m = 2 tau_s"),
        ({"tau_m": 2.0, "solver": Lambert()}, "tau_m = tau_s"),
        ({"tau_m": 2.0, "solver": NonLeaky()}, "without leak"),
    ],
)
def test_bad_neurons(arguments, message):
    with pytest.raises(InputError, match=message):
        Neuron(**arguments)
