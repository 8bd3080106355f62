"""Sources of noise for spiking samplers: what they promise and what a neuron gets."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling.calibration import calibrate
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.noise import (
    Ensemble,
    Oscillating,
    PrivatePoisson,
    RecurrentNetwork,
    SharedPoisson,
)
from lapicque.sampling.target import Boltzmann
from lapicque.spiking import Network, Simulation
from lapicque.spiking.models import BOMBARDED, free_potential, noise_driven

PRESET = "tutorial_cuba"


def closed_form(preset: str):
    free = free_potential(*noise_driven(1, preset))
    return free.mean[0], free.sd[0]


@pytest.mark.parametrize("preset", ["tutorial_cuba", "dold_coba"])
@pytest.mark.parametrize("noise", [PrivatePoisson(), SharedPoisson(300, 100), Oscillating(0.0)])
def test_moments_are_those_of_the_preset(noise, preset):
    mean, sd = closed_form(preset)
    report = noise.report(preset, duration=4000.0)
    assert report.mean == pytest.approx(mean, abs=0.2 * sd)
    assert report.sd == pytest.approx(sd, rel=0.06)


@pytest.mark.parametrize(("size", "share"), [(1000, 0.1), (200, 0.5), (100, 1.0)])
def test_correlation_is_the_share_of_common_sources(size, share):
    report = SharedPoisson(size, 100).report(PRESET, duration=8000.0)
    assert report.correlation == pytest.approx(share, abs=0.06)
    assert report.rate == pytest.approx(10.0, rel=0.02)  # 1000 Hz from 100 sources


def test_private_sources_are_independent():
    report = PrivatePoisson().report(PRESET, duration=8000.0)
    assert report.correlation == pytest.approx(0, abs=0.03)
    assert np.isnan(report.rate)


def test_oscillation_is_common_to_all():
    still, moving = (Oscillating(depth, 5.0).report("dold_coba") for depth in (0.0, 0.8))
    assert abs(still.correlation) < 0.05
    assert moving.correlation > 0.5
    assert moving.sd > 1.3 * still.sd


def test_recurrent_network_is_a_noise():
    """Deterministic, near the mean that the preset asks for, and hardly correlated."""
    noise = RecurrentNetwork()
    mean, sd = closed_form("mixing_cuba")
    one, other = (noise.report("mixing_cuba", seed=seed, duration=3000.0) for seed in (1, 1))
    assert one == other
    assert one.rate == pytest.approx(28, abs=4)
    assert one.mean == pytest.approx(mean, abs=0.5 * sd)
    assert 0.5 * sd < one.sd < 2 * sd
    assert one.correlation < 0.2


def test_ensemble_has_no_other_source():
    network = Network()
    preset = BOMBARDED["dold_coba"]
    v = np.random.default_rng(0).uniform(-57.0, -52.0, 120)
    cells = network.population(120, preset.neuron, preset.receptors, v=v)
    Ensemble(6).attach(network, cells, preset)
    assert not network.noises
    spikes = [Simulation(network, seed=seed).run(500.0).spikes(cells) for seed in (0, 1)]
    np.testing.assert_array_equal(spikes[0].time, spikes[1].time)
    np.testing.assert_array_equal(spikes[0].id, spikes[1].id)
    assert len(spikes[0].id) / 120 / 0.5 == pytest.approx(50, abs=10)  # Hz


def test_ensemble_hears_other_networks_only():
    noise = Ensemble(5, (7, 3), wiring=2)
    for count, (source, target) in zip((7, 3), noise.pairs(40), strict=True):
        assert (np.bincount(target, minlength=40) == count).all()
        assert (source // 5 != target // 5).all()
        assert source.min() >= 0
        assert source.max() < 40
    both = np.concatenate([np.stack(pair) for pair in noise.pairs(40)], axis=1)
    assert np.unique(both, axis=1).shape == both.shape  # no source twice


def test_background_of_refractory_neurons_varies_less():
    """The spread of the potential is reduced by sqrt(r), r(0.5) = 0.6 in another program."""
    poisson, ensemble = (n.report("dold_coba") for n in (PrivatePoisson(), Ensemble()))
    assert (ensemble.sd / poisson.sd) ** 2 == pytest.approx(0.61, abs=0.09)
    assert abs(ensemble.correlation) < 0.02


def test_shared_noise_acts_like_a_weight_between_spins():
    """In the coding -1, 1 a share f of common noise is a coupling of 0.53 f in another program."""
    calibration, share, n = calibrate("dold_coba", duration=10_000.0), 0.5, 16
    sampler = LIFSampler(
        calibration, noise=SharedPoisson(200, 100), recalibrated=True, interval=2.0
    )
    chains = sampler.start(Boltzmann(np.zeros((n, n)), np.zeros(n)), 4, 0)
    chains.run(100)
    z = chains.run(5000).reshape(-1, n).astype(float)
    i, j = np.triu_indices(n, 1)
    both, mean = (z.T @ z / len(z))[i, j], z.mean(0)
    first, second = mean[i] - both, mean[j] - both
    coupling = np.log(both * (1 - both - first - second) / (first * second)) / 4
    assert coupling.mean() / share == pytest.approx(0.535, abs=0.085)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SharedPoisson(50, 100), "`size` is 50; it must be at least 100"),
        (lambda: Oscillating(1.5), "`depth` is 1.5"),
        (lambda: RecurrentNetwork(gamma=1.0), "`gamma` is 1"),
        (lambda: Ensemble(6).pairs(50), "cannot be divided"),
        (lambda: Ensemble(6).pairs(60), "but these have 54 neurons"),
        (lambda: PrivatePoisson().report("dold"), "Did you mean 'dold_coba'"),
    ],
)
def test_wrong_input_is_named(make, match):
    with pytest.raises(InputError, match=match):
        make()
