"""Notes to people: one line on standard error, each said once in a process."""

import sys
from contextlib import suppress

_said: set[str] = set()


def note(message: str) -> None:
    """Print `nitido: <message>` as one line on standard error, unless this process has said the same before."""
    if message in _said:
        return
    _said.add(message)
    with suppress(OSError, ValueError):  # standard error is closed or full: there is nobody to tell
        print(f"nitido: {escaped(message)}", file=sys.stderr)


def escaped(text: str) -> str:
    r"""Return `text` with every character that is not printable, as in file names, as a backslash escape.

    >>> escaped("a\n\x1b[2Jb \udcff é")
    'a\\n\\x1b[2Jb \\udcff é'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
