"""Plain layers that architectures share."""

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
    """A convolution with an odd kernel, padded so that it keeps height and width; `gain` scales its first weights.

    A gain of 1 keeps the variance of the features that come in.
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
    """`layer` of `features`; of a model in use in float32, also where the rest runs in half precision.

    A network's first and last layers decide how exact its picture is: bfloat16 has eight bits, no more than a picture's
    own, so what the last layer gives would be rounded to them, and so would the features that all skips carry. In
    training mode the rounding is one more small noise, and the speed of half precision counts.
    """
    computed = isinstance(features, Tensor) and not features.is_meta  # neither traced for a diagram nor only counted
    if layer.training or not computed or not torch.is_autocast_enabled(features.device.type):
        output: Tensor = layer(features)
        return output
    with torch.autocast(features.device.type, enabled=False):
        exact: Tensor = layer(features.float())
        return exact


class BicubicUpscale(nn.Module):
    """MATLAB's bicubic enlargement as a layer: `(N, C, h, w)` -> `(N, C, k*h, k*w)`, float, not rounded or clamped."""

    def __init__(self, scale: int) -> None:
        """Enlarge by the integer `scale`."""
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge `image`."""
        return bicubic_upscale(image, self.scale)

    def extra_repr(self) -> str:
        """Show the scale when the module is printed."""
        return f"scale={self.scale}"


class ColourShift(nn.Module):
    """Adds a constant to each channel of `(N, C, H, W)`. The constants are configuration, not weights."""

    def __init__(self, shift: tuple[float, ...]) -> None:
        """Add `shift`, one number per channel."""
        super().__init__()
        self.constants = shift
        self.shift: Tensor
        self.register_buffer("shift", torch.tensor(shift).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Shift `image`."""
        return image + self.shift

    def extra_repr(self) -> str:
        """Show the constants when the module is printed."""
        return ", ".join(f"{value:+g}" for value in self.constants)
