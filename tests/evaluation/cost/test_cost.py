"""Costs against numbers worked out by hand."""

from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.evaluation.cost import count, latency
from nitido.models import ModelDescriptor, save_model
from nitido.models.peak_memory import peak_memories


def network(architecture: str, variant: str, **changes: object) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build(architecture, resolve_config(architecture, variant, changes))


def test_counts_of_a_chain_by_hand() -> None:
    # 5×5 3→64 and 3×3 64→128 on the small image, 5×5 32→3 on the large one.
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


def test_memory_grows_with_the_image(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    net = network("edsr", "compact")
    save_model(path, net, ModelDescriptor.of(net, "edsr", "compact"))
    (little,), (much,) = peak_memories([path], (32, 32)), peak_memories([path], (256, 512))
    assert little is not None
    assert much is not None
    at_least = 32 * 4 * 4 * 256 * 512  # one feature map of 32 channels at the large size, 4 bytes each
    assert much > little + at_least / 2
    assert much > at_least


def test_memory_does_not_depend_on_what_was_measured_before(tmp_path: Path) -> None:
    large, small = network("edsr", "compact"), network("srcnn", "debug")
    save_model(tmp_path / "large.safetensors", large, ModelDescriptor.of(large, "edsr", "compact"))
    save_model(tmp_path / "small.safetensors", small, ModelDescriptor.of(small, "srcnn", "debug"))
    paths = [tmp_path / "large.safetensors", tmp_path / "small.safetensors"]
    before, after = peak_memories(paths, (200, 300))
    (alone,) = peak_memories(paths[1:], (200, 300))
    assert before is not None
    assert after is not None
    assert alone is not None
    assert abs(after - alone) < alone / 2 < after < before


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = network("srcnn", "debug")
    save_model(tmp_path / "whole.safetensors", net, ModelDescriptor.of(net, "srcnn", "debug"))
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    broken, whole = peak_memories([tmp_path / "model.safetensors", tmp_path / "whole.safetensors"], (16, 16))
    assert broken is None
    assert whole is not None
    assert "model.safetensors: its peak memory was not measured: " in capsys.readouterr().err


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_several_threads_do_not_stop_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """OpenMP's threads are gone after a fork, which must not wait for them; a new process has as many as asked for."""
    net = network("srcnn", "debug")
    save_model(tmp_path / "model.safetensors", net, ModelDescriptor.of(net, "srcnn", "debug"))
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        (peak,) = peak_memories([tmp_path / "model.safetensors"], (32, 32))
    finally:
        torch.set_num_threads(before)
    assert peak is not None
    assert peak > 0
