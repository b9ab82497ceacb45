"""A convolution with its normalisation and activation, and chains of them: the one place that knows their order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from nitido.architectures.activations import activation_gain, make_activation
from nitido.architectures.initialization import initialize

NormalizationName = Literal["none", "batch"]
"""What normalises features: nothing, or batch normalisation (Ioffe and Szegedy, ICML 2015)."""

OrderName = Literal["conv_norm_act", "pre_activation"]
"""Activation behind its convolution, or normalisation and activation ahead of it (He et al., ECCV 2016)."""

NORMALIZATION_DESCRIPTION = "`batch` normalises at each convolution of the blocks and behind the one that ends the body"
"""What configurations say about their `normalization`, where they have blocks."""

ORDER_DESCRIPTION = (
    "`conv_norm_act` has normalisation and activation behind each convolution of a block, `pre_activation` ahead of it"
)
"""What configurations say about their `order`."""


@dataclass(frozen=True)
class BlockSettings:
    """What surrounds the convolutions of a block.

    Attributes:
        width: channels that come in and go out.
        activation: name of the activation.
        normalization: what normalises the features at each convolution.
        order: whether normalisation and activation stand behind or ahead of their convolution.
        batch_norm_momentum: weight of the newest batch in the running statistics (torch's sense, not Keras').
        batch_norm_epsilon: added to the variance.
    """

    width: int
    activation: str
    normalization: NormalizationName = "none"
    order: OrderName = "conv_norm_act"
    batch_norm_momentum: float = 0.1
    batch_norm_epsilon: float = 1e-5


def make_norm(settings: BlockSettings, channels: int) -> nn.BatchNorm2d | None:
    """What normalises `channels` channels, if anything does."""
    if settings.normalization == "none":
        return None
    return nn.BatchNorm2d(channels, eps=settings.batch_norm_epsilon, momentum=settings.batch_norm_momentum)


def unit(
    settings: BlockSettings, convolution: nn.Conv2d, *, activated: bool = True, input_gain: float = 1.0
) -> dict[str, nn.Module]:
    """`convolution` with its normalisation and activation, by name, in the order of `settings`; draws its weights.

    In `conv_norm_act` order the activation stands at the end, and only if `activated`; `input_gain` is 1 / the root
    mean square of what comes in. In `pre_activation` order normalisation and activation always come first.
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
    """Named `convolutions` in a row, each with its normalisation, with activations in between; draws their weights.

    Behind the last one stands no activation; in `pre_activation` order one stands ahead of the first. The convolution
    `x` keeps its name, its companions are `x_norm` and `x_activation`.
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
