"""Train runs in processes of this machine, several side by side."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from nitido.study.executors.base import ProcessEnd
from nitido.study.executors.processes import ForkServer, NewProcesses


class LocalExecutor:
    """Starts at most `jobs` processes at once, each with `threads` threads.

    Under Linux they are forked by a server that has imported nitido; elsewhere each is a new `nitido train --resume`.
    Processes are not bound to cores, so that the system can give them what other programs leave.
    """

    outlives_study = False

    def __init__(self, jobs: int, threads: int) -> None:
        self.slots: int | None = jobs
        self._processes = ForkServer(threads) if sys.platform == "linux" else NewProcesses(threads)
        self._signals = iter([signal.SIGTERM])

    def submit(self, directories: Sequence[Path]) -> None:
        """Start the runs in these directories."""
        for directory in directories:
            self._processes.start(directory)

    def follow(self, directory: Path) -> bool:
        """Return False: runs of an earlier command ended with it."""
        return False

    def ended(self) -> list[ProcessEnd]:
        """Return the processes that have ended since the last call."""
        return [ProcessEnd(directory, _problem(code)) for directory, code in self._processes.ended()]

    def stop(self) -> None:
        """Make all processes write a checkpoint and end; a second call ends them at once."""
        self._processes.send(next(self._signals, signal.SIGKILL))

    def close(self) -> None:
        """End the server. Runs that still train write a checkpoint and end."""
        self._processes.close()


def _problem(code: int) -> str:
    """Say why a process ended that was killed; "" for others, which recorded it."""
    if code >= 0:
        return ""
    number = signal.Signals(-code)
    why = ", as the system does when memory runs out" if number == signal.SIGKILL else ""
    return f"its process was ended by {number.name}{why}"
