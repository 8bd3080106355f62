"""Small random Boltzmann machines sampled by LIF neurons

Calibrated neurons with renewing synapses sample from small random machines almost exactly. Static
synapses, whose effects add up while a neuron keeps firing, are many times worse. Without weights
only the biases are tested, and the distance falls to what a finite time leaves.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.experiments.lif_sampling._machines import ENSEMBLES, OWN, visited
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling import (
    Boltzmann,
    Calibration,
    LIFSampler,
    Neural,
    Sampler,
    beta_ensemble,
    calibrate,
)
from lapicque.sampling.observables import kl
from lapicque.spiking.models import BOMBARDED

_SYNAPSES = ("renewing", "static")
_INTERVAL = 1.0  # between two readings [ms]
_LOOK = {"renewing": COLOURS[0], "static": COLOURS[1], "abstract": MUTED}
_TITLES = {name: name.replace("_", " ") for name in BOMBARDED}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neurons: tuple[str, ...] = ("tutorial_coba", "tutorial_cuba", "mixing_cuba", "thesis_coba")
    machines: int = 5  # of each ensemble
    units: int = 5
    duration: float = 100_000.0  # of sampling [ms]
    chains: int = 4  # that share the duration
    warm_up: float = 500.0  # ms
    delays: tuple[float, ...] = (0.1, 1.0, 3.0)  # of synapses [ms]
    chosen: str = "mixing_cuba"  # for delays and for the larger machines
    shown: int = 1  # machine of the joint histogram
    large_machines: int = 40
    large_units: int = 10
    large_duration: float = 100_000.0  # ms
    calibration: float = 80_000.0  # per point [ms]
    dt: float = 0.1  # ms

    def __post_init__(self):
        for name in self.neurons:
            one_of("neurons", name, BOMBARDED)
        one_of("chosen", self.chosen, self.neurons)
        in_range("machines", self.machines, 1)
        in_range("units", self.units, 2, 12)
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 100, unit="ms")
        in_range("warm_up", self.warm_up, 0, unit="ms")
        in_range("delays", self.delays, self.dt, unit="ms")
        in_range("shown", self.shown, 0, self.machines - 1)
        in_range("large_machines", self.large_machines, 1)
        in_range("large_units", self.large_units, 2, 16)
        in_range("large_duration", self.large_duration, 100, unit="ms")
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        neurons=("mixing_cuba",),
        machines=2,
        duration=1000.0,
        warm_up=50.0,
        delays=(0.1,),
        chains=2,
        large_machines=2,
        large_units=6,
        large_duration=1000.0,
        calibration=2000.0,
    ),
    "quick": Config(),
    "paper": Config(
        neurons=tuple(BOMBARDED),
        large_machines=100,
        large_duration=1_000_000.0,
        calibration=400_000.0,
    ),
}


def _published(name: str, statement: str, metric: str, value: float, low: float, high: float):
    return Claim(
        name,
        statement,
        metric,
        Certainty.REFERENCE_RUN,
        OWN,
        at_least=low,
        at_most=high,
        published=value,
    )


CLAIMS = (
    Claim(
        "renewing",
        "With renewing synapses every neuron samples beta machines to 0.02 nat on average",
        "renewing",
        Certainty.REFERENCE_RUN,
        OWN,
        at_most=0.02,
        published=0.0136,
    ),
    Claim(
        "static",
        "Static synapses are at least three times as bad, for every neuron",
        "ratio",
        Certainty.REFERENCE_RUN,
        OWN,
        at_least=3.0,
        published=7.3,
    ),
    Claim(
        "floor",
        "Without weights the distance is at most 0.003 nat",
        "floor",
        Certainty.REFERENCE_RUN,
        OWN,
        at_most=0.003,
        published=0.0012,
    ),
    Claim(
        "large",
        "Half of the larger machines are sampled to better than 0.05 nat",
        "large_renewing",
        Certainty.REFERENCE_RUN,
        "own acceptance value",
        at_most=0.05,
    ),
    _published(
        "mixing_beta_renewing",
        "Beta machines, mixing neuron, renewing synapses",
        "mixing_cuba_beta_renewing",
        0.0113,
        0.0075,
        0.016,
    ),
    _published(
        "mixing_beta_static",
        "Beta machines, mixing neuron, static synapses",
        "mixing_cuba_beta_static",
        0.0845,
        0.07,
        0.105,
    ),
    _published(
        "mixing_gauss_renewing",
        "Gaussian machines, mixing neuron, renewing synapses",
        "mixing_cuba_gauss_renewing",
        0.0271,
        0.018,
        0.037,
    ),
    _published(
        "mixing_gauss_static",
        "Gaussian machines, mixing neuron, static synapses",
        "mixing_cuba_gauss_static",
        0.198,
        0.15,
        0.25,
    ),
    Claim(
        "delays",
        "Delays of up to 3 ms do no harm",
        "delayed",
        Certainty.REFERENCE_RUN,
        OWN,
        at_most=0.02,
        published=0.0101,
    ),
)

CITES = ("petrovici2013stochastic", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Distances of all machines; one joint distribution; larger machines."""
    metrics, recordings = {}, {}
    calibrations = {
        name: calibrate(name, dt=config.dt, seed=seed, duration=config.calibration)
        for name in config.neurons
    }
    for name, calibration in calibrations.items():
        session.log(name)
        found = session.stage(name, lambda c=calibration: _neuron(config, c, seed))
        recordings |= {f"{name}/{key}": value for key, value in found.items()}
        metrics |= {f"{name}_{key}": float(value.mean()) for key, value in found.items()}
    metrics["renewing"] = max(metrics[f"{name}_beta_renewing"] for name in config.neurons)
    metrics["floor"] = max(metrics[f"{name}_floor"] for name in config.neurons)
    metrics["ratio"] = min(
        metrics[f"{name}_beta_static"] / metrics[f"{name}_beta_renewing"] for name in config.neurons
    )

    calibration = calibrations[config.chosen]
    session.log("joint distribution")
    joint = session.stage("joint", lambda: _joint(config, calibration, seed))
    recordings |= {f"joint/{key}": value for key, value in joint.items()}
    session.log("delays")
    delays = session.stage("delays", lambda: {"found": _delays(config, calibration, seed)})
    recordings["delays"] = delays["found"]
    metrics["delayed"] = float(delays["found"].mean(1).max())
    session.log("larger machines")
    large = session.stage("large", lambda: _large(config, calibration, seed))
    recordings |= {f"large/{key}": value for key, value in large.items()}
    metrics |= {f"large_{key}": float(np.median(value)) for key, value in large.items()}
    return Outcome(metrics, recordings)


