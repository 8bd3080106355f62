"""Oscillating background activity as simulated tempering (Korcsak-Gorzo et al. 2022)

Ten units that excite each other have two deep modes, almost all off and almost all on. At constant
temperature a sampler stays in one of them for very long. If the rate of the background noise
oscillates, the network is hot for a part of each period, and forgets; the states of the cold part
are samples. How often the modes are visited is decided while the network cools, and may differ from
the distribution at temperature 1.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.sampling.calibration import Calibration, calibrate
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.observables import switches
from lapicque.sampling.samplers import Gibbs
from lapicque.sampling.target import Boltzmann, states
from lapicque.sampling.tempering import OscillatingRate, cold
from lapicque.spiking.models import BOMBARDED

_SWEEP = 10.0  # ms; one sweep of the abstract sampler, and one sample of the spiking one
_SHOWN = 400  # samples in the figure


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; a swing of A is a rate between 1 and 1 + A times the lowest."""

    units: int = 10
    field: float = 0.01  # of each unit, over states -1 and 1
    couplings: tuple[float, ...] = (0.2, 0.3, 0.35)  # over states -1 and 1
    swings: tuple[float, ...] = (0.0, 3.0, 8.0, 15.0)
    sweeps: int = 200_000
    spiking: tuple[tuple[float, float], ...] = (  # coupling, swing
        (0.3, 0.0),
        (0.3, 8.0),
        (0.5, 0.0),
        (0.5, 3.0),
        (0.7, 0.0),
        (0.7, 8.0),
    )
    frequency: float = 1.0  # Hz
    duration: float = 1_000_000.0  # ms, over all chains
    chains: int = 10
    margin: float = 0.02  # a sample counts below this excess of temperature
    centred: bool = True  # inhibition grows a little more, so that units are on half of the time
    calibration: float = 800_000.0  # ms per point
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("units", self.units, 2, 20)
        positive("couplings", self.couplings)
        in_range("swings", self.swings, 0)
        in_range("sweeps", self.sweeps, 100)
        in_range("frequency", self.frequency, 0.01, 100, unit="Hz")
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 1000 * self.chains, unit="ms")
        in_range("margin", self.margin, 0)
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        sweeps=2000, duration=8000.0, chains=2, calibration=1000.0, spiking=((0.5, 0.0), (0.5, 3.0))
    ),
    "quick": Config(),
    "paper": Config(sweeps=2_000_000, duration=20_000_000.0, chains=40, calibration=4_000_000.0),
}

_OWN = "our own runs of another program, 200,000 sweeps"

CLAIMS = (
    Claim(
        "stuck",
        "At temperature 1 the abstract sampler with J = 0.3 changes mode some 30 times",
        "gibbs_J0.3_A0_switches",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=60,
        published=31,
    ),
    Claim(
        "more_switches",
        "With A = 8 it changes mode at least 100 times as often",
        "gibbs_J0.3_gain",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=100,
        published=280,
    ),
    Claim(
        "mode_probability",
        "The share of the upper mode among cold samples is that of the target, within 0.05",
        "gibbs_error",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.05,
        published=0.02,
    ),
    Claim(
        "cold_share",
        "With A = 8 some 5 % of the samples are cold",
        "gibbs_J0.3_A8_cold",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.04,
        at_most=0.06,
        published=0.05,
    ),
    Claim(
        "lif_stuck",
        "Spiking neurons under constant noise leave neither mode where J = 0.5",
        "lif_J0.5_A0_switches",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022): the mixing problem",
        at_most=10,
    ),
    Claim(
        "lif_mixes",
        "Under an oscillating background their cold samples change mode at least 50 times",
        "lif_J0.5_A3_cold_switches",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=50,
    ),
    Claim(
        "lif_mode_probability",
        "The share of the upper mode among these is that of the target, within 0.1",
        "lif_J0.5_A3_error",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_most=0.1,
    ),
    Claim(
        "lif_deeper",
        "Where J = 0.7, a swing of A = 8 lets cold samples change mode at least 50 times",
        "lif_J0.7_A8_cold_switches",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=50,
    ),
    Claim(
        "lif_deeper_probability",
        "... and visit the upper mode as often as the target, within 0.1",
        "lif_J0.7_A8_error",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_most=0.1,
    ),
    Claim(
        "lif_shallow",
        "Where J = 0.3, cold samples of an oscillating background change mode more often than "
        "all samples of a constant one",
        "lif_J0.3_gain",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=1,
    ),
)

