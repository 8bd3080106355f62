"""Spiking sampler and its calibration, against closed forms, enumeration and the reference runs."""

import numpy as np
import pytest
from scipy.integrate import quad

from lapicque._checks import InputError, StorageError
from lapicque.sampling import (
    Boltzmann,
    LIFSampler,
    beta_ensemble,
    calibrate,
    gauss_ensemble,
    index,
    predict,
)
from lapicque.sampling.calibration import Calibration, _area
from lapicque.sampling.theory import activation
from lapicque.spiking import CurrentAlpha, Poisson, TsodyksMarkram
from lapicque.spiking.models import BOMBARDED, Bombarded

# width / sd and (half - threshold) / sd of the reference runs
REFERENCE = {
    "tutorial_coba": (0.618 / 1.0150, -0.473 / 1.0150),
    "tutorial_cuba": (0.00931 / 0.01508, -0.0056 / 0.01508),
    "mixing_cuba": (0.000635 / 0.000995, -0.00053 / 0.000995),
    "mixing_coba": (0.03032 / 0.0496, -0.0282 / 0.0496),
    "thesis_coba": (1.850 / 2.981, -1.694 / 2.981),
    "dold_coba": (1.445 / 2.268, -1.042 / 2.268),
}


@pytest.fixture(scope="module")
def calibrations():
    return {name: calibrate(name, seed=0, chains=16) for name in BOMBARDED}


def divergence(states, target):
    p = np.bincount(index(states).ravel(), minlength=2**target.n) / states[..., 0].size
    on = p > 0
    return float((p[on] * np.log(p[on] / target.probabilities[on])).sum())


@pytest.mark.parametrize("name", BOMBARDED)
def test_calibration_is_that_of_the_reference_runs(calibrations, name):
    calibration = calibrations[name]
    sd = calibration.free.sd
    width, shift = REFERENCE[name]
    assert calibration.width / sd == pytest.approx(width, rel=0.04)
    threshold = calibration.preset.neuron.v_thresh
    assert (calibration.half - threshold) / sd == pytest.approx(shift, abs=0.05)
    assert calibration.residual < 0.04


@pytest.mark.parametrize("name", BOMBARDED)
def test_theory_of_bursts_predicts_the_activity(calibrations, name):
    calibration = calibrations[name]
    predicted = activation(calibration.preset, np.array(calibration.potentials))
    assert np.sqrt(np.mean((predicted - calibration.activities) ** 2)) < 0.035
    naive = activation(calibration.preset, np.array(calibration.potentials), coloured=False)
    assert np.abs(naive - calibration.activities).max() > 0.08


@pytest.mark.parametrize("name", BOMBARDED)
def test_translation_is_inverted_exactly(name):
    calibration = predict(name)
    rng = np.random.default_rng(0)
    biases, weights = rng.uniform(-2, 2, 6), rng.normal(0, 1, (6, 6))
    np.testing.assert_allclose(calibration.biases(calibration.rest(biases)), biases, atol=1e-9)
    there = calibration.synapses(weights, biases)
    assert (np.sign(there) == np.sign(weights)).all()
    np.testing.assert_allclose(calibration.weights(there, biases), weights, atol=1e-12)


