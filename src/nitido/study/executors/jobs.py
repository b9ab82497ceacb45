"""Choose how many runs of a study train side by side on this machine, and with how many threads each."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field, ValidationError

from nitido.base.activity import activity
from nitido.base.device import CPU
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.validation import StrictModel
from nitido.study.executors.base import ExecutorError
from nitido.study.executors.processes import ForkServer
from nitido.study.executors.step_speed import StepSpeed, measure_speed
from nitido.study.forecast import Workload
from nitido.study.plan import PlannedRun
from nitido.training.memory.available import available_memory

FILE = "jobs.json"
"""Name of the file with the choice in the directory of a study."""

SHORT = 60.0
"""Estimated seconds of training up to which a study is trained in its own process."""

PER_SECOND = 2e10
"""Floating-point operations per second that the estimate assumes."""

WORTH_IT = 1.03
"""A division must be faster than one with fewer processes by this factor, because measurements vary."""

MEMORY_SHARE = 0.8
"""The share of the available memory that the processes may take together."""


class Jobs(StrictModel):
    """How the runs of a study are trained on one machine.

    Attributes:
        jobs: How many train side by side; 0 is one after the other in the process of the study.
        threads: The threads of each run, on which its bits depend: all runs of a study have the same number.
        reason: Why, with the measurements if there were any.
        devices: The device of each job, if runs do not share one.
    """

    jobs: int = Field(ge=0)
    threads: int = Field(ge=1)
    reason: str
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remaining:
    """The runs that are not complete: their work by directory, in the order of training."""

    runs: Sequence[PlannedRun]
    works: Mapping[Path, Workload]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def check_jobs(jobs: int) -> None:
    """Raise `ExecutorError` for a number of jobs that this machine does not have cores for."""
    cores = usable_cores()
    if not 1 <= jobs <= cores:
        raise ExecutorError(f"--jobs {jobs}: this machine has {cores} cores; choose 1 to {cores}, or auto")


def choose_jobs(asked: int | None, remaining: Remaining, devices: Sequence[str], file: Path) -> Jobs:
    """Choose the number of jobs and threads, and record it in `file`.

    The number of threads in an earlier record is kept, so that all runs of the study have the same.

    Args:
        asked: The number of jobs; None chooses it by a measurement, if the study is long enough.
        remaining: What is to be trained.
        devices: The devices that the runs may use: one, or several graphics cards among which they are divided.
        file: The record.

    Raises:
        ExecutorError: So many jobs of the recorded number of threads do not fit.
    """
    recorded = _read(file)
    chosen = _choose(asked, remaining, devices, recorded.threads if recorded is not None else None)
    write_json(file, chosen.model_dump(mode="json"))
    return chosen


def keep_threads(cpus: int, file: Path) -> int:
    """Return the number of threads of the runs of a study on a cluster, and record it in `file`.

    Raises:
        ExecutorError: The study has begun with more threads than `cpus`.
    """
    recorded = _read(file)
    threads = recorded.threads if recorded is not None else cpus
    if threads > cpus:
        raise ExecutorError(
            f"--resource cpus={cpus}: the runs of this study have {threads} threads each, on which their results "
            f"depend ({file}); use cpus={threads}"
        )
    if recorded is None:
        chosen = Jobs(jobs=0, threads=threads, reason=f"{cpus} cores of a cluster for each run")
        write_json(file, chosen.model_dump(mode="json"))
    return threads


def _choose(asked: int | None, remaining: Remaining, devices: Sequence[str], threads: int | None) -> Jobs:
    cores = usable_cores()
    if devices[0] != "cpu":
        jobs = asked or (len(devices) if len(devices) > 1 else 0)
        cards = tuple(devices[index % len(devices)] for index in range(jobs))
        reason = f"on {', '.join(devices)}"
        return Jobs(jobs=jobs, threads=threads or torch.get_num_threads(), reason=reason, devices=cards)
    if asked is not None:
        own = threads or max(1, min(torch.get_num_threads(), cores // asked))
        if asked * own > cores and asked > 1:
            raise ExecutorError(
                f"--jobs {asked}: the runs of this study have {own} threads each, on which their results depend "
                f"({FILE}); {cores} cores are enough for {max(1, cores // own)}"
            )
        return Jobs(jobs=asked, threads=own, reason=f"--jobs {asked}")
    seconds = estimated_seconds(remaining)
    if len(remaining.runs) < 2 or seconds < SHORT or sys.platform != "linux":
        why = f"about {seconds:.0f} s of training are too few to divide" if seconds < SHORT else "one run"
        return Jobs(jobs=0, threads=threads or torch.get_num_threads(), reason=why)
    if threads is not None:
        jobs = min(max(1, cores // threads), len(remaining.runs))
        return Jobs(jobs=jobs, threads=threads, reason=f"{threads} threads each, as the study began")
    if cores == 1:
        return Jobs(jobs=0, threads=1, reason="one core")
    return _fastest(remaining, cores)


def estimated_seconds(remaining: Remaining) -> float:
    """Estimate the seconds of training from the operations alone: a backward pass costs twice a forward pass."""
    macs = sum(remaining.works[run.directory].macs * remaining.works[run.directory].steps for run in remaining.runs)
    return 3 * 2 * macs / PER_SECOND


@activity("measuring how many trainings side by side are fastest")
def _fastest(remaining: Remaining, cores: int) -> Jobs:
    """Measure divisions of the cores with the run of median work, and return the fastest that fits into memory."""
    by_work = sorted(remaining.runs, key=lambda run: remaining.works[run.directory].macs)
    typical = by_work[len(by_work) // 2].config
    with closing(ForkServer(threads=cores)) as server:
        speeds = measure_speed(server, typical, divisions(cores, len(remaining.runs), torch.get_num_threads()))
    best = fastest(speeds, available_memory(CPU))
    words = ", ".join(f"{s.jobs} × {s.threads} threads {s.steps_per_second:.3g}" for s in speeds)
    return Jobs(jobs=best.jobs, threads=best.threads, reason=f"steps per second of {typical.variant}: {words}")


def divisions(cores: int, runs: int, most_threads: int) -> list[tuple[int, int]]:
    """Return the (jobs, threads) to measure: 1, 2, 4, … jobs and as many as there are cores or runs.

    >>> divisions(8, 100, 8)
    [(1, 8), (2, 4), (4, 2), (8, 1)]
    >>> divisions(6, 3, 6)
    [(1, 6), (2, 3), (3, 2)]
    """
    most = min(cores, runs)
    numbers = sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})
    return [(jobs, min(most_threads, cores // jobs)) for jobs in numbers]


def fastest(speeds: Sequence[StepSpeed], memory: int | None) -> StepSpeed:
    """Return the fastest division that fits into `memory` bytes; of nearly equal ones that with the fewest jobs.

    >>> alone, divided = StepSpeed(1, 2, 10.0, 1 << 30), StepSpeed(2, 1, 14.0, 1 << 30)
    >>> fastest([alone, divided], None).jobs, fastest([alone, divided], 1 << 30).jobs
    (2, 1)
    """
    best = speeds[0]
    for speed in speeds[1:]:
        fits = memory is None or speed.jobs * speed.memory <= MEMORY_SHARE * memory
        if fits and speed.steps_per_second > WORTH_IT * best.steps_per_second:
            best = speed
    return best


def _read(file: Path) -> Jobs | None:
    """Return the recorded choice; None if there is none or it is damaged."""
    try:
        return Jobs.model_validate(read_json(file, "")) if file.exists() else None
    except (DamagedFileError, ValidationError):
        return None
