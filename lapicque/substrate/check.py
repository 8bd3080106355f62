"""Whether a chip can hold the models and parameters of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from lapicque._checks import InputError
from lapicque.spiking import Network, Population, TsodyksMarkram
from lapicque.substrate.spec import KINDS, UNITS, ChipSpec


class OutOfRange(InputError):
    """A parameter that a chip cannot be set to.

    Attributes:
        violations: All of them.
    """

    def __init__(self, violations: list[Violation], spec: ChipSpec):
        self.violations = violations
        more = f" ({len(violations) - 1} more are out of range.)" if len(violations) > 1 else ""
        super().__init__(
            violations[0].sentence(spec) + more + " `ignore_ranges` takes the nearest possible."
        )


@dataclass(frozen=True)
class Violation:
    """A parameter out of its range.

    Attributes:
        population: Label of whose.
        name: Of the parameter, as in PyNN.
        value: The worst one, in PyNN's unit.
        low, high: What is allowed.
    """

    population: str
    name: str
    value: float
    low: float
    high: float

    def sentence(self, spec: ChipSpec) -> str:
        """What is wrong, in biology and on the chip."""
        kind = KINDS.get(self.name)
        unit = "nA" if kind is None else UNITS[kind]
        text = f"`{self.name}` of {self.population} is {self.value:g} {unit}; on {spec.name} "
        if self.low == self.high:
            return text + f"it is {self.low:g} {unit} and cannot be set."
        text += f"it must lie between {self.low:g} and {self.high:g} {unit}"
        if kind is None or self.name not in spec.quantities:
            return text + "."
        own = spec.quantities[self.name]
        value = float(spec.to_chip(self.name, self.value))
        return text + f" ({value:g} {own.unit} on the chip, {own.low:g} to {own.high:g})."


def check(network: Network, spec: ChipSpec, ignore_ranges: bool = False) -> list[Violation]:
    """Compare a network with what a chip can do.

    The membrane capacitance is not compared: networks are rescaled to the one of the chip.

    Args:
        network: The description.
        spec: The kind of chip.
        ignore_ranges: Return what is out of range instead of refusing it.

    Raises:
        InputError: A model, kind of synapse or plasticity is not on this chip.
        OutOfRange: A parameter is out of range.
    """
    if network.noises:
        raise InputError(
            f"{spec.name} has no private noise; make it a population of Poisson sources that "
            "projects to the neurons."
        )
    found: list[Violation] = []
    for population in network.populations:
        if not population.is_source:
            _check_model(population, spec)
            found.extend(_violations(population, spec))
    for projection in network.projections:
        plasticity = projection.plasticity
        if plasticity is None:
            continue
        if not isinstance(plasticity, TsodyksMarkram):
            raise InputError(
                f"{projection.label} has {type(plasticity).__name__}; mapped synapses of "
                f"{spec.name} are static or TsodyksMarkram. Learn in the loop, or with a program "
                "for its processor."
            )
        if plasticity.tau_facil > 0 and plasticity.U < 1 and plasticity.tau_rec > 1:
            raise InputError(
                f"{projection.label} has `tau_rec` {plasticity.tau_rec:g} and `tau_facil` "
                f"{plasticity.tau_facil:g} ms; a driver depresses or facilitates, one must be 0 "
                "(or at most 1 ms for `tau_rec`)."
            )
    if found and not ignore_ranges:
        raise OutOfRange(found, spec)
    return found


def parameters(population: Population) -> dict[str, np.ndarray]:
    """All parameters of the neurons of a population, each of shape (size,)."""
    return {
        field.name: np.broadcast_to(np.asarray(getattr(part, field.name), float), population.size)
        for part in (population.model, population.receptors)
        if part is not None
        for field in fields(part)
    }


def _check_model(population: Population, spec: ChipSpec) -> None:
    model, receptors = type(population.model).__name__, type(population.receptors).__name__
    for what, kind, allowed in (
        ("model", model, spec.models),
        ("receptors", receptors, spec.receptors),
    ):
        if kind not in allowed:
            raise InputError(
                f"`{what}` of {population.label} is {kind}; {spec.name} has {', '.join(allowed)}."
            )


def _violations(population: Population, spec: ChipSpec) -> Iterator[Violation]:
    values = parameters(population)
    scale = spec.capacitance / values["cm"]
    for name, value in values.items():
        if name == "cm":
            continue
        if name in ("a", "b"):
            value = value * scale
        if name in spec.quantities:
            low, high = spec.range(name)
        elif name in spec.fixed:
            low = high = spec.fixed[name]
        elif name == "i_offset":
            low = high = 0.0
        else:
            continue
        slack = 1e-9 * max(abs(low), abs(high))
        wrong = (value < low - slack) | (value > high + slack)
        if wrong.any():
            worst = float(value[wrong][np.argmax(np.maximum(low - value, value - high)[wrong])])
            yield Violation(population.label, name, worst, low, high)
