"""Checks at the door: each names the argument, its value, what it may be, and the unit.

Every error that a caller can cause and mend is a `UserError`; the command line prints its
message without a traceback and leaves with exit status 2.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from math import inf
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line answers before NumPy would be loaded
    import numpy as np
    from numpy.typing import ArrayLike


class UserError(Exception):
    """Something the caller can mend: an argument, a file, a disk, a missing package."""


class InputError(UserError, ValueError):
    """An argument or a datum outside what is allowed."""


class StorageError(UserError, OSError):
    """A file that cannot be read or written: no permission, no space, damaged content."""


class DataError(StorageError):
    """A data set that is missing, incomplete, damaged, or not what its checksum says."""


class MissingExtra(UserError, ImportError):
    """An optional dependency that is not installed."""


def known(value: Any) -> np.ndarray | None:
    """The value as an array, or `None` inside a traced program, where it is not known yet."""
    import numpy as np

    jax = sys.modules.get("jax")  # looked up: where it was not imported, nothing is traced
    if jax is not None and any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(value)):
        return None
    return np.asarray(value)


def in_range(
    name: str,
    value: ArrayLike,
    low: float = -inf,
    high: float = inf,
    unit: str = "",
    hint: str = "",
) -> None:
    """Check `low <= value <= high` for a number or every entry of an array.

    Infinite bounds leave a side open; a `nan` or an infinite value is never in range. Inside a
    traced program, where values are not known yet, nothing is checked.

    Raises:
        InputError: A value is out of range; the message names the first one.
    """
    suffix = f" {unit}" if unit else ""
    if low > -inf and high < inf:
        rule = f"lie between {low:g} and {high:g}{suffix}"
    elif low > -inf:
        rule = f"be at least {low:g}{suffix}"
    elif high < inf:
        rule = f"be at most {high:g}{suffix}"
    else:
        rule = "be finite"
    _every(name, value, lambda v: (v >= low) & (v <= high), rule, suffix, hint)


def positive(name: str, value: ArrayLike, unit: str = "", hint: str = "") -> None:
    """Check that a number, or every entry of an array, is finite and above zero.

    Inside a traced program, where values are not known yet, nothing is checked.

    Raises:
        InputError: A value is not; the message names the first one.
    """
    suffix = f" {unit}" if unit else ""
    _every(name, value, lambda v: v > 0, f"be above 0{suffix}", suffix, hint)


def _every(name: str, value: Any, allowed: Callable, rule: str, unit: str, hint: str) -> None:
    import numpy as np

    values = known(value)
    if values is None:
        return
    values = np.asarray(values, dtype=float)
    good = np.isfinite(values) & allowed(values)
    if not good.all():
        index = np.unravel_index(int(np.argmin(good)), values.shape)
        where = f"[{', '.join(map(str, index))}]" if index else ""
        message = f"`{name}{where}` is {values[index]:g}{unit}; it must {rule}."
        raise InputError(message + (f" {hint}" if hint else ""))


def finite(name: str, value: ArrayLike, hint: str = "") -> None:
    """Check that an array holds neither `nan` nor infinity.

    Raises:
        InputError: It does; the message counts them and names the first place.
    """
    import numpy as np

    values = known(value)
    if values is not None and np.issubdtype(values.dtype, np.inexact):
        bad = ~np.isfinite(values)
        if bad.any():
            index = np.unravel_index(int(np.argmax(bad)), values.shape)
            raise InputError(
                f"`{name}` holds {int(bad.sum())} of {values.size} values that are not finite, "
                f"the first ({values[index]}) at index {tuple(map(int, index))}; all must be "
                "finite." + (f" {hint}" if hint else "")
            )


def shape(name: str, value: ArrayLike, expected: Sequence[int | None], hint: str = "") -> None:
    """Check the shape of an array; `None` stands for any length.

    Raises:
        InputError: The shapes differ; the message shows both.
    """
    import numpy as np

    actual = np.shape(value)
    if len(actual) != len(expected) or any(
        want is not None and have != want for have, want in zip(actual, expected, strict=True)
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in expected)
        raise InputError(
            f"`{name}` has shape {actual}; it must have shape ({wanted})."
            + (f" {hint}" if hint else "")
        )


def one_of(name: str, value: object, allowed: Iterable[object], hint: str = "") -> None:
    """Check that a value is among those allowed.

    Raises:
        InputError: It is not; the message lists all and suggests the nearest.
    """
    choices = list(allowed)
    if value not in choices:
        raise InputError(
            f"`{name}` is {value!r}; it must be one of {', '.join(map(repr, choices))}."
            + nearest(value, choices)
            + (f" {hint}" if hint else "")
        )


def nearest(value: object, allowed: Iterable[object]) -> str:
    """The sentence `Did you mean ...?` after a blank, or nothing where no name is near."""
    near = difflib.get_close_matches(str(value), list(map(str, allowed)), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def extra(module: str, name: str) -> ModuleType:
    """Import an optional dependency.

    Raises:
        MissingExtra: It is not installed; the message says which extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"This needs the package `{module}`: install it with `pip install 'lapicque[{name}]'`."
        ) from error
