"""Show the progress of a study or a single training: runs, remaining time, and the ranking so far."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from nitido.base.number_text import number_text
from nitido.base.printable import printable
from nitido.cli.display import LOGGED_EVERY, current_display

if TYPE_CHECKING:
    import torch

    from nitido.study.forecast import Workload
    from nitido.study.plan import PlannedRun
    from nitido.study.review import Review
    from nitido.study.run_directory import Status
    from nitido.training.callbacks import ProgressListener
    from nitido.training.hyperparameters import Hyperparameters

SHOWN = 5
"""The number of runs of a kind that are named before a study begins; the others are counted."""

RANKED = 12
"""The number of variants in the ranking so far."""


class StudyProgress:
    """The progress of the runs of a study, or of one run; everything on standard error.

    On a terminal: the study's remaining time, the ranking so far by validation, and a bar for each run that trains.
    In a log: a line when a run begins, while it trains, and when it ends. First it prints what the machine offers.
    """

    def __init__(self, device: "torch.device | None" = None, *, machine: bool = True) -> None:
        """Show trainings on `device`; None is the choice of `auto`. `machine`: print what the machine offers."""
        self.device = device
        self.machine = machine
        self.display = current_display()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[validation]}", markup=False),
            console=self.display.console,
            auto_refresh=False,
        )
        self._panel = ExitStack()
        self._study = _StudySoFar()
        self._tasks: dict[Path, TaskID] = {}

    def __enter__(self) -> Self:
        """Print what the machine offers if asked, and show the bars."""
        if self.machine:
            from nitido.base.device import choose_device
            from nitido.training.fast_path import describe_machine

            self.display.print(f"machine: {describe_machine(self.device or choose_device())}")
        self._panel.enter_context(self.display.panel(_Panel(self)))
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the live part."""
        self._panel.close()

    def reviewed(self, review: "Review") -> None:
        """Print the fate of the runs that the study's directory holds already; nothing for a new directory."""
        kept, resumed, changed = (review.of(standing) for standing in ("kept", "resumed", "changed"))
        say = self.display.print
        if kept or resumed or changed:
            runs = "1 run" if len(kept) == 1 else f"{len(kept)} runs"
            counts = f"{runs} kept, {len(resumed)} to be resumed, {len(review.of('new'))} new"
            say(f"study: {counts}, {len(changed)} to be trained again, {len(review.orphans)} orphaned")
        for reviewed in changed[:SHOWN]:
            say(f"  trained again: {reviewed.run.directory} ({reviewed.reason}); the old run is kept in orphaned/")
        for path in review.orphans[:SHOWN]:
            say(f"  orphaned: {path} (not in the study any more; kept on disk, not in the table)")
        for what, number in (("to be trained again", len(changed)), ("orphaned", len(review.orphans))):
            if number > SHOWN:
                say(f"  and {number - SHOWN} more {what}")

    def planned(self, runs: Sequence["PlannedRun"], works: Mapping[Path, "Workload"]) -> None:
        """Receive every run of the study in the order of training, and the work of each by its directory."""
        self._study.runs, self._study.works = runs, works

    def started(self, run: "PlannedRun", number: int, runs: int, steps: int) -> "ProgressListener":
        """Open a bar for the run; return the function that advances it."""
        options = run.config.hyperparameters
        rate = number_text(options.learning_rate)
        label = f"[{number}/{runs}] {printable(run.config.variant)} lr={rate} seed={options.seed}"
        self._study.started(run)
        left = self._study.remaining_words()
        if not self.display.is_live:
            self.display.print(f"{label} ({left})" if left else label)
        task = self._tasks[run.directory] = self.bar.add_task(label, total=steps, validation="")
        logged = time.monotonic()

        def listen(done: int, validation: float | None) -> None:
            nonlocal logged
            self._study.advanced(run, done)
            self.bar.update(task, completed=done)
            if validation is not None:
                self.bar.update(task, validation=_validation(options, validation))
            if not self.display.is_live and time.monotonic() - logged >= LOGGED_EVERY:
                logged = time.monotonic()
                reached = self.bar.tasks[self.bar.task_ids.index(task)].fields["validation"]
                self.display.print(f"{label}: step {done} of {steps}" + (f", {reached}" if reached else ""))

        return listen

    def ended(self, run: "PlannedRun", status: "Status") -> None:
        """Print one line about the run."""
        from nitido.evaluation.objectives import SELECTION_METRICS

        if (task := self._tasks.pop(run.directory, None)) is not None:
            self.bar.remove_task(task)
        self._study.ended(run, status)
        options = run.config.hyperparameters
        label = f"{run.config.variant} lr={number_text(options.learning_rate)} seed={options.seed}"
        if status.state == "finished":
            length = f"{status.steps} steps, {'' if status.all_seconds else 'at least '}{status.seconds:.0f} s"
            metric = SELECTION_METRICS[options.objective].metric
            text = f"{label}: {_validation(options, status.validation[metric])} after {length}"
            text += f" ({status.start})" if status.start else ""
        else:
            text = f"{label}: {status.state}: {status.reason}"
        self.display.print(text)

    def renderable(self) -> RenderableType:
        """Return the live part: study, ranking so far, the runs that train."""
        return Group(*self._study.renderables(), self.bar.get_renderable())


