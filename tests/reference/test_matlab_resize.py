"""Every image that MATLAB's imresize made must come out bit for bit."""

from pathlib import Path

import numpy as np
from PIL import Image

from nitido.imaging import bicubic_downscale, bicubic_upscale, crop_to_multiple

SCALES = (2, 3, 4)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_downscale_is_bit_identical_to_matlab(shared):
    compared = 0
    for k in SCALES:
        for golden in sorted((shared / f"golden/matlab_bicubic_down/x{k}").glob("*.png")):
            original = crop_to_multiple(pixels(shared / f"data/set5/{golden.stem}.bmp"), k)
            np.testing.assert_array_equal(bicubic_downscale(original, k), pixels(golden), err_msg=f"{golden.name} x{k}")
            compared += 1
    assert compared == 15


def test_upscale_is_bit_identical_to_matlab(shared):
    compared = 0
    for k in SCALES:
        for golden in sorted((shared / f"golden/matlab_bicubic_down_up/x{k}").glob("*.bmp")):
            small = pixels(shared / f"golden/matlab_bicubic_down/x{k}/{golden.stem}.png")
            np.testing.assert_array_equal(bicubic_upscale(small, k), pixels(golden), err_msg=f"{golden.name} x{k}")
            compared += 1
    assert compared == 15
