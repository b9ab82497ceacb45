from collections.abc import Callable, Iterator

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from nitido.architectures import activations, build, resolve_config
from nitido.architectures.activations import activation_gain, activation_names, make_activation, register_activation
from nitido.architectures.vdsr import VDSR
from nitido.base.validation import ConfigError

NEGATIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: 0 * x,
    "leaky_relu": lambda x: 0.2 * x,
    "prelu": lambda x: 0.25 * x,
    "elu": lambda x: x.exp() - 1,
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "silu": lambda x: x / (1 + (-x).exp()),
    "mish": lambda x: x * torch.tanh(torch.log1p(x.exp())),
}
"""What the papers say the activations are below zero."""


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test registers is forgotten afterwards."""
    monkeypatch.setattr(activations._ACTIVATIONS, "_entries", dict(activations._ACTIVATIONS._entries))
    return


def test_every_activation_is_tested() -> None:
    assert set(NEGATIVE) == set(activation_names())


@pytest.mark.parametrize("name", NEGATIVE)
def test_activations_match_their_names(name: str) -> None:
    x = -torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(make_activation(name, 5)(x), NEGATIVE[name](x))


def test_prelu_learns_one_slope_per_channel() -> None:
    assert [tuple(p.shape) for p in make_activation("prelu", 7).parameters()] == [(7,)]


@pytest.mark.parametrize("name", NEGATIVE)
def test_gains_are_those_of_the_integral(name: str) -> None:
    def moment(x: float) -> float:
        value = torch.tensor(x, dtype=torch.float64).reshape(1, 1, 1)
        return make_activation(name, 1).double()(value).item() ** 2 * float(stats.norm.pdf(x))

    mean_square = integrate.quad(moment, -8, 0)[0] + integrate.quad(moment, 0, 8)[0]
    assert activation_gain(name) == pytest.approx(mean_square**-0.5, rel=1e-5)


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.2), ("prelu", 0.25)])
def test_gains_of_rectifiers_are_the_ones_of_he(name: str, slope: float) -> None:
    assert activation_gain(name) == pytest.approx((2 / (1 + slope**2)) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("name", NEGATIVE)
def test_every_activation_preserves_the_variance_of_a_deep_network(name: str) -> None:
    logarithms = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = build("vdsr", resolve_config("vdsr", "vdsr", {"activation": name, "width": 48}))
        assert isinstance(network, VDSR)
        with torch.no_grad():
            features = network.upscale(torch.rand(1, 1, 24, 24))
            for layer in network.body:
                before = layer[0](features)
                features = layer[1](before)
        loudness = before[..., 16:-16, 16:-16].square().mean().sqrt()  # the padded border is quieter
        logarithms.append(float(loudness.log10()))
    assert max(map(abs, logarithms)) < 1
    assert abs(sum(logarithms) / 3) < 0.5


def test_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown activation 'silluu': did you mean 'silu'"):
        make_activation("silluu", 3)


def test_a_taken_activation_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'relu' is already registered"):
        register_activation("relu", lambda channels: nn.Identity())
    assert isinstance(make_activation("relu", 1), nn.ReLU)


@pytest.mark.usefixtures("own_registry")
def test_a_registered_activation_is_one_that_networks_can_use() -> None:
    state = torch.random.get_rng_state()
    register_activation("half", lambda channels: nn.RReLU(0.5, 0.5))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert activation_gain("half") == pytest.approx(1.6**0.5, rel=1e-5)
    network = build("vdsr", resolve_config("vdsr", "debug", {"activation": "half"}))
    assert network(torch.rand(1, 1, 5, 7)).shape == (1, 1, 10, 14)


@pytest.mark.usefixtures("own_registry")
def test_an_activation_that_kills_every_feature_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"activation 'dead' maps .* to features of mean square 0"):
        register_activation("dead", lambda channels: nn.Threshold(100, 0))
    assert "dead" not in activation_names()
