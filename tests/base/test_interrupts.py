"""Tests that Ctrl-C and SIGTERM are recorded, handled at safe points and reported."""

import signal
import threading
from pathlib import Path

import pytest

from nitido.base.interrupts import postponed_interrupts
from tests.forked import ForkServer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_raised_by_the_check(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []

    def work() -> None:
        with postponed_interrupts() as check:
            check()
            signal.raise_signal(number)
            reached.append("after the signal")
            check()
            reached.append("after the check")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["after the signal"]
    assert signal.getsignal(number) is before


def test_a_second_interrupt_acts_immediately() -> None:
    reached = []

    def work() -> None:
        with postponed_interrupts():
            signal.raise_signal(signal.SIGINT)
            reached.append("after the first")
            signal.raise_signal(signal.SIGINT)
            reached.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["after the first"]


def test_an_unchecked_interrupt_is_raised_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), postponed_interrupts():
        signal.raise_signal(signal.SIGINT)


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with postponed_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_signals_alone() -> None:
    seen = []

    def listen() -> None:
        with postponed_interrupts() as check:
            check()
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]


def test_every_command_ends_with_one_line(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import signal, sys\nfrom nitido.cli.app import app, main\n"
        "@app.command()\ndef wait(): signal.raise_signal(signal.SIGINT)\n"
        "sys.argv = ['nitido', 'wait']\nmain()\n"
    )
    ended = fork_server.python(code, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (130, "", "nitido: interrupted\n")
