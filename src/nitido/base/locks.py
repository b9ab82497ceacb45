"""One process at a time in a directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nitido.base.atomic import is_draft, remove_drafts
from nitido.base.errors import NitidoError

LOCK = ".lock"
"""The file that is locked; it stays, and means nothing when no process holds it."""


class BusyError(NitidoError):
    """Another process works in the directory."""


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Keep other processes out of `directory`, which is made if it does not exist.

    The lock is the operating system's: it ends with the process that holds it, however that ends. Drafts that killed
    processes left in the directory are removed.

    Raises:
        BusyError: Another process holds the lock; nothing was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{directory}: another process is at work there") from None
    try:
        remove_drafts(directory)
        yield
    finally:
        lock.release()


def is_busy(directory: Path) -> bool:
    """Return whether a process works in `directory`."""
    if not (directory / LOCK).exists():
        return False
    try:
        with FileLock(directory / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def is_unused(directory: Path) -> bool:
    """Return whether `directory` does not exist, or holds nothing but the lock and drafts of a killed process."""
    if not directory.exists():
        return True
    return directory.is_dir() and all(path.name == LOCK or is_draft(path) for path in directory.iterdir())
