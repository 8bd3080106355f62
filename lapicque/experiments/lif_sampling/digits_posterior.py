"""Half a digit: a network of LIF neurons samples what it may be

A fully visible Boltzmann machine learns handwritten 0, 3 and 4. Then it is shown one half of an
image through noise, which shifts the biases of the pixels in that half. Where the half fits two of
the digits, a network of LIF neurons with the weights of the machine alternates between these two
and stays away from the third, as the posterior demands.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.data.digits import digits
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling import Boltzmann, Calibration, Gibbs, LIFSampler, calibrate
from lapicque.sampling.evidence import Modes, Reading, observed
from lapicque.sampling.learning import (
    Draw,
    Hyperbolic,
    Learner,
    Matching,
    Momentum,
    Parameters,
    Running,
)
from lapicque.sampling.observables import switches, total_variation
from lapicque.spiking.models import BOMBARDED

CLASSES = (0, 3, 4)
_SIDE = 8  # pixels
_SHADES = COLOURS[:3]
_HALVES = {"top": slice(0, 4), "bottom": slice(4, 8)}
_METHODS = ("renewing", "static", "gibbs")
_SHOWN = (200, 800)  # samples before and after the onset of evidence in the figure


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    neuron: str = "thesis_coba"
    sd: float = 0.5  # of the noise on a pixel, whose values lie between 0 and 1
    epochs: int = 4000  # of learning
    chains: int = 100  # for learning
    rate: float = 0.3  # of learning
    weight_decay: float = 0.001
    smoothing: float = 0.02  # share of white noise that the learned moments contain
    search: int = 150  # Gibbs samples per candidate and chain, to find ambiguous halves
    copies: int = 8  # networks
    samples: int = 4000  # per network, one per refractory time
    calibration: float = 80_000.0  # per point [ms]
    dt: float = 0.1  # ms

    def __post_init__(self):
        one_of("neuron", self.neuron, BOMBARDED)
        positive("sd", self.sd)
        in_range("epochs", self.epochs, 1)
        in_range("chains", self.chains, 1)
        positive("rate", self.rate)
        in_range("weight_decay", self.weight_decay, 0)
        in_range("smoothing", self.smoothing, 1e-6, 0.5)
        in_range("search", self.search, 1)
        in_range("copies", self.copies, 1)
        in_range("samples", self.samples, 50)
        in_range("calibration", self.calibration, 1000, unit="ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(epochs=40, chains=10, search=2, copies=2, samples=60, calibration=2000.0),
    "quick": Config(),
    "paper": Config(epochs=20_000, copies=20, samples=20_000, search=1000, calibration=400_000.0),
}

_WORK = "Petrovici et al. (2016), demonstration with the digits 0, 3 and 4"

CLAIMS = (
    Claim(
        "excluded",
        "The digit that does not fit the half takes less than 5 % of the time",
        "excluded",
        Certainty.NOT_VERIFIED,
        _WORK,
        at_most=0.05,
    ),
    Claim(
        "compatible",
        "Each of the digits that fit takes at least 15 %",
        "compatible",
        Certainty.NOT_VERIFIED,
        _WORK,
        at_least=0.15,
    ),
    Claim(
        "alternation",
        "The network alternates between them at least once per second",
        "alternations",
        Certainty.NOT_VERIFIED,
        _WORK,
        at_least=1.0,
    ),
    Claim(
        "posterior",
        "The times spent on digits are those of the posterior, to 0.25 in total variation",
        "posterior_error",
        Certainty.DERIVED,
        "Gibbs sampling of the same posterior",
        at_most=0.25,
    ),
    Claim(
        "static",
        "Static synapses are further from it",
        "static_ratio",
        Certainty.DERIVED,
        "Gibbs sampling of the same posterior",
        at_least=1.0,
    ),
    Claim(
        "prior",
        "Without evidence it visits all three digits, each at least 10 % of the time",
        "least_prior",
        Certainty.NOT_VERIFIED,
        _WORK,
        at_least=0.1,
    ),
)

CITES = ("petrovici2016stochastic",)


def run(config: Config, seed: int, session) -> Outcome:
    """Learn, find ambiguous halves, and sample with and without evidence."""
    data = digits(seed=seed)
    train, train_class = _chosen(data.train)
    test, _ = _chosen(data.test)
    used = np.abs(2 * (train >= 0.5).mean(0) - 1) < 0.96  # pixels that are not always the same
    binary = (train >= 0.5)[:, used]
    modes = Modes.of(binary, train_class)

    session.log("learning")
    learned = session.stage("learning", lambda: _learned(config, binary, seed))
    machine = Boltzmann(learned["weights"], learned["biases"])
    calibration = calibrate(config.neuron, dt=config.dt, seed=seed, duration=config.calibration)

    session.log("without evidence")
    prior = session.stage("prior", lambda: _prior(config, machine, calibration, modes, seed))
    recordings = {f"prior/{key}": value for key, value in prior.items()}
    recordings |= {"used": used, "background": (train >= 0.5).mean(0), "means": modes.means}
    metrics = {
        "least_prior": float(prior["renewing"][1:].min()),
        "prior_error": total_variation(prior["renewing"], prior["gibbs"]),
        "prior_marginal_error": float(np.abs(prior["renewing_mean"] - prior["gibbs_mean"]).max()),
    }

    session.log("search for ambiguous halves")
    found = session.stage(
        "search", lambda: {"found": _search(config, machine, modes, test, used, seed)}
    )
    recordings["candidates"] = found["found"]
    for k, excluded in enumerate(CLASSES):
        image, half = _most_ambiguous(found["found"], k)
        seen = _seen(half)
        session.log(f"{half} half of image {image}, which is no {excluded}")
        given = _given(config, machine, test[image], seen, used)
        here = session.stage(
            f"not {excluded}",
            lambda g=given: _posterior(config, machine, g, calibration, modes, seed),
        )
        recordings |= {f"{excluded}/{key}": value for key, value in here.items()}
        recordings |= {f"{excluded}/image": test[image], f"{excluded}/seen": seen}
        fits = [j for j in range(3) if j != k]
        metrics |= {
            f"not_{excluded}_{CLASSES[j]}": float(here["renewing"][1 + j]) for j in range(3)
        }
        metrics |= {
            f"not_{excluded}_excluded": float(here["renewing"][1 + k]),
            f"not_{excluded}_compatible": float(here["renewing"][1:][fits].min()),
            f"not_{excluded}_alternations": float(here["alternations"]),
            f"not_{excluded}_posterior_error": total_variation(here["renewing"], here["gibbs"]),
            f"not_{excluded}_static_error": total_variation(here["static"], here["gibbs"]),
        }
    for name, worst in (
        ("excluded", max),
        ("compatible", min),
        ("alternations", min),
        ("posterior_error", max),
        ("static_error", max),
    ):
        metrics[name] = worst(metrics[f"not_{excluded}_{name}"] for excluded in CLASSES)
    metrics["static_ratio"] = metrics["static_error"] / metrics["posterior_error"]
    return Outcome(metrics, recordings, {"digits": data.origin})


def _chosen(samples) -> tuple[np.ndarray, np.ndarray]:
    """Flat images of the classes, and their place among these."""
    here = np.isin(samples.labels, CLASSES)
    images = samples.inputs[here].reshape(-1, _SIDE**2)
    return images, np.searchsorted(CLASSES, samples.labels[here])


def _learned(config: Config, binary: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """A machine with the means and pairwise moments of images and a little white noise."""
    moments, noise, n = Draw(binary).moments(), config.smoothing, binary.shape[1]
    first = (1 - noise) * moments.biases + noise / 2
    second = (1 - noise) * moments.weights + noise / 4
    start = Boltzmann(np.zeros((n, n)), np.log(first / (1 - first)))
    learner = Learner(
        Matching((first, second)),
        Parameters(~np.eye(n, dtype=bool)),
        Momentum(Hyperbolic(config.rate, 300)),
        weight_decay=config.weight_decay,
    )
    backend = Running(Gibbs(), start, config.chains, 2, seed)
    progress, _ = learner.run(learner.start(start), backend, config.epochs, seed=seed)
    machine = learner.machine(progress)
    return {"weights": machine.weights, "biases": machine.biases}


def _samplers(calibration: Calibration):
    interval = calibration.tau_ref
    return {
        "renewing": LIFSampler(calibration, "renewing", interval=interval),
        "static": LIFSampler(calibration, "static", interval=interval),
        "gibbs": Gibbs(),
    }


def _occupancy(labels: np.ndarray) -> np.ndarray:
    """Share of undecided states and of each class, (4,)."""
    return np.bincount(labels.ravel() + 1, minlength=4) / labels.size


def _prior(
    config: Config, machine: Boltzmann, calibration: Calibration, modes: Modes, seed: int
) -> dict[str, np.ndarray]:
    found = {}
    for name, sampler in _samplers(calibration).items():
        chains = sampler.start(machine, config.copies, seed)
        chains.run(config.samples // 10)
        z = chains.run(config.samples)
        found |= {name: _occupancy(modes.labels(z)), f"{name}_mean": z.mean((0, 1))}
        if name == "renewing":
            found["examples"] = z[:: len(z) // 18, 0][:18]
            found["plane"] = modes.plane(z[: 4000 // config.copies].reshape(-1, z.shape[-1]))
    return found


def _seen(half: str) -> np.ndarray:
    seen = np.zeros((_SIDE, _SIDE), bool)
    seen[_HALVES[half]] = True
    return seen.ravel()


def _given(
    config: Config, machine: Boltzmann, image: np.ndarray, seen: np.ndarray, used: np.ndarray
) -> Boltzmann:
    """The machine given the grey values of the pixels that are seen."""
    units = np.flatnonzero(seen[used])
    return observed(machine, units, image[used][units], Reading(0.0, 1.0, config.sd))


def _search(
    config: Config,
    machine: Boltzmann,
    modes: Modes,
    images: np.ndarray,
    used: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Share of each class in short Gibbs runs given each half, (images, halves, classes)."""
    found = np.empty((len(images), len(_HALVES), len(CLASSES)))
    for k, image in enumerate(images):
        for j, half in enumerate(_HALVES):
            given = _given(config, machine, image, _seen(half), used)
            chains = Gibbs().start(given, 4, seed * 1000 + k)
            chains.run(config.search // 4)
            found[k, j] = _occupancy(modes.labels(chains.run(config.search)))[1:]
    return found


def _most_ambiguous(found: np.ndarray, excluded: int) -> tuple[int, str]:
    """Image and half where the less frequent of the other classes is most frequent."""
    others = np.delete(found, excluded, axis=-1).min(-1) - 5 * found[..., excluded]
    image, half = np.unravel_index(others.argmax(), others.shape)
    return int(image), tuple(_HALVES)[int(half)]


def _posterior(
    config: Config,
    machine: Boltzmann,
    given: Boltzmann,
    calibration: Calibration,
    modes: Modes,
    seed: int,
) -> dict[str, np.ndarray]:
    """Shares of classes, and the course of one network from before the onset of evidence on."""
    found = {}
    for name, sampler in _samplers(calibration).items():
        chains = sampler.start(machine, config.copies, seed)
        before = chains.run(_SHOWN[0] + 50)[-_SHOWN[0] :]
        chains.update(given)
        z = chains.run(config.samples)
        settled = z[min(50, len(z) // 2) :]
        labels = modes.labels(settled)
        found |= {name: _occupancy(labels), f"{name}_mean": settled.mean((0, 1))}
        if name == "renewing":
            seconds = labels.shape[0] * calibration.tau_ref / 1000
            found |= {
                "alternations": switches(labels).mean() / seconds,
                "course": modes.probabilities(np.concatenate([before, z])[:, 0])[: sum(_SHOWN)],
                "plane": modes.plane(settled[:, 0])[: _SHOWN[1]],
                "labels": labels[: _SHOWN[1], 0],
                "class_means": np.stack(
                    [
                        settled[labels == k].mean(0) if (labels == k).any() else settled[0, 0] * 0.0
                        for k in range(3)
                    ]
                ),
            }
    return found


# -- figures -------------------------------------------------------------------------------------


def figures(outcome: Outcome, config: Config):
    """What was seen and what was made of it; the course in time; the path among the digits."""
    interval = float(BOMBARDED[config.neuron].neuron.tau_refrac) / 1000  # type: ignore[arg-type]
    return {
        "posterior": _draw_posterior(outcome),
        "course": _draw_course(outcome, interval),
        "path": _draw_path(outcome),
        "prior": _draw_prior(outcome),
    }


def _fits(excluded: int) -> list[int]:
    """Places of the digits that fit."""
    return [k for k, digit in enumerate(CLASSES) if digit != excluded]


def _words(excluded: int) -> str:
    return "fits " + " and ".join(str(CLASSES[k]) for k in _fits(excluded))


def _picture(recordings, values: np.ndarray) -> np.ndarray:
    """Pixels that the machine holds, on those that are always the same."""
    picture = recordings["background"].copy()
    picture[recordings["used"]] = values
    return picture.reshape(_SIDE, _SIDE)


def _show(axis, picture: np.ndarray, title: str = "", colour: str | None = None) -> None:
    axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour or MUTED, lw=2 if colour else 0.8)
    axis.set_title(title, fontsize=9, loc="center", pad=4)


def _draw_posterior(outcome: Outcome):
    recordings = outcome.recordings
    figure, axes = subplots(3, 6, height=4.4, gridspec_kw={"width_ratios": [1] * 5 + [2.6]})
    heads = ("image", "seen", "mean sample", "share of time")
    for excluded, row in zip(CLASSES, axes, strict=True):
        image, seen = (
            recordings[f"{excluded}/{key}"].reshape(_SIDE, _SIDE) for key in ("image", "seen")
        )
        mean = _picture(recordings, recordings[f"{excluded}/renewing_mean"])
        row[1].set_facecolor("#dbe4ee")
        for axis, picture, head in zip(
            row, (image, np.ma.masked_array(image, ~seen), mean), heads, strict=False
        ):
            _show(axis, picture, head)
        for axis, k in zip(row[3:5], _fits(excluded), strict=True):
            picture = _picture(recordings, recordings[f"{excluded}/class_means"][k])
            _show(axis, picture, f"taken for {CLASSES[k]}", _SHADES[k])
        _bars(row[5], {m: recordings[f"{excluded}/{m}"] for m in _METHODS})
        row[5].set_title(heads[3], fontsize=9, loc="center", pad=4)
        heads = ("", "", "", "")
    figure.legend(*axes[0, 5].get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


def _bars(axis, shares: dict[str, np.ndarray]) -> None:
    looks = {"renewing": {}, "static": {"hatch": "//////"}, "gibbs": {}}
    for j, (name, found) in enumerate(shares.items()):
        edge = ["#d1d5db"] * 3 if name == "gibbs" else list(_SHADES)
        face = "white" if name == "static" else edge
        place = np.arange(3) + 0.27 * (j - 1)
        axis.bar(place, found[1:], 0.25, color=face, edgecolor=edge, lw=0.6, **looks[name])
    axis.bar([0], [0], color=INK, label="LIF, renewing")
    axis.bar([0], [0], color="white", edgecolor=INK, hatch="//////", lw=0.6, label="LIF, static")
    axis.bar([0], [0], color="#d1d5db", label="Gibbs")
    axis.set_xticks(range(3), [str(c) for c in CLASSES])
    axis.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    axis.grid(False, axis="x")


def _draw_course(outcome: Outcome, interval: float):
    recordings = outcome.recordings
    figure, axes = subplots(3, 1, height=4.2, sharex=True)
    for axis, excluded in zip(axes[:, 0], CLASSES, strict=True):
        course = recordings[f"{excluded}/course"]
        time = (np.arange(len(course)) - _SHOWN[0]) * interval
        axis.stackplot(time, course.T, colors=_SHADES, labels=[str(c) for c in CLASSES], lw=0)
        axis.axvline(0, color=INK, lw=1.2)
        axis.set(ylim=(0, 1), yticks=(0, 1), xlim=(time[0], time[-1]))
        axis.set_title(f"from 0 s on, a half that {_words(excluded)}", fontsize=9)
        axis.grid(False)
    axes[1, 0].set_ylabel("probability of each digit, by the state")
    axes[2, 0].set_xlabel("time [s]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _draw_path(outcome: Outcome):
    from matplotlib.patheffects import withStroke

    recordings = outcome.recordings
    figure, axes = subplots(1, 3, height=2.6, sharex=True, sharey=True)
    corners = Modes(recordings["means"]).plane(recordings["means"])
    cloud = recordings["prior/plane"]
    for axis, excluded in zip(axes[0], CLASSES, strict=True):
        axis.plot(*cloud.T, ".", color="#c3c8d0", ms=1.8, mew=0, rasterized=True)
        path, labels = recordings[f"{excluded}/plane"], recordings[f"{excluded}/labels"]
        axis.plot(*path.T, color=MUTED, lw=0.3, alpha=0.6)
        for k, shade in enumerate(_SHADES):
            axis.plot(*path[labels == k].T, "o", color=shade, ms=2.2, mew=0)
        for k, corner in enumerate(corners):
            axis.text(
                *(corner + 0.35 * (corner - corners.mean(0))),
                str(CLASSES[k]),
                ha="center",
                va="center",
                fontsize=13,
                fontweight="bold",
                color=_SHADES[k],
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
        axis.set(xticks=[], yticks=[], aspect="equal")
        axis.spines[:].set_visible(False)
        axis.set_title(_words(excluded), fontsize=9, loc="center")
        axis.grid(False)
    return figure


def _draw_prior(outcome: Outcome):
    recordings = outcome.recordings
    examples = recordings["prior/examples"]
    figure, axes = subplots(3, 8, height=2.3, gridspec_kw={"width_ratios": [1] * 6 + [0.4, 4]})
    for axis in axes[:, 6:].ravel():
        axis.remove()
    for axis, state in zip(axes[:, :6].ravel(), examples, strict=False):
        _show(axis, _picture(recordings, state) >= 0.5)
    axis = figure.add_subplot(axes[0, 0].get_gridspec()[:, 7])
    _bars(axis, {m: recordings[f"prior/{m}"] for m in _METHODS})
    axis.set(ylim=(0, 0.8), yticks=(0, 0.4, 0.8))
    axis.set_title("share of time", fontsize=9, loc="center", pad=4)
    axis.legend(loc="upper center", fontsize=7)
    return figure
