"""The Mackey-Glass delay equation, a chaotic signal that needs a memory to be predicted."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range, one_of, positive
from lapicque.data._sources import Source

BETA, GAMMA, EXPONENT = 0.2, 0.1, 10  # [1/time unit], [1/time unit], dimensionless
POINTS_PER_LYAPUNOV_TIME = 75
STEP = 0.1  # of the integration, about [time unit]


class Regime(NamedTuple):
    """What NeuroBench fixes for a delay."""

    lyapunov_time: float  # [time unit]
    history: float  # x before time 0


REGIMES = {
    17: Regime(197, 0.7206597),
    18: Regime(138, 0.7744313),
    19: Regime(315, 0.7783468),
    20: Regime(131, 0.9225991),
    21: Regime(191, 0.9479431),
    22: Regime(119, 0.5455960),
    23: Regime(106, 0.8622247),
    24: Regime(97, 0.3259660),
    25: Regime(98, 0.8297825),
    26: Regime(104, 1.0033490),
    27: Regime(112, 0.6491406),
    28: Regime(119, 1.0957495),
    29: Regime(131, 0.9256179),
    30: Regime(139, 0.2713639),
}
"""The fourteen series of NeuroBench by their delay [time unit]."""

SOURCE = Source(
    name="mackey_glass",
    title="Mackey-Glass, a chaotic series for each of 14 delays",
    kind="generated",
    licence="none needed: generated (the hosted series of NeuroBench are CC-BY-4.0)",
    obtained="generated; equal to the hosted series for a few Lyapunov times at most (chaos)",
    reference="Mackey & Glass (1977), Science 197, 287; Yik et al. (2023), arXiv:2304.04640",
)


class Series(NamedTuple):
    """A scalar time series.

    Attributes:
        values: One entry per sample, float64, read-only.
        step: Time between samples [time unit].
        lyapunov_time: Time in which a small deviation grows e-fold [time unit].
        origin: One sentence: what it is and how it was made.
    """

    values: NDArray[np.float64]
    step: float
    lyapunov_time: float
    origin: str

    def instance(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The k-th part to train and to test on, as NeuroBench cuts them.

        Each holds 751 points: 750 inputs, whose targets are the points that follow. Instance k
        begins k/2 Lyapunov times into the series; the test follows the training.

        Raises:
            InputError: The series is too short for it.
        """
        start = int(k * POINTS_PER_LYAPUNOV_TIME / 2)
        n = 10 * POINTS_PER_LYAPUNOV_TIME
        if k < 0 or start + 2 * n + 1 > self.values.size:
            raise InputError(
                f"`k` is {k}; an instance needs 1501 points from {start} on, and the series "
                f"has {self.values.size}."
            )
        points = self.values[start : start + 2 * n + 1]
        return points[: n + 1], points[n:]


@lru_cache(maxsize=16)
def mackey_glass(
    tau: int = 17,
    points: int = 50 * POINTS_PER_LYAPUNOV_TIME,
    *,
    step: float | None = None,
    history: float | None = None,
    start: float | None = None,
) -> Series:
    """Solve the Mackey-Glass equation and sample it.

        dx/dt = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x(t)

    with beta = 0.2, gamma = 0.1, n = 10 and constant history. By default delay, history, step
    and length are those of NeuroBench: 50 Lyapunov times of 75 points, the first at time tau.

    Args:
        tau: Delay, 17 to 30 [time unit]; chaos begins at about 16.8.
        points: Number of samples, at least 1.
        step: Time between samples [time unit]; by default a 75th of the Lyapunov time.
        history: Value of x before time 0, at least 0; by default NeuroBench's.
        start: Time of the first sample, at least 0 [time unit]; by default `tau`. Give 1000 to
            be sure of the attractor.

    Returns:
        The series. Runge-Kutta of fourth order with steps that divide the delay, cubic Hermite
        interpolation between them. Two correct solvers agree for a few Lyapunov times only.

    Raises:
        InputError: An argument is out of its bounds.

    Source:
        Mackey & Glass (1977), Science 197, 287. Parameters: NeuroBench, Yik et al. (2023),
        arXiv:2304.04640.
    """
    one_of("tau", tau, REGIMES)
    in_range("points", points, 1)
    regime = REGIMES[tau]
    step = regime.lyapunov_time / POINTS_PER_LYAPUNOV_TIME if step is None else step
    history = regime.history if history is None else history
    start = float(tau) if start is None else start
    positive("step", step, "time units")
    in_range("history", history, 0)
    in_range("start", start, 0, unit="time units")
    wanted = start + step * np.arange(points, dtype=np.float64)
    per_delay = round(tau / STEP)
    h = tau / per_delay
    x, slope = _solve(history, per_delay, h, int(wanted[-1] / h) + 2)
    values = _hermite(x, slope, h, wanted)
    values.flags.writeable = False
    origin = (
        f"Mackey-Glass, tau {tau}, history {history:g}, {points:,} samples every {step:g} time "
        f"units from {start:g} on; generated, Runge-Kutta 4 with step {h:g}"
    )
    return Series(values, step, regime.lyapunov_time, origin)


def _solve(
    history: float, per_delay: int, h: float, steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and its slope at times 0, h, ..., steps * h, by Runge-Kutta of fourth order.

    The delayed value at half a step is interpolated by the cubic through the values and slopes
    at its ends, which keeps the order.
    """
    past = 2 * per_delay  # delayed values at every half step, so many before now
    forcing0 = BETA * history / (1 + history**EXPONENT)
    forcing = [forcing0] * (past + 1)  # at times -tau, -tau + h/2, ..., 0 of the delayed signal
    x, xs, slopes = history, [], []
    for i in range(steps + 1):
        f0, fh, f1 = forcing[2 * i : 2 * i + 3]
        k1 = f0 - GAMMA * x
        k2 = fh - GAMMA * (x + h / 2 * k1)
        k3 = fh - GAMMA * (x + h / 2 * k2)
        k4 = f1 - GAMMA * (x + h * k3)
        xs.append(x)
        slopes.append(k1)
        new = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        middle = (x + new) / 2 + h / 8 * (k1 - (f1 - GAMMA * new))
        for value in (middle, new):
            forcing.append(BETA * value / (1 + value**EXPONENT))
        x = new
    return np.array(xs), np.array(slopes)


def _hermite(
    x: NDArray[np.float64], slope: NDArray[np.float64], h: float, time: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The cubic through values and slopes at the grid points, at any times."""
    i = np.minimum((time / h).astype(int), x.size - 2)
    s = time / h - i
    a, b, da, db = x[i], x[i + 1], h * slope[i], h * slope[i + 1]
    return a + s * (da + s * (3 * (b - a) - 2 * da - db + s * (2 * (a - b) + da + db)))
