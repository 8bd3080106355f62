"""The checks that every data set passes, one's own included."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.data import DataSet, Samples, bars, scaled


def test_labels_outside_the_classes_are_refused():
    samples = Samples(np.zeros((3, 2)), np.array([0, 1, 3]))
    with pytest.raises(InputError, match=r"`train.labels\[2\]` is 3.*between 0 and 2"):
        DataSet("mine", 3, samples, None, samples, "mine")


def test_splits_of_different_shape_are_refused():
    one, other = (Samples(np.zeros((3, n)), np.arange(3)) for n in (2, 4))
    with pytest.raises(InputError, match=r"`test.inputs` has shape \(3, 4\)"):
        DataSet("mine", 3, one, None, other, "mine")


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ([[0.0, np.nan]], [0], "not finite"),
        ([[0.0, 1.0]], [-1], r"`labels\[0\]` is -1"),
        ([[0.0, 1.0]], [0, 1], "One label belongs to each input"),
        ([[0.0, 1.0]], [0.5], "integers"),
        ([[0.0, 1.0]], [[0, 1]], "`labels` has shape"),
        ([0.0, 1.0], [0, 1], "sample axis"),
        ([["a"]], [0], "real numbers"),
    ],
)
def test_bad_samples_are_refused(inputs, labels, message):
    with pytest.raises(InputError, match=message):
        Samples(np.array(inputs), np.array(labels))


def test_samples_are_read_only_and_leave_the_original_alone():
    inputs = np.zeros((2, 2))
    samples = Samples(inputs, np.array([0, 1]))
    with pytest.raises(ValueError, match="read-only"):
        samples.inputs[0] = 1
    inputs[0] = 1


def test_taking_flattening_and_one_hot():
    data = bars()
    assert data.flat().train.shape == (9,)
    assert data.flat().origin == data.origin
    assert data.train.take(data.train.labels == 2).labels.tolist() == [2, 2]
    np.testing.assert_array_equal(data.train.one_hot(3).argmax(axis=1), data.train.labels)
    with pytest.raises(InputError, match="labels"):
        data.train.one_hot(2)


def test_scaling_happens_in_one_place():
    pixels = np.array([0, 128, 255], np.uint8)
    assert scaled(pixels, 255).tolist() == [0, np.float32(128) / np.float32(255), 1]
    assert scaled(pixels, 256)[1] == 0.5
    assert pixels[1] == 128
    with pytest.raises(InputError, match="`scale`"):
        scaled(pixels, 0)
