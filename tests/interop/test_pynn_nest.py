"""One script, two simulators: lapicque and NEST, both behind PyNN."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pyNN", reason="needs PyNN: pip install 'lapicque[pynn]'")
pytest.importorskip("nest", reason="needs NEST: pip install 'lapicque[nest]'")

import lapicque.pynn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyNN.nest

DT = 0.125  # ms; with steps of 0.1 ms PyNN puts some given spikes a step later on NEST


def static(sim, weight):
    return sim.StaticSynapse(weight=weight, delay=1.5)


def stdp(weight_dependence):
    def synapse(sim, weight):
        return sim.STDPMechanism(
            sim.SpikePairRule(tau_plus=15.0, tau_minus=20.0, A_plus=0.01, A_minus=0.004),
            getattr(sim, weight_dependence)(w_min=0.0, w_max=2 * weight),
            weight=weight,
            delay=1.5,
        )

    return synapse


def run(sim, cell, excitation, inhibition, synapse=static, start=0.0):
    """Spike trains of ten cells, driven by twenty sources.

    Cells with currents, which both simulators integrate exactly, inhibit each other; those with
    conductances are inhibited by sources, so that a spike that falls into the next step does not
    change what the others do.
    """
    sim.setup(timestep=DT, min_delay=DT, max_delay=10.0, spike_precision="on_grid")
    rng = np.random.default_rng(1)
    times = [np.unique(rng.integers(8, 1590, 60)) * DT + start for _ in range(20)]
    inputs = sim.Population(20, sim.SpikeSourceArray(spike_times=times))
    cells = sim.Population(10, getattr(sim, cell)())
    cells.initialize(v=cells.get("v_rest"))
    drive = sim.Projection(
        inputs,
        cells,
        sim.FixedProbabilityConnector(0.5, rng=sim.NumpyRNG(seed=3)),
        synapse(sim, excitation),
        receptor_type="excitatory",
    )
    sim.Projection(
        cells if "curr" in cell else inputs,
        cells,
        sim.FixedProbabilityConnector(0.3, rng=sim.NumpyRNG(seed=4)),
        sim.StaticSynapse(weight=inhibition, delay=0.75),
        receptor_type="inhibitory",
    )
    cells.record("spikes")
    sim.run(start + 200.0)
    trains = [np.round(t.magnitude, 6) for t in cells.get_data().segments[0].spiketrains]
    weights = sorted(drive.get("weight", "list"))
    sim.end()
    return trains, weights


CELLS = {
    "IF_curr_exp": (0.8, -0.5),
    "IF_curr_alpha": (3.0, -0.5),
    "IF_cond_exp": (0.012, 0.02),
    "IF_cond_alpha": (0.05, 0.05),
    "EIF_cond_exp_isfa_ista": (0.01, 0.005),
    "EIF_cond_alpha_isfa_ista": (0.006, 0.005),
}


@pytest.mark.parametrize("cell", CELLS)
def test_both_simulators_give_the_same_spikes(cell):
    """Cells with conductances to within NEST's solver, which may take a spike a step further."""
    expected, _ = run(pyNN.nest, cell, *CELLS[cell])
    trains, _ = run(lapicque.pynn, cell, *CELLS[cell])
    assert sum(map(len, expected)) > 400
    assert list(map(len, trains)) == list(map(len, expected))
    shift = np.abs(np.concatenate(trains) - np.concatenate(expected))
    if "curr" in cell:
        assert not shift.any()
    else:
        assert (shift > 0).mean() < 0.02
        assert shift.max() <= 2 * DT


def test_delta_synapses_give_the_same_spikes():
    """PyNN starts NEST's cells at -70 mV here, whatever is asked for; 400 ms make up for that."""
    expected, _ = run(pyNN.nest, "IF_curr_delta", 2.5, -1.0, start=400.0)
    trains, _ = run(lapicque.pynn, "IF_curr_delta", 2.5, -1.0, start=400.0)
    assert sum(map(len, expected)) > 400
    for train, reference in zip(trains, expected, strict=True):
        assert_array_equal(train, reference)


@pytest.mark.parametrize(
    "rule",
    [
        "AdditiveWeightDependence",
        "MultiplicativeWeightDependence",
        "AdditivePotentiationMultiplicativeDepression",
        "GutigWeightDependence",
    ],
)
def test_learning_synapses_give_the_same_spikes(rule):
    """The amplitudes of PyNN's rules mean the same; otherwise weights and spikes drift apart."""
    expected, _ = run(pyNN.nest, "IF_curr_exp", 0.8, -0.5, stdp(rule))
    trains, weights = run(lapicque.pynn, "IF_curr_exp", 0.8, -0.5, stdp(rule))
    assert np.std([weight for _, _, weight in weights]) > 0.01 * 0.8
    for train, reference in zip(trains, expected, strict=True):
        assert_array_equal(train, reference)


SCRIPT = """
import json
import sys
from importlib import import_module

import numpy as np

name = sys.argv[1]
sim = import_module("lapicque.pynn" if name == "lapicque" else f"pyNN.{name}")
sim.setup(timestep=0.125, min_delay=0.125, max_delay=10.0, spike_precision="on_grid")
rng = np.random.default_rng(5)
times = [np.unique(rng.integers(8, 790, 40)) * 0.125 for _ in range(30)]
inputs = sim.Population(30, sim.SpikeSourceArray(spike_times=times))
cells = sim.Population(20, sim.IF_cond_exp())
connector = sim.FixedProbabilityConnector(0.3, rng=sim.NumpyRNG(seed=3))
synapse = sim.StaticSynapse(weight=0.004, delay=1.5)
sim.Projection(inputs, cells, connector, synapse, receptor_type="excitatory")
cells.record("spikes")
sim.run(100.0)
trains = cells.get_data().segments[0].spiketrains
if sim.rank() == 0:
    with open(sys.argv[2], "w") as file:
        json.dump([np.round(train.magnitude, 6).tolist() for train in trains], file)
sim.end()
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_script_moves_to_nest_with_mpi_by_its_argument(tmp_path, ranks):
    if ranks > 1:
        pytest.importorskip("mpi4py", reason="needs mpi4py")
        if not shutil.which("mpirun") or not pyNN.nest.nest.build_info["have_mpi"]:
            pytest.skip("needs mpirun and a NEST that was built with MPI; pip's is not")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = {}
    for name in ("lapicque", "nest"):
        launcher = ["mpirun", "-n", str(ranks)] if name == "nest" and ranks > 1 else []
        file = tmp_path / f"{name}.json"
        command = [*launcher, sys.executable, str(script), name, str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=240)
        found[name] = json.loads(file.read_text())
    assert sum(map(len, found["nest"])) > 50
    for train, reference in zip(found["lapicque"], found["nest"], strict=True):
        assert_allclose(train, reference, rtol=0, atol=DT)
