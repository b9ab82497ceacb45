"""Densely connected convolutions: each sees the outputs of all before it."""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from nitido.architectures.activations import activation_gain
from nitido.architectures.convolutions import BlockSettings, unit
from nitido.architectures.layers import same_convolution


class DenseLayer(nn.Sequential):
    """A convolution unit whose output is put behind its input: `(N, C, H, W)` -> `(N, C + G, H, W)`."""

    def forward(self, features: Tensor) -> Tensor:
        """Append what the unit makes of `features`."""
        added = features
        for layer in self:
            added = layer(added)
        return torch.cat([features, added], dim=1)


def dense_branch(settings: BlockSettings, layers: int, growth: int, fusion_kernel_size: int) -> nn.Sequential:
    """`layers` 3×3 convolutions that add `growth` channels each, and one that fuses all: width in, width out.

    The residual dense block of RDN (Zhang et al., CVPR 2018) without its skip; ESRGAN's (Wang et al., ECCVW 2018)
    where `fusion_kernel_size` is 3.
    """
    branch = nn.Sequential()
    for index in range(layers):
        grown = index * growth
        convolution = same_convolution(settings.width + grown, growth, 3)
        parts = unit(settings, convolution, input_gain=_input_gain(settings, grown))
        branch.append(DenseLayer(OrderedDict(parts)))
    grown = layers * growth
    fusion = same_convolution(settings.width + grown, settings.width, fusion_kernel_size)
    return branch.extend(unit(settings, fusion, activated=False, input_gain=_input_gain(settings, grown)).values())


def _input_gain(settings: BlockSettings, grown: int) -> float:
    """1 / the root mean square of `settings.width` features of variance 1 and `grown` ones behind activations."""
    mean_square = activation_gain(settings.activation) ** -2
    return math.sqrt((settings.width + grown) / (settings.width + grown * mean_square))
