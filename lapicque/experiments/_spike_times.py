"""What experiments on first-spike times share: data, a resumable training of many networks."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lapicque.data import DataSet, Samples
from lapicque.lab import Session
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.spiketime import Network, Trainer, decide, evaluate, respond


class Coded(NamedTuple):
    """Spike times and labels of one split."""

    times: Float[Array, "samples input"]
    labels: Int[Array, " samples"]


@dataclass(frozen=True)
class CodedData:
    """A data set as spike times, and where it comes from."""

    train: Coded
    validation: Coded
    test: Coded
    origin: str


def coded(data: DataSet, encode: Callable[[np.ndarray], np.ndarray]) -> CodedData:
    """A data set as spike times, float32; `encode` maps inputs of shape (samples, features)."""

    def one(samples: Samples) -> Coded:
        flat = samples.flat()
        return Coded(jnp.asarray(encode(flat.inputs), jnp.float32), jnp.asarray(flat.labels))

    validation = data.test if data.validation is None else data.validation
    return CodedData(one(data.train), one(validation), one(data.test), data.origin)


class Trained(NamedTuple):
    """Networks after training, their arrays stacked along a first axis, and how they got there.

    `history` has arrays of shape (epochs, networks): `loss`, `accuracy` and `missing` while
    training, `bumped` batches, `validation` accuracy. `test` has one accuracy per network,
    `test_missing` the share of label spikes that are missing.
    """

    networks: Network
    history: Mapping[str, np.ndarray]
    test: np.ndarray
    test_missing: np.ndarray

    def network(self, k: int = 0) -> Network:
        """One of the networks."""
        return jax.tree.map(lambda a: a[k], self.networks)

    def recordings(self, prefix: str) -> dict[str, np.ndarray]:
        """History and test accuracies, as recordings."""
        curves = {f"{prefix}/{name}": np.asarray(rows) for name, rows in self.history.items()}
        return {**curves, f"{prefix}/test": self.test, f"{prefix}/test_missing": self.test_missing}

    def summary(self, prefix: str = "") -> dict[str, float]:
        """Median, quartiles, mean and spread of the test accuracy, as metrics."""
        low, middle, high = np.percentile(self.test, (25, 50, 75))
        return {
            f"{prefix}test_accuracy": float(middle),
            f"{prefix}test_accuracy_q25": float(low),
            f"{prefix}test_accuracy_q75": float(high),
            f"{prefix}test_accuracy_mean": float(self.test.mean()),
            f"{prefix}test_accuracy_spread": float(self.test.std()),
            f"{prefix}validation_accuracy": float(np.median(self.history["validation"][-1])),
            f"{prefix}missing": float(self.test_missing.mean()),
        }


Build = Callable[[Array], Network]


def train(
    label: str,
    build: Build | Sequence[Build],
    trainer: Trainer,
    data: CodedData,
    *,
    epochs: int,
    n_networks: int,
    seed: int,
    session: Session,
    noisy: bool = False,
) -> Trained:
    """Train `n_networks` networks side by side and test them.

    Network k is `drawn(build, seed, k)`; its order of samples and its noise have a key of their
    own. `build` may be one for each network, if what they build differs in arrays only. With
    `noisy`, the noise of its substrate is on in tests too.
    """
    keys = [jax.random.fold_in(jax.random.key(seed), k) for k in range(n_networks)]
    states = [trainer.init(drawn(build, seed, k)) for k in range(n_networks)]
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    runs = jnp.stack([jax.random.fold_in(key, 1) for key in keys])
    tests = jnp.stack([jax.random.fold_in(key, 2) for key in keys])

    epoch = _side_by_side(lambda state, key, s: trainer.epoch(state, s.times, s.labels, key))
    test = _side_by_side(
        lambda network, key, samples: evaluate(network, *samples, key=key if noisy else None)
    )

    def step(state, _):
        state, row = epoch((state, runs), data.train)
        answers = test((state.network, tests), data.validation)
        return state, {**row, "validation": answers.accuracy}

    state, history = session.loop(label, step, state, epochs)
    final = test((state.network, tests), data.test)
    return Trained(state.network, history, np.asarray(final.accuracy), np.asarray(final.missing))


def drawn(build: Build | Sequence[Build], seed: int, k: int = 0) -> Network:
    """Network k of `train`, before it has learned."""
    own = build if callable(build) else build[k]
    return own(jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), k), 0))


def _side_by_side(function: Callable) -> Callable:
    """`function(*own, shared)` for networks whose `own` arrays are stacked along a first axis.

    Accelerators run one program for all. A CPU runs the program of one network for each of them,
    in as many threads as there are cores: it compiles sooner and its arrays stay in the caches.
    """
    if jax.default_backend() != "cpu":
        return jax.jit(
            lambda own, shared: jax.vmap(lambda *one: function(*one, shared))(*own),
        )
    one = jax.jit(lambda k, own, shared: function(*jax.tree.map(lambda a: a[k], own), shared))
    stack = jax.jit(lambda results: jax.tree.map(lambda *leaves: jnp.stack(leaves), *results))
    programs = {}  # compiled before the threads start, lest each of them does

    def each(own, shared):
        shapes = tuple(a.shape for a in jax.tree.leaves(shared))
        if shapes not in programs:
            programs[shapes] = one.lower(0, own, shared).compile()
        program = programs[shapes]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [
                pool.submit(lambda k=k: jax.block_until_ready(program(k, own, shared)))
                for k in range(jax.tree.leaves(own)[0].shape[0])
            ]
            return stack([job.result() for job in jobs])

    return each


def disc(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a square around the Yin-Yang disc, shape (side^2, 4), and which lie on it."""
    line = np.linspace(0, 1, side)
    x, y = (a.ravel() for a in np.meshgrid(line, line))
    inside = np.hypot(x - 0.5, y - 0.5) <= 0.5
    return np.stack([x, y, 1 - x, 1 - y], axis=-1), inside.reshape(side, side)


