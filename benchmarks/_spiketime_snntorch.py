"""Yin-Yang in snnTorch: discrete time, surrogate gradients, eager PyTorch.

The library's `Leaky` neurons (decay of one tau_s) between two `torch.nn.Linear`, a readout of
`Leaky` without reset, and the cross-entropy of its mean over time, as for spyx. Both linear layers
see all steps at once, which is faster than one step each in the loop of the library's tutorials.
`torch.compile` is no way out with PyTorch 2.13: on the whole network it had not finished after 200
s, since the loop over steps is unrolled, and on one layer it fails in the surrogate.

Adam with 0.02 and the library's fast sigmoid of slope 25: about 0.85 of the validation set after
three to five epochs.
"""

import numpy as np
import snntorch
import torch
from _spiketime import (
    BATCH,
    CLASSES,
    DT,
    HIDDEN,
    STEPS,
    Peer,
    Split,
    on_grid,
    splits,
    started,
    version,
)
from snntorch import surrogate

RATE = 0.02
SLOPE = 25
DECAY = float(np.exp(-DT))  # of one tau_s
READOUT_DECAY = 0.98


class Net(torch.nn.Module):
    """Spikes of shape (step, batch, channel) to mean potentials of shape (batch, class)."""

    def __init__(self):
        super().__init__()
        self.into = torch.nn.Linear(4, HIDDEN)
        torch.nn.init.normal_(self.into.weight)
        torch.nn.init.zeros_(self.into.bias)
        self.neurons = snntorch.Leaky(beta=DECAY, spike_grad=surrogate.fast_sigmoid(SLOPE))
        self.out = torch.nn.Linear(HIDDEN, CLASSES)
        self.readout = snntorch.Leaky(beta=READOUT_DECAY, reset_mechanism="none")

    def forward(self, spikes):
        currents = self.into(spikes)
        potential, fired = torch.zeros_like(currents[0]), []
        for current in currents:
            now, potential = self.neurons(current, potential)
            fired.append(now)
        currents = self.out(torch.stack(fired))
        potential, total = torch.zeros_like(currents[0]), torch.zeros_like(currents[0])
        for current in currents:
            _, potential = self.readout(current, potential)
            total = total + potential
        return total / STEPS


def rival(seed: int = 0) -> Peer:
    """Trains 4-30-3 in float32."""

    def tensors(split: Split):
        steps = torch.tensor(on_grid(split.times), dtype=torch.int64)
        spikes = torch.nn.functional.one_hot(steps, STEPS).permute(2, 0, 1)
        return spikes.float().contiguous(), torch.tensor(split.labels)

    torch.set_default_dtype(torch.float32)  # another rival may have changed it
    torch.manual_seed(seed)
    (spikes, labels), validation = map(tensors, splits())
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), RATE)

    def run():
        for chosen in torch.randperm(len(labels)).split(BATCH):
            answer = net(spikes[:, chosen])
            loss = torch.nn.functional.cross_entropy(answer, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def accuracy() -> float:
        spikes, labels = validation
        return (net(spikes).argmax(1) == labels).float().mean().item()

    versions = f"snnTorch {version('snntorch')}, PyTorch {torch.__version__}"
    return Peer(f"snnTorch, {STEPS} steps", run, accuracy, started(run), versions)
