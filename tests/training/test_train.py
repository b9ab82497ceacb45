"""Tests that trainings are reproducible and resumable to the same bits, and the files they write."""

import os
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.data import DataError, Store
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.module import DivergedError
from nitido.training.train import Trained, count_steps
from tests.training.small_runs import train_on
from tests.training.traces import lines, same_weights

OPTIONS = {"steps": 12, "batch": 2, "patch": 12, "validate_every": 4, "log_every": 3, "ema": 0.8, "warmup": 2}
OPTIONS["precision"] = "float32"  # the bits must not depend on what the processor can do


def fresh_network(architecture: str = "srcnn", **config: object) -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build(architecture, resolve_config(architecture, "debug", config))


def run(store: Store, directory: Path, listener=lambda step, psnr: None, config=None, **changes: object):
    network = fresh_network(**(config or {}))
    options = Hyperparameters.parse(OPTIONS | changes, "test")
    return network, train_on(store, directory, network, options, listener)


@pytest.fixture(scope="module")
def whole(small_store: Store, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("whole")
    network, trained = run(small_store, directory)
    return network, trained, directory


def test_training_changes_the_weights_and_lowers_the_loss(small_store: Store, tmp_path: Path) -> None:
    network, _ = run(small_store, tmp_path, steps=40, learning_rate=5e-3, ema=0)
    assert not same_weights(network, fresh_network())
    losses = [line["loss/l1"] for line in lines(tmp_path) if "loss/l1" in line]
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_gives_the_same_bits(small_store: Store, whole, tmp_path: Path) -> None:
    again, trained = run(small_store, tmp_path)
    assert same_weights(again, whole[0])
    assert trained.validation_psnr == whole[1].validation_psnr


@pytest.mark.parametrize("change", [{"augment": False}, {"augment_colours": True}])
def test_augmentations_reach_the_patches(small_store: Store, whole, tmp_path: Path, change: dict[str, bool]) -> None:
    assert not same_weights(run(small_store, tmp_path, **change)[0], whole[0])


def test_another_seed_gives_other_weights(small_store: Store, whole, tmp_path: Path) -> None:
    other, _ = run(small_store, tmp_path, seed=1)
    assert not same_weights(other, whole[0])


def press_ctrl_c_at(step: int):
    def listener(done: int, psnr: float | None) -> None:
        if done == step and psnr is None:
            os.kill(os.getpid(), signal.SIGINT)

    return listener


def test_signal_handlers_are_restored(small_store: Store, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(small_store, tmp_path / "whole", steps=2, validate_every=2)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", press_ctrl_c_at(1))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_interrupted_and_continued_equals_uninterrupted(small_store: Store, whole, tmp_path: Path, step: int) -> None:
    with pytest.raises(TrainingInterruptedError, match=f"after step {step}"):
        run(small_store, tmp_path, press_ctrl_c_at(step))
    steps: list[int] = []
    network, trained = run(small_store, tmp_path, lambda done, psnr: steps.append(done))
    assert steps[0] == step + 1, "it must resume, not start again"
    assert same_weights(network, whole[0])
    assert (trained.best_step, trained.validation_psnr) == (whole[1].best_step, whole[1].validation_psnr)
    assert lines(tmp_path) == lines(whole[2])


@pytest.mark.parametrize("validating", [False, True])
def test_ctrl_c_after_the_last_step_began_is_not_lost(
    small_store: Store, whole, tmp_path: Path, validating: bool
) -> None:
    total = whole[1].steps

    def listener(done: int, psnr: float | None) -> None:
        if done == total and (psnr is not None) == validating:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterruptedError, match=f"after step {total}"):
        run(small_store, tmp_path, listener)
    steps: list[int] = []
    network, trained = run(small_store, tmp_path, lambda done, psnr: steps.append(done))
    assert not steps, "nothing was left to train"
    assert same_weights(network, whole[0])
    assert (trained.best_step, trained.validation_psnr) == (whole[1].best_step, whole[1].validation_psnr)
    assert lines(tmp_path) == lines(whole[2])


def test_batch_norm_and_its_averages_survive_an_interruption(small_store: Store, tmp_path: Path) -> None:
    config = {"architecture": "edsr", "block": "batch"}
    whole, _ = run(small_store, tmp_path / "whole", config=config)
    assert any(name.endswith("running_var") for name in whole.state_dict())
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", press_ctrl_c_at(6), config=config)
    resumed, _ = run(small_store, tmp_path / "half", config=config)
    assert same_weights(resumed, whole)


def test_a_half_done_run_may_be_moved(small_store: Store, tmp_path: Path) -> None:
    # Validation is at its best early in this run, so that forgetting the best score would show.
    unsteady = {"learning_rate": 0.5, "ema": 0, "schedule": "constant", "steps": 16}
    _, expected = run(small_store, tmp_path / "whole", **unsteady)
    assert expected.best_step < 12, "choose a learning rate that spoils the network later"
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "old", press_ctrl_c_at(expected.best_step + 1), **unsteady)
    (tmp_path / "old").rename(tmp_path / "new")
    _, trained = run(small_store, tmp_path / "new", **unsteady)
    assert (trained.best_step, trained.validation_psnr) == (expected.best_step, expected.validation_psnr)
    assert {path.name for path in (tmp_path / "new" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    small_store: Store, whole, tmp_path: Path
) -> None:
    class PowerCutError(Exception):
        pass

    def listener(done: int, psnr: float | None) -> None:
        if done == 10:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        run(small_store, tmp_path, listener)
    steps: list[int] = []
    network, _ = run(small_store, tmp_path, lambda done, psnr: steps.append(done))
    assert steps[0] == 9
    assert same_weights(network, whole[0])
    assert lines(tmp_path) == lines(whole[2])


def test_a_finished_training_is_not_trained_again(small_store: Store, tmp_path: Path, whole) -> None:
    run(small_store, tmp_path)
    steps: list[int] = []
    network, trained = run(small_store, tmp_path, lambda done, psnr: steps.append(done))
    assert steps == []
    assert same_weights(network, whole[0])
    assert trained.validation_psnr == whole[1].validation_psnr
    assert lines(tmp_path) == lines(whole[2])


def test_scalars_are_logged_at_their_steps(whole) -> None:
    logged = lines(whole[2])
    assert [line["step"] for line in logged if "loss/l1" in line] == [0, 3, 6, 9]
    assert [line["step"] for line in logged if "validation/psnr_y" in line] == [4, 8, 12]
    first = logged[0]
    assert {"loss/l1", "loss/total", "gradient_norm", "learning_rate"} <= set(first)
    assert first["gradient_norm"] > 0
    assert first["learning_rate"] == pytest.approx(1e-3 / 3)


def test_tensorboard_holds_scalars_histograms_images_and_hparams(whole) -> None:
    events = EventAccumulator(str(whole[2]), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"loss/l1", "gradient_norm", "learning_rate", "validation/psnr_y", "validation/ssim_y"} <= set(
        tags["scalars"]
    )
    assert "parameters/network.mapping.weight" in tags["histograms"]
    assert "gradients/network.mapping.weight" in tags["histograms"]
    (tag,) = tags["images"]
    assert [image.step for image in events.Images(tag)] == [4, 8, 12]
    assert "_hparams_/experiment" in events.summary_metadata


def test_the_best_validated_weights_are_kept(small_store: Store, whole) -> None:
    _, trained, directory = whole
    curve = {line["step"]: line["validation/psnr_y"] for line in lines(directory) if "validation/psnr_y" in line}
    assert isinstance(trained, Trained)
    assert trained.best_step == max(curve, key=lambda step: curve[step])
    assert trained.validation_psnr == pytest.approx(max(curve.values()), abs=1e-4)


def test_a_run_whose_length_is_no_multiple_of_the_interval_is_validated_at_its_end(
    small_store: Store, tmp_path: Path
) -> None:
    run(small_store, tmp_path, steps=6)
    assert [line["step"] for line in lines(tmp_path) if "validation/psnr_y" in line] == [4, 6]


def test_divergence_names_the_loss_term(small_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"loss term 'l2' became .* at step"):
        run(small_store, tmp_path, loss="l2", optimizer="sgd", learning_rate=10, steps=200, momentum=0.99, ema=0)


def test_gradient_clipping_bounds_the_update(small_store: Store, tmp_path: Path) -> None:
    clipped = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0, "schedule": "constant", "warmup": 0, "ema": 0}
    network, _ = run(small_store, tmp_path, steps=1, gradient_clip=1e-3, **clipped)
    before = torch.cat([p.detach().flatten() for p in fresh_network().parameters()])
    after = torch.cat([p.detach().flatten() for p in network.parameters()])
    assert torch.linalg.vector_norm(after - before).item() == pytest.approx(1e-3, rel=1e-2)


def test_a_y_network_trains_on_luma(small_store: Store, tmp_path: Path) -> None:
    network, trained = run(small_store, tmp_path, config={"channels": 1, "residual": True})
    assert network.channels == 1
    assert trained.validation_psnr > 25


def test_a_patch_larger_than_an_image_is_refused(small_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="patch 41"):
        run(small_store, tmp_path, patch=41)


def test_an_epoch_covers_the_images_area_once(small_store: Store) -> None:
    options = Hyperparameters(epochs=2, batch=4, patch=10)
    assert count_steps(options, small_store, 2) == 2 * (40 * 50 + 40 * 40) // (4 * 100)


def test_bfloat16_steps_keep_float32_weights_and_evaluation(small_store: Store, tmp_path: Path, whole) -> None:
    network, trained = run(small_store, tmp_path, precision="bfloat16")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert not same_weights(network, whole[0])
    assert trained.validation_psnr == pytest.approx(whole[1].validation_psnr, abs=0.2)
