"""Whole tiny studies, each in a process of its own."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forked import Ended, ForkServer
from tests.forked.images import make_images

SHORT: Mapping[str, Any] = {
    "steps": 2,
    "validate_every": 2,
    "batch": 1,
    "patch": 8,
    "compile": False,
    "precision": "float32",
}

STUDY: Mapping[str, Any] = {
    "study": "tiny",
    "question": "does it end in a report?",
    "architecture": "srcnn",
    "scale": 2,
    "baseline": "debug",
    "variants": ["debug"],
    "profiles": {
        "demo": {
            "data": {split: [f"images/{split}"] for split in ("train", "validation", "test")},
            "learning_rates": [1e-3],
            "hyperparameters": SHORT,
        }
    },
}


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values at the dotted keys of `changes`; None takes a key away."""
    result: dict[str, Any] = json.loads(json.dumps(base))
    for dotted, value in changes.items():
        *groups, name = dotted.split("/")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    return result


@dataclass
class Nitido:
    """The command line in a folder that has images."""

    server: ForkServer
    folder: Path
    environment: dict[str, str]

    def __call__(self, *args: object, **environment: str) -> Ended:
        ended = self.server.nitido(*args, cwd=self.folder, environment=self.environment | environment, timeout=240)
        assert "Traceback" not in ended.err, ended
        assert ended.code in (0, 1, 2), ended
        return ended

    def refuses(self, *args: object, **environment: str) -> str:
        """Run a command that fails, and return its one line."""
        ended = self(*args, **environment)
        assert ended.code == 1, ended
        assert len(ended.error_lines) == 1, ended
        return ended.error_lines[0]

    def study(
        self, settings: Sequence[str] = (), changes: Mapping[str, Any] | None = None, **environment: str
    ) -> tuple[Ended, Path]:
        """Run `STUDY` with `changes` and `--set` words; returns how it ended and its directory."""
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(changed(STUDY, changes or {})))
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        words = [word for setting in settings for word in ("--set", setting)]
        return self("study", "run", "tiny.yaml", "--out", "out", *words, **environment), out

    def finished(
        self, settings: Sequence[str] = (), changes: Mapping[str, Any] | None = None, **environment: str
    ) -> tuple[dict[str, Any], Path]:
        """Run a study that must finish; returns its leaderboard and its directory."""
        ended, out = self.study(settings, changes, **environment)
        assert ended.code == 0, ended
        assert not ended.error_lines, ended
        return complete(out), out


def complete(out: Path) -> dict[str, Any]:
    """The leaderboard of a study whose every run finished; fails where it, its report or a run is not whole."""
    board: dict[str, Any] = json.loads((out / "leaderboard.json").read_text(), parse_constant=_no_number)
    page = (out / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    for entry in board["entries"]:
        assert entry["metrics"], entry
        assert entry["variant"] in page
    for status in out.glob("runs/*/*/*/status.json"):
        assert json.loads(status.read_text(), parse_constant=_no_number)["state"] == "finished", status
    return board


def _no_number(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


def run_configs(out: Path) -> dict[str, dict[str, Any]]:
    """By variant the configuration of its first run, as its directory has it."""
    found = {}
    for path in sorted(out.glob("runs/*/*/*/config.yaml"), reverse=True):
        config = yaml.safe_load(path.read_text())
        found[config["variant"]] = config
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    make_images(folder / "images")
    return folder


@pytest.fixture
def nitido(fork_server: ForkServer, folder: Path) -> Nitido:
    environment = {"NITIDO_CACHE": str(folder / "cache"), "NITIDO_DATA": str(folder / "data"), "COLUMNS": "200"}
    return Nitido(fork_server, folder, environment)


Finished = Callable[..., dict[str, Any]]
