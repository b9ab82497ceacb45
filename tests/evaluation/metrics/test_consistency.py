"""Whether the input comes back, and whether the color stays: closed forms and what must not count."""

import math

import numpy as np
import pytest
from skimage import data

from nitido.evaluation.metrics import MetricError, MetricNotAvailableError, color_shift, lr_consistency, psnr_rgb
from nitido.imaging import bicubic_downscale, bicubic_upscale


def test_the_truth_gives_its_input_back_exactly() -> None:
    hr = data.astronaut()[:240, :252]
    assert lr_consistency(hr, bicubic_downscale(hr, 3), 3) == math.inf


def test_an_even_error_of_the_input_is_its_psnr() -> None:
    hr = data.coffee()[:80, :120]
    lr = bicubic_downscale(np.clip(hr, 10, 240), 4)
    sr = np.clip(hr, 10, 240) + np.uint8(5)
    assert lr_consistency(sr, lr, 4) == pytest.approx(10 * math.log10(255**2 / 25), abs=0.05)


def test_sizes_must_fit() -> None:
    with pytest.raises(MetricError, match=r"sr \(8, 9, 3\) is not 2 times as high and wide as lr \(4, 4, 3\)"):
        lr_consistency(np.zeros((8, 9, 3), np.uint8), np.zeros((4, 4, 3), np.uint8), 2)


def lightness(grey: int) -> float:
    """CIE L* of an sRGB grey."""
    value = grey / 255
    linear = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16


@pytest.mark.parametrize(("a", "b"), [(100, 104), (30, 60), (250, 200)])
def test_greys_differ_by_the_lightness_term_of_ciede2000(a: int, b: int) -> None:
    la, lb = lightness(a), lightness(b)
    deviation = ((la + lb) / 2 - 50) ** 2
    expected = abs(la - lb) / (1 + 0.015 * deviation / math.sqrt(20 + deviation))
    images = (np.full((40, 33, 3), grey, np.uint8) for grey in (a, b))
    assert color_shift(*images, 0) == pytest.approx(expected, abs=0.01)


def test_a_tint_counts_and_a_loss_of_detail_does_not() -> None:
    hr = data.astronaut()
    blurred = bicubic_upscale(bicubic_downscale(hr, 4), 4)
    tinted = np.clip(hr.astype(int) + np.array([4, 0, -4]), 0, 255).astype(np.uint8)
    assert psnr_rgb(blurred, hr, 4) < 27 < 36 < psnr_rgb(tinted, hr, 4)
    assert color_shift(blurred, hr, 4) < 0.3 < 1.5 < color_shift(tinted, hr, 4)


def test_a_checkerboard_has_the_color_of_its_mean() -> None:
    board = np.repeat((np.indices((32, 32)).sum(axis=0) % 2 * 100 + 50)[..., None], 3, axis=2).astype(np.uint8)
    assert color_shift(board, np.full((32, 32, 3), 100, np.uint8), 0) == pytest.approx(0, abs=1e-6)


def test_a_box_is_needed() -> None:
    image = np.zeros((20, 17, 3), np.uint8)
    with pytest.raises(MetricNotAvailableError, match="needs 16 pixels a side, and the image is 15×18"):
        color_shift(image, image, 1)
