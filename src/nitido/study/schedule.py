"""Hand the runs of a study to an executor and follow them until all have ended."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nitido.base.activity import activity
from nitido.base.errors import NitidoError
from nitido.base.interrupts import DeferredInterrupt
from nitido.base.leases import is_leased, leased, read_lease
from nitido.base.locks import BusyError
from nitido.base.notes import note
from nitido.study.execute import ImageSplits, completed, describe_failure
from nitido.study.executors import Executor, ProcessEnd
from nitido.study.plan import PlannedRun
from nitido.study.review import difference, planned_source, set_aside
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.start import source_weights
from nitido.study.task import Task, prepare_task
from nitido.training.callbacks import ProgressListener, TrainingInterruptedError

POLL = 0.1
"""Seconds between two questions whether a process has ended."""

LOOK = 1.0
"""Seconds between two looks at the progress of the runs."""

_NOTE, _ERROR = "note: ", "nitido: "


class RunReporter(Protocol):
    """Receives the starts and ends of runs."""

    def started(self, run: PlannedRun, number: int, runs: int, steps: int) -> ProgressListener:
        """Receive the start of a run, with its number (from 1) and its steps; return a listener for its progress."""
        ...

    def ended(self, run: PlannedRun, status: Status) -> None:
        """Receive the end of a run."""
        ...


@dataclass
class _Active:
    """A run that a process trains: one of the executor, or another one (`attached`)."""

    run: PlannedRun
    device: str = ""
    log_size: int = 0
    attached: bool = False
    submitted: bool = True
    listener: ProgressListener | None = None
    seen: tuple[Any, ...] = field(default=())


class Schedule:
    """The runs of a study on their way through an executor.

    A run that starts from another variant waits until all runs of that variant have ended. A run that another process
    trains already, for instance a job that an earlier command submitted, is followed and not started again.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        out: Path,
        images: ImageSplits,
        reporter: RunReporter,
        executor: Executor,
        task: Task,
        devices: Sequence[str] = (),
    ) -> None:
        """Prepare the runs.

        Args:
            runs: All runs of the study.
            out: The study's directory.
            images: The images of the study.
            reporter: Receives starts, progress and ends.
            executor: Starts the processes.
            task: The task of every run.
            devices: Devices that runs use one at a time; by default all use that of `task`.
        """
        self.runs = runs
        self.out = out
        self.images = images
        self.reporter = reporter
        self.executor = executor
        self.task = task
        self._devices = frozenset(devices)
        self._free_devices = list(devices)
        self._numbers = {run.directory: number for number, run in enumerate(runs, start=1)}
        self._waiting = list(runs)
        self._active: dict[Path, _Active] = {}
        self._starting = ExitStack()
        self._open_variants: dict[str, int] = {}
        for run in runs:
            self._open_variants[run.config.variant] = self._open_variants.get(run.config.variant, 0) + 1

    def execute(self, refresh: Callable[[], None]) -> Iterator[str]:
        """Carry out all runs; yield a line for each that did not finish.

        Args:
            refresh: Called when a run has ended.

        Raises:
            TrainingInterruptedError: Ctrl-C or SIGTERM; runs that do not outlive the study have written checkpoints.
            ExecutorError: The executor fails.
        """
        interrupt = DeferredInterrupt()
        interrupt.install()
        looked = 0.0
        try:
            with closing(self.executor), self._starting:
                self._starting.enter_context(activity("starting the processes of the runs"))
                while self._waiting or self._active:
                    if interrupt.requested:
                        self._stop(interrupt)
                    yield from self._hand_over()
                    yield from self._collect(refresh)
                    if time.monotonic() - looked >= LOOK:
                        looked = time.monotonic()
                        yield from self._look()
                    if self._active:
                        time.sleep(POLL)
        finally:
            interrupt.restore()

    def _hand_over(self) -> Iterator[str]:
        """Start runs until no slot is free or none is ready."""
        batch: list[_Active] = []
        for run in list(self._waiting):
            if self.executor.slots is not None and len(self._active) >= self.executor.slots:
                break
            if run.config.source_variant is not None and self._open_variants[run.config.source_variant]:
                continue
            self._waiting.remove(run)
            directory = RunDirectory(self.out / run.directory)
            try:
                active = self._prepare(run, directory)
            except (Exception, SystemExit) as error:  # a plugin may raise anything; the other runs still finish
                yield from self._ended(run, Status("failed", reason=describe_failure(error)))
                continue
            if active is None:
                status = directory.read_status()
                assert status is not None
                yield from self._ended(run, status)
                continue
            self._active[directory.path.absolute()] = active
            if not active.submitted:
                batch.append(active)
        if batch:
            self.executor.submit([self.out / active.run.directory for active in batch])

    def _prepare(self, run: PlannedRun, directory: RunDirectory) -> _Active | None:
        """Prepare the directory of a run; return None if there is nothing to do."""
        if difference(run, self.runs, self.out, self.images.records):
            set_aside(run, self.out)
        log_size = directory.log.stat().st_size if directory.log.exists() else 0
        if self.executor.follow(directory.path):
            return _Active(run, log_size=log_size)
        if is_leased(directory.path):
            return _Active(run, attached=True)
        if completed(run.config, directory, self.images) is not None:
            return None
        source = None
        if run.config.source_variant is not None:
            source = planned_source(run, self.runs, self.out, self.images.records)
        identity = self.images.records.identity(run.config, source_weights(run.config, directory, source))
        device = self._free_devices[0] if self._free_devices else self.task.device
        task = self.task.model_copy(update={"device": device})
        try:
            prepare_task(directory, run.config, identity, task, source)
        except BusyError:
            return _Active(run, attached=True)
        del self._free_devices[:1]
        return _Active(run, device, log_size, submitted=False)

    def _collect(self, refresh: Callable[[], None]) -> Iterator[str]:
        """Take note of the processes that have ended."""
        for end in self.executor.ended():
            active = self._active.pop(end.directory.absolute(), None)
            if active is None:
                continue
            directory = RunDirectory(self.out / active.run.directory)
            last = _forward_notes(directory, active.log_size)
            if is_leased(directory.path):  # another process trains it, so that this one had nothing to do
                self._active[end.directory.absolute()] = replace(active, attached=True)
                continue
            yield from self._settle(active, _status_after(directory, end, last))
            refresh()

    def _look(self) -> Iterator[str]:
        """Report progress, and take note of runs of other processes that have ended."""
        for path, active in list(self._active.items()):
            record = read_lease(path)
            progress = record.progress if record is not None and not record.released else {}
            if progress:
                self._report(active, progress)
            if active.attached and not is_leased(path):
                del self._active[path]
                status = RunDirectory(path).read_status()
                if status is not None and status.state in ("finished", "diverged", "failed"):
                    yield from self._ended(active.run, status)
                else:  # its process died, or was interrupted
                    self._waiting.insert(0, active.run)

    def _report(self, active: _Active, progress: Mapping[str, Any]) -> None:
        step, steps, validation = (progress.get(key) for key in ("step", "steps", "validation"))
        if active.listener is None:
            self._starting.close()
            number = self._numbers[active.run.directory]
            active.listener = self.reporter.started(active.run, number, len(self.runs), int(steps or 0))
        if active.seen != (step, validation):
            active.seen = (step, validation)
            active.listener(int(step or 0), validation)

    def _settle(self, active: _Active, status: Status) -> Iterator[str]:
        if active.device in self._devices:
            self._free_devices.append(active.device)
        yield from self._ended(active.run, status)

    def _ended(self, run: PlannedRun, status: Status) -> Iterator[str]:
        self._starting.close()
        self._open_variants[run.config.variant] -= 1
        self.reporter.ended(run, status)
        if status.state != "finished":
            yield f"{run.directory}: {status.state}: {status.reason}"

    def _stop(self, interrupt: DeferredInterrupt) -> None:
        """End the own processes, or leave them to their cluster; raises `TrainingInterruptedError`."""
        own = {path for path, active in self._active.items() if not active.attached}
        if self.executor.outlives_study:
            raise TrainingInterruptedError(
                f"no longer following; the jobs continue: nitido study watch {self.out} follows them again"
            )
        interrupt.restore()
        self.executor.stop()
        try:
            while own:
                own -= {end.directory.absolute() for end in self.executor.ended()}
                time.sleep(POLL)
        except KeyboardInterrupt:
            self.executor.stop()
            raise
        raise TrainingInterruptedError("interrupted; run the same command to resume")


def _status_after(directory: RunDirectory, end: ProcessEnd, last: str) -> Status:
    """Return the status of a run whose process has ended, and record it if the process could not."""
    try:
        status = directory.read_status()
    except NitidoError as error:
        return Status("failed", reason=str(error))
    if status is not None and status.state == "finished" and end.problem:  # while its rows were measured again
        return replace(status, state="failed", reason=end.problem)
    if status is not None and status.state in ("finished", "diverged", "failed"):
        return status
    if status is not None and status.state == "interrupted" and not end.problem:
        return status
    reason = end.problem or last or "its process ended without a word"
    failed = replace(status or Status("failed"), state="failed", reason=reason)
    with leased(directory.path):
        directory.write_status(failed)
    return failed


def _forward_notes(directory: RunDirectory, start: int) -> str:
    """Print the notes that a process has written to the log of its run; return its last error, without "nitido: "."""
    if not directory.log.exists():
        return ""
    with directory.log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    for line in lines:
        if line.startswith(_NOTE):
            note(line.removeprefix(_NOTE))
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return errors[-1] if errors else ""
