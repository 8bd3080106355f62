"""Rules that find the first principal component, evolved from nothing

Expressions of differences and products of local quantities evolve as the plasticity of a linear
neuron: the input x of a synapse, its weight w, and the output y. Fitness rewards weights that soon
agree with the first principal axis and have unit norm. What comes out is compared with Oja's rule,
f = y (x - w y), on data sets that evolution never saw.

A rule counts as Oja-like if it passes four tests, fixed before any was tried on fresh data. On
fresh data sets of the length that evolution saw, its fitness is not below that of Oja's rule at the
same learning rate; on fresh data sets five times as long, the mean of the last alignment |cos| is
at least 0.99, and the norm is off 1 by at most 0.05 in the mean; no weight diverges on any of them.

Ours, not the authors': small genomes, several parents, mutation until an active gene changes, and
several populations one after the other. The preset `paper` has the settings of the authors' last
public code; with them, none of the six runs of seed 0 reached Oja's fitness.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range
from lapicque.evolve import Program
from lapicque.evolve.tasks.principal_component import OJA, Fitness, end, learn
from lapicque.experiments._expressions import graph
from lapicque.experiments.evolving_plasticity_cgp import _figures
from lapicque.experiments.evolving_plasticity_cgp._evolution import (
    CITES as CITES,
    FLOOR,
    WORK,
    Evolution,
    evolve,
    factored,
    has_ojas_factor,
    per_set,
    seed_of,
    tuned,
)
from lapicque.lab import Certainty, Claim, Outcome

ALIGNED, OFF_NORM = 0.99, 0.05  # of an Oja-like rule
_LONGER = 5  # fresh data sets on which the end is judged
_ETAS = np.geomspace(0.002, 0.5, 49)  # learning rates among which the best is sought


@dataclass(frozen=True)
class Config(Evolution):
    """Settings of the experiment."""

    runs: int = 10  # each with data sets of its own
    fresh: int = 100  # data sets on which rules are verified

    def __post_init__(self):
        super().__post_init__()
        in_range("runs", self.runs, 1)
        in_range("fresh", self.fresh, 1)


PRESETS = {
    "smoke": Config(runs=2, populations=2, generations=20, samples=200, fresh=5),
    "quick": Config(),
    "paper": Config(
        runs=6, samples=2000, columns=1000, parents=1, children=4, tournament=1, active_genes=None,
        generations=2000, populations=1,
    ),
}  # fmt: skip

CLAIMS = (
    Claim(
        "found",
        "Evolution from random genomes ends with an Oja-like rule in at least 7 of 10 runs",
        "oja_like_share",
        Certainty.NOT_VERIFIED,
        f"{WORK}: rules that compete with Oja's are found; the share is our own target",
        at_least=0.7,
    ),
    Claim(
        "competitive",
        "On fresh data sets, evolved rules are in the median over runs not worse than Oja's at the "
        "same learning rate",
        "gain_fresh",
        Certainty.PUBLISHED,
        f"{WORK}, abstract; no number there",
        at_least=0.0,
    ),
    Claim(
        "factor",
        "At least one of the evolved rules contains Oja's factor x - w y",
        "with_factor",
        Certainty.REFERENCE_RUN,
        "our own runs of another program: 2 of 3 rules that were better than Oja's",
        at_least=1.0,
    ),
    Claim(
        "faster",
        "Most of the gain of Oja-like rules is a larger effective learning rate: at most half of "
        "it is left when that of Oja's rule is tuned to the data sets that evolution saw",
        "gain_left",
        Certainty.REFERENCE_RUN,
        "our own runs of another program, of which one found 6 y (x - w y); the half is our limit",
        at_most=0.5,
    ),
)


def run(config: Config, seed: int, session) -> Outcome:
    """Evolve rules, and verify the best of each run on fresh data."""
    tasks = [config.fitness(config.family().draw(seed_of(seed, 1, k))) for k in range(config.runs)]
    found = evolve(config, tasks, seed_of(seed, 0), session, "evolving")
    rules = [Program.decode(config.grid, genome) for genome in found.genomes]

    fresh = config.fitness(config.family(sets=config.fresh).draw(seed_of(seed, 2)))
    length = _LONGER * config.samples
    long = config.family(sets=config.fresh, samples=length).draw(seed_of(seed, 3))
    oja = {"train": np.array([per_set(OJA, task) for task in tasks]), "fresh": per_set(OJA, fresh)}
    # tuned on what evolution saw, like the rules
    etas = np.array([tuned(OJA, task, _ETAS) for task in tasks])
    own_etas = np.array([tuned(rule, task, _ETAS) for rule, task in zip(rules, tasks, strict=True)])

    def with_rate(rule: Program, eta: float) -> float:
        return per_set(rule, Fitness(fresh.data, eta, fresh.mode, fresh.alpha))

    on_fresh = np.array([per_set(rule, fresh) for rule in rules])
    gains = {
        "train": np.maximum(found.fitness / config.sets, FLOOR) - oja["train"],
        "fresh": on_fresh - oja["fresh"],
        "over_tuned": on_fresh - np.array([with_rate(OJA, eta) for eta in etas]),
    }
    both_tuned = np.array(
        [
            with_rate(rule, own) - with_rate(OJA, eta)
            for rule, own, eta in zip(rules, own_etas, etas, strict=True)
        ]
    )
    ends = [end(learn(rule, long, config.eta), long) for rule in (OJA, *rules)]
    alignment, norm = (np.array(part) for part in zip(*ends, strict=True))
    aligned = alignment.mean(1) >= ALIGNED
    normal = np.abs(norm - 1).mean(1) <= OFF_NORM
    stable = (norm[1:] > 0).all(1) & np.array([np.isfinite(fresh(rule)) for rule in rules])
    alike = stable & (gains["fresh"] >= 0) & aligned[1:] & normal[1:]
    factor = np.array([has_ojas_factor(rule) for rule in rules])
    for k, rule in enumerate(rules):
        shown = factored(rule)
        session.log(
            f"run {k}: {gains['fresh'][k]:+.4f} to Oja's rule on fresh data, "
            f"{'' if alike[k] else 'not '}Oja-like: {rule if shown is None else shown}"
        )
    metrics = {
        "oja_like": alike.sum(),
        "oja_like_share": alike.mean(),
        "not_below_oja": (gains["fresh"] >= 0).sum(),
        "stable": stable.sum(),
        "aligned": aligned[1:].sum(),
        "of_unit_norm": normal[1:].sum(),
        "with_factor": factor.sum(),
        "oja_like_with_factor": (alike & factor).sum(),
        "oja": oja["fresh"],
        "oja_tuned": oja["fresh"] + np.median(gains["fresh"] - gains["over_tuned"]),
        "oja_tuned_eta": np.median(etas),
        "oja_end_alignment": alignment[0].mean(),
        "gain_train": np.median(gains["train"]),
        "gain_fresh": np.median(gains["fresh"]),
        "gain_fresh_worst": gains["fresh"].min(),
        "gain_over_tuned": np.median(gains["over_tuned"]),
        "gain_both_tuned": np.median(both_tuned),
        "gain_left": _ratio(gains["over_tuned"][alike].sum(), gains["fresh"][alike].sum()),
        "evaluations": found.evaluations,
    }
    best = int(np.argmax(gains["fresh"]))  # for figures alone
    traced = [(OJA, config.eta), (OJA, etas[best]), *((rule, config.eta) for rule in rules)]
    recordings = {
        "genomes": found.genomes,
        "history": np.maximum(found.history / config.sets, FLOOR),
        "oja": oja["train"],
        "alike": alike,
        "factor": factor,
        "alignment": np.array([learn(r, fresh.data, eta).alignment.mean(1) for r, eta in traced]),
        "best": np.array(best),
        "etas": etas,
        "end_alignment": alignment,
        "end_norm": norm,
    } | {f"gain_{name}": value for name, value in gains.items()}
    return Outcome({name: float(value) for name, value in metrics.items()}, recordings)


def _ratio(left: float, gain: float) -> float:
    """Left of a gain; all of it where there is none."""
    return left / gain if gain > 0 else 1.0


def figures(outcome: Outcome, config: Config):
    """Evolution, the rules that it found, how they do on fresh data, and the best one."""
    recordings = outcome.recordings
    rules = [Program.decode(config.grid, genome) for genome in recordings["genomes"]]
    best = rules[int(recordings["best"])]
    drawn = {
        "evolution": _figures.evolution(recordings["history"], recordings["oja"]),
        "rules": _figures.formulas(
            rules, recordings["gain_fresh"], recordings["alike"], "gain over Oja, fresh data"
        ),
        "fresh data": _figures.fresh(recordings, config.eta),
        "graph": graph({"f": best}),
        "surface": _figures.surfaces(best),
    }
    return drawn
