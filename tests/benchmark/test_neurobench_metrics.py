"""NeuroBench's metrics against hand counts and the numbers that the project's own tests expect."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from lapicque import rate, spiketime
from lapicque._checks import InputError
from lapicque.benchmark import metrics
from lapicque.benchmark.models import _synapses, record_spiking, run_rate, run_spiketime
from lapicque.benchmark.record import Cell, Convolution, Dense, Events, Population, Record
from lapicque.spiking import (
    LIF,
    AllToAll,
    CurrentDelta,
    FixedProbability,
    Network,
    Simulation,
    SpikeArray,
)


def record(*connections, populations=(), samples=1, executions=1, **options):
    return Record(tuple(connections), tuple(populations), samples, executions, **options)


# -- operations ----------------------------------------------------------------------------------


def test_three_by_three_by_hand():
    weight = np.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    found = metrics.synaptic_operations(record(Dense("w", weight, np.array([[[0, 1.3, -1]]]))))
    assert (found.macs, found.acs, found.dense) == (4, 0, 9)
    found = metrics.synaptic_operations(record(Dense("w", weight, np.array([[[0, 1, -1]]]))))
    assert (found.macs, found.acs, found.dense) == (0, 4, 9)


@pytest.mark.parametrize(("kind", "gates", "dense"), [("rnn", 1, 150), ("lstm", 4, 615),
                                                      ("gru", 3, 465)])  # fmt: skip
def test_cells_have_the_dense_counts_of_the_project(kind, gates, dense):
    d, h = 25, 5
    ones, state = np.full((1, 2, d), 0.5), np.full((1, 2, h), 0.5)
    weights = np.ones((gates * h, d)), np.ones((gates * h, h))
    cell = state if kind == "lstm" else None
    found = metrics.synaptic_operations(
        record(Cell("c", kind, *weights, ones, state, cell), samples=2, executions=2)
    )
    assert found.dense == found.macs == dense
    silent = Cell("c", kind, *weights, 0 * ones, 0 * state, None if cell is None else 0 * cell)
    found = metrics.synaptic_operations(record(silent, samples=2, executions=2))
    assert found.dense == dense  # states that begin at zero do not lower it
    assert found.macs == 0


def test_a_cell_with_graded_states_is_not_accumulating():
    spikes, state = np.ones((2, 1, 3)), np.full((2, 1, 2), 0.5)
    state[0] = 0
    weights = np.ones((8, 3)), np.ones((8, 2))
    found = metrics.synaptic_operations(record(Cell("c", "lstm", *weights, spikes, state, state)))
    assert found.acs == 24 + 2 + 2  # first call: weights, i g, and o tanh(c)
    assert found.macs == 24 + 16 + 6


def test_padding_is_not_counted():
    conv = Convolution("c", np.ones((2, 1, 3, 3)), np.full((1, 1, 1, 8, 8), 0.5),
                       padding=((1, 1), (1, 1)))  # fmt: skip
    found = metrics.synaptic_operations(record(conv))
    assert found.dense == found.macs == 968 == 2 * 22**2


def test_convolutions_count_what_a_correlation_of_ones_and_zeros_sums():
    rng = np.random.default_rng(0)
    x, w = rng.random((1, 1, 2, 9, 8)) < 0.4, rng.random((3, 2, 3, 2)) < 0.5
    conv = Convolution("c", w.astype(float), 0.5 * x, stride=(2, 1), padding=((2, 1), (0, 1)))
    padded = np.pad(x[0, 0].astype(int), ((0, 0), (2, 1), (0, 1)))
    expected = sum(
        correlate(padded[c], kernel[c].astype(int), "valid")[::2].sum()
        for kernel in w
        for c in range(2)
    )
    assert metrics.synaptic_operations(record(conv)).macs == expected


def test_kind_of_operation_is_decided_call_by_call():
    inputs = np.zeros((3, 2, 4))
    inputs[0, 0, 0], inputs[1, 0, 0], inputs[1, 1, 1] = 1, 1, 2
    found = metrics.synaptic_operations(
        record(Dense("w", np.ones((5, 4)), inputs), samples=2, executions=6)
    )
    assert (found.macs, found.acs, found.dense) == (5.0, 2.5, 60.0)
    each = found.per_execution
    assert (each.macs, each.acs, each.dense) == pytest.approx((5 / 3, 2.5 / 3, 20.0))
    assert metrics.energy_proxy(found, 4.0, 1.0) == 4 * 5.0 + 2.5


def test_events_and_a_matrix_of_the_same_synapses_agree():
    rng = np.random.default_rng(1)
    weight = np.where(rng.random((6, 4)) < 0.5, 1.5, 0.0)
    spikes = (rng.random((20, 3, 4)) < 0.2).astype(np.uint8)
    post, pre = np.nonzero(weight)
    found = record(Events("e", pre, post, weight[post, pre], (4, 6), spikes), samples=3)
    same = record(Dense("d", weight, spikes), samples=3)
    assert metrics.synaptic_operations(found) == metrics.synaptic_operations(same)
    assert metrics.connection_sparsity(found) == metrics.connection_sparsity(same)


# -- memory, sparsity, updates -------------------------------------------------------------------


def test_footprint_counts_bytes_zeros_and_shared_arrays_once():
    weight = np.zeros((3, 4), np.int8)
    held = record(
        Dense("a", weight, np.zeros((1, 1, 4)), np.zeros(3, np.float32)),
        Dense("b", weight, np.zeros((1, 1, 4))),
        parameters={"tau": np.ones(2)},
        buffers={"v": np.zeros((1, 3), np.float32)},
    )
    found = metrics.footprint(held)
    assert found.parameters == {"a.weight": 12, "a.bias": 12, "tau": 16}
    assert found.buffers == {"v": 12}
    assert found.total == 52
    assert metrics.parameter_count(held) == 12 + 3 + 2
    assert metrics.connection_sparsity(held) == 1.0


def test_connection_sparsity_has_four_decimals_and_biases_of_cells():
    weight = np.ones(30000).reshape(3, 10000)
    weight[0, :4] = 0
    assert metrics.connection_sparsity(record(Dense("w", weight, np.zeros((1, 1, 10000))))) == 1e-4
    state = np.zeros((1, 1, 1))
    cell = Cell("c", "rnn", np.ones((1, 1)), np.ones((1, 1)), state, state, None,
                np.zeros(1), np.ones(1))  # fmt: skip
    assert metrics.connection_sparsity(record(cell)) == 0.25
    assert metrics.connection_sparsity(record()) is None


def test_activation_sparsity_pools_layers_and_weighs_batches():
    silent, loud = np.zeros((2, 3, 4)), np.ones((2, 3, 8))
    first = record(populations=[Population("a", silent), Population("b", loud)], samples=3)
    second = record(populations=[Population("a", silent[:, :1])], samples=1)
    assert metrics.activation_sparsity(first) == pytest.approx(1 / 3)
    assert metrics.activation_sparsity([first, second]) == pytest.approx((3 / 3 + 1) / 4)
    assert metrics.activation_sparsity_by_layer([first, second]) == {"a": 1.0, "b": 0.0}
    assert metrics.activation_sparsity(record()) == 0.0


def test_membrane_updates_and_their_cost():
    membrane = np.array([[[0.0, 1.0]], [[0.0, 2.0]], [[0.5, 2.0]]])
    spikes = np.zeros_like(membrane)
    held = record(populations=[Population("a", spikes, membrane, "Synaptic", "zero")])
    assert metrics.membrane_updates(held) == 2 + 1 + 1
    found = metrics.neuron_operations(held)
    assert (found.effective, found.dense) == (4 * 8, 6 * 8)


def test_execution_rate():
    assert metrics.execution_rate(record(stride=4.0)) == 250.0
    assert metrics.execution_rate(record()) is None


# -- correctness ---------------------------------------------------------------------------------


def test_scores_by_hand():
    assert metrics.accuracy([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert metrics.mse([1.0, 3.0], [0.0, 0.0]) == 5.0
    assert metrics.smape([1.0, 1.0], [1.0, 3.0]) == pytest.approx(50.0)
    assert metrics.smape([1.0, -1.0], [-1.0, 1.0]) == 200.0
    assert metrics.smape([1.0, np.nan], [1.0, 1.0]) == 200.0
    assert metrics.smape([1.0, np.inf], [1.0, 1.0]) == 200.0
    assert metrics.smape([0.0, 1.0], [0.0, 1.0]) == 0.0
    targets = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    assert metrics.r2(targets, targets) == 1.0
    assert metrics.r2(np.broadcast_to(targets.mean(0), (3, 2)), targets) == 0.0
    with pytest.raises(InputError, match="shape"):
        metrics.accuracy([1, 2], [[1, 2]])
    with pytest.raises(InputError, match="does not vary"):
        metrics.r2([[1.0], [2.0]], [[1.0], [1.0]])


def test_results_file_and_table(tmp_path):
    held = record(Dense("w", np.ones((2, 3)), np.ones((1, 1, 3))))
    found = metrics.summary(held, SMAPE=14.0)
    metrics.write_results(tmp_path / "results.json", found, seed=1)
    read = json.loads((tmp_path / "results.json").read_text())
    assert read["metrics"]["SynapticOperations"] == {
        "Effective_MACs": 0.0, "Effective_ACs": 6.0, "Dense": 6.0,
    }  # fmt: skip
    assert read["provenance"]["seed"] == 1
    lines = metrics.table("SMAPE", {"ours": {"SMAPE": 14.0, **metrics.row(found)}, "b": {}})
    assert lines.splitlines()[1].split() == ["ours", "14", "48", "0", "0", "6", "0", "6"]
    assert lines.splitlines()[2].split() == ["b", *"-------"]


# -- records of our models -----------------------------------------------------------------------


def test_rate_network_sees_graded_rates():
    net = rate.dense(jax.random.key(0), (4, 5, 2), tau_m=10.0, tau_r=10.0)
    weight = net.layers[0].synapses.weight.at[:, 1].set(0.0)
    net = jax.tree.map(lambda a: weight if a is net.layers[0].synapses.weight else a, net)
    inputs = jnp.ones((6, 3, 4)) * jnp.array([0.5, 1.0, 0.0, 2.0])
    held, outputs, state = run_rate(net, inputs, 1.0)
    _, expected = rate.simulate(net, net.init((3,)), inputs, 1.0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    found = metrics.synaptic_operations(held)
    assert found.dense == 6 * (4 * 5 + 5 * 2)
    hidden = held.populations[0].outputs  # arrive one step later
    nonzero = np.count_nonzero(np.concatenate([np.zeros_like(hidden[:1]), hidden[:-1]])) / 3
    assert found.macs + found.acs == pytest.approx(6 * 2 * 5 + 2 * nonzero)
    assert [p.name for p in held.populations] == ["layer0"]  # the output is linear
    assert metrics.parameter_count(held) == 4 * 5 + 5 + 5 * 2 + 2 + 4
    assert metrics.footprint(held).buffers == {
        "layer0.u": 20, "layer0.r": 20, "layer1.u": 8, "layer1.r": 8,
    }  # fmt: skip
    more, _, _ = run_rate(net, inputs, 1.0, state=state)
    np.testing.assert_array_equal(more.connections[1].inputs[0], hidden[-1])


def test_series_of_maps():
    keys = jax.random.split(jax.random.key(0))
    maps = rate.Series(
        rate.MaxPool2d(2), rate.Conv2d.normal(keys[0], 2, 3, 3), rate.Flatten(),
        rate.Dense.normal(keys[1], 48, 5),
    )  # fmt: skip
    connections = _synapses("layer", maps, jnp.full((2, 3, 2, 12, 12), 0.5))
    assert [c.name for c in connections] == ["layer.1", "layer.3"]
    dense = [c.operations().dense / 6 for c in connections]
    assert dense == [4**2 * 3**2 * 2 * 3, 48 * 5]


def test_spiking_simulation_counts_spikes_times_fan_out():
    network = Network()
    source = network.population(3, SpikeArray([[1.0, 2.0, 3.0], [2.0], []]))
    cells = network.population(4, LIF(tau_refrac=1.0), CurrentDelta())
    network.project(source, cells, AllToAll(), 20.0, 1.0)
    network.project(cells, cells, FixedProbability(0.5), -1.0, 1.0, receptor="inhibitory")
    network.record(cells, "v", interval=0.5)
    simulation = Simulation(network, dt=0.5, seed=0, chains=2)
    simulation.run(1.5)
    recording = simulation.run(4.0)
    held = record_spiking(simulation, recording)
    pre, _, _ = simulation.connections(network.projections[1])
    spikes = recording.all_spikes(cells)[1]
    within = 2 * (2 + 1) * 4  # two chains; the spike at 1 ms came before
    expected = (within + np.bincount(pre, minlength=4)[spikes].sum()) / 2
    found = metrics.synaptic_operations(held)
    assert len(spikes) > 0
    assert (found.macs, found.acs) == (0, expected)
    assert found.dense == 8 * (3 * 4 + 4 * 4)
    assert metrics.activation_sparsity(held) == 1 - len(spikes) / (2 * 8 * 4)
    v = recording.signal(cells)
    assert metrics.membrane_updates(held) == (v[0].size + (v[1:] != v[:-1]).sum()) / 2
    buffers = metrics.footprint(held).buffers
    assert buffers["v"] % 8 == 0
    assert buffers["v"] >= 8 * 4


def test_first_spike_network():
    net = spiketime.dense(jax.random.key(0), (3, 4, 2), bias=0.5, mean=0.6)
    times = np.array([[0.1, np.inf, 0.3], [np.inf] * 3], np.float32)
    held, layers = run_spiketime(net, times)
    found = metrics.synaptic_operations(held)
    hidden = np.isfinite(layers[0]).sum()
    assert found.macs == 0
    assert found.acs == ((2 + 0 + 2) * 4 + (hidden + 2) * 2) / 2
    assert found.dense == 4 * 4 + 5 * 2
    assert metrics.parameter_count(held) == 4 * 4 + 5 * 2
    fired = sum(np.isfinite(layer).sum() for layer in layers)
    assert metrics.activation_sparsity(held) == pytest.approx(1 - fired / 12)


def test_records_refuse_what_does_not_fit():
    with pytest.raises(InputError, match="unique"):
        record(populations=[Population("a", np.zeros(1)), Population("a", np.zeros(1))])
    with pytest.raises(InputError, match="inputs"):
        Dense("w", np.ones((2, 3)), np.ones((1, 1, 2)))
    with pytest.raises(InputError, match="kind"):
        Population("a", np.zeros(1), np.zeros(1), "Leeky")
    with pytest.raises(InputError, match="cell"):
        Cell("c", "lstm", np.ones((4, 1)), np.ones((4, 1)), np.ones((1, 1, 1)), np.ones((1, 1, 1)))
    with pytest.raises(InputError, match="empty"):
        metrics.activation_sparsity([])
