"""Distributions to sample from: Boltzmann machines over binary units.

``p(z) = exp(z W z / 2 + b z) / Z`` for z in {0, 1}^n, with symmetric W and zero diagonal; all are
dimensionless. States are enumerated with unit 0 as the most significant bit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from lapicque._checks import InputError, finite, in_range, positive, shape

LARGEST = 20
"""Units up to which a distribution can be enumerated."""


@dataclass(frozen=True, eq=False)
class Boltzmann:
    """A Boltzmann machine.

    Raises:
        InputError: `weights` is not symmetric, has a diagonal, does not fit `biases`, or a value
            is not finite.
    """

    weights: NDArray[np.float64]  # (n, n)
    biases: NDArray[np.float64]  # (n,)

    def __post_init__(self):
        weights, biases = np.asarray(self.weights, float), np.asarray(self.biases, float)
        shape("biases", biases, (None,))
        shape("weights", weights, (len(biases), len(biases)))
        finite("weights", weights)
        finite("biases", biases)
        off = np.abs(weights - weights.T)
        if off.max(initial=0) > 1e-9 * max(1.0, np.abs(weights).max(initial=0)):
            i, j = np.unravel_index(off.argmax(), off.shape)
            raise InputError(
                f"`weights` is not symmetric: entry ({i}, {j}) is {weights[i, j]:g}, and "
                f"({j}, {i}) is {weights[j, i]:g}."
            )
        if np.diag(weights).any():
            i = int(np.flatnonzero(np.diag(weights))[0])
            raise InputError(
                f"`weights` has the diagonal entry {weights[i, i]:g} at unit {i}; it must be 0. "
                "Add it to the bias."
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @property
    def n(self) -> int:
        """Number of units."""
        return len(self.biases)

    def log_weight(self, states: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the probability, up to a constant, for states of shape (..., n)."""
        z = np.asarray(states, float)
        return 0.5 * np.einsum("...i,...i->...", z @ self.weights, z) + z @ self.biases

    def logits(self, states: ArrayLike) -> NDArray[np.float64]:
        """Log-odds of each unit given all others, for states of shape (..., n)."""
        return np.asarray(states, float) @ self.weights + self.biases

    def at_temperature(self, temperature: float) -> "Boltzmann":
        """The same energy at another temperature; this one is at 1.

        Raises:
            InputError: It is not positive.
        """
        positive("temperature", temperature)
        return Boltzmann(self.weights / temperature, self.biases / temperature)

    def given(self, units: ArrayLike, values: ArrayLike) -> "Boltzmann":
        """The other units, in their order, when some units have given values.

        Raises:
            InputError: A unit does not exist, or a value is neither 0 nor 1.
        """
        units, values = np.atleast_1d(units).astype(int), np.atleast_1d(values).astype(float)
        in_range("units", units, 0, self.n - 1)
        shape("values", values, (len(units),))
        if not np.isin(values, (0, 1)).all():
            raise InputError("`values` must be 0 or 1.")
        rest = np.setdiff1d(np.arange(self.n), units)
        return Boltzmann(
            self.weights[rest[:, None], rest],
            self.biases[rest] + self.weights[rest[:, None], units] @ values,
        )

    # -- exact, for few units ------------------------------------------------------------------

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Of all states, shape (2^n,), see `states`.

        Raises:
            InputError: There are too many units.
        """
        log_weight = self.log_weight(states(self.n))
        return log_weight - np.asarray(logsumexp(log_weight))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of all states, shape (2^n,).

        Raises:
            InputError: There are too many units.
        """
        return np.exp(self.log_probabilities)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means of units, (n,), and of products of two units, (n, n).

        Raises:
            InputError: There are too many units.
        """
        z, p = states(self.n).astype(float), self.probabilities
        return p @ z, (z * p[:, None]).T @ z

    # -- the other coding ----------------------------------------------------------------------

    def to_spins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Couplings J and fields h of the same distribution over s = 2 z - 1, `s J s / 2 + h s`."""
        return self.weights / 4, self.biases / 2 + self.weights.sum(1) / 4

    @classmethod
    def from_spins(cls, couplings: ArrayLike, fields: ArrayLike) -> "Boltzmann":
        """From couplings and fields over s in {-1, 1}, ``p(s) ~ exp(s J s / 2 + h s)``."""
        couplings, fields = np.asarray(couplings, float), np.asarray(fields, float)
        return cls(4 * couplings, 2 * fields - 2 * couplings.sum(1))


def states(n: int) -> NDArray[np.uint8]:
    """All states of n units, shape (2^n, n).

    Raises:
        InputError: n is above `LARGEST`.
    """
    if not 1 <= n <= LARGEST:
        need = 2.0**n * (n + 16) / 2**30
        raise InputError(
            f"{n} units have 2^{n} states, for which about {need:.3g} GiB are needed; at most "
            f"{LARGEST} units can be enumerated."
        )
    return ((np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1).astype(np.uint8)


def index(states: ArrayLike) -> NDArray[np.int64]:
    """Place of states of shape (..., n) in the enumeration."""
    z = np.asarray(states)
    return z.astype(np.int64) @ (1 << np.arange(z.shape[-1] - 1, -1, -1))


# -- structure ---------------------------------------------------------------------------------


def layered(layers: list[ArrayLike], biases: list[ArrayLike]) -> Boltzmann:
    """Layers that are coupled to their neighbours only; two of them are a restricted machine.

    Args:
        layers: Weights between neighbouring layers, each of shape (lower, upper).
        biases: Of each layer, from the lowest to the highest.

    Raises:
        InputError: Shapes do not fit.
    """
    sizes = [np.size(b) for b in biases]
    if len(layers) != len(sizes) - 1:
        raise InputError(f"{len(sizes)} layers need {len(sizes) - 1} matrices of weights.")
    edges = np.concatenate([[0], np.cumsum(sizes)])
    weights = np.zeros((edges[-1], edges[-1]))
    for k, matrix in enumerate(layers):
        shape(f"layers[{k}]", matrix, (sizes[k], sizes[k + 1]))
        low, high = slice(edges[k], edges[k + 1]), slice(edges[k + 1], edges[k + 2])
        weights[low, high] = matrix
        weights[high, low] = np.asarray(matrix).T
    return Boltzmann(weights, np.concatenate([np.ravel(b) for b in biases]).astype(float))


def beta_ensemble(n: int, seed: int, scale: float = 1.2) -> Boltzmann:
    """Random weights and biases within `scale` / 2 of 0, mostly near the ends.

    Source: ``scale (Beta(1/2, 1/2) - 1/2)``, as in the works on LIF sampling (not verified).
    """
    rng = np.random.default_rng(seed)
    weights = np.triu(scale * (rng.beta(0.5, 0.5, (n, n)) - 0.5), 1)
    return Boltzmann(weights + weights.T, scale * (rng.beta(0.5, 0.5, n) - 0.5))


def gauss_ensemble(n: int, seed: int) -> Boltzmann:
    """Random weights of standard deviation 1 / sqrt(2), and biases of 1."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((n, n))
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0)
    return Boltzmann(weights, rng.standard_normal(n))
