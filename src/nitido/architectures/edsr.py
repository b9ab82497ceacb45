"""EDSR: residual blocks without normalization at low resolution, then upsampling, and its modifications."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.activations import ActivationName
from nitido.architectures.base import Architecture, Count, NetworkConfig, SuperResolutionNetwork, Width
from nitido.architectures.blocks import BlockName, block_reach, make_block
from nitido.architectures.convolutions import (
    NORMALIZATION_DESCRIPTION,
    ORDER_DESCRIPTION,
    BlockSettings,
    NormalizationName,
    OrderName,
    make_norm,
)
from nitido.architectures.initialization import IMAGE_GAIN, LAST_GAIN
from nitido.architectures.layers import BicubicUpscale, ColorShift, precisely, same_convolution
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UPSAMPLER_DESCRIPTION, UpsamplerName, make_staged_upsampler

KERNEL_SIZE = 3
"""Kernel size of the head, of the body's last convolution and of the reconstruction."""


Share = Annotated[float, Field(ge=0, le=1)]


class EDSRConfig(NetworkConfig):
    """The configuration of an EDSR. The defaults are the published baseline."""

    blocks: Count = Field(default=16, description="number of residual blocks")
    width: Width = Field(default=64, description="feature channels")
    block: BlockName = Field(default="plain", description="recipe of the residual blocks")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of each residual block's branch")
    activation: ActivationName = Field(default="relu", description="activation inside the residual blocks")
    normalization: NormalizationName = Field(default="none", description=NORMALIZATION_DESCRIPTION)
    order: OrderName = Field(default="conv_norm_act", description=ORDER_DESCRIPTION)
    upsampler: UpsamplerName = Field(default="pixel_shuffle", description=UPSAMPLER_DESCRIPTION)
    residual: bool = Field(default=False, description="add the bicubically upscaled input to the output")
    rgb_mean: tuple[Share, Share, Share] = Field(
        default=(0.0, 0.0, 0.0),
        description="mean color of the training images, in [0, 1]; subtracted from the input and added to the output",
    )

    @model_validator(mode="after")
    def _mean_requires_rgb(self) -> Self:
        if self.channels == 1 and any(self.rgb_mean):
            raise ValueError(f"rgb_mean must be (0, 0, 0) if channels is 1, got {self.rgb_mean}")
        return self


class EDSR(SuperResolutionNetwork):
    """Residual blocks with a long skip (Lim et al., CVPRW 2017), zero padded, with the modifications.

    `(N, channels, h, w)` float in [0, 1] → `(N, channels, k*h, k*w)` float, not clamped. The authors first subtract the
    mean color of their training set and finally add it: `rgb_mean`. It is zero by default, because the biases can learn
    it.
    """

    config: EDSRConfig

    def __init__(self, config: EDSRConfig) -> None:
        """Create the layers. Weights are drawn from torch's global random generator."""
        super().__init__(config, _radius(config))
        settings = BlockSettings(config.width, config.activation, config.normalization, config.order)

        self.upscale = BicubicUpscale(config.scale)
        self.subtract_mean = ColorShift(tuple(-value for value in config.rgb_mean)) if any(config.rgb_mean) else None
        self.head = same_convolution(config.channels, config.width, KERNEL_SIZE, gain=IMAGE_GAIN)
        self.body = nn.Sequential(
            *(make_block(config.block, settings, config.residual_scale) for _ in range(config.blocks))
        )
        self.body_end = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.body_end_norm = make_norm(settings, config.width)
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale)
        self.reconstruction = same_convolution(config.width, config.channels, KERNEL_SIZE, gain=LAST_GAIN)
        self.add_mean = ColorShift(config.rgb_mean) if any(config.rgb_mean) else None

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]."""
        if self.subtract_mean is not None:
            lr = self.subtract_mean(lr)
        image = self.upscale(lr) if self.config.upsampler == "bicubic" else lr
        shallow = precisely(self.head, image)
        deep = self.body_end(self.body(shallow))
        if self.body_end_norm is not None:
            deep = self.body_end_norm(deep)
        output = precisely(self.reconstruction, self.upsampler(shallow + deep))
        if self.config.residual:
            output = (image if self.config.upsampler == "bicubic" else self.upscale(lr)) + output
        return output if self.add_mean is None else self.add_mean(output)


def _radius(config: EDSRConfig) -> int | None:
    """Return the receptive field's radius; None if the blocks depend on the whole image."""
    blocks = block_reach([config.block] * config.blocks)
    if blocks is None:
        return None
    reach = blocks + 2 * (KERNEL_SIZE // 2)
    return receptive_field.radius(config.scale, lambda output: _support(config, reach, output))


def _support(config: EDSRConfig, reach: int, output: Span) -> Span:
    """Return the LR pixels that a span of output pixels depends on.

    The layers before the upsampler reach `reach` pixels.
    """
    return receptive_field.through_body_network(
        output, reach, config.upsampler, KERNEL_SIZE, config.scale, config.residual
    )


_COMPACT: Mapping[str, object] = {"blocks": 8, "width": 32, "residual": True}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "baseline": {},
    "edsr": {"blocks": 32, "width": 256, "residual_scale": 0.1},
    "compact": {**_COMPACT},
    "compact_residual_scale": {**_COMPACT, "residual_scale": 0.1},
    "compact_batch": {**_COMPACT, "block": "batch"},
    "compact_bottleneck": {**_COMPACT, "block": "bottleneck"},
    "compact_separable": {**_COMPACT, "block": "separable"},
    "compact_channel_attention": {**_COMPACT, "block": "channel_attention"},
    "compact_dense": {**_COMPACT, "block": "dense", "blocks": 4},
    "compact_rrdb": {**_COMPACT, "block": "rrdb", "blocks": 1},
    "debug": {"blocks": 2, "width": 4, "residual": True},
}
"""Name -> what differs from `EDSRConfig`'s defaults. `compact` trains in minutes on a CPU; `debug` is tiny.

`compact_dense` and `compact_rrdb` have fewer blocks, because one of their blocks costs as much as 2 and 10 plain ones.
"""

ARCHITECTURE = Architecture(
    name="edsr",
    title="EDSR",
    reference="Lim, Son, Kim, Nah, Lee: Enhanced Deep Residual Networks for Single Image Super-Resolution, CVPRW 2017",
    config_class=EDSRConfig,
    network_class=EDSR,
    variants=VARIANTS,
    base="baseline",
)
