"""Tiny jobs whose results and caches lie in one folder: a training, a study, a folder of images to upscale."""

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.faults.results import result_of
from tests.forked import Ended, ForkServer

RUN = {
    "steps": 4,
    "validate_every": 2,
    "batch": 1,
    "patch": 8,
    "compile": False,
    "precision": "float32",
    "log_every": 1,
}


@dataclass
class Job:
    """A command whose results and cache lie in the folder `work`."""

    server: ForkServer
    args: Sequence[object]
    work: Path
    copies: Path
    environment: dict[str, str]

    def run(self, **faults: Any) -> Ended:
        watched = {"folders": [str(self.work)], **faults}
        return self.server.nitido(*self.args, cwd=self.work.parent, environment=self.environment, faults=watched)

    def clear(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    def undisturbed(self, **faults: Any) -> tuple[Ended, dict[str, Any]]:
        self.clear()
        ended = self.run(**faults)
        assert ended.code == 0, ended
        return ended, result_of(self.work)

    def states(self) -> list[Path]:
        """Copies of the folder before each operation, without those that equal the one before."""
        self.undisturbed(copies=str(self.copies))
        different, last = [], ""
        for state in sorted(self.copies.iterdir()):
            now = fingerprint(state / "0")
            if now != last:
                different.append(state)
            last = now
        return different

    def resumed(self, state: Path) -> tuple[Ended, dict[str, Any]]:
        shutil.rmtree(self.work)
        shutil.copytree(state / "0", self.work, symlinks=True)
        return self.run(), result_of(self.work)


def fingerprint(folder: Path) -> str:
    """Equal for folders of equal content; random parts of names are masked."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = re.sub(r"[0-9a-f]{8,}", "#", path.relative_to(folder).as_posix())
        digest.update(repr((name, path.is_dir(), b"" if path.is_dir() else path.read_bytes())).encode())
    return digest.hexdigest()


Make = Callable[..., Job]


def train() -> list[object]:
    """The command of a tiny training, which resumes when it is run again."""
    sets = RUN | {f"data.{split}": f"images/{split}" for split in ("train", "validation", "test")}
    words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    return ["train", "srcnn", "--variant", "debug", "--out", "work/out", *words]


def study(folder: Path) -> list[object]:
    """The command of a tiny study, whose file is written to `folder`; its second variant starts from the first."""
    study = {
        "study": "killed",
        "question": "does it survive?",
        "architecture": "srcnn",
        "scale": 2,
        "baseline": "a",
        "variants": [
            {"name": "a", "variant": "debug"},
            {"name": "b", "variant": "debug", "pretrained": "variant:a", "hyperparameters": {"steps": 2}},
        ],
        "profiles": {
            "demo": {
                "data": {split: f"images/{split}" for split in ("train", "validation", "test")},
                "learning_rates": [1e-3],
                "hyperparameters": RUN,
            }
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return ["study", "run", "study.yaml", "--out", "work/out"]


UPSCALE: list[object] = ["upscale", "images", "-o", "work/out", "--model", "srcnn-x2"]
"""The command that upscales a folder."""
