"""Find experiments from the file tree, without importing them, and load one on demand.

An experiment is named `<work>/<name>` after its file. The path of a Python file is a name too:
an experiment of your own runs as `lapicque run my_work/my_experiment.py`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lapicque._checks import InputError, nearest
from lapicque.lab import config as configuration
from lapicque.lab.experiment import Claim, Outcome
from lapicque.lab.references import references

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lapicque.lab.session import Session

SHIPPED = Path(__file__).parents[1] / "experiments"
PRESETS = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Entry:
    """What is known of an experiment before it is imported.

    Attributes:
        name: `<work>/<experiment>`.
        title: First line of the module's docstring, without its full stop.
        path: The file.
        shipped: Whether it belongs to the package; if not, it is addressed by its path.
    """

    name: str
    title: str
    path: Path
    shipped: bool = True

    @property
    def work(self) -> str:
        return self.name.split("/")[0]

    @property
    def address(self) -> str:
        """What finds this entry again: its name or, outside the package, its path."""
        return self.name if self.shipped else str(self.path)


@dataclass(frozen=True)
class Experiment:
    """An experiment whose module has been imported and meets the contract."""

    entry: Entry
    doc: str
    Config: type
    presets: Mapping[str, Any]
    claims: tuple[Claim, ...]
    cites: tuple[str, ...]
    run: Callable[[Any, int, Session], Outcome]
    figures: Callable[[Outcome, Any], dict[str, Figure]]

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def work(self) -> str:
        return self.entry.work

    @property
    def title(self) -> str:
        return self.entry.title


def entries(work: str | None = None) -> list[Entry]:
    """All experiments of the package, or those of one work, sorted by name.

    Raises:
        InputError: There is no such work; the message names the nearest.
    """
    found = [
        Entry(f"{path.parent.name}/{path.stem}", _title(path), path)
        for path in sorted(SHIPPED.glob("*/*.py"))
        if not path.name.startswith("_")
    ]
    if work is None:
        return found
    works = sorted({entry.work for entry in found})
    if work not in works:
        raise InputError(
            f"There is no work {work!r}; there are {', '.join(works) or 'none'}."
            + nearest(work, works)
        )
    return [entry for entry in found if entry.work == work]


def find(name: str) -> Entry:
    """The entry of an experiment by its name or by the path of its file.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    if name.endswith(".py"):
        path = Path(name).resolve()
        if not path.is_file():
            raise InputError(f"There is no experiment file {name!r}.")
        if path.is_relative_to(SHIPPED):
            return find(f"{path.parent.name}/{path.stem}")
        return Entry(f"{path.parent.name}/{path.stem}", _title(path), path, shipped=False)
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        hint = nearest(name, known) or nearest(name, [key.split("/")[1] for key in known])
        raise InputError(
            f"There is no experiment {name!r}.{hint} `lapicque list` shows all of them."
        )
    return known[name]


def load(name: str) -> Experiment:
    """Import an experiment and check that it meets the contract.

    Raises:
        InputError: There is no such experiment, or its module breaks the contract.
    """
    entry = find(name)
    return _checked(entry, _module(entry))


def _module(entry: Entry) -> ModuleType:
    if entry.shipped:
        return importlib.import_module(f"lapicque.experiments.{entry.name.replace('/', '.')}")
    name = f"lapicque_experiment_{entry.name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(name, entry.path)
    assert spec is not None  # a path that ends in .py has a specification and a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    spec.loader.exec_module(module)
    return module


def _title(path: Path) -> str:
    try:
        doc = ast.get_docstring(ast.parse(path.read_bytes()))
    except SyntaxError as error:
        raise InputError(f"`{path}` is not valid Python: {error}.") from error
    return (doc or "").partition("\n")[0].removesuffix(".")


def _is_frozen(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _checked(entry: Entry, module: Any) -> Experiment:
    def demand(met: bool, rule: str) -> None:
        if not met:
            raise InputError(f"The experiment {entry.name!r} breaks its contract: {rule}.")

    parts = ("Config", "PRESETS", "CLAIMS", "CITES", "run", "figures")
    missing = [part for part in parts if not hasattr(module, part)]
    demand(not missing, f"`{entry.path.name}` must define {', '.join(missing)}")
    demand(bool(entry.title), "its docstring must open with a one-line title")

    Config = module.Config
    demand(
        isinstance(Config, type) and is_dataclass(Config) and Config.__dataclass_params__.frozen,  # type: ignore[attr-defined]
        "`Config` must be a frozen dataclass",
    )
    bare = [f.name for f in fields(Config) if f.default is MISSING and f.default_factory is MISSING]
    demand(not bare, f"every field of `Config` needs a default, unlike {', '.join(bare)}")
    presets = dict(module.PRESETS)
    demand(set(PRESETS) <= set(presets), f"`PRESETS` must hold {', '.join(PRESETS)}")
    for preset, config in presets.items():
        demand(type(config) is Config, f"the preset {preset!r} must be a `Config`")
        stored = configuration.to_json(config)
        demand(
            configuration.from_json(Config, stored) == config,
            f"the preset {preset!r} does not survive being written to JSON and read again",
        )

    claims = module.CLAIMS
    demand(
        isinstance(claims, tuple) and all(isinstance(claim, Claim) for claim in claims),
        "`CLAIMS` must be a tuple of `Claim`",
    )
    ids = [claim.id for claim in claims]
    demand(len(set(ids)) == len(ids), "the ids of its claims must differ")
    strangers = {preset for claim in claims for preset in claim.presets} - set(presets)
    demand(not strangers, f"its claims name unknown presets: {', '.join(sorted(strangers))}")

    cites = module.CITES
    demand(
        isinstance(cites, tuple) and all(isinstance(key, str) for key in cites),
        "`CITES` must be a tuple of BibTeX keys",
    )
    unknown = [key for key in cites if key not in references()]
    demand(not unknown, f"`references.bib` lacks {', '.join(unknown)}, which it cites")
    run, figures = module.run, module.figures
    demand(callable(run) and callable(figures), "`run` and `figures` must be functions")
    return Experiment(
        entry=entry,
        doc=module.__doc__ or "",
        Config=Config,
        presets=presets,
        claims=claims,
        cites=cites,
        run=module.run,
        figures=module.figures,
    )