def _divergence(
    config: Config, sampler: Sampler, target: Boltzmann, duration: float, seed: int
) -> float:
    shares = visited(
        sampler,
        target,
        config.chains,
        round(duration / _INTERVAL / config.chains),
        round(config.warm_up / _INTERVAL),
        seed,
    )
    return kl(shares.mean(0), target.probabilities)


def _divergences(
    config: Config, sampler: Sampler, targets: list[Boltzmann], seed: int
) -> np.ndarray:
    return np.array(
        [
            _divergence(config, sampler, target, config.duration, seed * 1000 + k)
            for k, target in enumerate(targets)
        ]
    )


def _neuron(config: Config, calibration: Calibration, seed: int) -> dict[str, np.ndarray]:
    """Divergences of each ensemble and kind of synapse, (machines,), and without weights."""
    found = {}
    renewing, static = (LIFSampler(calibration, s, interval=_INTERVAL) for s in _SYNAPSES)
    for ensemble, draw in ENSEMBLES.items():
        targets = [draw(config.units, k) for k in range(config.machines)]
        for name, sampler in (("renewing", renewing), ("static", static)):
            found[f"{ensemble}_{name}"] = _divergences(config, sampler, targets, seed)
        if ensemble == "beta":
            free = [Boltzmann(np.zeros_like(t.weights), t.biases) for t in targets]
            found["floor"] = _divergences(config, renewing, free, seed)
    return found


def _joint(config: Config, calibration: Calibration, seed: int) -> dict[str, np.ndarray]:
    """All states of one machine: their probabilities, and the shares of four chains."""
    target = beta_ensemble(config.units, config.shown)
    found = {"target": target.probabilities}
    for synapses in _SYNAPSES:
        sampler = LIFSampler(calibration, synapses, interval=_INTERVAL)
        samples = round(config.duration / _INTERVAL / 4)
        warm_up = round(config.warm_up / _INTERVAL)
        found[synapses] = visited(sampler, target, 4, samples, warm_up, seed)
    return found


def _delays(config: Config, calibration: Calibration, seed: int) -> np.ndarray:
    """Divergences of beta machines, (delays, machines)."""
    targets = [beta_ensemble(config.units, k) for k in range(config.machines)]
    samplers = [LIFSampler(calibration, delay=d, interval=_INTERVAL) for d in config.delays]
    return np.array([_divergences(config, sampler, targets, seed) for sampler in samplers])


