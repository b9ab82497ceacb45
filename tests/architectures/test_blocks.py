"""Tests residual blocks against formulas, and the registration of new ones."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from nitido.architectures import (
    BlockSettings,
    block_names,
    blocks,
    build,
    count_parameters,
    get_architecture,
    register_block,
    resolve_config,
)
from nitido.architectures.attention import ChannelAttention, Gate
from nitido.architectures.blocks import ResidualBlock, block_reach, make_block
from nitido.architectures.convolutions import NormalizationName, OrderName
from nitido.architectures.layers import same_convolution
from nitido.base.validation import ConfigError


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is forgotten afterwards."""
    monkeypatch.setattr(blocks._BLOCKS, "_entries", dict(blocks._BLOCKS._entries))


def dense_weights(w: int, fusion_area: int) -> int:
    growth = w // 2
    inputs = [w + i * growth for i in range(4)]
    return sum(9 * i * growth + growth for i in inputs) + fusion_area * (w + 4 * growth) * w + w


COUNTS: dict[str, Callable[[int], int]] = {
    "plain": lambda w: 2 * (9 * w * w + w),
    "edsr": lambda w: 2 * (9 * w * w + w),
    "batch": lambda w: 2 * (9 * w * w + w) + 2 * 2 * w,
    "bottleneck": lambda w: w * (w // 2) + w // 2 + 9 * (w // 2) ** 2 + w // 2 + (w // 2) * w + w,
    "separable": lambda w: 2 * (9 * w + w) + 2 * (w * w + w),
    "channel_attention": lambda w: 2 * (9 * w * w + w) + 2 * w * max(4, w // 16) + max(4, w // 16) + w,
    "dense": lambda w: dense_weights(w, 1),
    "rrdb": lambda w: 3 * dense_weights(w, 9),
}
"""Weights and biases of a block of width w with an activation that has none."""


def test_every_recipe_is_tested() -> None:
    assert set(COUNTS) == set(block_names())


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("name", COUNTS)
def test_blocks_have_as_many_weights_as_their_formulas_say(name: str, width: int) -> None:
    assert count_parameters(make_block(name, BlockSettings(width, "relu"))) == COUNTS[name](width)


def test_published_blocks_have_as_many_weights_as_published_ones() -> None:
    settings = BlockSettings(64, "leaky_relu")
    assert count_parameters(make_block("channel_attention", settings)) == 2 * 36_928 + 580  # RCAN's RCAB, reduction 16
    assert count_parameters(make_block("rrdb", settings)) == 3 * 239_808  # ESRGAN's RRDB, 64 features, 32 grown


@pytest.mark.parametrize("order", ["conv_norm_act", "pre_activation"])
@pytest.mark.parametrize("name", COUNTS)
def test_a_block_adds_its_scaled_branch(name: str, order: OrderName) -> None:
    block = make_block(name, BlockSettings(6, "prelu", "batch", order), residual_scale=0.3).eval()
    features = torch.rand(2, 6, 5, 7)
    torch.testing.assert_close(block(features), features + 0.3 * block.branch(features))
    assert "residual_scale=0.3" in repr(block)


@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("name", COUNTS)
def test_normalization_is_where_the_configuration_says(name: str, normalization: NormalizationName) -> None:
    block = make_block(name, BlockSettings(6, "relu", normalization))
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in block.modules())
    gates = [module for module in block.modules() if isinstance(module, Gate)]
    convolutions = sum(isinstance(module, nn.Conv2d) for module in block.modules()) - 2 * len(gates)
    always, never = name == "batch", name == "edsr"
    assert norms == (convolutions if always or (normalization == "batch" and not never) else 0)


def test_pre_activation_is_the_identity_mapping_of_he() -> None:
    block = make_block("plain", BlockSettings(5, "relu", "batch", "pre_activation")).double()
    features = torch.randn(2, 5, 7, 9, dtype=torch.float64)
    convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    expected = features
    for convolution in convolutions:
        mean, variance = expected.mean((0, 2, 3), keepdim=True), expected.var((0, 2, 3), unbiased=False, keepdim=True)
        expected = convolution(((expected - mean) / (variance + 1e-5).sqrt()).clamp(min=0))
    torch.testing.assert_close(block(features), features + expected)


def test_separable_convolutions_see_each_channel_alone() -> None:
    block = make_block("separable", BlockSettings(6, "relu"))
    shapes = [tuple(m.weight.shape) for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [(6, 1, 3, 3), (6, 6, 1, 1)] * 2
    assert [m.groups for m in block.modules() if isinstance(m, nn.Conv2d)] == [6, 1, 6, 1]


def test_channel_attention_is_squeeze_and_excitation() -> None:
    gate = ChannelAttention(80, "relu").double()
    features = torch.rand(2, 80, 5, 7, dtype=torch.float64)
    with torch.no_grad():
        w1, b1 = gate.squeeze.weight[:, :, 0, 0].numpy(), gate.squeeze.bias.numpy()
        w2, b2 = gate.excite.weight[:, :, 0, 0].numpy(), gate.excite.bias.numpy()
        means = features.numpy().reshape(2, 80, 35).mean(2)
        hidden = (means @ w1.T + b1).clip(min=0)
        factors = 1 / (1 + torch.from_numpy(-(hidden @ w2.T + b2)).exp())
        torch.testing.assert_close(gate(features), features * factors[:, :, None, None])
    assert w1.shape == (5, 80)


def esrgan_dense(features: Tensor, convolutions: list[nn.Conv2d]) -> Tensor:
    gathered = [features]
    for convolution in convolutions[:-1]:
        gathered.append(F.leaky_relu(convolution(torch.cat(gathered, 1)), 0.2))
    return features + 0.2 * convolutions[-1](torch.cat(gathered, 1))


def test_rrdb_is_the_papers_up_to_the_factor_by_which_its_features_grow() -> None:
    block = make_block("rrdb", BlockSettings(6, "leaky_relu"), residual_scale=0.2 / 1.2).double()
    convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    features = torch.randn(1, 6, 9, 9, dtype=torch.float64)
    through = features
    for index in (0, 5, 10):
        through = esrgan_dense(through, convolutions[index : index + 5])
    torch.testing.assert_close(1.2 * block(features), features + 0.2 * through)


def test_the_dense_branch_matches_the_paper() -> None:
    block = make_block("dense", BlockSettings(6, "relu")).double()
    *grown, fusion = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    features = gathered = torch.randn(1, 6, 9, 9, dtype=torch.float64)
    for convolution in grown:
        gathered = torch.cat([gathered, convolution(gathered).clamp(min=0)], 1)
    torch.testing.assert_close(block(features), features + fusion(gathered))
    assert (len(grown), fusion.kernel_size) == (4, (1, 1))


@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("order", ["conv_norm_act", "pre_activation"])
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("residual_scale", [1.0, 0.2])
def test_an_untrained_block_is_close_to_the_identity_but_not_the_identity(
    name: str, order: OrderName, normalization: NormalizationName, residual_scale: float
) -> None:
    torch.manual_seed(0)
    block = make_block(name, BlockSettings(32, "relu", normalization, order), residual_scale)
    features = torch.randn(2, 32, 16, 16)
    with torch.no_grad():
        assert 0.01 < (block(features) - features).std() < 0.25


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(("normalization", "order"), [("none", "conv_norm_act"), ("batch", "pre_activation")])
@pytest.mark.parametrize(("architecture", "blocks"), [("edsr", 32), ("srresnet", 16)])
def test_feature_magnitude_does_not_grow_with_depth(
    architecture: str, blocks: int, normalization: str, order: str, name: str
) -> None:
    torch.manual_seed(0)
    changes = {"block": name, "normalization": normalization, "order": order, "width": 12, "blocks": blocks, "scale": 2}
    network = build(architecture, resolve_config(architecture, get_architecture(architecture).base, changes))
    seen: list[Tensor] = []
    network.get_submodule("reconstruction").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 16, 16))
    assert 0.1 < seen[0].std() < 10


