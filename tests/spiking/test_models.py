from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from lapicque._checks import InputError
from lapicque.spiking.connectors import FixedInDegree, between
from lapicque.spiking.models import (
    BOMBARDED,
    brunel,
    brunel_rate,
    free_potential,
    noise_driven,
    self_sustained,
    siegert,
    vogels_abbott,
)
from lapicque.spiking.network import Network
from lapicque.spiking.neurons import LIF, ConductanceExp, CurrentAlpha, CurrentDelta, CurrentExp
from lapicque.spiking.plasticity import TsodyksMarkram
from lapicque.spiking.sources import Poisson, SinusoidalPoisson


def psp(t, tau_eff, tau_syn, cm):
    """The response [mV] of a membrane to a current that decays from 1 nA."""
    rate = 1 / tau_eff - 1 / tau_syn
    return (np.exp(-t / tau_syn) - np.exp(-t / tau_eff)) / rate / cm


@pytest.mark.parametrize("name", ["tutorial_cuba", "mixing_cuba", "tutorial_coba", "dold_coba"])
def test_the_spread_of_the_free_potential_is_campbells_integral(name):
    preset = BOMBARDED[name]
    network, neurons = noise_driven(2, name)
    mean, sd, tau_eff = (values[0] for values in free_potential(network, neurons))
    variance = 0.0
    for rate, weight, side in zip(preset.rates, preset.weights, "EI", strict=True):
        reversal = getattr(preset.receptors, f"e_rev_{side}", None)
        jump = weight if reversal is None else weight * (reversal - mean)
        area, _ = quad(
            lambda t: psp(t, tau_eff, 10.0, preset.neuron.cm) ** 2,
            0,
            300,
            points=[tau_eff],
            limit=200,
        )
        variance += rate / 1000 * jump**2 * area
    assert sd == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_free_potentials_of_the_presets():
    """Values of another program, with noise [mV, mV, ms]."""
    measured = {
        "tutorial_coba": (-50.472, 1.0150, 0.769),
        "tutorial_cuba": (-50.0056, 0.01508, 1.0),
        "mixing_coba": (-50.0282, 0.0496, 0.0996),
        "mixing_cuba": (-50.00053, 0.000995, 0.1),
        "thesis_coba": (-53.694, 2.981, 0.220),
        "dold_coba": (-53.042, 2.268, 0.526),
    }
    for name, (mean, sd, tau_eff) in measured.items():
        found = free_potential(*noise_driven(1, name))
        assert found.mean[0] == pytest.approx(mean, abs=0.01 * sd)
        assert found.sd[0] == pytest.approx(sd, rel=2e-3)
        assert found.tau_eff[0] == pytest.approx(tau_eff, rel=2e-3)


def test_jumps_are_currents_that_vanish_quickly():
    """A brief current of weight `w cm / tau` is a jump by `w`."""
    neuron, tau = LIF(cm=0.5, tau_m=12.0), 1e-4
    found = []
    for receptors, factor in ((CurrentDelta(), 1.0), (CurrentExp(tau, tau), 0.5 / tau)):
        network = Network()
        cells = network.population(2, neuron, receptors)
        network.noise(cells, Poisson(np.array([900.0, 500.0])), 0.3 * factor)
        network.noise(cells, Poisson(400.0), -0.2 * factor, receptor="inhibitory")
        found.append(free_potential(network, cells))
    np.testing.assert_allclose(found[1].mean, found[0].mean)
    np.testing.assert_allclose(found[1].sd, found[0].sd, rtol=1e-4)
    drive = 0.3**2 * np.array([0.9, 0.5]) + 0.2**2 * 0.4
    np.testing.assert_allclose(found[0].sd, np.sqrt(drive * 12.0 / 2))


def test_siegert_without_noise_is_the_rate_of_a_clock():
    exact = 1000 / (2 + 20 * np.log((30 - 10) / (30 - 20)))
    assert siegert(30.0, 0.05, 20.0, 2.0, 20.0, 10.0) == pytest.approx(exact, rel=1e-4)
    assert siegert(5.0, 0.1, 20.0, 2.0, 20.0, 10.0) == 0.0


def test_mean_field_of_brunels_states():
    """His rates by theory, as we remember them, are 38.0, 55.8 and 6.5 Hz (not verified)."""
    assert brunel_rate(g=5.0, eta=2.0) == pytest.approx(38.0, abs=0.1)
    assert brunel_rate(g=6.0, eta=4.0) == pytest.approx(55.8, abs=0.1)
    assert brunel_rate(g=4.5, eta=0.9) == pytest.approx(6.5, abs=0.1)


