"""PyNN scripts on lapicque's spiking engine: `import lapicque.pynn as sim`.

What is supported, and what is not, stands in `docs/pynn.md`.
"""

from types import ModuleType

from lapicque.interop import pynn as _backend
from lapicque.interop.pynn import *  # noqa: F403

_MODULES = ("errors", "random", "simulator", "space")

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name
    for name, value in vars(_backend).items()
    if not name.startswith("_") and (name in _MODULES or not isinstance(value, ModuleType))
]


def __getattr__(name: str):
    return getattr(_backend, name)
