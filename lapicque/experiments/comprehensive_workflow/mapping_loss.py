"""How much of a network fits: synapses that a wafer cannot realise

Networks of seven families are mapped to a virtual BrainScaleS-1 wafer: neurons to circuits, their
spikes to buses, buses to synapse drivers. What finds no wire, driver or row is lost, and counted
with its reason. Beside it stand what calibration does to the parameters of the neurons, and what
becomes of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lapicque._checks import in_range
from lapicque.experiments.comprehensive_workflow._families import (
    FAMILIES,
    LAYERS,
    TITLES,
    WORK,
    cells,
    column_places,
    majority,
    random,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, GRID, INK, MUTED, style, subplots
from lapicque.spiking import FixedProbability, Network, Poisson
from lapicque.substrate import Chip, Emulation, brainscales1, map_network
from lapicque.substrate.emulation import Mapped
from lapicque.substrate.routing import REASONS, SET

SHOWN = ("v_thresh", "v_rest", "tau_m", "tau_syn_E")


@dataclass(frozen=True)
class Config:
    """Settings of the experiment. Sizes are neurons where nothing else is said."""

    random_10: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    random_30: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    noise: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    feed_forward: tuple[int, ...] = (5, 10, 20, 50, 100)  # neurons of a layer
    boltzmann: tuple[int, ...] = (10, 50, 100, 200, 500, 1000, 2000)
    ising: tuple[int, ...] = (20, 40, 80, 160)  # edge of the lattice
    column: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)  # % of the neurons
    circuits: tuple[int, ...] = (4, 8, 16)  # of a neuron
    draws: int = 20  # of the documented example

    def __post_init__(self):
        for family in FAMILIES:
            in_range(family, getattr(self, family), 0.1 if family == "column" else 2)
        in_range("circuits", self.circuits, 1, 64)
        in_range("draws", self.draws, 1)


PRESETS = {
    "smoke": Config(
        random_10=(100, 200), random_30=(100,), noise=(100,), feed_forward=(10, 100),
        boltzmann=(20,), ising=(6,), column=(0.5,), circuits=(4, 8), draws=1,
    ),
    "quick": Config(
        random_30=(100, 200, 400, 800, 1600), boltzmann=(10, 50, 100, 200, 500, 1000),
        ising=(20, 40, 80), column=(0.5, 1.0, 2.0, 5.0),
    ),
    "paper": Config(),
}  # fmt: skip

_DOCUMENTS = "public documentation and benchmarks of BrainScaleS-1"
_WIRES = "wires of the virtual chip: there are more drivers and rows than are needed"

CLAIMS = (
    Claim(
        "documented",
        "50 neurons and 50 sources with p = 0.5 lose part of their synapses on one chip",
        "documented_loss",
        Certainty.AUTHORS_CODE,
        f"{_DOCUMENTS}: 581 of 2486 with chains of 5 drivers; the range is our limit",
        at_least=0.10,
        at_most=0.40,
        published=0.234,
    ),
    Claim(
        "documented_alike",
        "There synapses from sources and from neurons are lost alike",
        "documented_difference",
        Certainty.AUTHORS_CODE,
        f"{_DOCUMENTS}: 23.6 and 23.2 % of both projections; five points are our limit",
        at_most=0.05,
        published=0.004,
    ),
    Claim(
        "ample",
        "and none if a bus can feed 16 drivers",
        "ample_loss",
        Certainty.DERIVED,
        _WIRES,
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "layers",
        "Two layers of 10 neurons, all to all, lose nothing if all buses are used alike",
        "layers_of_10_loss",
        Certainty.DERIVED,
        _WIRES,
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "larger_layers",
        "nor do layers of 100 with neurons of 8 circuits",
        "layers_of_100_loss",
        Certainty.DERIVED,
        _WIRES,
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "small",
        "A random network of 100 neurons with p = 0.1 loses nothing",
        "random_smallest_loss",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: small networks are mapped without loss",
        at_most=0.0,
    ),
    Claim(
        "growing",
        "Loss grows with size: no larger random network loses less, by more than two points",
        "random_largest_fall",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: loss grows with size and fan-in; two points are our limit",
        at_most=0.02,
    ),
    Claim(
        "conserved",
        "Every synapse is either there or lost for a reason",
        "unaccounted",
        Certainty.DERIVED,
        "conservation",
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "neurons",
        "A wafer has room for 181 248 neurons of one circuit",
        "wafer_neurons",
        Certainty.AUTHORS_CODE,
        _DOCUMENTS,
        at_least=181_248,
        at_most=181_248,
        published=181_248,
    ),
    Claim(
        "synapses",
        "and about 45 million synapses",
        "wafer_synapses",
        Certainty.PUBLISHED,
        f"{WORK}, abstract",
        at_least=44e6,
        at_most=46e6,
        published=45e6,
    ),
    Claim(
        "thresholds",
        "Calibrated thresholds scatter by half a millivolt",
        "threshold_spread",
        Certainty.AUTHORS_CODE,
        f"{_DOCUMENTS}: 4.1 to 5.5 mV on the chip, a tenth of that in biology; it went into the "
        "virtual chip, and twice or half of it is our limit",
        at_least=0.2,
        at_most=1.1,
        published=0.47,
    ),
)

CITES = ("bruederle2011comprehensive", "potjans2014cell")


def run(config: Config, seed: int, session) -> Outcome:
    """Map all networks, then look closer at some."""
    wafer = Chip(brainscales1("wafer"), seed)
    recordings: dict[str, Any] = {}
    for family in FAMILIES:
        session.log(TITLES[family])
        found = session.stage(family, lambda name=family: _swept(config, name, wafer, seed))
        recordings |= {f"{family}/{name}": values for name, values in found.items()}
    for name, compute in (
        ("documented", lambda: _documented(config, seed)),
        ("layers", lambda: _layers(wafer, seed)),
        ("column_map", lambda: _mapped_column(config, wafer, seed)),
        ("parameters", lambda: _parameters(wafer, seed)),
        ("weights", lambda: _weights(wafer, seed)),
    ):
        found = session.stage(name, compute)
        recordings |= {f"{name}/{key}": values for key, values in found.items()}
    return Outcome(_measured(config, recordings), recordings)


# -- mapping -------------------------------------------------------------------------------------


def _mapped(network: Network, chip: Chip, seed: int, **options) -> Mapped:
    return map_network(
        network, chip, seed=seed, calibrated=False, max_synapse_loss=1.0, max_neuron_loss=1.0,
        **options,
    )  # fmt: skip


def _reasons(mapped: Mapped) -> np.ndarray:
    """Share of synapses that is lost for each reason, shape (reasons - 1,)."""
    lost = mapped.report.reasons
    return np.array([lost.get(r, 0) for r in REASONS[1:]]) / max(mapped.report.synapses, 1)


def _swept(config: Config, family: str, chip: Chip, seed: int) -> dict[str, np.ndarray]:
    """Loss for each size, number of circuits, and use of buses: one after another, or alike."""
    sizes = getattr(config, family)
    shape = len(sizes), len(config.circuits), 2
    loss, reasons = np.zeros(shape), np.zeros((*shape, len(REASONS) - 1))
    off = np.zeros(shape)
    neurons, synapses = np.zeros(len(sizes)), np.zeros(len(sizes))
    for i, size in enumerate(sizes):
        network = FAMILIES[family](size)
        for j, circuits in enumerate(config.circuits):
            for k, alike in enumerate((False, True)):
                mapped = _mapped(network, chip, seed, size=circuits, spread=alike)
                report = mapped.report
                loss[i, j, k], reasons[i, j, k] = report.loss, _reasons(mapped)
                there = sum(int((fate == SET).sum()) for fate in mapped.routing.fate)
                off[i, j, k] = abs(report.synapses - report.lost - there)
        neurons[i], synapses[i] = report.neurons, report.synapses
    return {
        "loss": loss, "reasons": reasons, "unaccounted": off, "neurons": neurons,
        "synapses": synapses,
    }  # fmt: skip


def _documented(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Loss of the documented example in all, from sources and from neurons; and with ample chains.

    Shape (draws, 3) each.
    """
    found = {}
    for name, chain in (("few", 5), ("ample", 16)):
        rows = []
        for draw in range(config.draws):
            network = Network()
            neurons = cells(network, 50)
            sources = network.population(50, Poisson(10.0))
            for pre in (sources, neurons):
                network.project(pre, neurons, FixedProbability(0.5), 0.005, 1.0)
            chip = Chip(brainscales1(chain=chain), seed)
            report = _mapped(network, chip, 1000 * seed + draw, size=4).report
            rows.append([report.loss, *(p.lost / p.synapses for p in report.projections)])
        found[name] = np.array(rows)
    return found


