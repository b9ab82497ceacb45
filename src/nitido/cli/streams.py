"""Fault-tolerant standard output and error: printing never raises, so that no command loses its result."""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Sink(io.RawIOBase):
    """A file descriptor that records its first error and then discards all output instead of raising it."""

    def __init__(self, descriptor: int, error: OSError | None = None) -> None:
        self.descriptor = descriptor
        self.error = error

    def write(self, content: "ReadableBuffer", /) -> int:
        while self.error is None:
            try:
                return os.write(self.descriptor, content)
            except BlockingIOError:
                select.select([], [self.descriptor], [])
            except OSError as error:
                self.error = error
        return memoryview(content).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)


class StandardOutput:
    """The state of standard output."""

    def __init__(self) -> None:
        """Start without a sink, as for streams that are not files."""
        self.sink: _Sink | None = None

    @property
    def error(self) -> OSError | None:
        """The error that lost output; None if the reader has left (`| head`) or the stream was closed."""
        error = self.sink.error if self.sink is not None else None
        return None if error is None or error.errno in (errno.EPIPE, errno.EBADF) else error


@contextmanager
def tolerant_streams() -> Iterator[StandardOutput]:
    """Make writing to `sys.stdout` and `sys.stderr` in the block raise nothing.

    Characters that the encoding lacks are escaped. A stream that the caller has closed (`>&-`) discards its output; its
    descriptor is reserved, so that no file that is opened later receives it. Streams that are not files (in a notebook)
    are unchanged.
    """
    output = StandardOutput()
    before = sys.stdout, sys.stderr
    for descriptor in (0, 1, 2):
        _keep_open(descriptor)
    sys.stdout, output.sink = _tolerant(sys.stdout, 1)
    sys.stderr, _ = _tolerant(sys.stderr, 2)
    try:
        yield output
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def is_closed(stream: TextIO) -> bool:
    """Return whether the caller had closed `stream` before the program started."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return isinstance(raw, _Sink) and raw.error is not None and raw.error.errno == errno.EBADF


def _keep_open(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)


def _tolerant(stream: TextIO | None, descriptor: int) -> tuple[TextIO, _Sink | None]:
    if stream is None:  # Python's value for a closed stream
        return _text(_Sink(descriptor, OSError(errno.EBADF, os.strerror(errno.EBADF))), "utf-8")
    try:
        descriptor = stream.fileno()  # may differ from the default: tests and notebooks capture output
    except (OSError, ValueError):
        return stream, None
    stream.flush()
    return _text(_Sink(descriptor), stream.encoding)


def _text(sink: _Sink, encoding: str) -> tuple[TextIO, _Sink]:
    buffer = io.BufferedWriter(sink)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True), sink
