"""PSNR and SSIM of images that are compared in bands, against NumPy and scikit-image on the whole."""

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from nitido.evaluation import psnr, psnr_rgb, psnr_y, ssim, ssim_y
from nitido.imaging import rgb_to_y
from tests.forked import ForkServer

RANDOM = np.random.default_rng(0)
HR = RANDOM.integers(0, 256, (2100, 2050, 3), dtype=np.uint8)  # more than a band
SR = np.clip(HR.astype(int) + RANDOM.integers(-9, 10, HR.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shave", [0, 3])
def test_bands_are_the_whole(shave: int) -> None:
    inside = slice(shave, 2100 - shave), slice(shave, 2050 - shave)
    a, b = rgb_to_y(SR)[inside], rgb_to_y(HR)[inside]
    assert psnr_y(SR, HR, shave) == pytest.approx(10 * np.log10(255**2 / np.mean((a - b) ** 2)), abs=1e-9)
    errors = (SR[inside].astype(float) - HR[inside]) ** 2
    assert psnr_rgb(SR, HR, shave) == pytest.approx(10 * np.log10(255**2 / errors.mean()), abs=1e-9)
    theirs = structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert ssim_y(SR, HR, shave) == pytest.approx(theirs, abs=1e-9)


def test_an_image_of_one_band_has_the_very_value_of_the_whole() -> None:
    a, b = rgb_to_y(SR[:700, :900]), rgb_to_y(HR[:700, :900])
    inside = slice(2, -2), slice(2, -2)
    assert psnr(a, b, 2) == 10 * np.log10(255**2 / np.mean((a[inside] - b[inside]) ** 2))
    assert ssim(a, b, 2) == structural_similarity(
        a[inside], b[inside], data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def test_memory_does_not_grow_with_the_image(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import resource\nimport numpy as np\nfrom nitido.evaluation import psnr_rgb, psnr_y, ssim_y\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "a = np.zeros((8000, 1500, 3), np.uint8)\na[::2] = 9\nb = a // 2\n"
        "psnr_y(a[:2800], b[:2800], 2), ssim_y(a[:2800], b[:2800], 2), psnr_rgb(a[:2800], b[:2800], 2)\n"
        "before = peak()\npsnr_y(a, b, 2), ssim_y(a, b, 2), psnr_rgb(a, b, 2)\nprint(peak() - before)\n"
    )
    ended = fork_server.python(code, cwd=tmp_path)
    assert int(ended.out) < 75_000  # KiB; the planes alone are 192 MB
