"""The rate of background noise as the temperature of sampling (Korcsak-Gorzo et al. 2022)

Balanced noise of higher rate makes the potential of a neuron fluctuate more, and its activation
function wider. With synapses left as they are, this divides all weights and biases by the square
root of the relative rate: by a temperature. The potential at which a neuron is active half of the
time moves as well, towards lower values, so that a network with equal rates of excitation and
inhibition leans to 1 as it gets hot; noise that is balanced around that potential does not.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling.calibration import Calibration, calibrate
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.observables import empirical, kl
from lapicque.sampling.target import Boltzmann, beta_ensemble, gauss_ensemble
from lapicque.sampling.tempering import OscillatingRate, response
from lapicque.spiking import Simulation
from lapicque.spiking.models import BOMBARDED, Bombarded, free_potential, noise_driven

Neuron = Literal["tutorial_cuba", "mixing_cuba", "dold_coba"]
_PHASES = 20  # bins of a period


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    current: tuple[Neuron, ...] = ("tutorial_cuba", "mixing_cuba")  # neurons with currents
    current_rates: tuple[float, ...] = (400.0, 1000.0, 2000.0, 4000.0, 10_000.0)  # Hz
    conductance: Neuron = "dold_coba"
    conductance_rates: tuple[float, ...] = (500.0, 1000.0, 2000.0, 4000.0, 8000.0)  # Hz
    points: int = 15  # of an activation function
    duration: float = 40_000.0  # ms per point
    network: Neuron = "mixing_cuba"
    ensemble: Literal["gauss", "beta"] = "gauss"
    units: int = 5
    machines: int = 5  # drawn from the ensemble
    relative_rates: tuple[float, ...] = (1.0, 2.0, 4.0, 9.0, 16.0)
    samples: int = 10_000  # per machine and rate, one per 10 ms
    frequencies: tuple[float, ...] = (10.0, 40.0, 100.0)  # Hz
    depth: float = 0.8  # of the oscillation of the rate
    oscillation: float = 10_000.0  # ms
    neurons: int = 200  # that show the variance under oscillation
    dt: float = 0.1  # ms

    def __post_init__(self):
        for name in ("current_rates", "conductance_rates", "relative_rates", "frequencies"):
            positive(name, getattr(self, name))
        in_range("points", self.points, 5)
        in_range("duration", self.duration, 1000, unit="ms")
        in_range("units", self.units, 1, 12)
        in_range("machines", self.machines, 1)
        in_range("samples", self.samples, 100)
        in_range("depth", self.depth, 0.01, 1)
        in_range("oscillation", self.oscillation, 100, unit="ms")
        in_range("neurons", self.neurons, 1)
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        current=("mixing_cuba",),
        current_rates=(400.0, 1000.0),
        conductance_rates=(500.0, 1000.0),
        points=9,
        duration=1000.0,
        machines=1,
        relative_rates=(1.0, 4.0),
        samples=200,
        frequencies=(10.0,),
        oscillation=200.0,
        neurons=20,
    ),
    "quick": Config(),
    "paper": Config(duration=1_000_000.0, machines=50, samples=100_000, oscillation=60_000.0),
}

_OWN = "our own runs of another program, 30 s per point"

CLAIMS = (
    Claim(
        "square_root",
        "With currents, temperature is the root of the relative rate, within 6 %",
        "current_error",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.06,
        published=0.05,
    ),
    Claim(
        "sd",
        "The free potential has the standard deviation of the closed form, within 2 %",
        "sd_error",
        Certainty.DERIVED,
        "Campbell's theorem",
        at_most=0.02,
    ),
    Claim(
        "width",
        "The activation function is at least 0.58 standard deviations wide at every rate",
        "smallest_width",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.58,
        published=0.603,
    ),
    Claim(
        "width_most",
        "... and at most 0.66",
        "largest_width",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.66,
        published=0.634,
    ),
    Claim(
        "conductance",
        "With conductances it is the root as well, in units of the leak potential, within 6 %",
        "conductance_error",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.06,
        published=0.03,
    ),
    Claim(
        "not_monotone",
        "With conductances the standard deviation itself is largest at a middle rate",
        "conductance_peak",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=1.1,
        published=1.2,
    ),
    Claim(
        "distribution",
        "A network at another rate is nearer to the distribution at that temperature than to the "
        "one at temperature 1, with noise balanced around half activity",
        "balanced_gain",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=1.0,
    ),
    Claim(
        "root_not_rate",
        "... and nearer than to the one at a temperature equal to the relative rate",
        "balanced_gain_rate",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=1.0,
    ),
    Claim(
        "equal_rates",
        "The same with equal rates of excitation and inhibition",
        "equal_gain",
        Certainty.NOT_VERIFIED,
        "Korcsak-Gorzo et al. (2022)",
        at_least=1.0,
    ),
    Claim(
        "filter",
        "The variance follows an oscillating rate with the gain of the squared response, "
        "within 0.03",
        "filter_error",
        Certainty.DERIVED,
        "square of the postsynaptic response",
        at_most=0.03,
    ),
)

CITES = ("korcsakgorzo2022cortical", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Calibrate at several rates, sample at several rates, and let the rate oscillate."""
    metrics, recordings = {}, {}
    for kind, names, rates in (
        ("current", config.current, config.current_rates),
        ("conductance", (config.conductance,), config.conductance_rates),
    ):
        worst = 0.0
        for name in names:
            session.log(f"{name}: activation at {len(rates)} rates")
            found = session.stage(name, lambda n=name, r=rates: _at_rates(config, n, r, seed))
            found["law"] = np.sqrt(found["rate"] / found["rate"][0])
            worst = max(worst, np.abs(found["temperature"] / found["law"] - 1).max())
            recordings |= {f"{name}/{key}": array for key, array in found.items()}
        metrics[f"{kind}_error"] = worst
    every = (*config.current, config.conductance)
    metrics["sd_error"] = max(
        np.abs(recordings[f"{n}/sd"] / recordings[f"{n}/sd_closed"] - 1).max() for n in every
    )
    widths = np.concatenate([recordings[f"{n}/width"] for n in config.current])
    metrics["smallest_width"], metrics["largest_width"] = widths.min(), widths.max()
    sd = recordings[f"{config.conductance}/sd"]
    metrics["conductance_peak"] = sd.max() / max(sd[0], sd[-1])

    session.log("a small machine at several rates")
    sampled = session.stage("machines", lambda: _machines(config, seed))
    hot = np.asarray(config.relative_rates) > 1
    for noise in ("equal", "balanced"):
        at_t, at_one, at_rate = sampled[noise].mean(1)
        metrics[f"{noise}_gain"] = (at_one[hot] / at_t[hot]).min()
        metrics[f"{noise}_gain_rate"] = (at_rate[hot] / at_t[hot]).min()
        metrics[f"{noise}_kl"] = at_t[hot].max()
    metrics["kl_at_reference"] = sampled["equal"][0].mean(0)[~hot].mean() if (~hot).any() else 0.0
    recordings |= {f"machines/{key}": array for key, array in sampled.items()}

    session.log("variance under an oscillating rate")
    gains = session.stage("oscillation", lambda: _oscillation(config, seed))
    metrics["filter_error"] = np.abs(gains["gain"] - gains["closed"]).max()
    recordings |= {f"oscillation/{key}": array for key, array in gains.items()}
    return Outcome(metrics, recordings)


