"""Parses the scalars of YAML 1.2's core schema, for YAML files and for `--set`."""

import math
import re

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NAMED: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MOST_DIGITS = 100

Scalar = str | int | float | bool | None


def scalar(text: str) -> Scalar:
    """Return the value of the unquoted word `text`. Text that is not a number, bool or null is a string.

    Raises:
        ValueError: Infinity, NaN, or a number too large for a float.

    >>> [scalar(word) for word in ("010", "1e-3", "true", "~", "yes", "1:30", "1_000")]
    [10, 0.001, True, None, 'yes', '1:30', '1_000']
    """
    if text in _NAMED:
        return _NAMED[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text}: infinite numbers and NaN are not allowed")
    if len(text) > _MOST_DIGITS and any(kind.fullmatch(text) for kind in (_INTEGER, _OCTAL, _HEXADECIMAL, _FLOAT)):
        raise ValueError(f"{text[:20]}…: a number of more than {_MOST_DIGITS} characters")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text}: the number is too large")
        return value
    return text
