"""Reading ahead and writing behind: order, errors, bounds, and how it ends."""

import time
from threading import Event, Lock

import pytest

from nitido.base.errors import NitidoError
from nitido.upscaling.pipeline import overlapped

PATIENCE = 20


def nothing() -> None:
    """Do not interrupt."""


def test_results_come_in_order_and_errors_belong_to_their_item() -> None:
    def read(item: int) -> int:
        if item == 2:
            raise NitidoError("read 2")
        return item * 10

    def work(item: int, loaded: int) -> int:
        if item == 4:
            raise OSError("work 4")
        return loaded + 1

    def write(item: int, made: int, pulse: object) -> str:
        if item == 5:
            raise NitidoError("write 5")
        return f"{item}:{made}"

    outcomes = [(item, str(outcome)) for item, outcome in overlapped(range(7), read, work, write, nothing)]
    expected = ["0:1", "1:11", "read 2", "3:31", "work 4", "write 5", "6:61"]
    assert sorted(outcomes) == list(enumerate(expected))
    assert list(overlapped([], read, work, write, nothing)) == []


def test_reading_and_writing_overlap_with_the_work() -> None:
    read_begun, work_begun = [Event() for _ in range(4)], [Event() for _ in range(4)]

    def read(item: int) -> None:
        read_begun[item].set()

    def work(item: int, loaded: None) -> bool:
        work_begun[item].set()
        return item == 3 or read_begun[item + 1].wait(PATIENCE)

    def write(item: int, ahead: bool, pulse: object) -> bool:
        return ahead and (item == 3 or work_begun[item + 1].wait(PATIENCE))

    assert [outcome for _, outcome in overlapped(range(4), read, work, write, nothing)] == [True] * 4


def test_at_most_three_images_are_in_memory() -> None:
    lock, held, most = Lock(), set(), []

    def read(item: int) -> None:
        with lock:
            held.add(item)
            most.append(len(held))

    def work(item: int, loaded: None) -> None:
        time.sleep(0.002)

    def write(item: int, made: None, pulse: object) -> None:
        time.sleep(0.005)
        with lock:
            held.remove(item)

    assert len(list(overlapped(range(20), read, work, write, nothing))) == 20
    assert max(most) == 3


def test_an_interrupt_lets_the_current_write_finish() -> None:
    writing, stopped, written = Event(), Event(), []

    def work(item: int, loaded: int) -> int:
        if item == 1:
            assert writing.wait(PATIENCE)
            stopped.set()
            raise KeyboardInterrupt
        return loaded

    def write(item: int, made: int, pulse: object) -> None:
        writing.set()
        assert stopped.wait(PATIENCE)
        time.sleep(0.05)
        written.append(item)

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(range(5), lambda item: item, work, write, nothing))
    assert written == [0]


def test_interrupts_are_seen_while_waiting() -> None:
    release, asked = Event(), []

    def check() -> None:
        asked.append(True)
        release.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(overlapped([0], lambda item: release.wait(PATIENCE), lambda i, r: r, lambda i, m, p: m, check))
    assert asked == [True]


def test_an_unforeseen_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(overlapped([0], lambda item: item, lambda i, r: 1 // r, lambda i, m, p: m, nothing))
    with pytest.raises(ZeroDivisionError):
        list(overlapped([0], lambda item: item, lambda i, r: r, lambda i, m, p: 1 // m, nothing))
