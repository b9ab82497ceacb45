from collections.abc import Callable

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, count_parameters, get_architecture, resolve_config
from nitido.architectures.srcnn import SRCNN, VARIANTS, SRCNNConfig
from nitido.imaging import bicubic_upscale
from nitido.validation import ConfigError

TRANSPOSED = {"upsampler": "transposed", "widths": (8, 6), "kernel_sizes": (3, 1, 3)}
RECIPES: list[tuple[str, dict[str, object]]] = [
    *((variant, {}) for variant in VARIANTS),
    ("debug", {"scale": 3}),
    ("debug", {"scale": 4}),
    ("pixel_shuffle_residual", {"scale": 3, "widths": (4, 9)}),
    ("pixel_shuffle", {"scale": 4, "widths": (4, 16), "channels": 1}),
    *(("vanilla", {**TRANSPOSED, "scale": scale, "residual": residual}) for scale in (2, 3, 4) for residual in (0, 1)),
]


def make(variant: str, overrides: dict[str, object], seed: int = 0) -> SRCNN:
    torch.manual_seed(seed)
    network = build("srcnn", resolve_config("srcnn", variant, overrides))
    assert isinstance(network, SRCNN)
    return network


@pytest.mark.parametrize(
    ("variant", "overrides", "published"),
    [
        ("vanilla", {}, 109_827),
        ("leaky_relu", {}, 109_827),
        ("residual", {}, 109_827),
        ("prelu", {}, 109_827 + 128 + 64),
        ("pixel_shuffle", {}, 81_123),
        ("pixel_shuffle_residual", {}, 81_123),
        ("pixel_shuffle_residual_leaky_relu", {}, 81_123),
        ("paper_9_1_5", {}, 8_129),
        ("paper_9_1_5", {"kernel_sizes": (9, 5, 5)}, 57_281),
        ("paper_9_1_5", {"kernel_sizes": (9, 5, 5), "channels": 3}, 69_251),
    ],
)
def test_parameter_counts_are_the_published_ones(variant: str, overrides: dict[str, object], published: int) -> None:
    assert count_parameters(make(variant, overrides)) == published


def test_every_named_modification_is_there() -> None:
    assert {
        "vanilla",
        "leaky_relu",
        "prelu",
        "residual",
        "pixel_shuffle",
        "pixel_shuffle_residual",
        "pixel_shuffle_residual_leaky_relu",
        "paper_9_1_5",
        "debug",
    } == set(get_architecture("srcnn").variants)


@pytest.mark.parametrize(("variant", "overrides"), RECIPES)
@pytest.mark.parametrize("size", [(7, 9), (17, 5)])
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


@pytest.mark.parametrize(("variant", "overrides"), RECIPES)
def test_receptive_field_radius_is_exact(
    variant: str, overrides: dict[str, object], measured_radius: Callable[[SuperResolutionNetwork], int]
) -> None:
    small = {"widths": (2, 16)} if "widths" not in overrides and "pixel_shuffle" in variant else {}
    network = make(variant, {**small, **overrides})
    assert measured_radius(network) == network.receptive_field_radius


def test_a_change_beyond_the_radius_changes_nothing() -> None:
    network = make("pixel_shuffle_residual_leaky_relu", {})
    radius, scale = network.receptive_field_radius, network.scale
    lr = torch.rand(1, 3, 21, 21)
    near, far = lr.clone(), lr.clone()
    near[..., 10, 10 + radius] += 1
    far[..., 10, 10 + radius + 1] += 1
    own = (..., slice(10 * scale, 11 * scale), slice(10 * scale, 11 * scale))
    with torch.no_grad():
        assert torch.equal(network(far)[own], network(lr)[own])
        assert not torch.equal(network(near)[own], network(lr)[own])


@pytest.mark.parametrize("variant", [name for name, values in VARIANTS.items() if values.get("residual")])
def test_untrained_residual_network_is_nearly_bicubic(variant: str) -> None:
    network = make(variant, {})
    lr = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        difference = (network(lr) - bicubic_upscale(lr, 2)).abs().max()
    assert 0 < difference < 0.05


def test_the_same_seed_gives_the_same_network() -> None:
    one, same, other = make("debug", {}, 1), make("debug", {}, 1), make("debug", {}, 2)
    lr = torch.rand(1, 3, 6, 6)
    assert torch.equal(one(lr), same(lr))
    assert not torch.equal(one(lr), other(lr))


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("pixel_shuffle", {"scale": 3}, r"srcnn\.pixel_shuffle: .*divisible by 9, got 128 \(nearest: 126\)"),
        ("vanilla", {"kernel_sizes": (9, 2, 5)}, r"kernel_sizes\.1: a kernel size must be odd, got 2"),
        ("vanilla", {"kernel_sizes": (9, 5)}, "kernel_sizes"),
        ("vanilla", {"widths": (0, 5)}, r"widths\.0"),
        ("vanilla", {"channels": 2}, "channels: input should be 1 or 3, got 2"),
        ("vanilla", {"scale": 5}, "scale: input should be less than or equal to 4, got 5"),
        ("vanilla", {"activation": "leeky_relu"}, "activation: .*did you mean 'leaky_relu'"),
        ("vanilla", {"upsampler": "pixelshuffle"}, "upsampler: .*did you mean 'pixel_shuffle'"),
        ("vanilla", {"scales": 2}, "srcnn.vanilla: unknown key 'scales': did you mean 'scale'"),
    ],
)
def test_impossible_configurations_say_what_is_wrong(variant: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config("srcnn", variant, overrides)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented() -> None:
    assert all(field.description for field in SRCNNConfig.model_fields.values())
