"""Runs external programs (a compiler, Graphviz, git) with limits on their time and output."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from nitido.base.errors import NitidoError
from nitido.base.interrupts import DeferredInterrupt

LARGEST_OUTPUT = 2**28
"""Maximum bytes that a program may write to each of its standard streams."""

_POLL = 0.01


class ProgramError(NitidoError):
    """A program could not be started, failed or timed out; `reason` says which, without the program's name."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program}: {reason}")
        self.reason = reason


def run_program(
    command: Sequence[str], seconds: float, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> bytes:
    """Run `command` and return its standard output.

    If it exceeds the time limit, or an exception such as KeyboardInterrupt leaves this function, the program is killed
    together with all processes that it started.

    Args:
        command: The program and its arguments.
        seconds: Time limit.
        given: Standard input.
        environment: Replaces this process's environment variables.

    Raises:
        ProgramError: It cannot be started, its exit code is not 0 (the reason is the first line of its standard error),
            it times out, or it writes more than `LARGEST_OUTPUT`.
    """
    with TemporaryFile() as source, TemporaryFile() as output, TemporaryFile() as errors:
        source.write(given)
        source.seek(0)
        interrupt = DeferredInterrupt()  # one that came while the program starts would leave it behind
        interrupt.install()
        try:
            process = subprocess.Popen(
                command, stdin=source, stdout=output, stderr=errors, env=environment, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ProgramError(command[0], f"it cannot be started ({reason})") from None
        finally:
            interrupt.restore()
        try:
            if interrupt.requested:
                signal.raise_signal(interrupt.number)
            refusal = _wait(process, (output, errors), seconds)
        finally:
            if process.poll() is None:
                _kill(process)
        if refusal:
            raise ProgramError(command[0], refusal)
        if process.returncode:
            raise ProgramError(command[0], _first_line(errors) or _ending(process.returncode))
        output.seek(0)
        return output.read()


def _wait(process: subprocess.Popen[bytes], streams: Sequence[IO[bytes]], seconds: float) -> str | None:
    """Wait for the end of `process`. Return why it must be killed, or None."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return f"it did not end within {seconds:g} s"
        if any(os.fstat(stream.fileno()).st_size > LARGEST_OUTPUT for stream in streams):
            return f"it wrote more than {LARGEST_OUTPUT >> 20} MiB"
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL)
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a running `process` and, on POSIX, all processes of its session."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _first_line(errors: IO[bytes]) -> str:
    """Return the first nonempty line of `errors`, without control characters."""
    errors.seek(0)
    lines = errors.read(1 << 16).decode(errors="replace").splitlines()
    cleaned = ("".join(c if c.isprintable() else " " for c in line).strip() for line in lines)
    return next((line[:500] for line in cleaned if line), "")


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"it was ended by signal {-code}"
