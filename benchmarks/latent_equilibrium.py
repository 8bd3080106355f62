"""One learning step of Latent Equilibrium, against PyTorch and against its bare matrix products.

The network is 784-300-100-10 with hard-sigmoid hidden neurons and a linear output, beta 0.1,
tau 10 ms, dt 0.1 ms, the synchronous schedule and plain descent; the step is inference, errors
and the update of all weights and biases, in float32. Its rivals are

    torch           the same step in eager PyTorch, written with matrix products and in place
    as published    PyTorch with one outer product per sample, averaged afterwards
    products        the limit: the eight matrix products of the step in NumPy (three currents,
                    three weight slopes, two errors sent down), nothing else, nothing allocated
    products + dW   the limit when the weights change too: BLAS adds the slopes to them in place

The answers are compared first: the same weights and rates after ten steps from the same start.

"Single-threaded" means one core here. XLA's CPU client has a thread pool that flags do not switch
off entirely, so the process pins itself to one core before anything numerical is imported, and
the thread variables of OpenMP, OpenBLAS and MKL are set to 1 besides.

    python benchmarks/latent_equilibrium.py --batches 1 64 512 --repeats 15
"""
# ruff: noqa: E402

from _race import RESULTS, Rival, Time, keep, machine, one_core, race

CORE = one_core()

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.linalg.blas import sgemm

from lapicque._checks import InputError, MissingExtra, extra, in_range
from lapicque.rate import models
from lapicque.rate.learning import Learner, LearnerState, Lesson, hold, local_sgd

SIZES = (784, 300, 100, 10)
LAYERS = range(len(SIZES) - 1)
BETA = 0.1  # the default of `Nudging`
TAU = 10.0  # [ms]
DT = 0.1  # [ms]
RATE = 0.1  # learning rate [per step]
CHECKED_STEPS = 10
PUBLISHED_BATCH = 64
PUBLISHED_STEPS = 1  # per turn


class Ours:
    """`Learner.step` in a compiled loop, its state donated."""

    def __init__(self, lesson: Lesson, seed: int = 0):
        network = models.dense(jax.random.key(seed), SIZES, tau_m=TAU, tau_r=TAU)
        self.learner = Learner(network, local_sgd([RATE] * len(LAYERS)))
        self.learner.check(DT)
        self.lesson = lesson
        self.state = self.learner.init((len(lesson.input),))
        self.advance = jax.jit(
            lambda state, lesson, steps: hold(self.learner, state, lesson, steps, DT)[0],
            donate_argnums=0,
            static_argnums=2,
        )

    def run(self, steps: int) -> None:
        self.state = jax.block_until_ready(self.advance(self.state, self.lesson, steps))


class Torch:
    """The same step in eager PyTorch: one product per current, per slope and per error.

    The products add the bias and the weights in place (`addmm`), and what a step no longer needs
    is overwritten. `outer_products` forms the slope of every sample on its own, as published.
    """

    def __init__(
        self,
        torch,
        start: LearnerState,
        lesson: Lesson,
        outer_products: bool = False,
        device: str = "cpu",
    ):
        def tensor(values):
            return torch.tensor(np.array(values), device=device)

        self.torch, self.outer_products, self.device = torch, outer_products, device
        self.input, self.target = map(tensor, lesson)
        self.weight = [tensor(p.synapses.weight) for p in start.parameters]
        self.bias = [tensor(p.synapses.bias) for p in start.parameters]
        self.u, self.p, self.r, self.e = (
            [tensor(getattr(layer, name)) for layer in start.network.layers] for name in "upre"
        )

    def step(self) -> None:
        torch, weight, bias = self.torch, self.weight, self.bias
        u, old_p, old_r, old_e = self.u, self.p, self.r, self.e
        below = [self.input, *old_r[:-1]]
        gain = RATE / len(self.input)

        p, r = [], []
        for i in LAYERS:  # rates upwards, each layer from its neighbours' previous step
            slope = torch.addmm(bias[i], below[i], weight[i].T)
            slope.add_(old_e[i]).sub_(u[i]).div_(TAU)
            p.append(torch.add(u[i], slope, alpha=TAU))
            r.append(p[i].clamp(0, 1) if i < LAYERS[-1] else p[i])
            u[i].add_(slope, alpha=DT)

        e = list(old_e)
        arriving = (self.target - old_r[-1]).mul_(BETA)
        for i in reversed(LAYERS):  # errors downwards, each met by the rates of the previous step
            if i < LAYERS[-1]:  # where clipping changed nothing the hard sigmoid has slope 1
                arriving.mul_(old_p[i] == old_r[i])
            e[i] = arriving
            if i:
                arriving = old_e[i] @ weight[i]
            if self.outer_products:
                samples = torch.einsum("bi,bj->bij", e[i], below[i])
                weight[i].add_(samples.mean(0), alpha=RATE)
            else:
                weight[i].addmm_(e[i].T, below[i], alpha=gain)
            bias[i].add_(e[i].sum(0), alpha=gain)
        self.p, self.r, self.e = p, r, e

    def run(self, steps: int) -> None:
        with self.torch.no_grad():
            for _ in range(steps):
                self.step()
        if self.device != "cpu":
            self.torch.cuda.synchronize()


