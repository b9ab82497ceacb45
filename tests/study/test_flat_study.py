"""A whole tiny study with black images, a crop, and a length in epochs: every file that it leaves is sound."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image

from nitido.base.json_files import DamagedFileError
from nitido.cli.study_progress import StudyProgress
from nitido.evaluation.metrics import MetricError
from nitido.study.publish import publish
from nitido.study.resolve import resolve
from nitido.study.run import run_study
from nitido.study.spec import load_study_file
from tests.cli.conftest import SMALL_STUDY
from tests.forked.server import quick_measurements


def photo(folder: Path, left: int) -> None:
    from skimage import data

    Image.fromarray(np.ascontiguousarray(data.coffee()[:96, left : left + 96])).save(folder / f"photo{left}.png")


def prepared(folder: Path, **changes: object) -> Path:
    """A study file whose validation and test images are a black one and a photograph each."""
    for number, name in enumerate(("validation", "test")):
        (folder / name).mkdir()
        Image.new("RGB", (96, 96 + number)).save(folder / name / "black.png")
        photo(folder / name, 200 * number)
    study = json.loads(json.dumps(SMALL_STUDY))
    demo = study["profiles"]["demo"]
    demo["data"] = {
        "train": ["samples[:1]"],
        "validation": [str(folder / "validation")],
        "test": [str(folder / "test")],
    }
    demo["learning_rates"] = [1e-3, 2e-3]
    del demo["hyperparameters"]["steps"]
    demo["hyperparameters"] |= {"epochs": 0.01, "validate_every": 1, "validation_crop": 64} | changes
    file = folder / "flat.yaml"
    file.write_text(yaml.safe_dump(study))
    return file


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NITIDO_CACHE", str(folder / "cache"))
        for module, name, value in quick_measurements():
            patch.setattr(module, name, value)
        with StudyProgress() as progress:
            outcome = run_study(resolve(load_study_file(str(prepared(folder))), "demo", []), folder / "out", progress)
    assert not outcome.failures
    return folder / "out"


def test_no_file_of_the_study_has_an_infinite_number(out: Path) -> None:
    for path in [*out.rglob("*.json"), *out.rglob("*.jsonl")]:
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for text in texts:
            json.loads(text, parse_constant=refuse)
    rows = pl.read_parquet(out / "rows.parquet")
    assert rows["value"].is_finite().all()
    bicubic = rows.filter((pl.col("variant") == "bicubic") & (pl.col("image") == "black"))
    assert bicubic.filter(pl.col("metric") == "psnr_y")["value"].to_list() == [100.0, 100.0]


def test_the_values_that_chose_are_in_the_json_and_in_the_report(out: Path) -> None:
    rows = pl.read_parquet(out / "rows.parquet")
    page = unescape((out / "report.html").read_text(encoding="utf-8"))
    board = json.loads((out / "leaderboard.json").read_text())
    for name in ("plain", "residual"):
        entry = next(e for e in board["entries"] if e["variant"] == name)
        own = rows.filter(
            (pl.col("variant") == name) & (pl.col("split") == "validation") & (pl.col("metric") == "psnr_y")
        )
        expected = {lr: own.filter(pl.col("lr") == lr)["value"].mean() for lr in (1e-3, 2e-3)}
        tried = {rate["lr"]: rate["value"] for rate in entry["learning_rates"]["tried"]}
        assert tried == pytest.approx(expected)
        assert entry["lr"] == max(expected, key=lambda lr: expected[lr])
        assert all(f">{value:.2f}<" in page or f"<b>{value:.2f}</b>" in page for value in expected.values())
    assert "limited to 100 dB (the first: bicubic on black of " in page
    assert "crop of 64 px" in page
    assert "0.01 epochs" in page


def test_a_damaged_log_of_a_run_is_named(out: Path) -> None:
    (log, *_) = sorted(out.glob("runs/*/*/*/metrics.jsonl"))
    whole = log.read_bytes()
    try:
        for damage in (b"", whole[: len(whole) // 3] + b"\n", b"\x00" * len(whole) + b"\n"):
            log.write_bytes(damage)
            with pytest.raises(DamagedFileError, match=r"metrics\.jsonl is damaged"):
                publish(out)
    finally:
        log.write_bytes(whole)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_image_too_small_to_score_is_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))
    file = prepared(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 40, 3)).astype(np.uint8)).save(
        tmp_path / split / "sliver.png"
    )
    with pytest.raises(MetricError, match=r"sliver of .*: an image of 40×12 is too small"):
        run_study(resolve(load_study_file(str(file)), "demo", []), tmp_path / "out", StudyProgress())
    assert not (tmp_path / "out" / "runs").exists()
