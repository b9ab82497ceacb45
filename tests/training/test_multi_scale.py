"""Tests training one network for several scales: schedule, patches, validation and resuming."""

import os
import signal
from collections import Counter
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base.errors import NitidoError
from nitido.base.validation import ConfigError
from nitido.data import ImageSet, Store, prepare, scale_index_of_step
from nitido.evaluation.scoring import NetworkUpscaler, evaluate
from nitido.imaging import bicubic_downscale
from nitido.training.batches import PatchStream, samplers
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.train import train
from tests.training.small_runs import train_on
from tests.training.traces import lines, same_weights

SCALES = (2, 3, 4)
OPTIONS = {"steps": 12, "batch": 2, "patch": 12, "validate_every": 4, "log_every": 1, "ema": 0.8}
OPTIONS |= {"precision": "float32", "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from skimage import data

    folder = tmp_path_factory.mktemp("small")
    for name, pixels in {"a": data.chelsea()[60:143, 90:191], "b": data.coffee()[100:181, 200:281]}.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    paths = (folder / "a.png", folder / "b.png")
    return prepare(ImageSet("small", paths), SCALES, tmp_path_factory.mktemp("packs"))


def fresh_network(**config: object) -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build("vdsr", resolve_config("vdsr", "debug", {"normalization": "batch", **config}))


def run(store: Store, directory: Path, listener=lambda step, psnr: None, config=None, scale_schedule=SCALES, **changes):
    network = fresh_network(**(config or {}))
    options = Hyperparameters.parse(OPTIONS | changes, "test")
    return network, train_on(store, directory, network, options, listener, scale_schedule)


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("whole")
    network, trained = run(store, directory)
    return network, trained, directory


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**7), st.integers(1, 4))
def test_every_round_uses_each_scale_once(seed: int, number: int, scale_schedule: int) -> None:
    steps = range(number * scale_schedule, (number + 1) * scale_schedule)
    assert sorted(scale_index_of_step(seed, step, scale_schedule) for step in steps) == list(range(scale_schedule))


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1), st.sampled_from([3, 30, 50]), st.integers(0, 2))
def test_no_scale_has_all_the_steps_that_are_logged(seed: int, every: int, offset: int) -> None:
    counts = Counter(scale_index_of_step(seed, every * step + offset, 3) for step in range(600))
    assert all(130 < counts[turn] < 270 for turn in range(3)), counts  # 200 ± 6 standard deviations


def batches(store: Store, seed: int, first: int, total: int, patch: int = 12):
    options = Hyperparameters(steps=total, batch=3, patch=patch, seed=seed, augment=False)
    stream = PatchStream(
        samplers(store, options, SCALES), batch=3, stretch=1000, total=total, current_step=lambda: first
    )
    return [(lr.numpy(), hr.numpy()) for lr, hr in stream]


def test_batches_are_a_function_of_seed_and_step(store: Store) -> None:
    everything, later = batches(store, 5, 0, 9), batches(store, 5, 4, 9)
    for (lr, hr), (same_lr, same_hr) in zip(everything[4:], later, strict=True):
        assert np.array_equal(lr, same_lr)
        assert np.array_equal(hr, same_hr)


