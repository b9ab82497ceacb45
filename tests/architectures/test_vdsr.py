from pathlib import Path

import pytest
import torch

from nitido.architectures import activation_names, build, count_parameters, resolve_config
from nitido.architectures.vdsr import VARIANTS, VDSR, VDSRConfig
from nitido.base.validation import ConfigError
from nitido.imaging import bicubic_upscale
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow


def make(variant: str, overrides: dict[str, object], seed: int = 0) -> VDSR:
    torch.manual_seed(seed)
    network = build("vdsr", resolve_config("vdsr", variant, overrides))
    assert isinstance(network, VDSR)
    return network


@pytest.mark.parametrize(
    ("overrides", "published"),
    [
        ({}, 665_921),
        ({"scale": 3}, 665_921),
        ({"scale": 4}, 665_921),
        ({"bias": False}, 664_704),
        ({"activation": "prelu"}, 665_921 + 19 * 64),
    ],
)
def test_parameter_counts_are_the_published_ones(overrides: dict[str, object], published: int) -> None:
    assert count_parameters(make("vdsr", overrides)) == published


@pytest.mark.parametrize("upsampler", ["bicubic", "nearest", "pixel_shuffle", "transposed"])
def test_without_bias_nothing_is_added(upsampler: str) -> None:
    network = make("debug", {"bias": False, "upsampler": upsampler, "residual": False})
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())
    assert not network(torch.zeros(1, 1, 5, 5)).any()


def test_the_published_network_is_a_chain_of_twenty_convolutions_and_nineteen_relus() -> None:
    network = make("vdsr", {})
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    torch.manual_seed(1)
    lr = torch.rand(1, 1, 9, 11)
    with torch.no_grad():
        image = features = bicubic_upscale(lr, 2)
        for convolution in convolutions[:-1]:
            features = convolution(features).clamp(min=0)
        torch.testing.assert_close(network(lr), image + convolutions[-1](features))
    assert len(convolutions) == 20


def test_every_activation_has_a_compact_variant() -> None:
    studied = {resolve_config("vdsr", name, {}).model_dump()["activation"] for name in VARIANTS if "compact" in name}
    assert set(activation_names()) == studied


def test_without_the_residual_the_image_is_not_added() -> None:
    with_skip, without = make("debug", {}), make("debug", {"residual": False})
    lr = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(with_skip(lr) - bicubic_upscale(lr, 2), without(lr))


def test_equal_layers_are_one_box_of_the_diagram(tmp_path: Path) -> None:
    network = make("vdsr", {})
    chain = [(block.lines[0], block.repeats) for block in data_flow(network).values() if block.kind == "convolution"]
    assert chain == [("Conv 3×3", 1), ("Conv 3×3", 18), ("Conv 3×3", 1)]
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "VDSR")
    assert "18 × Conv 3×3" in (tmp_path / "m.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("vdsr", {"scale": 3, "upsampler": "pixel_shuffle"}, r"divisible by 9, got 64 \(nearest: 63\)"),
        ("vdsr", {"depth": 1}, "depth: input should be greater than or equal to 2, got 1"),
        ("vdsr", {"width": 0}, "width"),
        ("vdsr", {"scale": 5}, "scale: input should be less than or equal to 4, got 5"),
        ("vdsr", {"activation": "gleu"}, "activation: .*did you mean 'gelu'"),
        ("compact", {"upsampler": "pixelshuffle"}, "upsampler: .*did you mean 'pixel_shuffle'"),
        ("compact", {"dept": 3}, "vdsr.compact: unknown key 'dept': did you mean 'depth'"),
        ("compct", {}, "unknown variant of vdsr 'compct': did you mean 'compact'"),
    ],
)
def test_impossible_configurations_say_what_is_wrong(variant: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("vdsr", variant, overrides)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented() -> None:
    assert all(field.description for field in VDSRConfig.model_fields.values())
