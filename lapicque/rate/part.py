"""The contract of a dynamical part, and the one loop that drives any of them."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, PyTree, Shaped

State = TypeVar("State")


class AbstractPart(eqx.Module, Generic[State]):
    """Parameters plus two pure functions; what evolves goes in and comes out."""

    @abstractmethod
    def init(self, shape: tuple[int, ...]) -> State:
        """The state at rest; `shape` holds the batch axes, and the neurons' where they are free."""

    @abstractmethod
    def step(self, state: State, input: Any, dt: float) -> tuple[State, Any]:
        """Advance by one step of `dt` [ms]."""

    def check(self, dt: float) -> None:
        """Raise an `InputError` where the parameters do not fit the step `dt` [ms]."""


def simulate(
    part: AbstractPart[State], state: State, inputs: PyTree[Shaped[Array, "time ..."]], dt: float
) -> tuple[State, PyTree[Shaped[Array, "time ..."]]]:
    """Drive `part` with one input per step of `dt` [ms].

    Batch axes pass straight through; seeds and chips are `jax.vmap`-ed by the caller.

    Returns:
        The last state, ready for the next call, and the output of every step.
    """
    return jax.lax.scan(lambda state, value: part.step(state, value, dt), state, inputs)
