"""Plasticity rules as machine code that the compiled loop calls by address."""

from collections.abc import Callable
from typing import Any

from numba import carray, cfunc, njit, types  # pyright: ignore[reportPrivateImportUsage]

from lapicque._checks import InputError
from lapicque.spiking import plasticity
from lapicque.spiking.network import Projection
from lapicque.spiking.plasticity import STDP, Rule

RULE = types.float64(types.float64, types.float64, types.CPointer(types.float64))
"""Signature of a compiled plasticity rule."""

PARAMETERS = 16  # of a rule, at most

_compiled: dict[Callable, Any] = {}


_potentiate, _depress = njit(plasticity.potentiate), njit(plasticity.depress)


@cfunc(RULE, cache=True)
def _potentiate_rule(weight, trace, pointer):
    return _potentiate(weight, trace, carray(pointer, 16))


@cfunc(RULE, cache=True)
def _depress_rule(weight, trace, pointer):
    return _depress(weight, trace, carray(pointer, 16))


_compiled[plasticity.potentiate] = _potentiate_rule
_compiled[plasticity.depress] = _depress_rule


def compiled(function: Callable) -> Any:
    """A rule that compiled code can call by its address.

    Raises:
        InputError: Numba cannot compile it.
    """
    if hasattr(function, "address"):
        return function
    if function not in _compiled:
        inner = function if hasattr(function, "py_func") else njit(function)

        def rule(weight, trace, pointer):
            return inner(weight, trace, carray(pointer, PARAMETERS))

        try:
            _compiled[function] = cfunc(RULE)(rule)
        except Exception as error:  # Numba's errors share no narrower base with Python's
            name = getattr(function, "__name__", "rule")
            raise InputError(f"The plasticity rule `{name}` cannot be compiled: {error}") from error
    return _compiled[function]


def rule_of(projection: Projection) -> Rule | None:
    """The rule of a plastic projection."""
    if isinstance(projection.plasticity, STDP):
        return projection.plasticity.rule()
    return projection.plasticity if isinstance(projection.plasticity, Rule) else None
