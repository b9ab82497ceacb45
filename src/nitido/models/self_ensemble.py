"""Geometric self-ensemble: eight looks at a picture in place of one."""

import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.models.channels_last import channels_last


class SelfEnsemble(SuperResolutionNetwork):
    """The mean of what a network makes of the eight symmetries of its input, each turned back.

    The "+" of EDSR+ and its like (Lim et al., CVPRW 2017; Timofte et al., CVPR 2016): eight times the time, usually a
    tenth of a dB. `(N, C, h, w)` -> `(N, C, k·h, k·w)` as the network itself.
    """

    def __init__(self, network: SuperResolutionNetwork) -> None:
        """Wrap `network`, whose weights are used as they are."""
        super().__init__(network.config, network.receptive_field_radius)
        self.network = network

    def at_scale(self, scale: int) -> "SelfEnsemble":
        """The same around the network at another scale."""
        return SelfEnsemble(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr` eight times."""
        upscaled = []
        for quarters in range(4):
            for mirrored in (False, True):
                turned = torch.rot90(lr.flip(-1) if mirrored else lr, quarters, (-2, -1))
                back = torch.rot90(self.network(channels_last(turned)), -quarters, (-2, -1))
                upscaled.append(back.flip(-1) if mirrored else back)
        return torch.stack(upscaled).mean(dim=0)
