"""YAML files: a strict reader with limits (YAML 1.2 core schema) and a writer whose output reads back equal."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from nitido.base.errors import NitidoError
from nitido.base.scalars import scalar

MOST_BYTES = 2**19
MOST_LEVELS = 32
MOST_VALUES = 50_000
"""Maximum number of values in a file, including those repeated by aliases."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")


class YamlError(NitidoError):
    """A YAML file cannot be read."""


def read_yaml(path: Path, error: type[NitidoError] = YamlError) -> dict[str, Any]:
    """Return the mapping in a file; raise `error` as one line with the position if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise error(f"{path}: cannot be read ({reason})") from None
    return parse_yaml(content, str(path), error)


def parse_yaml(content: bytes, where: str, error: type[NitidoError] = YamlError) -> dict[str, Any]:
    """Return the mapping that `content` describes.

    Scalars are those of YAML 1.2's core schema (`010` is ten, `yes` is a string). Duplicate keys, keys that are not
    strings, tags, a second document, infinity and NaN are errors, and so is exceeding `MOST_BYTES`, `MOST_LEVELS` or
    `MOST_VALUES`.

    Args:
        content: Content of a file.
        where: Start of error messages.
        error: Class of raised errors.

    >>> parse_yaml(b"{a: [010, yes], b: 1e-3}", "example")
    {'a': [10, 'yes'], 'b': 0.001}
    """
    try:
        values = _Reader(_decoded(content)).document()
    except _ProblemError as problem:
        raise error(f"{where}: not valid YAML, {problem}") from None
    if not isinstance(values, dict):
        found = {list: "a list", type(None): "nothing"}.get(type(values), repr(values)[:40])
        raise error(f"{where}: expected a mapping of keys, found {found}")
    return values


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML text in their own order; `parse_yaml` reads them back equal."""
    text: str = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )
    return text


class _ProblemError(Exception):
    def __init__(self, line: int, column: int, problem: str) -> None:
        """Store the problem and its position, counted from 0."""
        super().__init__(f"line {line + 1}, column {column + 1}: {problem}")


def _decoded(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise _ProblemError(0, 0, f"the file is larger than {MOST_BYTES // 1024} KiB")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _ProblemError(0, 0, "the file is UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = content[: problem.start].decode("utf-8")
        raise _ProblemError(*_position(before), f"byte 0x{content[problem.start]:02x} is not UTF-8") from None
    text = text.removeprefix("\ufeff")
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        place = _position(text[: forbidden.start()])
        raise _ProblemError(*place, f"the character U+{ord(forbidden[0]):04X} is not allowed")
    return text


def _position(before: str) -> tuple[int, int]:
    """Return the line and column after `before`, counted from 0."""
    lines = _LINE_BREAK.split(before)
    return len(lines) - 1, len(lines[-1])


@dataclass(frozen=True)
class _Node:
    """A value, and the number of values that it contains."""

    value: Any
    size: int


class _Reader:
    """Builds the values of one document from the parser's events."""

    def __init__(self, text: str) -> None:
        self._events = _events(text)
        self._anchors: dict[str, _Node | None] = {}
        self._size = 0

    def document(self) -> Any:
        """Return the document's value; None for an empty file."""
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            return None
        if isinstance(start, DocumentStartEvent) and start.version not in (None, (1, 2)):
            raise _problem(start, "only YAML 1.2 is supported: remove the %YAML line")
        value = self._node(next(self._events), level=1).value
        next(self._events)  # the document's end
        second = next(self._events)
        if not isinstance(second, StreamEndEvent):
            raise _problem(second, "a second document starts here: one file may contain only one")
        return value

    def _node(self, event: Event, level: int) -> _Node:
        assert isinstance(event, NodeEvent)
        if isinstance(event, AliasEvent):
            node = self._anchors.get(event.anchor or "")
            if node is None:
                raise _problem(
                    event, f"the alias *{str(event.anchor)[:40]} has no anchor before it, or is inside its own anchor"
                )
            self._count(event, node.size)
            return node
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _problem(event, f"the tag {tag[:40]} is not allowed")
        if level > MOST_LEVELS:
            raise _problem(event, f"more than {MOST_LEVELS} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        before = self._size
        self._count(event, 1)
        value = self._value(event, level)
        node = _Node(value, self._size - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _value(self, event: Event, level: int) -> Any:
        if isinstance(event, SequenceStartEvent):
            return self._sequence(level + 1)
        if isinstance(event, MappingStartEvent):
            return self._mapping(level + 1)
        assert isinstance(event, ScalarEvent)
        if "\0" in event.value:
            raise _problem(event, "the character U+0000 is not allowed")
        if not event.implicit[0]:  # quoted, or a block of text
            return event.value
        try:
            return scalar(event.value)
        except ValueError as problem:
            raise _problem(event, str(problem)) from None

    def _sequence(self, level: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            values.append(self._node(event, level).value)
        return values

    def _mapping(self, level: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, level).value
            if not isinstance(key, str):
                raise _problem(event, f"a key must be text, found {str(key)[:40]}")
            if key in values:
                raise _problem(event, f"duplicate key {key[:40]!r}, first used in line {lines[key]}")
            lines[key] = _place(event)[0] + 1
            values[key] = self._node(next(self._events), level).value
        return values

    def _count(self, event: Event, size: int) -> None:
        self._size += size
        if self._size > MOST_VALUES:
            raise _problem(event, f"more than {MOST_VALUES} values")


def _events(text: str) -> Iterator[Event]:
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line, mark.column) if mark is not None else (0, 0)
        raise _ProblemError(*place, " ".join(str(error.problem or error.context).split())) from None
    except yaml.YAMLError as error:
        raise _ProblemError(0, 0, " ".join(str(error).split())) from None
    except (ValueError, OverflowError):
        raise _ProblemError(0, 0, "an escape in quoted text is not a Unicode character") from None


def _problem(event: Event, problem: str) -> _ProblemError:
    return _ProblemError(*_place(event), problem)


def _place(event: Event) -> tuple[int, int]:
    """Return the line and column where the event starts, counted from 0."""
    mark = event.start_mark
    return (mark.line, mark.column) if mark is not None else (0, 0)


class _Dumper(yaml.SafeDumper):
    """Quotes every string that would be read as another type, and never writes an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True, so that equal values are written out repeatedly."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if _reads_as_itself(text) else '"')


def _reads_as_itself(text: str) -> bool:
    try:
        return isinstance(scalar(text), str) and not _FORBIDDEN.search(text) and not _LINE_BREAK.search(text)
    except ValueError:
        return False


_Dumper.add_representer(str, _represent_text)
