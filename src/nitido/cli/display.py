"""Show on standard error what a command is doing: live on a terminal, in occasional lines in a log."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from nitido.base.activity import Activity, activity, listening
from nitido.base.printable import printable

SHOWN_AFTER = 0.3
"""Seconds after which an activity appears on a terminal; shorter ones would only flicker."""

LOGGED_AFTER = 2.5
"""Seconds after which an activity is a line in a log."""

LOGGED_EVERY = 30.0
"""Seconds between two lines about the same work in a log."""

_current: ContextVar["Display | None"] = ContextVar("display", default=None)


def current_display() -> "Display":
    """Return the display of the running command, or a new one outside a command."""
    return _current.get() or Display()


@contextmanager
def loading() -> Iterator[None]:
    """Announce the imports of the block, mainly PyTorch, on a terminal but not in a log."""
    with activity("loading PyTorch") if current_display().is_live else nullcontext():
        yield


class Display:
    """The live part of a terminal: the panels of a command and its activities below them.

    Implements `ActivityListener` and does not use standard output. If standard error is not a terminal, an activity
    longer than `LOGGED_AFTER` is printed as a line, and again every `LOGGED_EVERY` seconds with its progress.
    """

    def __init__(self) -> None:
        """Start without panels and activities."""
        self.console = Console(stderr=True)
        self._live: Live | None = None
        self._panels: list[RenderableType] = []
        self._activities: dict[Activity, float] = {}
        self._spinner = Spinner("dots")
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._process = os.getpid()

    @property
    def is_live(self) -> bool:
        """Whether standard error is a terminal."""
        return self.console.is_terminal

    @contextmanager
    def for_command(self) -> Iterator[Self]:
        """Receive the activities of the block, which is a command."""
        token = _current.set(self)
        try:
            with listening(self):
                yield self
        finally:
            _current.reset(token)

    @contextmanager
    def panel(self, renderable: RenderableType) -> Iterator[None]:
        """Show `renderable` at the top of the live part during the block; not in a log."""
        with self._lock:
            self._panels.append(renderable)
            self._show()
        try:
            yield
        finally:
            with self._lock:
                self._panels.remove(renderable)
                self._hide_if_empty()

    def print(self, line: object) -> None:
        """Print one line above the live part, escaped; nothing in it is markup."""
        self.console.print(Text(printable(line)), soft_wrap=True)

    def activity_began(self, activity: Activity) -> None:
        """Show it, unless it ends very soon."""
        if os.getpid() != self._process:  # a forked process, whose parent shows what it waits for
            return
        with self._lock:
            self._activities[activity] = time.monotonic()
            if len(self._activities) == 1:
                self._wait(SHOWN_AFTER if self.is_live else LOGGED_AFTER)

    def activity_advanced(self, activity: Activity) -> None:
        """Do nothing: the live part is drawn again several times a second."""

    def activity_ended(self, activity: Activity) -> None:
        """Remove it."""
        if os.getpid() != self._process:
            return
        with self._lock:
            del self._activities[activity]
            if not self._activities and self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._hide_if_empty()

    def _wait(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._due)
        self._timer.daemon = True
        self._timer.start()

    def _due(self) -> None:
        with self._lock:
            if not self._activities:
                return
            if self.is_live:
                self._show()
                return
            *_, (innermost, began) = self._activities.items()
            lasted = time.monotonic() - began
            if lasted >= LOGGED_AFTER:
                self.print(_words(innermost))
                self._wait(LOGGED_EVERY)
            else:
                self._wait(LOGGED_AFTER - lasted)

    def _show(self) -> None:
        if self._live is None and self.is_live:
            self._live = Live(
                console=self.console,
                get_renderable=self._renderable,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()

    def _hide_if_empty(self) -> None:
        if self._live is not None and not self._panels and not self._activities:
            live, self._live = self._live, None
            live.stop()

    def _renderable(self) -> RenderableType:
        lines = [Text(f"{_words(a)}  {_clock(began)}", no_wrap=True) for a, began in [*self._activities.items()]]
        if lines:
            self._spinner.update(text=lines[-1])
        return Group(*self._panels, *lines[:-1], *([self._spinner] if lines else []))


def _words(activity: Activity) -> str:
    count = "" if activity.total is None else f": {activity.done} of {activity.total}"
    return printable(activity.text) + count


def _clock(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"{minutes}:{seconds:02d}"
