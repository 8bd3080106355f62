"""Write the statistics of three networks in NEST that the spiking engine must meet.

    pip install nest-simulator==3.10.0
    python make_networks.py [--networks brunel vogels_abbott adex] [--json networks.json]

Trajectories of these networks are chaotic, so the spread over seeds is the tolerance. Per seed:
mean rate of the excitatory and inhibitory neurons [Hz], mean CV of the intervals between spikes
(neurons with at least 3 intervals), mean pairwise correlation of spike counts (bins of 5 ms, 200
random neurons drawn with seed 0, silent ones left out). Parameters have PyNN's names and units
(ms, mV, nF, nA, uS; `a` in nS). Networks that are not named stay as they are in the file.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("PYNEST_QUIET", "1")
import nest

DT = 0.1  # ms
BIN = 5.0  # ms

BRUNEL = {
    "neuron": {"v_rest": 0.0, "v_reset": 10.0, "v_thresh": 20.0, "tau_m": 20.0, "tau_refrac": 2.0},
    "v_init": 0.0,
    "nest_model": "iaf_psc_delta",
    "input_while_refractory": "discarded",
    "sizes": [10000, 2500],
    "in_degrees": [1000, 250],  # drawn with replacement; no neuron is excluded
    "weights_mV": [0.1, -0.5],
    "delay": 1.5,
    "poisson": {"rate_hz": 20000.0, "weight_mV": 0.1, "delay": 1.5},  # private to each neuron
    "warm_up": 200.0,
    "ms": 800.0,
}
VOGELS_ABBOTT = {
    "neuron": {"v_rest": -60.0, "v_reset": -60.0, "v_thresh": -50.0, "cm": 0.2, "tau_m": 20.0}
    | {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 10.0, "e_rev_E": 0.0, "e_rev_I": -80.0},
    "v_init": -60.0,
    "nest_model": "iaf_cond_exp",
    "sizes": [3200, 800],
    "probability": 0.02,  # of each pair of different neurons
    "weights_uS": [0.006, 0.067],
    "delay": 0.2,
    "kick": {"rate_hz": 300.0, "weight_uS": 0.006, "ms": 50.0},  # private to each neuron
    "warm_up": 300.0,
    "ms": 2000.0,
}
ADEX = {
    "neuron": {"v_rest": -70.0, "v_reset": -70.0, "v_thresh": -50.0, "cm": 0.25, "tau_m": 15.0}
    | {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0, "e_rev_E": 0.0, "e_rev_I": -80.0}
    | {"delta_T": 2.5, "a": 1.0, "tau_w": 600.0, "v_spike": -40.0},
    "a_unit": "nS",
    "b_nA": [0.005, 0.0],  # of excitatory and inhibitory neurons
    "v_init": -70.0,
    "nest_model": "aeif_cond_exp",
    "sizes": [3136, 784],
    "in_degrees": [200, 50],  # without self or double connections
    "torus_mm": 1.0,
    "sigma_mm": 0.2,  # probability ~ exp(-d^2 / (2 sigma^2))
    "delay": {"offset": 0.3, "mm_per_ms": 0.2, "rounded_to": 0.1},
    "weights_uS": [0.009, 0.09],
    "kick": {"share": 0.02, "rate_hz": 100.0, "weight_uS": 0.1, "ms": 100.0, "delay": 1.0},
    "warm_up": 1000.0,
    "ms": 3000.0,
}

_SAME = {"v_rest": "E_L", "v_reset": "V_reset", "v_thresh": "V_th", "tau_refrac": "t_ref"}
_SAME |= {"tau_syn_E": "tau_syn_ex", "tau_syn_I": "tau_syn_in", "e_rev_E": "E_ex"}
_SAME |= {"e_rev_I": "E_in", "delta_T": "Delta_T", "a": "a", "tau_w": "tau_w", "v_spike": "V_peak"}


def neurons_of(spec: dict):
    """All neurons of a network, excitatory first."""
    parameters = spec["neuron"]
    native = {_SAME[name]: value for name, value in parameters.items() if name in _SAME}
    native["V_m"] = spec["v_init"]
    if "cm" in parameters:
        native["C_m"] = 1000.0 * parameters["cm"]
        native["g_L"] = 1000.0 * parameters["cm"] / parameters["tau_m"]
    else:
        native["tau_m"] = parameters["tau_m"]
    return nest.Create(spec["nest_model"], sum(spec["sizes"]), params=native)


def brunel(spec: dict, seed: int):
    neurons, split = neurons_of(spec), spec["sizes"][0]
    poisson = spec["poisson"]
    source = nest.Create("poisson_generator", params={"rate": poisson["rate_hz"]})
    syn = {"weight": poisson["weight_mV"], "delay": poisson["delay"]}
    nest.Connect(source, neurons, "all_to_all", syn)
    for population, inputs, weight in zip(
        (neurons[:split], neurons[split:]), spec["in_degrees"], spec["weights_mV"], strict=True
    ):
        rule = {"rule": "fixed_indegree", "indegree": inputs}
        model = f"uniform_{weight}"  # stored once
        nest.CopyModel("static_synapse_hom_w", model, {"weight": weight})
        syn = {"synapse_model": model, "delay": spec["delay"]}
        nest.Connect(population, neurons, rule, syn)
    return neurons


def vogels_abbott(spec: dict, seed: int):
    neurons, split = neurons_of(spec), spec["sizes"][0]
    kick = spec["kick"]
    params = {"rate": kick["rate_hz"], "stop": kick["ms"]}
    syn = {"weight": 1000.0 * kick["weight_uS"], "delay": spec["delay"]}
    nest.Connect(nest.Create("poisson_generator", params=params), neurons, "all_to_all", syn)
    rule = {"rule": "pairwise_bernoulli", "p": spec["probability"], "allow_autapses": False}
    excitatory, inhibitory = spec["weights_uS"]
    for population, weight in ((neurons[:split], excitatory), (neurons[split:], -inhibitory)):
        syn = {"weight": 1000.0 * weight, "delay": spec["delay"]}
        nest.Connect(population, neurons, rule, syn)
    return neurons


def torus_connections(spec: dict, rng: np.random.Generator):
    """Sources, targets and distances [mm]; each neuron draws its inputs by distance."""
    n, split = sum(spec["sizes"]), spec["sizes"][0]
    place = rng.random((n, 2)) * spec["torus_mm"]
    pre, distances = [], []
    for target in range(n):
        gap = np.abs(place - place[target])
        distance = np.hypot(*np.minimum(gap, spec["torus_mm"] - gap).T)
        chance = np.exp(-(distance**2) / (2 * spec["sigma_mm"] ** 2))
        chance[target] = 0.0
        # The largest of log(p) + Gumbel noise are a draw without replacement with weights p.
        with np.errstate(divide="ignore"):
            key = np.log(chance) + rng.gumbel(size=n)
        excitatory = np.argpartition(-key[:split], spec["in_degrees"][0])[: spec["in_degrees"][0]]
        inhibitory = np.argpartition(-key[split:], spec["in_degrees"][1])[: spec["in_degrees"][1]]
        chosen = np.concatenate((excitatory, split + inhibitory))
        pre.append(chosen)
        distances.append(distance[chosen])
    post = np.repeat(np.arange(n), sum(spec["in_degrees"]))
    return np.concatenate(pre), post, np.concatenate(distances)


def adex(spec: dict, seed: int):
    rng = np.random.default_rng(seed)
    neurons, split = neurons_of(spec), spec["sizes"][0]
    neurons[:split].b, neurons[split:].b = (1000.0 * b for b in spec["b_nA"])
    pre, post, distance = torus_connections(spec, rng)
    delay = spec["delay"]
    delays = np.round(delay["offset"] + distance / delay["mm_per_ms"], 1)
    excitatory, inhibitory = (1000.0 * weight for weight in spec["weights_uS"])
    syn = {"weight": np.where(pre < split, excitatory, -inhibitory), "delay": delays}
    ids = np.asarray(neurons.tolist())
    nest.Connect(ids[pre], ids[post], "one_to_one", syn)
    kick = spec["kick"]
    params = {"rate": kick["rate_hz"], "stop": kick["ms"]}
    kicked = np.sort(rng.choice(len(ids), round(kick["share"] * len(ids)), replace=False))
    nest.Connect(
        nest.Create("poisson_generator", params=params),
        neurons[kicked.tolist()],
        "all_to_all",
        {"weight": 1000.0 * kick["weight_uS"], "delay": kick["delay"]},
    )
    return neurons


NETWORKS = {
    "brunel": (BRUNEL, brunel, 5),
    "vogels_abbott": (VOGELS_ABBOTT, vogels_abbott, 8),
    "adex": (ADEX, adex, 5),
}


def correlation(times: np.ndarray, neurons: np.ndarray, n: int, start: float, ms: float):
    """Mean correlation of the spike counts of 200 random neurons, without the silent ones."""
    chosen = np.random.default_rng(0).choice(n, 200, replace=False)
    edges = start + BIN * np.arange(round(ms / BIN) + 1)
    counts = np.array([np.histogram(times[neurons == neuron], edges)[0] for neuron in chosen])
    counts = counts[counts.any(axis=1)]
    if len(counts) < 2:
        return None
    return float(np.corrcoef(counts)[np.triu_indices(len(counts), 1)].mean())


def irregularity(times: np.ndarray, neurons: np.ndarray):
    """Mean CV of the intervals of the neurons with at least three of them."""
    order = np.lexsort((times, neurons))
    trains = np.split(times[order], np.nonzero(np.diff(neurons[order]))[0] + 1)
    intervals = [np.diff(train) for train in trains if len(train) > 3]
    return float(np.mean([i.std() / i.mean() for i in intervals])) if intervals else None


def statistics(name: str, seed: int) -> dict:
    """Run one network with one seed."""
    spec, build, _ = NETWORKS[name]
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=DT, rng_seed=seed)
    neurons = build(spec, seed)
    synapses = nest.num_connections  # at most one per neuron is that of a Poisson source
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    n, start, ms = len(neurons), spec["warm_up"], spec["ms"]
    nest.Prepare()
    wall, cpu = time.perf_counter(), time.process_time()
    nest.Run(start + ms)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    nest.Cleanup()
    events = recorder.events
    times, senders = events["times"], events["senders"] - neurons[0].global_id
    costs = {
        "ns_per_event": 1e9 * cpu / max(len(times) * synapses / n, 1),
        "ns_per_neuron_step": 1e9 * cpu / (n * (start + ms) / DT),
        "wall_s": wall,
    }
    last = float(times.max()) if len(times) else 0.0
    times, senders = times[times > start], senders[times > start]
    per_population, _ = np.histogram(senders, np.cumsum([0, *spec["sizes"]]))
    rate_e, rate_i = per_population / spec["sizes"] / ms * 1000.0
    answer = {
        "seed": seed,
        "rate_E": float(rate_e),
        "rate_I": float(rate_i),
        "cv": irregularity(times, senders),
        "correlation": correlation(times, senders, n, start, ms),
        "last_spike": last,
    }
    print(name, answer, {key: round(value, 1) for key, value in costs.items()}, flush=True)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    default = Path(__file__).with_name("networks.json")
    parser.add_argument("--json", type=Path, default=default)
    options = parser.parse_args()
    record = json.loads(options.json.read_text()) if options.json.exists() else {}
    record["simulator"], record["dt_ms"] = f"NEST {nest.__version__}", DT
    for name in options.networks:
        spec, _, seeds = NETWORKS[name]
        runs = []
        for seed in range(1, seeds + 1):
            runs.append(statistics(name, seed))
            record[name] = {"parameters": spec, "seeds": runs}
            options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
