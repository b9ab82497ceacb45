"""VDSR: a deep chain of 3×3 convolutions that adds detail to a bicubically upscaled image, and its modifications."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.activations import ActivationName, activation_gain
from nitido.architectures.base import Architecture, Count, NetworkConfig, SuperResolutionNetwork, Width
from nitido.architectures.convolutions import BlockSettings, NormalizationName, unit
from nitido.architectures.initialization import IMAGE_GAIN, LAST_GAIN
from nitido.architectures.layers import BicubicUpscale, precisely, same_convolution
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UPSAMPLER_DESCRIPTION, UpsamplerName, make_upsampler, upsampled_channels

KERNEL_SIZE = 3
"""Kernel size of every convolution. The idea of the network is to replace large kernels by depth."""


class VDSRConfig(NetworkConfig):
    """The configuration of a VDSR. The defaults are the published network."""

    channels: Literal[1, 3] = Field(default=1, description="image channels: 1 = Y only, 3 = RGB")
    depth: Annotated[Count, Field(ge=2)] = Field(default=20, description="number of convolutions, including the last")
    width: Width = Field(default=64, description="feature channels between the convolutions")
    activation: ActivationName = Field(default="relu", description="activation after every convolution but the last")
    normalization: NormalizationName = Field(
        default="none", description="`batch` normalizes after every convolution but the first and the last"
    )
    upsampler: UpsamplerName = Field(default="bicubic", description=UPSAMPLER_DESCRIPTION)
    residual: bool = Field(default=True, description="add the bicubically upscaled input to the output")
    bias: bool = Field(default=True, description="let every convolution add a learned constant per channel")

    @model_validator(mode="after")
    def _width_fits_the_shuffle(self) -> Self:
        upsampled_channels(self.upsampler, self.width, self.scale)
        return self


class VDSR(SuperResolutionNetwork):
    """A chain of equal 3×3 convolutions with a global skip (Kim et al., CVPR 2016), zero padded.

    `(N, channels, h, w)` float in [0, 1] → `(N, channels, k*h, k*w)` float, not clamped. The upsampler precedes the
    last convolution. `pixel_shuffle` rearranges features to 1/k² of the channels at k times the size. `transposed` is a
    transposed convolution and an activation, `nearest` a nearest-neighbor upsampling, a convolution and an activation.
    """

    config: VDSRConfig

    def __init__(self, config: VDSRConfig) -> None:
        """Create the layers. Weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        inputs = upsampled_channels(config.upsampler, config.width, config.scale)

        self.upscale = BicubicUpscale(config.scale)
        self.body = nn.Sequential(_first_layer(config), *(_inner_layer(config) for _ in range(config.depth - 2)))
        self.upsampler = make_upsampler(
            config.upsampler, config.width, config.scale, config.activation, bias=config.bias
        )
        self.reconstruction = same_convolution(inputs, config.channels, KERNEL_SIZE, bias=config.bias, gain=LAST_GAIN)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]."""
        image = self.upscale(lr) if self.config.upsampler == "bicubic" else lr
        first, *others = self.body
        features = precisely(first, image)
        for layer in others:
            features = layer(features)
        output = precisely(self.reconstruction, self.upsampler(features))
        if not self.config.residual:
            return output
        skip = image if self.config.upsampler == "bicubic" else self.upscale(lr)
        return skip + output


def _first_layer(config: VDSRConfig) -> nn.Sequential:
    """Return the convolution of the image, which is never normalized, and its activation."""
    convolution = same_convolution(config.channels, config.width, KERNEL_SIZE, bias=config.bias)
    settings = BlockSettings(config.width, config.activation)
    return nn.Sequential(OrderedDict(unit(settings, convolution, input_gain=IMAGE_GAIN)))


def _inner_layer(config: VDSRConfig) -> nn.Sequential:
    """Return a convolution of features, its normalization and activation."""
    convolution = same_convolution(config.width, config.width, KERNEL_SIZE, bias=config.bias)
    settings = BlockSettings(config.width, config.activation, config.normalization)
    return nn.Sequential(OrderedDict(unit(settings, convolution, input_gain=activation_gain(config.activation))))


def _support(config: VDSRConfig, output: Span) -> Span:
    """Return the LR pixels that a span of output pixels depends on."""
    before = [KERNEL_SIZE] * (config.depth - 1)
    return receptive_field.through_chain(output, before, config.upsampler, [KERNEL_SIZE], config.scale, config.residual)


_COMPACT: Mapping[str, object] = {"depth": 8, "width": 32}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "vdsr": {},
    "compact": {**_COMPACT},
    "compact_leaky_relu": {**_COMPACT, "activation": "leaky_relu"},
    "compact_prelu": {**_COMPACT, "activation": "prelu"},
    "compact_elu": {**_COMPACT, "activation": "elu"},
    "compact_gelu": {**_COMPACT, "activation": "gelu"},
    "compact_silu": {**_COMPACT, "activation": "silu"},
    "compact_mish": {**_COMPACT, "activation": "mish"},
    "compact_batch": {**_COMPACT, "normalization": "batch"},
    "debug": {"depth": 4, "width": 4},
}
"""Name -> what differs from `VDSRConfig`'s defaults. `compact` trains in minutes on a CPU; `debug` is tiny."""

ARCHITECTURE = Architecture(
    name="vdsr",
    title="VDSR",
    reference="Kim, Lee, Lee: Accurate Image Super-Resolution Using Very Deep Convolutional Networks, CVPR 2016",
    config_class=VDSRConfig,
    network_class=VDSR,
    variants=VARIANTS,
    base="vdsr",
)
