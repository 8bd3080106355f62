"""Keywords, few shots at a time: new classes without forgetting the old ones

Spoken words become spikes of 20 mel channels, which a fixed random network of leaky neurons turns
into features: their mean rates in a few stretches of the second. Base words are learned from many
clips; then each session brings words of one language with five clips each, and all words so far
are asked. Three readouts of the same features:

    prototypes   nearest class mean, as in the baselines
    ridge        least squares on sums that are kept, every class with the same weight
    descent      a softmax readout that descends on the clips of the session alone

`smoke` and `quick` run on generated STAND-INS (TONES) IN THE FORMAT OF THE BENCHMARK. THEY ARE NOT
THE BENCHMARK, and what is measured on them compares with nothing that is published. `paper` wants
the data (Hugging Face, NeuroBench/mswc_fscil_subset, as 16 kHz wav) in `neurobench/fscil` of the
data folder and refuses stand-ins. It was never run here, so that nothing is known about how
these features do on the benchmark. The network is not pre-trained, as those of the baselines are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError, in_range, positive, shape
from lapicque.benchmark import metrics, tasks
from lapicque.benchmark.record import Dense, Record
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots

READOUTS = ("prototypes", "ridge", "descent")
MELS, N_FFT, HOP = 20, 512, 80
DT = 5.0  # ms, a frame
FRAMES = 200
BATCH = 64

_BOARD = (
    ("M5 ANN", 0.9709, 0.8927, 6.03e6, 0.0, 0.783, 2.59e7, 7.85e6, 0.0),
    ("SNN", 0.9348, 0.7527, 1.36e7, 0.0, 0.916, 3.39e6, 0.0, 3.65e5),
)
LEADER_BOARD: Mapping[str, Mapping[str, Any]] = {
    f"{name} (leader board)": dict(zip(("base", "average", *metrics.COLUMNS), values, strict=True))
    for name, *values in _BOARD
}
"""Rows of the leader board; they answer at 1 Hz and 200 Hz, operations are per answer."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    stand_ins: int = 3  # generated sets, NOT the benchmark; 0 for the data
    repetitions: int = 5  # orders of the languages and choices of the shots, per set
    shots: int = 5
    units: int = 200
    tau_low: float = 10.0  # time constants are spread geometrically [ms]
    tau_high: float = 200.0
    stretches: int = 4  # of the second, for the mean rates
    ridge: float = 0.1  # over the mean power of a feature
    steps: int = 100  # of descent per session
    rate: float = 0.5

    def __post_init__(self):
        in_range("stand_ins", self.stand_ins, 0)
        for name in ("repetitions", "shots", "units", "steps"):
            in_range(name, getattr(self, name), 1)
        in_range("tau_low", self.tau_low, DT, unit="ms")
        in_range("tau_high", self.tau_high, self.tau_low, unit="ms")
        in_range("stretches", self.stretches, 1, FRAMES)
        for name in ("ridge", "rate"):
            positive(name, getattr(self, name))


PRESETS = {
    "smoke": Config(stand_ins=1, repetitions=2, units=20, steps=10),
    "quick": Config(),
    "paper": Config(stand_ins=0, repetitions=100, units=512),
}

_OWN = "our limit, on generated stand-ins, WHICH ARE NOT THE BENCHMARK"
_PAPER = "leader board; never measured here"

CLAIMS = (
    Claim(
        "prototypes",
        "On stand-ins prototypes are right at least three times as often as chance",
        "prototypes_over_chance",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_least=3.0,
        presets=("quick",),
    ),
    Claim(
        "ridge",
        "and so is least squares on kept sums",
        "ridge_over_chance",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_least=3.0,
        presets=("quick",),
    ),
    Claim(
        "kept",
        "With prototypes words lose less than 0.2 of their accuracy in later sessions",
        "prototypes_forgetting",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.2,
        presets=("quick",),
    ),
    Claim(
        "descent",
        "while descent on the new clips alone loses at least 0.2 more",
        "descent_extra_forgetting",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_least=0.2,
        presets=("quick",),
    ),
    Claim(
        "benchmark",
        "On the benchmark prototypes of random features reach the session average of its SNN",
        "prototypes_average",
        Certainty.PUBLISHED,
        _PAPER,
        at_least=0.7527,
        published=0.7527,
        presets=("paper",),
    ),
)

