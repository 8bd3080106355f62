from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lapicque._checks import InputError, StorageError
from lapicque.lab import checkpoint
from lapicque.lab.progress import Lines
from lapicque.lab.running import Running
from lapicque.lab.session import Quiet


class Pair(NamedTuple):
    a: object
    b: object


def everything(shift=0):
    model = eqx.nn.MLP(2, 2, 3, 1, key=jax.random.key(shift))
    return {
        "model": model,
        "optimiser": optax.adam(0.1).init(eqx.filter(model, eqx.is_array)),
        "key": jax.random.key(3 + shift),
        "rbg": jax.random.key(4 + shift, impl="rbg"),
        "keys": jax.random.split(jax.random.key(5 + shift), 3),
        "weak": jnp.asarray(1.5 + shift),
        "weak array": jnp.broadcast_to(jnp.asarray(1 + shift), (3,)),
        "strong": jnp.float32(2.5 + shift),
        "half": jnp.arange(3, dtype=jnp.bfloat16) + shift,
        "plain": Pair((1 + shift, 0.1 + shift, True, None, "text"), [np.arange(3.0) + shift]),
        "scalar": np.float64(0.3) + shift,
        "complex": 1j + shift,
        "numbered": {7: np.array([True, False]), -1: 2},
        "a/b": np.nan,
        "empty": {},
    }


def assert_same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert type(a) is type(b)
        if isinstance(a, jax.Array):
            assert a.aval == b.aval, "shape, dtype or weak type"
            assert getattr(a, "weak_type", None) == getattr(b, "weak_type", None)
            if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
                assert jax.random.key_impl(a) == jax.random.key_impl(b)
                a, b = jax.random.key_data(a), jax.random.key_data(b)
        if not callable(a):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_every_kind_of_state_comes_back(tmp_path):
    """Values come from the file, structure and functions from the template."""
    path = tmp_path / "x.h5"
    checkpoint.save(path, "x", 3, everything(1), {"loss": np.arange(3.0)}, 1.5)
    saved = checkpoint.load(path, "x")
    assert_same(saved.restore(everything(0)), everything(1))
    assert saved.done == 3
    assert saved.history["loss"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"x": np.zeros(3), "y": 1}, "holds"),
        ({"x": np.zeros(4)}, "shape and dtype"),
        ({"x": np.zeros(3, np.float32)}, "shape and dtype"),
        ([np.zeros(3)], "is a dict, not a list"),
        ({"x": None}, "not a none"),
    ],
)
def test_state_that_does_not_fit_is_refused(tmp_path, template, message):
    checkpoint.save(tmp_path / "x.h5", "x", 1, {"x": np.zeros(3)}, {}, 0.0)
    with pytest.raises(StorageError, match=message):
        checkpoint.load(tmp_path / "x.h5", "x").restore(template)


def test_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    checkpoint.save(path, "x", 1, {"x": np.zeros(300)}, {}, 0.0)
    with pytest.raises(StorageError, match="belongs to 'x'"):
        checkpoint.load(path, "y")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StorageError, match="damaged or incomplete"):
        checkpoint.load(path, "x")
    assert checkpoint.load(tmp_path / "none.h5", "x") is None


@pytest.mark.parametrize("label", ["a", "a b", "a/b", "..", "ä" * 300, "a:b", "3 steps, τ"])
def test_any_label_has_a_file_of_its_own(tmp_path, label):
    path = checkpoint.path_of(tmp_path, label)
    assert path.parent == tmp_path
    checkpoint.save(path, label, 0, {}, {}, 0.0)
    assert checkpoint.load(path, label).done == 0
    assert checkpoint.path_of(tmp_path, label + "-") != path


class Killed(Exception):
    pass


@jax.jit
def _move(x, key, i):
    key, draw = jax.random.split(key)
    return 0.9 * x + jax.random.normal(draw, x.shape) * jnp.sin(i), key


_move_in_place = jax.jit(_move.__wrapped__, donate_argnums=(0, 1))


def _step(state, i):
    x, key = _move_in_place(state["x"], state["key"], i)
    return {"x": x, "key": key}, {"x": x, "norm": float(jnp.linalg.norm(x))}


def _state():
    return {"x": jnp.ones(5), "key": jax.random.key(0)}


@pytest.mark.parametrize("moment", [1, 4, 9])
def test_resumed_loop_is_bit_identical_though_buffers_are_donated(tmp_path, moment):
    end, history = Quiet().loop("x", _step, _state(), 10)

    def killed(state, i):
        if i == moment:
            raise Killed
        return _step(state, i)

    with pytest.raises(Killed):
        Running(tmp_path, Lines(), interval=0).loop("x", killed, _state(), 10)
    steps = []

    def counted(state, i):
        steps.append(i)
        return _step(state, i)

    end_2, history_2 = Running(tmp_path, Lines(), interval=0).loop("x", counted, _state(), 10)
    assert steps[0] > 0 or moment == 1  # it does not begin anew
    assert_same(end, end_2)
    assert history.keys() == history_2.keys()
    assert all(history[name].tobytes() == history_2[name].tobytes() for name in history)


def test_finished_loops_and_stages_are_not_run_again(tmp_path):
    first = Running(tmp_path, Lines())
    end, history = first.loop("x", _step, _state(), 4)
    made = first.stage("data", lambda: {"a": (np.arange(3), jnp.ones(2), None, "text", 0.1)})

    def never(*_):
        raise AssertionError("run again")

    second = Running(tmp_path, Lines())
    end_2, history_2 = second.loop("x", never, _state(), 4)
    assert_same(end, end_2)
    assert_same(history, history_2)
    assert_same(second.stage("data", never), made)
    assert second.elapsed > 0


def test_empty_loop_has_no_history(tmp_path):
    for session in (Quiet(), Running(tmp_path, Lines())):
        assert session.loop("x", _step, {"a": 1}, 0) == ({"a": 1}, {})


def test_what_cannot_be_resumed_is_refused_at_once(tmp_path):
    session = Running(tmp_path, Lines())
    with pytest.raises(InputError, match="changes its form"):
        session.loop("grows", lambda x, i: (np.append(x, 0), {}), np.zeros(1), 2)
    with pytest.raises(InputError, match=r"`state/f` is a object"):
        session.loop("object", lambda x, i: (x, {}), {"f": object()}, 2)
    with pytest.raises(InputError, match="used twice"):
        session.loop("object", lambda x, i: (x, {}), {}, 2)
    with pytest.raises(InputError, match="stage 'model' returns a MLP"):
        session.stage("model", lambda: eqx.nn.MLP(2, 2, 3, 1, key=jax.random.key(0)))
    with pytest.raises(InputError, match="Row 1"):
        session.loop("names", lambda x, i: (x, {f"a{i}": 0}), {}, 2)
    with pytest.raises(InputError, match="Row 1"):
        session.loop("shapes", lambda x, i: (x, {"a": np.zeros(i)}), {}, 2)


def test_state_without_jax_does_not_load_it(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from lapicque.lab.running import Running; from lapicque.lab.progress import Lines\n"
        f"s = Running(Path({str(tmp_path)!r}), Lines())\n"
        "s.loop('x', lambda s, i: (s, {'a': i}), {'w': (np.ones(3), None, 1)}, 3)\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_history_keeps_rows_whose_memory_is_used_again(tmp_path):
    def step(x, i):
        x += 1
        return x, {"x": x}

    for session in (Quiet(), Running(tmp_path, Lines())):
        _, history = session.loop("x", step, np.zeros(2), 3)
        assert history["x"].tolist() == [[1, 1], [2, 2], [3, 3]]
