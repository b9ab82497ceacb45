import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from nitido.imaging import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)


def test_luma_agrees_with_scikit_image(image):
    luma = rgb_to_y(image)
    assert luma.dtype == np.float64
    np.testing.assert_allclose(luma, rgb2ycbcr(image)[..., 0], rtol=0, atol=1e-10)


def test_luma_of_floats_is_that_of_integers(image):
    np.testing.assert_array_equal(rgb_to_y(image.astype(np.float32)), rgb_to_y(image))


def test_tensor_agrees_with_scikit_image(image):
    rgb = torch.from_numpy(image / 255.0).permute(2, 0, 1)[None]
    ycbcr = rgb_to_ycbcr(rgb)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ycbcr * 255, rgb2ycbcr(image), rtol=0, atol=1e-10)


def test_corners_of_the_color_cube():
    """BT.601: black and white are Y 16 and 235, and the primaries reach chroma 16 and 240."""
    red, blue, white, black = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    rgb = torch.tensor([red, blue, white, black], dtype=torch.float64)[:, :, None, None]
    y, cb, cr = (rgb_to_ycbcr(rgb) * 255).squeeze().unbind(1)
    assert y[2:].tolist() == pytest.approx([235, 16])
    assert cb[1:].tolist() == pytest.approx([240, 128, 128])
    assert cr[[0, 2, 3]].tolist() == pytest.approx([240, 128, 128])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_inverse(dtype, tolerance):
    rgb = torch.rand((2, 3, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    back = ycbcr_to_rgb(rgb_to_ycbcr(rgb))
    assert back.dtype == dtype
    assert (back - rgb).abs().max() < tolerance


def test_autocast_does_not_lower_the_precision():
    rgb = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = rgb_to_ycbcr(rgb)
    assert torch.equal(inside, rgb_to_ycbcr(rgb))
