import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lapicque import _checks
from lapicque._checks import InputError, MissingExtra, StorageError, UserError


@given(st.floats(), st.floats(-5, 5), st.floats(0, 5))
def test_in_range_agrees_with_comparison(value, low, width):
    """What is accepted is finite and between the bounds, nothing else."""
    fits = math.isfinite(value) and low <= value <= low + width
    if fits:
        _checks.in_range("x", value, low, low + width)
    else:
        with pytest.raises(InputError, match="`x` is"):
            _checks.in_range("x", value, low, low + width)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: _checks.in_range("weight", 71, 0, 63, "LSB", "Clip first."),
            "`weight` is 71 LSB; it must lie between 0 and 63 LSB. Clip first.",
        ),
        (lambda: _checks.in_range("n", -1, low=0), "`n` is -1; it must be at least 0."),
        (lambda: _checks.in_range("n", 3, high=2), "`n` is 3; it must be at most 2."),
        (lambda: _checks.in_range("n", np.nan), "`n` is nan; it must be finite."),
        (
            lambda: _checks.in_range("w", [[0, 0], [5, 0]], 0, 1),
            "`w[1, 0]` is 5; it must lie between 0 and 1.",
        ),
        (
            lambda: _checks.positive("tau_m", [10.0, 0.0], "ms"),
            "`tau_m[1]` is 0 ms; it must be above 0 ms.",
        ),
        (
            lambda: _checks.finite("x", np.array([0, np.nan, np.inf])),
            "`x` holds 2 of 3 values that are not finite, the first (nan) at index (1,); all must "
            "be finite.",
        ),
        (
            lambda: _checks.shape("x", np.zeros((2, 3)), (None, 4)),
            "`x` has shape (2, 3); it must have shape (any, 4).",
        ),
        (
            lambda: _checks.one_of("preset", "quik", ["smoke", "quick"]),
            "`preset` is 'quik'; it must be one of 'smoke', 'quick'. Did you mean 'quick'?",
        ),
    ],
)
def test_message_names_argument_value_rule_and_unit(check, message):
    with pytest.raises(InputError) as error:
        check()
    assert str(error.value) == message


def test_valid_values_pass_in_silence():
    _checks.in_range("x", [0, 1], 0, 1)
    _checks.positive("x", 1e-30)
    _checks.finite("x", np.arange(3))
    _checks.shape("x", np.zeros((2, 3)), (None, 3))
    _checks.one_of("x", "a", "ab")


def test_missing_extra_is_named():
    assert _checks.extra("math", "none") is math
    with pytest.raises(MissingExtra, match=r"pip install 'lapicque\[pynn\]'"):
        _checks.extra("no_such_module_here", "pynn")


def test_mendable_errors_are_also_the_usual_ones():
    assert issubclass(InputError, UserError | ValueError)
    assert issubclass(StorageError, UserError) and issubclass(StorageError, OSError)  # noqa: PT018
    assert issubclass(MissingExtra, UserError) and issubclass(MissingExtra, ImportError)  # noqa: PT018
