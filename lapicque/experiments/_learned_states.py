"""What both works on quantum states share: one learner behind three ways of sampling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import in_range, one_of, positive
from lapicque.sampling.calibration import calibrate
from lapicque.sampling.learning import (
    Decaying,
    Draw,
    Enumeration,
    Learner,
    Natural,
    Parameters,
    Progress,
    Rule,
    Running,
    topology,
)
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.samplers import Gibbs
from lapicque.sampling.target import Boltzmann
from lapicque.spiking.models import BOMBARDED

WAYS: tuple[str, ...] = ("exact", "gibbs", "lif")
_EXACT_END = 0.02  # of the last rate: without the noise of samples, steps can end smaller
TITLES = {"exact": "exact gradient", "gibbs": "Gibbs samples", "lif": "spiking neurons"}


@dataclass(frozen=True)
class Schooling:
    """Settings of learning, and of the samples at its end."""

    hidden: int = 10
    epochs: int = 80
    exact_epochs: int = 400  # with the exact gradient
    samples: int = 9_600  # per epoch, over all chains
    chains: int = 64
    discard: int = 2  # samples per chain and epoch
    first_rate: float = 0.15  # length of a step, see `lapicque.sampling.learning.Natural`
    last_rate: float = 0.007
    damping: float = 1e-3
    spread: float = 1.5  # of weights and biases at the start
    evaluation: int = 96_000  # samples at the end, over all chains
    neuron: str = "mixing_cuba"  # of `BOMBARDED`
    interval: float = 10.0  # ms, between two samples of spiking neurons
    threads: int = 2
    rounds: int = 5  # after each, learning can be resumed; chains start anew

    def __post_init__(self):
        for name in ("hidden", "epochs", "exact_epochs", "chains", "rounds", "threads"):
            in_range(name, getattr(self, name), 1)
        in_range("samples", self.samples, 4 * self.chains)
        in_range("evaluation", self.evaluation, 4 * self.chains)
        in_range("rounds", self.rounds, 1, self.epochs)
        in_range("discard", self.discard, 0)
        positive("first_rate", self.first_rate)
        positive("last_rate", self.last_rate)
        in_range("last_rate", self.last_rate, high=self.first_rate)
        positive("spread", self.spread)
        positive("interval", self.interval, "ms")
        one_of("neuron", self.neuron, BOMBARDED)


@cache
def _calibrated(neuron: str):
    return calibrate(neuron)


def learned(
    way: str,
    rule: Rule,
    visible: int,
    settings: Schooling,
    watch: Callable[[NDArray[np.float64]], Mapping[str, Any]],
    seed: int,
    session,
    label: str,
) -> tuple[Boltzmann, Draw, dict[str, NDArray]]:
    """A restricted machine after learning, samples from it, and what was watched.

    Args:
        way: One of `WAYS`.
        rule: What is rewarded.
        visible: Visible units.
        settings: See `Schooling`.
        watch: From a distribution over visible states to numbers, once per epoch.
        seed: Of weights and chains.
        session: See `lapicque.lab.session.Session`.
        label: Of this machine in the session.
    """
    parameters = Parameters(topology(visible, settings.hidden))
    epochs = settings.exact_epochs if way == "exact" else settings.epochs
    last_rate = settings.last_rate * (_EXACT_END if way == "exact" else 1.0)
    per_round = -(-epochs // settings.rounds)
    decay = (last_rate / settings.first_rate) ** (1 / (per_round * settings.rounds))
    rate = Decaying(settings.first_rate, decay)
    learner = Learner(rule, parameters, Natural(rate, settings.damping))
    start = learner.start(parameters.random(settings.spread, seed))

    def backend(progress: Progress, samples: int, key: int, discard: int):
        if way == "exact":
            return Enumeration(visible)
        sampler = Gibbs() if way == "gibbs" else _spiking(settings)
        return Running(
            sampler,
            learner.machine(progress),
            settings.chains,
            samples // settings.chains,
            int(np.random.SeedSequence([seed, key]).generate_state(1)[0]),
            discard,
        )

    def step(progress: Progress, i: int):
        return learner.run(
            progress,
            backend(progress, settings.samples, i, settings.discard),
            per_round,
            lambda _, draw: watch(draw.histogram(visible)),
            seed,
        )

    progress, history = session.loop(label, step, start, settings.rounds)
    history = {name: rows.reshape(-1, *rows.shape[2:]) for name, rows in history.items()}
    machine = learner.machine(progress)

    def drawn() -> dict[str, NDArray]:
        draw = backend(progress, settings.evaluation, settings.rounds, 20).free(machine)
        return {"states": draw.states} | ({} if draw.weights is None else {"weights": draw.weights})

    last = Draw(**session.stage(f"{label}, samples", drawn))
    return machine, last, history


def _spiking(settings: Schooling) -> LIFSampler:
    return LIFSampler(
        _calibrated(settings.neuron), interval=settings.interval, threads=settings.threads
    )
