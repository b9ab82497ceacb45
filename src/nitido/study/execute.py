"""Execute one run, from its configuration to its rows: used by `nitido train` and `nitido study run`."""

import _thread
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import polars as pl
import torch

from nitido.architectures import SuperResolutionNetwork, build, get_architecture
from nitido.base.activity import activity
from nitido.base.atomic import remove_drafts, write_text
from nitido.base.device import choose_device, device_label
from nitido.base.errors import NitidoError
from nitido.base.json_files import DamagedFileError
from nitido.base.leases import Lease, LeaseLostError, leased
from nitido.base.notes import note
from nitido.data import Store, prepare, refuse_chosen_tests, refuse_equal_tests, refuse_overlap, resolve, resolve_all
from nitido.data.overlap import Overlap, find_overlaps, report_overlaps
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.metrics import metric as metric_called
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.evaluation.protocol import PROTOCOL
from nitido.evaluation.rows import RowsError, read_rows, table, write_rows
from nitido.evaluation.scoring import NetworkUpscaler, Upscaler, evaluate, require_measurable
from nitido.inspection import draw_detailed_graph, draw_diagram, summarize
from nitido.models import ModelDescriptor, ModelFileError, load_model_file, save_model
from nitido.models.model_file import LearnedImages, LoadedModel, metric_name
from nitido.study.environment import describe_environment
from nitido.study.identity import PlannedImages, RunIdentity, evaluation_digest
from nitido.study.plan import RunConfig
from nitido.study.run_directory import RunDirectory, RunDirectoryError, State, Status
from nitido.study.sessions import Session, Sessions
from nitido.study.spec import DataSplit, Transfer
from nitido.study.start import begin_from, refuse_learned, source_images, source_weights, weights_digest
from nitido.training.batches import samplers
from nitido.training.callbacks import ProgressListener, TrainingInterruptedError
from nitido.training.checkpoints import repair_checkpoints
from nitido.training.fast_path import FILE as FAST_PATH_FILE
from nitido.training.fast_path import recorded_threads
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.memory.limit import limited_memory
from nitido.training.module import DivergedError
from nitido.training.precision import resolve_precision
from nitido.training.schedules import refuse_long_warmup
from nitido.training.train import SessionListener, Trained, count_steps, train

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class ImageSplits:
    """The decoded training, validation and test images of a run or a study."""

    train: Store
    validation: Store
    test: dict[str, Store]

    def check(self, options: Hyperparameters, scales: Sequence[int], metrics: Sequence[str] = ()) -> None:
        """Refuse images that two of training, validation and test share, and those too small for a patch or metric.

        Also refuse a run that is shorter than its warm-up, because the length of an epoch depends on the images.
        `metrics` are those of the evaluation; metrics whose package is missing are not measured.
        """
        refuse_overlap(self.train, self.validation, *self.test.values())
        refuse_chosen_tests(self.validation, *self.test.values())
        refuse_equal_tests(*self.test.values())
        deciding = [*FIDELITY_METRICS, SELECTION_METRICS[options.objective].metric]
        measured = [name for name in metrics if metric_called(name).missing() is None]
        for scale in scales:
            require_measurable(self.validation, scale, deciding, options.validation_crop)
            require_measurable(self.validation, scale, deciding)
            for store in self.test.values():
                require_measurable(store, scale, [*FIDELITY_METRICS, *measured])
        samplers(self.train, options, scales)
        refuse_long_warmup(options, count_steps(options, self.train, scales[0]))

    def report_overlaps(self) -> None:
        """Print a note about images that are nearly the same in two of training, validation and test."""
        report_overlaps(self.overlaps)

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """The images that occur in two of the sets or twice in the tests, with equal pixels or nearly the same."""
        return find_overlaps(self.train, self.validation, self.test)

    @cached_property
    def records(self) -> PlannedImages:
        """All images by their content."""
        return PlannedImages.of(self.train, self.validation, self.test)


def load_images(data: DataSplit, scales: Sequence[int]) -> ImageSplits:
    """Decode (or reuse) every image set of `data`, with LR images at all `scales`."""
    return ImageSplits(
        train=prepare(resolve_all(data.train, "train"), scales),
        validation=prepare(resolve_all(data.validation, "validation"), scales),
        test={spec: prepare(resolve(spec, "test"), scales) for spec in data.test},
    )


