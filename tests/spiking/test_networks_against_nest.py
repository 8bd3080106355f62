"""Large networks: statistics within the spread that NEST's own seeds predict for another seed.

NEST's numbers lie in `reference/networks.json`, see `make_networks.py`. The seeds of these networks
differ in their connections, too, so that no two runs can be compared spike by spike.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from lapicque.spiking import Simulation, Spikes
from lapicque.spiking.models import brunel, self_sustained, vogels_abbott
from lapicque.spiking.statistics import correlation, cv, prediction

REFERENCE = json.loads((Path(__file__).parent / "reference" / "networks.json").read_text())
MODELS = {"brunel": brunel, "vogels_abbott": vogels_abbott, "adex": self_sustained}


def measured(name: str, seed: int, threads: int = 1) -> dict[str, float]:
    """The statistics of `make_networks.py` of one run of ours."""
    p = REFERENCE[name]["parameters"]
    model = MODELS[name](**({"seed": seed} if name != "brunel" else {}))
    simulation = Simulation(model.network, 0.1, seed=seed, threads=threads)
    stop = p["warm_up"] + p["ms"]
    recording = simulation.run(stop)
    warm = p["warm_up"]
    parts = [recording.spikes(q) for q in (model.excitatory, model.inhibitory)]
    sizes = [model.excitatory.size, model.inhibitory.size]
    late = [Spikes(s.time[s.time > warm], s.id[s.time > warm]) for s in parts]
    rates = [len(s.time) / n / (stop - warm) * 1e3 for s, n in zip(late, sizes, strict=True)]
    both = Spikes(
        np.concatenate([s.time for s in late]), np.concatenate([late[0].id, late[1].id + sizes[0]])
    )
    order = np.argsort(both.time, kind="stable")
    both = Spikes(both.time[order], both.id[order])
    chosen = np.random.default_rng(0).choice(sum(sizes), 200, replace=False)
    pairs = correlation(both, sum(sizes), 5.0, warm, stop, chosen)
    return {
        "rate_E": rates[0],
        "rate_I": rates[1],
        "cv": float(np.nanmean(cv(both, sum(sizes)))),
        "correlation": float(pairs.mean),
    }


def check(name: str, seeds, threads: int = 1) -> None:
    runs = [measured(name, seed, threads) for seed in seeds]
    for quantity in ("rate_E", "rate_I", "cv", "correlation"):
        theirs = [row[quantity] for row in REFERENCE[name]["seeds"]]
        expected = prediction(theirs, 0.999)
        for run in runs:
            assert expected.low <= run[quantity] <= expected.high, (quantity, run, expected)
        ours = np.mean([run[quantity] for run in runs])
        error = np.std(theirs, ddof=1) * np.sqrt(1 / len(runs) + 1 / len(theirs))
        assert ours == pytest.approx(np.mean(theirs), abs=4 * error), quantity


def test_vogels_abbott():
    check("vogels_abbott", (1, 2, 3))


@pytest.mark.slow
def test_vogels_abbott_of_more_seeds():
    check("vogels_abbott", range(10, 22))


def test_brunel():
    check("brunel", (1,), threads=2)


@pytest.mark.slow
def test_brunel_of_more_seeds():
    check("brunel", (2, 3, 4, 5))


@pytest.mark.slow
def test_self_sustained_adaptive_neurons():
    check("adex", (1, 2, 3), threads=2)
