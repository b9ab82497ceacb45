"""The command that trains one run in a process of its own, for executors that start processes elsewhere."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SINGLE_THREADED = {
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
"""Only PyTorch computes with several threads; those of other libraries would compete with the other runs."""

_PR_SET_PDEATHSIG = 1


def environment(threads: int) -> Mapping[str, str]:
    """Return the environment of a process that computes with `threads` threads."""
    return os.environ | SINGLE_THREADED | {"OMP_NUM_THREADS": str(threads)}


def start(
    directory: Path, threads: int, *, folder: str | None = None, new_session: bool = False
) -> subprocess.Popen[bytes]:
    """Start `nitido train --resume DIRECTORY`, whose output is appended to the log of the run.

    Relative paths of image sets refer to `folder`, by default the current one.

    Under Linux the process gets SIGTERM when its parent dies, and then writes a checkpoint. It ignores SIGUSR1 and
    SIGUSR2, by which a cluster announces the end of a job to all of its processes.
    """
    with (directory / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "nitido", "train", "--resume", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment(threads),
            start_new_session=new_session,
            preexec_fn=_bind_to_parent if sys.platform == "linux" else None,
        )


def _bind_to_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
