"""Files that are either whole or not there: write beside the target, then rename."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on success it becomes `target`, on any error it is removed.

    Readers see the old file or the new one, never half of either, even after `kill -9` or on a full disk. An OSError
    that does not say which file it is about is told.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part{target.suffix}")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` atomically; raises OSError, and nothing else, when the disk does not take it.

    Libraries that write files themselves tend to wrap or print that error: let them write into memory, then come here.
    """
    with replacing(target) as draft:
        draft.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically; errors as in `write_bytes`."""
    write_bytes(target, text.encode("utf-8"))
