"""Which units of two populations are connected, and how far apart they are.

Own connectors derive from `Connector` and draw pairs. All of these draw the same pairs from the
same random state, in an order that arrays of weights or delays follow. "By neuron" below means in
the order of postsynaptic units, and within one of them in the order in which inputs were drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive, shape

Index = NDArray[np.int32]
Pairs = tuple[Index, Index]
Positions = tuple[NDArray[np.float64], NDArray[np.float64]]
Box = float | tuple[float, ...]
OfDistance = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_BLOCK = 1 << 20  # distances that are held at a time


@dataclass(frozen=True, kw_only=True)
class Connector(ABC):
    """Draws pairs of units. With a `box`, distances are those on a torus of these edge lengths."""

    box: Box | None = None

    @abstractmethod
    def pairs(
        self,
        pre: int,
        post: int,
        rng: np.random.Generator,
        *,
        same: bool = False,
        positions: Positions | None = None,
    ) -> Pairs:
        """Indices of the presynaptic and the postsynaptic unit of each synapse.

        Args:
            pre: Number of presynaptic units.
            post: Number of postsynaptic units.
            rng: Source of randomness.
            same: Whether both are the same population.
            positions: Of the presynaptic and the postsynaptic units, each an array of shape
                (units, dimensions), where both populations have them.

        Raises:
            InputError: The connector does not fit these populations.
        """
        ...


@dataclass(frozen=True)
class AllToAll(Connector):
    """Every pair once, in the order of a flat matrix of shape (post, pre).

    Without self-connections the entries of the diagonal are left out of that order.
    """

    self_connections: bool = True

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        pool = _pool(pre, same, self.self_connections)
        sources = np.tile(np.arange(pool, dtype=np.int32), post)
        return _finished(sources, _repeated(post, pool), same, self.self_connections)


@dataclass(frozen=True)
class OneToOne(Connector):
    """Unit `k` to unit `k`, in this order."""

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        if pre != post:
            raise InputError(
                f"`OneToOne` needs populations of one size; these have {pre} and {post} units."
            )
        return np.arange(pre, dtype=np.int32), np.arange(post, dtype=np.int32)


@dataclass(frozen=True)
class FixedProbability(Connector):
    """Each pair with probability `p`, independent of the others, by neuron.

    Raises:
        InputError: `p` is no probability.
    """

    p: float
    self_connections: bool = True

    def __post_init__(self):
        in_range("p", self.p, 0, 1)

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        pool = _pool(pre, same, self.self_connections)
        sources, targets = _without_doubles(rng.binomial(pool, self.p, post), pool, rng)
        return _finished(sources, targets, same, self.self_connections)


@dataclass(frozen=True)
class FixedInDegree(Connector):
    """Exactly `n` inputs for every postsynaptic unit, each drawn from all others alike, by neuron.

    Raises:
        InputError: `n` is no number of inputs, or, without `multiple`, more than there are units.
    """

    n: int
    self_connections: bool = True
    multiple: bool = True  # whether a pair may be drawn again

    def __post_init__(self):
        _whole("n", self.n)

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        pool = _pool(pre, same, self.self_connections)
        _enough(self.n, pool, self.multiple)
        if self.multiple:
            drawn = rng.integers(max(pool, 1), size=post * self.n, dtype=np.int32)
            sources, targets = drawn, _repeated(post, self.n)
        else:
            sources, targets = _without_doubles(np.full(post, self.n), pool, rng)
        return _finished(sources, targets, same, self.self_connections)


@dataclass(frozen=True)
class FixedOutDegree(Connector):
    """Exactly `n` outputs for every presynaptic unit, in the order of presynaptic units.

    Raises:
        InputError: `n` is no number of outputs, or, without `multiple`, more than there are units.
    """

    n: int
    self_connections: bool = True
    multiple: bool = True  # whether a pair may be drawn again

    def __post_init__(self):
        _whole("n", self.n)

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        mirrored = FixedInDegree(self.n, self.self_connections, self.multiple)
        targets, sources = mirrored.pairs(post, pre, rng, same=same)
        return sources, targets


@dataclass(frozen=True)
class DistanceDependent(Connector):
    """Each pair with a probability that depends on its distance, by neuron.

    `probability` turns an array of distances into one of probabilities.

    Raises:
        InputError: `box` is not positive.
    """

    probability: OfDistance
    self_connections: bool = False

    def __post_init__(self):
        _check_box(self.box)

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        sources, targets = [], []
        excluded = same and not self.self_connections
        for first, distance in _distances(self, pre, post, positions):
            p = _applied("probability", self.probability, distance, 1)
            if excluded:
                np.einsum("ii->i", p[:, first : first + len(p)])[:] = 0.0
            rows, columns = np.nonzero(rng.random(p.shape) < p)
            sources.append(columns.astype(np.int32))
            targets.append((rows + first).astype(np.int32))
        return np.concatenate(sources), np.concatenate(targets)


@dataclass(frozen=True)
class DistanceInDegree(Connector):
    """Exactly `n` inputs for every postsynaptic unit, the near ones likelier, by neuron.

    Inputs are drawn one after the other with probability proportional to `profile`, a function of
    an array of distances; without `multiple`, from those not drawn before.

    Raises:
        InputError: `n` is no number of inputs, `box` is not positive, or a unit has less than `n`
            others where the profile is above zero.
    """

    n: int
    profile: OfDistance
    self_connections: bool = False
    multiple: bool = False  # whether a pair may be drawn again

    def __post_init__(self):
        _whole("n", self.n)
        _check_box(self.box)

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        _enough(self.n, _pool(pre, same, self.self_connections), self.multiple)
        excluded = same and not self.self_connections
        sources = np.empty((post, self.n), np.int32)
        for first, distance in _distances(self, pre, post, positions):
            weight = _applied("profile", self.profile, distance)
            if excluded:
                np.einsum("ii->i", weight[:, first : first + len(weight)])[:] = 0.0
            within = (weight > 0).sum(1)
            needed = min(self.n, 1) if self.multiple else self.n
            if (within < needed).any():
                unit = int(np.argmax(within < needed))
                raise InputError(
                    f"The profile is above zero for {within[unit]} inputs of unit {first + unit}; "
                    f"it needs {needed}. Let the profile reach further, or lower `n`."
                )
            chosen = sources[first : first + len(weight)]
            if self.multiple:
                for row, cumulated in zip(chosen, np.cumsum(weight, 1), strict=True):
                    level = cumulated[-1] * (1 - rng.random(self.n))  # never 0, never no input
                    row[:] = np.searchsorted(cumulated, level)
            elif self.n > 0:
                # The first to ring of clocks with these rates are draws without replacement.
                with np.errstate(divide="ignore"):
                    clocks = np.log(rng.standard_exponential(weight.shape)) - np.log(weight)
                chosen[:] = np.argpartition(clocks, self.n - 1, axis=1)[:, : self.n]
        return sources.ravel(), _repeated(post, self.n)


@dataclass(frozen=True, eq=False)
class FromArrays(Connector):
    """Given pairs, in the given order; a pair may occur more than once.

    Raises:
        InputError: The arrays differ in length, or hold something other than integers.
    """

    pre: ArrayLike
    post: ArrayLike

    def __post_init__(self):
        for name in ("pre", "post"):
            values = np.asarray(getattr(self, name))
            shape(name, values, (None,))
            if values.size and not np.issubdtype(values.dtype, np.integer):
                raise InputError(f"`{name}` holds {values.dtype}; indices are integers.")
        if np.size(self.pre) != np.size(self.post):
            raise InputError(
                f"`pre` has {np.size(self.pre)} entries and `post` {np.size(self.post)}; they "
                "must have as many, one per synapse."
            )

    def pairs(self, pre, post, rng, *, same=False, positions=None) -> Pairs:
        return _indices("pre", self.pre, pre), _indices("post", self.post, post)


def between(
    pre_positions: ArrayLike,
    post_positions: ArrayLike,
    i: ArrayLike,
    j: ArrayLike,
    box: Box | None = None,
) -> NDArray[np.float64]:
    """Distances from presynaptic units `i` to postsynaptic units `j`.

    Args:
        pre_positions: Coordinates, of shape (units, dimensions).
        post_positions: Coordinates in the same unit, of shape (units, dimensions).
        i: Presynaptic indices.
        j: Postsynaptic indices; both are broadcast against each other.
        box: Edge lengths of a torus, one number or one per dimension; a flat space by default.

    Returns:
        The Euclidean distance, on a torus that of the shortest way, in the unit of the positions.

    Raises:
        InputError: Dimensions differ, or an edge is not positive.
    """
    _check_box(box)
    there, here = np.asarray(pre_positions, float), np.asarray(post_positions, float)
    dimensions = here.shape[-1]
    shape("pre_positions", there, (None, dimensions), "Both populations need as many dimensions.")
    edges = np.asarray(np.inf if box is None else box, float)
    if edges.size not in (1, dimensions):
        raise InputError(f"`box` has {edges.size} edges; positions have {dimensions} dimensions.")
    edges = np.full(dimensions, edges)
    sources, targets = np.broadcast_arrays(i, j)
    found = np.empty(sources.shape)
    _between(there, here, sources.ravel(), targets.ravel(), edges, found.reshape(-1))
    return found


@njit(cache=True)
def _between(there, here, i, j, edges, found):
    for k in range(found.size):
        square = 0.0
        for d in range(edges.size):
            gap = there[i[k], d] - here[j[k], d]
            if edges[d] < np.inf:
                gap -= edges[d] * np.round(gap / edges[d])
            square += gap * gap
        found[k] = np.sqrt(square)


def _distances(connector: Connector, pre: int, post: int, positions: Positions | None) -> Iterator:
    """Distances of shape (some, pre) and the first of these postsynaptic units, block by block."""
    if positions is None:
        raise InputError(
            f"`{type(connector).__name__}` needs positions of both populations; give them to "
            "`Network.population`."
        )
    rows = max(1, _BLOCK // pre)
    for first in range(0, post, rows):
        targets = np.arange(first, min(first + rows, post))[:, None]
        yield first, between(*positions, np.arange(pre), targets, connector.box)


def _applied(
    name: str, function: OfDistance, distance: NDArray[np.float64], high: float = np.inf
) -> NDArray[np.float64]:
    """A function of distances, checked."""
    values = np.array(function(distance), dtype=float)
    if values.shape != distance.shape:
        raise InputError(
            f"`{name}` returns shape {values.shape} for distances of shape {distance.shape}; it "
            "must return one value per distance."
        )
    wrong = ~((values >= 0) & (values <= high) & (values < np.inf))
    if wrong.any():
        where = np.unravel_index(int(np.argmax(wrong)), values.shape)
        rule = "be at least 0 and finite" if high == np.inf else f"lie between 0 and {high:g}"
        raise InputError(
            f"`{name}` is {values[where]:g} at distance {distance[where]:g}; it must {rule}."
        )
    return values


def _without_doubles(counts: NDArray[np.int64], pool: int, rng: np.random.Generator) -> Pairs:
    """For each unit so many different indices below `pool`, and the unit beside each."""
    total = int(counts.sum())
    drawn, units = np.empty(total, np.int32), np.empty(total, np.int32)
    _shuffle(rng, counts, np.arange(pool, dtype=np.int32), drawn, units)
    return drawn, units


@njit(cache=True)
def _shuffle(rng, counts, order, drawn, units):
    """Begin a shuffle of `order` for each unit; how it was ordered before does not matter."""
    at = 0
    for unit in range(counts.size):
        for k in range(counts[unit]):
            other = k + int(rng.random() * (order.size - k))
            order[k], order[other] = order[other], order[k]
            drawn[at] = order[k]
            units[at] = unit
            at += 1


def _pool(pre: int, same: bool, self_connections: bool) -> int:
    """How many units may be the input of one."""
    return pre - 1 if same and not self_connections else pre


def _finished(sources: Index, targets: Index, same: bool, self_connections: bool) -> Pairs:
    """Make indices among all *other* units indices among all units."""
    if same and not self_connections:
        sources += sources >= targets
    return sources, targets


def _repeated(units: int, times: int) -> Index:
    return np.repeat(np.arange(units, dtype=np.int32), times)


def _enough(n: int, pool: int, multiple: bool) -> None:
    if n > pool and (pool == 0 or not multiple):
        raise InputError(
            f"`n` is {n}, but there are only {pool} units to connect with."
            + ("" if multiple or pool == 0 else " Set `multiple` or lower `n`.")
        )


def _whole(name: str, value: int) -> None:
    if not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"`{name}` is {value!r}; it must be a whole number, at least 0.")


def _check_box(box: Box | None) -> None:
    if box is not None:
        positive("box", box)


def _indices(name: str, values: ArrayLike, size: int) -> Index:
    found = np.asarray(values, dtype=np.int64)
    wrong = (found < 0) | (found >= size)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InputError(
            f"`{name}[{k}]` is {found[k]}; that population has {size} units, 0 to {size - 1}."
        )
    return found.astype(np.int32)
