"""Genomes of Cartesian genetic programming: integers that say which node does what with which.

A genome describes a grid of nodes. A node has one gene for its operation and one address for each
argument; an address is an input or an earlier node. Output genes say which nodes are read. Nodes
that no output needs are silent, and may change without any effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range
from lapicque.evolve.primitives import PARAMETER, Primitive

Genes = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """What genomes of a kind have in common.

    Attributes:
        inputs: Names of the inputs of the expression.
        primitives: What a node can do.
        columns, rows: Of nodes; those of a column do not see each other.
        levels_back: So many columns back a node can read; all earlier ones if `None`.
        outputs: How many expressions a genome holds.

    Raises:
        InputError: A number is out of range, or names are not distinct identifiers.

    Source:
        Miller (1999); the layout follows hal-cgp, the library of Jordan et al. (2021).
    """

    inputs: tuple[str, ...]
    primitives: tuple[Primitive, ...]
    columns: int = 12
    rows: int = 1
    levels_back: int | None = None
    outputs: int = 1

    def __post_init__(self) -> None:
        for name in ("columns", "rows", "outputs"):
            in_range(name, getattr(self, name), 1)
        if self.levels_back is not None:
            in_range("levels_back", self.levels_back, 1, self.columns)
        if not self.primitives:
            raise InputError("`primitives` is empty; a node must be able to do something.")
        if len(set(self.inputs)) != len(self.inputs) or not all(
            name.isidentifier() for name in self.inputs
        ):
            raise InputError(f"`inputs` is {self.inputs}; it must hold distinct identifiers.")

    @cached_property
    def arity(self) -> int:
        """Addresses of a node: the most that any primitive takes."""
        return max(1, *(p.arity for p in self.primitives))

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.columns * self.rows

    @property
    def length(self) -> int:
        """Number of genes."""
        return self.nodes * (1 + self.arity) + self.outputs

    @cached_property
    def choices(self) -> Genes:
        """How many values each gene can have, shape (length,)."""
        return self._bounds[0]

    @cached_property
    def shift(self) -> Genes:
        """What is added to values beyond the inputs, shape (length,)."""
        return self._bounds[1]

    @cached_property
    def _bounds(self) -> tuple[Genes, Genes]:
        n_in, width = len(self.inputs), 1 + self.arity
        choices, shift = np.empty(self.length, np.int64), np.zeros(self.length, np.int64)
        column = np.arange(self.nodes) // self.rows
        back = column if self.levels_back is None else np.minimum(column, self.levels_back)
        hidden = choices[: self.nodes * width].reshape(self.nodes, width)
        hidden[:, 0] = len(self.primitives)
        hidden[:, 1:] = (n_in + back * self.rows)[:, None]
        away = shift[: self.nodes * width].reshape(self.nodes, width)
        away[:, 1:] = ((column - back) * self.rows)[:, None]
        choices[self.nodes * width :] = n_in + self.nodes
        if (choices < 1).any():
            raise InputError("`inputs` is empty; nodes of the first column have nothing to read.")
        return choices, shift

    @cached_property
    def codes(self) -> Genes:
        """Code of each primitive."""
        return np.array([p.code for p in self.primitives], np.int64)

    @cached_property
    def arities(self) -> Genes:
        """Arguments of each primitive."""
        return np.array([p.arity for p in self.primitives], np.int64)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Value of each primitive that is a constant or begins a parameter."""
        return np.array([p.value for p in self.primitives])

    @property
    def has_parameters(self) -> bool:
        """Whether nodes can have parameters."""
        return bool((self.codes == PARAMETER).any())

    # -- genomes -------------------------------------------------------------------------------

    def random(self, rng: np.random.Generator, n: int) -> Genes:
        """Genomes with all genes uniform among their values, shape (n, length)."""
        drawn = rng.integers(0, self.choices, (n, self.length))
        return drawn + (drawn >= len(self.inputs)) * self.shift

    def mutate(self, rng: np.random.Generator, genomes: Genes, rate: float) -> Genes:
        """Change each gene with a probability, to any other of its values.

        Args:
            rng: Source of randomness.
            genomes: Shape (n, length); they stay as they are.
            rate: Probability for each gene that has more than one value.

        Raises:
            InputError: `rate` is no probability.
        """
        in_range("rate", rate, 0, 1)
        hit = rng.random(genomes.shape) < rate
        hit &= self.choices > 1
        return self._changed(rng, genomes, hit)

    def mutate_active(self, rng: np.random.Generator, genomes: Genes, n: int = 1) -> Genes:
        """Change genes one after the other until so many active ones have changed.

        Args:
            rng: Source of randomness.
            genomes: Shape (individuals, length); they stay as they are.
            n: Active genes to change.
        """
        in_range("n", n, 1)
        result = genomes.copy()
        for row in result:
            left, active = n, self.is_active(row)
            while left:
                place = int(rng.integers(self.length))
                if self.choices[place] < 2:
                    continue
                row[place] = self._other(rng, row[place], place)
                if active[place]:
                    left, active = left - 1, self.is_active(row)
        return result

    def _changed(self, rng, genomes: Genes, hit: NDArray[np.bool_]) -> Genes:
        rows, genes = np.nonzero(hit)
        result = genomes.copy()
        result[rows, genes] = self._other(rng, genomes[rows, genes], genes)
        return result

    def _other(self, rng, old, genes):
        """Any other value of genes."""
        n_in = len(self.inputs)
        old = old - (old >= n_in) * self.shift[genes]
        new = rng.integers(0, self.choices[genes] - 1)
        new = new + (new >= old)
        return new + (new >= n_in) * self.shift[genes]

    def check(self, genome: Sequence[int] | Genes) -> Genes:
        """A genome as an array.

        Raises:
            InputError: It has the wrong length, or a gene is none of its values.
        """
        genes = np.asarray(genome)
        if genes.shape != (self.length,) or not np.issubdtype(genes.dtype, np.integer):
            raise InputError(
                f"`genome` has shape {genes.shape} of {genes.dtype}; it must hold {self.length} "
                "integers."
            )
        back = genes - (genes >= len(self.inputs)) * self.shift
        wrong = (back < 0) | (back >= self.choices) | (
            (genes >= len(self.inputs)) & (back < len(self.inputs)) & (self.shift > 0)
        )  # fmt: skip
        if wrong.any():
            k = int(np.argmax(wrong))
            low, high = len(self.inputs) + self.shift[k], self.choices[k] + self.shift[k] - 1
            rule = f"0 to {high}" if not self.shift[k] else (
                f"0 to {len(self.inputs) - 1} or {low} to {high}"
            )  # fmt: skip
            raise InputError(f"`genome[{k}]` is {genes[k]}; it must be one of {rule}.")
        return genes.astype(np.int64)

    def active_nodes(self, genome: Genes) -> NDArray[np.bool_]:
        """Which nodes an output needs, shape (nodes,)."""
        return _active(genome, self.nodes, self.arity, len(self.inputs), self.arities)

    def is_active(self, genome: Genes) -> NDArray[np.bool_]:
        """Which genes have an effect, shape (length,)."""
        width = 1 + self.arity
        found = np.ones(self.length, bool)
        hidden = found[: self.nodes * width].reshape(self.nodes, width)
        operation = genome[: self.nodes * width].reshape(self.nodes, width)[:, 0]
        used = np.arange(width) <= self.arities[operation][:, None]
        hidden[:] = self.active_nodes(genome)[:, None] & used
        return found

    def silent(self, parents: Genes, children: Genes) -> NDArray[np.bool_]:
        """Which children do the same as their parents, since only silent genes differ."""
        return _silent(parents, children, self.nodes, self.arity, len(self.inputs), self.arities)

    # -- the flat layout of hal-cgp ------------------------------------------------------------

    def to_dna(self, genome: Genes) -> list[int]:
        """Regions of inputs, nodes and outputs: `[-1, -3]`, genes, `[-2, address, -3]`, ..."""
        width = 1 + self.arity
        dna = [-1, *[-3] * self.arity] * len(self.inputs)
        dna += [int(g) for g in genome[: self.nodes * width]]
        for address in genome[self.nodes * width :]:
            dna += [-2, int(address), *[-3] * (self.arity - 1)]
        return dna

    def from_dna(self, dna: Sequence[int]) -> Genes:
        """The way back.

        Raises:
            InputError: The length does not fit, or a gene is none of its values.
        """
        width = 1 + self.arity
        regions = len(self.inputs) + self.nodes + self.outputs
        if len(dna) != regions * width:
            raise InputError(f"`dna` has {len(dna)} genes; it must have {regions * width}.")
        table = np.asarray(dna).reshape(regions, width)
        hidden = table[len(self.inputs) : len(self.inputs) + self.nodes]
        return self.check(np.concatenate([hidden.ravel(), table[-self.outputs :, 1]]))


@njit(cache=True)
def _active(genome, nodes, arity, n_in, arities):
    found = np.zeros(nodes, np.bool_)
    width = 1 + arity
    for k in range(nodes * width, genome.size):
        if genome[k] >= n_in:
            found[genome[k] - n_in] = True
    for node in range(nodes - 1, -1, -1):
        if found[node]:
            at = node * width
            for j in range(arities[genome[at]]):
                if genome[at + 1 + j] >= n_in:
                    found[genome[at + 1 + j] - n_in] = True
    return found


@njit(cache=True)
def _silent(parents, children, nodes, arity, n_in, arities):
    same = np.ones(parents.shape[0], np.bool_)
    width = 1 + arity
    for i in range(parents.shape[0]):
        parent, child = parents[i], children[i]
        for k in range(nodes * width, parent.size):
            if parent[k] != child[k]:
                same[i] = False
        if not same[i]:
            continue
        active = _active(parent, nodes, arity, n_in, arities)
        for node in range(nodes):
            if not active[node]:
                continue
            at = node * width
            if parent[at] != child[at]:
                same[i] = False
                break
            for j in range(arities[parent[at]]):
                if parent[at + 1 + j] != child[at + 1 + j]:
                    same[i] = False
    return same
