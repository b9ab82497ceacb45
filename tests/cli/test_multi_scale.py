"""One network for several scales, from `nitido train` to `nitido upscale`."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import polars as pl
import pytest
from PIL import Image

import nitido as nitido_package

SETTINGS = ["scales=2,3,4", "steps=6", "patch=12", "batch=2", "validate_every=3", "learning_rate=0.01"]
SETTINGS += ["data.train=samples[:2]", "data.validation=samples[:1]", "data.test=samples/test[:1]"]
COMMAND = ["train", "vdsr", "--variant", "debug", *(word for setting in SETTINGS for word in ("--set", setting))]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from skimage import data

    Image.fromarray(np.ascontiguousarray(data.astronaut()[60:132, 190:262])).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_one_network_is_trained_measured_and_used_at_three_scales(nitido, call, tmp_path: Path, photo: Path) -> None:
    trained = nitido(*COMMAND, "--out", "run")
    assert trained.code == 0, trained.err
    again = call(*COMMAND, "--out", "run")
    assert again.code == 0, again.err
    changed = ["scales=2,3" if word.startswith("scales=") else word for word in COMMAND]
    other = call(*changed, "--out", "run")
    assert "holds another run (scales: " in other.error_line

    shown = json.loads(call("model", "show", "run", "--json", "-").out)
    assert (shown["scale"], shown["scales"]) == (2, [2, 3, 4])
    assert {"psnr_y", "x3/psnr_y", "x4/psnr_y"} <= set(shown["metrics"]["samples/test[:1]"])
    rows = pl.read_parquet(tmp_path / "run" / "rows.parquet").filter(
        pl.col("split") == "test", pl.col("metric") == "psnr_y"
    )
    assert rows["scale"].to_list() == [2, 3, 4]

    for scale in (2, 3, 4):
        data = ["--data", "samples/test[:1]", "--scale", scale]
        measured = call("evaluate", "run", "bicubic", *data, "--json", tmp_path / "m.json")
        assert measured.code == 0, measured.err
        found = json.loads((tmp_path / "m.json").read_text())["rows"]
        values = {row["model"]: row["value"] for row in found if row["metric"] == "psnr_y"}
        assert values["run"] == pytest.approx(rows.filter(pl.col("scale") == scale)["value"].item(), abs=1e-6)
        assert values["run"] != values["bicubic"]
        name = "psnr_y" if scale == 2 else f"x{scale}/psnr_y"
        assert values["run"] == pytest.approx(shown["metrics"]["samples/test[:1]"][name], abs=1e-6)
        assert nitido_package.load_model(tmp_path / "run", scale=scale).scale == scale
    validation = json.loads((tmp_path / "run" / "status.json").read_text())["validation"]
    assert validation["psnr_y"] == pytest.approx(fmean(validation[f"x{scale}/psnr_y"] for scale in (2, 3, 4)))

    wrong = call("evaluate", "run", "--data", "samples/test[:1]", "--scale", "5")
    assert wrong.code == 1
    assert "this model upscales by ×2 or ×3 or ×4, not by ×5" in wrong.error_line

    compared = call("compare", photo, "run", "bicubic", "--scale", 3, "-o", tmp_path / "f.png", "--json", "-")
    assert compared.code == 0, compared.err
    assert {entry["model"] for entry in json.loads(compared.out)["entries"]} == {"bicubic", "run"}

    larger = nitido("upscale", photo, "-o", "large.png", "--model", "run", "--scale", 3)
    assert larger.code == 0, larger.err
    network = nitido_package.load_model(tmp_path / "run", scale=3)
    with Image.open(photo) as small, Image.open(tmp_path / "large.png") as large:
        assert np.array_equal(np.asarray(large), nitido_package.upscale(np.asarray(small), network))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["scales=2,3", "upsampler=nearest"], "cannot be used at scale 3"),
        (["scales=2,3", "scale=4"], "scales begin with 2"),
    ],
)
def test_impossible_scales_are_one_line(call, tmp_path: Path, settings: list[str], message: str) -> None:
    done = call("train", "vdsr", "--out", "run", *(word for setting in settings for word in ("--set", setting)))
    assert done.code == 1
    assert message in done.error_line
    assert not (tmp_path / "run").exists()


def test_a_study_says_that_it_is_for_one_scale(call, small_study: Path) -> None:
    done = call("study", "run", small_study, "--out", "out", "--set", "scales=2,3")
    assert done.code == 1
    assert "unknown key 'scales': did you mean 'scale'" in done.error_line
