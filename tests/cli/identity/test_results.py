"""Results belong to a configuration and to images by their content, not to names."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from nitido.study.run_directory import RunDirectory
from tests.cli.identity.conftest import Nitido, Start
from tests.cli.identity.study import PLAIN, RESIDUAL, board, image, psnr, unmark


def test_a_changed_variant_is_trained_again_and_the_old_run_is_kept(
    run: Nitido, study: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = board(out)
    kept = (out / PLAIN / "status.json").stat().st_mtime_ns
    old = load_file(out / RESIDUAL / "model.safetensors")
    study["variants"][1]["config"]["widths"] = [6, 5]
    done = run()
    assert done.code == 0, done.err
    assert "1 run kept, 0 to be resumed, 0 new, 1 to be trained again" in done.err.replace("\n", " ")
    assert "config.widths: [4, 4] → [6, 5]" in done.err
    after = board(out)
    assert after["residual"]["parameters"] > before["residual"]["parameters"]
    assert psnr(after["residual"]) != psnr(before["residual"])
    assert (out / PLAIN / "status.json").stat().st_mtime_ns == kept
    shapes = {name: tensor.shape for name, tensor in load_file(out / RESIDUAL / "model.safetensors").items()}
    assert shapes != {name: tensor.shape for name, tensor in old.items()}
    aside = load_file(out / "orphaned" / RESIDUAL / "1" / "model.safetensors")
    assert all(torch.equal(aside[name], old[name]) for name in old)


def test_a_study_file_that_changed_shows_no_figure_until_it_was_run(
    run: Nitido, call: Nitido, study: dict[str, Any], tmp_path: Path
) -> None:
    """The resolved study is edited in the directory itself, then reported without running."""
    out = tmp_path / "out"
    resolved = yaml.safe_load((out / "study.yaml").read_text())
    resolved["variants"][1]["config"]["widths"] = [6, 5]
    (out / "study.yaml").write_text(yaml.safe_dump(resolved))
    assert call("study", "report", out).code == 0
    residual = board(out)["residual"]
    assert (residual["status"], residual["metrics"], residual["rank"]) == ("another run", {}, None)


def test_a_run_that_left_the_study_is_named_and_not_in_the_table(
    run: Nitido, study: dict[str, Any], tmp_path: Path
) -> None:
    del study["variants"][1]
    done = run()
    assert done.code == 0
    assert f"orphaned: {RESIDUAL}" in done.err
    assert set(board(tmp_path / "out")) == {"bicubic", "plain"}
    assert set(pl.read_parquet(tmp_path / "out" / "rows.parquet")["variant"]) == {"bicubic", "plain"}
    assert (tmp_path / "out" / RESIDUAL / "model.safetensors").exists()


def test_an_overwritten_test_image_is_measured_again_without_training(
    run: Nitido, call: Nitido, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before, trained = board(out), RunDirectory(out / PLAIN).read_status()
    image(images / "test" / "d.png", 77)
    refused = call("study", "report", out)
    assert refused.code == 1
    assert "the images have changed since they were measured" in refused.error_line
    done = run()
    assert done.code == 0, done.err
    assert "2 runs kept" in done.err
    after = board(out)
    assert all(psnr(after[name]) != psnr(before[name]) for name in before)
    again = RunDirectory(out / PLAIN).read_status()
    assert trained is not None
    assert again is not None
    assert (again.seconds, again.weights) == (trained.seconds, trained.weights)
    rows = pl.read_parquet(out / "rows.parquet").filter(pl.col("split") == "test")
    assert rows.group_by("dataset", "image").agg(pl.col("content").n_unique())["content"].to_list() == [1, 1]
    evaluated = json.loads(
        call("evaluate", "bicubic", out / PLAIN, "--data", "./test", "--scale", 2, "--json", "-").out
    )
    means = {m["model"]: m["value"] for m in evaluated["means"] if m["metric"] == "psnr_y"}
    assert means["bicubic"] == pytest.approx(psnr(after["bicubic"]), abs=1e-9)
    assert means[str(out / PLAIN)] == pytest.approx(psnr(after["plain"]), abs=1e-6)


def test_another_test_image_is_measured_for_all(run: Nitido, images: Path, tmp_path: Path) -> None:
    image(images / "test" / "f.png", 5)
    assert run().code == 0
    rows = pl.read_parquet(tmp_path / "out" / "rows.parquet").filter(pl.col("split") == "test")
    counts = rows.group_by("variant").agg(pl.col("image").n_unique())
    assert dict(counts.iter_rows()) == {"bicubic": 3, "plain": 3, "residual": 3}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_training_images_are_another_run(
    run: Nitido, call: Nitido, images: Path, tmp_path: Path, split: str
) -> None:
    settings = [f"data.{s}=./{s}" for s in ("train", "validation", "test")]
    settings += ["steps=4", "batch=2", "patch=16", "validate_every=2", "compile=false"]
    train = ["train", "srcnn", "--variant", "debug", *(w for s in settings for w in ("--set", s)), "--out", "one"]
    assert call(*train).code == 0
    image(images / split / "new.png", 9)
    refused = call(*train)
    assert refused.code == 1
    name = {"train": "training"}.get(split, split)
    assert f"{name} images: new added" in refused.error_line
    done = run()
    assert done.code == 0, done.err
    assert "2 to be trained again" in done.err
    # The same images under other names, in a folder elsewhere, are the same run.
    (images / split / "new.png").unlink()
    shutil.move(images / split, images / "moved")
    moved = [w.replace(f"=./{split}", "=./moved") for w in train]
    again = call(*moved)
    assert again.code == 0, again.err


def test_metrics_and_test_sets_can_be_added_to_finished_runs(run: Nitido, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = {path: RunDirectory(out / path).read_status() for path in (PLAIN, RESIDUAL)}
    image(images / "more" / "g.png", 21)
    done = run("--set", "metrics=psnr_y,ssim_y,psnr_rgb,flip", "--set", "data.test=./test,./more")
    assert done.code == 0, done.err
    for entry in board(out).values():
        assert set(entry["metrics"]) == {"./test", "./more"}
        assert all("flip" in metrics for metrics in entry["metrics"].values())
    for path, status in trained.items():
        now = RunDirectory(out / path).read_status()
        assert now is not None
        assert status is not None
        assert (now.seconds, now.weights, now.best_step) == (status.seconds, status.weights, status.best_step)


def test_a_variant_after_perception_leaves_the_others_finished(
    run: Nitido, study: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = RunDirectory(out / PLAIN).read_status()
    loss = {"l1": 1, "perceptual": 0.1}
    study["variants"].append(
        {
            "name": "looks",
            "variant": "debug",
            "hyperparameters": {"loss": loss, "perceptual": {"backbone": "efficientnet_lite0"}},
        }
    )
    done = run()
    assert done.code == 0, done.err
    after = RunDirectory(out / PLAIN).read_status()
    assert before is not None
    assert after is not None
    assert (after.seconds, after.weights) == (before.seconds, before.weights)
    assert all("perceptual_distance" in next(iter(e["metrics"].values())) for e in board(out).values())


def test_a_variant_whose_source_is_trained_again_is_too(run: Nitido, study: dict[str, Any], tmp_path: Path) -> None:
    study["variants"].append({"name": "later", "variant": "debug", "pretrained": "variant:plain"})
    study["variants"][2]["config"] = {"residual": False}
    assert run().code == 0
    before = psnr(board(tmp_path / "out")["later"])
    study["variants"][0]["hyperparameters"] = {"batch": 3}
    done = run()
    assert done.code == 0, done.err
    assert "plain, which it starts from, is trained again" in done.err
    assert psnr(board(tmp_path / "out")["later"]) != before


@pytest.mark.parametrize("change", ["removed", "edited", "diverged"])
def test_a_variant_without_its_source_has_no_figure(
    run: Nitido, call: Nitido, study: dict[str, Any], tmp_path: Path, change: str
) -> None:
    """Its result, started from the planned source, is unknown."""
    out = tmp_path / "out"
    study["variants"].append({"name": "later", "variant": "debug", "pretrained": "variant:plain"})
    study["variants"][2]["config"] = {"residual": False}
    assert run().code == 0
    weights = load_file(out / "runs/later/lr=0.002/seed=0/model.safetensors")
    if change == "removed":
        shutil.rmtree(out / "runs/plain")
        call("study", "report", out)
    elif change == "edited":
        resolved = yaml.safe_load((out / "study.yaml").read_text())
        resolved["variants"][0]["config"] = {"residual": False, "widths": [6, 5]}
        (out / "study.yaml").write_text(yaml.safe_dump(resolved))
        call("study", "report", out)
    else:
        study["variants"][0] |= {"learning_rates": [10], "hyperparameters": {"loss": {"l1": 1e30}}}
        assert run().code == 1
    later = board(out)["later"]
    assert (later["rank"], later["metrics"], later["status"]) == (None, {}, "its source is missing")
    if change == "diverged":
        del study["variants"][0]["learning_rates"], study["variants"][0]["hyperparameters"]
    assert run().code == 0
    assert board(out)["later"]["rank"] is not None
    again = load_file(out / "runs/later/lr=0.002/seed=0/model.safetensors")
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_files_of_an_earlier_leaderboard_do_not_stay(images: Path, call: Nitido) -> None:
    out = images / "out"
    for name in ("perception.csv", "perception.png", "content.png"):
        (out / name).write_text("of variants that left the study")
    assert call("study", "report", "out").code == 0
    assert not [name for name in ("perception.csv", "perception.png", "content.png") if (out / name).exists()]


def test_learning_rates_of_their_own_are_not_multiplied(run: Nitido, study: dict[str, Any], tmp_path: Path) -> None:
    study["variants"][1]["learning_rates"] = [1e-3, 3e-3]
    assert run().code == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "2 variants with individual learning rates (0.001, 0.002 and 0.003) × 1 seed (0) = 3 runs" in page


def test_changed_code_of_a_plugin_is_another_run(
    start: Start, study: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "words.py"
    text = "from nitido.training.losses import register_loss\n"
    text += "register_loss('mine', lambda sr, hr: {} * (sr - hr).abs().mean())\n"
    study["variants"][1]["hyperparameters"] = {"loss": {"mine": 1}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))

    for meaning, said in (
        ("1", "hyperparameters.loss"),
        ("-1", "the code of the plugin of loss mine changed"),
        ("-1", "2 runs kept"),
    ):
        plugin.write_text(text.format(meaning))
        done = start(images, NITIDO_PLUGINS=str(plugin))
        assert done.code == 0, done.err
        assert said in done.err


@pytest.mark.parametrize("name", ["a*", "a[1]", "a?", "x::y", "a b", "ü"])
def test_a_directorys_name_is_no_pattern(run: Nitido, tmp_path: Path, name: str) -> None:
    shutil.copytree(tmp_path / "out", tmp_path / "ab")
    done = run("--set", "variants=plain", out=name)
    assert done.code == 0, done.err
    rows = pl.read_parquet((tmp_path / name / "rows.parquet").read_bytes())
    assert set(rows["variant"]) == {"bicubic", "plain"}


def test_one_training_is_not_counted_as_several_seeds(run: Nitido, seeds: list[Path], tmp_path: Path) -> None:
    unmark(seeds[0])
    for directory in seeds[1:]:
        for file in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.jsonl"):
            shutil.copy(seeds[0] / file, directory / file)
        (directory / "model.safetensors").unlink()
    done = run("--set", "variants=plain", "--set", "seeds=0,1,2", out="seeds")
    plain = board(tmp_path / "seeds")["plain"]
    assert plain["rank"] is None
    assert plain["status"] == "the weights of seed=0"
    assert f"{seeds[1]} holds the weights of {seeds[0]}: the same training is not counted twice" in done.err
    assert plain["metrics"] == {}


PLUGIN = """
from nitido.training.losses import register_loss

def broken(sr, hr):
    {}

register_loss("broken", broken)
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no such\\nword')", "ValueError: no such word"),
        ("raise RuntimeError()", "RuntimeError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return sr.nowhere", "AttributeError"),
        ("import os; raise OSError(28, 'No space left on device', 'x')", "No space left on device"),
    ],
)
def test_whatever_a_plugin_raises_is_recorded_and_the_rest_finishes(
    start: Start, study: dict[str, Any], images: Path, tmp_path: Path, code: str, reason: str
) -> None:
    (tmp_path / "words.py").write_text(PLUGIN.format(code))
    study["variants"][0]["hyperparameters"] = {"loss": {"broken": 1}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    done = start(images, NITIDO_PLUGINS=str(tmp_path / "words.py"))
    assert done.code == 1
    assert "Traceback" not in done.err
    assert reason in done.err
    status = RunDirectory(tmp_path / "out" / PLAIN).read_status()
    assert status is not None
    assert status.state == "failed"
    assert reason in status.reason
    assert board(tmp_path / "out")["residual"]["status"] == "ok"
