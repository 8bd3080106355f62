"""Ground states and measured qubits against closed forms."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling import observables as obs
from lapicque.sampling.learning import visible_log_probabilities
from lapicque.sampling.quantum import povm
from lapicque.sampling.quantum.ising import Ising, correlation_length
from lapicque.sampling.quantum.povm import Tetrahedron, bell, ghz, werner
from lapicque.sampling.target import Boltzmann, layered, states

RNG = np.random.default_rng(0)


def random_density(n, rng):
    a = rng.standard_normal((2, 2**n, 2**n))
    a = a[0] + 1j * a[1]
    rho = a @ a.conj().T
    return rho / np.trace(rho).real


# -- the chain -----------------------------------------------------------------------------------

AT_ONE = [
    -2.8284271,
    -4,
    -5.2262519,
    -6.4721360,
    -7.7274066,
    -8.9879184,
    -10.2516618,
    -11.5175410,
    -12.7849064,
]
OF_EIGHT = {
    0.1: -8.0200125,
    0.5: -8.5090822,
    0.9: -9.7732877,
    1.25: -11.7065056,
    5: -40.4010128,
    10: -80.2001253,
}


def test_ground_energies_are_those_known():
    for n, energy in zip(range(2, 11), AT_ONE, strict=True):
        assert Ising(n).ground_energy == pytest.approx(energy, abs=5e-8)
    for field, energy in OF_EIGHT.items():
        assert Ising(8, field).ground_energy == pytest.approx(energy, abs=5e-8)


@pytest.mark.parametrize("n", range(2, 9))
def test_closed_form_is_the_lowest_eigenvalue(n):
    for field in (0.3, 1.0, 2.5):
        chain = Ising(n, field)
        assert chain.spectrum(1)[0][0] == pytest.approx(chain.ground_energy, abs=1e-10)


def test_first_excited_energies():
    for field, energy in ((1.0, -10.0546790), (0.1, -8.0200125), (10.0, -62.2001253)):
        assert Ising(8, field).spectrum(2)[0][1] == pytest.approx(energy, abs=1e-6)


def test_sparse_diagonalisation_agrees():
    assert Ising(11).spectrum(2)[0][0] == pytest.approx(Ising(11).ground_energy, abs=1e-9)


def test_local_energy_is_constant_in_the_ground_state():
    chain = Ising(6, 1.3)
    p0 = chain.ground_state**2
    np.testing.assert_allclose(chain.local_energy(p0), chain.ground_energy, rtol=1e-8)
    assert chain.energy(p0) == pytest.approx(chain.ground_energy)
    assert chain.fidelity(p0) == pytest.approx(1)


def test_energy_is_that_of_the_matrix_and_above_the_ground_state():
    chain = Ising(5, 0.7)
    for _ in range(20):
        p = RNG.dirichlet(np.full(32, 0.3))
        psi = np.sqrt(p)
        assert chain.energy(p) == pytest.approx(psi @ chain.hamiltonian @ psi)
        assert chain.energy(p) >= chain.ground_energy
        assert p @ chain.local_energy(p) == pytest.approx(chain.energy(p))
    few = obs.empirical(states(5)[RNG.integers(0, 32, 9)])
    assert chain.energy(few) >= chain.ground_energy
    assert few @ chain.local_energy(few) == pytest.approx(chain.energy(few))


def test_limits_of_the_field():
    still = Ising(6, 0.0)
    assert still.ground_energy == pytest.approx(-6)
    assert still.ground_state[[0, -1]] ** 2 == pytest.approx([0.5, 0.5])
    assert still.energy(still.ground_state**2) == pytest.approx(-6)
    strong = Ising(6, 1e6)
    assert strong.ground_energy / 6e6 == pytest.approx(-1)
    np.testing.assert_allclose(strong.ground_state**2, 1 / 64, rtol=1e-4)


def test_observables_at_the_critical_point():
    """Eight spins, h = 1: exact values known to three digits."""
    chain = Ising(8)
    p0 = chain.ground_state**2
    assert chain.magnetisation_x(p0) == pytest.approx(0.640, abs=1e-3)
    correlation = chain.correlation_zz(p0)
    assert correlation[0] == pytest.approx(1)
    np.testing.assert_allclose(correlation[1:4], [0.641, 0.555, 0.520], atol=1e-3)
    assert correlation_length(correlation[:4]) == pytest.approx(0.750, rel=5e-3)
    d = np.arange(6)
    assert correlation_length(0.7 * np.exp(-d / 1.7) + 0.2) == pytest.approx(1.7)
    m = chain.magnetisation_z(p0)
    assert m.sum() == pytest.approx(1)
    np.testing.assert_allclose(m, m[::-1], atol=1e-9)
    assert Ising(8, 0.1).magnetisation_z(np.eye(256)[0])[8] == 1
    assert np.isnan(correlation_length([1.0, 1.0, 1.0]))


def test_spins_and_bits_are_the_same_distribution():
    couplings = RNG.standard_normal((5, 5))
    couplings = np.triu(couplings, 1) + np.triu(couplings, 1).T
    fields = RNG.standard_normal(5)
    s = 2.0 * states(5) - 1
    weight = np.exp(0.5 * np.einsum("ai,ij,aj->a", s, couplings, s) + s @ fields)
    found = Boltzmann.from_spins(couplings, fields).probabilities
    np.testing.assert_allclose(found, weight / weight.sum())


def test_finer_weights_come_closer():
    """Random machines with rounded weights: the divergence falls with the step."""

    def of(weights):
        return np.exp(visible_log_probabilities(layered([weights], [np.zeros(8), np.zeros(20)]), 8))

    steps, found = (16, 8, 4, 2, 1), np.zeros(5)
    for seed in range(20):
        weights = np.random.default_rng(seed).uniform(-63, 63, (8, 20))
        full = of(weights / 20)
        found += [obs.kl(of(step * np.round(weights / step) / 20), full) for step in steps]
    assert (np.diff(found) < 0).all()


# -- qubits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [(0.0, 0.0), (0.4, 1.1)])
def test_the_measurement_is_complete(turn):
    one = Tetrahedron(1, *turn)
    np.testing.assert_allclose(one.effects.sum(0), np.eye(2), atol=1e-15)
    overlap = np.einsum("aij,bji->ab", one.effects, one.effects).real
    np.testing.assert_allclose(overlap, 1 / 12 + np.eye(4) / 6, atol=1e-15)
    inverse = np.linalg.inv(overlap)
    np.testing.assert_allclose(inverse, 6 * np.eye(4) - 1, atol=1e-12)
    np.testing.assert_allclose(
        one.duals, np.einsum("ab,bij->aij", inverse, one.effects), atol=1e-12
    )


def test_effects_are_those_written_out():
    m = Tetrahedron(1).effects
    np.testing.assert_allclose(m[0], [[0.5, 0], [0, 0]], atol=1e-15)
    np.testing.assert_allclose(m[1], np.array([[1, 2**0.5], [2**0.5, 2]]) / 6, atol=1e-15)
    off = -(2**0.5) - 1j * 6**0.5
    np.testing.assert_allclose(m[2], np.array([[2, off], [np.conj(off), 4]]) / 12, atol=1e-15)
    np.testing.assert_allclose(m[3], m[2].conj(), atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_outcomes_hold_the_whole_state(n):
    rng = np.random.default_rng(n)
    for measurement in (Tetrahedron(n), Tetrahedron(n, 0.3, -2.0)):
        rho = random_density(n, rng)
        p = measurement.probs(rho)
        assert p.min() > 0
        assert p.sum() == pytest.approx(1)
        np.testing.assert_allclose(measurement.reconstruct(p), rho, atol=1e-12)
        operator = random_density(n, rng)
        expected = np.trace(rho @ operator).real
        assert measurement.expect(operator, p) == pytest.approx(expected, abs=1e-12)


def test_order_of_qubits_is_that_of_tensor_products():
    """An asymmetric product state: |0> in the first qubit leaves the outcome 0 with 1/2."""
    plus = np.array([1, 1]) / np.sqrt(2)
    p = Tetrahedron(2).probs(np.kron([1, 0], plus)).reshape(4, 4)
    single = [Tetrahedron(1).probs(np.array(v)) for v in ([1, 0], plus)]
    np.testing.assert_allclose(p, np.outer(*single), atol=1e-15)
    np.testing.assert_allclose(single[0], [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    shots = Tetrahedron(2).pauli_shots([povm.Z, None])
    assert shots @ p.ravel() == pytest.approx(1)
    operator = np.kron(povm.PAULI[2], np.eye(2))
    np.testing.assert_allclose(Tetrahedron(2).shots(operator), shots, atol=1e-12)


def test_bell_and_ghz_distributions():
    s = Tetrahedron(1).corners
    closed = (1 + s[:, None] * s * [1, -1, 1] @ np.ones(3)) / 16
    np.testing.assert_allclose(Tetrahedron(2).probs(bell()), closed.ravel(), atol=1e-15)
    smallest = {2: 0.0416667, 3: 0.00694444, 4: 0.00115741}
    entropy = {2: 2.6287477, 3: 3.9566276, 4: 5.2286501}
    for n in (2, 3, 4):
        p = Tetrahedron(n).probs(ghz(n))
        assert p.min() == pytest.approx(smallest[n], rel=1e-5)
        assert -(p * np.log(p)).sum() == pytest.approx(entropy[n], abs=1e-6)


def test_single_shots_of_the_fidelity():
    spread = {2: 1.5, 3: 1.859, 4: 2.693}
    lowest = {2: -0.5, 3: -0.914, 4: -1.5}
    highest = {2: 2.5, 3: 3.5, 4: 8.5}
    for n in (2, 3, 4):
        psi, measurement = ghz(n), Tetrahedron(n)
        p, q = measurement.probs(psi), measurement.shots(np.outer(psi, psi))
        assert p @ q == pytest.approx(1)
        assert np.sqrt(p @ q**2 - 1) == pytest.approx(spread[n], abs=1e-3)
        assert q.min() == pytest.approx(lowest[n], abs=1e-3)
        assert q.max() == pytest.approx(highest[n], abs=1e-3)


def test_fidelity_from_samples_has_the_error_of_independent_shots():
    measurement, psi = Tetrahedron(2), bell()
    z = states(4)[RNG.choice(16, 20_000, p=measurement.probs(psi))]
    value, error = measurement.expect_samples(np.outer(psi, psi), z)
    assert error == pytest.approx(1.5 / np.sqrt(20_000), rel=0.1)
    assert abs(value - 1) < 4 * error


@pytest.mark.parametrize("w", [1, 0.9, 0.8, 0.7071, 0.5, 1 / 3, 0])
def test_werner_states(w):
    rho, p = werner(w), Tetrahedron(2).probs(werner(w))
    assert povm.fidelity_squared(bell(), rho) == pytest.approx((1 + 3 * w) / 4)
    exact = np.outer(bell(), bell())
    assert povm.fidelity(exact, rho) == pytest.approx(np.sqrt((1 + 3 * w) / 4), abs=1e-7)
    assert povm.chsh_best(p) == pytest.approx(2 * np.sqrt(2) * w, abs=1e-7)
    lowest = np.linalg.eigvalsh(povm.partial_transpose(rho))[0]
    assert lowest == pytest.approx((1 - 3 * w) / 4)
    t = np.linspace(-4, 4, 31)
    np.testing.assert_allclose(povm.chsh(t, p), w * (3 * np.cos(t) - np.cos(3 * t)), atol=1e-12)
    turned = Tetrahedron(2, 0.7, 0.2)
    np.testing.assert_allclose(povm.chsh(t, turned.probs(rho), turned), povm.chsh(t, p), atol=1e-12)


def test_correlations_of_two_angles():
    """Spins of the Bell state at angles t and u correlate by cos(t - u)."""
    p = Tetrahedron(2).probs(bell())
    for t, u in RNG.uniform(-3, 3, (5, 2)):
        shots = Tetrahedron(2).pauli_shots(
            [np.cos(a) * povm.Z + np.sin(a) * povm.X for a in (t, u)]
        )
        assert shots @ p == pytest.approx(np.cos(t - u))
    assert povm.chsh(np.pi / 4, p) == pytest.approx(2 * np.sqrt(2))


def test_fidelity_is_symmetric_and_one_for_equal_states():
    a, b = random_density(2, RNG), random_density(2, RNG)
    assert povm.fidelity(a, a) == pytest.approx(1)
    assert povm.fidelity(a, b) == pytest.approx(povm.fidelity(b, a))
    assert 0 < povm.fidelity(a, b) < 1


def test_dynamics_keep_the_trace_and_end_in_the_steady_state():
    """Decay to |0> beside a Z field: populations fall as exp(-rate t)."""
    one, rate = Tetrahedron(1), 0.7
    decay = np.sqrt(rate) * np.array([[0, 1], [0, 0]])
    generator = one.generator(povm.PAULI[2], [decay])
    np.testing.assert_allclose(generator.sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(generator @ one.probs(np.array([1, 0])), 0, atol=1e-12)
    excited = one.probs(np.array([0, 1]))
    change = np.real(one.reconstruct(generator @ excited))
    np.testing.assert_allclose(change, np.diag([rate, -rate]), atol=1e-12)
    two = Tetrahedron(2)
    h = random_density(2, RNG)
    p = two.probs(random_density(2, RNG))
    rho = two.reconstruct(p)
    found = two.reconstruct(two.generator(h) @ p)
    np.testing.assert_allclose(found, -1j * (h @ rho - rho @ h), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Ising(1), "`n`"),
        (lambda: Ising(4, -1.0), "`field`"),
        (lambda: Ising(2).energy([0.5, 0.5]), "`p`"),
        (lambda: Ising(2).energy([0.5, 0.5, 0.5, 0.5]), "`p` sums"),
        (lambda: werner(1.5), "`w`"),
        (lambda: Tetrahedron(2).probs(np.eye(2)), "`rho`"),
        (lambda: Tetrahedron(2).reconstruct(np.ones(4)), "`p`"),
        (lambda: Tetrahedron(2).expect_samples(np.eye(4), np.zeros((9, 3), int)), "`states`"),
        (lambda: Tetrahedron(2).pauli_shots([povm.Z]), "directions"),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(InputError, match=named):
        call()
