"""Downscale images until every pixel is useful for training, and measure their detail."""

import numpy as np
import numpy.typing as npt

from nitido.evaluation.image_descriptors import luma
from nitido.imaging import bicubic_downscale, crop_to_multiple
from nitido.upscaling.images.resize_to import resize_to

Image = npt.NDArray[np.uint8]

LARGEST = 2_500_000
"""Pixels of an image above which it is shrunk once more."""

BLOCK = 16
"""Side in pixels of the blocks that are called flat or not."""

FLAT = 4 / 255
"""Standard deviation of the luma, in parts of its range, below which a block is flat."""


def half(image: Image) -> Image:
    """Downscale `(H, W, 3)` by 2 with MATLAB's bicubic to `(H // 2, W // 2, 3)`, without an odd last row or column.

    >>> half(np.zeros((5, 4, 3), np.uint8)).shape
    (2, 2, 3)
    """
    return bicubic_downscale(crop_to_multiple(image, 2), 2)


def shrunk(image: Image) -> Image:
    """Halve the image, and repeat as long as it has more than `LARGEST` pixels.

    Once in any case: JPEG's traces are one pixel wide, and a network would learn to draw them.

    >>> shrunk(np.zeros((100, 100, 3), np.uint8)).shape, shrunk(np.zeros((2880, 5120, 3), np.uint8)).shape
    ((50, 50, 3), (720, 1280, 3))
    """
    small = half(image)
    while small.shape[0] * small.shape[1] > LARGEST:
        small = half(small)
    return small


def smaller(image: Image, factor: float) -> Image:
    """Downscale `(H, W, 3)` by any `factor` with MATLAB's bicubic to `(H / factor, W / factor, 3)`, at least one pixel.

    >>> smaller(np.zeros((10, 15, 3), np.uint8), 1.5).shape
    (6, 10, 3)
    """
    height, width = (max(1, int(side / factor)) for side in image.shape[:2])
    return resize_to(image, height, width).astype(np.uint8, copy=False)


def flat_share(image: Image) -> float:
    """Return the proportion, in [0, 1], of whole `BLOCK`×`BLOCK` blocks of `(H, W, 3)` without visible detail.

    An image without a whole block is all flat.

    >>> flat_share(np.full((40, 40, 3), 90, np.uint8))
    1.0
    """
    plane = crop_to_multiple(luma(image), BLOCK)
    if plane.size == 0:
        return 1.0
    rows, columns = (size // BLOCK for size in plane.shape)
    blocks = plane.reshape(rows, BLOCK, columns, BLOCK)
    return float((blocks.std(axis=(1, 3)) < FLAT).mean())
