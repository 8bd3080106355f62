"""Time until LIF neurons have sampled a Boltzmann machine, against NEST with the same calibration.

For 5 units it is the time until the divergence D(samples || target), averaged over twenty machines
of the beta ensemble, falls to 0.02; for 20 and 100 units, where the joint cannot be filled, the
time for a second of every unit. Both simulators run the same neurons (current-based, the preset
`mixing_cuba`), private Poisson noise, renewing synapses and weights, and give their spikes to the
same code that reads states. Ours runs one chain, and sixteen that share the time out among them.

The second table counts samples per second of Gibbs sweeps: ours, and the same sweep in plain NumPy,
written over chains as an array program would.

CPU time of one core counts, see `_race.py`; building and calibration do not.

    python benchmarks/sampling.py --repeats 3
"""
# ruff: noqa: E402

from _race import RESULTS, Rival, keep, machine, one_core, race

CORE = one_core()

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lapicque._checks import InputError, MissingExtra, extra, in_range
from lapicque.sampling import Gibbs, LIFSampler, beta_ensemble, calibrate, gauss_ensemble
from lapicque.sampling.lif import _read
from lapicque.sampling.observables import kl
from lapicque.sampling.target import index

GOAL = 0.02
INTERVAL = 1.0  # ms between states that count
PIECE = 1000.0  # ms between looks at the divergence
BURN_IN = 200.0  # ms
MACHINES = 20
PIECES = 40


class Ours:
    """The compiled engine, in one or several chains."""

    def __init__(self, calibration, target, seed: int, chains: int = 1):
        sampler = LIFSampler(calibration, interval=INTERVAL)
        self.chains = sampler.start(target, chains, seed)
        self.chains.run(1)

    def run(self, ms: float) -> np.ndarray:
        return self.chains.run(round(ms / INTERVAL / len(self.chains.simulation.chains)))


class Nest:
    """NEST, with our calibration and weights."""

    def __init__(self, nest, calibration, target, seed: int):
        self.nest, self.n, self.dt = nest, target.n, calibration.dt
        self.refractory = round(calibration.tau_ref / calibration.dt)
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.set(resolution=calibration.dt, rng_seed=seed + 1, local_num_threads=1)
        neuron, receptors = calibration.preset.neuron, calibration.preset.receptors
        self.neurons = nest.Create(
            "iaf_psc_exp",
            target.n,
            params={
                "C_m": 1000.0 * neuron.cm,
                "tau_m": neuron.tau_m,
                "t_ref": neuron.tau_refrac,
                "V_th": neuron.v_thresh,
                "V_reset": neuron.v_reset,
                "tau_syn_ex": receptors.tau_syn_E,
                "tau_syn_in": receptors.tau_syn_I,
                "I_e": 0.0,
            },
        )
        rest = calibration.rest(target.biases)
        for k in range(target.n):
            self.neurons[k].set({"E_L": float(rest[k]), "V_m": float(rest[k])})
        for rate, weight in zip(calibration.preset.rates, calibration.preset.weights, strict=True):
            source = nest.Create("poisson_generator", params={"rate": rate})
            spec = {"weight": 1000.0 * weight, "delay": self.dt}
            nest.Connect(source, self.neurons, "all_to_all", spec)
        weights = 1000.0 * calibration.synapses(target.weights, target.biases)
        post, pre = np.nonzero(target.weights)
        ids = np.asarray(self.neurons.tolist())
        nest.Connect(
            ids[pre],
            ids[post],
            "one_to_one",
            {
                "synapse_model": "tsodyks2_synapse",
                "weight": weights[post, pre],
                "delay": np.full(len(pre), self.dt),
                "U": np.ones(len(pre)),
                "u": np.ones(len(pre)),
                "tau_rec": np.full(len(pre), receptors.tau_syn_E),
                "tau_fac": np.zeros(len(pre)),
            },
        )
        self.recorder = nest.Create("spike_recorder")
        nest.Connect(self.neurons, self.recorder)
        nest.Prepare()
        self.seen, self.now = 0, 0
        self.last = np.full((1, target.n), -(2**62), np.int64)

    def run(self, ms: float) -> np.ndarray:
        self.nest.Run(ms)
        events = self.recorder.events
        new = slice(self.seen, None)
        self.seen = len(events["times"])
        step = np.round(events["times"][new] / self.dt).astype(np.int64)
        unit = (events["senders"][new] - self.neurons[0].global_id).astype(np.int64)
        order = np.lexsort((unit, step))
        every = round(INTERVAL / self.dt)
        out = np.empty((round(ms / INTERVAL), 1, self.n), np.uint8)
        zeros = np.zeros(len(step), np.int64)
        _read(step[order], unit[order], zeros, self.now, every, self.refractory, self.last, out)
        self.now += round(ms / self.dt)
        return out


