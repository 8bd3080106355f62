"""Learning and inference with physical neurons: leaky, slow, noisy, mismatched, spiking, local.

Importing the package loads nothing else; a room is imported when it is first named.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_ROOMS = (
    "benchmark",
    "data",
    "evolve",
    "experiments",
    "interop",
    "lab",
    "rate",
    "sampling",
    "spiketime",
    "spiking",
    "substrate",
)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return import_module(f"lapicque.{name}")
    raise AttributeError(f"module 'lapicque' has no attribute {name!r}; its rooms are {_ROOMS}.")


def __dir__() -> list[str]:
    return [*globals(), *_ROOMS]
