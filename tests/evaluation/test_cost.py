"""Costs against numbers worked out by hand."""

from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.evaluation.cost import count, latency, peak_memory
from nitido.evaluation.cost.memory import CostError
from nitido.models import ModelDescriptor, save_model


def network(architecture: str, variant: str, **changes: object) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build(architecture, resolve_config(architecture, variant, changes))


def test_counts_of_a_chain_by_hand() -> None:
    # 5×5 3→64 and 3×3 64→128 on the small picture, 5×5 32→3 on the large one.
    found = count(network("srcnn", "pixel_shuffle_residual"))
    small, large = 256 * 256, 512 * 512
    assert found.parameters == 81_123
    assert found.macs_small == small * (25 * 3 * 64 + 9 * 64 * 128) + large * 25 * 32 * 3
    assert found.macs_hd == 360 * 640 * (25 * 3 * 64 + 9 * 64 * 128) + 720 * 1280 * 25 * 32 * 3
    assert found.activations == small * (64 + 128) + large * 3


def test_activations_of_a_transposed_convolution_are_its_outputs() -> None:
    found = count(network("srcnn", "vanilla", upsampler="transposed", widths=(8, 6), kernel_sizes=(3, 1, 3)))
    assert found.activations == 256 * 256 * (8 + 6) + 512 * 512 * (6 + 3)


def test_a_network_that_does_more_takes_longer() -> None:
    networks = {"small": network("edsr", "debug"), "large": network("edsr", "compact", width=64)}
    found = latency(networks, (48, 48), rounds=5)
    assert list(found) == ["small", "large"]
    assert 0 < found["small"] < found["large"]


def test_memory_grows_with_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    net = network("edsr", "compact")
    save_model(path, net, ModelDescriptor.of(net, "edsr", "compact"))
    little, much = peak_memory(path, (32, 32)), peak_memory(path, (256, 512))
    at_least = 32 * 4 * 4 * 256 * 512  # one feature map of 32 channels at the large size, 4 bytes each
    assert much > little + at_least / 2
    assert much > at_least


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(CostError, match=r"model\.safetensors: its memory could not be measured"):
        peak_memory(tmp_path / "model.safetensors", (16, 16))