CITES = ("korcsakgorzo2022cortical", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Sample with constant and with oscillating temperature: abstract units, then neurons."""
    metrics, recordings = {}, {}
    errors = []
    for coupling in config.couplings:
        session.log(f"abstract units, J = {coupling:g}")
        for swing in config.swings:
            name = f"gibbs_J{coupling:g}_A{swing:g}"
            found = session.stage(name, lambda c=coupling, s=swing: _abstract(config, c, s, seed))
            _note(metrics, recordings, name, found, config)
            if swing:
                errors.append(metrics[f"{name}_error"])
        if {0.0, 8.0} <= set(config.swings):
            stem = f"gibbs_J{coupling:g}"
            still, moving = (metrics[f"{stem}_A{a}_switches"] for a in (0, 8))
            metrics[f"{stem}_gain"] = moving / max(still, 1)
    metrics["gibbs_error"] = max(errors, default=0.0)

    session.log("calibration")
    calibrated = {}
    for coupling, swing in config.spiking:
        session.log(f"neurons, J = {coupling:g}, A = {swing:g}")
        for s in (0.0, swing):
            if s not in calibrated:
                calibrated[s] = _calibration(config, s, seed)
        name = f"lif_J{coupling:g}_A{swing:g}"
        found = session.stage(
            name, lambda c=coupling, s=swing: _neurons(config, c, s, calibrated, seed)
        )
        _note(metrics, recordings, name, found, config)
    if {(0.3, 0.0), (0.3, 8.0)} <= set(config.spiking):
        still = metrics["lif_J0.3_A0_switches"]
        metrics["lif_J0.3_gain"] = metrics["lif_J0.3_A8_cold_switches"] / max(still, 1)
    for claim in CLAIMS:  # a configuration may leave some out
        if claim.metric not in metrics:
            session.log(f"`{claim.id}` needs settings that were left out")
            metrics[claim.metric] = -1.0
    return Outcome(metrics, recordings)


def _target(config: Config, coupling: float) -> Boltzmann:
    n = config.units
    return Boltzmann.from_spins(coupling * (1 - np.eye(n)), np.full(n, config.field))


def _schedule(config: Config, swing: float, tau_syn: float) -> OscillatingRate:
    lowest = BOMBARDED["mixing_cuba"].rates[0]
    return OscillatingRate.between(
        1.0, np.sqrt(1 + swing), config.frequency, reference=lowest, tau_syn=tau_syn
    )


def _abstract(config: Config, coupling: float, swing: float, seed: int) -> dict[str, np.ndarray]:
    temperature = _schedule(config, swing, 0.0)(_SWEEP * np.arange(config.sweeps))
    chain = Gibbs().start(_target(config, coupling), 1, seed)
    return {"mean": chain.run(config.sweeps, temperature).mean(2), "temperature": temperature}


def _calibration(config: Config, swing: float, seed: int) -> Calibration:
    preset = BOMBARDED["mixing_cuba"]
    low, high = (rate * (1 + swing) for rate in preset.rates)
    return calibrate(
        preset._replace(rates=(low, high)), dt=config.dt, seed=seed, duration=config.calibration
    )


def _neurons(
    config: Config, coupling: float, swing: float, calibrated: dict[float, Calibration], seed: int
) -> dict[str, np.ndarray]:
    reference, schedule = calibrated[0.0], _schedule(config, swing, 10.0)
    if swing and config.centred:
        schedule = schedule.centred(reference, calibrated[swing])
    sampler = LIFSampler(reference, noise=schedule, recalibrated=True, interval=_SWEEP)
    chains = sampler.start(_target(config, coupling), config.chains, seed)
    samples = round(config.duration / config.chains / _SWEEP)
    mean = chains.run(samples).mean(2)
    return {"mean": mean, "temperature": schedule(_SWEEP * np.arange(1, samples + 1))}


def _note(metrics, recordings, name: str, found: dict[str, np.ndarray], config: Config) -> None:
    """Modes and what is cold; a mode is reached when nine of ten units agree."""
    mean, temperature = found["mean"], found["temperature"]
    mode = np.where(mean >= 0.9, 1, np.where(mean <= 0.1, 0, -1))
    valid = cold(temperature, config.margin)
    coupling = float(name.split("_")[1][1:])
    target = _target(config, coupling)
    exact = target.probabilities[states(config.units).mean(1) > 0.5].sum()
    upper = float((mean[valid] > 0.5).mean()) if valid.any() else 0.5
    metrics[f"{name}_switches"] = float(switches(mode).sum())
    metrics[f"{name}_cold_switches"] = float(switches(mode[valid]).sum())
    metrics[f"{name}_cold"] = float(valid.mean())
    metrics[f"{name}_upper"] = upper
    metrics[f"{name}_error"] = abs(upper - exact)
    recordings[f"{name}/mean"] = mean[:_SHOWN, 0]
    recordings[f"{name}/temperature"] = temperature[:_SHOWN]


def figures(outcome: Outcome, config: Config):
    """Activity and temperature in time; how often modes change, over the swing."""
    drawn = {}
    for kind, names in (
        ("abstract", [f"gibbs_J{config.couplings[-1]:g}_A{a:g}" for a in config.swings]),
        ("spiking", [f"lif_J{j:g}_A{a:g}" for j, a in config.spiking]),
    ):
        figure, axes = subplots(len(names), 1, height=1.1 * len(names) + 0.6, sharex=True)
        for axis, name in zip(axes[:, 0], names, strict=True):
            mean, temperature = (outcome.recordings[f"{name}/{k}"] for k in ("mean", "temperature"))
            time = _SWEEP * np.arange(len(mean)) / 1000
            axis.plot(time, temperature / max(temperature.max(), 1.0), color=COLOURS[1], lw=0.8)
            axis.plot(time, mean, color=INK, lw=0.6)
            valid = cold(temperature, config.margin)
            axis.plot(time[valid], mean[valid], ".", color=COLOURS[0], ms=3)
            _, coupling, swing = name.split("_")
            axis.set(title=f"J = {coupling[1:]}, A = {swing[1:]}", ylim=(-0.05, 1.1))
        axes[-1, 0].set_xlabel("time [s], one sweep per 10 ms")
        axes[0, 0].set_ylabel("activity")
        drawn[kind] = figure
    mixing, (axes,) = subplots(1, 2, height=3.0)
    for colour, coupling in zip(COLOURS, config.couplings, strict=False):
        stems = [f"gibbs_J{coupling:g}_A{a:g}" for a in config.swings]
        for axis, what in zip(axes, ("switches", "cold_switches"), strict=True):
            count = [max(outcome.metrics[f"{s}_{what}"], 0.5) for s in stems]
            axis.plot(config.swings, count, "o-", color=colour, label=f"J = {coupling:g}")
    for axis, title in zip(axes, ("all samples", "cold samples"), strict=True):
        axis.set(yscale="log", xlabel="swing A", ylabel="changes of mode", title=title)
    axes[0].legend()
    drawn["mixing"] = mixing
    return drawn
