"""Lightning callbacks, loggers and profiler: scalars, images, histograms, averaging, progress, stopping at Ctrl-C."""

import hashlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from nitido.base.activity import activity
from nitido.base.errors import NitidoError
from nitido.base.interrupts import DeferredInterrupt
from nitido.data import Store, center_crop
from nitido.evaluation.scoring import BicubicUpscaler, Image, Upscaler
from nitido.training.metrics_file import VALIDATION, append_scalars, rewind
from nitido.training.module import NetworkTraining

SAMPLE_SIDE = 256
"""Side in pixels of the center crop of sample images."""
_NOTHING = nullcontext()


class TrainingInterruptedError(NitidoError):
    """Ctrl-C was pressed; a checkpoint was written and the run can be resumed."""

    exit_code = 130  # of a process that SIGINT ended, by the convention of shells


class JsonLines(Logger):
    """Logs the run's scalars as one JSON object per line, for scripts and for the report's curves.

    Lines after the step from which a run resumes are dropped, so that its file equals that of an uninterrupted run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """Lightning's name for the logger."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Lightning's version of the logger, which is constant because there is one file per run."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because the run directory contains the resolved configuration."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line."""
        append_scalars(self.path, step, metrics)

    def rewind(self, step: int) -> None:
        """Keep what was logged before the step with index `step`: losses of earlier steps, validations up to it."""
        rewind(self.path, step)

    def sha256(self) -> str:
        """Return the hash of the current file, or of no data if there is no file."""
        return hashlib.sha256(self.path.read_bytes() if self.path.exists() else b"").hexdigest()


class LinesInCheckpoint(Callback):
    """Stores the hash of the run's scalars in every checkpoint, so that a resumed run detects other scalars."""

    KEY = "metrics_sha256"

    def __init__(self, lines: JsonLines) -> None:
        self.lines = lines

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the hash."""
        checkpoint[self.KEY] = self.lines.sha256()


class Histograms(Callback):
    """Histograms of parameters and gradients in TensorBoard, at the last step before each validation.

    They include only finite values, because TensorBoard cannot count others, and gradients may overflow in half
    precision.
    """

    def __init__(self, writer: SummaryWriter, every: int) -> None:
        self.writer = writer
        self.every = every

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Write the histograms."""
        if (trainer.global_step + 1) % self.every:
            return
        for name, parameter in pl_module.named_parameters():
            self._write(f"parameters/{name}", parameter.detach(), trainer.global_step)
            if parameter.grad is not None:
                self._write(f"gradients/{name}", parameter.grad, trainer.global_step)

    def _write(self, name: str, values: torch.Tensor, step: int) -> None:
        finite = values[torch.isfinite(values)]
        if finite.numel():
            self.writer.add_histogram(name, finite, step)


class SampleImages(Callback):
    """Writes the center of the first validation image to TensorBoard: ground truth, bicubic, network."""

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write a strip of images for each scale, from the averaged weights if there are any."""
        assert isinstance(pl_module, NetworkTraining)
        side = min(SAMPLE_SIDE, pl_module.options.validation_crop or SAMPLE_SIDE)
        for scale, upscale in pl_module.upscalers.items():
            tag = "truth, bicubic, network" + (f" x{scale}" if len(pl_module.upscalers) > 1 else "")
            strip = _strip(pl_module.validation, scale, upscale, side)
            self.writer.add_image(tag, strip, trainer.global_step, dataformats="HWC")


def _strip(store: Store, scale: int, upscale: Upscaler, side: int) -> Image:
    """Return the center of the first image, its bicubic upscaling and its upscaling by `upscale`, side by side.

    `side` is the width of the center in HR pixels.
    """
    lr, truth = center_crop(store, 0, scale, side)
    upscaled = (upscaler(lr, grey=store.grey[0]).rgb for upscaler in (BicubicUpscaler(scale), upscale))
    return np.concatenate([truth, *upscaled], axis=1)


class ReportProgress(Callback):
    """Reports progress, and validations by the metric that selects the best step, to a listener."""

    def __init__(self, listener: "ProgressListener", metric: str) -> None:
        self.listener = listener
        self.scalar = VALIDATION + metric
        self._validating = ExitStack()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report the step."""
        self.listener(trainer.global_step, None)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Announce the validation."""
        self._validating.enter_context(activity("validating"))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the step and the validation."""
        self._validating.close()
        self.listener(trainer.global_step, float(trainer.callback_metrics[self.scalar]))

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """End the announcement of a validation that failed."""
        self._validating.close()


ProgressListener = Callable[[int, float | None], None]
"""Called with the number of finished steps and, after a validation, the value of the selection metric."""


class StopAtInterrupt(Callback):
    """Ends the run between two steps at Ctrl-C or SIGTERM, after writing a checkpoint.

    A second signal acts immediately.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        # Created before the trainer, because Lightning sets handlers too and restores them before callbacks' teardown.
        self.interrupt = DeferredInterrupt()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Install the signal handlers after Lightning, whose handler for SIGTERM exits with 0."""
        self.interrupt.install()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if requested: the last step is complete and the next has not begun."""
        if self.interrupt.requested:
            trainer.save_checkpoint(self.checkpoint)
            self.check(trainer.global_step)

    def check(self, step: int) -> None:
        """Raise `TrainingInterruptedError` if requested to stop; called after the last step too."""
        if self.interrupt.requested:
            raise TrainingInterruptedError(f"interrupted after step {step}; run the same command to resume")

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Restore the signal handlers."""
        self.interrupt.restore()


class AveragedWeights(WeightAveraging):
    """An exponential moving average of weights and running statistics (Polyak and Juditsky 1992).

    After each step: average + (1 - decay) * (weights - average). At the n-th step the decay is at most (1 + n) / (10 +
    n), so that the average soon forgets the initial random weights, whatever the length of the run. Lightning's
    formula, decay * average + (1 - decay) * weights, changes constant weights by rounding; this one preserves the bits
    of frozen parts.
    """

    def __init__(self, decay: float) -> None:
        """Average with `decay` in [0, 1)."""
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    def _average(self, averages: Sequence[Tensor], weights: Sequence[Tensor], averaged: int | Tensor) -> None:
        """Update all `averages` one by one, so that each stays in the cache for its operations."""
        step = float(averaged)
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, now in zip(averages, weights, strict=True):
            average.copy_(average + (1 - decay) * (now - average))


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler without measurements and without a generator for each of the fifty hooks of a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return _NOTHING


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's information lines and the warnings that do not apply to nitido's deterministic streams.

    TensorBoard's writer thread raises its errors again in the training, so its own message is suppressed.
    """
    logger = logging.getLogger("lightning.pytorch")
    level, excepthook = logger.level, threading.excepthook
    logger.setLevel(logging.ERROR)
    threading.excepthook = lambda args: None if args.exc_type is OSError else excepthook(args)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
            yield
    finally:
        threading.excepthook = excepthook
        logger.setLevel(level)
