"""Learn from a stream that never ends, in memory that does not grow.

A chain of slow neurons learns online what another chain does with the same noisy input. Nothing is
stored but one state; every slice is forgotten once it has been learned from.

    python docs/examples/endless_stream.py --slices 200000
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lapicque.rate import (
    Dense,
    Layer,
    Learner,
    Lesson,
    Network,
    Neurons,
    Nudging,
    per_layer,
    swapped,
)
from lapicque.rate.learning import keep_above
from lapicque.rate.streaming import Stream

DT = 0.05


def chain(weight: float, tau_m: float) -> Network:
    """One slow neuron behind another."""
    layer = Layer(
        Dense(jnp.array([[weight]])),
        Neurons(jnp.array([tau_m]), jnp.array([0.2]), jnp.tanh),
        error_filter=swapped,
    )
    return Network([layer, layer], (1,), Nudging(0.1), coupling=0.0)


def endless(seed: int) -> Iterator[Lesson]:
    """Slices of a slow random walk and what the teacher makes of it."""
    teacher, rng = chain(1.5, 1.0), np.random.default_rng(seed)
    step = jax.jit(lambda state, x: teacher.step(state, x, DT))
    state, x = teacher.init((1,)), np.zeros((1, 1), np.float32)
    while True:
        x = np.float32(0.99) * x + np.float32(0.1) * rng.standard_normal((1, 1), np.float32)
        seen = state.layers[-1].r  # the synchronous schedule compares rates of the previous step
        state, _ = step(state, x)
        yield Lesson(x, seen)


def resident() -> float:
    """Memory of this process [MiB]; `nan` where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, help="stop after so many; default: never")
    parser.add_argument("--every", type=int, default=20000, help="slices between two lines")
    options = parser.parse_args()
    adam = optax.adam(3e-4)
    rules = per_layer([adam, adam], tau_m=optax.chain(adam, keep_above(DT)))
    learner = Learner(chain(0.7, 0.5), rules)
    stream = Stream(learner, learner.init((1,)), DT)
    slices = itertools.islice(endless(0), options.slices)
    error, answer = 0.0, np.zeros((1, 1))
    for count in itertools.count(1):
        lesson = next(slices, None)
        if lesson is None:
            return
        # The teacher's rate of the previous step, against the student's of the previous step.
        error += (float(np.square(answer - lesson.target).mean()) - error) / min(count, 5000)
        answer = np.asarray(stream.feed(lesson))
        if count % options.every == 0:
            arrays = len(jax.live_arrays())
            print(
                f"{count:>9} slices  mean squared error {error:.1e}  "
                f"memory {resident():.1f} MiB in {arrays} arrays",
                flush=True,
            )


if __name__ == "__main__":
    main()
