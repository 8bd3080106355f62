"""Largest independent sets as quadratic binary optimisation: instances, exact answers, solvers.

Of a graph, as many nodes as possible are chosen such that no two are joined. As a quadratic
problem, over x in {0, 1}^n,

    cost(x) = x Q x = -sum_i x_i + 8 sum_edges x_u x_v,    Q_ii = -1, Q_uv = Q_vu = 4 on edges,

so that a joined pair costs more than leaving a node out; the least cost is minus the size of the
largest independent set. As a Boltzmann machine at temperature T it has biases 1 / T and weights
-8 / T on edges: each node is one neuron that is inhibited by its neighbours.

Source: Yik et al. (2025), system track, QUBO; details as in its released code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, positive, shape
from lapicque.sampling import Boltzmann, Calibration, Gibbs, LIFSampler
from lapicque.sampling.tempering import PiecewiseTemperature, Schedule

PENALTY = 8
"""Cost of a joined pair."""

DENSITIES = (0.01, 0.05, 0.10, 0.25)
"""Of the instances with best known costs."""

_BEST = {
    10: ("10 10 10 10 10", "8 8 9 8 8", "7 7 7 8 7", "6 6 5 6 5"),
    25: ("22 22 23 22 22", "15 18 17 17 17", "12 15 14 13 13", "9 9 8 10 8"),
    50: ("40 42 41 43 40", "28 27 27 27 26", "20 21 19 21 22", "12 13 12 12 13"),
    100: ("73 71 74 73 71", "44 42 45 45 42", "30 29 30 31 30", "17 17 16 16 18"),
    250: ("142 140 137 138 143", "67 69 67 67 67", "43 44 44 43 45", "22 23 23 22 22"),
    500: ("219 219 214 219 214", "85 86 86 86 86", "52 52 51 52 53", "26 25 25 26 25"),
    1000: ("306 307 307 304 302", "105 105 109 103 106", "60 60 60 61 59", "28 28 28 28 28"),
    2500: ("439 440 440 432 433", "125 125 124 125 124", "69 69 70 69 70", "31 32 31 31 32"),
    5000: ("531 528 525 532 531", "142 140 138 138 139", "76 76 76 76 76", "35 34 34 34 34"),
}
SIZES = tuple(_BEST)
"""Nodes of the instances with best known costs."""

State = NDArray[np.uint8]


# -- instances -----------------------------------------------------------------------------------


def random_graph(n: int, m: int, seed: int) -> NDArray[np.int32]:
    """The edges of a graph drawn from all with n nodes and m edges, shape (m, 2).

    They are those of `gnm_random_graph(n, m, seed)` of networkx, in the order in which they are
    drawn: ends are drawn one after the other from Python's generator of this seed, and loops and
    edges that are there already are drawn again.

    Raises:
        InputError: A number is negative, or there is no node.
    """
    in_range("n", n, 1)
    in_range("m", m, 0)
    if n == 1 or m >= n * (n - 1) / 2:
        return np.stack(np.triu_indices(n, 1), axis=1).astype(np.int32)
    rng, nodes = Random(seed), range(n)
    seen: set[int] = set()
    edges = np.empty((m, 2), np.int32)
    count = 0
    while count < m:
        u, v = rng.choice(nodes), rng.choice(nodes)
        if u == v:
            continue
        pair = u * n + v if u < v else v * n + u
        if pair not in seen:
            seen.add(pair)
            edges[count] = u, v
            count += 1
    return edges


@dataclass(frozen=True, eq=False)
class Instance:
    """A graph whose largest independent set is sought.

    Attributes:
        n: Nodes.
        edges: Pairs of different nodes, each once, shape (edges, 2).
        name: For tables.
        best_known: Least cost that is known, or `None`.

    Raises:
        InputError: An edge joins a node to itself, occurs twice, or ends nowhere.
    """

    n: int
    edges: NDArray[np.int32]
    name: str = "graph"
    best_known: int | None = None

    def __post_init__(self):
        in_range("n", self.n, 1)
        edges = np.asarray(self.edges, np.int32).reshape(-1, 2)
        if edges.size:
            in_range("edges", edges, 0, self.n - 1)
            if (edges[:, 0] == edges[:, 1]).any():
                raise InputError("An edge of `edges` joins a node to itself.")
            low, high = edges.min(1).astype(np.int64), edges.max(1)
            if len(np.unique(low * self.n + high)) < len(edges):
                raise InputError("An edge occurs twice in `edges`.")
        object.__setattr__(self, "edges", edges)

    @cached_property
    def neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Where the neighbours of each node begin, (n + 1,), and all of them."""
        both = np.concatenate([self.edges, self.edges[:, ::-1]])
        order = np.lexsort((both[:, 1], both[:, 0]))
        counts = np.bincount(both[:, 0], minlength=self.n)
        return np.concatenate([[0], np.cumsum(counts)]), both[order, 1].astype(np.int32)

    def cost(self, states: ArrayLike) -> NDArray[np.int64]:
        """Costs of states of shape (..., n).

        Raises:
            InputError: States have another length.
        """
        x = np.asarray(states, np.uint8)
        shape("states", x, (*x.shape[:-1], self.n))
        return _costs(x.reshape(-1, self.n), *self.neighbours).reshape(x.shape[:-1])

    def gap(self, cost: float) -> float:
        """How far a cost is from the best known: 0 is as good, above is worse, below is better.

        ``(cost - best) / |best|``. The text of the benchmark divides by the best cost itself,
        which is negative, and means this.

        Raises:
            InputError: No best cost is known.
        """
        if self.best_known is None:
            raise InputError(f"The best cost of {self.name} is not known.")
        return (cost - self.best_known) / abs(self.best_known)

    def matrix(self) -> NDArray[np.int8]:
        """Q, shape (n, n); cast it before you multiply, as eight bits overflow."""
        found = np.zeros((self.n, self.n), np.int8)
        found[self.edges[:, 0], self.edges[:, 1]] = PENALTY // 2
        found[self.edges[:, 1], self.edges[:, 0]] = PENALTY // 2
        np.fill_diagonal(found, -1)
        return found

    def target(self, penalty: float = PENALTY) -> Boltzmann:
        """The machine with ``p(x) ~ exp(-cost(x))`` at temperature 1.

        Args:
            penalty: Of a joined pair. Above 1 all have the same best states.

        Raises:
            InputError: It is not positive.
        """
        positive("penalty", penalty)
        weights = np.zeros((self.n, self.n))
        weights[self.edges[:, 0], self.edges[:, 1]] = -penalty
        weights[self.edges[:, 1], self.edges[:, 0]] = -penalty
        return Boltzmann(weights, np.ones(self.n))

    def repaired(self, states: ArrayLike) -> State:
        """Independent sets from states of shape (..., n): conflicts are dropped, gaps filled.

        Of each state, nodes are gone through by degree, the lowest first: those that are on and
        join none of those kept are kept, then any other that joins none is added.
        """
        x = np.asarray(states, np.uint8)
        start, neighbours = self.neighbours
        order = np.argsort(np.diff(start), kind="stable")
        return _repaired(x.reshape(-1, self.n), start, neighbours, order).reshape(x.shape)


