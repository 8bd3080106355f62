"""The microcircuit against its equations written again in NumPy, and against its theory."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.rate.compartment import prospective, retarded
from lapicque.rate.microcircuit import (
    Conductances,
    Microcircuit,
    MicrocircuitWeights,
    Stimulus,
    present_patterns,
    record_patterns,
)
from lapicque.rate.plasticity import error_times_trace, low_passed

SIZES = (4, 5, 3, 2)
RATES = {"eta_up": [0.5, 0.3, 0.1], "eta_ip": [0.2, 0.4], "eta_pi": [0.3, 0.6], "clip_up": 0.8}
UNEQUAL = Conductances(leak=0.04, basal=0.11, apical=0.07, somatic=0.05, dendritic=0.09)


def plain_numpy(circuit, weights, patterns, n_steps, dt, look_ahead, delay):
    """The equations of the fact sheet with scalars and loops; one sample, any depth."""
    g, n = circuit.conductances, circuit.sizes
    depth = len(n) - 1
    W_up, W_down, W_ip, W_pi = ([np.array(w) for w in ws] for ws in weights)

    def phi(x):
        return np.log1p(np.exp(x))

    u = [np.zeros(m) for m in n[1:]]
    ring = [np.zeros(m) for m in n[1:]]
    ui = [np.zeros(m) for m in n[2:]]
    ringi = [np.zeros(m) for m in n[2:]]
    told = [(np.zeros(n[-1]), 0.0)] * delay
    trace = []
    for x, u_trg, nudge in zip(*patterns, strict=True):
        for _ in range(n_steps):
            told.append((u_trg, nudge))
            target, on = told.pop(0)
            below = [x] + [phi(v) for v in ring]
            du, dui, dW = [], [], []
            for layer in range(depth):
                hidden = layer < depth - 1
                for k in range(n[layer + 1]):
                    v_bas = sum(W_up[layer][k, j] * below[layer][j] for j in range(n[layer]))
                    if hidden:
                        v_api = 0.0
                        for j in range(n[layer + 2]):
                            v_api += W_down[layer][k, j] * phi(ring[layer + 1][j])
                            v_api += W_pi[layer][k, j] * phi(ringi[layer][j])
                        total = g.leak + g.basal + g.apical
                        eff = (g.basal * v_bas + g.apical * v_api) / total
                        guess = g.basal / total * v_bas
                        for j in range(n[layer + 2]):
                            change = -v_api * phi(ringi[layer][j])
                            dW.append((W_pi[layer], k, j, circuit.eta_pi[layer] * change, np.inf))
                    else:
                        total = g.leak + g.basal + g.somatic
                        guess = g.basal / (g.leak + g.basal) * v_bas
                        eff = guess
                        if on:
                            eff = (g.basal * v_bas + g.somatic * target[k]) / total
                    udot = total * (eff - u[layer][k])
                    new = u[layer][k] + (udot / total if look_ahead else dt * udot)
                    du.append((u, ring, layer, k, dt * udot, new))
                    for j in range(n[layer]):
                        change = (phi(new) - phi(guess)) * below[layer][j]
                        bound = circuit.clip_up[layer]
                        dW.append((W_up[layer], k, j, circuit.eta_up[layer] * change, bound))
                if hidden:
                    for k in range(n[layer + 2]):
                        own = below[layer + 1]
                        v_den = sum(W_ip[layer][k, j] * own[j] for j in range(n[layer + 1]))
                        total = g.leak + g.dendritic + g.somatic
                        eff = (g.dendritic * v_den + g.somatic * ring[layer + 1][k]) / total
                        udot = total * (eff - ui[layer][k])
                        new = ui[layer][k] + (udot / total if look_ahead else dt * udot)
                        dui.append((ui, ringi, layer, k, dt * udot, new))
                        guess = g.dendritic / (g.leak + g.dendritic) * v_den
                        for j in range(n[layer + 1]):
                            change = (phi(new) - phi(guess)) * own[j]
                            dW.append((W_ip[layer], k, j, circuit.eta_ip[layer] * change, np.inf))
            for potentials, rings, layer, k, change, new in du + dui:
                rings[layer][k] = new
                potentials[layer][k] += change
            for matrix, k, j, rate, bound in dW:
                matrix[k, j] = np.clip(matrix[k, j] + dt * rate, -bound, bound)
            trace.append(ring[-1].copy())
    return MicrocircuitWeights(W_up, W_down, W_ip, W_pi), u, ui, np.array(trace)


def some_patterns(key, n, sizes=SIZES, batch=()):
    one, two = jax.random.split(key)
    nudge = jnp.broadcast_to(jnp.arange(n).reshape(n, *[1] * len(batch)) % 3 < 2, (n, *batch))
    return Stimulus(
        jax.random.uniform(one, (n, *batch, sizes[0])),
        jax.random.normal(two, (n, *batch, sizes[-1])),
        nudge.astype(float),
    )


@pytest.mark.parametrize("sizes", [(3, 4, 2), SIZES], ids=["one hidden", "two hidden"])
@pytest.mark.parametrize(("look_ahead", "delay"), [(prospective, None), (retarded, 0)])
def test_steps_agree_with_plain_loops(x64, sizes, look_ahead, delay):
    depth = len(sizes) - 1
    rates = {k: v[:depth] if k == "eta_up" else v for k, v in RATES.items()}
    rates |= {k: rates[k][: depth - 1] for k in ("eta_ip", "eta_pi")}
    circuit = Microcircuit(
        sizes, **rates, look_ahead=look_ahead, target_delay=delay, conductances=UNEQUAL
    )
    weights = circuit.random_weights(jax.random.key(1))
    patterns = some_patterns(jax.random.key(2), 5, sizes)
    state, voltages = record_patterns(circuit, circuit.init(weights), patterns, n_steps=4, dt=0.5)
    expected_delay = 0 if look_ahead is retarded else depth - 1
    arrays = [np.asarray(a) for a in patterns]
    ahead = look_ahead is prospective
    W, u, ui, trace = plain_numpy(circuit, weights, arrays, 4, 0.5, ahead, expected_delay)
    for ours, theirs in zip(state.weights, W, strict=True):
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12)
    for ours, theirs in zip(state.u_pyr + state.u_inn, u + ui, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(voltages.output, trace, rtol=1e-11, atol=1e-12)
    assert max(float(jnp.abs(w).max()) for w in weights.up) > 0.8  # so that the clip had to act


def test_self_predicting_circuit_is_silent_and_stays(x64):
    """Without target: apical potentials 0, interneurons equal to the cells above, no plasticity."""
    circuit = Microcircuit(SIZES, **RATES | {"clip_up": 9.0}, conductances=UNEQUAL)
    weights = circuit.self_predicting(circuit.random_weights(jax.random.key(0)))
    shown = some_patterns(jax.random.key(1), 1)._replace(nudge=jnp.zeros(1))
    state, _ = present_patterns(circuit.frozen(), circuit.init(weights), shown, n_steps=90, dt=0.1)
    after, voltages = record_patterns(circuit, state, shown, n_steps=5, dt=0.1)
    for v_api in voltages.v_api:
        np.testing.assert_allclose(v_api, 0, atol=1e-12)
    for i, interneuron in enumerate(voltages.interneuron):
        np.testing.assert_allclose(interneuron.p, voltages.pyramidal[i + 1].p, atol=1e-12)
    for before, now in zip(jax.tree.leaves(weights), jax.tree.leaves(after.weights), strict=True):
        np.testing.assert_allclose(now, before, atol=1e-12)


def test_without_look_ahead_self_prediction_waits_for_the_membranes(x64):
    circuit = Microcircuit(SIZES, look_ahead=retarded)
    weights = circuit.self_predicting(circuit.random_weights(jax.random.key(0)))
    shown = some_patterns(jax.random.key(1), 1)._replace(nudge=jnp.zeros(1))
    _, voltages = record_patterns(circuit, circuit.init(weights), shown, n_steps=1000, dt=0.1)
    size = jnp.abs(voltages.v_api[0]).max(axis=1)
    assert size[20] > 1e-3
    assert size[-1] < 1e-4


@pytest.mark.parametrize("learns", [True, False])
def test_prospective_potential_is_u_eff_at_every_step(x64, learns):
    circuit = Microcircuit(SIZES, **RATES)
    circuit = circuit if learns else circuit.frozen()
    state = circuit.init(circuit.random_weights(jax.random.key(0)))
    patterns = some_patterns(jax.random.key(1), 6)
    _, voltages = record_patterns(circuit, state, patterns, n_steps=7, dt=0.1)
    for cell in voltages.pyramidal + voltages.interneuron:
        np.testing.assert_allclose(cell.p, cell.u_eff, rtol=1e-12, atol=1e-12)
        assert float(jnp.abs(cell.u - cell.u_eff).max()) > 0.01


def test_without_look_ahead_a_step_is_answered_with_tau_eff(x64):
    """A circuit of one layer is a low-pass: 1 - exp(-t / tau_eff), up to Euler's error."""
    circuit = Microcircuit((1, 1), look_ahead=retarded)
    weights = MicrocircuitWeights(up=(jnp.ones((1, 1)),), down=(), ip=(), pi=())
    shown = Stimulus(jnp.ones((1, 1)), jnp.zeros((1, 1)), jnp.zeros(1))
    _, voltages = record_patterns(circuit, circuit.init(weights), shown, n_steps=2000, dt=0.01)
    time = 0.01 * np.arange(1, 2001)
    settled = 0.1 / 0.13
    assert circuit.tau_eff == pytest.approx(1 / 0.19)
    low_pass = settled * (1 - np.exp(-time / circuit.tau_eff))
    np.testing.assert_allclose(voltages.output[:, 0], low_pass, atol=1e-3)


