"""Arbitrary distributions over binary variables as Boltzmann machines with auxiliary units.

Factors of one or two variables become biases and weights. A factor of more variables gets one
auxiliary unit for each joint assignment: coupled with ``+M`` to the variables that are on in the
assignment and with ``-M`` to the others, it is on only beside its own assignment, whose
probability it raises. Summed over the auxiliary units, the variables keep the distribution that
the factors describe, up to a term of the order ``exp(-M)``. All is dimensionless.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from lapicque._checks import InputError, finite, in_range, positive, shape
from lapicque.sampling.target import Boltzmann, states

Evidence = Mapping[int, int]
"""Values, 0 or 1, by variable."""


@dataclass(frozen=True, eq=False)
class Factor:
    """A function of some variables, not negative, on which their joint distribution depends.

    Raises:
        InputError: The shape of `table` does not fit, a variable occurs twice, or an entry is
            negative or not finite, or all are 0.
    """

    variables: tuple[int, ...]
    table: NDArray[np.float64]  # (2,) * order, one axis per variable

    def __post_init__(self):
        table = np.asarray(self.table, float)
        shape("table", table, (2,) * len(self.variables), "It has one axis of 2 per variable.")
        if len(set(self.variables)) < len(self.variables):
            raise InputError(f"`variables` is {self.variables}; each may occur once.")
        in_range("table", table, 0)
        if not table.any():
            raise InputError(f"`table` of the variables {self.variables} is 0 everywhere.")
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "variables", tuple(int(v) for v in self.variables))

    @property
    def order(self) -> int:
        """Number of variables."""
        return len(self.variables)


@dataclass(frozen=True, eq=False)
class FactorGraph:
    """A distribution over n binary variables that is proportional to a product of factors.

    Raises:
        InputError: A factor names a variable that does not exist.
    """

    n: int
    factors: tuple[Factor, ...]

    def __post_init__(self):
        in_range("n", self.n, 1)
        object.__setattr__(self, "factors", tuple(self.factors))
        for factor in self.factors:
            in_range("variables", factor.variables, 0, self.n - 1)

    def log_weight(self, z: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the product of all factors, for states of shape (..., n)."""
        z = np.asarray(z, np.int64)
        total = np.zeros(z.shape[:-1])
        with np.errstate(divide="ignore"):
            for factor in self.factors:
                total += np.log(factor.table[tuple(np.moveaxis(z[..., factor.variables], -1, 0))])
        return total

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Of all states, shape (2^n,), in the order of `states`.

        Raises:
            InputError: There are too many variables, or no state has a positive probability.
        """
        log_weight = self.log_weight(states(self.n))
        if log_weight.max() == -np.inf:
            raise InputError("The factors contradict each other: no state is possible.")
        return log_weight - np.asarray(logsumexp(log_weight))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of all states, shape (2^n,).

        Raises:
            InputError: There are too many variables, or no state has a positive probability.
        """
        return np.exp(self.log_probabilities)

    def given(self, evidence: Evidence) -> NDArray[np.float64]:
        """Probabilities of all states under evidence, shape (2^n,); 0 where they contradict it.

        Raises:
            InputError: A variable does not exist, a value is neither 0 nor 1, or the evidence is
                impossible.
        """
        variables, values = clamped(evidence, self.n)
        p = self.probabilities * (states(self.n)[:, variables] == values).all(1)
        if not p.any():
            raise InputError(f"The evidence {dict(evidence)} has probability 0.")
        return p / p.sum()

    def posterior(self, evidence: Evidence | None = None) -> NDArray[np.float64]:
        """Probability of each variable to be 1 under evidence, shape (n,).

        Raises:
            InputError: As `given`.
        """
        return self.given(evidence or {}) @ states(self.n)

    def compile(self, M: float = 8.0, eps: float = 0.5, floor: float | None = None) -> "Compiled":
        """A Boltzmann machine whose first n units have this distribution.

        Args:
            M: Strength of the couplings of auxiliary units. The error falls like ``exp(-2 M)``,
                but samplers that change one unit at a time mix ever more slowly.
            eps: How far the smallest entry of a table is raised above the floor that all
                assignments share, relative to itself; with 0 that entry needs no unit.
            floor: Least entry of a table relative to its largest, to which smaller ones are raised.

        Raises:
            InputError: An entry of a table is 0 and there is no floor, or a value is out of range.

        Source:
            Pecevski et al. (2011) and Probst et al. (2015) for the scheme; the numbers follow
            from the sum over the auxiliary units.
        """
        positive("M", M)
        in_range("eps", eps, 0)
        biases, weights = np.zeros(self.n), np.zeros((self.n, self.n))
        rows, thresholds, factors = [], [], []
        for number, factor in enumerate(self.factors):
            log = np.log(_positive(factor, floor))
            if factor.order == 1:
                biases[factor.variables[0]] += log[1] - log[0]
            elif factor.order == 2:
                k, j = factor.variables
                biases[k] += log[1, 0] - log[0, 0]
                biases[j] += log[0, 1] - log[0, 0]
                weights[[k, j], [j, k]] += log[1, 1] - log[1, 0] - log[0, 1] + log[0, 0]
            elif factor.order > 2:
                assignment = states(factor.order)
                mu = (1 + eps) * np.exp(log - log.min()).ravel()
                used = mu > 1
                row = np.zeros((used.sum(), self.n))
                row[:, factor.variables] = np.where(assignment[used], M, -M)
                rows.append(row)
                thresholds.append(np.log(mu[used] - 1) - M * assignment[used].sum(1))
                factors += [number] * len(row)
        rows = np.concatenate(rows) if rows else np.zeros((0, self.n))
        full = np.zeros((self.n + len(rows),) * 2)
        full[: self.n, : self.n] = weights
        full[self.n :, : self.n], full[: self.n, self.n :] = rows, rows.T
        target = Boltzmann(full, np.concatenate([biases, *thresholds]))
        return Compiled(self, target, np.array(factors, np.int64))


