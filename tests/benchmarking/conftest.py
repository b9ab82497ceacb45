"""The benchmarks' own caches, away from the user's, and a clock that goes only when it is told to."""

import time
from pathlib import Path

import pytest


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


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "benchmark-cache"
    monkeypatch.setenv("NITIDO_CACHE", str(folder))
    return folder
