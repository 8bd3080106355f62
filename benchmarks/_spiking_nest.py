"""Spiking workloads in NEST, one per process: `python _spiking_nest.py brunel --ms 1000`.

A run prints one line of JSON: time to build [s], time to simulate by the clock and by the CPU [s],
spikes, synaptic events among the neurons (spikes times mean out-degree of their population; input
from outside is not counted), peak resident memory [MB], mean rate [Hz], CV of the intervals and
the time per event and per step of a neuron [ns]. The process does not pin itself: pin its parent.

The constants of the workloads, in the units of PyNN, are here for the other simulators, too.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DT = 0.1  # ms

# LIF samplers at half activity: with the unit weight of a Boltzmann machine [nA, uS], and the rate
# [Hz] and weight of the private noise, excitatory and inhibitory
SAMPLER = {"v_thresh": -50.0, "v_reset": -50.001, "cm": 0.2, "tau_m": 1.0, "tau_refrac": 10.0}
SAMPLER |= {"tau_syn_E": 10.0, "tau_syn_I": 10.0}
CURRENT = SAMPLER | {"v_rest": -50.0056}
CONDUCTANCE = SAMPLER | {"v_rest": -50.614, "e_rev_E": 0.0, "e_rev_I": -100.0}
SAMPLING = {
    "current": (CURRENT, 0.00315, 1000.0, 0.001),
    "conductance": (CONDUCTANCE, 0.00535, 3000.0, 0.001),
}
SAMPLING_DELAY = 0.1

# Brunel (2000), model A: excitation and inhibition balanced at g 5, drive of twice the threshold
BRUNEL = {"v_rest": 0.0, "v_reset": 10.0, "v_thresh": 20.0, "tau_m": 20.0, "tau_refrac": 2.0}
BRUNEL_SIZES = (10000, 2500)
BRUNEL_INPUTS = (1000, 250)
BRUNEL_WEIGHT, BRUNEL_G, BRUNEL_ETA, BRUNEL_DELAY = 0.1, 5.0, 2.0, 1.5  # mV, 1, 1, ms
BRUNEL_NOISE_RATE = (  # all external spikes of a neuron [Hz]
    1000.0 * BRUNEL_ETA * BRUNEL["v_thresh"] / (BRUNEL_WEIGHT * BRUNEL["tau_m"])
)

# Vogels and Abbott (2005) as the conductance-based benchmark of Brette et al. (2007)
VOGELS_ABBOTT = {"v_rest": -60.0, "v_reset": -60.0, "v_thresh": -50.0, "cm": 0.2, "tau_m": 20.0}
VOGELS_ABBOTT |= {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 10.0}
VOGELS_ABBOTT |= {"e_rev_E": 0.0, "e_rev_I": -80.0}
VOGELS_ABBOTT_SIZES = (3200, 800)
VOGELS_ABBOTT_WEIGHTS = (0.006, 0.067)  # uS
VOGELS_ABBOTT_P, VOGELS_ABBOTT_DELAY = 0.02, 0.2
VOGELS_ABBOTT_KICK = {"rate": 300.0, "ms": 50.0}  # per neuron, with the excitatory weight


class Built(NamedTuple):
    """A network that is ready to run."""

    run: Callable[[float], None]  # simulates so many ms
    spikes: Callable[[], tuple[np.ndarray, np.ndarray]]  # times [ms] and neurons from 0 on
    sizes: tuple[int, ...]
    synapses: tuple[int, ...]  # out of each population


def sampling_weights(n: int, unit: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of different neurons, and normal weights of `unit` / sqrt(n)."""
    pre, post = np.nonzero(~np.eye(n, dtype=bool))
    weight = unit / np.sqrt(n) * np.random.default_rng(seed).standard_normal(len(pre))
    return pre, post, weight


def _simulator():
    """NEST, which others that want the constants above need not have; it takes a second."""
    os.environ.setdefault("PYNEST_QUIET", "1")
    import nest

    return nest


def _kernel(threads: int, seed: int):
    nest = _simulator()

    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=DT, local_num_threads=threads, rng_seed=seed)
    nest.keep_source_table = False  # needed only to look at connections; takes memory
    return nest


