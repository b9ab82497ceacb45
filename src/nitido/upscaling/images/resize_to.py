"""MATLAB's bicubic `imresize` of integer images to any size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nitido.imaging.files import Pixels
from nitido.upscaling.workspace import Workspace, bands

_STRIP = 2**20  # numbers per step


def resize_to(pixels: Pixels, height: int, width: int, workspace: Workspace | None = None) -> Pixels:
    """Resize uint8 or uint16 `pixels`, `(H, W, C)`, to `(height, width, C)` as `imresize(pixels, [height width])`.

    Keys' cubic kernel with a = -0.5 (IEEE TASSP 29, 1981), widened for downscaling. Each pass is rounded half up and
    clipped. The axis with the smallest scale is resized first. `workspace` allocates the result and intermediate
    arrays.
    """
    workspace = workspace or Workspace()
    targets = sorted([(height / pixels.shape[0], 0, height), (width / pixels.shape[1], 1, width)])
    for _, axis, length in targets:
        if length != pixels.shape[axis]:
            pixels = (_rows if axis == 0 else _columns)(pixels, length, workspace)
    return pixels


def _rows(pixels: Pixels, length: int, workspace: Workspace) -> Pixels:
    indices, weights = _contributions(pixels.shape[0], length)
    resized = workspace.like(pixels, height=length)
    for band in bands(resized.shape, _STRIP, workspace):
        first = indices[band].min()
        strip = pixels[first : indices[band].max() + 1].astype(np.float64)
        resized[band] = _weighed(strip, indices[band] - first, weights[band], pixels.dtype)
    return resized


def _columns(pixels: Pixels, length: int, workspace: Workspace) -> Pixels:
    indices, weights = _contributions(pixels.shape[1], length)
    resized = workspace.like(pixels, width=length)
    for band in bands((pixels.shape[0], max(pixels.shape[1], length), pixels.shape[2]), _STRIP, workspace):
        strip = np.ascontiguousarray(pixels[band].swapaxes(0, 1)).astype(np.float64)
        resized[band] = _weighed(strip, indices, weights, pixels.dtype).swapaxes(0, 1)
    return resized


def _weighed(
    strip: npt.NDArray[np.float64],
    indices: npt.NDArray[np.intp],
    weights: npt.NDArray[np.float64],
    dtype: np.dtype[np.uint8 | np.uint16],
) -> npt.NDArray[np.float64]:
    """Return weighted sums along the first axis, rounded half up and clipped to the range of `dtype`."""
    total = sum(weights[:, tap, None, None] * strip[indices[:, tap]] for tap in range(indices.shape[1]))
    return np.clip(np.floor(np.asarray(total) + 0.5), 0, np.iinfo(dtype).max)


def _contributions(size: int, length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return, for each of `length` outputs, the indices of its inputs and their weights, both `(length, taps)`."""
    scale = length / size
    shrinking = min(scale, 1.0)
    center = (np.arange(length) + 0.5) / scale - 0.5
    left = np.floor(center - 2 / shrinking).astype(np.intp)
    positions = left[:, None] + np.arange(int(np.ceil(4 / shrinking)) + 2)
    weights = _cubic(shrinking * (center[:, None] - positions))
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = positions % (2 * size)
    indices = np.minimum(mirrored, 2 * size - 1 - mirrored)
    used = np.any(weights != 0, axis=0)
    return indices[:, used], weights[:, used]


def _cubic(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
