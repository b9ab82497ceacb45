"""Is the normalised distance perceptual? Known orderings of distortions, most of them at equal mean squared error."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, shift
from scipy.optimize import brentq

from nitido.perception import PerceptualDistance, PerceptualOptions

Distort = Callable[[float], np.ndarray]


@pytest.fixture(scope="module")
def distance() -> Callable[[np.ndarray, np.ndarray], float]:
    perceptual = PerceptualDistance(PerceptualOptions(normalised=True))

    @torch.no_grad()
    def measure(sr: np.ndarray, hr: np.ndarray) -> float:
        first, second = (torch.from_numpy(image).permute(2, 0, 1)[None].float().clamp(0, 1) for image in (sr, hr))
        return perceptual(first, second).item()

    return measure


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(image, (sigma, sigma, 0), mode="reflect")


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer)) / 255


def _noise(image: np.ndarray, sigma: float) -> np.ndarray:
    return image + sigma * np.random.default_rng(0).standard_normal(image.shape)


def _mse(distorted: np.ndarray, image: np.ndarray) -> float:
    return float(((distorted.clip(0, 1) - image) ** 2).mean())


def _with_mse(distort: Distort, image: np.ndarray, mse: float, lowest: float, highest: float) -> np.ndarray:
    """The distortion whose strength makes the mean squared error, after clipping to [0, 1], that of `mse`."""
    distorted = distort(brentq(lambda strength: _mse(distort(strength), image) - mse, lowest, highest, xtol=1e-5))
    assert _mse(distorted, image) == pytest.approx(mse, rel=0.01)
    return distorted


def test_an_image_has_distance_zero_to_itself(image: np.ndarray, distance: Callable[..., float]) -> None:
    assert distance(image, image) == 0


def test_more_distortion_is_further(image: np.ndarray, distance: Callable[..., float]) -> None:
    for series in (
        [_blur(image, sigma) for sigma in (0.3, 0.5, 1, 2, 3)],
        [_noise(image, sigma) for sigma in (0.01, 0.02, 0.05, 0.1)],
        [_jpeg(image, quality) for quality in (95, 80, 60, 40, 20, 10)],
    ):
        found = [distance(distorted, image) for distorted in series]
        assert found == sorted(found)
        assert 0 < found[0] < found[-1] / 3


def test_blur_blocks_and_noise_are_further_than_brightness_and_contrast(
    image: np.ndarray, distance: Callable[..., float]
) -> None:
    """The images of Wang and Bovik's demonstration: equal errors, unequal looks."""
    blocky = _jpeg(image, 10)
    mse, middle = _mse(blocky, image), image.mean()
    ugly = [
        blocky,
        _with_mse(lambda sigma: _blur(image, sigma), image, mse, 0.05, 20),
        _with_mse(lambda sigma: _noise(image, sigma), image, mse, 1e-3, 0.5),
    ]
    harmless = [
        _with_mse(lambda offset: image + offset, image, mse, 1e-3, 0.5),
        _with_mse(lambda offset: image - offset, image, mse, 1e-3, 0.5),
        _with_mse(lambda gain: middle + (image - middle) * (1 + gain), image, mse, 1e-3, 5),
        _with_mse(lambda gain: middle + (image - middle) * (1 - gain), image, mse, 1e-3, 1),
    ]
    assert min(distance(distorted, image) for distorted in ugly) > 2 * max(
        distance(distorted, image) for distorted in harmless
    )


@pytest.mark.parametrize("pixels", [0.5, 1.0])
def test_a_shift_is_closer_than_blur(image: np.ndarray, pixels: float, distance: Callable[..., float]) -> None:
    moved = shift(image, (0, pixels, 0), order=3, mode="reflect")
    mse = _mse(moved, image)
    blurred = _with_mse(lambda sigma: _blur(image, sigma), image, mse, 0.05, 60)
    assert distance(blurred, image) > 1.5 * distance(moved, image)
