"""Time and memory per learned sequence: local credit, the exact adjoint, and JAX's own BPTT.

The network is 1-53-53-53-10 with tanh neurons of two time constants, batch 8, dt 0.2, the
synchronous schedule, in float32. One learned sequence is: states forward, errors, one gradient of
all weights, biases and time constants (local credit: summed over the steps). The rivals are

    local      GLE, causal errors, `causal_gradients`
    adjoint    the exact backward sweep, `adjoint_gradients`
    bptt       `jax.grad` through the scan, what a competent user of JAX would write; its peer
               `bptt remat` recomputes each step on the way back (`jax.checkpoint`), less memory

The answers are compared first: adjoint and both BPTTs agree in all gradients. The memory is that
of the compiled program by XLA's own account (`memory_analysis().temp_size_in_bytes`: working
memory, without inputs and outputs), which does not depend on the allocator; with `--rss` the growth
of the peak resident set of a fresh process is measured besides.

    python benchmarks/time_credit.py --lengths 256 1024 4096 16384 65536
"""
# ruff: noqa: E402

from _race import RESULTS, Rival, keep, machine, one_core, race

CORE = one_core()

import argparse
import json
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from lapicque.rate import Dense, Layer, Lesson, Network, Neurons, Nudging, swapped
from lapicque.rate.adjoint import (
    adjoint_gradients,
    autodiff_gradients,
    check_length,
    free_step,
    without_errors,
)
from lapicque.rate.credit import causal_gradients

SIZES = (1, 53, 53, 53, 10)
BATCH = 8
DT = 0.2


def network() -> Network:
    rng, layers = np.random.default_rng(0), []
    for pre, post in pairwise(SIZES):
        fast = np.arange(post) < post // 3
        tau_m = np.where(fast | (post == SIZES[-1]), 1.2, np.linspace(0.6, 1.2, post))
        tau_r = np.where(fast | (post == SIZES[-1]), 1.2, DT)
        weight = 0.5 * rng.standard_normal((post, pre)) / np.sqrt(pre)
        synapses = Dense(jnp.asarray(weight, jnp.float32), jnp.zeros(post))
        neurons = Neurons(
            jnp.asarray(tau_m, jnp.float32), jnp.asarray(tau_r, jnp.float32), jnp.tanh
        )
        layers.append(Layer(synapses, neurons, error_filter=swapped))
    return Network(layers, SIZES[:1], Nudging(1.0), 0.0)


def recomputed_gradients(network, state, lessons, dt):
    """BPTT that keeps the states alone and recomputes the inside of each step."""
    check_length(lessons)

    def action(parameters):
        free = without_errors(network).with_parameters(parameters)

        @jax.checkpoint
        def step(state, lesson):
            after, risen, target = free_step(free, state, lesson, dt)
            seen = state.layers[-1].r if free.schedule.down else risen[-1].r
            return after, (risen[-1].r, free.nudging.cost(seen, target).sum())

        after, (output, cost) = jax.lax.scan(step, state, lessons)
        total = free.nudging.beta * cost.sum() / free.batch(lessons.input[0])
        return total, (after, output)

    gradients, (after, output) = jax.grad(action, has_aux=True)(network.parameters)
    return after, output, gradients


RULES = {
    "local": causal_gradients,
    "adjoint": adjoint_gradients,
    "bptt": autodiff_gradients,
    "bptt remat": recomputed_gradients,
}


def prepare(rule: str, steps: int):
    """The compiled program of a rule and its arguments."""
    net = network()
    rng = np.random.default_rng(1)
    lessons = Lesson(
        jnp.asarray(rng.standard_normal((steps, BATCH, SIZES[0])), jnp.float32),
        jnp.asarray(rng.standard_normal((steps, BATCH, SIZES[-1])), jnp.float32),
    )
    arrays, static = eqx.partition(net, eqx.is_array)

    def learn(arrays, state, lessons):
        return RULES[rule](eqx.combine(arrays, static), state, lessons, DT)[2]

    arguments = (arrays, net.init((BATCH,)), lessons)
    return jax.jit(learn).lower(*arguments).compile(), arguments


def agree(gradients: dict) -> None:
    """Stop where the exact rules differ."""
    for name in ("adjoint", "bptt remat"):
        pairs = zip(
            jax.tree.leaves(gradients[name]), jax.tree.leaves(gradients["bptt"]), strict=True
        )
        for a, b in pairs:
            error = float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))
            if not error < 1e-3:  # single precision, sums over many steps
                raise SystemExit(f"{name} and bptt disagree by {error:.1e}; no race.")


def resident(rule: str, steps: int) -> float:
    """Growth of the peak resident set by one run in a fresh process [MiB]."""
    command = [sys.executable, __file__, "--one", rule, "--lengths", str(steps)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def one(rule: str, steps: int) -> None:
    program, arguments = prepare(rule, steps)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    jax.block_until_ready(program(*arguments))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 4096, 16384, 65536])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rss", action="store_true", help="measure resident memory, too")
    parser.add_argument("--json", type=Path, default=RESULTS / "time_credit.json")
    parser.add_argument("--one", choices=RULES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.lengths[0])
        return
    table = Table(title=f"One learned sequence, {'-'.join(map(str, SIZES))}, batch {BATCH}")
    for head in ("steps", "rule", "us per step", "against bptt", "working memory [MiB]"):
        table.add_column(head, justify="right")
    if options.rss:
        table.add_column("resident growth [MiB]", justify="right")
    rows = []
    for steps in options.lengths:
        programs = {rule: prepare(rule, steps) for rule in RULES}
        agree({rule: program(*arguments) for rule, (program, arguments) in programs.items()})
        rivals = [
            Rival(rule, lambda p=program, a=arguments: jax.block_until_ready(p(*a)), steps)
            for rule, (program, arguments) in programs.items()
        ]
        times = race(rivals, options.repeats)
        for rule, (program, _) in programs.items():
            memory = program.memory_analysis().temp_size_in_bytes / 2**20
            ratio = times[rule].wall / times["bptt"].wall
            row = {"steps": steps, "rule": rule, **times[rule]._asdict(), "ratio": ratio}
            row["working_memory_mib"] = memory
            cells = [f"{steps}", rule, f"{times[rule].wall:.1f}", f"{ratio:.2f}", f"{memory:.2f}"]
            if options.rss:
                row["resident_growth_mib"] = resident(rule, steps)
                cells.append(f"{row['resident_growth_mib']:.0f}")
            table.add_row(*cells)
            rows.append(row)
    Console().print(table)
    record = machine(CORE, ("jax", "jaxlib", "equinox", "numpy"))
    keep(options.json, {"machine": record, "sizes": SIZES, "batch": BATCH, "rows": rows})


if __name__ == "__main__":
    main()
