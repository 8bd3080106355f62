"""Evolution of genomes: (mu + lambda) with tournaments and neutral drift.

The search is a pure function of its state: what happens in a generation follows from the state and
the seed, so that a run can be cut anywhere and goes on the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, shape
from lapicque.evolve.genome import Genes, Grid
from lapicque.evolve.primitives import PARAMETER
from lapicque.evolve.program import Program

Values = NDArray[np.float64]
Phenotype = tuple[Program, ...]


class State(NamedTuple):
    """A population, best first once it has been evaluated.

    Attributes:
        generation: How many have passed.
        genomes: All genomes of an individual one after the other, shape (parents, genes).
        parameters: Of all nodes, shape (parents, nodes).
        fitness: `nan` before the first evaluation, shape (parents,).
        evaluations: How often fitness was asked for.
    """

    generation: NDArray[np.int64]
    genomes: Genes
    parameters: Values
    fitness: Values
    evaluations: NDArray[np.int64]


class Asked(NamedTuple):
    """Individuals of which some need to be evaluated.

    Attributes:
        genomes, parameters: As in `State`.
        fitness: Known where a child does the same as its parent, otherwise `nan`.
    """

    genomes: Genes
    parameters: Values
    fitness: Values

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which need to be evaluated."""
        return np.isnan(self.fitness)


