"""The vocabulary that architectures share: activations, residual blocks, upsamplers, initialisation."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

BRANCH_GAIN = 0.1
"""Gain of what a residual block adds, its residual scale included: a deep body starts close to the identity."""

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


class ResidualBlock(nn.Module):
    """Features plus a scaled branch: `(N, C, H, W)` -> `(N, C, H, W)`, x + residual_scale * branch(x)."""

    def __init__(self, branch: nn.Module, residual_scale: float) -> None:
        """Add `residual_scale` times the output of `branch`, which keeps channels, height and width."""
        super().__init__()
        self.branch = branch
        self.residual_scale = residual_scale

    def forward(self, features: Tensor) -> Tensor:
        """Add to `features` what the branch makes of them."""
        added: Tensor = self.branch(features)
        return features + (added if self.residual_scale == 1 else self.residual_scale * added)

    def extra_repr(self) -> str:
        """Show the scale when the module is printed."""
        return f"residual_scale={self.residual_scale:g}"


@dataclass(frozen=True)
class BlockSettings:
    """What a residual block recipe may use.

    Attributes:
        width: channels that come in and go out.
        activation: name of the activation.
        batch_norm_momentum: weight of the newest batch in the running statistics (torch's sense, not Keras').
        batch_norm_epsilon: added to the variance.
    """

    width: int
    activation: str
    batch_norm_momentum: float = 0.1
    batch_norm_epsilon: float = 1e-5


BranchFactory = Callable[[BlockSettings], nn.Module]
"""Makes the branch of a residual block: `(N, width, H, W)` -> `(N, width, H, W)`."""


@dataclass(frozen=True)
class _Recipe:
    branch: BranchFactory
    reach: int


_BLOCKS: dict[str, _Recipe] = {}


def register_block(name: str, branch: BranchFactory, reach: int) -> None:
    """Make `name` a valid residual block in every configuration; a name that is taken raises `ConfigError`.

    `reach` is how many pixels to each side an output pixel of the branch depends on (2 for two 3×3 convolutions);
    receptive fields are computed from it.
    """
    if name in _BLOCKS:
        raise ConfigError(f"block {name!r} is already registered")
    _BLOCKS[name] = _Recipe(branch, reach)


def block_names() -> list[str]:
    """The valid residual blocks, sorted.

    >>> {"batch", "plain"} <= set(block_names())
    True
    """
    return sorted(_BLOCKS)


def _recipe(name: str) -> _Recipe:
    if name not in _BLOCKS:
        raise unknown_name("block", name, _BLOCKS, ConfigError)
    return _BLOCKS[name]


def make_block(name: str, settings: BlockSettings, residual_scale: float = 1.0) -> ResidualBlock:
    """A new residual block; `ConfigError` names the nearest valid name."""
    return ResidualBlock(_recipe(name).branch(settings), residual_scale)


def block_reach(name: str) -> int:
    """How many pixels to each side an output pixel of the block depends on.

    >>> block_reach("plain")
    2
    """
    return _recipe(name).reach


def _known_block(name: str) -> str:
    if name not in _BLOCKS:
        raise ValueError(str(unknown_name("block", name, _BLOCKS)))
    return name


BlockName = Annotated[str, AfterValidator(_known_block)]
"""A configuration field that holds the name of a registered residual block."""

UpsamplerName = Literal["bicubic", "pixel_shuffle", "transposed"]
"""Where a network enlarges: its input (`bicubic`), or its features (`pixel_shuffle`, `transposed`)."""

FeatureUpsamplerName = Literal["pixel_shuffle", "transposed"]
"""How a network that works on the small picture enlarges its features."""

STAGE_KERNEL_SIZE = 3
"""Kernel size of the convolution ahead of each pixel shuffle of `make_staged_upsampler`."""


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


def batch_norm(settings: BlockSettings) -> nn.BatchNorm2d:
    """Batch normalisation of `settings.width` channels."""
    return nn.BatchNorm2d(settings.width, eps=settings.batch_norm_epsilon, momentum=settings.batch_norm_momentum)


def _plain_branch(settings: BlockSettings) -> nn.Module:
    """EDSR's branch (Lim et al., CVPRW 2017): convolution, activation, convolution."""
    return nn.Sequential(
        OrderedDict(
            first=same_convolution(settings.width, settings.width, 3),
            activation=make_activation(settings.activation, settings.width),
            second=same_convolution(settings.width, settings.width, 3),
        )
    )


def _batch_branch(settings: BlockSettings) -> nn.Module:
    """SRResNet's branch (Ledig et al., CVPR 2017): batch normalisation after each convolution."""
    return nn.Sequential(
        OrderedDict(
            first=same_convolution(settings.width, settings.width, 3),
            first_norm=batch_norm(settings),
            activation=make_activation(settings.activation, settings.width),
            second=same_convolution(settings.width, settings.width, 3),
            second_norm=batch_norm(settings),
        )
    )


register_block("plain", _plain_branch, reach=2)
register_block("batch", _batch_branch, reach=2)


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


def upsampling_stages(scale: int) -> list[int]:
    """The factors that features grow by one after another: 4 is 2 twice, as in EDSR and SRResNet.

    >>> [upsampling_stages(scale) for scale in (2, 3, 4)]
    [[2], [3], [2, 2]]
    """
    return [2, 2] if scale == 4 else [scale]


def make_staged_upsampler(
    upsampler: FeatureUpsamplerName, channels: int, scale: int, activation: str | None = None
) -> nn.Sequential:
    """What enlarges features in stages: `(N, channels, h, w)` -> `(N, channels, scale*h, scale*w)`.

    A stage of factor r is a convolution to r² times the channels and a pixel shuffle, or a transposed convolution;
    an `activation`, if named, ends each stage.
    """
    layers: list[nn.Module] = []
    for factor in upsampling_stages(scale):
        if upsampler == "pixel_shuffle":
            layers.append(same_convolution(channels, channels * factor**2, STAGE_KERNEL_SIZE))
            layers.append(nn.PixelShuffle(factor))
        else:
            layers.append(transposed_convolution(channels, factor))
        if activation is not None:
            layers.append(make_activation(activation, channels))
    return nn.Sequential(*layers)


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
    for layer in _convolutions(network):
        initialize(layer, LAST_GAIN if layer is last else HIDDEN_GAIN)


def initialize_residual_network(network: nn.Module, last: nn.Conv2d) -> None:
    """Draw the weights of every convolution of a network of `ResidualBlock`s, in order.

    Inside a branch `HIDDEN_GAIN`, as activations follow there; the branch's own last layer, be it a convolution or a
    batch normalisation, gets `BRANCH_GAIN`, so that the features neither grow with the depth nor depend on it.
    `LAST_GAIN` for `last`; 1 for every other convolution, as most of them are linear.
    """
    gains: dict[nn.Module, float] = {}
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            layers = [layer for layer in block.branch.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
            if not layers:
                continue
            gain = min(1.0, BRANCH_GAIN / block.residual_scale)
            gains.update(dict.fromkeys(layers, HIDDEN_GAIN))
            gains[layers[-1]] = gain
            if isinstance(layers[-1], nn.BatchNorm2d):
                nn.init.constant_(layers[-1].weight, gain)
    gains[last] = LAST_GAIN
    for layer in _convolutions(network):
        initialize(layer, gains.get(layer, 1.0))


def _convolutions(network: nn.Module) -> Iterator[nn.Conv2d | nn.ConvTranspose2d]:
    return (layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d))
