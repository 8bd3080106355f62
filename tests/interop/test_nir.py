"""NIR: round trips, traces against the engine and closed forms, and files that must be refused."""

import tracemalloc
import warnings
from itertools import pairwise

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError, StorageError

nir = pytest.importorskip("nir")

from lapicque.interop import nir as interop  # noqa: E402
from lapicque.spiketime import Clipped, Delays, Layer, Network as Stack, Neuron, dense  # noqa: E402
from lapicque.spiking import (  # noqa: E402
    LIF,
    AdEx,
    CurrentDelta,
    CurrentExp,
    FromArrays,
    Network,
    Poisson,
    Simulation,
    SpikeArray,
    TsodyksMarkram,
)

HEAD = {"time_unit": "ms", "dt": 0.1}
SIGNAL = {"input_type": np.array([3])}


def cuba(n, tau_syn=5.0, tau_mem=10.0, threshold=1.0, dt=0.1, **other):
    one = np.ones(n)
    given = {"r": one, "v_leak": 0 * one, "v_reset": 0 * one, "w_in": tau_syn / dt * one}
    return nir.CubaLIF(
        tau_syn=tau_syn * one, tau_mem=tau_mem * one, v_threshold=threshold * one, **given | other
    )


def graph(nodes, edges, metadata=HEAD):
    return nir.NIRGraph(nodes, edges, dict(metadata), type_check=False)


def row(*nodes, size=3, metadata=HEAD):
    """Nodes one after the other, between an input and an output."""
    named = {"input": nir.Input(np.array([size]))}
    named |= {f"n{k}": node for k, node in enumerate(nodes)}
    named["output"] = nir.Output(np.array([size]))
    names = list(named)
    return graph(named, list(pairwise(names)), metadata)


# -- networks of spiking neurons -----------------------------------------------------------------


def recurrent_network(receptors, delays="one", tau_refrac=0.0):
    rng = np.random.default_rng(3)
    network = Network()
    trains = [np.sort(rng.choice(np.arange(1, 900), 60, replace=False)) * 0.1 for _ in range(5)]
    source = network.population(5, SpikeArray(trains), label="in")
    tau, cm = rng.uniform(10, 20, 8), rng.uniform(0.5, 1, 8)
    cell = LIF(v_rest=-65.0, tau_m=tau, cm=cm, tau_refrac=tau_refrac, v_thresh=-60.0)
    cells = network.population(8, cell, receptors, label="some cells")
    pre, post = np.divmod(np.arange(40), 8)
    delay = rng.integers(1, 20, 40) * 0.1 if delays == "each" else 1.5
    network.project(source, cells, FromArrays(pre, post), rng.uniform(0.5, 3, 40), delay)
    pre, post = np.divmod(np.arange(64), 8)
    weights = -rng.uniform(0, 1, 64)
    network.project(cells, cells, FromArrays(pre, post), weights, 0.8, receptor="inhibitory")
    network.record(cells, "v", interval=0.1)
    return network, source, cells


@pytest.mark.parametrize(
    ("receptors", "delays"),
    [
        (CurrentExp(5.0, 5.0), "one"),
        (CurrentExp(3.0, 7.0), "one"),
        (CurrentDelta(), "one"),
        (CurrentExp(5.0, 5.0), "each"),
    ],
    ids=["one time constant", "two time constants", "jumps", "delays of synapses"],
)
def test_traces_of_engine_and_of_graph_agree(tmp_path, receptors, delays):
    network, source, cells = recurrent_network(receptors, delays)
    path = tmp_path / "network.nir"
    interop.write(path, interop.export_spiking(network, 0.1, delays="branches"))
    nir.read(path)  # others can read it, with their check of types
    read = interop.read(path)
    assert read.metadata["time_unit"] == "ms"
    assert read.metadata["dt"] == 0.1
    assert read.metadata["generator"].startswith("lapicque ")
    recording = Simulation(network, 0.1).run(100.0)
    expected = recording.signal(cells)[:, 0]
    assert recording.spikes(cells).time.size > 200

    trains = source.model.times
    events = np.concatenate(trains), np.repeat(np.arange(5), [len(t) for t in trains])
    traces = interop.simulate(read, {"in": interop.spike_signals([events], 5, 1000, 0.1)})
    np.testing.assert_allclose(traces.potentials["some_cells"][0], expected, atol=1e-5)

    again = interop.import_spiking(read)
    copy = again.populations["some_cells"]
    again.network.record(copy, "v", interval=0.1)
    back = Simulation(again.network, 0.1).run(100.0)
    np.testing.assert_allclose(back.signal(copy)[:, 0], expected, atol=1e-9)


