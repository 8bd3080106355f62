"""The microcircuit experiments run, resume exactly, and draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.experiments.latent_equilibrium import bars_microcircuit, mimic_microcircuit
from lapicque.lab import Quiet


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(bars_microcircuit, marks=pytest.mark.slow), mimic_microcircuit],
)
def test_smoke_preset_runs_and_draws(experiment):
    config = experiment.PRESETS["smoke"]
    outcome = experiment.run(config, 0, Quiet())
    assert all(np.isfinite(value) for value in outcome.metrics.values())
    judged = {claim.metric for claim in experiment.CLAIMS if "quick" in claim.presets}
    assert judged <= set(outcome.metrics)
    for figure in experiment.figures(outcome, config).values():
        figure.canvas.draw()


class Interrupted(Quiet):
    """A session that stores and restores the state before every call."""

    def loop(self, label, step, state, n):
        def restored(state, i):
            return step(jax.tree.map(lambda x: jnp.asarray(np.array(x)), state), i)

        return super().loop(label, restored, state, n)


def test_epochs_depend_on_state_and_index_alone():
    config = bars_microcircuit.Config(n_networks=2, epochs=52, t_pres=3)
    circuit = bars_microcircuit.build("le", config, config.t_pres)
    task = (jnp.eye(9)[:4], jnp.eye(3)[jnp.array([0, 1, 2, 0])], jnp.array([0, 1, 2, 0]))
    keys = jax.random.split(jax.random.key(0), 2)
    weights = bars_microcircuit.draw(circuit, keys)
    (states, history), (again, rows) = (
        bars_microcircuit.learn(circuit, "le", 3, task, weights, keys, config, session)
        for session in (Quiet(), Interrupted())
    )
    assert history["accuracy"].shape == (52, 2)
    np.testing.assert_array_equal(history["mse"], rows["mse"])
    for one, two in zip(jax.tree.leaves(states), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, two)


def test_published_seeds_give_the_published_weights():
    """The first draws of NumPy's legacy generator with seed 42, as its documentation shows."""
    weights, generator = mimic_microcircuit.published_weights(42)
    assert float(weights.up[0][0, 0]) == pytest.approx(2 * 0.3745401188 - 1)
    assert float(weights.down[0][0, 0]) == pytest.approx(2 * 0.9507143064 - 1)
    assert generator.random_sample() == pytest.approx(0.1559945203)


def test_wrong_settings_are_named():
    with pytest.raises(InputError, match="`n_networks` is 0"):
        bars_microcircuit.Config(n_networks=0)
    with pytest.raises(InputError, match="`target_high` is 0"):
        bars_microcircuit.Config(target_high=0.0)
    with pytest.raises(InputError, match="`t_pres` is 5; it must be at least 20"):
        mimic_microcircuit.Config(t_pres=5)