def _layers(chip: Chip, seed: int) -> dict[str, np.ndarray]:
    """Loss of two layers: of 10 neurons of 4 circuits, and of 100 of 8."""
    return {
        f"of_{n}": np.array(
            _mapped(FAMILIES["feed_forward"](n), chip, seed, size=size, spread=True).report.loss
        )
        for n, size in ((10, 4), (100, 8))
    }


def _mapped_column(config: Config, chip: Chip, seed: int) -> dict[str, np.ndarray]:
    """Where the largest column lies, and what it loses where.

    Populations and shares are by chip; `loss` is by target and source, -1 where nothing projects.
    """
    spec = chip.spec
    network = FAMILIES["column"](config.column[-1])
    mapped = _mapped(network, chip, seed, size=8)
    places, routing = mapped.places, mapped.routing
    there = np.flatnonzero(~places.missing)
    population = np.searchsorted(places.first, there, "right") - 1
    lost, all_ = np.zeros(spec.chips), np.zeros(spec.chips)
    loss = np.full((len(LAYERS), len(LAYERS)), -1.0)
    for k, projection in enumerate(network.projections):
        own = places.chip[places.units(network.populations.index(projection.post))]
        target = own[mapped.drawn[k].post]
        np.add.at(all_, target[target >= 0], 1)
        np.add.at(lost, target[(target >= 0) & (routing.fate[k] != SET)], 1)
        report = mapped.report.projections[k]
        loss[column_places(projection)] = report.lost / max(report.synapses, 1)
    used = np.zeros(spec.chips)
    np.add.at(used, places.chip[there], places.size[there] / spec.neurons)
    return {
        "population": majority(population, places.chip[there], spec.chips),
        "used": used,
        "lost": lost / np.maximum(all_, 1),
        "loss": loss,
        "grid": np.array(spec.grid),
    }


