"""Control groups that limit the memory of those who are put into them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIMITS = ("/sys/fs/cgroup/memory/{}/memory.limit_in_bytes", "/sys/fs/cgroup/{}/memory.max")
"""The files that set the limit, in versions 1 and 2."""


@contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """The folder of a new group of at most `limit` bytes; None where none can be made."""
    made = None
    for pattern in LIMITS:
        file = Path(pattern.format(f"nitido-test-{os.getpid()}"))
        with suppress(OSError):
            file.parent.mkdir()
            made = file.parent
            file.write_text(str(limit))
            break
        if made is not None:
            made.rmdir()
            made = None
    try:
        yield made
    finally:
        if made is not None:
            made.rmdir()
