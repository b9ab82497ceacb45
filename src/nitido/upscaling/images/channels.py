"""Adapts networks to images with another number of channels: gray with RGB networks, RGB with luma networks."""

import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.imaging import bicubic_upscale, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.models.channels_last import channels_last

_BICUBIC_RADIUS = 2


def match_channels(network: SuperResolutionNetwork, colors: int) -> SuperResolutionNetwork:
    """Return a network that maps `colors` channels, 1 (gray) or 3 (RGB), whatever the channels of `network`."""
    if network.channels == colors:
        return network
    return GrayAsRGB(network) if colors == 1 else BicubicChroma(network)


class GrayAsRGB(SuperResolutionNetwork):
    """Gray as three equal channels, whose outputs are merged by BT.601 luma: `(N, 1, h, w)` → `(N, 1, k·h, k·w)`."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        super().__init__(network.config, network.receptive_field_radius)
        self.network = network
        self.channels = 1

    def at_scale(self, scale: int) -> "GrayAsRGB":
        """Return the same for the network at another scale."""
        return GrayAsRGB(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale gray `lr`."""
        red, green, blue = self.network(channels_last(lr.expand(-1, 3, -1, -1))).unbind(dim=1)
        merged: Tensor = 0.299 * red + 0.587 * green + 0.114 * blue
        return merged[:, None]


class BicubicChroma(SuperResolutionNetwork):
    """BT.601 Y through the network, Cb and Cr by bicubic: `(N, 3, h, w)` → `(N, 3, k·h, k·w)`."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        radius = network.receptive_field_radius
        super().__init__(network.config, None if radius is None else max(radius, _BICUBIC_RADIUS))
        self.network = network
        self.channels = 3

    def at_scale(self, scale: int) -> "BicubicChroma":
        """Return the same for the network at another scale."""
        return BicubicChroma(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale RGB `lr`."""
        ycbcr = rgb_to_ycbcr(lr)
        luma, chroma = self.network(channels_last(ycbcr[:, :1])), bicubic_upscale(ycbcr[:, 1:], self.scale)
        return ycbcr_to_rgb(torch.cat([luma, chroma], dim=1))
