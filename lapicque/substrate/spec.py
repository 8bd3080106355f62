"""What a chip has and how far it can be set: numbers only, no instance yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range, one_of, positive


@dataclass(frozen=True)
class Quantity:
    """Something analog in a neuron circuit that is set by a digital code.

    Attributes:
        unit: Of realised values: `LSB` of the read-out for potentials, `us` of hardware time.
        full_scale: Nominal value at the highest code (`linear`), or at code 1 (`inverse`).
        bits: Of the code.
        law: `linear` (value grows with the code) or `inverse` (value is `full_scale / code`,
            as a time constant whose conductance grows with a current).
        low, high: Allowed range of target values.
        spread: Standard deviation of the fixed pattern: in `unit` if `linear`, relative if
            `inverse` or `relative`.
        trial: Standard deviation of what is drawn anew at every run, likewise.
        relative: Whether deviations multiply; always so for `inverse`.

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
class ChipSpec:
    """A kind of chip.

    Attributes:
        name: Of the system.
        speedup: Biological time passes so many times faster on the chip.
        neurons: Neuron circuits.
        rows: Synapses of a circuit; a signed synapse takes two.
        weight_bits: Of the size of a weight; its sign is that of its row.
        quantities: What can be set for each neuron.
        synapse_spread: Relative standard deviation of single synapses, fixed.
        reading_bits: Of the read-out of membrane potentials.
        reading_offset: Standard deviation of the offset of a read-out channel. [LSB]
        reading_noise: Standard deviation of a single reading. [LSB]
        delays: The delay elements, or `None`.

    Raises:
        InputError: A number is out of range.
    """

    name: str
    speedup: float
    neurons: int
    rows: int
    weight_bits: int
    quantities: Mapping[str, Quantity]
    synapse_spread: float = 0.0
    reading_bits: int = 8
    reading_offset: float = 0.0
    reading_noise: float = 0.0
    delays: DelayElement | None = field(default=None)

    def __post_init__(self) -> None:
        positive("speedup", self.speedup)
        for name in ("neurons", "rows", "weight_bits", "reading_bits"):
            in_range(name, getattr(self, name), 1)
        for name in ("synapse_spread", "reading_offset", "reading_noise"):
            in_range(name, getattr(self, name), 0)
        object.__setattr__(self, "quantities", MappingProxyType(dict(self.quantities)))

    @property
    def largest_weight(self) -> int:
        """The largest digital weight."""
        return 2**self.weight_bits - 1

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
            ("signed inputs of a neuron", inputs, self.rows // 2),
            ("delay elements", delayed, elements),
        ):
            if needs > has:
                raise InputError(
                    f"The network needs {needs} {what}; {self.name} has {has}, {needs - has} too "
                    "few."
                )


def brainscales2() -> ChipSpec:
    """BrainScaleS-2: 512 neurons, 256 rows, 6-bit weights, a thousand times real time.

    Source:
        Ranges and resolutions: the chip's released calibration library and demonstrations. The
        size of variations is our assumption, chosen within the limits of that library's
        tests (sheet of substrates, 4.2 and 4.3); it is not measured chip data.
    """
    return ChipSpec(
        name="BrainScaleS-2",
        speedup=1e3,
        neurons=512,
        rows=256,
        weight_bits=6,
        quantities={
            "leak": Quantity("LSB", 255.0, 50, 160, spread=9.0, trial=0.3),
            "reset": Quantity("LSB", 255.0, 50, 160, spread=12.0, trial=0.3),
            "threshold": Quantity("LSB", 255.0, 50, 220, spread=9.0, trial=0.7),
            "tau_m": Quantity("us", 511.5, 0.5, 60, spread=0.25, trial=0.01, law="inverse"),
            "tau_syn": Quantity("us", 306.9, 0.3, 30, spread=0.25, trial=0.01, law="inverse"),
            "gain": Quantity("", 2.046, 0.06, 1.6, spread=0.15, trial=0.01, relative=True),
        },
        synapse_spread=0.05,
        reading_bits=8,
        reading_offset=12.0,
        reading_noise=1.5,
        delays=DelayElement(),
    )
