"""Trains one network: from stores of images to the best weights, with all files of a run."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from nitido.architectures import SuperResolutionNetwork
from nitido.base.device import choose_device
from nitido.base.json_files import DamagedFileError
from nitido.data import Store
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.training.adversarial import AdversarialTraining
from nitido.training.batches import PatchStream, samplers
from nitido.training.callbacks import (
    AveragedWeights,
    Histograms,
    JsonLines,
    LinesInCheckpoint,
    NoProfiler,
    ProgressListener,
    ReportProgress,
    SampleImages,
    StopAtInterrupt,
    quiet_lightning,
)
from nitido.training.checkpoints import AtomicCheckpoints, MovableCheckpoint, load_checkpoint
from nitido.training.event_files import FlushedEvents, rewind_events, write_hparams
from nitido.training.fast_path import FILE as FAST_PATH_FILE
from nitido.training.fast_path import load_or_choose
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.loss_scaling import LossScaling
from nitido.training.memory.limit import training_memory
from nitido.training.supervised import SupervisedTraining


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    `best_step` is the step with the best validation; the network has its weights. `validation` contains the metrics of
    this validation.
    """

    steps: int
    best_step: int
    validation: dict[str, float]

    @property
    def validation_psnr(self) -> float:
        """Validation PSNR-Y in dB of the best weights."""
        return self.validation["psnr_y"]


SessionListener = Callable[[int, int, float], None]
"""Called when a training session starts, after each checkpoint from which it can resume, and at its end.

The arguments are the number of steps when the session started, the current number of steps, and the seconds since it
started.
"""


def count_steps(options: Hyperparameters, train: Store, scale: int) -> int:
    """Return the length of the run in steps. An epoch has as many patches as cover the area of all training images.

    `scale` is the run's first scale, to which the patch size refers.
    """
    if options.steps is not None:
        return options.steps
    assert options.epochs is not None
    pixels = sum(math.prod(train.lr(index, scale).shape[:2]) for index in range(len(train)))
    return max(1, math.ceil(options.epochs * pixels / (options.patch**2 * options.batch)))


