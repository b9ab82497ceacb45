"""MS-SSIM: SSIM at five scales."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import (
    PEAK,
    check_images,
    check_shapes,
    luma,
    require_size,
    shave_border,
)

SMALLEST = 176
"""Minimum side in pixels: halved four times, it has the 11 pixels of the window."""

# Wang et al. 2003, section 3.2: weights of the scales, from the finest to the coarsest.
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_RADIUS = 5
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def ms_ssim(a: NDArray[np.float64], b: NDArray[np.float64], shave: int) -> float:
    """Return MS-SSIM of two planes `(H, W)` in [0, 255] after shaving `shave` pixels: in [0, 1], 1 if equal.

    Contrast and structure at five scales, luminance at the coarsest, each averaged where the 11×11 Gaussian
    window (σ 1.5) fits and raised to its weight. Between scales, 2×2 means; an odd side repeats its last row
    or column, as in the authors' MATLAB code. A scale with a negative mean counts as 0.

    Source: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003.

    Raises `MetricError` for unequal shapes, `MetricNotAvailableError` for less than 176 pixels a side.
    """
    check_shapes(a, b)
    require_size("ms_ssim_y", a, shave, SMALLEST)
    pair = np.stack([shave_border(a, shave), shave_border(b, shave)])
    value = 1.0
    for scale, weight in enumerate(_WEIGHTS, start=1):
        structure, similarity = _similarity(pair)
        value *= max(similarity if scale == len(_WEIGHTS) else structure, 0.0) ** weight
        pair = _halve(pair)
    return value


def ms_ssim_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return MS-SSIM on Y of uint8 images of equal shape, RGB `(H, W, 3)` or gray `(H, W)`, after shaving."""
    check_images(sr, hr)
    return ms_ssim(luma(sr), luma(hr), shave)


def _similarity(pair: NDArray[np.float64]) -> tuple[float, float]:
    """Return the means of contrast × structure, and of contrast × structure × luminance, of planes `(2, H, W)`."""
    a, b = pair
    mean_a, mean_b, square_a, square_b, product = _window_means(np.stack([a, b, a * a, b * b, a * b]))
    variances = square_a - mean_a**2 + square_b - mean_b**2
    structure = (2 * (product - mean_a * mean_b) + _C2) / (variances + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float(structure.mean()), float((luminance * structure).mean())


def _window_means(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means under the Gaussian window: from `(N, H, W)` to `(N, H - 10, W - 10)`."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    means: NDArray[np.float64] = correlate1d(correlate1d(planes, window, axis=1), window, axis=2)
    return means[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _halve(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2×2 means of `(N, H, W)`; sides are rounded up."""
    _, height, width = planes.shape
    even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    halved: NDArray[np.float64] = (
        even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    ) / 4
    return halved
