"""Self-sustained activity on a chip: rates under distortion, and the way back to them

Asynchronous irregular firing goes on without input. Lost synapses raise its rate and spread it
among neurons; stronger remaining ones, which help other networks, make it worse, for fewer and
stronger inputs fluctuate more. Repeated measurement and correction of every threshold and of the
strength of inhibition restores the rates.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.characterization_compensation._networks import WORK, activity
from lapicque.experiments.characterization_compensation._verdicts import (
    Distortion,
    Measure,
    check_distortion,
    draw_verdicts,
    judged,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.spiking import Network, Projection, Simulation
from lapicque.spiking.coefficients import parameters
from lapicque.spiking.drawn import synapses, with_synapses
from lapicque.spiking.models import Balanced, self_sustained
from lapicque.spiking.statistics import rates
from lapicque.substrate import Emulation
from lapicque.substrate.transforms import restore_fan_in, restore_rates, scale_weights


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    size: int = 3920  # neurons
    excitation: float = 9.0  # nS
    inhibition: float = 90.0  # nS
    weak: float = 5.0  # nS; excitation that does not sustain itself
    loss: float = 0.5  # share of synapses
    spread: float = 0.2  # of weights, relative
    delay: float = 1.5  # ms
    warm_up: float = 1000.0  # ms; the kick lasts for the first 100
    duration: float = 3000.0  # then, of the ideal network [ms]
    span: float = 3000.0  # of each other [ms]
    iterations: int = 10  # of the compensation
    settle: float = 1000.0  # before rates are measured in an iteration [ms]
    window: float = 3000.0  # of that measurement [ms]
    step: float = 0.2  # of thresholds per deviation [mV / Hz]
    dt: float = 0.1  # ms
    threads: int = 2

    def __post_init__(self):
        in_range("size", self.size, 255)
        for name in ("excitation", "inhibition", "weak"):
            positive(name, getattr(self, name), "nS")
        check_distortion(self.loss, self.spread, self.delay)
        for name in ("duration", "span", "window"):
            in_range(name, getattr(self, name), 100, unit="ms")
        for name in ("warm_up", "settle"):
            in_range(name, getattr(self, name), 100, unit="ms")
        in_range("iterations", self.iterations, 1)
        positive("step", self.step, "mV/Hz")
        positive("dt", self.dt, "ms")
        in_range("threads", self.threads, 1)


PRESETS = {
    "smoke": Config(
        size=500, warm_up=100.0, duration=100.0, span=100.0, iterations=2, settle=100.0,
        window=100.0, threads=1,
    ),
    "quick": Config(
        warm_up=800.0, duration=3200.0, span=1200.0, iterations=5, settle=300.0, window=1000.0
    ),
    "paper": Config(duration=10_000.0, span=10_000.0, iterations=20),
}  # fmt: skip

CONDITIONS = {
    "ideal": "ideal",
    "loss": "synapses lost",
    "scatter": "weights scattered",
    "delays": "delays fixed",
    "all": "all three",
    "loss_scaled": "lost, fan-in restored",
    "loss_thresholds": "lost, thresholds adapted",
    "loss_compensated": "lost, both adapted",
    "all_compensated": "all, both adapted",
}

MEASURES = {
    "rate": Measure("rate [Hz]", 0.10, form=".1f"),
    "cv": Measure("CV", 0.15, relative=False, form=".2f"),
    "spread": Measure("sd of rates [Hz]", 1.0, form=".1f"),
    "lasting": Measure("share it lasts", 0.01, relative=False, form=".2f"),
}

_OURS = "our own run of the same network in another program, 4 s, one seed"

CLAIMS = (
    Claim(
        "sustained",
        "Activity goes on to the end, without input",
        "ideal_lasting",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_least=0.99,
        published=1.0,
    ),
    Claim(
        "rate",
        "Excitatory neurons fire at 12 Hz",
        "ideal_rate",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_least=10.0,
        at_most=15.0,
        published=12.1,
    ),
    Claim(
        "irregular",
        "and irregularly",
        "ideal_cv",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_least=0.9,
        at_most=1.2,
        published=1.03,
    ),
    Claim(
        "weak",
        "With excitatory synapses of 5 nS activity dies within 2 s",
        "weak_last",
        Certainty.REFERENCE_RUN,
        _OURS,
        at_most=2000.0,
        published=880.0,
    ),
    Claim(
        "loss",
        "With half of the synapses the rate is higher by 50 to 90 %",
        "loss_rate_ratio",
        Certainty.REFERENCE_RUN,
        f"{_OURS}; that loss raises rates is in {WORK} (not verified)",
        at_least=1.5,
        at_most=1.9,
        published=1.70,
    ),
    Claim(
        "raised",
        "It is higher, by 20 % or more",
        "loss_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: loss raises rates; the limit is ours",
        at_least=1.2,
    ),
    Claim(
        "scaled",
        "Stronger synapses instead of the lost ones raise it further",
        "scaled_over_lost",
        Certainty.REFERENCE_RUN,
        f"{_OURS}, all weights twice as strong: 28.9 instead of 20.6 Hz",
        at_least=1.1,
        published=1.40,
    ),
    Claim(
        "compensated",
        "Iterated correction of thresholds and inhibition restores it within 10 %",
        "loss_compensated_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: of thresholds; that of inhibition is ours",
        at_least=0.9,
        at_most=1.1,
        published=1.0,
    ),
    Claim(
        "thresholds",
        "That of thresholds alone does so",
        "loss_thresholds_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory",
        at_least=0.9,
        at_most=1.1,
        published=1.0,
    ),
    Claim(
        "all",
        "With all distortions, the correction of both restores it, too",
        "all_compensated_rate_ratio",
        Certainty.NOT_VERIFIED,
        f"{WORK}, from memory: of thresholds; that of inhibition is ours",
        at_least=0.9,
        at_most=1.1,
        published=1.0,
    ),
)

CITES = ("petrovici2014characterization", "destexhe2009self")

_RASTER = 300.0  # ms
_NEURONS = 200  # in a raster
_POWER = 0.7
_LIMITS = (-75.0, -41.0)  # mV, of thresholds; spikes end at -40 mV


class Setting(NamedTuple):
    """What the compensation corrects."""

    thresholds: tuple[np.ndarray, np.ndarray]  # of excitatory and inhibitory neurons [mV]
    inhibition: np.ndarray  # factor of the weights of inhibitory synapses, shape ()


def run(config: Config, seed: int, session) -> Outcome:
    """Measure the ideal network, the distorted and the repaired ones; the chip is one."""
    cells = balanced(config, config.excitation, seed)
    session.log("weak excitation")
    weak = session.stage("weak", lambda: _until_silent(config, seed))
    rows, recordings = {}, {}
    target = np.zeros(2)
    for condition in CONDITIONS:
        session.log(CONDITIONS[condition])
        network = _condition(condition, cells, config, seed)
        setting = untouched(cells)
        if condition.endswith(("_thresholds", "_compensated")):
            setting, history = session.loop(
                f"{condition}-iterations",
                lambda s, i, n=network, c=condition, t=target: _iterated(
                    s, n, cells, t, config, seed, c.endswith("_compensated")
                ),
                setting,
                config.iterations,
            )
            recordings |= {f"{condition}/iteration_{k}": v for k, v in history.items()}
        span = config.duration if condition == "ideal" else config.span
        found = session.stage(
            condition,
            lambda n=network, s=setting, t=span: measured(
                simulated(n, cells, s, config, seed), cells, config, t
            ),
        )
        target = found["mean_rates"] if condition == "ideal" else target
        rows[condition] = {name: float(found[name]) for name in MEASURES}
        recordings |= {f"{condition}/{k}": v for k, v in found.items() if k not in MEASURES}
    metrics, table = judged(MEASURES, rows)
    for condition, row in rows.items():
        metrics[f"{condition}_rate_ratio"] = row["rate"] / max(rows["ideal"]["rate"], 1e-9)
    metrics["scaled_over_lost"] = rows["loss_scaled"]["rate"] / max(rows["loss"]["rate"], 1e-9)
    metrics["weak_last"] = float(weak["last"])
    for condition in ("loss_compensated", "all_compensated"):
        metrics[f"{condition}_inhibition"] = float(
            recordings[f"{condition}/iteration_inhibition"][-1]
        )
    return Outcome(metrics, recordings | {"table": table, "target": target})


def balanced(config: Config, excitation: float, seed: int) -> Balanced:
    """The network with its synapses drawn, excitation in nS."""
    weights = (1e-3 * excitation, 1e-3 * config.inhibition)
    cells = self_sustained(config.size, weights, seed=seed)
    drawn = with_synapses(cells.network, synapses(cells.network, seed))
    return cells._replace(network=drawn)


def _condition(name: str, cells: Balanced, config: Config, seed: int) -> Network:
    """The network of a condition, thresholds and inhibition uncorrected."""
    distortion = {
        "ideal": Distortion(),
        "loss": Distortion(loss=config.loss),
        "scatter": Distortion(spread=config.spread),
        "delays": Distortion(delay=config.delay),
        "all": Distortion(config.loss, config.spread, config.delay),
    }[name.partition("_")[0]]
    network = distortion.of(cells.network, seed)
    if name.endswith("_scaled"):
        return restore_fan_in(cells.network, network, seed=seed)
    return network


def untouched(cells: Balanced) -> Setting:
    """Thresholds and inhibition as the network was designed."""
    excitatory, inhibitory = (parameters(p)["v_thresh"] for p in cells[1:])
    return Setting((excitatory, inhibitory), np.array(1.0))


def simulated(
    network: Network, cells: Balanced, setting: Setting, config: Config, seed: int
) -> Simulation:
    """The network with corrected thresholds and inhibition, before its kick."""

    def inhibits(projection: Projection) -> bool:
        return projection.pre is cells.inhibitory

    network = scale_weights(network, float(setting.inhibition), seed=seed, only=inhibits)
    simulation = Simulation(network, config.dt, seed=seed, threads=config.threads)
    for population, thresholds in zip(cells[1:], setting.thresholds, strict=True):
        simulation.set(population, "v_thresh", thresholds)
    return simulation


def _iterated(
    setting: Setting,
    network: Network,
    cells: Balanced,
    target: np.ndarray,
    config: Config,
    seed: int,
    also_inhibition: bool,
):
    """One more run, and what its rates make of the setting."""
    simulation = simulated(network, cells, setting, config, seed)
    return corrected(setting, simulation, cells, target, config, also_inhibition)


def corrected(
    setting: Setting,
    running: Simulation | Emulation,
    cells: Balanced,
    target: np.ndarray,
    config: Config,
    also_inhibition: bool = True,
) -> tuple[Setting, dict[str, np.ndarray]]:
    """What the rates of a network make of its setting, and a row of history.

    Every threshold moves by the deviation of the rate of its neuron. The strength of inhibition
    grows by a power of the mean rate over its target; 0.7 makes it go most of the way, and not all
    after the noise of a measurement (ours).

    Args:
        setting: With which the network runs.
        running: The network, which may be distorted or on a chip.
        cells: Its populations.
        target: Mean rates of excitatory and inhibitory neurons [Hz].
        config: Settings.
        also_inhibition: Whether its strength is corrected, too.
    """
    running.run(config.settle)
    start = running.time
    record = running.run(config.window)
    thresholds, means, spreads = [], [], []
    for population, before, wanted in zip(cells[1:], setting.thresholds, target, strict=True):
        rate = rates(record.spikes(population), population.size, start, running.time)
        thresholds.append(restore_rates(before, rate, wanted, config.step, _LIMITS))
        means.append(rate.mean())
        spreads.append(rate.std())
    row = {
        "rates": np.array(means),
        "spread": np.array(spreads[0]),
        "inhibition": np.array(setting.inhibition),
        "thresholds": np.array([setting.thresholds[0].mean(), setting.thresholds[0].std()]),
    }
    inhibition = setting.inhibition
    if also_inhibition:
        excess = means[0] / max(target[0], 1e-9)
        inhibition = inhibition * np.clip(excess**_POWER, 0.5, 2.0)
    return Setting((thresholds[0], thresholds[1]), np.asarray(inhibition)), row


def measured(running: Simulation | Emulation, cells: Balanced, config: Config, span: float):
    """Measures of the excitatory cells and what the figures need; any network with these cells."""
    running.run(config.warm_up)
    start = running.time
    record = running.run(span)
    stop = running.time
    spikes = record.spikes(cells.excitatory)
    found = activity(spikes, cells.excitatory.size, start, stop)
    every = max(1, cells.excitatory.size // _NEURONS)
    shown = (spikes.time <= start + _RASTER) & (spikes.id % every == 0)
    each = [rates(record.spikes(p), p.size, start, stop) for p in cells[1:]]
    alike = stop - min(span, config.span)  # counts of shorter windows spread more
    return {
        "rate": found.rate,
        "spread": rates(spikes, cells.excitatory.size, alike, stop).std(),
        "cv": found.cv,
        "lasting": min(1.0, (max(found.last, start) - start) / (0.99 * (stop - start))),
        "mean_rates": np.array([rate.mean() for rate in each]),
        "rates": each[0],
        "raster_time": spikes.time[shown] - start,
        "raster_row": spikes.id[shown] // every,
    }


def _until_silent(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Time of the last spike [ms] with weak excitation, at most that of the whole run."""
    cells = balanced(config, config.weak, seed)
    simulation = Simulation(cells.network, config.dt, seed=seed, threads=config.threads)
    last = 0.0
    while simulation.time < config.warm_up + config.duration - 0.5 * config.dt:
        record = simulation.run(100.0)
        times = [record.spikes(p).time for p in cells[1:]]
        if not sum(t.size for t in times):
            break
        last = max(float(t[-1]) for t in times if t.size)
    return {"last": np.array(last)}


