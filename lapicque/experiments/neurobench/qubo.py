"""Largest independent sets: spiking neurons that sample, beside tabu search (NeuroBench, QUBO)

Random graphs of the benchmark's system track, with its own seeds. Those of up to 50 nodes are
solved exactly, which checks both the generator and the costs that are shipped. Larger ones are
searched by tabu search, by Gibbs sampling and by LIF neurons that sample, both while the
temperature falls; the gap to the best known cost is reported after fixed wall times, as the
benchmark wants it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lapicque._checks import InputError, in_range, one_of
from lapicque.benchmark.qubo import (
    DENSITIES,
    SIZES,
    Exact,
    GibbsAnnealing,
    Solution,
    SpikingAnnealing,
    Tabu,
    instance,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling import calibrate

SOLVERS = ("tabu", "gibbs", "spiking")
TITLES = {"tabu": "tabu search", "gibbs": "Gibbs annealing", "spiking": "spiking annealing"}
TIMES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # s, of the benchmark's scenario of fixed times
_EXACT = tuple(
    (n, d, seed) for n in (10, 25, 50) for d in DENSITIES for seed in range(5) if n < 50 or d > 0.01
)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    sizes: tuple[int, ...] = (50, 100, 250, 500)  # nodes
    densities: tuple[float, ...] = DENSITIES
    seeds: int = 5  # per size and density
    exact: int = len(_EXACT)  # instances that are solved exactly
    tabu_steps: int = 100_000
    gibbs_sweeps: int = 2000
    spiking_duration: float = 2000.0  # ms
    chains: int = 4
    calibration: float = 20_000.0  # ms, per potential

    def __post_init__(self):
        for n in self.sizes:
            one_of("sizes", n, SIZES)
        for density in self.densities:
            one_of("densities", density, DENSITIES)
        if not self.sizes or not self.densities:
            raise InputError("`sizes` and `densities` must not be empty.")
        in_range("seeds", self.seeds, 1, 5)
        in_range("exact", self.exact, 1, len(_EXACT))
        in_range("tabu_steps", self.tabu_steps, 100)
        in_range("gibbs_sweeps", self.gibbs_sweeps, 10)
        in_range("spiking_duration", self.spiking_duration, 100, unit="ms")
        in_range("chains", self.chains, 1)
        in_range("calibration", self.calibration, 1000, unit="ms")


PRESETS = {
    "smoke": Config(
        (50,), (0.05,), 1, exact=12, tabu_steps=2000, gibbs_sweeps=100, spiking_duration=200.0,
        chains=1, calibration=4000.0,
    ),
    "quick": Config(),
    "paper": Config(
        (50, 100, 250, 500, 1000, 2500), tabu_steps=2_000_000, gibbs_sweeps=10_000,
        spiking_duration=10_000.0, calibration=40_000.0,
    ),
}  # fmt: skip

_OWN = "our limit; no number is published for this solver on these instances"

CLAIMS = (
    Claim(
        "exact",
        "All 55 instances that were solved exactly have the costs shipped with the benchmark",
        "exact_agree",
        Certainty.REFERENCE_RUN,
        "NeuroBench, tuning instances, regenerated with networkx 3.6.1",
        at_least=55,
        at_most=55,
        published=55,
    ),
    Claim(
        "baseline",
        "On average the baseline, tabu search, comes within 2 % of the best known cost",
        "tabu_gap",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.02,
    ),
    Claim(
        "gibbs",
        "So does annealed Gibbs sampling",
        "gibbs_gap",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.02,
    ),
    Claim(
        "spiking",
        "and so do spiking neurons that sample",
        "spiking_gap",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.02,
    ),
    Claim(
        "beside",
        "On the same instances spiking neurons are not more than 1 % behind tabu search",
        "spiking_minus_tabu",
        Certainty.NOT_VERIFIED,
        _OWN,
        at_most=0.01,
    ),
)

CITES = ("yik2025neurobench", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Solve the small instances exactly, then let all solvers work on the others."""
    exact = session.stage("exact", lambda: _exact(config.exact))
    session.log(f"exact: {int(exact['agree'].sum())} of {config.exact} agree")
    calibration = calibrate("tutorial_cuba", duration=config.calibration, seed=seed)
    solvers = {
        "tabu": Tabu(config.tabu_steps),
        "gibbs": GibbsAnnealing(config.gibbs_sweeps, config.chains),
        "spiking": SpikingAnnealing(calibration, config.spiking_duration, config.chains),
    }
    gaps, metrics = [], {}
    recordings = {f"exact/{k}": v for k, v in exact.items()}
    for n in config.sizes:
        found = session.stage(f"n{n}", lambda n=n: _searched(config, n, solvers, seed))
        session.log(f"n {n}: mean gap {dict(zip(SOLVERS, found['gap'].mean((1, 2)), strict=True))}")
        recordings |= {f"n{n}/{k}": v for k, v in found.items()}
        gaps.append(found["gap"])
        for k, name in enumerate(SOLVERS):
            metrics[f"{name}_gap_{n}"] = float(found["gap"][k].mean())
            metrics[f"{name}_seconds_{n}"] = float(found["seconds"][k].mean())
        metrics[f"spiking_repaired_gap_{n}"] = float(found["repaired"][-1].mean())
    gap = np.stack(gaps, axis=1)  # (solver, size, density, seed)
    metrics |= {f"{name}_gap": float(gap[k].mean()) for k, name in enumerate(SOLVERS)}
    metrics |= {f"{name}_best": float((gap[k] <= 0).mean()) for k, name in enumerate(SOLVERS)}
    metrics["spiking_minus_tabu"] = metrics["spiking_gap"] - metrics["tabu_gap"]
    metrics["better_than_known"] = float((gap < 0).any(0).sum())
    metrics["spiking_model_time"] = config.spiking_duration / 1000.0
    metrics["exact_agree"] = float(exact["agree"].sum())
    metrics["exact_instances"] = float(config.exact)
    return Outcome(metrics, recordings)


