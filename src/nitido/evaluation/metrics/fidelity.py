"""PSNR and SSIM as the super-resolution literature measures them."""

import math

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.pictures import PEAK, check_pictures, comparable, luma

SSIM_SMALLEST = 11
"""Pixels a side: those of the window."""


def psnr(a: NDArray[np.float64], b: NDArray[np.float64], shave: int) -> float:
    """Return the PSNR in dB of two arrays in [0, 255] after shaving `shave` pixels; infinite when they are equal.

    In rows and means a picture counts with at most `nitido.evaluation.protocol.PSNR_CAP`.
    """
    a, b = comparable(a, b, shave, smallest=1)
    mse = float(np.mean((a - b) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(PEAK**2 / mse)


def ssim(a: NDArray[np.float64], b: NDArray[np.float64], shave: int) -> float:
    """Mean SSIM of two planes `(H, W)` in [0, 255]: 11×11 Gaussian window, σ 1.5, only where it fits.

    Between -1 and 1, 1 for equal planes. Source: Wang et al., "Image quality assessment: from error visibility to
    structural similarity", 2004, with K1 0.01 and K2 0.03, as in the authors' MATLAB code without its automatic
    downsampling. scikit-image cuts off the border that the window does not reach, which is MATLAB's 'valid'.
    """
    from skimage.metrics import structural_similarity

    a, b = comparable(a, b, shave, smallest=SSIM_SMALLEST)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            a, b, data_range=PEAK, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=None
        )
    )


def psnr_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """PSNR on Y in dB of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    check_pictures(sr, hr)
    return psnr(luma(sr), luma(hr), shave)


def ssim_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """SSIM on Y of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    check_pictures(sr, hr)
    return ssim(luma(sr), luma(hr), shave)


def psnr_rgb(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """PSNR in dB over all channels of uint8 pictures of equal shape, border `shave` removed."""
    check_pictures(sr, hr)
    return psnr(sr.astype(np.float64), hr.astype(np.float64), shave)
