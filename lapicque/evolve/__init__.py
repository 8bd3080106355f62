"""Search for rules and parameters: Cartesian genetic programming, evolution strategies."""

from lapicque.evolve.evaluation import Evaluator as Evaluator, generation as generation
from lapicque.evolve.genome import Grid as Grid
from lapicque.evolve.primitives import (
    Abs as Abs,
    Add as Add,
    Cos as Cos,
    Div as Div,
    Exp as Exp,
    IfElse as IfElse,
    Log as Log,
    Max as Max,
    Min as Min,
    Mul as Mul,
    Neg as Neg,
    Pow as Pow,
    Primitive as Primitive,
    Sin as Sin,
    Sqrt as Sqrt,
    Sub as Sub,
    Tanh as Tanh,
    constant as constant,
    parameter as parameter,
)
from lapicque.evolve.program import Program as Program, Step as Step, parse as parse
from lapicque.evolve.search import Search as Search, State as State
