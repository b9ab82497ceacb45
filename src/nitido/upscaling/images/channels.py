"""Grey pictures through networks for colour, and colour pictures through networks for luma."""

import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.imaging import bicubic_upscale, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.models.channels_last import channels_last

_BICUBIC_RADIUS = 2


def match_channels(network: SuperResolutionNetwork, colours: int) -> SuperResolutionNetwork:
    """A network that takes and gives `colours` channels, 1 (grey) or 3 (RGB), whatever `network` works on."""
    if network.channels == colours:
        return network
    return GreyThroughColour(network) if colours == 1 else ColourByBicubic(network)


class GreyThroughColour(SuperResolutionNetwork):
    """Grey as three equal channels, merged again by BT.601 luma: `(N, 1, h, w)` -> `(N, 1, k·h, k·w)`."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        super().__init__(network.config, network.receptive_field_radius)
        self.network = network
        self.channels = 1

    def at_scale(self, scale: int) -> "GreyThroughColour":
        """The same around the network at another scale."""
        return GreyThroughColour(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge grey `lr`."""
        red, green, blue = self.network(channels_last(lr.expand(-1, 3, -1, -1))).unbind(dim=1)
        merged: Tensor = 0.299 * red + 0.587 * green + 0.114 * blue
        return merged[:, None]


class ColourByBicubic(SuperResolutionNetwork):
    """BT.601 Y through the network, Cb and Cr by bicubic: `(N, 3, h, w)` -> `(N, 3, k·h, k·w)`."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        radius = network.receptive_field_radius
        super().__init__(network.config, None if radius is None else max(radius, _BICUBIC_RADIUS))
        self.network = network
        self.channels = 3

    def at_scale(self, scale: int) -> "ColourByBicubic":
        """The same around the network at another scale."""
        return ColourByBicubic(self.network.at_scale(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge RGB `lr`."""
        ycbcr = rgb_to_ycbcr(lr)
        luma, chroma = self.network(channels_last(ycbcr[:, :1])), bicubic_upscale(ycbcr[:, 1:], self.scale)
        return ycbcr_to_rgb(torch.cat([luma, chroma], dim=1))
