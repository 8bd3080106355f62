"""Yin-Yang baselines: a network, one with a frozen first layer, a linear classifier.

The data set's own table. Conventional networks are trained by backprop: 4 inputs, 30 rectified
units, 3 classes; the same with its first layer left as it was drawn; and no hidden layer at all.
The steps from one to the next are large, which is what the data set was made for: a rule whose
errors do not reach the hidden layer shows it.

Adam at a rate of 0.01 never settles. Single networks lose and regain several points of accuracy
from one epoch to the next, late in training too, so what counts is the mean over networks;
beside it stands the epoch that the validation set would choose.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lapicque._checks import in_range, positive
from lapicque.data import DataSet, Samples, epoch_batches, yin_yang, yin_yang_class
from lapicque.lab import Certainty, Claim, Outcome, Session
from lapicque.lab.figure import INK, MUTED, subplots

VARIANTS = {
    "ann": "all layers learn",
    "frozen": "first layer frozen",
    "linear": "linear",
}
STATED = {"ann": 0.976, "frozen": 0.855, "linear": 0.638}  # test accuracy
LATE = 50  # epochs at the end of training over which its noise is taken


@dataclass(frozen=True)
class Config:
    """Settings of the Yin-Yang baselines."""

    n_networks: int = 20  # networks that differ in initial weights and order of samples
    epochs: int = 300
    batch: int = 20
    learning_rate: float = 0.01  # of Adam
    n_hidden: int = 30
    grid: int = 120  # points per side of the decision map

    def __post_init__(self):
        for name in ("n_networks", "epochs", "batch", "n_hidden"):
            in_range(name, getattr(self, name), 1)
        positive("learning_rate", self.learning_rate)
        in_range("grid", self.grid, 2)


PRESETS = {
    "smoke": Config(n_networks=2, epochs=2, n_hidden=8, grid=20),
    "quick": Config(),  # the published setting is quick enough
    "paper": Config(),
}

_README = "Kriener et al. (2021), table in the data set's repository, 20 networks: "
CLAIMS = (
    Claim(
        "ann",
        "A small network trained by backprop solves Yin-Yang",
        "ann_test_accuracy",
        Certainty.AUTHORS_CODE,
        _README + "97.6 +- 1.5 %",
        at_least=0.960,
        at_most=0.988,
        published=STATED["ann"],
    ),
    Claim(
        "frozen",
        "With its first layer frozen it falls well behind",
        "frozen_test_accuracy",
        Certainty.AUTHORS_CODE,
        _README + "85.5 +- 5.8 %",
        at_least=0.77,
        at_most=0.91,
        published=STATED["frozen"],
    ),
    Claim(
        "linear",
        "Without a hidden layer a third of the points are lost",
        "linear_test_accuracy",
        Certainty.AUTHORS_CODE,
        _README + "63.8 +- 1.0 %",
        at_least=0.615,
        at_most=0.660,
        published=STATED["linear"],
    ),
    Claim(
        "errors_arrive",
        "Learning the first layer is worth at least eight points of accuracy",
        "gain_over_frozen",
        Certainty.AUTHORS_CODE,
        _README + "97.6 against 85.5 %",
        at_least=0.08,
        published=0.121,
    ),
    Claim(
        "hidden_layer",
        "A hidden layer that does not learn is worth at least eight points of accuracy",
        "frozen_gain_over_linear",
        Certainty.AUTHORS_CODE,
        _README + "85.5 against 63.8 %",
        at_least=0.08,
        published=0.217,
    ),
)

CITES = ("kriener2022yinyang",)


def run(config: Config, seed: int, session: Session) -> Outcome:
    """Train the three kinds of network and map their decisions over the disc.

    Network k of every kind sees the samples in the same order, and the frozen networks begin
    as the same networks as those that learn throughout.
    """
    data = yin_yang()
    in_range("batch", config.batch, 1, len(data.train), "samples")
    side = np.linspace(0, 1, config.grid, dtype=np.float32)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    points = jnp.stack([x, y, 1 - x, 1 - y], axis=-1)
    metrics: dict[str, float] = {}
    recordings: dict[str, np.ndarray] = {}
    for name in VARIANTS:
        networks, history = _train(name, config, data, seed, session)
        first = jax.tree.map(lambda a: a[0] if eqx.is_array(a) else a, networks)
        test, chosen = history["test_accuracy"], history["accuracy"].argmax(axis=0)
        selected = np.take_along_axis(test, chosen[None], axis=0)[0]
        metrics |= {
            f"{name}_test_accuracy": float(test[-1].mean()),
            f"{name}_test_accuracy_spread": float(test[-1].std()),
            f"{name}_selected_test_accuracy": float(selected.mean()),
            f"{name}_selected_test_accuracy_spread": float(selected.std()),
            f"{name}_late_noise": float(test[-LATE:].std(axis=0).mean()),
        }
        recordings |= {f"{name}/{field}": values for field, values in history.items()}
        recordings[f"{name}/map"] = np.asarray(_answers(first, points)).reshape(
            config.grid, config.grid
        )
    for gain, more, less in (
        ("gain_over_frozen", "ann", "frozen"),
        ("frozen_gain_over_linear", "frozen", "linear"),
    ):
        metrics[gain] = metrics[f"{more}_test_accuracy"] - metrics[f"{less}_test_accuracy"]
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def _train(
    name: str, config: Config, data: DataSet, seed: int, session: Session
) -> tuple[eqx.nn.MLP, dict[str, np.ndarray]]:
    """All networks of a kind after training, stacked, and their history, (epochs, networks)."""

    @eqx.filter_vmap
    def build(key):
        # Equinox, too, draws weights and biases uniformly from +-1/sqrt(fan_in).
        depth = 0 if name == "linear" else 1
        return eqx.nn.MLP(data.shape[0], data.n_classes, config.n_hidden, depth, key=key)

    keys = [jax.random.fold_in(jax.random.key(seed), k) for k in range(config.n_networks)]
    networks = build(jnp.stack(keys))
    learns = jax.tree.map(eqx.is_array, networks)
    if name == "frozen":
        learns = eqx.tree_at(
            lambda network: network.layers[0],
            learns,
            replace_fn=lambda layer: jax.tree.map(lambda _: False, layer),
        )
    parameters, fixed = eqx.partition(networks, learns)
    optimizer = optax.adam(config.learning_rate)
    splits = {split: _arrays(samples) for split, samples in data.splits.items()}

    def step(state, i):
        orders = [
            epoch_batches(len(data.train), config.batch, 1000 * seed + k, i)
            for k in range(config.n_networks)
        ]
        return _epoch(state, fixed, np.stack(orders), splits, optimizer)

    state = parameters, jax.vmap(optimizer.init)(parameters)
    (parameters, _), history = session.loop(name, step, state, config.epochs)
    return eqx.combine(parameters, fixed), history


@eqx.filter_jit
def _epoch(state, fixed, orders, splits, optimizer):
    """One epoch of every network, then its accuracy on what it did not learn from."""

    def cost(parameters, fixed, inputs, labels):
        scores = jax.vmap(eqx.combine(parameters, fixed))(inputs)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    def one(state, fixed, order):
        def learn(state, batch):
            parameters, moments = state
            value, gradient = jax.value_and_grad(cost)(parameters, fixed, *batch)
            change, moments = optimizer.update(gradient, moments)
            return (eqx.apply_updates(parameters, change), moments), value

        inputs, labels = splits["train"]
        state, costs = jax.lax.scan(learn, state, (inputs[order], labels[order]))
        network = eqx.combine(state[0], fixed)
        accuracy = {
            split: (_answers(network, inputs) == labels).mean()
            for split, (inputs, labels) in splits.items()
            if split != "train"
        }
        return state, {
            "train_cost": costs.mean(),
            "accuracy": accuracy["validation"],
            "test_accuracy": accuracy["test"],
        }

    return eqx.filter_vmap(one)(state, fixed, orders)


def _answers(network, inputs):
    """The class with the highest score, for every input."""
    return jax.vmap(network)(inputs).argmax(axis=-1)


def _arrays(samples: Samples) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(samples.inputs, dtype=jnp.float32), jnp.asarray(samples.labels)


def figures(outcome: Outcome, config: Config):
    """Learning curves, and the decision regions of one network of each kind."""
    return {"regions": _regions(outcome, config), "learning": _learning(outcome)}


def _regions(outcome: Outcome, config: Config):
    figure, axes = subplots(1, 3, height=2.7)
    side = np.linspace(0, 1, config.grid)
    inside = np.hypot(*np.meshgrid(side - 0.5, side - 0.5)) <= 0.5
    fine = np.linspace(0, 1, 200)
    truth = np.array([[yin_yang_class(x, y) for x in fine] for y in fine])
    for axis, (name, label) in zip(axes[0], VARIANTS.items(), strict=True):
        regions = np.where(inside, outcome.recordings[f"{name}/map"], np.nan)
        axis.imshow(regions, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=2)
        for kind in (0, 2):  # white: where the classes really meet
            axis.contour(fine, fine, truth == kind, [0.5], colors="white", linewidths=0.8)
        accuracy = 100 * outcome.recordings[f"{name}/test_accuracy"][-1, 0]
        axis.set(title=f"{label}\nthis network: {accuracy:.1f} %", xticks=[], yticks=[])
        axis.grid(False)
    return figure


def _learning(outcome: Outcome):
    figure, axes = subplots()
    axis = axes[0, 0]
    for name, label in VARIANTS.items():
        accuracy = 100 * outcome.recordings[f"{name}/test_accuracy"]
        epochs = np.arange(1, len(accuracy) + 1)
        (line,) = axis.plot(epochs, accuracy.mean(1), label=label, zorder=3)
        axis.plot(epochs, accuracy[:, 0], color=line.get_color(), linewidth=0.6, alpha=0.6)
        axis.fill_between(
            epochs, accuracy.min(1), accuracy.max(1), color=line.get_color(), alpha=0.15
        )
        axis.axhline(100 * STATED[name], color=MUTED, linewidth=0.8, linestyle="--")
    axis.plot([], [], color=INK, linewidth=0.6, alpha=0.6, label="one network")
    axis.plot([], [], color=MUTED, linewidth=0.8, linestyle="--", label="stated")
    axis.set(xlabel="epoch", ylabel="test accuracy [%]", ylim=(None, 100.5))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=5)
    return figure
