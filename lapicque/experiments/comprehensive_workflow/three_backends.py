"""One description, three backends: simulator, mapped without distortion, and virtual chip

A balanced random network is described once. It runs on the ideal simulator, then through all stages
of the mapping with every distortion switched off, then on virtual chips as they are, with and
without calibration: Spikey and a BrainScaleS-1 wafer. Only the backend changes. Beside it, stimuli
that a link cannot carry are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.comprehensive_workflow._families import CELL, RECEPTORS, WORK
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, style, subplots
from lapicque.spiking import AllToAll, FixedInDegree, Network, Poisson, Simulation
from lapicque.spiking.statistics import cv, rates
from lapicque.substrate import Chip, Distortions, Emulation, brainscales1, spikey


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    n_excitatory: int = 138
    n_inhibitory: int = 46
    n_sources: int = 60
    inputs: int = 15  # of each neuron from neurons of either kind
    stimuli: int = 8  # of each neuron from sources
    source_rate: float = 20.0  # Hz
    excitation: float = 0.003  # uS
    inhibition: float = 0.03  # uS
    stimulation: float = 0.0075  # uS
    chips: int = 8  # specimens of each system
    warm_up: float = 200.0  # ms
    duration: float = 5000.0  # ms
    shown: float = 500.0  # ms
    load: tuple[float, ...] = (0.1, 0.3, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0)  # of the link's rate
    load_duration: float = 5000.0  # ms
    drive: tuple[float, ...] = (-53.0, -50.0, -45.0, -40.0, -35.0)  # mV, resting potentials
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("inputs", self.inputs, 1, min(self.n_excitatory, self.n_inhibitory) - 1)
        in_range("stimuli", self.stimuli, 1, self.n_sources)
        in_range("source_rate", self.source_rate, 0, unit="Hz")
        for name in ("excitation", "inhibition", "stimulation"):
            in_range(name, getattr(self, name), 0, unit="uS")
        in_range("chips", self.chips, 1)
        in_range("warm_up", self.warm_up, 0, unit="ms")
        positive("duration", self.duration, "ms")
        in_range("shown", self.shown, 1, self.duration, unit="ms")
        in_range("load", self.load, 0.01, 10)
        in_range("drive", self.drive, -100, 0, unit="mV")
        in_range("load_duration", self.load_duration, 100, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        n_excitatory=40, n_inhibitory=12, n_sources=20, inputs=8, chips=2, duration=300.0,
        shown=200.0,
        load=(0.1, 2.0), drive=(-40.0,), load_duration=1000.0,
    ),
    "quick": Config(),
    "paper": Config(duration=60_000.0, chips=20, load_duration=30_000.0),
}  # fmt: skip


class Backend(NamedTuple):
    """Where a network runs: a title, and options that only the set-up sees."""

    title: str
    system: str | None = None
    exact: bool = False
    calibrated: bool = True


BACKENDS: Mapping[str, Backend] = {
    "ideal": Backend("Ideal simulator"),
    "spikey_exact": Backend("mapped to Spikey, no distortion", "spikey", exact=True),
    "spikey": Backend("Spikey, calibrated", "spikey"),
    "spikey_uncalibrated": Backend("Spikey, uncalibrated", "spikey", calibrated=False),
    "brainscales1_exact": Backend(
        "mapped to BrainScaleS-1, no distortion", "brainscales1", exact=True
    ),
    "brainscales1": Backend("BrainScaleS-1, calibrated", "brainscales1"),
    "brainscales1_uncalibrated": Backend(
        "BrainScaleS-1, uncalibrated", "brainscales1", calibrated=False
    ),
}

_STAGES = "every stage of the mapping leaves alone what it is not asked to distort"
_SERVER = "a link that is asked for twice what it carries loses half"

CLAIMS = (
    *(
        Claim(
            f"{system}_exact",
            f"Mapped to {title} without distortion, the network fires the very same spikes",
            f"{system}_exact_moved",
            Certainty.DERIVED,
            _STAGES,
            at_most=0.0,
            published=0.0,
        )
        for system, title in (("spikey", "Spikey"), ("brainscales1", "BrainScaleS-1"))
    ),
    Claim(
        "spikey_alike",
        "A calibrated Spikey is about as active as the simulator",
        "spikey_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: comparable after calibration; a factor of 2 is our limit",
        at_least=0.5,
        at_most=2.0,
        published=1.0,
    ),
    Claim(
        "wafer_alike",
        "and so is the calibrated wafer",
        "brainscales1_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: comparable; a factor of 2 is our limit",
        at_least=0.5,
        at_most=2.0,
        published=1.0,
    ),
    Claim(
        "irregular",
        "Firing stays irregular on calibrated chips",
        "lowest_cv",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: asynchronous irregular activity survives; 0.7 is our limit",
        at_least=0.7,
    ),
    *(
        Claim(
            f"{system}_calibration",
            f"On {title} calibration brings the rates of neurons closer to each other",
            f"{system}_spread_kept",
            Certainty.NOT_VERIFIED,
            "what calibration is for; spread of rates after over before, mean over specimens",
            at_most=1.0,
        )
        for system, title in (("spikey", "Spikey"), ("brainscales1", "BrainScaleS-1"))
    ),
    Claim(
        "conserved",
        "Each stimulus is sent, dropped or lost",
        "link_unaccounted",
        Certainty.DERIVED,
        "conservation",
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "recording",
        "A recording that lacks spikes leaves the network alone: as many fire without any limit",
        "recording_moved",
        Certainty.DERIVED,
        "the link lies behind the network",
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "light_load",
        "A link at a tenth of its rate loses no stimulus",
        "link_lost_at_least_load",
        Certainty.DERIVED,
        "a queue that is nearly always empty",
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "heavy_load",
        "At twice its rate it loses half",
        "link_lost_at_2",
        Certainty.DERIVED,
        _SERVER,
        at_least=0.3,
        published=0.5,
    ),
)

CITES = ("bruederle2011comprehensive",)


class Described(NamedTuple):
    """A network and the populations that are looked at."""

    network: Network
    excitatory: Any
    inhibitory: Any


def describe(config: Config) -> Described:
    """The script: it knows nothing of backends."""
    network = Network()
    excitatory = network.population(config.n_excitatory, CELL, RECEPTORS, label="excitatory")
    inhibitory = network.population(config.n_inhibitory, CELL, RECEPTORS, label="inhibitory")
    stimulus = network.population(config.n_sources, Poisson(config.source_rate), label="stimulus")

    def few(n):
        return FixedInDegree(n, self_connections=False, multiple=False)

    for cells in (excitatory, inhibitory):
        network.project(stimulus, cells, few(config.stimuli), config.stimulation, 1.0)
        network.project(excitatory, cells, few(config.inputs), config.excitation, 1.0)
        network.project(
            inhibitory, cells, few(config.inputs), config.inhibition, 1.0, receptor="inhibitory"
        )
    return Described(network, excitatory, inhibitory)


def start(
    network: Network, backend: Backend, config: Config, seed: int, specimen: int = 0
) -> Simulation | Emulation:
    """The one place where backends differ."""
    if backend.system is None:
        return Simulation(network, config.dt, seed=seed)
    spec, options = spikey(), {}
    if backend.system == "brainscales1":
        spec, options = brainscales1("wafer"), {"size": 16, "spread": True}
    switches = Distortions.none() if backend.exact else Distortions()
    chip = Chip(spec, seed * config.chips + specimen, switches)
    return Emulation(
        network, chip, config.dt, seed=seed, calibrated=backend.calibrated,
        max_synapse_loss=0.05, max_neuron_loss=0.05, **options,
    )  # fmt: skip


def run(config: Config, seed: int, session) -> Outcome:
    """The network on each backend, and a link under growing load."""
    recordings: dict[str, Any] = {}
    for name, backend in BACKENDS.items():
        session.log(backend.title)
        found = session.stage(name, lambda b=backend: _active(config, b, seed))
        recordings |= {f"{name}/{key}": values for key, values in found.items()}
    link = session.stage("link", lambda: _loaded(config, seed))
    recordings |= {f"link/{key}": values for key, values in link.items()}
    found = session.stage("recording", lambda: _recorded(config, seed))
    recordings |= {f"recording/{key}": values for key, values in found.items()}
    return Outcome(_measured(config, recordings), recordings)


def _active(config: Config, backend: Backend, seed: int) -> dict[str, Any]:
    """Rates, CVs and counters of all specimens, shape (specimens, ...), and spikes of the first.

    Unit numbers of inhibitory neurons follow those of the excitatory.
    """
    network, excitatory, inhibitory = describe(config)
    rows: dict[str, list] = {}
    spikes = {}
    for specimen in range(config.chips if backend.system and not backend.exact else 1):
        simulation = start(network, backend, config, seed, specimen)
        simulation.run(config.warm_up)
        begin = simulation.time
        record = simulation.run(config.duration)
        parts = record.spikes(excitatory), record.spikes(inhibitory)
        row = {
            "rate": rates(parts[0], excitatory.size, begin, simulation.time),
            "cv": np.nan_to_num(cv(parts[0], excitatory.size)),
        }
        if isinstance(simulation, Emulation):
            report = simulation.report
            row |= {"synapses": report.synapses, "lost": report.lost}
            row |= report.pulses.as_dict()
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
        if specimen == 0:
            spikes["time"] = np.concatenate([p.time for p in parts])
            spikes["unit"] = np.concatenate([parts[0].id, parts[1].id + config.n_excitatory])
    return {name: np.array(values) for name, values in rows.items()} | spikes


def _loaded(config: Config, seed: int) -> dict[str, np.ndarray]:
    """What becomes of the stimuli of one chip, for each share of what its link carries."""
    spec = brainscales1(chain=16)
    assert spec.links is not None
    rows = []
    for share in config.load:
        network = Network()
        cells = network.population(8, CELL, RECEPTORS)
        sources = network.population(40, Poisson(share * spec.links.per_chip / 40))
        network.project(sources, cells, AllToAll(), 0.0003, 1.0)
        emulation = Emulation(network, Chip(spec, seed), config.dt, seed=seed)
        emulation.run(config.load_duration)
        p = emulation.report.pulses
        rows.append((p.down_generated, p.down_sent, p.down_dropped, p.down_lost))
    names = ("generated", "sent", "dropped", "lost")
    return dict(zip(names, np.array(rows).T, strict=True)) | {"load": np.array(config.load)}


def _recorded(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Spikes of a chip that fire and that are recorded [Hz], for each drive.

    `moved` counts spikes by which a network with links and one without any limit differ.
    """
    spec = brainscales1(chain=16)
    assert spec.links is not None
    seconds, rows = config.load_duration * 1e-3, []
    for drive in config.drive:
        network = Network()
        driven = replace(CELL, v_rest=np.linspace(drive - 1, drive + 1, 50))
        cells = network.population(50, driven, RECEPTORS)
        network.project(cells, cells, FixedInDegree(5), 0.0003, 1.0, receptor="inhibitory")
        pulses, spikes = [], []
        for links in (True, False):
            chip = Chip(spec, seed, replace(Distortions.none(), links=links))
            emulation = Emulation(network, chip, config.dt, seed=seed, max_synapse_loss=0.5)
            spikes.append(len(emulation.run(config.load_duration).spikes(cells).id))
            pulses.append(emulation.report.pulses)
        moved = abs(pulses[0].on_wafer - spikes[1])
        rows.append((spikes[1] / seconds, spikes[0] / seconds, moved, pulses[0].up_sent,
                     pulses[0].up_lost))  # fmt: skip
    names = ("fired", "recorded", "moved", "sent", "lost")
    carries = np.array(spec.links.per_chip)
    return dict(zip(names, np.array(rows).T, strict=True)) | {"carries": carries}


