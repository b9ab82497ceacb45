import pytest
import torch

from nitido.architectures import build, count_parameters, get_architecture, resolve_config
from nitido.architectures.srcnn import SRCNN, SRCNNConfig
from nitido.base.validation import ConfigError


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


def test_every_documented_modification_exists() -> None:
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
