"""Tests inference in bfloat16: kernels are used where they are fastest, and tiles give the pixels of the whole."""

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.kernels import Chains
from nitido.models.bfloat16 import calculator
from nitido.upscaling.tiled_inference import CUT_SMALLER
from nitido.upscaling.upscaler import ImageUpscaler
from tests.architectures.recipes import Recipe

PHOTO = data.astronaut()[60:191, 190:341]


@pytest.fixture(autouse=True)
def _no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with each call of a chain."""
    calls: list[str] = []
    forward = Chains.forward

    def noted(self: Chains, features: Tensor) -> Tensor:
        calls.append("chains")
        return forward(self, features)

    monkeypatch.setattr(Chains, "forward", noted)
    return calls


def edsr(**changes: object) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return Recipe("edsr", "debug", {"width": 32, "blocks": 2, **changes}).build().eval()


def upscaled(network: SuperResolutionNetwork, **options: object) -> np.ndarray:
    size = (network.scale * PHOTO.shape[0], network.scale * PHOTO.shape[1])
    return ImageUpscaler(network, precision="bfloat16", **options).upscale(PHOTO, None, *size)[0]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("memory", [1 << 18, 1 << 21])
def test_tiles_have_the_bits_of_the_whole(called: list[str], scale: int, memory: int) -> None:
    network = edsr(scale=scale)
    whole = upscaled(network)
    assert len(set(called)) == 1
    before = len(called)
    np.testing.assert_array_equal(upscaled(network, memory=memory), whole)
    assert len(called) > 2 * before


@pytest.mark.parametrize(("x", "y"), [(70, 53), (71, 52)])
def test_a_part_has_the_bits_of_the_whole(x: int, y: int) -> None:
    network = edsr()
    size = (2 * PHOTO.shape[0], 2 * PHOTO.shape[1])
    part, _ = ImageUpscaler(network, precision="bfloat16").upscale_part(PHOTO, None, *size, (x, y, 40, 30))
    np.testing.assert_array_equal(part, upscaled(network)[2 * y : 2 * y + 60, 2 * x : 2 * x + 80])


def test_smaller_tiles_have_the_bits_of_the_whole(called: list[str]) -> None:
    network = edsr()
    whole = upscaled(network)
    notes: list[str] = []

    def greedy(_: SuperResolutionNetwork, given: tuple[Tensor]) -> None:
        if max(given[0].shape[-2:]) > 90:
            torch.empty(10**15)

    network.register_forward_pre_hook(greedy)
    size = (2 * PHOTO.shape[0], 2 * PHOTO.shape[1])
    called.clear()
    cut, _ = ImageUpscaler(network, precision="bfloat16").upscale(PHOTO, None, *size, note=notes.append)
    np.testing.assert_array_equal(cut, whole)
    assert CUT_SMALLER in notes
    assert called


@pytest.mark.parametrize("options", [{}, {"self_ensemble": True}])
@pytest.mark.parametrize("frozen", [False, True])
def test_errors_of_kernels_are_close_to_those_of_bfloat16(
    called: list[str], monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], frozen: bool
) -> None:
    network = edsr().requires_grad_(not frozen)
    exact = ImageUpscaler(network, precision="float32", **options).upscale(PHOTO, None, 262, 302)[0].astype(int)
    assert not called
    off = np.abs(upscaled(network, **options) - exact)
    assert called
    called.clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    allowed = np.abs(upscaled(network, **options) - exact)
    assert not called, "without a compiler, PyTorch's convolutions must be used"
    assert 0 < off.mean() <= 2 * allowed.mean()


def test_pytorch_is_used_on_a_processor_with_matrix_tiles(called: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    network, lr = edsr(), torch.rand(1, 3, 12, 12)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    with torch.inference_mode():
        found = calculator(network, bfloat16=True)(lr)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(found, network(lr))
    assert not called


def test_a_network_without_supported_layers_is_called_directly() -> None:
    network = edsr(width=24)
    seen: list[int] = []
    network.register_forward_pre_hook(lambda module, _: seen.append(id(module)))
    with torch.inference_mode():
        calculator(network, bfloat16=True)(torch.rand(1, 3, 12, 12))
    assert seen == [id(network)]
