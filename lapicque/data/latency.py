"""Values as spike times: the larger, the later."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range


def spike_times(
    inputs: NDArray[Any],
    t_early: float = 0.15,
    t_late: float = 2.0,
    t_bias: float | None = None,
    copies: int = 1,
) -> NDArray[np.float64]:
    """One spike per input channel, `t = t_early + value (t_late - t_early)`.

    Args:
        inputs: Values between 0 and 1, shape (..., channel).
        t_early, t_late: Spike times of the values 0 and 1 [tau_s], `0 <= t_early < t_late`.
        t_bias: Time of one more spike, the same for every sample [tau_s]; none by default.
            Fast-and-deep uses 0.9.
        copies: Every channel comes so many times, all channels in turn: x y x y.

    Returns:
        Spike times [tau_s], shape (..., copies * channel), or one more with the bias last.

    Raises:
        InputError: A value lies outside [0, 1], a time is negative or not finite, or
            `t_late` is not after `t_early`, or `copies` is below 1.

    Source:
        Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823; defaults from the released
        code.
    """
    values = np.asarray(inputs, dtype=np.float64)
    if values.ndim == 0:
        raise InputError("`inputs` is a single number; it must have an axis of channels.")
    in_range("inputs", values, 0, 1, hint="Scale the inputs to [0, 1] first.")
    in_range("t_early", t_early, low=0, unit="tau_s")
    in_range("t_late", t_late, low=0, unit="tau_s")
    if not t_early < t_late:
        raise InputError(f"`t_late` is {t_late:g} tau_s; it must be above `t_early`, {t_early:g}.")
    in_range("copies", copies, low=1)
    times = np.tile(t_early + values * (t_late - t_early), copies)
    if t_bias is None:
        return times
    in_range("t_bias", t_bias, low=0, unit="tau_s")
    return np.concatenate([times, np.full((*times.shape[:-1], 1), t_bias)], axis=-1)
