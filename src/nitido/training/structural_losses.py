"""Losses that compare more than pixel with pixel: local structure and frequencies."""

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
    """1 − mean SSIM (Wang et al., IEEE TIP 2004), per channel, differentiable.

    An 11×11 Gaussian window of σ 1.5 where it fits ('valid'), K1 = 0.01, K2 = 0.03. The variances are differences of
    means of squares, for which bfloat16 is too coarse: pass float32; autocast is switched off inside.

    Args:
        sr: `(N, C, H, W)` float in [0, 1]
        hr: the same

    Returns:
        a scalar in [0, 2], 0 for equal pictures

    Raises:
        PatchSizeError: when a side is shorter than 11 pixels

    >>> picture = torch.rand(1, 3, 16, 16)
    >>> round(ssim_loss(picture, picture).item(), 6)
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
    """Mean absolute difference of the spectra: the frequency loss of MIMO-UNet (Cho et al., ICCV 2021).

    The modulus of the complex difference between the two-dimensional Fourier transforms, averaged. The transforms are
    orthonormal, so that white noise of deviation σ costs the same, √π/2·σ, at every size of patch.

    Args:
        sr: `(N, C, H, W)` float in [0, 1]
        hr: the same

    Returns:
        a scalar, 0 for equal pictures
    """
    spectrum: Tensor = torch.fft.fft2(sr - hr, norm="ortho")
    return spectrum.abs().mean()


def _blur(pictures: Tensor) -> Tensor:
    """Gaussian means where the window fits, columns then rows: `(N, C, H, W)` → `(N, C, H − 10, W − 10)`."""
    channels = pictures.shape[1]
    taps = _taps(pictures.dtype, pictures.device)
    columns = taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    rows = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return functional.conv2d(functional.conv2d(pictures, columns, groups=channels), rows, groups=channels)


def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    return (weights / weights.sum()).to(device, dtype)
