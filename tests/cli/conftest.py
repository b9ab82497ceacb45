"""Run the command line, in this process or another one, and write small studies."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forked import ForkServer
from tests.forked.images import make_images
from tests.forked.server import quick_measurements

COMMAND = [sys.executable, "-m", "nitido"]

SMALL_STUDY = {
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
            "data": {"train": ["samples"], "validation": ["samples[:1]"], "test": ["samples/test[:2]"]},
            "learning_rates": [2e-3],
            "hyperparameters": {"steps": 8, "batch": 2, "patch": 16, "validate_every": 4, "log_every": 2, "ema": 0.9},
        }
    },
}


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line of the error; fails when there is a traceback or more than one line of it."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("nitido: ")]
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    changed = {
        "NITIDO_CACHE": str(tmp_path_factory.mktemp("cache")),
        "NITIDO_DATA": str(tmp_path_factory.mktemp("data")),
    }
    return os.environ | changed | {"COLUMNS": "200"}


@pytest.fixture
def nitido(fork_server: ForkServer, environment: dict[str, str], tmp_path: Path) -> Callable[..., Done]:
    """Run the command in a process of its own, forked from one that has imported nitido."""

    def run(*args: object) -> Done:
        ended = fork_server.nitido(*args, cwd=tmp_path, environment=environment, timeout=240)
        return Done(ended.code, ended.out, ended.err)

    return run


@pytest.fixture
def nitido_process(environment: dict[str, str], tmp_path: Path) -> Callable[..., Done]:
    """Run the command in an interpreter of its own, with options of `subprocess.run`."""

    def run(*args: object, **options: Any) -> Done:
        command = [*COMMAND, *map(str, args)]
        settings = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment, "timeout": 240} | options
        done = subprocess.run(command, check=False, **settings)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def call(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The same command in this process, which avoids starting an interpreter for each of many calls."""
    from nitido.base import notes
    from nitido.cli import main

    for module, name, value in quick_measurements():
        monkeypatch.setattr(module, name, value)

    def run(*args: object) -> Done:
        monkeypatch.setattr(notes, "_said", set())  # each call replaces a process, which prints a note once
        monkeypatch.chdir(tmp_path)
        for key in ("NITIDO_CACHE", "NITIDO_DATA", "COLUMNS"):
            monkeypatch.setenv(key, environment[key])
        monkeypatch.setattr(sys, "argv", ["nitido", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def small_study(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL_STUDY))
    return path


@pytest.fixture
def tiny_study(tmp_path: Path) -> Path:
    """The same with images that take no time to measure."""
    return write_tiny_study(tmp_path)


def write_tiny_study(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write `tiny.yaml`, the small study with other top-level keys, and its images beside it."""
    make_images(folder / "images")
    study = json.loads(json.dumps(SMALL_STUDY | dict(changes or {})))
    study["profiles"]["demo"]["data"] = {split: [f"./images/{split}"] for split in ("train", "validation", "test")}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(study))
    return folder / "tiny.yaml"
