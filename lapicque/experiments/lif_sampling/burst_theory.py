"""The activation function from first principles: bursts of a neuron under strong noise

Spikes come in bursts of back-to-back refractory times. Propagating the free potential through a
burst, and waiting for a first passage after it, predicts the activity without a free parameter. The
first passage must take into account that the noise has a memory; the drift from reset to threshold
matters little.
"""

from dataclasses import dataclass, replace

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.sampling import calibrate
from lapicque.sampling.theory import activation
from lapicque.spiking.models import BOMBARDED, Bombarded

_VARIANTS = {  # coloured, drift
    "plain": (False, False),
    "coloured": (True, False),
    "full": (True, True),
}
_LABELS = {
    "plain": "white noise at threshold",
    "coloured": "with memory of the noise",
    "full": "with memory and drift",
}


_REFERENCE = {  # rms of each variant
    "tutorial_coba": (0.079, 0.020, 0.020),
    "tutorial_cuba": (0.094, 0.015, 0.016),
    "mixing_cuba": (0.059, 0.032, 0.026),
    "thesis_coba": (0.052, 0.010, 0.009),
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neurons: tuple[str, ...] = tuple(BOMBARDED)
    points: int = 31  # of the curve
    duration: float = 40_000.0  # per point [ms]
    chains: int = 8  # that share the duration
    ratios: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)  # tau_eff / tau_syn that are scanned
    grid: int = 300  # of the theory
    dt: float = 0.1  # ms

    def __post_init__(self):
        for name in self.neurons:
            one_of("neurons", name, BOMBARDED)
        in_range("points", self.points, 5)
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 1000, unit="ms")
        in_range("ratios", self.ratios, 0.005, 10)
        in_range("grid", self.grid, 50)
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        tuple(_REFERENCE), points=11, duration=1000.0, chains=2, ratios=(0.1,), grid=60
    ),
    "quick": Config(),
    "paper": Config(points=61, duration=1_000_000.0, chains=16, grid=500),
}

_OWN = "our own runs of another program, 40 s per point"
_TITLES = {name: name.replace("_", " ") for name in BOMBARDED}


def _claims():
    for name, (plain, _, full) in _REFERENCE.items():
        yield Claim(
            f"{name}_full",
            f"For {_TITLES[name]} the full theory is off by {full:g} on average (rms)",
            f"{name}_full",
            Certainty.REFERENCE_RUN,
            _OWN,
            at_most=full + 0.01,
            published=full,
        )
        yield Claim(
            f"{name}_plain",
            f"Without memory of the noise, by {plain:g}",
            f"{name}_plain",
            Certainty.REFERENCE_RUN,
            _OWN,
            at_least=0.7 * plain,
            at_most=1.3 * plain,
            published=plain,
        )


CLAIMS = (
    Claim(
        "all",
        "The full theory is off by at most 0.035 (rms) for every neuron",
        "full",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.035,
    ),
    Claim(
        "memory",
        "The memory of the noise matters: without it the error is at least 1.5 times as large",
        "gain",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=1.5,
        published=2.3,
    ),
    *_claims(),
)

