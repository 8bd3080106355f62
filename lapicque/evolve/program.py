"""Expressions: what a genome does, as a list of steps; read from and written to other forms."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from hashlib import blake2b
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError
from lapicque.evolve import primitives as ops
from lapicque.evolve.genome import Genes, Grid
from lapicque.evolve.primitives import Primitive

Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        primitive: What is done.
        arguments: Inputs, or, counted after them, earlier steps.
        value: Of a constant or parameter.
    """

    primitive: Primitive
    arguments: tuple[int, ...]
    value: float = 0.0


@dataclass(frozen=True)
class Program:
    """An expression, or several, as steps of which each may use the ones before.

    Attributes:
        inputs: Names of the inputs.
        steps: In an order in which they can be done.
        outputs: Inputs or steps whose values are the result.

    Raises:
        InputError: A step has the wrong number of arguments, or uses one that is not before it.
    """

    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        for k, step in enumerate(self.steps):
            if len(step.arguments) != step.primitive.arity:
                raise InputError(
                    f"Step {k}, {step.primitive.name}, has {len(step.arguments)} arguments; it "
                    f"takes {step.primitive.arity}."
                )
            if any(not 0 <= a < len(self.inputs) + k for a in step.arguments):
                raise InputError(
                    f"Step {k} uses {step.arguments}; there are {len(self.inputs) + k} before it."
                )

    # -- from and to genomes -------------------------------------------------------------------

    @classmethod
    def decode(
        cls, grid: Grid, genome: Genes, parameters: NDArray[np.float64] | None = None
    ) -> Program:
        """What a genome does: its active nodes.

        Args:
            grid: Of the genome.
            genome: Shape (length,).
            parameters: Of the nodes, shape (nodes,); by default where they begin.
        """
        n_in, width = len(grid.inputs), 1 + grid.arity
        place = {k: k for k in range(n_in)}
        steps = []
        for node in np.flatnonzero(grid.active_nodes(genome)):
            at = int(node) * width
            primitive = grid.primitives[int(genome[at])]
            arguments = tuple(place[int(a)] for a in genome[at + 1 : at + 1 + primitive.arity])
            own = primitive.code == ops.PARAMETER and parameters is not None
            value = float(parameters[node]) if own else primitive.value  # pyright: ignore
            place[n_in + int(node)] = n_in + len(steps)
            steps.append(Step(primitive, arguments, value))
        return cls(
            grid.inputs, tuple(steps), tuple(place[int(a)] for a in genome[grid.nodes * width :])
        )

    def encode(self, grid: Grid, genome: Genes | None = None) -> Genes:
        """A genome that does this.

        Args:
            grid: Of the genome, one row without limited levels back.
            genome: Where to take silent genes from; by default all are 0.

        Raises:
            InputError: The grid has other inputs or outputs, too few nodes, or lacks a primitive.
        """
        if grid.inputs != self.inputs or grid.outputs != len(self.outputs):
            raise InputError(
                f"The grid has inputs {grid.inputs} and {grid.outputs} output(s); the expression "
                f"has {self.inputs} and {len(self.outputs)}."
            )
        if grid.rows != 1 or grid.levels_back is not None:
            raise InputError("Only grids of one row that see all columns back can be encoded for.")
        if len(self.steps) > grid.nodes:
            raise InputError(
                f"The expression has {len(self.steps)} steps; the grid has {grid.nodes} nodes."
            )
        result = np.zeros(grid.length, np.int64) if genome is None else genome.copy()
        known = [(p.code, p.value) for p in grid.primitives]
        width = 1 + grid.arity
        for k, step in enumerate(self.steps):
            wanted = (step.primitive.code, step.primitive.value)
            if wanted not in known:
                raise InputError(f"The grid has no primitive {step.primitive.name!r}.")
            result[k * width] = known.index(wanted)
            result[k * width + 1 : k * width + 1 + len(step.arguments)] = step.arguments
        result[grid.nodes * width :] = self.outputs
        return grid.check(result)

    @cached_property
    def key(self) -> bytes:
        """The same for expressions that differ in the order of commuting arguments or of steps."""
        digests = [b"%d" % k for k in range(len(self.inputs))]
        for step in self.steps:
            arguments = [digests[a] for a in step.arguments]
            if step.primitive.code in ops.COMMUTATIVE:
                arguments.sort()
            whole = b"|".join([b"%d" % step.primitive.code, step.value.hex().encode(), *arguments])
            digests.append(blake2b(whole, digest_size=16).digest())
        return b"|".join(digests[a] for a in self.outputs)

    @cached_property
    def arrays(self) -> Arrays:
        """Codes, arguments (steps, 3), values and outputs, for compiled interpreters."""
        arguments = np.zeros((len(self.steps), 3), np.int64)
        for k, step in enumerate(self.steps):
            arguments[k, : len(step.arguments)] = step.arguments
        return (
            np.array([s.primitive.code for s in self.steps], np.int64),
            arguments,
            np.array([s.value for s in self.steps], float),
            np.array(self.outputs, np.int64),
        )

    # -- values --------------------------------------------------------------------------------

    def __call__(self, *inputs: ArrayLike) -> NDArray[np.float64]:
        """Value of the (first) output in float64; inputs broadcast against each other.

        Raises:
            InputError: There are not as many inputs as names.
        """
        return self.all(*inputs)[0]

    def all(self, *inputs: ArrayLike) -> list[NDArray[np.float64]]:
        """Values of all outputs."""
        self._same_number(len(inputs))
        arrays = np.broadcast_arrays(*(np.asarray(x, float) for x in inputs))
        points = np.stack([a.ravel() for a in arrays]) if arrays else np.zeros((0, 1))
        found = evaluate(*self.arrays, points)
        shape = arrays[0].shape if arrays else ()
        return [row.reshape(shape) for row in found]

    def function(self, library: Any) -> Callable:
        """A function of as many arguments, made of the functions of a library.

        Args:
            library: `numpy`, `jax.numpy`, or another with the same names.
        """
        table = array_functions(library)

        def compute(*inputs):
            self._same_number(len(inputs))
            values = list(inputs)
            for step in self.steps:
                if step.primitive.arity == 0:
                    values.append(step.value)
                else:
                    arguments = [values[a] for a in step.arguments]
                    values.append(table[step.primitive.code](*arguments))
            found = [values[a] for a in self.outputs]
            return found[0] if len(found) == 1 else tuple(found)

        return compute

    def _same_number(self, n: int) -> None:
        if n != len(self.inputs):
            raise InputError(f"The expression takes {self.inputs}; {n} inputs were given.")

    # -- other forms ---------------------------------------------------------------------------

    @property
    def written_size(self) -> int:
        """Parts of the first expression when it is written out, shared steps each time again."""
        sizes = [1] * len(self.inputs)
        for step in self.steps:
            sizes.append(1 + sum(sizes[a] for a in step.arguments))
        return sizes[self.outputs[0]]

    def tree(self, output: int = 0) -> ast.expr:
        """The expression as a tree of Python's syntax; parts of it are shared."""
        nodes: list[ast.expr] = [ast.Name(name, ast.Load()) for name in self.inputs]
        for step in self.steps:
            nodes.append(_tree(step, [nodes[a] for a in step.arguments]))
        return nodes[self.outputs[output]]

    def __str__(self) -> str:
        """The first expression as text that `parse` reads; where that is too long, its steps."""
        if self.written_size <= _LONGEST // 10:
            return ast.unparse(self.tree())
        names = [*self.inputs, *(f"_{k}" for k in range(len(self.steps)))]
        lines = [
            f"_{k} = {step.primitive.name}({', '.join(names[a] for a in step.arguments)})"
            for k, step in enumerate(self.steps)
        ]
        return "; ".join([*lines, names[self.outputs[0]]])

    def compiled(self) -> Callable:
        """A plain function of the first output that Numba can compile, made from its own syntax.

        Nothing is read from text: the syntax tree is built from the steps.
        """
        arguments = ast.arguments(
            posonlyargs=[], args=[ast.arg(name) for name in self.inputs], kwonlyargs=[],
            kw_defaults=[], defaults=[],
        )  # fmt: skip
        body: list[ast.stmt] = []
        names: list[ast.expr] = [ast.Name(name, ast.Load()) for name in self.inputs]
        for k, step in enumerate(self.steps):
            local = f"_{k}"
            value = _tree(step, [names[a] for a in step.arguments], _RUNTIME)
            body.append(ast.Assign([ast.Name(local, ast.Store())], value))
            names.append(ast.Name(local, ast.Load()))
        result = ast.BinOp(ast.Constant(0.0), ast.Add(), names[self.outputs[0]])
        body.append(ast.Return(result))
        made = ast.FunctionDef("expression", arguments, body, [])
        module = ast.fix_missing_locations(ast.Module([made], []))
        space = dict(_NAMESPACE)
        exec(compile(module, "<expression>", "exec"), space)
        return space["expression"]

    def to_python(self) -> str:
        """Source of a function in plain Python."""
        return f"def expression({', '.join(self.inputs)}):\n    return {self}\n"

    def to_sympy(self, simplify: bool = False) -> Any:
        """The first expression in SymPy.

        Args:
            simplify: Whether SymPy may change its form. It may then hide a division by zero.

        Raises:
            InputError: The expression is too long when it is written out.
        """
        import sympy

        if self.written_size > _LONGEST:
            raise InputError(
                f"The expression has {self.written_size} parts when it is written out; {_LONGEST} "
                "are allowed."
            )

        table = {
            **array_functions(None),
            ops.POW: sympy.Pow, ops.MIN: sympy.Min, ops.MAX: sympy.Max, ops.SQRT: sympy.sqrt,
            ops.EXP: sympy.exp, ops.LOG: sympy.log, ops.SIN: sympy.sin, ops.COS: sympy.cos,
            ops.TANH: sympy.tanh, ops.ABS: sympy.Abs,
            ops.IF_ELSE: lambda a, b, c: sympy.Piecewise((b, a >= 0), (c, True)),
        }  # fmt: skip
        values: list[Any] = [sympy.Symbol(name, real=True) for name in self.inputs]
        for step in self.steps:
            if step.primitive.arity == 0:
                short = step.value == round(step.value, 6)
                exact = sympy.nsimplify(step.value, rational=True) if short else None
                values.append(sympy.Float(step.value) if exact is None else exact)
            else:
                values.append(table[step.primitive.code](*(values[a] for a in step.arguments)))
        found = values[self.outputs[0]]
        return sympy.simplify(found) if simplify else sympy.sympify(found)

    def to_latex(self, simplify: bool = True) -> str:
        """The first expression as LaTeX."""
        import sympy

        return sympy.latex(self.to_sympy(simplify))


