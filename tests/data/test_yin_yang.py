"""The generator against the published arrays, and its geometry."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from lapicque._checks import InputError
from lapicque.data import yin_yang, yin_yang_class, yin_yang_samples

# Read off the published arrays: label counts, sum of all x and y, first three samples, last.
GOLDEN = {
    "train": (
        (1681, 1702, 1617),
        5034.089318317108,
        (
            (0.6803075385877797, 0.450499251969543, 2),
            (0.09767211400638387, 0.6842330265121569, 1),
            (0.7553614103176525, 0.4251558744912447, 2),
            (0.7690797231107925, 0.5883389337522971, 2),
        ),
    ),
    "validation": (
        (316, 336, 348),
        990.057443152265,
        (
            (0.6805727261759029, 0.3209733938933629, 0),
            (0.6685157172603458, 0.9174478488708967, 1),
            (0.8019778902252007, 0.17902872922296542, 0),
            (0.7107040957004825, 0.804733352731108, 1),
        ),
    ),
    "test": (
        (350, 316, 334),
        987.037225026263,
        (
            (0.23409664559563403, 0.4017249751828972, 2),
            (0.7513290219574494, 0.4682425192680968, 2),
            (0.13832530718825586, 0.570953971325061, 1),
            (0.32834060537145815, 0.3899830419619741, 1),
        ),
    ),
}
unit = st.floats(0, 1)


@pytest.mark.parametrize("split", GOLDEN)
def test_standard_splits_are_the_published_arrays(split):
    counts, total, samples = GOLDEN[split]
    data = yin_yang().splits[split]
    np.testing.assert_array_equal(np.bincount(data.labels), counts)
    assert math.fsum(data.inputs[:, :2].ravel()) == pytest.approx(total, rel=1e-13)
    for i, (x, y, label) in zip((0, 1, 2, -1), samples, strict=True):
        assert data.inputs[i, :2].tolist() == [x, y]
        assert data.labels[i] == label
    assert data.inputs.dtype == np.float64


def test_points_lie_on_the_disc_and_carry_their_class():
    data = yin_yang().test
    assert np.hypot(data.inputs[:, 0] - 0.5, data.inputs[:, 1] - 0.5).max() <= 0.5
    assert [yin_yang_class(x, y) for x, y in data.inputs[:, :2]] == data.labels.tolist()


def test_same_seed_same_data_other_seed_other_data():
    first = yin_yang_samples(50, 7)
    yin_yang_samples.cache_clear()
    np.testing.assert_array_equal(first.inputs, yin_yang_samples(50, 7).inputs)
    assert not np.array_equal(first.inputs, yin_yang_samples(50, 8).inputs)


def test_a_larger_set_begins_with_the_smaller():
    np.testing.assert_array_equal(
        yin_yang_samples(60, 7).inputs[:50], yin_yang_samples(50, 7).inputs
    )


@given(st.integers(0, 2**32 - 1))
def test_mirrored_columns_sum_to_one(seed):
    inputs = yin_yang_samples(20, seed).inputs
    np.testing.assert_array_equal(inputs[:, 2:], 1 - inputs[:, :2])
    np.testing.assert_allclose(inputs[:, :2] + inputs[:, 2:], 1, atol=1e-15)


@given(unit, unit)
def test_point_reflection_swaps_the_commas(x, y):
    """Boundaries are left out: there the class functions' strict signs decide."""
    radii = [math.hypot(x - centre, y - 0.5) for centre in (0.25, 0.75)]
    assume(all(abs(radius - edge) > 1e-9 for radius in radii for edge in (0.1, 0.25)))
    assume(abs(y - 0.5) > 1e-9)
    assert yin_yang_class(1 - x, 1 - y) == {0: 1, 1: 0, 2: 2}[yin_yang_class(x, y)]


def test_areas_of_the_classes():
    """The dots cover 2 r^2 / R^2 = 8 % of the disc, each comma half of the rest."""
    axis = (np.arange(400) + 0.5) / 400
    disc = [(x, y) for x in axis for y in axis if math.hypot(x - 0.5, y - 0.5) <= 0.5]
    fractions = np.bincount([yin_yang_class(x, y) for x, y in disc]) / len(disc)
    np.testing.assert_allclose(fractions, [0.46, 0.46, 0.08], atol=2e-3)


def test_origin_tells_standard_splits_from_others():
    assert "standard splits" in yin_yang().origin
    other = yin_yang(sizes=(50, 20, 20), seeds=(1, 2, 3))
    assert "standard splits" not in other.origin
    assert "1/2/3" in other.origin
    assert len(other.train) == 50


@pytest.mark.parametrize(("size", "seed", "named"), [(0, 1, "size"), (5, -1, "seed")])
def test_arguments_out_of_bounds_are_named(size, seed, named):
    with pytest.raises(InputError, match=f"`{named}`"):
        yin_yang_samples(size, seed)
