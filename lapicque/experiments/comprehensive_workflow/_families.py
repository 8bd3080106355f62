"""Families of networks by which the mapping to chips is judged, after public benchmarks.

Sizes and connectivity follow released benchmark scripts; neurons and weights are ours, since a
mapping looks at neither as long as they are within the range of the chip.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lapicque.spiking import (
    LIF,
    AllToAll,
    ConductanceExp,
    FixedInDegree,
    FixedProbability,
    FromArrays,
    Network,
    Population,
)

WORK = "Brüderle et al. (2011)"
CELL = LIF(v_rest=-70.0, v_reset=-75.0, v_thresh=-55.0, tau_m=10.0, tau_refrac=1.0, cm=0.2)
RECEPTORS = ConductanceExp(e_rev_I=-80.0)
WEIGHT = 0.005  # uS

LAYERS = ("L2/3e", "L2/3i", "L4e", "L4i", "L5e", "L5i", "L6e", "L6i")
_COLUMN = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
# connection probabilities, by target and source
_PROBABILITY = (
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    (0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443),
)


def cells(network: Network, n: int, label: str | None = None) -> Population:
    """Neurons as all families have them."""
    return network.population(int(n), CELL, RECEPTORS, label=label)


def random(n: float, p: float) -> Network:
    """Neurons that connect to each other with one probability."""
    network = Network()
    own = cells(network, int(n))
    network.project(own, own, FixedProbability(p, self_connections=False), WEIGHT, 1.0)
    return network


def noise(n: float, inputs: int = 20) -> Network:
    """Neurons that inhibit each other, with few random inputs each."""
    network = Network()
    own = cells(network, int(n))
    few = FixedInDegree(inputs, self_connections=False, multiple=False)
    network.project(own, own, few, WEIGHT, 1.0, receptor="inhibitory")
    return network


def feed_forward(n: float, layers: int = 2) -> Network:
    """Layers of `n` neurons, each connected to all of the next."""
    network = Network()
    pre = cells(network, int(n))
    for _ in range(layers - 1):
        post = cells(network, int(n))
        network.project(pre, post, AllToAll(), WEIGHT, 1.0)
        pre = post
    return network


def boltzmann(n: float, seed: int = 0) -> Network:
    """All with all; the sign of a pair is drawn and the same in both directions."""
    n = int(n)
    network = Network()
    own = cells(network, n)
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < 0.5, 1)
    negative = upper | upper.T
    for receptor, chosen in (("excitatory", ~negative), ("inhibitory", negative)):
        post, pre = np.nonzero(chosen & ~np.eye(n, dtype=bool))
        network.project(own, own, FromArrays(pre, post), WEIGHT, 1.0, receptor=receptor)
    return network


def ising(edge: float) -> Network:
    """A square lattice on a torus; each neuron is connected to its four neighbours."""
    edge = int(edge)
    network = Network()
    own = cells(network, edge**2)
    site = np.arange(edge**2).reshape(edge, edge)
    post = np.tile(site.ravel(), 4)
    pre = [np.roll(site, step, axis).ravel() for axis in (0, 1) for step in (-1, 1)]
    network.project(own, own, FromArrays(np.concatenate(pre), post), WEIGHT, 1.0)
    return network


def column(percent: float) -> Network:
    """A cortical column with a share of its neurons and the full connection probabilities."""
    network = Network()
    own = [
        cells(network, max(round(n * percent / 100), 2), label)
        for n, label in zip(_COLUMN, LAYERS, strict=True)
    ]
    for i, row in enumerate(_PROBABILITY):
        for j, p in enumerate(row):
            if p > 0:
                network.project(
                    own[j],
                    own[i],
                    FixedProbability(p, self_connections=i != j),
                    WEIGHT,
                    1.0,
                    receptor="inhibitory" if j % 2 else "excitatory",
                )
    return network


def column_places(projection) -> tuple[int, int]:
    """Target and source of a projection of the column."""
    return LAYERS.index(projection.post.label), LAYERS.index(projection.pre.label)


FAMILIES: Mapping[str, Callable[[float], Network]] = {
    "random_10": lambda n: random(n, 0.1),
    "random_30": lambda n: random(n, 0.3),
    "noise": noise,
    "feed_forward": feed_forward,
    "boltzmann": boltzmann,
    "ising": ising,
    "column": column,
}
"""A network of each family, by what its size is measured in."""

TITLES: Mapping[str, str] = {
    "random_10": "random, p = 0.1",
    "random_30": "random, p = 0.3",
    "noise": "inhibitory, 20 inputs",
    "feed_forward": "two layers, all to all",
    "boltzmann": "Boltzmann machine",
    "ising": "Ising model, 2-d",
    "column": "cortical column",
}


def majority(values: NDArray[np.int64], groups: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The value that occurs most in each of `n` groups, -1 for an empty one."""
    count = np.zeros((n, int(values.max(initial=0)) + 1), np.int64)
    np.add.at(count, (groups, values), 1)
    return np.where(count.any(1), count.argmax(1), -1)