def instance(n: int, density: float, seed: int) -> Instance:
    """An instance of the benchmark: ``int(density n^2 / 2)`` edges.

    Raises:
        InputError: A value is out of range.
    """
    in_range("n", n, 1)
    in_range("density", density, 0, 1)
    in_range("seed", seed, 0)
    edges = random_graph(n, int(0.5 * density * n**2), seed)
    return Instance(n, edges, f"n {n}, {density:.0%}, seed {seed}", best_known(n, density, seed))


def best_known(n: int, density: float, seed: int) -> int | None:
    """The least cost that is known of an instance; of n below 50 it is the optimum.

    Source: Released tuning instances; optima by enumeration, others by D-Wave's tabu search.
    """
    at = [k for k, d in enumerate(DENSITIES) if abs(d - density) < 1e-12]
    if n not in _BEST or not at or not 0 <= seed < 5:
        return None
    return -int(_BEST[n][at[0]].split()[seed])


# -- solvers -------------------------------------------------------------------------------------


class Solution(NamedTuple):
    """What a solver found.

    Attributes:
        state: The best, shape (n,).
        cost: Its cost.
        seconds: Wall time of the search, without compilation.
        times: When the best so far was looked at [s].
        costs: Its cost then.
        model_time: Time in the model [ms]; `nan` where the solver has none.
        repaired: Cost of the best state after conflicts were dropped and gaps filled.
    """

    state: State
    cost: int
    seconds: float
    times: NDArray[np.float64]
    costs: NDArray[np.int64]
    model_time: float
    repaired: int