CITES = ("yik2025neurobench",)


# -- front end ---------------------------------------------------------------------------------


@cache
def _bands() -> NDArray[np.float64]:
    """Triangles of height 1 between 20 Hz and 4 kHz, equidistant in mel, (spectrum, bands)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (20.0, 4000.0))
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    f = np.linspace(0, tasks.CLIP / 2, N_FFT // 2 + 1)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((f - left) / (centre - left), (right - f) / (right - centre)))


def log_mel(sounds: NDArray[np.floating]) -> NDArray[np.float64]:
    """log(power + 1e-6) in 20 bands every 5 ms, shape (clip, 201, 20), of (clip, 16000)."""
    shape("sounds", sounds, (None, tasks.CLIP))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.pad(sounds, ((0, 0), (N_FFT // 2,) * 2), "reflect")
    parts = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP]
    return np.log(np.square(np.abs(np.fft.rfft(parts * window, axis=-1))) @ _bands() + 1e-6)


def delta_modulated(signal: NDArray[np.floating], threshold: float = 1.0) -> NDArray[np.int8]:
    """Spikes of either sign where a signal has left a level, which then follows by the threshold.

    Args:
        signal: Shape (..., time, channel); levels begin at the first value, rounded.
        threshold: Above 0, in units of the signal.

    Returns:
        -1, 0 or 1, of the same shape.

    Source: encoder of NeuroBench's keyword tasks.
    """
    positive("threshold", threshold)
    level = np.round(signal[..., 0, :])
    spikes = np.zeros(signal.shape, np.int8)
    for t in range(signal.shape[-2]):
        ahead = signal[..., t, :] - level
        spikes[..., t, :] = np.where(ahead > threshold, 1, np.where(ahead < -threshold, -1, 0))
        level = level + threshold * spikes[..., t, :]
    return spikes


class FrontEnd(NamedTuple):
    """A fixed random network and the stretches over which its rates are averaged."""

    network: Any
    stretches: int

    def __call__(self, clips: Sequence[tasks.Clip]) -> tuple[NDArray[np.float32], list[Record]]:
        """Features of clips, shape (clip, stretches * units), and the records of the network."""
        from lapicque.benchmark.models import run_rate

        found, records = [], []
        for at in range(0, len(clips), BATCH):
            sounds = np.stack([clip.read() for clip in clips[at : at + BATCH]])
            # silent clips fill the last batch, so that all have one shape
            filled = np.pad(sounds, ((0, BATCH - len(sounds)), (0, 0)))
            spikes = delta_modulated(log_mel(filled))[:, 1:].swapaxes(0, 1)
            record, rates, _ = run_rate(self.network, spikes.astype(np.float32), DT)
            means = [part.mean(0) for part in np.array_split(rates, self.stretches)]
            found.append(np.concatenate(means, 1)[: len(sounds)])
            records.append(record)
        return np.concatenate(found), records


def front_end(config: Config, seed: int) -> FrontEnd:
    """Random synapses to leaky neurons of many time constants."""
    import jax
    import jax.numpy as jnp

    from lapicque import rate

    rng = np.random.default_rng([seed, 11])
    taus = np.geomspace(config.tau_low, config.tau_high, config.units)
    weight = rng.standard_normal((config.units, MELS)) * np.sqrt(taus / DT)[:, None]
    neurons = rate.Neurons(
        jnp.asarray(taus, jnp.float32), jnp.zeros(config.units, jnp.float32), jax.nn.relu
    )
    layer = rate.Layer(rate.Dense(jnp.asarray(weight, jnp.float32)), neurons)
    network = rate.Network((layer,), (MELS,), coupling=0.0, schedule=rate.FULL_FORWARD)
    return FrontEnd(network, config.stretches)


# -- readouts ----------------------------------------------------------------------------------


class Readout(NamedTuple):
    """Scores of all classes so far are ``weight @ features + bias``."""

    weight: NDArray[np.float64]  # (class, feature)
    bias: NDArray[np.float64]

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.int64]:
        """The class with the highest score; those not yet learned are no choice."""
        return (features @ self.weight.T + self.bias).argmax(1)


def prototypes(means: NDArray[np.float64]) -> Readout:
    """The nearest class mean: weights 2 c, biases -c.c. Means have shape (class, feature)."""
    return Readout(2 * means, -np.square(means).sum(1))


class Sums(NamedTuple):
    """All that least squares keep of the clips: nothing is forgotten, whatever the order.

    Attributes:
        means: Mean features of each class, shape (class, feature).
        gram: Sum over classes of the mean of x x^T, x with a one behind it.
    """

    means: NDArray[np.float64]
    gram: NDArray[np.float64]

    @staticmethod
    def none(features: int) -> "Sums":
        """Before the first class."""
        return Sums(np.zeros((0, features)), np.zeros((features + 1,) * 2))

    def learn(self, features: NDArray[np.floating], labels: NDArray[np.integer]) -> "Sums":
        """With the clips of new classes, whose labels go on where the old ones end."""
        means, gram = list(self.means), self.gram
        for label in range(len(means), int(labels.max()) + 1):
            x = features[labels == label].astype(float)
            x = np.column_stack([x, np.ones(len(x))])
            means.append(x[:, :-1].mean(0))
            gram = gram + x.T @ x / len(x)
        return Sums(np.stack(means), gram)

    def ridge(self, ridge: float) -> Readout:
        """Least squares to one for the right class and zero for others."""
        n = self.gram.shape[0]
        penalty = ridge * np.trace(self.gram[:-1, :-1]) / (n - 1) * np.eye(n)
        penalty[-1, -1] = 0.0
        right = np.column_stack([self.means, np.ones(len(self.means))])
        w = np.linalg.solve(self.gram + penalty, right.T).T
        return Readout(w[:, :-1], w[:, -1])


def descended(
    before: Readout | None,
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: int,
    steps: int,
    rate: float,
) -> Readout:
    """A softmax readout after descent on these clips alone; new classes begin at zero."""
    n = features.shape[1]
    weight, bias = np.zeros((classes, n)), np.zeros(classes)
    if before is not None:
        weight[: len(before.weight)], bias[: len(before.bias)] = before
    wanted = np.eye(classes)[labels]
    scale = rate / max(float(np.square(features).sum(1).mean()), 1e-12)
    for _ in range(steps):
        scores = features @ weight.T + bias
        p = np.exp(scores - scores.max(1, keepdims=True))
        error = wanted - p / p.sum(1, keepdims=True)
        weight = weight + scale * len(labels) / classes * error.T @ features
        bias = bias + rate * error.mean(0)
    return Readout(weight, bias)


# -- protocol ----------------------------------------------------------------------------------


class Taught(NamedTuple):
    """Accuracies of one repetition.

    Attributes:
        accuracy: On all that is asked, shape (readout, session), the base first.
        by_session: On what session k taught, asked in session s, shape (readout, s, k); `nan`
            before it was taught.
        classes: Known in each session.
        readout: The last prototypes.
    """

    accuracy: NDArray[np.float64]
    by_session: NDArray[np.float64]
    classes: NDArray[np.int64]
    readout: Readout


def teach(
    features: dict[Path, NDArray[np.float64]], data: tasks.Keywords, config: Config, seed: int
) -> Taught:
    """Base words, then session by session; after each, all words so far are asked.

    Args:
        features: Of every clip, by its path.
        data: The lists.
        config: Settings.
        seed: Of the order of languages and the choice of shots.
    """
    rounds = [(list(data.train), list(data.test))]
    rounds += [(t, [*data.test, *a]) for t, a in tasks.sessions(data, seed, config.shots)]
    numbers: dict[tuple[str, str], int] = {}
    born: list[int] = []  # session of each class
    sums = Sums.none(len(next(iter(features.values()))))
    walker = None
    accuracy = np.zeros((len(READOUTS), len(rounds)))
    by_session = np.full((len(READOUTS), len(rounds), len(rounds)), np.nan)
    classes, nearest = [], prototypes(np.zeros((1, 1)))
    for s, (given, asked) in enumerate(rounds):
        for word in sorted({(c.language, c.word) for c in given}):
            numbers.setdefault(word, len(numbers))
            born += [s] * (len(numbers) - len(born))
        x, labels = _labelled(given, features, numbers)
        sums = sums.learn(x, labels)
        walker = descended(walker, x, labels, len(numbers), config.steps, config.rate)
        nearest = prototypes(sums.means)
        x, labels = _labelled(asked, features, numbers)
        session_of = np.array(born)[labels]
        for r, readout in enumerate((nearest, sums.ridge(config.ridge), walker)):
            right = readout(x) == labels
            accuracy[r, s] = right.mean()
            by_session[r, s, : s + 1] = [right[session_of == k].mean() for k in range(s + 1)]
        classes.append(len(numbers))
    return Taught(accuracy, by_session, np.array(classes), nearest)


def forgetting(by_session: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy lost until the last session, a mean over all sessions but that; more classes to
    confuse count as well. Shape (readout,) from (readout, session, taught in)."""
    first = np.diagonal(by_session, axis1=1, axis2=2)[:, :-1]
    return (first - by_session[:, -1, :-1]).mean(1)


