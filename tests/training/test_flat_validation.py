"""Tests selection of the best step on flat validation images, and refused validations."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.data import ImageSet, Store, prepare
from nitido.evaluation.protocol import PSNR_CAP
from nitido.evaluation.scoring import NetworkUpscaler, evaluate
from nitido.training.module import DivergedError
from nitido.training.train import Trained, train
from tests.training.small_runs import options
from tests.training.traces import lines

COLORS = {"black": (0, 0, 0), "white": (255, 255, 255)}


def validation_of(folder: Path, *names: str) -> Store:
    from skimage import data

    folder.mkdir()
    for name in names:
        path = folder / f"{name}.png"
        if name in COLORS:
            Image.new("RGB", (96, 80), COLORS[name]).save(path)
        else:
            Image.fromarray(np.ascontiguousarray(data.astronaut()[:80, 100:196])).save(path)
    return prepare(ImageSet("validation", tuple(folder / f"{name}.png" for name in names)), [2], folder / "packs")


def network(**config: object) -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build("srcnn", resolve_config("srcnn", "debug", config))


def trained_on(
    store: Store, validation: Store, directory: Path, start: SuperResolutionNetwork, **changes: object
) -> Trained:
    return train(
        start,
        options(**({"steps": 40, "validate_every": 5, "learning_rate": 2e-3} | changes)),
        train=store,
        validation=validation,
        scale_schedule=(2,),
        directory=directory,
        labels={},
        listener=lambda step, psnr: None,
    )


def curve_of(directory: Path) -> dict[int, float]:
    return {line["step"]: line["validation/psnr_y"] for line in lines(directory) if "validation/psnr_y" in line}


@pytest.mark.parametrize("flat", ["black", "white"])
def test_a_flat_validation_image_does_not_select_the_first_step(small_store: Store, tmp_path: Path, flat: str) -> None:
    """A network that leaves flat images as they are has an infinite PSNR there at every step: others decide."""
    start = network(residual=True)
    with torch.no_grad():
        for parameter in list(start.parameters())[-2:]:
            parameter.zero_()  # the last layer adds nothing
    unchanged = NetworkUpscaler(start)
    store = validation_of(tmp_path / "both", flat, "photo")
    assert next(score.metrics["psnr_y"] for score in evaluate(unchanged, store, 2)) == PSNR_CAP
    found = trained_on(small_store, store, tmp_path / "run", start)
    curve = curve_of(tmp_path / "run")
    assert all(map(math.isfinite, curve.values()))
    assert found.best_step == max(curve, key=lambda step: curve[step])
    assert found.validation["psnr_y"] == max(curve.values())


def test_the_last_of_equal_validations_is_kept(small_store: Store, tmp_path: Path) -> None:
    """A learning rate too small to change any pixel: every validation is the same, and so chooses nothing."""
    store = validation_of(tmp_path / "flat", "black")
    trained = trained_on(
        small_store, store, tmp_path / "run", network(), steps=12, validate_every=4, learning_rate=1e-12
    )
    assert len(set(curve_of(tmp_path / "run").values())) == 1
    assert trained.best_step == 12


def test_a_validation_of_weights_that_are_not_finite_ends_the_run_as_diverged(
    small_store: Store, tmp_path: Path
) -> None:
    ruined = network()
    with torch.no_grad():
        next(ruined.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError):
        trained_on(small_store, small_store, tmp_path, ruined, steps=4, validate_every=4)
