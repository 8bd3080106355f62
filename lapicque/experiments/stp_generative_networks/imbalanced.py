"""Generation after training on unbalanced classes (Leng et al. 2018)

One class of digits has a tenth of the images of the others. A faithful sampler shows it as rarely
as it was seen, and one that mixes badly misses it, or stays there. Short-term depression weakens
the frequent classes most, so that the rare one comes up more often.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.stp_generative_networks._parts import (
    LABELS,
    SYNAPSES,
    Digits,
    generation,
    small_digits,
    spiking,
    with_labels,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.sampling.calibration import Calibration, calibrate
from lapicque.sampling.tempering import RBM, Tempering, Training, train_rbm

SAMPLERS = ("gibbs", "tempered", *SYNAPSES)
_BURN_IN = 50  # samples


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; each of the `rare` classes has its turn."""

    classes: tuple[int, ...] = (0, 1, 4, 7)
    rare: tuple[int, ...] = (0, 1, 4, 7)
    share: float = 0.1  # of the images of the rare class that are kept
    hidden: int = 60
    method: Literal["pcd", "cast"] = "pcd"
    epochs: int = 1000
    rate: float = 0.1
    generated: int = 3000  # samples per chain
    generators: int = 4  # chains
    scale: float = 0.8  # of synapses with U = 0.01
    calibration: float = 40_000.0  # ms per point
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("classes", self.classes, 0, 9)
        in_range("rare", self.rare, 0, 9)
        in_range("share", self.share, 0.01, 1)
        in_range("hidden", self.hidden, 1)
        in_range("epochs", self.epochs, 1)
        positive("rate", self.rate)
        in_range("generated", self.generated, 10)
        in_range("generators", self.generators, 1)
        positive("scale", self.scale)
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(rare=(1,), epochs=2, generated=40, generators=2, calibration=1000.0),
    "quick": Config(),
    "paper": Config(
        classes=tuple(range(10)),
        rare=tuple(range(10)),
        hidden=200,
        method="cast",
        epochs=3000,
        generated=30_000,
        generators=16,
    ),
}

_PAPER = "Leng et al. (2018), abstract"

CLAIMS = (
    Claim(
        "more_than_gibbs",
        "Depression with U = 0.1 and 100 ms shows the rare class more often than Gibbs sampling",
        "occupancy_fast_to_gibbs",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=1,
    ),
    Claim(
        "more_than_tempering",
        "... and more often than tempering",
        "occupancy_fast_to_tempered",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=1,
    ),
    Claim(
        "every_class",
        "... whichever class is the rare one",
        "smallest_gain_fast",
        Certainty.NOT_VERIFIED,
        "our own reading of the work",
        at_least=1,
    ),
    Claim(
        "likelihood_rare",
        "Test images of the rare class are likelier under its samples than under tempered ones",
        "isl_rare_fast_to_tempered",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=0,
    ),
    Claim(
        "likelihood",
        "So are test images of all classes",
        "isl_fast_to_tempered",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=0,
    ),
)

CITES = ("leng2018spiking", "salakhutdinov2010learning", "breuleux2011quickly")


