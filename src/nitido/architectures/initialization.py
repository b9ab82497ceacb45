"""Weight initialization."""

import math

import torch
from torch import nn

Convolution = nn.Conv2d | nn.ConvTranspose2d

IMAGE_GAIN = math.sqrt(3)
"""Gain of a network's first layer: the mean square of an image with values uniform in [0, 1] is 1/3."""

LAST_GAIN = 0.01
"""Gain of a network's last layer.

It is small, so that a residual network starts at bicubic and other networks near zero, but not zero, so that the layers
before it learn from the first step.
"""

BRANCH_GAIN = 0.1
"""Gain of a residual block's branch, including its residual scale.

A deep body therefore starts close to the identity.
"""


def initialize(layer: Convolution, gain: float) -> None:
    """Draw normal weights of standard deviation gain / sqrt(fan in) and set biases to zero.

    A gain of 1 preserves the variance of the features; `activations.activation_gain` preserves it after an activation.
    The fan in is the number of inputs that one output pixel sums over: the channels of one group and, for a transposed
    convolution, only the kernel positions that reach a pixel. torch's initializers count this differently.
    """
    if layer.weight.is_meta:  # there are no values, and PyTorch would take milliseconds to draw none
        return
    positions = math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else 1
    fan_in = layer.in_channels / layer.groups * math.prod(layer.kernel_size) / positions
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def damp(layer: nn.Module, factor: float) -> None:
    """Multiply the weights of a linear `layer`, and thereby its output, by `factor`."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(factor)
