"""Start the fork server and run functions or nitido commands in its children."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "PYTHONHASHSEED": "0",
}
"""Threads do not survive a fork, so that the server must not have any that its children need."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: The exit code, or minus the signal's number.
        out: Its standard output.
        err: Its standard error.
        value: What the function returned; None if it was killed.
        peak: Largest resident memory of the child in bytes, as far as the server's own is exceeded.
    """

    code: int
    out: str
    err: str
    value: Any
    peak: int

    @property
    def error_lines(self) -> list[str]:
        """The lines of standard error that report an error."""
        return [line for line in self.err.splitlines() if line.startswith("nitido: ")]

    def __str__(self) -> str:
        """For the message of a failed assertion."""
        return f"exit code {self.code}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-6000:]}"


class ForkServer:
    """A process that has imported nitido and forks a child for every call."""

    def __init__(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="nitido-forked-")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "forked" / "server.py"), self.scratch.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | SINGLE_THREADED,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        """Return the server, which starts in the background."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.scratch.cleanup()

    def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        timeout: int = 120,
        signalled: tuple[int, Callable[[], bool]] | None = None,
        streams: Mapping[int, str] | None = None,
    ) -> Ended:
        """Call `function` ("module:name") with keyword `arguments` (plain JSON values) in a forked child.

        The child is killed by SIGALRM after `timeout` seconds, unless that is 0. `signalled` is a signal that the child
        gets once the condition is true. `streams` redirects standard streams: to a file, `closed`, or `unread`.
        """
        pid = Path(self.scratch.name) / "pid"
        pid.unlink(missing_ok=True)
        job = {
            "function": function,
            "arguments": arguments,
            "cwd": str(cwd),
            "environment": dict(environment or {}),
            "timeout": timeout,
            "streams": dict(streams or {}),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        if signalled is not None:
            number, condition = signalled
            while not (ended := select.select([self.process.stdout], [], [], 0.01)[0]):
                if pid.exists() and condition():
                    break
            if not ended:
                os.kill(int(pid.read_text()), number)
        answer = self.process.stdout.readline()
        assert answer, f"the fork server has died with exit code {self.process.wait()}"
        ended = json.loads(answer)
        out, err = ((Path(self.scratch.name) / name).read_text(errors="replace") for name in ("out", "err"))
        return Ended(ended["code"], out, err, ended["value"], ended["peak"])

    def nitido(
        self,
        *args: object,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        timeout: int = 120,
        faults: Mapping[str, Any] | None = None,
        signalled: tuple[int, Callable[[], bool]] | None = None,
        streams: Mapping[int, str] | None = None,
    ) -> Ended:
        """Run the command line with `args`; `faults` are the arguments of `tests.faults.operations.watch`."""
        return self.call(
            "tests.forked.server:command",
            {"args": list(map(str, args)), "faults": faults},
            cwd=cwd,
            environment=environment,
            timeout=timeout,
            signalled=signalled,
            streams=streams,
        )

    def python(
        self, code: str, *args: object, cwd: Path, environment: Mapping[str, str] | None = None, timeout: int = 120
    ) -> Ended:
        """Run `python -c code` with `args`; `PYTHONPATH` in the environment is respected."""
        arguments = {"code": code, "args": list(map(str, args))}
        return self.call("tests.forked.server:execute", arguments, cwd=cwd, environment=environment, timeout=timeout)
