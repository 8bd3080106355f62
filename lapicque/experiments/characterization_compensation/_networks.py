"""Three networks whose function chips disturb, and the measures of that function.

They know nothing of distortions: a network that was changed or mapped has the same populations, and
its recordings are measured in the same way. Their parameters were not compared with the published
tables; weights marked as our reference are those with which the networks work as described.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, positive
from lapicque.spiking import (
    LIF,
    AdEx,
    AllToAll,
    ConductanceExp,
    FixedInDegree,
    FromArrays,
    Network,
    Poisson,
    Population,
    SpikeArray,
    TsodyksMarkram,
)
from lapicque.spiking.connectors import Connector
from lapicque.spiking.network import Noise
from lapicque.spiking.statistics import Events, counts, cv, rates

WORK = "Petrovici et al. (2014)"


@dataclass(frozen=True, eq=False)
class BetweenGroups(Connector):
    """Each pair of different units with the probability of the groups they belong to, by neuron.

    Attributes:
        pre_group: Group of each presynaptic unit, shape (pre,).
        post_group: Group of each postsynaptic unit, shape (post,).
        probability: Shape (postsynaptic groups, presynaptic groups).
        self_connections: Whether a unit of one population may connect to itself.

    Raises:
        InputError: A probability is none.
    """

    pre_group: NDArray[np.int64]
    post_group: NDArray[np.int64]
    probability: NDArray[np.float64]
    self_connections: bool = False

    def __post_init__(self):
        in_range("probability", self.probability, 0, 1)

    def pairs(self, pre, post, rng, *, same=False, positions=None):
        sources, targets = [], []
        for group, row in enumerate(self.probability):
            units = np.flatnonzero(self.post_group == group)
            chances = row[self.pre_group]
            candidates = np.flatnonzero(chances > 0)
            chosen = rng.random((len(units), len(candidates))) < chances[candidates]
            i, j = np.nonzero(chosen)
            sources.append(candidates[j])
            targets.append(units[i])
        i, j = np.concatenate(sources), np.concatenate(targets)
        if same and not self.self_connections:
            i, j = i[i != j], j[i != j]
        order = np.argsort(j, kind="stable")
        return i[order].astype(np.int32), j[order].astype(np.int32)


# -- sources ------------------------------------------------------------------------------------


def shared_sources(network: Network, sources: int, inputs: int, delay: float = 1.0) -> Network:
    """The same network without private noise; neurons share sources instead.

    Every neuron that had noise listens to some sources, whose rates add up to that of the noise.

    Args:
        network: With noise of one rate; it stays as it is.
        sources: How many there are.
        inputs: How many of them a neuron listens to.
        delay: From the source to the neuron [ms].
    """
    in_range("inputs", inputs, 1, sources)
    changed = _without_noise(network)
    rate = max(_noise_rate(noise).max() for noise in network.noises)
    pool = changed.population(sources, Poisson(float(rate) / inputs), label="background")
    connector = FixedInDegree(inputs, multiple=False)
    for noise in network.noises:
        changed.project(
            pool, noise.population, connector, noise.weight, delay, receptor=noise.receptor
        )
    return changed


def private_sources(network: Network, delay: float = 1.0) -> Network:
    """The same network with a source unit for every neuron whose noise has a rate above 0.

    Args:
        network: With private noise; it stays as it is.
        delay: From the source to the neuron [ms].
    """
    changed = _without_noise(network)
    for noise in network.noises:
        rate = np.broadcast_to(_noise_rate(noise), noise.population.size)
        heard = np.flatnonzero(rate > 0)
        source = replace(noise.source, rate=rate[heard])
        pool = changed.population(heard.size, source, label=f"noise of {noise.population.label}")
        one_to_one = FromArrays(np.arange(heard.size), heard)
        changed.project(
            pool, noise.population, one_to_one, noise.weight, delay, receptor=noise.receptor
        )
    return changed


def _noise_rate(noise: Noise) -> NDArray[np.float64]:
    assert isinstance(noise.source, Poisson)
    return np.asarray(noise.source.rate, float)


def _without_noise(network: Network) -> Network:
    changed = Network()
    changed.populations = list(network.populations)
    changed.projections = list(network.projections)
    changed.recorders = list(network.recorders)
    return changed


# -- attractor memory ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """Parameters of the attractor memory; conductances in nS.

    Source: topology and neurons after Petrovici et al. (2014), not verified; weights and time
    constants of interneurons are our reference.
    """

    hypercolumns: int = 9
    minicolumns: int = 9  # per hypercolumn: the patterns
    pyramidal: int = 30  # cells per minicolumn
    local: float = 4.125  # pyramidal to pyramidal, before depression
    distant: float = 0.615
    to_rsnp: float = 0.024
    from_rsnp: float = 6.0
    to_basket: float = 0.03
    from_basket: float = 30.0
    background: float = 0.27
    background_rate: float = 300.0  # Hz
    delay: float = 1.0  # ms

    def __post_init__(self):
        in_range("hypercolumns", self.hypercolumns, 2)
        in_range("minicolumns", self.minicolumns, 2)
        in_range("pyramidal", self.pyramidal, 1)
        positive("delay", self.delay, "ms")

    @property
    def per_pattern(self) -> int:
        """Pyramidal cells of a pattern."""
        return self.hypercolumns * self.pyramidal


class AttractorMemory(NamedTuple):
    """Layer 2/3 of cortex: cells in the order of hypercolumns, then minicolumns."""

    network: Network
    pyramidal: Population
    rsnp: Population  # regular-spiking, two per minicolumn
    basket: Population  # one per minicolumn


def attractor_memory(config: Memory = Memory()) -> AttractorMemory:
    """Minicolumns of equal index excite each other and compete with the others.

    Pyramidal cells excite those of their own minicolumn (25 %) and pattern (30 %) by depressing
    synapses, and the RSNP cells of other patterns in other hypercolumns (17 %), which inhibit their
    minicolumn (70 %). Within a hypercolumn they excite eight of nine basket cells (70 %), which
    inhibit all of it (70 %). The ninth is the one four minicolumns further (our choice).
    """
    h, m = config.hypercolumns, config.minicolumns
    network = Network()
    column = np.arange(h * m)
    hyper, pattern = column // m, column % m
    cells = []
    for label, per_column, model, taus in (
        ("pyramidal", config.pyramidal, _PYRAMIDAL, (17.5, 6.0)),
        ("RSNP", 2, _RSNP, (8.0, 6.0)),
        ("basket", 1, _BASKET, (8.0, 6.0)),
    ):
        receptors = ConductanceExp(*taus, e_rev_E=0.0, e_rev_I=-80.0)
        cells.append(network.population(per_column * h * m, model, receptors, label=label))
    pyramidal, rsnp, basket = cells
    network.noise(pyramidal, Poisson(config.background_rate), 1e-3 * config.background)

    own = column[:, None] == column
    neighbours = hyper[:, None] == hyper
    fellows = (pattern[:, None] == pattern) & ~neighbours
    rivals = (pattern[:, None] != pattern) & ~neighbours
    reached = neighbours & ((pattern[:, None] - pattern) % m != (m // 2 if m > 2 else -1))
    depressing = TsodyksMarkram(U=0.27, tau_rec=575.0)
    for pre, post, p, weight, label in (
        (pyramidal, pyramidal, 0.25 * own, config.local, "local"),
        (pyramidal, pyramidal, 0.30 * fellows, config.distant, "distant"),
        (pyramidal, rsnp, 0.17 * rivals, config.to_rsnp, "to RSNP"),
        (rsnp, pyramidal, 0.70 * own, config.from_rsnp, "from RSNP"),
        (pyramidal, basket, 0.70 * reached, config.to_basket, "to basket"),
        (basket, pyramidal, 0.70 * neighbours, config.from_basket, "from basket"),
    ):
        of_pre, of_post = (np.repeat(column, q.size // column.size) for q in (pre, post))
        network.project(
            pre,
            post,
            BetweenGroups(of_pre, of_post, p),
            1e-3 * weight,
            config.delay,
            receptor="excitatory" if pre is pyramidal else "inhibitory",
            plasticity=depressing if pre is post else None,
            label=label,
        )
    return AttractorMemory(network, *cells)


_STEEP = 0.05  # mV; so steep that the exponential is a threshold
_PYRAMIDAL = AdEx(
    v_rest=-61.71, cm=0.179, tau_m=16.89, tau_refrac=0.2, v_reset=-60.7, v_thresh=-53.0,
    v_spike=-53.0, delta_T=_STEEP, a=0.0, b=0.0132, tau_w=196.0,
)  # fmt: skip
_RSNP = LIF(v_rest=-57.5, cm=0.00788, tau_m=15.5, tau_refrac=0.2, v_reset=-66.4, v_thresh=-51.0)
_BASKET = LIF(v_rest=-64.1, cm=0.00688, tau_m=15.6, tau_refrac=0.2, v_reset=-72.5, v_thresh=-52.5)


class Dwells(NamedTuple):
    """Stretches of time in which one pattern won."""

    pattern: NDArray[np.int64]  # (stretches,)
    start: NDArray[np.floating]  # ms
    duration: NDArray[np.floating]  # ms


def pattern_rates(
    spikes: Events, config: Memory, start: float, stop: float, step: float = 5.0, window: int = 10
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rates of the pyramidal cells of each pattern in a window that slides.

    Args:
        spikes: Of the pyramidal cells.
        config: Of the network.
        start: Of the time that is looked at [ms].
        stop: Its end [ms].
        step: By which the window slides [ms].
        window: Its length [steps].

    Returns:
        Middle of the windows [ms], shape (windows,), and rates [Hz], shape (windows, patterns).
    """
    patterns = config.minicolumns
    of = (spikes.id // config.pyramidal) % patterns
    found = counts(_Train(spikes.time, of), patterns, step, start, stop)
    total = np.cumsum(np.vstack([np.zeros(patterns), found]), 0)
    rate = (total[window:] - total[:-window]) * 1000.0 / (window * step * config.per_pattern)
    return start + step * (np.arange(len(rate)) + window / 2), rate


def winners(
    rate: NDArray[np.floating], floor: float = 5.0, factor: float = 2.0
) -> NDArray[np.int64]:
    """The pattern above `floor` [Hz] that has `factor` times the rate of the second, else -1."""
    ordered = np.sort(rate, 1)
    clear = (ordered[:, -1] > floor) & (ordered[:, -1] > factor * ordered[:, -2])
    return np.where(clear, rate.argmax(1), -1)


def dwells(time: NDArray, winner: NDArray, step: float = 5.0, at_least: float = 50.0) -> Dwells:
    """Stretches with one winner, short ones and those cut by either end left out."""
    edges = np.flatnonzero(np.diff(winner)) + 1
    first, last = edges[:-1], edges[1:]
    pattern, duration = winner[first], step * (last - first)
    kept = (pattern >= 0) & (duration >= at_least)
    return Dwells(pattern[kept], time[first][kept] - step / 2, duration[kept])


# -- synfire chain -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Parameters of the synfire chain; conductances in nS.

    Source: after Petrovici et al. (2014) and Kremkow et al. (2010), not verified.
    """

    groups: int = 6
    regular: int = 100  # cells per group
    fast: int = 25
    inputs: int = 60  # regular cells of the group before that a cell listens to
    to_regular: float = 1.0
    to_fast: float = 3.5
    inhibition: float = 2.0
    delay: float = 20.0  # ms, from group to group
    inhibition_delay: float = 4.0  # ms
    background: float = 1.0
    background_rate: float = 2000.0  # Hz; 0 for none

    def __post_init__(self):
        in_range("groups", self.groups, 1)
        in_range("fast", self.fast, 1)
        in_range("inputs", self.inputs, 1)
        in_range("regular", self.regular, self.inputs)
        in_range("background_rate", self.background_rate, 0, unit="Hz")


class SynfireChain(NamedTuple):
    """A stimulus and groups, each of regular-spiking and fast-spiking cells."""

    network: Network
    stimulus: Population
    regular: list[Population]
    fast: list[Population]


def synfire_chain(
    config: Chain = Chain(), times: Sequence[ArrayLike] | None = None
) -> SynfireChain:
    """Volleys travel from group to group; inhibition closes the window that excitation opens.

    Args:
        config: Parameters.
        times: Spikes [ms] of each of the sources that stand for a group before the first; none
            by default.
    """
    network = Network()
    given = [np.zeros(0)] * config.regular if times is None else list(times)
    stimulus = network.population(config.regular, SpikeArray(given), label="stimulus")
    receptors = ConductanceExp(tau_syn_E=1.5, tau_syn_I=10.0, e_rev_E=0.0, e_rev_I=-75.0)
    regular, fast = [], []
    connector = FixedInDegree(config.inputs, multiple=False)
    before = stimulus
    for k in range(config.groups):
        regular.append(network.population(config.regular, _CELL, receptors, label=f"RS {k + 1}"))
        fast.append(network.population(config.fast, _CELL, receptors, label=f"FS {k + 1}"))
        for post, weight in ((regular[k], config.to_regular), (fast[k], config.to_fast)):
            network.project(before, post, connector, 1e-3 * weight, config.delay)
            if config.background_rate > 0:
                network.noise(post, Poisson(config.background_rate), 1e-3 * config.background)
        network.project(
            fast[k],
            regular[k],
            AllToAll(),
            1e-3 * config.inhibition,
            config.inhibition_delay,
            receptor="inhibitory",
        )
        before = regular[k]
    return SynfireChain(network, stimulus, regular, fast)


_CELL = LIF(v_rest=-70.0, cm=0.29, tau_m=10.0, tau_refrac=2.0, v_reset=-70.0, v_thresh=-57.0)


class Packets(NamedTuple):
    """Spikes per cell and standard deviation of their times."""

    a: NDArray[np.float64]
    sigma: NDArray[np.float64]  # ms; 0 for less than two spikes


def volley(
    a: int, sigma: float, sources: int, centre: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Spike times [ms] of a packet, shape (sources, a), normal around `centre`."""
    return centre + sigma * rng.standard_normal((sources, a))


def packets(trains: Sequence[Events], size: int, edges: NDArray[np.float64]) -> Packets:
    """What each group answers to each stimulus.

    Args:
        trains: Spikes of the regular cells of each group.
        size: Cells of a group.
        edges: Between stimuli [ms], shape (stimuli + 1,).

    Returns:
        Two arrays of shape (groups, stimuli).
    """
    found = np.zeros((2, len(trains), len(edges) - 1))
    for g, train in enumerate(trains):
        at = np.searchsorted(train.time, edges)
        for s, (first, last) in enumerate(pairwise(at)):
            times = train.time[first:last]
            found[:, g, s] = len(times) / size, times.std() if len(times) > 1 else 0.0
    return Packets(*found)


# -- self-sustained activity ---------------------------------------------------------------------


class Activity(NamedTuple):
    """What a network does that was left to itself."""

    rate: float  # Hz
    cv: float  # mean of neurons with three intervals or more; 0 without any
    last: float  # time of the last spike [ms]


def activity(spikes: Events, size: int, start: float, stop: float) -> Activity:
    """Measures of a population between `start` and `stop` [ms]."""
    found = rates(spikes, size, start, stop)
    late = spikes.time > start
    irregularity = cv(_Train(spikes.time[late], spikes.id[late]), size)
    known = irregularity[np.isfinite(irregularity)]
    last = float(spikes.time[-1]) if spikes.time.size else 0.0
    return Activity(float(found.mean()), float(known.mean()) if known.size else 0.0, last)


class _Train(NamedTuple):
    time: NDArray[np.float64]
    id: NDArray[np.int64]
