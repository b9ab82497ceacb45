"""Handles Ctrl-C and SIGTERM at points where work can stop cleanly."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredInterrupt:
    """Records the first Ctrl-C or SIGTERM instead of raising. A second one calls the original handler.

    `restore` sets the handlers that were active when the object was created. Only the main thread can set handlers; in
    other threads nothing changes. An ignored signal (a background job of a shell) stays ignored.

    Attributes:
        requested: Whether one of the signals has arrived.
        number: Which one; 0 if none has.
    """

    def __init__(self) -> None:
        """Store the current handlers, which stay active until `install`."""
        self.requested = False
        self.number = 0
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        # None means that the handler was not set by Python and cannot be restored.
        self._original: dict[int, Any] = {
            number: was for number, was in handlers.items() if was not in (None, signal.SIG_IGN)
        }

    def install(self) -> None:
        """Set the handlers."""
        self._set(dict.fromkeys(self._original, self._request))

    def restore(self) -> None:
        """Restore the original handlers, even if others have replaced them."""
        self._set(self._original)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.number = number
        self.restore()

    def _set(self, handlers: Mapping[int, Any]) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def postponed_interrupts() -> Iterator[Callable[[], None]]:
    """Postpone Ctrl-C and SIGTERM within the context; yield a function that raises KeyboardInterrupt if there was one.

    By default, Python raises KeyboardInterrupt at any point; inside a callback of a C library it is printed and lost. A
    pending interrupt is raised at the end of the context. `DeferredInterrupt` describes which signals count.

    >>> try:
    ...     with postponed_interrupts() as check:
    ...         signal.raise_signal(signal.SIGTERM)
    ...         print("between two tiles")
    ...         check()
    ... except KeyboardInterrupt:
    ...     print("stopped")
    between two tiles
    stopped
    """
    interrupt = DeferredInterrupt()

    def check() -> None:
        if interrupt.requested:
            raise KeyboardInterrupt

    interrupt.install()
    try:
        yield check
        check()
    finally:
        interrupt.restore()
