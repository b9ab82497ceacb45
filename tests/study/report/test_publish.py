"""A small study that really ran, published whole, and again with runs that diverged or are missing."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nitido.base.json_files import write_json
from nitido.cli.study_progress import StudyProgress
from nitido.study.leaderboard import Leaderboard
from nitido.study.publish import publish
from nitido.study.resolve import resolve
from nitido.study.run import run_study
from nitido.study.run_directory import RunDirectory
from nitido.study.spec import load_study_file
from tests.cli.conftest import write_tiny_study
from tests.forked.images import SPLITS
from tests.forked.server import quick_measurements


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Measure costs quickly; what they are is the business of `test_costs`."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in quick_measurements():
            patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants × two seeds, eight steps each."""
    folder = tmp_path_factory.mktemp("study")
    file = write_tiny_study(folder)
    settings = ["seeds=0,1", *(f"data.{split}={folder / 'images' / split}" for split in SPLITS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NITIDO_CACHE", str(folder / "cache"))
        with StudyProgress() as progress:
            run_study(resolve(load_study_file(str(file)), "demo", settings), folder / "out", progress)
    return folder / "out"


def published(directory: Path) -> tuple[Leaderboard, str]:
    board = publish(directory)
    return board, unescape((directory / "report.html").read_text(encoding="utf-8"))


def test_everything_is_there_and_costs_are_not_measured_again(study: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(study, again)
    record = json.loads((again / "cost.json").read_text())
    assert len(record["models"]) == 2, "one network stands for a variant"
    for model in record["models"].values():
        model["latency"] = 7.0
    del record["checksum"]
    write_json(again / "cost.json", record)
    board, page = published(again)
    assert page.count(">7.00 s<") >= 2, "the times of cost.json are shown"
    assert "\\begin{tabular}" in (again / "leaderboard.tex").read_text()
    for entry in board.entries:
        assert entry.variant in page
    assert page.count('class="viewer card"') == 2, "both test images"
    assert page.count('class="run c') == 2 * 4, "every run's curve, for a desk and for a phone"
    assert "residual: true" in page
    assert re.search(r"2 variants × 1 learning rate \(0.002\) × 2 seeds \(0 and 1\) = 4 runs", page)
    assert "torch" in page
    assert "fewer than 3 seeds" in page


def test_what_diverged_or_is_missing_is_marked_and_never_first(study: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(study, broken)
    run = RunDirectory(broken / "runs/residual/lr=0.002/seed=1")
    status = run.read_status()
    assert status is not None
    run.write_status(replace(status, state="diverged", reason="the loss was not finite", validation={}))
    with run.metrics.open("a", encoding="utf-8") as log:
        log.write('{"step": 8, "validation/psnr_y": NaN}\n')
    (broken / "cost.json").write_text("{broken")
    board, page = published(broken)
    assert board.entry("residual").rank is None
    assert "Unranked because not all runs finished: residual (diverged)." in page
    assert "diverged: the loss was not finite" in page
    assert "residual (diverged)" in page

    shutil.rmtree(broken / "runs/plain")
    board, page = published(broken)
    assert "No trained variant has a result yet." in page
    assert "plain (missing)" in page


def test_another_architecture_is_among_the_differences_of_a_variant(study: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(study, again)
    values = yaml.safe_load((again / "study.yaml").read_text())
    values["variants"].append(values["variants"][0] | {"name": "deep", "architecture": "vdsr", "config": {}})
    (again / "study.yaml").write_text(yaml.safe_dump(values))
    _, page = published(again)
    assert re.search(r"Differences of its configuration from plain:</p>\s*<pre>\{?architecture: vdsr", page)


def test_a_finished_run_that_lost_its_rows_is_named_and_its_variant_not_ranked(study: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(study, again)
    (again / "runs/residual/lr=0.002/seed=1/rows.parquet").unlink()
    board, page = published(again)
    assert board.entry("residual").rank is None
    assert "residual (rows missing)" in page
    assert {e.variant: e.rank for e in board.entries if e.rank is not None}.keys() == {"plain", "bicubic"}


def test_other_images_under_the_name_of_a_published_set_are_a_caveat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NITIDO_DATA", str(tmp_path))
    (tmp_path / "set5").mkdir()
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "set5" / f"{number}.png")
    file = write_tiny_study(tmp_path)
    settings = ["variants=plain", "data.test=set5", "steps=2", "validate_every=2"]
    settings += [f"data.{split}={tmp_path / 'images' / split}" for split in ("train", "validation")]
    study = resolve(load_study_file(str(file)), "demo", settings)
    with StudyProgress() as progress:
        board = run_study(study, tmp_path / "out", progress).board
    said = "set5: 0, 1, 2, 3, 4: not the published images; published figures are not comparable"
    assert said in board.caveats["fidelity"]
    assert said in unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
