"""From stored pixel values to network inputs, for every image data set alike."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lapicque._checks import positive


def scaled(pixels: NDArray[Any], scale: float, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Stored pixel values divided by `scale`, as floating-point numbers of type `dtype`.

    Args:
        pixels: Stored values, any shape.
        scale: What is divided by, above zero: 255 maps bytes onto [0, 1], 256 onto [0, 1),
            16 maps the scikit-learn digits onto [0, 1], 1 keeps the stored values.

    Raises:
        InputError: `scale` is not above zero.
    """
    positive("scale", scale)
    values = np.array(pixels, dtype=dtype)
    values /= scale
    return values
