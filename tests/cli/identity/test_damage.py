"""Files that are damaged, missing or of another run are detected and recreated with the same bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from tests.cli.identity.conftest import Nitido
from tests.cli.identity.study import LONG, PLAIN, RESIDUAL, board, model_bytes, tables, unmark


@pytest.mark.parametrize("name", ["status.json", "identity.json", "environment.json"])
@pytest.mark.parametrize("kind", ["edited", "unsigned", "list", "empty"])
def test_a_modified_small_file_is_detected(images: Path, call: Nitido, name: str, kind: str) -> None:
    file = images / "out" / PLAIN / name
    values = json.loads(file.read_text())
    key = {"status.json": "seconds", "identity.json": "source_sha256", "environment.json": "precision"}[name]
    values[key] = 7.0 if key == "seconds" else "float64"
    if kind == "unsigned":
        del values["checksum"]
    file.write_text({"list": "[]", "empty": ""}.get(kind, json.dumps(values)))
    done = call("study", "report", "out")
    if name == "environment.json":
        assert done.code == 1
        assert "environment.json is damaged" in done.error_line
        file.unlink()
        assert call("study", "report", "out").code == 0
        assert "not recorded for 1 run" in (images / "out/report.html").read_text()
    else:
        assert board(images / "out")["plain"]["status"] == "damaged"


def test_a_report_without_a_model_does_not_claim_that_it_was_recreated(images: Path, call: Nitido) -> None:
    shutil.copy2(images / "out" / PLAIN / "model.safetensors", images / "out" / RESIDUAL / "model.safetensors")
    done = call("study", "report", "out")
    assert done.code == 0
    assert "not the weights of this run: left out of the report; run the study again" in " ".join(done.err.split())


def test_a_validation_other_than_the_selecting_one_is_detected(images: Path, call: Nitido) -> None:
    metrics = images / "out" / PLAIN / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    changed = [line | {"validation/psnr_y": 99.0} if "validation/psnr_y" in line else line for line in lines]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in changed))
    done = call("study", "report", "out")
    assert done.code == 1
    assert "metrics.jsonl is damaged" in done.error_line


@pytest.mark.parametrize("damage", ["missing", "zeroed", "another"])
def test_a_finished_run_counts_only_if_its_weights_exist(run: Nitido, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    before = board(out)
    model = out / PLAIN / "model.safetensors"
    weights = {name: tensor.clone() for name, tensor in load_file(model).items()}  # the file stays mapped
    if damage == "missing":
        model.unlink()
    elif damage == "zeroed":
        content = bytearray(model.read_bytes())
        content[-400:] = bytes(400)
        model.write_bytes(content)
    else:
        shutil.copy(out / RESIDUAL / "model.safetensors", model)
    done = run()
    assert done.code == 0, done.err
    assert str(model) in done.err
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load_file(model).items())
    assert board(out) == before


@pytest.mark.parametrize("damage", ["missing", "flipped", "of another run", "cut"])
def test_rows_that_are_not_the_runs_own_are_measured_again(
    run: Nitido, call: Nitido, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "out"
    before = board(out)
    rows = out / PLAIN / "rows.parquet"
    if damage == "missing":
        rows.unlink()
    elif damage == "flipped":
        found = pl.read_parquet(rows)
        metadata = pl.read_parquet_metadata(rows)
        changed = found.with_columns(pl.col("value") + 1)
        changed.write_parquet(rows, metadata={k: v for k, v in metadata.items() if k.startswith("nitido")})
    elif damage == "of another run":
        shutil.copy(out / RESIDUAL / "rows.parquet", rows)
    else:
        rows.write_bytes(rows.read_bytes()[:-40])
    assert call("study", "report", out).code == 0
    plain = board(out)["plain"]
    assert plain["status"].startswith("rows ")
    assert (plain["metrics"], plain["rank"]) == ({}, None)
    assert run().code == 0
    assert board(out) == before


@pytest.mark.parametrize("content", [None, b"", b"study: small\n", b"\0\0\0"])
def test_a_lost_study_file_is_written_again_and_whole_runs_are_kept(
    run: Nitido, tmp_path: Path, content: bytes | None
) -> None:
    out = tmp_path / "out"
    before = board(out)
    (out / "study.yaml").unlink()
    if content is not None:
        (out / "study.yaml").write_bytes(content)
        refused = run()
        assert refused.code == 1
        assert "remove this file and run the same command again" in refused.error_line
        (out / "study.yaml").unlink()
    done = run()
    assert done.code == 0, done.err
    assert "2 runs kept" in done.err
    assert board(out) == before


@pytest.mark.parametrize("files", [["checkpoints/best.ckpt"], ["checkpoints/best.ckpt", "metrics.jsonl"]])
def test_a_checkpoint_belongs_to_one_run(run: Nitido, seeds: list[Path], tmp_path: Path, files: list[str]) -> None:
    before = tables(tmp_path / "seeds")
    weights = [model_bytes(directory) for directory in seeds]
    for directory in seeds[1:]:
        for file in files:
            shutil.copy(seeds[0] / file, directory / file)
        (directory / "model.safetensors").unlink()
    done = run("--set", "variants=plain", "--set", "seeds=0,1,2", out="seeds")
    assert done.code == 0, done.err
    for directory in seeds[1:]:
        words = f"{directory / 'checkpoints/best.ckpt'} is a checkpoint of another run: the training starts from step 0"
        assert words in done.err
    assert [model_bytes(directory) for directory in seeds] == weights
    assert tables(tmp_path / "seeds") == before


def test_a_checkpoint_of_an_earlier_version_is_accepted(run: Nitido, seeds: list[Path]) -> None:
    weights = model_bytes(seeds[1])
    unmark(seeds[1])
    (seeds[1] / "model.safetensors").unlink()
    done = run("--set", "variants=plain", "--set", "seeds=0,1,2", out="seeds")
    assert "starts from step 0" not in done.err
    assert model_bytes(seeds[1]) == weights


def test_a_model_of_another_run_is_not_measured_as_this_ones(run: Nitido, tmp_path: Path) -> None:
    out = tmp_path / "out"
    weights = model_bytes(out / PLAIN)
    for file in ("model.safetensors", "status.json"):
        shutil.copy(out / RESIDUAL / file, out / PLAIN / file)
    (out / PLAIN / "rows.parquet").unlink()
    done = run()
    assert f"{out / PLAIN / 'model.safetensors'}: not the weights of this run" in done.err
    assert model_bytes(out / PLAIN) == weights


def test_no_table_is_written_beside_an_old_report(call: Nitido, run: Nitido, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / PLAIN / "rows.parquet").unlink()  # the table would be another one
    before = tables(out)
    shutil.copy(out / RESIDUAL / "metrics.jsonl", out / PLAIN / "metrics.jsonl")
    done = call("study", "report", out)
    assert "metrics.jsonl is damaged" in done.error_line
    assert tables(out) == before


def flip(path: Path, number: int = 3) -> None:
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(len(content) // 4, 3 * len(content) // 4, number):
        content[place] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "half", "empty", "best flipped", "both", "status", "config"])
def test_a_damaged_file_of_a_half_done_run_changes_no_bit(
    call: Nitido, interrupted: Path, tmp_path: Path, damage: str
) -> None:
    last, best = (interrupted / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    if damage == "flipped":
        flip(last)
    elif damage in ("half", "empty"):
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2 if damage == "half" else 0])
    elif damage == "status":
        (interrupted / "status.json").write_bytes(b"")
    elif damage == "config":
        (interrupted / "config.yaml").write_text("{")
    else:
        flip(best)
        if damage == "both":
            flip(last)
    done = call("study", "run", "small.yaml", "--out", tmp_path / "out", *LONG)
    assert done.code == 0, done.err
    assert damage == "config" or "is damaged" in done.err
    expected = (tmp_path / "whole" / RESIDUAL / "model.safetensors").read_bytes()
    assert (interrupted / "model.safetensors").read_bytes() == expected


@pytest.mark.parametrize("damage", ["other values", "garbled"])
def test_scalars_of_another_run_are_detected(call: Nitido, interrupted: Path, tmp_path: Path, damage: str) -> None:
    metrics = interrupted / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    lines[0] = json.dumps({"step": 0, "loss/l1": 0.5}) if damage == "other values" else "{"
    metrics.write_text("\n".join(lines) + "\n")
    done = call("study", "run", "small.yaml", "--out", tmp_path / "out", *LONG)
    assert done.code == 1
    assert "metrics.jsonl" in done.error_line