def test_reaches_add_up() -> None:
    assert block_reach([]) == 0
    assert block_reach(["plain", "bottleneck", "dense", "rrdb"]) == 2 + 1 + 4 + 15
    assert block_reach(["plain", "channel_attention", "plain"]) is None


def test_an_output_under_channel_attention_depends_on_the_whole_image() -> None:
    torch.manual_seed(0)
    network = build("edsr", resolve_config("edsr", "debug", {"block": "channel_attention", "activation": "silu"}))
    assert network.receptive_field_radius is None
    lr = torch.rand(1, 3, 40, 40, requires_grad=True)
    network(lr)[..., 0, 0].sum().backward()
    assert lr.grad is not None
    assert (lr.grad[..., 1:-1, 1:-1] != 0).all()


def test_unknown_block_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown block 'bach': did you mean 'batch'"):
        make_block("bach", BlockSettings(4, "relu"))


def test_a_taken_block_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'plain' is already registered"):
        register_block("plain", lambda settings: nn.Identity(), reach=0)
    assert block_reach(["plain"]) == 2


@pytest.mark.usefixtures("own_registry")
def test_a_registered_block_is_one_that_networks_can_use() -> None:
    usual = build("edsr", resolve_config("edsr", "debug", {}))
    register_block("wide", lambda settings: same_convolution(settings.width, settings.width, 9), reach=4)
    network = build("edsr", resolve_config("edsr", "debug", {"block": "wide"}))
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)
    assert usual.receptive_field_radius is not None
    assert network.receptive_field_radius == usual.receptive_field_radius + 2 * (4 - 2)


@pytest.mark.usefixtures("own_registry")
def test_a_block_may_have_no_weights() -> None:
    register_block("smooth", lambda settings: nn.AvgPool2d(3, stride=1, padding=1), reach=1)
    network = build("edsr", resolve_config("edsr", "debug", {"block": "smooth"}))
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)


@pytest.mark.parametrize("gate_first", [False, True])
def test_the_last_layer_of_a_branch_is_damped_but_never_a_gate(gate_first: bool) -> None:
    torch.manual_seed(0)
    gate, convolution = ChannelAttention(8, "relu"), same_convolution(8, 8, 3)
    before = [gate.excite.weight.clone(), convolution.weight.clone()]
    ResidualBlock(nn.Sequential(*((gate, convolution) if gate_first else (convolution, gate))), 0.5)
    torch.testing.assert_close(gate.excite.weight, before[0])
    torch.testing.assert_close(convolution.weight, 0.2 * before[1])  # 0.5 * 0.2 = 0.1
