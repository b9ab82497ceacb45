"""Follow the runs of a study that other processes train, from the files in its directory alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from nitido.base.errors import NitidoError
from nitido.base.leases import is_leased, read_lease
from nitido.study.forecast import Workload, workloads
from nitido.study.plan import PlannedRun, plan
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.schedule import RunReporter
from nitido.study.spec import load_resolved
from nitido.training.callbacks import ProgressListener

LOOK = 1.0
"""Seconds between two looks at the directory."""

ENDED = ("finished", "diverged", "failed", "interrupted")
"""The states of runs that no process trains."""


class WatchReporter(RunReporter, Protocol):
    """Receives what happens in a study that other processes run."""

    def planned(self, runs: Sequence[PlannedRun], works: Mapping[Path, Workload]) -> None:
        """Receive all runs, and the work of each by its directory if it is known."""
        ...


@dataclass
class Watched:
    """What is known of the runs of a study.

    Attributes:
        runs: All runs.
        statuses: The status of each run that has one, by its directory.
        training: The runs that a process trains.
        is_run: Whether a process runs the study.
    """

    runs: Sequence[PlannedRun]
    statuses: dict[Path, Status] = field(default_factory=dict)
    training: frozenset[Path] = frozenset()
    is_run: bool = False

    def count(self, *states: str) -> int:
        """Return how many runs that nobody trains are in one of the states; "planned" includes those without a file."""
        found = [
            self.statuses[run.directory].state if run.directory in self.statuses else "planned"
            for run in self.runs
            if run.directory not in self.training
        ]
        return sum(state in states for state in found)

    @property
    def words(self) -> str:
        """How many runs are in which state."""
        states = {
            "finished": self.count("finished"),
            "training": len(self.training),
            "planned": self.count("planned"),
            "interrupted": self.count("interrupted", "running"),  # "running" without a process: it was killed
            "diverged": self.count("diverged"),
            "failed": self.count("failed"),
        }
        return f"{len(self.runs)} runs: " + ", ".join(f"{number} {name}" for name, number in states.items() if number)


def look(out: Path, runs: Sequence[PlannedRun]) -> Watched:
    """Return the present state of the runs of the study in `out`. Damaged files count as missing."""
    found = Watched(runs, is_run=is_leased(out))
    training = set()
    for run in runs:
        directory = RunDirectory(out / run.directory)
        try:
            status = directory.read_status()
        except NitidoError:
            continue
        if status is None:
            continue
        found.statuses[run.directory] = status
        if status.state in ("planned", "running") and is_leased(directory.path):
            training.add(run.directory)
    found.training = frozenset(training)
    return found


def watch(out: Path, reporter: WatchReporter, is_queued: Callable[[Sequence[Path]], bool]) -> Watched:
    """Report starts, progress and ends of the runs in `out` until no process trains any, and none is queued.

    Args:
        out: The study's directory.
        reporter: Receives what happens, and first the runs that have ended.
        is_queued: Returns whether a cluster will still train one of these run directories.

    Raises:
        StudyError: `out` holds no study.
    """
    runs = plan(load_resolved(out))
    steps = {run.directory: run.config.hyperparameters.steps for run in runs}
    known = {directory: number for directory, number in steps.items() if number is not None}
    reporter.planned(runs, workloads(runs, known) if len(known) == len(steps) else {})
    listeners: dict[Path, ProgressListener] = {}
    told: set[Path] = set()
    while True:
        found = look(out, runs)
        for number, run in enumerate(runs, start=1):
            directory = run.directory
            if directory in found.training:
                told.discard(directory)
                record = read_lease(out / directory)
                if record is None or not record.progress:
                    continue
                step, total, validation = (record.progress.get(key) for key in ("step", "steps", "validation"))
                if directory not in listeners:
                    listeners[directory] = reporter.started(run, number, len(runs), int(total or 0))
                listeners[directory](int(step or 0), validation)
            elif directory in found.statuses and found.statuses[directory].state in ENDED and directory not in told:
                told.add(directory)
                listeners.pop(directory, None)
                reporter.ended(run, found.statuses[directory])
        waiting = [out / run.directory for run in runs if run.directory not in found.training | told]
        if not found.is_run and not found.training and not (waiting and is_queued(waiting)):
            return found
        time.sleep(LOOK)
