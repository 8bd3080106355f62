"""MNIST-1D: ten digits drawn as one-dimensional strokes (Greydanus & Kobak 2020)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError, in_range
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source

# Height of each digit's stroke at twelve equidistant points, before it is normalised.
STROKES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
SMOOTHING = 2  # width of the filter of the correlated noise [points]
OFFSET = 1e-8  # tells the stroke from the padding behind it

SOURCE = Source(
    name="mnist1d",
    title="MNIST-1D, 4,000 / 1,000 sequences, 10 classes",
    kind="generated",
    licence="none needed: generated (the authors' generator is Apache-2.0; this one is our own)",
    obtained="generated, equal to the published generator up to rounding",
    reference="Greydanus & Kobak (2020), arXiv:2011.14439",
)


@dataclass(frozen=True)
class MNIST1DOptions:
    """How the sequences are drawn; the defaults are the published ones, but for `length`.

    Attributes:
        samples: Number of sequences in all, a multiple of 10.
        train: Share of them to train on.
        length: Points per sequence; the published data set has 40, Generalized Latent
            Equilibrium uses 360.
        padding: Least and largest number of points behind the stroke.
        scale: Width of the interval of amplitudes around 1.
        max_translation: Number of different circular shifts [points].
        correlated_noise: Amplitude of the noise that replaces the padding, before smoothing.
        noise: Standard deviation of the independent noise on every point.
        shear: Width of the interval of slopes that are added.
        seed: Seed of everything, between 0 and 2**32 - 1.

    Raises:
        InputError: A value is out of its bounds.
    """

    samples: int = 5000
    train: float = 0.8
    length: int = 360
    padding: tuple[int, int] = (36, 60)
    scale: float = 0.4
    max_translation: int = 48
    correlated_noise: float = 0.25
    noise: float = 2e-2
    shear: float = 0.75
    seed: int = 42

    def __post_init__(self) -> None:
        in_range("samples", self.samples, 10)
        if self.samples % 10:
            raise InputError(f"`samples` is {self.samples}; it must be a multiple of 10 classes.")
        in_range("train", self.train, 1 / self.samples, 1 - 1 / self.samples)
        in_range("length", self.length, 2, unit="points")
        in_range("padding", list(self.padding), 0, unit="points")
        in_range("padding[1]", self.padding[1], self.padding[0], unit="points")
        points = len(STROKES[0]) + self.padding[1]
        in_range("max_translation", self.max_translation, 1, points, unit="points")
        for name in ("scale", "correlated_noise", "noise", "shear"):
            in_range(name, getattr(self, name), 0)
        in_range("seed", self.seed, 0, 2**32 - 1)


def mnist1d(options: MNIST1DOptions | None = None) -> DataSet:
    """The MNIST-1D data set: each digit a stroke that is padded, scaled, shifted and disturbed.

    A stroke of 12 points gets a random tail, is stretched to 72 points, scaled and shifted in a
    circle; correlated noise fills the tail, independent noise and a random slope come on top, and
    the whole is resampled to `length` points. Finally all sequences together get mean 0 and
    standard deviation 1.

    Args:
        options: How they are drawn; by default as in Generalized Latent Equilibrium.

    Returns:
        Splits for training and test with inputs of shape (sample, length), float64, 10 balanced
        classes; nothing is held out for validation. The result is kept, so a second call
        costs nothing. The order of random draws is that of the published generator.

    Source:
        Greydanus & Kobak (2020), "Scaling down deep learning", arXiv:2011.14439.
    """
    return _mnist1d(MNIST1DOptions() if options is None else options)


@lru_cache(maxsize=4)
def _mnist1d(options: MNIST1DOptions) -> DataSet:
    # The published data are defined by this legacy generator and by the order of its calls.
    rng = np.random.RandomState(options.seed)
    labels = np.repeat(np.arange(10), options.samples // 10)
    strokes = templates()
    sequences = np.stack([draw(strokes[label], rng, options) for label in labels])
    order = rng.permutation(labels.size)
    sequences, labels = sequences[order], labels[order]
    sequences = (sequences - sequences.mean()) / sequences.std()
    n = int(labels.size * options.train)
    train, test = Samples(sequences[:n], labels[:n]), Samples(sequences[n:], labels[n:])
    usual = "published recipe" if options == MNIST1DOptions() else f"{options}"
    origin = (
        f"MNIST-1D, {n:,}/{labels.size - n:,} sequences of {options.length} points, {usual}, "
        f"seed {options.seed}; generated, equal to the published generator up to rounding"
    )
    return DataSet("mnist1d", 10, train, None, test, origin)


def templates() -> NDArray[np.float64]:
    """The ten strokes, shape (10, 12): standard deviation 1/6, first point at 0."""
    strokes = np.array(STROKES)
    strokes = strokes - strokes.mean(1, keepdims=True)
    strokes /= strokes.std(1, keepdims=True)
    strokes -= strokes[:, :1]
    return strokes / 6.0


def draw(
    stroke: NDArray[np.float64], rng: np.random.RandomState, options: MNIST1DOptions
) -> NDArray[np.float64]:
    """One sequence from a stroke, shape (length,), not yet normalised."""
    from scipy.ndimage import gaussian_filter  # not loaded to list the data sets

    low, high = options.padding
    tail = low + int(rng.rand() * (high - low + 1))
    x = _resampled(np.concatenate([stroke + OFFSET, np.zeros(tail)]), stroke.size + high)
    x *= 1 + options.scale * (rng.rand() - 0.5)
    x = np.roll(x, rng.choice(options.max_translation))
    noise = gaussian_filter(options.correlated_noise * rng.randn(x.size), SMOOTHING)
    x = np.where(x != 0, x, noise)
    x = x + options.noise * rng.randn(x.size)
    slope = options.shear * (rng.rand() - 0.5)
    return _resampled(x - slope * np.linspace(-0.5, 0.5, x.size), options.length)


def _resampled(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """`x` at `n` equidistant points from its first to its last, linearly interpolated."""
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, x.size), x)
