"""A neuron under strong noise: its free potential and its activation function

Poisson noise makes the potential of a neuron without threshold fluctuate with a mean and a spread
that are known in closed form. With threshold, the share of time that it spends in refractoriness,
its activity, grows with the mean potential almost as a logistic function, so that it can sample.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import curve_fit
from scipy.special import expit

from lapicque._checks import in_range, one_of, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.spiking.models import BOMBARDED, free_potential, noise_driven
from lapicque.spiking.simulation import Simulation

_LAGS = 60  # ms


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neurons: tuple[str, ...] = ("tutorial_coba", "tutorial_cuba")  # of `BOMBARDED`
    points: int = 31  # of the activation function
    copies: int = 8  # neurons per point
    duration: float = 20_000.0  # ms
    warm_up: float = 500.0  # ms
    dt: float = 0.1  # ms

    def __post_init__(self):
        for name in self.neurons:
            one_of("neurons", name, BOMBARDED)
        in_range("points", self.points, 5)
        in_range("copies", self.copies, 1)
        in_range("duration", self.duration, 200, unit="ms")
        in_range("warm_up", self.warm_up, 0, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(points=11, copies=2, duration=500.0, warm_up=50.0),
    "quick": Config(),
    "paper": Config(neurons=tuple(BOMBARDED), copies=32, duration=100_000.0, dt=0.02),
}

_OWN = "our own runs of another program, 40 s per point"

CLAIMS = (
    Claim(
        "free_mean",
        "The mean of the free potential is that of the closed form, within a twentieth of its sd",
        "free_mean_error",
        Certainty.DERIVED,
        "Campbell's theorem",
        at_most=0.05,
    ),
    Claim(
        "free_sd",
        "So is its standard deviation, within 2 %",
        "free_sd_error",
        Certainty.DERIVED,
        "Campbell's theorem",
        at_most=0.02,
    ),
    Claim(
        "logistic",
        "The activation function is logistic, within 0.03 everywhere",
        "residual",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.03,
    ),
    Claim(
        "slope_conductance",
        "Its width is 0.61 standard deviations of the free potential, for conductances",
        "tutorial_coba_width",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.585,
        at_most=0.633,
        published=0.609,
    ),
    Claim(
        "slope_current",
        "Its width is 0.62 standard deviations of the free potential, for currents",
        "tutorial_cuba_width",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.593,
        at_most=0.642,
        published=0.618,
    ),
    Claim(
        "shift_conductance",
        "Half of the time it is active at a mean potential 0.47 sd below threshold",
        "tutorial_coba_shift",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=-0.516,
        at_most=-0.416,
        published=-0.466,
    ),
)

CITES = ("petrovici2016stochastic",)


def run(config: Config, seed: int, session) -> Outcome:
    """Measure the potential without threshold, then the activity over the mean potential."""
    metrics, recordings = {}, {}
    for name in config.neurons:
        session.log(f"{name}: free potential")
        found = session.stage(f"{name}, free", lambda name=name: _free(config, name, seed))
        session.log(f"{name}: activation function")
        found |= session.stage(f"{name}, firing", lambda name=name: _firing(config, name, seed))
        mean, sd = found["closed"]
        middle, width = _logistic(found["mean"], found["activity"])
        sd_there = np.interp(middle, found["mean"], found["sd"])
        fitted = expit((found["mean"] - middle) / width)
        metrics |= {
            f"{name}_free_mean_error": abs(found["v"].mean() - mean) / sd,
            f"{name}_free_sd_error": abs(found["v"].std() / sd - 1),
            f"{name}_width": width / sd_there,
            f"{name}_shift": (middle - _threshold(name)) / sd_there,
            f"{name}_residual": np.abs(fitted - found["activity"]).max(),
        }
        found["fit"] = np.array([middle, width])
        found["v"] = found["v"][:, 0]
        recordings |= {f"{name}/{key}": array for key, array in found.items()}
    for worst in ("free_mean_error", "free_sd_error", "residual"):
        metrics[worst] = max(metrics[f"{name}_{worst}"] for name in config.neurons)
    return Outcome(metrics, recordings)


def _free(config: Config, name: str, seed: int) -> dict[str, np.ndarray]:
    """Potential every ms without threshold, its autocorrelation, and the closed form."""
    preset = BOMBARDED[name]
    preset = preset._replace(neuron=replace(preset.neuron, v_thresh=1000.0))
    network, neurons = noise_driven(config.copies, preset)
    network.record(neurons, "v", interval=1.0)
    simulation = Simulation(network, config.dt, seed=seed)
    simulation.run(config.warm_up)
    v = simulation.run(config.duration).signal(neurons, "v")[:, 0]
    mean, sd, tau_eff = (values[0] for values in free_potential(network, neurons))
    gap = v - mean
    lags = np.arange(_LAGS + 1)
    measured = [(gap[lag:] * gap[: len(gap) - lag]).mean() / sd**2 for lag in lags]
    tau = float(preset.receptors.tau_syn_E)  # type: ignore[union-attr]
    decay = tau * np.exp(-lags / tau) - tau_eff * np.exp(-lags / tau_eff)
    return {
        "v": v,
        "closed": np.array([mean, sd]),
        "autocorrelation": np.array(measured),
        "autocorrelation_closed": decay / (tau - tau_eff),
    }


def _firing(config: Config, name: str, seed: int) -> dict[str, np.ndarray]:
    """Activity over the mean of the free potential, and a potential about halfway."""
    preset = BOMBARDED[name]
    network, neurons = noise_driven(1, preset)
    mean, sd, tau_eff = (values[0] for values in free_potential(network, neurons))
    wanted = _threshold(name) + sd * np.linspace(-3.5, 2.5, config.points)
    gain = float(preset.neuron.tau_m) / tau_eff  # type: ignore[arg-type]
    v_rest = float(preset.neuron.v_rest) + gain * (wanted - mean)  # type: ignore[arg-type]
    network, neurons = noise_driven(
        config.points * config.copies, preset, v_rest=np.repeat(v_rest, config.copies)
    )
    half = config.copies * int(np.argmin(np.abs(wanted - _threshold(name) + 0.47 * sd)))
    network.record(neurons, "v", neurons=[half], interval=config.dt)
    simulation = Simulation(network, config.dt, seed=seed + 1)
    simulation.run(config.warm_up)
    trace = simulation.run(200.0)
    counts = np.bincount(trace.spikes(neurons).id, minlength=neurons.size)
    rest = config.duration - 200.0
    for part in np.diff(np.linspace(0, rest, 1 + max(1, round(rest / 1000.0)))):
        counts += np.bincount(simulation.run(part).spikes(neurons).id, minlength=neurons.size)
    tau_refrac = float(preset.neuron.tau_refrac)  # type: ignore[arg-type]
    share = counts * tau_refrac / (simulation.time - config.warm_up)
    free = free_potential(network, neurons)
    return {
        "mean": free.mean[:: config.copies],
        "sd": free.sd[:: config.copies],
        "activity": share.reshape(config.points, -1).mean(1),
        "trace_time": trace.times(neurons, "v") - trace.start,
        "trace": trace.signal(neurons, "v")[:, 0, 0],
    }


def _threshold(name: str) -> float:
    return float(BOMBARDED[name].neuron.v_thresh)  # type: ignore[arg-type]


def _logistic(mean: np.ndarray, activity: np.ndarray) -> tuple[float, float]:
    """Middle and width [mV] of the logistic function through the slope of the curve."""
    slope = (activity > 0.05) & (activity < 0.95)
    middle = np.interp(0.5, activity, mean)
    span = mean[-1] - mean[0]
    scaled, _ = curve_fit(
        lambda x, shift, width: expit((x - shift) / width),
        (mean[slope] - middle) / span,
        activity[slope],
        p0=(0.0, 0.1),
    )
    return middle + span * scaled[0], span * scaled[1]


def figures(outcome: Outcome, config: Config):
    """The free potential, the activation function, and a piece of a potential."""
    drawn = {}
    free, axes = subplots(len(config.neurons), 2, height=2.4 * len(config.neurons))
    for (left, right), name in zip(axes, config.neurons, strict=True):
        v, (mean, sd) = (outcome.recordings[f"{name}/{key}"] for key in ("v", "closed"))
        z = np.linspace(-4, 4, 200)
        left.hist((v - mean) / sd, bins=60, density=True, color=COLOURS[0], alpha=0.5)
        left.plot(z, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), color=INK, label="closed form")
        left.set(title=name, xlabel="potential - mean [sd]", ylabel="density")
        right.plot(outcome.recordings[f"{name}/autocorrelation"], ".", label="simulated")
        closed = outcome.recordings[f"{name}/autocorrelation_closed"]
        right.plot(closed, color=INK, lw=1, label="closed form")
        right.set(xlabel="lag [ms]", ylabel="autocorrelation")
        right.legend()
    drawn["free_potential"] = free

    activation, axes = subplots(height=3.2)
    axis = axes[0, 0]
    for colour, name in zip(np.resize(COLOURS, len(config.neurons)), config.neurons, strict=True):
        mean, sd, activity, (middle, width) = (
            outcome.recordings[f"{name}/{key}"] for key in ("mean", "sd", "activity", "fit")
        )
        x = (mean - _threshold(name)) / sd
        axis.plot(x, activity, "o", color=colour, label=name)
        axis.plot(x, expit((mean - middle) / width), color=colour, lw=1)
    axis.set(
        xlabel="mean free potential - threshold [sd]", ylabel="activity", title="with logistic fits"
    )
    axis.legend()
    drawn["activation"] = activation

    potential, axes = subplots(len(config.neurons), 1, height=1.6 * len(config.neurons) + 0.6)
    for axis, name in zip(axes[:, 0], config.neurons, strict=True):
        trace, time = (outcome.recordings[f"{name}/{key}"] for key in ("trace", "trace_time"))
        sd = outcome.recordings[f"{name}/closed"][1]
        axis.plot(time, (trace - _threshold(name)) / sd, lw=0.8)
        axis.axhline(0, color=INK, lw=0.6, ls="--")
        axis.set(title=name, ylabel="v - threshold [sd]")
    axes[-1, 0].set_xlabel("time [ms]")
    drawn["potential"] = potential
    return drawn
