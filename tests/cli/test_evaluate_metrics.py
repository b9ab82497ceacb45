"""Which metrics `nitido evaluate` measures: what is named must be there, and `all` has named gaps."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.evaluation.metrics import METRICS
from tests.cli.conftest import Done

Call = Callable[..., Done]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.new("RGB", (64, 64)).save(folder / "black.png")
    return folder


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("metrics", [["all"], ["all", "psnr_y"], ["psnr_y", "all"], ["ssim_y", "all", "all"]])
def test_all_may_stand_anywhere_and_gaps_are_named(call: Call, picture: Path, metrics: list[str]) -> None:
    missing = [name for name, kind in METRICS.items() if kind.missing() is not None]
    asked = [word for name in metrics for word in ("--metric", name)]
    done = call("evaluate", "bicubic", "--data", picture, "--scale", 2, *asked, "--json", picture.parent / "o.json")
    assert done.code == 0, done.err
    result = json.loads((picture.parent / "o.json").read_text(), parse_constant=refuse)
    measured = {row["metric"] for row in result["means"]}
    assert measured == set(METRICS) - set(missing) - {"ms_ssim_y"}
    assert all(f"{name} not available: " in done.out for name in missing)


def test_a_black_picture_has_a_finite_mean(call: Call, picture: Path) -> None:
    (picture / "a.png").unlink()
    done = call("evaluate", "bicubic", "--data", picture, "--scale", 2, "--json", "-")
    assert done.code == 0, done.err
    means = {m["metric"]: m["value"] for m in json.loads(done.out, parse_constant=refuse)["means"]}
    assert (means["psnr_y"], means["psnr_rgb"]) == (100.0, 100.0)


@pytest.mark.parametrize("more", [[], ["--metric", "all"], ["--metric", "psnr_y"]])
def test_a_metric_that_is_named_and_cannot_be_measured_is_an_error(call: Call, picture: Path, more: list[str]) -> None:
    missing = next((name for name, kind in METRICS.items() if kind.missing() is not None), None)
    assert missing is not None, "the packages of LPIPS and DISTS are not among the development tools"
    target = picture.parent / "o.json"
    asked = ["--metric", missing, *more, "--json", target]
    done = call("evaluate", "bicubic", "--data", picture, "--scale", 2, *asked)
    assert done.code == 1
    assert done.error_line.startswith(f"nitido: {missing} is not available: ")
    assert "pip install" in done.error_line
    assert not target.exists()


def test_an_unknown_metric_beside_all_is_named(call: Call, picture: Path) -> None:
    done = call("evaluate", "bicubic", "--data", picture, "--scale", 2, "--metric", "all", "--metric", "psnr")
    assert done.code == 1
    assert "unknown metric 'psnr'" in done.error_line
