"""PSNR and SSIM as the super-resolution literature measures them."""

import math
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor

from nitido.errors import NitidoError
from nitido.imaging import rgb_to_y
from nitido.perception import PerceptualDistance, PerceptualOptions

PEAK = 255.0

FIDELITY_METRICS = ("psnr_y", "ssim_y", "psnr_rgb")
"""What is always measured."""

METRICS = (*FIDELITY_METRICS, "perceptual_distance")
"""Everything that can be measured of a picture and its truth, by the names in the rows."""


Number = TypeVar("Number", bound=np.generic)


class MetricError(NitidoError):
    """Two pictures that cannot be compared."""


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The plane that is scored: Y in [16, 235] of RGB `(H, W, 3)`; a grey picture `(H, W)` or `(H, W, 1)` is its own Y.

    >>> luma(np.full((1, 1, 3), 255, np.uint8)).item()
    235.0
    """
    if image.ndim == 3 and image.shape[2] == 3:
        return rgb_to_y(image)
    return image.reshape(image.shape[:2]).astype(np.float64)


def shave_border(plane: NDArray[Number], shave: int) -> NDArray[Number]:
    """Cut `shave` pixels off each side of the first two axes."""
    height, width = plane.shape[:2]
    return plane[shave : height - shave, shave : width - shave]


def psnr(a: NDArray[np.float64], b: NDArray[np.float64], shave: int) -> float:
    """PSNR in dB of two arrays in [0, 255] after shaving `shave` pixels; infinite when they are equal."""
    a, b = _comparable(a, b, shave, smallest=1)
    mse = float(np.mean((a - b) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(PEAK**2 / mse)


def ssim(a: NDArray[np.float64], b: NDArray[np.float64], shave: int) -> float:
    """Mean SSIM of two planes `(H, W)` in [0, 255]: 11×11 Gaussian window, σ 1.5, only where it fits.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with
    K1 0.01 and K2 0.03, as in the authors' MATLAB code without its automatic downsampling. scikit-image cuts off the
    border that the window does not reach, which is MATLAB's 'valid'.
    """
    a, b = _comparable(a, b, shave, smallest=11)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            a, b, data_range=PEAK, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=None
        )
    )


def psnr_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """PSNR on Y in dB of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    _check_pictures(sr, hr)
    return psnr(luma(sr), luma(hr), shave)


def ssim_y(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """SSIM on Y of uint8 pictures of equal shape, RGB `(H, W, 3)` or grey `(H, W)`, border `shave` removed."""
    _check_pictures(sr, hr)
    return ssim(luma(sr), luma(hr), shave)


def psnr_rgb(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """PSNR in dB over all channels of uint8 pictures of equal shape, border `shave` removed."""
    _check_pictures(sr, hr)
    return psnr(sr.astype(np.float64), hr.astype(np.float64), shave)


def perceptual_distance(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """How different RGB pictures `(H, W, 3)` uint8 look, border `shave` removed: 0 for equal ones, smaller is better.

    LPIPS' distance without its calibration (Zhang et al., CVPR 2018): unit-normalised features of a trained
    classifier, here EfficientNet-Lite0, so that no weights need to be downloaded. Its values are no LPIPS values.
    """
    _check_pictures(sr, hr)
    distance = _perceptual()
    with torch.inference_mode():
        return distance(*(_as_tensor(shave_border(image, shave)) for image in (sr, hr))).item()


@cache
def _perceptual() -> PerceptualDistance:
    return PerceptualDistance(PerceptualOptions(backbone="efficientnet_lite0", normalised=True))


def _as_tensor(image: NDArray[np.uint8]) -> Tensor:
    """`(H, W, 3)` uint8 as `(1, 3, H, W)` float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _check_pictures(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> None:
    for name, image in (("sr", sr), ("hr", hr)):
        if image.dtype != np.uint8:
            raise MetricError(f"{name} is {image.dtype}; the protocol compares uint8 pictures (quantise it first)")
    if sr.shape != hr.shape:
        raise MetricError(f"pictures of different shapes cannot be compared: sr {sr.shape}, hr {hr.shape}")


def _comparable(
    a: NDArray[np.float64], b: NDArray[np.float64], shave: int, smallest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.shape != b.shape:
        raise MetricError(f"pictures of different shapes cannot be compared: {a.shape} and {b.shape}")
    if shave < 0 or min(a.shape[:2]) - 2 * shave < smallest:
        size = f"{a.shape[1]}×{a.shape[0]}"
        raise MetricError(f"a picture of {size} is too small to compare with a border of {shave} shaved")
    return shave_border(a, shave), shave_border(b, shave)
