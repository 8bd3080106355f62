"""What experiments on first-spike times share: data, a resumable training of many networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lapicque.data import DataSet, Samples
from lapicque.lab import Session
from lapicque.lab.figure import subplots
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


def train(
    label: str,
    build: Callable[[Array], Network],
    trainer: Trainer,
    data: CodedData,
    *,
    epochs: int,
    n_networks: int,
    seed: int,
    session: Session,
    noisy: bool = False,
) -> Trained:
    """Train `n_networks` networks side by side in one program and test them.

    Network k draws its weights from `fold_in(key(seed), k)`, and its order of samples and its
    noise from a key of its own. With `noisy`, the noise of its substrate is on in tests too.
    """
    keys = [jax.random.fold_in(jax.random.key(seed), k) for k in range(n_networks)]
    states = [trainer.init(build(jax.random.fold_in(key, 0))) for key in keys]
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    runs = jnp.stack([jax.random.fold_in(key, 1) for key in keys])
    tests = jnp.stack([jax.random.fold_in(key, 2) for key in keys])

    def test(network, samples, key):
        return evaluate(network, *samples, key=key if noisy else None)

    @eqx.filter_jit
    def one_epoch(state, train, validation):
        state, row = _side_by_side(lambda s, k: trainer.epoch(s, *train, k))(state, runs)
        answers = _side_by_side(lambda n, k: test(n, validation, k))(state.network, tests)
        return state, {**row, "validation": answers.accuracy}

    state, history = session.loop(
        label, lambda s, _: one_epoch(s, data.train, data.validation), state, epochs
    )
    final = _side_by_side(jax.jit(lambda n, k: test(n, data.test, k)))(state.network, tests)
    return Trained(state.network, history, np.asarray(final.accuracy), np.asarray(final.missing))


def _side_by_side(function: Callable) -> Callable:
    """`jax.vmap`, but a single network is not mapped."""

    def mapped(*arguments):
        if jax.tree.leaves(arguments)[0].shape[0] > 1:
            return jax.vmap(function)(*arguments)
        result = function(*jax.tree.map(lambda a: a[0], arguments))
        return jax.tree.map(lambda a: a[None], result)

    return mapped


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
    early = early - np.nanmin(early, axis=-1, keepdims=True)
    for k in range(classes):
        image = axes[0, k + 1].imshow(
            early[..., k],
            origin="lower",
            extent=extent,
            cmap="magma_r",
            vmin=0,
            vmax=np.nanpercentile(early, 98),
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
    axis.set(xlabel="epoch", ylabel=f"{field} error [%]", yscale="log")
    axis.legend()
    return figure
