"""Overlaps reading, computing and writing in threads, so that the network does not wait."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from nitido.base.errors import NitidoError

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")
Outcome = TypeVar("Outcome")

_PATIENCE = 0.1  # seconds between two checks for an interrupt


def overlapped(
    items: Sequence[Item],
    read: Callable[[Item], Loaded],
    work: Callable[[Item, Loaded], Made],
    write: Callable[[Item, Made, Callable[[], None]], Outcome],
    check: Callable[[], None],
) -> Generator[tuple[Item, Outcome | NitidoError | OSError], None, None]:
    """Yield each of `items` with the result of `write`, or the first error of the three steps, in order.

    `work` runs in this thread. Meanwhile, one thread reads the next item and another one writes the previous one, at
    most one each. `check` is called while waiting and may raise, which ends everything after the current write is
    finished, unless KeyboardInterrupt is raised again. In that case the third argument of `write`, which it must call
    regularly, raises KeyboardInterrupt in its thread. Exceptions other than the given errors are raised.
    """
    hurry = Event()

    def pulse() -> None:
        if hurry.is_set():
            raise KeyboardInterrupt

    behind: tuple[Item, Future[Outcome]] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = [reader.submit(read, item) for item in items[:1]]
        try:
            for number, item in enumerate(items, start=1):
                loaded = _result(ahead.pop(), check)
                ahead = [reader.submit(read, item) for item in items[number : number + 1]]
                made = loaded if isinstance(loaded, NitidoError | OSError) else _worked(work, item, loaded)
                if behind is not None:
                    outcome = _result(behind[1], check)
                    yield behind[0], outcome
                    behind = None
                if isinstance(made, NitidoError | OSError):
                    yield item, made
                else:
                    behind = item, writer.submit(write, item, made, pulse)
            if behind is not None:
                outcome = _result(behind[1], check)
                yield behind[0], outcome
        finally:
            for future in ahead:
                future.cancel()
            try:
                wait([behind[1]] if behind is not None else [])
            except KeyboardInterrupt:
                hurry.set()
                raise


def _worked(work: Callable[[Item, Loaded], Made], item: Item, loaded: Loaded) -> Made | NitidoError | OSError:
    try:
        return work(item, loaded)
    except (NitidoError, OSError) as error:
        return error


def _result(future: Future[Outcome], check: Callable[[], None]) -> Outcome | NitidoError | OSError:
    while not wait([future], timeout=_PATIENCE).done:
        check()
    error = future.exception()
    if isinstance(error, NitidoError | OSError):
        return error
    return future.result()
