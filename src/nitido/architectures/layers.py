"""Layers that several architectures use."""

from typing import Literal

import torch
from torch import Tensor, nn

from nitido.architectures.initialization import initialize
from nitido.imaging import bicubic_upscale

PaddingName = Literal["zeros", "replicate"]


def same_convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    bias: bool = True,
    groups: int = 1,
    gain: float = 1.0,
    padding: PaddingName = "zeros",
) -> nn.Conv2d:
    """Return a convolution with an odd kernel, padded to preserve height and width; `gain` scales its initial weights.

    A gain of 1 preserves the variance of the input features.
    """
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=kernel_size // 2,
        bias=bias,
        groups=groups,
        padding_mode=padding,
    )
    initialize(convolution, gain)
    return convolution


def precisely(layer: nn.Module, features: Tensor) -> Tensor:
    """Return `layer(features)`, in inference computed in float32 even under half precision autocast.

    A network's first and last layers determine the accuracy of its image. bfloat16 has eight significant bits, no more
    than an image, so the output of the last layer and the features of all skips would be rounded to them. In training
    mode this rounding is small noise, and speed matters more.
    """
    computed = isinstance(features, Tensor) and not features.is_meta  # not traced and not on the meta device
    if layer.training or not computed or not torch.is_autocast_enabled(features.device.type):
        output: Tensor = layer(features)
        return output
    with torch.autocast(features.device.type, enabled=False):
        exact: Tensor = layer(features.float())
        return exact


class BicubicUpscale(nn.Module):
    """MATLAB's bicubic upscaling as a layer: `(N, C, h, w)` → `(N, C, k*h, k*w)` float, not rounded or clamped."""

    def __init__(self, scale: int) -> None:
        """Store the integer `scale`."""
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Upscale `image`."""
        return bicubic_upscale(image, self.scale)

    def extra_repr(self) -> str:
        """Return the scale for the printed module."""
        return f"scale={self.scale}"


class ColorShift(nn.Module):
    """Adds a constant to each channel of `(N, C, H, W)`. The constants are configuration, not weights."""

    def __init__(self, shift: tuple[float, ...]) -> None:
        """Store `shift`, one number per channel."""
        super().__init__()
        self.constants = shift
        self.shift: Tensor
        self.register_buffer("shift", torch.tensor(shift).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return `image` plus the constants."""
        return image + self.shift

    def extra_repr(self) -> str:
        """Return the constants for the printed module."""
        return ", ".join(f"{value:+g}" for value in self.constants)