class Solver(Protocol):
    """A way of solving instances."""

    def solve(self, problem: Instance, seed: int = 0) -> Solution:
        """The best state that is found."""
        ...


class _Progress:
    """Best state so far, and when it was found."""

    def __init__(self, problem: Instance):
        self.problem = problem
        self.cost, self.state = 0, np.zeros(problem.n, np.uint8)
        self.fixed = 0
        self.begin = time.perf_counter()
        self.times: list[float] = []
        self.costs: list[int] = []

    def look(self, states: State, repair: bool = False) -> None:
        """Take the best of some states of shape (..., n) into account."""
        states = states.reshape(-1, self.problem.n)
        if len(states):
            costs = self.problem.cost(states)
            k = int(costs.argmin())
            if costs[k] < self.cost:
                self.cost, self.state = int(costs[k]), states[k].copy()
        self.times.append(time.perf_counter() - self.begin)
        self.costs.append(self.cost)
        if repair and len(states):
            self.fixed = min(
                self.fixed, int(self.problem.cost(self.problem.repaired(states)).min())
            )

    def done(self, model_time: float = np.nan) -> Solution:
        seconds = self.times[-1] if self.times else 0.0
        last = int(self.problem.cost(self.problem.repaired(self.state)))
        return Solution(
            self.state,
            self.cost,
            seconds,
            np.array(self.times),
            np.array(self.costs),
            model_time,
            min(self.fixed, last),
        )


@dataclass(frozen=True)
class Exact:
    """Branch and bound, for at most 64 nodes.

    Nodes that join at most one other are taken at once; otherwise it branches on the node that
    joins most.
    """

    def solve(self, problem: Instance, seed: int = 0) -> Solution:
        """See `Solver`; the answer is the optimum.

        Raises:
            InputError: The instance has more than 64 nodes.
        """
        in_range("n", problem.n, 1, 64, hint="Larger instances are not solved exactly here.")
        masks = np.zeros(problem.n, np.uint64)
        for u, v in problem.edges.tolist():
            masks[u] |= np.uint64(1) << np.uint64(v)
            masks[v] |= np.uint64(1) << np.uint64(u)
        _largest(np.zeros(1, np.uint64))
        progress = _Progress(problem)
        chosen = int(_largest(masks))
        progress.look(np.array([[chosen >> k & 1 for k in range(problem.n)]], np.uint8))
        return progress.done()


