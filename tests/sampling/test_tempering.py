"""Schedules, tempering and restricted machines: identities first, then what samples say."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lapicque._checks import InputError
from lapicque.sampling.calibration import predict
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.observables import empirical, kl
from lapicque.sampling.samplers import Gibbs
from lapicque.sampling.target import Boltzmann, gauss_ensemble, states
from lapicque.sampling.tempering import (
    RBM,
    ConstantTemperature,
    OscillatingRate,
    PiecewiseTemperature,
    Tempering,
    Training,
    _Coupled,
    _move,
    cold,
    response,
    train_rbm,
)
from lapicque.spiking import (
    LIF,
    CurrentExp,
    FromArrays,
    Network,
    Simulation,
    SpikeArray,
    TsodyksMarkram,
)


def machine(seed=0, visible=5, hidden=3, spread=1.0):
    rng = np.random.default_rng(seed)
    return RBM(
        spread * rng.standard_normal((visible, hidden)),
        spread * rng.standard_normal(visible),
        spread * rng.standard_normal(hidden),
    )


# -- depression under regular firing -------------------------------------------------------------


def jumps(plasticity, every=10.0, count=200):
    """What each spike of a regular train delivers, in units of the weight."""
    network = Network()
    source = network.population(1, SpikeArray([every * np.arange(1, count + 1)]))
    cell = network.population(1, LIF(v_thresh=1e6), CurrentExp(10.0, 10.0))
    network.project(source, cell, FromArrays([0], [0]), 1.0, 0.1, plasticity=plasticity)
    network.record(cell, "syn_E", interval=0.1)
    current = Simulation(network, 0.1).run(every * (count + 1)).signal(cell, "syn_E")[:, 0, 0]
    fresh = current[1:] - current[:-1] * np.exp(-0.01)
    return current, fresh[fresh > 1e-9]


@pytest.mark.parametrize(("U", "tau_rec"), [(0.01, 280.0), (0.1, 100.0), (0.05, 280.0)])
def test_resources_under_regular_firing(U, tau_rec):
    """They relax to x* with the factor (1 - U) q from spike to spike."""
    _, fresh = jumps(TsodyksMarkram(U, tau_rec))
    x, q = fresh / U, np.exp(-10.0 / tau_rec)
    limit = (1 - q) / (1 - (1 - U) * q)
    assert_allclose(x[0], 1, rtol=1e-9)
    assert_allclose(x, limit + (1 - limit) * ((1 - U) * q) ** np.arange(len(x)), atol=1e-6)
    if (U, tau_rec) == (0.01, 280.0):
        assert limit == pytest.approx(0.784, abs=5e-4)
        assert -10 / np.log((1 - U) * q) == pytest.approx(218, abs=1)


def test_renewing_synapses_do_not_add_up():
    current, _ = jumps(TsodyksMarkram(1.0, 10.0))
    assert current.max() == pytest.approx(1, abs=1e-9)


# -- schedules -----------------------------------------------------------------------------------


def test_response_to_oscillating_rates():
    gains = [response(f, 10.0)[0] for f in (0.0, 10.0, 40.0, 100.0)]
    assert_allclose(gains, [1, 0.954, 0.623, 0.303], atol=6e-4)
    kernel = np.exp(-2 * np.arange(0, 200, 0.001) / 10)  # square of the response, by quadrature
    for f in (10.0, 40.0, 100.0):
        phase = np.exp(-2j * np.pi * f * np.arange(len(kernel)) * 1e-6)
        expected = (kernel * phase).sum() / kernel.sum()
        gain, lag = response(f, 10.0)
        assert gain * np.exp(-1j * lag) == pytest.approx(expected, abs=2e-4)


def test_oscillation_between_two_temperatures():
    slow = OscillatingRate.between(1.0, 3.0, 0.5, tau_syn=0.0)
    assert slow.rate == 5 * 400
    assert slow.amplitude == 4 * 400
    assert_allclose(slow(np.array([0.0, 500.0, 1000.0])), [1, np.sqrt(5), 3])
    time = np.arange(0, 2000, 0.1)
    assert (slow(time) ** 2).mean() * 400 == pytest.approx(slow.rate)
    fast = OscillatingRate.between(1.0, 3.0, 1e6)  # nothing of the oscillation is left
    assert_allclose(fast(time), np.sqrt(5), rtol=1e-3)


def test_piecewise_temperature():
    knots = PiecewiseTemperature((0.0, 10.0, 30.0), (1.0, 3.0, 2.0))
    assert_allclose(knots([0, 5, 10, 20, 30, 99]), [1, 2, 3, 2.5, 2, 2])
    saw = PiecewiseTemperature((0.0, 10.0), (1.0, 2.0), period=10.5)
    assert_allclose(saw([2.5, 13.0, 10.25]), [1.25, 1.25, 1.5])


def test_cold_samples():
    assert_array_equal(cold([1.0, 1.01, 1.03]), [True, True, False])


def test_constant_schedules_leave_samplers_as_they_are():
    target = gauss_ensemble(4, 0)
    still = OscillatingRate(400.0, 0.0, 5.0)
    one = Gibbs().start(target, 2, 3).run(200)
    time = 10.0 * np.arange(200)
    for schedule in (still, ConstantTemperature(), PiecewiseTemperature((0.0,), (1.0,))):
        assert_array_equal(Gibbs().start(target, 2, 3).run(200, schedule(time)), one)
    calibration = predict("mixing_cuba")
    plain = LIFSampler(calibration).start(target, 2, 3).run(50)
    noisy = LIFSampler(calibration, noise=still, recalibrated=True).start(target, 2, 3).run(50)
    assert_array_equal(plain, noisy)


def test_limits_of_temperature():
    target = gauss_ensemble(5, 1)
    hot = Gibbs().start(target, 1, 0).run(40_000, 1e9)
    assert_allclose(hot.mean((0, 1)), 0.5, atol=0.02)
    frozen = Gibbs().start(target, 200, 0).run(50, 1e-3)[-1]
    best = target.log_weight(states(5)).max()
    assert target.log_weight(frozen).max() == pytest.approx(best)
    assert ((target.logits(frozen) > 0) == (frozen > 0)).all()


def test_temperature_commutes_with_the_coding():
    target = gauss_ensemble(6, 2)
    couplings, fields = target.to_spins()
    other = Boltzmann.from_spins(couplings / 2.5, fields / 2.5)
    assert_allclose(other.weights, target.at_temperature(2.5).weights)
    assert_allclose(other.biases, target.at_temperature(2.5).biases)


def test_skew_shifts_the_mean_of_the_noise_alone():
    noise = OscillatingRate(1000.0, 500.0, 2.0, skew=0.1)
    excitation, inhibition = noise.sources()
    assert excitation.rate + inhibition.rate == pytest.approx(2000)
    assert inhibition.rate - excitation.rate == pytest.approx(2 * 0.1 * 600)
    assert inhibition.amplitude - excitation.amplitude == pytest.approx(2 * 0.1 * 500)
    at_rest = OscillatingRate(400.0, 0.0, 0.0, skew=0.1).sources()
    assert [s.rate for s in at_rest] == [400, 400]


def test_centring_keeps_neurons_half_active():
    reference = predict("mixing_cuba")
    preset = reference.preset
    hot = predict(preset._replace(rates=(1600.0, 1600.0)))
    noise = OscillatingRate.between(1.0, 2.0, 0.0).centred(reference, hot)
    excitation, inhibition = (s.rate + s.amplitude for s in noise.sources())
    leak = preset.neuron.cm / preset.neuron.tau_m
    shift = 0.001 * 10.0 * (excitation - inhibition) / 1000 / leak
    assert shift == pytest.approx(hot.half - reference.half)
    assert 0.01 < noise.skew < 0.2


# -- simulated tempering -------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_detailed_balance_of_the_move(levels):
    """Flows between levels are equal for two states of different energy, with frozen weights."""
    rng = np.random.default_rng(levels)
    betas, log_g = np.linspace(1, 0.3, levels), rng.normal(size=levels)
    grid = (np.arange(4000) + 0.5) / 4000
    for energy in (-2.3, 1.7):
        share = -betas * energy - log_g
        p = np.exp(share - share.max())
        flow = np.zeros((levels, levels))
        for k in range(levels):
            for direction in (0.25, 0.75):
                for u in grid:
                    to = _move(k, energy, betas, log_g, direction, u)
                    flow[k, to] += p[k] / 2 / len(grid)
        assert_allclose(flow, flow.T, atol=4e-4)
        assert flow[0, 1] > 0.002


def test_tempering_samples_from_the_target():
    rbm = RBM(4.0 * np.array([[1, -1], [-1, 1], [1, -1]]), np.full(3, -0.1), np.array([0.1, 0.0]))
    target = rbm.target()
    ladder = Tempering(tuple(np.linspace(1, 0.2, 6)))
    chains = ladder.start(target, 2, 0)
    chains.run(1000)
    p = empirical(chains.run(100_000))
    assert kl(p, target.probabilities) < 0.001
    share = chains.visits / chains.visits.sum(1, keepdims=True)
    assert_allclose(share, 1 / 6, rtol=0.2)
    assert chains.log_weights.max() == 0


def test_each_level_has_its_own_temperature():
    target = gauss_ensemble(4, 3)
    chains = Tempering((1.0, 0.5, 0.2), gain=1.0).start(target, 1, 0)
    seen, levels = chains.sweep(150_000)
    for k, beta in enumerate((1.0, 0.5, 0.2)):
        p = empirical(seen[levels == k])
        assert kl(p, target.at_temperature(1 / beta).probabilities) < 0.003


def test_tempered_chains_alone_in_pieces_and_clamped():
    target = gauss_ensemble(4, 5)
    both = Tempering().start(target, 2, 7).run(60)
    alone = Tempering().start(target, 1, 7)
    assert_array_equal(np.concatenate([alone.run(25), alone.run(35)])[:, 0], both[:, 0])
    held = Tempering().start(target, 2, 7)
    held.clamp([1, 3], [[1, 0], [0, 1]])
    seen = held.run(20)
    assert (seen[:, 0, [1, 3]] == [1, 0]).all()
    assert (seen[:, 1, [1, 3]] == [0, 1]).all()


def test_one_level_is_gibbs_sampling():
    target = gauss_ensemble(4, 6)
    p = empirical(Tempering((1.0,)).start(target, 1, 0).run(50_000))
    assert kl(p, target.probabilities) < 0.002


# -- restricted machines -------------------------------------------------------------------------


def test_free_energy_and_partition_by_enumeration():
    rbm = machine()
    v, h = states(5).astype(float), states(3).astype(float)
    energy = rbm.energy(v[:, None], h[None])
    assert_allclose(rbm.free_energy(v), -np.log(np.exp(-energy).sum(1)))
    assert rbm.log_partition() == pytest.approx(np.log(np.exp(-energy).sum()))
    turned = RBM(rbm.weights.T, rbm.hidden, rbm.visible)  # now the visible layer is the smaller
    assert turned.log_partition() == pytest.approx(rbm.log_partition())
    joint = rbm.target().probabilities.reshape(32, 8)
    assert_allclose(rbm.log_likelihood(v), np.log(joint.sum(1)))


def test_label_posterior_is_that_of_the_machine():
    rbm = machine(1, visible=6)
    joint = rbm.target().probabilities.reshape(8, 8, 8)  # images, labels, hidden
    image = np.array([1, 0, 1])
    weight = joint[0b101, [4, 2, 1]].sum(1)  # one label on, in order
    found = np.exp(rbm.label_log_odds(image, 3))
    assert_allclose(found, weight / weight.sum())


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_block_gibbs_samples_from_the_machine(beta):
    rbm, rng = machine(2), np.random.default_rng(0)
    v = rng.integers(0, 2, (40_000, 5)).astype(float)
    for _ in range(30):
        v, h = rbm.step(v, rng, beta)
    p = empirical(np.concatenate([v, h], 1).astype(np.uint8))
    assert kl(p, rbm.target().at_temperature(1 / beta).probabilities) < 0.006


def test_exchange_keeps_states_and_waits_for_temperature_one():
    how = Training("cast", exchange=3, tempering=Tempering((1.0, 0.6, 0.3)))
    rng = np.random.default_rng(0)
    coupled, rbm = _Coupled(rng.integers(0, 2, (50, 5)).astype(float), how), machine(3)
    for _ in range(40):
        waited, level = coupled._waited + 1, coupled.level.copy()
        coupled.step(rbm, rng)
        exchanged = coupled._waited == 0
        assert_array_equal(exchanged, (waited >= 3) & (level == 0))
        for state in (coupled.v, coupled.fast):
            assert np.isin(state, (0, 1)).all()
    assert set(coupled.level) == {0, 1, 2}


def prototypes(seed, n=300):
    rng = np.random.default_rng(seed)
    four = np.array([[1] * 8 + [0] * 8, [0] * 8 + [1] * 8, [1, 0] * 8, [0, 1] * 8], float)
    x = four[rng.integers(0, 4, n)]
    return np.abs(x - (rng.random(x.shape) < 0.05))


@pytest.mark.parametrize("method", ["pcd", "cast"])
def test_training_finds_the_modes(method):
    """Far above independent units (-11.1), at most the entropy of the data (-4.56)."""
    ladder = Tempering(tuple(np.linspace(1, 0.1, 10)), gain=1.0)
    how = Training(method, epochs=150, batch=20, tempering=ladder)
    rbm = train_rbm(prototypes(0), 12, how, seed=0)
    again = train_rbm(prototypes(0), 12, how, seed=0)
    assert_array_equal(rbm.weights, again.weights)
    assert -5.5 < rbm.log_likelihood(prototypes(1, 2000)).mean() < -4.4


# -- wrong calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConstantTemperature(0.0), "above 0"),
        (lambda: PiecewiseTemperature((0.0, 0.0), (1.0, 2.0)), "must rise"),
        (lambda: PiecewiseTemperature((0.0, 5.0), (1.0, 2.0), period=2.0), "at least 5 ms"),
        (lambda: OscillatingRate(400.0, 500.0, 1.0), "cannot be negative"),
        (lambda: OscillatingRate.between(2.0, 1.0, 1.0), "`hottest` is 1; it must be at least 2"),
        (lambda: Tempering((0.9, 0.5)), "fall, from 1 on"),
        (lambda: Tempering().start(gauss_ensemble(3, 0), 0), "`chains` is 0"),
        (lambda: RBM(np.zeros((2, 3)), np.zeros(3), np.zeros(2)), r"shape \(2, 3\)"),
        (lambda: machine(0, 21, 21).log_partition(), "at most 20"),
        (lambda: machine().label_log_odds(np.zeros(5), 3), r"shape \(5,\)"),
        (lambda: Training("cd"), "'pcd', 'cast'"),
        (lambda: train_rbm([[0.5, 1.0]], 2), "0 or 1"),
        (
            lambda: OscillatingRate(400.0, 0.0, 0.0).centred(
                predict("mixing_cuba"), predict("mixing_cuba")
            ),
            "higher rates",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
