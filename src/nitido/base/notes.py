"""Notes to the user: one line on standard error, each printed once per process."""

import sys
from contextlib import suppress

from nitido.base.printable import printable

_said: set[str] = set()


def note(message: str) -> None:
    """Print `note: <message>` as one line on standard error, unless this process has already printed it."""
    if message in _said:
        return
    _said.add(message)
    with suppress(OSError, ValueError):  # standard error is closed or full
        print(f"note: {printable(message)}", file=sys.stderr)
