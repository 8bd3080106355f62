"""The official harness and ours see the same run and must give the same numbers."""

import numpy as np
import pytest

pytest.importorskip("neurobench")
torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")

from neurobench.benchmarks import Benchmark  # noqa: E402
from neurobench.metrics.static import (  # noqa: E402
    ConnectionSparsity,
    Footprint,
    ParameterCount,
)
from neurobench.metrics.workload import (  # noqa: E402
    MSE,
    R2,
    SMAPE,
    ActivationSparsity,
    ActivationSparsityByLayer,
    ClassificationAccuracy,
    MembraneUpdates,
    NeuronOperations,
    SynapticOperations,
)
from neurobench.models import SNNTorchModel  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lapicque.benchmark import mackey_glass, metrics, recurrent, reservoir  # noqa: E402
from lapicque.benchmark.record import Cell, Convolution, Dense, Population, Record  # noqa: E402
from lapicque.interop.neurobench import wrap  # noqa: E402

STATIC = [Footprint, ParameterCount, ConnectionSparsity]
ACTIVITY = [
    ActivationSparsity,
    ActivationSparsityByLayer,
    SynapticOperations,
    MembraneUpdates,
    NeuronOperations,
]


def harness(model, inputs, targets, workload, post=(), batch=None):
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=batch or len(inputs))
    return Benchmark(model, loader, [], list(post), [STATIC, workload]).run(quiet=True)


def same(theirs, ours, names):
    for name in names:
        mine = ours[name]
        if isinstance(mine, dict):
            assert set(theirs[name]) == set(mine), name
            for key, value in mine.items():
                assert theirs[name][key] == pytest.approx(value, rel=1e-6, abs=1e-7), (name, key)
        else:
            assert theirs[name] == pytest.approx(mine, rel=1e-6, abs=1e-7), name


