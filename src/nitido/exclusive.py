"""One process at a time in a directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nitido.errors import NitidoError

LOCK = ".lock"
"""The file that is locked; it stays, and says nothing when no process holds it."""


class BusyError(NitidoError):
    """Another process works in the directory."""


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Keep other processes out of `directory`, which exists; raises `BusyError` at once when one is in it.

    The lock is the operating system's: a process that is killed gives it back.
    """
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{directory}: another process is at work there") from None
    try:
        yield
    finally:
        lock.release()
