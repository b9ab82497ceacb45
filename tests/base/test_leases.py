"""One process at a time holds a directory, also where locks do not reach other machines."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from nitido.base import leases
from nitido.base.json_files import signed_json
from nitido.base.leases import LeaseLostError, LeaseRecord, is_leased, is_unused, leased, read_lease
from nitido.base.locks import BusyError

HOLD = """
import sys, time
from pathlib import Path
from nitido.base.leases import leased
with leased(Path(sys.argv[1])) as lease:
    lease.publish({"step": 3})
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_in(directory: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that passes no locks on to other machines."""
    monkeypatch.setattr(leases, "_try_lock", lambda directory: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "STALE_AFTER", 1.0)
    monkeypatch.setattr(leases, "BEAT", 0.1)
    monkeypatch.setattr(leases, "_POLL", 0.05)


def lease_of_another_machine(directory: Path, number: int = 1) -> Path:
    record = LeaseRecord("another", "elsewhere", 1, "token", "2026-01-01T00:00:00+00:00")
    path = directory / f".lease-{number:06d}.json"
    directory.mkdir(exist_ok=True)
    path.write_text(signed_json(vars(record)))
    return path


def test_a_directory_is_busy_until_its_process_ends_and_free_at_once_after_a_kill(tmp_path: Path) -> None:
    with another_process_in(tmp_path) as other:
        assert is_leased(tmp_path)
        with pytest.raises(BusyError, match="another process is using it"), leased(tmp_path):
            pass
        other.kill()
        other.wait()
        assert not is_leased(tmp_path)
        record = read_lease(tmp_path)
        assert record is not None
        assert not record.released
        began = time.monotonic()
        with leased(tmp_path):
            assert is_leased(tmp_path)
        assert time.monotonic() - began < leases.STALE_AFTER / 2
    assert not is_leased(tmp_path)


def test_the_holder_publishes_its_progress(tmp_path: Path, quick: None) -> None:
    with leased(tmp_path) as lease:
        lease.publish({"step": 7, "validation": float("inf")})
        until = time.monotonic() + 10
        while (record := read_lease(tmp_path)) is None or not record.progress:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert record.progress == {"step": 7, "validation": None}
        assert record.process == os.getpid()
    after = read_lease(tmp_path)
    assert after is not None
    assert after.released


def test_a_lease_of_another_machine_is_taken_over_only_if_it_is_not_renewed(
    tmp_path: Path, quick: None, without_locks: None
) -> None:
    path = lease_of_another_machine(tmp_path / "dead")
    assert is_leased(path.parent)
    began = time.monotonic()
    with leased(path.parent):
        assert time.monotonic() - began >= 1.0
    assert not path.exists()

    alive = lease_of_another_machine(tmp_path / "alive")
    ended = threading.Event()

    def renew() -> None:
        beat = 0
        while not ended.wait(0.1):
            beat += 1
            alive.write_text(json.dumps({"beat": beat}))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(BusyError), leased(alive.parent):
            pass
    finally:
        ended.set()
        thread.join()


def test_a_clock_that_jumps_makes_no_lease_stale(
    tmp_path: Path, quick: None, without_locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_process_in(tmp_path):
        monkeypatch.setattr(leases, "STALE_AFTER", 4.0)  # the other process renews its lease every 3 s
        monkeypatch.setattr(time, "time", lambda: 4e9)
        os.utime(next(tmp_path.glob(".lease-*")), (0, 0))
        with pytest.raises(BusyError), leased(tmp_path):
            pass


def test_one_of_many_takes_a_stale_lease_over(tmp_path: Path, quick: None, without_locks: None) -> None:
    lease_of_another_machine(tmp_path)
    holding = threading.Barrier(16)

    def attempt(number: int) -> bool:
        try:
            with leased(tmp_path):
                holding.wait()
                return True
        except BusyError:
            holding.wait()
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_a_holder_that_was_not_heard_of_is_told_that_another_took_over(
    tmp_path: Path, quick: None, without_locks: None
) -> None:
    told = threading.Event()
    with leased(tmp_path, on_lost=told.set) as lease:
        lease.check()
        lease_of_another_machine(tmp_path, number=2)
        assert told.wait(10)
        with pytest.raises(LeaseLostError, match="another process has taken over"):
            lease.check()
    assert not json.loads((tmp_path / ".lease-000002.json").read_text())["released"]


def test_leases_do_not_make_a_directory_used(tmp_path: Path) -> None:
    with leased(tmp_path / "new"):
        pass
    assert is_unused(tmp_path / "new")
    (tmp_path / "new" / "file").touch()
    assert not is_unused(tmp_path / "new")


def test_a_damaged_lease_is_taken_over_when_it_does_not_change(tmp_path: Path, quick: None) -> None:
    (tmp_path / ".lease-000001.json").write_text("{")
    assert read_lease(tmp_path) is None
    with leased(tmp_path):
        pass
