"""VDSR: a deep chain of 3×3 convolutions that adds detail to a bicubically enlarged picture, and its modifications."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.layers import (
    ActivationName,
    BicubicUpscale,
    UpsamplerName,
    initialize_network,
    make_activation,
    make_upsampler,
    same_convolution,
    upsampled_channels,
)
from nitido.architectures.receptive_field import Span

KERNEL_SIZE = 3
"""Every convolution's kernel size: depth takes the place of large kernels, which is the network's idea."""


class VDSRConfig(NetworkConfig):
    """The configuration of a VDSR; the defaults are the published network."""

    channels: Literal[1, 3] = Field(default=1, description="colour channels the network works on: 1 = Y alone, 3 = RGB")
    depth: int = Field(default=20, ge=2, description="number of convolutions, the last one included")
    width: PositiveInt = Field(default=64, description="feature channels between the convolutions")
    activation: ActivationName = Field(default="relu", description="activation after every convolution but the last")
    upsampler: UpsamplerName = Field(
        default="bicubic",
        description=(
            "where the picture grows: `bicubic` enlarges the input; `pixel_shuffle` and `transposed` (convolution) "
            "work on the small picture and enlarge before the last convolution"
        ),
    )
    residual: bool = Field(default=True, description="add the bicubically enlarged input to the output")
    bias: bool = Field(default=True, description="let every convolution add a learnt constant per channel")

    @model_validator(mode="after")
    def _width_fits_the_shuffle(self) -> Self:
        upsampled_channels(self.upsampler, self.width, self.scale)
        return self


class VDSR(SuperResolutionNetwork):
    """A chain of equal 3×3 convolutions under a global skip (Kim et al., CVPR 2016), zero padded.

    `(N, channels, h, w)` float in [0, 1] -> `(N, channels, k*h, k*w)` float, not clamped. With `pixel_shuffle` the
    features before the last convolution are rearranged to 1/k² of the channels at k times the size; with `transposed`
    a transposed convolution and an activation stand there.
    """

    config: VDSRConfig

    def __init__(self, config: VDSRConfig) -> None:
        """Build the layers; weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        inputs = [config.channels] + [config.width] * (config.depth - 2)
        grown = upsampled_channels(config.upsampler, config.width, config.scale)

        self.enlarge = BicubicUpscale(config.scale)
        self.body = nn.Sequential(*(_layer(config, channels) for channels in inputs))
        self.upsampler = make_upsampler(
            config.upsampler, config.width, config.scale, config.activation, bias=config.bias
        )
        self.reconstruction = same_convolution(grown, config.channels, KERNEL_SIZE, bias=config.bias)

        initialize_network(self, self.reconstruction)

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1]."""
        picture = self.enlarge(lr) if self.config.upsampler == "bicubic" else lr
        features = self.body(picture)
        if self.upsampler is not None:
            features = self.upsampler(features)
        output: Tensor = self.reconstruction(features)
        if not self.config.residual:
            return output
        skip = picture if self.config.upsampler == "bicubic" else self.enlarge(lr)
        return skip + output


def _layer(config: VDSRConfig, in_channels: int) -> nn.Sequential:
    """One convolution of the body and its activation."""
    return nn.Sequential(
        OrderedDict(
            convolution=same_convolution(in_channels, config.width, KERNEL_SIZE, bias=config.bias),
            activation=make_activation(config.activation, config.width),
        )
    )


def _support(config: VDSRConfig, output: Span) -> Span:
    """The LR pixels that a span of output pixels depends on."""
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
