"""What trains the runs of a study: an executor starts a process for each, here or elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nitido.base.errors import NitidoError


class ExecutorError(NitidoError):
    """An executor is not available, or cannot start processes."""


@dataclass(frozen=True)
class ProcessEnd:
    """The end of the process of a run.

    Attributes:
        directory: The run directory.
        problem: Why the process ended without recording how the run ended, for a person; "" if that is not known.
    """

    directory: Path
    problem: str = ""


class Executor(Protocol):
    """Starts `nitido train --resume RUN_DIR`, or the equivalent function, in a process for every run.

    Results are in the run directories alone. An executor only tells that a process has ended.

    Attributes:
        slots: How many runs may be handed over before one has ended; None for any number.
        outlives_study: Whether runs continue when the process of the study ends.
    """

    slots: int | None
    outlives_study: bool

    def submit(self, directories: Sequence[Path]) -> None:
        """Start the runs in these directories, or queue them. Raises `ExecutorError`."""
        ...

    def follow(self, directory: Path) -> bool:
        """Follow the process that an earlier command started or queued for a run; return whether there is one."""
        ...

    def ended(self) -> list[ProcessEnd]:
        """Return the processes that have ended since the last call. Raises `ExecutorError` if that cannot be told."""
        ...

    def stop(self) -> None:
        """Make all processes write a checkpoint and end; a second call ends them at once."""
        ...

    def close(self) -> None:
        """Release what the executor holds. Processes that others manage continue."""
        ...