# -- measures ------------------------------------------------------------------------------------


def _measured(config: Config, r: Mapping[str, np.ndarray]) -> dict[str, float]:
    metrics = {}
    for name, backend in BACKENDS.items():
        rate, regular = r[f"{name}/rate"], r[f"{name}/cv"]
        metrics[f"{name}_rate"] = rate.mean()
        metrics[f"{name}_rate_spread"] = rate.std(1).mean()
        metrics[f"{name}_cv"] = regular[regular > 0].mean() if regular.any() else 0.0
        if backend.system:
            metrics[f"{name}_synapses_lost"] = (r[f"{name}/lost"] / r[f"{name}/synapses"]).mean()
        if backend.exact:
            metrics[f"{name}_moved"] = _moved(r, name)
        elif backend.system:
            metrics[f"{name}_rate_ratio"] = rate.mean() / r["ideal/rate"].mean()
            recorded, lost = r[f"{name}/up_sent"].sum(), r[f"{name}/up_lost"].sum()
            metrics[f"{name}_recording_lost"] = lost / max(recorded + lost, 1)
    systems = ("spikey", "brainscales1")
    metrics["lowest_cv"] = min(metrics[f"{s}_cv"] for s in systems)
    for system in systems:
        after, before = (r[f"{system}{end}/rate"].std(1) for end in ("", "_uncalibrated"))
        metrics[f"{system}_spread_kept"] = (after / np.maximum(before, 1e-9)).mean()
    lost = 1 - r["link/sent"] / np.maximum(r["link/generated"], 1)
    known = r["link/sent"] + r["link/dropped"] + r["link/lost"]
    metrics["link_unaccounted"] = np.abs(r["link/generated"] - known).sum()
    metrics["recording_moved"] = r["recording/moved"].sum()
    metrics["recording_largest_loss"] = (
        r["recording/lost"] / np.maximum(r["recording/lost"] + r["recording/sent"], 1)
    ).max()
    metrics["link_lost_at_least_load"] = lost[np.argmin(config.load)]
    metrics["link_lost_at_2"] = np.interp(2.0, config.load, lost)
    return {name: float(value) for name, value in metrics.items()}


