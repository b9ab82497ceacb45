"""Start the processes of runs on this machine, and tell when they end."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from nitido.study.executors.base import ExecutorError
from nitido.study.executors.command import environment, start


class ForkServer:
    """Processes forked by `fork_server`."""

    def __init__(self, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nitido.study.executors.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(threads),
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches the process of the study alone, which stops the runs
        )
        self._pending = b""

    def start(self, directory: Path) -> None:
        """Train the run in `directory`."""
        self._send(start=str(directory.absolute()))

    def measure(self, file: Path) -> None:
        """Measure the speed of steps as `file` says (`step_speed`)."""
        self._send(measure=str(file.absolute()))

    def send(self, number: int) -> None:
        """Send a signal to all processes."""
        self._send(stop=int(number))

    def ended(self) -> list[tuple[Path, int]]:
        """Return the run directories (or files) and exit codes of the processes that have ended since the last call."""
        assert self._process.stdout is not None
        found = []
        while select.select([self._process.stdout], [], [], 0)[0]:
            read = os.read(self._process.stdout.fileno(), 1 << 16)
            if not read:
                raise ExecutorError(f"the processes of the runs have ended (exit code {self._process.wait()})")
            *lines, self._pending = (self._pending + read).split(b"\n")
            answers = [json.loads(line) for line in lines]
            found += [(Path(answer["ended"]), int(answer["code"])) for answer in answers if "ended" in answer]
        return found

    def close(self) -> None:
        """Send SIGTERM to the processes that still run, and wait until they have ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _send(self, **request: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise ExecutorError(f"the processes of the runs have ended (exit code {self._process.wait()})") from None


class NewProcesses:
    """Processes that import nitido themselves, for systems where a process with its libraries cannot be forked."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, directory: Path) -> None:
        """Train the run in `directory`."""
        self._processes[directory.absolute()] = start(directory, self._threads, new_session=True)

    def send(self, number: int) -> None:
        """Send a signal to all processes."""
        for process in self._processes.values():
            process.send_signal(number)

    def ended(self) -> list[tuple[Path, int]]:
        """Return the run directories (or files) and exit codes of the processes that have ended since the last call."""
        found = [
            (directory, code) for directory, process in self._processes.items() if (code := process.poll()) is not None
        ]
        for directory, _ in found:
            del self._processes[directory]
        return found

    def close(self) -> None:
        """Send SIGTERM to the processes that still run, and wait until they have ended."""
        self.send(signal.SIGTERM)
        for process in self._processes.values():
            process.wait()
