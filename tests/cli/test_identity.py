"""A directory says what was run: results belong to a configuration and to pictures by their content, not to names."""

import copy
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from nitido.study.run_directory import RunDirectory
from tests.cli.conftest import COMMAND, Done

Nitido = Callable[..., Done]
PLAIN = Path("runs/plain/lr=0.002/seed=0")
RESIDUAL = Path("runs/residual/lr=0.002/seed=0")


def picture(path: Path, seed: int, size: int = 72) -> Path:
    """A smooth random picture, of which a few steps learn something."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((size, size), Image.Resampling.BICUBIC).save(path)
    return path


STUDY: dict[str, Any] = {
    "study": "small",
    "question": "does it help?",
    "architecture": "srcnn",
    "scale": 2,
    "baseline": "plain",
    "variants": [
        {"name": "plain", "variant": "debug", "config": {"residual": False}},
        {"name": "residual", "variant": "debug", "config": {"residual": True}},
    ],
    "profiles": {
        "demo": {
            "data": {"train": ["./train"], "validation": ["./validation"], "test": ["./test"]},
            "learning_rates": [2e-3],
            "hyperparameters": {"steps": 6, "batch": 2, "patch": 16, "validate_every": 3, "compile": False},
        }
    },
}


def start(folder: Path, environment: dict[str, str], *args: object, **options: Any) -> Done:
    """`study run` as a process of its own."""
    command = [*COMMAND, "study", "run", "small.yaml", "--out", "out", *map(str, args)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False, **options
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and a study."""
    folder = tmp_path_factory.mktemp("study")
    for number, name in enumerate(["train/a", "train/b", "validation/c", "test/d", "test/e"]):
        picture(folder / f"{name}.png", number)
    (folder / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture(scope="module")
def finished(begun: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the study run, in `out`."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    assert start(folder, environment).code == 0
    return folder


@pytest.fixture
def pictures(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, in the working directory."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def study() -> dict[str, Any]:
    """The study file's content, to be changed."""
    return copy.deepcopy(STUDY)


@pytest.fixture
def run(call: Nitido, pictures: Path, study: dict[str, Any]) -> Nitido:
    """`study run` of the study as it is now."""

    def again(*args: object, out: str = "out") -> Done:
        (pictures / "small.yaml").write_text(yaml.safe_dump(study))
        return call("study", "run", "small.yaml", "--out", pictures / out, *args)

    return again


def board(out: Path) -> dict[str, dict[str, Any]]:
    return {entry["variant"]: entry for entry in json.loads((out / "leaderboard.json").read_text())["entries"]}


def psnr(entry: dict[str, Any]) -> float:
    (metrics,) = entry["metrics"].values()
    return float(metrics["psnr_y"])


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
    assert "1 runs kept, 0 to be resumed, 0 new, 1 to be trained again" in done.err.replace("\n", " ")
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


def test_an_overwritten_test_picture_is_measured_again_without_training(
    run: Nitido, call: Nitido, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before, trained = board(out), RunDirectory(out / PLAIN).read_status()
    picture(pictures / "test" / "d.png", 77)
    refused = call("study", "report", out)
    assert refused.code == 1
    assert "not those that were measured" in refused.error_line
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


def test_another_test_picture_is_measured_for_all(run: Nitido, pictures: Path, tmp_path: Path) -> None:
    picture(pictures / "test" / "f.png", 5)
    assert run().code == 0
    rows = pl.read_parquet(tmp_path / "out" / "rows.parquet").filter(pl.col("split") == "test")
    counts = rows.group_by("variant").agg(pl.col("image").n_unique())
    assert dict(counts.iter_rows()) == {"bicubic": 3, "plain": 3, "residual": 3}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_training_pictures_are_another_run(
    run: Nitido, call: Nitido, pictures: Path, tmp_path: Path, split: str
) -> None:
    settings = [f"data.{s}=./{s}" for s in ("train", "validation", "test")]
    settings += ["steps=4", "batch=2", "patch=16", "validate_every=2", "compile=false"]
    train = ["train", "srcnn", "--variant", "debug", *(w for s in settings for w in ("--set", s)), "--out", "one"]
    assert call(*train).code == 0
    picture(pictures / split / "new.png", 9)
    refused = call(*train)
    assert refused.code == 1
    name = {"train": "training"}.get(split, split)
    assert f"{name} pictures: new added" in refused.error_line
    done = run()
    assert done.code == 0, done.err
    assert "2 to be trained again" in done.err
    # The same pictures under other names, in a folder elsewhere, are the same run.
    (pictures / split / "new.png").unlink()
    shutil.move(pictures / split, pictures / "moved")
    moved = [w.replace(f"=./{split}", "=./moved") for w in train]
    again = call(*moved)
    assert again.code == 0, again.err


def test_metrics_and_test_sets_can_be_added_to_finished_runs(run: Nitido, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = {path: RunDirectory(out / path).read_status() for path in (PLAIN, RESIDUAL)}
    picture(pictures / "more" / "g.png", 21)
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
    """What it would come to, started from the planned source, nobody knows."""
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


@pytest.mark.parametrize("name", ["status.json", "identity.json", "environment.json"])
@pytest.mark.parametrize("kind", ["edited", "unsigned", "list", "empty"])
def test_a_small_file_that_is_not_as_it_was_written_is_not_believed(
    pictures: Path, call: Nitido, name: str, kind: str
) -> None:
    file = pictures / "out" / PLAIN / name
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
        assert "not recorded of 1 run" in (pictures / "out/report.html").read_text()
    else:
        assert board(pictures / "out")["plain"]["status"] == "damaged"


def test_two_runs_that_share_a_directory_are_refused(run: Nitido, pictures: Path) -> None:
    """Each of them would set the other's results aside, and the study would never be whole."""
    link, kept = (pictures / "out" / own.parent for own in (RESIDUAL, PLAIN))
    before = (kept / "seed=0" / "model.safetensors").read_bytes()
    shutil.rmtree(link)
    link.symlink_to(kept)
    done = run()
    assert done.code == 1
    assert "runs/residual/lr=0.002/seed=0 is a link to runs/plain/lr=0.002/seed=0" in done.error_line
    assert (kept / "seed=0" / "model.safetensors").read_bytes() == before
    link.unlink()
    assert run().code == 0
    assert all(entry["rank"] for entry in board(pictures / "out").values())


def test_a_report_without_a_model_does_not_say_that_it_was_made_again(pictures: Path, call: Nitido) -> None:
    shutil.copy2(pictures / "out" / PLAIN / "model.safetensors", pictures / "out" / RESIDUAL / "model.safetensors")
    done = call("study", "report", "out")
    assert done.code == 0
    assert "not the weights of this run: left out of the report; run the study again" in " ".join(done.err.split())


def test_a_validation_that_is_not_the_one_which_chose_is_noticed(pictures: Path, call: Nitido) -> None:
    metrics = pictures / "out" / PLAIN / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    changed = [line | {"validation/psnr_y": 99.0} if "validation/psnr_y" in line else line for line in lines]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in changed))
    done = call("study", "report", "out")
    assert done.code == 1
    assert "metrics.jsonl is damaged" in done.error_line


def test_files_of_an_earlier_leaderboard_do_not_stay(pictures: Path, call: Nitido) -> None:
    out = pictures / "out"
    for name in ("perception.csv", "perception.png", "content.png"):
        (out / name).write_text("of variants that left the study")
    assert call("study", "report", "out").code == 0
    assert not [name for name in ("perception.csv", "perception.png", "content.png") if (out / name).exists()]


def test_learning_rates_of_their_own_are_not_multiplied(run: Nitido, study: dict[str, Any], tmp_path: Path) -> None:
    study["variants"][1]["learning_rates"] = [1e-3, 3e-3]
    assert run().code == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "2 variants with learning rates of their own (0.001, 0.002 and 0.003) × 1 seed (0) = 3 runs" in page


def test_another_meaning_of_a_plugins_word_is_another_run(
    study: dict[str, Any], pictures: Path, tmp_path: Path, environment: dict[str, str]
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
        done = start(pictures, environment | {"NITIDO_PLUGINS": str(plugin)})
        assert done.code == 0, done.err
        assert said in done.err


@contextmanager
def another_process_in(directory: Path) -> Iterator[None]:
    """A process of its own that holds the directory's lock."""
    code = "import sys; from pathlib import Path; from nitido.base.locks import exclusive\n"
    code += "with exclusive(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.stdin.close()


def test_nothing_is_written_where_another_process_works(
    run: Nitido, call: Nitido, study: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    study["variants"][1]["config"]["widths"] = [6, 5]
    with another_process_in(out):
        refused = run("--set", "seeds=0,1,2")
    assert refused.code == 1
    assert "another process is using it" in refused.error_line
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with another_process_in(tmp_path / "single"):
        refused = call("train", "srcnn", "--variant", "debug", "--set", "steps=2", "--out", "single")
    assert refused.code == 1
    assert [path.name for path in (tmp_path / "single").iterdir()] == [".lock"]


@pytest.mark.parametrize("left", [".lock", ".nitido-draft-0123456789ab.yaml"])
def test_what_a_killed_process_left_does_not_refuse_the_directory(run: Nitido, tmp_path: Path, left: str) -> None:
    out = tmp_path / "out"
    shutil.rmtree(out / RESIDUAL)
    for folder in (out, out / PLAIN, out / RESIDUAL, tmp_path / "new"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / left).write_text("")
    assert run().code == 0
    assert run("--set", "variants=plain", out="new").code == 0
    assert not list(tmp_path.rglob(".nitido-draft-*"))


@pytest.mark.parametrize("damage", ["missing", "zeroed", "another"])
def test_a_finished_run_is_believed_only_if_its_weights_are_there(run: Nitido, tmp_path: Path, damage: str) -> None:
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


@pytest.mark.parametrize("name", ["a*", "a[1]", "a?", "x::y", "a b", "ü"])
def test_a_directorys_name_is_no_pattern(run: Nitido, tmp_path: Path, name: str) -> None:
    shutil.copytree(tmp_path / "out", tmp_path / "ab")
    done = run("--set", "variants=plain", out=name)
    assert done.code == 0, done.err
    rows = pl.read_parquet((tmp_path / name / "rows.parquet").read_bytes())
    assert set(rows["variant"]) == {"bicubic", "plain"}


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


@pytest.fixture
def seeds(run: Nitido, tmp_path: Path) -> list[Path]:
    """A study of `plain` with three seeds in `seeds`: the directories of its runs."""
    assert run("--set", "variants=plain", "--set", "seeds=0,1,2", out="seeds").code == 0
    return [tmp_path / "seeds" / PLAIN.with_name(f"seed={seed}") for seed in (0, 1, 2)]


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("leaderboard.*")}


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


def model_bytes(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def unmark(directory: Path) -> None:
    """Leave the checkpoints of a run as version 0.1 wrote them, without the run's digest."""
    for path in (directory / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["run"]
        torch.save(checkpoint, path)


def test_a_checkpoint_of_an_earlier_version_is_accepted(run: Nitido, seeds: list[Path]) -> None:
    weights = model_bytes(seeds[1])
    unmark(seeds[1])
    (seeds[1] / "model.safetensors").unlink()
    done = run("--set", "variants=plain", "--set", "seeds=0,1,2", out="seeds")
    assert "starts from step 0" not in done.err
    assert model_bytes(seeds[1]) == weights


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
    assert f"{seeds[1]} holds the weights of {seeds[0]}: one training is not counted twice" in done.err
    assert plain["metrics"] == {}


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


LONG = ["--set", "variants=residual", "--set", "steps=400", "--set", "validate_every=50"]


@pytest.fixture(scope="module")
def killed(begun: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 400 steps whole in `whole`, and killed after a few validations in `out`."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    assert start(folder, environment, *LONG).code == 0
    (folder / "out").rename(folder / "whole")
    process = subprocess.Popen(
        [*COMMAND, "study", "run", "small.yaml", "--out", "out", *LONG], cwd=folder, env=environment
    )
    directory = RunDirectory(folder / "out" / RESIDUAL)
    while process.poll() is None and len(directory.validation_curve()) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert directory.last_checkpoint.exists()
    assert not directory.model.exists()
    return folder


@pytest.fixture
def interrupted(killed: Path, tmp_path: Path) -> Path:
    """The killed run's directory, in a copy of its study."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out" / RESIDUAL


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
def test_scalars_that_are_not_the_runs_own_are_noticed(
    call: Nitido, interrupted: Path, tmp_path: Path, damage: str
) -> None:
    metrics = interrupted / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    lines[0] = json.dumps({"step": 0, "loss/l1": 0.5}) if damage == "other values" else "{"
    metrics.write_text("\n".join(lines) + "\n")
    done = call("study", "run", "small.yaml", "--out", tmp_path / "out", *LONG)
    assert done.code == 1
    assert "metrics.jsonl" in done.error_line


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
    study: dict[str, Any], pictures: Path, tmp_path: Path, environment: dict[str, str], code: str, reason: str
) -> None:
    (tmp_path / "words.py").write_text(PLUGIN.format(code))
    study["variants"][0]["hyperparameters"] = {"loss": {"broken": 1}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    done = start(pictures, environment | {"NITIDO_PLUGINS": str(tmp_path / "words.py")})
    assert done.code == 1
    assert "Traceback" not in done.err
    assert reason in done.err
    status = RunDirectory(tmp_path / "out" / PLAIN).read_status()
    assert status is not None
    assert status.state == "failed"
    assert reason in status.reason
    assert board(tmp_path / "out")["residual"]["status"] == "ok"


SIGNALLED = """
import os, signal, sys
from nitido.training.callbacks import ReportProgress
from nitido.cli import main

times = int(sys.argv.pop(1))

def send(self, trainer, *args):
    if trainer.global_step == 2:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

ReportProgress.on_train_batch_end = send
main()
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_recorded_however_often(begun: Path, tmp_path: Path, environment: dict[str, str], times: int) -> None:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    command = [sys.executable, "-c", SIGNALLED, str(times), "study", "run", "small.yaml", "--out", "out"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    status = RunDirectory(tmp_path / "out" / PLAIN).read_status()
    assert status is not None
    assert status.state == "interrupted"


def test_an_ignored_ctrl_c_stays_ignored(begun: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """As a shell's background job has it: SIGINT is ignored, and the study comes to its end."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, "1", "study", "run", "small.yaml", "--out", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr
    assert board(tmp_path / "out")["residual"]["status"] == "ok"


def test_a_killed_run_is_reported_as_interrupted(call: Nitido, interrupted: Path, tmp_path: Path) -> None:
    assert interrupted.is_dir()
    assert call("study", "report", tmp_path / "out").code == 0
    assert board(tmp_path / "out")["residual"]["status"] == "interrupted"