def _moved(r: Mapping[str, np.ndarray], name: str) -> float:
    """Spikes that the ideal run and this one do not have in common."""
    sets = [
        set(zip(r[f"{n}/unit"].tolist(), r[f"{n}/time"].tolist(), strict=True))
        for n in ("ideal", name)
    ]
    return float(len(sets[0] ^ sets[1]))


# -- figures -------------------------------------------------------------------------------------


def figures(outcome: Outcome, config: Config):
    """Rasters side by side, rates and CVs, and the counters of the link."""
    r = outcome.recordings
    with style():
        return {
            "rasters": _draw_rasters(r, config),
            "rates": _draw_rates(r),
            "links": _draw_link(r),
        }


def _draw_rasters(r, config: Config):
    figure, axes = subplots(3, 3, width=9.6, height=6.0, sharex=True, sharey=True)
    axes[0, 0].set_subplotspec(axes[0, 0].get_gridspec()[0, :])
    for ax in axes[0, 1:]:
        ax.remove()
    places = [axes[0, 0], *axes[1], *axes[2]]
    for ax, (name, backend) in zip(places, BACKENDS.items(), strict=True):
        time, unit = r[f"{name}/time"] - config.warm_up, r[f"{name}/unit"]
        early = time <= config.shown
        inhibitory = unit >= config.n_excitatory
        for chosen, colour in ((~inhibitory, COLOURS[0]), (inhibitory, COLOURS[1])):
            ax.plot(time[early & chosen], unit[early & chosen], ".", ms=1.8, mec="none", c=colour)
        ax.set_title(backend.title, fontsize=9)
        ax.set_xlim(0, config.shown)
        ax.set_ylim(-2, config.n_excitatory + config.n_inhibitory + 1)
        ax.grid(False)
    for ax in (places[0], axes[1, 0], axes[2, 0]):
        ax.set_ylabel("neuron")
    places[0].tick_params(labelbottom=True)
    for ax in (places[0], *axes[2]):
        ax.set_xlabel("time [ms]")
    return figure


