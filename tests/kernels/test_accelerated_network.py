"""Compares accelerated networks with the original networks."""

import pytest
import torch
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.kernels import AcceleratedNetwork, Chains, Kernels
from nitido.training.freezing import freeze

NETWORKS = {
    "srcnn": ("srcnn", "vanilla", {}, (2, 2)),
    "srcnn pixel_shuffle": ("srcnn", "pixel_shuffle", {}, (2, 2)),
    "srcnn leaky_relu": ("srcnn", "pixel_shuffle_residual_leaky_relu", {}, (2, 2)),
    "vdsr": ("vdsr", "compact", {"depth": 7}, (2, 2)),
    "vdsr without biases": ("vdsr", "compact", {"depth": 7, "bias": False}, (2, 2)),
    "vdsr silu": ("vdsr", "compact_silu", {}, (7, 7)),
    "edsr": ("edsr", "baseline", {"blocks": 2}, (4, 4)),
    "edsr ×3": ("edsr", "baseline", {"blocks": 1, "scale": 3}, (4, 4)),
    "edsr ×4": ("edsr", "baseline", {"blocks": 1, "scale": 4}, (5, 5)),
    "edsr residual_scale": ("edsr", "compact_residual_scale", {"blocks": 2}, (5, 5)),
    "edsr bottleneck": ("edsr", "compact_bottleneck", {"blocks": 2}, (3, 3)),
    "edsr dense": ("edsr", "compact_dense", {"blocks": 1}, (4, 3)),
    "rdn": ("rdn", "compact", {}, (5, 4)),
    "rdn with equal growth and width": ("rdn", "compact", {"growth": 32, "blocks": 2}, (13, 10)),
    "srresnet without normalization": ("srresnet", "compact_plain", {"blocks": 2}, (8, 8)),
    "srcnn paper": ("srcnn", "paper_9_1_5", {}, (2, 1)),
}
"""Name -> architecture, variant, changes, and the number of replaced layers (by tiles, by Winograd's algorithm)."""

MAX_ERROR_RATIO = {"tiles": 1.3, "winograd": 2.0}
"""Maximum error relative to that of autocast, both against float32; Winograd's algorithm rounds sums."""


def make(architecture: str, variant: str, changes: dict[str, object]) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build(architecture, resolve_config(architecture, variant, changes)).to(memory_format=torch.channels_last)


def edsr(**changes: object) -> SuperResolutionNetwork:
    return make("edsr", "baseline", {"blocks": 2, "width": 32, **changes})


def step(call, network: nn.Module, lr: Tensor, enabled: bool = True) -> dict[str, Tensor]:
    """Return the output and all gradients of a step in bfloat16, or in float32."""
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        sr = call(lr)
    (sr.float() - 0.4).square().mean().backward()
    return {"output": sr.detach().float()} | {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("name", NETWORKS)
def test_errors_are_close_to_those_of_autocast(kernels: Kernels, name: str) -> None:
    *which, (by_tiles, by_winograd) = NETWORKS[name]
    network = make(*which)
    accelerated = AcceleratedNetwork(network, kernels)
    assert accelerated.replaced_layers == {"tiles": by_tiles, "winograd": by_winograd}[kernels.source.name]
    lr = torch.rand(3, network.channels, 17, 20)
    exact, plain, own = (
        step(network, network, lr, enabled=False),
        step(network, network, lr),
        step(accelerated, network, lr),
    )
    for part, value in exact.items():
        off, allowed = ((found[part] - value).norm().item() for found in (own, plain))
        assert off <= MAX_ERROR_RATIO[kernels.source.name] * allowed + 1e-7, part
    assert own["output"].dtype == exact["output"].dtype
    assert any(not torch.equal(own[part], plain[part]) for part in plain), "the kernels were not used"


def test_batch_normalization_learns_the_same_statistics(kernels: Kernels) -> None:
    networks = [edsr(block="batch") for _ in range(2)]
    lr = torch.rand(4, 3, 16, 16)
    step(networks[0], networks[0], lr)
    step(AcceleratedNetwork(networks[1], kernels), networks[1], lr)
    statistics = [dict(network.named_buffers()) for network in networks]
    assert any(name.endswith("running_var") for name in statistics[0])
    for name, value in statistics[0].items():
        torch.testing.assert_close(statistics[1][name], value, rtol=2e-2, atol=2e-3)


def test_weights_are_shared_with_the_network(kernels: Kernels) -> None:
    network = edsr()
    accelerated = AcceleratedNetwork(network, kernels)
    lr = torch.rand(2, 3, 16, 16)
    before = step(accelerated, network, lr)["output"]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    assert not torch.allclose(step(accelerated, network, lr)["output"], before, atol=1e-3)
    assert all(type(module) is not Chains for module in network.modules()), "the network itself must not change"


def test_without_bfloat16_autocast_the_network_itself_is_called(kernels: Kernels) -> None:
    network = edsr()
    lr = torch.rand(2, 3, 16, 16)
    assert torch.equal(AcceleratedNetwork(network, kernels)(lr), network(lr))
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(AcceleratedNetwork(network, kernels)(lr), network(lr))


def test_frozen_layers_are_not_replaced(kernels: Kernels) -> None:
    network = edsr(block="batch")
    whole = AcceleratedNetwork(network, kernels).replaced_layers
    freeze(network, "first_half")
    accelerated = AcceleratedNetwork(network, kernels)
    assert 0 < accelerated.replaced_layers < whole
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.train()
    freeze(network, "first_half")
    with torch.autocast("cpu", torch.bfloat16):
        accelerated(torch.rand(2, 3, 16, 16))
    changed = {name for name, value in network.named_buffers() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("body.0.") for name in changed), "statistics of frozen layers must not change"


def test_several_scales_share_their_weights(kernels: Kernels) -> None:
    network = make("vdsr", "compact", {"depth": 4})
    accelerated_networks = [AcceleratedNetwork(network.at_scale(scale), kernels) for scale in (2, 3)]
    lr = torch.rand(2, 1, 12, 12)
    for accelerated, scale in zip(accelerated_networks, (2, 3), strict=True):
        found = step(accelerated, network, lr)
        assert found["output"].shape[-1] == 12 * scale
        assert all(found[name].abs().max() > 0 for name in found)