def execute(
    run: RunConfig,
    path: Path,
    begin: Callable[[int], ProgressListener],
    images: ImageSplits | None = None,
    source: Path | None = None,
    device: torch.device | None = None,
) -> Status:
    """Train, select by validation and measure on the test sets; write everything to the run directory `path`.

    A finished run with intact weights is not trained again: only missing rows are measured. An interrupted run
    resumes from its last checkpoint. A run that diverges is recorded and returned as such. Bad data and bad
    configurations raise before anything is written; every other end of the training is recorded in `status.json`.

    Args:
        run: The configuration.
        path: The run directory.
        begin: Receives the number of steps when training starts and returns a listener for its progress.
        images: The decoded images of `run.data`; decoded here if None.
        source: The model file that the run starts from, if its configuration names a variant of a study.
        device: Where networks run; by default what `auto` takes. It is recorded, and is not part of what the run is.
    """
    device = device or choose_device()
    directory = RunDirectory(path)
    directory.refuse_foreign()
    if images is None:
        images = load_images(run.data, run.every_scale)
        images.report_overlaps()
    images.check(run.hyperparameters, run.every_scale, run.metrics)
    identity = images.records.identity(run, source_weights(run, directory, source))
    learned = source_images(run, directory, source)
    if learned is not None:
        refuse_learned(run, learned, images.validation, images.test.values())
    if difference := directory.difference(identity):
        raise RunDirectoryError(f"{path} holds another run ({difference}): choose another directory")
    status = _status_or_warn(directory)
    if status is None or status.state not in ("finished", "diverged"):
        begin_from(build_network(run), run, directory, source)  # raises before anything is written
    with leased(path, on_lost=_thread.interrupt_main) as lease, recorded_threads(path / FAST_PATH_FILE):
        identity = directory.claim(identity, run)
        status = _status_or_warn(directory)
        if status is not None and status.state == "diverged":
            return status
        if status is not None and status.state == "finished":
            found = finished_model(directory, status, "it is recreated from the checkpoints")
            if found is not None:
                return _evaluate_again(directory, run, identity, found, status, images, device)
        return _supervise(run, directory, lease, identity, begin, images, source, device)


def _status_or_warn(directory: RunDirectory) -> Status | None:
    """Return the status; None for a new directory, and after a warning for a damaged one."""
    try:
        return directory.read_status()
    except DamagedFileError as error:
        note(str(error))
        return None


def completed(run: RunConfig, directory: RunDirectory, images: ImageSplits) -> Status | None:
    """Return the status of a run that has finished with intact files and is measured on `images`, or has diverged.

    None means that there is something to do.
    """
    status = _status_or_warn(directory)
    if status is None or status.state == "diverged":
        return status
    identity = directory.read_identity()
    if status.state != "finished" or identity is None:
        return None
    if finished_model(directory, status, "it is recreated from the checkpoints") is None:
        return None
    measured = status.evaluation == evaluation_digest(run, images.records)
    return status if measured and _rows_are_whole(directory, identity) else None


def finished_model(directory: RunDirectory, status: Status, otherwise: str) -> LoadedModel | None:
    """Return the model of a finished run; None if its file is missing, of another run, or has other weights.

    In that case a line on standard error names the reason and ends with `otherwise`.
    """
    try:
        found = load_model_file(directory.model)
    except ModelFileError as error:
        note(f"{error}: {otherwise}")
        return None
    identity = directory.read_identity()
    of_another = identity is not None and found.descriptor.training.get("run", identity.digest) != identity.digest
    if of_another or weights_digest(found.network) != status.weights:
        note(f"{directory.model}: not the weights of this run: {otherwise}")
        return None
    return found


def _supervise(
    run: RunConfig,
    directory: RunDirectory,
    lease: Lease,
    identity: RunIdentity,
    begin: Callable[[int], ProgressListener],
    images: ImageSplits,
    source: Path | None,
    device: torch.device,
) -> Status:
    """Train and measure in a directory leased for this run, and record how that ends."""
    directory.write_status(_unfinished(directory, "running"))
    begin = partial(_published, begin, lease)
    try:
        status = _carry_out(run, directory, identity, begin, images, source, device)
        lease.check()
    except DivergedError as error:
        status = _unfinished(directory, "diverged", str(error))
    except (TrainingInterruptedError, KeyboardInterrupt) as error:
        lease.check()
        directory.write_status(_unfinished(directory, "interrupted", str(error) or "interrupted"))
        raise
    except LeaseLostError:
        raise
    except BaseException as error:
        # On a full disk the reason cannot be recorded either; the error itself is what the user must see.
        with suppress(OSError):
            directory.write_status(_unfinished(directory, "failed", describe_failure(error)))
            if not isinstance(error, NitidoError | OSError):
                write_text(directory.failure, "".join(traceback.format_exception(error)))
        raise
    directory.write_status(status)
    return status


