"""A synfire chain on a chip: which packets survive, under distortion and after repair

Packets of spikes enter a chain of six groups with feedforward inhibition; they either sharpen from
group to group or die. Lost synapses and short delays move the border between both, stronger
synapses and weaker drive of the inhibitory cells move it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.characterization_compensation._networks import (
    WORK,
    Chain,
    SynfireChain,
    packets,
    synfire_chain,
    volley,
)
from lapicque.experiments.characterization_compensation._verdicts import (
    Distortion,
    Measure,
    check_distortion,
    draw_verdicts,
    judged,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.spiking import Network, Projection, Simulation
from lapicque.spiking.statistics import Events
from lapicque.substrate import Emulation
from lapicque.substrate.transforms import restore_fan_in, scale_weights


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    a: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10)  # spikes of each source
    sigma: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)  # ms
    repetitions: int = 4  # of each stimulus, with other spikes
    pause: float = 300.0  # from stimulus to stimulus [ms]
    groups: int = 6
    regular: int = 100  # cells of a group
    fast: int = 25
    inputs: int = 60  # of a cell from the group before
    loss: float = 0.35  # share of synapses
    spread: float = 0.2  # of weights, relative
    delay: float = 1.5  # ms
    drives: tuple[float, ...] = (1.0, 1.25, 1.5, 1.75, 2.0)  # nS; of fast cells, tried
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("a", self.a, 1)
        in_range("sigma", self.sigma, 0, unit="ms")
        in_range("repetitions", self.repetitions, 1)
        positive("pause", self.pause, "ms")
        positive("drives", self.drives, "nS")
        check_distortion(self.loss, self.spread, self.delay)
        positive("dt", self.dt, "ms")
        _ = self.chain(True)

    def chain(self, background: bool) -> Chain:
        """Parameters of the network, with or without background."""
        rate = Chain.background_rate if background else 0.0
        return Chain(self.groups, self.regular, self.fast, self.inputs, background_rate=rate)


PRESETS = {
    "smoke": Config(a=(2, 6), sigma=(0.0, 6.0), repetitions=1, groups=2, drives=(1.0, 2.0)),
    "quick": Config(),
    "paper": Config(repetitions=40),
}

CONDITIONS = {
    "ideal": "ideal",
    "loss": "synapses lost",
    "scatter": "weights scattered",
    "delays": "delays short",
    "all": "all three",
    "loss_compensated": "lost, fan-in restored",
    "delays_compensated": "short, weaker drive",
    "all_compensated": "all, both repairs",
}
"""With background noise; each is a condition without, too, called `quiet_<name>`."""

QUIET = ("ideal", "loss", "delays", "delays_compensated")

MEASURES = {
    "agreement": Measure("stimuli as ideal", 0.1, relative=False, form=".2f"),
    "border_2": Measure("border, a = 2 [ms]", 1.0, relative=False, form=".1f"),
    "border_5": Measure("a = 5 [ms]", 1.0, relative=False, form=".1f"),
    "border_10": Measure("a = 10 [ms]", 1.0, relative=False, form=".1f"),
    "final_sigma": Measure("final sigma [ms]", 0.5, relative=False, form=".2f"),
}

_OURS = "our own run of the same network in another program, one seed"

CLAIMS = (
    Claim(
        "border",
        "Without background packets of two spikes survive up to a jitter of 3 ms",
        "quiet_ideal_border_2",
        Certainty.REFERENCE_RUN,
        f"{_OURS}; it survives at 3 ms and dies at 4 ms; within 1 ms",
        at_least=2.0,
        at_most=4.99,
        published=3.0,
    ),
    Claim(
        "sharp",
        "Those that survive end within half a millisecond",
        "quiet_ideal_final_sigma",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_most=0.5,
        published=0.0,
    ),
    Claim(
        "delays_kill",
        "Delays of 1.5 ms kill all packets without background",
        "quiet_delays_surviving",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "weaker_drive",
        "Fast cells driven by 1 nS let two spikes with a jitter of 1 ms through again",
        "quiet_delays_revived",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_least=1.0,
        published=1.0,
    ),
    Claim(
        "loss_kills",
        "Without background none survives the loss of a third of the synapses",
        "quiet_loss_surviving",
        Certainty.REFERENCE_RUN,
        f"{_OURS}, 30 and 50 %",
        at_most=0.0,
        published=0.0,
    ),
    Claim(
        "loss",
        "With background fewer packets survive that loss than in the ideal chain",
        "loss_lost",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory; difference in the share that survives, the limit is ours",
        at_least=0.1,
    ),
    Claim(
        "fan_in",
        "Restored fan-in treats 90 % of the stimuli as the ideal chain does",
        "loss_compensated_agreement",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: compensated; the limit is ours",
        at_least=0.9,
        published=1.0,
    ),
    Claim(
        "scatter",
        "So does the chain with scattered weights",
        "scatter_agreement",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: blurs only; the limit is ours",
        at_least=0.9,
        published=1.0,
    ),
    Claim(
        "all",
        "After both repairs the chain with all distortions treats 85 % so",
        "all_compensated_agreement",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: the full chain works on the chip; the limit is ours",
        at_least=0.85,
        published=1.0,
    ),
)

CITES = ("petrovici2014characterization", "kremkow2010functional")

_LEAD = 50.0  # ms; from the begin of a pause to the middle of its packet


def run(config: Config, seed: int, session) -> Outcome:
    """Send all packets through each chain, one after another."""
    found = {}
    for background in (True, False):
        prefix = "" if background else "quiet_"
        cells, edges = stimulated(config, background, seed)
        for condition in CONDITIONS if background else QUIET:
            if condition.startswith(("delays_comp", "all_comp")) and background:
                continue
            session.log(CONDITIONS[condition] + ("" if background else ", no background"))
            found[prefix + condition] = session.stage(
                prefix + condition,
                lambda name=condition, cells=cells, edges=edges: measured(
                    Simulation(_condition(name, cells, config, seed), config.dt, seed=seed),
                    cells,
                    config,
                    edges,
                ),
            )
    cells, edges = stimulated(config, True, seed)
    trials = {}
    for condition in ("delays_compensated", "all_compensated"):
        session.log(CONDITIONS[condition])
        trials[condition] = session.stage(
            condition,
            lambda name=condition: {
                f"{k}": measured(
                    Simulation(_condition(name, cells, config, seed, drive), config.dt, seed=seed),
                    cells,
                    config,
                    edges,
                )
                for k, drive in enumerate(config.drives)
            },
        )
    metrics, recordings = {}, {}
    ideal = survival(found["ideal"]["a"], config)
    for condition, each in trials.items():
        agreements = [
            agreement(survival(each[str(k)]["a"], config), ideal) for k in range(len(config.drives))
        ]
        best = int(np.argmax(agreements))
        found[condition] = each[str(best)]
        metrics[f"{condition}_drive"] = config.drives[best]
        recordings[f"{condition}/agreements"] = np.array(agreements)
    rows = {name: measures_of(found[name], found["ideal"], config) for name in CONDITIONS}
    judgement, table = judged(MEASURES, rows)
    metrics = judgement | metrics
    for name in QUIET:
        row = measures_of(found[f"quiet_{name}"], found["quiet_ideal"], config)
        metrics |= {f"quiet_{name}_{measure}": value for measure, value in row.items()}
    for name, each in found.items():
        survived = survival(each["a"], config)
        metrics[f"{name}_surviving"] = float(survived.mean())
        recordings[f"{name}/survival"] = survived
        recordings |= {f"{name}/{what}": each[what] for what in ("a", "sigma")}
        if "raster_time" in each:
            recordings[f"{name}/raster_time"] = each["raster_time"]
            recordings[f"{name}/raster_row"] = each["raster_row"]
    metrics["loss_lost"] = metrics["ideal_surviving"] - metrics["loss_surviving"]
    revived = recordings["quiet_delays_compensated/survival"]
    metrics["quiet_delays_revived"] = float(revived[_near(config.a, 2), _near(config.sigma, 1)])
    return Outcome(metrics, recordings | {"table": table})


def stimulated(config: Config, background: bool, seed: int) -> tuple[SynfireChain, np.ndarray]:
    """The network with its stimuli, and the times between them [ms]."""
    number = len(config.a) * len(config.sigma) * config.repetitions
    edges = config.pause * np.arange(number + 1)
    rng = np.random.default_rng([seed, 1])
    grid = [(a, s) for a in config.a for s in config.sigma for _ in range(config.repetitions)]
    volleys = [
        volley(a, sigma, config.regular, begin + _LEAD, rng)
        for (a, sigma), begin in zip(grid, edges[:-1], strict=True)
    ]
    times = [np.sort(np.concatenate(rows)) for rows in zip(*volleys, strict=True)]
    return synfire_chain(config.chain(background), times), edges


def _condition(
    name: str, cells: SynfireChain, config: Config, seed: int, drive: float = 1.0
) -> Network:
    """The network of a condition, its stimuli undistorted.

    With compensation, fast cells are driven with `drive` [nS] if delays are short, and fan-in is
    restored if synapses are lost.
    """
    ideal = cells.network
    kind = name.removesuffix("_compensated")
    distortion = {
        "ideal": Distortion(),
        "loss": Distortion(loss=config.loss),
        "scatter": Distortion(spread=config.spread),
        "delays": Distortion(delay=config.delay),
        "all": Distortion(config.loss, config.spread, config.delay),
    }[kind]

    def recurrent(projection: Projection) -> bool:
        return projection.pre is not cells.stimulus

    def to_fast(projection: Projection) -> bool:
        return any(projection.post is group for group in cells.fast)

    network = distortion.of(ideal, seed, recurrent)
    if kind != name:
        if distortion.loss > 0:
            network = restore_fan_in(ideal, network, seed=seed)
        if distortion.delay is not None:
            network = scale_weights(network, drive / Chain.to_fast, seed=seed, only=to_fast)
    return network


def measured(
    running: Simulation | Emulation, cells: SynfireChain, config: Config, edges: np.ndarray
) -> dict[str, np.ndarray]:
    """Packets of all groups, and the spikes after one stimulus.

    Args:
        running: The chain, which may be distorted or on a chip.
        cells: Its populations.
        config: Settings.
        edges: Between stimuli [ms], shape (stimuli + 1,).

    Returns:
        `a` and `sigma` [ms] of shape (groups, stimuli), and the raster of a packet of two spikes
        with a jitter of 2 ms, or what is nearest to it.
    """
    record = running.run(edges[-1])
    trains = [record.spikes(group) for group in cells.regular]
    found = packets(trains, config.regular, edges)
    shown = _near(config.a, 2) * len(config.sigma) + _near(config.sigma, 2)
    times, rows = _raster(cells, record, edges[shown * config.repetitions :][:2], config)
    return {"a": found.a, "sigma": found.sigma, "raster_time": times, "raster_row": rows}


def _raster(cells: SynfireChain, record, window: np.ndarray, config: Config):
    times, rows = [], []
    wide = config.regular + config.fast
    for g, pair in enumerate(zip(cells.regular, cells.fast, strict=True)):
        for population, base in zip(pair, (0, config.regular), strict=True):
            spikes: Events = record.spikes(population)
            inside = (spikes.time > window[0]) & (spikes.time <= window[1])
            times.append(spikes.time[inside] - window[0] - _LEAD)
            rows.append(g * wide + base + spikes.id[inside])
    return np.concatenate(times), np.concatenate(rows)


def survival(a: np.ndarray, config: Config) -> np.ndarray:
    """Share of repetitions in which half of the last group fired, shape (a, sigma)."""
    alive = a[-1] > 0.5
    return alive.reshape(len(config.a), len(config.sigma), -1).mean(-1)


def agreement(survived: np.ndarray, ideal: np.ndarray) -> float:
    """1 without the mean difference of the shares that survive, over all stimuli."""
    return float(1 - np.abs(survived - ideal).mean())


def border(survived: np.ndarray, sigma: Sequence[float]) -> float:
    """The jitter [ms] at which half of the packets survive, between the last that do and the next.

    Args:
        survived: Share at each jitter, shape (sigma,).
        sigma: Jitter [ms], rising; the border is 0 if none and the last if all survive.
    """
    alive = np.flatnonzero(survived >= 0.5)
    if alive.size == 0:
        return 0.0
    k = alive[-1]
    if k == len(sigma) - 1:
        return float(sigma[k])
    share = (survived[k] - 0.5) / (survived[k] - survived[k + 1])
    return float(sigma[k] + share * (sigma[k + 1] - sigma[k]))


def measures_of(found, ideal, config: Config) -> dict[str, float]:
    """The measures of packets, found and in the ideal chain, as `measured` returns both."""
    survived, wanted = survival(found["a"], config), survival(ideal["a"], config)
    alive = found["a"][-1] > 0.5
    row = {"agreement": agreement(survived, wanted)}
    for a in (2, 5, 10):
        row[f"border_{a}"] = border(survived[_near(config.a, a)], config.sigma)
    widths = found["sigma"][-1][alive] if alive.any() else np.max(config.sigma)  # not sharpened
    row["final_sigma"] = float(np.mean(widths))
    return row


def _near(values: Sequence[float], wanted: float) -> int:
    return int(np.argmin(np.abs(np.asarray(values) - wanted)))


def figures(outcome: Outcome, config: Config):
    """Maps of survival with their borders, packets on their way, and the verdicts."""
    recordings = outcome.recordings
    return {
        "survival": _maps(recordings, config, "", CONDITIONS),
        "survival_without_background": _maps(recordings, config, "quiet_", QUIET),
        "packets": _packets(recordings, config),
        "state_space": _state_space(recordings, config),
        "verdicts": draw_verdicts(MEASURES, list(CONDITIONS.values()), recordings["table"]),
    }


def _maps(recordings, config: Config, prefix: str, conditions):
    rows = -(-len(conditions) // 4)
    figure, axes = subplots(rows, 4, height=2.1 * rows + 0.5, sharex=True, sharey=True)
    wanted = recordings[f"{prefix}ideal/survival"]
    places = np.arange(len(config.a))
    for axis, condition in zip(axes.ravel(), conditions, strict=False):
        survived = recordings[f"{prefix}{condition}/survival"]
        axis.imshow(survived, origin="lower", cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
        for values, colour, style in ((wanted, INK, ":"), (survived, COLOURS[1], "-")):
            at = [
                np.interp(border(row, config.sigma), config.sigma, np.arange(len(config.sigma)))
                if row.max() >= 0.5
                else np.nan
                for row in values
            ]
            label = "half survive" if style == "-" else "half survive in the ideal chain"
            axis.plot(at, places, style, color=colour, lw=1.4, label=label)
        axis.set_title(CONDITIONS[condition], fontsize=8)
        axis.grid(False)
        axis.set_xticks(range(len(config.sigma)), [f"{s:g}" for s in config.sigma])
        axis.set_yticks(places, [str(a) for a in config.a])
    for axis in axes[-1]:
        axis.set_xlabel("jitter [ms]")
    for axis in axes[:, 0]:
        axis.set_ylabel("spikes per source")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    return figure


def _packets(recordings, config: Config):
    shown = ("ideal", "all", "all_compensated")
    figure, axes = subplots(1, len(shown), height=3.2, sharey=True, sharex=True)
    wide = config.regular + config.fast
    for axis, condition in zip(axes[0], shown, strict=True):
        time, row = recordings[f"{condition}/raster_time"], recordings[f"{condition}/raster_row"]
        fast = row % wide >= config.regular
        axis.plot(time[~fast], row[~fast] / wide + 1, ".", ms=1.2, color=INK)
        axis.plot(time[fast], row[fast] / wide + 1, ".", ms=1.2, color=COLOURS[1])
        axis.set(title=CONDITIONS[condition], xlabel="time [ms]", ylim=(1, config.groups + 1))
        axis.set_yticks(range(1, config.groups + 2))
    axes[0, 0].set(ylabel="group; inhibitory cells in orange", xlim=(-10, 25.0 * config.groups))
    return figure


def _state_space(recordings, config: Config):
    shown = ("ideal", "delays", "all", "all_compensated")
    figure, axes = subplots(1, len(shown), height=2.6, sharex=True, sharey=True)
    a0 = np.repeat(config.a, len(config.sigma) * config.repetitions)
    sigma0 = np.tile(np.repeat(config.sigma, config.repetitions), len(config.a))
    for axis, condition in zip(axes[0], shown, strict=True):
        a = np.vstack([a0, recordings[f"{condition}/a"]])
        sigma = np.vstack([sigma0, recordings[f"{condition}/sigma"]])
        first = slice(0, None, config.repetitions)
        for path_a, path_sigma in zip(a.T[first], sigma.T[first], strict=True):
            colour = COLOURS[0] if path_a[-1] > 0.5 else COLOURS[1]
            there = path_a > 0.02
            axis.plot(path_sigma[there], path_a[there], color=colour, lw=0.5, alpha=0.7)
        axis.set_title(CONDITIONS[condition], fontsize=8)
        axis.set(xlabel="sigma [ms]", xlim=(-0.2, 6), ylim=(-0.1, 2.5))
    axes[0, 0].set(ylabel="spikes per cell")
    return figure
