"""Upsamplers: of the input, or of features in one step or in stages."""

from typing import Literal

from torch import nn

from nitido.architectures.activations import activation_gain, make_activation
from nitido.architectures.initialization import initialize
from nitido.architectures.layers import same_convolution

UpsamplerName = Literal["bicubic", "nearest", "pixel_shuffle", "transposed"]
"""What a network upsamples, and how.

- `bicubic`: its input; all layers work at high resolution.
- `nearest`: its features, with a 3×3 convolution after nearest-neighbor upsampling (Odena et al., Distill 2016).
- `pixel_shuffle`: its features, by rearranging channels to pixels (Shi et al., CVPR 2016).
- `transposed`: its features, by a transposed convolution.
"""

UPSAMPLER_DESCRIPTION = (
    "`bicubic` upscales the input; the others upsample features of the LR image: `pixel_shuffle`, a `transposed` "
    "convolution, or `nearest` neighbors and a convolution"
)
"""The description of `upsampler` in configurations."""

STAGE_KERNEL_SIZE = 3
"""Kernel size of the convolution after `nearest`, and before each pixel shuffle of `make_staged_upsampler`."""


def transposed_geometry(scale: int) -> tuple[int, int]:
    """Return kernel size and padding of the transposed convolution that upsamples exactly by `scale`.

    The kernel size 2k - (k mod 2) is the support of bilinear interpolation (Long et al., CVPR 2015). It is centered at
    its input pixel, overlaps evenly and gives (h - 1)*k - 2*padding + kernel = k*h.

    >>> [transposed_geometry(scale) for scale in (2, 3, 4)]
    [(4, 1), (5, 1), (8, 2)]
    """
    kernel_size = 2 * scale - scale % 2
    return kernel_size, (kernel_size - scale) // 2


def transposed_convolution(channels: int, scale: int, *, bias: bool = True, gain: float = 1.0) -> nn.ConvTranspose2d:
    """Return a transposed convolution that maps `(N, channels, h, w)` to `(N, channels, scale*h, scale*w)`."""
    kernel_size, padding = transposed_geometry(scale)
    layer = nn.ConvTranspose2d(channels, channels, kernel_size, stride=scale, padding=padding, bias=bias)
    initialize(layer, gain)
    return layer


def upsampled_channels(upsampler: UpsamplerName, channels: int, scale: int) -> int:
    """Return the number of channels after `upsampler`; raise `ValueError` if a pixel shuffle cannot divide them.

    >>> upsampled_channels("pixel_shuffle", 64, 2), upsampled_channels("transposed", 64, 2)
    (16, 64)
    """
    if upsampler != "pixel_shuffle":
        return channels
    area = scale**2
    if channels % area:
        nearest = max(area, round(channels / area) * area)
        raise ValueError(
            f"pixel_shuffle at scale {scale} needs a last feature width that is divisible by {area}, "
            f"got {channels} (nearest: {nearest})"
        )
    return channels // area


def make_upsampler(
    upsampler: UpsamplerName, channels: int, scale: int, activation: str, bias: bool = True
) -> nn.Sequential:
    """Return the layers that upsample activated features `(N, channels, h, w)` by `scale` in one step.

    `pixel_shuffle` reduces the channels to 1/scale². `transposed` and `nearest` preserve them and end with an
    activation. There are no layers for `bicubic`, which upscales the input.
    """
    gain = activation_gain(activation)
    if upsampler == "pixel_shuffle":
        return nn.Sequential(nn.PixelShuffle(scale))
    if upsampler == "transposed":
        layer = transposed_convolution(channels, scale, bias=bias, gain=gain)
        return nn.Sequential(layer, make_activation(activation, channels))
    if upsampler == "nearest":
        convolution = same_convolution(channels, channels, STAGE_KERNEL_SIZE, bias=bias, gain=gain)
        return nn.Sequential(_repeat_pixels(scale), convolution, make_activation(activation, channels))
    return nn.Sequential()


def upsampling_stages(scale: int) -> list[int]:
    """Return the factors of consecutive upsampling stages: twice 2 for 4, as in EDSR and SRResNet.

    >>> [upsampling_stages(scale) for scale in (2, 3, 4)]
    [[2], [3], [2, 2]]
    """
    return [2, 2] if scale == 4 else [scale]


def make_staged_upsampler(
    upsampler: UpsamplerName, channels: int, scale: int, activation: str | None = None
) -> nn.Sequential:
    """Return the layers that upsample features in stages: `(N, channels, h, w)` → `(N, channels, scale*h, scale*w)`.

    A stage of factor r is a convolution to r² times the channels and a pixel shuffle, or a transposed convolution, or
    nearest-neighbor upsampling and a convolution. If `activation` is given, it ends each stage. There are no layers for
    `bicubic`.
    """
    stages = nn.Sequential()
    if upsampler == "bicubic":
        return stages
    gain = 1.0
    for factor in upsampling_stages(scale):
        if upsampler == "pixel_shuffle":
            stages.append(same_convolution(channels, channels * factor**2, STAGE_KERNEL_SIZE, gain=gain))
            stages.append(nn.PixelShuffle(factor))
        elif upsampler == "transposed":
            stages.append(transposed_convolution(channels, factor, gain=gain))
        else:
            stages.append(_repeat_pixels(factor))
            stages.append(same_convolution(channels, channels, STAGE_KERNEL_SIZE, gain=gain))
        if activation is not None:
            stages.append(make_activation(activation, channels))
            gain = activation_gain(activation)
    return stages


def _repeat_pixels(scale: int) -> nn.Upsample:
    return nn.Upsample(scale_factor=scale, mode="nearest")
