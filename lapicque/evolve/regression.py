"""Symbolic regression, with the whole search compiled: mutation, evaluation, selection.

It is the search of `lapicque.evolve.search` for the one fitness that can be written down in
advance, the negative mean squared error over many points. Nothing leaves the compiled loop before a
piece of the run is over, so that most of the time goes into the arithmetic of the expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, finite, in_range, shape
from lapicque.evolve import primitives as ops
from lapicque.evolve.genome import Genes
from lapicque.evolve.program import Program, operate
from lapicque.evolve.search import Phenotype, Search

_BLOCK = 512  # points whose intermediate values stay in the nearest cache
_GAMMA, _FIRST, _SECOND = (
    np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB),
)  # fmt: skip


class Found(NamedTuple):
    """A population, best first.

    Attributes:
        generation: How many have passed.
        genomes: Shape (parents, genes).
        fitness: Negative mean squared error, shape (parents,).
        evaluations: Expressions evaluated on all points; silent and remembered ones do not count.
        random: State of the generator.
        keys, values: Fitness by expression, where it is remembered; shape (2**memory,).
    """

    generation: NDArray[np.int64]
    genomes: Genes
    fitness: NDArray[np.float64]
    evaluations: NDArray[np.int64]
    random: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regression:
    """Search for an expression that passes through given points.

    Populations begin as those of `search.init`, children are made, and survivors chosen, with the
    same probabilities; the random numbers are others, so that single runs differ.

    Attributes:
        search: Of one grid with one output, without parameters; mutates by `rate`.
        inputs: Shape (inputs, points).
        target: Shape (points,).
        memory: Fitness of up to 2**memory expressions is remembered; 0 for none.

    Raises:
        InputError: Shapes do not fit, a value is not finite, or the search is of another kind.
    """

    search: Search
    inputs: ArrayLike
    target: ArrayLike
    memory: int = 0

    def __post_init__(self) -> None:
        inputs, target = np.asarray(self.inputs, float), np.asarray(self.target, float)
        grid = self.search.grids[0]
        if len(self.search.grids) != 1 or grid.outputs != 1:
            raise InputError(
                f"`search` has {len(self.search.grids)} grids, the first with {grid.outputs} "
                "outputs; a regression has one of each."
            )
        if grid.has_parameters:
            raise InputError(
                "`search` has the primitive `parameter`; the compiled search knows constants only. "
                "Use `learning_generation`."
            )
        if self.search.active_genes is not None:
            raise InputError(
                f"`active_genes` is {self.search.active_genes}; the compiled search mutates by "
                "`rate`, so it must be None."
            )
        shape("inputs", inputs, (len(grid.inputs), None))
        in_range("points", inputs.shape[1], 1)
        shape("target", target, (inputs.shape[1],))
        finite("inputs", inputs)
        finite("target", target)
        in_range("memory", self.memory, 0, 28)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "target", target)

    @cached_property
    def _data(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Inputs, shape (blocks, inputs, points of a block), and target; short blocks repeat."""
        inputs, target = np.asarray(self.inputs), np.asarray(self.target)
        n = inputs.shape[1]
        blocks = -(-n // _BLOCK)
        size = -(-n // blocks)
        index = np.minimum(np.arange(blocks * size), n - 1)
        table = inputs[:, index].reshape(len(inputs), blocks, size)
        return np.ascontiguousarray(table.swapaxes(0, 1)), target

    @cached_property
    def _layout(self) -> tuple:
        grid = self.search.grids[0]
        return (
            len(grid.inputs), grid.nodes, grid.arity, grid.codes, grid.arities, grid.values,
            grid.choices, grid.shift, np.flatnonzero(grid.choices > 1),
        )  # fmt: skip

    def init(self, *seeded: Phenotype) -> Found:
        """Random parents, evaluated; the first ones can be given as expressions.

        Raises:
            InputError: More are given than there are parents, or one does not fit the grid.
        """
        genomes = self.search.init(*seeded).genomes
        words = np.random.SeedSequence([self.search.seed, 2]).generate_state(1, np.uint64)
        seeds = words.astype(np.uint64)
        size = 2**self.memory if self.memory else 0
        keys, values = np.zeros(size, np.uint64), np.zeros(size)
        fitness = np.empty(len(genomes))
        evaluations = _first(genomes, fitness, keys, values, self._layout, self._data)
        best = np.argsort(-fitness, kind="stable")
        return Found(
            np.array(0), genomes[best], fitness[best], np.array(evaluations), seeds, keys, values
        )

    def run(
        self, state: Found, generations: int, goal: float = 0.0
    ) -> tuple[Found, NDArray[np.float64]]:
        """Go on for some generations, or until the best fitness reaches a goal.

        Args:
            state: Of `init` or of an earlier run; it stays as it is.
            generations: At most so many.
            goal: Fitness at which to stop; 0 is a perfect fit.

        Returns:
            The state, and the best fitness after each generation that was made.
        """
        in_range("generations", generations, 0)
        copy = state._make(np.array(array) for array in state)
        history = np.empty(generations)
        s = self.search
        made, evaluations = _evolve(
            copy.genomes, copy.fitness, copy.random, copy.keys, copy.values, history, goal,
            s.children, s.tournament, s.rate, self._layout, self._data,
        )  # fmt: skip
        found = copy._replace(
            generation=state.generation + made, evaluations=state.evaluations + evaluations
        )
        return found, history[:made]

    def champion(self, state: Found) -> Program:
        """The best expression."""
        return self.search.phenotype(state.genomes[0])[0]

    def __call__(self, program: Program) -> float:
        """Fitness of an expression, to the last bit that of the compiled search."""
        data, target = self._data
        codes, arguments, values, outputs = program.arrays
        work = np.empty((max(1, codes.size), data.shape[2]))
        used = np.arange(codes.size)
        return _error(codes, arguments, values, int(outputs[0]), used, data, target, work)


# -- random numbers: SplitMix64 --------------------------------------------------------------------


@njit(cache=True)
def _uniform(random):
    """A number in [0, 1), in steps of 2**-53."""
    random[0] += _GAMMA
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@njit
def _copy(source, target):
    for k in range(source.size):
        target[k] = source[k]


# -- one individual --------------------------------------------------------------------------------


@njit(cache=True)
def _mark(genome, active, layout):
    """Which genes have an effect."""
    n_in, nodes, arity, _, arities, _, _, _, _ = layout
    width = 1 + arity
    for k in range(active.size):
        active[k] = False
    active[nodes * width] = True
    if genome[nodes * width] >= n_in:
        active[(genome[nodes * width] - n_in) * width] = True
    for node in range(nodes - 1, -1, -1):
        at = node * width
        if active[at]:
            for j in range(at + 1, at + 1 + arities[genome[at]]):
                active[j] = True
                if genome[j] >= n_in:
                    active[(genome[j] - n_in) * width] = True


@njit(cache=True, fastmath={"reassoc", "contract"})
def _squares(found, target, begin, end):
    total = 0.0
    for k in range(end - begin):
        difference = found[k] - target[begin + k]
        total += difference * difference
    return total


@njit(cache=True, error_model="numpy")
def _error(codes, arguments, values, output, used, data, target, work):
    """Negative mean squared error of a program; `used` are the steps that are needed."""
    blocks, n_in, size = data.shape
    total = 0.0
    for block in range(blocks):
        points = data[block]
        for k in used:
            a, b, c = arguments[k, 0], arguments[k, 1], arguments[k, 2]
            left = points[a] if a < n_in else work[a - n_in]
            right = points[b] if b < n_in else work[b - n_in]
            third = points[c] if c < n_in else work[c - n_in]
            operate(codes[k], left, right, third, values[k], work[k])
        found = points[output] if output < n_in else work[output - n_in]
        begin = block * size
        total += _squares(found, target, begin, min(begin + size, target.size))
    result = -total / target.size
    return result if result > -np.inf else -np.inf


@njit(cache=True)
def _mixed(a, b):
    z = (a ^ (a >> np.uint64(29))) * _FIRST + b + _GAMMA
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@njit(cache=True, error_model="numpy")
def _fitness(genome, active, keys, values, room, layout, data):
    """Fitness, and whether it had to be computed."""
    n_in, nodes, arity, codes, arities, constants, _, _, _ = layout
    own_codes, arguments, own_values, used, work, digests = room
    points, target = data
    width, n = 1 + arity, 0
    for node in range(nodes):
        at = node * width
        if active[at]:
            kind = genome[at]
            own_codes[node], own_values[node] = codes[kind], constants[kind]
            for j in range(arities[kind]):
                arguments[node, j] = genome[at + 1 + j]
            for j in range(arities[kind], 3):
                arguments[node, j] = 0
            used[n] = node
            n += 1
    output, place = genome[nodes * width], 0
    if keys.size:
        for a in range(n_in):
            digests[a] = _mixed(np.uint64(a + 1), _SECOND)
        for node in used[:n]:
            kind, code = genome[node * width], own_codes[node]
            digest = _mixed(np.uint64(kind + 1), _FIRST)
            takes = arities[kind]
            swap = (
                code == ops.ADD or code == ops.MUL or code == ops.MIN or code == ops.MAX
            ) and digests[arguments[node, 0]] > digests[arguments[node, 1]]
            for j in range(takes):
                digest = _mixed(digest, digests[arguments[node, 1 - j if swap else j]])
            digests[n_in + node] = digest
        key = digests[output] | np.uint64(1)  # 0 marks an empty place
        mask = keys.size - 1
        place = np.int64(key >> np.uint64(8)) & mask
        for _ in range(16):
            if keys[place] == key:
                return values[place], False
            if keys[place] == 0:
                break
            place = (place + 1) & mask
        result = _error(own_codes, arguments, own_values, output, used[:n], points, target, work)
        keys[place], values[place] = key, result
        return result, True
    return _error(
        own_codes, arguments, own_values, output, used[:n], points, target, work
    ), True  # fmt: skip


@njit(cache=True)
def _room(layout, data):
    n_in, nodes = layout[0], layout[1]
    return (
        np.zeros(nodes, np.int64), np.zeros((nodes, 3), np.int64), np.zeros(nodes),
        np.zeros(nodes, np.int64), np.zeros((nodes, data[0].shape[2])),
        np.zeros(n_in + nodes, np.uint64),
    )  # fmt: skip


# -- the population --------------------------------------------------------------------------------


@njit(cache=True)
def _first(genomes, fitness, keys, values, layout, data):
    active = np.zeros(genomes.shape[1], np.bool_)
    room, count = _room(layout, data), 0
    for i in range(genomes.shape[0]):
        _mark(genomes[i], active, layout)
        fitness[i], computed = _fitness(genomes[i], active, keys, values, room, layout, data)
        count += computed
    return count


@njit(cache=True)
def _mutate(child, active, random, skip, layout):
    """Change genes of a copy of the parent whose active genes are given; whether one of them is."""
    n_in, _, _, _, _, _, choices, shift, mutable = layout
    loud, k = False, -1
    while True:
        # the gap between independent events of equal probability is geometric
        gap = np.floor(np.log1p(-_uniform(random)) * skip)
        if not gap < mutable.size - 1 - k:
            return loud
        k += 1 + np.int64(gap)
        place = mutable[k]
        old = child[place]
        if old >= n_in:
            old -= shift[place]
        new = np.int64(_uniform(random) * (choices[place] - 1))
        new += new >= old
        child[place] = new + shift[place] if new >= n_in else new
        loud |= active[place]


@njit(cache=True, nogil=True)
def _evolve(
    genomes, fitness, random, keys, values, history, goal, children, tournament, rate, layout, data
):
    """Generations in place; how many were made, and how many expressions evaluated."""
    parents, length = genomes.shape
    both = children + parents
    pool, pool_fitness = np.empty((both, length), np.int64), np.empty(both)
    pool_active = np.zeros((both, length), np.bool_)
    active = np.zeros((parents, length), np.bool_)
    for i in range(parents):
        _mark(genomes[i], active[i], layout)
    room, order = _room(layout, data), np.empty(both, np.int64)
    drawn = np.empty(parents, np.int64)
    skip = 1.0 / np.log1p(-rate) if 0.0 < rate < 1.0 else (-np.inf if rate <= 0.0 else -0.0)
    evaluations = 0
    for generation in range(history.size):
        if fitness[0] >= goal:
            return generation, evaluations
        for k in range(parents):
            drawn[k] = k
        for i in range(children):
            best = parents
            for k in range(tournament):
                other = k + np.int64(_uniform(random) * (parents - k))
                drawn[k], drawn[other] = drawn[other], drawn[k]
                best = min(best, drawn[k])
            _copy(genomes[best], pool[i])
            if _mutate(pool[i], active[best], random, skip, layout):
                _mark(pool[i], pool_active[i], layout)
                pool_fitness[i], computed = _fitness(
                    pool[i], pool_active[i], keys, values, room, layout, data
                )
                evaluations += computed
            else:
                _copy(active[best], pool_active[i])
                pool_fitness[i] = fitness[best]
        for i in range(parents):
            _copy(genomes[i], pool[children + i])
            _copy(active[i], pool_active[children + i])
            pool_fitness[children + i] = fitness[i]
        for i in range(both):  # a stable sort by insertion: children first where all is equal
            k = i
            while k > 0 and pool_fitness[order[k - 1]] < pool_fitness[i]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
        for i in range(parents):
            _copy(pool[order[i]], genomes[i])
            _copy(pool_active[order[i]], active[i])
            fitness[i] = pool_fitness[order[i]]
        history[generation] = fitness[0]
    return history.size, evaluations
