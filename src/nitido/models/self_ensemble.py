"""Geometric self-ensemble: averages over the eight flips and rotations of an image."""

import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.models.channels_last import channels_last


class SelfEnsemble(SuperResolutionNetwork):
    """The mean of the network's outputs for the eight flips and rotations of its input, each transformed back.

    This is the "+" of EDSR+ (Lim et al., CVPRW 2017; Timofte et al., CVPR 2016). It takes eight times as long and
    typically gains 0.1 dB. `(N, C, h, w)` → `(N, C, k·h, k·w)`, as the network.
    """

    def __init__(self, network: SuperResolutionNetwork) -> None:
        """Wrap `network`, whose weights are shared."""
        super().__init__(network.config, network.receptive_field_radius)
        self.network = network

    def at_scale(self, scale: int) -> "SelfEnsemble":
        """Return the self-ensemble of the network at another scale."""
        return SelfEnsemble(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Return the mean of eight outputs for `lr`."""
        upscaled = []
        for quarters in range(4):
            for mirrored in (False, True):
                transformed = torch.rot90(lr.flip(-1) if mirrored else lr, quarters, (-2, -1))
                back = torch.rot90(self.network(channels_last(transformed)), -quarters, (-2, -1))
                upscaled.append(back.flip(-1) if mirrored else back)
        return torch.stack(upscaled).mean(dim=0)
