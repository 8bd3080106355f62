"""Activity that sustains itself without input (Vogels and Abbott 2005)

Four thousand neurons, a fifth of them inhibitory, excite each other by conductances or by currents.
Once begun, asynchronous irregular firing goes on by itself. As benchmarks 1 and 2 of Brette et al.
(2007) these networks are what simulators are compared with.
"""

from dataclasses import dataclass
from typing import Any, Literal

from lapicque._checks import in_range, positive
from lapicque.experiments.spiking._activity import NUMBERS, described, figures_of
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.spiking.models import vogels_abbott
from lapicque.spiking.simulation import Simulation
from lapicque.spiking.statistics import rates


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    synapses: tuple[Literal["conductance", "current"], ...] = ("conductance", "current")
    size: int = 4000  # neurons
    warm_up: float = 300.0  # ms
    duration: float = 2000.0  # ms
    dt: float = 0.1  # ms
    threads: int = 2

    def __post_init__(self):
        in_range("size", self.size, 5)
        in_range("warm_up", self.warm_up, 0, unit="ms")
        in_range("duration", self.duration, 200, unit="ms")
        in_range("threads", self.threads, 1)
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(duration=200.0, warm_up=100.0, threads=1),
    "quick": Config(),
    "paper": Config(duration=10_000.0),
}

_NEST = "our own runs of NEST 3.10, eight seeds"

CLAIMS = (
    Claim(
        "sustained",
        "With conductances, activity goes on to the end without input",
        "conductance_lasted",
        Certainty.NOT_VERIFIED,
        "Vogels and Abbott (2005); Brette et al. (2007), benchmark 1",
        at_least=0.99,
        published=1.0,
    ),
    Claim(
        "sustained_by_currents",
        "So it does with currents",
        "current_lasted",
        Certainty.NOT_VERIFIED,
        "Vogels and Abbott (2005); Brette et al. (2007), benchmark 2",
        at_least=0.95,
        published=1.0,
    ),
    Claim(
        "rate",
        "With conductances, excitatory neurons fire at 19 Hz, as one more run of NEST would",
        "conductance_rate",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=14.3,
        at_most=23.6,
        published=18.97,
    ),
    Claim(
        "irregular",
        "and irregularly, with a CV of 1.7",
        "conductance_cv",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=1.58,
        at_most=1.78,
        published=1.684,
    ),
    Claim(
        "asynchronous",
        "and almost independently: counts correlate by less than 0.01",
        "conductance_correlation",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=-0.01,
        at_most=0.01,
        published=0.0024,
    ),
)

CITES = ("vogels2005signal", "brette2007simulation")


def run(config: Config, seed: int, session) -> Outcome:
    """Let each network go and describe the spikes of its excitatory neurons."""
    metrics, recordings = {}, {}
    for synapses in config.synapses:
        session.log(f"{synapses}s")
        found = session.stage(synapses, lambda name=synapses: _simulated(config, name, seed))
        for name in (*NUMBERS, "rate_inhibitory", "lasted"):
            metrics[f"{synapses}_{name}"] = float(found.pop(name))
        recordings |= {f"{synapses}/{name}": array for name, array in found.items()}
    return Outcome(metrics, recordings)


def _simulated(config: Config, synapses: str, seed: int) -> dict[str, Any]:
    network, excitatory, inhibitory = vogels_abbott(config.size, synapses, seed)
    simulation = Simulation(network, config.dt, seed=seed, threads=config.threads)
    simulation.run(config.warm_up)
    start = simulation.time
    record = simulation.run(config.duration)
    stop, spikes = simulation.time, record.spikes(excitatory)
    last = spikes.time[-1] if spikes.time.size else start
    others = rates(record.spikes(inhibitory), inhibitory.size, start, stop)
    return described(spikes, excitatory.size, start, stop, 2.0) | {
        "rate_inhibitory": others.mean(),
        "lasted": (last - start) / config.duration,
    }


def figures(outcome: Outcome, config: Config):
    """Rasters and population rates of both networks, and how rates and CVs are distributed."""
    titles = {name: f"{name}s" for name in config.synapses}
    return figures_of(outcome.recordings, titles, min(config.duration, 500.0))
