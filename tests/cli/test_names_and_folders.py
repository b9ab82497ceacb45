"""A name means the same wherever the command runs; a folder of that name is written as a path."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from skimage import data
from skimage.io import imsave

from nitido.models.find import find_model
from nitido.models.zoo import zoo_path
from tests.cli.conftest import Done, write_tiny_study
from tests.forked.images import SPLITS, make_images
from tests.models.zoo.small_zoo import add_model

Call = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run directory's model that has the name of another one in the zoo, and a folder that is called bicubic."""
    for name in ("srcnn-x2", "bicubic"):
        add_model(tmp_path / name, "model", 30.0)
    imsave(tmp_path / "a.png", data.astronaut()[40:80, 180:220])
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "images" / "a.png")
    return tmp_path


def test_a_name_of_the_zoo(call: Call, folder: Path) -> None:
    shown = call("model", "show", "srcnn-x2", "--json", "-")
    assert (
        json.loads(shown.out)["publication"]
        == find_model(zoo_path("srcnn-x2")).descriptor.model_dump(mode="json")["publication"]
    )
    assert "note: srcnn-x2 is a model of the zoo; for the one in this directory write ./srcnn-x2" in shown.err
    measured = ["--data", "images", "--scale", "2", "--metric", "psnr_y", "--json", "-"]
    by_name, by_path, of_zoo = (
        json.loads(call("evaluate", model, *measured).out)["means"][0]["value"]
        for model in ("srcnn-x2", "./srcnn-x2", zoo_path("srcnn-x2"))
    )
    assert by_name == of_zoo != by_path
    for model, name in (("srcnn-x2", "a"), (zoo_path("srcnn-x2"), "b"), ("./srcnn-x2", "c")):
        assert call("upscale", "images/a.png", "-o", f"{name}.png", "--model", model).code == 0
    a, b, c = ((folder / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_what_a_run_starts_from(call: Call, folder: Path) -> None:
    """The zoo's network does not fit this variant, which the one in the folder would: the error says which was read."""
    make_images(folder / "sets")
    sets = [word for split in SPLITS for word in ("--set", f"data.{split}=./sets/{split}")]
    run = ["train", "srcnn", "--variant", "debug", "--set", "steps=2", "--set", "batch=2", "--set", "patch=16", *sets]
    run += ["--out", "run"]
    error = call(*run, "--set", "pretrained=srcnn-x2").error_line
    assert error.startswith("nitido: pretrained srcnn-x2 (srcnn 'srcnn-x2'): extraction.weight has another shape")
    assert call(*run, "--set", "pretrained=./srcnn-x2").code == 0


def test_bicubic(call: Call, folder: Path) -> None:
    assert "accept 'bicubic' (in lower case)" in call("model", "show", "bicubic").error_line
    assert call("model", "show", "./bicubic").code == 0


def test_the_name_of_a_built_in_study(call: Call, tmp_path: Path) -> None:
    done = call("study", "run", write_tiny_study(tmp_path, {"study": "srcnn"}), "--out", "srcnn")
    assert done.code == 0, done.err
    shown = call("study", "show", "srcnn", "--json", "-")
    assert {run["variant"] for run in json.loads(shown.out)["runs"]} != {"plain", "residual"}
    assert "note: srcnn is the built-in study; for the one in this directory write ./srcnn" in shown.err
    shown = call("study", "show", "./srcnn", "--json", "-")
    assert {run["variant"] for run in json.loads(shown.out)["runs"]} == {"plain", "residual"}
