"""BT.601 studio-range luma and chroma, as MATLAB's `rgb2ycbcr`: Y in [16, 235], Cb and Cr in [16, 240] of 255."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# ITU-R BT.601-7, section 2.5: excursions of R, G, B in [0, 1] on Y, Cb, Cr in units of 1/255.
_MATRIX = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
_OFFSET = np.array([16.0, 128.0, 128.0])


def rgb_to_y(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the luma of an RGB image `(H, W, 3)` in [0, 255] as float64 `(H, W)` in [16, 235], not rounded.

    >>> rgb_to_y(np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)).round(3).tolist()
    [[16.0, 235.0]]
    """
    luma: npt.NDArray[np.float64] = image.astype(np.float64) @ (_MATRIX[0] / 255) + _OFFSET[0]
    return luma


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Convert RGB to Y, Cb, Cr.

    Args:
        rgb: `(N, 3, H, W)` float in [0, 1].

    Returns:
        `(N, 3, H, W)`, Y in [16/255, 235/255], chroma centered at 128/255.
    """
    return _mix(rgb, _MATRIX / 255, _OFFSET / 255)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Invert `rgb_to_ycbcr`. Colors outside the RGB cube give values outside [0, 1], which are not clipped."""
    inverse = np.linalg.inv(_MATRIX / 255)
    return _mix(ycbcr, inverse, -inverse @ (_OFFSET / 255))


def _mix(planes: Tensor, matrix: npt.NDArray[np.floating[Any]], offset: npt.NDArray[np.floating[Any]]) -> Tensor:
    """Multiply the three planes by a matrix, with scalars, because autocast would round a matrix product."""
    first, second, third = planes.unbind(dim=1)
    mixed = [
        a * first + b * second + c * third + constant
        for (a, b, c), constant in zip(matrix.tolist(), offset.tolist(), strict=True)
    ]
    return torch.stack(mixed, dim=1)


def is_flat(pixels: npt.NDArray[np.uint8 | np.uint16]) -> bool:
    """Return whether all pixels of `(H, W, C)` are equal. Rows are compared one by one; most images need only one."""
    return all(bool((row == pixels[0, 0]).all()) for row in pixels)
