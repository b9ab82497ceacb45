"""A lease on a directory with a heartbeat: exclusive use across machines that share a file system.

A lock of the operating system is released when its process ends, but network file systems may not pass it on to other
machines. A lease is a file in the directory that its holder renews; only creating a file exclusively must be atomic, as
it is on every network file system. Its generations are numbered: whoever creates the next generation holds the
directory, so a lease is taken over by one process at most.
"""

import hashlib
import os
import platform
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from nitido.base.activity import activity
from nitido.base.atomic import create, is_draft, remove_drafts, write_text
from nitido.base.json_files import DamagedFileError, read_json, signed_json, without_non_finite
from nitido.base.locks import LOCK, BusyError

BEAT = 3.0
"""Seconds between two renewals of a lease."""

STALE_AFTER = 60.0
"""Seconds without a renewal after which a lease of another machine is taken over.

They are counted by the clock of the process that waits, so that clocks which differ or jump have no influence.
"""

_NAME = re.compile(r"\.lease-(\d{6})\.json")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_POLL = 0.5


class LeaseLostError(BusyError):
    """Another process has taken over the directory, because this one did not renew its lease in time."""


@dataclass(frozen=True)
class LeaseRecord:
    """The content of a lease.

    Attributes:
        machine: Identifies the machine of the holder, until it is restarted.
        host: Its name.
        process: The number of the process.
        token: A random name of the holder.
        since: When it took the lease, in UTC.
        beat: The number of renewals.
        released: Whether the holder has released the directory.
        progress: What the holder publishes about its work.
    """

    machine: str
    host: str
    process: int
    token: str
    since: str
    beat: int = 0
    released: bool = False
    progress: Mapping[str, Any] = field(default_factory=dict)


_RECORD = TypeAdapter(LeaseRecord)


class Lease:
    """A lease that this process holds and renews in the background.

    `publish` adds what others may know about the progress; `check` raises if another process has taken over.
    """

    def __init__(self, path: Path, record: LeaseRecord, on_lost: Callable[[], None] | None) -> None:
        self.path = path
        self.lost = False
        self._record = record
        self._progress: Mapping[str, Any] = {}
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def publish(self, progress: Mapping[str, Any]) -> None:
        """Set the progress that the next renewal writes; plain JSON values."""
        self._progress = progress

    def check(self) -> None:
        """Raise `LeaseLostError` if another process has taken over the directory."""
        if not self.lost and _generation(self.path.parent) > _number(self.path):
            self.lost = True
        if self.lost:
            raise LeaseLostError(
                f"{self.path.parent}: another process has taken over, as this one was not heard of for "
                f"{STALE_AFTER:.0f} s"
            )

    def release(self) -> None:
        """Stop the renewals and mark the lease as released, unless another process has taken over."""
        self._ended.set()
        self._thread.join()
        if not self.lost:
            self._write(released=True)

    def _renew(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT):
            beat += 1
            try:
                self.check()
                self._write(beat=beat)
            except LeaseLostError:
                if self._on_lost is not None:
                    self._on_lost()
                return
            except OSError:
                continue  # for instance a full disk, which the work itself reports; the next renewal may succeed

    def _write(self, **changes: Any) -> None:
        record = LeaseRecord(**{**vars(self._record), "progress": without_non_finite(self._progress), **changes})
        write_text(self.path, signed_json(vars(record)))


@contextmanager
def leased(directory: Path, on_lost: Callable[[], None] | None = None) -> Iterator[Lease]:
    """Hold the lock and the lease of `directory`, which is created if it does not exist.

    Drafts that killed processes left in the directory are removed. If the lease belongs to a process of another machine
    that is not known to have ended, wait until it is renewed, which raises `BusyError`, or until `STALE_AFTER` seconds
    have passed without a renewal.

    Args:
        directory: The directory.
        on_lost: Called in another thread if another process takes over.

    Raises:
        BusyError: Another process holds the directory; nothing was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = _try_lock(directory)
    try:
        lease = _take(directory, locked=lock is not None, on_lost=on_lost)
        try:
            remove_drafts(directory)
            yield lease
        finally:
            with suppress(OSError):  # a full disk, which the work itself reports; others see that this process ended
                lease.release()
    finally:
        if lock is not None:
            lock.release()


def is_leased(directory: Path) -> bool:
    """Return whether a process holds `directory`, as far as can be told at once.

    A lease of another machine counts while its file is younger than `STALE_AFTER` by this machine's clock.
    """
    if (directory / LOCK).exists():
        try:
            lock = _try_lock(directory)
        except BusyError:
            return True
        if lock is not None:
            lock.release()
    path = _newest(directory)
    record = read_lease(directory)
    if path is None or record is None or record.released or record.machine == machine():
        return False
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < STALE_AFTER
    return False


def read_lease(directory: Path) -> LeaseRecord | None:
    """Return the newest lease of `directory`; None if there is none, or it is damaged."""
    path = _newest(directory)
    try:
        return _RECORD.validate_python(read_json(path, "")) if path is not None else None
    except (DamagedFileError, ValidationError, FileNotFoundError):
        return None


def is_unused(directory: Path) -> bool:
    """Return whether `directory` does not exist, or contains only the lock, leases and drafts of killed processes."""
    if not directory.exists():
        return True
    return directory.is_dir() and all(
        path.name == LOCK or is_draft(path) or _NAME.fullmatch(path.name) for path in directory.iterdir()
    )


def machine() -> str:
    """Return an identifier of this machine that changes when it is restarted; containers have their own."""
    boot = _BOOT.read_text().strip() if _BOOT.exists() else f"{uuid.getnode():x}"
    return hashlib.sha256(f"{platform.node()} {boot}".encode()).hexdigest()[:16]


def _try_lock(directory: Path) -> FileLock | None:
    """Lock the directory; return None if its file system has no locks. Raises `BusyError`."""
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{directory}: another process is using it") from None
    except NotImplementedError:
        return None
    return lock


def _take(directory: Path, *, locked: bool, on_lost: Callable[[], None] | None) -> Lease:
    """Create the next generation of the lease, once the newest one is released or stale."""
    newest = _newest(directory)
    if newest is not None:
        held = read_lease(directory)
        # The lock of a process of this machine would still be held if the process existed.
        ended = held is not None and (held.released or (locked and held.machine == machine()))
        if not ended:
            _wait_until_stale(newest, held)
    number = (_number(newest) if newest is not None else 0) + 1
    path = directory / f".lease-{number:06d}.json"
    record = LeaseRecord(
        machine(), platform.node(), os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds")
    )
    if not create(path, signed_json(vars(record))):
        raise BusyError(f"{directory}: another process is using it")
    for old in _leases(directory):
        if _number(old) < number:
            old.unlink(missing_ok=True)
    return Lease(path, record, on_lost)


def _wait_until_stale(path: Path, held: LeaseRecord | None) -> None:
    """Return after `STALE_AFTER` seconds without a change of the lease; raise `BusyError` if it changes."""
    holder = f"process {held.process} on {held.host}" if held is not None else "another process"
    before = _content(path)
    until = time.monotonic() + STALE_AFTER
    with activity(f"waiting for a sign of life from {holder}, which uses {path.parent}"):
        while time.monotonic() < until:
            time.sleep(_POLL)
            if _content(path) != before:
                raise BusyError(f"{path.parent}: {holder} is using it")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _leases(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]


def _newest(directory: Path) -> Path | None:
    return max(_leases(directory), key=_number, default=None) if directory.is_dir() else None


def _generation(directory: Path) -> int:
    newest = _newest(directory)
    return _number(newest) if newest is not None else 0


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])