def test_what_nir_cannot_say_is_kept_with_a_warning(tmp_path):
    network, _, cells = recurrent_network(CurrentExp(5.0, 5.0), "each", tau_refrac=2.0)
    network.noise(cells, Poisson(300.0), 0.3)
    pair = FromArrays([0, 1], [1, 2])
    network.project(cells, cells, pair, 1.0, 0.5, plasticity=TsodyksMarkram(U=0.3))
    with pytest.warns(interop.NIRWarning) as told:
        exported = interop.export_spiking(network, 0.1)
    for what in ("refractoriness", "noise", "delays of single synapses", "plasticity"):
        assert what in str(told[0].message)
    interop.write(tmp_path / "x.nir", exported)
    again = interop.import_spiking(interop.read(tmp_path / "x.nir"))
    copy = again.populations["some_cells"]
    again.network.record(copy, "v", interval=0.1)
    one, two = (Simulation(n, 0.1, seed=4).run(60.0) for n in (network, again.network))
    np.testing.assert_allclose(two.signal(copy), one.signal(cells), atol=1e-9)


def test_neurons_without_a_node_are_refused():
    network = Network()
    network.population(2, AdEx())
    with pytest.raises(InputError, match="AdEx"):
        interop.export_spiking(network)


# -- networks of first spikes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("axonal", "metadata"),
        ("dendritic", "metadata"),
        ("synaptic", "metadata"),
        ("synaptic", "branches"),
    ],
)
@pytest.mark.filterwarnings("ignore::lapicque.interop.nir.NIRWarning")
def test_delgrad_network_survives(tmp_path, kind, how):
    network = dense(
        jax.random.key(1),
        (5, 12, 3),
        mean=(0.6, 0.35),
        spread=(0.5, 0.4),
        bias=(0.9, None),
        delays=kind,
    )
    times = jnp.asarray(np.random.default_rng(0).uniform(0.1, 2, (20, 5)))
    interop.write(tmp_path / "x.nir", interop.export_spike_times(network, delays=how))
    back = interop.import_spike_times(interop.read(tmp_path / "x.nir"))
    for expected, found in zip(network(times), back(times), strict=True):
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.filterwarnings("ignore::lapicque.interop.nir.NIRWarning")
def test_branches_simulate_delays_of_synapses_and_the_closed_form():
    step, neuron = 0.002, Neuron(tau_m=2.0, threshold=50.0)
    rng = np.random.default_rng(0)
    delays = np.round(rng.uniform(0.1, 1.0, (4, 3)) / step) * step
    weights = rng.normal(1.0, 0.5, (4, 3))
    layer = Layer(jnp.asarray(weights), Delays(jnp.asarray(delays), "synaptic", Clipped()), neuron)
    exported = interop.export_spike_times(Stack((layer,)), dt=step, delays="branches")
    times = np.round(rng.uniform(0.1, 1.0, (2, 3)) / step) * step
    traces = interop.simulate(exported, interop.input_signals(exported, times, 2000))
    now = step * np.arange(1, 2001)
    since = now[:, None, None, None] - times[:, None] - delays  # (steps, samples, post, pre)
    psp = np.where(since > 0, 2 * (np.exp(-since / 2) - np.exp(-since)), 0.0)
    np.testing.assert_allclose(
        traces.potentials["layer_0"], np.moveaxis((psp * weights).sum(-1), 0, 1), atol=1e-5
    )


# -- graphs --------------------------------------------------------------------------------------


