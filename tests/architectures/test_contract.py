"""Properties of every network of every architecture: shapes, gradients, its receptive field, its start at bicubic."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise, product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from nitido.architectures import (
    SuperResolutionNetwork,
    architecture_names,
    block_names,
    build,
    count_parameters,
    get_architecture,
    resolve_config,
)
from nitido.architectures.convolutions import NormalizationName, OrderName
from nitido.architectures.upsamplers import UpsamplerName
from nitido.imaging import bicubic_upscale
from tests.architectures.recipes import RECIPES, Recipe, debug

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


def test_all_combinations_of_choices_work() -> None:
    choices: dict[str, Sequence[str]] = {
        "block": block_names(),
        "upsampler": get_args(UpsamplerName),
        "order": get_args(OrderName),
        "normalization": get_args(NormalizationName),
    }
    configs = [recipe.build().config.model_dump() for recipe in RECIPES if recipe.architecture == "edsr"]
    for one, other in combinations(choices, 2):
        asked = {(config[one], config[other]) for config in configs}
        assert asked >= set(product(choices[one], choices[other]))


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


@every_network
def test_module_sequences_pass_on_their_outputs(recipe: Recipe) -> None:
    network = recipe.build()
    names = [name for row in network.module_sequences() for name in row]
    given: dict[str, list[Tensor]] = {name: [] for name in names}
    made: dict[str, list[Tensor]] = {name: [] for name in names}

    def listen(name: str) -> None:
        def hear(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            given[name].append(inputs[0])
            made[name].append(output)

        network.get_submodule(name).register_forward_hook(hear)

    for name in names:
        listen(name)
    network(torch.rand(1, network.channels, 7, 9))
    for row in network.module_sequences():
        for before, after in pairwise(row):
            assert len(given[after]) == len(made[before]) == 1
            assert given[after][0] is made[before][0]


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
    if network.receptive_field_radius is None:  # an output pixel sees the whole image
        assert whole_image_is_seen(network)
    else:
        assert measured_radius(network) == network.receptive_field_radius


def whole_image_is_seen(network: SuperResolutionNetwork) -> bool:
    """Whether the middle of the first output row has a gradient to every pixel of a large input."""
    lr = torch.rand(1, network.channels, 60, 60, requires_grad=True)
    network(lr)[..., 0, 30].sum().backward()
    return lr.grad is not None and bool((lr.grad[:, :, 1:-1, 1:-1].abs().amax((0, 1)) > 0).all())


SHALLOW = [
    Recipe("srcnn", "pixel_shuffle_residual_leaky_relu"),
    Recipe("vdsr", "debug", {"width": 16, "upsampler": "pixel_shuffle", "activation": "leaky_relu"}),
    Recipe("edsr", "debug", {"activation": "leaky_relu", "blocks": 1}),
    Recipe("rdn", "debug", {"activation": "leaky_relu", "blocks": 1}),
    Recipe("srresnet", "debug", {"blocks": 1, "output": "tanh", "residual": False}),
]


@pytest.mark.parametrize("recipe", SHALLOW, ids=str)
def test_pixels_beyond_the_radius_have_no_effect(recipe: Recipe) -> None:
    network = recipe.build().double().eval()
    radius, scale = network.receptive_field_radius, network.scale
    assert radius is not None
    center = radius + 2
    lr = torch.rand(1, network.channels, 2 * center + 1, 2 * center + 1, dtype=torch.float64)
    near, far = lr.clone(), lr.clone()
    near[..., center, center + radius] += 1
    far[..., center, center + radius + 1] += 1
    own = (..., slice(center * scale, (center + 1) * scale), slice(center * scale, (center + 1) * scale))
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


NORMALIZED = [
    debug("srcnn", normalization="batch", widths=(8, 8)),
    debug("vdsr", normalization="batch", width=8),
    debug("edsr", normalization="batch", width=8),
    debug("edsr", block="batch", width=8),
    debug("rdn", normalization="batch", width=8, growth=6, order="pre_activation"),
    debug("srresnet", width=8, scale=2),
]


@pytest.mark.parametrize("recipe", NORMALIZED, ids=str)
def test_batch_and_running_statistics_agree_on_a_constant_batch(recipe: Recipe) -> None:
    network = recipe.build(residual=False)
    lr = torch.rand(4, network.channels, 24, 24)
    with torch.no_grad():
        untrained = network.eval()(lr)
        network.train()
        for _ in range(150):
            batch = network(lr)
        running = network.eval()(lr)
    assert (untrained - batch).abs().max() > 0.05 * batch.std()
    assert (running - batch).abs().max() < 0.005 * batch.std()


@pytest.mark.parametrize("recipe", NORMALIZED, ids=str)
def test_input_and_output_are_never_normalized(recipe: Recipe) -> None:
    network = recipe.build()
    calls: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda module, inputs: calls.append(module))
    network(torch.rand(2, network.channels, 9, 9))
    assert isinstance(calls[0], nn.Conv2d)
    assert isinstance(calls[1], nn.Conv2d)
    assert isinstance(calls[-1], nn.Conv2d)
    assert any(isinstance(module, nn.BatchNorm2d) for module in calls)


HALVES = [
    debug("srcnn", activation="prelu"),
    debug("srcnn", activation="prelu", normalization="batch", upsampler="nearest"),
    debug("vdsr", depth=9, activation="prelu"),
    *(debug("edsr", blocks=blocks, block="batch", rgb_mean=(0.4, 0.4, 0.4)) for blocks in (4, 5)),
    debug("edsr", blocks=4, block="rrdb", upsampler="bicubic"),
    debug("rdn", blocks=4),
    debug("srresnet", blocks=4, second_half_block="dense", upsampler="nearest"),
]


@pytest.mark.parametrize("recipe", HALVES, ids=str)
def test_the_first_half_comes_first_in_the_data_flow(recipe: Recipe) -> None:
    network = recipe.build()
    inside = {id(parameter) for module in network.first_half() for parameter in module.parameters()}
    order: list[bool] = []
    for module in network.modules():
        own = [id(parameter) in inside for parameter in module.parameters(recurse=False)]
        if own:
            assert len(set(own)) == 1
            module.register_forward_pre_hook(lambda _, inputs, frozen=own[0]: order.append(frozen))
    network(torch.rand(1, network.channels, 9, 9))
    assert order == sorted(order, reverse=True), "no module of the first half comes after one of the second"
    assert order[0]
    assert not order[-1]
    share = sum(p.numel() for p in network.parameters() if id(p) in inside) / count_parameters(network)
    assert 0.1 < share < 0.6


@pytest.mark.parametrize("architecture", ["edsr", "srresnet", "rdn", "vdsr"])
def test_half_of_the_published_blocks_are_in_the_first_half(architecture: str) -> None:
    with torch.device("meta"):
        network = build(architecture, resolve_config(architecture, get_architecture(architecture).base, {}))
    body = list(network.get_submodule("body").children())
    half = network.first_half()
    assert [block in half for block in body] == [index < len(body) // 2 for index in range(len(body))]
    assert {name for name, child in network.named_children() if child in half} <= {"head", "head_again"}
