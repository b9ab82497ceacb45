"""Fixtures every test may use."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.forked import ForkServer

SHARED = Path(os.environ.get("NITIDO_SHARED", Path(__file__).parents[2] / "shared"))
"""The folder with reference images, MATLAB's output and weights that are not part of the repository."""

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long examples take is no test's business


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the reference folder, and leave them out where it does not exist."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
    if not SHARED.is_dir():
        items[:] = [item for item in items if item.get_closest_marker("shared") is None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that tests were left out, what they need and how to get it."""
    if not SHARED.is_dir():
        terminalreporter.write_line(
            "left out: the tests that need the classic test sets, MATLAB's output or published weights, as there is no "
            f"{SHARED}: set NITIDO_SHARED to a folder with them (CONTRIBUTING.md, Reference data, says how to make it)"
        )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference images, MATLAB's output and weights that are not part of the repository."""
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def sigint_not_ignored() -> Iterator[None]:
    """Handle SIGINT as at a terminal, because background jobs of a shell and their children ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A process that has imported nitido and forks children, in which commands and functions run."""
    with ForkServer() as server:
        yield server


class Clock:
    """Time that passes by `sleep` alone: what is counted can then be compared exactly, on a busy machine too."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "perf_counter", found)
    return found
