"""The Ising chain in a transverse field, with the ground state as the root of a distribution.

``H = -J sum_i Z_i Z_{i+1} - h sum_i X_i`` on a ring. All off-diagonal elements are negative or 0,
so the amplitudes of the ground state can be chosen positive: ``psi(v) = sqrt(p(v))``. Spin 0 is the
most significant bit of a state; bit 0 stands for Z = 1, bit 1 for Z = -1. Energies are in units
of J.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import eigsh

from lapicque._checks import InputError, in_range, shape
from lapicque.sampling.target import LARGEST, states


@dataclass(frozen=True)
class Ising:
    """A ring of spins in a transverse field.

    With two spins the bond counts twice.

    Attributes:
        n: Number of spins, 2 to 20.
        field: Transverse field h, at least 0 [J].

    Raises:
        InputError: A value is out of range.
    """

    n: int
    field: float = 1.0

    def __post_init__(self):
        in_range("n", self.n, 2, LARGEST)
        in_range("field", self.field, 0, unit="J")

    # -- exact -----------------------------------------------------------------------------------

    @property
    def ground_energy(self) -> float:
        """Of the whole ring, by free fermions.

        ``E0 = -sum_m sqrt(1 + h^2 + 2 h cos(2 pi m / n))``, m from -(n-1)/2 to (n-1)/2.

        Source: Klassert et al. (2022), exact solution after Pfeuty (1970).
        """
        k = 2 * np.pi * (np.arange(self.n) - (self.n - 1) / 2) / self.n
        h = self.field
        return float(-np.sqrt(np.maximum(1 + h**2 + 2 * h * np.cos(k), 0)).sum())

    @cached_property
    def hamiltonian(self) -> csr_array:
        """Sparse matrix, (2^n, 2^n)."""
        every = np.arange(2**self.n)
        flips = [every ^ (1 << i) for i in range(self.n)]
        off = coo_array(
            (
                np.full(self.n * len(every), -float(self.field)),
                (np.tile(every, self.n), np.concatenate(flips)),
            ),
            shape=(len(every), len(every)),
        )
        return csr_array(diags_array(self._diagonal) + off)

    def spectrum(self, levels: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest energies, (levels,), and their vectors, (2^n, levels), by diagonalisation.

        Raises:
            InputError: There are not as many levels.
        """
        in_range("levels", levels, 1, 2**self.n)
        if self.n <= 10:
            energies, vectors = np.linalg.eigh(self.hamiltonian.toarray())
            return energies[:levels], vectors[:, :levels]
        energies, vectors = eigsh(self.hamiltonian, levels, which="SA")
        order = np.argsort(energies)
        return energies[order], vectors[:, order]

    @cached_property
    def ground_state(self) -> NDArray[np.float64]:
        """Positive amplitudes, (2^n,).

        In weak fields, in which two states have nearly the same energy, the vector is a matter of
        rounding; at h = 0, it is taken as the even one.
        """
        if self.field == 0:
            psi = np.zeros(2**self.n)
            psi[[0, -1]] = np.sqrt(0.5)
            return psi
        psi = np.abs(self.spectrum(1)[1][:, 0])
        return psi / np.linalg.norm(psi)

    # -- of a distribution ----------------------------------------------------------------------

    def energy(self, p: ArrayLike) -> float:
        """Of the state sqrt(p), never below the ground energy.

        Raises:
            InputError: `p` is not a distribution of shape (2^n,).
        """
        p = self._checked(p)
        return float(p @ self._diagonal - self.field * self.n * self._flipped(p).mean())

    def local_energy(self, p: ArrayLike, epsilon: float = 0.0) -> NDArray[np.float64]:
        """``E_loc(v) = sum_v' H_vv' sqrt(p(v') / (p(v) + epsilon))``, (2^n,); its mean is `energy`.

        States with p + epsilon = 0 have only the part of the couplings; no sample shows them.

        Raises:
            InputError: `p` is not a distribution of shape (2^n,), or `epsilon` is negative.
        """
        p = self._checked(p)
        in_range("epsilon", epsilon, 0)
        every = np.arange(len(p))
        total = sum(np.sqrt(p[every ^ (1 << i)]) for i in range(self.n))
        root = np.sqrt(p + epsilon)
        return self._diagonal - self.field * np.divide(
            total, root, out=np.zeros_like(p), where=root > 0
        )

    def fidelity(self, p: ArrayLike) -> float:
        """Overlap ``sum_v sqrt(p(v)) psi0(v)`` with the ground state, not squared."""
        return float(np.sqrt(self._checked(p)) @ self.ground_state)

    def magnetisation_x(self, p: ArrayLike) -> float:
        """<X> per spin."""
        return float(self._flipped(self._checked(p)).mean())

    def correlation_zz(self, p: ArrayLike) -> NDArray[np.float64]:
        """<Z_i Z_{i+d}>, averaged over i, for d = 0 .. n // 2."""
        p, z = self._checked(p), self._z
        return np.array(
            [p @ (z * np.roll(z, -d, 1)).mean(1) for d in range(self.n // 2 + 1)],
        )

    def magnetisation_z(self, p: ArrayLike) -> NDArray[np.float64]:
        """Distribution of sum_i Z_i / 2, which is -n/2, -n/2 + 1, .. n/2; (n + 1,)."""
        up = ((self._z.sum(1) + self.n) // 2).astype(int)
        return np.bincount(up, self._checked(p), self.n + 1).astype(float)

    # -- parts -----------------------------------------------------------------------------------

    @cached_property
    def _z(self) -> NDArray[np.float64]:
        return 1.0 - 2.0 * states(self.n).astype(np.float64)

    @cached_property
    def _diagonal(self) -> NDArray[np.float64]:
        return -(self._z * np.roll(self._z, -1, 1)).sum(1)

    def _flipped(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """sum_v sqrt(p(v) p(F_i v)) for each spin i."""
        root, every = np.sqrt(p), np.arange(len(p))
        return np.array([root @ root[every ^ (1 << i)] for i in range(self.n)])

    def _checked(self, p: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(p, float)
        shape("p", p, (2**self.n,))
        in_range("p", p, 0)
        if abs(p.sum() - 1) > 1e-6:
            raise InputError(f"`p` sums to {p.sum():g}; it must be a distribution.")
        return p


def correlation_length(correlation: ArrayLike) -> float:
    """xi of the fit ``a exp(-d / xi) + b`` to correlations at distances d = 0, 1, ...

    On a ring, the distances below half of it are the ones to give.

    Returns:
        `nan` where they do not fall, or where there are fewer than three.
    """
    c = np.asarray(correlation, float)
    d = np.arange(len(c))
    if len(c) < 3 or c[0] - c[-1] <= 1e-9:
        return float("nan")
    try:
        fit, _ = curve_fit(
            lambda d, a, xi, b: a * np.exp(-d / xi) + b,
            d,
            c,
            p0=(c[0] - c[-1], 1.0, c[-1]),
            bounds=([0, 1e-3, -2], [np.inf, 1e3, 2]),
        )
    except RuntimeError:
        return float("nan")
    return float(fit[1])
