"""What a simulation promises: exactness, the same result however it is run, and clear errors."""

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.integrate import quad, solve_ivp

from lapicque._checks import InputError, StorageError
from lapicque.spiking import (
    LIF,
    STDP,
    AdEx,
    AllToAll,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentDelta,
    CurrentExp,
    DelayWarning,
    FixedProbability,
    FromArrays,
    Network,
    OneToOne,
    PiecewisePoisson,
    Poisson,
    Rule,
    Simulation,
    SinusoidalPoisson,
    SpikeArray,
    TsodyksMarkram,
)


def mixed(plastic=True):
    """A network with something of everything."""
    network = Network()
    rng = np.random.default_rng(3)
    cells = network.population(
        12,
        LIF(tau_m=rng.uniform(8, 20, 12), tau_refrac=2.0, i_offset=0.2),
        CurrentExp(3.0, 6.0),
        v=rng.uniform(-65, -50, 12),
    )
    others = network.population(7, AdEx(cm=0.1, tau_refrac=1.0), ConductanceExp(3.0, 6.0), v=-60.0)
    source = network.population(5, Poisson(rate=[100.0, 200.0, 300.0, 50.0, 400.0]))
    network.noise(cells, Poisson(4000.0), 0.5)
    network.noise(cells, SinusoidalPoisson(2000.0, 1500.0, 20.0), -0.5, receptor="inhibitory")
    network.noise(others, Poisson(rng.uniform(1000, 3000, 7)), rng.uniform(0.004, 0.006, 7))
    network.project(
        cells, others, AllToAll(), lambda r, d: r.uniform(0, 0.01, len(d)), 1.5,
        plasticity=TsodyksMarkram(0.4, 100.0, 50.0),
    )  # fmt: skip
    synapses = network.project(
        source, cells, FixedProbability(0.7), 0.3,
        lambda r, d: r.integers(3, 30, len(d)) * 0.1,
        plasticity=STDP(w_max=1.0, A_plus=0.05, A_minus=0.05) if plastic else None,
    )  # fmt: skip
    network.project(cells, cells, FixedProbability(0.3), -0.4, 0.7, receptor="inhibitory")
    network.record(cells, ["v", "syn_E"], neurons=[3, 0, 11], interval=0.5)
    network.record(others, "w", interval=1.0)
    return network, cells, others, synapses


def outcome(simulation, network, cells, others, pieces):
    """Everything that a run leaves, from several stretches."""
    spikes, signals = [], []
    for piece in pieces:
        recording = simulation.run(piece)
        spikes.append([np.stack(recording.all_spikes(p)) for p in network.populations])
        signals.append([recording.signal(cells), recording.signal(others, "w")])
    joined = [np.concatenate(parts, 1) for parts in zip(*spikes, strict=True)]
    return joined, [np.concatenate(parts) for parts in zip(*signals, strict=True)]