def figures(outcome: Outcome, config: Config):
    """Rasters, rates among neurons, the iterations of the compensation, and the verdicts."""
    recordings = outcome.recordings
    return {
        "activity": _activity(recordings),
        "compensation": _compensation(recordings, config),
        "rates": _rates(recordings),
        "verdicts": draw_verdicts(MEASURES, list(CONDITIONS.values()), recordings["table"]),
    }


def _activity(recordings):
    shown = ("ideal", "loss", "all", "all_compensated")
    figure, axes = subplots(2, 2, height=4.6, sharex=True, sharey=True)
    for axis, condition in zip(axes.ravel(), shown, strict=True):
        axis.plot(
            recordings[f"{condition}/raster_time"],
            recordings[f"{condition}/raster_row"],
            ".",
            ms=1.2,
            color=INK,
        )
        axis.set(title=CONDITIONS[condition], xlim=(0, _RASTER))
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel("time [ms]")
    for axis in axes[:, 0]:
        axis.set_ylabel("excitatory neuron")
    return figure


def _compensation(recordings, config: Config):
    figure, axes = subplots(1, 3, height=2.8)
    rate, spread, inhibition = axes[0]
    target = recordings["target"][0]
    rate.axhspan(0.9 * target, 1.1 * target, color=MUTED, alpha=0.15, lw=0)
    rate.axhline(target, color=MUTED, lw=1)
    for colour, condition in zip(
        COLOURS, ("loss_thresholds", "loss_compensated", "all_compensated"), strict=False
    ):
        found = {
            name: recordings[f"{condition}/iteration_{name}"]
            for name in ("rates", "spread", "inhibition")
        }
        steps = np.arange(len(found["spread"]))
        rate.plot(steps, found["rates"][:, 0], "o-", color=colour, label=CONDITIONS[condition])
        spread.plot(steps, found["spread"], "o-", color=colour)
        inhibition.plot(steps, found["inhibition"], "o-", color=colour)
    rate.set(ylabel="mean rate [Hz]", ylim=(0, None))
    spread.set(ylabel="sd of rates [Hz]", ylim=(0, None))
    inhibition.set(ylabel="factor of inhibition")
    for axis in axes[0]:
        axis.set_xlabel("iteration")
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _rates(recordings):
    figure, axes = subplots(height=3.0)
    axis = axes[0, 0]
    for condition in ("ideal", "loss", "loss_scaled", "loss_compensated", "all_compensated"):
        values = np.sort(recordings[f"{condition}/rates"])
        share = np.arange(1, values.size + 1) / values.size
        axis.step(values, share, label=CONDITIONS[condition])
    axis.set(xlabel="rate of a neuron [Hz]", ylabel="share of neurons", xlim=(0, 60))
    axis.legend()
    return figure
