"""One learning step of Generalized Latent Equilibrium on MNIST-1D, against eager PyTorch.

The network is that of the end-to-end experiment: one input channel, six hidden layers of 53 neurons
(17 fast, 36 slow), a linear output of 10, 14,956 parameters, batch 100. A step is inference,
prospective errors, the slopes of all weights and biases, and Adam, in float32. The rivals are

    ours     `Learner.step` in a compiled loop over the slices of a sequence, as `epoch` runs it
    torch    eager PyTorch, our own transcription of the same equations: one matrix product per
             current, per slope and per error, in place, and Adam over all parameters as one vector
    usual    the same, but with slopes formed sample by sample and averaged, as published, and with
             `torch.optim.Adam` over weights and biases as they are
    public   the authors' program, where a checkout of github.com/unibe-cns/gle-code is given

The first two peers are our own, written for this race. The answers are compared first: the same
weights and rates after twenty steps from the same start. The public program sends errors down with
the weights of the step before, so that its rates and errors are compared while nothing learns.

The process pins itself to one core, see `_race.py`.

    python benchmarks/mnist1d_step.py --repeats 15 --public ../gle-code
"""
# ruff: noqa: E402

from _race import RESULTS, Rival, Time, keep, machine, one_core, race

CORE = one_core()

import argparse
import contextlib
import importlib
import io
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from lapicque._checks import InputError, MissingExtra, extra, in_range
from lapicque.experiments.generalized_latent_equilibrium._sequences import adam
from lapicque.experiments.generalized_latent_equilibrium.mnist1d_end_to_end import Config, build
from lapicque.rate import Learner, Lesson, identity, simulate

CONFIG = Config()
BATCH = CONFIG.batch
CHECKED_STEPS = 20
STEPS = 100  # per turn


class Ours:
    """`Learner.step` in a compiled loop over slices, its state donated."""

    def __init__(self, lessons: Lesson, seed: int = 0, rate: float = CONFIG.learning_rate):
        learner = Learner(build(jax.random.key(seed), CONFIG), adam(rate))
        learner.check(CONFIG.dt)
        self.learner, self.lessons = learner, lessons
        self.state = learner.init((BATCH,))
        self.advance = jax.jit(
            lambda state, lessons: simulate(learner, state, lessons, CONFIG.dt), donate_argnums=0
        )

    def run(self, steps: int) -> None:
        lessons = jax.tree.map(lambda a: a[:steps], self.lessons)
        self.state, _ = jax.block_until_ready(self.advance(self.state, lessons))


class Torch:
    """The same step in eager PyTorch; parameters, slopes and Adam's averages are one vector each.

    The parameters of the layers are views of that vector, so that Adam takes nine calls a step.
    """

    def __init__(self, torch, ours: Ours, usual: bool = False):
        network, lessons = ours.learner.network, ours.lessons
        self.torch, self.usual = torch, usual
        self.input, target = (torch.tensor(np.array(a)) for a in lessons)
        self.target = target[0]
        self.linear = [layer.neurons.activation is identity for layer in network.layers]
        shapes = [a.shape for p in network.parameters for a in (p.synapses.weight, p.synapses.bias)]
        flat = [
            np.ravel(a) for p in network.parameters for a in (p.synapses.weight, p.synapses.bias)
        ]
        self.parameters = torch.tensor(np.concatenate(flat))
        self.slopes, self.mean, self.square = (torch.zeros_like(self.parameters) for _ in range(3))
        sizes = [int(np.prod(shape)) for shape in shapes]

        def views(vector):
            parts = zip(torch.split(vector, sizes), shapes, strict=True)
            return [part.view(shape) for part, shape in parts]

        self.weight, self.bias = views(self.parameters)[::2], views(self.parameters)[1::2]
        self.weight_slope, self.bias_slope = views(self.slopes)[::2], views(self.slopes)[1::2]
        n = [w.shape[0] for w in self.weight]
        for name, tau in (("tau_m", "tau_m"), ("tau_r", "tau_r")):
            values = [np.array(getattr(layer.neurons, tau)) for layer in network.layers]
            setattr(self, name, [torch.tensor(v).expand(k) for v, k in zip(values, n, strict=True)])
        self.u, self.v, self.e, self.r = ([torch.zeros(BATCH, k) for k in n] for _ in range(4))
        self.slope = [torch.ones(BATCH, k) for k in n]  # of the activation
        self.count = 0
        learned = [*self.weight, *self.bias]
        self.optimizer = torch.optim.Adam(learned, CONFIG.learning_rate)
        for parameter, slope in zip(learned, [*self.weight_slope, *self.bias_slope], strict=True):
            parameter.grad = slope

    def step(self, input) -> None:
        torch, dt, layers = self.torch, CONFIG.dt, range(len(self.weight))
        below = [input, *self.r[:-1]]
        r, slope = [], []
        for i in layers:  # rates upwards, each layer from its neighbours' previous step
            du = torch.addmm(self.bias[i], below[i], self.weight[i].T)
            du.sub_(self.u[i]).div_(self.tau_m[i])
            p = torch.addcmul(self.u[i], du, self.tau_r[i])
            self.u[i].add_(du, alpha=dt)
            if self.linear[i]:
                r.append(p)
                slope.append(None)
            else:
                r.append(p.tanh_())
                slope.append(1 - p * p)
        arriving = (self.target - self.r[-1].softmax(-1)).mul_(CONFIG.beta)
        e = list(self.e)
        for i in reversed(layers):  # errors downwards, met by the slopes of the previous step
            if not self.linear[i]:
                arriving.mul_(self.slope[i])
            dv = arriving.sub_(self.v[i]).div_(self.tau_r[i])
            e[i] = torch.addcmul(self.v[i], dv, self.tau_m[i])
            self.v[i].add_(dv, alpha=dt)
            if self.usual:
                samples = torch.bmm(e[i][:, :, None], below[i][:, None, :])
                torch.sum(samples, 0, out=self.weight_slope[i])
            else:
                torch.mm(e[i].T, below[i], out=self.weight_slope[i])
            torch.sum(e[i], 0, out=self.bias_slope[i])
            if i:
                arriving = self.e[i] @ self.weight[i]
        self.r, self.slope, self.e = r, slope, e
        self.slopes.div_(-BATCH)
        if self.usual:
            self.optimizer.step()
        else:
            self.adam()

    def adam(self, first: float = 0.9, second: float = 0.999, floor: float = 1e-8) -> None:
        self.count += 1
        self.mean.mul_(first).add_(self.slopes, alpha=1 - first)
        self.square.mul_(second).addcmul_(self.slopes, self.slopes, value=1 - second)
        scale = (1 - second**self.count) ** 0.5
        below = self.square.sqrt().div_(scale).add_(floor)
        rate = CONFIG.learning_rate / (1 - first**self.count)
        self.parameters.addcdiv_(self.mean, below, value=-rate)

    def run(self, steps: int) -> None:
        with self.torch.no_grad():
            for t in range(steps):
                self.step(self.input[t])


