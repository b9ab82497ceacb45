"""Frozen parameters do not learn, and their batch statistics stay frozen."""

import pytest
import torch
from torch import nn

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base.validation import ConfigError
from nitido.training.freezing import freeze, freeze_batchnorm_statistics, matches


def network(**changes: object) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build("srresnet", resolve_config("srresnet", "debug", {"blocks": 4, "scale": 2, **changes}))


def test_the_first_half_is_the_head_and_half_of_the_blocks() -> None:
    net = network()
    frozen = freeze(net, "first_half")
    tops = {".".join(name.split(".")[:2]) if name.startswith("body.") else name.split(".")[0] for name in frozen}
    assert tops == {"head", "body.0", "body.1"}
    assert all(p.requires_grad != (name in frozen) for name, p in net.named_parameters())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("head", {"head"}),
        ("body.[0-2]", {"body"}),
        ("*.bias", {"head", "body", "body_end", "upsampler", "reconstruction"}),
    ],
)
def test_patterns_name_modules_or_parameters(pattern: str, expected: set[str]) -> None:
    frozen = freeze(network(), (pattern,))
    assert {name.split(".")[0] for name in frozen} == expected
    assert all(matches(name, pattern) for name in frozen)


def test_frozen_batch_norm_statistics_do_not_change() -> None:
    net = network()
    freeze(net, "first_half")
    net.train()
    freeze_batchnorm_statistics(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.rand(2, 3, 8, 8)).sum().backward()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("body.2", "body.3", "body_end")) for name in moved)
    assert all((p.grad is None) == (not p.requires_grad) for p in net.parameters())


def test_frozen_batch_norm_normalizes_by_its_running_statistics() -> None:
    net = network()
    freeze(net, ("body.0",))
    net.train()
    freeze_batchnorm_statistics(net)
    norm = next(module for module in net.body[0].modules() if isinstance(module, nn.BatchNorm2d))
    features = 3 + 5 * torch.rand(2, norm.num_features, 4, 4)
    expected = (features - norm.running_mean.view(1, -1, 1, 1)) / (norm.running_var.view(1, -1, 1, 1) + norm.eps).sqrt()
    torch.testing.assert_close(norm(features), expected * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1))


def test_wrong_patterns_are_named() -> None:
    with pytest.raises(ConfigError, match="'boddy' matches nothing in the network: did you mean 'body'"):
        freeze(network(), ("boddy",))
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        freeze(network(), ("*",))