def _neuron(parameters: dict) -> dict:
    """NEST's names and units; the membrane starts at rest."""
    names = {"v_rest": "E_L", "v_reset": "V_reset", "v_thresh": "V_th", "tau_refrac": "t_ref"}
    names |= {"tau_syn_E": "tau_syn_ex", "tau_syn_I": "tau_syn_in"}
    names |= {"e_rev_E": "E_ex", "e_rev_I": "E_in"}
    native = {names[key]: value for key, value in parameters.items() if key in names}
    if "cm" in parameters:
        native["C_m"] = 1000.0 * parameters["cm"]
    if "e_rev_E" in parameters:
        native["g_L"] = 1000.0 * parameters["cm"] / parameters["tau_m"]
    else:
        native["tau_m"] = parameters["tau_m"]
    return native | {"V_m": parameters["v_rest"]}


def _uniform(nest, weight: float, delay: float) -> dict:
    """Synapses of one weight, which NEST then stores once."""
    model = f"uniform_{weight}"
    nest.CopyModel("static_synapse_hom_w", model, {"weight": weight})
    return {"synapse_model": model, "delay": delay}


def _built(nest, neurons, sizes, synapses) -> Built:
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    first = neurons[0].global_id

    def spikes():
        events = recorder.events
        return events["times"], events["senders"] - first

    # NEST sorts connections and builds its tables of targets here, not when it connects.
    nest.Prepare()
    return Built(nest.Run, spikes, sizes, synapses)


def sampling(threads: int, seed: int, n: int, synapse: str) -> Built:
    """All-to-all LIF neurons, each with two private Poisson sources."""
    nest = _kernel(threads, seed)
    parameters, unit, rate, noise = SAMPLING[synapse]
    model = "iaf_psc_exp" if synapse == "current" else "iaf_cond_exp"
    neurons = nest.Create(model, n, params=_neuron(parameters))
    sources = nest.Create("poisson_generator", 2, params={"rate": rate})  # independent per target
    for source, weight in zip(sources, (noise, -noise), strict=True):
        spec = {"weight": 1000.0 * weight, "delay": SAMPLING_DELAY}
        nest.Connect(source, neurons, "all_to_all", spec)
    pre, post, weight = sampling_weights(n, unit, seed)
    ids = np.asarray(neurons.tolist())
    spec = {"weight": 1000.0 * weight, "delay": np.full(len(pre), SAMPLING_DELAY)}
    nest.Connect(ids[pre], ids[post], "one_to_one", spec)
    return _built(nest, neurons, (n,), (len(pre),))


def brunel(threads: int, seed: int) -> Built:
    """12,500 neurons with fixed in-degree and delta synapses."""
    nest = _kernel(threads, seed)
    neurons = nest.Create("iaf_psc_delta", sum(BRUNEL_SIZES), params=_neuron(BRUNEL))
    weights = BRUNEL_WEIGHT, -BRUNEL_G * BRUNEL_WEIGHT
    source = nest.Create("poisson_generator", params={"rate": BRUNEL_NOISE_RATE})
    spec = {"weight": BRUNEL_WEIGHT, "delay": BRUNEL_DELAY}
    nest.Connect(source, neurons, "all_to_all", spec)
    split = BRUNEL_SIZES[0]
    populations = neurons[:split], neurons[split:]
    for population, inputs, weight in zip(populations, BRUNEL_INPUTS, weights, strict=True):
        rule = {"rule": "fixed_indegree", "indegree": inputs}
        nest.Connect(population, neurons, rule, _uniform(nest, weight, BRUNEL_DELAY))
    synapses = tuple(inputs * len(neurons) for inputs in BRUNEL_INPUTS)
    return _built(nest, neurons, BRUNEL_SIZES, synapses)


