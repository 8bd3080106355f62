"""The data sets that need no file of their own: bars, digits, stand-in images."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier

from lapicque._checks import InputError
from lapicque.data import bars, digits, synthetic_images
from lapicque.data._split import stratified


def test_bars_are_the_eight_patterns():
    data = bars().train
    assert np.unique(data.inputs.reshape(8, 9), axis=0).shape == (8, 9)
    assert (data.inputs.sum(axis=(1, 2)) == 3).all()
    assert set(np.unique(data.inputs)) == {0, 1}
    assert np.bincount(data.labels).tolist() == [3, 3, 2]
    assert (data.inputs[data.labels == 0].max(axis=2).sum(axis=1) == 1).all()  # one row each
    assert (data.inputs[data.labels == 1].max(axis=1).sum(axis=1) == 1).all()  # one column each


def test_digits_are_split_without_overlap_and_in_proportion():
    data = digits()
    assert (len(data.train), data.validation, len(data.test)) == (1437, None, 360)
    everything = np.concatenate([data.train.inputs, data.test.inputs]).reshape(-1, 64)
    reference = np.asarray(load_digits(return_X_y=True)[0]) / 16
    order, wanted = np.lexsort(everything.T), np.lexsort(reference.T)
    np.testing.assert_array_equal(everything[order], reference[wanted])
    whole = np.bincount(np.concatenate([data.train.labels, data.test.labels]))
    assert np.abs(np.bincount(data.test.labels) - whole * 360 / 1797).max() <= 1
    assert data.train.inputs.max() == 1


def test_digits_split_is_fixed_by_its_seed():
    np.testing.assert_array_equal(digits().test.inputs, digits().test.inputs)
    assert digits().test.labels[:10].tolist() == [3, 1, 5, 6, 4, 9, 7, 0, 2, 8]
    assert not np.array_equal(digits().test.inputs, digits(seed=1).test.inputs)
    held_out = digits(validation=True)
    assert [len(split) for split in held_out.splits.values()] == [1077, 360, 360]
    np.testing.assert_array_equal(held_out.test.inputs, digits().test.inputs)


def test_stratified_parts_are_disjoint_and_complete():
    labels = np.repeat([0, 1, 2], [10, 20, 70])
    parts = stratified(labels, (10, 40, 50), seed=3)
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert np.bincount(labels[parts[1]]).tolist() == [4, 8, 28]
    with pytest.raises(InputError, match="add up"):
        stratified(labels, (10, 40), seed=3)


@pytest.mark.parametrize(("shape", "classes"), [((28, 28), 10), ((3, 12, 16), 4)])
def test_stand_in_images_say_so_and_can_be_learnt(shape, classes):
    data = synthetic_images(800, shape, classes, seed=2)
    assert data.synthetic
    assert "SYNTHETIC" in data.origin
    assert data.shape == shape
    assert data.train.inputs.min() >= 0
    assert data.train.inputs.max() <= 1
    flat = data.flat()
    assert flat.synthetic
    model = RidgeClassifier(10.0).fit(flat.train.inputs, flat.train.labels)
    assert model.score(flat.test.inputs, flat.test.labels) > 0.9


def test_stand_in_images_follow_their_seed():
    one, same, other = (synthetic_images(20, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.train.inputs, same.train.inputs)
    assert not np.array_equal(one.train.inputs, other.train.inputs)
    with pytest.raises(InputError, match="`shape`"):
        synthetic_images(20, (28,))
