"""A process that imports nitido once and forks a process for each run: `python -m nitido.study.executors.fork_server`.

Importing takes seconds, forking milliseconds. The server has a single thread, because threads do not survive a fork.
It reads lines of JSON from standard input, `{"start": RUN_DIR}`, `{"measure": FILE}` or `{"stop": SIGNAL}`, and writes
`{"ended": RUN_DIR_OR_FILE, "code": EXIT_CODE}` to standard output when a process has ended. When its standard input is
closed, for instance because the process of the study was killed, it stops all processes and ends.
"""

import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL = 0.05
"""Seconds between two looks at the processes."""

UNTRAINED = 1
"""The exit code of a process whose run did not finish."""


class _Server:
    def __init__(self) -> None:
        self.runs: dict[int, str] = {}
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def serve(self) -> None:
        """Answer until standard input is closed and the last process has ended."""
        pending = b""
        is_open = True
        while is_open or self.runs:
            readable = select.select([0], [], [], POLL)[0] if is_open else select.select([], [], [], POLL)[0]
            if readable:
                read = os.read(0, 1 << 16)
                is_open = bool(read)
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
                if not is_open:
                    self._stop(signal.SIGTERM)
            self._reap()

    def _obey(self, request: dict[str, Any]) -> None:
        if "stop" in request:
            self._stop(request["stop"])
            return
        ((what, path),) = request.items()
        child = os.fork()
        if child == 0:
            _carry_out({"start": train_run, "measure": _measure}[what], Path(path))
        self.runs[child] = path

    def _stop(self, number: int) -> None:
        for child in self.runs:
            os.kill(child, number)

    def _reap(self) -> None:
        while self.runs:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            self._answer(ended=self.runs.pop(child), code=os.waitstatus_to_exitcode(status))

    def _answer(self, **values: object) -> None:
        try:
            print(json.dumps(values), file=self.answers, flush=True)
        except BrokenPipeError:  # nobody listens any more; the runs still end in order
            return


def _carry_out(work: Callable[[Path], int], path: Path) -> None:
    """Do the work in a forked process, with its output in a log; never returns."""
    code = UNTRAINED
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(
            path / "log.txt" if path.is_dir() else path.with_suffix(".log"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o644,
        )
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        code = work(path)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def train_run(directory: Path) -> int:
    """Begin or resume the run in `directory`; return 0 if it has finished. Errors are one line on standard error."""
    from nitido.base.errors import INTERRUPTED, NitidoError
    from nitido.base.printable import printable
    from nitido.study.task import resume_run

    sys.argv = ["nitido", "train", "--resume", str(directory)]  # which the run records as its command
    try:
        status = resume_run(directory, lambda steps: lambda step, validation: None)
    except NitidoError as error:
        print(f"nitido: {printable(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("nitido: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0 if status.state == "finished" else UNTRAINED


def _measure(file: Path) -> int:
    from nitido.study.executors.step_speed import measure_steps

    measure_steps(file)
    return 0


def main() -> None:
    """Import nitido, load plugins, and serve."""
    from nitido.base.plugins import load_plugins

    load_plugins()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Server().serve()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the interpreter takes seconds to free what it has imported