def _with_rate(preset: Bombarded, rate: float) -> Bombarded:
    return preset._replace(rates=(rate, rate))


def _calibrated(config: Config, preset: Bombarded, seed: int) -> Calibration:
    return calibrate(
        preset, dt=config.dt, seed=seed, points=config.points, duration=config.duration
    )


def _at_rates(
    config: Config, name: str, rates: tuple[float, ...], seed: int
) -> dict[str, np.ndarray]:
    """Free potential and activation at each rate; both rates of noise are equal."""
    rows = []
    for rate in rates:
        preset = _with_rate(BOMBARDED[name], rate)
        calibration = _calibrated(config, preset, seed)
        rest = float(calibration.rest(np.zeros(1))[0])
        bare = replace(preset.neuron, v_thresh=1000.0, v_rest=rest)
        network, neurons = noise_driven(50, preset._replace(neuron=bare))
        network.record(neurons, "v", interval=2.0)
        simulation = Simulation(network, config.dt, seed=seed)
        simulation.run(200.0)
        v = simulation.run(config.duration / 4).signal(neurons, "v")[:, 0]
        closed = free_potential(network, neurons).sd[0]
        # in units of the leak potential, which weights and biases are set in
        width = calibration.width * calibration.leak_factor
        rows.append((rate, v.std(), closed, calibration.width / closed, width, rest))
    rate, sd, closed, ratio, width, rest = np.array(rows).T
    return {
        "rate": rate,
        "sd": sd,
        "sd_closed": closed,
        "width": ratio,
        "temperature": width / width[0],
        "half_rest": rest,
    }


