"""Measure color shifts of upscaled images."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import comparable_rgb
from nitido.imaging import crop_to_multiple

BOX = 16
"""Side in pixels of the boxes whose mean colors are compared."""


def color_shift(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the mean ΔE (CIEDE2000) between mean colors of 16×16 boxes of RGB `(H, W, 3)` uint8, border removed.

    At least 0, which means equal; below about 1 it is invisible. Means are taken of sRGB values, not of linear light:
    they hardly depend on detail, so that the metric shows color and brightness shifts but not blur. Incomplete boxes at
    the right and bottom are ignored. Source of the distance: Sharma, Wu and Dalal, "The
    CIEDE2000 color-difference formula", 2005.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` for less than 16 pixels a side.

    >>> color_shift(np.full((16, 16, 3), 128, np.uint8), np.full((16, 16, 3), 128, np.uint8), 0)
    0.0
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    images = comparable_rgb("colour_shift", sr, hr, shave, BOX)
    a, b = (rgb2lab(_box_means(image) / 255) for image in images)
    return float(deltaE_ciede2000(b, a).mean())  # type: ignore[no-untyped-call]


def _box_means(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the means of 16×16 boxes: from `(H, W, 3)` to `(H // 16, W // 16, 3)`."""
    whole = crop_to_multiple(image, BOX)
    height, width, channels = whole.shape
    boxes = whole.reshape(height // BOX, BOX, width // BOX, BOX, channels)
    means: NDArray[np.float64] = boxes.mean(axis=(1, 3))
    return means
