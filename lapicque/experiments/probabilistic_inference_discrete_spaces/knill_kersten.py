"""An illusion as inference: spiking neurons explain a shading away

Four variables: a step in reflectance or a curved shape can cause a shading, and a curved outline
tells of the shape. Auxiliary units turn the Bayesian network into a Boltzmann machine, almost
exactly. Gibbs sampling and abstract neurons sample it well; LIF neurons with exponential synapses
do not, since strong couplings make the shape of their responses matter. Chains of relay neurons
that make them nearly rectangular mend most of it.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.experiments.probabilistic_inference_discrete_spaces._samplers import (
    NAMES,
    SPIKING,
    sampled,
    samplers,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling.factors import illusion
from lapicque.sampling.observables import empirical, kl, kl_in_time
from lapicque.sampling.relays import chain, current
from lapicque.spiking.models import BOMBARDED

_EVIDENCE = ({}, {2: 1}, {2: 1, 3: 0}, {2: 1, 3: 1})
_LABELS = ("none", "shading", "shading,\nflat outline", "shading,\ncurved outline")
_STRENGTHS = np.array([2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0])
_GAPS = (0.1, 0.5, 1.0, 3.0)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    M: float = 6.0  # strength of the couplings of auxiliary units
    eps: float = 0.5
    scan: tuple[float, ...] = (4.0, 5.0, 6.0, 8.0, 10.0)  # strengths that are sampled
    relays: int = 5  # parts into which a chain divides a refractory time
    chains: int = 8
    duration: float = 5000.0  # of a chain [refractory times]
    preset: str = "mixing_cuba"  # of `BOMBARDED`
    v_reset: float = -50.0001  # mV
    dt: float = 0.1  # ms

    def __post_init__(self):
        positive("M", self.M)
        in_range("eps", self.eps, 0)
        positive("scan", self.scan)
        in_range("relays", self.relays, 1)
        in_range("chains", self.chains, 1)
        in_range("duration", self.duration, 10)
        one_of("preset", self.preset, BOMBARDED)
        in_range("v_reset", self.v_reset, unit="mV")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(scan=(6.0,), chains=2, duration=50.0),
    "quick": Config(),
    "paper": Config(chains=32, duration=100_000.0),
}

_OWN = "our own runs of another program"
_WORK = "Probst et al. (2015), abstract"

CLAIMS = (
    Claim(
        "mapping",
        "The machine with auxiliary units has the distribution of the network: divergence at M = 6",
        "mapping_error",
        Certainty.REFERENCE_RUN,
        "exact enumeration by another program",
        at_least=8.3e-4,
        at_most=8.6e-4,
        published=8.4e-4,
    ),
    Claim(
        "mapping_slope",
        "Each unit of M divides that divergence by e^2",
        "mapping_slope",
        Certainty.DERIVED,
        "second order in exp(-M)",
        at_least=-2.05,
        at_most=-1.95,
        published=-2.0,
    ),
    Claim(
        "gibbs",
        "Gibbs sampling of the machine gives the distribution",
        "Gibbs_divergence",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.01,
        published=0.0012,
    ),
    Claim(
        "neural",
        "So do abstract neurons",
        "abstract neurons_divergence",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.005,
        published=0.0015,
    ),
    Claim(
        "renewing",
        "LIF neurons with exponential synapses do not",
        "LIF, renewing_divergence",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.4,
        published=0.81,
    ),
    Claim(
        "relays",
        "Chains of relays that shape the response sample far better, at least thrice",
        "gain_of_relays",
        Certainty.REFERENCE_RUN,
        _OWN + ", for a rectangular response",
        at_least=3.0,
        published=3.7,
    ),
    Claim(
        "five_are_enough",
        "A chain of five does as well as a rectangle, within a factor of 2",
        "relays_over_rectangle",
        Certainty.NOT_VERIFIED,
        "Probst et al. (2015) use about as many",
        at_most=2.0,
    ),
    Claim(
        "explaining_away",
        "LIF neurons with relays explain the reflectance away as the outline turns out curved",
        "LIF, relays_explaining_away",
        Certainty.DERIVED,
        "enumeration gives 0.356; " + _WORK + " for the effect",
        at_least=0.1,
        published=0.356,
    ),
)

CITES = ("probst2015probabilistic", "pecevski2011probabilistic", "knill1991apparent")


def run(config: Config, seed: int, session) -> Outcome:
    """The mapping, then all samplers without and with evidence."""
    graph = illusion().graph
    machine = graph.compile(config.M, config.eps)
    mapping = np.array(
        [[graph.compile(M, eps).mapping_error() for M in _STRENGTHS] for eps in _GAPS]
    )
    late = (_STRENGTHS >= 6) & (_STRENGTHS <= 12)
    metrics: dict[str, float] = {
        "mapping_error": graph.compile(6.0, 0.5).mapping_error(),
        "mapping_slope": np.polyfit(_STRENGTHS[late], np.log(mapping[1, late]), 1)[0],
    }
    exact = np.array([graph.posterior(evidence) for evidence in _EVIDENCE])
    recordings = {"mapping": mapping, "exact": exact, "target": graph.probabilities}

    session.log("calibration")
    parts = samplers(config.preset, config.v_reset, config.relays, config.dt, seed)
    recordings["relative_times"] = np.geomspace(0.01, 1, 12)
    for name, sampler in parts.items():
        session.log(name)
        found = session.stage(
            name, lambda name=name, sampler=sampler: _sampled(config, name, sampler, machine, seed)
        )
        recordings |= {f"{name}/{key}": value for key, value in found.items()}
        posterior = found["posterior"]
        metrics |= {
            f"{name}_divergence": kl(found["joint"], graph.probabilities),
            f"{name}_posterior_error": np.abs(posterior - exact).max(),
            f"{name}_explaining_away": posterior[2, 0] - posterior[3, 0],
        }
    rows = []
    for M in config.scan:
        session.log(f"M = {M:g}")
        rows.append(
            session.stage(f"M {M:g}", lambda M=M: _over_strength(config, parts, graph, M, seed))
        )
    recordings["scan"] = np.array(rows)
    metrics["gain_of_relays"] = (
        metrics["LIF, renewing_divergence"] / metrics["LIF, relays_divergence"]
    )
    metrics["relays_over_rectangle"] = (
        metrics["LIF, relays_divergence"] / metrics["LIF, rectangle_divergence"]
    )
    return Outcome(metrics, recordings)


def _sampled(config: Config, name, sampler, machine, seed: int) -> dict[str, np.ndarray]:
    """Joint distribution, divergence in time, and posteriors, (evidence, variables)."""
    draws = [
        sampled(name, sampler, machine, evidence, config.chains, config.duration, seed + k)
        for k, evidence in enumerate(_EVIDENCE)
    ]
    free = draws[0]
    at = np.unique(np.maximum(1, np.geomspace(0.01, 1, 12) * len(free)).astype(int))
    course = kl_in_time(free, machine.graph.probabilities, at)
    return {
        "joint": empirical(free),
        "in_time": course,
        "at": at / len(free) * config.duration,
        "posterior": np.array([z.mean((0, 1)) for z in draws]),
        "posterior_error": np.array([z.mean(0).std(0) for z in draws]) / np.sqrt(config.chains),
    }


def _over_strength(config: Config, parts, graph, M: float, seed: int) -> np.ndarray:
    machine = graph.compile(M, config.eps)
    found = [
        sampled(name, part, machine, {}, config.chains, config.duration, seed)
        for name, part in parts.items()
    ]
    exact = machine.mapping_error()
    return np.array([*(kl(empirical(z), graph.probabilities) for z in found), exact])


def figures(outcome: Outcome, config: Config):
    """The mapping, what each sampler makes of it in time, posteriors, and the responses."""
    recordings = outcome.recordings
    colours = dict(zip(NAMES, COLOURS, strict=False))
    mapping, axes = subplots(1, 2, height=3.8)
    left, right = axes[0]
    for eps, row in zip(_GAPS, recordings["mapping"], strict=True):
        left.semilogy(_STRENGTHS, row, "o-", ms=3, label=f"eps {eps:g}")
    left.set(xlabel="M", ylabel="D_KL(network || machine) [nat]", title="mapping, exact")
    left.legend()
    for k, name in enumerate(NAMES):
        right.semilogy(config.scan, recordings["scan"][:, k], "o-", color=colours[name], label=name)
    right.semilogy(config.scan, recordings["scan"][:, -1], ":", color=INK, label="mapping")
    right.set(xlabel="M", ylabel="D_KL(sampled || network) [nat]", ylim=(1e-4, None))
    right.set_title("sampled")
    mapping.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)

    course, axes = subplots(height=3.2)
    for name in NAMES:
        low, middle, high = np.quantile(recordings[f"{name}/in_time"], (0.25, 0.5, 0.75), axis=1)
        at = recordings[f"{name}/at"]
        axes[0, 0].loglog(at, middle, color=colours[name], label=name)
        axes[0, 0].fill_between(at, low, high, color=colours[name], alpha=0.2, lw=0)
    axes[0, 0].axhline(outcome.metrics["mapping_error"], color=MUTED, lw=1, ls=":")
    axes[0, 0].set(
        xlabel="duration of a chain [refractory times]", ylabel="D_KL(sampled || network) [nat]"
    )
    axes[0, 0].legend()

    posterior, axes = subplots(1, 2, height=3.6, sharey=True)
    x, width = np.arange(len(_EVIDENCE)), 0.8 / (len(NAMES) + 1)
    for variable, (axis, title) in enumerate(
        zip(axes[0], ("step in reflectance", "curved shape"), strict=True)
    ):
        axis.bar(x - 0.4, recordings["exact"][:, variable], width, color=INK, label="exact")
        for k, name in enumerate(NAMES):
            axis.bar(
                x - 0.4 + (k + 1) * width,
                recordings[f"{name}/posterior"][:, variable],
                width,
                yerr=recordings[f"{name}/posterior_error"][:, variable],
                color=colours[name],
                label=name,
            )
        axis.set_xticks(x - 0.4 + width * len(NAMES) / 2, _LABELS, fontsize=7)
        axis.set(title=title)
    axes[0, 0].set_ylabel("posterior probability")
    posterior.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)

    response, axes = subplots(height=2.4)
    receptors, neuron = BOMBARDED[config.preset].receptors, BOMBARDED[config.preset].neuron
    tau, length = float(receptors.tau_syn_E), float(neuron.tau_refrac) + config.dt  # pyright: ignore
    time = np.linspace(-1, 3 * length, 1500)
    axes[0, 0].plot(
        time,
        np.exp(-np.maximum(time, 0) / tau) * (time >= 0),
        color=colours[SPIKING[0]],
        label=SPIKING[0],
    )
    for name, n in zip(SPIKING[1:], (config.relays, round(length / config.dt)), strict=True):
        shape = current(*chain(n, length, tau, config.dt), tau, time)
        axes[0, 0].plot(time, shape, color=colours[name], label=name, lw=1)
    axes[0, 0].set(xlabel="time after a spike [ms]", ylabel="synaptic current [maximum]")
    axes[0, 0].legend()
    return {"mapping": mapping, "in_time": course, "posteriors": posterior, "responses": response}