@dataclass(frozen=True)
class Search:
    """(mu + lambda) evolution.

    Children are clones of tournament winners, mutated. Those in which only silent genes changed
    keep their fitness. Children and parents compete; children come first where fitness is equal,
    so that silent changes add up.

    Attributes:
        grids: Of the genomes of an individual, one or several.
        parents: How many survive.
        children: How many are made in a generation.
        tournament: Parents of which the best is cloned.
        rate: Probability with which each gene mutates.
        active_genes: If given, mutation goes on until so many active genes of each genome have
            changed, and `rate` is not used.
        seed: Of everything random.

    Raises:
        InputError: A value is out of range.

    Source:
        Jordan et al. (2021) and its library, sections 2.1 to 2.3 of the sheet.
    """

    grids: tuple[Grid, ...]
    parents: int = 1
    children: int = 4
    tournament: int = 1
    rate: float = 0.05
    active_genes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.grids, Grid):
            object.__setattr__(self, "grids", (self.grids,))
        in_range("parents", self.parents, 1)
        in_range("children", self.children, 1)
        in_range("tournament", self.tournament, 1, self.parents)
        in_range("rate", self.rate, 0, 1)
        in_range("seed", self.seed, 0)
        if self.active_genes is not None:
            in_range("active_genes", self.active_genes, 1)

    @cached_property
    def _genes(self) -> list[slice]:
        return _slices([grid.length for grid in self.grids])

    @cached_property
    def _nodes(self) -> list[slice]:
        return _slices([grid.nodes for grid in self.grids])

    def _rng(self, generation: int, use: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, generation, use]))

    def init(self, *seeded: Phenotype) -> State:
        """Random parents; the first ones can be given as expressions.

        Raises:
            InputError: More are given than there are parents, or one does not fit its grid.
        """
        if len(seeded) > self.parents:
            raise InputError(f"{len(seeded)} parents are given; there are {self.parents}.")
        rng = self._rng(0, 0)
        genomes = np.concatenate([grid.random(rng, self.parents) for grid in self.grids], axis=1)
        for k, programs in enumerate(seeded):
            for grid, own, program in zip(self.grids, self._genes, programs, strict=True):
                genomes[k, own] = program.encode(grid, genomes[k, own])
        fitness = np.full(self.parents, np.nan)
        return State(np.array(0), genomes, self._begin(genomes), fitness, np.array(0))

    def _begin(self, genomes: Genes) -> Values:
        """Parameters where they begin."""
        return np.concatenate(
            [
                grid.values[genomes[:, own][:, : grid.nodes * (1 + grid.arity) : 1 + grid.arity]]
                for grid, own in zip(self.grids, self._genes, strict=True)
            ],
            axis=1,
        )

    def ask(self, state: State) -> Asked:
        """The next children, or at the beginning the parents."""
        if np.isnan(state.fitness).any():
            return Asked(state.genomes, state.parameters, state.fitness)
        rng = self._rng(int(state.generation), 1)
        order = rng.permuted(
            np.broadcast_to(np.arange(self.parents), (self.children, self.parents)), axis=1
        )
        # parents are sorted, so the winner is the first of those drawn
        chosen = order[:, : self.tournament].min(1)
        parents = state.genomes[chosen]
        if self.active_genes is None:
            mutated = [
                grid.mutate(rng, parents[:, own], self.rate)
                for grid, own in zip(self.grids, self._genes, strict=True)
            ]
        else:
            mutated = [
                grid.mutate_active(rng, parents[:, own], self.active_genes)
                for grid, own in zip(self.grids, self._genes, strict=True)
            ]
        genomes = np.concatenate(mutated, axis=1)
        silent = np.ones(self.children, bool)
        for grid, own in zip(self.grids, self._genes, strict=True):
            silent &= grid.silent(parents[:, own], genomes[:, own])
        parameters = self._inherited(parents, genomes, state.parameters[chosen])
        return Asked(genomes, parameters, np.where(silent, state.fitness[chosen], np.nan))

    def _inherited(self, parents: Genes, genomes: Genes, parameters: Values) -> Values:
        """Parameters begin anew where the operation of a node has changed."""
        if not any(grid.has_parameters for grid in self.grids):
            return parameters
        begin = self._begin(genomes)
        changed = np.concatenate(
            [
                (parents[:, own] != genomes[:, own])[
                    :, : grid.nodes * (1 + grid.arity) : 1 + grid.arity
                ]
                for grid, own in zip(self.grids, self._genes, strict=True)
            ],
            axis=1,
        )
        return np.where(changed, begin, parameters)

    def tell(self, state: State, asked: Asked, fitness: Values) -> State:
        """The population after a generation.

        Args:
            state: In which was asked.
            asked: What `ask` returned.
            fitness: Of all that were asked for; `nan` counts as the worst.

        Raises:
            InputError: There are not as many values as individuals.
        """
        shape("fitness", fitness, asked.fitness.shape)
        fitness = np.where(np.isnan(fitness), -np.inf, np.asarray(fitness, float))
        generation, genomes, parameters = int(state.generation), asked.genomes, asked.parameters
        if not np.isnan(state.fitness).any():
            generation += 1
            genomes = np.concatenate([genomes, state.genomes])
            parameters = np.concatenate([parameters, state.parameters])
            fitness = np.concatenate([fitness, state.fitness])
        best = np.argsort(-fitness, kind="stable")[: self.parents]
        asked_for = int(asked.unknown.sum())
        return State(
            np.array(generation), genomes[best], parameters[best], fitness[best],
            state.evaluations + asked_for,
        )  # fmt: skip

    def phenotype(self, genome: Genes, parameters: Values | None = None) -> Phenotype:
        """What an individual does: one expression for each of its genomes."""
        return tuple(
            Program.decode(grid, genome[own], None if parameters is None else parameters[nodes])
            for grid, own, nodes in zip(self.grids, self._genes, self._nodes, strict=True)
        )

    def champion(self, state: State) -> Phenotype:
        """What the best of a population does."""
        return self.phenotype(state.genomes[0], state.parameters[0])

    def with_parameters(self, genome: Genes, programs: Phenotype, parameters: Values) -> Values:
        """Parameters of the nodes, with those of the active ones taken from programs."""
        result = parameters.copy()
        for grid, own, nodes, program in zip(
            self.grids, self._genes, self._nodes, programs, strict=True
        ):
            active = np.flatnonzero(grid.active_nodes(genome[own]))
            for node, step in zip(active, program.steps, strict=True):
                if step.primitive.code == PARAMETER:
                    result[nodes.start + node] = step.value
        return result


def _slices(lengths: list[int]) -> list[slice]:
    edges = np.concatenate([[0], np.cumsum(lengths)])
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]
