import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from nitido.architectures.upsamplers import (
    UpsamplerName,
    make_staged_upsampler,
    make_upsampler,
    transposed_convolution,
    upsampled_channels,
)

GROWING: tuple[UpsamplerName, ...] = ("nearest", "pixel_shuffle", "transposed")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_transposed_convolution_enlarges_exactly(scale: int) -> None:
    assert transposed_convolution(2, scale)(torch.rand(1, 2, 5, 7)).shape == (1, 2, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("upsampler", GROWING)
def test_one_step_upscales_exactly(upsampler: UpsamplerName, scale: int) -> None:
    channels = 2 * scale**2
    grown = make_upsampler(upsampler, channels, scale, "relu")(torch.rand(1, channels, 5, 7))
    assert grown.shape == (1, upsampled_channels(upsampler, channels, scale), 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("activation", [None, "prelu"])
@pytest.mark.parametrize("upsampler", GROWING)
def test_staged_upsampler_enlarges_exactly(upsampler: UpsamplerName, scale: int, activation: str | None) -> None:
    grow = make_staged_upsampler(upsampler, 3, scale, activation)
    assert grow(torch.rand(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)
    stages = sum(isinstance(layer, nn.PReLU) for layer in grow)
    assert stages == (0 if activation is None else 2 if scale == 4 else 1)


@pytest.mark.parametrize("staged", [False, True])
def test_nearest_repeats_pixels_and_convolves(staged: bool) -> None:
    grow = make_staged_upsampler("nearest", 4, 2, "relu") if staged else make_upsampler("nearest", 4, 2, "relu")
    (convolution,) = [layer for layer in grow if isinstance(layer, nn.Conv2d)]
    features = torch.randn(1, 4, 5, 7)
    repeated = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = F.conv2d(repeated, convolution.weight, convolution.bias, padding=1).clamp(min=0)
    torch.testing.assert_close(grow(features), expected)


def test_bicubic_leaves_the_features_as_they_are() -> None:
    features = torch.rand(1, 4, 5, 7)
    assert torch.equal(make_upsampler("bicubic", 4, 3, "relu")(features), features)
    assert torch.equal(make_staged_upsampler("bicubic", 4, 3)(features), features)
