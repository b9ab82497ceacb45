from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from nitido.architectures import build, layers, resolve_config
from nitido.architectures.layers import (
    BicubicUpscale,
    BlockSettings,
    activation_names,
    block_names,
    block_reach,
    initialize,
    make_activation,
    make_block,
    make_staged_upsampler,
    register_activation,
    register_block,
    same_convolution,
    transposed_convolution,
)
from nitido.validation import ConfigError


@pytest.mark.parametrize(
    ("name", "negative"),
    [
        ("relu", lambda x: 0 * x),
        ("leaky_relu", lambda x: 0.2 * x),
        ("prelu", lambda x: 0.25 * x),
        ("elu", lambda x: x.exp() - 1),
        ("gelu", lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
        ("silu", lambda x: x / (1 + (-x).exp())),
    ],
)
def test_activations_are_what_their_names_say(name: str, negative: Callable[[Tensor], Tensor]) -> None:
    x = -torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(make_activation(name, 5)(x), negative(x))


def test_prelu_learns_one_slope_per_channel() -> None:
    assert [tuple(p.shape) for p in make_activation("prelu", 7).parameters()] == [(7,)]


def test_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown activation 'silluu': did you mean 'silu'"):
        make_activation("silluu", 3)


def test_a_taken_activation_name_is_refused() -> None:
    before = activation_names()
    with pytest.raises(ConfigError, match="'relu' is already registered"):
        register_activation("relu", lambda channels: nn.Identity())
    assert activation_names() == before
    assert isinstance(make_activation("relu", 1), nn.ReLU)


def matlab_bicubic(image: Tensor, scale: int) -> Tensor:
    """torch's antialiased bicubic (a = -1/2) on a picture whose border pixels are mirrored."""
    height, width = image.shape[-2:]
    rows, columns = (
        torch.cat([torch.arange(3, -1, -1), torch.arange(size), torch.arange(size - 1, size - 5, -1)])
        for size in (height, width)
    )
    padded = image[..., rows, :][..., columns]
    size = ((height + 8) * scale, (width + 8) * scale)
    grown = F.interpolate(padded, size=size, mode="bicubic", antialias=True)
    return grown[..., 4 * scale : -4 * scale, 4 * scale : -4 * scale]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_upscale_is_neither_rounded_nor_clamped(scale: int) -> None:
    edge = torch.zeros(1, 1, 7, 9, dtype=torch.float64)
    edge[..., 4:] = 1
    grown = BicubicUpscale(scale)(edge)
    torch.testing.assert_close(grown, matlab_bicubic(edge, scale), rtol=0, atol=1e-12)
    assert grown.max() > 1
    assert grown.min() < 0


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_transposed_convolution_enlarges_exactly(scale: int) -> None:
    assert transposed_convolution(2, scale)(torch.rand(1, 2, 5, 7)).shape == (1, 2, 5 * scale, 7 * scale)


@pytest.mark.parametrize("layer", [same_convolution(64, 64, 5), *(transposed_convolution(64, k) for k in (2, 3, 4))])
def test_initialisation_keeps_the_variance(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    torch.manual_seed(0)
    initialize(layer, gain=1.0)
    with torch.no_grad():
        output = layer(torch.randn(2, 64, 24, 24))[..., 8:-8, 8:-8]  # without the zero-padded border
    assert output.std().item() == pytest.approx(1, abs=0.1)
    assert layer.bias is not None
    assert not layer.bias.any()


@pytest.mark.parametrize("name", ["plain", "batch"])
def test_a_block_adds_its_scaled_branch(name: str) -> None:
    block = make_block(name, BlockSettings(6, "prelu"), residual_scale=0.3).eval()
    features = torch.rand(2, 6, 5, 7)
    torch.testing.assert_close(block(features), features + 0.3 * block.branch(features))
    assert "residual_scale=0.3" in repr(block)


def test_batch_normalisation_takes_its_settings() -> None:
    block = make_block("batch", BlockSettings(4, "relu", batch_norm_momentum=0.2, batch_norm_epsilon=1e-3))
    norms = [(norm.momentum, norm.eps) for norm in block.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert norms == [(0.2, 1e-3), (0.2, 1e-3)]


def test_unknown_block_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown block 'bach': did you mean 'batch'"):
        make_block("bach", BlockSettings(4, "relu"))


def test_a_taken_block_name_is_refused() -> None:
    before = block_names()
    with pytest.raises(ConfigError, match="'plain' is already registered"):
        register_block("plain", lambda settings: nn.Identity(), reach=0)
    assert block_names() == before
    assert block_reach("plain") == 2


def test_a_registered_block_is_one_that_networks_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_BLOCKS", dict(layers._BLOCKS))
    usual = build("edsr", resolve_config("edsr", "debug", {}))
    register_block("wide", lambda settings: same_convolution(settings.width, settings.width, 9), reach=4)
    network = build("edsr", resolve_config("edsr", "debug", {"block": "wide"}))
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)
    assert network.receptive_field_radius == usual.receptive_field_radius + 2 * (4 - 2)


def test_a_block_may_have_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_BLOCKS", dict(layers._BLOCKS))
    register_block("smooth", lambda settings: nn.AvgPool2d(3, stride=1, padding=1), reach=1)
    network = build("edsr", resolve_config("edsr", "debug", {"block": "smooth"}))
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("activation", [None, "prelu"])
def test_staged_upsampler_enlarges_exactly(scale: int, activation: str | None) -> None:
    for upsampler in ("pixel_shuffle", "transposed"):
        grow = make_staged_upsampler(upsampler, 3, scale, activation)
        assert grow(torch.rand(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)
        stages = sum(isinstance(layer, nn.PReLU) for layer in grow)
        assert stages == (0 if activation is None else 2 if scale == 4 else 1)
