"""The same workloads in Brian2: `python _spiking_brian.py brunel --ms 1000 --target cython`.

Prints one line of JSON, see `_spiking.py`. With `--target standalone` Brian2 writes and
compiles a C++ program (part of `build_s`), and memory and `sim_wall_s` are those of that program
alone; it loads its synapses, which `sim_cpu_s` leaves out and `program_cpu_s` has.
With the targets `cython` and `numpy`, `build_s` has the compilation of the code that is not yet in
Brian2's cache, since what is skipped is simulated before the clock starts.
With `--folder` a compiled program is kept there, and run again without being built.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import brian2 as b
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
    figures,
    memory,
    sampling_weights,
    vogels_abbott_synapses,
    with_costs,
)

ms = b.ms

# Conductances by `rk2`, which is faster and nearer to the exact rates than `exponential_euler`.

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
        neurons = _group(n, CONDUCTANCE_EQUATIONS, parameters, "rk2")
        inputs = [_noise(neurons, "g_e", rate, noise), _noise(neurons, "g_i", rate, noise)]
        jump = "g_e_post += clip(w, 0, inf)\ng_i_post += clip(-w, 0, inf)"
    links = b.Synapses(neurons, neurons, "w : 1", on_pre=jump, delay=SAMPLING_DELAY * ms)
    pre, post, weight = sampling_weights(n, unit)
    links.connect(i=pre, j=post)
    links.w = weight
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
    neurons = _group(sum(VOGELS_ABBOTT_SIZES), CONDUCTANCE_EQUATIONS, VOGELS_ABBOTT, "rk2")
    # One run with given spikes: a second run without the input would start a second clock.
    steps = round(VOGELS_ABBOTT_KICK["ms"] / DT)
    chance = VOGELS_ABBOTT_KICK["rate"] * DT / 1000
    when, who = np.nonzero(np.random.default_rng(seed).random((steps, len(neurons))) < chance)
    source = b.SpikeGeneratorGroup(len(neurons), who, DT * when * ms)
    kick = b.Synapses(source, neurons, on_pre=f"g_e_post += {VOGELS_ABBOTT_WEIGHTS[0]}")
    kick.connect(j="i")
    links, first = [], 0
    for (pre, post), size, variable, weight in zip(
        vogels_abbott_synapses(),
        VOGELS_ABBOTT_SIZES,
        ("g_e", "g_i"),
        VOGELS_ABBOTT_WEIGHTS,
        strict=True,
    ):
        link = b.Synapses(
            neurons[first : first + size],
            neurons,
            on_pre=f"{variable}_post += {weight}",
            delay=VOGELS_ABBOTT_DELAY * ms,
        )
        link.connect(i=pre - first, j=post)
        links.append(link)
        first += size
    return _built([source, kick], neurons, VOGELS_ABBOTT_SIZES, links)


WORKLOADS = {"sampling": sampling, "brunel": brunel, "vogels_abbott": vogels_abbott}


def in_process(build, bio: float, skip: float) -> dict:
    """With compiled pieces called from Python."""
    base = memory()
    start = time.perf_counter()
    built = build()
    built.run(skip)
    build_s = time.perf_counter() - start
    wall, cpu = time.perf_counter(), time.process_time()
    built.run(bio)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    record = {"build_s": build_s, "sim_wall_s": wall, "sim_cpu_s": cpu}
    record |= {"peak_mb": memory(), "base_mb": base}
    built = built._replace(synapses=built.synapses())
    return record | figures(built, bio, skip, *built.spikes())


# A program inherits the peak memory of the process that starts it, so a small one must do that.
_RUN_ALONE = """
import json, resource, subprocess, time
start = time.perf_counter()
subprocess.run(["./main"], check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
wall = time.perf_counter() - start
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def _run(folder: Path) -> dict:
    """Run a compiled program."""
    command = [sys.executable, "-c", _RUN_ALONE]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    wall, total, peak = json.loads(answer.stdout)
    info = (folder / "results" / "last_run_info.txt").read_text()
    cpu = float(info.split()[0])  # the loop of the last run's steps alone, by the CPU's clock
    return {"sim_wall_s": wall, "sim_cpu_s": cpu, "program_cpu_s": total, "peak_mb": peak}


def standalone(build, bio: float, skip: float, folder: Path) -> dict:
    """As one C++ program that is compiled first, unless the folder has it already."""
    known = folder / "figures.json"
    if known.exists():
        return json.loads(known.read_text()) | _run(folder)
    b.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    start = time.perf_counter()
    built = build()
    if skip > 0:
        built.run(skip)
    built.run(bio)
    b.device.build(directory=str(folder), run=False)
    record = {"build_s": time.perf_counter() - start, "base_mb": 0.0} | _run(folder)
    b.get_device().has_been_run = True  # only now does it look for results
    built = built._replace(synapses=built.synapses())
    record |= figures(built, bio, skip, *built.spikes())
    known.write_text(json.dumps(record))
    return record


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--target", choices=("cython", "numpy", "standalone"), default="cython")
    parser.add_argument("--folder", type=Path, help="where a compiled program is kept")
    options = parser.parse_args()
    b.defaultclock.dt = DT * ms
    if options.target != "standalone":
        b.prefs.codegen.target = options.target
    more = {"n": options.n, "synapse": options.synapse} if options.workload == "sampling" else {}
    workload = WORKLOADS[options.workload]

    def build() -> Built:
        b.seed(options.seed)
        return workload(options.seed, **more)

    if options.target != "standalone":
        record = in_process(build, options.ms, options.skip)
    elif options.folder:
        record = standalone(build, options.ms, options.skip, options.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            record = standalone(build, options.ms, options.skip, Path(folder))
    head = {"simulator": f"Brian {b.__version__}", **vars(options), "folder": None}
    print(json.dumps(head | with_costs(record)))


if __name__ == "__main__":
    main()
