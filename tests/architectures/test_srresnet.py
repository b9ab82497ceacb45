from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from nitido.architectures import build, count_parameters, resolve_config
from nitido.architectures.srresnet import SRResNet, SRResNetConfig
from nitido.base.validation import ConfigError
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow


def make(variant: str, overrides: dict[str, object], seed: int = 0) -> SRResNet:
    torch.manual_seed(seed)
    network = build("srresnet", resolve_config("srresnet", variant, overrides))
    assert isinstance(network, SRResNet)
    return network


@pytest.mark.parametrize("variant", ["srresnet", "keras"])
def test_parameter_counts_are_the_published_ones(variant: str) -> None:
    network = make(variant, {})
    statistics = [buffer for name, buffer in network.named_buffers() if not name.endswith("num_batches_tracked")]
    assert count_parameters(network) == 1_550_659
    assert count_parameters(network) + sum(buffer.numel() for buffer in statistics) == 1_554_883


def test_layers_are_as_many_as_in_the_keras_weights_and_normalize_as_keras_does() -> None:
    modules = list(make("srresnet", {}).modules())
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    slopes = [module.num_parameters for module in modules if isinstance(module, nn.PReLU)]
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == 37
    assert len(norms) == 33
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.2, 1e-3)}
    assert slopes == [64] * 19


def test_no_normalization_gives_no_layer() -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in make("compact_plain", {}).modules())


def test_plain_with_batch_normalization_is_the_recipe_batch() -> None:
    plain, batch = make("srresnet", {}), make("srresnet", {"block": "batch"})
    assert [(name, t.shape) for name, t in plain.state_dict().items()] == [
        (name, t.shape) for name, t in batch.state_dict().items()
    ]


@pytest.mark.parametrize("blocks", [1, 5, 6])
def test_the_second_half_may_have_other_blocks(blocks: int) -> None:
    network = make("debug", {"second_half_block": "dense", "blocks": blocks})
    recipes = [block.recipe for block in network.body]
    assert recipes == ["plain"] * (blocks // 2) + ["dense"] * (blocks - blocks // 2)
    assert [block for block in network.first_half() if block in set(network.body)] == list(network.body[: blocks // 2])


def test_half_of_edsr_has_half_of_the_normalizations() -> None:
    norms = {
        name: sum(isinstance(module, nn.BatchNorm2d) for module in make(name, {}).modules())
        for name in ("compact", "compact_edsr_second_half", "compact_dense_second_half", "compact_dense")
    }
    assert norms == {
        "compact": 6 * 2 + 1,
        "compact_edsr_second_half": 3 * 2 + 1,
        "compact_dense_second_half": 3 * 2 + 3 * 5 + 1,
        "compact_dense": 6 * 5 + 1,
    }


@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_the_network_is_what_the_paper_draws(output: str) -> None:
    network = make("srresnet", {"blocks": 2, "width": 5, "output": output}).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    for name, buffer in network.named_buffers():
        if not name.endswith("num_batches_tracked"):
            nn.init.uniform_(buffer, 0.5, 1.5)
    modules = list(network.modules())
    convolutions = iter([module for module in modules if isinstance(module, nn.Conv2d)])
    norms = iter([module for module in modules if isinstance(module, nn.BatchNorm2d)])
    slopes = iter([module for module in modules if isinstance(module, nn.PReLU)])
    lr = torch.rand(1, 3, 7, 9, dtype=torch.float64)
    with torch.no_grad():
        shallow = features = next(slopes)(next(convolutions)(lr))
        for _ in range(2):
            branch = next(slopes)(next(norms)(next(convolutions)(features)))
            features = features + next(norms)(next(convolutions)(branch))
        features = shallow + next(norms)(next(convolutions)(features))
        for _ in range(2):
            features = next(slopes)(F.pixel_shuffle(next(convolutions)(features), 2))
        image = next(convolutions)(features)
        expected = (image.tanh() + 1) / 2 if output == "tanh" else image
        torch.testing.assert_close(network(lr), expected)


def test_a_tanh_output_is_one_box_and_bounds_the_image() -> None:
    network = make("keras", {"blocks": 2, "width": 4})
    assert [block.lines for block in data_flow(network).values()][-2:] == [("UnitTanh",), ("SR image",)]
    nn.init.normal_(network.reconstruction.weight)
    with torch.no_grad():
        sr = network(torch.rand(1, 3, 9, 9))
    assert 0 <= sr.min() < 0.1
    assert 0.9 < sr.max() <= 1


def test_equal_blocks_are_one_box_of_the_diagram(tmp_path: Path) -> None:
    network = make("srresnet", {})
    blocks = [(block.lines, block.repeats) for block in data_flow(network).values() if block.kind == "block"]
    assert blocks == [(("ResidualBlock", "plain", "BatchNorm2d"), 16)]
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "SRResNet")
    assert "16 × ResidualBlock" in (tmp_path / "m.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("srresnet", {"blocks": 0}, "blocks"),
        ("srresnet", {"residual_scale": 0}, "residual_scale: input should be greater than 0, got 0"),
        ("srresnet", {"scale": 3}, "scale: input should be 2 or 4, got 3"),
        ("srresnet", {"block": "plan"}, "block: .*did you mean 'plain'"),
        ("srresnet", {"activation": "gleu"}, "activation: .*did you mean 'gelu'"),
        ("compact", {"output": "tanh"}, "srresnet.compact: a tanh output is the image itself"),
        ("srresnet", {"output": "tan"}, "output: .*did you mean 'tanh'"),
        ("srresnet", {"batch_norm_momentum": 0}, "batch_norm_momentum: input should be greater than 0, got 0"),
        ("compact", {"upsampler": "pixelshuffle"}, "upsampler: .*did you mean 'pixel_shuffle'"),
        ("compact", {"res_scale": 0.1}, "srresnet.compact: unknown key 'res_scale'"),
        ("compct", {}, "unknown variant of srresnet 'compct': did you mean 'compact'"),
    ],
)
def test_impossible_configurations_say_what_is_wrong(variant: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("srresnet", variant, overrides)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented() -> None:
    assert all(field.description for field in SRResNetConfig.model_fields.values())
