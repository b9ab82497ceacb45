"""Validates that values have exactly the annotated type. pydantic's silent conversions become errors."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from nitido.base.errors import nearest
from nitido.base.scalars import scalar

_WORDS = {int: "a valid integer", float: "a valid number", bool: "true, false", str: "a valid string"}


class WrongTypeError(ValueError):
    """A value has another type than its field; `path` leads to it from the field."""

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        """Store the message and the path."""
        super().__init__(message)
        self.path = path


def exact(value: Any, annotation: Any) -> Any:
    """Return `value`, with text parsed as a number or bool unless `annotation` permits text.

    Only numbers, bools and text are checked, including those inside lists and mapping values. pydantic checks
    everything else.

    Raises:
        WrongTypeError: A bool instead of a number, a number instead of a bool, a float instead of an integer, or text
            that is none of them.

    >>> exact(["1", "010"], tuple[int, ...]), exact("1e-3", float), exact("1", str)
    ([1, 10], 0.001, '1')
    >>> exact(True, int)
    Traceback (most recent call last):
    nitido.base.exact_types.WrongTypeError: input should be a valid integer, got true
    """
    kinds = _kinds(annotation)
    if not kinds:
        return value
    if isinstance(value, list) and not _holds_several(annotation):
        raise WrongTypeError(
            f"input should be {_expected(kinds)}, got a list of {len(value)}{_hint_of_point(value, kinds)}"
        )
    return _exact(value, kinds, ())


def _kinds(annotation: Any) -> frozenset[Any]:
    """Return the scalar types and literals that a field permits; empty if it permits anything."""
    if annotation in (int, float, bool, str):
        return frozenset([annotation])
    if annotation is Any or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return frozenset()
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return frozenset(arguments)
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), Mapping):
        return _kinds(arguments[1])
    parts = [part for part in _parts(annotation) if part not in (NoneType, Ellipsis)]
    found = [_kinds(part) for part in parts]
    return frozenset().union(*found) if all(found) else frozenset()


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, tuple or annotated type, without metadata."""
    arguments = get_args(annotation)
    return arguments[:1] if hasattr(annotation, "__metadata__") else arguments


def _holds_several(annotation: Any) -> bool:
    """Return whether a list is permitted, or permitted somewhere inside, where a validator may accept one."""
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, list | tuple | Mapping):
        return True
    return origin is not Literal and any(_holds_several(part) for part in _parts(annotation))


def _exact(value: Any, kinds: frozenset[Any], path: tuple[str, ...]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_exact(part, kinds, (*path, str(index))) for index, part in enumerate(value))
    if isinstance(value, Mapping):
        return {key: _exact(part, kinds, (*path, str(key))) for key, part in value.items()}
    if isinstance(value, str) and str not in kinds:
        return _from_text(value, kinds, path)
    if isinstance(value, bool | int | float) and not _is_one_of(value, kinds):
        raise WrongTypeError(f"input should be {_expected(kinds)}, got {_shown(value)}", path)
    return value


def _from_text(text: str, kinds: frozenset[Any], path: tuple[str, ...]) -> Any:
    if text in kinds:
        return text
    try:
        value = scalar(text)
    except ValueError as problem:
        raise WrongTypeError(str(problem), path) from None
    if isinstance(value, bool | int | float) and _is_one_of(value, kinds):
        return value
    if float in kinds and text.strip("+-.").lower() in ("nan", "inf", "infinity"):
        raise WrongTypeError(f"input should be a finite number, got {text!r}", path)
    guess = nearest(text, [kind for kind in kinds if isinstance(kind, str)])
    hint = f": did you mean {guess!r}?" if guess else ""
    raise WrongTypeError(f"input should be {_expected(kinds)}, got {text!r}{hint}", path)


def _is_one_of(value: bool | float, kinds: frozenset[Any]) -> bool:
    if isinstance(value, bool):
        return bool in kinds or any(kind is value for kind in kinds)
    if isinstance(value, int):
        return int in kinds or float in kinds or any(kind == value for kind in kinds if type(kind) is int)
    return float in kinds


def _expected(kinds: frozenset[Any]) -> str:
    literals = sorted(str(kind) for kind in kinds if not isinstance(kind, type))
    types = [_WORDS[kind] for kind in _WORDS if kind in kinds and not (kind is int and float in kinds)]
    words = ", ".join([*literals, *types]).split(", ")
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _hint_of_point(values: list[Any], kinds: frozenset[Any]) -> str:
    """Return a hint on how to write a number that a decimal comma has split into two."""
    digits = len(values) == 2 and all(isinstance(value, str) and value.isdecimal() for value in values)
    return f" (use a decimal point: {'.'.join(values)}?)" if digits and float in kinds else ""
