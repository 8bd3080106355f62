"""Compartments: algebra against an ODE solver, and what must hold for any conductances."""

from itertools import permutations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from lapicque._checks import InputError
from lapicque.rate.compartment import Compartment, Opinion, Soma, pool, prospective, retarded
from lapicque.rate.part import simulate

conductance = st.floats(1e-3, 1e3)
potential = st.floats(-100, 100)
opinion = st.builds(Opinion, conductance, potential)
opinions = st.lists(opinion, min_size=1, max_size=4)


@given(opinions)
def test_pooled_opinion_is_a_convex_combination(heard):
    g, E = pool(*heard)
    low, high = min(o.E for o in heard), max(o.E for o in heard)
    assert g == pytest.approx(sum(o.g for o in heard))
    assert low - 1e-9 <= E <= high + 1e-9


@given(opinions)
def test_order_of_children_does_not_matter(heard):
    body = Compartment(g_leak=0.3, E_leak=-70.0, g_coupling=2.0)
    told = [body(*order) for order in permutations(heard)]
    np.testing.assert_allclose(told, [told[0]] * len(told), rtol=1e-9, atol=1e-9)


@given(opinions, opinions)
def test_pooling_in_groups_is_pooling_at_once(left, right):
    """Pooling is associative, so a compartment without leak and coupling loss adds nothing."""
    passive = Compartment(g_leak=0.0)
    grouped = pool(passive(*left), passive(*right))
    np.testing.assert_allclose(grouped, pool(*left, *right), rtol=1e-9, atol=1e-9)


@given(opinions, opinion)
def test_a_silent_child_changes_nothing(heard, child):
    np.testing.assert_allclose(pool(*heard, child._replace(g=0.0)), pool(*heard), rtol=1e-12)


@given(opinion, st.floats(0.01, 100))
def test_a_child_is_heard_as_conductances_in_series(child, g_coupling):
    g, E = Compartment(g_leak=0.0, g_coupling=g_coupling)(child)
    assert 1 / g == pytest.approx(1 / child.g + 1 / g_coupling)
    assert pytest.approx(child.E) == E


def test_nothing_conducts_nothing_is_said():
    assert pool(Opinion(0.0, 5.0)) == (0, 0)
    np.testing.assert_array_equal(pool(Opinion(jnp.zeros(2), jnp.ones(2))), np.zeros((2, 2)))


def test_current_moves_a_compartment_as_ohm_says():
    g, E = Compartment(g_leak=0.5, E_leak=1.0)(current=2.0)
    assert (g, E) == (0.5, 1.0 + 2.0 / 0.5)


def test_tree_settles_where_an_ode_solver_says(x64):
    """A soma with two dendrites, one of which has a branch; the dendrites get capacitances."""
    branch = Compartment(g_leak=0.02, E_leak=-70.0, g_coupling=0.4)
    trunk = Compartment(g_leak=0.03, E_leak=-65.0, g_coupling=0.3)
    basal = Compartment(g_leak=0.05, E_leak=-70.0, g_coupling=0.2)
    exc, inh = Opinion(0.07, 0.0), Opinion(0.04, -85.0)
    inside = branch.inside(exc)
    heard_trunk = trunk.inside(branch(exc), inh)
    heard = (trunk(branch(exc), inh), basal(exc, current=0.5))
    u_eff = Soma(0.1, -70.0).pool(*heard).E

    def ode(t, v):
        u, v_trunk, v_branch, v_basal = v
        return [
            0.1 * (-70 - u) + 0.3 * (v_trunk - u) + 0.2 * (v_basal - u),
            0.03 * (-65 - v_trunk)
            + 0.04 * (-85 - v_trunk)
            + 0.3 * (u - v_trunk)
            + 0.4 * (v_branch - v_trunk),
            0.02 * (-70 - v_branch) + 0.07 * (0 - v_branch) + 0.4 * (v_trunk - v_branch),
            0.05 * (-70 - v_basal) + 0.07 * (0 - v_basal) + 0.2 * (u - v_basal) + 0.5,
        ]

    v = solve_ivp(ode, (0, 2000), [-70.0] * 4, rtol=1e-10, atol=1e-10).y[:, -1]
    v_trunk = trunk.potential(heard_trunk, u_eff)
    v_branch = branch.potential(inside, v_trunk)
    np.testing.assert_allclose([u_eff, v_trunk, v_branch], v[:3], rtol=1e-6)


def test_membrane_follows_the_ode_with_its_effective_time_constant(x64):
    """Two conductances and a capacitance against solve_ivp; Euler is first order in dt."""
    heard = (Opinion(0.1, 2.0), Opinion(0.06, -1.0))
    exact = solve_ivp(
        lambda t, u: (0.03 * (0 - u) + 0.1 * (2 - u) + 0.06 * (-1 - u)) / 1.5,
        (0, 10),
        [0.0],
        rtol=1e-10,
        atol=1e-12,
    ).y[0, -1]

    def error(dt):
        soma, n = Soma(0.03, capacitance=1.5), round(10 / dt)
        opinions = tuple(Opinion(jnp.full((n, 1), o.g), jnp.full((n, 1), o.E)) for o in heard)
        u, _ = simulate(soma, soma.init((1,)), opinions, dt)
        return abs(float(u[0]) - exact)

    assert error(0.001) < 2e-4
    assert error(0.01) == pytest.approx(10 * error(0.001), rel=0.05)


@settings(deadline=None, max_examples=20)
@given(opinions, potential)
def test_look_ahead_undoes_the_membrane_and_its_absence_does_not(heard, u):
    dt = 1e-5
    state = jnp.full((1,), u)
    ahead, step = Soma(0.1, look_ahead=prospective).step(state, heard, dt)
    _, late = Soma(0.1, look_ahead=retarded).step(state, heard, dt)
    np.testing.assert_allclose(step.p, step.u_eff, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(late.p, late.u)
    np.testing.assert_allclose(ahead, late.u)


def test_wrong_values_are_named():
    with pytest.raises(InputError, match="`g_leak` is -1; it must be at least 0"):
        Compartment(g_leak=-1.0)
    with pytest.raises(InputError, match="`g_leak` is nan"):
        Soma(g_leak=float("nan"))
    with pytest.raises(InputError, match="`g_coupling` is 0; it must be above 0"):
        Compartment(g_leak=1.0, g_coupling=0.0)
    with pytest.raises(InputError, match="`capacitance` is 0"):
        Soma(g_leak=1.0, capacitance=0.0)
    with pytest.raises(InputError, match=r"tau_eff = 0.5 ms\. Lower `dt`"):
        Soma(g_leak=1.0).check_step(0.5, 1.0)