def _machines(config: Config, seed: int) -> dict[str, np.ndarray]:
    """`D_KL(samples || p)` for p at the expected temperature, at 1, and at the relative rate.

    Shape (3, machines, rates), for equal rates of both kinds of noise, and for noise that is
    balanced around the potential of half activity.
    """
    preset = BOMBARDED[config.network]
    reference = _calibrated(config, preset, seed)
    draw = gauss_ensemble if config.ensemble == "gauss" else beta_ensemble
    chains = 4
    found = {"equal": [], "balanced": []}
    for relative in config.relative_rates:
        rate = relative * preset.rates[0]
        hot = _calibrated(config, _with_rate(preset, rate), seed)
        lean = (hot.half - reference.half) / reference.width
        noise = OscillatingRate(rate, 0.0, 0.0, reference=preset.rates[0])
        sampler = LIFSampler(reference, noise=noise, recalibrated=True)
        for name, shift in (("equal", 0.0), ("balanced", lean)):
            row = []
            for m in range(config.machines):
                target = draw(config.units, 1000 * seed + m)
                moved = Boltzmann(target.weights, target.biases + shift)
                copies = sampler.start(moved, chains, seed + m)
                copies.run(50)
                p = empirical(copies.run(config.samples // chains))
                row.append(
                    [
                        kl(p, target.at_temperature(t).probabilities)
                        for t in (np.sqrt(relative), 1.0, relative)
                    ]
                )
            found[name].append(row)
    return {name: np.array(rows).transpose(2, 1, 0) for name, rows in found.items()}


def _oscillation(config: Config, seed: int) -> dict[str, np.ndarray]:
    """Gain of the variance of the free potential, and its course over a period."""
    preset = BOMBARDED["mixing_cuba"]
    bare = preset._replace(neuron=replace(preset.neuron, v_thresh=1000.0))
    rate = preset.rates[0]
    gains, closed, courses = [], [], []
    for frequency in config.frequencies:
        network, neurons = noise_driven(config.neurons, bare._replace(rates=(0.0, 0.0)))
        noise = OscillatingRate(rate, config.depth * rate, frequency)
        noise.attach(network, neurons, preset)
        network.record(neurons, "v", interval=0.5)
        simulation = Simulation(network, config.dt, seed=seed)
        simulation.run(200.0)
        recorded = simulation.run(config.oscillation)
        v = recorded.signal(neurons, "v")[:, 0]
        time = recorded.times(neurons, "v")
        power = ((v - v.mean()) ** 2).mean(1)
        angle = 2 * np.pi * frequency * time / 1000 + noise.phase
        terms = np.stack([np.ones_like(angle), np.sin(angle), np.cos(angle)], 1)
        offset, sine, cosine = np.linalg.lstsq(terms, power, rcond=None)[0]
        gains.append(np.hypot(sine, cosine) / offset / config.depth)
        closed.append(response(frequency, 10.0)[0])
        phase = (angle - noise.phase) % (2 * np.pi)
        place = np.minimum((phase / (2 * np.pi) * _PHASES).astype(int), _PHASES - 1)
        count = np.maximum(np.bincount(place, minlength=_PHASES), 1)
        courses.append(np.bincount(place, power, _PHASES) / count / offset)
    return {
        "frequency": np.array(config.frequencies),
        "gain": np.array(gains),
        "closed": np.array(closed),
        "course": np.array(courses),
    }


def figures(outcome: Outcome, config: Config):
    """Temperature and spread over the rate, distances of distributions, and the filter."""
    r, drawn = outcome.recordings, {}
    law, (axes,) = subplots(1, 2, height=3.0)
    for colour, name in zip(COLOURS, (*config.current, config.conductance), strict=False):
        rate = r[f"{name}/rate"]
        axes[0].plot(rate / rate[0], r[f"{name}/temperature"], "o", color=colour, label=name)
        relative = r[f"{name}/sd"] / r[f"{name}/sd"][0]
        axes[1].plot(rate / rate[0], relative, "o-", color=colour, lw=1)
    x = np.geomspace(1, max(config.current_rates) / min(config.current_rates), 50)
    for axis in axes:
        axis.plot(x, np.sqrt(x), color=INK, lw=1, label="square root")
        axis.set(xscale="log", yscale="log", xlabel="relative rate of the noise")
    axes[0].set(ylabel="temperature", title="width of the activation function")
    axes[1].set(ylabel="relative sd", title="free potential")
    axes[0].legend()
    drawn["rate_law"] = law

    distances, (axes,) = subplots(1, 2, height=3.0, sharey=True)
    titles = {"equal": "equal rates", "balanced": "balanced at half activity"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for colour, label, rows in zip(
            (COLOURS[0], MUTED, COLOURS[1]),
            ("T = root of the rate", "T = 1", "T = rate"),
            r[f"machines/{name}"],
            strict=True,
        ):
            axis.errorbar(
                config.relative_rates,
                rows.mean(0),
                rows.std(0),
                fmt="o-",
                color=colour,
                capsize=2,
                label=label,
            )
        axis.set(xscale="log", yscale="log", xlabel="relative rate", title=title)
    axes[0].set_ylabel("D(network || target at T) [nats]")
    axes[0].legend()
    drawn["distributions"] = distances

    oscillation, (axes,) = subplots(1, 2, height=2.8)
    phase = (np.arange(_PHASES) + 0.5) / _PHASES
    for colour, frequency, course in zip(
        np.resize(COLOURS, len(config.frequencies)),
        config.frequencies,
        r["oscillation/course"],
        strict=True,
    ):
        axes[0].plot(phase, course, color=colour, label=f"{frequency:g} Hz")
    axes[0].set(xlabel="phase [periods]", ylabel="relative variance", title="free potential")
    axes[0].legend()
    f = np.linspace(0, 1.2 * max(config.frequencies), 100)
    axes[1].plot(f, [response(x, 10.0)[0] for x in f], color=INK, lw=1, label="closed form")
    axes[1].plot(config.frequencies, r["oscillation/gain"], "o", label="simulated")
    axes[1].set(xlabel="frequency [Hz]", ylabel="gain of the variance", ylim=(0, 1.05))
    axes[1].legend()
    drawn["filter"] = oscillation
    return drawn