_BINARY: dict[int, type[ast.operator]] = {
    ops.ADD: ast.Add,
    ops.SUB: ast.Sub,
    ops.MUL: ast.Mult,
    ops.DIV: ast.Div,
    ops.POW: ast.Pow,
}
_RUNTIME = {ops.POW: "_power", ops.IF_ELSE: "_if_else"}
_NAMES = {"min": "_min", "max": "_max", "abs": "_abs"}


def _tree(step: Step, arguments: list[ast.expr], runtime: dict[int, str] | None = None) -> ast.expr:
    code = step.primitive.code
    if step.primitive.arity == 0:
        return ast.Constant(float(step.value)) if runtime or not float(step.value).is_integer() \
            else ast.Constant(int(step.value))  # fmt: skip
    if code in _BINARY and not (runtime and code in runtime):
        return ast.BinOp(arguments[0], _BINARY[code](), arguments[1])
    if code == ops.NEG:
        return ast.UnaryOp(ast.USub(), arguments[0])
    name = step.primitive.name
    if runtime:
        name = runtime.get(code, f"_{name}")
    return ast.Call(ast.Name(name, ast.Load()), arguments, [])


@njit(error_model="numpy")
def _if_else(a, b, c):
    return b if a >= 0 else c


_NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    "_power": ops.real_power,
    "_if_else": _if_else,
    "_min": np.minimum,
    "_max": np.maximum,
    "_abs": abs,
    "_sqrt": np.sqrt,
    "_exp": np.exp,
    "_log": np.log,
    "_sin": np.sin,
    "_cos": np.cos,
    "_tanh": np.tanh,
}


