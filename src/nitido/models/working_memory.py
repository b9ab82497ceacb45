"""How large a piece a network can work on in a given memory."""

import torch

from nitido.architectures import NetworkConfig, SuperResolutionNetwork
from nitido.base.live_tensors import LiveTensors

PROBE = 32
"""Side, in LR pixels, of the picture that is enlarged to see what a network keeps in memory at once."""

_SCRATCH = 1.5
"""Convolutions keep their own copies of what they work on, beside PyTorch's tensors."""


class ForeignNetwork(SuperResolutionNetwork):
    """A network that something else than PyTorch runs, which cannot be watched.

    Attributes:
        bytes_per_pixel: what it works in for each LR pixel of its input.
    """

    def __init__(self, config: NetworkConfig, receptive_field_radius: int | None, bytes_per_pixel: float) -> None:
        """Remember what is known of the network."""
        super().__init__(config, receptive_field_radius)
        self.bytes_per_pixel = bytes_per_pixel


def bytes_per_pixel(network: SuperResolutionNetwork) -> float:
    """Bytes that `network` needs at once for each LR pixel of its input, found by watching it enlarge a small one."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    probe = torch.zeros(1, network.channels, PROBE, PROBE, device=device)
    with torch.no_grad(), LiveTensors() as watch:
        network(probe)
    unseen = max((part.bytes_per_pixel for part in network.modules() if isinstance(part, ForeignNetwork)), default=0.0)
    return unseen + _SCRATCH * watch.peak / PROBE**2
