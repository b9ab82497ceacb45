"""Common parts of all metrics: the scored plane, the shaved border, and errors."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nitido.base.errors import NitidoError
from nitido.imaging import rgb_to_y

PEAK = 255.0

Number = TypeVar("Number", bound=np.generic)


class MetricError(NitidoError):
    """The images cannot be compared."""


class MetricNotAvailableError(MetricError):
    """A metric is not available: the image is too small, or a package or its weights are missing.

    `reason` says which, without the name of the metric, for display after "not available: ".

    >>> print(MetricNotAvailableError("lpips", "the package lpips is not installed"))
    lpips is not available: the package lpips is not installed
    """

    def __init__(self, metric: str, reason: str) -> None:
        """Name the metric and the reason."""
        super().__init__(f"{metric} is not available: {reason}")
        self.metric = metric
        self.reason = reason


def luma(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the scored plane: Y in [16, 235] of RGB `(H, W, 3)`; gray `(H, W)` or `(H, W, 1)` is used as Y.

    >>> luma(np.full((1, 1, 3), 255, np.uint8)).item()
    235.0
    """
    if image.ndim == 3 and image.shape[2] == 3:
        return rgb_to_y(image)
    return image.reshape(image.shape[:2]).astype(np.float64)


def shave_border(plane: NDArray[Number], shave: int) -> NDArray[Number]:
    """Return `plane` without `shave` pixels on each side of the first two axes."""
    height, width = plane.shape[:2]
    return plane[shave : height - shave, shave : width - shave]


def check_images(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> None:
    """Raise `MetricError` unless both are uint8 and of one shape."""
    for name, image in (("sr", sr), ("hr", hr)):
        if image.dtype != np.uint8:
            raise MetricError(f"{name} is {image.dtype}; the protocol compares uint8 images (quantize it first)")
    check_shapes(sr, hr)


def check_shapes(sr: NDArray[Any], hr: NDArray[Any]) -> None:
    """Raise `MetricError` unless both are of one shape."""
    if sr.shape != hr.shape:
        raise MetricError(f"images of different shapes cannot be compared: sr {sr.shape}, hr {hr.shape}")


def comparable(
    a: NDArray[np.float64], b: NDArray[np.float64], shave: int, smallest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both arrays shaved; raise `MetricError` for unequal shapes or fewer than `smallest` pixels per side."""
    check_shapes(a, b)
    if shave < 0 or min(a.shape[:2]) - 2 * shave < smallest:
        size = f"{a.shape[1]}×{a.shape[0]}"
        raise MetricError(f"an image of {size} is too small to compare with a border of {shave} shaved")
    return shave_border(a, shave), shave_border(b, shave)


def comparable_rgb(
    metric: str, sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int, smallest: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both RGB images `(H, W, 3)` uint8 shaved, for `metric`, which needs `smallest` pixels per side.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` if too few pixels are left.
    """
    check_images(sr, hr)
    if sr.ndim != 3 or sr.shape[2] != 3:
        raise MetricError(f"{metric} compares RGB images (H, W, 3), not arrays of the shape {sr.shape}")
    require_size(metric, sr, shave, smallest)
    return shave_border(sr, shave), shave_border(hr, shave)


def require_size(metric: str, image: NDArray[Any], shave: int, smallest: int) -> None:
    """Raise `MetricNotAvailableError` if a side of `image` has fewer than `smallest` pixels after shaving.

    Raises `MetricError` for a negative border.
    """
    if shave < 0:
        raise MetricError(f"a border of {shave} pixels cannot be shaved: it must be 0 or more")
    height, width = (side - 2 * shave for side in image.shape[:2])
    if min(height, width) < smallest:
        left = f"{width}×{height} with its border of {shave} shaved"
        raise MetricNotAvailableError(metric, f"it needs {smallest} pixels a side, and the image is {left}")
