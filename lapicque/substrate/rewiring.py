"""Structural plasticity: synapses that stay weak are given to another source of their row.

A row of synapses carries events of several sources, told apart by labels; a synapse takes in those
with the label that it stores. So each neuron has one synapse per row, and S sources on a row make a
connectome of density 1 / S. A program on the processor learns weights from correlations, and where
a weight falls below a threshold it writes another label: fan-in and density never change.

Source:
    Billaudelle et al. (2021), "Structural plasticity on an accelerated analog neuromorphic hardware
    system", Neural Networks 133, for the mechanism. The integer form and all numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import in_range, positive, shape
from lapicque.substrate.plasticity import (
    LARGEST_WEIGHT,
    Observables,
    Task,
    Writes,
    sat_add,
    sat_mul,
    sat_sub,
)

FRACTION = 6
"""Bits of `Rewiring.growth` and `Rewiring.decay` after the binary point: 1 is 64."""


@dataclass(frozen=True)
class Rewiring:
    """Correlations let weights grow, activity lets them decay, noise explores, weak ones move.

    After every episode, for the synapse on row k of neuron j,

        w += (growth c[k, j]) / 64 - (decay nu[j]) / 64 + r

    where c is the causal correlation, nu the neuron's spike count, and r in {-1, 0, 1} with
    probabilities 1/4, 1/2, 1/4. Every `period` episodes synapses with ``w < threshold`` get a label
    that is drawn from all of their row, and the weight `start`.

    Attributes:
        labels: Sources on a row.
        growth: In steps per 64 LSB of correlation.
        decay: In steps per 64 spikes.
        threshold: Below it a synapse moves. [steps]
        start: Weight after a move. [steps]
        period: Episodes from one look at weak synapses to the next.
        noise: Whether there is an r.
        rows: Plastic rows, the first ones; all without.

    Raises:
        InputError: A number is out of range.
    """

    labels: int
    growth: int = 48
    decay: int = 2
    threshold: int = 5
    start: int = 8
    period: int = 10
    noise: bool = True
    rows: int | None = None

    def __post_init__(self) -> None:
        in_range("labels", self.labels, 1, LARGEST_WEIGHT + 1, hint="Labels have 6 bits.")
        in_range("growth", self.growth, 0, 2**15 - 1)
        in_range("decay", self.decay, 0, 2**15 - 1)
        in_range("threshold", self.threshold, 0, LARGEST_WEIGHT, "steps")
        in_range(
            "start", self.start, self.threshold, LARGEST_WEIGHT, "steps",
            "A weight below `threshold` would move again at once.",
        )  # fmt: skip
        in_range("period", self.period, 1)
        if self.rows is not None:
            in_range("rows", self.rows, 1)

    def first(self, chips: int, rows: int, neurons: int, rng: np.random.Generator):
        """Random weights of 10 to 20 steps, and random labels, shape (chips, rows, neurons)."""
        size = (chips, rows, neurons)
        weights = rng.integers(10, 21, size, dtype=np.uint8)
        return weights, rng.integers(0, self.labels, size, dtype=np.uint8)

    def learn(self, state: None, seen: Observables) -> tuple[None, Writes]:
        """The program that changes weights."""
        rows = slice(self.rows)
        correlation = seen.causal[:, rows].astype(np.int16)
        counts = seen.counts[:, None].astype(np.int16)
        change = sat_sub(
            sat_mul(correlation, self.growth, FRACTION), sat_mul(counts, self.decay, FRACTION)
        )
        if self.noise:
            bits = words(seen.random, correlation.shape[1]) >> np.uint32(30)
            change = sat_add(change, (bits == 0).astype(np.int16) - (bits == 1))
        weights = seen.weights.copy()
        moved = sat_add(change, weights[:, rows])
        weights[:, rows] = np.clip(moved, 0, LARGEST_WEIGHT)
        return None, Writes(weights=weights)

    def rewire(
        self, moves: NDArray[np.int64], seen: Observables
    ) -> tuple[NDArray[np.int64], Writes]:
        """The program that changes labels.

        Args:
            moves: How many synapses have moved on each chip, shape (chips,); a chip on which it is
                negative does not rewire.
            seen: What there is to see.
        """
        rows = slice(self.rows)
        weights, labels = seen.weights.copy(), seen.labels.copy()
        weak = (weights[:, rows] < self.threshold) & (moves >= 0)[:, None, None]
        drawn = words(seen.random, weak.shape[1]) >> np.uint32(16)
        drawn = (drawn * np.uint32(self.labels)) >> np.uint32(16)
        labels[:, rows] = np.where(weak, drawn, labels[:, rows])
        weights[:, rows] = np.where(weak, self.start, weights[:, rows])
        return moves + weak.sum((1, 2)), Writes(weights=weights, labels=labels)

    def tasks(self) -> list[Task]:
        """Both programs; sensors are read, and so reset, before a synapse moves."""
        return [Task(self.learn), Task(self.rewire, self.period, self.period - 1)]


def words(random: NDArray[np.uint32], rows: int) -> NDArray[np.uint32]:
    """Random words of all synapses, shape (chips, rows, neurons), from those of their neurons.

    Every neuron has a stream of its own, so that no two rewire in step.

    Source: a multiply-and-xorshift hash of the word and the number of the row.
    """
    number = np.arange(1, rows + 1, dtype=np.uint32)[:, None]
    x = random[:, None] + number * np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def density(labels: NDArray[np.integer], sources: int) -> float:
    """Share of all possible connections that are realised, duplicates counted once.

    Args:
        labels: Shape (rows, neurons).
        sources: On a row.

    Raises:
        InputError: A label belongs to no source.
    """
    shape("labels", labels, (None, None))
    in_range("labels", labels, 0, sources - 1)
    rows, neurons = labels.shape
    number = labels.astype(np.int64) + sources * np.arange(rows)[:, None]
    there = len(np.unique(number * neurons + np.arange(neurons)))
    return there / (rows * sources * neurons)


def tent(points: ArrayLike, centres: ArrayLike, radius: float) -> NDArray[np.float64]:
    """Activity of receptors, ``max(0, 1 - distance / radius)``, shape (points, centres).

    Args:
        points: Shape (points, features).
        centres: Shape (centres, features).
        radius: Of the receptive fields.

    Raises:
        InputError: The radius is not positive, or features differ in number.
    """
    positive("radius", radius)
    points, centres = np.asarray(points, float), np.asarray(centres, float)
    shape("points", points, (None, None))
    shape("centres", centres, (None, points.shape[1]))
    distance = np.linalg.norm(points[:, None] - centres, axis=-1)
    return np.maximum(0.0, 1 - distance / radius)
