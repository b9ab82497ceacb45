"""SSIMULACRA 2: scores of the authors' C++ program on images that anyone can recreate."""

import math

import numpy as np
import pytest

from nitido.evaluation.metrics import MetricNotAvailableError, ssimulacra2
from nitido.evaluation.metrics.ssimulacra import _HALF_WINDOW


def flat(size: int, value: int) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def ramp(size: int) -> np.ndarray:
    row = (np.arange(size) * 255 // (size - 1)).astype(np.uint8)
    return np.repeat(np.tile(row, (size, 1))[..., None], 3, axis=2)


def noise(size: int) -> np.ndarray:
    """Bits 33 to 40 of a 64-bit linear congruential generator started with 42."""
    state, values = 42, []
    for _ in range(size * size * 3):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append(state >> 33 & 255)
    return np.array(values, np.uint8).reshape(size, size, 3)


# libjxl's `ssimulacra2`, as published with imazen/ssimulacra2 (src/reference_data.rs, January 2026).
# It computes in float32, which shows in flat areas: there its own ports differ by up to 1.2.
@pytest.mark.parametrize(
    ("hr", "sr", "score", "tolerance"),
    [
        (ramp(64), flat(64, 128), -64.56872148, 0.01),
        (noise(64), flat(64, 128), -47.33572558, 0.01),
        (flat(256, 128), flat(256, 178), -0.39085784, 0.02),
        (flat(128, 128), flat(128, 178), -9.82383315, 0.05),
        (flat(64, 128), flat(64, 148), 56.05855584, 0.2),
        (flat(256, 128), flat(256, 138), 80.29149136, 0.5),
    ],
)
def test_scores_are_the_authors(hr: np.ndarray, sr: np.ndarray, score: float, tolerance: float) -> None:
    assert ssimulacra2(sr, hr, 0) == pytest.approx(score, abs=tolerance)


def test_turned_images_score_alike() -> None:
    hr, sr = ramp(50), flat(50, 128)
    assert ssimulacra2(sr, hr.transpose(1, 0, 2), 0) == pytest.approx(ssimulacra2(sr, hr, 0), rel=1e-9)


def test_the_blur_is_the_truncated_cosines_of_the_paper() -> None:
    # Charalampidis 2016: three cosines that sum to 1, have the variance σ², and the Gaussian's third coefficient.
    radius, sigma = 5, 1.5
    n = np.arange(-radius, radius + 1)
    frequencies = np.array([1, 3, 5]) * math.pi / (2 * radius)
    cosines = np.cos(frequencies[:, None] * n)
    p = np.array([1, -1, 1]) / np.tan(frequencies / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(frequencies)
    z = np.cross(p, r)
    gaussian = np.exp(-(sigma**2) * frequencies**2 / 2) / radius
    wanted = [1, radius**2 - sigma**2, z @ gaussian / z[2]]
    weights = np.linalg.solve([p, r, z / z[2]], wanted)
    np.testing.assert_allclose((weights @ cosines)[radius:], [*_HALF_WINDOW, 0], atol=1e-12)
    assert sum(weights @ cosines * n**2) == pytest.approx(sigma**2)


def test_eight_pixels_are_needed() -> None:
    assert ssimulacra2(flat(8, 9), flat(8, 9), 0) == 100.0
    with pytest.raises(MetricNotAvailableError, match="needs 8 pixels a side, and the image is 7×7"):
        ssimulacra2(flat(9, 9), flat(9, 9), 1)
