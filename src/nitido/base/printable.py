"""Text from outside (file names, other programs' messages) as it may be shown on a terminal."""


def printable(text: object) -> str:
    r"""Return `str(text)` on one line, with every character that is not visible written as its escape.

    Escaped are control characters (ANSI sequences, newlines, tabs), line and paragraph separators, spaces other than
    the plain one, invisible characters and those that change the writing direction, unassigned and private ones, and
    bytes of a file name that are not UTF-8 (Python keeps those as lone surrogates). Backslashes stay as they are: the
    result is for people, and is not meant to be read back.

    >>> print(printable("a\x1b[2J\n\u202egnp.exe\udcff é"))
    a\x1b[2J\n\u202egnp.exe\xff é
    """
    shown = str(text)
    return shown if shown.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in shown)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for the byte 0x80 to 0xff
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
