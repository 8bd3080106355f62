"""Students that imitate a teacher of the same build, by any rule of credit."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from lapicque.rate import Learner, Lesson, Network, simulate
from lapicque.rate.adjoint import adjoint_errors, free_run
from lapicque.rate.credit import Credit, WindowLearner, causal_errors, windows


def imitate(
    label: str,
    teacher: Network,
    students: Callable[[Array], Network],
    keys: Array,
    optimizer: optax.GradientTransformation,
    credit: str | Credit,
    inputs: Callable[[Array], Array],
    session,
    *,
    settle: int,
    chunks: int,
    window: int,
    dt: float,
) -> tuple[Network, dict[str, np.ndarray]]:
    """Let students live beside their teacher, first without learning, then with.

    The teacher's rate of the *previous* step is the target, since that is what the synchronous
    schedule compares with the students' own: with one step of offset the parameters are biased.

    Args:
        label: Of the loop.
        teacher: Whom to imitate.
        students: A student from a key.
        keys: One per student.
        optimizer: See `WindowLearner`.
        credit: See `WindowLearner`.
        inputs: From the number of a chunk to its input, shape (steps, batch, n).
        session: The laboratory.
        settle: Chunks without learning.
        chunks: Chunks with learning.
        window: Steps per window of the rules that learn window by window.
        dt: Step [ms].

    Returns:
        The trained students (a network with an axis of students) and the history: `loss` (mean
        squared difference of the outputs) and `parameters`, one row per chunk and student.
    """
    learner = WindowLearner(teacher, optimizer, credit)
    learner.check(dt)
    resting = Learner(learner.network, optax.set_to_zero())
    batch = inputs(jnp.asarray(0)).shape[1:2]

    @jax.jit
    def start(key):
        return WindowLearner(students(key), optimizer, credit).init(batch)

    @jax.jit
    def advance(carry, i):
        states, guide = carry
        x = inputs(i)
        before = guide.layers[-1].r
        guide, wanted = simulate(teacher, guide, x, dt)
        lesson = Lesson(x, jnp.concatenate([before[None], wanted[:-1]]))

        def live(state):
            def rest():
                idle = (state.parameters, state.network, resting.optimizer.init(state.parameters))
                idle, output = simulate(resting, type(state)(*idle), lesson, dt)
                return state._replace(network=idle.network), output

            def learn():
                new, output = simulate(learner, state, windows(lesson, window), dt)
                return new, output.reshape(wanted.shape)

            new, output = jax.lax.cond(i < settle, rest, learn)
            return new, jnp.square(output - wanted).mean()

        states, loss = jax.vmap(live)(states)
        return (states, guide), {"loss": loss, "parameters": _numbers(states.parameters)}

    carry, history = session.loop(
        label,
        lambda carry, i: advance(carry, jnp.asarray(i)),
        (jax.vmap(start)(keys), teacher.init(batch)),
        settle + chunks,
    )
    return jax.vmap(learner.trained)(carry[0]), history


def _numbers(parameters) -> Array:
    """Weights and membrane time constants of every student in one row."""
    rows = [x for p in parameters for x in (*jax.tree.leaves(p.synapses), p.tau_m)]
    return jnp.concatenate([x.reshape(len(x), -1) for x in rows], axis=1)


def error_traces(networks: Mapping[str, Network], lessons: Lesson, dt: float) -> dict[str, Array]:
    """Errors of layer l, shape (time, batch, n), as "name/l", and the exact ones as "exact/l"."""
    traces = {}
    network = next(iter(networks.values()))
    state = network.init(lessons.input.shape[1:2])
    end, trail = free_run(network, state, lessons, dt)
    for index, errors in enumerate(adjoint_errors(network, end, trail, lessons, dt)):
        traces[f"exact/{index}"] = errors.e
    for name, causal in networks.items():
        state = causal.init(lessons.input.shape[1:2])
        for index, e in enumerate(causal_errors(causal, state, lessons, dt)):
            traces[f"{name}/{index}"] = e
    return traces
