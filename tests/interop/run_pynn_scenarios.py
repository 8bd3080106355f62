"""Run PyNN's own system scenarios on this front end.

    git clone https://github.com/NeuralEnsemble/PyNN
    python tests/interop/run_pynn_scenarios.py PyNN [arguments of pytest]

PyNN's scenarios run on the simulators that each one names. Every scenario that names any runs on
lapicque here instead, so that some ask for what lapicque does not have; these end as skipped, with
the reason, and count neither as passed nor as failed. Needs pytest, SciPy and Matplotlib.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


class OnLapicque:
    """Stands in for PyNN's choice of simulators."""

    def __init__(self, fixtures: ModuleType):
        there = fixtures.run_with_simulators
        fixtures.run_with_simulators = lambda *names: there("lapicque")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item):
        """Skip what is not supported."""
        import lapicque.pynn

        try:
            return (yield)
        except lapicque.pynn.UnsupportedError as error:
            pytest.skip(str(error))


def main(checkout: str, *arguments: str) -> int:
    """Run the scenarios of a checkout.

    Args:
        checkout: Directory of PyNN's source.
        arguments: More for pytest.

    Returns:
        The exit status of pytest.
    """
    import lapicque.pynn

    folder = Path(checkout).resolve() / "test" / "system" / "scenarios"
    if not (folder / "fixtures.py").is_file():
        raise SystemExit(f"{checkout} is no checkout of PyNN: {folder / 'fixtures.py'} is missing.")
    base = folder
    while (base / "__init__.py").is_file():  # as pytest finds the name of a package
        base = base.parent
    sys.path.insert(0, str(base))
    sys.modules["pyNN.lapicque"] = lapicque.pynn
    fixtures = import_module(".".join([*folder.relative_to(base).parts, "fixtures"]))
    options = ["-q", "-rs", "-p", "no:cacheprovider", "-W", "ignore", "-c", "/dev/null"]
    options += ["--rootdir", str(base)]
    return int(pytest.main([*options, *arguments, str(folder)], plugins=[OnLapicque(fixtures)]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(*sys.argv[1:]))
