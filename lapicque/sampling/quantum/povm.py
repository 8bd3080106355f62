"""Qubits as distributions over the outcomes of a measurement that says all about them.

The four outcomes a of a qubit point to the corners s_a of a tetrahedron:
``M_a = (1 + s_a . sigma) / 4``. Distributions p(a) and density matrices correspond one to one,
``p(a) = Tr(rho M_a)`` and ``rho = sum_a p(a) D_a`` with ``D_a = 6 M_a - 1``. Qubit 0 is the first
factor of tensor products and the most significant digit of outcomes; outcome a of a qubit is two
binary units, ``a = 2 v_1 + v_2``, so that outcomes are numbered as the states of these units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, finite, in_range, shape
from lapicque.sampling.observables import Estimate, mean
from lapicque.sampling.target import index

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
"""X, Y and Z, (3, 2, 2)."""

X, Z = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
"""Unit vectors along which a spin is measured."""

_CORNERS = np.array(
    [
        [0, 0, 1],
        [2 * np.sqrt(2) / 3, 0, -1 / 3],
        [-np.sqrt(2) / 3, np.sqrt(2 / 3), -1 / 3],
        [-np.sqrt(2) / 3, -np.sqrt(2 / 3), -1 / 3],
    ]
)
_LARGEST = 6  # qubits


@dataclass(frozen=True)
class Tetrahedron:
    """The measurement of n qubits, each along the corners of a tetrahedron.

    Attributes:
        n: Number of qubits, 1 to 6.
        theta: Turn of the tetrahedron around y [rad].
        phi: Turn around z after it [rad].

    Raises:
        InputError: A value is out of range.

    Source: Czischek et al. (2022); Renes et al. (2004).
    """

    n: int
    theta: float = 0.0
    phi: float = 0.0

    def __post_init__(self):
        in_range("n", self.n, 1, _LARGEST)
        in_range("theta", self.theta)
        in_range("phi", self.phi)

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """Unit vectors s_a, (4, 3)."""
        c, s = np.cos(self.theta), np.sin(self.theta)
        around_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        c, s = np.cos(self.phi), np.sin(self.phi)
        around_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        return _CORNERS @ (around_z @ around_y).T

    @cached_property
    def effects(self) -> NDArray[np.complex128]:
        """M_a of one qubit, (4, 2, 2)."""
        return (np.eye(2) + np.einsum("ak,kij->aij", self.corners, PAULI)) / 4

    @cached_property
    def duals(self) -> NDArray[np.complex128]:
        """D_a of one qubit, (4, 2, 2)."""
        return 6 * self.effects - np.eye(2)

    def probs(self, rho: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of all outcomes, (4^n,), of a density matrix or a state vector.

        Raises:
            InputError: It does not fit the number of qubits.
        """
        return self._contracted(self._matrix("rho", rho), self.effects)

    def reconstruct(self, p: ArrayLike) -> NDArray[np.complex128]:
        """The density matrix, (2^n, 2^n); from samples, it can have negative eigenvalues.

        Raises:
            InputError: `p` does not have shape (4^n,).
        """
        p = np.asarray(p, float)
        shape("p", p, (4**self.n,))
        tensor = p.reshape([4] * self.n).astype(complex)
        for _ in range(self.n):  # the first axis goes, its row and column come last
            tensor = np.tensordot(tensor, self.duals, (0, 0))
        order = [*range(0, 2 * self.n, 2), *range(1, 2 * self.n, 2)]
        return tensor.transpose(order).reshape(2**self.n, 2**self.n)

    def shots(self, operator: ArrayLike) -> NDArray[np.float64]:
        """Q(a) with ``<O> = sum_a p(a) Q(a)`` for an operator, (4^n,).

        Raises:
            InputError: It does not fit the number of qubits.
        """
        return self._contracted(self._matrix("operator", operator), self.duals)

    def pauli_shots(self, directions: Sequence[ArrayLike | None]) -> NDArray[np.float64]:
        """Q(a) of a product of spins along unit vectors, one per qubit; None leaves one out.

        ``Q(a) = prod_k 3 n_k . s_{a_k}``.

        Raises:
            InputError: There are not n of them, or one does not have shape (3,).
        """
        if len(directions) != self.n:
            raise InputError(f"{len(directions)} directions were given for {self.n} qubits.")
        factors = []
        for direction in directions:
            if direction is not None:
                shape("directions", direction, (3,))
            factors.append(
                np.ones(4) if direction is None else 3 * self.corners @ np.asarray(direction)
            )
        return reduce(np.multiply.outer, factors).ravel()

    def expect(self, operator: ArrayLike, p: ArrayLike) -> float:
        """<O> of a distribution over outcomes, linear in it."""
        p = np.asarray(p, float)
        shape("p", p, (4**self.n,))
        return float(self.shots(operator) @ p)

    def expect_samples(self, operator: ArrayLike, states: ArrayLike) -> Estimate:
        """<O> with its standard error, from binary samples (samples[, chains], 2 n).

        Raises:
            InputError: The samples have another number of units.
        """
        z = np.asarray(states)
        if z.shape[-1] != 2 * self.n:
            raise InputError(
                f"`states` has {z.shape[-1]} units; {self.n} qubits have {2 * self.n}."
            )
        return mean(self.shots(operator)[index(z)])

    def generator(
        self, hamiltonian: ArrayLike, jumps: Sequence[ArrayLike] = ()
    ) -> NDArray[np.float64]:
        """L with ``dp/dt = L p`` of a Lindblad equation (hbar = 1), (4^n, 4^n).

        Columns sum to 0, which keeps p normalised.

        Raises:
            InputError: An operator does not fit the number of qubits.
        """
        h = self._matrix("hamiltonian", hamiltonian)
        jump = [self._matrix("jumps", one) for one in jumps]
        columns = []
        for a in range(4**self.n):
            rho = self.reconstruct(np.eye(4**self.n)[a])
            change = -1j * (h @ rho - rho @ h)
            for c in jump:
                lost = c.conj().T @ c
                change += c @ rho @ c.conj().T - (lost @ rho + rho @ lost) / 2
            columns.append(self._contracted(change, self.effects))
        return np.array(columns).T

    def _contracted(
        self, matrix: NDArray[np.complex128], factors: NDArray[np.complex128]
    ) -> NDArray[np.float64]:
        """Real traces of a matrix with all products of one factor per qubit."""
        tensor = matrix.reshape([2] * (2 * self.n))
        for k in range(self.n):  # rows of qubits k .. n-1, columns of them, outcomes before k
            left = self.n - k
            tensor = np.tensordot(tensor, factors, ((0, left), (2, 1)))
        return np.real(tensor).ravel()

    def _matrix(self, name: str, given: ArrayLike) -> NDArray[np.complex128]:
        matrix = np.asarray(given, complex)
        if name == "rho" and matrix.ndim == 1:
            matrix = np.outer(matrix, matrix.conj())
        shape(name, matrix, (2**self.n, 2**self.n))
        return matrix