def _exact(count: int) -> dict[str, Any]:
    costs, agree = [], []
    for n, density, seed in _EXACT[:count]:
        problem = instance(n, density, seed)
        costs.append(Exact().solve(problem).cost)
        agree.append(costs[-1] == problem.best_known)
    return {"cost": np.array(costs), "agree": np.array(agree)}


def _searched(config: Config, n: int, solvers: dict[str, Any], seed: int) -> dict[str, Any]:
    shape = (len(SOLVERS), len(config.densities), config.seeds)
    gap, repaired, seconds = np.empty(shape), np.empty(shape), np.empty(shape)
    after = np.empty((*shape, len(TIMES)))
    known = np.empty(shape[1:])
    for d, density in enumerate(config.densities):
        for s in range(config.seeds):
            problem = instance(n, density, s)
            known[d, s] = problem.best_known
            for k, name in enumerate(SOLVERS):
                solution = solvers[name].solve(problem, seed + s)
                gap[k, d, s] = problem.gap(solution.cost)
                repaired[k, d, s] = problem.gap(solution.repaired)
                seconds[k, d, s] = solution.seconds
                after[k, d, s] = _after(problem, solution)
    return {"gap": gap, "repaired": repaired, "seconds": seconds, "after": after, "known": known}


def _after(problem, solution: Solution) -> np.ndarray:
    """Gaps at fixed times: 1, of no node at all, before the first look; after the end the last."""
    place = np.searchsorted(solution.times, TIMES, side="right") - 1
    costs = solution.costs[np.maximum(place, 0)]
    return np.where(place >= 0, [problem.gap(c) for c in costs], 1.0)


# -- figures -------------------------------------------------------------------------------------


def figures(outcome: Outcome, config: Config):
    """Gaps over size and density, gaps after fixed times, and the table of the benchmark."""
    recordings = outcome.recordings
    return {
        "gaps": _gaps(recordings, config),
        "fixed_times": _fixed_times(recordings, config),
        "table": _table(recordings, config),
    }


