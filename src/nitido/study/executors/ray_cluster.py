"""Train runs as tasks of a Ray cluster."""

import logging
import socket
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nitido.study.executors.base import ExecutorError, ProcessEnd
from nitido.study.executors.command import start
from nitido.study.resources import Resources, memory_bytes

RETRIES = 10
"""How often a run is started again on another node after its node was lost."""

ANSWER_WITHIN = 10.0
"""Seconds that the server of a cluster may take to accept a connection."""

LARGEST_PORT = 65535

_POLL = 0.2


class RayExecutor:
    """Hands runs to Ray, which starts each where the resources are free.

    A run whose node is lost starts again from its last checkpoint on another node, if the study's directory is on a
    file system that both share.
    """

    outlives_study = False

    def __init__(self, resources: Resources, threads: int) -> None:
        """Use the cluster that `connect` has connected to."""
        import ray

        self._threads = threads
        self.slots: int | None = resources.parallel
        self._train = ray.remote(train).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus or None,
            memory=memory_bytes(resources.memory) if resources.memory is not None else None,
            max_retries=RETRIES,
        )
        self._tasks: dict[Any, Path] = {}
        self._stopped = False

    def submit(self, directories: Sequence[Path]) -> None:
        """Hand over the runs in these directories."""
        for directory in directories:
            task = self._train.remote(str(directory.absolute()), self._threads, str(Path.cwd()))
            self._tasks[task] = directory

    def follow(self, directory: Path) -> bool:
        """Return False: tasks of an earlier command ended with it."""
        return False

    def ended(self) -> list[ProcessEnd]:
        """Return the tasks that have ended since the last call."""
        import ray
        from ray.exceptions import RayError

        if not self._tasks:
            return []
        done, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        ends = []
        for task in done:
            try:
                ray.get(task)
                problem = ""
            except RayError as error:
                problem = f"Ray: {_first_line(error)}"
            ends.append(ProcessEnd(self._tasks.pop(task), problem))
        return ends

    def stop(self) -> None:
        """Make all runs write a checkpoint and end; a second call ends them at once."""
        import ray

        for task in self._tasks:
            ray.cancel(task, force=self._stopped)
        self._stopped = True

    def close(self) -> None:
        """Do nothing: the connection ends with the process of the study."""


def train(directory: str, threads: int, folder: str) -> int:
    """Train the run in `directory` in a process of its own, on a node of the cluster; return its exit code.

    `folder` is where the study was started, which is not where Ray starts its processes.
    """
    process = start(Path(directory), threads, folder=folder)
    try:
        while (code := process.poll()) is None:
            time.sleep(_POLL)
    except BaseException:  # Ray cancels the task
        process.terminate()
        process.wait()
        raise
    return code


def connect(address: str | None) -> None:
    """Connect this process to the cluster at `address`, or start one on this machine, unless it is connected.

    Raises:
        ExecutorError: Ray is not installed, or nothing answers at the address.
    """
    if find_spec("ray") is None:
        raise ExecutorError("--executor ray needs Ray: pip install 'nitido[ray]'")
    if address is not None:
        _check_address(address)
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ExecutorError(f"--executor ray: {_first_line(error)}") from None


def _check_address(address: str) -> None:
    """Raise `ExecutorError` if no server listens at HOST:PORT; Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal() or int(port) > LARGEST_PORT:
        raise ExecutorError(f"--address {address}: neither HOST:PORT nor auto")
    try:
        socket.create_connection((host, int(port)), ANSWER_WITHIN).close()
    except OSError as error:
        raise ExecutorError(f"--address {address}: no cluster answers ({error.strerror or error})") from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