# -- states --------------------------------------------------------------------------------------


def ghz(n: int) -> NDArray[np.float64]:
    """Amplitudes of ``(|0..0> + |1..1>) / sqrt(2)``, (2^n,)."""
    in_range("n", n, 1, _LARGEST)
    psi = np.zeros(2**n)
    psi[[0, -1]] = np.sqrt(0.5)
    return psi


def bell() -> NDArray[np.float64]:
    """Amplitudes of ``(|00> + |11>) / sqrt(2)``, (4,)."""
    return ghz(2)


def werner(w: float) -> NDArray[np.float64]:
    """``w |bell><bell| + (1 - w) / 4``, (4, 4); w is the share of the pure state.

    Raises:
        InputError: w does not lie between -1/3 and 1, where this is a state.
    """
    in_range("w", w, -1 / 3 - 1e-12, 1)
    return w * np.outer(bell(), bell()) + (1 - w) * np.eye(4) / 4


# -- figures of merit ----------------------------------------------------------------------------


def fidelity(rho: ArrayLike, sigma: ArrayLike) -> float:
    """``F = Tr sqrt(sqrt(rho) sigma sqrt(rho))``, not squared.

    Negative eigenvalues, which a matrix from samples can have, count as 0.

    Raises:
        InputError: The shapes differ.
    """
    rho, sigma = np.asarray(rho, complex), np.asarray(sigma, complex)
    shape("sigma", sigma, rho.shape)
    root = _root(rho)
    inner = root @ sigma @ root
    values = np.linalg.eigvalsh((inner + inner.conj().T) / 2)
    return float(np.sqrt(values.clip(0)).sum())


