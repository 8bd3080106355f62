"""What synapses and neurons become on a chip: weights of a few bits, codes, fixed delays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lapicque.spiking import LIF, AdEx, Network, Population, TsodyksMarkram
from lapicque.spiking.drawn import Synapses
from lapicque.substrate.calibration import Calibration, calibrate, uncalibrated
from lapicque.substrate.check import parameters
from lapicque.substrate.chip import Chip, Index, Values
from lapicque.substrate.placement import Placement, coordinates
from lapicque.substrate.routing import SET, WEAK, Routing, inhibitory
from lapicque.substrate.spec import KINDS

FIRST_ONLY = ("v_thresh", "v_reset", "v_spike", "tau_refrac")
"""Of joined circuits one makes the spikes; everything else is the mean of all."""


# -- synapses ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """Digital weights, and the strength that goes with them.

    Attributes:
        digital: For each synapse of each projection; 0 where it is lost.
        strength: Nominal weight, in the unit of the network; 0 where it is lost.
        clipped: Synapses of each projection whose weight was above the largest level, or below the
            lowest where that is not 0.
    """

    digital: list[Index]
    strength: list[Values]
    clipped: list[int]


def write_weights(
    network: Network,
    drawn: Sequence[Synapses],
    routing: Routing,
    chip: Chip,
    trial: int = 0,
) -> Written:
    """Turn weights into those that the chip can hold.

    Each row takes the smallest of its scales that covers its largest weight; where a chip has a
    strength of its own for every neuron, the largest weight of a population gets the highest
    digital weight. A synapse whose weight becomes 0 is lost, and marked so in `routing`.

    Args:
        network: The description.
        drawn: Its synapses.
        routing: What became of them; changed where weights are too small.
        chip: The specimen.
        trial: Number of this writing: randomness of stochastic rounding.
    """
    levels = chip.spec.weights
    sizes = [np.abs(s.weight) * _to_reference(p, s, chip)
            for p, s in zip(network.projections, drawn, strict=True)]  # fmt: skip
    tops = _highest(network, drawn, sizes, routing, chip)
    digital, strength, clipped = [], [], []
    for k, (projection, found) in enumerate(zip(network.projections, drawn, strict=True)):
        fate, here = routing.fate[k], routing.fate[k] == SET
        rng = np.random.default_rng(np.random.SeedSequence([chip.seed, 300, trial, k]))
        share = sizes[k] / np.where(tops[k] > 0, tops[k], 1.0)
        d = levels.digital(share, rng)
        value = levels.levels[d] * tops[k]
        if not chip.distortions.weights:
            value = sizes[k]
        weak = here & (value == 0) | here & (sizes[k] == 0)
        fate[weak] = WEAK
        routing.row[k][weak] = -1
        kept = fate == SET
        digital.append(np.where(kept, d, 0))
        sign = np.sign(found.weight)
        exact = chip.distortions.weights
        nominal = sign * value / _to_reference(projection, found, chip) if exact else found.weight
        strength.append(np.where(kept, nominal, 0.0))
        off = (share > 1 + 1e-9) | (share < levels.levels[0] - 1e-9)
        clipped.append(int((kept & off).sum()) if chip.distortions.weights else 0)
    return Written(digital, strength, clipped)


def _to_reference(projection, found: Synapses, chip: Chip) -> Values:
    """Factor from a weight to the one that does the same at the capacitance of the chip."""
    cm = np.broadcast_to(np.asarray(projection.post.model.cm, float), projection.post.size)
    return (chip.spec.capacitance / cm)[found.post]


def _highest(network: Network, drawn, sizes, routing: Routing, chip: Chip) -> list[Values]:
    """Strength of the highest digital weight for each synapse."""
    levels = chip.spec.weights
    tops = [np.zeros(len(s)) for s in drawn]
    negative = [inhibitory(p, s) for p, s in zip(network.projections, drawn, strict=True)]
    if not levels.excitatory:
        largest: dict[tuple[Population, int], float] = {}
        for p, own, sign, fate in zip(
            network.projections, sizes, negative, routing.fate, strict=True
        ):
            for s in (0, 1):
                most = float(own[(sign == s) & (fate == SET)].max(initial=0))
                largest[p.post, s] = max(most, largest.get((p.post, s), 0.0))
        for k, p in enumerate(network.projections):
            tops[k] = np.where(negative[k] == 1, largest[p.post, 1], largest[p.post, 0])
        return tops
    rows = np.concatenate([np.zeros(0, np.int64), *routing.row])
    weights, signs = np.concatenate([np.zeros(0), *sizes]), np.concatenate([[], *negative])
    used, which = np.unique(rows, return_inverse=True)
    most = np.zeros(len(used))
    np.maximum.at(most, which, weights)
    flat = np.zeros(rows.size)
    for s, receptor in enumerate(("excitatory", "inhibitory")):
        choices = np.array(levels.choices(receptor))
        pick = np.minimum(np.searchsorted(choices, most[which] * (1 - 1e-12)), choices.size - 1)
        flat = np.where(signs == s, choices[pick], flat)
    edges = np.cumsum([len(s) for s in drawn])[:-1]
    return np.split(flat, edges)


def realised_synapses(
    network: Network,
    drawn: Sequence[Synapses],
    places: Placement,
    routing: Routing,
    written: Written,
    circuits: Configured,
    chip: Chip,
    dt: float,
) -> list[Synapses]:
    """The synapses as they act: with their rows, their own strength, and the delays of the chip."""
    index = {population: k for k, population in enumerate(network.populations)}
    result = []
    for k, (projection, found) in enumerate(zip(network.projections, drawn, strict=True)):
        kept = routing.fate[k] == SET
        weight = written.strength[k] * chip.gains(len(found), k)
        sign = np.where(inhibitory(projection, found) == 1, "I", "E")
        for s in ("E", "I"):
            own = kept & (sign == s)
            if circuits.rows.get(s) is not None and own.any():
                weight[own] *= circuits.rows[s][routing.row[k][own]]
            gain = circuits.gains[projection.post].get(f"gain_{s}")
            if gain is not None:
                weight[own] *= gain[found.post[own]]
        delay = found.delay
        if chip.distortions.delays:
            here = places.chip[places.first[index[projection.pre]] + found.pre]
            there = places.chip[places.first[index[projection.post]] + found.post]
            (ax, ay), (bx, by) = coordinates(chip.spec, here), coordinates(chip.spec, there)
            hops = np.abs(ax - bx) + np.abs(ay - by)
            delay = chip.spec.axon_delay + chip.spec.hop_delay * hops
            delay = np.maximum(np.rint(delay * 1e-3 * chip.spec.speedup / dt), 1) * dt
        result.append(Synapses(found.pre, found.post, weight, delay).kept(kept))
    return result


def realised_plasticity(plasticity, chip: Chip):
    """Short-term plasticity with the utilisation that a driver can be set to."""
    options = np.array(chip.spec.utilisations)
    if not isinstance(plasticity, TsodyksMarkram) or not (options.size and chip.distortions.codes):
        return plasticity
    return replace(plasticity, U=float(options[np.argmin(np.abs(options - plasticity.U))]))


# -- neurons -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configured:
    """Neurons as the chip realises them.

    Attributes:
        values: Parameters of each population of neurons, in PyNN's units, shape (size,) each.
        gains: Factors `gain_E` and `gain_I` of each population, where the chip has them.
        rows: Factors of rows, by sign, where the chip has them.
        clipped: Circuits whose code ends at a border, by quantity.
        shared: Largest distance from what a neuron wanted to what it shares, in PyNN's unit.
    """

    values: dict[Population, dict[str, Values]]
    gains: dict[Population, dict[str, Values]]
    rows: dict[str, Values]
    clipped: dict[str, int]
    shared: dict[str, float]


def configure(
    network: Network, places: Placement, chip: Chip, calibrated: bool = True, trial: int = 0
) -> Configured:
    """Find codes for all parameters, and what the circuits make of them.

    Args:
        network: The description.
        places: Where its neurons are.
        chip: The specimen.
        calibrated: Whether codes are corrected by what the chip lets one see.
        trial: Number of this run; what varies from run to run depends on it.
    """
    spec, switches = chip.spec, chip.distortions
    randomness = np.random.default_rng(np.random.SeedSequence([chip.seed, 301, trial]))
    neurons = [(k, p, parameters(p)) for k, p in enumerate(network.populations) if not p.is_source]
    values = {p: {name: v.copy() for name, v in own.items()} for _, p, own in neurons}
    result = Configured(values, {p: {} for _, p, _ in neurons}, {}, {}, {})
    if not (switches.pattern or switches.trials or switches.codes):
        return result

    def found(name: str, where: Index, targets: Values) -> tuple[Calibration, Values]:
        if calibrated:
            own = calibrate(
                chip, {name: targets}, list(KINDS).index(name), where=where, check=False
            )
        else:
            own = uncalibrated(chip, {name: targets}, where, check=False)
        return own, own.realised(chip, name, randomness)

    for name, quantity in spec.quantities.items():
        if quantity.place == "row":
            where = np.arange(spec.places("row"))
            result.rows[name[-1]] = found(name, where, np.ones(where.size))[1]
            continue
        owners = [
            (p, units, np.ones(p.size) if KINDS[name] == "factor" else own[name])
            for k, p, own in neurons
            if (units := places.units(k)) and (KINDS[name] == "factor" or name in own)
        ]
        if not owners:
            continue
        # joined circuits get the same target
        first = np.concatenate([places.circuit[units] for _, units, _ in owners])
        joined = np.concatenate([places.size[units] for _, units, _ in owners])
        placed = np.flatnonzero(first >= 0)
        used = np.ones_like(joined) if name in FIRST_ONLY else joined
        used = used[placed]
        begin = np.cumsum(used) - used
        where = np.repeat(first[placed] - begin, used) + np.arange(used.sum())
        cm = np.concatenate([values[p]["cm"] for p, _, _ in owners])
        scale = spec.capacitance / cm if name in ("a", "b") else np.ones(cm.size)
        wanted = np.concatenate([v for _, _, v in owners]) * scale
        targets = spec.to_chip(name, np.repeat(wanted[placed], used))
        if switches.codes:  # what is out of range becomes the nearest possible
            targets = np.clip(targets, quantity.low, quantity.high)
        own, realised = found(name, where, targets)
        mean = np.bincount(np.repeat(np.arange(placed.size), used), realised) / used
        after = wanted.copy()
        after[placed] = spec.to_biology(name, mean)
        after = after / scale
        if KINDS[name] == "time":
            after = np.maximum(after, 1e-3 if name != "tau_refrac" else 0.0)
        result.clipped[name] = int(own.clipped[name].sum())
        if quantity.sharing is not None and switches.codes:
            groups = np.unique(quantity.sharing.group(where), return_inverse=True)[1]
            shared = (np.bincount(groups, targets) / np.bincount(groups))[groups]
            off = spec.to_biology(name, shared) - spec.to_biology(name, targets)
            result.shared[name] = float(np.abs(off).max(initial=0))
        edges = np.cumsum([p.size for p, _, _ in owners])[:-1]
        for (p, _, _), part in zip(owners, np.split(after, edges), strict=True):
            (result.gains if KINDS[name] == "factor" else values)[p][name] = part
    for own in values.values():
        if switches.codes:
            for name, value in {**spec.fixed, "i_offset": 0.0}.items():
                if name in own:
                    own[name] = np.full_like(own[name], value)
        top = "v_spike" if "v_spike" in own else "v_thresh"
        own["v_reset"] = np.minimum(own["v_reset"], own[top] - 0.1)
        if "delta_T" in own:
            own["delta_T"] = np.maximum(own["delta_T"], 0.05)
    return result


def realised_model(population: Population, values: dict[str, Values]) -> tuple:
    """Neuron model and receptors with realised parameters."""
    assert isinstance(population.model, LIF | AdEx)
    parts = []
    for part in (population.model, population.receptors):
        names = [n for n in values if hasattr(part, n)]
        parts.append(replace(part, **{n: values[n] for n in names}))  # pyright: ignore
    return parts[0], parts[1]
