"""The same workloads in lapicque: `python _spiking_lapicque.py sampling --n 100 --chains 16`.

Prints one line of JSON, see `_spiking.py`. The compiled loop is loaded (or, the first time,
compiled and kept on disk) before the clock starts. With `--first` nothing but this is done, and the
line has the time of the imports and of the first network with its first step [s].
"""

import json
import time

BEGIN = time.perf_counter()

import numpy as np  # noqa: E402
from _spiking import (  # noqa: E402
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

import lapicque  # noqa: E402
from lapicque.spiking import (  # noqa: E402
    LIF,
    ConductanceExp,
    CurrentDelta,
    CurrentExp,
    FixedInDegree,
    FromArrays,
    Network,
    Poisson,
    Simulation,
)

IMPORTED = time.perf_counter()


def _parts(parameters: dict, receptors: type) -> tuple:
    """Neuron and receptors."""
    synaptic = {k: v for k, v in parameters.items() if k.startswith(("tau_syn", "e_rev"))}
    neuron = {k: v for k, v in parameters.items() if k not in synaptic}
    return LIF(**neuron), receptors(**synaptic)


def _built(network: Network, synapses: tuple[int, ...], seed: int, **more) -> Built:
    simulation = Simulation(network, DT, seed=seed, **more)
    chains, sizes = len(simulation.chains), tuple(p.size for p in network.populations)
    first = np.concatenate([[0], np.cumsum(sizes)])
    kept = []

    def run(ms: float) -> None:
        kept.append(simulation.run(ms))

    def spikes():
        found = [
            (DT * step, begin + unit + chain * first[-1])
            for recording in kept
            for population, begin in zip(network.populations, first, strict=False)
            for step, unit, chain in [recording.all_spikes(population)]
        ]
        times, neurons = zip(*found, strict=True)
        return np.concatenate(times), np.concatenate(neurons)

    return Built(run, spikes, sizes, synapses, chains)


def sampling(seed: int, n: int, synapse: str, **more) -> Built:
    """All-to-all LIF neurons, each with two private Poisson sources."""
    parameters, unit, rate, noise = SAMPLING[synapse]
    current = synapse == "current"
    network = Network()
    neurons = network.population(n, *_parts(parameters, CurrentExp if current else ConductanceExp))
    network.noise(neurons, Poisson(rate), noise)
    network.noise(neurons, Poisson(rate), -noise if current else noise, receptor="inhibitory")
    pre, post, weight = sampling_weights(n, unit)
    for receptor, mine in (("excitatory", weight > 0), ("inhibitory", weight < 0)):
        strength = weight[mine] if current else abs(weight[mine])
        pairs = FromArrays(pre[mine], post[mine])
        network.project(neurons, neurons, pairs, strength, SAMPLING_DELAY, receptor=receptor)
    return _built(network, (len(pre),), seed, **more)


def brunel(seed: int, **more) -> Built:
    """12,500 neurons with fixed in-degree and delta synapses."""
    network = Network()
    populations = [network.population(size, *_parts(BRUNEL, CurrentDelta)) for size in BRUNEL_SIZES]
    weights = BRUNEL_WEIGHT, -BRUNEL_G * BRUNEL_WEIGHT
    for post in populations:
        network.noise(post, Poisson(BRUNEL_NOISE_RATE), BRUNEL_WEIGHT)
        for pre, inputs, weight, receptor in zip(
            populations, BRUNEL_INPUTS, weights, RECEPTORS, strict=True
        ):
            network.project(
                pre, post, FixedInDegree(inputs), weight, BRUNEL_DELAY, receptor=receptor
            )
    synapses = tuple(inputs * sum(BRUNEL_SIZES) for inputs in BRUNEL_INPUTS)
    return _built(network, synapses, seed, **more)


def vogels_abbott(seed: int, **more) -> Built:
    """4000 neurons with conductance synapses that keep each other active after a kick."""
    network = Network()
    populations = [
        network.population(size, *_parts(VOGELS_ABBOTT, ConductanceExp))
        for size in VOGELS_ABBOTT_SIZES
    ]
    kick = Poisson(VOGELS_ABBOTT_KICK["rate"], duration=VOGELS_ABBOTT_KICK["ms"])
    synapses, split = vogels_abbott_synapses(), VOGELS_ABBOTT_SIZES[0]
    for to, post in enumerate(populations):
        network.noise(post, kick, VOGELS_ABBOTT_WEIGHTS[0])
        for at, pre in enumerate(populations):
            i, j = synapses[at]
            mine = (j >= split) == (to == 1)
            pairs = FromArrays(i[mine] - at * split, j[mine] - to * split)
            weight, delay = VOGELS_ABBOTT_WEIGHTS[at], VOGELS_ABBOTT_DELAY
            network.project(pre, post, pairs, weight, delay, receptor=RECEPTORS[at])
    return _built(network, tuple(len(pre) for pre, _ in synapses), seed, **more)


RECEPTORS = ("excitatory", "inhibitory")
WORKLOADS = {"sampling": sampling, "brunel": brunel, "vogels_abbott": vogels_abbott}


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--chains", type=int, default=1, help="(sampling)")
    parser.add_argument("--first", action="store_true", help="only the time of the first step")
    options = parser.parse_args()
    more = {"threads": options.threads}
    if options.workload == "sampling":
        more |= {"n": options.n, "synapse": options.synapse, "chains": options.chains}

    sampling(1, 2, "current").run(DT)
    if options.first:
        times = {"import_s": IMPORTED - BEGIN, "first_s": time.perf_counter() - IMPORTED}
        print(json.dumps(times | {"done": time.time()}))
        return
    build = WORKLOADS[options.workload]
    record = measure(lambda: build(options.seed, **more), options.ms, options.skip)
    head = {"simulator": f"lapicque {lapicque.__version__}", **vars(options)}
    print(json.dumps(head | record))


if __name__ == "__main__":
    main()