def recurrent(wiring):
    rng = np.random.default_rng(1)
    cell, weights = cuba(4), nir.Linear(rng.normal(0, 2, (4, 4)))
    outer = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(rng.uniform(0, 4, (4, 3))),
        "output": nir.Output(np.array([4])),
    }
    if wiring == "cycle":
        edges = [("input", "w"), ("w", "c"), ("c", "rec"), ("rec", "c"), ("c", "output")]
        return graph(outer | {"c": cell, "rec": weights}, edges)
    inner = {
        "in": nir.Input(np.array([4])),
        "c": cell,
        "rec": weights,
        "out": nir.Output(np.array([4])),
    }
    entry = ("in", "rec") if wiring == "led to the weights" else ("in", "c")
    edges = [entry, ("c", "rec"), ("rec", "c"), ("c", "out")]
    edges_out = [("input", "w"), ("w", "c"), ("c", "output")]
    return graph(outer | {"c": graph(inner, edges, {})}, edges_out)


@pytest.mark.parametrize("wiring", ["inner graph", "led to the weights"])
def test_both_recurrent_wirings_are_the_same_network(tmp_path, wiring):
    signals = (np.random.default_rng(0).random((2, 400, 3)) < 0.05).astype(float)
    expected = interop.simulate(recurrent("cycle"), signals).signals["output"]
    assert expected.sum() > 10
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        interop.write(tmp_path / "x.nir", recurrent(wiring))
        read = interop.read(tmp_path / "x.nir")
        found = interop.simulate(read, signals).signals["output"]
        interop.import_spiking(read)
    assert any("led" in str(w.message) or "leads" in str(w.message) for w in told) == (
        wiring == "led to the weights"
    )
    np.testing.assert_array_equal(found, expected)


def test_convolution_by_hand_and_as_synapses():
    weight = np.arange(1.0, 19.0).reshape(2, 1, 3, 3)
    node = nir.Conv2d((4, 4), weight, 1, 1, 1, 1, np.array([0.5, -1.0]))
    nodes = {
        "input": nir.Input(np.array([1, 4, 4])),
        "conv": node,
        "output": nir.Output(np.array([2, 4, 4])),
    }
    g = graph(nodes, [("input", "conv"), ("conv", "output")])
    image = np.random.default_rng(0).normal(size=(1, 1, 1, 4, 4))
    found = interop.simulate(g, image).signals["output"][0, 0]
    padded = np.pad(image[0, 0, 0], 1)
    expected = np.empty((2, 4, 4))
    for c, i, j in np.ndindex(2, 4, 4):
        expected[c, i, j] = (padded[i : i + 3, j : j + 3] * weight[c, 0]).sum() + node.bias[c]
    np.testing.assert_allclose(found, expected)


def test_units_are_never_guessed():
    bare = row(cuba(3), metadata={})
    with pytest.raises(InputError, match="time_unit"):
        interop.import_spiking(bare)
    with pytest.raises(InputError, match="step"):
        interop.import_spiking(bare, time_unit="ms")
    with pytest.raises(InputError, match="says 'ms'"):
        interop.import_spiking(row(cuba(3)), time_unit="s")
    seconds = row(cuba(3, 5e-3, 10e-3, dt=1e-4), metadata={"time_unit": "s", "dt": 1e-4})
    with pytest.warns(interop.NIRWarning, match="without a delay"):
        found = interop.import_spiking(seconds)
    np.testing.assert_allclose(found.populations["n0"].model.tau_m, 10.0)
    np.testing.assert_allclose(found.network.projections[0].weight, 1.0)


# -- recordings ----------------------------------------------------------------------------------


def test_recordings_survive(tmp_path):
    network, _, cells = recurrent_network(CurrentExp())
    recording = Simulation(network, 0.1, chains=2).run(50.0)
    interop.write_data(
        tmp_path / "r.nir", interop.from_recording(recording, {"cells": cells}, ["v"])
    )
    seen = interop.read_data(tmp_path / "r.nir").nodes["cells"].observables
    np.testing.assert_array_equal(seen["v"].data[1], recording.signal(cells)[:, 1])
    for chain, (time, unit) in enumerate(interop.trains(seen["spikes"])):
        spikes = recording.spikes(cells, chain)
        np.testing.assert_allclose(time, spikes.time)
        np.testing.assert_array_equal(unit, spikes.id)
    times = np.array([[0.5, np.inf, 0.2], [np.inf, np.inf, 1.0]])
    np.testing.assert_array_equal(
        interop.first_spikes(interop.from_first_spikes(times, 2.0)), times
    )


