"""The chips of the works: Spikey, BrainScaleS-1 and BrainScaleS-2.

Counts, resolutions and ranges are those of published software and documentation. Where they say
nothing about the size of a variation, it is our assumption, as each preset tells; none of those is
measured chip data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from lapicque._checks import one_of, positive
from lapicque.substrate.spec import (
    Buses,
    ChipSpec,
    DelayElement,
    Links,
    Quantity,
    Reading,
    Rows,
    Sharing,
    WeightLevels,
)


def spikey(blocks: int = 1) -> ChipSpec:
    """Spikey: 192 neurons in a block, 256 rows, 4-bit weights, ten thousand times real time.

    Args:
        blocks: 1, as on the version of the chip whose other block cannot be used, or 2.

    Raises:
        InputError: `blocks` is neither.

    Source:
        Released PyNN back end, demonstrations and calibration tables of 22 chips: the spread of
        tau_m (0.38) and of rows (0.2 and 0.4) are measured, the one of potentials and single
        synapses is our assumption (sheet of substrates, 2.3). So is the translation of voltages.
    """
    one_of("blocks", blocks, (1, 2))
    shared = Sharing(192, 2)

    def potential(low, high, spread):
        return Quantity("mV", 2000.0, low, high, spread, trial=3.0, sharing=shared)

    return ChipSpec(
        name="Spikey",
        speedup=1e4,
        neurons=192 * blocks,
        routing=Rows(256, 192),
        weights=WeightLevels(4, excitatory=(0.015,), inhibitory=(0.060,), rounding="stochastic"),
        quantities={
            "v_rest": potential(400.0, 1200.0, 20.0),
            "v_reset": potential(400.0, 1200.0, 30.0),
            # never measured by the released calibration
            "v_thresh": replace(potential(400.0, 1200.0, 20.0), seen=False),
            "e_rev_I": potential(400.0, 1200.0, 20.0),
            "tau_m": Quantity("us", 81.8, 0.08, 10.0, 0.36, trial=0.01, law="inverse"),
            "tau_refrac": Quantity("us", 10.2, 0.01, 2.0, 0.2, law="inverse", seen=False),
            "row_E": Quantity("", 2.046, 0.1, 2.0, 0.2, 0.01, relative=True, place="row"),
            "row_I": Quantity("", 2.046, 0.1, 2.0, 0.4, 0.01, relative=True, place="row"),
        },
        models=("LIF",),
        receptors=("ConductanceExp",),
        synapse_spread=0.15,
        reading=Reading(2000.0, 10, noise=10.0),
        volts=(10.0, 1400.0),
        capacitance=0.2,
        axon_delay=0.1,
        fixed={"e_rev_E": 0.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0},
        defects=0.01,
    )


_CAPACITORS = {"big": 2.165, "small": 0.164}  # pF
_EXTENTS = {"chip": (1, 1), "reticle": (4, 2), "wafer": (24, 16)}


def brainscales1(
    extent: Literal["chip", "reticle", "wafer"] = "chip",
    *,
    speedup: float = 1e4,
    capacitor: Literal["big", "small"] = "big",
    chain: int = 3,
) -> ChipSpec:
    """BrainScaleS-1: 512 circuits a chip, 384 chips a wafer, 4-bit weights.

    Args:
        extent: How many chips: 1, 8 or 384.
        speedup: Between 1e3 and 1e5; times shrink with it, currents and conductances grow.
        capacitor: Of the membranes. With the small one membranes are faster.
        chain: Neighbouring synapse drivers that one bus can feed.

    Raises:
        InputError: An argument is not among the allowed.

    Source:
        Ranges and counts: released PyNN back end, executable specification and guidebook; spreads
        before and after calibration: histograms of one chip in its documentation (sheet of
        substrates, 3.2 to 3.6). Spreads of time constants, adaptation and reprogramming, the
        shape of the wafer (24 by 16 chips) and what vertical buses a horizontal one reaches are
        our assumptions.
    """
    one_of("extent", extent, _EXTENTS)
    one_of("capacitor", capacitor, _CAPACITORS)
    positive("speedup", speedup)
    smaller = _CAPACITORS[capacitor] / _CAPACITORS["big"]
    faster = 1e4 / speedup / smaller  # conductances and currents, over those of the usual setting

    def potential(low, high, trial):
        return Quantity("mV", 1800.0, low, high, 45.0, trial)

    def time(low, high, slower=1.0):
        return Quantity(
            "us", 1023 * low * slower, low * slower, high * slower, 0.25, 0.03, law="inverse"
        )

    def adaptation(unit, high):
        return Quantity(unit, high * 1.1, 0.0, high, 0.1, 0.03, relative=True, seen=False)

    columns, rows = _EXTENTS[extent]
    strengths = tuple(0.1 * faster * s / 550 for s in (550, 650 / 4, 500 / 11, 200 / 15))
    return ChipSpec(
        name=f"BrainScaleS-1 ({extent})",
        speedup=speedup,
        neurons=512,
        routing=Buses(chain=chain),
        weights=WeightLevels(
            4,
            (93.94, 81.34, -1.597),
            excitatory=strengths,
            inhibitory=strengths,
            rounding="stochastic",
        ),
        quantities={
            "v_rest": potential(0.0, 1400.0, 11.0),
            # one setting for many, and yet as near as the calibrated histogram shows
            "v_reset": Quantity("mV", 1800.0, 200.0, 1200.0, 8.0, 9.0, sharing=Sharing(128)),
            "v_thresh": potential(200.0, 1200.0, 3.0),
            "v_spike": potential(200.0, 1200.0, 3.0),
            "e_rev_E": potential(0.0, 1400.0, 5.0),
            "e_rev_I": potential(0.0, 1400.0, 5.0),
            "tau_m": time(0.9, 11.0, smaller),
            "tau_refrac": Quantity("us", 10.23, 0.0, 1.0, 0.1, 0.03, law="inverse"),
            "tau_syn_E": time(0.05, 0.5),
            "tau_syn_I": time(0.05, 0.5),
            "delta_T": Quantity("mV", 33.0, 0.0, 30.0, 0.1, 0.03, relative=True, seen=False),
            "a": adaptation("nS", 10.0 * faster),
            "b": adaptation("nA", 0.086 * faster),
            "tau_w": Quantity("us", 2046.0, 2.0, 78.0, 0.1, 0.03, law="inverse", seen=False),
        },
        models=("LIF", "AdEx"),
        receptors=("ConductanceExp",),
        synapse_spread=0.2,
        reading=Reading(1800.0, 12, noise=2.5),
        volts=(10.0, 1200.0),
        capacitance=0.2,
        axon_delay=0.12,
        hop_delay=0.004,
        grid=(columns, rows),
        links=Links(
            2084.0 * 1e4 / speedup,
            per_group=12.5e3 * 1e4 / speedup,
            in_total=150e3 * 1e4 / speedup,
            group=8,
        ),
        defects=0.02,
        utilisations=tuple(0.25 + 0.15 * k / 7 for k in range(8)),
    )


def brainscales2() -> ChipSpec:
    """BrainScaleS-2: 512 neurons, 256 rows, 6-bit weights, a thousand times real time.

    Source:
        Ranges and resolutions: the chip's released calibration library and demonstrations. The
        size of variations is our assumption, chosen within the limits of that library's
        tests (sheet of substrates, 4.2 and 4.3); it is not measured chip data. So is the
        translation of voltages: 3 LSB for a mV, 100 LSB at -65 mV.
    """

    def tau(full_scale, low, high):
        return Quantity("us", full_scale, low, high, spread=0.25, trial=0.01, law="inverse")

    gain = Quantity("", 2.046, 0.06, 1.6, spread=0.15, trial=0.01, relative=True)
    return ChipSpec(
        name="BrainScaleS-2",
        speedup=1e3,
        neurons=512,
        routing=Rows(256, 256, labels=64),
        weights=WeightLevels(6),
        quantities={
            "v_rest": Quantity("LSB", 255.0, 50, 160, spread=9.0, trial=0.3),
            "v_reset": Quantity("LSB", 255.0, 50, 160, spread=12.0, trial=0.3),
            "v_thresh": Quantity("LSB", 255.0, 50, 220, spread=9.0, trial=0.7),
            "tau_m": tau(511.5, 0.5, 60),
            "tau_syn_E": tau(306.9, 0.3, 30),
            "tau_syn_I": tau(306.9, 0.3, 30),
            "tau_refrac": Quantity("us", 40.9, 0.04, 32, 0.05, 0.005, law="inverse"),
            "gain_E": gain,
            "gain_I": gain,
        },
        models=("LIF",),
        receptors=("CurrentExp",),
        synapse_spread=0.05,
        reading=Reading(256.0, 8, offset=12.0, noise=1.5),
        volts=(3.0, 295.0),
        capacitance=0.2,
        axon_delay=0.5,
        delays=DelayElement(),
    )
