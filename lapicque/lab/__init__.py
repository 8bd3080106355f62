"""What running an experiment needs: contract, run directory, claims, resume, report, references.

A module is imported when one of its names is first used, so that `lapicque list` need not wait
for NumPy and JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lapicque.lab.experiment import (
        Certainty as Certainty,
        Claim as Claim,
        Outcome as Outcome,
    )
    from lapicque.lab.registry import Experiment as Experiment
    from lapicque.lab.session import Quiet as Quiet, Session as Session

_HOME = {
    "Certainty": "experiment",
    "Claim": "experiment",
    "Outcome": "experiment",
    "Experiment": "registry",
    "Quiet": "session",
    "Session": "session",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"lapicque.lab.{_HOME[name]}"), name)
    raise AttributeError(f"module 'lapicque.lab' has no attribute {name!r}.")


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