def _published(begin: Callable[[int], ProgressListener], lease: Lease, steps: int) -> ProgressListener:
    """Begin a training, and let other processes see its progress in the lease too."""
    listener = begin(steps)
    last: float | None = None

    def listen(step: int, validation: float | None) -> None:
        nonlocal last
        last = validation if validation is not None else last
        lease.publish({"step": step, "steps": steps, "validation": last})
        listener(step, validation)

    return listen


def _unfinished(directory: RunDirectory, state: State, reason: str = "") -> Status:
    """Return the status of an unfinished run, with the steps and the time of its sessions so far."""
    sessions = _recorded_sessions(directory)
    return Status(
        state,
        directory.steps_so_far() or 0,
        seconds=sessions.seconds,
        all_seconds=sessions.timed,
        reason=reason,
    )


def _recorded_sessions(directory: RunDirectory) -> Sessions:
    """Return the sessions so far; none, after a warning, if their file is damaged."""
    try:
        return directory.read_sessions()
    except DamagedFileError as error:
        note(str(error))
        return Sessions()


def describe_failure(error: BaseException) -> str:
    """Say in one line why a run failed.

    >>> describe_failure(RuntimeError()), describe_failure(ValueError("no such word"))
    ('RuntimeError', 'ValueError: no such word')
    """
    message = " ".join(str(error).split())
    if isinstance(error, NitidoError | OSError):
        return message or type(error).__name__
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _carry_out(
    run: RunConfig,
    directory: RunDirectory,
    identity: RunIdentity,
    begin: Callable[[int], ProgressListener],
    images: ImageSplits,
    source: Path | None,
    device: torch.device,
) -> Status:
    if directory.last_checkpoint.parent.exists():
        remove_drafts(directory.last_checkpoint.parent)
        repair_checkpoints(directory.last_checkpoint, directory.best_checkpoint, identity.digest)
    network = build_network(run)
    start = begin_from(network, run, directory, source)
    summary = start.summary() if start is not None else ""
    if start is not None:
        directory.write_transfer(start)
    _describe(directory, network, run, summary)
    trained = train(
        network,
        run.hyperparameters,
        train=images.train,
        validation=images.validation,
        scale_schedule=run.scale_schedule,
        directory=directory.path,
        run=identity.digest,
        labels=_labels(run),
        listener=begin(count_steps(run.hyperparameters, images.train, run.scale)),
        metrics=run.validated,
        session=_session_recorder(directory, run, device),
        device=device,
    )
    _measure_and_save(directory, run, identity, network, trained, images, device)
    sessions = _recorded_sessions(directory)
    return Status(
        "finished",
        trained.steps,
        trained.best_step,
        sessions.seconds,
        trained.validation,
        start=summary,
        weights=weights_digest(network),
        evaluation=evaluation_digest(run, images.records),
        all_seconds=sessions.timed,
        measured_on=device_label(device),
    )


def _session_recorder(directory: RunDirectory, run: RunConfig, device: torch.device) -> SessionListener:
    """Return what keeps `environment.json` up to date while the run trains, with the sessions before this one."""
    environment = describe_environment(resolve_precision(run.hyperparameters, device), device)
    recorded = _recorded_sessions(directory)

    def record(first: int, last: int, seconds: float) -> None:
        session = Session(environment, first, last, round(seconds, 1))
        directory.write_sessions(recorded.resumed_at(first).followed_by(session))

    return record


def _evaluate_again(
    directory: RunDirectory,
    run: RunConfig,
    identity: RunIdentity,
    model: LoadedModel,
    status: Status,
    images: ImageSplits,
    device: torch.device,
) -> Status:
    """Measure a finished run again, unless its rows are of just these images and metrics; trains nothing."""
    evaluation = evaluation_digest(run, images.records)
    if status.evaluation == evaluation and _rows_are_whole(directory, identity):
        return status
    trained = Trained(status.steps, status.best_step, status.validation)
    _measure_and_save(directory, run, identity, model.network, trained, images, device)
    status = replace(status, evaluation=evaluation, measured_on=device_label(device))
    directory.write_status(status)
    return status


def _rows_are_whole(directory: RunDirectory, identity: RunIdentity) -> bool:
    try:
        rows = read_rows([directory.rows])
    except RowsError as error:
        note(f"{error}: measured again")
        return False
    return not rows.is_empty() and set(rows["run"]) == {identity.digest}


