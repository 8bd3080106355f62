"""Mixing by short-term depression: two attractors, and handwritten digits (Leng et al. 2018)

A machine that was trained on several classes has deep modes, in which Gibbs sampling and spiking
networks with static synapses stay. Short-term depression weakens a mode while it is active, so that
the network moves on, without any global temperature. One sweep of Gibbs sampling counts as one
refractory period of 10 ms. Static synapses are no neutral baseline: responses of a tonic burst add
up to 1.58 of one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.stp_generative_networks._parts import (
    LABELS,
    PIXELS,
    SYNAPSES,
    Digits,
    generation,
    small_digits,
    spiking,
    voted,
    with_labels,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.sampling.calibration import Calibration, calibrate
from lapicque.sampling.observables import switches
from lapicque.sampling.samplers import Gibbs, Sampler
from lapicque.sampling.target import Boltzmann
from lapicque.sampling.tempering import RBM, Tempering, Training, train_rbm

_BURN_IN = 50  # samples


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    couplings: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6)  # of the two attractors
    samples: int = 20_000  # of the two attractors, over all chains
    chains: int = 8
    classes: tuple[int, ...] = (0, 1, 4, 7)
    hidden: int = 60
    method: Literal["pcd", "cast"] = "pcd"
    epochs: int = 300
    rate: float = 0.05
    per_image: int = 100  # samples with a clamped image, one per 10 ms
    images: int = 144  # to classify
    generated: int = 3000  # samples per chain
    generators: int = 4  # chains
    scale: float = 0.8  # of synapses with U = 0.01, in generation
    calibration: float = 40_000.0  # ms per point
    dt: float = 0.1  # ms

    def __post_init__(self):
        positive("couplings", self.couplings)
        in_range("samples", self.samples, 8 * self.chains)
        in_range("chains", self.chains, 1)
        in_range("hidden", self.hidden, 1)
        in_range("classes", self.classes, 0, 9)
        in_range("per_image", self.per_image, 1)
        in_range("images", self.images, 1)
        in_range("generated", self.generated, 10)
        in_range("generators", self.generators, 1)
        positive("scale", self.scale)
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(
        couplings=(0.5, 0.6),
        samples=400,
        chains=2,
        epochs=2,
        per_image=5,
        images=8,
        generated=40,
        generators=2,
        calibration=1000.0,
    ),
    "quick": Config(),
    "paper": Config(
        samples=400_000,
        chains=16,
        classes=tuple(range(10)),
        hidden=200,
        method="cast",
        epochs=2000,
        per_image=300,
        images=360,
        generated=30_000,
        generators=16,
    ),
}

_OWN = "our own runs of another program"
_NEST = "our own runs of NEST 3.10, one to two seeds of 200 s"
_PAPER = "Leng et al. (2018), abstract"

CLAIMS = (
    Claim(
        "gibbs_stuck",
        "Two attractors with coupling 0.5: Gibbs sampling changes mode at most twice in 20,000",
        "gibbs_0.5",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=2,
        published=0,
        presets=("quick",),
    ),
    Claim(
        "static_stuck",
        "So do neurons with static synapses in 200 s",
        "static_0.5",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=2,
        published=0,
        presets=("quick",),
    ),
    Claim(
        "renewing",
        "With renewing synapses they change mode 100 to 200 times",
        "renewing_0.5",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=100,
        at_most=200,
        published=148,
        presets=("quick",),
    ),
    Claim(
        "strong",
        "With U = 0.05 and 280 ms, 500 to 800 times",
        "strong_0.5",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=500,
        at_most=800,
        published=648,
        presets=("quick",),
    ),
    Claim(
        "fast",
        "With U = 0.1 and 100 ms, 450 to 750 times",
        "fast_0.5",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_least=450,
        at_most=750,
        published=599,
        presets=("quick",),
    ),
    Claim(
        "order",
        "At coupling 0.6 modes change in the order (0.05, 280 ms), (0.1, 100 ms), renewing, and "
        "Gibbs and static synapses last",
        "order_0.6",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=1,
    ),
    Claim(
        "unit_scale",
        "With U = 0.01 and 280 ms at unit scale modes change less often than with renewing "
        "synapses, since bursts add up to 1.24",
        "slow_to_renewing_0.5",
        Certainty.REFERENCE_RUN,
        _NEST,
        at_most=0.5,
        published=0.014,
    ),
    Claim(
        "accuracy",
        "Neurons classify digits with at least 95 %, at every kind of synapse",
        "lif_accuracy",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.95,
        published=0.973,
        presets=("quick",),
    ),
    Claim(
        "accuracy_gap",
        "That is within 3 % of the exact posterior of the machine",
        "accuracy_gap",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.03,
        published=0.007,
    ),
    Claim(
        "isl_renewing",
        "Free samples with renewing synapses are at most 1.5 nats worse than of Gibbs sampling",
        "isl_renewing_gain",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=-1.5,
        published=-0.5,
    ),
    Claim(
        "isl_tuned",
        "So are those with depression, U = 0.1 and 100 ms",
        "isl_fast_gain",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=-1.5,
        published=-0.6,
    ),
    Claim(
        "isl_static",
        "With static synapses they are worse by more than 5 nats",
        "isl_static_gain",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=-5,
        published=-13,
    ),
    Claim(
        "as_tempering",
        "Depression comes within 1 nat of tempering",
        "isl_to_tempering",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=-1,
    ),
    Claim(
        "better_than_plain",
        "Depression is better than plain Gibbs sampling",
        "isl_fast_gain",
        Certainty.NOT_VERIFIED,
        _PAPER,
        at_least=0,
    ),
    Claim(
        "optimum",
        "So is the optimum of the work, U = 0.01 and 280 ms, with synapses a fifth weaker",
        "isl_slow_gain",
        Certainty.NOT_VERIFIED,
        "Leng et al. (2018), parameters as transcribed in the code base lif_pong",
        at_least=0,
    ),
)

CITES = (
    "leng2018spiking",
    "salakhutdinov2010learning",
    "tieleman2008training",
    "breuleux2011quickly",
)


def run(config: Config, seed: int, session) -> Outcome:
    """Count changes of mode, then train on digits, classify and generate."""
    metrics, recordings = {}, {}
    calibration = calibrate("mixing_cuba", dt=config.dt, seed=seed, duration=config.calibration)
    samplers: dict[str, Sampler] = {"gibbs": Gibbs()}
    samplers |= {name: spiking(calibration, name) for name in SYNAPSES}
    for coupling in config.couplings:
        session.log(f"two attractors, coupling {coupling:g}")
        found = session.stage(
            f"attractors {coupling:g}",
            lambda c=coupling: {n: _attractors(config, s, c, seed) for n, s in samplers.items()},
        )
        for name, row in found.items():
            metrics[f"{name}_{coupling:g}"] = float(row["switches"])
            recordings[f"attractors/{name}/{coupling:g}"] = row["overlap"]
    if 0.6 in config.couplings:
        ranks = [metrics[f"{n}_0.6"] for n in ("strong", "fast", "renewing")]
        ranks.append(max(metrics["gibbs_0.6"], metrics["static_0.6"]))
        metrics["order_0.6"] = float((np.diff(ranks) < 0).all())
    if 0.5 in config.couplings:
        metrics["slow_to_renewing_0.5"] = metrics["slow_0.5"] / max(metrics["renewing_0.5"], 1.0)

    data, n = small_digits(config.classes, seed), len(config.classes)
    session.log(f"training on {len(data.train)} images")
    visible = with_labels(data.train, data.train_labels, n)
    training = Training(config.method, config.epochs, rate=config.rate)
    trained = session.stage(
        "training", lambda: vars(train_rbm(visible, config.hidden, training, seed))
    )
    machine = RBM(**trained)
    recordings["weights"] = machine.weights[:PIXELS]
    for name, images, labels in (
        ("train", data.train, data.train_labels),
        ("test", data.test, data.test_labels),
    ):
        best = machine.label_log_odds(images, n).argmax(-1)
        metrics[f"{name}_accuracy"] = float((best == labels).mean())
    classified = session.stage(
        "classification", lambda: _classify(config, machine, calibration, data, seed)
    )
    recordings["classified"] = np.array(list(classified.values()))
    for name, share in classified.items():
        metrics[f"accuracy_{name}"] = float(share)
    spikes = [metrics[f"accuracy_{name}"] for name in SYNAPSES]
    metrics["lif_accuracy"] = min(spikes)
    metrics["accuracy_gap"] = metrics["accuracy_exact"] - min(spikes)

    for name in ("gibbs", "tempered", *SYNAPSES):
        session.log(f"generation: {LABELS[name]}")
        found = session.stage(
            f"generation {name}",
            lambda name=name: _generate(config, machine, calibration, data, name, seed),
        )
        for key in ("isl", "switches", "one_hot"):
            metrics[f"{key}_{name}"] = float(found[key])
        metrics[f"rarest_{name}"] = float(found["occupancy"].min())
        for key in ("occupancy", "images", "labels"):
            recordings[f"{key}/{name}"] = found[key]
    for name in SYNAPSES:
        metrics[f"isl_{name}_gain"] = metrics[f"isl_{name}"] - metrics["isl_gibbs"]
    metrics["isl_to_tempering"] = metrics["isl_fast"] - metrics["isl_tempered"]
    return Outcome(metrics, recordings, {"digits": data.origin})


def two_attractors(coupling: float) -> tuple[Boltzmann, np.ndarray]:
    """Twenty units that store the first ten being on, and the others; the pattern, -1 and 1."""
    pattern = np.repeat([1.0, -1.0], 10)
    weights = coupling * np.outer(pattern, pattern)
    np.fill_diagonal(weights, 0)
    return Boltzmann(weights, -weights.sum(1) / 2), pattern


def _attractors(
    config: Config, sampler: Sampler, coupling: float, seed: int
) -> dict[str, np.ndarray]:
    target, pattern = two_attractors(coupling)
    chains = sampler.start(target, config.chains, seed)
    chains.run(_BURN_IN)
    overlap = chains.run(config.samples // config.chains) @ pattern / 10
    mode = np.where(overlap > 0.6, 0, np.where(overlap < -0.6, 1, -1))
    return {"switches": switches(mode).sum(), "overlap": overlap[:500, 0]}


def _classify(
    config: Config, machine: RBM, calibration: Calibration, data: Digits, seed: int
) -> dict[str, np.ndarray]:
    """Share of images whose label unit is on most of the time, with the image clamped."""
    images, labels = data.test[: config.images], data.test_labels[: config.images]
    n = len(config.classes)
    right = {"exact": (machine.label_log_odds(images, n).argmax(-1) == labels).mean()}
    samplers: dict[str, Sampler] = {"gibbs": machine.gibbs()}
    samplers |= {name: spiking(calibration, name) for name in SYNAPSES}
    for name, sampler in samplers.items():
        chains = sampler.start(machine.target(), len(images), seed)
        chains.clamp(np.arange(PIXELS), images)
        chains.run(min(_BURN_IN, config.per_image))
        right[name] = (voted(chains.run(config.per_image), n) == labels).mean()
    return {name: np.asarray(share) for name, share in right.items()}


def _generate(
    config: Config, machine: RBM, calibration: Calibration, data: Digits, name: str, seed: int
) -> dict[str, np.ndarray]:
    if name == "gibbs":
        sampler = machine.gibbs()
    elif name == "tempered":
        sampler = Tempering()
    else:
        sampler = spiking(calibration, name, config.scale if name == "slow" else 1.0)
    chains = sampler.start(machine.target(), config.generators, seed)
    chains.run(_BURN_IN)
    return generation(chains.run(config.generated), data, len(config.classes))


def figures(outcome: Outcome, config: Config):
    """Changes of mode, overlaps in time, likelihoods and occupancies, and generated images."""
    r, m, drawn = outcome.recordings, outcome.metrics, {}
    names = ("gibbs", *SYNAPSES)
    mixing, axes = subplots(height=3.2)
    for colour, name in zip(COLOURS, names, strict=False):
        counts = [max(m[f"{name}_{c:g}"], 0.5) for c in config.couplings]
        axes[0, 0].plot(config.couplings, counts, "o-", color=colour, label=LABELS[name])
    axes[0, 0].set(yscale="log", xlabel="coupling", ylabel="changes of mode (0 drawn at 0.5)")
    axes[0, 0].legend(fontsize=7)
    drawn["attractors"] = mixing

    coupling = config.couplings[-1]
    overlaps, axes = subplots(len(names), 1, height=0.9 * len(names) + 0.6, sharex=True)
    for axis, name in zip(axes[:, 0], names, strict=True):
        course = r[f"attractors/{name}/{coupling:g}"]
        axis.plot(np.arange(len(course)) / 100, course, lw=0.7)
        axis.set(title=f"{LABELS[name]}, coupling {coupling:g}", ylim=(-1.1, 1.1))
    axes[-1, 0].set_xlabel("time [s], one sweep per 10 ms")
    drawn["overlaps"] = overlaps

    names = ("gibbs", "tempered", *SYNAPSES)
    table, (axes,) = subplots(1, 2, height=3.0)
    place = np.arange(len(names))
    axes[0].barh(place, [m[f"isl_{name}"] for name in names], color=COLOURS[0])
    axes[0].set_yticks(place, [LABELS[name] for name in names], fontsize=7)
    axes[0].set(xlabel="likelihood of test images (ISL) [nats]")
    left = np.zeros(len(names))
    for k, digit in enumerate(config.classes):
        share = np.array([r[f"occupancy/{name}"][k] for name in names])
        axes[1].barh(place, share, left=left, color=COLOURS[k % len(COLOURS)], label=str(digit))
        left += share
    axes[1].set_yticks(place, [])
    axes[1].set(xlabel="share of samples per class")
    axes[1].legend(ncols=5, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for axis in axes:
        axis.invert_yaxis()
    drawn["generation"] = table

    rows = 12
    images, axes = subplots(len(names), 1, height=0.65 * len(names) + 0.5)
    for axis, name in zip(axes[:, 0], names, strict=True):
        kept = r[f"images/{name}"][:rows].reshape(-1, 8, 8)
        axis.imshow(np.pad(kept, ((0, 0), (1, 1), (1, 1))).transpose(1, 0, 2).reshape(10, -1))
        axis.set_axis_off()
        axis.set_title(LABELS[name], fontsize=8, pad=2)
    drawn["images"] = images
    return drawn