@dataclass(frozen=True)
class Tabu:
    """Tabu search by single flips.

    In each step the best flip is made that is not tabu, or that is and leads to the best state so
    far; a flipped node is tabu for `tenure` steps. After `patience` steps without a better state
    in this descent it starts anew at random.

    Attributes:
        steps: Flips in total.
        tenure: Steps; by default the lesser of 5 and n / 4.
        patience: Steps; by default the larger of 500 and 100 n.
        looks: How often the best so far is noted.

    Source: Glover (1989), in the form of the usual one-flip search. Values are our own, tuned on
    seeds 0 and 1 of 100 and 250 nodes.
    """

    steps: int = 200_000
    tenure: int | None = None
    patience: int | None = None
    looks: int = 40

    def __post_init__(self):
        in_range("steps", self.steps, 1)
        in_range("looks", self.looks, 1)
        if self.tenure is not None:
            in_range("tenure", self.tenure, 0)
        if self.patience is not None:
            in_range("patience", self.patience, 1)

    def solve(self, problem: Instance, seed: int = 0) -> Solution:
        """See `Solver`."""
        n = problem.n
        tenure = min(5, n // 4) if self.tenure is None else self.tenure
        patience = max(500, 100 * n) if self.patience is None else self.patience
        start, neighbours = problem.neighbours
        search = _Search.begin(n)
        rng = np.random.default_rng(seed)
        _tabu(_Search.begin(1), np.zeros(2, np.int64), neighbours[:0], 0, 0, 1, rng)
        progress = _Progress(problem)
        for part in np.array_split(np.arange(self.steps), self.looks):
            _tabu(search, start, neighbours, len(part), tenure, patience, rng)
            progress.look(search.best)
        return progress.done()


class _Search(NamedTuple):
    x: State
    gain: NDArray[np.int64]  # change of the cost by a flip
    until: NDArray[np.int64]  # first step at which a flip is allowed again
    best: State
    counts: NDArray[np.int64]  # step, cost, least cost, least of this descent, its step, begun

    @classmethod
    def begin(cls, n: int) -> _Search:
        """All nodes off, before the first descent."""
        return cls(
            np.zeros(n, np.uint8),
            np.full(n, -1, np.int64),
            np.zeros(n, np.int64),
            np.zeros(n, np.uint8),
            np.zeros(6, np.int64),
        )


def geometric(hottest: float, coldest: float, duration: float) -> PiecewiseTemperature:
    """Temperatures that fall by the same factor in equal times, in sixteen straight pieces.

    Raises:
        InputError: A value is not positive, or the coldest above the hottest.
    """
    positive("coldest", coldest)
    in_range("hottest", hottest, coldest)
    positive("duration", duration, "ms")
    return PiecewiseTemperature(
        tuple(np.linspace(0, duration, 17)), tuple(np.geomspace(hottest, coldest, 17))
    )


@dataclass(frozen=True)
class GibbsAnnealing:
    """Heat-bath sampling while the temperature falls, in chains side by side.

    Attributes:
        sweeps: Per chain; one stands for 10 ms of the schedule's time.
        chains: Side by side.
        schedule: Made from the duration [ms]; by default from 0.5 to 0.2.
        penalty: Of a joined pair, in the machine; above 1 the best states are the same.
        looks: How often the best so far is noted.

    Source: Kirkpatrick et al. (1983); values are our own, tuned as those of `Tabu`.
    """

    sweeps: int = 2000
    chains: int = 4
    schedule: Callable[[float], Schedule] = field(
        default=lambda duration: geometric(0.5, 0.2, duration)
    )
    penalty: float = 1.5
    looks: int = 40

    def __post_init__(self):
        in_range("sweeps", self.sweeps, 1)
        positive("penalty", self.penalty)
        in_range("chains", self.chains, 1)
        in_range("looks", self.looks, 1)

    def solve(self, problem: Instance, seed: int = 0) -> Solution:
        """See `Solver`."""
        course = self.schedule(10.0 * self.sweeps)(10.0 * np.arange(self.sweeps))
        Gibbs().start(Boltzmann(np.zeros((1, 1)), np.zeros(1))).run(1)
        progress = _Progress(problem)
        chains = Gibbs().start(problem.target(self.penalty), self.chains, seed)
        for part in np.array_split(course, min(self.looks, self.sweeps)):
            progress.look(chains.run(len(part), part))
        return progress.done()


@dataclass(frozen=True)
class SpikingAnnealing:
    """LIF neurons that sample while their biases and synapses grow, which lowers the temperature.

    Each node is a neuron under noise, on for a refractory time after a spike, and inhibits its
    neighbours. The state is read every `interval`; the best one counts. Values are our own, tuned
    as those of `Tabu`.

    Attributes:
        calibration: Of the neuron, see `lapicque.sampling.calibrate`.
        duration: Time in the model [ms].
        chains: Networks side by side.
        schedule: Made from the duration; by default from 0.7 to 0.3.
        penalty: Of a joined pair, in the network; above 1 the best states are the same.
        stages: Steps in which the temperature falls.
        interval: Between readings [ms].
        threads: For chains.
    """

    calibration: Calibration
    duration: float = 4000.0
    chains: int = 4
    schedule: Callable[[float], Schedule] = field(
        default=lambda duration: geometric(0.7, 0.3, duration)
    )
    penalty: float = 1.5
    stages: int = 40
    interval: float = 2.0
    threads: int = 1

    def __post_init__(self):
        in_range("interval", self.interval, self.calibration.dt, unit="ms")
        in_range("stages", self.stages, 1)
        in_range("duration", self.duration, self.stages * self.interval, unit="ms")
        in_range("chains", self.chains, 1)
        positive("penalty", self.penalty)

    def solve(self, problem: Instance, seed: int = 0) -> Solution:
        """See `Solver`."""
        temperatures = self.schedule(self.duration)(
            self.duration / self.stages * np.arange(self.stages)
        )
        sampler = LIFSampler(self.calibration, interval=self.interval, threads=self.threads)
        sampler.start(Boltzmann(np.zeros((2, 2)), np.zeros(2))).run(1)
        target = problem.target(self.penalty)
        progress = _Progress(problem)
        chains = sampler.start(target.at_temperature(temperatures[0]), self.chains, seed)
        readings = round(self.duration / self.stages / self.interval)
        for k, temperature in enumerate(temperatures):
            if k:
                chains.update(target.at_temperature(temperature))
            progress.look(chains.run(readings), repair=True)
        return progress.done(readings * self.stages * self.interval)


# -- compiled ------------------------------------------------------------------------------------


@njit(cache=True)
def _costs(states, start, neighbours):
    costs = np.zeros(len(states), np.int64)
    for s in range(len(states)):
        doubled = 0
        total = 0
        for u in range(states.shape[1]):
            if states[s, u]:
                total -= 1
                for k in range(start[u], start[u + 1]):
                    doubled += states[s, neighbours[k]]
        costs[s] = total + 4 * doubled  # half the penalty, as both ends count
    return costs


@njit(cache=True)
def _repaired(states, start, neighbours, order):
    out = np.zeros_like(states)
    for s in range(len(states)):
        blocked = np.zeros(states.shape[1], np.bool_)
        for chosen in range(2):
            for u in order:
                if blocked[u] or (chosen == 0 and not states[s, u]):
                    continue
                out[s, u] = 1
                blocked[u] = True
                for k in range(start[u], start[u + 1]):
                    blocked[neighbours[k]] = True
    return out


@njit(cache=True)
def _ones(x):
    count = 0
    while x:
        x &= x - np.uint64(1)
        count += 1
    return count


@njit(cache=True)
def _largest(masks):
    """The nodes of a largest independent set, as bits."""
    n = len(masks)
    one = np.uint64(1)
    everything = np.uint64(0)
    for k in range(n):
        everything |= one << np.uint64(k)
    left = [everything]
    taken = [np.uint64(0)]
    best, most = np.uint64(0), -1
    while len(left):
        candidates, chosen = left.pop(), taken.pop()
        while True:
            if _ones(chosen) + _ones(candidates) <= most:
                break
            if candidates == 0:
                best, most = chosen, _ones(chosen)
                break
            branch, joins = -1, -1
            simple = -1
            for k in range(n):
                if candidates >> np.uint64(k) & one:
                    degree = _ones(masks[k] & candidates)
                    if degree <= 1:
                        simple = k
                        break
                    if degree > joins:
                        branch, joins = k, degree
            if simple >= 0:
                chosen |= one << np.uint64(simple)
                candidates &= ~(masks[simple] | one << np.uint64(simple))
                continue
            bit = one << np.uint64(branch)
            left.append(candidates & ~bit)
            taken.append(chosen)
            chosen |= bit
            candidates &= ~(masks[branch] | bit)
    return best


@njit(cache=True)
def _tabu(search, start, neighbours, steps, tenure, patience, rng):
    x, gain, until, best, counts = search
    n = len(x)
    now, cost, least, least_here, since, begun = counts
    for _ in range(steps):
        if not begun or now - since > patience:
            if begun:  # the first descent begins with all nodes off
                for u in range(n):
                    x[u] = rng.random() < 0.5
                cost = 0
                for u in range(n):
                    joined = 0
                    for k in range(start[u], start[u + 1]):
                        joined += x[neighbours[k]]
                    gain[u] = (1 - 2 * np.int64(x[u])) * (8 * joined - 1)
                    if x[u]:
                        cost += 4 * joined - 1
                until[:] = now
            begun, since, least_here = 1, now, cost
        chosen, lowest, ties = -1, 0, 0
        for u in range(n):
            if until[u] > now and cost + gain[u] >= least:
                continue
            if chosen < 0 or gain[u] < lowest:
                chosen, lowest, ties = u, gain[u], 1
            elif gain[u] == lowest:
                ties += 1
                if rng.random() * ties < 1:
                    chosen = u
        now += 1
        if chosen < 0:
            continue
        cost += gain[chosen]
        gain[chosen] = -gain[chosen]
        x[chosen] = 1 - x[chosen]
        change = 8 if x[chosen] else -8
        for k in range(start[chosen], start[chosen + 1]):
            v = neighbours[k]
            gain[v] += change * (1 - 2 * np.int64(x[v]))
        until[chosen] = now + tenure
        if cost < least_here:
            least_here, since = cost, now
        if cost < least:
            least = cost
            best[:] = x
    counts[0], counts[1], counts[2] = now, cost, least
    counts[3], counts[4], counts[5] = least_here, since, begun
