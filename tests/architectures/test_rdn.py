from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.architectures import activation_names, build, count_parameters, resolve_config
from nitido.architectures.rdn import RDN, VARIANTS, RDNConfig
from nitido.base.validation import ConfigError
from nitido.inspection import draw_diagram
from nitido.inspection.data_flow import data_flow


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
    assert set(activation_names()) == studied


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