def test_what_brunels_network_is_made_of():
    network, excitatory, inhibitory = brunel(order=30, g=4.0, eta=1.5, J=0.2)
    assert (excitatory.size, inhibitory.size) == (120, 30)
    assert [noise.source.rate for noise in network.noises] == [7500.0, 7500.0]
    found = {(p.pre, p.post): (p.connector, p.weight) for p in network.projections}
    for post in (excitatory, inhibitory):
        assert found[excitatory, post] == (FixedInDegree(12), 0.2)
        assert found[inhibitory, post] == (FixedInDegree(3), -0.8)


def test_vogels_abbott_by_either_kind_of_synapse():
    network, excitatory, inhibitory = vogels_abbott(50)
    assert (excitatory.size, inhibitory.size) == (40, 10)
    assert isinstance(excitatory.receptors, ConductanceExp)
    network, excitatory, _ = vogels_abbott(50, "current", seed=1)
    assert not network.noises
    assert -60 <= np.min(excitatory.v) < np.max(excitatory.v) <= -50
    assert (vogels_abbott(50, "current", seed=1).excitatory.v == excitatory.v).all()
    assert (vogels_abbott(50, "current", seed=2).excitatory.v != excitatory.v).any()


def test_the_self_sustained_network_has_the_stated_mean_delay():
    network, excitatory, _ = self_sustained(seed=3)
    projection = network.projections[0]
    places = excitatory.positions
    rng = np.random.default_rng(0)
    i, j = projection.connector.pairs(3136, 3136, rng, same=True, positions=(places, places))
    delay = projection.delay(rng, between(places, places, i, j, projection.connector.box))
    assert delay.mean() == pytest.approx(1.53, abs=0.01)
    assert sum(int((noise.source.rate > 0).sum()) for noise in network.noises) == 78
    assert network.projections[0].post.model.b == 0.005
    assert network.projections[2].post.model.b == 0.0


@pytest.mark.parametrize("name", ["tutorial_cuba", "tutorial_coba"])
def test_a_matrix_of_weights_becomes_synapses(name):
    weights = np.array([[0.0, 2.0, -3.0], [0.0, 0.0, 0.0], [4.0, -5.0, 0.0]])
    renewing = TsodyksMarkram(U=1.0, tau_rec=10.0)
    network, neurons = noise_driven(3, name, weights=weights, plasticity=renewing)
    rebuilt = np.zeros((3, 3))
    for projection in network.projections:
        i, j = projection.connector.pairs(3, 3, np.random.default_rng(0))
        sign = -1 if projection.receptor == "inhibitory" and name == "tutorial_coba" else 1
        rebuilt[j, i] = sign * projection.weight
        assert projection.plasticity is renewing
        assert projection.pre is projection.post is neurons
    np.testing.assert_array_equal(rebuilt, weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: brunel(J=0.0), "`J` is 0 mV"),
        (lambda: brunel(epsilon=2.0), "`epsilon` is 2"),
        (lambda: vogels_abbott(synapses="gap"), "`synapses` is 'gap'.*conductance"),
        (lambda: self_sustained(100), "`size` is 100"),
        (lambda: noise_driven(3, "tutorial"), "`preset` is 'tutorial'.*tutorial_c"),
        (lambda: noise_driven(3, weights=np.ones((2, 2))), "`weights` has shape"),
        (lambda: siegert(1.0, 0.0, 20.0, 2.0, 20.0, 10.0), "`sigma` is 0 mV"),
    ],
)
def test_what_makes_no_network_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_closed_forms_hold_for_some_neurons_only():
    preset = BOMBARDED["tutorial_cuba"]
    alpha = noise_driven(1, preset._replace(receptors=CurrentAlpha()))
    with pytest.raises(InputError, match="alpha function"):
        free_potential(*alpha)
    network, neurons = noise_driven(1, preset)
    network.noise(neurons, SinusoidalPoisson(), 0.1)
    with pytest.raises(InputError, match="changes in time"):
        free_potential(network, neurons)
    other = Network()
    with pytest.raises(InputError, match="no LIF neurons"):
        free_potential(other, other.population(1, Poisson()))
    free = replace(preset.neuron, v_thresh=0.0)
    assert noise_driven(1, preset._replace(neuron=free)).neurons.model.v_thresh == 0.0
