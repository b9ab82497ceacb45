import pytest
import torch

from nitido.architectures import build, resolve_config
from nitido.inspection import count_macs, summarize

# Multiply-accumulates of a convolution: output pixels x kernel area x channels in x channels out.
VANILLA = 9 * 9 * 3 * 128 + 3 * 3 * 128 * 64 + 5 * 5 * 64 * 3  # per HR pixel
SHUFFLE_LR = 5 * 5 * 3 * 64 + 3 * 3 * 64 * 128  # per LR pixel
SHUFFLE_HR = 5 * 5 * 32 * 3  # per HR pixel


@pytest.mark.parametrize(
    ("variant", "overrides", "macs"),
    [
        ("vanilla", {}, 4 * 7 * 9 * VANILLA),
        ("vanilla", {"scale": 3}, 9 * 7 * 9 * VANILLA),
        ("pixel_shuffle_residual_leaky_relu", {}, 7 * 9 * (SHUFFLE_LR + 4 * SHUFFLE_HR)),
        # A transposed convolution multiplies every input pixel with the whole 4x4 kernel.
        (
            "vanilla",
            {"upsampler": "transposed", "widths": (8, 6), "kernel_sizes": (1, 1, 1)},
            7 * 9 * (3 * 8 + 8 * 6 + 4 * 4 * 6 * 6 + 4 * 6 * 3),
        ),
    ],
)
def test_macs_equal_hand_arithmetic(variant: str, overrides: dict[str, object], macs: int) -> None:
    assert count_macs(build("srcnn", resolve_config("srcnn", variant, overrides)), 7, 9) == macs


def test_counting_leaves_the_network_as_it_was() -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {})).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    summarize(network)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_summary_states_layers_parameters_macs_and_receptive_field() -> None:
    text = summarize(build("srcnn", resolve_config("srcnn", "vanilla", {})), (32, 24))
    assert "Conv2d (extraction)" in text
    assert "[1, 128, 64, 48]" in text
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    assert facts["Parameters"].strip() == "109,827"
    assert facts["MACs, 24x32 LR"].strip() == f"{4 * 32 * 24 * VANILLA:,}"
    assert facts["MACs, 1280x720 output"].strip() == f"{1280 * 720 * VANILLA:,}"
    assert facts["Receptive field"].strip() == "11x11 LR pixels (radius 5)"


def test_output_size_is_the_true_one_when_the_scale_does_not_divide_hd() -> None:
    text = summarize(build("srcnn", resolve_config("srcnn", "debug", {"scale": 3})))
    assert "MACs, 1281x720 output:" in text


def test_an_unlimited_receptive_field_is_stated() -> None:
    text = summarize(build("edsr", resolve_config("edsr", "debug", {"block": "channel_attention"})))
    assert text.splitlines()[-1].split(":")[1].strip() == "whole image"
