"""Excerpts of MATLAB's output come with the package: what MATLAB did is proven on every machine.

For the top left 64×64 pixels of an image, `hr`, the numbers that MATLAB's imresize made: `small_x2` by shrinking, and
`large_x2` by enlarging that again, as far as they depend on no pixel outside of the excerpt; likewise for ×3 and ×4.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.imaging import bicubic_downscale, bicubic_upscale, crop_to_multiple

SCALES = (2, 3, 4)
Excerpts = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def excerpts() -> Excerpts:
    with (files("nitido.benchmarking") / "matlab_excerpts.npz").open("rb") as file, np.load(file) as found:
        return dict(found)


def test_they_are_small(excerpts: Excerpts) -> None:
    assert set(excerpts) == {"hr", *(f"{kind}_x{scale}" for kind in ("small", "large") for scale in SCALES)}
    for name, pixels in excerpts.items():
        assert max(pixels.shape) <= 64, name
        assert pixels.dtype == np.uint8
        assert pixels.std() > 30, "flat numbers would prove little"


@pytest.mark.parametrize("scale", SCALES)
def test_downscaling_is_matlabs(excerpts: Excerpts, scale: int) -> None:
    expected = excerpts[f"small_x{scale}"]
    side = len(expected)
    assert side >= 13
    found = bicubic_downscale(crop_to_multiple(excerpts["hr"], scale), scale)
    np.testing.assert_array_equal(found[:side, :side], expected)


@pytest.mark.parametrize("scale", SCALES)
def test_upscaling_is_matlabs(excerpts: Excerpts, scale: int) -> None:
    expected = excerpts[f"large_x{scale}"]
    side = len(expected)
    assert side >= 44
    found = bicubic_upscale(excerpts[f"small_x{scale}"], scale)
    np.testing.assert_array_equal(found[:side, :side], expected)


@pytest.mark.parametrize("scale", SCALES)
def test_the_numbers_are_matlabs(shared: Path, excerpts: Excerpts, scale: int) -> None:
    for name, file in (
        (f"small_x{scale}", f"golden/matlab_bicubic_down/x{scale}/butterfly.png"),
        (f"large_x{scale}", f"golden/matlab_bicubic_down_up/x{scale}/butterfly.bmp"),
        ("hr", "data/set5/butterfly.bmp"),
    ):
        with Image.open(shared / file) as image:
            whole = np.asarray(image.convert("RGB"))
        side = len(excerpts[name])
        np.testing.assert_array_equal(excerpts[name], whole[:side, :side], err_msg=name)