class _Panel:
    """The live part of a `StudyProgress`, drawn at each refresh."""

    def __init__(self, progress: StudyProgress) -> None:
        self.progress = progress

    def __rich__(self) -> RenderableType:
        return self.progress.renderable()


@dataclass
class _Training:
    """A run that trains: when that began, its steps before, and its steps now."""

    run: "PlannedRun"
    began: float
    first: int | None = None
    step: int = 0


class _StudySoFar:
    """The runs of a study that ended, with their times, and those that train."""

    def __init__(self) -> None:
        self.runs: Sequence[PlannedRun] = ()
        self.works: Mapping[Path, Workload] = {}
        self._began = time.monotonic()
        self._statuses: dict[Path, Status] = {}
        self._seconds: dict[Path, float] = {}
        self._training: dict[Path, _Training] = {}
        self._most_at_once = 1

    def started(self, run: "PlannedRun") -> None:
        self._training[run.directory] = _Training(run, time.monotonic())
        self._most_at_once = max(self._most_at_once, len(self._training))

    def advanced(self, run: "PlannedRun", done: int) -> None:
        training = self._training[run.directory]
        if training.first is None:  # a resumed run, and one of another process, had steps before it was first seen
            training.first = 0 if done == 1 else done
        training.step = done

    def ended(self, run: "PlannedRun", status: "Status") -> None:
        self._statuses[run.directory] = status
        training = self._training.pop(run.directory, None)
        if status.state == "finished":
            if training is not None and not training.first:
                self._seconds[run.directory] = time.monotonic() - training.began
            elif status.all_seconds:
                self._seconds[run.directory] = status.seconds

    def remaining(self) -> float | None:
        """Return the seconds that all runs still need; None if nothing was measured."""
        from dataclasses import replace

        from nitido.study.forecast import forecast

        if not self.works:
            return None
        measured = [(self.works[directory], seconds) for directory, seconds in self._seconds.items()]
        waiting = [run for run in self.runs if run.directory not in self._statuses | self._training]
        remaining = [self.works[run.directory] for run in waiting]
        for training in self._training.values():
            work = self.works[training.run.directory]
            if trained := training.step - (training.first or 0):
                measured.append((replace(work, steps=trained), time.monotonic() - training.began))
            remaining.append(replace(work, steps=max(work.steps - training.step, 0)))
        seconds = [forecast(work, measured) for work in remaining]
        known = [value for value in seconds if value is not None]
        if len(known) < len(seconds) or not known:
            return None if seconds else 0.0
        return max(sum(known) / self._most_at_once, *known)

    def remaining_words(self) -> str:
        """Say how long the runs still take; "" if that is unknown, or nothing is left to train."""
        seconds = self.remaining() if len(self.runs) > 1 else None
        return f"about {_rounded(seconds)} left" if seconds else ""

    def renderables(self) -> list[RenderableType]:
        if len(self.runs) < 2:
            return []
        words = [f"{len(self._statuses)} of {len(self.runs)} runs", _rounded(time.monotonic() - self._began)]
        if left := self.remaining_words():
            words.append(left)
        line = Text(f"study: {', '.join(words)}")
        return [self._ranking(), line] if self._statuses else [line]

    def _ranking(self) -> Table:
        from nitido.evaluation.objectives import SELECTION_METRICS
        from nitido.study.interim import interim_results

        results = interim_results(self.runs, self._statuses)
        table = Table(title="So far, by validation", title_justify="left", header_style="bold")
        for name in ("variant", "runs", "lr", "validation"):
            table.add_column(name, justify="left" if name == "variant" else "right")
        for result in results[:RANKED]:
            metric = SELECTION_METRICS[result.objective]
            table.add_row(
                Text(printable(result.variant)),
                f"{result.finished}/{result.planned}",
                "" if result.learning_rate is None else number_text(result.learning_rate),
                "" if result.validation is None else metric.words(result.validation),
            )
        if len(results) > RANKED:
            table.caption = f"and {len(results) - RANKED} more variants"
        return table


def _rounded(seconds: float) -> str:
    from nitido.study.report.formatting import duration

    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds)


def _validation(options: "Hyperparameters", value: float) -> str:
    """Return a validation in words: by the metric that selects the step, and on which part of the images."""
    from nitido.evaluation.objectives import SELECTION_METRICS

    crop = f" (crop of {options.validation_crop} px)" if options.validation_crop else ""
    return f"validation{crop} {SELECTION_METRICS[options.objective].words(value)}"
