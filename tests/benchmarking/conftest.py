"""The benchmarks' own caches, away from the user's."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "benchmark-cache"
    monkeypatch.setenv("NITIDO_CACHE", str(folder))
    return folder
