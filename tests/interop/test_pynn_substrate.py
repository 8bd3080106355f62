"""One PyNN script on the simulator and on virtual chips; only the arguments of `setup` differ."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("pyNN", reason="needs PyNN: pip install 'lapicque[pynn]'")

import lapicque.pynn as sim
from lapicque._checks import InputError
from lapicque.substrate import Chip, Distortions, brainscales1, spikey

CELL = {
    "v_rest": -70.0, "v_reset": -80.0, "v_thresh": -55.0, "tau_m": 10.0, "cm": 0.2,
    "tau_refrac": 1.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0, "e_rev_E": 0.0, "e_rev_I": -80.0,
}  # fmt: skip


def script(**backend):
    """A network with sources of both kinds and short-term depression, in two runs.

    Returns:
        Spike times of all cells, weights of the excitatory projection, and potentials.
    """
    sim.setup(timestep=0.1, rng_seed=5, **backend)
    noise = sim.Population(25, sim.SpikeSourcePoisson(rate=30.0), label="noise")
    kick = sim.Population(2, sim.SpikeSourceArray(spike_times=[20.0, 60.0]), label="kick")
    excited = sim.Population(30, sim.IF_cond_exp(**CELL), label="excited")
    inhibited = sim.Population(10, sim.IF_cond_exp(**{**CELL, "tau_m": 15.0}), label="inhibited")
    half = sim.FixedProbabilityConnector(0.5, rng=sim.NumpyRNG(seed=2))
    synapse = sim.StaticSynapse(weight=0.006, delay=1.0)
    incoming = sim.Projection(noise, excited, half, synapse)
    sim.Projection(kick, inhibited, sim.AllToAllConnector(), synapse)
    sim.Projection(
        excited, inhibited, half, sim.TsodyksMarkramSynapse(weight=0.005, delay=1.0, tau_rec=100.0)
    )
    sim.Projection(
        inhibited, excited, half, sim.StaticSynapse(weight=0.01, delay=1.5),
        receptor_type="inhibitory",
    )  # fmt: skip
    for cells in (excited, inhibited):
        cells.record("spikes")
    inhibited.record("v", sampling_interval=1.0)
    sim.run(80.0)
    sim.run(120.0)
    spikes = [
        train.magnitude
        for cells in (excited, inhibited)
        for train in cells.get_data().segments[0].spiketrains
    ]
    v = inhibited.get_data().segments[0].filter(name="v")[0].magnitude
    weights = incoming.get("weight", format="array")
    return spikes, weights, v, incoming, excited


SYSTEMS = {"spikey": spikey(), "brainscales1": brainscales1(chain=16)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_script_runs_on_all_backends(name):
    spikes, weights, v, *_ = script()
    exact = script(substrate=Chip(SYSTEMS[name], 1, Distortions.none()))
    assert sum(map(len, spikes)) > 50
    for found, wanted in zip(exact[0], spikes, strict=True):
        assert_array_equal(found, wanted)
    assert_array_equal(exact[1], weights)
    assert_array_equal(exact[2], v)
    assert sim.get_mapping_report().lost == 0
    real = script(substrate=Chip(SYSTEMS[name], 1), max_synapse_loss=0.1, max_neuron_loss=0.1)
    assert sum(map(len, real[0])) > 0
    assert any(len(a) != len(b) for a, b in zip(real[0], spikes, strict=True))


def test_report_and_realised_weights_are_read_back():
    sim.setup(timestep=0.1)
    with pytest.raises(InputError, match="substrate"):
        sim.get_mapping_report()
    chip = Chip(brainscales1(), 1)
    with pytest.raises(InputError, match=r"synapses .* find no place"):
        script(substrate=chip)
    _, weights, _, incoming, _ = script(substrate=chip, size=4, max_synapse_loss=0.5)
    report = sim.get_mapping_report()
    assert report.chip.startswith("BrainScaleS-1")
    assert report.sizes == {"excited": 4, "inhibited": 4}
    own = report.projections[0]
    wanted = np.isfinite(weights)
    assert own.synapses == wanted.sum() == len(incoming)
    assert own.lost == (weights[wanted] == 0).sum() > 0
    kept = weights[wanted & (weights > 0)]
    assert len(np.unique(kept)) > kept.size / 2  # each synapse has a strength of its own
    assert kept.mean() == pytest.approx(0.006, rel=0.15)
    assert report.pulses.down_generated > 0
    assert sum(p.synapses for p in report.projections) == report.synapses


def test_new_weights_are_written_between_runs_and_parameters_of_cells_are_not():
    chip = Chip(spikey(), 1)
    *_, incoming, excited = script(substrate=chip, max_synapse_loss=0.1, max_neuron_loss=0.1)
    incoming.set(weight=0.012)
    weights = incoming.get("weight", format="array")
    kept = weights[np.isfinite(weights) & (weights > 0)]
    assert kept.mean() == pytest.approx(0.012, rel=0.1)
    with pytest.raises(sim.UnsupportedError, match="parameters of neurons on a chip"):
        excited.set(tau_m=12.0)
    with pytest.raises(sim.UnsupportedError, match="currents on a chip"):
        sim.DCSource(amplitude=0.1).inject_into(excited)
    sim.reset()
    excited.set(tau_m=12.0)
    sim.run(1.0)
    assert sim.get_mapping_report().clipped["tau_m"] == 0


def test_only_chips_are_substrates():
    with pytest.raises(InputError, match="`substrate` is ChipSpec"):
        sim.setup(timestep=0.1, substrate=spikey())
