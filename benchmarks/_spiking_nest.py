"""Spiking workloads in NEST, one per process: `python _spiking_nest.py brunel --ms 1000`.

Prints one line of JSON, see `_spiking.py`.
"""

import json
import os

import numpy as np
from _spiking import (
    BRUNEL,
    BRUNEL_DELAY,
    BRUNEL_G,
    BRUNEL_INPUTS,
    BRUNEL_NOISE_RATE,
    BRUNEL_SIZES,
    BRUNEL_WEIGHT,
    DT,
    SAMPLING,
    SAMPLING_DELAY,
    VOGELS_ABBOTT,
    VOGELS_ABBOTT_DELAY,
    VOGELS_ABBOTT_KICK,
    VOGELS_ABBOTT_SIZES,
    VOGELS_ABBOTT_WEIGHTS,
    Built,
    command_line,
    measure,
    sampling_weights,
    vogels_abbott_synapses,
)


def _simulator():
    """NEST, without its greeting; it takes a second."""
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
    pre, post, weight = sampling_weights(n, unit)
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
    ids, synapses = np.asarray(neurons.tolist()), vogels_abbott_synapses()
    for (pre, post), weight in zip(synapses, (excitatory, -inhibitory), strict=True):
        spec = _uniform(nest, 1000.0 * weight, VOGELS_ABBOTT_DELAY)
        spec["delay"] = np.full(len(pre), VOGELS_ABBOTT_DELAY)
        nest.Connect(ids[pre], ids[post], "one_to_one", spec)
    return _built(nest, neurons, VOGELS_ABBOTT_SIZES, tuple(len(pre) for pre, _ in synapses))


WORKLOADS = {"sampling": sampling, "brunel": brunel, "vogels_abbott": vogels_abbott}


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    more = {"n": options.n, "synapse": options.synapse} if options.workload == "sampling" else {}
    nest = _simulator()  # before the clock starts

    build = WORKLOADS[options.workload]
    record = measure(lambda: build(options.threads, options.seed, **more), options.ms, options.skip)
    head = {"simulator": f"NEST {nest.__version__}", **vars(options)}
    print(json.dumps(head | record))


if __name__ == "__main__":
    main()
