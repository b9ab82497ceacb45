from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.architectures import SuperResolutionNetwork, build, count_parameters, resolve_config
from nitido.architectures.edsr import EDSR, VARIANTS, EDSRConfig
from nitido.imaging import bicubic_upscale
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow
from nitido.validation import ConfigError

SMALL: list[tuple[str, dict[str, object]]] = [
    *((variant, {}) for variant in VARIANTS if variant.startswith(("compact", "debug"))),
    ("baseline", {"width": 8, "activation": "leaky_relu"}),
    *(
        ("debug", {"scale": scale, "upsampler": upsampler, "residual": residual, "channels": channels})
        for scale in (2, 3, 4)
        for upsampler, residual, channels in (("pixel_shuffle", False, 1), ("pixel_shuffle", True, 3))
    ),
    *(("debug", {"scale": scale, "upsampler": "transposed"}) for scale in (2, 3, 4)),
    ("debug", {"block": "batch", "activation": "prelu", "residual_scale": 0.2}),
]


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


@pytest.mark.parametrize(("variant", "overrides"), SMALL)
@pytest.mark.parametrize("size", [(7, 9), (13, 5)])
def test_forward_and_backward_at_odd_sizes(variant: str, overrides: dict[str, object], size: tuple[int, int]) -> None:
    network = make(variant, overrides)
    lr = torch.rand(2, network.channels, *size)
    sr = network(lr)
    assert sr.shape == (2, network.channels, network.scale * size[0], network.scale * size[1])
    assert sr.dtype == torch.float32
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("variant", "overrides"), SMALL)
def test_receptive_field_radius_is_exact(
    variant: str, overrides: dict[str, object], measured_radius: Callable[[SuperResolutionNetwork], int]
) -> None:
    network = make(variant, {**overrides, "width": 2}).eval()
    assert measured_radius(network) == network.receptive_field_radius


def test_a_change_beyond_the_radius_changes_nothing() -> None:
    network = make("debug", {"activation": "leaky_relu", "blocks": 1}).double()
    radius, scale = network.receptive_field_radius, network.scale
    lr = torch.rand(1, 3, 21, 21, dtype=torch.float64)
    near, far = lr.clone(), lr.clone()
    near[..., 10, 10 + radius] += 1
    far[..., 10, 10 + radius + 1] += 1
    own = (..., slice(10 * scale, 11 * scale), slice(10 * scale, 11 * scale))
    with torch.no_grad():
        assert torch.equal(network(far)[own], network(lr)[own])
        assert not torch.equal(network(near)[own], network(lr)[own])


@pytest.mark.parametrize(("variant", "overrides"), SMALL)
@pytest.mark.parametrize("training", [False, True])
def test_untrained_residual_network_is_nearly_bicubic(
    variant: str, overrides: dict[str, object], training: bool
) -> None:
    network = make(variant, {**overrides, "residual": True}).train(training)
    lr = torch.rand(2, network.channels, 12, 12)
    with torch.no_grad():
        difference = (network(lr) - bicubic_upscale(lr, network.scale)).abs().max()
    assert 0 < difference < 0.1


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
