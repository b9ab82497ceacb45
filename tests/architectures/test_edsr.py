from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.architectures import block_names, build, count_parameters, resolve_config
from nitido.architectures.edsr import EDSR, VARIANTS, EDSRConfig
from nitido.base.validation import ConfigError
from nitido.imaging import bicubic_upscale
from nitido.inspection import count_macs, draw_diagram
from nitido.inspection.data_flow import data_flow


def make(variant: str, overrides: dict[str, object], seed: int = 0) -> EDSR:
    torch.manual_seed(seed)
    network = build("edsr", resolve_config("edsr", variant, overrides))
    assert isinstance(network, EDSR)
    return network


@pytest.mark.parametrize(
    ("variant", "scale", "published"),
    [
        ("baseline", 2, 1_369_859),
        ("baseline", 3, 1_554_499),
        ("baseline", 4, 1_517_571),
        ("edsr", 2, 40_729_603),
        ("edsr", 3, 43_680_003),
        ("edsr", 4, 43_089_923),
    ],
)
def test_parameter_counts_are_the_published_ones(variant: str, scale: int, published: int) -> None:
    with torch.device("meta"):
        assert count_parameters(make(variant, {"scale": scale})) == published


@pytest.mark.parametrize("residual", [False, True])
def test_the_published_network_is_what_the_paper_draws(residual: bool) -> None:
    network = make("baseline", {"scale": 4, "blocks": 3, "residual_scale": 0.1, "residual": residual}).double()
    head, *inner, body_end, up, up_again, last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    lr = torch.rand(1, 3, 7, 9, dtype=torch.float64)
    with torch.no_grad():
        shallow = features = head(lr)
        for first, second in zip(inner[::2], inner[1::2], strict=True):
            features = features + 0.1 * second(first(features).clamp(min=0))
        features = shallow + body_end(features)
        for convolution in (up, up_again):
            features = F.pixel_shuffle(convolution(features), 2)
        expected = last(features) + (bicubic_upscale(lr, 4) if residual else 0)
        torch.testing.assert_close(network(lr), expected)
    assert len(inner) == 6


MEAN = (0.4488, 0.4371, 0.404)
"""DIV2K's, as EDSR-PyTorch subtracts it."""


@pytest.mark.parametrize("upsampler", ["bicubic", "pixel_shuffle"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_mean_color_is_subtracted_first_and_added_last(upsampler: str, residual: bool) -> None:
    overrides: dict[str, object] = {"upsampler": upsampler, "residual": residual}
    usual, shifted = make("debug", overrides).double(), make("debug", {**overrides, "rgb_mean": MEAN}).double()
    assert shifted.state_dict().keys() == usual.state_dict().keys()
    assert count_parameters(shifted) == count_parameters(usual)
    lr, mean = torch.rand(1, 3, 7, 9, dtype=torch.float64), torch.tensor(MEAN).double()[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(shifted(lr), usual(lr - mean) + mean)


def test_a_luma_network_has_no_mean_color() -> None:
    with pytest.raises(ConfigError, match=r"edsr\.debug: rgb_mean must be \(0, 0, 0\) if channels is 1"):
        resolve_config("edsr", "debug", {"channels": 1, "rgb_mean": MEAN})
    with pytest.raises(ConfigError, match=r"rgb_mean\.0: input should be less than or equal to 1"):
        resolve_config("edsr", "debug", {"rgb_mean": (114.4, 111.5, 103.0)})


def test_every_recipe_has_a_compact_variant() -> None:
    studied = {resolve_config("edsr", name, {}).model_dump()["block"] for name in VARIANTS if "compact" in name}
    assert studied == set(block_names()) - {"edsr"}, "edsr is plain here, as EDSR has no normalization"


def test_compact_variants_cost_about_as_much_as_compact() -> None:
    costs = {name: count_macs(make(name, {}), 48, 48) for name in VARIANTS if "compact" in name}
    cheap = {"compact_bottleneck", "compact_separable"}
    assert all(0.8 < cost / costs["compact"] < 1.3 for name, cost in costs.items() if name not in cheap)
    assert all(costs[name] < costs["compact"] for name in cheap)


def test_equal_blocks_are_one_box_of_the_diagram(tmp_path: Path) -> None:
    network = make("baseline", {})
    blocks = [(block.lines, block.repeats) for block in data_flow(network).values() if block.kind == "block"]
    assert blocks == [(("ResidualBlock", "plain"), 16)]
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "EDSR")
    assert "16 × ResidualBlock" in (tmp_path / "m.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("edsr", {"blocks": 0}, "blocks"),
        ("edsr", {"residual_scale": 0}, "residual_scale: input should be greater than 0, got 0"),
        ("edsr", {"scale": 5}, "scale: input should be less than or equal to 4, got 5"),
        ("edsr", {"block": "plan"}, "block: .*did you mean 'plain'"),
        ("edsr", {"activation": "gleu"}, "activation: .*did you mean 'gelu'"),
        ("compact", {"upsampler": "pixelshuffle"}, "upsampler: .*did you mean 'pixel_shuffle'"),
        ("compact", {"res_scale": 0.1}, "edsr.compact: unknown key 'res_scale'"),
        ("compct", {}, "unknown variant of edsr 'compct': did you mean 'compact'"),
    ],
)
def test_impossible_configurations_say_what_is_wrong(variant: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("edsr", variant, overrides)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented() -> None:
    assert all(field.description for field in EDSRConfig.model_fields.values())
