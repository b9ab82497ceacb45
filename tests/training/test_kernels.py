"""Compares trainings with nitido's kernels with trainings by PyTorch."""

from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.data import Store
from nitido.training.callbacks import TrainingInterruptedError
from tests.training.small_runs import distance, run, stop_at

KERNELS = {"precision": "bfloat16", "compile": "kernels"}
PLAIN_STEPS = {"optimizer": "sgd", "learning_rate": 0.05}
"""Steps as long as their gradients: Adam's first ones are as long for those that are nothing but rounding."""


def edsr() -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build("edsr", resolve_config("edsr", "baseline", {"blocks": 2, "width": 32}))


def test_a_training_with_kernels_ends_near_one_without(small_store: Store, tmp_path: Path) -> None:
    changes = {"steps": 12, "batch": 3, "precision": "bfloat16", **PLAIN_STEPS}
    own = run(small_store, tmp_path / "own", edsr(), **changes, compile="kernels")
    plain = run(small_store, tmp_path / "plain", edsr(), **changes, compile=False)
    learned = distance(plain, edsr())
    assert learned > 5e-3
    assert 0 < distance(own, plain) < learned / 2, "other machine code, the same network"
    assert '"kernels": true' in (tmp_path / "own" / "fast_path.json").read_text()


def test_a_resumed_training_with_kernels_has_the_same_bits(small_store: Store, tmp_path: Path) -> None:
    whole = run(small_store, tmp_path / "whole", edsr(), **KERNELS)
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", edsr(), stop_at(5), **KERNELS)
    assert distance(run(small_store, tmp_path / "half", edsr(), **KERNELS), whole) == 0


def test_weights_of_a_training_with_kernels_may_be_averaged(small_store: Store, tmp_path: Path) -> None:
    averaged, plain = (
        run(small_store, tmp_path / name, edsr(), precision="bfloat16", compile=way, ema=0.8, **PLAIN_STEPS)
        for name, way in (("own", "kernels"), ("plain", False))
    )
    assert distance(averaged, edsr()) > 1e-3
    assert 0 < distance(averaged, plain) < distance(averaged, edsr()) / 2