# -- files that must be refused ------------------------------------------------------------------


def bad_graphs():
    weights = nir.Linear(np.eye(3))
    loop = {"input": nir.Input(np.array([3])), "a": weights, "b": weights}
    short = nir.Delay(np.zeros(3))
    mixed = cuba(3)
    mixed.r = np.ones(2)
    negative = cuba(3)
    negative.tau_mem = -np.ones(3)
    strange = nir.Scale(np.ones(3))
    strange.scale = np.array([1.0, np.nan, 1.0])
    padding = nir.Conv2d((4, 4), np.ones((1, 1, 2, 2)), 1, 0, 1, 1, np.zeros(1))
    padding.padding = 2**30
    return {
        "cycle without state": (graph(loop, [("input", "a"), ("a", "b"), ("b", "a")]), "state"),
        "itself": (graph(loop, [("input", "a"), ("a", "a"), ("a", "b")]), "state"),
        "delay of zero": (
            graph(loop | {"d": short}, [("input", "a"), ("a", "d"), ("d", "a"), ("a", "b")]),
            "state",
        ),
        "dangling edge": (graph(loop, [("input", "c")]), "not there"),
        "matrix that does not fit": (row(nir.Linear(np.ones((2, 4)))), r"\(3,\).*\(4,\)"),
        "shapes of parameters": (row(mixed), "shape"),
        "negative time constant": (row(negative), "above 0"),
        "nan": (row(strange), "not finite"),
        "bias": (row(nir.Affine(np.eye(3), np.ones(2))), "bias"),
        "huge input": (row(short, size=2**50), "shape"),
        "huge padding": (row(padding), "padding"),
    }


@pytest.mark.parametrize("case", list(bad_graphs()))
def test_graphs_that_do_not_hold_together_are_refused(tmp_path, case):
    bad, message = bad_graphs()[case]
    with pytest.raises(InputError, match=message):
        interop.simulate(bad, np.zeros((1, 2, 3)))
    with pytest.raises(InputError, match=message):
        interop.write(tmp_path / "x.nir", bad)
    assert not list(tmp_path.iterdir())
    nir.write(tmp_path / "x.nir", bad)
    with pytest.raises(InputError, match=message):
        interop.read(tmp_path / "x.nir")


def damage(path, case):
    interop.write(path, row(nir.Linear(np.eye(3)), cuba(3)))
    if case == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return
    if case == "text":
        path.write_text("no HDF5")
        return
    if case == "heap of texts":  # the library itself would read this for ever
        content = bytearray(path.read_bytes())
        place = content.find(b"GCOL") + 24
        content[place : place + 8] = b"\xf0" + b"\xff" * 7
        path.write_bytes(bytes(content))
        return
    if case == "flipped bytes":
        content = bytearray(path.read_bytes())
        content[600:3000] = bytes(2400)
        path.write_bytes(bytes(content))
        return
    with h5py.File(path, "r+") as file:
        node = file["node/nodes/n0"]
        if case == "no graph":
            del file["node"]
        elif case == "unknown type":
            del node["type"]
            node["type"] = "Lnear"
        elif case == "no type":
            del node["type"]
        elif case == "unknown field":
            node["surprise"] = 1.0
        elif case == "field missing":
            del node["weight"]
        elif case == "no nodes":
            del file["node/nodes"]
        elif case == "text for numbers":
            del node["weight"]
            node["weight"] = "eye"
        elif case == "huge matrix":
            del node["weight"]
            node.create_dataset("weight", (2**20, 2**20), "f4", chunks=(16, 16), compression="gzip")
        elif case == "huge chunk":
            del node["weight"]
            node.create_dataset("weight", (3, 3), "f8", chunks=(2**14, 2**14), maxshape=(None,) * 2)
        elif case == "many edges":
            del file["node/edges"]
            file["node"].create_dataset(
                "edges", (2**40, 2), h5py.string_dtype(), chunks=(64, 2), compression="gzip"
            )
        elif case == "other file":
            del node["weight"]
            node["weight"] = h5py.ExternalLink("/etc/hostname", "/")
        elif case == "loop of groups":
            node["metadata"] = file["node"]
        elif case == "virtual":
            del node["weight"]
            layout = h5py.VirtualLayout((3, 3), "f8")
            layout[:] = h5py.VirtualSource("/elsewhere.h5", "x", shape=(3, 3))
            node.create_virtual_dataset("weight", layout)
        elif case == "complex":
            del node["weight"]
            node["weight"] = np.eye(3) * 1j


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("truncated", StorageError),
        ("text", StorageError),
        ("heap of texts", StorageError),
        ("flipped bytes", (StorageError, InputError)),
        ("no graph", InputError),
        ("unknown type", InputError),
        ("no type", InputError),
        ("unknown field", InputError),
        ("field missing", InputError),
        ("no nodes", InputError),
        ("text for numbers", InputError),
        ("huge matrix", StorageError),
        ("huge chunk", StorageError),
        ("many edges", StorageError),
        ("other file", StorageError),
        ("loop of groups", StorageError),
        ("virtual", StorageError),
        ("complex", StorageError),
    ],
)
def test_hostile_files_are_refused_without_large_allocations(tmp_path, case, error):
    path = tmp_path / "x.nir"
    damage(path, case)
    tracemalloc.start()
    with pytest.raises(error) as refused:
        interop.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert len(str(refused.value)) > 20
    if case == "unknown type":
        assert "Did you mean 'Linear'" in str(refused.value)


