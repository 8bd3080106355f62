"""The order of an epoch."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lapicque._checks import InputError
from lapicque.data import epoch_batches, epoch_order


@given(st.integers(1, 300), st.integers(0, 2**40), st.integers(0, 1000))
def test_every_epoch_visits_every_sample_once(n, seed, epoch):
    assert sorted(epoch_order(n, seed, epoch)) == list(range(n))


def test_order_depends_on_seed_and_epoch_alone():
    first = epoch_order(1000, 3, 7)
    epoch_order(1000, 9, 9)
    np.testing.assert_array_equal(first, epoch_order(1000, 3, 7))
    assert not np.array_equal(first, epoch_order(1000, 3, 8))
    assert not np.array_equal(first, epoch_order(1000, 4, 7))


def test_batches_leave_the_remainder_out():
    batches = epoch_batches(103, 10, seed=0, epoch=0)
    assert batches.shape == (10, 10)
    assert np.unique(batches).size == 100
    with pytest.raises(InputError, match="`batch_size` is 104"):
        epoch_batches(103, 104, seed=0, epoch=0)
    with pytest.raises(InputError, match="`epoch`"):
        epoch_order(3, 0, -1)
