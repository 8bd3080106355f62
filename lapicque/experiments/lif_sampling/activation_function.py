"""The activation function of LIF neurons under strong noise, and its translation

A neuron under balanced Poisson bombardment spends a share of its time refractory that grows with
its mean free potential almost as a logistic function. Its width and its middle, in units of the
spread of the free potential, hardly depend on the neuron; they translate the biases and weights of
a Boltzmann machine into potentials and synapses.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from lapicque._checks import in_range, one_of, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling import Calibration, calibrate
from lapicque.spiking.models import BOMBARDED


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neurons: tuple[str, ...] = tuple(BOMBARDED)
    points: int = 31  # of the curve
    duration: float = 80_000.0  # per point [ms]
    chains: int = 8  # that share the duration
    dt: float = 0.1  # ms

    def __post_init__(self):
        for name in self.neurons:
            one_of("neurons", name, BOMBARDED)
        in_range("points", self.points, 5)
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(points=15, duration=2000.0, chains=2),
    "quick": Config(),
    "paper": Config(duration=1_000_000.0, chains=16),
}

_REFERENCE = {  # sd, half - threshold, width [mV], tau_eff [ms], synapses per unit weight [nA, uS]
    "tutorial_coba": (1.0150, -0.473, 0.618, 0.769, 0.00529, 0.00540),
    "tutorial_cuba": (0.01508, -0.0056, 0.00931, 1.0, 0.00315, 0.00315),
    "mixing_cuba": (0.000995, -0.00053, 0.000635, 0.1, 0.002022, 0.002022),
    "mixing_coba": (0.0496, -0.0282, 0.03032, 0.0996, 0.001937, 0.001939),
    "thesis_coba": (2.981, -1.694, 1.850, 0.220, 0.0251, 0.0372),
    "dold_coba": (2.268, -1.042, 1.445, 0.526, 0.00846, 0.01214),
}
_OWN = "our own runs of another program, 40 s per point"
_TITLES = {name: name.replace("_", " ") for name in BOMBARDED}


def _claims():
    for name, (sd, half, width, *_) in _REFERENCE.items():
        yield Claim(
            f"{name}_width",
            f"The width of {_TITLES[name]} is {width / sd:.3f} sd of the free potential, to 4 %",
            f"{name}_width",
            Certainty.REFERENCE_RUN,
            _OWN,
            at_least=0.96 * width / sd,
            at_most=1.04 * width / sd,
            published=round(width / sd, 3),
        )
        yield Claim(
            f"{name}_half",
            f"{_TITLES[name].capitalize()} is half active {-half / sd:.2f} sd below threshold",
            f"{name}_half",
            Certainty.REFERENCE_RUN,
            _OWN,
            at_least=half / sd - 0.05,
            at_most=half / sd + 0.05,
            published=round(half / sd, 3),
        )


CLAIMS = (
    *_claims(),
    Claim(
        "logistic",
        "All activation functions are logistic, up to 0.03 everywhere",
        "residual",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.035,
        published=0.03,
    ),
    Claim(
        "translation",
        "Synapses per unit weight are those of the reference within 4 %",
        "synapse_error",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.04,
    ),
)

CITES = ("petrovici2013stochastic", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Measure the activity over the mean potential of each neuron, and fit a logistic function."""
    metrics, recordings = {}, {}
    for name in config.neurons:
        session.log(name)
        found = session.stage(name, lambda name=name: _measured(config, name, seed))
        sd, half, width = found["fit"]
        metrics |= {
            f"{name}_width": width / sd,
            f"{name}_half": half / sd,
            f"{name}_residual": np.abs(found["residual"]).max(),
            f"{name}_tau_eff": found["tau_eff"][()],
        }
        given = np.array(_REFERENCE[name][4:])
        metrics[f"{name}_synapse_error"] = np.abs(found["synapses"] / given - 1).max()
        recordings |= {f"{name}/{key}": np.asarray(array) for key, array in found.items()}
    for worst in ("residual", "synapse_error"):
        metrics[worst] = max(metrics[f"{name}_{worst}"] for name in config.neurons)
    return Outcome(metrics, recordings)


def _measured(config: Config, name: str, seed: int) -> dict[str, np.ndarray]:
    """The curve relative to threshold [mV], its fit and what it translates into."""
    calibration: Calibration = calibrate(
        name,
        dt=config.dt,
        seed=seed,
        points=config.points,
        duration=config.duration,
        chains=config.chains,
    )
    threshold = float(calibration.preset.neuron.v_thresh)  # type: ignore[arg-type]
    mean, activity = np.array(calibration.potentials), np.array(calibration.activities)
    weights = np.array([[0.0, 1.0], [-1.0, 0.0]])
    synapses = np.abs(calibration.synapses(weights, np.zeros(2)))
    free = calibration.free
    return {
        "mean": mean - threshold,
        "activity": activity,
        "residual": activity - expit((mean - calibration.half) / calibration.width),
        "fit": np.array([free.sd, calibration.half - threshold, calibration.width]),
        "tau_eff": np.array(free.tau_eff),
        "synapses": np.array([synapses[0, 1], synapses[1, 0]]),
        "rest": np.array([calibration.rest(0.0), calibration.width * calibration.leak_factor]),
    }


def figures(outcome: Outcome, config: Config):
    """The curves with their fits and residuals, and the two numbers beside the reference."""
    recordings = outcome.recordings
    colours = dict(zip(config.neurons, np.resize(COLOURS, len(config.neurons)), strict=True))
    curves, axes = subplots(2, 1, height=4.6, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    top, bottom = axes[:, 0]
    for name, colour in colours.items():
        sd, half, width = recordings[f"{name}/fit"]
        x = recordings[f"{name}/mean"] / sd
        fine = np.linspace(x[0], x[-1], 300)
        top.plot(x, recordings[f"{name}/activity"], "o", color=colour, ms=3.5, label=_TITLES[name])
        top.plot(fine, expit((sd * fine - half) / width), color=colour, lw=0.9)
        bottom.plot(x, recordings[f"{name}/residual"], "o-", color=colour, lw=0.7, ms=2.5)
    ceiling = 10.0 / (10.0 + config.dt)
    top.axhline(ceiling, color=MUTED, lw=0.8, ls=":")
    top.set(ylabel="activity", title="with logistic fits (lines)", ylim=(-0.04, 1.06))
    top.legend(loc="upper left")
    bottom.axhline(0, color=INK, lw=0.6)
    bottom.set(xlabel="mean free potential - threshold [sd]", ylabel="activity - fit")

    numbers, axes = subplots(1, 2, height=2.6, sharey=True)
    rows = np.arange(len(config.neurons))[::-1]
    for axis, metric, column in zip(axes[0], ("width", "half"), (2, 1), strict=True):
        given = [_REFERENCE[name][column] / _REFERENCE[name][0] for name in config.neurons]
        axis.plot(given, rows, "|", color=INK, ms=14, mew=1.5, label="reference run")
        for row, name in zip(rows, config.neurons, strict=True):
            value = outcome.metrics[f"{name}_{metric}"]
            axis.plot(value, row, "o", color=colours[name], ms=6)
    axes[0, 0].set(xlabel="width [sd]", xlim=(0.56, 0.68))
    axes[0, 1].set(xlabel="middle - threshold [sd]", xlim=(-0.7, -0.25))
    axes[0, 0].set_yticks(rows, [_TITLES[name] for name in config.neurons])
    axes[0, 0].set_ylim(-0.6, len(rows) - 0.4)
    numbers.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper right")
    return {"curves": curves, "numbers": numbers}
