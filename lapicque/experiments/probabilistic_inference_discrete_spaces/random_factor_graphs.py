"""Random Bayesian networks as networks that sample

Any distribution over binary variables can be mapped. How strong the couplings of auxiliary units
must be depends on the most extreme entry of a table; what remains of the error is of the sampler,
and of parameters that a substrate does not meet.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.experiments.probabilistic_inference_discrete_spaces._samplers import (
    NAMES,
    sampled,
    samplers,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, subplots
from lapicque.sampling.factors import Compiled, FactorGraph, random_network
from lapicque.sampling.observables import empirical, kl
from lapicque.sampling.target import Boltzmann
from lapicque.spiking.models import BOMBARDED

_CLIP = 0.01  # of the largest entry of a table


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    networks: int = 50
    variables: int = 5
    strengths: tuple[float, ...] = (6.0, 8.0, 10.0, 12.0, 16.0)  # M, for the mapping
    eps: float = 0.5
    noise: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # of parameters
    trials: int = 5  # draws of that noise per network
    sampled: int = 10  # networks that are sampled, too
    M: float = 6.0  # of these
    floor: float = 0.02  # least entry of their tables, of the largest one
    relays: int = 5
    chains: int = 8
    duration: float = 3000.0  # of a chain [refractory times]
    preset: str = "mixing_cuba"  # of `BOMBARDED`
    v_reset: float = -50.0001  # mV
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("networks", self.networks, 1)
        in_range("variables", self.variables, 2, 12)
        positive("strengths", self.strengths)
        in_range("eps", self.eps, 0)
        in_range("noise", self.noise, 0)
        in_range("trials", self.trials, 1)
        in_range("sampled", self.sampled, 1, self.networks)
        positive("M", self.M)
        positive("floor", self.floor)
        in_range("relays", self.relays, 1)
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 10)
        one_of("preset", self.preset, BOMBARDED)
        in_range("v_reset", self.v_reset, unit="mV")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(networks=4, trials=2, sampled=1, chains=2, duration=50.0),
    "quick": Config(),
    "paper": Config(networks=500, sampled=100, chains=32, duration=20_000.0),
}

_OWN = "50 networks of the same kind, enumerated by another program"

CLAIMS = (
    Claim(
        "median",
        "At M = 12 the median divergence of the mapping is negligible",
        "median_at_12",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=1e-8,
        published=2.6e-9,
    ),
    Claim(
        "worst",
        "and so is the largest",
        "worst_at_12",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=1e-3,
        published=3.8e-5,
    ),
    Claim(
        "clipping",
        "Raising small entries to a hundredth of the largest limits the couplings that are needed, "
        "and costs less than to lower the large ones, whatever the couplings",
        "worst_clipped",
        Certainty.REFERENCE_RUN,
        _OWN + ", with large entries lowered",
        at_most=0.05,
        published=0.155,
    ),
    Claim(
        "graceful",
        "Noise on weights and biases degrades the distribution gradually: rank correlation of its "
        "level and the divergence",
        "monotone",
        Certainty.PUBLISHED,
        "Probst et al. (2015), abstract",
        at_least=0.99,
    ),
    Claim(
        "neural",
        "Abstract neurons sample these distributions",
        "abstract neurons",
        Certainty.DERIVED,
        "they are exact",
        at_most=0.02,
    ),
    Claim(
        "relays",
        "LIF neurons with chains of relays sample them better than with exponential synapses, in "
        "the median at least by a factor of 1.5",
        "gain_of_relays",
        Certainty.PUBLISHED,
        "Probst et al. (2015), abstract, for the comparison of couplings; the factor is ours",
        at_least=1.5,
    ),
)

CITES = ("probst2015probabilistic", "pecevski2011probabilistic")


def run(config: Config, seed: int, session) -> Outcome:
    """The mapping, exactly; noise on parameters, exactly; then samples of some networks."""
    graphs = [
        random_network(config.variables, seed * config.networks + k).graph
        for k in range(config.networks)
    ]
    strengths = (*config.strengths, 12.0)
    mapping = np.array(
        [[g.compile(M, config.eps).mapping_error() for M in strengths] for g in graphs]
    )
    mapping, at_12 = mapping[:, :-1], mapping[:, -1]
    clipped = np.array([g.compile(30.0, config.eps, _CLIP).mapping_error() for g in graphs])
    session.log("noise on parameters")
    rng = np.random.default_rng([seed, 0])
    noisy = np.array(
        [[_noisy(config, graphs, level, kind, rng) for level in config.noise] for kind in (0, 1)]
    )
    metrics = {
        "median_at_12": np.median(at_12),
        "worst_at_12": at_12.max(),
        "worst_clipped": clipped.max(),
        "auxiliaries": np.mean([g.compile().auxiliaries for g in graphs]),
        "weights_off_by_10": _at(config.noise, noisy[0, :, 1], 0.1),
        "monotone": min(_rank_correlation(config.noise, row) for row in noisy[..., 1]),
    }
    recordings = {"mapping": mapping, "clipped": clipped, "noisy": noisy}

    session.log("calibration")
    parts = samplers(config.preset, config.v_reset, config.relays, config.dt, seed)
    rows = []
    for k, graph in enumerate(graphs[: config.sampled]):
        session.log(f"network {k}")
        rows.append(
            session.stage(f"network {k}", lambda g=graph, k=k: _all(config, parts, g, seed + k))
        )
    recordings["sampled"] = np.array(rows)
    metrics |= dict(zip((*NAMES, "mapping"), np.median(rows, axis=0), strict=True))
    metrics["gain_of_relays"] = metrics["LIF, renewing"] / metrics["LIF, relays"]
    return Outcome(metrics, recordings)


def _all(config: Config, parts, graph: FactorGraph, seed: int) -> np.ndarray:
    """Divergence of each sampler, and of the mapping itself."""
    machine = graph.compile(config.M, config.eps, config.floor)
    found = [
        sampled(name, part, machine, {}, config.chains, config.duration, seed)
        for name, part in parts.items()
    ]
    joints = [*(empirical(z) for z in found), np.exp(machine.log_probabilities)]
    return np.array([kl(joint, graph.probabilities) for joint in joints])


def _noisy(
    config: Config, graphs: list[FactorGraph], level: float, kind: int, rng: np.random.Generator
) -> np.ndarray:
    """Quartiles of the divergence under noise on weights (0, relative) or on biases (1)."""
    found = []
    for graph in graphs:
        machine = graph.compile(config.M, config.eps, config.floor)
        n = machine.target.n
        for _ in range(config.trials):
            factor = np.triu(rng.normal(0, level, (n, n)), 1)
            shift = rng.normal(0, level, n)
            noisy = Boltzmann(
                machine.target.weights * (1 + (factor + factor.T) * (kind == 0)),
                machine.target.biases + shift * (kind == 1),
            )
            found.append(Compiled(graph, noisy, machine.factors).mapping_error())
    return np.quantile(found, (0.25, 0.5, 0.75))


def _at(levels: tuple[float, ...], values: np.ndarray, level: float) -> float:
    order = np.argsort(levels)
    return float(np.interp(level, np.array(levels)[order], values[order]))


def _rank_correlation(levels: tuple[float, ...], values: np.ndarray) -> float:
    if len(levels) < 2:
        return 1.0
    ranks = np.argsort(np.argsort(levels)), np.argsort(np.argsort(values))
    return float(np.corrcoef(*ranks)[0, 1])


def figures(outcome: Outcome, config: Config):
    """The mapping over M, noise on parameters, and what samplers make of it."""
    recordings = outcome.recordings
    exact, axes = subplots(1, 2, height=3.0)
    left, right = axes[0]
    low, middle, high = np.quantile(recordings["mapping"], (0, 0.5, 1), axis=0)
    left.semilogy(config.strengths, middle, "o-", color=COLOURS[0], label="median")
    left.fill_between(config.strengths, low, high, color=COLOURS[0], alpha=0.2, lw=0, label="range")
    left.axhline(
        recordings["clipped"].max(), color=INK, lw=1, ls="--", label="largest, with tables clipped"
    )
    left.set(xlabel="M", ylabel="D_KL(network || machine) [nat]", title="mapping, exact")
    left.set_ylim(1e-14, None)
    left.legend()
    for colour, (low, middle, high), label in zip(
        COLOURS,
        recordings["noisy"].swapaxes(1, 2),
        ("weights, relative", "biases, absolute"),
        strict=False,
    ):
        right.plot(config.noise, middle, "o-", color=colour, label=label)
        right.fill_between(config.noise, low, high, color=colour, alpha=0.2, lw=0)
    right.set(xlabel="standard deviation of the noise", yscale="log", title="noise on parameters")
    right.legend()

    drawn, axes = subplots(height=3.0)
    names = (*NAMES, "mapping")
    for k, row in enumerate(recordings["sampled"]):
        axes[0, 0].plot(
            range(len(names)), row, ".", color=COLOURS[0], alpha=0.5, label="" if k else "a network"
        )
    middle = np.median(recordings["sampled"], 0)
    axes[0, 0].plot(range(len(names)), middle, "_", color=INK, ms=20, label="median")
    axes[0, 0].set_xticks(range(len(names)), names, rotation=15)
    axes[0, 0].set(yscale="log", ylim=(1e-5, None), ylabel="D_KL(sampled || network) [nat]")
    axes[0, 0].legend()
    return {"exact": exact, "sampled": drawn}