@pytest.mark.parametrize("case", ["huge", "unit", "type", "truncated", "none"])
def test_bad_recordings_are_refused(tmp_path, case):
    path = tmp_path / "x.nir"
    interop.write_data(
        path,
        nir.NIRGraphData({"a": nir.NIRNodeData({"s": interop.events([([1.0], [2])], 3, 5.0)})}),
    )
    interop.read_data(path)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif case == "none":
        path.unlink()
    else:
        with h5py.File(path, "r+") as file:
            group = file["nodes/a/observables/s"]
            if case == "huge":
                del group["time"]
                group.create_dataset("time", (1, 2**40), "f8", chunks=(1, 64), compression="gzip")
            elif case == "unit":
                group.attrs["n_neurons"] = 1
            else:
                group.attrs["__type__"] = "Pickle"
    with pytest.raises((StorageError, InputError)):
        interop.read_data(path)


# -- other simulators ----------------------------------------------------------------------------


def test_parity_with_spyx(tmp_path):
    spyx_nir = pytest.importorskip("spyx.nir")
    rng, n = np.random.default_rng(0), 12
    tau_mem, tau_syn = rng.uniform(5, 20, n), rng.uniform(3, 8, n)
    cell = cuba(n, tau_syn, tau_mem, 1.5, 1.0, r=tau_mem)
    weights = nir.Affine(
        rng.uniform(-0.1, 0.3, (n, 6)).astype(np.float32),
        rng.uniform(0, 0.02, n).astype(np.float32),
    )
    nodes = {
        "input": nir.Input(np.array([6])),
        "w": weights,
        "cell": cell,
        "output": nir.Output(np.array([n])),
    }
    edges = [("input", "w"), ("w", "cell"), ("cell", "output")]
    interop.write(tmp_path / "x.nir", graph(nodes, edges, {"time_unit": "step", "dt": 1.0}))
    read = interop.read(tmp_path / "x.nir")
    signals = (rng.random((2, 200, 6)) < 0.2).astype(np.float32)
    _, (out, states) = spyx_nir.from_nir(
        read, jnp.asarray(np.moveaxis(signals, 1, 0)), dt=1, return_all_states=True
    )
    v, current = np.split(np.moveaxis(np.asarray(jax.tree.leaves(states)[0]), 1, 0), 2, -1)
    ours = interop.simulate(read, signals, method="euler", reset="subtract")
    spikes = ours.signals["output"]
    assert spikes.sum() > 1000
    # There a spike is emitted, and the potential reset, at the beginning of the next step.
    np.testing.assert_array_equal(spikes[:, :-1], np.moveaxis(np.asarray(out), 1, 0)[:, 1:])
    np.testing.assert_allclose(ours.currents["cell"], current, atol=1e-5)
    np.testing.assert_allclose(ours.potentials["cell"] + 1.5 * spikes, v, atol=1e-5 + 1e-5)