def array_functions(library: Any) -> dict[int, Callable]:
    """Operations by code, as functions of arrays.

    Args:
        library: `numpy`, `jax.numpy`, or another with the same names; with `None` only those that
            are operators of Python.
    """
    table: dict[int, Callable] = {
        ops.ADD: operator.add,
        ops.SUB: operator.sub,
        ops.MUL: operator.mul,
        ops.DIV: operator.truediv,
        ops.NEG: operator.neg,
    }
    if library is None:
        return table

    def power(a, b):
        whole = library.floor(b) == b
        size = library.abs(a) ** b
        turned = library.cos(np.pi * b)
        sign = library.where(whole & (b % 2 == 1), -1.0, 1.0)
        return library.where(a >= 0, size, size * library.where(whole, sign, turned))

    return table | {
        ops.POW: power,
        ops.MIN: library.minimum,
        ops.MAX: library.maximum,
        ops.SQRT: library.sqrt,
        ops.EXP: library.exp,
        ops.LOG: library.log,
        ops.SIN: library.sin,
        ops.COS: library.cos,
        ops.TANH: library.tanh,
        ops.ABS: library.abs,
        ops.IF_ELSE: lambda a, b, c: library.where(a >= 0, b, c),
    }


# -- reading ---------------------------------------------------------------------------------------

_OPERATORS = {
    ast.Add: ops.Add,
    ast.Sub: ops.Sub,
    ast.Mult: ops.Mul,
    ast.Div: ops.Div,
    ast.Pow: ops.Pow,
}
_LONGEST = 10_000


