"""The average of the weights, against its definition in float64."""

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from nitido.architectures import build, resolve_config
from nitido.data import Store
from nitido.training.callbacks import AveragedWeights
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.train import train


def average_of(sequence: list[torch.Tensor], decay: float) -> torch.Tensor:
    """The average after the last of `sequence`, the weights after each step, by the definition and in float64.

    The first weights are their own average; the n-th after them counts 1 - min(decay, (1 + n) / (10 + n)).
    """
    average = sequence[0].double()
    for n, weights in enumerate(sequence[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        average = d * average + (1 - d) * weights.double()
    return average


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(network, multi_avg_fn=AveragedWeights(decay)._average, use_buffers=True)


@settings(max_examples=30, deadline=None)
@given(decay=st.floats(0, 0.9999), steps=st.integers(1, 60), seed=st.integers(0, 99))
def test_the_average_is_that_of_the_definition(decay: float, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    network = nn.Linear(3, 2)
    average = averaged(network, decay)
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        average.update_parameters(network)
        seen.append(network.weight.detach().clone())
    expected = average_of(seen, decay)
    torch.testing.assert_close(average.module.weight.double(), expected, atol=1e-5, rtol=1e-5)


def test_a_high_decay_also_forgets_the_initial_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, 0.9999)
    for value in [100.0, *[1.0] * 100]:
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
    # Without the warm-up 0.9999**100 = 0.99 of the beginning would be left: 99 in place of about 1.
    assert average.module.weight.item() == pytest.approx(1, abs=1e-3)


def test_constant_tensors_keep_their_bits_and_counters_count() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    frozen = copy.deepcopy(network[0].state_dict())
    average = averaged(network, 0.9)
    for _ in range(40):
        network[1](torch.randn(2, 4, 5, 5))
        average.update_parameters(network)
    assert all(torch.equal(average.module[0].state_dict()[name], values) for name, values in frozen.items())
    assert average.module[1].num_batches_tracked.dtype == torch.int64
    assert torch.isfinite(average.module[1].running_var).all()


def test_a_training_keeps_the_average_of_its_weights(small_store: Store, tmp_path: Path) -> None:
    def run(directory: Path, steps: int, ema: float) -> dict[str, torch.Tensor]:
        """The weights kept after `steps` steps of a run whose learning rate does not depend on its length."""
        torch.manual_seed(3)
        network = build("srcnn", resolve_config("srcnn", "debug", {}))
        options = {"steps": steps, "batch": 2, "patch": 12, "validate_every": steps, "schedule": "constant"}
        train(
            network,
            Hyperparameters.parse(options | {"ema": ema, "precision": "float32", "learning_rate": 5e-3}, "test"),
            train=small_store,
            validation=small_store,
            scale_schedule=(2,),
            directory=directory,
            labels={},
            listener=lambda step, psnr: None,
        )
        return network.state_dict()

    after = [run(tmp_path / f"plain{steps}", steps, 0) for steps in range(1, 7)]
    kept = run(tmp_path / "averaged", 6, 0.25)
    for name, values in kept.items():
        expected = average_of([weights[name] for weights in after], 0.25)
        torch.testing.assert_close(values.double(), expected, atol=1e-6, rtol=1e-5)
        assert not torch.equal(values, after[-1][name])
