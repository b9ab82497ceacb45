"""The structural losses against scikit-image and NumPy."""

import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import structural_similarity
from torch import Tensor

from nitido.base.errors import NitidoError
from nitido.training.structural_losses import fourier_loss, ssim_loss


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Two crops of a photograph and noisy copies, `(2, 3, 40, 51)` float64."""
    pixels = data.astronaut() / 255
    hr = torch.from_numpy(np.stack([pixels[60:100, 180:231], pixels[300:340, 20:71]])).permute(0, 3, 1, 2)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.08, hr.shape))
    return (hr + noise).clamp(0, 1), hr


def test_ssim_is_scikit_images(pair: tuple[Tensor, Tensor]) -> None:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [
        structural_similarity(sr.numpy(), hr.numpy(), full=True, **settings)[1][5:-5, 5:-5].mean()
        for sr, hr in zip(*(images.flatten(0, 1) for images in pair), strict=True)
    ]
    assert 0.2 < np.mean(expected) < 0.9
    assert ssim_loss(*pair).item() == pytest.approx(1 - np.mean(expected), abs=1e-6)


def test_ssim_gradients_are_right(pair: tuple[Tensor, Tensor]) -> None:
    sr, hr = (images[:1, :2, :13, :12] for images in pair)
    assert torch.autograd.gradcheck(lambda x: ssim_loss(x, hr), sr.clone().requires_grad_())


def test_ssim_of_one_window_and_of_less(pair: tuple[Tensor, Tensor]) -> None:
    hr = pair[1]
    assert ssim_loss(hr[..., :11, :11], hr[..., :11, :11]).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(NitidoError, match=r"at least 11×11 .* not 10×20"):
        ssim_loss(hr[..., :10, :20], hr[..., :10, :20])


def test_fourier_is_numpys(pair: tuple[Tensor, Tensor]) -> None:
    sr, hr = (np.fft.fft2(images.numpy(), norm="ortho") for images in pair)
    assert fourier_loss(*pair).item() == pytest.approx(np.abs(sr - hr).mean(), rel=1e-12)


@pytest.mark.parametrize("side", [16, 64])
def test_fourier_of_white_noise_does_not_depend_on_the_size(side: int) -> None:
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, (64, 3, side, side)))
    assert fourier_loss(noise, torch.zeros_like(noise)).item() == pytest.approx(0.1 * math.sqrt(math.pi) / 2, rel=0.02)


def test_fourier_gradients_are_right_and_finite_at_zero(pair: tuple[Tensor, Tensor]) -> None:
    sr, hr = (images[:1, :1, :5, :6] for images in pair)
    assert torch.autograd.gradcheck(lambda x: fourier_loss(x, hr), sr.clone().requires_grad_())
    same = hr.clone().requires_grad_()
    fourier_loss(same, hr).backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()


@pytest.mark.parametrize("loss", [ssim_loss, fourier_loss])
def test_autocast_changes_nothing_for_float32(loss: object, pair: tuple[Tensor, Tensor]) -> None:
    assert callable(loss)
    sr, hr = (images.float() for images in pair)
    expected = loss(sr, hr)
    sr.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(sr, hr)
    found.backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.detach(), expected)
    assert expected.item() == pytest.approx(loss(*pair).item(), abs=1e-5)
