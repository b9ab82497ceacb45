"""Small pictures in a temporary folder, and a cache and data folder of the test's own."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image


def noise(height: int, width: int, seed: int = 0, channels: int = 3) -> npt.NDArray[np.uint8]:
    """A random picture `(height, width, channels)`; without the last axis for one channel, as Pillow wants it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def save(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NITIDO_DATA", str(tmp_path / "data"))
