"""The vocabulary that architectures share: activations, upsamplers, initialisation."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator
from torch import Tensor, nn

from nitido.errors import unknown_name
from nitido.imaging import bicubic_upscale
from nitido.validation import ConfigError

LEAKY_SLOPE = 0.2
"""Negative slope of `leaky_relu`, as in SRGAN's discriminator (Ledig et al., CVPR 2017)."""

HIDDEN_GAIN = math.sqrt(2)
"""Gain of `initialize` for a layer that a rectifier follows (He et al., ICCV 2015)."""

LAST_GAIN = 0.01
"""Gain of a network's last layer: small, so that a residual network starts at bicubic and no network starts far off,
but not zero, so that the layers before it learn from the first step."""

ActivationFactory = Callable[[int], nn.Module]
"""Makes an activation for a feature map of the given number of channels."""

_ACTIVATIONS: dict[str, ActivationFactory] = {}


def register_activation(name: str, factory: ActivationFactory) -> None:
    """Make `name` a valid activation in every configuration; a name that is taken raises `ConfigError`."""
    if name in _ACTIVATIONS:
        raise ConfigError(f"activation {name!r} is already registered")
    _ACTIVATIONS[name] = factory


register_activation("relu", lambda channels: nn.ReLU())
register_activation("leaky_relu", lambda channels: nn.LeakyReLU(LEAKY_SLOPE))
register_activation("prelu", lambda channels: nn.PReLU(channels))  # one learnt slope per channel: + `channels` weights
register_activation("elu", lambda channels: nn.ELU())
register_activation("gelu", lambda channels: nn.GELU())
register_activation("silu", lambda channels: nn.SiLU())


def activation_names() -> list[str]:
    """The valid activations, sorted.

    >>> {"elu", "gelu", "leaky_relu", "prelu", "relu", "silu"} <= set(activation_names())
    True
    """
    return sorted(_ACTIVATIONS)


def make_activation(name: str, channels: int) -> nn.Module:
    """A new activation for feature maps `(N, channels, H, W)`; `ConfigError` names the nearest valid name.

    >>> make_activation("prelu", 64)
    PReLU(num_parameters=64)
    """
    if name not in _ACTIVATIONS:
        raise unknown_name("activation", name, _ACTIVATIONS, ConfigError)
    return _ACTIVATIONS[name](channels)


def _known_activation(name: str) -> str:
    if name not in _ACTIVATIONS:
        raise ValueError(str(unknown_name("activation", name, _ACTIVATIONS)))
    return name


ActivationName = Annotated[str, AfterValidator(_known_activation)]
"""A configuration field that holds the name of a registered activation."""

UpsamplerName = Literal["bicubic", "pixel_shuffle", "transposed"]
"""Where a network enlarges: its input (`bicubic`), or its features (`pixel_shuffle`, `transposed`)."""


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


def same_convolution(in_channels: int, out_channels: int, kernel_size: int, bias: bool = True) -> nn.Conv2d:
    """A convolution with an odd kernel and zero padding that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)


def transposed_geometry(scale: int) -> tuple[int, int]:
    """Kernel size and padding of the transposed convolution that enlarges exactly `scale` times.

    The kernel 2k - (k mod 2) is the support of bilinear interpolation (Long et al., CVPR 2015): it is centred on its
    input pixel, overlaps evenly and gives (h - 1)*k - 2*padding + kernel = k*h.

    >>> [transposed_geometry(scale) for scale in (2, 3, 4)]
    [(4, 1), (5, 1), (8, 2)]
    """
    kernel_size = 2 * scale - scale % 2
    return kernel_size, (kernel_size - scale) // 2


def transposed_convolution(channels: int, scale: int, bias: bool = True) -> nn.ConvTranspose2d:
    """A transposed convolution that maps `(N, channels, h, w)` to `(N, channels, scale*h, scale*w)`."""
    kernel_size, padding = transposed_geometry(scale)
    return nn.ConvTranspose2d(channels, channels, kernel_size, stride=scale, padding=padding, bias=bias)


def upsampled_channels(upsampler: UpsamplerName, channels: int, scale: int) -> int:
    """How many of `channels` feature channels `upsampler` leaves; `ValueError` when a pixel shuffle cannot share them.

    >>> upsampled_channels("pixel_shuffle", 64, 2), upsampled_channels("transposed", 64, 2)
    (16, 64)
    """
    if upsampler != "pixel_shuffle":
        return channels
    area = scale**2
    if channels % area:
        fitting = max(area, round(channels / area) * area)
        raise ValueError(
            f"pixel_shuffle at scale {scale} needs a last feature width that is divisible by {area}, "
            f"got {channels} (nearest: {fitting})"
        )
    return channels // area


def make_upsampler(
    upsampler: UpsamplerName, channels: int, scale: int, activation: str, bias: bool = True
) -> nn.Module | None:
    """What enlarges features `(N, channels, h, w)` by `scale`; `None` for `bicubic`, where the input is enlarged.

    `pixel_shuffle` rearranges them to 1/scale² of the channels; `transposed` is a transposed convolution with an
    activation behind it.
    """
    if upsampler == "pixel_shuffle":
        return nn.PixelShuffle(scale)
    if upsampler == "transposed":
        return nn.Sequential(transposed_convolution(channels, scale, bias), make_activation(activation, channels))
    return None


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
    """Normal weights of standard deviation gain / sqrt(fan in), biases zero.

    A gain of 1 keeps the variance of the features, `HIDDEN_GAIN` keeps it through a ReLU. The fan in of a transposed
    convolution is what one output pixel sums over, not what torch's initialisers take it to be.
    """
    positions = math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else 1
    fan_in = layer.in_channels * math.prod(layer.kernel_size) / positions
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def initialize_network(network: nn.Module, last: nn.Conv2d) -> None:
    """Draw the weights of every convolution of `network`, in order: `LAST_GAIN` for `last`, else `HIDDEN_GAIN`."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            initialize(layer, LAST_GAIN if layer is last else HIDDEN_GAIN)