def vogels_abbott(threads: int, seed: int) -> Built:
    """4000 neurons with conductance synapses that keep each other active after a kick."""
    nest = _kernel(threads, seed)
    neurons = nest.Create("iaf_cond_exp", sum(VOGELS_ABBOTT_SIZES), params=_neuron(VOGELS_ABBOTT))
    excitatory, inhibitory = VOGELS_ABBOTT_WEIGHTS
    kick = {"rate": VOGELS_ABBOTT_KICK["rate"], "stop": VOGELS_ABBOTT_KICK["ms"]}
    source = nest.Create("poisson_generator", params=kick)
    spec = {"weight": 1000.0 * excitatory, "delay": VOGELS_ABBOTT_DELAY}
    nest.Connect(source, neurons, "all_to_all", spec)
    split, synapses = VOGELS_ABBOTT_SIZES[0], []
    rule = {"rule": "pairwise_bernoulli", "p": VOGELS_ABBOTT_P, "allow_autapses": False}
    for population, weight in ((neurons[:split], excitatory), (neurons[split:], -inhibitory)):
        before = nest.num_connections
        spec = _uniform(nest, 1000.0 * weight, VOGELS_ABBOTT_DELAY)
        nest.Connect(population, neurons, rule, spec)
        synapses.append(nest.num_connections - before)
    return _built(nest, neurons, VOGELS_ABBOTT_SIZES, tuple(synapses))


WORKLOADS = {"sampling": sampling, "brunel": brunel, "vogels_abbott": vogels_abbott}


def irregularity(times: np.ndarray, neurons: np.ndarray) -> float | None:
    """Mean CV of the intervals of the neurons with at least three of them."""
    order = np.lexsort((times, neurons))
    trains = np.split(times[order], np.nonzero(np.diff(neurons[order]))[0] + 1)
    intervals = [np.diff(train) for train in trains if len(train) > 3]
    return float(np.mean([i.std() / i.mean() for i in intervals])) if intervals else None


def figures(built: Built, ms: float, times: np.ndarray, neurons: np.ndarray) -> dict:
    """What was simulated, in numbers that all simulators share."""
    edges = np.cumsum((0, *built.sizes))
    spikes, _ = np.histogram(neurons, edges)
    out_degrees = np.array(built.synapses) / np.array(built.sizes)
    rates = spikes / np.array(built.sizes) / ms * 1000.0
    return {
        "bio_ms": ms,
        "n_neurons": sum(built.sizes),
        "n_synapses": sum(built.synapses),
        "spikes": int(spikes.sum()),
        "events": round(float(spikes @ out_degrees)),
        "rates_hz": [round(float(rate), 3) for rate in rates],
        "cv": irregularity(times, neurons),
    }


def with_costs(record: dict) -> dict:
    """Add the time per event and per step of a neuron [ns of CPU], and the speed."""
    cpu = 1e9 * record["sim_cpu_s"]
    steps = record["n_neurons"] * record["bio_ms"] / DT
    return record | {
        "ns_per_event": round(cpu / max(record["events"], 1), 2),
        "ns_per_neuron_step": round(cpu / steps, 2),
        "bio_s_per_cpu_s": record["bio_ms"] / 1e3 / record["sim_cpu_s"],
    }


def measure(build: Callable[[], Built], ms: float) -> dict:
    """Build and simulate in this process."""
    start = time.perf_counter()
    built = build()
    build_s = time.perf_counter() - start
    wall, cpu = time.perf_counter(), time.process_time()
    built.run(ms)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before the statistics
    record = {"build_s": build_s, "sim_wall_s": wall, "sim_cpu_s": cpu, "peak_mb": peak}
    return with_costs(record | figures(built, ms, *built.spikes()))


def command_line(description: str) -> argparse.ArgumentParser:
    """The options that all simulators share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--n", type=int, default=5, help="neurons (sampling)")
    parser.add_argument("--synapse", choices=SAMPLING, default="current", help="(sampling)")
    parser.add_argument("--ms", type=float, default=1000.0, help="biological time")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    more = {"n": options.n, "synapse": options.synapse} if options.workload == "sampling" else {}
    nest = _simulator()  # before the clock starts

    build = WORKLOADS[options.workload]
    record = measure(lambda: build(options.threads, options.seed, **more), options.ms)
    head = {"simulator": f"NEST {nest.__version__}", **vars(options)}
    print(json.dumps(head | record))


if __name__ == "__main__":
    main()