class Public:
    """The published program, imported from a checkout, from the same start.

    It lists the slow neurons of a layer before the fast ones.
    """

    def __init__(self, torch, ours: Ours, checkout: Path, rate: float = CONFIG.learning_rate):
        for folder in (checkout, checkout / "experiments" / "mnist1d"):
            sys.path.insert(0, str(folder))
        networks = importlib.import_module("networks")
        utils = importlib.import_module("lib.utils")
        self.torch = torch
        Net = networks.E2ELagMLPNet
        self.loss, Net.compute_target_error = utils.get_loss_and_derivative("ce", "linear")
        with contextlib.redirect_stdout(io.StringIO()):
            self.net = Net(
                dt=CONFIG.dt,
                tau=CONFIG.tau,
                prospective_errors=True,
                n_hidden_layers=CONFIG.depth,
                hidden_fast_size=CONFIG.fast,
                hidden_slow_size=CONFIG.slow,
                phi="tanh",
                output_phi="linear",
            )
        self.theirs = np.r_[CONFIG.fast : CONFIG.fast + CONFIG.slow, : CONFIG.fast]
        self.layers = [getattr(self.net, f"layer_{i}") for i in range(CONFIG.depth + 1)]
        self.dynamics = [getattr(self.net, f"dyn_{i}") for i in range(CONFIG.depth + 1)]
        last = len(self.layers) - 1
        for i, (layer, p) in enumerate(
            zip(self.layers, ours.learner.network.parameters, strict=True)
        ):
            rows = slice(None) if i == last else self.theirs
            weight, bias = np.array(p.synapses.weight)[rows], np.array(p.synapses.bias)[rows]
            layer.weight.data = torch.tensor(weight[:, self.theirs] if i else weight)
            layer.bias.data = torch.tensor(bias)
        self.net._initialize_dynamic_variables((BATCH, 1))
        for dynamics in self.dynamics:  # at rest, where theirs has a slope of 0 for one step
            dynamics.r_prime = torch.ones_like(dynamics.r)
        self.optimizer = torch.optim.Adam(self.net.parameters(), rate)
        self.input = torch.tensor(np.array(ours.lessons.input))
        self.target = torch.tensor(np.array(ours.lessons.target[0])).argmax(-1)

    def run(self, steps: int) -> None:
        """As in the published training loop, its bookkeeping of the loss included."""
        for t in range(steps):
            self.optimizer.zero_grad()
            with self.torch.no_grad():
                output = self.net(self.input[t], self.target, beta=CONFIG.beta)
                self.loss(output, self.target, reduction="sum").item()
            self.optimizer.step()

    def check(self, ours: Ours) -> None:
        """The same rates and errors."""
        mine = np.argsort(self.theirs)
        for i, (state, dynamics) in enumerate(
            zip(ours.state.network.layers, self.dynamics, strict=True)
        ):
            rows = slice(None) if dynamics is self.dynamics[-1] else mine
            pairs = {"rate": (state.r, dynamics.r), "error": (state.e, dynamics.prosp_v)}
            for name, (a, b) in pairs.items():
                b = b.numpy()[:, rows]
                distance = np.linalg.norm(a - b) / np.linalg.norm(b)
                assert distance < 0.01, f"Public differs by {distance:.1e} in {name} of layer {i}."


