"""Descriptors of content on images whose answer is known beforehand."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.filters import gaussian

from nitido.evaluation.image_descriptors import (
    DESCRIPTORS,
    describe,
    dominant_frequency,
    edge_density,
    jpeg_blockiness,
    line_structure,
    noise,
    saturation,
)


def grey(plane: np.ndarray) -> np.ndarray:
    """An RGB image of a plane in [0, 1]."""
    return np.repeat(np.clip(np.rint(plane * 255), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def waves(frequency: float, angle: float = 0.0, side: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    phase = 2 * np.pi * frequency * (rows * np.sin(angle) + columns * np.cos(angle))
    return grey(0.5 + 0.3 * np.sin(phase))


def random_texture(side: int = 128) -> np.ndarray:
    return grey(np.random.default_rng(0).uniform(0, 1, (side, side)))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("frequency", [0.05, 0.125, 0.25, 0.4])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_the_dominant_frequency_of_a_wave_is_its_own(frequency: float, angle: float) -> None:
    assert dominant_frequency(waves(frequency, angle)) == pytest.approx(frequency, abs=0.02)


def test_edge_density_is_the_share_of_edge_pixels() -> None:
    step = np.zeros((100, 100))
    step[:, 50:] = 1
    assert edge_density(grey(step)) == pytest.approx(2 / 100)  # Sobel sees the step from both sides
    assert edge_density(grey(np.full((100, 100), 0.4))) == 0


@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.08])
def test_noise_is_measured_by_its_deviation(sigma: float) -> None:
    flat = 0.5 + np.random.default_rng(1).normal(0, sigma, (200, 200))
    # 0…255 of a grey image is the whole of luma's range.
    assert noise(grey(flat)) == pytest.approx(sigma, rel=0.08)


def test_saturation_is_that_of_hsv() -> None:
    pure, pale = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 200, np.uint8)
    pure[..., 0] = 255
    pale[..., 2] = 150
    assert saturation(pure) == 1
    assert saturation(pale) == pytest.approx(1 - 150 / 200)
    assert saturation(grey(np.full((20, 20), 0.3))) == 0


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_stripes_run_in_one_direction_and_noise_in_none(angle: float) -> None:
    assert line_structure(waves(0.1, angle)) > 0.9
    assert line_structure(random_texture()) < 0.35


def test_stronger_jpeg_compression_is_more_blocky() -> None:
    photo = data.astronaut()[:256, :256]
    values = [jpeg_blockiness(jpeg(photo, quality)) for quality in (95, 50, 20, 8)]
    assert values == sorted(values)
    assert abs(jpeg_blockiness(photo)) < 0.05
    assert values[-1] > 0.5


def test_a_blurred_photograph_has_fewer_edges_and_lower_frequencies() -> None:
    photo = data.coffee()[:256, :256]
    soft = np.rint(gaussian(photo, 3, channel_axis=2, preserve_range=True)).astype(np.uint8)
    sharp_values, soft_values = describe(photo), describe(soft)
    for name in ("edge density", "dominant frequency", "noise"):
        assert soft_values[name] < sharp_values[name], name


def test_a_flat_image_has_a_finite_description() -> None:
    found = describe(np.full((32, 48, 3), 90, np.uint8))
    assert set(found) == set(DESCRIPTORS)
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values())
