"""RDN: residual dense blocks whose outputs are all fused, enlarged at the end, and its modifications."""

from collections.abc import Mapping

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.layers import (
    ActivationName,
    BicubicUpscale,
    FeatureUpsamplerName,
    ResidualBlock,
    initialize_residual_network,
    make_activation,
    make_staged_upsampler,
    same_convolution,
)
from nitido.architectures.receptive_field import Span

KERNEL_SIZE = 3
"""Kernel size of every convolution but the 1×1 fusions."""


class RDNConfig(NetworkConfig):
    """The configuration of an RDN; the defaults are the published network."""

    blocks: PositiveInt = Field(default=16, description="number of residual dense blocks (D in the paper)")
    layers: PositiveInt = Field(default=8, description="convolutions in each residual dense block (C in the paper)")
    growth: PositiveInt = Field(default=64, description="channels that each of them adds (G in the paper)")
    width: PositiveInt = Field(default=64, description="feature channels between the blocks (G0 in the paper)")
    activation: ActivationName = Field(default="relu", description="activation after each convolution of a block")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of what each block adds")
    upsampler: FeatureUpsamplerName = Field(
        default="pixel_shuffle",
        description="how the features grow: `pixel_shuffle` behind a convolution, or a `transposed` convolution",
    )
    residual: bool = Field(default=False, description="add the bicubically enlarged input to the output")


class DenseLayer(nn.Module):
    """A convolution and activation whose output is put behind its input: `(N, C, H, W)` -> `(N, C + G, H, W)`."""

    def __init__(self, in_channels: int, growth: int, activation: str) -> None:
        """Add `growth` channels to `in_channels`."""
        super().__init__()
        self.convolution = same_convolution(in_channels, growth, KERNEL_SIZE)
        self.activation = make_activation(activation, growth)

    def forward(self, features: Tensor) -> Tensor:
        """Append what the convolution makes of `features`."""
        return torch.cat([features, self.activation(self.convolution(features))], dim=1)


class ResidualDenseBlock(ResidualBlock):
    """Dense layers and their 1×1 fusion, added to the input: `(N, width, H, W)` -> `(N, width, H, W)`."""

    def __init__(self, config: RDNConfig) -> None:
        """Build the layers of one block of `config`."""
        inputs = [config.width + index * config.growth for index in range(config.layers + 1)]
        dense = [DenseLayer(channels, config.growth, config.activation) for channels in inputs[:-1]]
        fusion = same_convolution(inputs[-1], config.width, 1)
        super().__init__(nn.Sequential(*dense, fusion), config.residual_scale)


class RDN(SuperResolutionNetwork):
    """Residual dense blocks, fused, under a long skip (Zhang et al., CVPR 2018), zero padded, with the modifications.

    `(N, channels, h, w)` float in [0, 1] -> `(N, channels, k*h, k*w)` float, not clamped.
    """

    config: RDNConfig

    def __init__(self, config: RDNConfig) -> None:
        """Build the layers; weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        self.enlarge = BicubicUpscale(config.scale)
        self.head = same_convolution(config.channels, config.width, KERNEL_SIZE)
        self.head_again = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.body = nn.ModuleList(ResidualDenseBlock(config) for _ in range(config.blocks))
        self.fusion = same_convolution(config.blocks * config.width, config.width, 1)
        self.body_end = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale)
        self.reconstruction = same_convolution(config.width, config.channels, KERNEL_SIZE)

        initialize_residual_network(self, self.reconstruction)

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1]."""
        shallow = self.head(lr)
        features = self.head_again(shallow)
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        fused = shallow + self.body_end(self.fusion(torch.cat(outputs, dim=1)))
        output: Tensor = self.reconstruction(self.upsampler(fused))
        return self.enlarge(lr) + output if self.config.residual else output


def _support(config: RDNConfig, output: Span) -> Span:
    """The LR pixels that a span of output pixels depends on."""
    reach = (3 + config.blocks * config.layers) * (KERNEL_SIZE // 2)  # two heads, the body's end, the dense layers
    return receptive_field.through_small_picture_network(
        output, reach, config.upsampler, KERNEL_SIZE, config.scale, config.residual
    )


_COMPACT: Mapping[str, object] = {"blocks": 4, "layers": 3, "growth": 16, "width": 32, "residual": True}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "rdn": {},
    "compact": {**_COMPACT},
    "compact_leaky_relu": {**_COMPACT, "activation": "leaky_relu"},
    "compact_prelu": {**_COMPACT, "activation": "prelu"},
    "compact_elu": {**_COMPACT, "activation": "elu"},
    "compact_gelu": {**_COMPACT, "activation": "gelu"},
    "compact_silu": {**_COMPACT, "activation": "silu"},
    "debug": {"blocks": 2, "layers": 2, "growth": 3, "width": 4, "residual": True},
}
"""Name -> what differs from `RDNConfig`'s defaults. `compact` trains in minutes on a CPU; `debug` is tiny."""

ARCHITECTURE = Architecture(
    name="rdn",
    title="RDN",
    reference="Zhang, Tian, Kong, Zhong, Fu: Residual Dense Network for Image Super-Resolution, CVPR 2018",
    config_class=RDNConfig,
    network_class=RDN,
    variants=VARIANTS,
    base="rdn",
)
