"""Files that are either whole or not there: write beside the target, then rename."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

_DRAFT_PREFIX = ".nitido-draft-"


@contextmanager
def replacing(target: Path, before: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on success it becomes `target`, on any error it is removed.

    Readers see the old file or the new one, never half of either, even after `kill -9` or on a full disk. The draft's
    name has a fixed length, so that every legal target name can be written. An OSError that does not say which file it
    is about gets the target's name. A folder or a device in the target's place is an OSError before anything is
    written. `before` receives the finished draft before it becomes the target.
    """
    _refuse_irregular(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{_DRAFT_PREFIX}{uuid4().hex[:12]}{target.suffix[:12]}")
    try:
        yield draft
        if before is not None:
            before(draft)
        draft.replace(target)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise
    finally:
        draft.unlink(missing_ok=True)


def is_draft(path: Path) -> bool:
    """Return whether `path` has the name of a draft of `replacing`."""
    return path.name.startswith(_DRAFT_PREFIX)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes left in `folder`.

    Only the process that holds the folder's lock may call this: another writer's draft would be lost.
    """
    for path in folder.iterdir():
        if is_draft(path):
            path.unlink(missing_ok=True)


def check_writable(target: Path) -> None:
    """Raise the OSError with which writing the file `target` would end now, before work is done for it.

    Nothing is left behind; folders that do not exist yet are only checked for whether they could be made.
    """
    if _is_device(target):
        if not os.access(target, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        return
    _refuse_irregular(target)
    if target.exists() and not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    if target.is_symlink() and not target.exists():
        raise OSError(errno.ENOENT, "a link to something that is not there", str(target))
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """Raise the OSError with which making `folder`, or a file in it, would end now; nothing is left behind."""
    while not folder.exists():
        if folder.is_symlink():
            raise OSError(errno.ENOENT, "a link to something that is not there", str(folder))
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file, where a folder is needed", str(folder))
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(folder)
        raise


def _is_device(target: Path) -> bool:
    return target.exists() and not target.is_file() and not target.is_dir()


def _refuse_irregular(target: Path) -> None:
    target.is_symlink()  # an OSError for names that the file system does not take
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, where a file is needed", str(target))
    if _is_device(target):
        raise OSError(errno.EINVAL, "a device, where a plain file is needed", str(target))


def write_bytes(target: Path, content: bytes, before: Callable[[Path], None] | None = None) -> None:
    """Write `content` to `target` atomically; raises OSError, and nothing else, when the disk does not take it.

    A device or a pipe is written to as it is. Libraries that write files themselves tend to wrap or print that error:
    let them write into memory, then come here. `before` is for `replacing`.
    """
    if _is_device(target):
        try:
            with target.open("wb") as device:
                device.write(content)
        except OSError as error:
            error.filename = str(target)
            raise
        return
    with replacing(target, before) as draft:
        draft.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write `text` (UTF-8) to `target`; errors as in `write_bytes`.

    A byte of a file name that is not UTF-8 (`os.fsdecode` makes a lone surrogate of it) becomes an escape such as
    `\\udcff`, which in JSON means the same.
    """
    write_bytes(target, text.encode("utf-8", errors="backslashreplace"))