CITES = ("petrovici2013stochastic", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Simulate and predict the activity of each neuron, then over the membrane time constant."""
    metrics, recordings = {}, {}
    for name in config.neurons:
        session.log(name)
        preset = BOMBARDED[name]
        found = session.stage(name, lambda p=preset: _compared(config, p, seed))
        metrics |= {f"{name}_{v}": _rms(found, v) for v in _VARIANTS}
        recordings |= {f"{name}/{key}": array for key, array in found.items()}
    rows = []
    for ratio in config.ratios:
        session.log(f"tau_eff / tau_syn = {ratio:g}")
        preset = _membrane(ratio)
        found = session.stage(f"{ratio:g}", lambda p=preset: _compared(config, p, seed))
        rows.append([_rms(found, v) for v in _VARIANTS])
    recordings["scan"] = np.array(rows)
    metrics["full"] = max(metrics[f"{name}_full"] for name in config.neurons)
    metrics["gain"] = min(
        metrics[f"{name}_plain"] / metrics[f"{name}_full"] for name in config.neurons
    )
    return Outcome(metrics, recordings)


def _membrane(ratio: float) -> Bombarded:
    """The neuron of the tutorial with another membrane time constant and the same leak."""
    preset = BOMBARDED["tutorial_cuba"]
    tau = ratio * float(preset.receptors.tau_syn_E)  # type: ignore[union-attr]
    leak = float(preset.neuron.cm) / float(preset.neuron.tau_m)  # type: ignore[arg-type]
    return preset._replace(neuron=replace(preset.neuron, tau_m=tau, cm=leak * tau))


def _compared(config: Config, preset: Bombarded, seed: int) -> dict[str, np.ndarray]:
    """Simulated and predicted activity over the mean potential relative to threshold [sd]."""
    calibration = calibrate(
        preset,
        dt=config.dt,
        seed=seed,
        points=config.points,
        duration=config.duration,
        chains=config.chains,
    )
    mean = np.array(calibration.potentials)
    threshold = float(preset.neuron.v_thresh)  # type: ignore[arg-type]
    predicted = {
        name: activation(preset, mean, coloured=coloured, drift=drift, points=config.grid)
        for name, (coloured, drift) in _VARIANTS.items()
    }
    return {
        "mean": (mean - threshold) / calibration.free.sd,
        "simulated": np.array(calibration.activities),
        **predicted,
    }


def _rms(found: dict[str, np.ndarray], variant: str) -> float:
    return float(np.sqrt(np.mean((found[variant] - found["simulated"]) ** 2)))


def figures(outcome: Outcome, config: Config):
    """Theory on top of simulation, errors of the variants, and the limit of a fast membrane."""
    recordings = outcome.recordings
    look = {
        "plain": {"color": COLOURS[1], "lw": 1.2, "ls": "--"},
        "full": {"color": COLOURS[0], "lw": 1.4},
    }
    rows = -(-len(config.neurons) // 3)
    curves, axes = subplots(
        rows, min(3, len(config.neurons)), height=2.1 * rows + 0.4, sharex=True, sharey=True
    )
    for axis in axes.ravel()[len(config.neurons) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.ravel(), config.neurons, strict=False):
        x = recordings[f"{name}/mean"]
        axis.plot(x, recordings[f"{name}/simulated"], "o", color=INK, ms=2.8, label="simulated")
        for variant, style in look.items():
            axis.plot(x, recordings[f"{name}/{variant}"], label=_LABELS[variant], **style)
        axis.set_title(_TITLES[name])
    for axis in axes[-1]:
        axis.set_xlabel("mean - threshold [sd]")
    for axis in axes[:, 0]:
        axis.set_ylabel("activity")
    curves.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

    errors, axes = subplots(1, 2, height=3.0, gridspec_kw={"width_ratios": [1.25, 1]})
    left, right = axes[0]
    place = np.arange(len(config.neurons))[::-1]
    for k, variant in enumerate(_VARIANTS):
        value = [outcome.metrics[f"{name}_{variant}"] for name in config.neurons]
        colour = (COLOURS[1], COLOURS[2], COLOURS[0])[k]
        left.barh(place + 0.27 * (1 - k), value, 0.24, color=colour, label=_LABELS[variant])
        given = [
            (r[k], p + 0.27 * (1 - k))
            for p, name in zip(place, config.neurons, strict=True)
            if (r := _REFERENCE.get(name))
        ]
        if given:
            left.plot(*np.array(given).T, "|", color=INK, ms=8, mew=1.3)
        right.plot(config.ratios, recordings["scan"][:, k], "o-", color=colour)
    left.plot([], [], "|", color=INK, ms=8, mew=1.3, label="reference run")
    left.axvline(0.035, color=INK, lw=0.8, ls=":")
    left.set_yticks(place, [_TITLES[name] for name in config.neurons])
    left.set_xlabel("rms error of the activity")
    left.grid(False, axis="y")
    errors.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    right.set(xscale="log", xlabel="tau_eff / tau_syn", ylabel="rms error", ylim=(0, None))
    return {"curves": curves, "errors": errors}
