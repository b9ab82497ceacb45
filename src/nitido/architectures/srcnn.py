"""SRCNN: three convolutions that sharpen a bicubically upscaled image, and its modifications."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator
from torch import Tensor, nn

from nitido.architectures import receptive_field
from nitido.architectures.activations import ActivationName, activation_gain, make_activation
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork, Width
from nitido.architectures.convolutions import BlockSettings, NormalizationName, make_norm
from nitido.architectures.initialization import IMAGE_GAIN, LAST_GAIN
from nitido.architectures.layers import BicubicUpscale, PaddingName, precisely, same_convolution
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UPSAMPLER_DESCRIPTION, UpsamplerName, make_upsampler, upsampled_channels


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a kernel size must be odd, got {value}")
    return value


OddInt = Annotated[PositiveInt, Field(le=255), AfterValidator(_odd)]


class SRCNNConfig(NetworkConfig):
    """The configuration of an SRCNN. The defaults are the `vanilla` variant."""

    kernel_sizes: tuple[OddInt, OddInt, OddInt] = Field(
        default=(9, 3, 5), description="kernel sizes of feature extraction, mapping and reconstruction"
    )
    widths: tuple[Width, Width] = Field(
        default=(128, 64), description="output channels of feature extraction and of mapping"
    )
    activation: ActivationName = Field(default="relu", description="activation after every layer but the last")
    normalization: NormalizationName = Field(default="none", description="`batch` normalizes after the mapping")
    upsampler: UpsamplerName = Field(default="bicubic", description=UPSAMPLER_DESCRIPTION)
    residual: bool = Field(default=False, description="add the bicubically upscaled input to the output")
    padding: PaddingName = Field(
        default="zeros",
        description="padding of convolutions: zeros, or the border pixels and features repeated",
    )

    @model_validator(mode="after")
    def _width_fits_the_shuffle(self) -> Self:
        upsampled_channels(self.upsampler, self.widths[1], self.scale)
        return self


class SRCNN(SuperResolutionNetwork):
    """Feature extraction, mapping and reconstruction (Dong et al., TPAMI 2016), with the modifications.

    `(N, channels, h, w)` float in [0, 1] → `(N, channels, k*h, k*w)` float, not clamped. The upsampler follows the
    mapping. `pixel_shuffle` rearranges features to 1/k² of the channels at k times the size. `transposed` is a
    transposed convolution and an activation, `nearest` a nearest-neighbor upsampling, a convolution and an activation.
    """

    config: SRCNNConfig

    def __init__(self, config: SRCNNConfig) -> None:
        """Create the layers. Weights are drawn from torch's global random generator."""
        super().__init__(config, receptive_field.radius(config.scale, lambda span: _support(config, span)))
        first, second, third = config.kernel_sizes
        features, mapped = config.widths
        upsampled = upsampled_channels(config.upsampler, mapped, config.scale)

        settings = BlockSettings(mapped, config.activation, config.normalization)
        gain, padding = activation_gain(config.activation), config.padding

        self.upscale = BicubicUpscale(config.scale)
        self.extraction = same_convolution(config.channels, features, first, gain=IMAGE_GAIN, padding=padding)
        self.extraction_activation = make_activation(config.activation, features)
        self.mapping = same_convolution(features, mapped, second, gain=gain, padding=padding)
        self.mapping_norm = make_norm(settings, mapped)
        self.mapping_activation = make_activation(config.activation, mapped)
        self.upsampler = make_upsampler(config.upsampler, mapped, config.scale, config.activation)
        self.reconstruction = same_convolution(upsampled, config.channels, third, gain=LAST_GAIN, padding=padding)

    def first_half(self) -> list[nn.Module]:
        """Return the feature extraction and its activation."""
        return [self.extraction, self.extraction_activation]

    def module_sequences(self) -> list[list[str]]:
        """Return the modules from the mapping to the upsampler."""
        norm = [] if self.mapping_norm is None else ["mapping_norm"]
        return [["mapping", *norm, "mapping_activation", "upsampler"]]

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]."""
        features = self.upscale(lr) if self.config.upsampler == "bicubic" else lr
        skip = features
        features = self.extraction_activation(precisely(self.extraction, features))
        features = self.mapping(features)
        if self.mapping_norm is not None:
            features = self.mapping_norm(features)
        features = self.upsampler(self.mapping_activation(features))
        output = precisely(self.reconstruction, features)
        if not self.config.residual:
            return output
        if self.config.upsampler != "bicubic":
            skip = self.upscale(lr)
        return skip + output


def _support(config: SRCNNConfig, output: Span) -> Span:
    """Return the LR pixels that a span of output pixels depends on."""
    *before, last = config.kernel_sizes
    return receptive_field.through_chain(output, before, config.upsampler, [last], config.scale, config.residual)


_SMALL_IMAGE: Mapping[str, object] = {"upsampler": "pixel_shuffle", "kernel_sizes": (5, 3, 5), "widths": (64, 128)}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "vanilla": {},
    "leaky_relu": {"activation": "leaky_relu"},
    "prelu": {"activation": "prelu"},
    "residual": {"residual": True},
    "pixel_shuffle": {**_SMALL_IMAGE},
    "pixel_shuffle_residual": {**_SMALL_IMAGE, "residual": True},
    "pixel_shuffle_residual_leaky_relu": {**_SMALL_IMAGE, "residual": True, "activation": "leaky_relu"},
    "paper_9_1_5": {"channels": 1, "kernel_sizes": (9, 1, 5), "widths": (64, 32)},
    "debug": {"kernel_sizes": (3, 1, 3), "widths": (4, 4), "residual": True},
}
"""Name -> what differs from `SRCNNConfig`'s defaults. `debug` is tiny, for tests."""

ARCHITECTURE = Architecture(
    name="srcnn",
    title="SRCNN",
    reference="Dong, Loy, He, Tang: Image Super-Resolution Using Deep Convolutional Networks, TPAMI 2016",
    config_class=SRCNNConfig,
    network_class=SRCNN,
    variants=VARIANTS,
    base="vanilla",
)