@training_memory()
def train(
    network: SuperResolutionNetwork,
    options: Hyperparameters,
    *,
    train: Store,
    validation: Store,
    scale_schedule: Sequence[int],
    directory: Path,
    labels: Mapping[str, str],
    listener: ProgressListener,
    metrics: Sequence[str] = FIDELITY_METRICS,
    run: str = "",
    session: SessionListener = lambda first, last, seconds: None,
    device: torch.device | None = None,
) -> Trained:
    """Train `network` in place; afterwards it has the weights with the best validation.

    A run with an adversarial term trains a discriminator too. The best step is selected by the selection metric of the
    run's objective, which must be among `metrics`. Parameters that do not require gradients stay frozen.

    All patches of a step have one scale. Each round of steps uses the scales of `scale_schedule` in random order: the
    network's own scale, which comes first, and others that its weights support. A scale that occurs twice is used twice
    per round. The best step is selected by the mean over all scales. The stores must be prepared for all of them.

    Writes TensorBoard events, `metrics.jsonl` and `checkpoints/{last,best}.ckpt` to `directory`. If `last.ckpt` exists,
    the training resumes from it and ends with the same bits as an uninterrupted run. `labels` (variant, …) and the
    hyperparameters become TensorBoard's hparams. Checkpoints contain `run`, the digest of everything the weights depend
    on; those of another run are refused. `session` is not called if no steps remain. Steps are computed on
    `device`, by default what `auto` takes; the network is on the CPU before and after.

    Raises:
        DivergedError: A loss term becomes non-finite.
        TrainingInterruptedError: Ctrl-C was pressed.
        DataError: An image is smaller than a patch.
        OutOfMemoryError: A step does not fit into memory.
        NitidoError: The loss or network does not support several scales.
    """
    started = time.perf_counter()
    total = count_steps(options, train, network.scale)
    sources = samplers(train, options, scale_schedule)
    adversarial = options.is_adversarial
    other_scales = tuple(scale for scale in dict.fromkeys(scale_schedule) if scale != network.scale)
    for other in other_scales:
        network.at_scale(other)  # raises for unsupported scales before anything is written
    device = device or choose_device()
    fast_path = load_or_choose(directory / FAST_PATH_FILE, network, options, total, device)
    module = (
        AdversarialTraining(network, options, total, validation, metrics, fast_path)
        if adversarial
        else SupervisedTraining(network, options, total, validation, metrics, fast_path, other_scales)
    )
    checkpoints = directory / "checkpoints"
    last, best = checkpoints / "last.ckpt", checkpoints / "best.ckpt"

    resumed = load_checkpoint(last, run) if last.exists() else None
    resumed_step = resumed["global_step"] if resumed is not None else 0

    def record(steps: int) -> None:
        if resumed_step < total:
            session(resumed_step, steps, time.perf_counter() - started)

    record(resumed_step)
    rewind_events(directory, resumed_step)
    events = TensorBoardLogger(save_dir=directory, name="", version="", default_hp_metric=False)
    scalars = JsonLines(directory / "metrics.jsonl")
    stop = StopAtInterrupt(last)
    callbacks: list[Callback] = [
        Histograms(events.experiment, options.validate_every),
        SampleImages(events.experiment),
        stop,
        ReportProgress(listener, SELECTION_METRICS[options.objective].metric),
        FlushedEvents(events.experiment),
        LinesInCheckpoint(scalars),
    ]
    if options.ema:
        callbacks.insert(0, AveragedWeights(options.ema))
    callbacks += [_best(best, options), _checkpoint(last)]
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_steps=total,
            max_epochs=-1,
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            callbacks=callbacks,
            logger=[events, scalars],
            plugins=[
                AtomicCheckpoints(run, lambda path, steps: record(steps) if path.name == last.name else None),
                *([LossScaling(device)] if fast_path.precision == "float16" else []),
            ],
            profiler=NoProfiler(),
            gradient_clip_val=None if adversarial else options.gradient_clip or None,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        stream = PatchStream(
            sources,
            batch=options.batch,
            stretch=options.validate_every,
            total=total,
            current_step=lambda: trainer.global_step,
        )
        scalars.rewind(resumed_step)
        if resumed is not None and scalars.sha256() != resumed.get(LinesInCheckpoint.KEY):
            raise DamagedFileError(
                f"{scalars.path} does not contain the scalars logged up to the checkpoint: "
                f"remove {checkpoints} to train again from step 0"
            )
        try:
            trainer.fit(
                module,
                DataLoader(stream, batch_size=None),
                DataLoader(range((1 + len(other_scales)) * len(validation)), batch_size=None),  # type: ignore[arg-type]
                ckpt_path=last if resumed is not None else None,
                weights_only=True,
            )
        except SystemExit as end:
            # Lightning turns a second Ctrl-C into an exit with status 1.
            if isinstance(end.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            stop.interrupt.restore()
    stop.check(total)
    checkpoint = load_checkpoint(best, run)
    prefix = "network."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    network.load_state_dict(weights)
    best_step = checkpoint["global_step"]
    measured = checkpoint["validation"]
    words = options.model_dump(exclude={"loss", "perceptual", "adversarial"})
    logged = {f"validation/{name}": value for name, value in measured.items()}
    write_hparams(events.experiment, {**labels, **words, **options.loss}, logged)
    events.finalize("success")
    record(total)
    return Trained(total, best_step, measured)


def _best(path: Path, options: Hyperparameters) -> MovableCheckpoint:
    """Return the callback that keeps the checkpoint with the best validation at `path`."""
    selection_metric = SELECTION_METRICS[options.objective]
    mode = "max" if selection_metric.higher_is_better else "min"
    return _checkpoint(path, monitor=f"validation/{selection_metric.metric}", mode=mode)


def _checkpoint(path: Path, monitor: str | None = None, mode: str = "max") -> MovableCheckpoint:
    """Return a callback that keeps the newest checkpoint, or the best one by `monitor`, at `path`."""
    return MovableCheckpoint(
        dirpath=str(path.parent.absolute()),
        filename=path.stem,
        monitor=monitor,
        mode=mode,
        enable_version_counter=False,
    )