def test_look_ahead_answers_one_step_per_layer_whatever_the_membranes(x64):
    """Slower membranes (all conductances smaller) give the same emitted potentials."""
    outputs = []
    for scale in (1.0, 0.01):
        g = Conductances(*(scale * x for x in (0.03, 0.1, 0.06, 0.06, 0.1)))
        circuit = Microcircuit(SIZES, conductances=g)
        state = circuit.init(circuit.random_weights(jax.random.key(0)))
        patterns = some_patterns(jax.random.key(1), 4)
        outputs.append(record_patterns(circuit, state, patterns, n_steps=5, dt=0.1)[1].output)
    np.testing.assert_allclose(*outputs, rtol=1e-9)


def test_target_arrives_with_the_output_that_answers_its_input(x64):
    """In a self-predicting circuit with the right targets the output error never appears."""
    circuit = Microcircuit((4, 3, 2))
    weights = circuit.self_predicting(circuit.random_weights(jax.random.key(0)))
    weights = weights._replace(down=(0 * weights.down[0],), pi=(0 * weights.pi[0],))
    rate = jax.random.uniform(jax.random.key(1), (6, 4))
    free = Stimulus(rate, jnp.zeros((6, 2)), jnp.zeros(6))
    _, answers = present_patterns(circuit, circuit.init(weights), free, n_steps=9, dt=0.1, lag=8)
    taught = Stimulus(rate, answers, jnp.ones(6))
    _, with_target = record_patterns(circuit, circuit.init(weights), taught, n_steps=3, dt=0.1)
    _, without = record_patterns(circuit, circuit.init(weights), free, n_steps=3, dt=0.1)
    np.testing.assert_allclose(with_target.output[2:], without.output[2:], atol=1e-12)