def _draw_rates(r):
    figure, axes = subplots(1, 2, width=9.6, height=3.4, gridspec_kw={"width_ratios": [1.2, 1]})
    curves, bars = axes[0]
    for name, colour, line in (
        ("ideal", INK, "-"), ("spikey", COLOURS[0], "-"),
        ("spikey_uncalibrated", COLOURS[0], ":"), ("brainscales1", COLOURS[1], "-"),
        ("brainscales1_uncalibrated", COLOURS[1], ":"),
    ):  # fmt: skip
        rate = np.sort(r[f"{name}/rate"].ravel())
        curves.plot(rate, (np.arange(rate.size) + 0.5) / rate.size, line, color=colour,
                    label=BACKENDS[name].title)  # fmt: skip
    curves.set_xscale("symlog", linthresh=1.0, linscale=0.3)
    curves.set_xlim(0, None)
    curves.set_xlabel("recorded rate [Hz]")
    curves.set_ylabel("share of excitatory neurons below")
    curves.legend(loc="upper left", fontsize=7)
    names = [n for n, b in BACKENDS.items() if not b.exact]
    for k, name in enumerate(names):
        regular = r[f"{name}/cv"]
        regular = regular[regular > 0]
        bars.boxplot(
            [regular], positions=[k], orientation="horizontal", widths=0.6, showfliers=False,
            medianprops={"color": INK}, boxprops={"color": MUTED}, whiskerprops={"color": MUTED},
            capprops={"color": MUTED},
        )  # fmt: skip
    bars.set_yticks(range(len(names)), [BACKENDS[n].title for n in names])
    bars.invert_yaxis()
    bars.set_xlim(0, None)
    bars.set_xlabel("CV of intervals")
    return figure


def _draw_link(r):
    figure, axes = subplots(1, 2, width=9.6, height=3.2)
    left, right = axes[0]
    load = r["link/load"]
    generated = np.maximum(r["link/generated"], 1)
    fine = np.linspace(min(load), max(load), 200)
    left.plot(fine, 100 * np.maximum(1 - 1 / fine, 0), color=MUTED, lw=1, label="1 − 1 / load")
    left.plot(load, 100 * (1 - r["link/sent"] / generated), "o", label="virtual chip")
    left.set_xlabel("stimuli over what the link carries")
    left.set_ylabel("stimuli lost [%]")
    left.legend()
    fired, recorded = 1e-3 * r["recording/fired"], 1e-3 * r["recording/recorded"]
    carries = 1e-3 * float(r["recording/carries"])
    edge = np.array([0.0, carries, max(float(fired.max()), carries)])
    right.plot(edge, np.minimum(edge, carries), color=MUTED, lw=1, label="up to the link's rate")
    right.plot(fired, recorded, "o", label="virtual chip")
    right.set_xlabel("spikes that neurons of a chip fire [kHz]")
    right.set_ylabel("spikes in the recording [kHz]")
    right.legend()
    return figure
