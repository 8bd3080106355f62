"""How the sampled distribution converges in time

The distance of any good sampler from its target at first falls inversely to time, as for so many
independent samples. That of an exact sampler keeps falling; that of LIF neurons saturates, at a
small value with renewing synapses and at a large one with static ones. Until then LIF neurons,
whose noise has a memory of one refractory time, need about twice the time of abstract ones.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.experiments.lif_sampling._machines import ENSEMBLES, OWN
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling import Gibbs, LIFSampler, Neural, Sampler, calibrate
from lapicque.sampling.observables import kl_floor, kl_in_time
from lapicque.spiking.models import BOMBARDED

_INTERVAL = 0.5  # between two readings of LIF neurons [ms]
_TAU = 20  # updates of an abstract neuron per refractory time
_LOOK = {
    "renewing": COLOURS[0],
    "static": COLOURS[1],
    "abstract": COLOURS[2],
    "gibbs": INK,
}
_LABELS = {
    "renewing": "LIF, renewing synapses",
    "static": "LIF, static synapses",
    "abstract": "abstract neurons",
    "gibbs": "Gibbs, a sweep per refractory time",
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neuron: str = "mixing_cuba"
    ensemble: str = "beta"
    machines: int = 5
    units: int = 5
    chains: int = 12  # per machine
    duration: float = 100.0  # s
    warm_up: float = 500.0  # ms
    calibration: float = 80_000.0  # per point [ms]
    dt: float = 0.1  # ms

    def __post_init__(self):
        one_of("neuron", self.neuron, BOMBARDED)
        one_of("ensemble", self.ensemble, ENSEMBLES)
        in_range("machines", self.machines, 1)
        in_range("units", self.units, 2, 12)
        in_range("chains", self.chains, 1)
        in_range("warm_up", self.warm_up, 0, unit="ms")
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")
        if not self.duration >= 1:
            raise InputError(f"`duration` is {self.duration:g} s; it must be at least 1 s.")


PRESETS = {
    "smoke": Config(machines=2, chains=2, duration=2.0, warm_up=50.0, calibration=2000.0),
    "quick": Config(),
    "paper": Config(chains=20, duration=1000.0, calibration=400_000.0),
}


def _course(name: str, statement: str, metric: str, value: float, tolerance: float) -> Claim:
    return Claim(
        name,
        statement,
        metric,
        Certainty.REFERENCE_RUN,
        OWN,
        at_least=value * (1 - tolerance),
        at_most=value * (1 + tolerance),
        published=value,
    )


CLAIMS = (
    _course("renewing_100ms", "Renewing synapses after 0.1 s", "renewing_0.1s", 0.61, 0.45),
    _course("renewing_1s", "Renewing synapses after 1 s", "renewing_1s", 0.096, 0.25),
    _course("renewing_10s", "Renewing synapses after 10 s", "renewing_10s", 0.020, 0.25),
    _course("renewing_100s", "Renewing synapses after 100 s", "renewing_100s", 0.0113, 0.3),
    _course("static_1s", "Static synapses after 1 s", "static_1s", 0.17, 0.25),
    _course("static_100s", "Static synapses after 100 s", "static_100s", 0.085, 0.25),
    _course("abstract_5s", "Abstract neurons after 10^4 updates", "abstract_5s", 0.0117, 0.25),
    _course("abstract_50s", "Abstract neurons after 10^5 updates", "abstract_50s", 0.00097, 0.25),
    _course("gibbs_100s", "Gibbs sampling after 10^4 updates", "gibbs_100s", 0.0018, 0.3),
    Claim(
        "inverse",
        "The distance of abstract neurons falls inversely to time: exponent of a power law from "
        "5 s on",
        "abstract_exponent",
        Certainty.DERIVED,
        "mean distance of independent samples",
        at_least=-1.15,
        at_most=-0.85,
        published=-1.0,
    ),
    Claim(
        "alike",
        "Before LIF neurons saturate they are about as fast as abstract ones: ratio of distances "
        "after 0.1 s, within a factor of 2",
        "ratio_early",
        Certainty.NOT_VERIFIED,
        "Petrovici et al. (2016)",
        at_least=0.5,
        at_most=2.0,
    ),
    Claim(
        "saturated",
        "The distance of LIF neurons saturates: last fall by 10 in time, as a factor",
        "last_decade",
        Certainty.REFERENCE_RUN,
        OWN,
        at_most=3.0,
        published=1.8,
    ),
)

CITES = ("petrovici2016stochastic", "buesing2011neural")


def run(config: Config, seed: int, session) -> Outcome:
    """Distances in time of every sampler from every machine."""
    calibration = calibrate(config.neuron, dt=config.dt, seed=seed, duration=config.calibration)
    tau_ref = calibration.tau_ref
    samplers: dict[str, tuple[Sampler, float]] = {  # with the time between two samples [ms]
        "renewing": (LIFSampler(calibration, "renewing", interval=_INTERVAL), _INTERVAL),
        "static": (LIFSampler(calibration, "static", interval=_INTERVAL), _INTERVAL),
        "abstract": (Neural(_TAU), tau_ref / _TAU),
        "gibbs": (Gibbs(), tau_ref),
    }
    times = _times(config.duration)
    metrics, recordings = {}, {"times": times}
    for name, (sampler, interval) in samplers.items():
        session.log(name)
        found = session.stage(
            name, lambda s=sampler, i=interval: {"d": _sampled(config, s, i, times, seed)}
        )
        recordings[name] = found["d"]
        mean = found["d"].mean((1, 2))
        metrics |= {f"{name}_{t:g}s": float(d) for t, d in zip(times, mean, strict=True)}
        metrics |= {
            f"{name}_{c.metric.rpartition('_')[2]}": float(mean[-1])
            for c in CLAIMS
            if c.metric.startswith(name) and c.metric.endswith("s") and c.metric not in metrics
        }
    late = times >= min(5.0, times[-2])
    abstract, renewing = (recordings[name].mean((1, 2)) for name in ("abstract", "renewing"))
    metrics |= {
        "abstract_exponent": float(np.polyfit(np.log(times[late]), np.log(abstract[late]), 1)[0]),
        "ratio_early": float(renewing[0] / abstract[0]),
        "last_decade": float(np.interp(times[-1] / 10, times, renewing) / renewing[-1]),
        "saturation": float(renewing[-1] / abstract[-1]),
    }
    return Outcome(metrics, recordings)


def _times(duration: float) -> np.ndarray:
    """1, 2 and 5 of each decade from 0.1 s up to `duration` [s]."""
    decades = np.arange(-1, np.ceil(np.log10(duration)) + 1)
    times = (10 ** decades[:, None] * np.array([1, 2, 5])).ravel()
    return np.unique(np.append(times[times < duration * 0.999], duration)).round(6)


def _sampled(
    config: Config, sampler: Sampler, interval: float, times: np.ndarray, seed: int
) -> np.ndarray:
    """Divergences, (times, machines, chains)."""
    at = np.round(1000 * times / interval).astype(int)
    found = []
    for k in range(config.machines):
        target = ENSEMBLES[config.ensemble](config.units, k)
        chains = sampler.start(target, config.chains, seed * 1000 + k)
        chains.run(round(config.warm_up / interval))
        found.append(kl_in_time(chains.run(at[-1]), target.probabilities, at))
    return np.stack(found, 1)


def figures(outcome: Outcome, config: Config):
    """The distances in time, their means and quartiles over machines and chains."""
    recordings = outcome.recordings
    times = recordings["times"]
    course, axes = subplots(height=3.8)
    axis = axes[0, 0]
    for name, colour in _LOOK.items():
        found = recordings[name].reshape(len(times), -1)
        low, high = np.quantile(found, (0.25, 0.75), axis=1)
        axis.fill_between(times, low, high, color=colour, alpha=0.15, lw=0)
        axis.loglog(times, found.mean(1), "o-", color=colour, ms=3, label=_LABELS[name])
    tau = float(BOMBARDED[config.neuron].neuron.tau_refrac) / 1000  # type: ignore[arg-type]
    enough = times[times / tau > 2**config.units]
    axis.loglog(
        enough,
        kl_floor(2**config.units, enough / tau),
        color=MUTED,
        lw=1,
        ls=":",
        label="one independent sample per refractory time",
    )
    axis.set(
        xlabel="sampling time [s]",
        ylabel="D_KL(sampled || target) [nat]",
        title=f"{config.units} units, {config.machines} machines, {config.chains} runs of each",
    )
    axis.legend(loc="lower left")
    return {"course": course}
