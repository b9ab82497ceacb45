"""The loops beside nitido's own really train the same network on the same patches."""

import pytest
import torch

from nitido.architectures import build, resolve_config
from nitido.benchmarking.loops import BareStep, PlainFloat32
from nitido.data import PatchSampler, Store, prepare, resolve
from nitido.training.hyperparameters import Hyperparameters

CPU = torch.device("cpu")
OPTIONS = Hyperparameters.parse(
    {"steps": 1000, "batch": 2, "patch": 12, "precision": "float32", "schedule": "constant"}, "test"
)


@pytest.fixture
def store() -> Store:
    return prepare(resolve("samples/validation[:1]"), [2])


def loops(store: Store, architecture: str):
    torch.manual_seed(0)
    network = build(architecture, resolve_config(architecture, "debug", {}))
    lr, hr = PatchSampler(store, 2, 12, seed=0).batch(0, 2)
    bare = BareStep(network, OPTIONS, (torch.from_numpy(lr), torch.from_numpy(hr)), store, CPU)
    return network, bare, PlainFloat32(network, *bare.module.patches(bare.batch), OPTIONS.learning_rate)


@pytest.mark.parametrize("architecture", ["edsr", "srcnn", "vdsr"])
def test_both_take_the_same_steps_in_float32(store: Store, architecture: str) -> None:
    network, bare, plain = loops(store, architecture)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(3):
        bare()
        plain()
    pairs = zip(bare.module.network.parameters(), plain.network.parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(before[name], value) for name, value in plain.network.state_dict().items())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items()), "they train copies"


def test_the_plain_loop_is_plain(store: Store) -> None:
    _, _, plain = loops(store, "edsr")
    assert plain.lr.is_contiguous()
    assert plain.hr.is_contiguous()
    seen = set()
    plain.network.register_forward_hook(lambda layer, given, result: seen.add((given[0].dtype, result.dtype)))
    plain()
    assert seen == {(torch.float32, torch.float32)}
