"""A linear neuron that has to find the first principal component of its inputs, sample by sample.

``y = sum_j w_j x_j`` and ``w_j <- w_j + eta f(x_j, w_j, y)``, with the same rule f at all synapses.
A family of tasks is a way to draw data sets; the fitness of a rule says how soon and how closely
the weights agree with the first principal axis at unit norm. All quantities are dimensionless.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, finite, in_range, one_of, positive, shape
from lapicque.evolve import primitives as ops
from lapicque.evolve.program import Program, operate, parse

Values = NDArray[np.float64]

INPUTS = ("x", "w", "y")
OJA = parse("y * (x - w * y)", INPUTS)
"""Oja (1982), equation 3."""
HEBB = parse("y * x", INPUTS)
"""Without bounds."""


# -- data ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DataSets:
    """Samples, where weights begin, and what they should find.

    Attributes:
        samples: In the order in which they are seen, shape (sets, samples, n).
        start: First weights, shape (sets, n).
        axes: Unit vectors along the first principal axes of the true covariances, shape (sets, n).

    Raises:
        InputError: Shapes do not fit, or a value is not finite.
    """

    samples: Values
    start: Values
    axes: Values

    def __post_init__(self) -> None:
        for name in ("samples", "start", "axes"):
            value = np.ascontiguousarray(getattr(self, name), float)
            finite(name, value)
            object.__setattr__(self, name, value)
        shape("samples", self.samples, (None, None, None))
        shape("start", self.start, (self.sets, self.n))
        shape("axes", self.axes, (self.sets, self.n))

    @property
    def sets(self) -> int:
        """Number of data sets."""
        return self.samples.shape[0]

    @property
    def n(self) -> int:
        """Number of inputs."""
        return self.samples.shape[2]

    @cached_property
    def stream(self) -> Values:
        """Samples as the simulation reads them, shape (samples, n, sets)."""
        return np.ascontiguousarray(self.samples.transpose(1, 2, 0))


@dataclass(frozen=True)
class Family:
    """Gaussian data with random covariances.

    Attributes:
        sets: Data sets in a draw.
        n: Inputs of the neuron.
        samples: In each data set.
        max_variance: Largest entry of each covariance.
        mean: Of all inputs.
        angle: If given, the first principal axis of every data set lies at this angle to the first
            input, in the plane of the first two [degree]; variances stay those of random
            covariances. Otherwise the axes are random.

    Raises:
        InputError: A value is out of range.

    Source:
        Mettler et al. (2021), arXiv:2102.04312; random covariances as in the authors' code.
        `angle` is ours.
    """

    sets: int = 10
    n: int = 2
    samples: int = 2000
    max_variance: float = 1.0
    mean: float = 0.0
    angle: float | None = None

    def __post_init__(self) -> None:
        in_range("sets", self.sets, 1)
        in_range("n", self.n, 2)
        in_range("samples", self.samples, 1)
        positive("max_variance", self.max_variance)
        finite("mean", self.mean)
        if self.angle is not None:
            in_range("angle", self.angle, -180, 180, "degrees")

    def draw(self, seed: int) -> DataSets:
        """Data sets that follow from the seed alone; those of a longer draw begin with the same."""
        in_range("seed", seed, 0)
        samples = np.empty((self.sets, self.samples, self.n))
        start, axes = np.empty((self.sets, self.n)), np.empty((self.sets, self.n))
        for d in range(self.sets):
            rng = np.random.default_rng(np.random.SeedSequence([seed, d]))
            covariance = self.covariance(rng)
            axes[d] = np.linalg.eigh(covariance)[1][:, -1]
            normal = rng.standard_normal((self.samples, self.n))
            samples[d] = self.mean + normal @ np.linalg.cholesky(covariance).T
            first = rng.uniform(-1, 1, self.n)
            start[d] = first / np.linalg.norm(first)
        return DataSets(samples, start, axes)

    def covariance(self, rng: np.random.Generator) -> Values:
        """A covariance of the family, shape (n, n)."""
        drawn = random_covariance(rng, self.n)
        drawn *= self.max_variance / drawn.max()
        if self.angle is None:
            return drawn
        variances = np.linalg.eigvalsh(drawn)[::-1]
        cos, sin = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
        turn = np.eye(self.n)
        turn[:2, :2] = (cos, -sin), (sin, cos)
        turned = turn * variances @ turn.T
        return turned * (self.max_variance / turned.max())


def random_covariance(rng: np.random.Generator, n: int) -> Values:
    """A positive definite matrix with one eigenvalue far above the others, shape (n, n).

    ``U (J + diag(u)) V^T`` with J all ones, uniform u, and the singular vectors U, V of ``A^T A``
    for uniform A.

    Source:
        `make_spd_matrix` of scikit-learn, which the authors' code calls.
    """
    a = rng.uniform(size=(n, n))
    u, _, vt = np.linalg.svd(a.T @ a)
    found = u @ (1.0 + np.diag(rng.uniform(size=n))) @ vt
    return (found + found.T) / 2


# -- learning --------------------------------------------------------------------------------------


class Learned(NamedTuple):
    """What became of the weights.

    Attributes:
        weights: At the end, shape (sets, n).
        alignment: ``|w . axis| / |w|`` before each update, shape (samples, sets); 0 where the
            weights vanish.
        finite: Whether the weights stayed finite, shape (sets,). Where they did not, alignment is 0
            from then on.
    """

    weights: Values
    alignment: Values
    finite: NDArray[np.bool_]


def learn(rule: Program, data: DataSets, eta: float = 0.01) -> Learned:
    """Weights that follow a rule, seeing each sample once.

    Args:
        rule: Of the inputs x, w and y.
        data: What is learned from.
        eta: Learning rate.

    Raises:
        InputError: The rule has other inputs, or `eta` is not positive.
    """
    positive("eta", eta)
    return _learned(rule, data, eta, False)


def _learned(rule: Program, data: DataSets, eta: float, stop: bool) -> Learned:
    if rule.inputs != INPUTS or len(rule.outputs) != 1:
        raise InputError(
            f"The rule has inputs {rule.inputs} and {len(rule.outputs)} output(s); it must have "
            f"the inputs {INPUTS} and one output."
        )
    codes, arguments, values, outputs = rule.arrays
    alignment = np.zeros((data.samples.shape[1], data.sets))
    weights = _learn(
        codes, arguments, values, outputs[0], data.stream, data.start.T, data.axes.T, eta,
        alignment, stop,
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite((weights**2).sum(0))
    return Learned(np.ascontiguousarray(weights.T), alignment, finite)


def normalised_hebb(data: DataSets, eta: float = 0.01) -> Learned:
    """Hebbian learning with weights divided by their norm after each sample, which is not local.

    Source:
        Oja (1982), equation 2.
    """
    positive("eta", eta)
    weights, rows = data.start.copy(), []
    for x in data.samples.transpose(1, 0, 2):
        rows.append(np.abs((weights * data.axes).sum(1)) / np.linalg.norm(weights, axis=1))
        weights = weights + eta * (weights * x).sum(1, keepdims=True) * x
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return Learned(weights, np.array(rows), np.ones(data.sets, bool))


@njit(error_model="numpy", cache=True)
def _learn(codes, arguments, values, output, stream, weights, axes, eta, alignment, stop):
    """Weights of all data sets side by side, so that an operation is chosen once for all of them.

    Args:
        codes, arguments, values, output: Of the rule.
        stream: Shape (samples, n, sets).
        weights, axes: Shape (n, sets).
        eta: Learning rate.
        alignment: Filled, shape (samples, sets).
        stop: Whether to stop when the weights of one data set cease to be finite; otherwise the
            others go on.

    Returns:
        The last weights, shape (n, sets).
    """
    samples, n, sets = stream.shape
    lanes = n * sets
    # rows: x, w, y, then the steps of the rule
    work = np.empty((3 + codes.size, lanes))
    for i in range(n):
        for k in range(sets):
            work[1, i * sets + k] = weights[i, k]
    axes = axes.copy()
    project, norm2 = np.empty(sets), np.empty(sets)
    for t in range(samples):
        x = stream[t]
        for k in range(sets):
            work[2, k] = 0.0
            project[k] = 0.0
            norm2[k] = 0.0
        for i in range(n):
            for k in range(sets):
                w = work[1, i * sets + k]
                work[0, i * sets + k] = x[i, k]
                work[2, k] += w * x[i, k]
                project[k] += w * axes[i, k]
                norm2[k] += w * w
        total = 0.0
        for k in range(sets):
            total += norm2[k]
            alignment[t, k] = abs(project[k]) / np.sqrt(norm2[k]) if norm2[k] > 0 else 0.0
        if not np.isfinite(total):
            if stop:
                break
            for k in range(sets):
                if not np.isfinite(norm2[k]):
                    alignment[t, k] = 0.0
        for i in range(1, n):
            for k in range(sets):
                work[2, i * sets + k] = work[2, k]
        for s in range(codes.size):
            a, b, c = arguments[s, 0], arguments[s, 1], arguments[s, 2]
            code = codes[s]
            if code == ops.ADD:
                for k in range(lanes):
                    work[3 + s, k] = work[a, k] + work[b, k]
            elif code == ops.SUB:
                for k in range(lanes):
                    work[3 + s, k] = work[a, k] - work[b, k]
            elif code == ops.MUL:
                for k in range(lanes):
                    work[3 + s, k] = work[a, k] * work[b, k]
            else:
                operate(code, work[a], work[b], work[c], values[s], work[3 + s])
        for k in range(lanes):
            work[1, k] += eta * work[output, k]
    return work[1].copy().reshape(n, sets)


# -- fitness ---------------------------------------------------------------------------------------

VALIDATION = 0.1
"""The last part of the samples, on which variance is measured."""


@dataclass(frozen=True, eq=False)
class Fitness:
    """How well a rule does, added up over data sets.

    ``sum_d [ merit_d - alpha (|w_d| - 1)^2 ]``, with the norm at the end. Rules whose weights or
    fitness do not stay finite have -inf. Objects travel between processes.

    Attributes:
        data: What rules are tried on.
        eta: Learning rate.
        mode: `angle`: merit is the mean alignment ``|w . axis| / |w|`` over all samples, at most 1,
            so that soon counts as well as close. `variance`: merit is the variance of the output
            on the last tenth of the samples with the weights that were learned from the others.
        alpha: Weight of the norm.

    Raises:
        InputError: A value is out of range, or there are too few samples to validate on.

    Source:
        Authors' code of Mettler et al. (2021), section 2.3 of the sheet; there, weights that vanish
        in one data set also wipe what was added before, which is mended here.
    """

    data: DataSets
    eta: float = 0.01
    mode: Literal["angle", "variance"] = "angle"
    alpha: float = 2.0

    def __post_init__(self) -> None:
        positive("eta", self.eta)
        in_range("alpha", self.alpha, 0)
        one_of("mode", self.mode, ("angle", "variance"))
        if self.mode == "variance":
            in_range("samples", self.data.samples.shape[1], 2 / VALIDATION)

    @cached_property
    def _parts(self) -> tuple[DataSets, Values]:
        """What is learned from, and what is validated on."""
        data, n = self.data, self.data.samples.shape[1]
        if self.mode == "angle":
            return data, data.samples[:, n:]
        cut = n - round(n * VALIDATION)
        return DataSets(data.samples[:, :cut], data.start, data.axes), data.samples[:, cut:]

    def __call__(self, rule: Program) -> float:
        """Fitness of a rule of x, w and y.

        Raises:
            InputError: The rule has other inputs.
        """
        found = self.of_sets(_learned(rule, self._parts[0], self.eta, True))
        with np.errstate(over="ignore"):
            return float(found.sum())

    def of_sets(self, learned: Learned) -> Values:
        """Fitness in each data set, shape (sets,); of weights that came about in any way."""
        if self.mode == "angle":
            merit = learned.alignment.mean(0)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                merit = np.einsum("dti,di->dt", self._parts[1], learned.weights).var(1)
        with np.errstate(over="ignore", invalid="ignore"):
            found = merit - self.alpha * (np.linalg.norm(learned.weights, axis=1) - 1) ** 2
        return np.where(learned.finite & ~np.isnan(found), found, -np.inf)


def end(learned: Learned, data: DataSets) -> tuple[Values, Values]:
    """Alignment and norm of the last weights, each of shape (sets,); 0 where weights diverged."""
    weights = np.where(learned.finite[:, None], learned.weights, 0.0)
    norm = np.linalg.norm(weights, axis=1)
    along = np.abs((weights * data.axes).sum(1))
    return np.divide(along, norm, out=np.zeros_like(norm), where=norm > 0), norm


def direction(angles: ArrayLike) -> Values:
    """Unit vectors at angles [degree] to the first of two inputs, shape (..., 2)."""
    turned = np.deg2rad(np.asarray(angles, float))
    return np.stack([np.cos(turned), np.sin(turned)], -1)
