"""What DelGrad's simulations share: four kinds of networks and how they learn."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array

from lapicque._checks import in_range, positive
from lapicque.data import yin_yang
from lapicque.data.latency import spike_times
from lapicque.experiments._spike_times import CodedData, Trained, coded, train
from lapicque.lab import Session
from lapicque.spiketime import (
    Bumping,
    Network,
    Neuron,
    RelativeError,
    Sigmoid,
    Trainer,
    dense,
)
from lapicque.spiketime.delays import Kind

VARIANTS = {
    "W": "weights only",
    "WA": "with axonal delays",
    "WD": "with dendritic delays",
    "WS": "with synaptic delays",
}
KINDS: dict[str, Kind | None] = {"W": None, "WA": "axonal", "WD": "dendritic", "WS": "synaptic"}

Four = tuple[float, float, float, float]


@dataclass(frozen=True)
class SimulationConfig:
    """Settings of networks with 4 inputs and 3 label neurons; tuples hold W, WA, WD, WS.

    Source:
        Göltz, Weber, Kriener et al. (2025), released configurations; those of WD are a choice.
    """

    n_networks: int = 5
    epochs: int = 300
    batch: int = 150
    weights_rates: Four = (0.02, 0.005, 0.01, 0.01)  # of Adam, per kind of network
    delays_rates: Four = (0.0, 0.005, 0.005, 0.003)  # of Adam, per kind of network
    weights_means: Four = (0.5, 1.0, 1.0, 1.0)  # of initial weights, per kind of network
    weights_spread: float = 1.0  # of initial weights
    delays_spread: float = 0.25  # of the numbers behind initial delays
    longest_delay: float = 1.0  # tau_s
    tau_m: float = 2.0  # tau_s
    gap: float = 0.2  # tau_s, by which wrong label neurons shall spike later
    tolerated: tuple[float, float] = (0.3, 0.0)  # share of missing spikes, hidden and label layer

    def __post_init__(self):
        for name in ("n_networks", "epochs", "batch"):
            in_range(name, getattr(self, name), 1)
        in_range("weights_rates", list(self.weights_rates), 0)
        in_range("delays_rates", list(self.delays_rates), 0)
        in_range("weights_spread", self.weights_spread, 0)
        in_range("delays_spread", self.delays_spread, 0)
        positive("longest_delay", self.longest_delay, "tau_s")
        positive("tau_m", self.tau_m, "tau_s")
        in_range("tolerated", list(self.tolerated), 0, 1)


def points() -> CodedData:
    """Yin-Yang as spike times."""
    return coded(yin_yang(), spike_times)


def builder(
    name: str, n_hidden: int, config: SimulationConfig, means: Four | None = None
) -> Callable[[Array], Network]:
    """What draws a network of the kind `name` from a key."""
    mean = (means or config.weights_means)[list(VARIANTS).index(name)]

    def build(key):
        return dense(
            key,
            (4, n_hidden, 3),
            neuron=Neuron(config.tau_m),
            mean=mean,
            spread=config.weights_spread,
            delays=KINDS[name],
            delay_form=Sigmoid(0.0, config.longest_delay),
            delay_spread=config.delays_spread,
        )

    return build


def learn(
    label: str,
    name: str,
    build: Callable[[Array], Network],
    config: SimulationConfig,
    data: CodedData,
    seed: int,
    session: Session,
    *,
    weights_rates: Four | None = None,
    delays_rates: Four | None = None,
) -> Trained:
    """Train networks of the kind `name`; rates are those of the configuration by default."""
    k = list(VARIANTS).index(name)
    trainer = Trainer(
        RelativeError(config.gap),
        batch=config.batch,
        weights_rate=(weights_rates or config.weights_rates)[k],
        delays_rate=(delays_rates or config.delays_rates)[k],
        bumping=Bumping(config.tolerated),
    )
    return train(
        label,
        build,
        trainer,
        data,
        epochs=config.epochs,
        n_networks=config.n_networks,
        seed=seed,
        session=session,
    )
