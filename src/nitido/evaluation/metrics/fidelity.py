"""PSNR and SSIM as in the super-resolution literature."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import PEAK, check_images, check_shapes, comparable, luma

_BAND = 1 << 22
"""Pixels per band; smaller images are compared as a whole."""

Plane = Callable[[NDArray[Any]], NDArray[np.float64]]
"""A function that converts rows of an image to the compared values."""

SSIM_SMALLEST = 11
"""Minimum side in pixels: the size of the window."""


def _numbers(rows: NDArray[Any]) -> NDArray[np.float64]:
    return rows.astype(np.float64)


def psnr(a: NDArray[Any], b: NDArray[Any], shave: int, plane: Plane = _numbers) -> float:
    """Return the PSNR in dB of two arrays in [0, 255] after shaving `shave` pixels; infinite if they are equal.

    In rows and means it is limited to `nitido.evaluation.protocol.PSNR_CAP`. `plane` converts large images band by
    band, so that memory does not depend on their height.
    """

    def mean(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(np.mean((x - y) ** 2))

    mse = _mean_of_bands(a, b, shave, plane, mean, overlap=0)
    return math.inf if mse == 0 else 10 * math.log10(PEAK**2 / mse)


def ssim(a: NDArray[Any], b: NDArray[Any], shave: int, plane: Plane = _numbers) -> float:
    """Return the mean SSIM of two planes `(H, W)` in [0, 255]: 11×11 Gaussian window, σ 1.5, 'valid' border.

    Between -1 and 1, 1 for equal planes. Source: Wang et al., "Image quality assessment: from error visibility to
    structural similarity", 2004, with K1 0.01 and K2 0.03, as in the authors' MATLAB code without its automatic
    downsampling. scikit-image leaves out the border that the window does not cover, as MATLAB's 'valid'. Bands and
    `plane` are as in `psnr`.
    """
    from skimage.metrics import structural_similarity

    def mean(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(
            structural_similarity(  # type: ignore[no-untyped-call]
                x, y, data_range=PEAK, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=None
            )
        )

    return _mean_of_bands(a, b, shave, plane, mean, overlap=SSIM_SMALLEST - 1)


def _mean_of_bands(
    a: NDArray[Any],
    b: NDArray[Any],
    shave: int,
    plane: Plane,
    mean: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    overlap: int,
) -> float:
    """Return the mean of `mean` over bands of both images, which overlap by `overlap` rows.

    Raises `MetricError` for unequal shapes, and if too few pixels are left after shaving.
    """
    height, width = a.shape[:2]
    if plane is _numbers:
        check_shapes(a, b)
    comparable(a[:, :, 0] if a.ndim == 3 else a, b[:, :, 0] if b.ndim == 3 else b, shave, smallest=overlap + 1)
    first, last = shave, height - shave - overlap
    high = max(1, _BAND // width)
    columns = slice(shave, width - shave)
    total = 0.0
    for top in range(first, last, high):
        bottom = min(top + high, last)
        rows = slice(top, bottom + overlap)
        value = mean(plane(a[rows])[:, columns], plane(b[rows])[:, columns])
        if (top, bottom) == (first, last):
            return value
        total += value * (bottom - top)
    return float(total / (last - first))


def psnr_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the PSNR on Y in dB of uint8 images of equal shape, RGB `(H, W, 3)` or gray `(H, W)`, after shaving."""
    check_images(sr, hr)
    return psnr(sr, hr, shave, luma)


def ssim_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the SSIM on Y of uint8 images of equal shape, RGB `(H, W, 3)` or gray `(H, W)`, after shaving."""
    check_images(sr, hr)
    return ssim(sr, hr, shave, luma)


def psnr_rgb(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the PSNR in dB over all channels of uint8 images of equal shape, after shaving."""
    check_images(sr, hr)
    return psnr(sr, hr, shave)
