"""Binary networks and their noise: closed forms, exact laws, and what pools do to machines."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling.binary import (
    Gaussian,
    Intrinsic,
    Machines,
    Private,
    Recurrent,
    Shared,
    Sources,
    mean_field,
    threshold_law,
)
from lapicque.sampling.observables import kl
from lapicque.sampling.target import Boltzmann


def targets(machines: int = 10, n: int = 6, scale: float = 0.6, seed: int = 0) -> list[Boltzmann]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(machines):
        weights = np.triu(rng.normal(0, scale, (n, n)), 1)
        weights = weights + weights.T
        found.append(Boltzmann(weights, rng.normal(0, 0.3, n) - weights.sum(1) / 2))
    return found


def divergence(noise, updates: int = 5000, seed: int = 1, **options) -> float:
    machines = Machines(targets(), noise, seed=seed, **options)
    machines.run(100)
    shares = machines.run(updates)
    return float(
        np.median([kl(p, t.probabilities) for p, t in zip(shares, machines.targets, strict=True)])
    )


# -- exact -------------------------------------------------------------------------------------


def test_logistic_units_have_the_distribution_of_the_target():
    for target in targets(3):
        np.testing.assert_allclose(threshold_law(target, None), target.probabilities, atol=1e-13)


def test_matching_slopes_suits_weak_weights_and_integrals_strong_ones():
    found = {
        scale: [
            np.median([kl(threshold_law(t, name), t.probabilities) for t in targets(10, 5, scale)])
            for name in ("slope", "integral")
        ]
        for scale in (0.3, 2.0)
    }
    assert found[0.3][0] < 0.1 * found[0.3][1]
    assert found[2.0][1] < 0.3 * found[2.0][0]


def test_threshold_law_is_what_gaussian_noise_samples():
    strong = targets(2, 4, 3.0)
    machines = Machines(strong, Gaussian(2.5, -0.7), seed=0)
    machines.run(100)
    for share, target in zip(machines.run(100_000), strong, strict=True):
        law = threshold_law(target)
        assert kl(share, law) < 1e-3
        assert kl(law, target.probabilities) > 3e-3  # so that it is not the target that fits


def test_drive_in_closed_form():
    assert Sources(0.8, 8.0).drive(100).sd == pytest.approx(18.44, abs=0.005)
    assert Sources().drive(100).sd == pytest.approx(5.0)
    assert Sources(0.8, 8.0, 2.0).drive(100).mean == pytest.approx((80 - 160) * 2 * 0.5)


# -- pools ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise",
    [
        Shared(200, 100),
        Shared(400, 100, Sources(0.8, 8.0)),
        Shared(200, 100, Sources(0.8, 8.0), "shuffled"),
        Shared(300, 100, Sources(activity=0.2)),
    ],
)
def test_correlation_of_shared_sources(noise):
    machines = Machines(targets(), noise, seed=3)
    measured, predicted = machines.measure(4000), noise.predict()
    assert measured.correlation == pytest.approx(predicted.correlation, abs=0.03)
    assert measured.sd == pytest.approx(predicted.sd, rel=0.03)
    assert measured.mean == pytest.approx(predicted.mean, abs=0.06 * predicted.sd + 0.3)


def test_private_sources_are_not_correlated():
    measured = Machines(targets(), Private(40), seed=3).measure(3000)
    assert measured.correlation == pytest.approx(0, abs=0.01)
    assert measured.sd == pytest.approx(np.sqrt(10), rel=0.02)


@pytest.mark.parametrize(
    ("size", "inputs", "correlation", "sd"),
    [
        (100, 50, 0.058, 2.56),
        (200, 100, 0.046, 3.57),
        (400, 100, 0.019, 4.40),
        (400, 200, 0.033, 5.09),
    ],
)
def test_recurrent_pool_against_another_program(size, inputs, correlation, sd):
    noise = Recurrent(size, inputs, inputs)
    machines = Machines(targets(), noise, seed=5)
    assert machines.drive.correlation == pytest.approx(correlation, abs=0.006)
    assert machines.drive.sd == pytest.approx(sd, rel=0.04)
    assert 0.488 < machines.pool(2000).mean() < 0.5  # thresholds lie half an input below


@pytest.mark.parametrize(
    ("size", "inputs", "correlation", "sd"),
    [
        (100, 50, 0.11, 2.66),
        (200, 100, 0.082, 3.70),
        (400, 100, 0.033, 4.41),
        (400, 200, 0.059, 5.16),
    ],
)
def test_mean_field_against_another_program(size, inputs, correlation, sd):
    predicted = Recurrent(size, inputs, inputs).predict()
    assert predicted.correlation == pytest.approx(correlation, rel=0.06)
    assert predicted.sd == pytest.approx(sd, rel=0.01)


def test_mean_field_of_one_population_in_closed_form():
    pool = Recurrent(400, 100, 100)
    found = mean_field(pool)
    gain = np.exp(-(((pool.bias - 100 * found.activity) / found.sd) ** 2) / 2)
    effective = -100 * gain / (np.sqrt(2 * np.pi) * found.sd)
    single = found.activity * (1 - found.activity) / 400
    np.testing.assert_allclose(found.covariance[0], effective / (1 - effective) * single, rtol=1e-9)


@pytest.mark.slow
def test_mean_field_of_two_populations():
    """Against a simulation: activities, and the correlation that a target sees."""
    noise = Recurrent(400, 40, 40, Sources(0.8, 8.0))
    found, measured = mean_field(noise), Machines(targets(), noise, seed=0).measure(4000)
    assert found.activity.shape == (2,)
    assert noise.predict().sd == pytest.approx(measured.sd, rel=0.05)
    assert noise.predict().correlation == pytest.approx(measured.correlation, abs=0.02)


def test_a_deterministic_network_beats_as_many_random_sources():
    shared, network = divergence(Shared(200, 100)), divergence(Recurrent(200, 100, 100))
    assert 0.09 < shared < 0.17
    assert network < 0.06  # 0.03 of which is left after many more updates
    assert shared > 2.5 * network
    assert divergence(Intrinsic()) < 0.009
    assert divergence(Private(50)) < 0.02


def test_disconnected_pool_is_no_noise():
    with pytest.raises(InputError, match="no spread"):
        Machines(targets(), Recurrent(200, 100, 0))


def test_deterministic_pool_follows_from_the_order_of_updates():
    one, other = (Machines(targets(), Recurrent(100, 50, 50), seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.run(300), other.run(300))
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_array_equal(one.run(200), other.run(200))


def test_shares_add_up():
    shares = Machines(targets(2, 3), Intrinsic(), seed=0).run(50)
    assert shares.shape == (2, 8)
    np.testing.assert_allclose(shares.sum(1), 1)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Sources(gamma=1.2), "`gamma` is 1.2"),
        (lambda: Sources(activity=1.0), "`activity` is 1"),
        (lambda: Shared(50, 100), "only 50 such units"),
        (lambda: Recurrent(100, 50, 100), "only 99 such units"),
        (lambda: Machines([*targets(1, 3), *targets(1, 4)], Intrinsic()), "have \\[3, 4\\] units"),
        (lambda: Machines(targets(1), Intrinsic(), matching="slop"), "Did you mean 'slope'"),
        (lambda: mean_field(Recurrent(100, 50, 0)), "`recurrent` is 0"),
    ],
)
def test_wrong_input_is_named(make, match):
    with pytest.raises(InputError, match=match):
        make()
