"""Checkpoints: written atomically, and verified before a training resumes from one."""

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
"""The key of the run's digest in a checkpoint; checkpoints of version 0.1 have none."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints of `run` atomically, even in case of `kill -9` or a full disk."""

    def __init__(self, run: str, written: Callable[[Path, int], None]) -> None:
        """Mark every checkpoint with the digest `run`.

        `written` is called with its path and steps when it is complete.
        """
        super().__init__()
        self._run = run
        self._written = written

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write next to `path`, then rename."""
        content = io.BytesIO()
        torch.save(checkpoint | {_RUN: self._run}, content)
        write_bytes(Path(path), content.getvalue())
        self._written(Path(path), checkpoint["global_step"])


class MovableCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` after validations; its run directory may be moved before the run resumes."""

    @cached_property
    def state_key(self) -> str:
        """The key of its state in a checkpoint, cached because Lightning reads it at every hook of every step."""
        return super().state_key

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Do nothing, because it saves after validations and Lightning's check takes longer than a small step."""

    def check_monitor_top_k(self, trainer: lightning.Trainer, current: torch.Tensor | None = None) -> bool:
        """Return whether `current` is at least as good as the best so far. The later one of equal validations is kept.

        Validations are equal if they cannot distinguish the steps, for example on flat images, which the first step
        restores perfectly. Lightning would keep the first one.
        """
        best = self.best_k_models.get(self.kth_best_model_path)
        tied = current is not None and best is not None and bool(current == best)
        return tied or super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state with its paths changed to the current directory.

        Otherwise Lightning would forget the best score, and a worse checkpoint could replace the best one.
        """

        def here(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = state_dict | {"dirpath": self.dirpath} | {key: here(state_dict[key]) for key in paths}
        moved["best_k_models"] = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(moved)


def load_checkpoint(path: Path, run: str) -> dict[str, Any]:
    """Load the checkpoint at `path` after verifying the CRC-32 of every record, which PyTorch does not do.

    Args:
        path: The checkpoint.
        run: The digest of its run. A checkpoint of version 0.1, which has none, is accepted.

    Raises:
        DamagedFileError: The file is not a checkpoint, is truncated, a record does not match its checksum, or it
            belongs to another run.
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
    except Exception as error:  # zipfile, pickle and PyTorch raise many exceptions for damaged files
        raise DamagedFileError(f"{path} is damaged ({type(error).__name__} while reading it)") from None
    if not isinstance(checkpoint, dict) or "global_step" not in checkpoint:
        raise DamagedFileError(f"{path} is damaged (it is not a checkpoint of a training)")
    if checkpoint.get(_RUN, run) != run:
        raise DamagedFileError(f"{path} is a checkpoint of another run")
    return checkpoint


def repair_checkpoints(last: Path, best: Path, run: str) -> None:
    """Remove or replace damaged checkpoints, so that a training ends with the same bits as without the damage.

    A checkpoint of another run than `run`, such as one copied from another seed, counts as damaged. If `last` is
    damaged, the training resumes from `best`, which is complete and of an earlier step. A damaged `best` cannot be
    reproduced by later steps, so both are removed and the training starts from step 0. One warning names the file and
    the consequence.
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
