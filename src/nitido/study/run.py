"""Run a whole study: every planned run, bicubic, and the leaderboard at the end."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from nitido.base.atomic import remove_drafts, write_text
from nitido.base.errors import NitidoError
from nitido.base.leases import is_unused, leased
from nitido.base.notes import note
from nitido.evaluation.rows import table, write_rows
from nitido.evaluation.scoring import BicubicUpscaler
from nitido.models import read_descriptor
from nitido.models.find import model_path
from nitido.models.model_file import LearnedImages
from nitido.perception import PerceptualDistance
from nitido.study.execute import ImageSplits, describe_failure, execute, load_images, measured_rows
from nitido.study.executors import Executor
from nitido.study.executors.jobs import Remaining
from nitido.study.forecast import Workload, workloads
from nitido.study.identity import first_difference
from nitido.study.leaderboard import Leaderboard
from nitido.study.overlaps import write_overlaps
from nitido.study.plan import PlannedRun, plan
from nitido.study.publish import BICUBIC_ROWS, IMAGES_FILE, publish
from nitido.study.report import BICUBIC
from nitido.study.review import Review, difference, planned_source, review, set_aside
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.schedule import RunReporter, Schedule
from nitido.study.spec import STUDY_FILE, Study, StudyError, dump, load_resolved
from nitido.study.start import refuse_learned, source_images
from nitido.study.task import Task
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.losses import PERCEPTUAL
from nitido.training.train import count_steps

REFRESH_AFTER = 60.0
"""The smallest number of seconds between two refreshments of the report of an unfinished study."""

REFRESH_SHARE = 0.05
"""The share of the time that they may take."""


class StudyReporter(RunReporter, Protocol):
    """Receives the progress of a study."""

    def reviewed(self, review: Review) -> None:
        """Receive the comparison of plan and directory, before anything is written."""
        ...

    def planned(self, runs: Sequence[PlannedRun], works: Mapping[Path, Workload]) -> None:
        """Receive all runs, and the work of each by its directory, before the first run starts."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The result of a study: its directory, its leaderboard, and a line for each run that did not finish."""

    directory: Path
    board: Leaderboard
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """What trains the runs of a study.

    Attributes:
        executor: An executor that is ready; None if the process of the study trains one run after the other.
        task: The task of every run.
        devices: Devices that runs use one at a time, if they do not share that of the task.
    """

    executor: Executor | None = None
    task: Task = field(default_factory=Task)
    devices: tuple[str, ...] = ()


Opener = Callable[[Path, Remaining], Opened]
"""Receives the directory of a study and its remaining runs, and opens what trains them."""


def run_study(
    study: Study,
    out: Path,
    reporter: StudyReporter,
    device: torch.device | None = None,
    opener: Opener | None = None,
) -> Outcome:
    """Run what is missing of `study` in `out`, then write its leaderboard.

    Everything that can be checked is checked before the first training. A run that fails is recorded and the others
    continue; Ctrl-C raises `TrainingInterruptedError`, and the same call resumes later. Runs in `out` that differ from
    the plan are moved to `orphaned/` there and trained again. Nothing is written before the lock is held. While runs
    remain, leaderboard and report are refreshed from time to time.

    Args:
        study: The study.
        out: Its directory.
        reporter: Receives the progress.
        device: Where networks run, by default what `auto` takes.
        opener: Chooses what trains the runs; by default this process trains one after the other.
    """
    runs = plan(study)
    images = load_images(study.data, [study.scale])
    every = [run.config.hyperparameters for run in runs]
    for options in {o.model_dump_json(exclude={"learning_rate", "seed"}): o for o in every}.values():
        images.check(options, [study.scale], runs[0].config.metrics)
    images.report_overlaps()
    _need_backbones(runs)
    learned = _need_models(runs, out, images)
    _refuse_foreign(out, study)
    _refuse_shared(out, runs)
    with leased(out):
        _refuse_foreign(out, study)
        reviewed = review(runs, out, images.records)
        reporter.reviewed(reviewed)
        steps = {run.directory: count_steps(run.config.hyperparameters, images.train, study.scale) for run in runs}
        works = workloads(runs, steps)
        reporter.planned(runs, works)
        write_text(out / STUDY_FILE, dump(study))
        images.records.write(out / IMAGES_FILE)
        write_overlaps(out, images.overlaps, images.records, learned)
        _measure_bicubic(out, study, images, runs[0].config.metrics)
        remaining = Remaining([found.run for found in reviewed.runs if found.standing != "kept"], works)
        opened = opener(out, remaining) if opener is not None else Opened()
        refresh = _Refresh(out)
        if opened.executor is None:
            with _threads(opened.task.threads):
                failures = [*_execute_all(runs, out, images, reporter, device, refresh)]
        else:
            schedule = Schedule(runs, out, images, reporter, opened.executor, opened.task, opened.devices)
            failures = [*schedule.execute(refresh)]
        return Outcome(out, publish(out), tuple(failures))


