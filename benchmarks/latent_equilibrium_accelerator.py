"""One learning step of Latent Equilibrium on an accelerator, against eager PyTorch and the limit.

Network and step are those of `latent_equilibrium.py`. Rivals:

    torch      the same step in eager PyTorch on the same device
    products   the limit: the eight matrix products of the step in one compiled JAX loop

    python benchmarks/latent_equilibrium_accelerator.py --batches 64 512 4096
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from _race import RESULTS, Rival, keep, machine, race
from latent_equilibrium import CHECKED_STEPS, LAYERS, Ours, Torch, check_torch, draw, host, ratios

from lapicque._checks import extra
from lapicque.rate.learning import LearnerState, Lesson

STEPS = 200  # per turn


class LoopedProducts:
    """The products alone; each step's results feed the next by a vanishing amount."""

    def __init__(self, state: LearnerState, lesson: Lesson):
        weight = [p.synapses.weight for p in state.parameters]
        rates = [layer.r for layer in state.network.layers]
        self.start = (weight, [lesson.input, *rates[:-1]], rates)

        def step(_, carry):
            weight, below, e = carry
            current = [b @ w.T for b, w in zip(below, weight, strict=True)]
            down = [e[i] @ weight[i] for i in LAYERS[1:]]
            slope = [x.T @ b for x, b in zip(e, below, strict=True)]
            weight = [w + 1e-20 * s for w, s in zip(weight, slope, strict=True)]
            below = [below[0], *(b + 1e-20 * d for b, d in zip(below[1:], down, strict=True))]
            e = [x + 1e-20 * c for x, c in zip(e, current, strict=True)]
            return weight, below, e

        self.loop = jax.jit(lambda carry: jax.lax.fori_loop(0, STEPS, step, carry))

    def run(self, steps: int) -> None:
        jax.block_until_ready(self.loop(self.start))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 512, 4096])
    parser.add_argument("--repeats", type=int, default=15)
    name = "latent_equilibrium_accelerator.json"
    parser.add_argument("--json", type=Path, default=RESULTS / name)
    options = parser.parse_args()
    device = jax.devices()[0]
    if device.platform == "cpu":
        parser.error("no accelerator is here; use latent_equilibrium.py on a CPU")
    torch = extra("torch", "bench")
    torch.backends.cuda.matmul.allow_tf32 = True  # as JAX does by default

    figures = []
    for batch in options.batches:
        lesson = draw(batch)
        ours = Ours(lesson)
        start = host(ours.state)
        ours.run(CHECKED_STEPS)
        theirs = Torch(torch, start, lesson, device="cuda")
        theirs.run(CHECKED_STEPS)
        check_torch(theirs, start, host(ours.state))
        entrants = {
            "ours": ours,
            "torch": theirs,
            "products": LoopedProducts(jax.tree.map(jnp.asarray, start), lesson),
        }
        rivals = [Rival(name, partial(r.run, STEPS), STEPS) for name, r in entrants.items()]
        for rival in rivals:
            rival.run()
        times = race(rivals, options.repeats)
        print(batch, {n: f"{t.wall:.1f} us" for n, t in times.items()}, ratios(times), flush=True)
        figures.append(
            {
                "batch": batch,
                "us_per_step": {n: t._asdict() for n, t in times.items()},
                "ratios": ratios(times),
            }
        )
    surroundings = machine(None, ["lapicque", "jax", "jaxlib", "torch"])
    keep(options.json, {**surroundings, "device": device.device_kind, "results": figures})


if __name__ == "__main__":
    main()
