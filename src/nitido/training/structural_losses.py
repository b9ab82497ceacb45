"""Losses that compare local structure or frequencies instead of single pixels."""

import torch
from torch import Tensor
from torch.nn import functional

from nitido.base.errors import NitidoError

SSIM_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K1·L)², (K2·L)² for the data range L = 1


class PatchSizeError(NitidoError):
    """A training patch is too small for a loss."""


def ssim_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return 1 − mean SSIM (Wang et al., IEEE TIP 2004), per channel, differentiable.

    The window is an 11×11 Gaussian of σ 1.5 without padding; K1 = 0.01, K2 = 0.03. Variances are differences of means
    of squares, for which bfloat16 is not accurate enough: pass float32; autocast is disabled inside.

    Args:
        sr: `(N, C, H, W)` float in [0, 1].
        hr: The same.

    Returns:
        A scalar in [0, 2], 0 for equal images.

    Raises:
        PatchSizeError: A side is shorter than 11 pixels.

    >>> image = torch.rand(1, 3, 16, 16)
    >>> round(ssim_loss(image, image).item(), 6)
    0.0
    """
    height, width = sr.shape[-2:]
    if min(height, width) < SSIM_WINDOW:
        raise PatchSizeError(
            f"the SSIM loss needs patches of at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels at high resolution, "
            f"not {height}×{width}"
        )
    with torch.autocast(sr.device.type, enabled=False):
        mean_sr, mean_hr = _blur(sr), _blur(hr)
        variance_sr = _blur(sr * sr) - mean_sr * mean_sr
        variance_hr = _blur(hr * hr) - mean_hr * mean_hr
        covariance = _blur(sr * hr) - mean_sr * mean_hr
    luminance = (2 * mean_sr * mean_hr + _C1) / (mean_sr * mean_sr + mean_hr * mean_hr + _C1)
    structure = (2 * covariance + _C2) / (variance_sr + variance_hr + _C2)
    return 1 - (luminance * structure).mean()


def fourier_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean absolute difference of the spectra: the frequency loss of MIMO-UNet (Cho et al., ICCV 2021).

    This is the mean modulus of the complex difference between the two-dimensional Fourier transforms. The transforms
    are orthonormal, so that white noise of deviation σ gives the same loss, √π/2·σ, for every patch size.

    Args:
        sr: `(N, C, H, W)` float in [0, 1].
        hr: The same.

    Returns:
        A scalar, 0 for equal images.
    """
    spectrum: Tensor = torch.fft.fft2(sr - hr, norm="ortho")
    return spectrum.abs().mean()


def _blur(images: Tensor) -> Tensor:
    """Return Gaussian means without padding, columns then rows: `(N, C, H, W)` → `(N, C, H − 10, W − 10)`."""
    channels = images.shape[1]
    taps = _taps(images.dtype, images.device)
    columns = taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    rows = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return functional.conv2d(functional.conv2d(images, columns, groups=channels), rows, groups=channels)


def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    return (weights / weights.sum()).to(device, dtype)
