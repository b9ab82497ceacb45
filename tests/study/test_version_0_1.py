"""Runs and studies that version 0.1 made stay readable: `version_0_1` holds what it left of two tiny commands.

The study is of `small.yaml`; `part` is a training that Ctrl-C ended after step 211 of 400. Drawings, pages and
TensorBoard's events were removed. The images are crops of the Kodak images.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nitido.evaluation.rows import read_rows
from tests.forked import Ended, ForkServer

FIXTURE = Path(__file__).parent / "version_0_1"

TRAIN = ["train", "srcnn", "--variant", "debug", "--out", "part"]
for setting in ("steps=400", "validate_every=50", "batch=1", "patch=8", "precision=float32", "compile=false"):
    TRAIN += ["--set", setting]
for setting in ("train", "validation", "test"):
    TRAIN += ["--set", f"data.{setting}=pictures/{setting}"]
TRAIN += ["--set", "log_every=50"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FIXTURE, tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def call(fork_server: ForkServer, folder: Path, tmp_path: Path):
    environment = {"NITIDO_CACHE": str(tmp_path / "cache"), "COLUMNS": "200", "PATH": ""}

    def run(*args: object) -> Ended:
        return fork_server.nitido(*args, cwd=folder, environment=environment)

    return run


def figures(folder: Path) -> list[tuple[Any, ...]]:
    entries = json.loads((folder / "study" / "leaderboard.json").read_text())["entries"]
    return [(e["rank"], e["variant"], e["lr"], e["status"], e["metrics"]) for e in entries]


def test_a_study_is_reported_and_kept(call, folder: Path) -> None:
    before = figures(folder)
    (folder / "study" / "leaderboard.json").unlink()
    reported = call("study", "report", "study")
    assert reported.code == 0, reported
    assert figures(folder) == before
    again = call("study", "run", "small.yaml", "--out", "study")
    assert again.code == 0, again
    assert "2 runs kept" in again.err
    assert figures(folder) == before


def test_a_model_is_measured_as_its_rows_say(call, folder: Path) -> None:
    done = call(
        "evaluate", "study/runs/plain/lr=0.002/seed=0", "--data", "pictures/test", "--scale", "2", "--json", "-"
    )
    assert done.code == 0, done
    found = [row["value"] for row in json.loads(done.out)["rows"] if row["metric"] == "psnr_y"]
    rows = read_rows([folder / "study/runs/plain/lr=0.002/seed=0/rows.parquet"])
    kept = rows.filter(pl.col("split") == "test", pl.col("metric") == "psnr_y").sort("image")["value"]
    assert found == pytest.approx(kept.to_list(), abs=0.05)  # another processor may round another way


def test_an_interrupted_training_is_resumed(call, folder: Path) -> None:
    lines = (folder / "part" / "metrics.jsonl").read_text().splitlines()
    done = call(*TRAIN)
    assert done.code == 0, done
    status = json.loads((folder / "part" / "status.json").read_text())
    assert (status["state"], status["steps"]) == ("finished", 400)
    assert (folder / "part" / "metrics.jsonl").read_text().splitlines()[:8] == lines[:8]
