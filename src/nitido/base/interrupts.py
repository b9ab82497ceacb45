"""Ctrl-C and SIGTERM, heard where work can be stopped cleanly."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredInterrupt:
    """Remembers the first Ctrl-C or SIGTERM instead of raising; a second one acts as it did before.

    The handlers that are restored are those that were set when the object was made. Only the main thread can set
    handlers: in others, signals act as they always do. A signal that is ignored (a shell's background job) stays
    ignored.

    Attributes:
        requested: whether one of the signals has arrived.
    """

    def __init__(self) -> None:
        """Remember the handlers; signals act as before until `install`."""
        self.requested = False
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        # None: set by someone other than Python, and could not be restored.
        self._original: dict[int, Any] = {
            number: was for number, was in handlers.items() if was not in (None, signal.SIG_IGN)
        }

    def install(self) -> None:
        """Set the handlers."""
        self._set(dict.fromkeys(self._original, self._request))

    def restore(self) -> None:
        """Restore the handlers that were set before, whoever has replaced them."""
        self._set(self._original)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.restore()

    def _set(self, handlers: Mapping[int, Any]) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def postponed_interrupts() -> Iterator[Callable[[], None]]:
    """Defer Ctrl-C and SIGTERM; yield a function that raises KeyboardInterrupt if one has arrived.

    Python raises KeyboardInterrupt wherever it happens to be, and inside a callback of a C library it is printed and
    lost. An interrupt that was not checked for is raised at the end. `DeferredInterrupt` says which signals count.

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
