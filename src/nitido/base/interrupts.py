"""Ctrl-C and SIGTERM, heard where work can be stopped cleanly."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def postponed_interrupts() -> Iterator[Callable[[], None]]:
    """Inside, Ctrl-C and SIGTERM are remembered; yields a function that raises KeyboardInterrupt if there was one.

    Python raises KeyboardInterrupt wherever it happens to be, and inside a callback of a C library it is printed and
    lost. A second signal acts at once, as it did before. An interrupt that nobody asked for in time is raised at the
    end; the handlers are given back. Only the main thread can listen: in others signals act as they always do. A
    signal that is ignored (a shell's background job) stays ignored.

    >>> try:
    ...     with postponed_interrupts() as check:
    ...         signal.raise_signal(signal.SIGTERM)
    ...         print("between two pieces")
    ...         check()
    ... except KeyboardInterrupt:
    ...     print("stopped")
    between two pieces
    stopped
    """
    requested = False
    original: dict[int, Any] = {}

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        requested = True
        give_back()

    def give_back() -> None:
        for number, handler in original.items():
            signal.signal(number, handler)

    def check() -> None:
        if requested:
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        # None: set by someone other than Python, and could not be given back.
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        original = {number: was for number, was in handlers.items() if was not in (None, signal.SIG_IGN)}
        for number in original:
            signal.signal(number, request)
    try:
        yield check
        check()
    finally:
        give_back()