def disc_maps(network: Network, encode: Callable, side: int) -> dict[str, np.ndarray]:
    """Decisions and label spike times over the disc; times of silent neurons are -1.

    `decision` has shape (side, side), -1 for no answer; `times` (side, side, classes).
    """
    points, _ = disc(side)
    times = jax.jit(partial(respond, network))(jnp.asarray(encode(points), jnp.float32))[-1]
    kept = np.where(np.isfinite(times), times, -1.0)
    return {
        "decision": np.asarray(decide(times)).reshape(side, side),
        "times": kept.reshape(side, side, -1),
    }


def draw_disc(recordings: Mapping[str, np.ndarray], prefix: str, classes: int = 3):
    """Decision regions and, for each label neuron, its spike time over the disc."""
    decision, times = recordings[f"{prefix}/decision"], recordings[f"{prefix}/times"]
    side = decision.shape[0]
    _, inside = disc(side)
    figure, axes = subplots(1, classes + 1, height=2.2)
    extent = (0, 1, 0, 1)
    shown = np.where(inside & (decision >= 0), decision, np.nan)
    axes[0, 0].imshow(shown, origin="lower", extent=extent, vmin=0, vmax=classes - 1)
    axes[0, 0].set_title("decision")
    early = np.where(inside[..., None] & (times >= 0), times, np.nan)
    early = early - np.where(np.isnan(early), np.inf, early).min(axis=-1, keepdims=True)
    seen = early[np.isfinite(early)]
    latest = np.percentile(seen, 98) if seen.size else 1.0
    for k in range(classes):
        image = axes[0, k + 1].imshow(
            early[..., k], origin="lower", extent=extent, cmap="magma_r", vmin=0, vmax=latest
        )
        axes[0, k + 1].set_title(f"label {k}")
    figure.colorbar(image, ax=axes[0, 1:], shrink=0.8, label="after first [tau_s]")
    for axis in axes[0]:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    return figure


