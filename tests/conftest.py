"""Fixtures every test may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import ForkServer


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference pictures, golden data and weights that are not part of the repository."""
    folder = Path(os.environ.get("NITIDO_SHARED", Path(__file__).parents[2] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set NITIDO_SHARED to the folder with data/ and golden/"
    return folder


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """As at a terminal: a shell starts its background jobs, and so their children, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A process that has imported nitido and forks children, in which commands and functions run."""
    with ForkServer() as server:
        yield server