@dataclass(frozen=True, eq=False)
class Compiled:
    """A Boltzmann machine that stands for a factor graph, see `FactorGraph.compile`.

    Its first units are the variables, so that evidence can be clamped as it is:
    ``chains.clamp(*clamped(evidence, graph.n))``.
    """

    graph: FactorGraph
    target: Boltzmann  # variables before auxiliary units
    factors: NDArray[np.int64]  # (auxiliary units,), the factor that each one serves

    @property
    def auxiliaries(self) -> int:
        """Number of auxiliary units."""
        return self.target.n - self.graph.n

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Of all states of the variables, (2^n,), summed over the auxiliary units in closed form.

        Raises:
            InputError: There are too many variables.
        """
        n, z = self.graph.n, states(self.graph.n).astype(float)
        own = Boltzmann(self.target.weights[:n, :n], self.target.biases[:n]).log_weight(z)
        logits = z @ self.target.weights[:n, n:] + self.target.biases[n:]
        log_weight = own + np.logaddexp(0, logits).sum(1)
        return log_weight - logsumexp(log_weight)

    def mapping_error(self) -> float:
        """Divergence D_KL(graph || machine) [nat] of the variables; 0 is exact.

        Raises:
            InputError: There are too many variables.
        """
        log_p, log_q = self.graph.log_probabilities, self.log_probabilities
        p, possible = np.exp(log_p), log_p > -np.inf
        gap = (log_q - log_p)[possible]
        # sum p (exp(gap) - 1 - gap) is the same number, without the loss of digits where gap ~ 0.
        small = np.expm1(gap) - gap
        return float((p[possible] * small).sum() + np.exp(log_q[~possible]).sum())

    def variables(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The variables' part of states of shape (..., units)."""
        return states[..., : self.graph.n]


