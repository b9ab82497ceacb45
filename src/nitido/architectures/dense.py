"""Densely connected convolutions: each one takes the outputs of all previous ones."""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from nitido.architectures.activations import activation_gain
from nitido.architectures.convolutions import BlockSettings, unit
from nitido.architectures.layers import same_convolution


class DenseLayer(nn.Sequential):
    """A convolution unit whose output is concatenated to its input: `(N, C, H, W)` → `(N, C + G, H, W)`."""

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` concatenated with the unit's output."""
        added = features
        for layer in self:
            added = layer(added)
        return torch.cat([features, added], dim=1)


def dense_branch(settings: BlockSettings, layers: int, growth: int, fusion_kernel_size: int) -> nn.Sequential:
    """Return `layers` 3×3 convolutions that add `growth` channels each, and a fusion to the input width.

    This is the residual dense block of RDN (Zhang et al., CVPR 2018) without its skip, or ESRGAN's (Wang et al., ECCVW
    2018) if `fusion_kernel_size` is 3.
    """
    branch = nn.Sequential()
    for index in range(layers):
        added = index * growth
        convolution = same_convolution(settings.width + added, growth, 3)
        parts = unit(settings, convolution, input_gain=_input_gain(settings, added))
        branch.append(DenseLayer(OrderedDict(parts)))
    added = layers * growth
    fusion = same_convolution(settings.width + added, settings.width, fusion_kernel_size)
    return branch.extend(unit(settings, fusion, activated=False, input_gain=_input_gain(settings, added)).values())


def _input_gain(settings: BlockSettings, added: int) -> float:
    """Return 1 / the root mean square of `settings.width` features of variance 1 and `added` activated ones."""
    mean_square = activation_gain(settings.activation) ** -2
    return math.sqrt((settings.width + added) / (settings.width + added * mean_square))
