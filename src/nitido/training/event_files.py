"""TensorBoard event files in which every step occurs once, even if the run was interrupted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from nitido.base.atomic import replacing

_PATTERN = "events.out.tfevents.*"
_VALIDATION = "validation/"
_HPARAMS = "_hparams_/"


def rewind_events(directory: Path, step: int) -> None:
    """Keep events before the step with index `step`: losses of earlier steps, and validations up to it.

    The run's configuration, which is written at the end, is dropped too. Partially written events of a killed process
    and everything after damaged data in a file are lost. No process may be writing to the files.
    """
    for path in sorted(directory.glob(_PATTERN)):
        kept = [event for raw in RawEventFileLoader(str(path)).Load() if (event := _kept(raw, step)) is not None]
        if not any(event.HasField("summary") for event in kept):
            path.unlink()
            continue
        with replacing(path) as draft, draft.open("wb") as file:
            records = RecordWriter(file)
            for event in kept:
                records.write(event.SerializeToString())


def _kept(raw: bytes, step: int) -> Any:
    """Return the part of an event to keep, or None."""
    event: Any = Event.FromString(raw)
    if not event.HasField("summary"):
        return event
    kept = [value for value in event.summary.value if event.step < step + _is_of_validation(value)]
    kept = [value for value in kept if not value.tag.startswith(_HPARAMS)]
    if not kept:
        return None
    del event.summary.value[:]
    event.summary.value.extend(kept)
    return event


def _is_of_validation(value: Any) -> bool:
    """Return whether a value was written in a validation after its step, rather than in the step."""
    return bool(value.tag.startswith(_VALIDATION) or value.HasField("image"))


class FlushedEvents(Callback):
    """Writes all logged events to the event file before a checkpoint is written."""

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Flush the queue of TensorBoard's writer thread."""
        self.writer.flush()


def write_hparams(writer: SummaryWriter, options: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Write the run's configuration for TensorBoard's table of runs, with references to logged scalars (`metrics`).

    Lightning and `SummaryWriter.add_hparams` would add a point to their curves.
    """
    plain = {name: value if isinstance(value, bool | int | float) else str(value) for name, value in options.items()}
    untyped_hparams: Any = hparams
    untyped_writer: Any = writer
    for summary in untyped_hparams(plain, dict(metrics)):
        untyped_writer._get_file_writer().add_summary(summary)
    writer.flush()