@dataclass(frozen=True, eq=False)
class BayesianNetwork:
    """Binary variables, each with the probability to be 1 given its parents.

    Example:
        >>> rain = BayesianNetwork(((), (0,)), (0.2, (0.1, 0.9)))  # variable 1: wet grass
        >>> rain.graph.posterior({1: 1})[0]

    Raises:
        InputError: A table does not fit its parents or holds something other than probabilities, a
            parent does not exist, or the parents form a cycle.
    """

    parents: tuple[tuple[int, ...], ...]
    tables: tuple[ArrayLike, ...]  # P(1 | parents), shape (2,) * parents

    def __post_init__(self):
        n = len(self.parents)
        if len(self.tables) != n:
            raise InputError(f"`tables` has {len(self.tables)} entries; {n} variables need {n}.")
        tables = tuple(np.asarray(table, float) for table in self.tables)
        for k, (parents, table) in enumerate(zip(self.parents, tables, strict=True)):
            shape(f"tables[{k}]", table, (2,) * len(parents), "It has one axis of 2 per parent.")
            in_range(f"tables[{k}]", table, 0, 1)
            if parents:
                in_range(f"parents[{k}]", parents, 0, n - 1)
        object.__setattr__(self, "tables", tables)
        self._check_order()

    @cached_property
    def graph(self) -> FactorGraph:
        """The same distribution; the factor of a variable has its parents first."""
        factors = [
            Factor((*parents, k), np.stack([1 - np.asarray(table), np.asarray(table)], -1))
            for k, (parents, table) in enumerate(zip(self.parents, self.tables, strict=True))
        ]
        return FactorGraph(len(factors), tuple(factors))

    def _check_order(self) -> None:
        settled: set[int] = set()
        waiting = set(range(len(self.parents)))
        while waiting:
            ready = {k for k in waiting if settled.issuperset(self.parents[k])}
            if not ready:
                raise InputError(f"The parents of the variables {sorted(waiting)} form a cycle.")
            settled |= ready
            waiting -= ready


def clamped(evidence: Evidence, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Evidence as units and values, as chains clamp them.

    Raises:
        InputError: A variable does not exist, or a value is neither 0 nor 1.
    """
    units = np.array(list(evidence), np.int64)
    values = np.array(list(evidence.values()), float)
    if units.size:
        in_range("evidence", units, 0, n - 1)
    finite("evidence", values)
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"`evidence` is {dict(evidence)}; values must be 0 or 1.")
    return units, values.astype(np.uint8)


# -- examples ----------------------------------------------------------------------------------


def illusion() -> BayesianNetwork:
    """A shading that has two explanations, and an outline that tells which one holds.

    Variables: a step in reflectance, a curved shape, the observed shading, the observed curved
    outline. The shading is likely under either cause; a curved outline explains it away.

    Source:
        Our own tables for the structure of the illusion of Knill and Kersten (1991) in Probst et
        al. (2015), whose tables are not known to us.
    """
    return BayesianNetwork(
        ((), (), (0, 1), (1,)), (0.5, 0.5, ((0.05, 0.6), (0.9, 0.6)), (0.1, 0.9))
    )


def random_network(n: int, seed: int, most_parents: int = 3) -> BayesianNetwork:
    """A random network: each variable has up to `most_parents` earlier ones, tables are uniform.

    The number of parents is uniform as far as there are earlier variables.

    Raises:
        InputError: There are no variables, or a number is negative.
    """
    in_range("n", n, 1)
    in_range("most_parents", most_parents, 0)
    rng = np.random.default_rng(seed)
    parents, tables = [], []
    for k in range(n):
        number = rng.integers(0, min(most_parents, k) + 1)
        parents.append(tuple(sorted(rng.permutation(k)[:number].tolist())))
        tables.append(rng.beta(1, 1, (2,) * int(number)))
    return BayesianNetwork(tuple(parents), tuple(tables))


def _positive(factor: Factor, floor: float | None) -> NDArray[np.float64]:
    table = factor.table
    if floor is not None:
        positive("floor", floor)
        return np.maximum(table, floor * table.max())
    if not table.all():
        at = tuple(int(i) for i in np.argwhere(table == 0)[0])
        raise InputError(
            f"The factor of the variables {factor.variables} is 0 at {at}, which needs infinite "
            "weights; give a `floor`, such as 1e-3."
        )
    return table