@pytest.mark.parametrize(("tau", "tau_eff"), [(10.0, 0.1), (10.0, 9.0), (5.0, 5.0)])
def test_area_of_a_response(tau, tau_eff):
    if tau == tau_eff:
        expected = quad(lambda t: t * np.exp(-t / tau), 0, 10)[0]
    else:
        scale = 1 / (1 / tau_eff - 1 / tau)
        expected = quad(lambda t: scale * (np.exp(-t / tau) - np.exp(-t / tau_eff)), 0, 10)[0]
    assert _area(tau, tau_eff, 10.0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", BOMBARDED)
def test_samples_with_renewing_synapses(calibrations, name):
    """Divergence at most 0.02 on average over five targets; static synapses at least triple it."""
    found = {"renewing": [], "static": []}
    for synapses, values in found.items():
        sampler = LIFSampler(calibrations[name], synapses, interval=1.0)
        for seed in range(5):
            chains = sampler.start(beta_ensemble(5, seed), 8, seed)
            chains.run(500)
            values.append(divergence(chains.run(12_500), chains.target))
    assert np.mean(found["renewing"]) < 0.02
    assert np.mean(found["static"]) > 3 * np.mean(found["renewing"])


def test_biases_alone(calibrations):
    machine = beta_ensemble(5, 0)
    target = Boltzmann(np.zeros((5, 5)), machine.biases)
    chains = LIFSampler(calibrations["mixing_cuba"], interval=1.0).start(target, 8, 0)
    chains.run(500)
    assert divergence(chains.run(12_500), target) < 0.003


def test_small_machines_of_many_kinds(calibrations):
    """Ten units: the median over machines."""
    sampler = LIFSampler(calibrations["mixing_cuba"], interval=2.0)
    found = []
    for seed in range(12):
        chains = sampler.start(beta_ensemble(10, seed), 16, seed)
        chains.run(300)
        found.append(divergence(chains.run(5000), chains.target))
    assert np.median(found) < 0.05


def test_clamping_conditions(calibrations):
    target = gauss_ensemble(4, 5)
    chains = LIFSampler(calibrations["tutorial_cuba"], interval=1.0).start(target, 8, 0)
    chains.clamp([1, 2], [1, 0])
    chains.run(500)
    z = chains.run(10_000)
    assert z[..., 1].mean() > 0.98
    assert z[..., 2].mean() < 0.001
    assert divergence(z[..., [0, 3]], target.given([1, 2], [1, 0])) < 0.03


def test_new_parameters_are_sampled(calibrations):
    chains = LIFSampler(calibrations["mixing_coba"], interval=1.0).start(beta_ensemble(5, 0), 8, 0)
    chains.run(500)
    chains.update(beta_ensemble(5, 3))
    chains.run(500)
    assert divergence(chains.run(12_500), beta_ensemble(5, 3)) < 0.03


def test_states_are_on_for_one_refractory_time(calibrations):
    chains = LIFSampler(calibrations["mixing_cuba"], interval=0.1).start(beta_ensemble(3, 0), 2, 0)
    pieces = [chains.run(n) for n in (1, 499, 500)]
    z = np.concatenate(pieces).astype(int)
    starts = (np.diff(z, axis=0) == 1).sum()
    runs = [
        np.diff(np.flatnonzero(np.diff(np.r_[0, z[:, c, k], 0])))[::2]
        for c in (0, 1)
        for k in range(3)
    ]
    complete = np.concatenate(runs)
    assert starts > 3
    assert (complete[complete > 1] % 100 <= 1).sum() >= 0.6 * len(complete)


def test_renewing_synapse_delivers_the_same_peak_after_any_train():
    """The synaptic current right after a spike is the weight, whatever came before."""
    from lapicque.spiking import LIF, CurrentExp, Network, OneToOne, Simulation, SpikeArray

    network = Network()
    cell = network.population(1, LIF(v_thresh=1e3), CurrentExp(10.0, 10.0))
    rng = np.random.default_rng(0)
    times = np.unique(np.round(np.cumsum(rng.uniform(1.0, 30.0, 40)), 1))
    source = network.population(1, SpikeArray([times]))
    network.project(
        source, cell, OneToOne(), 0.3, 1.0, plasticity=TsodyksMarkram(U=1.0, tau_rec=10.0)
    )
    network.record(cell, "syn_E")
    recording = Simulation(network, 0.1).run(times[-1] + 5.0)
    arrival = np.round((times + 1.0) / 0.1).astype(int) - 1
    np.testing.assert_allclose(recording.signal(cell, "syn_E")[arrival, 0, 0], 0.3, rtol=1e-12)


# -- conditions and errors -----------------------------------------------------------------------


def test_calibrations_are_saved_with_their_conditions(tmp_path):
    calibration = predict("tutorial_coba")
    calibration.save(tmp_path / "c.json")
    again = Calibration.load(tmp_path / "c.json")
    assert again.half == calibration.half
    assert again.rest(0.5) == pytest.approx(calibration.rest(0.5))
    again.check(BOMBARDED["tutorial_coba"], 0.1)
    with pytest.raises(InputError, match=r"`rates`.*`dt` 0\.1 there, 0\.2 here"):
        again.check(BOMBARDED["tutorial_coba"]._replace(rates=(1.0, 2.0)), 0.2)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(StorageError, match=r"c\.json"):
        Calibration.load(tmp_path / "c.json")


class Other:
    """Some other noise."""

    def attach(self, network, neurons, preset):
        network.noise(neurons, Poisson(400.0), 0.001)
        network.noise(neurons, Poisson(400.0), -0.001)


def test_noise_must_be_that_of_the_calibration():
    calibration = predict("mixing_cuba")
    with pytest.raises(InputError, match="recalibrated"):
        LIFSampler(calibration, noise=Other())
    chains = LIFSampler(calibration, noise=Other(), recalibrated=True).start(beta_ensemble(3, 0))
    assert chains.run(100).mean() > 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIFSampler(None), "calibrate"),
        (lambda: LIFSampler(predict("mixing_cuba"), "depressing"), "renewing"),
        (lambda: LIFSampler(predict("mixing_cuba"), interval=0.01), "interval"),
        (lambda: calibrate("mixing"), "mixing_cuba"),
        (lambda: predict("dold_coba").rest([0.0, 400.0]), r"unit 1.*mV beyond"),
        (
            lambda: predict(
                Bombarded(BOMBARDED["mixing_cuba"].neuron, CurrentAlpha(), (1.0, 1.0), (1.0, 1.0))
            ),
            "alpha",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_weights_cannot_appear_where_there_were_none():
    machine = beta_ensemble(3, 0)
    sparse = machine.weights.copy()
    sparse[0, 1] = sparse[1, 0] = 0
    chains = LIFSampler(predict("mixing_cuba")).start(Boltzmann(sparse, machine.biases))
    with pytest.raises(InputError, match="Units 0 and 1"):
        chains.update(machine)


@pytest.mark.parametrize("name", ["tutorial_cuba", "dold_coba"])
def test_free_potential_forgets_with_two_time_constants(name):
    """Mean, spread and autocorrelation of the potential without threshold; equations 6 and 7."""
    from dataclasses import replace

    from lapicque.spiking import Simulation
    from lapicque.spiking.models import free_potential, noise_driven

    preset = BOMBARDED[name]
    unreachable = preset._replace(neuron=replace(preset.neuron, v_thresh=1e3))
    network, cells = noise_driven(64, unreachable)
    network.record(cells, "v", interval=1.0)
    simulation = Simulation(network, 0.02, seed=0)
    simulation.run(200.0)
    v = simulation.run(1500.0).signal(cells)[:, 0]
    free = free_potential(network, cells)
    sd, tau_eff, tau = float(free.sd[0]), float(free.tau_eff[0]), 10.0
    independent = np.sqrt(v.size / (2 * tau))
    assert v.mean() == pytest.approx(float(free.mean[0]), abs=max(0.05, 4 / independent) * sd)
    assert v.std() == pytest.approx(sd, rel=0.03)
    centred = (v - v.mean()) / v.std()
    for lag in (2, 5, 10, 20):
        found = (centred[lag:] * centred[:-lag]).mean()
        expected = (tau * np.exp(-lag / tau) - tau_eff * np.exp(-lag / tau_eff)) / (tau - tau_eff)
        assert found == pytest.approx(expected, abs=0.05)


def test_activity_has_a_ceiling():
    """At least one step passes between two refractory times."""
    target = Boltzmann(np.zeros((2, 2)), np.array([30.0, -30.0]))
    chains = LIFSampler(predict("tutorial_cuba"), interval=0.1).start(target, 4, 0)
    chains.run(2000)
    activity = chains.run(10_000).mean((0, 1))
    assert activity[0] == pytest.approx(10.0 / 10.1, abs=2e-3)
    assert activity[1] == 0


def test_divergence_falls_with_time_until_it_rests():
    """Like one over the time at first, on average over machines."""
    sampler = LIFSampler(predict("mixing_cuba"), interval=1.0)
    found = np.zeros((12, 3))
    for seed in range(12):
        target = beta_ensemble(5, seed)
        chains = sampler.start(target, 1, seed)
        chains.run(300)
        z = chains.run(12_800)
        found[seed] = [divergence(z[:n], target) for n in (200, 1600, 12_800)]
    first, second, last = found.mean(0)
    assert 3 < first / second < 12
    assert last < second / 3
