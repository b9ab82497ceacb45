"""Compares the self-ensemble with the eight symmetries in NumPy, and tests its invariants."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nitido.architectures import NetworkConfig, SuperResolutionNetwork, build, resolve_config
from nitido.models.self_ensemble import SelfEnsemble


def network() -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build("edsr", resolve_config("edsr", "debug", {"activation": "leaky_relu"})).double().eval()


@torch.no_grad()
def test_the_self_ensemble_is_the_mean_over_eight_symmetries() -> None:
    net, lr = network(), torch.rand(1, 3, 7, 9, dtype=torch.float64)
    results = []
    for transpose in (False, True):
        for rows in (1, -1):
            for columns in (1, -1):
                plane = lr.numpy()[..., ::rows, ::columns]
                plane = plane.swapaxes(-1, -2) if transpose else plane
                out = net(torch.from_numpy(np.ascontiguousarray(plane))).numpy()
                out = out.swapaxes(-1, -2) if transpose else out
                results.append(out[..., ::rows, ::columns])
    np.testing.assert_allclose(SelfEnsemble(net)(lr).numpy(), np.mean(results, axis=0), atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("turn", [lambda x: x.flip(-1), lambda x: torch.rot90(x, 1, (-2, -1))])
def test_rotating_the_input_rotates_the_output(turn) -> None:
    ensemble, lr = SelfEnsemble(network()), torch.rand(2, 3, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(ensemble(turn(lr)), turn(ensemble(lr)), rtol=0, atol=1e-12)


def test_a_symmetric_network_is_not_changed() -> None:
    class Nearest(SuperResolutionNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            return torch.nn.functional.interpolate(lr, scale_factor=self.scale)

    net = Nearest(NetworkConfig(scale=3), 0)
    lr = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close(SelfEnsemble(net)(lr), net(lr))
    assert SelfEnsemble(net).scale == 3
