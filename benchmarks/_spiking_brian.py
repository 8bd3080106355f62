"""The same workloads in Brian2: `python _spiking_brian.py brunel --ms 1000 --target cython`.

Prints the same line of JSON as `_spiking_nest.py`. With `--target standalone` Brian2 writes and
compiles a C++ program (part of `build_s`), and memory and `sim_wall_s` are those of that program
alone; it loads its synapses, which `sim_cpu_s` leaves out and `program_cpu_s` has.
With the targets `cython` and `numpy`, `build_s` has the compilation of the code that is not yet in
Brian2's cache, since one step is simulated before the clock starts.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import brian2 as b
import numpy as np
from _spiking_nest import (
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
    VOGELS_ABBOTT_P,
    VOGELS_ABBOTT_SIZES,
    VOGELS_ABBOTT_WEIGHTS,
    Built,
    command_line,
    figures,
    with_costs,
)

ms = b.ms

# Without units: potentials in mV, currents in nA, conductances in uS, capacitances in nF.
CURRENT_EQUATIONS = """
dv/dt = (v_rest - v) / tau_m + i_syn / capacity / ms : 1 (unless refractory)
di_syn/dt = -i_syn / tau_syn_E : 1
"""
CONDUCTANCE_EQUATIONS = """
dv/dt = (v_rest - v) / tau_m + (g_e * (e_rev_E - v) + g_i * (e_rev_I - v)) / capacity / ms
    : 1 (unless refractory)
