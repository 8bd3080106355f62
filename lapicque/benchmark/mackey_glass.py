"""Chaotic function prediction: the Mackey-Glass task of NeuroBench, generated here.

A forecaster sees 750 points with the point that follows each; then it is alone: its own prediction
is its next input, 750 times. Fourteen series, thirty instances each, which are overlapping windows
of one trajectory and so not independent. Two correct solvers agree for a few Lyapunov times only:
compare statistics, never single instances with those of others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, positive, shape
from lapicque.benchmark.metrics import smape
from lapicque.benchmark.record import Record
from lapicque.data import mackey_glass
from lapicque.data.mackey_glass import POINTS_PER_LYAPUNOV_TIME, REGIMES

WARM_UP = 45
"""Points at the start of the training whose error does not count: 0.6 Lyapunov times."""

INSTANCES = 30
"""Instances per series; instance k begins k / 2 Lyapunov times into it and has the seed k."""

POINTS = 10 * POINTS_PER_LYAPUNOV_TIME
"""Points to train on, and to predict."""

SHADOWED = 5 * POINTS_PER_LYAPUNOV_TIME
"""Points over which rounding errors of one platform stay far below a millionth."""

CHECKSUMS: Mapping[int, str] = {
    17: "b382a2b100c8b5f6470e3cf4dddd05ebe9867554b1f166672b10835e51975ce9",
    18: "68693abd1ee88f063e142d9f2fcecaecefdad404ef6e02ed868704136ef41c3f",
    19: "d27a9d7b9bfc901948bdab0f48c8894182f1d9db9f7b27225cde2360332bd163",
    20: "b9bb3219740a84b11721d7cfb4a0fcfa7fe1126be79728d306a7e73c627c6b21",
    21: "0adffa2c690dfb018d446d53ba7ed4f4adafb2b0a488d141a5253ea22f6a660e",
    22: "8289d12f9dccd1c4065afa1915df23575bc5f22d61511575f2d771e03cd35064",
    23: "1b1d08c18677e4c8029657a0a66dbe57fa9a56564575e042af64d96a03766ca9",
    24: "8e5b3020660e0155c035594fb4c1e42046f8195e232b72c42c8d977c051fbd6f",
    25: "1e239f596f545f67dc3fb0cf2529d0e632dc708e69f55a8016613748c684246a",
    26: "d1868b877b1cdb4d1492f8368290902f630f697da5c717bd3cf100136295f7d6",
    27: "86128d0b34d2dcdd89cd24606c6f82e80c317e7bac9071a10400c1159786cf05",
    28: "58a714201a7d87b18863a4b33db727debcd19f7235eabef792a12ac37a8639a6",
    29: "190dc86c63cd226d6748e20ce152d362435dbdc64511bbd3c91e8a624c27b76c",
    30: "9a243a0f2f61ea618f41f5763a491fae7154cae971099e7151ff06340f2579d7",
}
"""SHA-256 of each series over its first five Lyapunov times, see `checksum`."""

LEADER_BOARD: Mapping[str, Mapping[str, Any]] = {
    "LSTM (leader board)": {
        "SMAPE": 13.37,
        "Footprint": 490_000,
        "ConnectionSparsity": 0.0,
        "ActivationSparsity": 0.530,
        "Dense": 6.03e4,
        "Effective_MACs": 6.03e4,
        "Effective_ACs": 0.0,
    },
    "ESN (leader board)": {
        "SMAPE": 14.79,
        "Footprint": 281_000,
        "ConnectionSparsity": 0.876,
        "ActivationSparsity": 0.0,
        "Dense": 3.52e4,
        "Effective_MACs": 4.37e3,
        "Effective_ACs": 0.0,
    },
}
"""Rows of the algorithm track, delay 17. Source: Yik et al. (2025), leader board."""

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "ESN 966 (harness example)": {
        "SMAPE": 9.917,
        "Footprint": 7_488_448,
        "ConnectionSparsity": 0.03,
        "ActivationSparsity": 0.0,
        "Dense": 936_056.0,
        "Effective_MACs": 908_095.0,
        "Effective_ACs": 0.0,
    },
    "LSTM 40 (harness example)": {
        "SMAPE": 14.347,
        "Footprint": 119_928,
        "ConnectionSparsity": 0.0,
        "ActivationSparsity": 0.460,
        "Dense": 14_560.0,
        "Effective_MACs": 14_541.6,
        "Effective_ACs": 0.0,
    },
}
"""Numbers that the examples of the harness state for thirty instances, delay 17."""


class Instance(NamedTuple):
    """What a forecaster is given, and what it is judged by."""

    train: NDArray[np.float64]  # (751,): 750 inputs, each followed by its target
    targets: NDArray[np.float64]  # (750,): what follows the last training point


class Forecast(NamedTuple):
    """What a forecaster says of several instances.

    Attributes:
        predictions: Shape (instances, 750).
        records: Of the prediction, for some or all of the instances; none where nothing computes.
    """

    predictions: NDArray[np.float64]
    records: tuple[Record, ...] = ()


Forecaster = Callable[[NDArray[np.float64], Sequence[int]], Forecast]
"""From training points, shape (instances, 751), and a seed for each, to predictions."""


def checksum(values: NDArray[np.float64]) -> str:
    """SHA-256 of the first five Lyapunov times, rounded to a millionth.

    Later points differ between platforms, since chaos multiplies what libraries round differently.

    Raises:
        InputError: There are fewer points than that.
    """
    in_range("len(values)", len(values), SHADOWED, unit="points")
    whole = np.round(values[:SHADOWED] * 1e6).astype("<i8")
    return hashlib.sha256(whole.tobytes()).hexdigest()


def instance(tau: int, k: int) -> Instance:
    """Instance k of the series with delay `tau`.

    Raises:
        InputError: There is no such series or instance.
    """
    in_range("k", k, 0, INSTANCES - 1)
    train, test = mackey_glass(tau).instance(k)
    return Instance(train, test[1:])


class Scores(NamedTuple):
    """One entry per instance."""

    smape: NDArray[np.float64]  # percent, 0 to 200
    valid_time: NDArray[np.float64]  # Lyapunov times


def score(forecast: Forecast, instances: Sequence[Instance]) -> Scores:
    """Compare with the truth.

    Raises:
        InputError: There is not one prediction per instance, or its length differs.
    """
    shape("predictions", forecast.predictions, (len(instances), POINTS))
    return Scores(
        np.array(
            [smape(p, i.targets) for p, i in zip(forecast.predictions, instances, strict=True)]
        ),
        np.array(
            [
                valid_time(p, i.targets, float(i.train.std()))
                for p, i in zip(forecast.predictions, instances, strict=True)
            ]
        ),
    )


def valid_time(
    predictions: NDArray[np.float64],
    targets: NDArray[np.float64],
    deviation: float,
    tolerance: float = 0.4,
) -> float:
    """How long a prediction stays near the truth [Lyapunov times].

    Until the error first exceeds `tolerance` standard deviations of the signal; both the measure
    and its tolerance are ours, the benchmark scores sMAPE alone.

    Raises:
        InputError: `deviation` or `tolerance` is not positive.
    """
    positive("deviation", deviation)
    positive("tolerance", tolerance)
    with np.errstate(invalid="ignore", over="ignore"):
        lost = ~(np.abs(predictions - targets) <= tolerance * deviation)
    first = int(lost.argmax()) if lost.any() else lost.size
    return first / POINTS_PER_LYAPUNOV_TIME


# -- baselines that learn nothing, or next to nothing ------------------------------------------


def last_value(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
    """The last training point for ever."""
    return Forecast(np.repeat(train[:, -1:], POINTS, 1))


def mean_value(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
    """The mean of the training points for ever: who is worse predicts nothing."""
    return Forecast(np.repeat(train[:, :-1].mean(1, keepdims=True), POINTS, 1))


def linear(taps: int = 50, ridge: float = 1e-6) -> Forecaster:
    """Least squares from the last `taps` points, which is fed with its own predictions.

    Raises:
        InputError: A value is out of range.
    """
    in_range("taps", taps, 1, POINTS // 2)
    in_range("ridge", ridge, 0)

    def forecast(train: NDArray[np.float64], seeds: Sequence[int]) -> Forecast:
        predictions = np.empty((len(train), POINTS))
        for row, points in zip(predictions, train, strict=True):
            past = np.lib.stride_tricks.sliding_window_view(points[:-1], taps)
            x = np.column_stack([past, np.ones(len(past))])
            gram = x.T @ x + ridge * np.eye(taps + 1)
            weights = np.linalg.solve(gram, x.T @ points[taps:])
            window = points[-taps:].copy()
            for t in range(POINTS):
                row[t] = window @ weights[:-1] + weights[-1]
                window = np.append(window[1:], row[t])
        return Forecast(predictions)

    return forecast


def check_instances(instances: int) -> None:
    """Raise an `InputError` unless there are 1 to 30."""
    in_range("instances", instances, 1, INSTANCES)


def check_delays(delays: Sequence[int]) -> None:
    """Raise an `InputError` unless every delay has a series."""
    if not delays or any(tau not in REGIMES for tau in delays):
        raise InputError(f"`delays` is {tuple(delays)}; choose from {tuple(REGIMES)}.")
