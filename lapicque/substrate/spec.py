"""What a chip has and how far it can be set: numbers only, no instance yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, positive

Kind = Literal["potential", "difference", "time", "conductance", "current", "factor"]

_NAMES: Mapping[Kind, tuple[str, ...]] = {
    "potential": ("v_rest", "v_reset", "v_thresh", "v_spike", "e_rev_E", "e_rev_I"),
    "time": ("tau_m", "tau_refrac", "tau_w", "tau_syn_E", "tau_syn_I"),
    "difference": ("delta_T",),
    "conductance": ("a",),
    "current": ("b",),
    "factor": ("gain_E", "gain_I", "row_E", "row_I"),
}

KINDS: Mapping[str, Kind] = MappingProxyType(
    {name: kind for kind, names in _NAMES.items() for name in names}
)
"""How each parameter goes from biology to the chip and back."""

UNITS: Mapping[Kind, str] = MappingProxyType(
    {
        "potential": "mV",
        "difference": "mV",
        "time": "ms",
        "conductance": "nS",
        "current": "nA",
        "factor": "",
    }
)
"""Biological units."""


@dataclass(frozen=True)
class Sharing:
    """Circuits that have one setting in common.

    Attributes:
        block: So many circuits in a row belong together.
        interleaved: Of those, every so many share: 2 means even and odd ones apart.
    """

    block: int
    interleaved: int = 1

    def group(self, circuit: ArrayLike) -> NDArray[np.int64]:
        """Number of the group of each circuit."""
        circuit = np.asarray(circuit, np.int64)
        return circuit // self.block * self.interleaved + circuit % self.interleaved


@dataclass(frozen=True)
class Quantity:
    """Something analog in a neuron circuit that is set by a digital code.

    Attributes:
        unit: Of realised values, in the domain of the chip: `LSB` of the read-out or `mV` for
            potentials, `us` of hardware time.
        full_scale: Nominal value at the highest code (`linear`), or at code 1 (`inverse`).
        bits: Of the code.
        law: `linear` (value grows with the code) or `inverse` (value is `full_scale / code`,
            as a time constant whose conductance grows with a current).
        low, high: Allowed range of target values.
        spread: Standard deviation of the fixed pattern: in `unit` if `linear`, relative if
            `inverse` or `relative`.
        trial: Standard deviation of what is drawn anew at every run, likewise.
        relative: Whether deviations multiply; always so for `inverse`.
        seen: Whether calibration can measure it.
        sharing: Circuits that share a setting, or `None` where each has its own.
        place: Whether it belongs to neuron circuits or to rows of synapses.

    Raises:
        InputError: A number is out of range.
    """

    unit: str
    full_scale: float
    low: float
    high: float
    spread: float
    trial: float = 0.0
    bits: int = 10
    law: Literal["linear", "inverse"] = "linear"
    relative: bool = False
    seen: bool = True
    sharing: Sharing | None = None
    place: Literal["neuron", "row"] = "neuron"

    def __post_init__(self) -> None:
        positive("full_scale", self.full_scale, self.unit)
        in_range("low", self.low, 0, unit=self.unit)
        in_range("high", self.high, self.low, unit=self.unit)
        in_range("spread", self.spread, 0)
        in_range("trial", self.trial, 0)
        in_range("bits", self.bits, 1, 16)
        one_of("law", self.law, ("linear", "inverse"))

    @property
    def codes(self) -> int:
        """The highest code."""
        return 2**self.bits - 1

    @property
    def multiplies(self) -> bool:
        """Whether deviations are relative."""
        return self.relative or self.law == "inverse"

    def nominal(self, code: ArrayLike) -> NDArray[np.float64]:
        """Value of an ideal circuit at a code."""
        code = np.asarray(code, float)
        if self.law == "linear":
            return self.full_scale * code / self.codes
        return self.full_scale / np.maximum(code, 1)

    @property
    def lowest(self) -> int:
        """The lowest code that does something."""
        return 0 if self.law == "linear" else 1

    def code(self, value: ArrayLike, *, whole: bool = True) -> NDArray[np.float64]:
        """The code whose nominal value is nearest, within what there is.

        Args:
            value: In `unit`.
            whole: Codes are whole numbers; without it they are not rounded.
        """
        value = np.asarray(value, float)
        if self.law == "linear":
            code = value / self.full_scale * self.codes
        else:
            code = self.full_scale / np.maximum(value, 1e-12)
        code = np.clip(code, self.lowest, self.codes)
        return np.rint(code) if whole else code


@dataclass(frozen=True)
class DelayElement:
    """A relay neuron whose refractory time is the delay of an axon.

    Attributes:
        offset: Delay at code 0. [us]
        step: Delay per code. [us]
        lowest, highest: Codes that can be used.
        count: How many there are on a chip.
        spread: Standard deviation of its fixed pattern, relative.
        jitter: Standard deviation of each spike's delay. [us]

    Source:
        Göltz, Weber, Kriener et al. (2025), released code: delay = code / 8 + 2 us, codes 50 to
        250; the jitter is that of its hardware-aware model. The spread is our assumption.
    """

    offset: float = 2.0
    step: float = 0.125
    lowest: int = 50
    highest: int = 250
    count: int = 128
    spread: float = 0.01
    jitter: float = 0.06

    def code(self, delay: ArrayLike) -> NDArray[np.int64]:
        """The nearest code to a delay [us], within what there is."""
        code = np.rint((np.asarray(delay, float) - self.offset) / self.step)
        return np.clip(code, self.lowest, self.highest).astype(int)

    def nominal(self, code: ArrayLike) -> NDArray[np.float64]:
        """Delay of an ideal element [us]."""
        return self.offset + self.step * np.asarray(code, float)


@dataclass(frozen=True)
class Reading:
    """How membrane potentials are read.

    Attributes:
        full_scale: The highest potential that can be read, in the unit of potentials.
        bits: Of a reading.
        offset: Standard deviation of the offset of a channel, in the unit of potentials.
        noise: Standard deviation of a single reading, likewise.
    """

    full_scale: float
    bits: int
    offset: float = 0.0
    noise: float = 0.0

    @property
    def step(self) -> float:
        """Difference of two neighbouring readings."""
        return self.full_scale / 2**self.bits


@dataclass(frozen=True)
class WeightLevels:
    """Strengths that a synapse can have.

    Attributes:
        bits: Of the digital weight `d`.
        curve: Coefficients of the strength as a polynomial in `d`, up to a factor.
        excitatory, inhibitory: Strengths of the highest level among which a row can choose, in uS
            at the capacitance and speed-up of the chip. Empty: any; the largest weight of each
            population then gets the highest level.
        rounding: To the `nearest` level, or `stochastic` to one of both neighbours, so that the
            mean is right.
    """

    bits: int
    curve: tuple[float, ...] = (0.0, 1.0)
    excitatory: tuple[float, ...] = ()
    inhibitory: tuple[float, ...] = ()
    rounding: Literal["nearest", "stochastic"] = "nearest"

    @property
    def top(self) -> int:
        """The largest digital weight."""
        return 2**self.bits - 1

    @property
    def levels(self) -> NDArray[np.float64]:
        """Strength of each digital weight over that of the largest."""
        values = np.polynomial.polynomial.polyval(np.arange(self.top + 1), self.curve)
        return values / values[-1]

    def choices(self, receptor: str) -> tuple[float, ...]:
        """Strengths of the highest level [uS], in rising order."""
        return tuple(sorted(self.excitatory if receptor == "excitatory" else self.inhibitory))

    def digital(
        self, strength: ArrayLike, rng: np.random.Generator | None = None
    ) -> NDArray[np.int64]:
        """Digital weights for strengths over that of the highest level; above it they are clipped.

        Args:
            strength: Over that of the highest level.
            rng: For stochastic rounding; without it levels are the nearest.
        """
        strength, levels = np.asarray(strength, float), self.levels
        above = np.clip(np.searchsorted(levels, strength), 1, self.top)
        low, high = levels[above - 1], levels[above]
        share = np.clip((strength - low) / (high - low), 0, 1)
        if rng is None or self.rounding == "nearest":
            return above - 1 + (share >= 0.5)
        return above - 1 + (rng.random(strength.shape) < share)


@dataclass(frozen=True)
class Links:
    """Limits of what enters and leaves a chip.

    Attributes:
        per_chip: Events a second of biological time through the link of a chip. [Hz]
        per_group: Likewise for all chips of a group.
        in_total: Likewise for all chips.
        group: Chips of a group.
        depth: Events that can wait at a chip.
        memory: Events that can wait where stimuli are kept.
    """

    per_chip: float
    per_group: float = np.inf
    in_total: float = np.inf
    group: int = 1
    depth: int = 16
    memory: int = 512

    def __post_init__(self) -> None:
        positive("per_chip", self.per_chip, "Hz")


@dataclass(frozen=True)
class Rows:
    """Synapses in rows: a row has one sign and reaches each neuron of its block with one synapse.

    Attributes:
        rows: Of a block.
        block: Neuron circuits that share the rows.
        labels: Sources that can share a row; each synapse listens to one of them.
    """

    rows: int
    block: int
    labels: int = 1


@dataclass(frozen=True)
class Buses:
    """Neurons send on buses; drivers take spikes from buses to pairs of rows of synapses.

    Attributes:
        rows: Of synapses that reach a neuron circuit.
        buses: Outgoing ones of a chip.
        addresses: Usable ones of a bus.
        horizontal, vertical: Long-range buses that pass a chip.
        reach: Vertical buses that a horizontal one can be switched to.
        drivers: For each of the four quadrants of a chip.
        chain: Drivers that one bus can feed on a chip, in both halves together. (We read the
            limit so since it then reproduces the loss of the documented example.)
        sizes: Circuits that can be joined into one neuron.
    """

    rows: int = 224
    buses: int = 8
    addresses: int = 59
    horizontal: int = 64
    vertical: int = 256
    reach: int = 8
    drivers: int = 56
    chain: int = 3
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class ChipSpec:
    """A kind of chip, or of several chips on one wafer.

    Attributes:
        name: Of the system.
        speedup: Biological time passes so many times faster on the chip.
        neurons: Neuron circuits of a chip.
        routing: How spikes get from neurons to synapses.
        weights: What synapses can be set to; the sign is that of their row.
        quantities: What can be set, by the name of the parameter in PyNN, or `gain_E`, `gain_I`
            (strength of all excitatory or inhibitory synapses of a neuron), `row_E`, `row_I` (of a
            row).
        models: Neuron models that it can be set to.
        receptors: Kinds of synaptic input.
        synapse_spread: Relative standard deviation of single synapses, fixed.
        reading: Of membrane potentials.
        volts: Scale and shift from a biological potential [mV] to one on the chip.
        capacitance: What the membrane stands for [nF]; networks are rescaled to it.
        axon_delay: From a spike to its effect on the same chip. [us]
        hop_delay: What each further chip on the way adds. [us]
        grid: Columns and rows of chips.
        links: Limits of what enters and leaves, or `None`.
        fixed: Biological parameters that cannot be set, with the value they have.
        defects: Share of neuron circuits that cannot be used.
        utilisations: What the `U` of a short-term plastic synapse can be set to; empty: anything.
        delays: The delay elements, or `None`.

    Raises:
        InputError: A number is out of range.
    """

    name: str
    speedup: float
    neurons: int
    routing: Rows | Buses
    weights: WeightLevels
    quantities: Mapping[str, Quantity]
    models: tuple[str, ...] = ("LIF",)
    receptors: tuple[str, ...] = ("CurrentExp",)
    synapse_spread: float = 0.0
    reading: Reading = Reading(256.0, 8)
    volts: tuple[float, float] = (1.0, 0.0)
    capacitance: float = 0.2
    axon_delay: float = 1.0
    hop_delay: float = 0.0
    grid: tuple[int, int] = (1, 1)
    links: Links | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    defects: float = 0.0
    utilisations: tuple[float, ...] = ()
    delays: DelayElement | None = field(default=None)

    def __post_init__(self) -> None:
        positive("speedup", self.speedup)
        positive("capacitance", self.capacitance, "nF")
        in_range("neurons", self.neurons, 1)
        in_range("synapse_spread", self.synapse_spread, 0)
        in_range("defects", self.defects, 0, 1)
        for name in self.quantities:
            one_of("quantities", name, KINDS)
        object.__setattr__(self, "quantities", MappingProxyType(dict(self.quantities)))
        object.__setattr__(self, "fixed", MappingProxyType(dict(self.fixed)))

    def places(self, place: str) -> int:
        """How many neuron circuits, or rows of synapses, there are in all."""
        if place == "neuron":
            return self.circuits
        blocks = self.neurons // self.routing.block if isinstance(self.routing, Rows) else 2
        return self.chips * blocks * self.routing.rows

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.grid[0] * self.grid[1]

    @property
    def circuits(self) -> int:
        """Neuron circuits of all chips."""
        return self.chips * self.neurons

    def capacity(self, size: int = 1) -> int:
        """Neurons of so many circuits each that fit.

        Raises:
            InputError: Circuits cannot be joined in this number.
        """
        if isinstance(self.routing, Rows):
            one_of("size", size, (1,))
            return self.circuits
        one_of("size", size, self.routing.sizes)
        addressed = self.routing.buses * self.routing.addresses // size
        return self.chips * (addressed if size <= 8 else self.neurons // size)

    def fan_in(self, size: int = 1) -> int:
        """Synapses of a neuron of so many circuits."""
        return self.routing.rows * size

    # -- domains -------------------------------------------------------------------------------

    def to_chip(self, name: str, value: ArrayLike) -> NDArray[np.float64]:
        """From a biological parameter in PyNN's unit to the unit of its quantity."""
        value, kind = np.asarray(value, float), KINDS[name]
        if kind == "potential":
            return self.volts[0] * value + self.volts[1]
        if kind == "difference":
            return self.volts[0] * value
        return value * 1e3 / self.speedup if kind == "time" else value

    def to_biology(self, name: str, value: ArrayLike) -> NDArray[np.float64]:
        """The way back."""
        value, kind = np.asarray(value, float), KINDS[name]
        if kind == "potential":
            return (value - self.volts[1]) / self.volts[0]
        if kind == "difference":
            return value / self.volts[0]
        return value * 1e-3 * self.speedup if kind == "time" else value

    def range(self, name: str) -> tuple[float, float]:
        """What a biological parameter may be, in PyNN's unit.

        Raises:
            InputError: The chip has no such parameter.
        """
        one_of("name", name, self.quantities)
        quantity = self.quantities[name]
        low, high = self.to_biology(name, [quantity.low, quantity.high])
        return float(low), float(high)

    def check(self, name: str, target: ArrayLike) -> None:
        """Refuse a target that the chip does not allow.

        Raises:
            InputError: There is no such quantity, or a target is out of its range.
        """
        one_of("name", name, self.quantities)
        quantity = self.quantities[name]
        in_range(
            name,
            target,
            quantity.low,
            quantity.high,
            quantity.unit,
            hint=f"That is the range of {self.name}.",
        )

    def fits(self, neurons: int, inputs: int, delayed: int) -> None:
        """Refuse a network that is too large.

        Args:
            neurons: Circuits it needs.
            inputs: Signed inputs of the neuron that has most.
            delayed: Axons with a delay element.

        Raises:
            InputError: Something is missing; the message says how much, and what would fit.
        """
        elements = 0 if self.delays is None else self.delays.count
        for what, needs, has in (
            ("neurons", neurons, self.neurons),
            ("signed inputs of a neuron", inputs, self.routing.rows // 2),
            ("delay elements", delayed, elements),
        ):
            if needs > has:
                raise InputError(
                    f"The network needs {needs} {what}; {self.name} has {has}, {needs - has} too "
                    "few."
                )