class Spiking(torch.nn.Module):
    """20-64-5 with a quarter of the weights gone; both layers spike."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.fc1, self.fc2 = torch.nn.Linear(20, 64), torch.nn.Linear(64, 5)
        with torch.no_grad():
            for layer in (self.fc1, self.fc2):
                layer.weight *= (torch.rand_like(layer.weight) > 0.25).float() * 2
        self.lif1 = snntorch.Leaky(beta=0.9, init_hidden=True, reset_mechanism="zero")
        self.lif2 = snntorch.Leaky(
            beta=0.9, init_hidden=True, output=True, reset_mechanism="subtract"
        )

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


def recorded(net, batch):
    """The same network, run step by step in torch; its record is ours."""
    net.lif1.reset_mem()
    net.lif2.reset_mem()
    rows = []
    with torch.no_grad():
        for t in range(batch.shape[1]):
            x = batch[:, t]
            s1 = net.lif1(net.fc1(x))
            m1 = net.lif1.mem.clone()
            s2, m2 = net.lif2(net.fc2(s1))
            rows.append([a.numpy().copy() for a in (x, s1, m1, s2, m2)])
    x, s1, m1, s2, m2 = (np.stack(a) for a in zip(*rows, strict=True))

    def dense(name, layer, entering):
        return Dense(name, layer.weight.detach().numpy(), entering, layer.bias.detach().numpy())

    record = Record(
        (dense("fc1", net.fc1, x), dense("fc2", net.fc2, s1)),
        (
            Population("lif1", s1, m1, "Leaky", "zero"),
            Population("lif2", s2, m2, "Leaky", "subtract"),
        ),
        samples=x.shape[1],
        executions=x.shape[0] * x.shape[1],
    )
    return record, s2.swapaxes(0, 1)


def test_spiking_network_natively_mirrored_and_by_ours():
    net = Spiking()
    rng = np.random.default_rng(0)
    inputs = torch.tensor((rng.random((50, 12, 20)) < 0.3).astype(np.float32))
    inputs[:, 3] *= 2.0  # one graded step: a mix of both kinds of operation
    targets = torch.tensor(rng.integers(0, 5, 50))

    def decide(spikes):
        return spikes.sum(1).argmax(1)

    workload = [ClassificationAccuracy, *ACTIVITY]
    native = harness(SNNTorchModel(net), inputs, targets, workload, [decide], batch=16)
    told = [recorded(net, inputs[k : k + 16]) for k in range(0, 50, 16)]
    records = [record for record, _ in told]
    answers = np.concatenate([decide(torch.tensor(out)).numpy() for _, out in told])
    ours = metrics.summary(
        records, ClassificationAccuracy=metrics.accuracy(answers, targets.numpy())
    )
    names = [m.__name__ for m in (*workload, ConnectionSparsity, ParameterCount)]
    same(native, ours, names)
    assert ours["SynapticOperations"]["Effective_MACs"] > 0
    assert ours["SynapticOperations"]["Effective_ACs"] > 0
    assert 0.2 < ours["ConnectionSparsity"] < 0.3
    model = wrap(lambda batch: recorded(net, torch.tensor(batch)), records[0])
    mirrored = harness(model, inputs, targets, workload, [decide], batch=16)
    same(mirrored, ours, [*names, "Footprint"])


def test_echo_state_network():
    settings = reservoir.EchoState(60, 0.9, 0.8, 0.3, 1.2, 0.5, 1e-7)
    instance = mackey_glass.instance(17, 0)
    forecast = reservoir.echo_state(settings)(instance.train[None], [0])
    record, told = forecast.records[0], forecast.predictions[0]
    inputs = torch.tensor(np.append(instance.train[-1], instance.targets[:-1]))[:, None, None]
    targets = torch.tensor(instance.targets)[:, None]
    model = wrap(lambda batch: (record, told[:, None]), record)
    workload = [SMAPE, MSE, ActivationSparsity, SynapticOperations, MembraneUpdates]
    theirs = harness(model, inputs, targets, workload)
    ours = metrics.summary(
        record,
        SMAPE=metrics.smape(told, instance.targets),
        MSE=metrics.mse(told, instance.targets),
    )
    same(theirs, ours, [m.__name__ for m in (*workload, *STATIC)])
    assert ours["Footprint"] == 8 * (60**2 + 2 * 60 + 62 + 60)


def test_layers_of_other_kinds():
    """Convolutions in two dimensions and all three cells; biases and states are not zero."""
    rng = np.random.default_rng(1)
    n, d, h = 7, 9, 5

    def sparse(*shape):
        return (rng.standard_normal(shape) * (rng.random(shape) < 0.6)).astype(np.float32)

    def full(*shape):
        return (0.5 + rng.random(shape)).astype(np.float32)

    connections = [
        Convolution("conv", sparse(4, 3, 3, 2), sparse(6, n, 6, 8, 7), full(4), (2, 1),
                    ((1, 1), (0, 0)), (1, 2), 2),
        Convolution("line", sparse(4, 3, 5), sparse(6, n, 3, 20), None, (2,), ((2, 2),)),
    ]  # fmt: skip
    for kind, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        cell = full(6, n, h) if kind == "lstm" else None
        bias = full(gates * h), full(gates * h)
        weights = sparse(gates * h, d), sparse(gates * h, h)
        connections.append(Cell(kind, kind, *weights, sparse(6, n, d), full(6, n, h), cell, *bias))
    outputs = rng.random((6, n, 2)).astype(np.float32)
    record = Record(tuple(connections), (Population("out", sparse(6, n, 4)),), n, 6 * n)
    model = wrap(lambda batch: (record, outputs[0]), record)
    targets = torch.tensor(rng.random((n, 2)).astype(np.float32))
    theirs = harness(
        model, torch.zeros(n, 1), targets, [R2, ActivationSparsity, SynapticOperations]
    )
    ours = metrics.summary(record, R2=metrics.r2(outputs[0], targets.numpy()))
    same(theirs, ours, ["R2", "ActivationSparsity", "SynapticOperations", "Footprint",
                        "ConnectionSparsity", "ParameterCount"])  # fmt: skip


def test_our_network_goes_through_the_harness():
    """A network of prospective neurons that forecasts: the numbers that are reported for it."""
    instance = mackey_glass.instance(17, 0)
    settings = recurrent.Equilibrium(units=20, passes=1)
    forecast = recurrent.equilibrium(settings)(instance.train[None], [0])
    record, told = forecast.records[0], forecast.predictions[0]
    model = wrap(lambda batch: (record, told[:, None]), record)
    inputs, targets = torch.zeros(750, 1, 1), torch.tensor(instance.targets)[:, None]
    workload = [SMAPE, ActivationSparsity, SynapticOperations, MembraneUpdates]
    theirs = harness(model, inputs, targets, workload)
    ours = metrics.summary(record, SMAPE=metrics.smape(told, instance.targets))
    same(theirs, ours, [m.__name__ for m in (*workload, *STATIC)])
