"""The list of data sets."""

import json
import subprocess
import sys

import pytest

from lapicque._checks import InputError
from lapicque.data import source, sources


def test_every_entry_can_be_listed_as_json():
    entries = [entry.as_dict() for entry in sources()]
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in json.loads(json.dumps(entries)):
        assert all(entry[field] for field in ("name", "title", "kind", "licence", "obtained"))
    assert source("mnist").size == 54_950_048


def test_availability_follows_the_files(bare, put):
    assert source("yin_yang").available
    assert not source("mnist").available
    put(bare / "mnist", {file.name: b"" for file in source("mnist").files}, packed=True)
    assert source("mnist").available


def test_listing_is_light():
    """Neither JAX nor scikit-learn nor an HTTP client is loaded to name the data sets."""
    script = "import sys, lapicque.data as d; [s.title for s in d.sources()]; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"jax", "sklearn", "requests", "pooch", "mlxtend"} & set(done.stdout.split())


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="`name` is 'minst'"):
        source("minst")
