import pytest
import torch
from torch import nn

from nitido.architectures.convolutions import BlockSettings, NormalizationName, OrderName, chain, make_norm, unit
from nitido.architectures.layers import same_convolution

CONVOLUTION, NORM, ACTIVATION = "convolution", "norm", "activation"


@pytest.mark.parametrize(
    ("order", "normalization", "activated", "names"),
    [
        ("conv_norm_act", "none", True, [CONVOLUTION, ACTIVATION]),
        ("conv_norm_act", "batch", True, [CONVOLUTION, NORM, ACTIVATION]),
        ("conv_norm_act", "batch", False, [CONVOLUTION, NORM]),
        ("pre_activation", "none", True, [ACTIVATION, CONVOLUTION]),
        ("pre_activation", "batch", False, [NORM, ACTIVATION, CONVOLUTION]),
    ],
)
def test_a_unit_has_the_order_of_its_name(
    order: OrderName, normalization: NormalizationName, activated: bool, names: list[str]
) -> None:
    settings = BlockSettings(4, "prelu", normalization, order)
    parts = unit(settings, same_convolution(3, 5, 3), activated=activated)
    assert list(parts) == names
    channels = 3 if order == "pre_activation" else 5
    for part in parts.values():
        if isinstance(part, nn.BatchNorm2d):
            assert part.num_features == channels
        if isinstance(part, nn.PReLU):
            assert part.num_parameters == channels
    assert nn.Sequential(*parts.values())(torch.rand(2, 3, 5, 7)).shape == (2, 5, 5, 7)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("conv_norm_act", ["one", "one_norm", "one_activation", "two", "two_norm"]),
        ("pre_activation", ["one_norm", "one_activation", "one", "two_norm", "two_activation", "two"]),
    ],
)
def test_a_chain_is_activated_in_between_or_ahead(order: OrderName, expected: list[str]) -> None:
    settings = BlockSettings(4, "relu", "batch", order)
    layers = chain(settings, {"one": same_convolution(4, 6, 1), "two": same_convolution(6, 4, 3)})
    assert [name for name, _ in layers.named_children()] == expected


def test_batch_normalization_takes_its_settings() -> None:
    norm = make_norm(BlockSettings(4, "relu", "batch", batch_norm_momentum=0.2, batch_norm_epsilon=1e-3), 6)
    assert norm is not None
    assert (norm.num_features, norm.momentum, norm.eps) == (6, 0.2, 1e-3)
    assert make_norm(BlockSettings(4, "relu"), 6) is None


@pytest.mark.parametrize("activation", ["relu", "silu", "elu"])
@pytest.mark.parametrize("order", ["conv_norm_act", "pre_activation"])
def test_a_chain_keeps_the_variance(activation: str, order: OrderName) -> None:
    torch.manual_seed(0)
    names = {name: same_convolution(96, 96, 3) for name in ("one", "two", "three", "four")}
    layers = chain(BlockSettings(96, activation, "none", order), names)
    with torch.no_grad():
        output = layers(torch.randn(2, 96, 24, 24))[..., 8:-8, 8:-8]
    assert output.square().mean().sqrt().item() == pytest.approx(1, abs=0.2)
