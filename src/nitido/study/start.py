"""Initialize a run: from a trained network or random weights, with frozen parts."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.base.file_hash import sha256_of_file
from nitido.base.notes import note
from nitido.data import Store
from nitido.data.catalog import Role
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.models import ModelDescriptor, ModelFileError, read_descriptor
from nitido.models.find import find_model, model_path
from nitido.models.model_file import LearnedImages
from nitido.study.plan import PlannedRun, RunConfig
from nitido.study.run_directory import RunDirectory
from nitido.study.spec import StudyError
from nitido.training.freezing import freeze
from nitido.training.transfer import TransferReport, load_weights


def weights_digest(network: SuperResolutionNetwork) -> str:
    """Return a hash of the weights and buffers of `network`, whatever file they are in."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(repr((name, str(values.dtype), tuple(values.shape))).encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def source_weights(run: RunConfig, directory: RunDirectory, source: Path | None) -> str | None:
    """Return the digest of the weights that `run` starts from; None if it starts from random ones.

    If their file does not exist any more, a run that has started keeps the recorded digest.
    """
    if run.pretrained is None:
        return None
    recorded = directory.read_identity()
    try:
        return weights_digest(find_model(source or model_path(run.pretrained)).network)
    except ModelFileError:
        if recorded is None or recorded.source_sha256 is None:
            raise
        return recorded.source_sha256


def source_images(run: RunConfig, directory: RunDirectory, source: Path | None) -> LearnedImages | None:
    """Return the training images of the weights that `run` starts from; None for random weights.

    If their file does not exist any more, a run that has started keeps its record.
    """
    if run.pretrained is None:
        return None
    try:
        learned = read_descriptor(source or model_path(run.pretrained)).learned
    except ModelFileError:
        learned = directory.read_transfer().learned if directory.transfer.exists() else None
    return learned or LearnedImages(unrecorded=(run.pretrained,))


def refuse_learned(run: RunConfig, learned: LearnedImages, validation: Store, test: Iterable[Store]) -> None:
    """Raise `StudyError` if `run` starts from weights that were trained on images which are held out."""
    held_out: list[tuple[Role, Store]] = [("validation", validation), *(("test", store) for store in test)]
    for role, store in held_out:
        for name, sha256 in zip(store.names, store.hashes, strict=True):
            trained = learned.trained_on(sha256)
            if trained or (role == "test" and learned.chosen_by(sha256)):
                raise StudyError(
                    f"pretrained {run.pretrained}: its weights were {'trained on' if trained else 'chosen by'} "
                    f"{name} of {store.name} ({role}): start from another model, or leave this image out"
                )


def begin_from(
    network: SuperResolutionNetwork, run: RunConfig, directory: RunDirectory, source: Path | None
) -> TransferReport | None:
    """Load and freeze weights as `run` specifies, and report the origin of each; None without either.

    A run that resumes from a checkpoint keeps its first report; the source need not exist any more.
    Raises `TransferError`, `ModelFileError` and `ConfigError` in one line.
    """
    if run.pretrained is None and run.freeze is None:
        return None
    if directory.transfer.exists() and directory.last_checkpoint.exists():
        report = directory.read_transfer()
    else:
        report = _load(network, run, source)
    if run.freeze is not None:
        report = report.model_copy(update={"frozen": freeze(network, run.freeze)})
    return report


def _load(network: SuperResolutionNetwork, run: RunConfig, source: Path | None) -> TransferReport:
    if run.pretrained is None:
        return TransferReport()
    path = source or model_path(run.pretrained)
    found = find_model(path)
    said = f"pretrained {run.pretrained} ({found.descriptor.architecture} {found.descriptor.name!r})"
    report = load_weights(network, found.network.state_dict(), run.reinitialize, said)
    if not report.skipped and (changed := _changed(found.descriptor, run)):
        note(f"{said} has another configuration ({changed}): with its weights, this network computes something else")
    return TransferReport(
        source=run.pretrained,
        sha256=sha256_of_file(path),
        learned=found.descriptor.learned or LearnedImages(unrecorded=(run.pretrained or "",)),
        loaded=report.loaded,
        skipped=report.skipped,
        unused=report.unused,
    )


def _changed(source: ModelDescriptor, run: RunConfig) -> str:
    """Return where the network of `run` differs from that of `source`, except for its scale; "" if it does not."""
    theirs = {"architecture": source.architecture, **source.config}
    ours = {"architecture": run.architecture, **run.config}
    keys = [key for key in {**theirs, **ours} if key != "scale" and theirs.get(key) != ours.get(key)]
    return ", ".join(f"{key}: {theirs.get(key)} there, {ours.get(key)} here" for key in keys)


def best_source(run: PlannedRun, runs: Sequence[PlannedRun], out: Path) -> Path:
    """Return the model file that `run` starts from: the best run with the same seed of its source variant.

    Raises `StudyError` if none of them has finished.
    """
    candidates: list[tuple[float, str, Path]] = []
    for other in runs:
        if other.config.variant != run.config.source_variant:
            continue
        if other.config.hyperparameters.seed != run.config.hyperparameters.seed:
            continue
        selection_metric = SELECTION_METRICS[other.config.hyperparameters.objective]
        directory = RunDirectory(out / other.directory)
        status = directory.read_status()
        if status is not None and status.state == "finished":
            score = selection_metric.sort_key(status.validation[selection_metric.metric])
            candidates.append((score, other.directory.as_posix(), directory.model))
    if not candidates:
        raise StudyError(f"no run of {run.config.source_variant}, which it starts from, has finished")
    return min(candidates)[2]