def _parameters(chip: Chip, seed: int) -> dict[str, np.ndarray]:
    """Realised parameters of neurons of one circuit, before and after calibration."""
    network = Network()
    own = cells(network, 400)
    found = {}
    for k, name in enumerate(("before", "after")):
        configured = map_network(network, chip, seed=seed, size=1, calibrated=k == 1).configured
        found |= {f"{quantity}/{name}": configured.values[own][quantity] for quantity in SHOWN}
    return found


def _weights(chip: Chip, seed: int) -> dict[str, np.ndarray]:
    """Wanted, nominal and acting weights of a random network [uS]."""
    network = random(200, 0.1)
    weights = np.random.default_rng(seed).uniform(0.0005, 0.04, 200 * 200)
    old = network.projections[0]
    network.projections.clear()
    projection = network.project(
        old.pre, old.post, old.connector, lambda rng, distance: weights[: distance.size], 1.0
    )
    emulation = Emulation(network, chip, seed=seed, size=8, spread=True, max_synapse_loss=0.5)
    here = emulation.is_set(projection)
    return {
        "wanted": emulation.mapped.drawn[0].weight[here],
        "nominal": emulation.mapped.written.strength[0][here],
        "acting": emulation.weights(projection)[here],
    }


# -- measures ------------------------------------------------------------------------------------


