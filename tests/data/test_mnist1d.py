"""The generator against the published package, number by number."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.data import MNIST1DOptions, mnist1d
from lapicque.data.mnist1d import templates

# Read off the arrays of the PyPI package `mnist1d` 0.0.2.post1, made with NumPy 2.4 and SciPy 1.17:
# first three points of the first training sequence, last point of the last test sequence, sum of
# the training sequences, sum of the test sequences' absolute values.
GOLDEN = {
    40: (
        (-0.33200567, -0.47191037, -0.77869708),
        1.1931518368352758,
        -51.78746787509559,
        29977.877540866408,
    ),
    360: (
        (-0.33216206, -0.30999689, -0.28783173),
        1.1981001644290619,
        -513.8194460759294,
        269099.1735730873,
    ),
}


@pytest.mark.parametrize("length", GOLDEN)
def test_sequences_are_those_of_the_published_generator(length):
    first, last, total, absolute = GOLDEN[length]
    data = mnist1d(MNIST1DOptions(length=length))
    np.testing.assert_allclose(data.train.inputs[0, :3], first, atol=1e-8)
    assert data.test.inputs[-1, -1] == pytest.approx(last, rel=1e-12)
    assert data.train.inputs.sum() == pytest.approx(total, rel=1e-9)
    assert np.abs(data.test.inputs).sum() == pytest.approx(absolute, rel=1e-12)
    assert data.train.labels[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    assert data.test.labels[:10].tolist() == [2, 6, 3, 9, 4, 3, 1, 9, 5, 2]
    counts = [398, 396, 411, 394, 394, 402, 401, 404, 402, 398]
    assert np.bincount(data.train.labels).tolist() == counts


def test_shapes_and_moments():
    data = mnist1d()
    assert (len(data.train), len(data.test), data.shape) == (4000, 1000, (360,))
    assert data.validation is None
    assert not data.synthetic
    every = np.concatenate([data.train.inputs, data.test.inputs])
    assert every.mean() == pytest.approx(0, abs=1e-12)
    assert every.std() == pytest.approx(1)
    assert "4,000/1,000 sequences of 360 points, published recipe" in data.origin


def test_strokes_start_and_end_alike():
    strokes = templates()
    np.testing.assert_array_equal(strokes[:, 0], 0)
    np.testing.assert_allclose(strokes.std(1), 1 / 6)
    np.testing.assert_allclose(strokes[:, -1], 0, atol=1e-12)


def test_a_seed_fixes_everything_and_other_options_say_so():
    small = MNIST1DOptions(samples=50, length=40)
    first, other = mnist1d(small), mnist1d(MNIST1DOptions(samples=50, length=40, seed=1))
    assert not np.array_equal(first.train.inputs, other.train.inputs)
    assert "published recipe" not in first.origin
    assert np.bincount(np.concatenate([first.train.labels, first.test.labels])).tolist() == [5] * 10


def test_without_disturbance_every_sequence_is_a_stroke_of_its_class():
    """No noise, shear, scaling or shift, and one tail: sequences of a class are all the same."""
    options = MNIST1DOptions(
        samples=40,
        length=72,
        padding=(60, 60),
        scale=0,
        max_translation=1,
        correlated_noise=0,
        noise=0,
        shear=0,
    )
    data = mnist1d(options)
    for label in range(10):
        same = data.train.inputs[data.train.labels == label]
        assert np.ptp(same, axis=0).max() == 0
        correlation = np.corrcoef(same[0, :12], templates()[label])[0, 1]
        assert correlation == pytest.approx(1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("samples", 15, r"`samples` is 15; it must be a multiple of 10"),
        ("train", 1.0, r"`train` is 1; it must lie between"),
        ("padding", (60, 36), r"`padding\[1\]` is 36 points; it must be at least 60"),
        ("max_translation", 73, r"`max_translation` is 73 points; it must lie between 1 and 72"),
        ("noise", -1.0, r"`noise` is -1"),
        ("seed", -1, r"`seed` is -1"),
    ],
)
def test_bad_options_are_named(field, value, message):
    with pytest.raises(InputError, match=message):
        MNIST1DOptions(**{field: value})
