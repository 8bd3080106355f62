"""The PyNN front end as a script sees it."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pyNN", reason="needs PyNN: pip install 'lapicque[pynn]'")

import lapicque.pynn as sim
from lapicque._checks import InputError

LIF = {"v_rest": -65.0, "v_reset": -65.0, "v_thresh": -50.0, "tau_m": 20.0, "cm": 1.0}


def potential(population) -> np.ndarray:
    """Recorded potentials of the last segment, (time, cell)."""
    return population.get_data().segments[-1].filter(name="v")[0].magnitude


def spikes(population) -> list[np.ndarray]:
    """Spike times of the last segment, per cell."""
    return [train.magnitude for train in population.get_data().segments[-1].spiketrains]


def relay(**connection):
    """A source that fires at 10 and 20 ms, and a cell that it reaches."""
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0, 20.0]))
    cell = sim.Population(1, sim.IF_curr_exp(**LIF))
    synapse = sim.StaticSynapse(**{"weight": 0.5, "delay": 1.5, **connection})
    projection = sim.Projection(source, cell, sim.AllToAllConnector(), synapse)
    cell.record(["v", "spikes", "isyn_exc"])
    return source, cell, projection


def test_membrane_charges_as_the_solution_says():
    """v = v_rest + I tau_m / cm (1 - exp(-t / tau_m)), at every sample from t = 0 on."""
    sim.setup(timestep=0.1)
    cell = sim.Population(1, sim.IF_curr_exp(i_offset=0.5, **LIF))
    cell.record("v")
    sim.run(50.0)
    signal = cell.get_data().segments[0].filter(name="v")[0]
    time = signal.times.rescale("ms").magnitude
    assert str(signal.units.dimensionality) == "mV"
    assert_allclose(time, np.arange(501) * 0.1)
    assert_allclose(signal.magnitude[:, 0], -65 + 10 * (1 - np.exp(-time / 20)), atol=1e-10)


def test_spike_arrives_after_its_delay_with_its_weight():
    sim.setup(timestep=0.1)
    _, cell, _ = relay()
    sim.run(30.0)
    current = cell.get_data().segments[0].filter(name="isyn_exc")[0].magnitude[:, 0]
    assert_array_equal(current[:115], 0.0)
    assert current[115] == pytest.approx(0.5)


@pytest.mark.parametrize("name", sim.list_standard_models())
def test_each_cell_runs_and_records_all_it_offers(name):
    sim.setup(timestep=0.1)
    cells = sim.Population(3, getattr(sim, name)())
    cells.record(cells.celltype.recordable)
    sim.run(5.0)
    segment = cells.get_data().segments[0]
    assert len(segment.spiketrains) == 3
    recorded = {signal.name: signal for signal in segment.analogsignals}
    assert set(recorded) == set(cells.celltype.recordable) - {"spikes"}
    for variable, signal in recorded.items():
        assert signal.shape == (51, 3)
        assert signal.units.dimensionality.string == cells.celltype.units[variable]


def test_pieces_and_threads_make_the_same_whole():
    def run(*pieces, threads=1):
        sim.setup(timestep=0.1, seed=4, threads=threads)
        noise = sim.Population(20, sim.SpikeSourcePoisson(rate=100.0))
        cells = sim.Population(5, sim.IF_cond_exp())
        weights = sim.StaticSynapse(weight=0.02, delay=1.0)
        sim.Projection(noise, cells, sim.AllToAllConnector(), weights)
        cells.record(["v", "spikes"])
        for piece in pieces:
            sim.run(piece)
        return potential(cells), spikes(cells)

    whole = run(60.0)
    assert sum(map(len, whole[1])) > 0
    for again in (run(0.1, 17.3, 42.6), run(60.0, threads=2)):
        assert_array_equal(whole[0], again[0])
        for train, repeated in zip(whole[1], again[1], strict=True):
            assert_array_equal(train, repeated)


def test_reset_begins_a_new_segment_like_the_first():
    sim.setup(timestep=0.1)
    _, cell, projection = relay(weight=3.0)
    for _ in range(2):
        sim.run(40.0)
        sim.reset()
        assert sim.get_current_time() == 0.0
    projection.set(weight=0.0)
    sim.run(40.0)
    first, second, silent = cell.get_data().segments
    assert len(first.spiketrains[0]) > 0
    assert_array_equal(first.spiketrains[0], second.spiketrains[0])
    assert len(silent.spiketrains[0]) == 0


def test_noise_differs_from_trial_to_trial_but_not_from_seed_to_seed():
    def trials(seed):
        sim.setup(timestep=0.1, rng_seed=seed)
        noise = sim.Population(10, sim.SpikeSourcePoisson(rate=200.0))
        noise.record("spikes")
        found = []
        for _ in range(2):
            sim.run(100.0)
            found.append(np.concatenate(spikes(noise)))
            sim.reset()
        return found

    one, again = trials(1), trials(1)
    assert not np.array_equal(one[0], one[1])
    for trial, repeated in zip(one, again, strict=True):
        assert_array_equal(trial, repeated)


def test_cleared_data_goes_on_where_it_stopped():
    sim.setup(timestep=0.1)
    cell = sim.Population(1, sim.IF_curr_exp(i_offset=0.5, **LIF))
    cell.record("v")
    sim.run(20.0)
    before = cell.get_data(clear=True).segments[0].analogsignals[0]
    sim.run(10.0)
    after = cell.get_data().segments[0].analogsignals[0]
    assert after.t_start.rescale("ms").magnitude == pytest.approx(20.0)
    assert after.shape == (101, 1)
    assert after.magnitude[0] == before.magnitude[-1]


def test_parameters_weights_and_spike_times_change_between_runs():
    sim.setup(timestep=0.1)
    source, cell, projection = relay()
    sim.run(25.0)
    source.set(spike_times=[30.0])
    projection.set(weight=0.25)
    cell.set(tau_syn_E=2.0)
    sim.run(20.0)
    current = cell.get_data().segments[0].filter(name="isyn_exc")[0].magnitude[:, 0]
    assert current[315] == pytest.approx(0.25 + current[314] * np.exp(-0.1 / 2.0))
    assert current[335] == pytest.approx(current[315] * np.exp(-2.0 / 2.0))


def test_initialize_sets_the_start_and_the_present():
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.IF_curr_exp(**LIF))
    cells.initialize(v=[-60.0, -55.0])
    cells[1:2].initialize(v=-52.0)
    cells.record("v")
    sim.run(1.0)
    cells.initialize(v=-70.0)
    sim.run(1.0)
    v = potential(cells)
    assert_array_equal(v[0], [-60.0, -52.0])
    assert_allclose(v[11], -65 - 5 * np.exp(-0.1 / 20))


@pytest.mark.parametrize("cell", [0, 1])
def test_currents_flow_from_their_start_to_their_stop(cell):
    """A pulse and steps of the same shape charge the membrane alike."""
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=0.1, **LIF))
    cells[0].inject(sim.DCSource(amplitude=0.3, start=5.0, stop=15.0))
    sim.StepCurrentSource(times=[5.0, 15.0], amplitudes=[0.3, 0.0]).inject_into(cells[1:2])
    cells.record("v")
    sim.run(25.0)
    time, v = np.arange(251) * 0.1, potential(cells)[:, cell]

    def step(start, current):
        on = np.maximum(time - start, 0.0)
        return 20 * current * (1 - np.exp(-on / 20))

    assert_allclose(v, -65 + step(0, 0.1) + step(5, 0.3) + step(15, -0.3), atol=1e-10)
    assert cells.get("i_offset") == 0.1


def test_alternating_current_is_recorded_as_given():
    sim.setup(timestep=0.1)
    source = sim.ACSource(amplitude=0.2, offset=0.1, frequency=50.0, start=2.0, stop=8.0, phase=90)
    sim.Population(1, sim.IF_curr_exp()).inject(source)
    source.record()
    sim.run(10.0)
    signal = source.get_data()
    time = signal.times.rescale("ms").magnitude
    flows = (time > 1.99) & (time < 7.99)
    expected = np.where(flows, 0.1 + 0.2 * np.cos(2 * np.pi * 0.05 * (time - 2.0)), 0.0)
    assert_allclose(signal.magnitude[:, 0], expected, atol=1e-12)


def test_views_and_assemblies_are_wired_to_the_cells_they_stand_for():
    sim.setup(timestep=0.1)
    left, right = (sim.Population(4, sim.IF_curr_exp(**LIF)) for _ in range(2))
    source = sim.Population(3, sim.SpikeSourceArray(spike_times=[[5.0], [6.0], [7.0]]))
    both = left[1:3] + right[[0, 3]]
    pairs = [(0, 1), (2, 3)]  # source 0 to left[2], source 2 to right[3]
    synapse = sim.StaticSynapse(weight=1.0, delay=1.0)
    projection = sim.Projection(source, both, sim.FromListConnector(pairs), synapse)
    for cells in (left, right):
        cells.record("isyn_exc")
    sim.run(10.0)
    for cells, target, arrival in ((left, 2, 60), (right, 3, 80)):
        current = cells.get_data().segments[0].analogsignals[0].magnitude
        assert current[arrival, target] == pytest.approx(1.0)
        assert_array_equal(np.delete(current, target, 1), 0.0)
    assert projection.get("weight", "list") == [(0, 1, 1.0), (2, 3, 1.0)]


def test_synapses_with_own_plasticity_parameters_have_them():
    """Two depressing synapses on one cell: the second response tells their `U` apart."""
    sim.setup(timestep=0.1)
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=[[10.0, 20.0]] * 2))
    cells = sim.Population(2, sim.IF_curr_exp(tau_syn_E=1.0))
    synapse = sim.TsodyksMarkramSynapse(
        weight=1.0, delay=1.0, U=[[0.2, 0.0], [0.0, 0.8]], tau_rec=1e6
    )
    sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
    cells.record("isyn_exc")
    sim.run(30.0)
    current = cells.get_data().segments[0].analogsignals[0].magnitude
    first, second = current[110], current[210] - current[209] * np.exp(-0.1)
    assert_allclose(first, [0.2, 0.8])
    assert_allclose(second, [0.2 * 0.8, 0.8 * 0.2], rtol=1e-4)


def stdp(weight_dependence, **weight_parameters):
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=20.0, tau_minus=10.0, A_plus=0.02, A_minus=0.03
        ),
        weight_dependence=getattr(sim, weight_dependence)(
            w_min=0.0, w_max=0.4, **weight_parameters
        ),
        weight=0.1,
        delay=1.0,
    )


@pytest.mark.parametrize(
    ("rule", "mu_plus", "mu_minus"),
    [
        ("AdditiveWeightDependence", 0.0, 0.0),
        ("MultiplicativeWeightDependence", 1.0, 1.0),
        ("AdditivePotentiationMultiplicativeDepression", 0.0, 1.0),
        ("GutigWeightDependence", 0.3, 0.6),
    ],
)
def test_stdp_amplitudes_are_relative_to_the_largest_weight(rule, mu_plus, mu_minus):
    """One pair each: dw = A_plus w_max (1 - w / w_max)^mu_plus exp(-t / tau_plus), and its like.

    The postsynaptic spike arrives with the synapse's delay: 1 ms more in one, less in the other.
    """
    changes = {}
    for order, driver_at in (("causal", 15.0), ("acausal", 5.0)):
        sim.setup(timestep=0.1)
        pre = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0]))
        driver = sim.Population(1, sim.SpikeSourceArray(spike_times=[driver_at]))
        post = sim.Population(1, sim.IF_curr_exp(tau_refrac=1.0, tau_syn_E=0.5))
        given = {"mu_plus": mu_plus, "mu_minus": mu_minus} if rule.startswith("Gutig") else {}
        projection = sim.Projection(pre, post, sim.AllToAllConnector(), stdp(rule, **given))
        strong = sim.StaticSynapse(weight=200.0, delay=1.0)
        sim.Projection(driver, post, sim.AllToAllConnector(), strong)
        post.record("spikes")
        sim.run(40.0)
        lag = spikes(post)[0][0] + 1.0 - 10.0
        changes[order] = lag, projection.get("weight", "array")[0, 0] - 0.1
    lag, change = changes["causal"]
    assert lag > 0
    assert change == pytest.approx(0.02 * 0.4 * (1 - 0.25) ** mu_plus * np.exp(-lag / 20.0))
    lag, change = changes["acausal"]
    assert lag < 0
    assert change == pytest.approx(-0.03 * 0.4 * 0.25**mu_minus * np.exp(lag / 10.0))


def test_plastic_weights_return_to_what_was_set_by_a_reset():
    sim.setup(timestep=0.1)
    pre = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0]))
    post = sim.Population(1, sim.IF_curr_exp(i_offset=2.0))
    rule = stdp("AdditiveWeightDependence")
    projection = sim.Projection(pre, post, sim.AllToAllConnector(), rule)
    sim.run(50.0)
    assert projection[0].weight != 0.1
    sim.reset()
    assert projection[0].weight == 0.1


def test_connections_can_be_read_and_set_one_by_one():
    sim.setup(timestep=0.1)
    cells = sim.Population(3, sim.IF_cond_exp())
    connector = sim.AllToAllConnector(allow_self_connections=False)
    projection = sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=0.1, delay=0.5))
    assert len(projection) == projection.size() == 6
    projection[2].weight = 0.3
    connection = next(c for c in projection.connections if c.weight == 0.3)
    assert connection.as_tuple("presynaptic_index", "delay") == (projection._pre[2], 0.5)
    matrix = projection.get("weight", format="array")
    assert np.isnan(np.diag(matrix)).all()
    assert np.nansum(matrix) == pytest.approx(5 * 0.1 + 0.3)
    with pytest.raises(IndexError, match="6 synapses"):
        projection[6]


@pytest.mark.parametrize(
    ("operation", "put_together"),
    [
        ("sum", sum),
        ("first", lambda w: w[0]),
        ("last", lambda w: w[-1]),
        ("min", min),
        ("max", max),
    ],
)
def test_several_synapses_of_a_pair_are_put_together_as_asked(operation, put_together):
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.IF_cond_exp())
    listed = [(0, 1, 0.3, 1.0), (0, 1, 0.1, 1.0), (0, 1, 0.2, 1.0)]
    projection = sim.Projection(cells, cells, sim.FromListConnector(listed))
    weights = projection.get("weight", "list", with_address=False)
    assert sorted(weights) == [0.1, 0.2, 0.3]
    matrix = projection.get("weight", "array", multiple_synapses=operation)
    assert matrix[0, 1] == pytest.approx(put_together(weights))
    assert np.isnan(matrix).sum() == 3


@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_one_to_one_connects_what_there_is(sizes):
    sim.setup(timestep=0.1)
    pre, post = (sim.Population(size, sim.IF_cond_exp()) for size in sizes)
    projection = sim.Projection(pre, post, sim.OneToOneConnector())
    pairs = [(i, j) for i, j, _ in projection.get("weight", "list")]
    assert pairs == [(k, k) for k in range(min(sizes))]


def test_delays_come_from_the_network_where_setup_left_them_open():
    sim.setup(timestep=0.1)
    assert sim.get_min_delay() == sim.get_max_delay() == 0.1
    cells = sim.Population(2, sim.IF_cond_exp())
    for delay in (0.5, 2.0):
        sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(delay=delay))
    assert (sim.get_min_delay(), sim.get_max_delay()) == (0.5, 2.0)


def test_delays_off_the_grid_are_rounded_with_a_warning():
    sim.setup(timestep=0.1)
    with pytest.warns(sim.errors.RoundingWarning, match=r"by up to 0\.04 ms"):
        projection = relay(delay=1.54)[2]
    assert projection.get("delay", "list", with_address=False) == pytest.approx([1.5])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyNN prefers the other interface
def test_cells_are_made_wired_and_set_one_by_one(tmp_path):
    sim.setup(timestep=0.1)
    source = sim.create(sim.SpikeSourceArray(spike_times=[5.0]))
    cells = sim.create(sim.IF_curr_exp(**LIF), n=2)
    sim.set(cells, tau_syn_E=2.0)
    sim.initialize(cells, v=-65.0)
    sim.connect(source[0], cells[1], weight=0.5, delay=1.0)
    cells[0].i_offset = 0.1
    sim.record("isyn_exc", cells, str(tmp_path / "current.pkl"))
    sim.run(10.0)
    sim.end()
    current = cells.get_data().segments[0].analogsignals[0].magnitude
    assert (tmp_path / "current.pkl").exists()
    assert (cells[0].i_offset, cells[1].i_offset) == (0.1, 0.0)
    assert_array_equal(current[:, 0], 0.0)
    assert_allclose(current[[60, 80], 1], [0.5, 0.5 * np.exp(-1.0)])


def test_spike_counts_of_a_view_are_its_own():
    sim.setup(timestep=0.1)
    source = sim.Population(3, sim.SpikeSourceArray(spike_times=[[1.0], [2.0, 3.0], []]))
    source.record("spikes")
    sim.run(5.0)
    assert source.get_spike_counts() == {source[0]: 1, source[1]: 2, source[2]: 0}
    assert source[1:2].get_spike_counts() == {source[1]: 2}
    assert source.mean_spike_count() == 1.0


def test_data_is_written_and_read_again(tmp_path):
    from neo.io import PickleIO

    sim.setup(timestep=0.1)
    _, cell, _ = relay(weight=3.0)
    cell.record("spikes", to_file=str(tmp_path / "spikes.pkl"))
    sim.run(20.0)
    sim.end()
    block = PickleIO(str(tmp_path / "spikes.pkl")).read_block()
    assert_array_equal(block.segments[0].spiketrains[0], spikes(cell)[0])


def test_sources_start_and_stop():
    sim.setup(timestep=0.1, seed=1)
    noise = sim.Population(50, sim.SpikeSourcePoisson(rate=500.0, start=20.0, duration=30.0))
    noise.record("spikes")
    sim.run(100.0)
    times = np.concatenate(spikes(noise))
    assert 20.0 < times.min() < 21.0
    assert 49.0 < times.max() <= 50.0
    assert abs(len(times) - 750) < 5 * np.sqrt(750)


def test_rates_change_between_runs():
    sim.setup(timestep=0.1, seed=1)
    noise = sim.Population(3, sim.SpikeSourcePoisson(rate=100.0))
    noise.record("spikes")
    for rates in (0.0, [10.0, 1000.0, 0.0], 50.0):
        noise.set(rate=rates)
        sim.run(2000.0)
        counts = np.array(list(noise.get_spike_counts().values()))
        expected = 2.0 * np.broadcast_to(rates, 3)
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()
        noise.get_data(clear=True)


def test_sources_start_and_stop_each_at_its_time():
    sim.setup(timestep=0.1, seed=1)
    times = {"start": [0.0, 50.0], "duration": [50.0, 25.0]}
    noise = sim.Population(2, sim.SpikeSourcePoisson(rate=2000.0, **times))
    noise.record("spikes")
    sim.run(100.0)
    first, second = spikes(noise)
    assert first.max() <= 50.0 < second.min() < second.max() <= 75.0
    assert abs(len(first) - 100) < 50
    assert abs(len(second) - 50) < 35


def test_all_state_variables_have_a_start():
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.EIF_cond_exp_isfa_ista(a=0.0))
    cells.initialize(w=[0.1, -0.1], gsyn_exc=0.01)
    cells.record(["w", "gsyn_exc"])
    sim.run(1.0)
    segment = cells.get_data().segments[0]
    for name, start, tau in (("w", [0.1, -0.1], 144.0), ("gsyn_exc", [0.01, 0.01], 5.0)):
        signal = segment.filter(name=name)[0].magnitude
        assert_allclose(signal[0], start)
        assert_allclose(signal[-1], np.multiply(start, np.exp(-1.0 / tau)), rtol=1e-6)


REFUSED = [
    (lambda: sim.HH_cond_exp(), "`HH_cond_exp`.*IF_cond_exp"),
    (lambda: sim.MultiCompartmentNeuron(), "points"),
    (lambda: sim.SimpleStochasticSynapse(weight=1.0), "TsodyksMarkramSynapse"),
    (lambda: sim.NativeRNG(), "NumpyRNG"),
    (lambda: sim.STDPMechanism(sim.SpikePairRule(), None), "AdditiveWeightDependence"),
    (
        lambda: sim.STDPMechanism(
            sim.SpikePairRule(), sim.AdditiveWeightDependence(), dendritic_delay_fraction=0.5
        ),
        "dendritic",
    ),
]


@pytest.mark.parametrize(("ask", "answer"), REFUSED)
def test_what_is_missing_says_what_there_is(ask, answer):
    sim.setup()
    with pytest.raises(sim.UnsupportedError, match=answer) as caught:
        ask()
    assert isinstance(caught.value, NotImplementedError)
    assert isinstance(caught.value, sim.errors.NoModelAvailableError)


def test_names_that_pynn_does_not_have_either_are_no_attributes():
    assert not hasattr(sim, "IF_crr_exp")


def test_a_running_simulation_does_not_grow():
    sim.setup(timestep=0.1)
    _, cell, _ = relay()
    sim.run(1.0)
    with pytest.raises(sim.UnsupportedError, match=r"reset\(\)"):
        sim.Population(1, sim.IF_cond_exp())
    with pytest.raises(sim.UnsupportedError, match=r"reset\(\)"):
        sim.Projection(cell, cell, sim.AllToAllConnector())
    with pytest.raises(sim.UnsupportedError, match="recording `isyn_inh`"):
        cell.record("isyn_inh")
    sim.reset()
    cell.record("isyn_inh")
    sim.Projection(cell, cell, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1))
    sim.run(1.0)
    assert {s.name for s in cell.get_data().segments[-1].analogsignals} >= {"v", "isyn_inh"}


WRONG = [
    (lambda: sim.setup(timestep=0.0), InputError, "timestep"),
    (
        lambda: sim.Population(1, sim.IF_curr_exp(tau_m=-1.0)),
        sim.errors.InvalidParameterValueError,
        "tau_m",
    ),
    (
        lambda: sim.Population(1, sim.SpikeSourceArray(spike_times=[0.0, 1.0])),
        sim.errors.InvalidParameterValueError,
        "above 0",
    ),
    (
        lambda: sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0, 1.0])),
        sim.errors.InvalidParameterValueError,
        "rise",
    ),
    (
        lambda: sim.Population(1, sim.SpikeSourcePoisson(rate=-5.0)),
        sim.errors.InvalidParameterValueError,
        "rate",
    ),
    (
        lambda: sim.Population(1, sim.IF_cond_exp()).initialize(w=0.0),
        sim.errors.NonExistentParameterError,
        "gsyn_exc",
    ),
    (
        lambda: sim.Population(1, sim.IF_cond_exp()).get("tau_x"),
        sim.errors.NonExistentParameterError,
        "tau_m",
    ),
    (lambda: sim.Population(1, sim.IF_cond_exp()).record("w"), sim.errors.RecordingError, "gsyn"),
    (
        lambda: sim.Population(1, sim.IF_cond_exp()).record("v", sampling_interval=0.25),
        sim.errors.InvalidParameterValueError,
        "multiple",
    ),
    (lambda: relay(delay=0.01), sim.errors.ConnectionError, "delay"),
    (lambda: relay()[2].set(weight=np.nan), sim.errors.ConnectionError, "finite"),
    (
        lambda: sim.Projection(
            sim.Population(1, sim.IF_cond_exp()),
            sim.Population(1, sim.IF_cond_exp()),
            sim.AllToAllConnector(),
            sim.StaticSynapse(weight=-0.5),
        ),
        sim.errors.ConnectionError,
        "positive",
    ),
    (
        lambda: sim.DCSource().inject_into(sim.Population(1, sim.SpikeSourceArray())),
        TypeError,
        "spike source",
    ),
    (
        lambda: sim.Projection(
            sim.Population(1, sim.IF_cond_exp()),
            sim.Population(1, sim.SpikeSourceArray()),
            sim.AllToAllConnector(),
        ),
        sim.errors.ConnectionError,
        "targets",
    ),
]


@pytest.mark.parametrize(("do", "error", "message"), WRONG)
def test_mistakes_are_named_where_they_are_made(do, error, message):
    sim.setup(timestep=0.1)
    with pytest.raises(error, match=message):
        do()


def test_cells_of_an_earlier_setup_cannot_be_wired():
    sim.setup(timestep=0.1)
    old = sim.Population(2, sim.IF_cond_exp())
    sim.setup(timestep=0.1)
    with pytest.raises(sim.errors.ConnectionError, match=r"setup\(\)"):
        sim.Projection(old[:1], sim.Population(2, sim.IF_cond_exp()), sim.AllToAllConnector())


def test_setup_says_that_spikes_lie_on_the_grid_and_ignores_the_rest():
    with pytest.warns(UserWarning, match="grid"):
        sim.setup(timestep=0.1, spike_precision="off_grid", verbosity="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sim.setup(timestep=0.1, max_delay=5.0, spike_precision="on_grid") == 0


def test_mpi_ranks_are_told_that_each_simulates_all(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.warns(UserWarning, match="one process"):
        sim.setup(timestep=0.1)


def test_star_import_brings_the_interface_and_nothing_else():
    names = set(sim.__all__)
    assert {"setup", "run", "Population", "IF_cond_exp", "errors", "NumpyRNG"} <= names
    assert not names & {"recording", "control", "populations"}


def test_without_pynn_the_message_names_the_extra():
    program = (
        "import sys; sys.modules['pyNN'] = None\n"
        "try:\n    import lapicque.pynn\n"
        "except ImportError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'lapicque[pynn]'" in said.stdout
