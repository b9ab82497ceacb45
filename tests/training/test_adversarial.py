"""Adversarial training: a real discriminator against a small SRResNet, on real pixels."""

import math
import os
import signal
from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, count_parameters, resolve_config
from nitido.architectures.discriminator import Discriminator, DiscriminatorConfig
from nitido.base.validation import ConfigError
from nitido.data import Store
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.module import DivergedError
from nitido.training.train import Trained, train
from tests.training.small_runs import train_on
from tests.training.traces import lines

OPTIONS = {
    "loss": {"l1": 1.0, "adversarial": 1e-2},
    "adversarial": {"discriminator": {"width": 4, "dense_width": 8}},
    "learning_rate": 1e-3,
    "steps": 8,
    "batch": 2,
    "patch": 8,
    "validate_every": 4,
    "log_every": 1,
    "ema": 0.8,
    "warmup": 2,
    "precision": "float32",
}
METRICS = ("psnr_y", "perceptual_distance")


def fresh_network() -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build("srresnet", resolve_config("srresnet", "debug", {"scale": 2}))


def run(store: Store, directory: Path, listener=lambda step, psnr: None, **changes: object):
    network = fresh_network()
    options = Hyperparameters.parse(OPTIONS | changes, "test")
    return network, train_on(store, directory, network, options, listener, metrics=METRICS)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def checkpoint(directory: Path) -> dict[str, object]:
    return torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(small_store: Store, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("whole")
    network, trained = run(small_store, directory)
    return network, trained, directory


def test_every_term_verdict_and_gradient_norm_is_logged_at_every_step(whole) -> None:
    logged = [line for line in lines(whole[2]) if "loss/total" in line]
    assert [line["step"] for line in logged] == list(range(OPTIONS["steps"]))
    for line in logged:
        parts = line["loss/l1"] + line["loss/adversarial"]
        assert line["loss/total"] == pytest.approx(parts, rel=1e-5)
        assert 0 < line["discriminator/real"] < 1
        assert 0 < line["discriminator/fake"] < 1
        assert line["loss/discriminator"] > 0
        assert line["gradient_norm"] > 0
        assert line["discriminator/gradient_norm"] > 0
    assert logged[0]["learning_rate"] == pytest.approx(1e-3 / 3)


def test_both_networks_learn_and_the_model_contains_only_the_generator(whole) -> None:
    network, trained, directory = whole
    assert not same(network.state_dict(), fresh_network().state_dict())
    state = checkpoint(directory)["state_dict"]
    assert any(name.startswith("discriminator.") for name in state)
    assert not any("perceptual" in name for name in state)
    assert isinstance(trained, Trained)


def test_the_best_weights_by_perceptual_distance_are_kept(whole) -> None:
    _, trained, directory = whole
    curve = {
        line["step"]: line["validation/perceptual_distance"] for line in lines(directory) if "validation/psnr_y" in line
    }
    assert trained.best_step == min(curve, key=lambda step: curve[step])
    assert trained.validation["perceptual_distance"] == min(curve.values())


@pytest.mark.parametrize("step", [1, 4, 6])
def test_an_interrupted_run_resumes_exactly_with_both_optimizers(
    small_store: Store, whole, tmp_path: Path, step: int
) -> None:
    def press_ctrl_c(done: int, psnr: float | None) -> None:
        if done == step and psnr is None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterruptedError, match=f"after step {step}"):
        run(small_store, tmp_path, press_ctrl_c)
    steps: list[int] = []
    network, _ = run(small_store, tmp_path, lambda done, psnr: steps.append(done))
    assert steps[0] == step + 1
    assert same(network.state_dict(), whole[0].state_dict())
    assert lines(tmp_path) == lines(whole[2])
    resumed, expected = checkpoint(tmp_path), checkpoint(whole[2])
    assert same(resumed["state_dict"], expected["state_dict"]), "the discriminator resumed too"
    assert len(resumed["optimizer_states"]) == 2
    for mine, theirs in zip(resumed["optimizer_states"], expected["optimizer_states"], strict=True):
        for key, moments in mine["state"].items():
            assert same(moments, theirs["state"][key])
    assert resumed["collapse_guard"] == expected["collapse_guard"]


@pytest.mark.parametrize("kind", ["hinge", "relativistic"])
def test_the_other_adversarial_losses_train_too(small_store: Store, tmp_path: Path, kind: str) -> None:
    adversarial = OPTIONS["adversarial"] | {"kind": kind}
    _, trained = run(small_store, tmp_path, adversarial=adversarial, ema=0, steps=4)
    assert trained.steps == 4


