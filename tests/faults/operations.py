"""Watch the file-system operations of this process that change something, by an audit hook.

A kill leaves what the disk holds at that moment and nothing else: buffers that were not written are lost, locks are
given back. So "killed before the n-th operation" is the state of the disk at the n-th event, and all of these states
can be copied while one undisturbed process runs.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
"""Audit events with a path in front, besides `open`."""

_WRITING_MODE = frozenset("wax+")
_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Operations:
    """The operations below `folders` so far.

    Attributes:
        count: How many there were.
        names: What they were, for messages.
    """

    def __init__(self, folders: Sequence[Path], die_at: int | None, copies: Path | None) -> None:
        self.folders = [os.path.realpath(folder) for folder in folders]
        self.die_at = die_at
        self.copies = copies
        self.count = 0
        self.names: list[str] = []
        self._lock = threading.RLock()
        self._busy = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count the event if it changes something below the folders, and act on it."""
        if event != "open" and event not in CHANGES:
            return
        with self._lock:
            if self._busy or not self._concerns(event, arguments):
                return
            self._busy = True
            try:
                self.count += 1
                self.names.append(f"{event} {arguments[0]!r}")
                if self.count == self.die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                if self.copies is not None:
                    self._copy(self.copies / f"{self.count:05d}", f"{event} {arguments[:2]!r}")
            finally:
                self._busy = False

    def _concerns(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[0]
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = bool(_WRITING_MODE & set(mode)) if isinstance(mode, str) else bool(flags & _WRITING_FLAGS)
            if isinstance(path, int) or not writes:
                return False
        directory = next((a for a in arguments[1:] if isinstance(a, int) and a > 2), None)
        where = (
            Path(f"/proc/self/fd/{directory}").resolve() if directory is not None and event != "open" else Path.cwd()
        )
        paths = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike)]
        full = [os.path.realpath(where / found) for found in paths[: 2 if event in ("os.rename", "os.link") else 1]]
        return any(f == folder or f.startswith(folder + os.sep) for f in full for folder in self.folders)

    def _copy(self, target: Path, operation: str) -> None:
        target.mkdir(parents=True)
        (target / "operation").write_text(operation)
        for number, folder in enumerate(self.folders):
            if Path(folder).is_dir():
                shutil.copytree(folder, target / str(number), symlinks=True)


def watch(folders: Sequence[str], die_at: int | None = None, copies: str | None = None) -> Operations:
    """Watch this process from now on; it cannot be undone.

    Args:
        folders: What to watch.
        die_at: Send this process SIGKILL just before the operation with this number, counted from 1.
        copies: Copy the folders to a new folder here just before each operation.
    """
    operations = Operations([Path(folder) for folder in folders], die_at, Path(copies) if copies else None)
    sys.addaudithook(operations.hook)
    return operations
