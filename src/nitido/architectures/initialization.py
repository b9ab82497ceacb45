"""How fresh weights are drawn."""

import math

import torch
from torch import nn

Convolution = nn.Conv2d | nn.ConvTranspose2d

PICTURE_GAIN = math.sqrt(3)
"""Gain of a network's first layer: the mean square of a picture spread evenly over [0, 1] is 1/3."""

LAST_GAIN = 0.01
"""Gain of a network's last layer: small, so that a residual network starts at bicubic and no network starts far off,
but not zero, so that the layers before it learn from the first step."""

BRANCH_GAIN = 0.1
"""Gain of what a residual block adds, its residual scale included: a deep body starts close to the identity."""


def initialize(layer: Convolution, gain: float) -> None:
    """Normal weights of standard deviation gain / sqrt(fan in), biases zero.

    A gain of 1 keeps the variance of the features; `activations.activation_gain` keeps it behind an activation. The
    fan in counts what one output pixel sums over: the channels of one group, and of a transposed convolution's kernel
    the share that falls on a pixel, not what torch's initialisers take it to be.
    """
    positions = math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else 1
    fan_in = layer.in_channels / layer.groups * math.prod(layer.kernel_size) / positions
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def damp(layer: nn.Module, factor: float) -> None:
    """Multiply the weights of a linear `layer`, and with them its output, by `factor`."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(factor)
