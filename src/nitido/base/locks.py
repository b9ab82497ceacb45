"""A lock that gives one process exclusive use of a directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nitido.base.atomic import remove_drafts
from nitido.base.errors import NitidoError

LOCK = ".lock"
"""Name of the lock file, which is never removed; it has no meaning while no process holds its lock."""


class BusyError(NitidoError):
    """Another process uses the directory."""


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Lock `directory`, which is created if it does not exist.

    The operating system releases the lock when the process ends, for whatever reason. Drafts that killed processes left
    in the directory are removed.

    Raises:
        BusyError: Another process holds the lock; nothing was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{directory}: another process is using it") from None
    try:
        remove_drafts(directory)
        yield
    finally:
        lock.release()
