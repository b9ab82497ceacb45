"""The command as its users start it: another process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

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
def nitido(environment: dict[str, str], tmp_path: Path) -> Callable[..., Done]:
    def run(*args: object, **options: object) -> Done:
        done = subprocess.run(
            [*COMMAND, *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=240,
            check=False,
            **options,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def call(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The same command in this process, for the many ways to call it wrongly: no start of an interpreter each time."""
    from nitido.cli import main

    def run(*args: object) -> Done:
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
