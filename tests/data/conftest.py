"""Gives every test its own data folder and cache."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for images."""
    (tmp_path / "images").mkdir()
    return tmp_path / "images"
