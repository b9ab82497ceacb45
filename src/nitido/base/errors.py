"""Errors for users: one line that says what was wrong, where, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches

INTERRUPTED = 130
"""The exit code that shells report for a process that Ctrl-C ended."""


class NitidoError(Exception):
    """The base class of errors that a user can cause. The command line prints one line and exits with `exit_code`."""

    exit_code = 1


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that is most similar to `name`, or None if none is similar.

    >>> nearest("leeky_relu", ["relu", "leaky_relu"])
    'leaky_relu'
    >>> nearest("zzz", ["relu"]) is None
    True
    """
    by_lower = {candidate.lower(): candidate for candidate in valid}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def unknown_name(kind: str, name: str, valid: Iterable[str], error: type[NitidoError] = NitidoError) -> NitidoError:
    """Return the error for an unknown name, with the nearest valid name and the list of valid names.

    >>> str(unknown_name("activation", "leeky_relu", ["relu", "leaky_relu"]))
    "unknown activation 'leeky_relu': did you mean 'leaky_relu'? (valid: leaky_relu, relu)"
    """
    valid = sorted(valid)
    guess = nearest(name, valid)
    hint = f"did you mean {guess!r}? " if guess else ""
    return error(f"unknown {kind} {name!r}: {hint}(valid: {', '.join(valid)})")
