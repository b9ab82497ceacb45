"""Convolutions with their normalization and activation, in either order, and chains of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from nitido.architectures.activations import activation_gain, make_activation
from nitido.architectures.initialization import initialize

NormalizationName = Literal["none", "batch"]
"""Normalization of features: none, or batch normalization (Ioffe and Szegedy, ICML 2015)."""

OrderName = Literal["conv_norm_act", "pre_activation"]
"""Activation after its convolution, or normalization and activation before it (He et al., ECCV 2016)."""

NORMALIZATION_DESCRIPTION = "`batch` normalizes at each convolution of the blocks and after the last one of the body"
"""The description of `normalization` in configurations with blocks."""

ORDER_DESCRIPTION = (
    "normalization and activation follow each convolution of a block (`conv_norm_act`) or precede it (`pre_activation`)"
)
"""The description of `order` in configurations."""


@dataclass(frozen=True)
class BlockSettings:
    """Settings that all convolutions of a block share.

    Attributes:
        width: Number of input and output channels.
        activation: Name of the activation.
        normalization: Normalization at each convolution.
        order: Whether normalization and activation follow or precede their convolution.
        batch_norm_momentum: Weight of the newest batch in the running statistics (PyTorch's convention, not Keras').
        batch_norm_epsilon: Added to the variance.
    """

    width: int
    activation: str
    normalization: NormalizationName = "none"
    order: OrderName = "conv_norm_act"
    batch_norm_momentum: float = 0.1
    batch_norm_epsilon: float = 1e-5


def make_norm(settings: BlockSettings, channels: int) -> nn.BatchNorm2d | None:
    """Return the normalization of `channels` channels, or None."""
    if settings.normalization == "none":
        return None
    return nn.BatchNorm2d(channels, eps=settings.batch_norm_epsilon, momentum=settings.batch_norm_momentum)


def unit(
    settings: BlockSettings, convolution: nn.Conv2d, *, activated: bool = True, input_gain: float = 1.0
) -> dict[str, nn.Module]:
    """Return `convolution` with its normalization and activation, by name, in the order of `settings`.

    The weights of the convolution are initialized.

    Args:
        settings: Normalization, activation and their order.
        convolution: The layer.
        activated: Whether an activation follows, in `conv_norm_act` order. In `pre_activation` order, normalization and
            activation always come first.
        input_gain: In `conv_norm_act` order, 1 / the root mean square of the input.
    """
    if settings.order == "pre_activation":
        channels = convolution.in_channels
        layers = {
            "norm": make_norm(settings, channels),
            "activation": make_activation(settings.activation, channels),
            "convolution": convolution,
        }
        initialize(convolution, activation_gain(settings.activation))
    else:
        channels = convolution.out_channels
        layers = {
            "convolution": convolution,
            "norm": make_norm(settings, channels),
            "activation": make_activation(settings.activation, channels) if activated else None,
        }
        initialize(convolution, input_gain)
    return {name: layer for name, layer in layers.items() if layer is not None}


def chain(settings: BlockSettings, convolutions: Mapping[str, nn.Conv2d]) -> nn.Sequential:
    """Return consecutive `convolutions`, each with its normalization, and activations in between.

    The weights are initialized. No activation follows the last convolution; in `pre_activation` order, one precedes the
    first. The convolution `x` keeps its name; the modules that belong to it are `x_norm` and `x_activation`.
    """
    layers = nn.Sequential()
    last = list(convolutions)[-1]
    input_gain = 1.0
    for name, convolution in convolutions.items():
        parts = unit(settings, convolution, activated=name != last, input_gain=input_gain)
        for role, layer in parts.items():
            layers.add_module(name if role == "convolution" else f"{name}_{role}", layer)
        input_gain = activation_gain(settings.activation)
    return layers
