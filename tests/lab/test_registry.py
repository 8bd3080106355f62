import subprocess
import sys

import pytest
from toys import WALK

from lapicque._checks import InputError
from lapicque.lab import registry


def test_shipped_experiments_are_found_without_importing_them():
    code = (
        "import sys; from lapicque.lab import registry; found = registry.entries()\n"
        "assert all(entry.title for entry in found) and found\n"
        "assert not [m for m in sys.modules if m.startswith('lapicque.experiments')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [entry.name for entry in registry.entries()])
def test_shipped_experiment_meets_the_contract(name):
    experiment = registry.load(name)
    assert experiment.name == name
    assert experiment.claims, "an experiment without a claim shows nothing"


def test_experiment_of_ones_own_is_addressed_by_its_path(walk):
    experiment = registry.load(walk)
    assert (experiment.name, experiment.work) == ("toy/walk", "toy")
    assert experiment.title == "A walk that forgets: mean and spread"
    assert registry.find(experiment.entry.address) == experiment.entry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("latent_equilibrium/digit", "Did you mean 'latent_equilibrium/digits'"),
        ("digits", "Did you mean"),
        ("nowhere/none.py", "no experiment file"),
        ("", "There is no experiment ''"),
    ],
)
def test_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(InputError, match=message):
        registry.find(name)


def test_unknown_work_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'latent_equilibrium'"):
        registry.entries("latent_equilibrum")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CITES =", "_ =", "must define CITES"),
        ('"""A walk that', 'b"""A walk that', "one-line title"),
        ("frozen=True", "frozen=False", "frozen dataclass"),
        ('"paper": Config(n=100)', "", "must hold smoke, quick, paper"),
        ("Config(n=100)", "3", "'paper' must be a `Config`"),
        ("Config(n=100)", "Config(n='a')", "`n` is 'a'; it must be int"),
        ("limit: float = 9.0", "limit: list = 9.0", "cannot hold"),
        ('Claim("far"', 'Claim("spread"', "ids of its claims must differ"),
        ("at_most=100.0", "presets=('fast',)", "unknown presets: fast"),
        ('"haider2021latent"', '"haider1921"', "lacks haider1921"),
        ("def figures(", "def draw(", "must define figures"),
        ("import time", "import time time", "not valid Python"),
    ],
)
def test_broken_contract_is_named(tmp_path, old, new, message):
    assert old in WALK
    path = tmp_path / "toy" / "broken.py"
    path.parent.mkdir()
    path.write_text(WALK.replace(old, new))
    with pytest.raises(InputError, match=message):
        registry.load(str(path))


def test_field_without_a_default_is_named(tmp_path):
    path = tmp_path / "bare.py"
    path.write_text(WALK.replace("n: int = 20 ", "n: int ").replace("Config()", "Config(n=9)"))
    with pytest.raises(InputError, match="needs a default, unlike n"):
        registry.load(str(path))
