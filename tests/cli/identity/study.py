"""The study that the tests of this folder run, and what they read of its directory."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from nitido.study.run_directory import RunDirectory
from tests.cli.conftest import SMALL_STUDY
from tests.forked.server import command

PLAIN = Path("runs/plain/lr=0.002/seed=0")
RESIDUAL = Path("runs/residual/lr=0.002/seed=0")


def image(path: Path, seed: int, size: int = 72) -> Path:
    """A smooth random image, of which a few steps learn something."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((size, size), Image.Resampling.BICUBIC).save(path)
    return path


STUDY: dict[str, Any] = SMALL_STUDY | {
    "profiles": {
        "demo": {
            "data": {"train": ["./train"], "validation": ["./validation"], "test": ["./test"]},
            "learning_rates": [2e-3],
            "hyperparameters": {"steps": 6, "batch": 2, "patch": 16, "validate_every": 3, "compile": False},
        }
    }
}


LONG = ["--set", "variants=residual", "--set", "steps=40", "--set", "validate_every=5"]
"""A run of several checkpoints."""


def board(out: Path) -> dict[str, dict[str, Any]]:
    return {entry["variant"]: entry for entry in json.loads((out / "leaderboard.json").read_text())["entries"]}


def psnr(entry: dict[str, Any]) -> float:
    (metrics,) = entry["metrics"].values()
    return float(metrics["psnr_y"])


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("leaderboard.*")}


def model_bytes(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def unmark(directory: Path) -> None:
    """Leave the checkpoints of a run as version 0.1 wrote them, without the run's digest."""
    for path in (directory / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["run"]
        torch.save(checkpoint, path)


def state(directory: Path) -> str:
    """How the run ended."""
    status = RunDirectory(directory).read_status()
    assert status is not None
    return status.state


def signalled(args: list[str], number: int, step: int, times: int = 1, *, ignored: bool = False) -> dict[str, Any]:
    """Run the command line in this process, which sends itself a signal, some `times`, after a step of the training.

    A shell starts its background jobs with SIGINT `ignored`.
    """
    from nitido.training.callbacks import ReportProgress

    def send(self: ReportProgress, trainer: Any, *given: Any) -> None:
        if trainer.global_step == step:
            for _ in range(times):
                os.kill(os.getpid(), number)

    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    ReportProgress.on_train_batch_end = send  # type: ignore[method-assign]
    return command(args, None)
