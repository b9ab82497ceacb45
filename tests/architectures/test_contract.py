"""What every network of every architecture keeps: shapes, gradients, its receptive field, its start at bicubic."""

from collections.abc import Callable

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, architecture_names
from nitido.imaging import bicubic_upscale
from tests.architectures.recipes import RECIPES, Recipe

every_network = pytest.mark.parametrize("recipe", RECIPES, ids=str)

NARROW: dict[str, dict[str, object]] = {
    "srcnn": {},
    "vdsr": {"width": 2},
    "edsr": {"width": 2},
    "rdn": {"width": 2, "growth": 2},
    "srresnet": {"width": 2, "output": "linear"},  # the measurement's large weights would saturate a tanh
}
"""What makes the measurement of a receptive field quick without changing the field."""


def test_no_architecture_is_left_out() -> None:
    assert {recipe.architecture for recipe in RECIPES} == set(architecture_names()) == set(NARROW)


@every_network
@pytest.mark.parametrize("size", [(7, 9), (13, 5)])
def test_forward_and_backward_at_odd_sizes(recipe: Recipe, size: tuple[int, int]) -> None:
    network = recipe.build()
    lr = torch.rand(2, network.channels, *size)
    sr = network(lr)
    assert sr.shape == (2, network.channels, network.scale * size[0], network.scale * size[1])
    assert sr.dtype == torch.float32
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def narrow(recipe: Recipe) -> SuperResolutionNetwork:
    changes = dict(NARROW[recipe.architecture])
    if recipe.architecture == "srcnn" and "widths" not in recipe.overrides and "pixel_shuffle" in recipe.variant:
        changes["widths"] = (2, 16)
    if recipe.overrides.get("upsampler") == "pixel_shuffle" and recipe.architecture == "vdsr":
        changes.pop("width")  # it must stay divisible by scale²
    return recipe.build(**changes).eval()


@every_network
def test_receptive_field_radius_is_exact(
    recipe: Recipe, measured_radius: Callable[[SuperResolutionNetwork], int]
) -> None:
    network = narrow(recipe)
    assert measured_radius(network) == network.receptive_field_radius


SHALLOW = [
    Recipe("srcnn", "pixel_shuffle_residual_leaky_relu"),
    Recipe("vdsr", "debug", {"width": 16, "upsampler": "pixel_shuffle", "activation": "leaky_relu"}),
    Recipe("edsr", "debug", {"activation": "leaky_relu", "blocks": 1}),
    Recipe("rdn", "debug", {"activation": "leaky_relu", "blocks": 1}),
    Recipe("srresnet", "debug", {"blocks": 1, "output": "tanh", "residual": False}),
]


@pytest.mark.parametrize("recipe", SHALLOW, ids=str)
def test_a_change_beyond_the_radius_changes_nothing(recipe: Recipe) -> None:
    network = recipe.build().double().eval()
    radius, scale = network.receptive_field_radius, network.scale
    centre = radius + 2
    lr = torch.rand(1, network.channels, 2 * centre + 1, 2 * centre + 1, dtype=torch.float64)
    near, far = lr.clone(), lr.clone()
    near[..., centre, centre + radius] += 1
    far[..., centre, centre + radius + 1] += 1
    own = (..., slice(centre * scale, (centre + 1) * scale), slice(centre * scale, (centre + 1) * scale))
    with torch.no_grad():
        assert torch.equal(network(far)[own], network(lr)[own])
        assert not torch.equal(network(near)[own], network(lr)[own])


@every_network
@pytest.mark.parametrize("training", [False, True])
def test_an_untrained_residual_network_is_nearly_bicubic(recipe: Recipe, training: bool) -> None:
    linear = {"output": "linear"} if recipe.architecture == "srresnet" else {}
    network = recipe.build(residual=True, **linear).train(training)
    lr = torch.rand(2, network.channels, 12, 12)
    with torch.no_grad():
        difference = (network(lr) - bicubic_upscale(lr, network.scale)).abs().max()
    assert 0 < difference < 0.1