dg_e/dt = -g_e / tau_syn_E : 1
dg_i/dt = -g_i / tau_syn_I : 1
"""
DELTA_EQUATIONS = "dv/dt = (v_rest - v) / tau_m : 1 (unless refractory)"


def _group(n: int, equations: str, parameters: dict, method: str) -> b.NeuronGroup:
    timed = ("tau_m", "tau_syn_E", "tau_syn_I", "tau_refrac")
    space = {name: value * ms if name in timed else value for name, value in parameters.items()}
    space["capacity"] = space.pop("cm", 1.0)  # `cm` means centimetre
    neurons = b.NeuronGroup(
        n,
        equations,
        threshold="v >= v_thresh",
        reset="v = v_reset",
        refractory=parameters["tau_refrac"] * ms,
        method=method,
        namespace=space,
    )
    neurons.v = parameters["v_rest"]
    return neurons


def _noise(neurons: b.NeuronGroup, variable: str, rate: float, weight: float) -> b.PoissonInput:
    """Private Poisson input; the binomial of 1000 sources is Poisson to three digits."""
    return b.PoissonInput(neurons, variable, 1000, rate / 1000 * b.Hz, weight=weight)


def _built(objects: list, neurons: b.NeuronGroup, sizes: tuple, links: list) -> Built:
    monitor = b.SpikeMonitor(neurons)
    network = b.Network(*objects, neurons, *links, monitor)

    def spikes():
        return np.asarray(monitor.t / ms), np.asarray(monitor.i)

    def synapses():
        return tuple(len(link) for link in links)

    return Built(lambda bio: network.run(bio * ms), spikes, sizes, synapses)


def sampling(seed: int, n: int, synapse: str) -> Built:
    """All-to-all LIF neurons, each with two private Poisson sources."""
    parameters, unit, rate, noise = SAMPLING[synapse]
    if synapse == "current":
        equations = CURRENT_EQUATIONS
        neurons = _group(n, equations, parameters, "exact")
        inputs = [_noise(neurons, "i_syn", rate, noise), _noise(neurons, "i_syn", rate, -noise)]
        jump = "i_syn_post += w"
    else:
        neurons = _group(n, CONDUCTANCE_EQUATIONS, parameters, "exponential_euler")
        inputs = [_noise(neurons, "g_e", rate, noise), _noise(neurons, "g_i", rate, noise)]
        jump = "g_e_post += clip(w, 0, inf)\ng_i_post += clip(-w, 0, inf)"
    links = b.Synapses(neurons, neurons, "w : 1", on_pre=jump, delay=SAMPLING_DELAY * ms)
    links.connect(condition="i != j")
    links.w = f"{unit / np.sqrt(n)} * randn()"
    return _built(inputs, neurons, (n,), [links])


def brunel(seed: int) -> Built:
    """12,500 neurons with fixed in-degree and delta synapses."""
    neurons = _group(sum(BRUNEL_SIZES), DELTA_EQUATIONS, BRUNEL, "exact")
    noise = _noise(neurons, "v", BRUNEL_NOISE_RATE, BRUNEL_WEIGHT)
    rng, total, links = np.random.default_rng(seed), sum(BRUNEL_SIZES), []
    split = BRUNEL_SIZES[0]
    for population, inputs, weight in zip(
        (neurons[:split], neurons[split:]),
        BRUNEL_INPUTS,
        (BRUNEL_WEIGHT, -BRUNEL_G * BRUNEL_WEIGHT),
        strict=True,
    ):
        link = b.Synapses(
            population, neurons, on_pre=f"v_post += {weight}", delay=BRUNEL_DELAY * ms
        )
        pre = rng.integers(len(population), size=inputs * total)
        link.connect(i=pre, j=np.repeat(np.arange(total), inputs))
        links.append(link)
    return _built([noise], neurons, BRUNEL_SIZES, links)


def vogels_abbott(seed: int) -> Built:
    """4000 neurons with conductance synapses that keep each other active after a kick."""
    neurons = _group(
        sum(VOGELS_ABBOTT_SIZES), CONDUCTANCE_EQUATIONS, VOGELS_ABBOTT, "exponential_euler"
    )
    # One run with given spikes: a second run without the input would start a second clock.
    steps = round(VOGELS_ABBOTT_KICK["ms"] / DT)
    chance = VOGELS_ABBOTT_KICK["rate"] * DT / 1000
    when, who = np.nonzero(np.random.default_rng(seed).random((steps, len(neurons))) < chance)
    source = b.SpikeGeneratorGroup(len(neurons), who, DT * when * ms)
    kick = b.Synapses(source, neurons, on_pre=f"g_e_post += {VOGELS_ABBOTT_WEIGHTS[0]}")
    kick.connect(j="i")
    links, split = [], VOGELS_ABBOTT_SIZES[0]
    for population, variable, weight, first in zip(
        (neurons[:split], neurons[split:]),
        ("g_e", "g_i"),
        VOGELS_ABBOTT_WEIGHTS,
        (0, split),
        strict=True,
    ):
        link = b.Synapses(
            population,
            neurons,
            on_pre=f"{variable}_post += {weight}",
            delay=VOGELS_ABBOTT_DELAY * ms,
        )
        link.connect(condition=f"i + {first} != j", p=VOGELS_ABBOTT_P)
        links.append(link)
    return _built([source, kick], neurons, VOGELS_ABBOTT_SIZES, links)


WORKLOADS = {"sampling": sampling, "brunel": brunel, "vogels_abbott": vogels_abbott}


def in_process(build, bio: float) -> dict:
    """With compiled pieces called from Python."""
    start = time.perf_counter()
    built = build()
    built.run(DT)
    build_s = time.perf_counter() - start
    wall, cpu = time.perf_counter(), time.process_time()
    built.run(bio)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record = {"build_s": build_s, "sim_wall_s": wall, "sim_cpu_s": cpu, "peak_mb": peak}
    return record | figures(built._replace(synapses=built.synapses()), bio, *built.spikes())


# A program inherits the peak memory of the process that starts it, so a small one must do that.
_RUN_ALONE = """
import json, resource, subprocess, time
start = time.perf_counter()
subprocess.run(["./main"], check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
wall = time.perf_counter() - start
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def standalone(build, bio: float, folder: str) -> dict:
    """As one C++ program that is compiled first."""
    b.set_device("cpp_standalone", directory=folder, build_on_run=False)
    start = time.perf_counter()
    built = build()
    built.run(bio)
    b.device.build(directory=folder, run=False)
    build_s = time.perf_counter() - start
    command = [sys.executable, "-c", _RUN_ALONE]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    wall, total, peak = json.loads(answer.stdout)
    b.get_device().has_been_run = True  # only now does it look for results
    with open(os.path.join(folder, "results", "last_run_info.txt")) as file:
        cpu = float(file.read().split()[0])  # the loop of steps alone, by the CPU's clock
    record = {"build_s": build_s, "sim_wall_s": wall, "sim_cpu_s": cpu}
    record |= {"program_cpu_s": total, "peak_mb": peak}
    return record | figures(built._replace(synapses=built.synapses()), bio, *built.spikes())


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--target", choices=("cython", "numpy", "standalone"), default="cython")
    options = parser.parse_args()
    b.defaultclock.dt = DT * ms
    if options.target != "standalone":
        b.prefs.codegen.target = options.target
    more = {"n": options.n, "synapse": options.synapse} if options.workload == "sampling" else {}
    workload = WORKLOADS[options.workload]

    def build() -> Built:
        b.seed(options.seed)
        return workload(options.seed, **more)

    if options.target == "standalone":
        with tempfile.TemporaryDirectory() as folder:
            record = standalone(build, options.ms, folder)
    else:
        record = in_process(build, options.ms)
    head = {"simulator": f"Brian {b.__version__}", **vars(options)}
    print(json.dumps(head | with_costs(record)))


if __name__ == "__main__":
    main()
