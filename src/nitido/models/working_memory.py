"""Measures the memory that a network needs per pixel of a tile."""

import torch

from nitido.architectures import NetworkConfig, SuperResolutionNetwork
from nitido.base.device import device_of
from nitido.base.live_tensors import LiveTensors

PROBE = 32
"""Side in LR pixels of the image for the measurement."""

_SCRATCH = 1.5
"""Factor for the workspaces of convolutions, which are not PyTorch tensors."""


class ForeignNetwork(SuperResolutionNetwork):
    """A network that PyTorch does not run, so that its memory cannot be measured.

    Attributes:
        bytes_per_pixel: Memory per LR pixel of the input.
    """

    def __init__(self, config: NetworkConfig, receptive_field_radius: int | None, bytes_per_pixel: float) -> None:
        """Store the properties of the network."""
        super().__init__(config, receptive_field_radius)
        self.bytes_per_pixel = bytes_per_pixel


def bytes_per_pixel(network: SuperResolutionNetwork) -> float:
    """Return the bytes that `network` needs per LR pixel of its input, measured by upscaling a small image."""
    probe = torch.zeros(1, network.channels, PROBE, PROBE, device=device_of(network))
    with torch.no_grad(), LiveTensors() as watch:
        network(probe)
    unmeasured = max(
        (part.bytes_per_pixel for part in network.modules() if isinstance(part, ForeignNetwork)), default=0.0
    )
    return unmeasured + _SCRATCH * watch.peak / PROBE**2
