"""`nitido study` as a user runs it: a whole small study, resuming it, and what is refused."""

import copy
import json
import resource
import signal
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from skimage import data as skimage_data

from tests.cli.conftest import Done, write_tiny_study
from tests.cli.identity.conftest import SIGNALLED
from tests.forked import ForkServer
from tests.forked.images import SPLITS
from tests.forked.server import command

RUN = Path("runs/residual/lr=0.002/seed=0")


def test_a_study_writes_all_files_and_resumes_where_it_stopped(nitido, call, small_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = nitido("study", "run", small_study, "--out", out)
    assert done.code == 0, done.err
    assert "residual" in done.out
    assert str(out / "report.html") in done.out
    for name in (
        "study.yaml",
        "leaderboard.csv",
        "leaderboard.json",
        "leaderboard.md",
        "leaderboard.png",
        "report.html",
    ):
        assert (out / name).stat().st_size > 100, name
    left = {path.name for path in (out / RUN).iterdir()}
    expected = {
        "config.yaml",
        "environment.json",
        "status.json",
        "summary.txt",
        "model.svg",
        "model.png",
        "rows.parquet",
    }
    assert expected | {"metrics.jsonl", "model.safetensors", "checkpoints"} <= left
    assert any(name.startswith("events.out.tfevents") for name in left)
    assert {path.name for path in (out / RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}

    board = json.loads((out / "leaderboard.json").read_text())
    assert {entry["variant"] for entry in board["entries"]} == {"bicubic", "plain", "residual"}
    assert [entry["rank"] for entry in board["entries"]] == [1, 2, 3]
    bicubic = next(entry for entry in board["entries"] if entry["variant"] == "bicubic")
    assert bicubic["metrics"]["samples/test[:2]"]["psnr_y"] == pytest.approx(32.6, abs=2)
    rows = pl.read_parquet(out / "rows.parquet")
    assert len(rows) == 3 * (1 + 2) * 3, "three models, one validation and two test images, three metrics"
    assert rows["value"].is_nan().sum() == 0
    with Image.open(out / "leaderboard.png") as image:
        assert min(image.size) > 500

    trained = (out / RUN / "model.safetensors").stat().st_mtime_ns
    again = nitido("study", "run", small_study, "--out", out, "--set", "seeds=0,1")
    assert again.code == 0, again.err
    assert (out / RUN).with_name("seed=1").is_dir()
    assert (out / RUN / "model.safetensors").stat().st_mtime_ns == trained
    assert "±" in again.out

    summary = out / RUN / "summary.txt"
    table = summary.read_text(encoding="utf-8")
    summary.write_text("Conv2d (invented)", encoding="utf-8")
    reported = json.loads(call("study", "report", out, "--json", "-").out)
    page = unescape((out / "report.html").read_text(encoding="utf-8"))
    assert table.strip() in page, "the layers in the report follow from the configuration"
    assert "invented" not in page
    assert reported == json.loads((out / "leaderboard.json").read_text())
    assert {tuple(entry["seeds"]) for entry in reported["entries"]} == {(), (0, 1)}

    other = nitido("study", "run", small_study, "--out", out, "--set", "steps=9")
    assert other.code == 1
    assert "hyperparameters.steps: 8 → 9" in other.error_line

    evaluated = nitido("evaluate", "bicubic", out / RUN, "--data", "samples/test[:2]", "--scale", "2", "--json", "-")
    means = {(m["model"], m["metric"]): m["value"] for m in json.loads(evaluated.out)["means"]}
    residual = next(entry for entry in board["entries"] if entry["variant"] == "residual")
    assert means[str(out / RUN), "psnr_y"] == pytest.approx(residual["metrics"]["samples/test[:2]"]["psnr_y"], abs=1e-9)
    assert means["bicubic", "ssim_y"] == pytest.approx(bicubic["metrics"]["samples/test[:2]"]["ssim_y"], abs=1e-9)


def test_a_second_profile_gets_a_directory_of_its_own(nitido, tiny_study: Path, tmp_path: Path) -> None:
    study = yaml.safe_load(tiny_study.read_text())
    study["profiles"]["shorter"] = copy.deepcopy(study["profiles"]["demo"])
    study["profiles"]["shorter"]["hyperparameters"]["steps"] = 4
    tiny_study.write_text(yaml.safe_dump(study))
    for profile, directory in (("demo", "runs/small"), ("shorter", "runs/small-shorter")):
        done = nitido("study", "run", tiny_study, "--profile", profile, "--set", "variants=residual")
        assert done.code == 0, done.err
        assert json.loads((tmp_path / directory / "leaderboard.json").read_text())["profile"] == profile


def test_list_and_show_do_not_run_anything(nitido, call) -> None:
    listed = json.loads(call("study", "list", "--json", "-").out)
    assert "srcnn" in [study["study"] for study in listed["studies"]]
    shown = json.loads(nitido("study", "show", "srcnn", "--json", "-").out)
    assert (shown["study"], shown["profile"]) == ("srcnn", "demo")
    parameters = {run["variant"]: run["parameters"] for run in shown["runs"]}
    assert parameters["vanilla"] == 109_827
    assert parameters["pixel_shuffle_residual_leaky_relu"] == 81_123
    assert {"variant", "architecture", "scale", "lr", "seed", "parameters", "macs"} == set(shown["runs"][0])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["srcn"], "unknown study 'srcn': did you mean 'srcnn'"),
        (["srcnn", "--profile", "clasic"], "did you mean 'classic'"),
        (["srcnn", "--set", "variants=vanila"], "unknown variant 'vanila': did you mean 'vanilla'"),
        (["srcnn", "--set", "stepps=3"], "unknown key 'stepps': did you mean 'steps'"),
        (["srcnn", "--set", "data.train=smaples"], "unknown dataset 'smaples': did you mean 'samples'"),
        (["srcnn", "--set", "learning_rates=-1"], "greater than 0"),
        (["srcnn", "--set", "learning_rates=nan"], "learning_rates"),
        (["srcnn", "--set", "patch=200"], "patch 200"),
        (["srcnn", "--set", "data.train=samples/test"], "chelsea is also in samples"),
        (["srcnn", "--profile", "classic"], "t91"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path: Path, args: list[str], message: str) -> None:
    done = call("study", "run", *args, "--out", tmp_path / "out")
    assert done.code == 1
    assert message in done.error_line
    assert not (tmp_path / "out").exists()


def test_a_foreign_directory_is_not_written_to(call, small_study: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "thesis.txt"):
        done = call("study", "run", small_study, "--out", out)
        assert done.code == 1
        assert "contains no study" in done.error_line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_diverging_variant_is_reported_and_the_rest_finishes(nitido, tiny_study: Path, tmp_path: Path) -> None:
    text = tiny_study.read_text()
    explosive = "hyperparameters: {optimizer: sgd, loss: l2, momentum: 0.99, ema: 0.0}"
    assert "config:\n    residual: true" in text
    text = text.replace("config:\n    residual: true", explosive).replace("- 0.002", "- 10.0")
    tiny_study.write_text(text)
    done = nitido(
        "study", "run", tiny_study, "--out", tmp_path / "out", "--set", "steps=200", "--set", "validate_every=200"
    )
    assert done.code == 1
    assert done.error_line.startswith("nitido: runs/residual/lr=10/seed=0: diverged: loss term 'l2' became")
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    status = {entry["variant"]: (entry["status"], entry["rank"]) for entry in board["entries"]}
    assert status["residual"] == ("diverged", None)
    assert status["plain"][0] == "ok"


def test_a_variant_with_a_diverged_learning_rate_is_ranked_by_the_other(
    nitido, tiny_study: Path, tmp_path: Path
) -> None:
    study = yaml.safe_load(tiny_study.read_text())
    study["profiles"]["demo"]["learning_rates"] = [1e-3, 10.0]
    wild = {"optimizer": "sgd", "loss": "l2", "momentum": 0.99, "steps": 200, "validate_every": 100}
    study["profiles"]["demo"]["hyperparameters"] |= wild
    tiny_study.write_text(yaml.safe_dump(study))
    done = nitido("study", "run", tiny_study, "--out", tmp_path / "out", "--set", "variants=residual")
    assert done.code == 1
    assert "lr=10/seed=0: diverged" in done.error_line
    (residual,) = (e for e in json.loads((tmp_path / "out" / "leaderboard.json").read_text())["entries"] if e["lr"])
    assert (residual["lr"], residual["status"]) == (1e-3, "ok")
    assert residual["rank"] is not None


LONGER = ["--set", "variants=residual", "--set", "steps=60", "--set", "validate_every=10"]


@pytest.fixture(scope="module")
def uninterrupted(
    fork_server: ForkServer, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The model file of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    command = ("study", "run", write_tiny_study(folder), "--out", "out", *LONGER)
    ended = fork_server.nitido(*command, cwd=folder, environment=environment)
    assert ended.code == 0, ended
    return (folder / "out" / RUN / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_stopped_study_resumes_to_the_same_bits(
    fork_server: ForkServer,
    nitido,
    uninterrupted: bytes,
    tiny_study: Path,
    tmp_path: Path,
    environment: dict[str, str],
    number: int,
    code: int,
) -> None:
    out = tmp_path / "out"
    command = ["study", "run", str(tiny_study), "--out", str(out), *LONGER]
    arguments = {"args": command, "number": number, "step": 25}
    stopped = fork_server.call(SIGNALLED, arguments, cwd=tmp_path, environment=environment)
    assert stopped.code == code, stopped
    assert (out / RUN / "checkpoints" / "last.ckpt").exists()
    assert "Traceback" not in stopped.err
    assert not (out / RUN / "model.safetensors").exists()
    resumed = nitido("study", "run", out)
    assert resumed.code == 0, resumed.err
    assert (out / RUN / "model.safetensors").read_bytes() == uninterrupted


def with_small_files_only(args: list[str]) -> dict[str, Any]:
    """Run the command line in this process, which cannot write files of more than 6,000 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, before[1]))
    try:
        return command(args, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line(
    fork_server: ForkServer, call, tiny_study: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for split in SPLITS:
        assert call("data", "prepare", tmp_path / "images" / split).code == 0
    arguments = {"args": ["study", "run", str(tiny_study), "--out", "out"]}
    ended = fork_server.call(f"{__name__}:with_small_files_only", arguments, cwd=tmp_path, environment=environment)
    done = Done(ended.code, ended.out, ended.err)
    assert done.code == 1
    assert "File too large" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "out").rglob(".nitido-draft-*"))


def test_a_metric_that_a_test_image_is_too_small_for_is_refused_before_the_training(
    call, small_study: Path, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "tests" / "small.png")
    done = call("study", "run", small_study, "--set", "metrics=ms_ssim_y", "--set", "data.test=./tests")
    assert done.code == 1
    assert (
        "small of ./tests: an image of 96×96 is too small to compare: MS-SSIM on Y at ×2 needs 180 pixels a side"
        in done.error_line
    )
    assert not (small_study.parent / "runs").exists()


def test_a_test_set_that_is_named_twice_is_refused(call, small_study: Path) -> None:
    done = call("study", "run", small_study, "--set", "data.test=samples/test,samples/test[:17]")
    assert done.code == 1
    assert done.error_line == (
        "nitido: test sets samples/test and samples/test[:17] contain the same images: specify only one"
    )


def test_images_that_count_twice_are_a_caveat_of_the_report(call, tiny_study: Path, tmp_path: Path) -> None:
    """A JPEG beside each PNG, and a second set that is a part of the first."""
    (tmp_path / "tests").mkdir()
    for name in ("astronaut", "coffee"):
        image = Image.fromarray(getattr(skimage_data, name)()[100:260, 60:220])
        image.save(tmp_path / "tests" / f"{name}.png")
        image.save(tmp_path / "tests" / f"{name}.jpg", quality=80)
    out = tmp_path / "out"
    done = call("study", "run", tiny_study, "--out", out, "--set", "data.test=./tests,./tests[:3]")
    assert done.code == 0, done.err
    caveats = json.loads((out / "leaderboard.json").read_text())["caveats"]["fidelity"]
    assert caveats[0].startswith("near duplicates among the test images (astronaut.png of ./tests")
    assert any(line.startswith("3 of 7 test images repeat the pixels of another") for line in caveats)
    assert "intervals may be too narrow" in (out / "report.html").read_text()


def test_a_warmup_as_long_as_the_run_is_refused_and_a_shorter_one_is_in_the_report(
    call, tiny_study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for length in ("steps=8", "epochs=0.01"):
        done = call("study", "run", tiny_study, "--out", out, "--set", "warmup=1000", "--set", length)
        assert done.code == 1
        assert done.error_line.startswith("nitido: warmup 1,000: a run of ")
        assert not out.exists()
    changed = ["warmup=2", "gradient_clip=0.5", "augment=false", "validate_every=8"]
    done = call("study", "run", tiny_study, "--out", out, *(word for value in changed for word in ("--set", value)))
    assert done.code == 0, done.err
    page = (out / "report.html").read_text()
    assert "Non-default settings: warmup 2, augment off, ema 0.9, gradient_clip 0.5." in page
    assert "Chosen on validation images: nothing. Each run was validated once, at its end" in page


def test_a_metric_that_is_not_available_is_named_at_the_end(
    call, tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)  # as where the package is not installed
    done = call("study", "run", tiny_study, "--out", "out", "--set", "variants=residual", "--set", "metrics=lpips")
    assert done.code == 0, done.err
    assert "LPIPS is not available: the package lpips is not installed" in done.out
    assert "LPIPS is not available" in call("study", "report", "out").out