def assert_same(one, other):
    for a, b in zip([*one[0], *one[1]], [*other[0], *other[1]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def reference():
    network, cells, others, synapses = mixed()
    simulation = Simulation(network, 0.1, seed=5)
    found = outcome(simulation, network, cells, others, [400.0])
    assert all(f.shape[1] > 20 for f in found[0])
    return found, simulation.weights(synapses)


@pytest.mark.parametrize("pieces", [[400.0], [0.1, 99.9, 200.0, 100.0], [3.7, 396.3]])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_neither_threads_nor_pieces_change_anything(reference, threads, pieces):
    network, cells, others, synapses = mixed()
    simulation = Simulation(network, 0.1, seed=5, threads=threads)
    assert_same(outcome(simulation, network, cells, others, pieces), reference[0])
    np.testing.assert_array_equal(simulation.weights(synapses), reference[1])


@pytest.mark.parametrize("threads", [1, 2])
def test_chain_of_a_batch_is_the_chain_alone(threads):
    network, cells, _, synapses = mixed()
    batch = Simulation(network, 0.1, seed=2, chains=5, threads=threads)
    together = batch.run(200.0)
    for k in (0, 3, 4):
        alone = Simulation(network, 0.1, seed=2, chains=[k])
        single = alone.run(200.0)
        for population in network.populations:
            a, b = together.spikes(population, k), single.spikes(population)
            np.testing.assert_array_equal(a.time, b.time)
            np.testing.assert_array_equal(a.id, b.id)
        np.testing.assert_array_equal(together.signal(cells)[:, k], single.signal(cells)[:, 0])
        np.testing.assert_array_equal(batch.weights(synapses)[k], alone.weights(synapses)[0])
    assert len(together.spikes(cells, 0).time) != len(together.spikes(cells, 1).time)


def test_a_saved_state_goes_on_as_if_nothing_had_happened(tmp_path):
    network, cells, others, _ = mixed()
    simulation = Simulation(network, 0.1, seed=1)
    simulation.run(123.4)
    simulation.save(tmp_path / "state.npz")
    later = outcome(simulation, network, cells, others, [150.0])
    again = Simulation(network, 0.1, seed=1)
    again.load(tmp_path / "state.npz")
    assert again.time == pytest.approx(123.4)
    assert_same(outcome(again, network, cells, others, [150.0]), later)
    (tmp_path / "broken.npz").write_bytes(b"not a state")
    with pytest.raises(StorageError, match=r"broken\.npz"):
        again.load(tmp_path / "broken.npz")
    with pytest.raises(InputError, match="threads"):
        Simulation(network, 0.1, seed=1, chains=2).restore(simulation.state())


# -- neurons -------------------------------------------------------------------------------------


def free(neuron, receptors, weight, receptor="excitatory", dt=0.1, ms=60.0, v=None):
    """Potential of a neuron that is hit at 5 and 12 ms."""
    network = Network()
    cell = network.population(1, neuron, receptors, v=v)
    source = network.population(1, SpikeArray([[4.0, 11.0]]))
    network.project(source, cell, OneToOne(), weight, 1.0, receptor=receptor)
    network.record(cell, "v", interval=dt)
    recording = Simulation(network, dt).run(ms)
    return recording.times(cell), recording.signal(cell)[:, 0, 0]


@settings(max_examples=25, deadline=None)
@example(7.0, 7.0, 0.1, "E")
@example(7.0, 7.0, 0.1, "A")
@given(st.floats(2, 50), st.floats(0.5, 30), st.floats(-0.3, 0.3), st.sampled_from("EA"))
def test_current_based_potential_is_exact(tau_m, tau, weight, shape):
    """Against a quadrature of the closed form, also where both time constants agree."""
    kind = CurrentExp if shape == "E" else CurrentAlpha
    t, v = free(LIF(tau_m=tau_m, cm=0.5, v_thresh=1e3), kind(tau, tau), weight)
    chosen = np.flatnonzero(t > 5.0)[::37]
    np.testing.assert_allclose(v[chosen], _both(t, chosen, tau_m, tau, weight, shape), atol=1e-9)


def _both(t, chosen, tau_m, tau, weight, shape):
    """The responses to both spikes, by quadrature of the convolution."""
    found = []
    for k in chosen:
        total = -65.0
        for hit in (5.0, 12.0):
            age = t[k] - hit
            if age > 0:
                total += quad(
                    lambda s, age=age: (
                        weight
                        / 0.5
                        * np.exp(-s / tau)
                        * (1 if shape == "E" else np.e * s / tau)
                        * np.exp(-(age - s) / tau_m)
                    ),
                    0,
                    age,
                    epsabs=1e-12,
                    epsrel=1e-12,
                )[0]
        found.append(total)
    return np.array(found)


def solved(neuron, receptors, weight, t, alpha=False, v=None):
    """The same by an adaptive solver of high order."""
    g, tau = neuron.cm / neuron.tau_m, receptors.tau_syn_E

    def conductance(time):
        age = np.maximum(time - np.array([5.0, 12.0]), 0)
        on = (time > np.array([5.0, 12.0])) * weight * np.exp(-age / tau)
        return (on * (np.e * age / tau if alpha else 1)).sum()

    def slope(time, y):
        if isinstance(neuron, LIF):
            current = g * (neuron.v_rest - y[0])
            return [(current + conductance(time) * (receptors.e_rev_E - y[0])) / neuron.cm, 0.0]
        current = g * (
            neuron.v_rest
            - y[0]
            + neuron.delta_T * np.exp((y[0] - neuron.v_thresh) / neuron.delta_T)
        )
        total = current - y[1] + conductance(time) * (receptors.e_rev_E - y[0])
        adaptation = (1e-3 * neuron.a * (y[0] - neuron.v_rest) - y[1]) / neuron.tau_w
        return [total / neuron.cm, adaptation]

    y, found, begin = np.array([neuron.v_rest if v is None else v, 0.0]), [], 0.0
    for end in (5.0, 12.0, t[-1]):
        here = t[(t > begin + 1e-9) & (t <= end + 1e-9)]
        part = solve_ivp(
            slope, (begin + 1e-12, end), y, "DOP853", here.clip(max=end), rtol=1e-12, atol=1e-13
        )
        found.append(part.y[0])
        y, begin = part.y[:, -1], end
    return np.concatenate(found)


@pytest.mark.parametrize("alpha", [False, True])
def test_conductances_are_of_fourth_order(alpha):
    neuron = LIF(tau_m=10.0, cm=0.2, v_thresh=1e3)
    receptors = (ConductanceAlpha if alpha else ConductanceExp)(3.0, 3.0)
    errors = []
    for dt in (1.0, 0.5, 0.25):
        t, v = free(neuron, receptors, 0.05, dt=dt)
        errors.append(np.abs(v - solved(neuron, receptors, 0.05, t, alpha)).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders > 3.7).all(), (errors, orders)
    assert errors[-1] < 1e-4


def test_strong_conductances_stay_stable():
    """A membrane that follows its conductance within a hundredth of a step."""
    neuron = LIF(tau_m=10.0, cm=0.2, v_thresh=1e3)
    _, v = free(neuron, ConductanceExp(5.0, 5.0), 200.0)
    assert np.isfinite(v).all()
    assert v.max() <= 1.0
    assert v.min() >= -66.0


def test_adaptive_neuron_against_a_solver():
    neuron, receptors = AdEx(v_spike=0.0, tau_refrac=2.0), ConductanceExp(3.0, 3.0)
    errors = []
    for dt in (0.5, 0.25, 0.125):
        t, v = free(neuron, receptors, 0.02, dt=dt)
        assert v.max() > -60
        errors.append(np.abs(v - solved(neuron, receptors, 0.02, t)).max())
    assert errors[-1] < 1e-5
    assert (np.log2(np.divide(errors[:-1], errors[1:])) > 3.0).all(), errors


def test_refractoriness_and_reset():
    network = Network()
    cell = network.population(
        1, LIF(tau_m=10.0, cm=0.1, tau_refrac=3.0, v_reset=-70.0, i_offset=1.0)
    )
    network.record(cell, "v")
    recording = Simulation(network, 0.1).run(50.0)
    first = recording.spikes(cell).time[0]
    # cm / tau_m (v - v_rest) = i_offset far above threshold: 15 mV of 100
    assert first == pytest.approx(np.ceil(-10 * np.log(1 - 15 / 100) / 0.1) * 0.1)
    v, t = recording.signal(cell)[:, 0, 0], recording.times(cell)
    clamped = (t > first - 1e-6) & (t < first + 3.0 + 1e-6)
    assert (v[clamped] == -70.0).all()
    assert v[np.flatnonzero(clamped)[-1] + 1] > -70.0
    intervals = np.diff(recording.spikes(cell).time)
    assert intervals == pytest.approx(np.full(len(intervals), intervals[0]))


# -- sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30.0, 800.0, 20_000.0, 300_000.0])
def test_poisson_sources_are_poisson(rate):
    """Mean, variance and third moment of counts per step, several spikes in a step included."""
    network = Network()
    source = network.population(200, Poisson(rate))
    steps = 3000 if rate < 1e5 else 300
    step, unit, _ = Simulation(network, 0.1, seed=4).run(steps * 0.1).all_spikes(source)
    counts = np.bincount(step * 200 + unit, minlength=(steps + 1) * 200)[200:]
    mean, n = rate * 1e-4, counts.size
    assert n == steps * 200
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
    error = np.sqrt((mean + 2 * mean**2) / n)
    assert counts.var() == pytest.approx(mean, abs=5 * error)
    third = ((counts - mean) ** 3).mean()
    assert third == pytest.approx(mean, abs=6 * np.sqrt((mean + 25 * mean**2 + 15 * mean**3) / n))
    if mean > 0.05:
        assert counts.max() > 1


def test_noise_of_both_receptors_is_independent_and_of_the_right_size():
    network = Network()
    neuron = LIF(tau_m=10.0, cm=1.0, v_thresh=1e3)
    cells = network.population(400, neuron, CurrentExp(5.0, 5.0))
    network.noise(cells, Poisson(2000.0), 0.1)
    network.noise(cells, Poisson(1000.0), -0.2, receptor="inhibitory")
    network.record(cells, ["syn_E", "syn_I"], interval=5.0)
    simulation = Simulation(network, 0.1, seed=0)
    simulation.run(50.0)
    recording = simulation.run(500.0)
    e, i = (recording.signal(cells, name).ravel() for name in ("syn_E", "syn_I"))
    decay = -np.expm1(-0.1 / 5.0)
    assert e.mean() == pytest.approx(0.1 * 0.2 / decay, rel=0.01)
    assert i.mean() == pytest.approx(-0.2 * 0.1 / decay, rel=0.015)
    twice = -np.expm1(-0.2 / 5.0)
    assert e.var() == pytest.approx(0.1**2 * 0.2 / twice, rel=0.06)
    assert abs(np.corrcoef(e, i)[0, 1]) < 0.03


def test_rates_that_change():
    network = Network()
    piecewise = network.population(300, PiecewisePoisson([100.0, 200.0], [500.0, 100.0]))
    sine = network.population(300, SinusoidalPoisson(200.0, 150.0, 5.0))
    window = network.population(300, Poisson(400.0, start=50.0, duration=100.0))
    recording = Simulation(network, 0.1, seed=1).run(400.0)

    def counted(population, begin, end):
        t = recording.spikes(population).time
        return ((t > begin) & (t <= end)).sum() / 300 / (end - begin) * 1e3

    assert counted(piecewise, 0, 100) == 0
    assert counted(piecewise, 100, 200) == pytest.approx(500, rel=0.05)
    assert counted(piecewise, 200, 400) == pytest.approx(100, rel=0.08)
    assert counted(sine, 0, 100) == pytest.approx(200 + 150 * 2 / np.pi, rel=0.05)
    assert counted(sine, 100, 200) == pytest.approx(200 - 150 * 2 / np.pi, rel=0.08)
    assert counted(window, 0, 50) == counted(window, 150, 400) == 0
    assert counted(window, 50, 150) == pytest.approx(400, rel=0.05)


def test_given_spikes_come_when_told_and_can_be_replaced():
    network = Network()
    source = network.population(3, SpikeArray([[1.0, 5.0, 5.0], [], [0.1, 9.94]]))
    simulation = Simulation(network, 0.1)
    spikes = simulation.run(7.0).spikes(source)
    np.testing.assert_allclose(spikes.time, [0.1, 1.0, 5.0, 5.0])
    assert list(spikes.id) == [2, 0, 0, 0]
    simulation.set(source, "times", [[2.0], [8.0] * 4, [9.0]])
    spikes = simulation.run(5.0).spikes(source)
    np.testing.assert_allclose(spikes.time, [8.0] * 4 + [9.0])


# -- changes between runs ------------------------------------------------------------------------


def test_parameters_and_weights_change_between_runs():
    network = Network()
    cells = network.population(3, LIF(v_thresh=1e3, tau_m=5.0), CurrentDelta())
    source = network.population(1, SpikeArray([[1.0, 101.0]]))
    synapse = network.project(source, cells, AllToAll(), 2.0, 1.0)
    network.record(cells, "v")
    simulation = Simulation(network, 0.1)
    assert simulation.run(2.0).signal(cells)[-1, 0] == pytest.approx(-63.0)
    simulation.set(cells, "v_rest", [-70.0, -60.0, -65.0])
    assert simulation.run(98.0).signal(cells)[-1, 0] == pytest.approx([-70, -60, -65], abs=1e-6)
    simulation.set_weights(synapse, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(simulation.weights(synapse), [1, 2, 3])
    moved = simulation.run(2.0).signal(cells)[-1, 0]
    assert moved == pytest.approx([-69, -58, -62], abs=1e-6)
    simulation.set(cells, "v", -65.0)
    assert simulation.get(cells, "v") == pytest.approx(np.full((1, 3), -65.0))
    with pytest.raises(InputError, match="tau_m"):
        simulation.set(cells, "tau_m", -1.0)
    with pytest.raises(InputError, match="tau_n"):
        simulation.set(cells, "tau_n", 1.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_chains_with_their_own_drive(threads):
    network = Network()
    cells = network.population(2, LIF(v_thresh=1e3, tau_m=2.0), CurrentExp())
    network.record(cells, "v")
    simulation = Simulation(network, 0.1, chains=3, threads=threads)
    rest = np.arange(6.0).reshape(3, 2) - 60
    simulation.set(cells, "v_rest", rest)
    np.testing.assert_allclose(simulation.run(100.0).signal(cells)[-1], rest)
    np.testing.assert_allclose(simulation.get(cells, "v"), rest)


# -- plasticity ----------------------------------------------------------------------------------


def count_up(weight, trace, parameters):
    return weight + parameters[0]


def count_down(weight, trace, parameters):
    return weight - parameters[1] * trace


def plastic_pair(plasticity, pre, post, delay=1.0):
    """A synapse between two trains; the neuron fires at `post`."""
    network = Network()
    cell = network.population(1, LIF(tau_refrac=0.1, v_thresh=-64.0), CurrentDelta())
    driver = network.population(1, SpikeArray([np.array(post) - 0.1]))
    network.project(driver, cell, OneToOne(), 100.0, 0.1)
    source = network.population(1, SpikeArray([pre]))
    synapse = network.project(source, cell, OneToOne(), 1e-3, delay, plasticity=plasticity)
    return network, synapse


def test_a_rule_of_ones_own():
    rule = Rule(count_down, count_up, (0.25, 0.5), tau_plus=10.0, tau_minus=10.0, w_min=-10.0)
    network, synapse = plastic_pair(rule, [5.0, 50.0], [10.0, 20.0, 45.0])
    simulation = Simulation(network, 0.1)
    simulation.run(40.0)
    assert simulation.weights(synapse)[0, 0] == pytest.approx(1e-3 + 2 * 0.25)
    simulation.run(20.0)
    trace = np.exp(-(50.0 - 46.0) / 10) + np.exp(-(50.0 - 21.0) / 10) + np.exp(-(50 - 11.0) / 10)
    assert simulation.weights(synapse)[0, 0] == pytest.approx(1e-3 + 3 * 0.25 - 0.5 * trace)


def test_a_rule_that_cannot_be_compiled():
    def wrong(weight, trace, parameters):
        return weight + "a"

    network, _ = plastic_pair(Rule(wrong, count_up), [5.0], [10.0])
    with pytest.raises(InputError, match="wrong"):
        Simulation(network, 0.1)


@pytest.mark.parametrize("pieces", [1, 9])
def test_reward_turns_eligibility_into_weight(pieces):
    stdp = STDP(10.0, 10.0, 0.1, 0.2, w_max=1.0, tau_eligibility=100.0)
    network, synapse = plastic_pair(stdp, [5.0, 60.0], [10.0])
    simulation = Simulation(network, 0.1)
    for _ in range(pieces):
        simulation.run(90.0 / pieces)
    assert simulation.weights(synapse)[0, 0] == pytest.approx(1e-3)
    gained = 0.1 * np.exp(-(11.0 - 5.0) / 10)
    lost = 0.2 * np.exp(-(60.0 - 11.0) / 10)
    trace = gained * np.exp(-(90 - 11) / 100) - lost * np.exp(-(90 - 60) / 100)
    assert simulation.eligibility(synapse)[0, 0] == pytest.approx(trace)
    simulation.reward(synapse, 2.0)
    assert simulation.weights(synapse)[0, 0] == pytest.approx(1e-3 + 2 * trace)
    simulation.reward(synapse, 1e9)
    assert simulation.weights(synapse)[0, 0] == 1.0


def test_rewards_per_chain():
    stdp = STDP(tau_eligibility=50.0)
    network, synapse = plastic_pair(stdp, [5.0], [10.0])
    simulation = Simulation(network, 0.1, chains=3, threads=2)
    simulation.run(20.0)
    trace = simulation.eligibility(synapse)
    simulation.reward(synapse, [0.0, 1.0, -0.01])
    np.testing.assert_allclose(
        simulation.weights(synapse)[:, 0], 1e-3 + np.array([0, 1, -0.01]) * trace[:, 0]
    )


def test_long_silence_keeps_all_pairs():
    """A presynaptic spike long ago and many postsynaptic ones since, over many sweeps."""
    post = np.arange(5.0, 3000.0, 2.0)
    stdp = STDP(tau_plus=1000.0, A_plus=1e-4, w_max=1.0)
    network, synapse = plastic_pair(stdp, [1.0, 2999.0], post)
    simulation = Simulation(network, 0.1)
    simulation.run(2998.0)
    expected = 1e-3 + 1e-4 * np.exp(-(post[post < 2997.05] + 1 - 1) / 1000).sum()
    assert simulation.weights(synapse)[0, 0] == pytest.approx(expected, rel=1e-9)


# -- errors --------------------------------------------------------------------------------------


def simple(**changes):
    network = Network()
    cells = network.population(10, LIF())
    options = {"connector": AllToAll(), "weight": 0.1, "delay": 1.0, **changes}
    connector = options.pop("connector")
    network.project(cells, cells, connector, options.pop("weight"), options.pop("delay"), **options)
    return network


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Simulation(simple(delay=0.05), 0.1), r"`delay`.*0\.05 ms.*0\.1 ms"),
        (lambda: simple(delay=-1.0), "`delay`.*-1 ms"),
        (lambda: simple(weight=np.nan), "`weight`.*nan"),
        (lambda: Simulation(simple(weight=lambda r, d: np.full(len(d), np.nan))), "weight"),
        (lambda: Simulation(simple(weight=np.ones(7))), "7 entries.*100"),
        (lambda: LIF(tau_m=-1.0), "`tau_m` is -1 ms"),
        (lambda: LIF(v_thresh=-70.0), "`v_thresh` is -70 mV.*`v_reset`.*-65 mV"),
        (lambda: CurrentExp(tau_syn_E=0.0), "tau_syn_E"),
        (lambda: FixedProbability(1.2), r"1\.2"),
        (lambda: Simulation(simple(connector=FromArrays([0, 3], [1, 12]))), "12"),
        (lambda: simple(receptor="exitatory"), "excitatory"),
        (lambda: Poisson(-3.0), "`rate` is -3 Hz"),
        (lambda: SpikeArray([[-1.0]]), "times"),
        (lambda: Network().population(0, LIF()), "size"),
        (lambda: Network().population(3, LIF(tau_m=[1.0, 2.0])), r"tau_m.*\(3,\)"),
        (lambda: Network().population(3, Poisson(), CurrentExp()), "spike source"),
        (lambda: Network().population(3, AdEx(), CurrentDelta()), "AdEx"),
        (lambda: Simulation(Network()), "no populations"),
        (lambda: Simulation(simple(), dt=0.0), "`dt`"),
        (lambda: Simulation(simple(), chains=0), "`chains`"),
        (lambda: Simulation(simple(), threads=0), "`threads`"),
        (lambda: Simulation(simple()).run(-1.0), "`duration` is -1 ms"),
        (lambda: STDP(pairing="some"), "pairing"),
        (lambda: TsodyksMarkram(U=2.0), "`U` is 2"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_negative_conductance_is_refused():
    network = Network()
    cells = network.population(3, LIF(), ConductanceExp())
    with pytest.raises(InputError, match=r"`weight` is -0\.1 uS"):
        network.project(cells, cells, AllToAll(), -0.1, 1.0)


def test_too_large_a_network_is_refused_before_it_is_built():
    network = Network()
    cells = network.population(4_000_000, LIF())
    network.project(cells, cells, FixedProbability(0.5), 0.1, 1.0)
    with pytest.raises(InputError, match=r"GiB of memory.*available"):
        Simulation(network)


def test_delays_off_the_grid_are_rounded_with_a_warning():
    with pytest.warns(DelayWarning, match=r"rounded.*0\.1 ms.*by up to 0\.03"):
        simulation = Simulation(simple(delay=0.73), 0.1)
    delay = simulation.connections(simulation.network.projections[0])[2]
    assert delay == pytest.approx(np.full(100, 0.7))


def test_recorded_or_not():
    network = simple()
    recording = Simulation(network).run(1.0)
    with pytest.raises(InputError, match="was not recorded"):
        recording.signal(network.populations[0], "w")


@pytest.mark.parametrize("receptors", [ConductanceExp, CurrentExp])
def test_neurons_that_differ_are_the_same_alone_and_in_batches(receptors):
    """More neurons than are updated side by side; in a batch they go one by one."""
    rng, n = np.random.default_rng(0), 300
    model = LIF(
        tau_m=rng.uniform(8, 20, n),
        v_thresh=rng.uniform(-55, -50, n),
        tau_refrac=rng.uniform(1, 5, n),
    )
    network = Network()
    cells = network.population(n, model, receptors(tau_syn_E=rng.uniform(2, 8, n)))
    weight = 0.02 if receptors is ConductanceExp else 0.4
    network.noise(cells, Poisson(800.0), weight=weight)
    network.project(cells, cells, FixedProbability(0.05), weight, 1.0)
    alone = Simulation(network, 0.1, seed=3).run(60.0)
    assert len(alone.spikes(cells).time) > 200
    for kind in ({"chains": 2}, {"threads": 2}):
        other = Simulation(network, 0.1, seed=3, **kind).run(60.0)
        for a, b in zip(alone.spikes(cells), other.spikes(cells), strict=True):
            np.testing.assert_array_equal(a, b)
