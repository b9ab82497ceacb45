"""Studies whose variants start from each other, and an adversarial one, from the command to the report."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import write_tiny_study
from tests.forked.images import SPLITS, make_images

CHANGES = {
    "architecture": "srresnet",
    "baseline": "plain",
    "variants": [
        {
            "name": "gan",
            "variant": "debug",
            "pretrained": "variant:plain",
            "learning_rates": [1e-4],
            "hyperparameters": {
                "loss": {"l1": 1.0, "perceptual": 1e-4, "adversarial": 1e-3},
                "adversarial": {"discriminator": {"width": 4, "dense_width": 8}},
            },
        },
        {"name": "plain", "variant": "debug"},
        {
            "name": "half",
            "variant": "debug",
            "config": {"second_half_block": "dense"},
            "pretrained": "variant:plain",
            "reinitialize": ["body.1"],
            "freeze": "first_half",
        },
    ],
}


def test_a_study_with_a_pretrained_a_frozen_and_an_adversarial_variant(nitido, tmp_path: Path) -> None:
    study = write_tiny_study(tmp_path, CHANGES)
    out = tmp_path / "out"
    done = nitido("study", "run", study, "--out", out)
    assert done.code == 0, done.err
    order = list(dict.fromkeys(line.split()[1] for line in done.err.splitlines() if line.startswith("[")))
    assert order == ["plain", "gan", "half"]

    board = {e["variant"]: e for e in json.loads((out / "leaderboard.json").read_text())["entries"]}
    assert board["gan"]["rank"] is None
    assert board["gan"]["perceptual_rank"] is not None
    assert {e["rank"] for e in board.values() if e["variant"] != "gan"} == {1, 2, 3}
    assert all("perceptual_distance" in e["metrics"]["./images/test"] for e in board.values())
    assert "perceptual distance" in done.out
    assert "perceptual distance" in (out / "report.html").read_text()
    assert (out / "perception.csv").read_text().splitlines()[0].startswith("rank,variant,status")
    assert (out / "perception.png").stat().st_size > 1000

    report = json.loads((out / "runs/half/lr=0.002/seed=0/transfer.json").read_text())
    assert report["source"] == "variant:plain"
    assert {name.split(".")[0] for name in report["frozen"]} == {"head", "body"}
    assert all(name.startswith("body.1") for name in [*report["skipped"], *report["unused"]])
    again = nitido("study", "run", study, "--out", out)
    assert again.code == 0, again.err
    assert json.loads((out / "leaderboard.json").read_text())["entries"] == list(board.values())


def test_a_failed_source_fails_what_starts_from_it_and_nothing_else(nitido, tmp_path: Path) -> None:
    variants = [v for v in CHANGES["variants"] if v["name"] != "gan"]
    variants[0] = variants[0] | {
        "learning_rates": [10.0],
        "hyperparameters": {"optimizer": "sgd", "momentum": 0.99, "loss": "l2"},
    }
    study = write_tiny_study(tmp_path, CHANGES | {"variants": [*variants, {"name": "other", "variant": "debug"}]})
    length = ["--set", "steps=100", "--set", "validate_every=100"]
    done = nitido("study", "run", study, "--out", tmp_path / "out", *length)
    assert done.code == 1
    complaints = [line for line in done.err.splitlines() if line.startswith("nitido: ")]
    assert "plain" in complaints[0]
    assert "diverged" in complaints[0]
    assert "no run of plain, which it starts from, has finished" in complaints[1]
    assert len(complaints) == 2


def test_train_starts_from_a_model(nitido, call, tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    settings = ["steps=4", "batch=2", "patch=12"]
    settings += [f"data.{split}=./images/{split}" for split in SPLITS]
    common = ["--variant", "debug", *(word for setting in settings for word in ("--set", setting))]
    assert nitido("train", "srresnet", *common, "--out", "first").code == 0
    start = ["--set", "pretrained=first", "--set", "freeze=first_half"]
    second = nitido("train", "srresnet", *common, *start, "--out", "second")
    assert second.code == 0, second.err
    assert "frozen" in second.err
    missing = call("train", "srresnet", *common, "--set", "pretrained=nowhere.safetensors", "--out", "third")
    assert "no such model file" in missing.error_line
    assert not (tmp_path / "third").exists()


def test_missing_backbone_weights_are_reported_before_any_training(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # an unused port: offline
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    variants = [v for v in CHANGES["variants"] if v["name"] != "half"]
    study = write_tiny_study(tmp_path, CHANGES | {"variants": variants})
    done = call("study", "run", study, "--out", tmp_path / "out", "--set", "perceptual.backbone=vgg19")
    assert done.code == 1
    assert "vgg19" in done.error_line
    assert not (tmp_path / "out").exists()
