"""The operations that expressions are made of, each with one meaning for all back ends."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numba import njit

from lapicque._checks import InputError, finite

(
    ADD, SUB, MUL, DIV, POW, MIN, MAX, NEG, SQRT, EXP, LOG, SIN, COS, TANH, ABS, IF_ELSE, CONSTANT,
    PARAMETER,
) = range(18)  # fmt: skip

_ARITY = (2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 0)
COMMUTATIVE = (ADD, MUL, MIN, MAX)


@dataclass(frozen=True)
class Primitive:
    """An operation, a constant, or a parameter that each node has of its own.

    Attributes:
        name: As in expressions; for a constant its value as text.
        code: Number by which interpreters know it.
        value: Of a constant, or where a parameter begins.
    """

    name: str
    code: int
    value: float = 0.0

    @property
    def arity(self) -> int:
        """How many arguments it takes."""
        return _ARITY[self.code]


Add = Primitive("add", ADD)
Sub = Primitive("sub", SUB)
Mul = Primitive("mul", MUL)
Div = Primitive("div", DIV)
Pow = Primitive("pow", POW)
Min = Primitive("min", MIN)
Max = Primitive("max", MAX)
Neg = Primitive("neg", NEG)
Sqrt = Primitive("sqrt", SQRT)
Exp = Primitive("exp", EXP)
Log = Primitive("log", LOG)
Sin = Primitive("sin", SIN)
Cos = Primitive("cos", COS)
Tanh = Primitive("tanh", TANH)
Abs = Primitive("abs", ABS)
IfElse = Primitive("if_else", IF_ELSE)
FUNCTIONS = {
    p.name: p
    for p in (
        Add, Sub, Mul, Div, Pow, Min, Max, Neg, Sqrt, Exp, Log, Sin, Cos, Tanh, Abs, IfElse,
    )
}  # fmt: skip
"""All operations by name. `pow` of a negative base is the real part of the complex power, nothing
is protected against division by zero, and `if_else(a, b, c)` is `b` where `a >= 0`, else `c`.
`min` and `max` are `nan` if either argument is.

All forms of an expression agree on this, except that the sign of a zero from `min` and `max`, and
what becomes of subnormal numbers, is left to the machine. SymPy's form is complex where a power is,
and cancels before it divides, so that it may be finite where the others are not."""


def constant(value: float) -> Primitive:
    """A constant.

    Raises:
        InputError: The value is not finite.
    """
    finite("value", value)
    return Primitive(f"{float(value):g}" if float(f"{value:g}") == value else repr(float(value)),
                     CONSTANT, float(value))  # fmt: skip


def parameter(start: float = 1.0) -> Primitive:
    """A number that each node has of its own, see `improve_parameters`.

    Raises:
        InputError: `start` is not finite.
    """
    finite("start", start)
    return Primitive("parameter", PARAMETER, float(start))


def named(name: str) -> Primitive:
    """The operation of a name.

    Raises:
        InputError: There is none.
    """
    if name not in FUNCTIONS:
        raise InputError(f"{name!r} is no operation; there are {', '.join(FUNCTIONS)}.")
    return FUNCTIONS[name]


@njit(inline="always", error_model="numpy")
def apply(code, a, b, c, value):
    """What an operation makes of its arguments; `value` is that of constants and parameters."""
    if code == ADD:
        return a + b
    if code == SUB:
        return a - b
    if code == MUL:
        return a * b
    if code == DIV:
        return a / b
    if code >= CONSTANT:
        return value
    if code == POW:
        return real_power(a, b)
    if code == MIN:
        return np.minimum(a, b)
    if code == MAX:
        return np.maximum(a, b)
    if code == NEG:
        return -a
    if code == SQRT:
        return np.sqrt(a)
    if code == EXP:
        return np.exp(a)
    if code == LOG:
        return np.log(a)
    if code == SIN:
        return np.sin(a)
    if code == COS:
        return np.cos(a)
    if code == TANH:
        return np.tanh(a)
    if code == ABS:
        return abs(a)
    return b if a >= 0 else c


@njit(error_model="numpy")
def real_power(base, exponent):
    """The real part of a power, also of a negative base; zero counts as +0."""
    if base == 0 and exponent < 0:
        return inf
    size = abs(base) ** exponent
    if base >= 0:
        return size
    if np.floor(exponent) == exponent:
        return -size if exponent % 2 == 1 else size
    return size * np.cos(np.pi * exponent)