def test_plasticity_of_a_batch_is_the_mean_over_its_parts(x64):
    circuit = Microcircuit(SIZES, **RATES | {"clip_up": np.inf})
    weights = circuit.random_weights(jax.random.key(0))
    patterns = some_patterns(jax.random.key(1), 1, batch=(6,))

    @jax.jit
    def change(part):
        state = circuit.init(weights, (part.rate.shape[1],))
        state, _ = present_patterns(circuit.frozen(), state, part, n_steps=5, dt=0.1)
        state, _ = present_patterns(circuit, state, part, n_steps=1, dt=0.1)
        return jax.tree.map(jnp.subtract, state.weights, weights)

    parts = (jax.tree.map(lambda x, s=s: x[:, s], patterns) for s in np.s_[:, :3, 3:])
    whole, left, right = map(change, parts)
    mean = jax.tree.map(lambda one, two: (one + two) / 2, left, right)
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(mean), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)
    assert all(float(jnp.abs(w).max()) > 1e-6 for w in (*whole.up, *whole.ip, *whole.pi))


def test_networks_under_vmap_are_the_networks_alone():
    circuit = Microcircuit((3, 4, 2), eta_up=0.5, eta_ip=0.2)
    keys = jax.random.split(jax.random.key(0), 3)
    patterns = some_patterns(jax.random.key(1), 3, (3, 4, 2))

    def run(key):
        state = circuit.init(circuit.random_weights(key))
        return present_patterns(circuit, state, patterns, n_steps=4, dt=0.1)[1]

    together, alone = jax.jit(jax.vmap(run))(keys), jax.jit(run)
    np.testing.assert_allclose(together, [alone(key) for key in keys], rtol=1e-5, atol=1e-6)


def test_input_and_target_can_be_smoothed(x64):
    circuit = Microcircuit(SIZES, tau_0=1.0)
    state = circuit.init(circuit.random_weights(jax.random.key(0)))
    shown = jax.tree.map(lambda x: x[0], some_patterns(jax.random.key(1), 1))
    for _ in range(10):
        state, _ = circuit.step(state, shown, 0.1)
    np.testing.assert_allclose(state.rate, (1 - 0.9**10) * shown.rate)
    np.testing.assert_allclose(state.target, (1 - 0.9**10) * shown.target)