def draw_curves(
    recordings: Mapping[str, np.ndarray], labels: Mapping[str, str], field: str = "validation"
):
    """Error against epoch: median and quartiles over networks, one line per training."""
    figure, axes = subplots()
    axis = axes[0, 0]
    for name, label in labels.items():
        error = 100 * (1 - recordings[f"{name}/{field}"])
        epochs = np.arange(1, len(error) + 1)
        low, middle, high = np.percentile(error, (25, 50, 75), axis=1)
        (line,) = axis.plot(epochs, middle, label=label)
        axis.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2)
    axis.set(xlabel="epoch", ylabel=f"{field} error [%]")
    axis.set_yscale("log", subs=(2, 5))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.legend()
    return figure


def one_per_class(labels: Int[Array, " samples"]) -> np.ndarray:
    """Index of the first sample of each class."""
    return np.unique(np.asarray(labels), return_index=True)[1]


def rasters(
    inputs: Float[Array, "samples input"],
    spikes: Mapping[str, Sequence[Float[Array, "samples _"]]],
    shown: np.ndarray,
) -> dict[str, np.ndarray]:
    """First spikes of all layers for the samples that are `shown`, -1 where there is none.

    Recordings `raster/input`, and `raster/<name>/<layer>` for each entry of `spikes`.
    """
    found = {"raster/input": _drawn(inputs[shown])}
    for name, layers in spikes.items():
        for k, times in enumerate(layers):
            found[f"raster/{name}/{k}"] = _drawn(times[shown])
    return found


def _drawn(times) -> np.ndarray:
    return np.where(np.isfinite(times), times, -1.0)


def draw_rasters(
    recordings: Mapping[str, np.ndarray], titles: Mapping[str, str], classes: np.ndarray
):
    """First spikes sample by sample, one row per network; the first label neuron decides.

    Label neurons are at the top in the colours of their classes; a line marks the decision.
    """
    figure, axes = subplots(len(titles), len(classes), height=1.9 * len(titles) + 0.4, sharex=True)
    inputs = recordings["raster/input"]
    for row, (name, title) in zip(axes, titles.items(), strict=True):
        layers = [
            recordings[key] for key in sorted(recordings) if key.startswith(f"raster/{name}/")
        ]
        for sample, (axis, own) in enumerate(zip(row, classes, strict=True)):
            _draw_sample(axis, [times[sample] for times in (inputs, *layers)])
            axis.set_title(f"class {own}", fontsize=9, color=COLOURS[own])
            axis.set_xlim(left=0)
        row[0].set_ylabel(title)
    for axis in axes[-1]:
        axis.set_xlabel("time [tau_s]")
    return figure


def _draw_sample(axis, layers: Sequence[np.ndarray]) -> None:
    *below, label = layers
    base, ticks = 0.0, []
    for k, times in enumerate(below):
        height = 1.0 if len(times) > 20 else 0.4
        y = base + height * (np.arange(len(times)) + 0.5) / len(times)
        seen = times >= 0
        axis.scatter(times[seen], y[seen], s=4, color=MUTED if k == 0 else INK, linewidths=0)
        ticks.append((base + height / 2, "input" if k == 0 else "hidden"))
        base += height + 0.15
    answer = int(decide(jnp.asarray(np.where(label >= 0, label, np.inf))))
    for k, time in enumerate(label):
        y = base + 0.12 * k
        if time >= 0:
            axis.plot([time, time], [y, y + 0.1], color=COLOURS[k], lw=2.5)
        if k == answer:
            axis.axvline(time, color=COLOURS[k], lw=0.8, ls="--")
    ticks.append((base + 0.06 * len(label), "label"))
    axis.set_yticks(*zip(*ticks, strict=True))
    axis.grid(False)