def draw(seed: int = 1) -> Lesson:
    """A random walk per sample, and one-hot targets."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.1, (STEPS, BATCH, 1)), axis=0).astype(np.float32)
    target = np.eye(10, dtype=np.float32)[rng.integers(10, size=BATCH)]
    return Lesson(jnp.asarray(walk), jnp.broadcast_to(target, (STEPS, BATCH, 10)))


def check(ours: Ours, theirs: Torch) -> None:
    """The same change of weights, the same rates and errors."""
    first = ours.learner.network.parameters
    for i, (layer, p) in enumerate(
        zip(ours.state.network.layers, ours.state.parameters, strict=True)
    ):
        start = np.array(first[i].synapses.weight)
        pairs = {
            "change of weight": (p.synapses.weight - start, theirs.weight[i].numpy() - start),
            "rate": (layer.r, theirs.r[i].numpy()),
            "error": (layer.e, theirs.e[i].numpy()),
        }
        for name, (a, b) in pairs.items():
            distance = np.linalg.norm(a - b) / np.linalg.norm(b)
            assert distance < 0.01, f"Rivals differ by {distance:.1e} in the {name} of layer {i}."


def measure(repeats: int, torch, public: Path | None) -> dict[str, Time]:
    """First the same answer, which is the warm-up too, then the time."""
    ours = Ours(draw())
    rivals: dict[str, Ours | Torch | Public] = {"ours": ours}
    if torch is not None:
        peers = {"torch": Torch(torch, ours), "usual": Torch(torch, ours, usual=True)}
        ours.run(CHECKED_STEPS)
        for peer in peers.values():
            peer.run(CHECKED_STEPS)
            check(ours, peer)
        rivals |= peers
        if public is not None:
            still = Ours(draw(), rate=0)
            program = Public(torch, still, public, rate=0)
            still.run(CHECKED_STEPS)
            program.run(CHECKED_STEPS)
            program.check(still)
            rivals["public"] = Public(torch, ours, public)
    race_of = [Rival(name, partial(rival.run, STEPS), STEPS) for name, rival in rivals.items()]
    for rival in race_of:
        rival.run()
    return race(race_of, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15, help="turns of every rival")
    parser.add_argument("--public", type=Path, help="checkout of the authors' program")
    parser.add_argument("--json", type=Path, default=RESULTS / "mnist1d_step.json")
    options = parser.parse_args()
    try:
        in_range("--repeats", options.repeats, 1)
    except InputError as error:
        parser.error(str(error))
    console = Console(width=None if Console().is_terminal else 120)
    try:
        torch = extra("torch", "bench")
        torch.set_num_threads(1)
    except MissingExtra as error:
        torch = None
        console.print(f"{error} The race goes on without PyTorch.", markup=False)
    surroundings = machine(CORE, ["lapicque", "jax", "jaxlib", "numpy", "optax", "torch"])
    times = measure(options.repeats, torch, options.public)
    table = Table(title="MNIST-1D, 14,956 parameters, batch 100, one learning step on one core")
    for head in ("rival", "least [us]", "median [us]", "of CPU [us]", "over ours", "in CPU"):
        table.add_column(head, justify="right")
    own = times["ours"]
    for name, time in times.items():
        row = [f"{x:.0f}" for x in (time.wall, time.wall_median, time.cpu)]
        row += [f"{x:.2f}" for x in (time.wall / own.wall, time.cpu / own.cpu)]
        table.add_row(name, *row)
    console.print(table)
    record = {
        **surroundings,
        "work": {"batch": BATCH, "turns": options.repeats, "dtype": "float32"},
        "peers": "eager PyTorch: our own transcriptions, and the authors' program where given",
        "us_per_step": {name: time._asdict() for name, time in times.items()},
        "ratios": {name: time.wall / times["ours"].wall for name, time in times.items()},
        "ratios_of_cpu": {name: time.cpu / times["ours"].cpu for name, time in times.items()},
        "ratios_of_medians": {
            name: time.wall_median / times["ours"].wall_median for name, time in times.items()
        },
    }
    keep(options.json, record)
    console.print(f"Written to {options.json}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
