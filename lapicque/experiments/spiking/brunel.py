"""Four states of a sparse random network (Brunel 2000)

Excitation and inhibition of leaky integrate-and-fire neurons settle into one of four states: the
network oscillates or not, and its neurons fire like clocks or like dice. Which one, is a matter of
the strength of inhibition `g` and of the external rate `eta`. In the asynchronous irregular state
inputs are more regular than the white noise of mean-field theory; so are the neurons, whose CV
would be 0.68 in such noise and is 0.4.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.signal import welch

from lapicque._checks import in_range, positive
from lapicque.experiments.spiking._activity import NUMBERS, described, figures_of
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.spiking.models import brunel, brunel_rate
from lapicque.spiking.simulation import Simulation

State = Literal["SR", "AI", "SI_fast", "SI_slow"]
STATES: dict[str, tuple[float, float]] = {  # g, eta
    "SR": (3.0, 2.0),
    "AI": (5.0, 2.0),
    "SI_fast": (6.0, 4.0),
    "SI_slow": (4.5, 0.9),
}
_TITLES = {
    "SR": "synchronous regular",
    "AI": "asynchronous irregular",
    "SI_fast": "synchronous irregular, fast",
    "SI_slow": "synchronous irregular, slow",
}
_BIN = 0.5  # ms


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; the states are those of figure 8 of the paper."""

    states: tuple[State, ...] = ("SR", "AI", "SI_fast", "SI_slow")
    order: int = 2500  # inhibitory neurons, a fifth of all
    epsilon: float = 0.1  # connection probability
    J: float = 0.1  # mV
    delay: float = 1.5  # ms
    warm_up: float = 200.0  # ms
    duration: float = 500.0  # ms
    dt: float = 0.1  # ms
    threads: int = 2

    def __post_init__(self):
        in_range("order", self.order, 10)
        in_range("epsilon", self.epsilon, 0, 1)
        positive("J", self.J, "mV")
        in_range("warm_up", self.warm_up, 0, unit="ms")
        in_range("duration", self.duration, 100, unit="ms")
        in_range("threads", self.threads, 1)
        positive("dt", self.dt, "ms")
        positive("delay", self.delay, "ms")


PRESETS = {
    "smoke": Config(order=50, duration=1000.0, warm_up=100.0, threads=1),
    "quick": Config(),
    "paper": Config(duration=10_000.0, warm_up=500.0),
}

_NEST = "our own runs of NEST 3.10, five seeds of 0.8 s"

CLAIMS = (
    Claim(
        "mean_field",
        "In the asynchronous irregular state the rate is that of mean-field theory, within 5 %",
        "AI_rate_error",
        Certainty.DERIVED,
        "Brunel (2000), mean-field theory, solved here",
        at_most=0.05,
    ),
    Claim(
        "AI_rate",
        "It is 38 Hz",
        "AI_rate",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8C",
        at_least=36.0,
        at_most=40.0,
        published=37.7,
    ),
    Claim(
        "AI_irregular",
        "Its neurons fire irregularly, with a CV of 0.4",
        "AI_cv",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=0.37,
        at_most=0.46,
        published=0.420,
    ),
    Claim(
        "AI_asynchronous",
        "Its neurons fire almost independently: counts correlate by less than 0.03",
        "AI_correlation",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=-0.03,
        at_most=0.03,
        published=0.0183,
    ),
    Claim(
        "SR_regular",
        "With weak inhibition neurons fire regularly",
        "SR_cv",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8A; no number known",
        at_most=0.3,
    ),
    Claim(
        "SI_fast_rate",
        "With strong inhibition and drive, neurons fire irregularly at 61 Hz",
        "SI_fast_rate",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8B",
        at_least=57.0,
        at_most=65.0,
        published=60.7,
    ),
    Claim(
        "SI_fast_oscillation",
        "while the network oscillates at 180 Hz",
        "SI_fast_frequency",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8B",
        at_least=150.0,
        at_most=210.0,
        published=180.0,
    ),
    Claim(
        "SI_slow_rate",
        "With weak drive, neurons fire irregularly at 5.5 Hz",
        "SI_slow_rate",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8D",
        at_least=4.5,
        at_most=7.0,
        published=5.5,
    ),
    Claim(
        "SI_slow_oscillation",
        "while the network oscillates at 22 Hz",
        "SI_slow_frequency",
        Certainty.NOT_VERIFIED,
        "Brunel (2000), figure 8D",
        at_least=15.0,
        at_most=32.0,
        published=22.0,
    ),
)

CITES = ("brunel2000dynamics",)


def run(config: Config, seed: int, session) -> Outcome:
    """Simulate each state and describe the spikes of its excitatory neurons."""
    metrics, recordings = {}, {}
    for state in config.states:
        session.log(_TITLES[state])
        found = session.stage(state, lambda state=state: _simulated(config, state, seed))
        for name in (*NUMBERS, "frequency", "synchrony"):
            metrics[f"{state}_{name}"] = float(found.pop(name))
        recordings |= {f"{state}/{name}": array for name, array in found.items()}
    if "AI" in config.states:
        g, eta = STATES["AI"]
        theory = brunel_rate(config.order, g, eta, config.J, config.epsilon)
        metrics["AI_rate_theory"] = theory
        metrics["AI_rate_error"] = abs(metrics["AI_rate"] / theory - 1)
    return Outcome(metrics, recordings)


def _simulated(config: Config, state: str, seed: int) -> dict[str, Any]:
    g, eta = STATES[state]
    network, excitatory, _ = brunel(config.order, g, eta, config.J, config.epsilon, config.delay)
    simulation = Simulation(network, config.dt, seed=seed, threads=config.threads)
    simulation.run(config.warm_up)
    start = simulation.time
    spikes = simulation.run(config.duration).spikes(excitatory)
    found = described(spikes, excitatory.size, start, simulation.time, _BIN)
    activity = found["activity"]
    return found | {
        "frequency": _peak(activity),
        "synchrony": activity.std() / activity.mean(),
    }


def _peak(activity: np.ndarray) -> float:
    """Frequency [Hz], from 10 Hz on, at which the power of the population rate is highest."""
    length = min(len(activity), round(200.0 / _BIN))
    frequency, power = welch(activity, 1000.0 / _BIN, nperseg=length, nfft=8 * length)
    band = frequency >= 10.0
    return float(frequency[band][np.argmax(power[band])])


def figures(outcome: Outcome, config: Config):
    """Rasters and population rates of each state, and how rates and CVs are distributed."""
    titles = {}
    for state in config.states:
        g, eta = STATES[state]
        titles[state] = f"{state.replace('_', ' ')}: g {g:g}, eta {eta:g}"
    return figures_of(outcome.recordings, titles, min(config.duration, 200.0))
