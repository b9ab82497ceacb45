"""Training images of a pretrained model cannot be validation or test images of a run that starts from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nitido.models import read_descriptor
from nitido.models.tensor_file import CHECKSUM_KEY
from tests.cli.conftest import Done

Call = Callable[..., Done]
SETTINGS = ["steps=2", "batch=2", "patch=16", "validate_every=2", "compile=False"]
SETS = {"train": "./train", "validation": "./validation", "test": "./test"}


def settings(sets: dict[str, str]) -> list[str]:
    values = [*SETTINGS, *(f"data.{split}={folder}" for split, folder in sets.items())]
    return [word for value in values for word in ("--set", value)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four folders of images; `other` has one that no other folder has."""
    for number, name in enumerate(["train", "validation", "test", "other"]):
        rng = np.random.default_rng(number)
        for file in ("a", "b"):
            small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            (tmp_path / name).mkdir(exist_ok=True)
            small.resize((48, 48), Image.Resampling.BICUBIC).save(tmp_path / name / f"{file}.png")
    return tmp_path


@pytest.fixture
def train(call: Call, images: Path) -> Callable[..., Done]:
    """`nitido train` into `out`, with the usual sets except `sets`; `start` is the model to start from."""

    def run(out: str, start: str | None = None, **sets: str) -> Done:
        words = ["--set", f"pretrained={start}"] if start else []
        return call("train", "srcnn", "--variant", "debug", *settings(SETS | sets), *words, "--out", out)

    return run


@pytest.fixture
def study(call: Call, images: Path) -> Callable[[str], Done]:
    """A study whose second variant starts from `start`."""

    def run(start: str) -> Done:
        values: dict[str, Any] = {
            "study": "warm",
            "question": "does it help?",
            "architecture": "srcnn",
            "scale": 2,
            "baseline": "plain",
            "variants": [
                {"name": "plain", "variant": "debug"},
                {"name": "warm", "variant": "debug", "pretrained": start},
            ],
            "profiles": {
                "demo": {
                    "data": {split: [folder] for split, folder in SETS.items()},
                    "learning_rates": [1e-3],
                    "hyperparameters": {"steps": 2, "batch": 2, "patch": 16, "validate_every": 2, "compile": False},
                }
            },
        }
        (images / "warm.yaml").write_text(yaml.safe_dump(values))
        return call("study", "run", "warm.yaml", "--out", "out")

    return run


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"train": "./test", "test": "./other"}, "its weights were trained on a of ./test (test)"),
        ({"validation": "./test", "test": "./other"}, "its weights were chosen by a of ./test (test)"),
        ({"train": "./validation", "validation": "./other"}, "were trained on a of ./validation (validation)"),
    ],
)
def test_training_images_of_a_pretrained_model_are_refused(
    train: Callable[..., Done], study: Callable[[str], Done], images: Path, sets: dict[str, str], words: str
) -> None:
    assert train("leak", **sets).code == 0
    for done in (study("./leak"), train("warm", "./leak")):
        assert done.code == 1
        assert done.error_line.startswith("nitido: pretrained ./leak: ")
        assert words in done.error_line
    assert not (images / "out").exists()
    assert not (images / "warm").exists()


def test_training_images_are_inherited(train: Callable[..., Done], study: Callable[[str], Done]) -> None:
    assert train("leak", train="./test", test="./other").code == 0
    assert train("between", "./leak", validation="./validation", test="./other").code == 0
    done = study("./between")
    assert done.code == 1
    assert "pretrained ./between: its weights were trained on a of ./test (test)" in done.error_line


def test_a_model_trained_on_other_images_is_stated(
    train: Callable[..., Done], study: Callable[[str], Done], images: Path
) -> None:
    assert train("first").code == 0
    assert study("./first").code == 0
    assert (
        "No test image has the same pixels as a training or validation image of ./first"
        in (images / "out/report.html").read_text()
    )


def test_an_unrecorded_origin_is_reported(
    train: Callable[..., Done], study: Callable[[str], Done], images: Path
) -> None:
    assert train("first").code == 0
    path = images / "first" / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != CHECKSUM_KEY}
    metadata["nitido"] = json.dumps(json.loads(metadata["nitido"]) | {"learned": None})
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata)
    done = study("./first")
    assert done.code == 0, done.err
    assert (
        "The training images of ./first, from which variants start, are not recorded"
        in (images / "out/report.html").read_text()
    )
    learned = read_descriptor(images / "out/runs/warm/lr=0.001/seed=0/model.safetensors").learned
    assert learned is not None
    assert learned.unrecorded == ("./first",)
    assert (len(learned.train), len(learned.validation)) == (2, 2)


def test_evaluate_reports_which_images_a_model_was_trained_on(train: Callable[..., Done], call: Call) -> None:
    assert train("first").code == 0
    data = [word for folder in ("train", "validation", "test") for word in ("--data", f"./{folder}")]
    done = call("evaluate", "bicubic", "first", *data, "--scale", "2", "--json", "-")
    assert json.loads(done.out)["learned"] == [
        {"model": "first", "dataset": "./train", "trained_on": 2, "chosen_by": 0},
        {"model": "first", "dataset": "./validation", "trained_on": 0, "chosen_by": 2},
    ]
    assert "first was trained on 2 of the 2 images of ./train" in done.err
    assert "first was chosen by 2 of the 2 images of ./validation" in done.err
    assert "of ./test" not in done.err
    compared = call("compare", "train/a.png", "first", "bicubic", "--scale", "2", "-o", "figure.png")
    assert "first was trained on 1 of the 1 images of train/a.png" in compared.err
