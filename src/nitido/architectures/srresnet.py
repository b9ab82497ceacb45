"""SRResNet: SRGAN's generator, residual blocks with batch normalization at low resolution, and its modifications."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.activations import ActivationName, make_activation
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
from nitido.architectures.layers import BicubicUpscale, precisely, same_convolution
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UPSAMPLER_DESCRIPTION, UpsamplerName, make_staged_upsampler

OUTER_KERNEL_SIZE = 9
"""Kernel size of the first and the last convolution."""

BODY_END_KERNEL_SIZE = 3
"""Kernel size of the convolution between the residual blocks and the long skip."""


class SRResNetConfig(NetworkConfig):
    """The configuration of an SRResNet. The defaults are the published network."""

    scale: Literal[2, 4] = Field(default=4, description="upscaling factor k: (h, w) becomes (k*h, k*w)")
    blocks: Count = Field(default=16, description="number of residual blocks")
    width: Width = Field(default=64, description="feature channels")
    block: BlockName = Field(default="plain", description="recipe of the residual blocks")
    second_half_block: BlockName | None = Field(
        default=None, description="recipe of the blocks from number blocks // 2 on (counted from 0), if different"
    )
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of each residual block's branch")
    activation: ActivationName = Field(default="prelu", description="activation of the whole network")
    normalization: NormalizationName = Field(default="batch", description=NORMALIZATION_DESCRIPTION)
    order: OrderName = Field(default="conv_norm_act", description=ORDER_DESCRIPTION)
    body_end: Literal["normalization", "activation"] = Field(
        default="normalization", description="what follows the convolution between the blocks and the long skip"
    )
    upsampler: UpsamplerName = Field(default="pixel_shuffle", description=UPSAMPLER_DESCRIPTION)
    output: Literal["linear", "tanh"] = Field(
        default="linear",
        description="`tanh` bounds the image to (0, 1) as (tanh(x) + 1) / 2; `linear` does not change it",
    )
    residual: bool = Field(
        default=False, description="add the bicubically upscaled input to the output; not with a `tanh` output"
    )
    batch_norm_momentum: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="weight of the newest batch in the running statistics: 1 minus the 0.8 of Keras implementations",
    )
    batch_norm_epsilon: float = Field(
        default=1e-3, gt=0, description="added to the variance in batch normalization (Keras' default)"
    )

    @model_validator(mode="after")
    def _bounded_or_residual(self) -> Self:
        if self.residual and self.output == "tanh":
            raise ValueError("a tanh output is the image itself, so residual must be false (or output linear)")
        return self

    def recipes(self) -> list[str]:
        """Return the recipe of every block, in order.

        >>> SRResNetConfig(blocks=3, second_half_block="dense").recipes()
        ['plain', 'dense', 'dense']
        """
        first = self.blocks // 2
        return [self.block] * first + [self.second_half_block or self.block] * (self.blocks - first)


class UnitTanh(nn.Module):
    """The hyperbolic tangent rescaled from (-1, 1) to the range of images, (0, 1)."""

    def forward(self, image: Tensor) -> Tensor:
        """Return the rescaled hyperbolic tangent of `image`, of any shape."""
        return (torch.tanh(image) + 1) / 2


class SRResNet(SuperResolutionNetwork):
    """Residual blocks with batch normalization and a long skip (Ledig et al., CVPR 2017), zero padded.

    `(N, channels, h, w)` float in [0, 1] → `(N, channels, k*h, k*w)` float, not clamped (within (0, 1) for a `tanh`
    output). In train mode, batch normalization makes every image of a batch depend on the others; the receptive field
    is that of eval mode.
    """

    config: SRResNetConfig

    def __init__(self, config: SRResNetConfig) -> None:
        """Create the layers. Weights are drawn from torch's global random generator."""
        super().__init__(config, _radius(config))
        settings = BlockSettings(
            config.width,
            config.activation,
            config.normalization,
            config.order,
            config.batch_norm_momentum,
            config.batch_norm_epsilon,
        )

        self.upscale = BicubicUpscale(config.scale)
        self.head = nn.Sequential(
            OrderedDict(
                convolution=same_convolution(config.channels, config.width, OUTER_KERNEL_SIZE, gain=IMAGE_GAIN),
                activation=make_activation(config.activation, config.width),
            )
        )
        self.body = nn.Sequential(*(make_block(recipe, settings, config.residual_scale) for recipe in config.recipes()))
        self.body_end = nn.Sequential(
            OrderedDict(convolution=same_convolution(config.width, config.width, BODY_END_KERNEL_SIZE))
        )
        if config.body_end == "activation":
            self.body_end.add_module("activation", make_activation(config.activation, config.width))
        elif (norm := make_norm(settings, config.width)) is not None:
            self.body_end.add_module("norm", norm)
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale, config.activation)
        self.reconstruction = same_convolution(config.width, config.channels, OUTER_KERNEL_SIZE, gain=LAST_GAIN)
        self.bound = UnitTanh() if config.output == "tanh" else None

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]."""
        image = self.upscale(lr) if self.config.upsampler == "bicubic" else lr
        shallow = precisely(self.head, image)
        features = shallow + self.body_end(self.body(shallow))
        output = precisely(self.reconstruction, self.upsampler(features))
        if self.bound is not None:
            output = self.bound(output)
        if not self.config.residual:
            return output
        skip = image if self.config.upsampler == "bicubic" else self.upscale(lr)
        return skip + output


def _radius(config: SRResNetConfig) -> int | None:
    """Return the receptive field's radius in eval mode; None if the blocks depend on the whole image."""
    blocks = block_reach(config.recipes())
    if blocks is None:
        return None
    reach = blocks + OUTER_KERNEL_SIZE // 2 + BODY_END_KERNEL_SIZE // 2
    return receptive_field.radius(config.scale, lambda output: _support(config, reach, output))


def _support(config: SRResNetConfig, reach: int, output: Span) -> Span:
    """Return the LR pixels that a span of output pixels depends on.

    The layers before the upsampler reach `reach` pixels.
    """
    return receptive_field.through_body_network(
        output, reach, config.upsampler, OUTER_KERNEL_SIZE, config.scale, config.residual
    )


_COMPACT: Mapping[str, object] = {"blocks": 6, "width": 32, "residual": True}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "srresnet": {},
    "keras": {"output": "tanh"},
    "compact": {**_COMPACT},
    "compact_plain": {**_COMPACT, "normalization": "none"},
    "compact_edsr_second_half": {**_COMPACT, "second_half_block": "edsr"},
    "compact_dense_second_half": {**_COMPACT, "second_half_block": "dense"},
    "compact_dense": {**_COMPACT, "block": "dense"},
    "debug": {"blocks": 2, "width": 4, "residual": True},
}
"""Name -> what differs from `SRResNetConfig`'s defaults.

`keras` is the generator of the common Keras implementations; `compact` trains in minutes on a CPU; `debug` is tiny.
"""

ARCHITECTURE = Architecture(
    name="srresnet",
    title="SRResNet",
    reference=(
        "Ledig, Theis, Huszár et al.: Photo-Realistic Single Image Super-Resolution "
        "Using a Generative Adversarial Network, CVPR 2017"
    ),
    config_class=SRResNetConfig,
    network_class=SRResNet,
    variants=VARIANTS,
    base="srresnet",
)
