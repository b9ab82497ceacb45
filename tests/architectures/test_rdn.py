from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.architectures import SuperResolutionNetwork, build, count_parameters, resolve_config
from nitido.architectures.rdn import RDN, VARIANTS, RDNConfig
from nitido.imaging import bicubic_upscale
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow
from nitido.validation import ConfigError

SMALL: list[tuple[str, dict[str, object]]] = [
    *((variant, {}) for variant in VARIANTS if variant.startswith(("compact", "debug"))),
    ("debug", {"blocks": 1, "layers": 1, "residual_scale": 0.2}),
    *(
        ("debug", {"scale": scale, "upsampler": upsampler, "residual": residual, "channels": channels})
        for scale in (2, 3, 4)
        for upsampler, residual, channels in (("pixel_shuffle", False, 1), ("pixel_shuffle", True, 3))
    ),
    *(("debug", {"scale": scale, "upsampler": "transposed"}) for scale in (2, 3, 4)),
]


def make(variant: str, overrides: dict[str, object], seed: int = 0) -> RDN:
    torch.manual_seed(seed)
    network = build("rdn", resolve_config("rdn", variant, overrides))
    assert isinstance(network, RDN)
    return network


@pytest.mark.parametrize(("scale", "published"), [(2, 22_123_395), (3, 22_308_035), (4, 22_271_107)])
def test_parameter_counts_are_the_published_ones(scale: int, published: int) -> None:
    with torch.device("meta"):
        assert count_parameters(make("rdn", {"scale": scale})) == published


def test_the_network_is_what_the_paper_draws() -> None:
    network = make("rdn", {"scale": 3, "blocks": 2, "layers": 2, "growth": 5, "width": 7}).double()
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    head, again, *inner, fusion, body_end, up, last = layers
    lr = torch.rand(1, 3, 7, 9, dtype=torch.float64)
    with torch.no_grad():
        shallow = head(lr)
        features, outputs = again(shallow), []
        for first, second, local_fusion in (inner[:3], inner[3:]):
            dense = torch.cat([features, first(features).clamp(min=0)], 1)
            dense = torch.cat([dense, second(dense).clamp(min=0)], 1)
            features = features + local_fusion(dense)
            outputs.append(features)
        fused = shallow + body_end(fusion(torch.cat(outputs, 1)))
        torch.testing.assert_close(network(lr), last(F.pixel_shuffle(up(fused), 3)))


def test_every_activation_has_a_compact_variant() -> None:
    studied = {resolve_config("rdn", name, {}).model_dump()["activation"] for name in VARIANTS if "compact" in name}
    assert {"relu", "leaky_relu", "prelu", "elu", "gelu", "silu"} == studied


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
    network = make(variant, {**overrides, "width": 2, "growth": 2})
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
def test_untrained_residual_network_is_nearly_bicubic(variant: str, overrides: dict[str, object]) -> None:
    network = make(variant, {**overrides, "residual": True})
    lr = torch.rand(1, network.channels, 12, 12)
    with torch.no_grad():
        difference = (network(lr) - bicubic_upscale(lr, network.scale)).abs().max()
    assert 0 < difference < 0.1


def test_equal_blocks_are_one_box_of_the_diagram(tmp_path: Path) -> None:
    network = make("compact", {})
    blocks = [(block.lines, block.repeats) for block in data_flow(network).values() if block.kind == "block"]
    assert blocks == [(("ResidualDenseBlock",), 4)]
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "RDN")
    assert "4 × ResidualDenseBlock" in (tmp_path / "m.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("rdn", {"blocks": 0}, "blocks"),
        ("rdn", {"residual_scale": 0}, "residual_scale: input should be greater than 0, got 0"),
        ("rdn", {"scale": 5}, "scale: input should be less than or equal to 4, got 5"),
        ("rdn", {"layers": 0}, "layers"),
        ("rdn", {"activation": "gleu"}, "activation: .*did you mean 'gelu'"),
        ("compact", {"upsampler": "pixelshuffle"}, "upsampler: .*did you mean 'pixel_shuffle'"),
        ("compact", {"layer": 3}, "rdn.compact: unknown key 'layer': did you mean 'layers'"),
        ("compct", {}, "unknown variant of rdn 'compct': did you mean 'compact'"),
    ],
)
def test_impossible_configurations_say_what_is_wrong(variant: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("rdn", variant, overrides)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented() -> None:
    assert all(field.description for field in RDNConfig.model_fields.values())