def _measured(config: Config, recordings) -> dict[str, float]:
    spec = brainscales1("wafer")
    loss = recordings["random_10/loss"][:, 0, 0]
    falls = [earlier - later for earlier, later in pairwise(loss)]
    few, ample = recordings["documented/few"], recordings["documented/ample"]
    threshold = recordings["parameters/v_thresh/after"]
    metrics = {
        "documented_loss": few[:, 0].mean(),
        "documented_loss_from_sources": few[:, 1].mean(),
        "documented_loss_from_neurons": few[:, 2].mean(),
        "documented_difference": abs(few[:, 1].mean() - few[:, 2].mean()),
        "ample_loss": ample[:, 0].max(),
        "layers_of_10_loss": recordings["layers/of_10"],
        "layers_of_100_loss": recordings["layers/of_100"],
        "random_smallest_loss": loss[0],
        "random_largest_fall": max([0.0, *falls]),
        "unaccounted": sum(recordings[f"{f}/unaccounted"].sum() for f in FAMILIES),
        "wafer_neurons": spec.capacity(1),
        "wafer_synapses": spec.circuits * spec.fan_in(1),
        "threshold_spread": threshold.std(),
    }
    for family in FAMILIES:
        # whichever use of buses loses less, with neurons of the default size
        metrics[f"{family}_largest_loss"] = recordings[f"{family}/loss"][-1, 0].min()
    return {name: float(value) for name, value in metrics.items()}


# -- figures -------------------------------------------------------------------------------------


def figures(outcome: Outcome, config: Config):
    """Loss against size, where and why it occurs, and what parameters and weights become."""
    r = outcome.recordings
    with style():
        return {
            "loss": _draw_loss(r, config),
            "reasons": _draw_reasons(r, config),
            "wafer": _draw_wafer(r, config),
            "parameters": _draw_parameters(r),
            "weights": _draw_weights(r),
        }


def _draw_loss(r, config: Config):
    from matplotlib.ticker import NullFormatter

    figure, axes = subplots(2, 4, width=9.6, height=4.6, sharey=True)
    for ax, family in zip(axes.flat, FAMILIES, strict=False):
        for j, circuits in enumerate(config.circuits):
            for k, line in enumerate(("-", ":")):
                ax.plot(
                    r[f"{family}/neurons"], 100 * r[f"{family}/loss"][:, j, k], line,
                    color=COLOURS[j], marker="o" if k == 0 else ".", ms=3.5,
                    label=f"{circuits} circuits" if k == 0 else None,
                )  # fmt: skip
        ax.set_title(TITLES[family])
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(0.8 * r[f"{family}/neurons"][0], 1.25 * r[f"{family}/neurons"][-1])
        ax.set_ylim(-3, 103)
    for ax in axes[:, 0]:
        ax.set_ylabel("synapses lost [%]")
    for ax in (*axes[1, :3], axes[0, 3]):
        ax.set_xlabel("neurons")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    for line, label in (("-", "one bus after another"), (":", "all buses alike")):
        handles += axes[0, 0].plot([], [], line, color=INK)
        labels.append(label)
    axes[1, 3].axis("off")
    axes[1, 3].legend(handles, labels, loc="center left", title="a neuron has")
    return figure


def _draw_reasons(r, config: Config):
    figure, axes = subplots(1, 2, width=9.6, height=3.9, gridspec_kw={"width_ratios": [1, 1.15]})
    heat, bars = axes[0]
    loss = np.ma.masked_less(100 * r["column_map/loss"], 0)
    drawn = heat.imshow(loss, vmin=0, vmax=max(loss.max(), 1), cmap="viridis")
    heat.grid(False)
    heat.set_xticks(range(len(LAYERS)), LAYERS, rotation=60, ha="right", rotation_mode="anchor")
    heat.set_yticks(range(len(LAYERS)), LAYERS)
    heat.set_xlabel("from")
    heat.set_ylabel("to")
    heat.set_title(f"Column of {config.column[-1]:g} %, neurons of 8 circuits")
    figure.colorbar(drawn, ax=heat, label="synapses lost [%]", shrink=0.85)
    left = np.zeros(len(FAMILIES))
    last = np.stack([r[f"{f}/reasons"][-1, 0, 0] for f in FAMILIES])
    seen = np.flatnonzero(last.any(0))
    for k, reason in enumerate(seen):
        values = 100 * last[:, reason]
        bars.barh(range(len(FAMILIES)), values, left=left, color=COLOURS[k],
                  label=REASONS[reason + 1])  # fmt: skip
        left = left + values
    names = [f"{TITLES[f]}\n{int(r[f'{f}/neurons'][-1])} neurons" for f in FAMILIES]
    bars.set_yticks(range(len(FAMILIES)), names)
    bars.invert_yaxis()
    bars.set_xlim(0, 100)
    bars.grid(axis="y", visible=False)
    bars.set_xlabel("synapses lost [%]")
    bars.set_title(f"Largest networks, neurons of {config.circuits[0]} circuits")
    if seen.size:
        bars.legend(loc="lower right")
    return figure


