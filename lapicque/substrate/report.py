"""What a chip made of a network, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lapicque._checks import InputError
from lapicque.spiking import Network
from lapicque.substrate.check import Violation
from lapicque.substrate.links import Pulses
from lapicque.substrate.placement import Placement
from lapicque.substrate.routing import REASONS, SET, Routing
from lapicque.substrate.spec import ChipSpec


@dataclass(frozen=True)
class ProjectionLoss:
    """Synapses of a projection.

    Attributes:
        label: Of the projection.
        synapses: How many there should be.
        reasons: How many are lost for what reason.
        clipped: How many have another weight, since theirs was above the largest level, or below
            the lowest.
    """

    label: str
    synapses: int
    reasons: dict[str, int]
    clipped: int = 0

    @property
    def lost(self) -> int:
        """How many are missing."""
        return sum(self.reasons.values())

    @property
    def set(self) -> int:
        """How many there are."""
        return self.synapses - self.lost


@dataclass(frozen=True)
class Report:
    """What was lost, clipped or averaged on the way to the chip.

    Attributes:
        chip: Name of the system.
        neurons: How many there should be.
        neurons_lost: How many found no place.
        sources: How many there should be.
        sources_lost: How many found no address.
        sizes: Circuits of a neuron, for each population of neurons.
        chips: How many chips are in use.
        projections: Losses of synapses.
        ranges: Parameters out of range.
        clipped: Circuits whose code ends at a border, for each parameter.
        shared: Largest distance between what a neuron wanted and the mean that it shares, for each
            parameter, in PyNN's unit.
        pulses: Counters of spikes; they grow in every run.
        notes: What else differs.
    """

    chip: str
    neurons: int
    neurons_lost: int
    sources: int
    sources_lost: int
    sizes: dict[str, int]
    chips: int
    projections: list[ProjectionLoss]
    ranges: list[Violation] = field(default_factory=list)
    clipped: dict[str, int] = field(default_factory=dict)
    shared: dict[str, float] = field(default_factory=dict)
    pulses: Pulses = field(default_factory=Pulses)
    notes: list[str] = field(default_factory=list)

    @property
    def synapses(self) -> int:
        """How many there should be."""
        return sum(p.synapses for p in self.projections)

    @property
    def lost(self) -> int:
        """Synapses that are missing."""
        return sum(p.lost for p in self.projections)

    @property
    def loss(self) -> float:
        """Share of synapses that are missing."""
        return self.lost / max(self.synapses, 1)

    @property
    def reasons(self) -> dict[str, int]:
        """Lost synapses by reason."""
        total: dict[str, int] = {}
        for p in self.projections:
            for reason, n in p.reasons.items():
                total[reason] = total.get(reason, 0) + n
        return total

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def refuse_loss(self, neurons: float, synapses: float, spec: ChipSpec) -> None:
        """Refuse more loss than is allowed.

        Args:
            neurons: Allowed share of neurons and sources.
            synapses: Allowed share of synapses.
            spec: The chip.

        Raises:
            InputError: More is lost; the message says what, why, and what would help.
        """
        units, missing = self.neurons + self.sources, self.neurons_lost + self.sources_lost
        if missing > neurons * units:
            size = max(self.sizes.values(), default=1)
            raise InputError(
                f"{self.neurons_lost} of {self.neurons} neurons and {self.sources_lost} of "
                f"{self.sources} sources find no place on {spec.name}, which has room for "
                f"{spec.capacity(size)} neurons of {size} circuits. Use a larger system or smaller "
                f"neurons, or allow it by `max_neuron_loss` (now {neurons:g})."
            )
        if self.loss > synapses:
            why = ", ".join(f"{reason}: {n}" for reason, n in self.reasons.items())
            raise InputError(
                f"{self.lost} of {self.synapses} synapses ({100 * self.loss:.1f} %) find no place "
                f"on {spec.name} ({why}). Use larger neurons or fewer connections, or allow it by "
                f"`max_synapse_loss` (now {synapses:g})."
            )


def losses(network: Network, routing: Routing, clipped: Sequence[int]) -> list[ProjectionLoss]:
    """Losses of all projections."""
    found = []
    for projection, fate, over in zip(network.projections, routing.fate, clipped, strict=True):
        counts = np.bincount(fate, minlength=len(REASONS))
        reasons = {REASONS[k]: int(n) for k, n in enumerate(counts) if k != SET and n}
        found.append(ProjectionLoss(projection.label, len(fate), reasons, int(over)))
    return found


def report(
    network: Network, places: Placement, found: list[ProjectionLoss], spec: ChipSpec, **more
) -> Report:
    """The report of a mapped network."""
    missing, source = places.missing, places.is_source
    sizes = {
        p.label: int(places.size[places.units(k)][0])
        for k, p in enumerate(network.populations)
        if not p.is_source
    }
    used = np.unique(places.chip[~source & ~missing])
    return Report(
        chip=spec.name,
        neurons=int((~source).sum()),
        neurons_lost=int((missing & ~source).sum()),
        sources=int(source.sum()),
        sources_lost=int((missing & source).sum()),
        sizes=sizes,
        chips=len(used),
        projections=found,
        **more,
    )