def test_a_y_network_has_a_discriminator_of_one_channel(small_store: Store, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("srresnet", resolve_config("srresnet", "debug", {"scale": 2, "channels": 1}))
    train(
        network,
        Hyperparameters.parse(OPTIONS | {"steps": 2, "validate_every": 2}, "test"),
        train=small_store,
        validation=small_store,
        scale_schedule=(2,),
        directory=tmp_path,
        labels={},
        listener=lambda step, psnr: None,
        metrics=METRICS,
    )
    first = next(
        value for name, value in checkpoint(tmp_path)["state_dict"].items() if name.startswith("discriminator")
    )
    assert first.shape[1] == 1


def test_frozen_parts_do_not_change(small_store: Store, tmp_path: Path) -> None:
    network = fresh_network()
    for parameter in network.head.parameters():
        parameter.requires_grad_(False)
    train(
        network,
        Hyperparameters.parse(OPTIONS, "test"),
        train=small_store,
        validation=small_store,
        scale_schedule=(2,),
        directory=tmp_path,
        labels={},
        listener=lambda step, psnr: None,
        metrics=METRICS,
    )
    assert same(network.head.state_dict(), fresh_network().head.state_dict())
    assert not same(network.reconstruction.state_dict(), fresh_network().reconstruction.state_dict())


def test_an_exploding_term_is_named(small_store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        DivergedError, match=r"(loss term|gradient) .*(l1|adversarial|discriminator|network).* became .* at step"
    ):
        run(small_store, tmp_path, optimizer="sgd", learning_rate=10, momentum=0.99, ema=0, steps=200, warmup=0)


def test_a_collapse_is_named(small_store: Store, tmp_path: Path) -> None:
    # The adversarial term alone drives the image, and soon away from the truth.
    options = {"loss": {"l1": 1e-6, "adversarial": 10.0}, "learning_rate": 5e-4, "ema": 0, "steps": 200, "warmup": 0}
    adversarial = OPTIONS["adversarial"] | {"collapse": 3.0}
    with pytest.raises(DivergedError, match=r"the generator collapsed at step \d+: PSNR .* fell from .*D\(fake\)"):
        run(small_store, tmp_path, adversarial=adversarial, schedule="constant", validate_every=200, **options)


def test_the_published_discriminator_has_the_published_size() -> None:
    with torch.device("meta"):
        published = Discriminator(DiscriminatorConfig(), channels=3, side=96)
    assert count_parameters(published) == 23_565_505
    statistics = sum(b.numel() for name, b in published.named_buffers() if "running" in name)
    assert count_parameters(published) + statistics == 23_569_217


@pytest.mark.parametrize(("side", "nearest"), [(40, 32), (8, 16), (100, 96)])
def test_a_patch_that_cannot_be_halved_four_times_is_refused(side: int, nearest: int) -> None:
    with pytest.raises(ConfigError, match=rf"multiple of 16 high-resolution pixels, got {side} \(nearest: {nearest}\)"):
        Discriminator(DiscriminatorConfig(width=2, dense_width=2), channels=3, side=side)


def test_without_normalization_images_are_classified_independently() -> None:
    torch.manual_seed(0)
    alone = Discriminator(DiscriminatorConfig(width=4, dense_width=8, normalization="none"), channels=3, side=16)
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(alone(images)[1:2], alone(images[1:2]))
    assert alone(images).shape == (3, 1)


def test_two_hundred_steps_from_a_trained_start_stay_finite_and_lose_less_than_3_db(
    small_store: Store, tmp_path: Path
) -> None:
    network = fresh_network()
    common = {"train": small_store, "validation": small_store, "scale_schedule": (2,), "labels": {}, "metrics": METRICS}
    supervised = OPTIONS | {"loss": "l1", "steps": 100, "validate_every": 100, "learning_rate": 2e-3}
    start = train(
        network,
        Hyperparameters.parse(supervised, "test"),
        directory=tmp_path / "srresnet",
        listener=lambda step, psnr: None,
        **common,
    )
    srgan = OPTIONS | {
        "loss": {"l1": 1.0, "perceptual": 1e-4, "adversarial": 1e-2},
        "steps": 200,
        "validate_every": 50,
        "learning_rate": 2e-4,
    }
    train(
        network,
        Hyperparameters.parse(srgan, "test"),
        directory=tmp_path / "srgan",
        listener=lambda step, psnr: None,
        **common,
    )
    logged = lines(tmp_path / "srgan")
    assert len([line for line in logged if "loss/total" in line]) == 200
    assert all(math.isfinite(value) for line in logged for value in line.values())
    psnrs = [line["validation/psnr_y"] for line in logged if "validation/psnr_y" in line]
    assert len(psnrs) == 4
    assert min(psnrs) > start.validation_psnr - 3