class Products:
    """The matrix products between two successive states, into arrays that are there already.

    Slopes go to arrays of their own or, with `update`, straight into the weights. At batch 1
    `np.dot` is six times as fast as `np.matmul`, which does not call BLAS for an outer product.
    """

    def __init__(self, before: LearnerState, after: LearnerState, lesson: Lesson, update: bool):
        self.update = update
        self.weight = [np.array(p.synapses.weight) for p in before.parameters]
        rates = [np.array(layer.r) for layer in before.network.layers]
        self.below = [np.array(lesson.input), *rates[:-1]]
        self.old_e = [np.array(layer.e) for layer in before.network.layers]
        self.e = [np.array(layer.e) for layer in after.network.layers]
        self.current = [np.empty_like(r) for r in rates]
        self.slope = [np.empty_like(w) for w in self.weight]
        self.down = [np.empty_like(r) for r in rates[:-1]]
        self.gain = np.float32(RATE / len(lesson.input))

    def step(self) -> None:
        for i in LAYERS:
            np.dot(self.below[i], self.weight[i].T, out=self.current[i])
        for i in reversed(LAYERS):
            below, weight, e = self.below[i], self.weight[i], self.e[i]
            if i:
                np.dot(self.old_e[i], weight, out=self.down[i - 1])
            if self.update:  # weight += gain * e.T @ below; BLAS sees the transposes of all three
                sgemm(self.gain, below.T, e.T, 1, weight.T, trans_b=True, overwrite_c=True)
            else:
                np.dot(e.T, below, out=self.slope[i])

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()


def draw(batch: int, seed: int = 1) -> Lesson:
    """Inputs between 0 and 1 and one-hot targets."""
    rng = np.random.default_rng(seed)
    target = np.eye(SIZES[-1], dtype=np.float32)[rng.integers(SIZES[-1], size=batch)]
    return Lesson(jnp.asarray(rng.random((batch, SIZES[0]), np.float32)), jnp.asarray(target))


def host(state: LearnerState) -> LearnerState:
    """A copy that no later step overwrites."""
    return jax.tree.map(np.array, state)


def assert_near(name: str, ours, theirs, tolerance: float = 0.005) -> None:
    """Compare by the distance relative to the length.

    Entry by entry would be too strict: a potential within rounding of the edge of the hard sigmoid
    may have either slope, and with 512 samples there is sometimes one.
    """
    length = np.linalg.norm(theirs)
    distance = np.linalg.norm(ours - theirs) / length if length else np.inf
    assert distance < tolerance, f"Rivals differ by {distance:.1e} in the {name}."


def check_torch(theirs: Torch, start: LearnerState, now: LearnerState) -> None:
    """The same change of weights and biases, the same potentials, rates and errors."""
    for i in LAYERS:
        for kind in ("weight", "bias"):
            first, last = (getattr(s.parameters[i].synapses, kind) for s in (start, now))
            changed = getattr(theirs, kind)[i].cpu().numpy() - first
            assert_near(f"change of {kind} {i}", last - first, changed)
        for name in "upre":
            value = getattr(now.network.layers[i], name)
            assert_near(f"{name} of layer {i}", value, getattr(theirs, name)[i].cpu().numpy())


def check_products(
    limit: Products, updating: Products, before: LearnerState, after: LearnerState
) -> None:
    """After one step of both: potentials, errors and weight changes follow from the products."""
    layers = list(zip(before.network.layers, after.network.layers, strict=True))
    for i, (old, new) in enumerate(layers):
        first, last = (s.parameters[i].synapses.weight for s in (before, after))
        bias = before.parameters[i].synapses.bias
        assert_near(f"potential {i}", new.p, limit.current[i] + bias + old.e)
        assert_near(f"slope {i}", last - first, limit.gain * limit.slope[i])
        assert_near(f"update of weight {i}", last - first, updating.weight[i] - first)
        if i < LAYERS[-1]:
            inside = (old.p >= 0) & (old.p <= 1)
            assert_near(f"error {i}", new.e, np.where(inside, limit.down[i], 0))


