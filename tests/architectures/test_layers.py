import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from nitido.architectures.layers import BicubicUpscale, ColorShift, same_convolution


def matlab_bicubic(image: Tensor, scale: int) -> Tensor:
    """torch's antialiased bicubic (a = -1/2) on an image whose border pixels are mirrored."""
    height, width = image.shape[-2:]
    rows, columns = (
        torch.cat([torch.arange(3, -1, -1), torch.arange(size), torch.arange(size - 1, size - 5, -1)])
        for size in (height, width)
    )
    padded = image[..., rows, :][..., columns]
    size = ((height + 8) * scale, (width + 8) * scale)
    grown = F.interpolate(padded, size=size, mode="bicubic", antialias=True)
    return grown[..., 4 * scale : -4 * scale, 4 * scale : -4 * scale]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_upscale_is_neither_rounded_nor_clamped(scale: int) -> None:
    edge = torch.zeros(1, 1, 7, 9, dtype=torch.float64)
    edge[..., 4:] = 1
    grown = BicubicUpscale(scale)(edge)
    torch.testing.assert_close(grown, matlab_bicubic(edge, scale), rtol=0, atol=1e-12)
    assert grown.max() > 1
    assert grown.min() < 0


@pytest.mark.parametrize("kernel_size", [1, 3, 9])
def test_same_convolution_keeps_height_and_width(kernel_size: int) -> None:
    assert same_convolution(2, 4, kernel_size, groups=2)(torch.rand(1, 2, 5, 7)).shape == (1, 4, 5, 7)


def test_a_color_shift_has_no_weights() -> None:
    shift = ColorShift((0.25, -0.5, 0.0))
    assert shift.state_dict() == {}
    shifted = shift(torch.zeros(1, 3, 2, 2))
    assert shifted[0, :, 1, 0].tolist() == [0.25, -0.5, 0.0]
    assert "+0.25, -0.5" in repr(shift)
