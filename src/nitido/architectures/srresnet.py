"""SRResNet: SRGAN's generator, residual blocks with batch normalisation on the small picture, and its modifications."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.layers import (
    ActivationName,
    BicubicUpscale,
    BlockName,
    BlockSettings,
    FeatureUpsamplerName,
    batch_norm,
    block_reach,
    initialize_residual_network,
    make_activation,
    make_block,
    make_staged_upsampler,
    same_convolution,
)
from nitido.architectures.receptive_field import Span

OUTER_KERNEL_SIZE = 9
"""Kernel size of the first and the last convolution."""

BODY_END_KERNEL_SIZE = 3
"""Kernel size of the convolution between the residual blocks and the long skip."""


class SRResNetConfig(NetworkConfig):
    """The configuration of an SRResNet; the defaults are the published network."""

    scale: Literal[2, 4] = Field(default=4, description="enlargement factor k: (h, w) becomes (k*h, k*w)")
    blocks: PositiveInt = Field(default=16, description="number of residual blocks")
    width: PositiveInt = Field(default=64, description="feature channels")
    block: BlockName = Field(default="batch", description="recipe of the residual blocks")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of what each residual block adds")
    activation: ActivationName = Field(default="prelu", description="activation of the whole network")
    upsampler: FeatureUpsamplerName = Field(
        default="pixel_shuffle",
        description="how the features grow: `pixel_shuffle` behind a convolution, or a `transposed` convolution",
    )
    output: Literal["linear", "tanh"] = Field(
        default="linear",
        description="`tanh` bounds the picture to (0, 1) as (tanh(x) + 1) / 2; `linear` leaves it as it is",
    )
    residual: bool = Field(
        default=False, description="add the bicubically enlarged input to the output; not with a `tanh` output"
    )
    batch_norm_momentum: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="weight of the newest batch in the running statistics: 1 minus the 0.8 of Keras implementations",
    )
    batch_norm_epsilon: float = Field(
        default=1e-3, gt=0, description="added to the variance in batch normalisation (Keras' default)"
    )

    @model_validator(mode="after")
    def _bounded_or_residual(self) -> Self:
        if self.residual and self.output == "tanh":
            raise ValueError("a tanh output is the picture itself, so residual must be false (or output linear)")
        return self


class UnitTanh(nn.Module):
    """The hyperbolic tangent moved from (-1, 1) to the range of pictures, (0, 1)."""

    def forward(self, image: Tensor) -> Tensor:
        """Bound `image`, of any shape."""
        return (torch.tanh(image) + 1) / 2


class SRResNet(SuperResolutionNetwork):
    """Residual blocks with batch normalisation under a long skip (Ledig et al., CVPR 2017), zero padded.

    `(N, channels, h, w)` float in [0, 1] -> `(N, channels, k*h, k*w)` float, not clamped (with a `tanh` output inside
    (0, 1)). In train mode batch normalisation lets every picture of a batch depend on the others; the receptive field
    is that of eval mode.
    """

    config: SRResNetConfig

    def __init__(self, config: SRResNetConfig) -> None:
        """Build the layers; weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        settings = BlockSettings(config.width, config.activation, config.batch_norm_momentum, config.batch_norm_epsilon)

        self.enlarge = BicubicUpscale(config.scale)
        self.head = nn.Sequential(
            OrderedDict(
                convolution=same_convolution(config.channels, config.width, OUTER_KERNEL_SIZE),
                activation=make_activation(config.activation, config.width),
            )
        )
        self.body = nn.Sequential(
            *(make_block(config.block, settings, config.residual_scale) for _ in range(config.blocks))
        )
        self.body_end = nn.Sequential(
            OrderedDict(
                convolution=same_convolution(config.width, config.width, BODY_END_KERNEL_SIZE),
                norm=batch_norm(settings),
            )
        )
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale, config.activation)
        self.reconstruction = same_convolution(config.width, config.channels, OUTER_KERNEL_SIZE)
        self.bound = UnitTanh() if config.output == "tanh" else None

        initialize_residual_network(self, self.reconstruction)

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1]."""
        shallow = self.head(lr)
        features = shallow + self.body_end(self.body(shallow))
        output: Tensor = self.reconstruction(self.upsampler(features))
        if self.bound is not None:
            output = self.bound(output)
        return self.enlarge(lr) + output if self.config.residual else output


def _support(config: SRResNetConfig, output: Span) -> Span:
    """The LR pixels that a span of output pixels depends on, in eval mode."""
    reach = OUTER_KERNEL_SIZE // 2 + config.blocks * block_reach(config.block) + BODY_END_KERNEL_SIZE // 2
    return receptive_field.through_small_picture_network(
        output, reach, config.upsampler, OUTER_KERNEL_SIZE, config.scale, config.residual
    )


_COMPACT: Mapping[str, object] = {"blocks": 6, "width": 32, "residual": True}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "srresnet": {},
    "keras": {"output": "tanh"},
    "compact": {**_COMPACT},
    "compact_plain": {**_COMPACT, "block": "plain"},
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
