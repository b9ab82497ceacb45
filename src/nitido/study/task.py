"""The task of training one planned run in a process of its own: everything it needs is in the run directory."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import Field

from nitido.base.device import AUTO, choose_device
from nitido.base.errors import NitidoError
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.leases import leased
from nitido.base.validation import StrictModel
from nitido.study.execute import execute, load_images
from nitido.study.identity import RunIdentity
from nitido.study.plan import RunConfig
from nitido.study.run_directory import RunDirectory, RunDirectoryError, Status
from nitido.training.callbacks import ProgressListener


class Task(StrictModel):
    """What a run needs besides its configuration.

    Attributes:
        source: The model file that it starts from if its configuration names a variant of the study, relative to the
            run directory.
        threads: The number of threads on the CPU; None is PyTorch's choice.
        device: The name of the device.
    """

    source: str | None = None
    threads: int | None = Field(default=None, ge=1)
    device: str = AUTO


def prepare_task(
    directory: RunDirectory, config: RunConfig, identity: RunIdentity, task: Task, source: Path | None = None
) -> None:
    """Write configuration, identity, task and the status "planned" to a run directory, for `resume_run`.

    Args:
        directory: The run directory.
        config: The configuration.
        identity: Everything that the weights depend on.
        task: The task, without `source`.
        source: The model file that the run starts from.

    Raises:
        RunDirectoryError: The directory holds another run.
        BusyError: A process is training it.
    """
    if source is not None:
        task = task.model_copy(update={"source": os.path.relpath(source, directory.path)})
    with leased(directory.path):
        directory.claim(identity, config)
        write_json(directory.task, task.model_dump(mode="json"))
        try:
            known = directory.read_status()
        except DamagedFileError:  # `execute` reports it and starts again from the last checkpoint
            return
        if known is None:
            directory.write_status(Status("planned"))


def resume_run(path: Path, begin: Callable[[int], ProgressListener], device: str | None = None) -> Status:
    """Begin or resume the run in the run directory `path`, with the threads and the source of its task, if it has one.

    Args:
        path: The run directory.
        begin: As in `execute`.
        device: The name of the device; by default that of the task, otherwise `auto`.

    Raises:
        RunDirectoryError: The directory holds no run, or one that starts from a variant of a study and has no task.
    """
    directory = RunDirectory(path)
    config = directory.read_config()
    if config is None:
        raise RunDirectoryError(f"{path} holds no run (there is no {directory.config.name})")
    task = _read(directory)
    if task is None and config.source_variant is not None:
        raise RunDirectoryError(
            f"{path} starts from {config.source_variant}, a variant of its study: resume it with 'nitido study run'"
        )
    task = task or Task()
    if task.threads is not None:
        torch.set_num_threads(task.threads)
    source = Path(os.path.normpath(path / task.source)) if task.source is not None else None
    images = load_images(config.data, config.every_scale)
    if not directory.task.exists():  # otherwise the study has reported them
        images.report_overlaps()
    return execute(config, path, begin, images, source, choose_device(device or task.device))


def _read(directory: RunDirectory) -> Task | None:
    if not directory.task.exists():
        return None
    values = read_json(directory.task, "remove it, and run the study again")
    try:
        return Task.parse(values, str(directory.task))
    except NitidoError as error:
        raise DamagedFileError(f"{error}: remove it, and run the study again") from None
