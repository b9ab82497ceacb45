from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from nitido.architectures.layers import (
    BicubicUpscale,
    activation_names,
    initialize,
    make_activation,
    register_activation,
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
