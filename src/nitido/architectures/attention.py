"""Branches that weigh their own features."""

import torch
from torch import Tensor, nn

from nitido.architectures.activations import activation_gain, make_activation
from nitido.architectures.layers import same_convolution

REDUCTION = 16
"""Channels for each hidden channel of the gate, as in RCAN."""

FEWEST_HIDDEN = 4
"""A gate of fewer channels could start with all of them switched off."""


class Gate(nn.Module):
    """Multiplies features by factors it makes of them.

    The layers of a gate shape the factors, so none of them ends a residual branch, wherever the gate stands in it.
    """


class ChannelAttention(Gate):
    """One factor in (0, 1) per channel from the means of all channels: `(N, C, H, W)` -> `(N, C, H, W)`.

    Squeeze and excitation (Hu et al., CVPR 2018) as RCAN has it (Zhang et al., ECCV 2018): mean, 1×1 convolution to
    C / 16 channels, activation, 1×1 convolution back, sigmoid. An output pixel depends on the whole picture.
    """

    def __init__(self, channels: int, activation: str) -> None:
        """Weigh `channels` channels."""
        super().__init__()
        hidden = max(FEWEST_HIDDEN, channels // REDUCTION)
        self.squeeze = same_convolution(channels, hidden, 1)
        self.activation = make_activation(activation, hidden)
        self.excite = same_convolution(hidden, channels, 1, gain=activation_gain(activation))

    def forward(self, features: Tensor) -> Tensor:
        """Weigh `features`."""
        means = features.mean((2, 3), keepdim=True)
        factors = torch.sigmoid(self.excite(self.activation(self.squeeze(means))))
        return features * factors
