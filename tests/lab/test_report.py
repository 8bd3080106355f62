import json
import re
from html.parser import HTMLParser

import pytest

from lapicque._checks import InputError, StorageError
from lapicque.lab import describe, folders, references, report, results, status
from lapicque.lab.progress import Lines
from lapicque.lab.registry import find, load
from lapicque.lab.run import execute, rebuild


@pytest.fixture
def finished(walk, tmp_path):
    plan = folders.plan(walk, settings=["limit=8"])
    folder = folders.create(tmp_path / "runs", plan)
    return folder, execute(folder, plan, Lines())


def test_report_is_one_file_that_asks_for_nothing_else(finished):
    folder, _ = finished
    page = (folder / "report.html").read_text()
    HTMLParser().feed(page)
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')> ]+)', page)
    assert sources
    for source in sources:
        assert source.startswith(("data:", "https://arxiv.org/")), source
    assert "<script" not in page
    assert "@import" not in page


def test_report_says_what_was_run_and_escapes_it(finished):
    page = (finished[0] / "report.html").read_text()
    for part in (
        "A walk that forgets",
        "Walkers take Gaussian steps",
        "The &lt;b&gt;spread&lt;/b&gt; settles.",
        "✓ holds",
        "share of the way home per step",
        "(preset 9)",
        "data set noise",
        "@inproceedings{haider2021latent",
    ):
        assert part in page
    assert "<b>spread" not in page


def test_report_is_rebuilt_from_what_is_stored(finished):
    folder, _ = finished
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    (folder / "figures" / "mean.svg").unlink()
    (folder / "figures" / "old.svg").write_text("of an earlier version")
    assert rebuild(folder).read_bytes() == before
    assert not (folder / "figures" / "old.svg").exists()


def test_damaged_or_unfinished_run_is_not_reported(finished):
    folder, _ = finished
    recordings = folder / "recordings.h5"
    recordings.write_bytes(recordings.read_bytes()[:-7])
    with pytest.raises(StorageError, match="damaged"):
        rebuild(folder)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(StorageError, match="has not finished"):
        rebuild(folder)


def test_comparison_marks_what_differs(finished, walk, tmp_path):
    plan = folders.plan(walk)
    folder = folders.create(tmp_path / "runs", plan)
    execute(folder, plan, Lines())
    page = report.compare([finished[0], folder], tmp_path / "c.html").read_text()
    assert len(re.findall('class="changed"', page)) == 1
    assert page.count("data:image/svg") == 2


def test_run_directory_holds_what_it_promises(finished):
    folder, result = finished
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "provenance.json",
        "metrics.json",
        "history.h5",
        "recordings.h5",
        "figures",
        "report.html",
        "checkpoint",
    }
    origin = json.loads((folder / "provenance.json").read_text())
    assert {"lapicque", "python", "jax", "numpy"} <= origin["versions"].keys()
    assert {"processor", "cores", "memory_gib", "accelerators"} <= origin["machine"].keys()
    assert origin["data"] == {"noise": "generated"}
    assert {"commit", "command", "seed", "wall_s"} <= origin.keys()
    assert json.loads((folder / "metrics.json").read_text()) == result


def test_directories_never_collide(walk, tmp_path):
    plan = folders.plan(walk)
    made = [folders.create(tmp_path, plan) for _ in range(5)]
    assert len(set(made)) == 5


def test_only_one_process_works_in_a_directory(tmp_path):
    with (
        folders.locked(tmp_path),
        pytest.raises(StorageError, match="Another process"),
        folders.locked(tmp_path),
    ):
        pass


def test_state_of_claims_comes_from_the_newest_judged_run(finished, walk, tmp_path):
    entry = find(walk)
    assert status.sentence(status.newest(entry, tmp_path / "none")) == "not run here"
    plan = folders.plan(walk, "smoke", seeds=3)
    execute(folders.create(tmp_path / "runs", plan), plan, Lines())
    newest = status.newest(entry, tmp_path / "runs")
    assert status.sentence(newest) == "2 of 2 hold (quick, seed 0)"


def test_own_deviation_gives_way_to_that_over_seeds():
    over = results.over_seeds([{"metrics": {"a": x, "a_sd": 10 * x}} for x in (1.0, 2.0, 3.0)])
    assert over.metrics == {"a": 2, "a_sd": 1, "a_sd_within": 20, "a_sd_within_sd": 10}
    assert over.mean["a_sd"] == 20


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.97312, 0.00123, "0.9731 ± 0.0012"),
        (-1.5, 0.25, "−1.50 ± 0.25"),
        (3.0, None, "3"),
        (None, None, "–"),
        (1234.5, 678.0, "1234 ± 678"),
        (0.5, 0.0, "0.5"),
    ],
)
def test_numbers_are_as_long_as_they_are_sure(mean, sd, text):
    assert report.with_spread(mean, sd) == text


def test_meaning_of_fields_is_found_in_comments_docstring_and_metadata(walk):
    assert describe.meanings(load(walk).Config)["n"] == "number of walkers"
    from dataclasses import dataclass, field

    @dataclass(frozen=True)
    class Config:
        """A.

        Attributes:
            a: First,
                on two lines.
            b: Second.
        """

        a: int = 0
        b: int = 0
        c: int = field(default=0, metadata={"doc": "Third."})

    assert describe.meanings(Config) == {"a": "First, on two lines.", "b": "Second.", "c": "Third."}


def test_every_reference_can_be_read():
    for key in references.references():
        citation = references.citation(key)
        assert citation["authors"], key
        assert citation["title"], key
        assert re.fullmatch(r"\d{4}", citation["year"]), key
        assert not re.search(r"[{}\\]", "".join(citation.values())), key
    assert "Julian Göltz" in references.citation("kriener2022yinyang")["authors"]
    with pytest.raises(InputError, match="Did you mean 'haider2021latent'"):
        references.bibtex(("haider2021",))
