"""What a machine is told, and what its states look like.

A unit may be observed through noise: a reading ``y`` around one value if the unit is off, around
another if it is on. Given such readings, the machine remains a Boltzmann machine with other biases.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from lapicque._checks import InputError, finite, in_range, positive, shape
from lapicque.sampling.target import Boltzmann


@dataclass(frozen=True)
class Reading:
    """A unit seen through Gaussian noise, ``p(y | z) = N(y; off or on, sd^2)``.

    Attributes:
        off: Mean reading of a unit that is off, in the unit of readings.
        on: Mean reading of a unit that is on.
        sd: Standard deviation of the noise.

    Raises:
        InputError: A mean is not finite, or `sd` is not positive.
    """

    off: float = 0.0
    on: float = 1.0
    sd: float = 0.5

    def __post_init__(self):
        finite("off", self.off)
        finite("on", self.on)
        positive("sd", self.sd)

    def shift(self, readings: ArrayLike) -> NDArray[np.float64]:
        """Log-odds that readings of any shape add to the biases of their units.

        Raises:
            InputError: A reading is not finite.

        Source: ``log p(y | 1) / p(y | 0) = (on - off) y / sd^2 - (on^2 - off^2) / (2 sd^2)``.
        """
        y = np.asarray(readings, float)
        finite("readings", y)
        return (self.on - self.off) * (y - (self.on + self.off) / 2) / self.sd**2

    def draw(self, states: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
        """Readings of states of any shape."""
        z = np.asarray(states, float)
        return self.off + (self.on - self.off) * z + self.sd * rng.standard_normal(z.shape)


def observed(
    target: Boltzmann, units: ArrayLike, readings: ArrayLike, by: Reading | None = None
) -> Boltzmann:
    """The machine given readings of some of its units; all units remain in it.

    Args:
        target: Before.
        units: Which are read, each once.
        readings: One per unit.
        by: How a unit is read.

    Raises:
        InputError: A unit does not exist or occurs twice, or readings do not fit.
    """
    chosen = np.atleast_1d(np.asarray(units, np.int64))
    in_range("units", chosen, 0, target.n - 1)
    if len(np.unique(chosen)) < len(chosen):
        raise InputError("`units` names a unit twice; average its readings and divide `sd`.")
    y = np.atleast_1d(np.asarray(readings, float))
    shape("readings", y, (len(chosen),))
    biases = target.biases.copy()
    biases[chosen] += (by or Reading()).shift(y)
    return Boltzmann(target.weights, biases)


@dataclass(frozen=True, eq=False)
class Modes:
    """Classes of states, told apart by how often each unit is on in each class.

    Attributes:
        means: Probability of each unit to be on, (classes, units), above 0 and below 1.

    Raises:
        InputError: A probability is out of range.
    """

    means: NDArray[np.float64]

    def __post_init__(self):
        means = np.asarray(self.means, float)
        shape("means", means, (None, None))
        if not ((means > 0) & (means < 1)).all():
            raise InputError(
                f"`means` lies between {means.min():g} and {means.max():g}; it must lie above 0 "
                "and below 1."
            )
        object.__setattr__(self, "means", means)

    @classmethod
    def of(cls, states: ArrayLike, labels: ArrayLike, margin: float = 0.02) -> "Modes":
        """From states (samples, units) of known classes 0, 1, ...

        Args:
            states: Binary.
            labels: Class of each state, (samples,).
            margin: Distance of the probabilities from 0 and 1.

        Raises:
            InputError: A class has no state, or `margin` is not between 0 and 0.5.
        """
        z, given = np.asarray(states, float), np.asarray(labels, np.int64)
        shape("states", z, (None, None))
        shape("labels", given, (len(z),))
        in_range("labels", given, 0)
        in_range("margin", margin, 1e-9, 0.5)
        count = np.bincount(given)
        if not count.all():
            raise InputError(f"No state has the label {int(np.flatnonzero(count == 0)[0])}.")
        means = np.stack([z[given == k].mean(0) for k in range(len(count))])
        return cls(np.clip(means, margin, 1 - margin))

    def probabilities(self, states: ArrayLike) -> NDArray[np.float64]:
        """Of each class, for states (..., units), as if units were independent within a class.

        Returns:
            Of shape (..., classes).
        """
        z = np.asarray(states, float)
        log = z @ np.log(self.means / (1 - self.means)).T + np.log1p(-self.means).sum(1)
        return np.exp(log - logsumexp(log, axis=-1, keepdims=True))

    def labels(self, states: ArrayLike, certainty: float = 0.9) -> NDArray[np.int64]:
        """Class of each state (..., units), -1 where none has a probability of `certainty`."""
        p = self.probabilities(states)
        return np.where(p.max(-1) >= certainty, p.argmax(-1), -1)

    def plane(self, states: ArrayLike) -> NDArray[np.float64]:
        """States (..., units) on the plane through the means of three classes, (..., 2).

        The first mean is the origin, and the second one lies on the first axis.

        Raises:
            InputError: There are not three classes.
        """
        if len(self.means) != 3:
            raise InputError(f"A plane needs three classes; there are {len(self.means)}.")
        axes, r = np.linalg.qr((self.means[1:] - self.means[0]).T)
        return (np.asarray(states, float) - self.means[0]) @ (axes * np.sign(np.diag(r)))