def fidelity_squared(psi: ArrayLike, rho: ArrayLike) -> float:
    """``F2 = <psi|rho|psi>``, linear in rho.

    Raises:
        InputError: The shapes do not fit.
    """
    psi = np.asarray(psi, complex)
    rho = np.asarray(rho, complex)
    shape("rho", rho, (len(psi), len(psi)))
    return float(np.real(psi.conj() @ rho @ psi))


def partial_transpose(rho: ArrayLike, qubit: int = 0) -> NDArray[np.complex128]:
    """Transposed in one qubit alone; two qubits are entangled iff it has a negative eigenvalue."""
    rho = np.asarray(rho, complex)
    n = rho.shape[0].bit_length() - 1
    in_range("qubit", qubit, 0, n - 1)
    return rho.reshape([2] * (2 * n)).swapaxes(qubit, n + qubit).reshape(rho.shape)


def chsh(angle: ArrayLike, p: ArrayLike, povm: Tetrahedron | None = None) -> NDArray[np.float64]:
    """``S = E(a, b) - E(a, b') + E(a', b) + E(a', b')`` of two qubits at a family of settings.

    Spins are measured in the x-z plane at the angles a, b, a', b' = 0, t, 2 t, 3 t to z. Without
    entanglement |S| is at most 2; the Bell state gives ``3 cos t - cos 3t``.

    Args:
        angle: t, of any shape [rad].
        p: Distribution over outcomes, (16,).
        povm: The measurement, if it is turned.
    """
    c = correlation_matrix(p, povm)
    t = np.asarray(angle, float)
    finite("angle", t)

    def e(first, second):
        n = [np.stack([np.sin(x), 0 * x, np.cos(x)], -1) for x in (first, second)]
        return np.einsum("...i,ij,...j->...", n[0], c, n[1])

    return e(0 * t, t) - e(0 * t, 3 * t) + e(2 * t, t) + e(2 * t, 3 * t)


def chsh_best(p: ArrayLike, povm: Tetrahedron | None = None) -> float:
    """Largest S over all settings; noise raises it.

    Source: Horodecki, Horodecki & Horodecki (1995): ``2 sqrt(u1 + u2)``, the two largest
    eigenvalues of C^T C with the correlations C of spins along the axes.
    """
    c = correlation_matrix(p, povm)
    return float(2 * np.sqrt(np.linalg.eigvalsh(c.T @ c)[1:].sum()))


def correlation_matrix(p: ArrayLike, povm: Tetrahedron | None = None) -> NDArray[np.float64]:
    """<sigma_m sigma_n> of two qubits along x, y and z, (3, 3).

    Raises:
        InputError: `p` does not have shape (16,).
    """
    p = np.asarray(p, float)
    shape("p", p, (16,))
    corners = (povm or Tetrahedron(2)).corners
    return 9 * corners.T @ p.reshape(4, 4) @ corners


def _root(matrix: NDArray[np.complex128]) -> NDArray[np.complex128]:
    values, vectors = np.linalg.eigh((matrix + matrix.conj().T) / 2)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.conj().T