def _need_backbones(runs: Sequence[PlannedRun]) -> None:
    """Load the weights of every backbone before the first training, so that errors occur early."""
    options = [run.config.hyperparameters for run in runs]
    for wanted in {o.perceptual for o in options if PERCEPTUAL in o.loss}:
        PerceptualDistance(wanted)


def _need_models(runs: Sequence[PlannedRun], out: Path, images: ImageSplits) -> dict[str, LearnedImages]:
    """Return the training images of each model that runs start from, by its name.

    Missing models, and models that were trained on images which the study holds out, raise an error before the first
    training.
    """
    found: dict[str, LearnedImages] = {}
    for run in runs:
        directory, source = RunDirectory(out / run.directory), run.config.pretrained
        if source is None or run.config.source_variant is not None:
            continue
        if not directory.last_checkpoint.exists():
            read_descriptor(model_path(source))
        learned = source_images(run.config, directory, None)
        if learned is not None:
            refuse_learned(run.config, learned, images.validation, images.test.values())
            found[source] = learned
    return found


def _execute_all(
    runs: Sequence[PlannedRun],
    out: Path,
    images: ImageSplits,
    reporter: StudyReporter,
    device: torch.device | None,
    refresh: Callable[[], None],
) -> Iterator[str]:
    for number, run in enumerate(runs, start=1):
        begin = partial(reporter.started, run, number, len(runs))
        try:
            if difference(run, runs, out, images.records):
                set_aside(run, out)
            starts_from_variant = run.config.source_variant is not None
            source = planned_source(run, runs, out, images.records) if starts_from_variant else None
            status = execute(run.config, out / run.directory, begin, images, source, device)
        except TrainingInterruptedError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the other runs still finish
            status = Status("failed", reason=describe_failure(error))
        reporter.ended(run, status)
        if status.state != "finished":
            yield f"{run.directory}: {status.state}: {status.reason}"
        refresh()


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Compute with `number` threads; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Refresh:
    """Writes the leaderboard and the report of an unfinished study, so seldom that it takes little time."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._next = time.monotonic() + REFRESH_AFTER

    def __call__(self) -> None:
        """Write them if it is time."""
        began = time.monotonic()
        if began < self._next:
            return
        try:
            publish(self.out, interim=True)
        except (NitidoError, OSError) as error:  # the study continues; the last writing reports what is still wrong
            note(f"the report was not refreshed: {error}")
        ended = time.monotonic()
        self._next = ended + max(REFRESH_AFTER, (ended - began) / REFRESH_SHARE)


def _refuse_foreign(out: Path, study: Study) -> None:
    """Raise `StudyError` unless `out` is new or holds this study.

    Variants, rates, seeds, test sets and metrics may be added to it; a run that changed is trained again.
    """
    if (out / STUDY_FILE).exists():
        growing: dict[str, Any] = dict.fromkeys(
            ("variants", "learning_rates", "seeds", "baseline", "profile", "metrics", "resources"), True
        )
        growing["data"] = {"test"}
        try:
            known = load_resolved(out)
        except NitidoError as error:
            raise StudyError(f"{error}; remove this file and run the same command again: whole runs are kept") from None
        found = first_difference(known.model_dump(exclude=growing), study.model_dump(exclude=growing))
        if found:
            raise StudyError(f"{out} holds another study ({found}): choose another --out")
    elif not is_unused(out) and not (out / IMAGES_FILE).exists():
        raise StudyError(f"{out} exists and contains no study: choose another --out")


def _refuse_shared(out: Path, runs: Sequence[PlannedRun]) -> None:
    """Raise `StudyError` if a symbolic link makes two runs share a directory: each would move the other's files."""
    places: dict[Path, Path] = {}
    for run in runs:
        other = places.setdefault((out / run.directory).resolve(), run.directory)
        if other != run.directory:
            raise StudyError(
                f"{out}: {run.directory} is a link to {other}, the directory of another run: remove the link"
            )


def _measure_bicubic(out: Path, study: Study, images: ImageSplits, metrics: Sequence[str]) -> None:
    labels: dict[str, object] = {"study": study.study, "variant": BICUBIC, "checkpoint": ""}
    if (folder := (out / BICUBIC_ROWS).parent).exists():
        remove_drafts(folder)
    rows = measured_rows(BicubicUpscaler(study.scale), images, study.scale, labels, metrics)
    write_rows(table(rows), out / BICUBIC_ROWS)
