"""Yin-Yang in the authors' program, github.com/JulianGoeltz/fastAndDeep: exact times, PyTorch.

Networks, losses, first parameters and rates are those of its configurations `yin_yang_H30_W`, `_WA`
and `_WS`, in float64. Its modules and functions are imported from a checkout; only the loop over
batches is written anew, without the plot, the records and the validation of the published loop and
with batches drawn from one tensor instead of by a loader, which saves a third of the time. What it
prints (how often a gradient was dropped or weights were bumped) goes nowhere.

For wide layers there are two published ways. The exact one holds every prefix of every neuron's
inputs, batch x pre x pre x post numbers, 140 GB for 784-350 at batch 80; the other is an Euler
integration in steps of 0.01 tau_s, with exact derivatives. The newest Euler integration holds batch
x pre x post x step numbers and is of no use here; release v1.0.0 holds batch x pre x step.

The licence is GPL-3.0: nothing of it is copied here.
"""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from _spiketime import BATCH, CLASSES, Peer, Split, Step, Wide, splits, started
from numpy.typing import NDArray

Array = NDArray[Any]

RESOLUTION, HORIZON = 0.01, 3.5  # of the Euler integration [tau_s]


def modules(checkout: Path, *names: str) -> list[ModuleType]:
    """Modules of a checkout, by their bare names, which several checkouts share."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    source = str(checkout.resolve() / "src")
    mine = ("utils", "networks", "training", "utils_spiketime", "utils_spiketime_et")

    def forget() -> None:
        for name in mine:
            sys.modules.pop(name, None)

    forget()
    sys.path.insert(0, source)
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(source)
        forget()
        torch.set_default_dtype(torch.float32)  # they set float64 for the whole process


@contextlib.contextmanager
def _as_they_run():
    """Float64 as default, and nothing printed."""
    torch.set_default_dtype(torch.float64)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def _version(checkout: Path) -> str:
    """The commit, as git or a file `COMMIT` tells."""
    note = checkout / "COMMIT"
    if note.is_file():
        commit = note.read_text().strip()
    else:
        command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return f"fastAndDeep {commit[:10] or 'unknown'}, PyTorch {torch.__version__}"


def _built(checkout: Path, variant: str):
    """Its modules, the network with its first parameters, and the settings."""
    program, networks, training = modules(checkout, "utils", "networks", "training")
    config = checkout / "experiment_configs" / f"yin_yang_H30_{variant}.yaml"
    _, neuron, layout, settings = training.load_config(config)
    for key in ("rounding_precision", "max_dw_norm", "clip_weights_max"):
        settings.setdefault(key, False)  # as its `train` does
    with _as_they_run():
        torch.manual_seed(settings["torch_seed"])
        net = networks.get_network(neuron, layout, settings, torch.device("cpu"))
    return program, training, net, neuron, settings


def answers(checkout: Path, variant: str) -> tuple[list[Array], list[Array | None], Array]:
    """First weights and delays of both layers (pre, post), and label times of the validation set.

    Delays are `None` without, (pre, 1) if axonal.
    """
    program, _, net, _, _ = _built(checkout, variant)
    weights, delays = [], []
    with _as_they_run(), torch.no_grad():
        for layer in net.layers:
            if isinstance(layer, program.NeuronLayer):
                weights.append(layer.weights.detach().numpy())
            elif isinstance(layer, program.DelayLayer):
                delays.append(layer.effective_delays().detach().numpy())
            else:
                delays.append(None)
        times, _ = net(torch.tensor(splits()[1].times))
    return weights, delays, times.numpy()


def rival(checkout: Path, variant: str = "W") -> Peer:
    """Trains 4-30-3: weights (W), and axonal (WA) or synaptic (WS) delays."""
    program, training, net, neuron, settings = _built(checkout, variant)

    def tensors(split: Split):
        return torch.tensor(split.times), torch.tensor(split.labels)

    (times, labels), validation = map(tensors, splits())
    with _as_they_run():
        device = torch.device("cpu")
        criterion = program.GetLoss(settings, CLASSES, neuron["tau_syn"], device)
        rate = settings["learning_rate"]
        groups = [
            {"params": layer.parameters(), "lr": rate if layer.lr is None else layer.lr}
            for layer in net.layers
        ]
        optimizer = torch.optim.Adam(groups, lr=rate)
        scheduler = training.setup_lr_scheduling(settings["lr_scheduler"], optimizer)
    bumped, bump = -2, settings["weight_bumping_value"]  # -2: nothing was bumped
    count = 0

    def run():
        nonlocal bumped, bump, count
        with _as_they_run():
            for i, chosen in enumerate(torch.randperm(len(labels)).split(BATCH)):
                optimizer.zero_grad()
                answer, hidden = net(times[chosen])
                bumped, bump = training.check_bump_weights(
                    net, hidden, answer, settings, count, i, bump, bumped
                )
                if bumped == -2:
                    criterion(answer, labels[chosen], net).backward()
                    optimizer.step()
                    net.delays_rectify()
                net.write_weights()
            scheduler.step()
        count += 1

    @torch.no_grad()
    def accuracy() -> float:
        with _as_they_run():
            answer, _ = net(validation[0])
        return (criterion.select_classes(answer) == validation[1]).float().mean().item()

    name = f"fastAndDeep {variant}"
    return Peer(name, run, accuracy, started(run), _version(checkout))


def step(checkout: Path, work: Wide, euler: bool = False) -> Step:
    """Gradient of the time-to-first-spike loss for one batch, tau_m = tau_s, in float64.

    Args:
        checkout: Of release v1.0.0, or of a later version (only the exact solver).
    """
    (program,) = modules(checkout, "utils")
    old = hasattr(program, "EqualtimeLayer")
    sizes = (*work.weights[0].shape, work.weights[1].shape[1])
    device = torch.device("cpu")
    neuron = {"tau_syn": 1.0, "tau_mem": 1.0, "g_leak": 1.0, "leak": 0.0, "threshold": 1.0}
    settings = {
        "use_forward_integrator": euler,
        "resolution": RESOLUTION,
        "sim_time": HORIZON,
        "max_dw_norm": 0.2,
    }
    with _as_they_run():
        times, labels = torch.tensor(work.times), torch.tensor(work.labels)
        weights = [torch.tensor(w) for w in work.weights]
        pairs = list(pairwise(sizes))
        if old:
            both = neuron | settings
            layers = [
                program.EqualtimeLayer(pre, post, both, w, device)
                for (pre, post), w in zip(pairs, weights, strict=True)
            ]
            loss_of = program.LossFunction(sizes[-1], 1.0, 0.2, 0.005, 1.0, device)
        else:
            neuron["max_dw_norm"] = 0.2
            layers = []
            for (pre, post), w in zip(pairs, weights, strict=True):
                part = {"feat_in": [pre, 1], "size": post, "weights_mean": 0, "weights_std": 1}
                part |= {"max_num_missing_spikes": 1}
                layer = program.NeuronLayer(part, neuron, settings, device)
                layer.weights.data = w
                layers += [program.BroadcastLayer(1, post), layer]
            kind = {"type": "TTFS", "xi": 0.2}
            kind["regulariser"] = [{"type": "early_output", "alpha": 0.005, "beta": 1.0}]
            criterion = program.GetLoss({"loss": kind}, sizes[-1], 1.0, device)

            def loss_of(answer, labels):
                return criterion(answer, labels, None)

        network = torch.nn.Sequential(*layers)

    def run():
        with _as_they_run():
            network.zero_grad()
            loss_of(network(times), labels).backward()

    def gradients():
        run()
        return [weight.grad.numpy() for weight in network.parameters()]

    name = f"fastAndDeep{' v1' if old else ''}, {'Euler' if euler else 'exact'}"
    return Step(name, run, started(run), _version(checkout), None if euler else gradients)
