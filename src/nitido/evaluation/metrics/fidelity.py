"""PSNR and SSIM as the super-resolution literature measures them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.pictures import PEAK, check_pictures, check_shapes, comparable, luma

_BAND = 1 << 22
"""Pixels that are compared at once; a picture that is no larger is compared as a whole."""

Plane = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Makes of rows of a picture the numbers that are compared."""

SSIM_SMALLEST = 11
"""Pixels a side: those of the window."""


def _numbers(rows: NDArray[Any]) -> NDArray[np.float64]:
    return rows.astype(np.float64)


def psnr(a: NDArray[Any], b: NDArray[Any], shave: int, plane: Plane = _numbers) -> float:
    """Return the PSNR in dB of two arrays in [0, 255] after shaving `shave` pixels; infinite when they are equal.

    In rows and means a picture counts with at most `nitido.evaluation.protocol.PSNR_CAP`. Of large pictures, `plane`
    makes what is compared band by band, so that memory does not grow with their height.
    """

    def mean(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(np.mean((x - y) ** 2))

    mse = _mean_of_bands(a, b, shave, plane, mean, overlap=0)
    return math.inf if mse == 0 else 10 * math.log10(PEAK**2 / mse)


def ssim(a: NDArray[Any], b: NDArray[Any], shave: int, plane: Plane = _numbers) -> float:
    """Mean SSIM of two planes `(H, W)` in [0, 255]: 11×11 Gaussian window, σ 1.5, only where it fits.

    Between -1 and 1, 1 for equal planes. Source: Wang et al., "Image quality assessment: from error visibility to
    structural similarity", 2004, with K1 0.01 and K2 0.03, as in the authors' MATLAB code without its automatic
    downsampling. scikit-image cuts off the border that the window does not reach, which is MATLAB's 'valid'. Bands and
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
    """The mean over both pictures of what `mean` averages over bands of them, which overlap by `overlap` rows.

    Raises `MetricError` for unequal shapes and when shaving leaves less than the overlap needs.
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
    """PSNR on Y in dB of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    check_pictures(sr, hr)
    return psnr(sr, hr, shave, luma)


def ssim_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """SSIM on Y of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    check_pictures(sr, hr)
    return ssim(sr, hr, shave, luma)


def psnr_rgb(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """PSNR in dB over all channels of uint8 pictures of equal shape, border `shave` removed."""
    check_pictures(sr, hr)
    return psnr(sr, hr, shave)
