"""Tests that inputs of networks are channels-last according to PyTorch."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.nn.functional import interpolate

from nitido.architectures import NetworkConfig, SuperResolutionNetwork
from nitido.models.channels_last import channels_last
from nitido.models.working_memory import PROBE
from nitido.upscaling.upscaler import ImageUpscaler

SHAPES = [(1, 1, 5, 7), (1, 3, 5, 7), (2, 1, 5, 7), (2, 3, 5, 7), (1, 3, 1, 7), (1, 1, 1, 1)]
WAYS = {
    "as it is": lambda lr: lr,
    "batch axis last": lambda lr: lr[0].permute(1, 2, 0).contiguous().permute(2, 0, 1)[None],
    "turned": lambda lr: torch.rot90(lr, 1, (-2, -1)),
    "repeated": lambda lr: lr[:1, :1].expand(1, 3, -1, -1),
    "one of three": lambda lr: lr.repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last)[:, :1],
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_values_are_unchanged_in_the_fast_layout(shape: tuple[int, ...], way) -> None:
    given = way(torch.rand(shape))
    laid_out = channels_last(given)
    assert torch.equal(laid_out, given)
    _, channels, height, width = given.shape
    assert laid_out.stride() == (channels * height * width, 1, channels * width, channels)
    if height * width > 1:
        assert suggest_memory_format(laid_out) == torch.channels_last


def test_channels_last_data_is_not_copied() -> None:
    given = torch.rand(1, 5, 7, 3).permute(0, 3, 1, 2)
    assert channels_last(given).data_ptr() == given.data_ptr()


class Seeing(SuperResolutionNetwork):
    """Nearest neighbor ×2, by a convolution whose weights leave the layout to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__(NetworkConfig(channels=channels), 1)
        self.layer = nn.Conv2d(channels, channels, 1)
        self.seen: set[torch.memory_format] = set()

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[-2:] != (PROBE, PROBE):  # which memory is measured by, and is no image of anybody's
            self.seen.add(suggest_memory_format(lr))
        return interpolate(self.layer(lr), scale_factor=2, mode="nearest")


@pytest.mark.parametrize("self_ensemble", [False, True])
@pytest.mark.parametrize("colors", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_gets_channels_last_input(channels: int, colors: int, self_ensemble: bool) -> None:
    network = Seeing(channels)
    upright = np.random.default_rng(0).integers(0, 256, (20, 31, colors), dtype=np.uint8)
    upscaler = ImageUpscaler(network, self_ensemble=self_ensemble)
    turned = upright.swapaxes(0, 1)  # as an image that its EXIF turns: a view
    for pixels in (upright, turned):
        upscaler.upscale(pixels, None, 2 * pixels.shape[0], 2 * pixels.shape[1])
    assert network.seen == {torch.channels_last}
