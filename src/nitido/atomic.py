"""Files that are either whole or not there: write beside the target, then rename."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_DRAFT_PREFIX = ".nitido-draft-"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on success it becomes `target`, on any error it is removed.

    Readers see the old file or the new one, never half of either, even after `kill -9` or on a full disk. The draft's
    name has a fixed length, so that every legal target name can be written. An OSError that does not say which file it
    is about gets the target's name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{_DRAFT_PREFIX}{uuid4().hex[:12]}{target.suffix[:12]}")
    try:
        yield draft
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


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` atomically; raises OSError, and nothing else, when the disk does not take it.

    Libraries that write files themselves tend to wrap or print that error: let them write into memory, then come here.
    """
    with replacing(target) as draft:
        draft.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically; errors as in `write_bytes`."""
    write_bytes(target, text.encode("utf-8"))