def places(patch: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Where `(3, s, s)` occurs in `(H, W, 3)`."""
    windows = sliding_window_view(image, patch.shape[1:], axis=(0, 1))
    return [(int(top), int(left)) for top, left in np.argwhere((windows == patch).all(axis=(2, 3, 4)))]


def test_every_lr_patch_is_matlabs_bicubic_of_its_scale(store: Store) -> None:
    seen = Counter()
    for lr, hr in batches(store, 1, 0, 12):
        scale = hr.shape[-1] // lr.shape[-1]
        seen[scale] += 1
        assert hr.shape[-1] == 24, "the same work at every scale"
        for small, large in zip(lr, hr, strict=True):
            found = [
                (index, top, left)
                for index in range(len(store))
                for top, left in places(small, bicubic_downscale(store.hr_cropped(index, scale), scale))
            ]
            assert found, f"no such patch in the images at scale {scale}"
            cuts = [
                store.hr(index)[scale * top :, scale * left :][: large.shape[1], : large.shape[2]].transpose(2, 0, 1)
                for index, top, left in found
            ]
            assert any(np.array_equal(cut, large) for cut in cuts)
    assert seen == {2: 4, 3: 4, 4: 4}


def test_patches_are_about_equal_in_high_resolution_where_they_cannot_be_equal(store: Store) -> None:
    sides = {hr.shape[-1] // lr.shape[-1]: hr.shape[-1] for lr, hr in batches(store, 1, 0, 3, patch=14)}
    assert sides == {2: 28, 3: 27, 4: 28}


@pytest.mark.parametrize("step", [1, 4, 5, 11])
def test_interrupted_and_continued_equals_uninterrupted(store: Store, whole, tmp_path: Path, step: int) -> None:
    def press_ctrl_c(done: int, psnr: float | None) -> None:
        if done == step and psnr is None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterruptedError, match=f"after step {step}"):
        run(store, tmp_path, press_ctrl_c)
    network, trained = run(store, tmp_path)
    assert same_weights(network, whole[0])
    assert (trained.best_step, trained.validation) == (whole[1].best_step, whole[1].validation)
    assert lines(tmp_path) == lines(whole[2])


def test_the_other_scales_are_learned(store: Store, whole, tmp_path: Path) -> None:
    alone, _ = run(store, tmp_path, scale_schedule=(2,))
    assert not same_weights(alone, whole[0])
    logged = [line for line in lines(whole[2]) if "loss/l1" in line]
    assert [line["scale"] for line in logged] == [SCALES[scale_index_of_step(0, step, 3)] for step in range(12)]
    assert not any("scale" in line for line in lines(tmp_path))


def test_a_repeated_scale_is_trained_twice_and_validated_once(store: Store, tmp_path: Path) -> None:
    _, trained = run(store, tmp_path, scale_schedule=(2, 2, 3))
    scales = [line["scale"] for line in lines(tmp_path) if "loss/l1" in line]
    assert [sorted(scales[begin : begin + 3]) for begin in range(0, 12, 3)] == [[2, 2, 3]] * 4
    assert trained.validation["psnr_y"] == pytest.approx(fmean(trained.validation[f"x{k}/psnr_y"] for k in (2, 3)))


def test_every_scale_is_measured_and_the_mean_chooses(store: Store, whole) -> None:
    network, trained, directory = whole
    validations = {line["step"]: line for line in lines(directory) if "validation/psnr_y" in line}
    assert list(validations) == [4, 8, 12]
    for line in validations.values():
        for metric in ("psnr_y", "ssim_y"):
            each = [line[f"validation/x{scale}/{metric}"] for scale in SCALES]
            assert len(set(each)) == 3
            assert line[f"validation/{metric}"] == pytest.approx(fmean(each))
    assert trained.best_step == max(validations, key=lambda step: validations[step]["validation/psnr_y"])
    for scale in SCALES:
        built = fresh_network(scale=scale)
        built.load_state_dict(network.state_dict())
        scores = [score.metrics["psnr_y"] for score in evaluate(NetworkUpscaler(built), store, scale)]
        assert trained.validation[f"x{scale}/psnr_y"] == pytest.approx(fmean(scores), abs=1e-6)


def test_metrics_of_a_single_scale_have_plain_names(store: Store, tmp_path: Path) -> None:
    _, trained = run(store, tmp_path, scale_schedule=(2,))
    assert not any("/x2/" in name for line in lines(tmp_path) for name in line)
    assert set(trained.validation) == {"psnr_y", "ssim_y", "psnr_rgb"}


def test_an_image_of_each_scale_is_shown(whole) -> None:
    events = EventAccumulator(str(whole[2]), size_guidance={"images": 0})
    events.Reload()
    assert events.Tags()["images"] == [f"truth, bicubic, network x{scale}" for scale in SCALES]
    assert {"validation/x3/psnr_y", "validation/psnr_y"} <= set(events.Tags()["scalars"])


def test_a_checkpoint_holds_the_weights_once(whole) -> None:
    network, _, directory = whole
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"network.{name}" for name in network.state_dict()}


def test_frozen_statistics_do_not_change_at_any_scale(store: Store, tmp_path: Path) -> None:
    network = fresh_network()
    for parameter in network.body.parameters():
        parameter.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    options = Hyperparameters.parse(OPTIONS | {"ema": 0}, "test")
    arguments = {"labels": {}, "listener": lambda step, psnr: None, "directory": tmp_path}
    train(network, options, train=store, validation=store, scale_schedule=(2, 3, 4), **arguments)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"reconstruction.weight", "reconstruction.bias"}


def test_networks_for_one_scale_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NitidoError, match="cannot be used at scale 3: its weights are for scale 2"):
        run(store, tmp_path, config={"upsampler": "transposed"})
    with pytest.raises(ConfigError, match=r"scales 2, 3, 4 with the loss term 'adversarial'.*one scale"):
        run(store, tmp_path, loss=["l1", "adversarial"])
    assert list(tmp_path.iterdir()) == []
