"""Makes text of unknown origin (file names, messages of other programs) safe to print on a terminal."""


def printable(text: object) -> str:
    r"""Return `str(text)` on one line, with every invisible character replaced by its escape.

    This escapes control characters (ANSI sequences, newlines, tabs), line and paragraph separators, spaces other than
    the plain one, invisible characters and those that change the writing direction, unassigned and private characters,
    and bytes of a file name that are not UTF-8 (Python stores those as lone surrogates). Backslashes are not escaped:
    the result is for people and cannot be parsed back.

    >>> print(printable("a\x1b[2J\n\u202egnp.exe\udcff é"))
    a\x1b[2J\n\u202egnp.exe\xff é
    """
    shown = str(text)
    return shown if shown.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in shown)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's surrogate for a byte from 0x80 to 0xff
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
