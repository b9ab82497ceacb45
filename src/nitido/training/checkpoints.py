"""Checkpoints that are whole: written atomically, and checked before a training resumes from one."""

import io
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from nitido.base.atomic import write_bytes
from nitido.base.json_files import DamagedFileError
from nitido.base.notes import note

_RUN = "run"
"""Where a checkpoint has the digest of its run; those of version 0.1 have none."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints of `run` that are whole or not there, even after `kill -9` or on a full disk."""

    def __init__(self, run: str, written: Callable[[Path, int], None]) -> None:
        """Mark every checkpoint with the digest `run`; `written` receives its path and steps when it is there."""
        super().__init__()
        self._run = run
        self._written = written

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write beside `path`, then rename."""
        content = io.BytesIO()
        torch.save(checkpoint | {_RUN: self._run}, content)
        write_bytes(Path(path), content.getvalue())
        self._written(Path(path), checkpoint["global_step"])


class MovableCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` after validations, whose run directory may be moved before the run resumes."""

    @cached_property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, which Lightning asks for at every hook of every step."""
        return super().state_key

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Do nothing: it saves after validations, and Lightning's own check takes longer than a small step."""

    def check_monitor_top_k(self, trainer: lightning.Trainer, current: torch.Tensor | None = None) -> bool:
        """Return whether `current` is at least as good as the best so far: of equal validations the later one is kept.

        Validations are equal when they cannot tell the steps apart, such as on flat pictures, which the first step
        restores perfectly. Lightning would keep the first of them.
        """
        best = self.best_k_models.get(self.kth_best_model_path)
        tied = current is not None and best is not None and bool(current == best)
        return tied or super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with its paths changed to the directory of today.

        Lightning would otherwise forget the best score, and a worse checkpoint could replace the best one.
        """

        def here(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = state_dict | {"dirpath": self.dirpath} | {key: here(state_dict[key]) for key in paths}
        moved["best_k_models"] = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(moved)


def load_checkpoint(path: Path, run: str) -> dict[str, Any]:
    """Load the checkpoint at `path` after comparing every record with its CRC-32, which PyTorch itself does not do.

    Args:
        path: The checkpoint.
        run: The digest of the run that it must belong to. A checkpoint of version 0.1, which names no run, is accepted.

    Raises:
        DamagedFileError: The file is no checkpoint, is cut short, a record does not match its checksum, or it is a
            checkpoint of another run.
        OSError: The file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise DamagedFileError(f"{path} is damaged ({damaged} does not match its checksum)")
            file.seek(0)
            checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (DamagedFileError, OSError):
        raise
    except Exception as error:  # zipfile, pickle and PyTorch have many kinds for a file that is not whole
        raise DamagedFileError(f"{path} is damaged ({type(error).__name__} while reading it)") from None
    if not isinstance(checkpoint, dict) or "global_step" not in checkpoint:
        raise DamagedFileError(f"{path} is damaged (it is no checkpoint of a training)")
    if checkpoint.get(_RUN, run) != run:
        raise DamagedFileError(f"{path} is a checkpoint of another run")
    return checkpoint


def repair_checkpoints(last: Path, best: Path, run: str) -> None:
    """Remove or replace damaged checkpoints, so that a training ends with the same bits as without the damage.

    A checkpoint of another run than `run`, such as one that was copied from another seed, counts as damaged.

    Instead of a damaged `last` the training resumes from `best`, which is as complete and of an earlier step. A damaged
    `best` cannot be made again by the steps after it: both are removed, and the training starts from step 0. One
    warning names the file and says which.
    """
    found = [path for path in (last, best) if path.exists()]
    reasons = {path: reason for path in found if (reason := _damage(path, run))}
    if best in reasons or (last in reasons and not best.exists()):
        for path in found:
            path.unlink()
        note(f"{next(iter(reasons.values()))}: the training starts from step 0")
    elif last in reasons:
        write_bytes(last, best.read_bytes())
        note(f"{reasons[last]}: the training resumes from {best.name}")


def _damage(path: Path, run: str) -> str:
    try:
        load_checkpoint(path, run)
    except DamagedFileError as error:
        return str(error)
    return ""