def _large(config: Config, calibration: Calibration, seed: int) -> dict[str, np.ndarray]:
    """Divergences of larger machines, and of the abstract sampler in the same time."""
    found = {name: [] for name in (*_SYNAPSES, "abstract")}
    abstract = Neural(round(calibration.tau_ref / _INTERVAL))
    for k in range(config.large_machines):
        target = beta_ensemble(config.large_units, k)
        for name in _SYNAPSES:
            sampler = LIFSampler(calibration, name, interval=_INTERVAL)
            found[name].append(
                _divergence(config, sampler, target, config.large_duration, seed * 1000 + k)
            )
        found["abstract"].append(
            _divergence(config, abstract, target, config.large_duration, seed * 1000 + k)
        )
    return {name: np.array(values) for name, values in found.items()}


def figures(outcome: Outcome, config: Config):
    """Distances of all machines, a joint distribution, and the spread over larger machines."""
    recordings = outcome.recordings
    distances, axes = subplots(1, 2, height=3.2, sharey=True)
    rng = np.random.default_rng(0)
    for axis, ensemble in zip(axes[0], ENSEMBLES, strict=True):
        for row, name in enumerate(config.neurons):
            groups = [(s, recordings[f"{name}/{ensemble}_{s}"]) for s in _SYNAPSES]
            for shift, (synapses, values) in zip((-0.14, 0.14), groups, strict=True):
                place = row + shift + rng.uniform(-0.05, 0.05, len(values))
                colour = _LOOK[synapses]
                axis.plot(place, values, "o", color=colour, ms=3, alpha=0.6, mew=0)
                axis.plot(row + shift, values.mean(), "_", color=colour, ms=14, mew=2.2)
            if ensemble == "beta":
                floor = recordings[f"{name}/floor"]
                axis.plot(row, floor.mean(), "_", color=MUTED, ms=24, mew=1.5)
        axis.set(yscale="log", title=f"{ensemble} machines")
        axis.set_xticks(range(len(config.neurons)), [n.replace("_", "\n") for n in config.neurons])
        axis.set_xlim(-0.6, len(config.neurons) - 0.4)
        axis.grid(False, axis="x")
    axes[0, 0].set_ylabel("D_KL(sampled || target) [nat]")
    for synapses in _SYNAPSES:
        axes[0, 1].plot([], [], "_", color=_LOOK[synapses], ms=12, mew=2.2, label=synapses)
    axes[0, 1].plot([], [], "_", color=MUTED, ms=12, mew=1.5, label="no weights")
    distances.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)

    joint, axes = subplots(height=3.0)
    axis, target = axes[0, 0], recordings["joint/target"]
    order = np.argsort(target)[::-1][:32]
    place = np.arange(len(order))
    axis.bar(place, target[order], 0.82, color="#d1d5db", label="target")
    scale = 1 / np.sqrt(len(recordings["joint/renewing"]))
    for shift, synapses in zip((-0.16, 0.16), _SYNAPSES, strict=True):
        shares = recordings[f"joint/{synapses}"][:, order]
        axis.errorbar(
            place + shift,
            shares.mean(0),
            scale * shares.std(0, ddof=1),
            fmt="o",
            color=_LOOK[synapses],
            ms=3,
            lw=1,
            label=synapses,
        )
    codes = [np.binary_repr(k, config.units) for k in order]
    axis.set_xticks(place, codes, rotation=90, fontsize=6.5, family="DejaVu Sans Mono")
    axis.set_xlim(-0.7, len(order) - 0.3)
    axis.grid(False, axis="x")
    axis.set(xlabel="state", ylabel="probability", title=_TITLES[config.chosen])
    axis.legend(loc="upper right")

    large, axes = subplots(1, 2, height=2.9, gridspec_kw={"width_ratios": [1.6, 1]})
    left, right = axes[0]
    values = {name: recordings[f"large/{name}"] for name in ("abstract", *_SYNAPSES)}
    everything = np.concatenate(list(values.values()))
    bins = np.geomspace(0.9 * everything.min(), 1.1 * everything.max(), 28)
    for name, found in values.items():
        left.hist(found, bins, color=_LOOK[name], alpha=0.75, label=name)
    left.axvline(0.05, color=INK, lw=0.8, ls=":")
    left.set(
        xscale="log",
        xlabel="D_KL(sampled || target) [nat]",
        ylabel="machines",
        title=f"{config.large_units} units, {config.large_duration / 1000:g} s",
    )
    left.legend()
    delayed = recordings["delays"]
    spread = delayed.std(1) / np.sqrt(delayed.shape[1])
    right.errorbar(config.delays, delayed.mean(1), spread, fmt="o-", color=_LOOK["renewing"])
    right.set(xlabel="delay [ms]", title=f"{config.units} units", ylim=(0, None))
    return {"distances": distances, "joint": joint, "large": large}
