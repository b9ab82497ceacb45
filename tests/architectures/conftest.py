"""What the tests of every architecture measure."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork


@pytest.fixture(scope="session")
def measured_radius() -> Callable[[SuperResolutionNetwork], int]:
    """Measures by gradients how far the support of an output pixel reaches, in LR pixels; overwrites the weights."""

    def measure(network: SuperResolutionNetwork) -> int:
        assert network.receptive_field_radius is not None
        network.double()
        for parameter in network.parameters():  # positive features: no rectifier hides a connection
            torch.nn.init.uniform_(parameter, 0.1, 1.0)
        center = network.receptive_field_radius + 3
        size = 2 * center + 1
        lr = torch.rand(1, network.channels, size, size, dtype=torch.float64, requires_grad=True)
        return _reach(network, lr, center)

    return measure


def _reach(network: SuperResolutionNetwork, lr: Tensor, center: int) -> int:
    """The largest distance of an LR pixel that any output pixel inside the center LR pixel has a gradient to."""
    scale = network.scale
    sr = network(lr)
    distance = (torch.arange(lr.shape[-1]) - center).abs()
    distances = torch.maximum(distance[:, None], distance[None, :])
    reach = 0
    for row in range(scale):
        for column in range(scale):
            pixel = sr[0, :, scale * center + row, scale * center + column].sum()
            (gradient,) = torch.autograd.grad(pixel, lr, retain_graph=True)
            reach = max(reach, int(distances[gradient[0].abs().amax(0) > 0].max()))
    return reach