def _labels(run: RunConfig) -> dict[str, str]:
    """Return the labels of the run in TensorBoard."""
    labels = {"architecture": run.architecture, "variant": run.variant}
    return labels | ({"scales": ", ".join(map(str, run.scales))} if run.scales else {})


def build_network(run: RunConfig) -> SuperResolutionNetwork:
    """Return the network of a run with the random weights that its seed determines."""
    config = get_architecture(run.architecture).config_class.parse(run.config, f"variant {run.variant!r}")
    with torch.random.fork_rng():
        torch.manual_seed(run.hyperparameters.seed)
        return build(run.architecture, config)


@activity("drawing the network")
def _describe(directory: RunDirectory, network: SuperResolutionNetwork, run: RunConfig, start: str) -> None:
    write_text(directory.summary, f"{summarize(network)}\n" + (f"Start: {start}\n" if start else ""))
    png, title = directory.diagram.with_suffix(".png"), f"{run.architecture} · {run.variant}"
    _attempt("the diagram", lambda: draw_diagram(network, directory.diagram, png, title))
    _attempt("the detailed graph", lambda: draw_detailed_graph(network, directory.detailed_graph))


def _attempt(name: str, draw: Callable[[], object]) -> None:
    """Draw a diagram of the network; if that fails, the run continues without it."""
    try:
        draw()
    except Exception as error:  # other libraries and programs may raise anything
        note(f"{name} was not drawn: {describe_failure(error)}")


def _measure_and_save(
    directory: RunDirectory,
    run: RunConfig,
    identity: RunIdentity,
    network: SuperResolutionNetwork,
    trained: Trained,
    images: ImageSplits,
    device: torch.device,
) -> None:
    """Write the rows of all images, upscaled on `device`, and the model file with their means."""
    labels = {
        "study": run.study,
        "variant": run.variant,
        "lr": run.hyperparameters.learning_rate,
        "seed": run.hyperparameters.seed,
        "checkpoint": "best",
        "run": identity.digest,
    }
    with limited_memory():
        network.to(device)
        measured = [
            row
            for scale in run.every_scale
            for row in measured_rows(NetworkUpscaler(network.at_scale(scale)), images, scale, labels, run.metrics)
        ]
    network.cpu()
    rows = table(measured)
    write_rows(rows, directory.rows)
    tested = (
        rows.filter(pl.col("split") == "test")
        .group_by("dataset", "scale", "metric", maintain_order=True)
        .agg(pl.col("value").mean(), pl.len())
    )
    metrics: dict[str, dict[str, float]] = {}
    for dataset, scale, name, value, count in tested.iter_rows():
        if count == len(images.test[dataset]):  # a mean over fewer images would look like one over all
            metrics.setdefault(dataset, {})[metric_name(name, scale, run.scale)] = value
    provenance = {
        "variant": run.variant,
        "hyperparameters": run.hyperparameters.model_dump(mode="json", exclude_none=True),
        "data": run.data.model_dump(mode="json"),
        **run.model_dump(mode="json", include=set(Transfer.model_fields), exclude_defaults=True),
        "steps": trained.steps,
        "best_step": trained.best_step,
        "validation": trained.validation,
        "protocol": PROTOCOL,
        "run": identity.digest,
    }
    start = directory.read_transfer().learned if directory.transfer.exists() else None
    if run.pretrained is not None and start is None:
        start = LearnedImages(unrecorded=(run.pretrained,))
    learned = LearnedImages.of(images.train.hashes, images.validation.hashes, start)
    descriptor = ModelDescriptor.of(
        network, run.architecture, run.variant, provenance, metrics, run.every_scale[1:], learned
    )
    save_model(directory.model, network, descriptor)


def measured_rows(
    upscale: Upscaler,
    images: ImageSplits,
    scale: int,
    labels: Mapping[str, object],
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> Iterable[dict[str, object]]:
    """Yield the rows of every validation and test image; `labels` are the columns that all rows share."""
    stores: list[tuple[Split, str, Store]] = [("validation", images.validation.name, images.validation)]
    stores += [("test", dataset, store) for dataset, store in images.test.items()]
    for split, dataset, store in stores:
        for scored, content in zip(evaluate(upscale, store, scale, metrics), store.hashes, strict=True):
            for row in scored.rows(scale):
                yield {**labels, "split": split, "dataset": dataset, **row, "content": content}