def test_smoothed_plasticity_applies_the_same_change_later(x64):
    rule = low_passed(error_times_trace(), tau_w=5.0)
    error, trace = jnp.array([[1.0, -2.0]]), jnp.array([[0.5, 1.0, 2.0]])
    memory, total = rule.init(jnp.zeros((2, 3))), 0
    for i in range(600):
        change, memory = rule.update(error * (i == 0), trace, memory, 0.1)
        total = total + change
    np.testing.assert_allclose(total, 0.1 * error.T @ trace, rtol=1e-4)
    smooth = Microcircuit(SIZES, **RATES, rules=(rule, error_times_trace(), error_times_trace()))
    patterns = some_patterns(jax.random.key(1), 2)
    state = smooth.init(smooth.random_weights(jax.random.key(0)))
    after, _ = present_patterns(smooth, state, patterns, n_steps=4, dt=0.1)
    assert all(float(jnp.abs(mean).max()) > 0 for _, mean in after.memory[0])
    with pytest.raises(InputError, match="`tau_w` is 0 ms"):
        low_passed(rule, 0.0)


def test_latent_equilibrium_learns_in_a_millisecond_per_pattern():
    """Four orthogonal patterns, two classes, 1 ms each: all right within 300 epochs."""
    circuit = Microcircuit((4, 20, 2), eta_up=(0.5, 0.1), eta_ip=0.2, clip_up=(4, 5))
    label = jnp.array([0, 1, 1, 0])
    patterns = Stimulus(jnp.eye(4), jnp.where(jax.nn.one_hot(label, 2) > 0, 1.0, 0.1), jnp.ones(4))
    untaught = patterns._replace(nudge=jnp.zeros(4))

    def epoch(state, _):
        state, _ = present_patterns(circuit, state, patterns, n_steps=10, dt=0.1)
        _, output = present_patterns(circuit.frozen(), state, untaught, n_steps=10, dt=0.1)
        return state, jnp.mean(output.argmax(-1) == label)

    def network(key):
        state = circuit.init(circuit.self_predicting(circuit.random_weights(key)))
        return jax.lax.scan(epoch, state, None, length=300)[1]

    accuracy = jax.jit(jax.vmap(network))(jax.random.split(jax.random.key(0), 3))
    assert accuracy[:, -10:].mean() > 0.98


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="`sizes` is"):
        Microcircuit((9,))
    with pytest.raises(InputError, match="`eta_up` has 2 values; it must be one number or 3"):
        Microcircuit(SIZES, eta_up=(1.0, 1.0))
    with pytest.raises(InputError, match=r"`eta_ip\[1\]` is -1 1/ms"):
        Microcircuit(SIZES, eta_ip=(1.0, -1.0))
    with pytest.raises(InputError, match=r"`apical` is -0.1 1/ms; it must be at least 0"):
        Conductances(apical=-0.1)
    circuit = Microcircuit(SIZES)
    weights = circuit.random_weights(jax.random.key(0))
    broken = weights._replace(down=(weights.down[0].at[1, 2].set(jnp.nan), weights.down[1]))
    with pytest.raises(InputError, match=r"`weights.down\[0\]` holds 1 of 15 values"):
        circuit.init(broken)
    with pytest.raises(InputError, match=r"`weights.up\[0\]` has shape \(4, 5\); it must have"):
        circuit.init(weights._replace(up=tuple(w.T for w in weights.up)))
    with pytest.raises(InputError, match=r"`weights.ip` holds 1 matrices"):
        circuit.init(weights._replace(ip=weights.ip[:1]))
    state, patterns = circuit.init(weights), some_patterns(jax.random.key(0), 2)
    with pytest.raises(InputError, match=r"`dt` is 6 ms; it must be below the shortest"):
        present_patterns(circuit, state, patterns, n_steps=2, dt=6.0)
    with pytest.raises(InputError, match=r"`tau_0` is 0.05 ms"):
        present_patterns(replace(circuit, tau_0=0.05), state, patterns, n_steps=2, dt=0.1)
    with pytest.raises(InputError, match="`lag` is 2 steps"):
        present_patterns(circuit, state, patterns, n_steps=2, lag=2, dt=0.1)
    wrong = patterns._replace(rate=patterns.rate[:, :3])
    with pytest.raises(InputError, match=r"`input.rate` has shape \(3,\); it must fit"):
        present_patterns(circuit, state, wrong, n_steps=2, dt=0.1)
    wrong = patterns._replace(target=jnp.nan * patterns.target)
    with pytest.raises(InputError, match=r"`patterns.target` holds 4 of 4 values"):
        present_patterns(circuit, state, wrong, n_steps=2, dt=0.1)
