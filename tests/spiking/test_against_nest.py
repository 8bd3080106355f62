"""The inputs that NEST 3.10 got; its answers lie in `reference`, see `make_reference.py`."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lapicque.spiking import (
    LIF,
    STDP,
    AdEx,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentDelta,
    CurrentExp,
    FromArrays,
    Network,
    OneToOne,
    Simulation,
    SpikeArray,
    TsodyksMarkram,
)

REFERENCE = Path(__file__).parent / "reference" / "nest.h5"
RECEPTORS = {
    "IF_curr_exp": CurrentExp,
    "IF_curr_alpha": CurrentAlpha,
    "IF_curr_delta": CurrentDelta,
    "IF_cond_exp": ConductanceExp,
    "IF_cond_alpha": ConductanceAlpha,
    "EIF_cond_exp_isfa_ista": ConductanceExp,
    "EIF_cond_alpha_isfa_ista": ConductanceAlpha,
}
CURRENT = ("curr_exp_cortical", "curr_exp_sampling", "curr_alpha", "curr_delta")
CONDUCTANCE = ("cond_exp_balanced", "cond_exp_sampling", "cond_alpha")
ADAPTIVE = ("adex_exp", "eif_exp", "adex_alpha")


@pytest.fixture(scope="module")
def nest():
    with h5py.File(REFERENCE) as file:
        yield file


def parts(attributes, name=None):
    """Neuron and receptors with the parameters of a reference run."""
    name = name or attributes["pynn_model"]
    neuron = AdEx if name.startswith("EIF") else LIF
    return tuple(
        kind(**{f: float(attributes[f]) for f in kind.__dataclass_fields__ if f in attributes})
        for kind in (neuron, RECEPTORS[name])
    )


def times(steps):
    return [np.asarray(steps) * 0.1]


def neuron_run(group, ms, i_offset=None):
    """One neuron with the two trains of a reference run."""
    network = Network()
    neuron, receptors = parts(group.attrs)
    if i_offset is not None:
        neuron = type(neuron)(**{**vars(neuron), "i_offset": i_offset})
    cell = network.population(1, neuron, receptors, v=float(group.attrs["v_init"]))
    if i_offset is None:
        for steps, weight, receptor in (
            ("exc_steps", "weight_exc", "excitatory"),
            ("inh_steps", "weight_inh", "inhibitory"),
        ):
            source = network.population(1, SpikeArray(times(group[steps])))
            network.project(
                source,
                cell,
                OneToOne(),
                float(group.attrs[weight]),
                float(group.attrs["delay"]),
                receptor=receptor,
            )
    network.record(cell, "v")
    recording = Simulation(network, 0.1).run(ms)
    return recording.spikes(cell).time, recording.signal(cell)[:, 0, 0]


def matched(ours, theirs):
    """Distance to the nearest of their spikes, for each of ours."""
    assert len(theirs)
    return np.abs(ours[:, None] - theirs[None, :]).min(1)


@pytest.mark.parametrize("name", CURRENT)
def test_current_based_neuron_fires_in_the_same_steps(nest, name):
    group = nest["neurons"][name]
    spikes, v = neuron_run(group, 10_000.0)
    theirs = group["spikes_ms"][:]
    assert len(spikes) == len(theirs)
    assert np.abs(spikes - theirs).max() < 0.1 + 1e-6
    np.testing.assert_allclose(v[: len(group["v"])], group["v"][:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [*CONDUCTANCE, *ADAPTIVE])
def test_conductance_based_neuron_fires_within_half_a_step(nest, name):
    group = nest["neurons"][name]
    spikes, v = neuron_run(group, 10_000.0)
    theirs = group["spikes_ms"][:]
    assert abs(len(spikes) - len(theirs)) <= 0.01 * len(theirs)
    assert np.median(matched(spikes, theirs)) < 0.05
    assert np.mean(matched(spikes, theirs) > 0.1 + 1e-6) < 0.02
    n = min(len(group["v"]), int(theirs[0] / 0.1) - 1)
    np.testing.assert_allclose(v[:n], group["v"][:n], rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", [*CURRENT, *CONDUCTANCE, *ADAPTIVE])
def test_steady_current(nest, name):
    group = nest["neurons"][name]
    step = group["step_current"]
    spikes, _ = neuron_run(group, float(step.attrs["ms"]), float(step.attrs["i_offset"]))
    theirs = step["spikes_ms"][:]
    assert len(spikes) == len(theirs)
    assert np.abs(spikes - theirs).max() < 0.1 + 1e-6


@pytest.mark.parametrize("name", ["curr_exp", "cond_exp"])
def test_small_network(nest, name):
    group = nest["networks"][name]
    a = group.attrs
    n = int(a["n"])
    network = Network()
    cells = network.population(n, *parts(a), v=float(a["v_init"]))
    train = [group["input_steps"][:][group["input_target"][:] == k] * 0.1 for k in range(n)]
    source = network.population(n, SpikeArray(train))
    network.project(source, cells, OneToOne(), float(a["input_weight"]), float(a["input_delay"]))
    inhibitory = group["inhibitory"][:].astype(bool)
    for receptor, mine in (("excitatory", ~inhibitory), ("inhibitory", inhibitory)):
        pre, post = group["pre"][:][mine], group["post"][:][mine]
        weight, delay = group["weight"][:][mine], group["delay_steps"][:][mine] * 0.1
        network.project(cells, cells, FromArrays(pre, post), weight, delay, receptor=receptor)
    spikes = Simulation(network, 0.1).run(float(a["ms"])).spikes(cells)
    theirs = group["spikes_ms"][:], group["spikes_neuron"][:]
    order = np.lexsort(theirs[::-1])
    if name == "curr_exp":
        np.testing.assert_array_equal(spikes.id, theirs[1][order])
        np.testing.assert_allclose(spikes.time, theirs[0][order], atol=1e-6)
    else:
        assert abs(len(spikes.time) - len(order)) <= 0.01 * len(order)
        for k in np.unique(theirs[1]):
            far = matched(spikes.time[spikes.id == k], theirs[0][theirs[1] == k])
            assert np.median(far) < 0.05


@pytest.mark.parametrize("name", ["depressing", "facilitating", "renewing"])
def test_short_term_plasticity(nest, name):
    group = nest["short_term/tsodyks2_synapse"][name]
    a = group.attrs
    network = Network()
    cell = network.population(1, *parts(a, "IF_curr_exp"))
    source = network.population(1, SpikeArray(times(group["pre_steps"])))
    plasticity = TsodyksMarkram(float(a["U"]), float(a["tau_rec"]), float(a["tau_facil"]))
    network.project(
        source, cell, OneToOne(), float(a["weight"]), float(a["delay"]), plasticity=plasticity
    )
    network.record(cell, ["v", "syn_E"], interval=float(a["v_step_ms"]))
    recording = Simulation(network, 0.1).run(float(a["ms"]))
    n = len(group["v"])
    np.testing.assert_allclose(recording.signal(cell)[:n, 0, 0], group["v"][:], atol=1e-9)
    np.testing.assert_allclose(
        recording.signal(cell, "syn_E")[:n, 0, 0], group["i_syn_nA"][:], atol=1e-12
    )


@pytest.mark.parametrize(
    "name",
    ["additive", "multiplicative", "intermediate", "nearest_additive", "nearest_intermediate"],
)
@pytest.mark.parametrize("pieces", [1, 7])
def test_spike_timing_dependence(nest, name, pieces):
    """The weight after every presynaptic spike, however the run is cut."""
    group = nest["stdp"][name]
    a = group.attrs
    network = Network()
    # one step from the driving spike to the postsynaptic one, which the reference prescribes
    cell = network.population(1, LIF(tau_refrac=0.1, v_thresh=-64.0), CurrentDelta())
    driver = network.population(1, SpikeArray([(group["post_steps"][:] - 1) * 0.1]))
    network.project(driver, cell, OneToOne(), 100.0, 0.1)
    pre = network.population(1, SpikeArray(times(group["pre_steps"])))
    stdp = STDP(
        tau_plus=float(a["tau_plus"]),
        tau_minus=float(a["tau_minus"]),
        A_plus=float(a["lambda"]),
        A_minus=float(a["lambda"] * a["alpha"]),
        w_max=float(a["Wmax"]),
        mu_plus=float(a["mu_plus"]),
        mu_minus=float(a["mu_minus"]),
        pairing="nearest" if name.startswith("nearest") else "all",
    )
    synapse = network.project(
        pre, cell, OneToOne(), float(a["weight_init"]), float(a["delay"]), plasticity=stdp
    )
    simulation = Simulation(network, 0.1)
    found, spikes = [], []
    for step in group["pre_steps"][:]:
        for part in np.linspace(simulation.time, step * 0.1, pieces + 1)[1:].round(1):
            spikes.append(simulation.run(max(part - simulation.time, 0)).spikes(cell).time)
        found.append(simulation.weights(synapse)[0, 0])
    fired = np.concatenate(spikes)
    theirs = group["post_steps"][:] * 0.1
    np.testing.assert_allclose(fired, theirs[theirs <= simulation.time + 1e-9], atol=1e-6)
    np.testing.assert_allclose(found, group["weight"][:], rtol=1e-12)
