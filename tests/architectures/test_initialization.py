import pytest
import torch
from torch import nn

from nitido.architectures.initialization import damp, initialize
from nitido.architectures.layers import same_convolution
from nitido.architectures.upsamplers import transposed_convolution

LAYERS = {
    "convolution": same_convolution(64, 64, 5),
    "depthwise": same_convolution(64, 64, 5, groups=64),
    "grouped": same_convolution(64, 64, 3, groups=4),
    **{f"transposed ×{scale}": transposed_convolution(64, scale) for scale in (2, 3, 4)},
}


@pytest.mark.parametrize("name", LAYERS)
def test_initialization_keeps_the_variance(name: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]
    initialize(layer, gain=1.0)
    with torch.no_grad():
        output = layer(torch.randn(2, 64, 24, 24))[..., 8:-8, 8:-8]  # without the zero-padded border
    assert output.std().item() == pytest.approx(1, abs=0.1)
    assert layer.bias is not None
    assert not layer.bias.any()


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.BatchNorm2d(3).eval()])
def test_damping_multiplies_the_output(layer: nn.Module) -> None:
    image = torch.randn(1, 3, 5, 7)
    before = layer(image)
    damp(layer, 0.25)
    torch.testing.assert_close(layer(image), 0.25 * before)
