"""Bars in a dendritic microcircuit: with and without look-ahead.

Pyramidal cells and interneurons learn to tell horizontal from vertical from diagonal bars while
patterns follow one another every T_pres, without pause, reset or phases. The membranes need
tau_eff = 5.3 ms to follow their input. With prospective somata (Latent Equilibrium) 1 ms per
pattern is enough; the same circuit with ordinary somata (Sacramento et al. 2018) learns nothing at
that pace, because its errors belong to patterns long gone.

Every epoch shows the 8 patterns with target and plasticity, then again without either; the read-out
is the output potential averaged over the presentation (for the original circuit after a lag).

Source: Haider et al. (2021), figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range, positive
from lapicque.data import bars
from lapicque.lab import Certainty, Claim, Outcome, Session
from lapicque.lab.figure import COLOURS, MUTED, subplots
from lapicque.rate.compartment import prospective, retarded
from lapicque.rate.microcircuit import (
    Microcircuit,
    MicrocircuitWeights,
    Stimulus,
    present_patterns,
    record_patterns,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """Times in steps are multiples of dt.

    Attributes:
        n_networks: Networks with different initial weights and pattern orders, trained together.
        n_hidden: Pyramidal cells in the hidden layer.
        epochs: Epochs of 8 patterns with target, each followed by 8 patterns without.
        t_pres: Steps per pattern.
        sweep: Further presentation times to train and compare, in steps.
        dt: Step [ms].
        target_high: Target potential of the output that stands for the class.
        target_low: Target potential of the other outputs.
    """

    n_networks: int = 10
    n_hidden: int = 30
    epochs: int = 500
    t_pres: int = 10
    sweep: tuple[int, ...] = ()
    dt: float = 0.1
    target_high: float = 1.0
    target_low: float = 0.1

    def __post_init__(self):
        for name in ("n_networks", "n_hidden", "epochs", "t_pres"):
            in_range(name, getattr(self, name), 1)
        in_range("sweep", self.sweep, 1)
        positive("dt", self.dt, "ms")
        in_range("target_low", self.target_low)
        in_range("target_high", self.target_high, self.target_low)


PRESETS = {
    "smoke": Config(n_networks=2, epochs=4, sweep=(3,)),
    "quick": Config(sweep=(5, 50)),
    "paper": Config(epochs=1000, sweep=(3, 5, 20, 50, 100, 200, 500, 1000, 2000, 5000)),
}

CLAIMS = (
    Claim(
        id="le_is_fast",
        statement="With look-ahead the circuit learns the bars at 1 ms per pattern, a fifth of "
        "its membrane time constant.",
        metric="le_accuracy",
        at_least=0.98,
        published=1.0,
        certainty=Certainty.REFERENCE_RUN,
        source="Haider et al. (2021), figure 3; value from an independent run of its equations",
    ),
    Claim(
        id="original_is_slow",
        statement="Without look-ahead the circuit does not learn at 1 ms per pattern.",
        metric="original_accuracy",
        at_most=0.5,
        published=0.38,
        certainty=Certainty.REFERENCE_RUN,
        source="Haider et al. (2021), figure 3; value from an independent run of its equations",
    ),
    Claim(
        id="original_learns_when_given_time",
        statement="Without look-ahead the circuit learns too, once a pattern lasts 500 ms.",
        metric="original_accuracy_5000_steps",
        at_least=0.7,
        certainty=Certainty.NOT_VERIFIED,
        source="Haider et al. (2021), figure 3; the bound is ours",
        presets=("paper",),
    ),
)

CITES = ("haider2021latent", "sacramento2018dendritic")

MODELS = {"le": prospective, "original": retarded}
LABELS = {"le": "Latent Equilibrium", "original": "without look-ahead"}
COLORS = {"le": COLOURS[0], "original": COLOURS[1]}
N_LAST = 10  # epochs that the final accuracy is averaged over

# Steps that the read-out of the original circuit waits, at the published presentation times.
LAG = {3: 0, 5: 2, 10: 5, 20: 10, 50: 20, 100: 50, 200: 150, 500: 400, 1000: 800, 5000: 800}


def run(config: Config, seed: int, session: Session) -> Outcome:
    """Train both circuits at every presentation time; show why one is fast and the other slow."""
    data = bars()
    samples = data.train.flat()
    high, low = config.target_high, config.target_low
    target = low + (high - low) * samples.one_hot(data.n_classes)
    task = tuple(map(jnp.asarray, (samples.inputs, target, samples.labels)))
    key_init, key_order = jax.random.split(jax.random.key(seed))
    start = draw(build("le", config, 1), jax.random.split(key_init, config.n_networks))
    orders = jax.random.split(key_order, config.n_networks)

    metrics, recordings = {}, {}
    times = sorted({config.t_pres, *config.sweep})
    final = {model: np.zeros((len(times), config.n_networks)) for model in MODELS}
    trained = {}
    for row, t_pres in enumerate(times):
        for model in MODELS:
            circuit = build(model, config, t_pres)
            states, history = learn(circuit, model, t_pres, task, start, orders, config, session)
            final[model][row] = history["accuracy"][-N_LAST:].mean(axis=0)
            mean, sd = final[model][row].mean(), final[model][row].std()
            session.log(f"{LABELS[model]}, {t_pres} steps: accuracy {mean:.3f} ± {sd:.3f}")
            metrics[f"{model}_accuracy_{t_pres}_steps"] = float(mean)
            if t_pres == config.t_pres:
                trained[model] = states
                mse = history["mse"][-N_LAST:].mean(axis=0)
                metrics |= {
                    f"{model}_accuracy": float(mean),
                    f"{model}_accuracy_sd": float(sd),
                    f"{model}_mse": float(mse.mean()),
                }
                recordings |= {f"{model}_{name}": rows for name, rows in history.items()}
    recordings |= {f"sweep_{model}": final[model] for model in MODELS}
    recordings["sweep_t_pres_ms"] = np.array(times) * config.dt

    weights = jax.tree.map(lambda w: w[0], trained["le"].weights)
    for model in MODELS:
        voltages = switch(build(model, config, 1), weights, task, config.dt)
        recordings[f"voltages_{model}"] = np.asarray(voltages)
    recordings["voltages_time_ms"] = (np.arange(N_BEFORE + N_AFTER) - N_BEFORE) * config.dt
    recordings["tau_eff_ms"] = np.array(build("le", config, 1).tau_eff)
    return Outcome(metrics, recordings, {"bars": data.origin})


def build(model: str, config: Config, t_pres: int) -> Microcircuit:
    """A circuit whose learning rates give the same change per pattern at any T_pres."""
    return Microcircuit(
        (9, config.n_hidden, 3),
        eta_up=(5 / t_pres, 1 / t_pres),
        eta_ip=2 / t_pres,
        clip_up=(4.0, 5.0),
        look_ahead=MODELS[model],
    )


@eqx.filter_jit
def draw(circuit: Microcircuit, keys: jax.Array) -> MicrocircuitWeights:
    """Self-predicting weights, a set for each network."""
    return jax.vmap(lambda key: circuit.self_predicting(circuit.random_weights(key)))(keys)


def learn(circuit, model, t_pres, task, weights, orders, config: Config, session: Session):
    """Train all networks; the history is (epoch, network)."""
    states = jax.vmap(circuit.init)(weights)
    lag = 0 if model == "le" else _lag(t_pres)
    chunk = _epochs_per_call(config.epochs, len(task[0]) * 2 * t_pres)

    def step(states, call):
        epochs = call * chunk + jnp.arange(chunk)
        return _train(circuit, states, orders, epochs, task, t_pres, lag, config.dt)

    label = f"{LABELS[model]}, {t_pres} steps per pattern"
    states, history = session.loop(label, step, states, config.epochs // chunk)
    return states, {
        name: rows.reshape(config.epochs, config.n_networks) for name, rows in history.items()
    }


@eqx.filter_jit
def _train(circuit, states, orders, epochs, task, t_pres, lag, dt):
    """Some epochs of every network; accuracy and error are (epoch, network)."""
    x, target, label = task
    show = partial(present_patterns, n_steps=t_pres, dt=dt, lag=lag)

    def one_epoch(order, state, epoch):
        train, test = (
            jax.random.permutation(key, len(label))
            for key in jax.random.split(jax.random.fold_in(order, epoch))
        )
        on, off = jnp.ones(len(label)), jnp.zeros(len(label))
        state, _ = show(circuit, state, Stimulus(x[train], target[train], on))
        state, output = show(circuit.frozen(), state, Stimulus(x[test], target[test], off))
        correct = output.argmax(axis=-1) == label[test]
        mse = jnp.mean((output - target[test]) ** 2)
        return state, {"accuracy": correct.mean(), "mse": mse}

    def one_network(state, order):
        return jax.lax.scan(partial(one_epoch, order), state, epochs)

    return jax.vmap(one_network, out_axes=(0, 1))(states, orders)


N_BEFORE, N_AFTER = 40, 260  # steps shown around the change of pattern


@eqx.filter_jit
def switch(circuit: Microcircuit, weights: MicrocircuitWeights, task, dt: float) -> jax.Array:
    """Potentials while a horizontal bar is followed by a vertical one, without target.

    Returns:
        (cell, signal, time): the hidden cell that moves most and the output that stands for the
        vertical bars; their u, emitted p, and u_eff.
    """
    x, target, _ = task
    circuit = circuit.frozen()

    def shown(*patterns):
        index = jnp.array(patterns)
        return Stimulus(x[index], target[index], jnp.zeros(len(index)))

    state, _ = present_patterns(circuit, circuit.init(weights), shown(0), n_steps=1000, dt=dt)
    _, voltages = record_patterns(circuit, state, shown(0, 4), n_steps=N_AFTER, dt=dt)
    hidden, output = voltages.pyramidal
    moves = jnp.argmax(jnp.ptp(hidden.u_eff, axis=0))
    cells = ((hidden, moves), (output, 1))
    signals = jnp.array([[s[:, n] for s in (cell.u, cell.p, cell.u_eff)] for cell, n in cells])
    return signals[..., N_AFTER - N_BEFORE :]


def figures(outcome: Outcome, config: Config) -> dict[str, Figure]:
    """Learning curves, potentials around a change of pattern, and accuracy against T_pres."""
    drawn = {"learning": _learning(outcome, config), "voltages": _voltages(outcome)}
    if config.sweep:
        drawn["presentation_time"] = _presentation_time(outcome, config)
    return drawn


def _learning(outcome: Outcome, config: Config) -> Figure:
    figure, ((accuracy, error),) = subplots(1, 2, height=3.0)
    epoch = np.arange(1, config.epochs + 1)
    for model in MODELS:
        for axes, name in ((accuracy, "accuracy"), (error, "mse")):
            rows = _smooth(outcome.recordings[f"{model}_{name}"])
            mean, sd = rows.mean(axis=1), rows.std(axis=1)
            axes.plot(epoch, mean, color=COLORS[model], label=LABELS[model])
            axes.fill_between(epoch, mean - sd, mean + sd, color=COLORS[model], alpha=0.2, lw=0)
    accuracy.axhline(3 / 8, color=MUTED, ls=":", label="largest class")
    accuracy.set(xlabel="epoch", ylabel="accuracy without target", ylim=(0, 1.05))
    error.set(xlabel="epoch", ylabel="mean squared error", yscale="log")
    accuracy.legend(frameon=False)
    figure.suptitle(
        f"{config.t_pres * config.dt:g} ms per pattern, "
        f"tau_eff = {float(outcome.recordings['tau_eff_ms']):.1f} ms, "
        f"{config.n_networks} networks (mean and standard deviation)"
    )
    return figure


def _voltages(outcome: Outcome) -> Figure:
    figure, axes = subplots(2, 2, height=4.2, sharex=True, sharey="row")
    time = outcome.recordings["voltages_time_ms"]
    for column, model in enumerate(MODELS):
        for row, cell in enumerate(("hidden pyramidal cell", "output of the new class")):
            u, p, u_eff = outcome.recordings[f"voltages_{model}"][row]
            panel = axes[row, column]
            panel.plot(time, u_eff, color="0.75", lw=4, label="u_eff, where it moves to")
            panel.plot(time, u, color=COLOURS[2], label="u, membrane potential")
            panel.plot(time, p, color=COLORS[model], ls="--", label="emitted potential")
            panel.axvline(0, color=MUTED, ls=":")
            if column == 0:
                panel.set_ylabel(cell)
            if row == 0:
                panel.set_title(LABELS[model])
        axes[1, column].set_xlabel("time since the new pattern [ms]")
        axes[0, column].legend(frameon=False, fontsize="small")
    figure.suptitle("The same weights; only what the soma emits differs")
    return figure


def _presentation_time(outcome: Outcome, config: Config) -> Figure:
    figure, ((axes,),) = subplots()
    time = outcome.recordings["sweep_t_pres_ms"]
    for model in MODELS:
        final = outcome.recordings[f"sweep_{model}"]
        mean, sd = final.mean(axis=1), final.std(axis=1)
        axes.errorbar(
            time, mean, sd, color=COLORS[model], marker="o", capsize=3, label=LABELS[model]
        )
    axes.axvline(float(outcome.recordings["tau_eff_ms"]), color=MUTED, ls=":", label="tau_eff")
    unstable = 4 * config.dt
    if time.min() < unstable:
        # Learning rates grow as 1/T_pres; at three steps per pattern they are too large.
        axes.axvspan(0.8 * time.min(), unstable, color="0.9", label="rates too large")
    axes.set(
        xscale="log",
        xlabel="presentation time [ms]",
        ylabel=f"accuracy after {config.epochs} epochs",
        ylim=(0, 1.05),
    )
    axes.legend(frameon=False)
    return figure


def _smooth(rows: np.ndarray, width: int = 10) -> np.ndarray:
    """Running mean over the last `width` epochs, shorter at the start."""
    total = np.cumsum(np.concatenate([np.zeros((1, rows.shape[1])), rows]), axis=0)
    stop = np.arange(1, len(rows) + 1)
    start = np.maximum(stop - width, 0)
    return (total[stop] - total[start]) / (stop - start)[:, None]


def _lag(t_pres: int) -> int:
    """Lag of the read-out in steps: published where published, interpolated in between."""
    return min(int(np.interp(t_pres, list(LAG), list(LAG.values()))), t_pres - 1)


def _epochs_per_call(epochs: int, steps_per_epoch: int) -> int:
    """The largest divisor of `epochs` that keeps a call to about a second."""
    most = max(1, min(25, 100_000 // steps_per_epoch))
    return max(n for n in range(1, most + 1) if epochs % n == 0)