def _gaps(recordings, config: Config):
    figure, axes = subplots(1, len(config.densities), width=8.2, height=2.9, sharey=True)
    place = np.arange(len(config.sizes))
    for d, (axis, density) in enumerate(zip(axes[0], config.densities, strict=True)):
        axis.axhline(0, color=INK, linewidth=0.8)
        for k, name in enumerate(SOLVERS):
            gaps = 100 * np.stack([recordings[f"n{n}/gap"][k, d] for n in config.sizes])
            x = place + 0.16 * (k - 1)
            axis.plot(x, gaps.mean(1), "o-", color=COLOURS[k], label=TITLES[name], linewidth=1.2)
            axis.vlines(x, gaps.min(1), gaps.max(1), color=COLOURS[k], linewidth=1, alpha=0.6)
        axis.set_title(f"density {density:.0%}")
        axis.set_xlabel("nodes")
        axis.set_xticks(place, [str(n) for n in config.sizes])
        axis.set_xlim(-0.5, len(place) - 0.5)
    axes[0, 0].set_ylabel("gap to best known cost [%]\n(below 0: better)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _fixed_times(recordings, config: Config):
    sizes = config.sizes[-4:]
    figure, axes = subplots(1, len(sizes), width=8.2, height=2.9, sharey=True)
    for axis, n in zip(axes[0], sizes, strict=True):
        after = 100 * recordings[f"n{n}/after"].reshape(len(SOLVERS), -1, len(TIMES))
        axis.axhline(0, color=INK, linewidth=0.8)
        for k, name in enumerate(SOLVERS):
            seen = (after[k] < 100).all(0)  # before that, not all had looked
            if seen.any():
                mean = after[k][:, seen].mean(0)
                axis.plot(np.array(TIMES)[seen], mean, "o-", color=COLOURS[k], label=TITLES[name])
        axis.set_xscale("log")
        axis.set_xlim(TIMES[0] / 2, TIMES[-1] * 2)
        axis.set_title(f"{n} nodes")
        axis.set_xlabel("wall time [s]")
    axes[0, 0].set_ylabel("mean gap [%]")
    found = {}
    for axis in axes[0]:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=3)
    return figure


def _table(recordings, config: Config):
    rows = []
    for n in config.sizes:
        for d, density in enumerate(config.densities):
            row = [str(n), f"{density:.0%}", f"{recordings[f'n{n}/known'][d].mean():.1f}"]
            for k in range(len(SOLVERS)):
                gap = recordings[f"n{n}/gap"][k, d].mean()
                row += [f"{gap:+.3f}", f"{recordings[f'n{n}/seconds'][k, d].mean():.2f}"]
            rows.append(row)
    figure, axes = subplots(1, 1, width=7.4, height=0.75 + 0.2 * len(rows))
    axis = axes[0, 0]
    axis.axis("off")
    x = (0.06, 0.16, 0.29, 0.42, 0.52, 0.65, 0.75, 0.89, 0.99)
    heads = ["nodes", "density", "mean best known", *["gap", "time [s]"] * len(SOLVERS)]
    top = len(rows) + 2
    axis.set_xlim(0, 1)
    axis.set_ylim(0, top)
    for k, name in enumerate(SOLVERS):
        middle = (x[3 + 2 * k] + x[4 + 2 * k]) / 2 - 0.03
        axis.text(middle, top - 0.5, TITLES[name], ha="center", va="center", color=COLOURS[k])
    for place, head in zip(x, heads, strict=True):
        axis.text(place, top - 1.5, head, ha="right", va="center", color=MUTED, fontsize=8)
    axis.axhline(top - 2, color=MUTED, linewidth=0.8)
    for r, row in enumerate(rows):
        for place, entry in zip(x, row, strict=True):
            text = entry.replace("-", "\u2212")
            axis.text(place, top - 2.5 - r, text, ha="right", va="center", fontsize=8)
        if r and r % len(config.densities) == 0:
            axis.axhline(top - 2 - r, color=MUTED, linewidth=0.4)
    return figure
