"""SRGAN's discriminator: strided convolutions that classify images as real or upscaled.

It is not a super-resolution network and therefore not in the registry. `nitido.training.adversarial` creates it.
"""

from collections import OrderedDict
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from nitido.architectures.activations import LEAKY_SLOPE, make_activation
from nitido.architectures.base import Width
from nitido.base.validation import ConfigError, StrictModel

KERNEL_SIZE = 3
"""Kernel size of every convolution."""

LEVELS = 4
"""Number of halvings of the image."""


class DiscriminatorConfig(StrictModel):
    """The configuration of a discriminator. The defaults are the published network."""

    width: Width = Field(default=64, description="feature channels of the first convolution; doubled per level")
    dense_width: Width = Field(default=1024, description="neurons of the dense layer before the output")
    normalization: Literal["none", "batch"] = Field(
        default="batch", description="normalization after every convolution but the first"
    )
    batch_norm_momentum: float = Field(
        default=0.2, gt=0, le=1, description="weight of the newest batch in the running statistics (Keras: 1 - 0.8)"
    )
    batch_norm_epsilon: float = Field(default=1e-3, gt=0, description="added to the variance (Keras' default)")


def check_side(side: int) -> None:
    """Raise `ConfigError` if images of `side` pixels cannot be halved four times."""
    if side < 2**LEVELS or side % 2**LEVELS:
        nearest = max(1, round(side / 2**LEVELS)) * 2**LEVELS
        raise ConfigError(
            f"the discriminator needs patches whose side is a multiple of {2**LEVELS} high-resolution pixels, "
            f"got {side} (nearest: {nearest})"
        )


def check_batch(config: DiscriminatorConfig, batch: int, side: int) -> None:
    """Raise `ConfigError` if the last batch normalization would get a single value per channel."""
    if config.normalization == "batch" and batch == 1 and side == 2**LEVELS:
        raise ConfigError(
            f"a discriminator with batch normalization needs two patches of {side}×{side} high-resolution pixels per "
            f"batch, or larger ones: use batch 2, patches of {2 * side} high-resolution pixels, or "
            "adversarial.discriminator.normalization none"
        )


class Discriminator(nn.Module):
    """Classifies images of one size: `(N, channels, side, side)` float in [0, 1] → logits `(N, 1)`.

    Eight 3×3 convolutions, every second one with stride 2 before the width doubles, LeakyReLU 0.2, batch normalization
    after all but the first, and two dense layers (Ledig et al., CVPR 2017). A positive logit means "real". The paper's
    sigmoid is part of the loss.
    """

    def __init__(self, config: DiscriminatorConfig, channels: int, side: int) -> None:
        """Create the layers for images of `side` pixels; raise `ConfigError` if it is not a multiple of 16."""
        super().__init__()
        check_side(side)
        layers: list[nn.Module] = []
        inputs = channels
        for level in range(LEVELS):
            width = config.width * 2**level
            layers.append(_layer(config, inputs, width, stride=1, normalize=level > 0))
            layers.append(_layer(config, width, width, stride=2, normalize=True))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.verdict = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                dense=nn.Linear(inputs * (side // 2**LEVELS) ** 2, config.dense_width),
                activation=make_activation("leaky_relu", config.dense_width),
                output=nn.Linear(config.dense_width, 1),
            )
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=LEAKY_SLOPE)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of `image`, which is rescaled to [-1, 1], the range of a tanh generator."""
        logits: Tensor = self.verdict(self.features(2 * image - 1))
        return logits


def _layer(config: DiscriminatorConfig, inputs: int, outputs: int, stride: int, normalize: bool) -> nn.Sequential:
    """Return a convolution, its normalization if any, and LeakyReLU."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["convolution"] = nn.Conv2d(inputs, outputs, KERNEL_SIZE, stride=stride, padding=KERNEL_SIZE // 2)
    if normalize and config.normalization == "batch":
        layers["norm"] = nn.BatchNorm2d(outputs, eps=config.batch_norm_epsilon, momentum=config.batch_norm_momentum)
    layers["activation"] = make_activation("leaky_relu", outputs)
    return nn.Sequential(layers)
