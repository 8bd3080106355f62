"""What experiments of Fast and Deep share: the network for Yin-Yang."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array

from lapicque._checks import in_range, positive
from lapicque.data import spike_times, yin_yang
from lapicque.experiments._spike_times import CodedData, coded
from lapicque.spiketime import (
    Bumping,
    CrossEntropy,
    Imperfections,
    Network,
    Neuron,
    Trainer,
    dense,
)

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
