"""Values as spike times."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from lapicque._checks import InputError
from lapicque.data import spike_times, yin_yang


def test_mirrored_channels_give_every_sample_the_same_mean_time():
    times = spike_times(yin_yang().train.inputs)
    assert times.min() >= 0.15
    assert times.max() <= 2.0
    np.testing.assert_allclose(times[:, :2] + times[:, 2:], 2.15, atol=1e-12)


@given(arrays(float, (3, 4), elements=st.floats(0, 1)), st.floats(0, 1), st.floats(1.5, 9))
def test_times_are_affine_and_ordered_like_the_values(values, early, late):
    times = spike_times(values, early, late)
    np.testing.assert_allclose((times - early) / (late - early), values, atol=1e-9)


def test_bias_is_one_more_channel_last():
    times = spike_times(np.zeros((5, 4)), t_bias=0.9)
    assert times.shape == (5, 5)
    np.testing.assert_array_equal(times[:, -1], 0.9)
    np.testing.assert_array_equal(times[:, 0], 0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.2, 1.5]],), r"`inputs\[0, 1\]` is 1.5.*Scale"),
        (([[0.2, np.nan]],), r"`inputs\[0, 1\]` is nan"),
        (([[0.2]], -1.0), r"`t_early` is -1 tau_s"),
        (([[0.2]], 2.0, 1.0), r"`t_late` is 1 tau_s; it must be above"),
        (([[0.2]], 0.1, 1.0, np.inf), r"`t_bias`"),
        ((0.3,), "axis of channels"),
    ],
)
def test_impossible_times_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        spike_times(*arguments)


def test_copies_come_in_turn_before_the_bias():
    times = spike_times(np.array([[0.0, 1.0]]), copies=2, t_bias=0.9)
    np.testing.assert_allclose(times, [[0.15, 2.0, 0.15, 2.0, 0.9]])
    with pytest.raises(InputError, match="copies"):
        spike_times(np.array([[0.0, 1.0]]), copies=0)
