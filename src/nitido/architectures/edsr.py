"""EDSR: residual blocks without normalisation on the small picture, enlarged at the end, and its modifications."""

from collections.abc import Mapping

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.layers import (
    ActivationName,
    BicubicUpscale,
    BlockName,
    BlockSettings,
    FeatureUpsamplerName,
    block_reach,
    initialize_residual_network,
    make_block,
    make_staged_upsampler,
    same_convolution,
)
from nitido.architectures.receptive_field import Span

KERNEL_SIZE = 3
"""Kernel size of the head, of the body's last convolution and of the reconstruction."""


class EDSRConfig(NetworkConfig):
    """The configuration of an EDSR; the defaults are the published baseline."""

    blocks: PositiveInt = Field(default=16, description="number of residual blocks")
    width: PositiveInt = Field(default=64, description="feature channels")
    block: BlockName = Field(default="plain", description="recipe of the residual blocks")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="factor of what each residual block adds")
    activation: ActivationName = Field(default="relu", description="activation inside the residual blocks")
    upsampler: FeatureUpsamplerName = Field(
        default="pixel_shuffle",
        description="how the features grow: `pixel_shuffle` behind a convolution, or a `transposed` convolution",
    )
    residual: bool = Field(default=False, description="add the bicubically enlarged input to the output")


class EDSR(SuperResolutionNetwork):
    """Residual blocks under a long skip (Lim et al., CVPRW 2017), zero padded, with the modifications.

    `(N, channels, h, w)` float in [0, 1] -> `(N, channels, k*h, k*w)` float, not clamped. The authors subtract the
    mean colour of their training set first and add it last; that is left out here: the biases can learn it.
    """

    config: EDSRConfig

    def __init__(self, config: EDSRConfig) -> None:
        """Build the layers; weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        settings = BlockSettings(config.width, config.activation)

        self.enlarge = BicubicUpscale(config.scale)
        self.head = same_convolution(config.channels, config.width, KERNEL_SIZE)
        self.body = nn.Sequential(
            *(make_block(config.block, settings, config.residual_scale) for _ in range(config.blocks))
        )
        self.body_end = same_convolution(config.width, config.width, KERNEL_SIZE)
        self.upsampler = make_staged_upsampler(config.upsampler, config.width, config.scale)
        self.reconstruction = same_convolution(config.width, config.channels, KERNEL_SIZE)

        initialize_residual_network(self, self.reconstruction)

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1]."""
        shallow = self.head(lr)
        features = shallow + self.body_end(self.body(shallow))
        output: Tensor = self.reconstruction(self.upsampler(features))
        return self.enlarge(lr) + output if self.config.residual else output


def _support(config: EDSRConfig, output: Span) -> Span:
    """The LR pixels that a span of output pixels depends on."""
    reach = 2 * (KERNEL_SIZE // 2) + config.blocks * block_reach(config.block)
    return receptive_field.through_small_picture_network(
        output, reach, config.upsampler, KERNEL_SIZE, config.scale, config.residual
    )


_COMPACT: Mapping[str, object] = {"blocks": 8, "width": 32, "residual": True}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "baseline": {},
    "edsr": {"blocks": 32, "width": 256, "residual_scale": 0.1},
    "compact": {**_COMPACT},
    "compact_residual_scale": {**_COMPACT, "residual_scale": 0.1},
    "compact_batch": {**_COMPACT, "block": "batch"},
    "debug": {"blocks": 2, "width": 4, "residual": True},
}
"""Name -> what differs from `EDSRConfig`'s defaults. `compact` trains in minutes on a CPU; `debug` is tiny."""

ARCHITECTURE = Architecture(
    name="edsr",
    title="EDSR",
    reference="Lim, Son, Kim, Nah, Lee: Enhanced Deep Residual Networks for Single Image Super-Resolution, CVPRW 2017",
    config_class=EDSRConfig,
    network_class=EDSR,
    variants=VARIANTS,
    base="baseline",
)
