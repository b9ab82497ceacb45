"""PSNR and SSIM: hand arithmetic, an independent SSIM, and what must be refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from nitido.evaluation import MetricError, psnr, psnr_rgb, psnr_y, ssim, ssim_y
from nitido.evaluation.metrics import luma, shave_border


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_psnr_of_a_known_error() -> None:
    a = np.zeros((10, 10))
    assert psnr(a, a + 5.0, 0) == pytest.approx(10 * math.log10(255**2 / 25))


def test_equal_images_are_infinitely_close() -> None:
    image = noise(20, 20, 3)
    assert psnr_y(image, image, 2) == math.inf
    assert ssim_y(image, image, 2) == pytest.approx(1.0)


def test_the_border_does_not_count() -> None:
    hr = noise(20, 24, 3)
    sr = hr.copy()
    sr[:3] ^= 255
    assert psnr_y(sr, hr, 3) == math.inf
    assert psnr_y(sr, hr, 2) < 30


def test_grey_is_its_own_luma_and_rgb_has_studio_range() -> None:
    assert luma(np.array([[0, 255]], np.uint8)).tolist() == [[0.0, 255.0]]
    black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(black_and_white), [[16.0, 235.0]], atol=1e-9)


def test_psnr_rgb_pools_the_channels() -> None:
    hr = np.zeros((8, 8, 3), np.uint8)
    sr = hr.copy()
    sr[..., 1] = 6
    assert psnr_rgb(sr, hr, 0) == pytest.approx(10 * math.log10(255**2 / 12))


@given(st.integers(0, 2**32 - 1), st.integers(11, 24), st.integers(11, 24))
def test_ssim_equals_its_definition(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.uniform(0, 255, (height, width))
    b = np.clip(a + rng.normal(0, rng.uniform(1, 60), a.shape), 0, 255)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: np.ndarray) -> np.ndarray:
        return convolve2d(x, window, mode="valid")

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
    assert ssim(a, b, 0) == pytest.approx(expected, abs=1e-10)


@given(st.integers(0, 5))
def test_shaving_removes_twice_the_border(shave: int) -> None:
    assert shave_border(np.zeros((12, 15)), shave).shape == (12 - 2 * shave, 15 - 2 * shave)


@pytest.mark.parametrize(
    ("sr", "hr", "message"),
    [
        (noise(20, 20, 3), noise(20, 21, 3), "different shapes"),
        (noise(20, 20, 3).astype(float), noise(20, 20, 3), "float64"),
        (noise(12, 12, 3), noise(12, 12, 3), "too small"),
    ],
)
def test_what_cannot_be_compared_is_refused(sr: np.ndarray, hr: np.ndarray, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        ssim_y(sr, hr, 2)
