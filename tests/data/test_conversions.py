"""Tests that losses of the conversion to 8-bit RGB are reported."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from nitido.base import notes
from nitido.data import check_folder, prepare, resolve
from nitido.imaging import lost_in_rgb8, save_image

ALPHA = "the alpha channel is ignored, so colors of transparent pixels count"
DEPTH = "more than 8 bits per channel are rounded to 8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "te"
    folder.mkdir()
    for name, channels in (("a.png", 3), ("b.png", 4), ("b.webp", 4), ("c.jpg", 3), ("g.png", 2), ("d.bmp", 3)):
        pixels = rng.integers(0, 256, (40, 40, channels), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    Image.fromarray(rng.integers(0, 256, (40, 40, 4), dtype=np.uint8), mode="CMYK").save(folder / "k.jpg")
    for name in ("deep.png", "deep.tif"):
        save_image(folder / name, rng.integers(0, 1 << 16, (40, 40, 3), dtype=np.uint16))
    Image.fromarray(rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)).save(folder / "t.tif")
    return folder


def test_losses_are_read_from_the_header(folder: Path) -> None:
    lost = {path.name: lost_in_rgb8(path) for path in folder.iterdir()}
    assert {name for name, words in lost.items() if ALPHA in words} == {"b.png", "b.webp", "g.png", "t.tif"}
    assert {name for name, words in lost.items() if DEPTH in words} == {"deep.png", "deep.tif"}
    assert {name for name, words in lost.items() if not words} == {"a.png", "c.jpg", "d.bmp"}
    assert lost["k.jpg"] == ["CMYK is converted to sRGB"]


def test_the_conversion_of_cielab_is_reported(tmp_path: Path) -> None:
    coded = np.random.default_rng(0).integers(0, 1 << 16, (60, 60, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", coded, photometric="cielab")
    assert lost_in_rgb8(tmp_path / "a.tif") == [DEPTH, "CIELAB is converted to sRGB"]
    assert [finding.problem for finding in check_folder(tmp_path)] == ["16-bit", "CIELAB"]


@pytest.mark.parametrize("again", [False, True])
def test_every_preparation_reports_losses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], again: bool
) -> None:
    if again:
        prepare(resolve(str(folder)), [2])
        capsys.readouterr()
    monkeypatch.setattr(notes, "_said", set())
    prepare(resolve(str(folder)), [2])
    said = capsys.readouterr().err
    assert f"note: {folder}: {ALPHA} in 4 of 10 images: b.png, b.webp, g, t" in said
    assert f"note: {folder}: {DEPTH} in 2 of 10 images: deep.png, deep.tif" in said
    assert f"note: {folder}: CMYK is converted to sRGB in 1 of 10 images: k" in said


def test_images_of_the_samples_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    prepare(resolve("samples"), [2])
    assert "channel" not in capsys.readouterr().err