def run(config: Config, seed: int, session) -> Outcome:
    """Train once for each rare class, and generate with every sampler."""
    calibration = calibrate("mixing_cuba", dt=config.dt, seed=seed, duration=config.calibration)
    data, n = small_digits(config.classes, seed), len(config.classes)
    rows: dict[str, list[np.ndarray]] = {}
    expected = []
    for digit in config.rare:
        session.log(f"digit {digit} is rare")
        rare = config.classes.index(digit)
        kept = _unbalanced(data.train_labels, rare, config.share, seed)
        expected.append(float((data.train_labels[kept] == rare).mean()))
        visible = with_labels(data.train[kept], data.train_labels[kept], n)
        training = Training(config.method, config.epochs, rate=config.rate)
        trained = session.stage(
            f"training, {digit} rare",
            lambda v=visible, t=training: vars(train_rbm(v, config.hidden, t, seed)),
        )
        machine = RBM(**trained)
        found = session.stage(
            f"generation, {digit} rare",
            lambda m=machine, r=rare: _generate(config, m, calibration, data, r, seed),
        )
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
    recordings = {name: np.array(values) for name, values in rows.items()}
    recordings["expected"] = np.array(expected)
    occupancy = recordings["occupancy"]  # (rare class, sampler)
    metrics = {"recall": float(recordings["recall"].mean())}
    metrics["accuracy"] = float(recordings["accuracy"].mean())
    metrics["share_in_training"] = float(np.mean(expected))
    for k, name in enumerate(SAMPLERS):
        metrics[f"occupancy_{name}"] = float(occupancy[:, k].mean())
        metrics[f"isl_{name}"] = float(recordings["isl"][:, k].mean())
        metrics[f"isl_rare_{name}"] = float(recordings["isl_rare"][:, k].mean())
    floor = 1 / (config.generated * config.generators)
    for other in ("gibbs", "tempered"):
        metrics[f"occupancy_fast_to_{other}"] = metrics["occupancy_fast"] / max(
            metrics[f"occupancy_{other}"], floor
        )
    fast = occupancy[:, SAMPLERS.index("fast")]
    metrics["smallest_gain_fast"] = float((fast / np.maximum(occupancy[:, :2].max(1), floor)).min())
    metrics["isl_rare_fast_to_tempered"] = metrics["isl_rare_fast"] - metrics["isl_rare_tempered"]
    metrics["isl_fast_to_tempered"] = metrics["isl_fast"] - metrics["isl_tempered"]
    return Outcome(metrics, recordings, {"digits": data.origin})


def _unbalanced(labels: np.ndarray, rare: int, share: float, seed: int) -> np.ndarray:
    """Indices of all images but most of those of the rare class."""
    mine = np.flatnonzero(labels == rare)
    count = max(1, round(share * len(mine)))
    few = np.random.default_rng(seed).choice(mine, count, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels != rare), few]))


def _generate(
    config: Config, machine: RBM, calibration: Calibration, data: Digits, rare: int, seed: int
) -> dict[str, np.ndarray]:
    """Per sampler: share of the rare class, likelihood of all and of rare images, changes."""
    n = len(config.classes)
    mine = data.test_labels == rare
    seldom = data._replace(test=data.test[mine], test_labels=data.test_labels[mine])
    best = machine.label_log_odds(data.test, n).argmax(-1)
    out = {key: [] for key in ("occupancy", "isl", "isl_rare", "switches")}
    for name in SAMPLERS:
        if name == "gibbs":
            sampler = machine.gibbs()
        elif name == "tempered":
            sampler = Tempering()
        else:
            sampler = spiking(calibration, name, config.scale if name == "slow" else 1.0)
        chains = sampler.start(machine.target(), config.generators, seed)
        chains.run(_BURN_IN)
        states = chains.run(config.generated)
        found = generation(states, data, n)
        out["occupancy"].append(found["occupancy"][rare])
        out["isl"].append(found["isl"])
        out["isl_rare"].append(generation(states, seldom, n)["isl"])
        out["switches"].append(found["switches"])
    right = best == data.test_labels
    return {key: np.array(values, float) for key, values in out.items()} | {
        "recall": right[mine].mean(),
        "accuracy": right.mean(),
    }


def figures(outcome: Outcome, config: Config):
    """How often the rare class is shown, and how likely balanced images are."""
    r, drawn = outcome.recordings, {}
    shares, (axes,) = subplots(1, 2, height=3.0)
    place = np.arange(len(SAMPLERS))
    for axis, key, label in (
        (axes[0], "occupancy", "share of samples that show the rare class"),
        (axes[1], "isl", "likelihood of balanced test images (ISL) [nats]"),
    ):
        axis.barh(place, r[key].mean(0), color=COLOURS[4])
        for k, digit in enumerate(config.rare):
            axis.plot(r[key][k], place, "o", color=COLOURS[k % 4], label=f"{digit} rare")
        axis.set_yticks(place, [LABELS[name] for name in SAMPLERS] if key == "occupancy" else [])
        axis.set_xlabel(label, fontsize=8)
        axis.invert_yaxis()
    axes[0].axvline(r["expected"].mean(), color=INK, lw=0.8, ls="--", label="in training")
    axes[0].tick_params(axis="y", labelsize=7)
    low = r["isl"].min()
    axes[1].set_xlim(1.1 * low, r["isl"].max() + 0.1 * abs(low))
    axes[0].legend(fontsize=7)
    drawn["rare_class"] = shares
    return drawn
