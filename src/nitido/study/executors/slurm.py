"""Train runs as jobs of a SLURM cluster, through submitit."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nitido.base.programs import ProgramError, run_program
from nitido.study.executors.base import ExecutorError, ProcessEnd
from nitido.study.executors.command import start
from nitido.study.resources import Resources

ASK_EVERY = 5.0
"""Seconds between two questions to the queue, which many users share."""

ANSWER_WITHIN = 60.0
"""Seconds that SLURM may take for an answer."""

NOTICE = 90
"""Seconds before its time limit at which a job is told to write a checkpoint; it is queued again then."""

MOST_REQUEUES = 1000
"""How often a job is queued again after its time limit; being preempted does not count."""

FOLDER = "slurm"
"""The folder with the files of the jobs, in the directory of the study."""

JOB = "slurm.txt"
"""The file with the name of the last job of a run, in its directory."""

_POLL = 0.2


class TrainingJob:
    """Trains a run in a job. submitit pickles it, and calls `checkpoint` when the job is about to end."""

    _process: subprocess.Popen[bytes] | None = None

    def __call__(self, directory: str, threads: int) -> int:
        """Train the run and return the exit code of its process."""
        self._process = start(Path(directory), threads)
        while (code := self._process.poll()) is None:
            time.sleep(_POLL)
        return code

    def checkpoint(self, directory: str, threads: int) -> Any:
        """Make the run write its checkpoint, and return what the next job does."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            with suppress(ProcessLookupError, ChildProcessError):  # it has just ended
                os.kill(self._process.pid, signal.SIGTERM)
                # Not Popen.wait: this runs in a signal handler, and the interrupted code may hold its lock.
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(TrainingJob(), directory, threads)


class SlurmExecutor:
    """Submits runs as job arrays, of which at most `resources.parallel` jobs run at the same time."""

    slots: int | None = None
    outlives_study = True

    def __init__(self, resources: Resources, threads: int, study: Path) -> None:
        from submitit import SlurmExecutor as Submitter

        self._threads = threads
        self._jobs: dict[str, Path] = {}
        self._asked = 0.0
        self._queued: frozenset[str] | None = None
        folder = (study / FOLDER).absolute()
        self._submitter = Submitter(folder=folder / "%A", max_num_timeout=MOST_REQUEUES)
        optional = {
            "partition": resources.partition,
            "account": resources.account,
            "qos": resources.qos,
            "constraint": resources.constraint,
            "mem": resources.memory,
            "gpus_per_node": resources.gpus or None,
        }
        self._submitter.update_parameters(
            job_name="nitido",
            time=resources.time,
            cpus_per_task=resources.cpus,
            ntasks_per_node=1,
            array_parallelism=resources.parallel,
            signal_delay_s=min(NOTICE, resources.time * 60 // 2),
            stderr_to_stdout=True,
            **{key: value for key, value in optional.items() if value is not None},
        )

    def submit(self, directories: Sequence[Path]) -> None:
        """Submit the runs in these directories as one job array. Raises `ExecutorError`."""
        paths = [str(directory.absolute()) for directory in directories]
        try:
            submitted = self._submitter.map_array(TrainingJob(), paths, [self._threads] * len(paths))
        except Exception as error:  # submitit raises errors of its own and of subprocess
            raise ExecutorError(f"SLURM refuses the jobs: {_last_line(error)}") from None
        self._queued = None
        for job, directory in zip(submitted, directories, strict=True):
            self._jobs[job.job_id] = directory
            (directory / JOB).write_text(f"{job.job_id}\n", encoding="utf-8")

    def follow(self, directory: Path) -> bool:
        """Follow the job that an earlier command submitted for the run in `directory`; return whether it is queued."""
        name = job_of(directory)
        if name is None or name not in self._ask():
            return False
        self._jobs[name] = directory
        return True

    def ended(self) -> list[ProcessEnd]:
        """Return the jobs that are not in the queue any more. Raises `ExecutorError` if SLURM does not answer."""
        if not self._jobs:
            return []
        queued = self._ask()
        gone = {name: directory for name, directory in self._jobs.items() if name not in queued}
        for name in gone:
            del self._jobs[name]
        return [ProcessEnd(directory) for directory in gone.values()]

    def _ask(self) -> frozenset[str]:
        """Return the queued jobs, as they were at most `ASK_EVERY` seconds ago."""
        if self._queued is None or time.monotonic() - self._asked >= ASK_EVERY:
            self._queued = queued_jobs()
            self._asked = time.monotonic()
        return self._queued

    def stop(self) -> None:
        """Do nothing: the jobs continue."""

    def close(self) -> None:
        """Do nothing: the jobs continue."""


def check_slurm() -> None:
    """Raise `ExecutorError` unless jobs can be submitted from here."""
    for program in ("sbatch", "squeue"):
        if shutil.which(program) is None:
            raise ExecutorError(f"--executor slurm: no {program} on PATH; run this where jobs of SLURM are submitted")
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ExecutorError("--executor slurm needs submitit: pip install 'nitido[slurm]'") from None
    queued_jobs()


def queued_jobs() -> frozenset[str]:
    """Return the names of this user's jobs that wait or run; of an array, each `ARRAY_INDEX`."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        lines = run_program(command, ANSWER_WITHIN).decode(errors="replace").split()
    except ProgramError as error:
        raise ExecutorError(f"SLURM does not answer: {error}") from None
    return frozenset(lines)


def job_of(directory: Path) -> str | None:
    """Return the name of the last job of the run in `directory`; None if there was none."""
    file = directory / JOB
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def any_queued(directories: Sequence[Path]) -> bool:
    """Return whether SLURM will still train, or trains, a run in one of these directories.

    Raises `ExecutorError` if there are jobs of SLURM and it does not answer.
    """
    jobs = {job for directory in directories if (job := job_of(directory)) is not None}
    return bool(jobs) and not jobs.isdisjoint(queued_jobs())


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
