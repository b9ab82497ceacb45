"""Attention: modules that multiply their input by computed factors."""

import torch
from torch import Tensor, nn

from nitido.architectures.activations import activation_gain, make_activation
from nitido.architectures.layers import same_convolution

REDUCTION = 16
"""Number of channels per hidden channel of the gate, as in RCAN."""

FEWEST_HIDDEN = 4
"""Minimum number of hidden channels; with fewer, all of them could be inactive after initialization."""


class Gate(nn.Module):
    """Base class of modules that multiply features by factors computed from them.

    The layers of a gate compute factors, so none of them counts as the last layer of a residual branch.
    """


class ChannelAttention(Gate):
    """One factor in (0, 1) per channel, computed from the means of all channels: `(N, C, H, W)` → `(N, C, H, W)`.

    Squeeze and excitation (Hu et al., CVPR 2018) as in RCAN (Zhang et al., ECCV 2018): mean, 1×1 convolution to C / 16
    channels, activation, 1×1 convolution back, sigmoid. An output pixel depends on the whole image.
    """

    def __init__(self, channels: int, activation: str) -> None:
        """Create the layers for `channels` channels."""
        super().__init__()
        hidden = max(FEWEST_HIDDEN, channels // REDUCTION)
        self.squeeze = same_convolution(channels, hidden, 1)
        self.activation = make_activation(activation, hidden)
        self.excite = same_convolution(hidden, channels, 1, gain=activation_gain(activation))

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` multiplied by their factors."""
        means = features.mean((2, 3), keepdim=True)
        factors = torch.sigmoid(self.excite(self.activation(self.squeeze(means))))
        return features * factors
