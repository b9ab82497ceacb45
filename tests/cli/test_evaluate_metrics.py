"""Which metrics `nitido evaluate` measures: what is named must be there, and `all` has named gaps."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.evaluation.metrics import METRICS
from tests.cli.conftest import Done

Call = Callable[..., Done]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.new("RGB", (64, 64)).save(folder / "black.png")
    return folder


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("metrics", [["all"], ["all", "psnr_y"], ["psnr_y", "all"], ["ssim_y", "all", "all"]])
def test_all_may_stand_anywhere_and_gaps_are_named(call: Call, image: Path, metrics: list[str]) -> None:
    missing = [name for name, kind in METRICS.items() if kind.missing() is not None]
    asked = [word for name in metrics for word in ("--metric", name)]
    done = call("evaluate", "bicubic", "--data", image, "--scale", 2, *asked, "--json", image.parent / "o.json")
    assert done.code == 0, done.err
    result = json.loads((image.parent / "o.json").read_text(), parse_constant=refuse)
    measured = {row["metric"] for row in result["means"]}
    assert measured == set(METRICS) - set(missing) - {"ms_ssim_y"}
    assert all(done.out.count(f"{name} not available") == 1 for name in [*missing, "ms_ssim_y"])
    assert {gap["metric"] for gap in result["gaps"]} == {*missing, "ms_ssim_y"}


def test_a_black_image_has_a_finite_mean(call: Call, image: Path) -> None:
    (image / "a.png").unlink()
    done = call("evaluate", "bicubic", "--data", image, "--scale", 2, "--json", "-")
    assert done.code == 0, done.err
    means = {m["metric"]: m["value"] for m in json.loads(done.out, parse_constant=refuse)["means"]}
    assert (means["psnr_y"], means["psnr_rgb"]) == (100.0, 100.0)


def test_a_psnr_at_its_limit_is_said(call: Call, image: Path) -> None:
    """An infinite PSNR counts as 100 dB: no table may show that as if it were measured."""
    both = call("evaluate", "bicubic", "--data", image, "--scale", 2, "--metric", "psnr_y", "--metric", "ssim_y")
    assert f"bicubic on {image}: 1 PSNR value is limited to 100 dB, and counts as that in the mean\n" in both.out
    assert "≥" not in both.out
    compared = call("compare", image / "a.png", "bicubic", "--scale", 2, "-o", image.parent / "a.png")
    assert "limited" not in compared.out
    black = call("compare", image / "black.png", "bicubic", "--scale", 2, "-o", image.parent / "black.png")
    assert re.search("│  ≥ 100.00 │", black.out), "right-aligned, as numbers are"
    assert "≥: PSNR is limited to 100 dB, because it is infinite for equal images\n" in black.out
    (image / "a.png").unlink()
    assert call("evaluate", "bicubic", "--data", image, "--scale", 2).out.count("≥ 100.00") == 2


@pytest.mark.parametrize("more", [[], ["--metric", "all"], ["--metric", "psnr_y"]])
def test_a_metric_that_is_named_and_cannot_be_measured_is_an_error(call: Call, image: Path, more: list[str]) -> None:
    missing = next((name for name, kind in METRICS.items() if kind.missing() is not None), None)
    assert missing is not None, "the packages of LPIPS and DISTS are not among the development tools"
    target = image.parent / "o.json"
    asked = ["--metric", missing, *more, "--json", target]
    done = call("evaluate", "bicubic", "--data", image, "--scale", 2, *asked)
    assert done.code == 1
    assert done.error_line.startswith(f"nitido: {missing} is not available: ")
    assert "pip install" in done.error_line
    assert not target.exists()


def test_an_unknown_metric_beside_all_is_named(call: Call, image: Path) -> None:
    done = call("evaluate", "bicubic", "--data", image, "--scale", 2, "--metric", "all", "--metric", "psnr")
    assert done.code == 1
    assert "unknown metric 'psnr'" in done.error_line


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two images that MS-SSIM can be measured on, and one that is too small for it."""
    folder = tmp_path / "mix"
    folder.mkdir()
    for name, side in (("large", 220), ("middle", 200), ("small", 80)):
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


def test_a_named_metric_that_one_image_is_too_small_for_is_an_error(call: Call, mixed: Path) -> None:
    asked = ["--metric", "psnr_y", "--metric", "ms_ssim_y", "--json", mixed.parent / "o.json"]
    done = call("evaluate", "bicubic", "--data", mixed, "--scale", 2, *asked)
    assert done.code == 1
    assert done.error_line == (
        f"nitido: small of {mixed}: an image of 80×80 is too small to compare: MS-SSIM on Y at ×2 needs 180 pixels a "
        "side; leave this metric or this image out"
    )
    assert not (mixed.parent / "o.json").exists()


def test_among_all_metrics_one_has_a_mean_only_on_sets_that_it_can_be_measured_on(call: Call, mixed: Path) -> None:
    large = mixed.parent / "large"
    large.mkdir()
    (mixed / "large.png").rename(large / "large.png")
    target = mixed.parent / "o.json"
    sets = ["--data", mixed, "--data", large]
    done = call("evaluate", "bicubic", *sets, "--scale", 2, "--metric", "all", "--json", target)
    assert done.code == 0, done.err
    result = json.loads(target.read_text())
    assert [m["dataset"] for m in result["means"] if m["metric"] == "ms_ssim_y"] == [str(large)]
    images = {(m["dataset"], m["metric"]): m["images"] for m in result["means"]}
    assert images[str(mixed), "psnr_y"] == 2
    reason = "small of " + str(mixed)
    assert [g["dataset"] for g in result["gaps"] if g["metric"] == "ms_ssim_y"] == [str(mixed)]
    assert f"ms_ssim_y not available on {mixed}: {reason}" in done.out
