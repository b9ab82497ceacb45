from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.architectures import build, count_parameters, resolve_config
from nitido.architectures.edsr import EDSR, EDSRConfig
from nitido.imaging import bicubic_upscale
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow
from nitido.validation import ConfigError


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


def test_depth_does_not_blow_the_features_up() -> None:
    features = torch.randn(1, 16, 24, 24)
    with torch.no_grad():
        for residual_scale in (1.0, 0.1):
            deep = make("baseline", {"blocks": 64, "width": 16, "residual_scale": residual_scale})
            assert 1 < deep.body(features).square().mean() / features.square().mean() < 2.5  # 1.01 ** 64 = 1.9


def test_batch_statistics_agree_with_the_running_ones_on_a_still_batch() -> None:
    network = make("compact_batch", {"blocks": 3, "width": 8, "residual": False})
    lr = torch.rand(4, 3, 24, 24)
    with torch.no_grad():
        untrained = network.eval()(lr)
        network.train()
        for _ in range(150):
            batch = network(lr)
        running = network.eval()(lr)
    assert (untrained - batch).abs().max() > 0.05 * batch.std()
    assert (running - batch).abs().max() < 0.005 * batch.std()


def test_equal_blocks_are_one_box_of_the_diagram(tmp_path: Path) -> None:
    network = make("baseline", {})
    blocks = [(block.lines, block.repeats) for block in data_flow(network).values() if block.kind == "block"]
    assert blocks == [(("ResidualBlock",), 16)]
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
