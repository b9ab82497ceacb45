"""Tests that tiles give the pixels of the whole image for every architecture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nitido.models.tiling import tiles, upscale
from tests.architectures.recipes import RECIPES, Recipe

QUICK = [recipe for recipe in RECIPES if "debug" in recipe.variant or "keras" in recipe.variant]


@pytest.mark.parametrize("recipe", QUICK, ids=str)
@torch.no_grad()
def test_tiled_equals_whole(recipe: Recipe) -> None:
    network = recipe.build().eval()
    lr = torch.rand(1, network.channels, 33, 47)
    whole, pieces = network(lr), upscale(network, lr, largest_area=15 * 15)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_narrower_margin_changes_pixels() -> None:
    network = Recipe("edsr", "debug", {"activation": "leaky_relu"}).build().eval()
    lr = torch.rand(1, 3, 33, 47)
    network.receptive_field_radius = 1
    assert (upscale(network, lr, largest_area=15 * 15) - network(lr)).abs().max() > 1e-5


class Greedy(nn.Module):
    """Asks for more memory than any machine has, for images of more than `limit` pixels."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[-1] * features.shape[-2] > self.limit:
            torch.empty(10**15)
        return features


@torch.no_grad()
def test_with_little_memory_tiles_are_smaller() -> None:
    network = Recipe("edsr", "debug").build().eval()
    lr = torch.rand(1, network.channels, 133, 147)
    whole = network(lr)
    network.head = nn.Sequential(Greedy(90 * 90), network.head)
    torch.testing.assert_close(upscale(network, lr), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_too_little_memory_for_the_smallest_tiles_is_reported() -> None:
    network = Recipe("edsr", "debug").build().eval()
    network.head = nn.Sequential(Greedy(10), network.head)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        upscale(network, torch.rand(1, network.channels, 133, 147))


@given(length=st.integers(1, 300), side=st.integers(1, 80), margin=st.integers(0, 20))
def test_tiles_cover_an_axis_once_and_stay_small(length: int, side: int, margin: int) -> None:
    cut = list(tiles(length, side, margin))
    assert [pixel for tile in cut for pixel in range(tile.first, tile.last)] == list(range(length))
    for tile in cut:
        assert 1 <= tile.last - tile.first <= side
        assert tile.start % 2 == 0
        assert 0 <= tile.start <= max(0, tile.first - margin)
        assert min(length, tile.last + margin) <= tile.stop <= length
    [longest] = {tile.stop - tile.start for tile in cut}
    assert longest <= side + 2 * margin + 2


@torch.no_grad()
def test_small_images_and_networks_without_a_radius_are_not_cut() -> None:
    network = Recipe("edsr", "debug", {"block": "channel_attention"}).build().eval()
    assert network.receptive_field_radius is None
    lr = torch.rand(1, 3, 9, 40)
    assert torch.equal(upscale(network, lr, largest_area=16), network(lr))
