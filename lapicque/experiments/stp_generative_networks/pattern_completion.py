"""Completing half of an image, where several completions fit (Leng et al. 2018)

The upper half of an image is clamped; the network fills in the rest and names the class. Where the
half fits several classes, it should alternate among them within seconds. How often each class fits
is measured by long Gibbs sampling; a class counts as compatible from a posterior of a tenth.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.stp_generative_networks._parts import (
    LABELS,
    PIXELS,
    Digits,
    shown,
    small_digits,
    spiking,
    with_labels,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.sampling.calibration import Calibration, calibrate
from lapicque.sampling.observables import switches
from lapicque.sampling.samplers import Sampler
from lapicque.sampling.tempering import RBM, Training, train_rbm

SAMPLERS = ("gibbs", "renewing", "static", "fast")
_BURN_IN = 20  # samples
_CHAINS = 8  # of the long Gibbs sampling, per image
_COMPATIBLE = 0.1
_SHOWN = 8  # images in the figure


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    classes: tuple[int, ...] = (0, 1, 4, 7)
    hidden: int = 60
    method: Literal["pcd", "cast"] = "pcd"
    epochs: int = 300
    rate: float = 0.05
    images: int = 144
    rows: int = 4  # of eight that are seen, from above
    duration: float = 5000.0  # ms per image
    posterior: int = 500  # Gibbs sweeps for each of the chains that measure the posterior
    calibration: float = 40_000.0  # ms per point
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("classes", self.classes, 0, 9)
        in_range("hidden", self.hidden, 1)
        in_range("epochs", self.epochs, 1)
        positive("rate", self.rate)
        in_range("images", self.images, 1)
        in_range("rows", self.rows, 0, 8)
        in_range("duration", self.duration, 50, unit="ms")
        in_range("posterior", self.posterior, 4)
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(epochs=2, images=8, duration=100.0, posterior=10, calibration=1000.0),
    "quick": Config(),
    "paper": Config(
        classes=tuple(range(10)),
        hidden=200,
        method="cast",
        epochs=2000,
        images=360,
        duration=30_000.0,
        posterior=5000,
    ),
}

_PAPER = "Leng et al. (2018)"

CLAIMS = (
    Claim(
        "accuracy",
        "Half an image suffices for neurons with depression to name the class as well as the long "
        "Gibbs sampling does, within 5 %",
        "accuracy_gap",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_most=0.05,
    ),
    Claim(
        "alternates",
        "On ambiguous halves they change the class at least once a second",
        "rate_fast",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=1,
    ),
    Claim(
        "coverage",
        "Within the time given, they show at least 90 % of the compatible classes",
        "coverage_fast",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=0.9,
    ),
    Claim(
        "better_than_static",
        "Those are more than with static synapses",
        "coverage_gain",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=0.05,
    ),
)

CITES = ("leng2018spiking", "tieleman2008training")


def run(config: Config, seed: int, session) -> Outcome:
    """Train, measure the posterior of each half image, and let all samplers complete it."""
    calibration = calibrate("mixing_cuba", dt=config.dt, seed=seed, duration=config.calibration)
    data, n = small_digits(config.classes, seed), len(config.classes)
    visible = with_labels(data.train, data.train_labels, n)
    training = Training(config.method, config.epochs, rate=config.rate)
    session.log("training")
    trained = session.stage(
        "training", lambda: vars(train_rbm(visible, config.hidden, training, seed))
    )
    machine = RBM(**trained)
    images, labels = data.test[: config.images], data.test_labels[: config.images]
    session.log("posterior")
    posterior = session.stage(
        "posterior", lambda: {"p": _posterior(config, machine, images, seed)}
    )["p"]
    compatible = posterior >= _COMPATIBLE
    ambiguous = compatible.sum(1) > 1
    metrics = {
        "ambiguous": float(ambiguous.mean()),
        "accuracy_posterior": float((posterior.argmax(1) == labels).mean()),
    }
    recordings = {"posterior": posterior, "images": images, "ambiguous": ambiguous}
    for name in SAMPLERS:
        session.log(f"completion: {LABELS[name]}")
        found = session.stage(
            name, lambda name=name: _complete(config, machine, calibration, data, name, seed)
        )
        share = found["share"]
        metrics[f"accuracy_{name}"] = float((share.argmax(1) == labels).mean())
        metrics[f"distance_{name}"] = float(np.abs(share - posterior).sum(1).mean() / 2)
        rate = found["switches"] * 1000 / config.duration
        metrics[f"rate_{name}"] = float(rate[ambiguous].mean()) if ambiguous.any() else 0.0
        fits = compatible & ambiguous[:, None]
        seen = (share > 0) & fits
        metrics[f"coverage_{name}"] = float(seen.sum() / max(fits.sum(), 1))
        recordings |= {f"{key}/{name}": value for key, value in found.items()}
    metrics["accuracy_gap"] = metrics["accuracy_posterior"] - metrics["accuracy_fast"]
    metrics["coverage_gain"] = metrics["coverage_fast"] - metrics["coverage_static"]
    return Outcome(metrics, recordings, {"digits": data.origin})


def _posterior(config: Config, machine: RBM, images: np.ndarray, seed: int) -> np.ndarray:
    """Share of each class among Gibbs samples of many chains, (images, classes)."""
    seen, n = 8 * config.rows, len(config.classes)
    chains = machine.gibbs().start(machine.target(), _CHAINS * len(images), seed + 1)
    chains.clamp(np.arange(seen), np.repeat(images[:, :seen], _CHAINS, 0))
    chains.run(config.posterior // 4)
    label = shown(chains.run(config.posterior), n).reshape(-1, len(images), _CHAINS)
    return _shares(label.transpose(0, 2, 1).reshape(-1, len(images)), n)


def _complete(
    config: Config, machine: RBM, calibration: Calibration, data: Digits, name: str, seed: int
) -> dict[str, np.ndarray]:
    seen, n = 8 * config.rows, len(config.classes)
    images = data.test[: config.images]
    sampler: Sampler = machine.gibbs() if name == "gibbs" else spiking(calibration, name)
    chains = sampler.start(machine.target(), len(images), seed)
    chains.clamp(np.arange(seen), images[:, :seen])
    chains.run(_BURN_IN)
    states = chains.run(round(config.duration / 10))
    label = shown(states, n)
    return {
        "share": _shares(label, n),
        "switches": switches(label),
        "mean": states[..., :PIXELS].mean(0)[:_SHOWN],
        "labels": label[:300],
    }


def _shares(label: np.ndarray, classes: int) -> np.ndarray:
    """Of labels (samples, images), how often each class is shown, (images, classes)."""
    count = np.stack([(label == k).sum(0) for k in range(classes)], 1)
    return count / np.maximum(count.sum(1, keepdims=True), 1)


def figures(outcome: Outcome, config: Config):
    """Mean completions of some halves, the class in time, and how well classes are covered."""
    r, m, drawn = outcome.recordings, outcome.metrics, {}
    count = min(_SHOWN, len(r["images"]))
    names = ("image", *SAMPLERS)
    completions, axes = subplots(len(names), 1, height=0.75 * len(names) + 0.4)
    for axis, name in zip(axes[:, 0], names, strict=True):
        rows = r["images"][:count] if name == "image" else r[f"mean/{name}"]
        framed = np.pad(rows.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
        axis.imshow(framed.transpose(1, 0, 2).reshape(10, -1))
        axis.set_axis_off()
        title = f"images, of which {config.rows} rows are seen" if name == "image" else LABELS[name]
        axis.set_title(title, fontsize=8, pad=2)
    drawn["completions"] = completions

    odds = np.sort(r["posterior"], 1)[:, -1]
    image = int(odds.argmin())
    course, axes = subplots(len(SAMPLERS), 1, height=0.9 * len(SAMPLERS) + 0.6, sharex=True)
    for axis, name in zip(axes[:, 0], SAMPLERS, strict=True):
        label = r[f"labels/{name}"][:, image].astype(float)
        label[label < 0] = np.nan
        axis.plot(np.arange(len(label)) / 100, label, ".", ms=2)
        axis.set_yticks(range(len(config.classes)), [str(c) for c in config.classes])
        axis.set(title=LABELS[name], ylim=(-0.5, len(config.classes) - 0.5))
    axes[-1, 0].set_xlabel("time [s], one sweep per 10 ms")
    drawn["classes_in_time"] = course

    bars, (axes,) = subplots(1, 3, height=2.6)
    for axis, key, label in zip(
        axes,
        ("accuracy", "rate", "coverage"),
        ("accuracy", "changes per second", "classes covered"),
        strict=True,
    ):
        axis.bar(range(len(SAMPLERS)), [m[f"{key}_{name}"] for name in SAMPLERS], color=COLOURS[0])
        axis.set_xticks(range(len(SAMPLERS)), SAMPLERS, fontsize=7)
        axis.set_title(label)
    drawn["summary"] = bars
    return drawn
