import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from lapicque._checks import InputError
from lapicque.rate import LeadLag, Neurons, lead_lag, simulate

taus = st.floats(0.1, 100)


@settings(deadline=None, max_examples=30)
@given(lead=taus, lag=taus, seed=st.integers(0, 1000))
def test_swapping_the_time_constants_inverts_the_filter(lead, lag, seed):
    """F(a, b) F(b, a) x = x in discrete time, both states starting at zero."""
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(seed).standard_normal((50, 3)))
        there, back = LeadLag(lead, lag), LeadLag(lag, lead)
        _, y = simulate(there, there.init((3,)), x, dt=0.1)
        _, again = simulate(back, back.init((3,)), y, dt=0.1)
    np.testing.assert_allclose(again, x, rtol=1e-7, atol=1e-7)


def test_equal_time_constants_pass_the_input_through(x64):
    neurons = Neurons(10.0, 10.0, lambda p: p)
    currents = jnp.sin(jnp.arange(500.0) / 7)[:, None]
    _, rates = simulate(neurons, neurons.init((1,)), currents, dt=0.1)
    np.testing.assert_allclose(rates, currents, atol=1e-12)


def test_the_membrane_follows_the_ode(x64):
    """Euler is first order: ten times the steps, a tenth of the error of a Runge-Kutta solution."""
    tau, end = 10.0, 30.0

    def current(t):
        return np.sin(0.3 * t) + 0.5

    exact = solve_ivp(
        lambda t, u: (current(t) - u) / tau, (0, end), [0.0], rtol=1e-10, atol=1e-12
    ).y[0, -1]

    def error(dt):
        neurons = Neurons(tau, 0.0, jnp.tanh)
        inputs = jnp.asarray(current(dt * np.arange(round(end / dt))))[:, None]
        state, _ = simulate(neurons, neurons.init((1,)), inputs, dt)
        return abs(float(state.u[0]) - exact)

    assert error(0.1) < 0.15 * error(1.0)
    assert error(0.1) < 5e-3


def test_the_slope_belongs_to_the_step_and_the_output_to_the_old_state():
    v, y, slope = lead_lag(jnp.array(1.0), jnp.array(3.0), lead=2.0, lag=4.0, dt=0.5)
    assert (float(slope), float(y), float(v)) == (0.5, 2.0, 1.25)


def test_time_constants_below_the_step_are_refused():
    with pytest.raises(InputError, match=r"`tau_m` is 0.5 ms; it must be at least 1 ms.*dt"):
        Neurons(0.5, 0.5).check(dt=1.0)
    with pytest.raises(InputError, match=r"`tau_m\[1\]` is -3 ms"):
        Neurons(jnp.array([10.0, -3.0]), 10.0).check(dt=0.1)
    with pytest.raises(InputError, match=r"`tau_r` is -1 ms; it must be at least 0 ms"):
        Neurons(10.0, -1.0).check(dt=0.1)
