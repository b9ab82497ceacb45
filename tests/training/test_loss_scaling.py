"""float16: gradients too small for it are kept by scaling the loss, and steps that overflow change nothing."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.base.validation import ConfigError
from nitido.data import Store
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.precision import autocast, resolve_precision
from tests.training.small_runs import distance, network, run, stop_at

CPU, CARD = torch.device("cpu"), torch.device("cuda")
FLOAT16 = {"precision": "float16", "compile": False}
FACTOR = 2.0**16  # PyTorch's first


@pytest.fixture(scope="module")
def whole(small_store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[SuperResolutionNetwork, Path]:
    directory = tmp_path_factory.mktemp("whole")
    return run(small_store, directory, **FLOAT16), directory


def overflowing_once() -> SuperResolutionNetwork:
    """A network whose first backward pass comes to an infinite gradient."""
    made = network()
    left = [1]

    def overflow(gradient: Tensor) -> Tensor:
        return gradient * torch.inf if left and left.pop() else gradient

    next(made.parameters()).register_hook(overflow)
    return made


def factor_in(directory: Path) -> float:
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["LossScaling"]["scale"]


def test_networks_calculate_in_float16() -> None:
    with autocast(CPU, "float16"):
        assert torch.nn.Conv2d(1, 1, 1)(torch.rand(1, 1, 8, 8)).dtype == torch.float16


def test_weights_stay_float32_and_learn_as_in_float32(small_store: Store, tmp_path: Path, whole) -> None:
    exact = run(small_store, tmp_path, compile=False)
    assert {weights.dtype for weights in whole[0].parameters()} == {torch.float32}
    assert 0 < distance(whole[0], exact) < 0.1 * distance(exact, network())


def test_gradients_below_the_smallest_float16_are_kept(small_store: Store, tmp_path: Path) -> None:
    # A pixel's share of this loss is about 1e-9 and would be zero in float16; Adam's steps do not depend on its size.
    trained = run(small_store, tmp_path, loss={"l1": 3e-6}, **FLOAT16)
    assert distance(trained, network()) > 1e-3


def test_a_step_that_overflows_changes_nothing_and_halves_the_factor(small_store: Store, tmp_path: Path) -> None:
    trained = run(small_store, tmp_path, overflowing_once(), steps=1, validate_every=1, **FLOAT16)
    assert distance(trained, network()) == 0
    assert "gradient_norm" not in (tmp_path / "metrics.jsonl").read_text()
    assert factor_in(tmp_path) == FACTOR / 2


def test_the_steps_after_it_learn(small_store: Store, tmp_path: Path) -> None:
    trained = run(small_store, tmp_path, overflowing_once(), **FLOAT16)
    assert all(torch.isfinite(weights).all() for weights in trained.parameters())
    assert distance(trained, network()) > 1e-3


def test_interrupted_and_continued_equals_uninterrupted(small_store: Store, tmp_path: Path) -> None:
    whole = run(small_store, tmp_path / "whole", overflowing_once(), **FLOAT16)
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", overflowing_once(), stop_at(5), **FLOAT16)
    resumed = run(small_store, tmp_path / "half", **FLOAT16)
    assert distance(resumed, whole) == 0
    assert factor_in(tmp_path / "half") == factor_in(tmp_path / "whole") == FACTOR / 2


def test_logged_gradients_and_clipping_are_of_true_size(small_store: Store, tmp_path: Path) -> None:
    # A first step of plain gradient descent moves all weights together by rate times norm, here clipped.
    changes = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0, "gradient_clip": 1e-3, "steps": 1}
    trained = run(small_store, tmp_path, validate_every=1, **changes, **FLOAT16)
    moved = [(x - y).flatten() for x, y in zip(trained.parameters(), network().parameters(), strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(
    ("capability", "loss", "expected"),
    [((7, 5), "l1", "float16"), ((6, 1), "l1", "float32"), ((7, 5), ["l1", "adversarial"], "float32")],
)
def test_cards_without_bfloat16_train_in_float16_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], loss: object, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision(Hyperparameters.parse({"steps": 1, "loss": loss}, "test"), CARD) == expected


def test_bfloat16_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert resolve_precision(Hyperparameters(steps=1), CARD) == "bfloat16"


def test_an_adversarial_run_in_float16_is_refused() -> None:
    with pytest.raises(ConfigError, match="an adversarial loss does not support float16: use precision bfloat16"):
        Hyperparameters.parse({"steps": 1, "loss": ["l1", "adversarial"], "precision": "float16"}, "test")
