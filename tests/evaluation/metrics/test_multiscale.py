"""MS-SSIM: an independent implementation, the definition for odd sides, and what it needs."""

import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim as independent
from scipy.signal import convolve2d
from skimage import data

from nitido.evaluation.metrics import MetricNotAvailableError, luma, ms_ssim, ms_ssim_y


def pair(height: int, width: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    truth = luma(data.astronaut())[:height, :width]
    return np.clip(truth + np.random.default_rng(0).normal(0, sigma, truth.shape), 0, 255), truth


@pytest.mark.parametrize(("height", "width", "sigma"), [(176, 176, 5), (192, 256, 30), (512, 400, 90)])
def test_equals_an_independent_implementation(height: int, width: int, sigma: float) -> None:
    a, b = pair(height, width, sigma)
    planes = (torch.from_numpy(plane)[None, None] for plane in (a, b))
    # Its own window is float32, whatever the image is: good for five digits.
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).view(1, 1, 1, 11)
    assert ms_ssim(a, b, 0) == pytest.approx(independent(*planes, data_range=255, win=window).item(), abs=1e-9)


def test_odd_sides_follow_the_authors_matlab_code() -> None:
    # There: imfilter(img, ones(2)/4, 'symmetric', 'same'), then every second pixel; filter2(window, img, 'valid').
    a, b = pair(181, 199, 25)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        ma, mb, aa, bb, ab = (convolve2d(x, window, mode="valid") for x in (a, b, a * a, b * b, a * b))
        cs = (2 * (ab - ma * mb) + c2) / (aa - ma**2 + bb - mb**2 + c2)
        full = cs * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
        expected *= (full if scale == 4 else cs).mean() ** weight
        a, b = (convolve2d(np.pad(x, (0, 1), mode="symmetric"), np.ones((2, 2)) / 4, "valid")[::2, ::2] for x in (a, b))
    assert ms_ssim(*pair(181, 199, 25), 0) == pytest.approx(expected, abs=1e-10)


def test_the_border_does_not_count_but_takes_from_the_size() -> None:
    hr = data.astronaut()[:180, :200]
    sr = hr.copy()
    sr[:2] ^= 255
    assert ms_ssim_y(sr, hr, 2) == pytest.approx(1.0)
    assert ms_ssim_y(sr, hr, 1) < 0.9999
    with pytest.raises(
        MetricNotAvailableError, match="176 pixels a side, and the image is 194×174 with its border of 3"
    ):
        ms_ssim_y(sr, hr, 3)


def test_a_negative_is_nothing_alike_rather_than_a_complex_number() -> None:
    truth = luma(data.astronaut())
    assert ms_ssim(255 - truth, truth, 0) == 0.0
