"""Atomic writes: a file is written next to its target and then renamed."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

_DRAFT_PREFIX = ".nitido-draft-"
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""What file systems without hard links answer."""


@contextmanager
def replacing(target: Path, before: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a path next to `target` to write to. On success it replaces `target`, on any error it is removed.

    Readers see the old or the new file, never a partial one, even after `kill -9` or on a full disk. The draft's name
    has a fixed length, so that every legal target name works.

    Args:
        target: The file to write.
        before: Called with the complete draft before it replaces the target.

    Raises:
        OSError: Writing fails (an error without a file name gets the target's), or the target is a folder or a device;
            the latter is checked before anything is written.
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


def create(target: Path, text: str) -> bool:
    """Create the file `target` with `text` (UTF-8), atomically, unless it exists; return whether it was created.

    Of several processes that create the same file, on whatever machines, one succeeds.
    """
    draft = target.with_name(f"{_DRAFT_PREFIX}{uuid4().hex[:12]}{target.suffix[:12]}")
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def is_draft(path: Path) -> bool:
    """Return whether `path` has the name of a draft of `replacing`."""
    return path.name.startswith(_DRAFT_PREFIX)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes left in `folder`.

    Only the process that holds the folder's lock may call this, because it would remove another writer's draft.
    """
    for path in folder.iterdir():
        if is_draft(path):
            path.unlink(missing_ok=True)


def check_writable(target: Path) -> None:
    """Raise the OSError that writing the file `target` would raise now, before any expensive work.

    No files remain. Folders that do not exist yet are only checked for whether they could be created.
    """
    if _is_device(target):
        if not os.access(target, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        return
    _refuse_irregular(target)
    if target.exists() and not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    if target.is_symlink() and not target.exists():
        raise OSError(errno.ENOENT, "a broken link", str(target))
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """Raise the OSError that creating `folder`, or a file in it, would raise now. No files remain."""
    while not folder.exists():
        if folder.is_symlink():
            raise OSError(errno.ENOENT, "a broken link", str(folder))
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file, but a folder is required", str(folder))
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(folder)
        raise


def _is_device(target: Path) -> bool:
    return target.exists() and not target.is_file() and not target.is_dir()


def _refuse_irregular(target: Path) -> None:
    target.is_symlink()  # raises OSError for names that the file system does not support
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, but a file is required", str(target))
    if _is_device(target):
        raise OSError(errno.EINVAL, "a device, but a regular file is required", str(target))


def write_bytes(target: Path, content: bytes, before: Callable[[Path], None] | None = None) -> None:
    """Write `content` to `target` atomically. A device or a pipe is written to directly.

    Libraries that write files tend to wrap or print an OSError. Let them write into memory, then call this function.

    Args:
        target: The file.
        content: Its new content.
        before: As in `replacing`.

    Raises:
        OSError: Writing fails. There are no other errors.
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
    r"""Write `text` (UTF-8) to `target` as `write_bytes` does.

    A byte of a file name that is not UTF-8 (a lone surrogate from `os.fsdecode`) becomes an escape such as `\udcff`,
    which has the same meaning in JSON.
    """
    write_bytes(target, text.encode("utf-8", errors="backslashreplace"))
