"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference pictures, golden data and weights that are not part of the repository."""
    folder = Path(os.environ.get("NITIDO_SHARED", Path(__file__).parents[2] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set NITIDO_SHARED to the folder with data/ and golden/"
    return folder