def _labelled(
    clips: Sequence[tasks.Clip],
    features: dict[Path, NDArray[np.float64]],
    numbers: dict[tuple[str, str], int],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = np.array([numbers[c.language, c.word] for c in clips])
    return np.stack([features[c.path] for c in clips]), labels


# -- run ---------------------------------------------------------------------------------------


def data_place() -> Path:
    """Where the data must lie."""
    from lapicque.data._locate import data_folder

    return data_folder() / "neurobench" / "fscil"


def run(config: Config, seed: int, session) -> Outcome:
    """Features once per set, then every repetition; scores are means over all of them."""
    if config.stand_ins:
        session.log("STAND-INS, NOT THE BENCHMARK: numbers below compare with nothing published")
    tables = []
    for k in range(config.stand_ins or 1):
        tables.append(session.stage(f"set {k}", lambda k=k: _one(config, seed + k)))
    accuracy = np.concatenate([t["accuracy"] for t in tables])  # (repetition, readout, session)
    lost = np.concatenate([t["forgetting"] for t in tables])
    by_session = np.concatenate([t["by_session"] for t in tables])
    classes = tables[0]["classes"]
    found: dict[str, float] = {}
    rows: dict[str, Mapping[str, Any]] = {}
    columns = {c: float(np.mean([t["columns"][c] for t in tables])) for c in metrics.COLUMNS}
    for r, name in enumerate(READOUTS):
        found[f"{name}_base"] = float(accuracy[:, r, 0].mean())
        found[f"{name}_average"] = float(accuracy[:, r].mean())
        found[f"{name}_last"] = float(accuracy[:, r, -1].mean())
        found[f"{name}_over_chance"] = float((accuracy[:, r] * classes).mean())
        found[f"{name}_forgetting"] = float(lost[:, r].mean())
        found[f"{name}_base_kept"] = float(by_session[:, r, -1, 0].mean())
        label = name + (" (STAND-IN)" if config.stand_ins else "")
        rows[label] = {"base": found[f"{name}_base"], "average": found[f"{name}_average"]} | columns
    extra = found["descent_forgetting"] - found["prototypes_forgetting"]
    found["descent_extra_forgetting"] = extra
    found |= {c.removeprefix("Effective_").lower(): value for c, value in columns.items()}
    found["executions_hz"] = float(tables[0]["columns"]["rate"])
    rows |= LEADER_BOARD
    session.log("\n" + metrics.table("average", rows, 15))
    bases = ", ".join(f"{name} {row['base']:.3f}" for name, row in rows.items())
    session.log(f"base: {bases}\nOurs answers at 1 Hz, M5 at 1 Hz, SNN at 200 Hz.")
    origin = "GENERATED STAND-IN, NOT THE BENCHMARK" if config.stand_ins else tasks.FSCIL.place
    recordings = {
        "accuracy": accuracy,
        "classes": classes,
        "base_words": by_session[:, :, :, 0],
    }
    return Outcome(found, recordings, {"keywords": origin})


def _one(config: Config, seed: int) -> dict[str, Any]:
    if config.stand_ins:
        with TemporaryDirectory() as folder:
            tasks.stand_in(folder, ("keywords",), seed)
            return _repeated(tasks.keywords(folder), config, seed)
    data = tasks.keywords(data_place())
    if data.synthetic:
        raise DataError(f"{data_place()} holds generated stand-ins; `paper` wants the data.")
    return _repeated(data, config, seed)


def _repeated(data: tasks.Keywords, config: Config, seed: int) -> dict[str, Any]:
    """All repetitions on one set, and what a clip costs."""
    clips = [*data.train, *data.test, *(c for part in data.sessions.values() for c in part)]
    front = front_end(config, seed)
    parts = [front(clips[at : at + BATCH])[0] for at in range(0, len(clips), BATCH)]
    table = np.concatenate(parts).astype(float)
    base = table[: len(data.train)]
    offset, scale = base.mean(0), base.std(0)
    scale[scale < 1e-6] = np.inf  # what is silent in all base clips says nothing
    features = {clip.path: row for clip, row in zip(clips, (table - offset) / scale, strict=True)}
    taught = [teach(features, data, config, seed + i) for i in range(config.repetitions)]
    last = taught[-1].readout
    shown = data.test[:: max(1, len(data.test) // BATCH)][:BATCH]
    summary = metrics.summary(costs(front, shown, last, offset, scale))
    columns = {c: float(value or 0.0) for c, value in metrics.row(summary).items()}
    return {
        "accuracy": np.stack([t.accuracy for t in taught]),
        "by_session": np.nan_to_num(np.stack([t.by_session for t in taught])),
        "forgetting": np.stack([forgetting(t.by_session) for t in taught]),
        "classes": taught[0].classes,
        "columns": columns | {"rate": float(summary["ModelExecutionRate"])},
    }


def costs(
    front: FrontEnd,
    clips: Sequence[tasks.Clip],
    readout: Readout,
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> Record:
    """The record of a batch: 200 steps of the network and one of the readout per clip.

    Offset and scale of the features are part of the readout's weights and biases. The encoder is
    not counted, as the harness does not count pre-processing. Clips repeat until the
    batch is full.
    """
    clips = [clips[i % len(clips)] for i in range(BATCH)]
    features, (record,) = front(clips)
    weight = (readout.weight / scale).astype(np.float32)
    bias = (readout.bias - readout.weight @ (offset / scale)).astype(np.float32)
    return replace(
        record,
        connections=(*record.connections, Dense("readout", weight, features[None], bias)),
        buffers={**record.buffers, "sums of rates": features[0]},
        samples=BATCH,
        executions=BATCH,
        stride=1000.0,
    )


def figures(outcome: Outcome, config: Config):
    """Accuracy on all words so far, and on the base words, session by session."""
    figure, axes = subplots(1, 2, height=3.2, sharey=True)
    classes = outcome.recordings["classes"]
    sessions = np.arange(classes.size)
    for ax, name in ((axes[0, 0], "accuracy"), (axes[0, 1], "base_words")):
        for r, readout in enumerate(READOUTS):
            values = outcome.recordings[name][:, r]
            ax.errorbar(
                sessions + 0.04 * (r - 1), values.mean(0), values.std(0), color=COLOURS[r],
                marker="os^"[r], capsize=2, label=readout,
            )  # fmt: skip
        ax.plot(sessions, 1 / classes, color=MUTED, ls="--", lw=1, label="chance")
        ax.set(xlabel="session", ylim=(0, 1.05), xticks=sessions)
    axes[0, 0].set(ylabel="accuracy", title="all words so far")
    axes[0, 1].set_title("base words alone")
    if config.stand_ins:
        figure.suptitle("generated stand-ins (tones), NOT the benchmark")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return {"sessions": figure}
