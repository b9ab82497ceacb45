"""SSIMULACRA 2: a quality scale fitted to ratings of compressed images."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import comparable_rgb
from nitido.evaluation.metrics.requirement import Requirement

SSIMULACRA2 = Requirement(("ssimulacra2",))

SMALLEST = 8
"""Minimum side in pixels, as in the authors' program."""

_SCALES = 6

# The impulse response of the authors' recursive blur, σ 1.5 (Charalampidis, "Recursive Implementation of the Gaussian
# Filter Using Truncated Cosine Functions", IEEE TSP 2016, radius 5, whose outermost taps are zero).
_HALF_WINDOW = (
    0.26462110548819856,
    0.2129285920104222,
    0.10933537277746032,
    0.036011114658364374,
    0.0094143678096537,
)


def ssimulacra2(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return SSIMULACRA 2.1 of RGB images `(H, W, 3)` uint8 after shaving: 100 for equal images, no lower bound.

    About 90 is indistinguishable, 70 high quality, 50 medium, 30 low, below 0 very bad. Structure and edges in the
    color space XYB at up to six scales; weights and maps are those of the package `ssimulacra2`. The pyramid and the
    blur are the authors' (Sneyers, libjxl, 2023; zero beyond the border): the package mirrors one of the axes and
    leaves out the smallest size, so that below 225 pixels a side it weighs the wrong terms.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` without the package or below 8 pixels a side.
    """
    SSIMULACRA2.require("ssimulacra2")
    from ssimulacra2 import ssimulacra2 as parts  # type: ignore[import-untyped]

    images = comparable_rgb("ssimulacra2", sr, hr, shave, SMALLEST)
    distorted, original = (parts.srgb_to_linear(image) for image in images)
    sizes = parts.Msssim()
    for index in range(_SCALES):
        if index:
            if min(original.shape[:2]) < SMALLEST:
                break
            original, distorted = _halve(original), _halve(distorted)
        a, b = (parts.make_positive_xyb(parts.linear_rgb_to_xyb(image)) for image in (original, distorted))
        mean_a, mean_b = _blur(a), _blur(b)
        size = parts.MsssimScale()
        size.avg_ssim = parts.ssim_map(mean_a, mean_b, _blur(a * a), _blur(b * b), _blur(a * b))
        size.avg_edgediff = parts.edge_diff_map(a, mean_a, b, mean_b)
        sizes.scales.append(size)
    return float(sizes.score())


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blur `(H, W, C)` with zero padding."""
    from scipy.ndimage import correlate1d

    window = (*_HALF_WINDOW[:0:-1], *_HALF_WINDOW)
    rows = correlate1d(image, window, axis=0, mode="constant")
    blurred: NDArray[np.float64] = correlate1d(rows, window, axis=1, mode="constant")
    return blurred


def _halve(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2×2 means of `(H, W, C)`; an odd side repeats its last row or column."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    halved: NDArray[np.float64] = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halved
