"""A 1-1-1 microcircuit mimics a teacher: self-prediction first, then learning.

The teacher is a circuit of the same kind, 1-1-1 with look-ahead and self-predicting weights, left
alone: its output without target, once settled, is the target potential of the student for each of
six inputs. With silent apical dendrites that output is

    u = g_bas/(g_l + g_bas) W_2 phi( g_bas/(g_l + g_bas + g_api) W_1 r ),

so the student has learnt when its W_up are the teacher's (W_1, W_2), its interneuron predicts its
output again, and its apical dendrite is silent with and without target. For three epochs without
target only the interneuron's synapses learn (self-prediction), then for 500 epochs with target W_up
and W_ip. Teacher, inputs and student are those of the published seeds (42 and 12345, drawn as
NumPy's legacy generator draws them); `seed` decides the order of the patterns, different for each
of the students that are trained together.

What remains at the end is a bias, not noise: for two steps after each change of pattern the apical
dendrite compares the new output with an interneuron that still mixes old and new. It shifts the
hidden weight by a few per cent at 100 steps per pattern and falls as 1/T_pres. The student needs
the sign of its fixed W_down to be right; about half of all random students would not converge.

Source: Haider et al. (2021), figure 5 and supplement.
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
from lapicque.lab import Certainty, Claim, Outcome, Session
from lapicque.lab.figure import COLOURS, subplots
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
    """Learning rates are in 1/ms.

    Attributes:
        n_students: Equal students that see the patterns in different orders.
        epochs_self_prediction: Epochs in which only W_ip and W_pi learn, without target.
        epochs: Epochs of training with target.
        t_pres: Steps per pattern.
        dt: Step [ms].
        eta_up: Rates of W_up, hidden and output layer, in training.
        eta_ip: Rate of W_ip in training.
        eta_ip_self_prediction: Rate of W_ip before.
        eta_pi_self_prediction: Rate of W_pi before.
        teacher_seed: Seed of the teacher's weights and of the inputs.
        student_seed: Seed of the student's initial weights.
    """

    n_students: int = 5
    epochs_self_prediction: int = 3
    epochs: int = 500
    t_pres: int = 100
    dt: float = 0.01
    eta_up: tuple[float, float] = (50.0, 10.0)
    eta_ip: float = 20.0
    eta_ip_self_prediction: float = 40.0
    eta_pi_self_prediction: float = 50.0
    teacher_seed: int = 42
    student_seed: int = 12345

    def __post_init__(self):
        for name in ("n_students", "epochs_self_prediction", "epochs", "t_pres"):
            in_range(name, getattr(self, name), 1)
        in_range("t_pres", self.t_pres, N_SETTLE, hint="The student must settle to be measured.")
        positive("dt", self.dt, "ms")


N_INPUTS = 6
N_SETTLE = 20  # steps after which potentials have settled with look-ahead
N_LAST = 10  # epochs that final values are averaged over

PRESETS = {
    "smoke": Config(n_students=2, epochs=4),
    "quick": Config(),
    "paper": Config(n_students=20),
}

CLAIMS = (
    Claim(
        id="weights_are_the_teachers",
        statement="After training W_up is the teacher's within 5 % (distance of the two weight "
        "vectors over the length of the teacher's).",
        metric="w_up_error",
        at_most=0.05,
        certainty=Certainty.NOT_VERIFIED,
        source="Haider et al. (2021), supplement: the weights converge; the bound is ours",
    ),
    Claim(
        id="self_prediction",
        statement="After three epochs without target the apical dendrite is silent.",
        metric="apical_after_self_prediction",
        at_most=0.01,
        certainty=Certainty.NOT_VERIFIED,
        source="Haider et al. (2021), supplement: self-prediction is reached; the bound is ours. "
        "Measured relative to the untrained student",
    ),
    Claim(
        id="apical_falls_silent",
        statement="With training the apical potential that the target causes goes to zero.",
        metric="apical_after_training",
        at_most=0.05,
        certainty=Certainty.NOT_VERIFIED,
        source="Haider et al. (2021), supplement: the apical potential vanishes; the bound is "
        "ours. Measured with target, relative to the start of training",
    ),
)

CITES = ("haider2021latent", "sacramento2018dendritic")


def run(config: Config, seed: int, session: Session) -> Outcome:
    """Let the teacher speak, the students find their self-prediction, then learn."""
    teacher, generator = published_weights(config.teacher_seed)
    inputs = jnp.asarray(generator.random_sample((N_INPUTS, 1)), jnp.float32)
    target = teach(config, teacher, inputs)
    student, _ = published_weights(config.student_seed)

    self_predicting = _circuit(
        eta_ip=config.eta_ip_self_prediction, eta_pi=config.eta_pi_self_prediction
    )
    training = _circuit(eta_up=config.eta_up, eta_ip=config.eta_ip)
    start = self_predicting.init(student)
    states = jax.tree.map(lambda x: jnp.repeat(x[None], config.n_students, axis=0), start)
    task = (inputs, target)
    before = _apical(_circuit(), start, task, jnp.zeros(N_INPUTS), config.dt)

    key_first, key_second = jax.random.split(jax.random.key(seed))
    n = config.epochs_self_prediction
    states, first = _epochs(
        "self-prediction", self_predicting, 0.0, states, key_first, n, task, config, session
    )
    untaught = _taught(states, task, config)
    states, second = _epochs(
        "training", training, 1.0, states, key_second, config.epochs, task, config, session
    )

    w_teacher = np.array([float(w[0, 0]) for w in teacher.up])
    w_up = second["weights"][-N_LAST:, :, :2].mean(axis=0)
    error = np.linalg.norm(w_up - w_teacher, axis=-1) / np.linalg.norm(w_teacher)
    hidden, output = np.abs(w_up / w_teacher - 1).T
    metrics = {
        "w_up_error": error.mean(),
        "w_up_error_sd": error.std(),
        "hidden_w_up_error": hidden.mean(),
        "hidden_w_up_error_sd": hidden.std(),
        "output_w_up_error": output.mean(),
        "output_w_up_error_sd": output.std(),
        "apical_after_self_prediction": first["apical"][-1].mean() / float(before),
        "apical_after_training": second["apical_taught"][-N_LAST:].mean() / untaught.mean(),
    }
    session.log(f"W_up {w_up.mean(axis=0)}, teacher {w_teacher}, relative error {error.mean():.3f}")
    recordings = {f"self_prediction_{name}": rows for name, rows in first.items()}
    recordings |= {f"training_{name}": rows for name, rows in second.items()}
    recordings |= {
        "teacher_weights": w_teacher,
        "start_weights": np.array(_flat(student)),
        "start_apical": np.array(before),
        "start_apical_taught": untaught,
        "inputs": np.array(inputs),
        "target": np.array(target),
    }
    origin = f"six inputs from U(0, 1), NumPy's legacy generator with seed {config.teacher_seed}"
    return Outcome({k: float(v) for k, v in metrics.items()}, recordings, {"inputs": origin})


def published_weights(seed: int) -> tuple[MicrocircuitWeights, np.random.RandomState]:
    """MicrocircuitWeights of a 1-1-1 circuit from U(-1, 1), in the published order of draws.

    Returns:
        The weights and the generator behind them.
    """
    generator = np.random.RandomState(seed)
    draws = jnp.asarray(2 * generator.random_sample(5) - 1, jnp.float32).reshape(5, 1, 1)
    up_hidden, down, pi, ip, up_output = draws
    return MicrocircuitWeights(
        up=(up_hidden, up_output), down=(down,), ip=(ip,), pi=(pi,)
    ), generator


@eqx.filter_jit
def teach(config: Config, teacher: MicrocircuitWeights, inputs: jax.Array) -> jax.Array:
    """What the undisturbed teacher answers to every input, (input, 1)."""
    circuit = _circuit()
    state = circuit.init(circuit.self_predicting(teacher), (len(inputs),))
    shown = Stimulus(inputs[None], jnp.zeros_like(inputs[None]), jnp.zeros((1, len(inputs))))
    _, answer = present_patterns(circuit, state, shown, n_steps=200, lag=199, dt=config.dt)
    return answer[0]


def _circuit(**rates) -> Microcircuit:
    return Microcircuit((1, 1, 1), clip_up=(4.0, 5.0), **rates)


def _epochs(label, circuit, nudge, states, key, n, task, config: Config, session: Session):
    """Some epochs of all students; each name of the history is (epoch, student, ...)."""
    chunk = max(m for m in range(1, 26) if n % m == 0)
    orders = jax.random.split(key, config.n_students)

    def step(states, call):
        epochs = call * chunk + jnp.arange(chunk)
        return _train(circuit, nudge, states, orders, epochs, task, config.t_pres, config.dt)

    states, history = session.loop(label, step, states, n // chunk)
    return states, {name: rows.reshape(n, *rows.shape[2:]) for name, rows in history.items()}


@eqx.filter_jit
def _train(circuit, nudge, states, orders, epochs, task, t_pres, dt):
    inputs, target = task
    nudges = jnp.full(len(inputs), nudge)

    def one_epoch(order, state, epoch):
        shown = jax.random.permutation(jax.random.fold_in(order, epoch), len(inputs))
        stimuli = Stimulus(inputs[shown], target[shown], nudges)
        state, _ = present_patterns(circuit, state, stimuli, n_steps=t_pres, dt=dt)
        return state, {
            "weights": jnp.array(_flat(state.weights)),
            "apical": _apical(circuit, state, task, jnp.zeros_like(nudges), dt),
            "apical_taught": _apical(circuit, state, task, jnp.ones_like(nudges), dt),
        }

    def one_student(state, order):
        return jax.lax.scan(partial(one_epoch, order), state, epochs)

    return jax.vmap(one_student, out_axes=(0, 1))(states, orders)


def _taught(states, task, config: Config) -> np.ndarray:
    """Apical potential of every student when the target is first imposed."""
    ones = jnp.ones(N_INPUTS)
    measured = jax.vmap(lambda state: _apical(_circuit(), state, task, ones, config.dt))(states)
    return np.array(measured)


@eqx.filter_jit
def _apical(circuit, state, task, nudge, dt):
    """Settled apical potential, root mean square over all inputs; it leaves the student alone."""
    inputs, target = task
    aside = circuit.init(state.weights, (len(inputs),))
    shown = Stimulus(inputs[None], target[None], nudge[None])
    _, voltages = record_patterns(circuit.frozen(), aside, shown, n_steps=N_SETTLE, dt=dt)
    return jnp.sqrt(jnp.mean(voltages.v_api[0][-1] ** 2))


def _flat(weights: MicrocircuitWeights) -> list:
    """W_up of both layers, W_ip, -W_pi and W_down: what should agree stands side by side."""
    one, two = weights.up
    return [w[0, 0] for w in (one, two, weights.ip[0], -weights.pi[0], weights.down[0])]


def figures(outcome: Outcome, config: Config) -> dict[str, Figure]:
    """MicrocircuitWeights and apical potential through self-prediction and training."""
    recordings = outcome.recordings
    figure, axes = subplots(2, 2, height=5, width_ratios=(1, 2), sharey="row")
    (pre_w, post_w), (pre_v, post_v) = axes

    start = recordings["start_weights"]
    n_students = recordings["self_prediction_weights"].shape[1]
    before = np.broadcast_to(start, (1, n_students, start.size))
    weights = np.concatenate([before, recordings["self_prediction_weights"]])
    names = ("W_up, hidden", "W_up, output", "W_ip", "-W_pi", "W_down")
    dashes = ("-", "-", "--", "--", "-")
    for i in (1, 2, 3, 4):
        _band(pre_w, np.arange(len(weights)), weights[..., i], COLOURS[i], names[i], dashes[i])
    pre_w.set(title="self-prediction", ylabel="weight")

    weights = recordings["training_weights"]
    epoch = np.arange(1, len(weights) + 1)
    for i in (0, 1, 2):
        _band(post_w, epoch, weights[..., i], COLOURS[i], names[i], dashes[i])
    for value, color in zip(recordings["teacher_weights"], COLOURS, strict=False):
        post_w.axhline(value, color=color, ls=":")
    post_w.set_title("training (dotted: the teacher's W_up)")

    first = np.full((1, n_students), recordings["start_apical"])
    rows = np.concatenate([first, recordings["self_prediction_apical"]])
    _band(pre_v, np.arange(len(rows)), rows, COLOURS[5], "without target")
    pre_v.set(ylabel="apical potential (rms)", yscale="log")
    _band(post_v, epoch, recordings["training_apical_taught"], COLOURS[6], "with target")
    _band(post_v, epoch, recordings["training_apical"], COLOURS[5], "without target")
    for axes in (pre_w, post_w, pre_v, post_v):
        axes.legend(frameon=False, fontsize="small")
    for axes in (pre_v, post_v):
        axes.set_xlabel("epoch")
    return {"mimic": figure}


def _band(axes, epoch, rows, color, label, dash="-"):
    """Mean over students with their range."""
    axes.plot(epoch, rows.mean(axis=1), color=color, ls=dash, label=label)
    axes.fill_between(epoch, rows.min(axis=1), rows.max(axis=1), color=color, alpha=0.25, lw=0)
