"""Notes to people: one line on standard error, each said once in a process."""

import sys
from contextlib import suppress

from nitido.base.printable import printable

_said: set[str] = set()


def note(message: str) -> None:
    """Print `note: <message>` as one line on standard error, unless this process has said the same before."""
    if message in _said:
        return
    _said.add(message)
    with suppress(OSError, ValueError):  # standard error is closed or full: there is nobody to tell
        print(f"note: {printable(message)}", file=sys.stderr)
