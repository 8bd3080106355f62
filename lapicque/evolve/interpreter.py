"""An interpreter in JAX: many expressions at once, without compiling any of them.

Expressions are padded with idle steps to a common number of slots. A function that uses the
interpreter is compiled once for each number of slots and each set of primitives, whatever the
expressions are. Long simulations of one expression are faster with `Program.function(jax.numpy)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lapicque._checks import InputError, in_range
from lapicque.evolve import primitives as ops
from lapicque.evolve.primitives import Primitive
from lapicque.evolve.program import Program, array_functions

SLOTS = (4, 8, 16, 32)
"""Numbers of steps to which programs are padded."""


class Batch(NamedTuple):
    """Programs side by side.

    Attributes:
        codes: Shape (programs, slots).
        arguments: Shape (programs, slots, 3).
        values: Of constants and parameters, shape (programs, slots).
        outputs: Shape (programs, outputs).
    """

    codes: Int[np.ndarray, "programs slots"]
    arguments: Int[np.ndarray, "programs slots 3"]
    values: Float[np.ndarray, "programs slots"]
    outputs: Int[np.ndarray, "programs outputs"]


def batch(programs: Sequence[Program], slots: int | None = None, size: int | None = None) -> Batch:
    """Put programs side by side.

    Args:
        programs: With the same inputs and equally many outputs.
        slots: Steps to which each is padded; by default the least of `SLOTS` that holds them all.
        size: Rows of the batch; those beyond the programs repeat the first one, so that batches of
            different generations have the same shape. By default as many as programs.

    Raises:
        InputError: There is no program, they do not fit together, or there is no room.
    """
    if not programs:
        raise InputError("`programs` is empty; there must be at least one.")
    longest = max(len(program.steps) for program in programs)
    if slots is None:
        slots = next((s for s in SLOTS if s >= longest), None)
        if slots is None:
            raise InputError(
                f"A program has {longest} steps; the interpreter has at most {SLOTS[-1]} slots. "
                "Give `slots`, or compile it."
            )
    in_range("slots", slots, max(1, longest))
    rows = len(programs) if size is None else size
    in_range("size", rows, len(programs))
    first = programs[0]
    n_out = len(first.outputs)
    result = Batch(
        np.full((rows, slots), ops.CONSTANT), np.zeros((rows, slots, 3), np.int64),
        np.zeros((rows, slots)), np.zeros((rows, n_out), np.int64),
    )  # fmt: skip
    for k in range(rows):
        program = programs[k] if k < len(programs) else first
        if program.inputs != first.inputs or len(program.outputs) != n_out:
            raise InputError(
                f"Program {k} has inputs {program.inputs} and {len(program.outputs)} outputs; the "
                f"first has {first.inputs} and {n_out}."
            )
        n = len(program.steps)
        for row, array in zip(result, program.arrays, strict=True):
            row[k, : n if row is not result.outputs else n_out] = array
    return result


@dataclass(frozen=True)
class Interpreter:
    """Values of programs within JAX.

    All operations are computed in each slot and one is chosen, so the fewer there are, the faster.
    The choice is no good for gradients where an operation that was not chosen is not finite.

    Attributes:
        primitives: Which programs may contain; constants and parameters always may.
    """

    primitives: tuple[Primitive, ...]

    @cached_property
    def _functions(self):
        table = array_functions(jnp)
        kinds = {p.code: p.arity for p in self.primitives if p.arity}
        return [(code, kinds[code], table[code]) for code in sorted(kinds)]

    def check(self, programs: Batch) -> None:
        """Whether all operations are known.

        Raises:
            InputError: One is not.
        """
        own = {code for code, _, _ in self._functions} | {ops.CONSTANT, ops.PARAMETER}
        other = set(np.unique(programs.codes).tolist()) - own
        if other:
            names = [p.name for p in ops.FUNCTIONS.values() if p.code in other]
            raise InputError(
                f"The programs contain {', '.join(names)}; the interpreter was made without."
            )

    def one(self, program: Batch, inputs: Float[Array, "inputs ..."]) -> Array:
        """Outputs of one program.

        Args:
            program: One row of a `Batch`, without the first axis.
            inputs: At any number of points.

        Returns:
            Shape (outputs, ...).
        """
        codes, arguments, values, outputs = (jnp.asarray(x) for x in program)
        inputs = jnp.asarray(inputs)
        n_in, slots = inputs.shape[0], codes.shape[0]
        room = jnp.zeros((slots, *inputs.shape[1:]), inputs.dtype)
        table = jnp.concatenate([inputs, room])

        def slot(k, table):
            a, b, c = (
                jax.lax.dynamic_index_in_dim(table, arguments[k, j], keepdims=False)
                for j in range(3)
            )
            found = jnp.broadcast_to(values[k].astype(table.dtype), a.shape)
            for code, arity, function in self._functions:
                found = jnp.where(codes[k] == code, function(*(a, b, c)[:arity]), found)
            return jax.lax.dynamic_update_index_in_dim(table, found, n_in + k, 0)

        return jax.lax.fori_loop(0, slots, slot, table)[outputs]

    def __call__(self, programs: Batch, inputs: Float[Array, "inputs ..."]) -> Array:
        """Outputs of all programs at the same points, shape (programs, outputs, ...)."""
        return jax.vmap(self.one, (0, None))(programs, inputs)