def measure(batch: int, repeats: int, torch) -> dict[str, Time]:
    """First the same answer, which is the warm-up too, then the time."""
    lesson = draw(batch)
    ours = Ours(lesson)
    start = host(ours.state)
    ours.run(CHECKED_STEPS)
    before = host(ours.state)
    ours.run(1)
    after = host(ours.state)

    entrants: dict[str, Ours | Torch | Products] = {"ours": ours}
    if torch is not None:
        entrants["torch"] = Torch(torch, start, lesson)
        if batch == PUBLISHED_BATCH:
            entrants["as published"] = Torch(torch, start, lesson, outer_products=True)
    for peer in list(entrants.values())[1:]:
        peer.run(CHECKED_STEPS)
        check_torch(peer, start, before)

    limit, updating = (Products(before, after, lesson, update) for update in (False, True))
    entrants |= {"products": limit, "products + dW": updating}
    limit.run(1)
    updating.run(1)
    check_products(limit, updating, before, after)

    steps = max(5, min(50, 3200 // batch))  # a turn short enough to fall between disturbances
    rivals = [
        Rival(name, partial(rival.run, n), n)
        for name, rival in entrants.items()
        for n in [PUBLISHED_STEPS if name == "as published" else steps]
    ]
    for rival in rivals:
        rival.run()
    times = race(rivals, repeats)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(ours.state))
    return times


def ratios(times: dict[str, Time], statistic: str = "wall") -> dict[str, float]:
    """Ours over the limits, the peers over ours."""
    us = {name: getattr(time, statistic) for name, time in times.items()}
    own = us.pop("ours")
    limits = {name: own / time for name, time in us.items() if name.startswith("products")}
    peers = {name: time / own for name, time in us.items() if name not in limits}
    return {f"{name} / ours": x for name, x in peers.items()} | {
        f"ours / {name}": x for name, x in limits.items()
    }


def show(results: dict[int, dict[str, Time]], console: Console) -> None:
    """One line per batch: the least time and, in brackets, the median."""
    names = list(dict.fromkeys(name for times in results.values() for name in times))
    columns = list(dict.fromkeys(key for times in results.values() for key in ratios(times)))
    table = Table(title="Latent Equilibrium 784-300-100-10, one learning step on one core")
    for head in ("batch", *(f"{name} [us]" for name in names), *columns):
        table.add_column(head, justify="right")
    for batch, times in results.items():
        row = [
            f"{times[name].wall:.0f} ({times[name].wall_median:.0f})" if name in times else ""
            for name in names
        ]
        quotients = ratios(times)
        row += [f"{quotients[key]:.2f}" if key in quotients else "" for key in columns]
        table.add_row(str(batch), *row)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--repeats", type=int, default=15, help="turns of every rival")
    parser.add_argument("--json", type=Path, default=RESULTS / "latent_equilibrium.json")
    options = parser.parse_args()
    try:
        in_range("--batches", options.batches, 1, unit="samples")
        in_range("--repeats", options.repeats, 1)
    except InputError as error:
        parser.error(str(error))
    console = Console(width=None if Console().is_terminal else 160)

    try:
        torch = extra("torch", "bench")
        torch.set_num_threads(1)
    except MissingExtra as error:
        torch = None
        console.print(f"{error} The race goes on without PyTorch.", markup=False)

    surroundings = machine(CORE, ["lapicque", "jax", "jaxlib", "numpy", "optax", "scipy", "torch"])
    results = {batch: measure(batch, options.repeats, torch) for batch in options.batches}
    show(results, console)
    figures = [
        {
            "batch": batch,
            "us_per_step": {name: time._asdict() for name, time in times.items()},
            "ratios": ratios(times),
            "ratios_of_medians": ratios(times, "wall_median"),
        }
        for batch, times in results.items()
    ]
    work = {
        "sizes": SIZES,
        "beta": BETA,
        "tau_ms": TAU,
        "dt_ms": DT,
        "dtype": "float32",
        "turns": options.repeats,
    }
    keep(options.json, {**surroundings, "work": work, "results": figures})
    console.print(f"Written to {options.json}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