def parse(text: str, inputs: Sequence[str]) -> Program:
    """Read an expression such as `y * (x - w * y)`.

    The text is taken apart, never run. Equal parts become one step.

    Args:
        text: With the operators `+ - * / **`, numbers, the inputs, and functions by name.
        inputs: Names of the inputs, in the order in which the program takes them.

    Raises:
        InputError: The text is no such expression; the message says what is not understood.
    """
    inputs = tuple(inputs)
    if len(text) > _LONGEST:
        raise InputError(f"The expression has {len(text)} characters; {_LONGEST} are allowed.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        steps: list[Step] = []
        output = _read(tree, inputs, steps, {})
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text!r} is no expression: {error}") from error
    return Program(inputs, tuple(steps), (output,))


def _number(tree: ast.expr) -> float | None:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
        return None if isinstance(tree.value, bool) else float(tree.value)
    return None


def _read(tree: ast.expr, inputs: tuple[str, ...], steps: list[Step], known: dict) -> int:
    def add(primitive: Primitive, arguments: list[ast.expr]) -> int:
        if len(arguments) != primitive.arity:
            raise InputError(
                f"`{primitive.name}` has {len(arguments)} arguments; it takes {primitive.arity}."
            )
        places = tuple(_read(a, inputs, steps, known) for a in arguments)
        step = Step(primitive, places, primitive.value)
        if step not in known:
            known[step] = len(inputs) + len(steps)
            steps.append(step)
        return known[step]

    if isinstance(tree, ast.Name):
        if tree.id not in inputs:
            raise InputError(f"`{tree.id}` is not known; the inputs are {', '.join(inputs)}.")
        return inputs.index(tree.id)
    number = _number(tree)
    if number is not None:
        return add(ops.constant(number), [])
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        return add(_OPERATORS[type(tree.op)], [tree.left, tree.right])
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        number = _number(tree.operand)
        if number is not None:
            return add(ops.constant(-number), [])
        return add(ops.Neg, [tree.operand])
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.UAdd):
        return _read(tree.operand, inputs, steps, known)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        return add(ops.named(tree.func.id), list(tree.args))
    raise InputError(f"`{ast.unparse(tree)}` is not understood in an expression.")


# -- the compiled interpreter --------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def evaluate(codes, arguments, values, outputs, points):
    """Values of a program at many points.

    Args:
        codes, arguments, values, outputs: See `Program.arrays`.
        points: Shape (inputs, points).

    Returns:
        Shape (outputs, points).
    """
    n_in, n = points.shape
    work = np.empty((codes.size, n))
    for k in range(codes.size):
        a, b, c = arguments[k, 0], arguments[k, 1], arguments[k, 2]
        left = points[a] if a < n_in else work[a - n_in]
        right = points[b] if b < n_in else work[b - n_in]
        third = points[c] if c < n_in else work[c - n_in]
        operate(codes[k], left, right, third, values[k], work[k])
    found = np.empty((outputs.size, n))
    for j in range(outputs.size):
        found[j] = points[outputs[j]] if outputs[j] < n_in else work[outputs[j] - n_in]
    return found


@njit(cache=True, error_model="numpy")
def operate(code, a, b, c, value, out):
    """One operation on many points; the choice is made once."""
    n = out.size
    if code == ops.ADD:
        for k in range(n):
            out[k] = a[k] + b[k]
    elif code == ops.SUB:
        for k in range(n):
            out[k] = a[k] - b[k]
    elif code == ops.MUL:
        for k in range(n):
            out[k] = a[k] * b[k]
    elif code == ops.DIV:
        for k in range(n):
            out[k] = a[k] / b[k]
    elif code >= ops.CONSTANT:
        for k in range(n):
            out[k] = value
    else:
        for k in range(n):
            out[k] = ops.apply(code, a[k], b[k], c[k], value)


@njit(inline="always", error_model="numpy")
def value_at(codes, arguments, values, output, inputs, work):
    """Value of one output of a program at one point, for use inside compiled simulations.

    Args:
        codes, arguments, values: See `Program.arrays`.
        output: Input or step whose value is asked for.
        inputs: Values of the inputs.
        work: Room for as many values as there are steps.
    """
    n_in = inputs.size
    for k in range(codes.size):
        i, j, m = arguments[k, 0], arguments[k, 1], arguments[k, 2]
        a = inputs[i] if i < n_in else work[i - n_in]
        b = inputs[j] if j < n_in else work[j - n_in]
        c = inputs[m] if m < n_in else work[m - n_in]
        work[k] = ops.apply(codes[k], a, b, c, values[k])
    return inputs[output] if output < n_in else work[output - n_in]


def size(program: Program | Sequence[Program]) -> int:
    """Number of steps."""
    if isinstance(program, Program):
        return len(program.steps)
    return reduce(operator.add, (len(p.steps) for p in program), 0)
