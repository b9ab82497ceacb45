"""Every key of a study file, a profile, an override, a variant and a transfer, through whole studies."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from nitido.evaluation.metrics import METRICS
from nitido.study.spec import DataSplit, Override, Profile, StudyFile, Transfer, Variant
from tests.matrix.conftest import STUDY, Nitido, run_configs

A = {"name": "a", "variant": "debug"}
DEMO = "profiles/demo/"

STUDIES: Mapping[str, tuple[Mapping[type[BaseModel], tuple[str, ...]], Mapping[str, Any]]] = {
    "file": (
        {
            StudyFile: (
                "study",
                "question",
                "architecture",
                "scale",
                "baseline",
                "metrics",
                "variants",
                "profiles",
                "resources",
            ),
            Profile: ("description", "data", "hyperparameters", "learning_rates", "seeds"),
            DataSplit: ("train", "validation", "test"),
        },
        {
            "study": "another_name",
            "question": "<b>why</b> | not?",
            "architecture": "edsr",
            "scale": 3,
            "variants": [A, "debug"],
            "baseline": "a",
            "resources": {"cpus": 2, "time": 30},
            "metrics": [name for name, metric in METRICS.items() if metric.missing() is None and metric.smallest < 48],
            f"{DEMO}description": "as short as can be",
            f"{DEMO}seeds": [3],
            f"{DEMO}data/train": ["images/train", "images/validation[:1]"],
            f"{DEMO}data/validation": "images/validation[1:]",
            f"{DEMO}data/test": ["images/test[:1]", "images/test[1:]"],
            "profiles/other": {**STUDY["profiles"]["demo"], "seeds": [5]},
        },
    ),
    "profile": (
        {Profile: ("variants", "config", "overrides"), Override: ("config", "hyperparameters", "learning_rates")},
        {
            "variants": ["debug", A, {**A, "name": "b"}],
            "baseline": "a",
            f"{DEMO}variants": ["a", "debug"],
            f"{DEMO}config": {"widths": [3, 5]},
            f"{DEMO}overrides": {
                "debug": {"config": {"widths": [5, 3]}, "hyperparameters": {"batch": 2}, "learning_rates": [1e-4, 1e-5]}
            },
        },
    ),
    "variants": (
        {Variant: ("name", "architecture", "variant", "config", "hyperparameters", "learning_rates")},
        {
            "variants": [
                "debug",
                {**A, "name": "A.b_c+d-1"},
                {**A, "name": "b", "architecture": "vdsr"},
                {**A, "name": "c", "config": {"activation": "mish"}},
                {**A, "name": "d", "hyperparameters": {"optimizer": "muon"}},
                {**A, "name": "e", "learning_rates": [0.01]},
            ]
        },
    ),
    "transfers": (
        {Transfer: ("pretrained", "reinitialize", "freeze")},
        {
            "architecture": "edsr",
            "variants": [
                "debug",
                {**A, "name": "b", "pretrained": "variant:debug"},
                {**A, "name": "c", "pretrained": "variant:debug", "reinitialize": "second_half"},
                {**A, "name": "d", "pretrained": "variant:debug", "reinitialize": ["head*"]},
                {**A, "name": "e", "freeze": "first_half"},
                {**A, "name": "f", "freeze": ["head*"]},
            ],
        },
    ),
}
"""Studies with the keys that each has; together they have all keys of all models."""


@pytest.mark.parametrize("model", [StudyFile, Profile, Override, Variant, Transfer, DataSplit])
def test_every_key_is_in_a_study(model: type[BaseModel]) -> None:
    inherited = set(Transfer.model_fields) if model is Variant else set()
    tried = {key for keys, _ in STUDIES.values() for key in keys.get(model, ())}
    assert set(model.model_fields) - inherited == tried


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_with_these_keys_ends_in_a_report(nitido: Nitido, name: str) -> None:
    board, out = nitido.finished(changes=STUDIES[name][1])
    assert {entry["variant"] for entry in board["entries"]} == {"bicubic", *run_configs(out)}
    again = nitido("study", "report", "out", "--json", "-")
    assert again.code == 0, again
    assert json.loads(again.out) == board


def test_several_seeds_rates_and_variants_are_all_run(nitido: Nitido) -> None:
    changes = {"variants": ["debug", A], f"{DEMO}seeds": [0, 1], f"{DEMO}learning_rates": [1e-3, 2e-3]}
    board, out = nitido.finished(changes=changes)
    assert len(list(out.glob("runs/*/*/*/model.safetensors"))) == 8
    assert all(entry["seeds"] == [0, 1] for entry in board["entries"] if entry["variant"] != "bicubic")


def test_a_study_directory_holds_what_was_asked_for(nitido: Nitido, tmp_path: Path) -> None:
    _, out = nitido.finished(["seeds=4", "learning_rates=0.5", "data.test=images/test[:1]", "metrics=psnr_y"])
    study = yaml.safe_load((out / "study.yaml").read_text())
    assert study["seeds"] == [4]
    assert study["learning_rates"] == [0.5]
    assert study["data"]["test"] == ["images/test[:1]"]
