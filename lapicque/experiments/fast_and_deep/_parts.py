"""What experiments of Fast and Deep share: the network for Yin-Yang, rasters of first spikes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lapicque._checks import in_range, positive
from lapicque.data import spike_times, yin_yang
from lapicque.experiments._spike_times import CodedData, coded
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.spiketime import (
    Bumping,
    CrossEntropy,
    Imperfections,
    Network,
    Neuron,
    Trainer,
    decide,
    dense,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORK = "Göltz, Kriener et al. (2021)"
CITES = ("goeltz2021fast", "kriener2022yinyang")
TIMES = (0.15, 2.0)  # tau_s, of the smallest and the largest value of an input


@dataclass(frozen=True)
class YinYangConfig:
    """Settings of networks 4-120-3 with a bias, equal time constants."""

    n_networks: int = 3  # networks that differ in initial weights and order of samples
    epochs: int = 300
    hidden: int = 120
    batch: int = 150
    learning_rate: float = 0.005
    bias: float = 0.9  # tau_s

    def __post_init__(self):
        for name in ("n_networks", "epochs", "hidden", "batch"):
            in_range(name, getattr(self, name), 1)
        positive("learning_rate", self.learning_rate)
        in_range("bias", self.bias, 0, unit="tau_s")

    def network(self, key: Array, imperfections: Imperfections | None = None) -> Network:
        """A network before training."""
        return dense(
            key,
            (4, self.hidden, 3),
            neuron=Neuron(tau_m=1.0),
            mean=(1.5, 0.5),
            spread=0.8,
            bias=self.bias,
            imperfections=imperfections,
        )

    @property
    def trainer(self) -> Trainer:
        """How it learns."""
        return Trainer(
            CrossEntropy(xi=0.2, alpha=0.005, beta=1.0),
            batch=self.batch,
            weights_rate=self.learning_rate,
            bumping=Bumping((0.3, 0.0)),
        )


def encode(inputs: np.ndarray) -> np.ndarray:
    """Values as spike times: the larger, the later."""
    return spike_times(inputs, *TIMES)


def yin_yang_times() -> CodedData:
    """The standard splits of Yin-Yang as spike times."""
    return coded(yin_yang(), encode)


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


def _draw_sample(axis: "Axes", layers: Sequence[np.ndarray]) -> None:
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
