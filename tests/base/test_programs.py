"""Tests that external programs give their output or one reason within the time limit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nitido.base import programs
from nitido.base.programs import ProgramError, run_program


@pytest.fixture
def program(tmp_path: Path):
    """Write a shell script and return its path."""

    def write(text: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_output_is_returned_as_it_is(program) -> None:
    given = bytes(range(256)) * 4000
    assert run_program([program("cat")], 10, given) == given


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("echo; printf '\\033[31mno such option\\n' >&2; exit 1", "[31mno such option"),
        ("kill -9 $$", "it was ended by signal 9"),
        ("sleep 1000", "it did not end within 0.5 s"),
        ("sleep 1000 & wait", "it did not end within 0.5 s"),
        ("trap '' TERM INT HUP; while true; do :; done", "it did not end within 0.5 s"),
    ],
)
def test_failures_are_one_reason(program, text: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(ProgramError) as refused:
        run_program([program(text)], 0.5)
    assert refused.value.reason == reason
    assert time.monotonic() - started < 5


def test_endless_output_ends(program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LARGEST_OUTPUT", 2**20)
    with pytest.raises(ProgramError, match="it wrote more than 1 MiB"):
        run_program([program("yes")], 60)


def test_children_with_open_output_do_not_block(program) -> None:
    started = time.monotonic()
    assert run_program([program("sleep 20 & echo done")], 10) == b"done\n"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("command", [["/no/such/program"], ["/"], ["a\0b"]])
def test_a_program_that_cannot_be_started_gives_one_reason(command: list[str]) -> None:
    with pytest.raises(ProgramError, match="it cannot be started"):
        run_program(command, 10)


def test_a_file_that_is_not_executable_gives_one_reason(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01\x02")
    garbage.chmod(0o755)
    with pytest.raises(ProgramError, match="it cannot be started"):
        run_program([str(garbage)], 10)


def test_an_interrupt_ends_the_program_and_its_children(tmp_path: Path) -> None:
    """Run in a separate process, which receives SIGINT."""
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"
    code = f"from nitido.base.programs import run_program; run_program(['/bin/sh', '-c', {script!r}], 1000)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not pids.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(2)
    process.wait(30)
    while (running := [pid for pid in pids.read_text().split() if _runs(int(pid))]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
