"""RDN: residual dense blocks whose outputs are all fused, then upsampling, and its modifications."""

from collections.abc import Mapping
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.activations import ActivationName
from nitido.architectures.base import Architecture, Count, NetworkConfig, SuperResolutionNetwork, Width
from nitido.architectures.blocks import ResidualBlock
from nitido.architectures.convolutions import (
    NORMALIZATION_DESCRIPTION,
    ORDER_DESCRIPTION,
    BlockSettings,
    NormalizationName,
    OrderName,
    make_norm,
)
from nitido.architectures.dense import dense_branch
from nitido.architectures.initialization import IMAGE_GAIN, LAST_GAIN
from nitido.architectures.layers import BicubicUpscale, precisely, same_convolution
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UPSAMPLER_DESCRIPTION, UpsamplerName, make_staged_upsampler

KERNEL_SIZE = 3
"""Kernel size of every convolution except for the 1×1 fusions."""


MOST_CONVOLUTIONS = 1024


class RDNConfig(NetworkConfig):
    """The configuration of an RDN. The defaults are the published network."""

    blocks: Count = Field(default=16, description="number of residual dense blocks (D in the paper)")
    layers: Count = Field(default=8, description="convolutions in each residual dense block (C in the paper)")
    growth: Width = Field(default=64, description="channels that each convolution adds (G in the paper)")
    width: Width = Field(default=64, description="feature channels between the blocks (G0 in the paper)")
    activation: ActivationName = Field(default="relu", description="activation after each convolution of a block")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of each block's branch")
    normalization: NormalizationName = Field(default="none", description=NORMALIZATION_DESCRIPTION)
    order: OrderName = Field(default="conv_norm_act", description=ORDER_DESCRIPTION)
    upsampler: UpsamplerName = Field(default="pixel_shuffle", description=UPSAMPLER_DESCRIPTION)
    residual: bool = Field(default=False, description="add the bicubically upscaled input to the output")

    @model_validator(mode="after")
    def _number_of_convolutions(self) -> Self:
        if self.blocks * self.layers > MOST_CONVOLUTIONS:
            raise ValueError(f"{self.blocks} blocks of {self.layers} layers: at most {MOST_CONVOLUTIONS} in total")
        return self


class ResidualDenseBlock(ResidualBlock):
    """Dense layers and their 1×1 fusion, added to the input: `(N, width, H, W)` → `(N, width, H, W)`."""

    def __init__(self, config: RDNConfig, settings: BlockSettings) -> None:
        """Create the layers of one block of `config`."""
        branch = dense_branch(settings, config.layers, config.growth, fusion_kernel_size=1)
        super().__init__(branch, config.residual_scale)


class RDN(SuperResolutionNetwork):
    """Residual dense blocks, fused, with a long skip (Zhang et al., CVPR 2018), zero padded, with the modifications.

    `(N, channels, h, w)` float in [0, 1] → `(N, channels, k*h, k*w)` float, not clamped.
    """

    config: RDNConfig

    def __init__(self, config: RDNConfig) -> None:
        """Create the layers. Weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        settings = BlockSettings(config.width, config.activation, config.normalization, config.order)

        self.upscale = BicubicUpscale(config.scale)
        self.head = same_convolution(config.channels, config.width, KERNEL_SIZE, gain=IMAGE_GAIN)
        self.head_again = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.body = nn.ModuleList(ResidualDenseBlock(config, settings) for _ in range(config.blocks))
        self.fusion = same_convolution(config.blocks * config.width, config.width, 1)
        self.body_end = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.body_end_norm = make_norm(settings, config.width)
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale)
        self.reconstruction = same_convolution(config.width, config.channels, KERNEL_SIZE, gain=LAST_GAIN)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]."""
        image = self.upscale(lr) if self.config.upsampler == "bicubic" else lr
        shallow = precisely(self.head, image)
        features = precisely(self.head_again, shallow)
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        fused = self.body_end(self.fusion(torch.cat(outputs, dim=1)))
        if self.body_end_norm is not None:
            fused = self.body_end_norm(fused)
        output = precisely(self.reconstruction, self.upsampler(shallow + fused))
        if not self.config.residual:
            return output
        skip = image if self.config.upsampler == "bicubic" else self.upscale(lr)
        return skip + output


def _support(config: RDNConfig, output: Span) -> Span:
    """Return the LR pixels that a span of output pixels depends on."""
    reach = (3 + config.blocks * config.layers) * (KERNEL_SIZE // 2)  # two heads, the body's end, the dense layers
    return receptive_field.through_body_network(
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
    "compact_mish": {**_COMPACT, "activation": "mish"},
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
