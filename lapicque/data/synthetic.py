"""Stand-in images with classes, for trying code out where real ones are missing."""

import numpy as np

from lapicque._checks import InputError, in_range
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import Source

N_BLOBS = 4  # bright spots per class
SPREAD = 0.12  # radius of a spot [image side]
JITTER = 0.04  # shift of a whole image, standard deviation [image side]
NOISE = 0.1  # pixel noise, standard deviation

SOURCE = Source(
    name="synthetic_images",
    title="Stand-in images of any shape and number of classes",
    kind="generated",
    licence="none needed: generated",
    obtained="generated",
    reference="this package; results on it compare with nothing published",
    synthetic=True,
)


def synthetic_images(
    n: int, shape: tuple[int, ...] = (28, 28), classes: int = 10, seed: int = 0
) -> DataSet:
    """Images of bright spots whose places, and colours, depend on the class.

    Each class has its own four spots; each image shifts them a little, varies their
    brightness and adds pixel noise. A linear classifier learns them almost perfectly.

    Args:
        n: Number of training images, at least 1; validation and test hold a quarter of
            that each, at least one per class.
        shape: (height, width) or (channel, height, width) of an image.
        classes: Number of classes, at least 1.
        seed: Seed of everything, at least 0.

    Returns:
        Splits with inputs of shape (sample, *shape), float32 in [0, 1], with
        `synthetic=True`.

    Raises:
        InputError: An argument is out of its bounds, or `shape` has not two or three axes.
    """
    in_range("n", n, low=1)
    in_range("classes", classes, low=1)
    in_range("seed", seed, low=0)
    in_range("shape", shape, low=1)
    if len(shape) not in (2, 3):
        raise InputError(
            f"`shape` is {shape}; it must be (height, width) or (channel, height, width)."
        )
    rng = np.random.default_rng(seed)
    channels = shape[0] if len(shape) == 3 else 1
    centres = rng.uniform(0.15, 0.85, (classes, N_BLOBS, 2))
    colours = rng.uniform(0.3, 1.0, (classes, N_BLOBS, channels))
    rows = (np.arange(shape[-2]) + 0.5) / shape[-2]
    columns = (np.arange(shape[-1]) + 0.5) / shape[-1]

    def draw(size: int) -> Samples:
        labels = rng.permutation(np.arange(size) % classes)
        spots = centres[labels] + JITTER * rng.standard_normal((size, 1, 2))
        bright = colours[labels] * rng.uniform(0.7, 1.0, (size, N_BLOBS, 1))
        down = np.exp(-0.5 * ((rows - spots[..., :1]) / SPREAD) ** 2)
        across = np.exp(-0.5 * ((columns - spots[..., 1:]) / SPREAD) ** 2)
        images = np.einsum("sbc,sbh,sbw->schw", bright, down, across, optimize=True)
        images += NOISE * rng.standard_normal(images.shape)
        inputs = np.clip(images, 0, 1).astype(np.float32).reshape(size, *shape)
        return Samples(inputs, labels)

    fewer = max(n // 4, classes)
    origin = (
        f"SYNTHETIC stand-in images: {n:,}/{fewer:,}/{fewer:,} of shape {shape} in "
        f"{classes} classes, generated with seed {seed}"
    )
    splits = draw(n), draw(fewer), draw(fewer)
    return DataSet("synthetic_images", classes, *splits, origin, synthetic=True)
