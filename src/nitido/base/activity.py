"""Announce long operations, so that whoever started the program can see what it is doing."""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Activity:
    """An operation in progress: `text` for people, and `done` of `total` parts; `total` is None if it has no parts."""

    def __init__(self, text: str, total: int | None) -> None:
        self.text = text
        self.total = total
        self.done = 0


class ActivityListener(Protocol):
    """Receives activities as they begin, advance and end; an activity that begins inside another ends before it."""

    def activity_began(self, activity: Activity) -> None:
        """Receive an activity that begins."""
        ...

    def activity_advanced(self, activity: Activity) -> None:
        """Receive an activity one part of which was done."""
        ...

    def activity_ended(self, activity: Activity) -> None:
        """Receive an activity that ended, by an exception too."""
        ...


_listener: ContextVar[ActivityListener | None] = ContextVar("activity_listener", default=None)


@contextmanager
def listening(listener: ActivityListener) -> Iterator[None]:
    """Send the activities of the block to `listener`; activities of other threads are not announced."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def activity(text: str, total: int | None = None) -> Iterator["Advance"]:
    """Announce the block as `text`, which names the operation in the form "decoding set5".

    Args:
        text: The operation.
        total: The number of its parts, if it has any.

    Yields:
        A function without arguments, to be called after each part.
    """
    listener = _listener.get()
    current = Activity(text, total)
    if listener is None:
        yield lambda: None
        return

    def advance() -> None:
        current.done += 1
        listener.activity_advanced(current)

    listener.activity_began(current)
    try:
        yield advance
    finally:
        listener.activity_ended(current)


class Advance(Protocol):
    """Reports one finished part of an activity."""

    def __call__(self) -> None:
        """Report it."""
        ...


def announced(items: Iterable[T], text: str) -> Iterator[T]:
    """Yield `items`; the activity `text` lasts until they are exhausted, and each item is one of its parts.

    >>> list(announced([1, 2], "decoding"))
    [1, 2]
    """
    with activity(text, len(items) if isinstance(items, Sized) else None) as advance:
        for item in items:
            yield item
            advance()
