"""Names that become directories: of studies, profiles and variants."""

import re

MOST_CHARACTERS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)


def check_name(name: str) -> str:
    """Return `name`; raise `ValueError` if it cannot be the name of a directory on every file system.

    >>> check_name("pixel_shuffle+gelu")
    'pixel_shuffle+gelu'
    >>> check_name("../up")
    Traceback (most recent call last):
    ValueError: '../up' cannot name a directory: use letters, digits and _ . + - only, a letter or digit first
    """
    shown = repr(name if len(name) <= MOST_CHARACTERS else f"{name[:20]}…")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{shown} cannot name a directory: use letters, digits and _ . + - only, a letter or digit first"
        )
    if len(name) > MOST_CHARACTERS:
        raise ValueError(f"{shown} cannot name a directory: more than {MOST_CHARACTERS} characters")
    if _RESERVED.fullmatch(name):
        raise ValueError(f"{shown} cannot name a directory: Windows reserves it or ignores its last dot")
    return name