def _draw_wafer(r, config: Config):
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    columns, rows = (int(n) for n in r["column_map/grid"])
    figure, axes = subplots(1, 2, width=9.6, height=4.1)
    population = r["column_map/population"].reshape(rows, columns)
    colours = (*COLOURS, MUTED)
    left, right = axes[0]
    left.imshow(np.ma.masked_less(population, 0), cmap=ListedColormap(colours),
                vmin=-0.5, vmax=len(colours) - 0.5)  # fmt: skip
    present = [k for k in range(len(LAYERS)) if (population == k).any()]
    figure.legend(
        handles=[Patch(color=colours[k], label=LAYERS[k]) for k in present],
        loc="outside lower center", ncols=8, handlelength=0.8,
    )  # fmt: skip
    left.set_title("Population with most neurons on a chip")
    lost = np.ma.masked_where(population < 0, 100 * r["column_map/lost"].reshape(rows, columns))
    drawn = right.imshow(lost, vmin=0, vmax=max(float(lost.max()), 1))
    right.set_title("Synapses lost at its neurons")
    figure.colorbar(drawn, ax=right, label="lost [%]", shrink=0.8)
    for ax in axes[0]:
        ax.set_facecolor(GRID)
        ax.grid(False)
        ax.set_xlabel("column of chips")
        ax.set_ylabel("row of chips")
    return figure


_LABELS = {
    "v_thresh": "threshold [mV]",
    "v_rest": "resting potential [mV]",
    "tau_m": "membrane time constant [ms]",
    "tau_syn_E": "synaptic time constant [ms]",
}


def _draw_parameters(r):
    figure, axes = subplots(1, 4, width=9.6, height=2.7)
    for ax, name in zip(axes[0], SHOWN, strict=True):
        before, after = (r[f"parameters/{name}/{when}"] for when in ("before", "after"))
        low, high = np.percentile(before, [0.5, 99.5])
        bins = np.linspace(float(low), float(high), 41)
        for values, label, colour in (
            (before, "before", MUTED), (after, "after", COLOURS[0])
        ):  # fmt: skip
            ax.hist(values, bins, color=colour, alpha=0.75, label=label)
        ax.set_xlabel(_LABELS[name])
        ax.set_title(f"{_spread(before)} → {_spread(after)}", fontsize=8)
    axes[0, 0].set_ylabel("neurons")
    axes[0, -1].legend(title="calibration")
    return figure


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values):.2g}".replace("-", "−")


def _draw_weights(r):
    figure, axes = subplots(1, 2, width=7.6, height=3.4, sharey=True)
    wanted = 1e3 * r["weights/wanted"]
    for ax, name, title in (
        (axes[0, 0], "nominal", "After rounding to 4 bits"),
        (axes[0, 1], "acting", "and with the strength of each synapse"),
    ):
        ax.plot(wanted, 1e3 * r[f"weights/{name}"], ".", ms=2, alpha=0.5, mec="none")
        ax.plot([0, wanted.max()], [0, wanted.max()], color=INK, lw=1)
        ax.set_title(title)
        ax.set_xlabel("wanted weight [nS]")
    axes[0, 0].set_ylabel("realised weight [nS]")
    return figure
