"""Tests that a network at several scales shares its layers and otherwise equals a network built for each scale."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nitido.architectures import NetworkConfig, SuperResolutionNetwork, build, count_parameters, resolve_config
from nitido.architectures.layers import same_convolution
from nitido.base.errors import NitidoError
from nitido.base.validation import ConfigError
from nitido.imaging import bicubic_upscale
from nitido.models.self_ensemble import SelfEnsemble
from tests.architectures.recipes import Recipe, debug

SERVING = [
    debug("srcnn", activation="prelu", normalization="batch"),
    debug("vdsr", activation="prelu", normalization="batch"),
    debug("edsr", upsampler="bicubic", block="batch", rgb_mean=(0.4, 0.4, 0.5)),
    debug("edsr", upsampler="bicubic", block="channel_attention"),
    debug("rdn", upsampler="bicubic"),
    debug("srresnet", upsampler="bicubic", scale=2),
]
"""A network of each architecture that upscales its input first."""


def other_scales(recipe: Recipe) -> list[int]:
    return [4] if recipe.architecture == "srresnet" else [3, 4]


def unsettled(recipe: Recipe) -> SuperResolutionNetwork:
    """The network with statistics and weights that are not those of a new one."""
    network = recipe.build().train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, network.channels, 9, 9))
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize("recipe", SERVING, ids=str)
def test_at_scale_equals_a_network_built_for_that_scale(recipe: Recipe) -> None:
    network = unsettled(recipe)
    for scale in other_scales(recipe):
        torch.manual_seed(11)
        built = build(
            recipe.architecture, resolve_config(recipe.architecture, "debug", {**recipe.overrides, "scale": scale})
        )
        built.load_state_dict(network.state_dict())
        other = network.at_scale(scale)
        assert type(other) is type(network)
        assert other.config == built.config
        assert (other.scale, other.channels) == (scale, network.channels)
        assert other.receptive_field_radius == built.receptive_field_radius
        assert not any(tensor.is_meta for tensor in [*other.parameters(), *other.buffers()])
        lr = torch.rand(2, network.channels, 7, 9)
        with torch.no_grad():
            assert torch.equal(other(lr), built.eval()(lr))
    assert network.scale == 2


@pytest.mark.parametrize("recipe", SERVING, ids=str)
def test_training_one_scale_trains_the_other(recipe: Recipe) -> None:
    network = recipe.build()
    scale = other_scales(recipe)[0]
    other = network.at_scale(scale)
    assert [id(p) for p in other.parameters()] == [id(p) for p in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    (other(torch.rand(2, network.channels, 9, 9)) - 0.5).square().mean().backward()
    optimizer.step()
    network.double()  # makes new buffers
    for ours, theirs in ((network.state_dict(), other.state_dict()), (other.state_dict(), network.state_dict())):
        for name, tensor in ours.items():
            assert tensor.dtype != torch.float32, name
            assert tensor.data_ptr() == theirs[name].data_ptr(), name
    network.eval()
    other.eval()
    lr = torch.rand(1, network.channels, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert not torch.equal(other(lr), bicubic_upscale(lr, scale))
        assert torch.equal(other(lr), network.at_scale(scale)(lr))


@pytest.mark.parametrize("recipe", SERVING[:3], ids=str)
def test_the_receptive_field_is_exact(recipe: Recipe, measured_radius: Callable[[SuperResolutionNetwork], int]) -> None:
    for scale in other_scales(recipe):
        other = recipe.build().eval().at_scale(scale)
        assert measured_radius(other) == other.receptive_field_radius


def test_frozen_statistics_stay_frozen() -> None:
    network = unsettled(debug("vdsr", normalization="batch")).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.eval()
    other = network.at_scale(3)
    assert other.training
    assert norms == [module for module in other.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)


def test_the_own_scale_returns_the_network_itself() -> None:
    network = debug("vdsr").build()
    assert network.at_scale(2) is network
    lr = torch.rand(1, 1, 6, 6)
    assert torch.equal(network.at_scale(4).at_scale(2)(lr), network(lr))


def test_no_weights_are_drawn_or_counted_twice() -> None:
    network = debug("vdsr").build()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    other = network.at_scale(3)
    assert torch.equal(torch.rand(3), expected)
    assert count_parameters(other) == count_parameters(network)


def test_the_self_ensemble_has_the_expected_pixels() -> None:
    network = debug("srcnn").build().eval()
    lr = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        expected = SelfEnsemble(network.at_scale(3))(lr)
        assert torch.equal(SelfEnsemble(network).at_scale(3)(lr), expected)


@pytest.mark.parametrize("upsampler", ["pixel_shuffle", "transposed", "nearest"])
@pytest.mark.parametrize("architecture", ["vdsr", "edsr"])
def test_weights_for_one_scale_are_refused(architecture: str, upsampler: str) -> None:
    network = Recipe(architecture, "debug", {"upsampler": upsampler}).build()
    with pytest.raises(NitidoError, match=r"cannot be used at scale 3: its weights are for scale 2 \(.*`bicubic`"):
        network.at_scale(3)


def test_an_unsupported_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="VDSR at scale 5: scale: input should be less than or equal to 4"):
        debug("vdsr").build().at_scale(5)
    with pytest.raises(ConfigError, match="SRResNet at scale 3: scale"):
        debug("srresnet", upsampler="bicubic", scale=2).build().at_scale(3)


class Deceptive(SuperResolutionNetwork):
    """A third-party network that violates its declaration."""

    class Config(NetworkConfig):
        upsampler: str = "bicubic"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, 1)
        self.convolution = same_convolution(3, 3 * config.scale**2, 3)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return nn.functional.pixel_shuffle(self.convolution(lr), self.scale)


def test_other_shapes_are_never_shared() -> None:
    with pytest.raises(NitidoError, match="at scale 3: its weights would have other names or shapes than at scale 2"):
        Deceptive(Deceptive.Config()).at_scale(3)


class Nested(SuperResolutionNetwork):
    """A third-party network with its own weight and a nested upscaling layer."""

    class Enlarging(nn.Module):
        def __init__(self, scale: int) -> None:
            super().__init__()
            self.scale = scale
            self.gain = nn.Parameter(torch.ones(1))
            self.after = same_convolution(3, 3, 3)

        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return self.after(self.gain * bicubic_upscale(lr, self.scale))

    class Config(NetworkConfig):
        upsampler: str = "bicubic"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, 4)
        self.offset = nn.Parameter(torch.zeros(1))
        self.body = nn.Sequential(self.Enlarging(config.scale))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.offset + self.body(lr)


def test_a_module_with_children_shares_only_its_weights() -> None:
    network = Nested(Nested.Config())
    other = network.at_scale(4)
    assert other(torch.rand(1, 3, 5, 5)).shape == (1, 3, 20, 20)
    with torch.no_grad():
        network.offset.fill_(7.0)
        network.body[0].gain.fill_(0.0)
        network.body[0].after.bias.fill_(1.0)
    assert torch.equal(other(torch.rand(1, 3, 2, 2)), torch.full((1, 3, 8, 8), 8.0))