def time_to_goal(make, done=lambda: None) -> dict[str, float]:
    """CPU and biological time until the divergence, averaged over machines, is small enough.

    NEST's kernel holds one network at a time, so that each machine runs all its pieces at once.
    """
    curves, costs = [], []
    for seed in range(MACHINES):
        target = beta_ensemble(5, seed)
        simulator = make(target, seed)
        simulator.run(BURN_IN)
        counts, curve, cost = np.zeros(32), [], []
        for _ in range(PIECES):
            begin = time.process_time()
            z = simulator.run(PIECE)
            cost.append(time.process_time() - begin)
            counts += np.bincount(index(z).ravel(), minlength=32)
            curve.append(kl(counts / counts.sum(), target.probabilities))
        done()
        curves.append(curve)
        costs.append(cost)
    mean = np.mean(curves, 0)
    reached = np.flatnonzero(mean <= GOAL)
    k = int(reached[0]) if len(reached) else PIECES - 1
    cpu = float(np.sum([cost[: k + 1] for cost in costs]))
    return {"cpu_s": cpu, "bio_ms": (k + 1) * PIECE, "divergence": float(mean[k])}


def per_second(make, n: int, ms: float) -> float:
    """CPU seconds for a biological second of a machine of n units."""
    simulator = make(gauss_ensemble(n, 0).at_temperature(np.sqrt(n)), 0)
    simulator.run(BURN_IN)
    begin = time.process_time()
    simulator.run(ms)
    return (time.process_time() - begin) / ms * 1000.0


def gibbs(repeats: int) -> dict[str, dict[str, float]]:
    """Samples of all chains per second: ours, and an array program in NumPy."""
    found = {}
    for n, chains in ((5, 16), (100, 16)):
        target = gauss_ensemble(n, 0).at_temperature(np.sqrt(n))
        mine = Gibbs().start(target, chains, 0)
        rng, z = np.random.default_rng(0), np.zeros((chains, n))

        def plain(sweeps=100, target=target, rng=rng, z=z):
            for _ in range(sweeps):
                u = rng.random(z.shape)
                for k in range(target.n):
                    field = z @ target.weights[k] + target.biases[k]
                    z[:, k] = u[:, k] * (1 + np.exp(-field)) < 1

        mine.run(10)
        plain(10)
        times = race(
            [Rival("ours", lambda mine=mine: mine.run(100), 100), Rival("numpy", plain, 100)],
            repeats * 5,
        )
        found[f"{n}"] = {name: 1e6 * chains / t.cpu for name, t in times.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of every rival")
    parser.add_argument("--json", type=Path, default=RESULTS / "sampling.json")
    options = parser.parse_args()
    try:
        in_range("--repeats", options.repeats, 1)
    except InputError as error:
        parser.error(str(error))
    console = Console(width=None if Console().is_terminal else 120)
    try:
        nest = extra("nest", "nest")
    except MissingExtra as error:
        nest = None
        console.print(f"{error} The race goes on without NEST.", markup=False)
    calibration = calibrate("mixing_cuba", seed=0)
    makers = {
        "ours": lambda target, seed: Ours(calibration, target, seed),
        "ours x16": lambda target, seed: Ours(calibration, target, seed, 16),
    }
    goals: dict[str, list[dict[str, float]]] = {}
    speeds: dict[str, dict[str, float]] = {"20": {}, "100": {}}
    for _ in range(options.repeats):
        for name, make in makers.items():
            goals.setdefault(name, []).append(time_to_goal(make))
        if nest is not None:
            goals.setdefault("NEST", []).append(
                time_to_goal(lambda t, s: Nest(nest, calibration, t, s), nest.Cleanup)
            )
        for n, ms in (("20", 3000.0), ("100", 1000.0)):
            for name, make in makers.items():
                length = ms * (16 if name.endswith("16") else 3)
                cost = per_second(make, int(n), length)
                speeds[n][name] = min(cost, speeds[n].get(name, np.inf))
            if nest is not None:
                cost = per_second(lambda t, s: Nest(nest, calibration, t, s), int(n), ms)
                speeds[n]["NEST"] = min(cost, speeds[n].get("NEST", np.inf))
                nest.Cleanup()
    best = {name: min(rows, key=lambda row: row["cpu_s"]) for name, rows in goals.items()}
    table = Table(title=f"LIF sampling, one core: to D = {GOAL} (5 units), and per second")
    for head in ("rival", "CPU [s]", "bio [s]", "D", "over ours", "20 units [s/s]", "100 units"):
        table.add_column(head, justify="right")
    for name, row in best.items():
        cells = [f"{row['cpu_s']:.3f}", f"{row['bio_ms'] / 1e3:.0f}", f"{row['divergence']:.4f}"]
        cells.append(f"{row['cpu_s'] / best['ours']['cpu_s']:.2f}")
        cells += [f"{speeds[n][name]:.4f}" for n in ("20", "100")]
        table.add_row(name, *cells)
    console.print(table)
    sweeps = gibbs(options.repeats)
    second = Table(title="Gibbs sampling, 16 chains on one core: samples per second")
    for head in ("units", "ours", "NumPy", "ratio"):
        second.add_column(head, justify="right")
    for n, row in sweeps.items():
        ratio = row["ours"] / row["numpy"]
        second.add_row(n, f"{row['ours']:.3g}", f"{row['numpy']:.3g}", f"{ratio:.1f}")
    console.print(second)
    record = {
        **machine(CORE, ["lapicque", "numpy", "numba", "nest-simulator"]),
        "work": {"goal": GOAL, "machines": MACHINES, "turns": options.repeats},
        "to_goal": best,
        "all_to_goal": goals,
        "cpu_s_per_bio_s": speeds,
        "gibbs_samples_per_s": sweeps,
    }
    keep(options.json, record)
    console.print(f"Written to {options.json}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
