"""Take a tree of arrays apart into named leaves and a description, and put it together again.

Dicts, tuples, named tuples, lists and None are known here; any other container is one that
JAX knows (an Equinox module, an Optax state), opened one level at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lapicque._checks import InputError, StorageError

_SCALARS = {kind.__name__: kind for kind in (bool, int, float, complex, str)}

Description = dict[str, Any]


def describe(tree: Any, arrays: dict[str, np.ndarray], path: str = "state") -> Description:
    """A JSON description of a tree; copies of its arrays are put into `arrays` under their path.

    Raises:
        InputError: The tree holds something that cannot be stored; the message says where.
    """
    opened = _children(tree)
    if opened is not None:
        kind, children, _ = opened
        return {
            "kind": kind,
            "children": [
                [name, describe(child, arrays, f"{path}/{name}")] for name, child in children
            ],
        }
    if tree is None:
        return {"kind": "none"}
    if type(tree) in (bool, int, str):
        return {"kind": "scalar", "type": type(tree).__name__, "value": tree}
    if type(tree) is float:
        return {"kind": "scalar", "type": "float", "value": tree.hex()}
    if type(tree) is complex:
        return {"kind": "scalar", "type": "complex", "value": [tree.real.hex(), tree.imag.hex()]}
    leaf: Description = {"kind": "array", "path": path}
    if isinstance(tree, np.ndarray | np.generic):
        leaf["home"] = "numpy" if isinstance(tree, np.ndarray) else "numpy scalar"
        data = np.array(tree)
    elif (jax := _jax_of(tree)) is not None:
        if jax.dtypes.issubdtype(tree.dtype, jax.dtypes.prng_key):
            leaf |= {"home": "key", "implementation": str(jax.random.key_impl(tree))}
            data = np.array(jax.random.key_data(tree))
        else:
            leaf |= {"home": "jax", "weak": bool(tree.weak_type)}
            data = np.array(tree)
    elif callable(tree):  # a function in a module is part of its structure, not of its state
        return {"kind": "function", "name": getattr(tree, "__qualname__", type(tree).__name__)}
    else:
        raise InputError(
            f"`{path}` is a {type(tree).__name__}, which cannot be stored; use arrays, numbers and "
            "text in dicts, tuples, lists or Equinox modules."
        )
    arrays[path] = data
    return leaf | {"shape": list(data.shape), "dtype": data.dtype.name}


def restore(
    description: Description, arrays: Mapping[str, np.ndarray], template: Any, path: str = "state"
) -> Any:
    """The tree that was described, in the structure of `template`.

    Arrays come back with the type, dtype and weak type they had. `check` comes first.
    """
    if description["kind"] == "function":
        return template
    opened = _children(template)
    if opened is None:
        return _leaf(description, arrays)
    _, children, rebuild = opened
    below = dict(children)
    return rebuild(
        [
            (name, restore(child, arrays, below[name], f"{path}/{name}"))
            for name, child in description["children"]
        ]
    )


def restore_plain(description: Description, arrays: Mapping[str, np.ndarray]) -> Any:
    """Like `restore`, of dicts, tuples and lists alone, without a template."""
    if "children" not in description:
        return _leaf(description, arrays)
    children = [(name, restore_plain(child, arrays)) for name, child in description["children"]]
    if description["kind"] == "dict":
        return dict(children)
    return {"tuple": tuple, "list": list}[description["kind"]](child for _, child in children)


def is_plain(description: Description) -> bool:
    """Whether `restore_plain` can put the tree together."""
    if "children" not in description:
        return description["kind"] != "function"
    return description["kind"] in ("dict", "tuple", "list") and all(
        is_plain(child) for _, child in description["children"]
    )


def differences(new: Description, old: Description, path: str = "state") -> Iterator[str]:
    """Where two descriptions differ in structure, shape or dtype, one sentence each."""
    if "children" in new or "children" in old or "none" in (new["kind"], old["kind"]):
        if new["kind"] != old["kind"]:
            yield f"`{path}` is a {new['kind']}, not a {old['kind']}"
            return
        after, before = dict(new.get("children", ())), dict(old.get("children", ()))
        if set(after) != set(before):
            yield f"`{path}` holds {sorted(after)}, not {sorted(before)}"
            return
        for name in before:
            yield from differences(after[name], before[name], f"{path}/{name}")
    elif "function" in (new["kind"], old["kind"]):
        if new != old:
            yield f"`{path}` is {new.get('name', 'a number')}, not {old.get('name', 'a number')}"
    else:
        after, before = _form(new), _form(old)
        # A Python number may become an array within the first step.
        if after != before and not (
            after[0] == before[0] and "scalar" in (new["kind"], old["kind"])
        ):
            yield f"`{path}` has shape and dtype {after}, not {before}"


def _form(leaf: Description) -> tuple[Any, ...]:
    if leaf["kind"] == "scalar":
        return (), leaf["type"]
    implementation = (leaf["implementation"],) if leaf["home"] == "key" else ()
    return tuple(leaf["shape"]), leaf["dtype"], *implementation


def _leaf(leaf: Description, arrays: Mapping[str, np.ndarray]) -> Any:
    if leaf["kind"] == "none":
        return None
    if leaf["kind"] == "scalar":
        value = leaf["value"]
        if leaf["type"] == "float":
            return float.fromhex(value)
        if leaf["type"] == "complex":
            return complex(*map(float.fromhex, value))
        return _SCALARS[leaf["type"]](value)
    data = arrays[leaf["path"]]
    if leaf["home"] == "numpy":
        return data
    if leaf["home"] == "numpy scalar":
        return data[()]
    import jax
    import jax.numpy as jnp

    if leaf["home"] == "key":
        return jax.random.wrap_key_data(jnp.asarray(data), impl=leaf["implementation"])
    array = jnp.array(data)  # a copy of its own: the next step may donate it
    if leaf["weak"]:  # an update keeps the weak type of what it updates
        zero = {"b": False, "i": 0, "f": 0.0, "c": 0j}[np.dtype(data.dtype).kind]
        array = jnp.broadcast_to(jnp.asarray(zero), data.shape).at[...].set(array)
    if array.dtype.name != leaf["dtype"]:
        raise StorageError(
            f"`{leaf['path']}` was stored as {leaf['dtype']}, but JAX makes it {array.dtype.name}; "
            "set `jax_enable_x64` as it was when the run began."
        )
    return array


_Opened = tuple[str, list[tuple[str, Any]], Callable[[list[tuple[str, Any]]], Any]]


def _children(tree: Any) -> _Opened | None:
    """Kind, named children and a function that puts children back; None for a leaf."""
    kind = type(tree)
    if kind is dict:
        keys = {_key(key): key for key in tree}
        return (
            "dict",
            [(name, tree[key]) for name, key in keys.items()],
            lambda items: {keys[name]: child for name, child in items},
        )
    if kind is tuple or kind is list:
        return (
            kind.__name__,
            [(str(i), child) for i, child in enumerate(tree)],
            lambda items: kind(child for _, child in items),
        )
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return (
            kind.__qualname__,
            list(zip(tree._fields, tree, strict=True)),  # type: ignore[attr-defined]
            lambda items: kind(**dict(items)),
        )
    if tree is None or kind in _SCALARS.values() or isinstance(tree, np.ndarray | np.generic):
        return None
    if (jax := sys.modules.get("jax")) is None or isinstance(tree, jax.Array):
        return None
    paths, structure = jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=lambda node: node is not tree
    )
    if len(paths) == 1 and paths[0][1] is tree:
        return None
    names = [jax.tree_util.keystr(path).strip(".[]'") for path, _ in paths]
    return (
        kind.__qualname__,
        [(name, child) for name, (_, child) in zip(names, paths, strict=True)],
        lambda items: jax.tree_util.tree_unflatten(structure, [child for _, child in items]),
    )


def _key(key: Any) -> str:
    if not isinstance(key, str | int):
        raise InputError(f"A dict in the state has the key {key!r}; use text or integers.")
    return str(key).replace("/", "∕")


def _jax_of(leaf: Any) -> Any:
    """The module `jax` if this is one of its arrays; an array cannot exist before the module."""
    jax = sys.modules.get("jax")
    return jax if jax is not None and isinstance(leaf, jax.Array) else None
