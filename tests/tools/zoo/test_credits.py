"""What cards say of image sets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.data import DataError
from tools.zoo.credits import Credit, image_set_note


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def test_samples_have_terms_of_their_own() -> None:
    note = image_set_note("samples/test[:2]", "test")
    assert (note.name, note.count) == ("samples/test[:2]", 2)
    assert note.credits == (
        Credit("chelsea.png", licence="CC0 (Stefan van der Walt)"),
        Credit("kodak03_caps.webp", licence="unrestricted use (Eastman Kodak Company)"),
    )


def test_a_folder_without_sources(photos: Path) -> None:
    note = image_set_note(f"{photos}[:2]", "train")
    assert (note.name, note.count, note.terms, note.credits) == ("./photos[:2]", 2, "none stated", ())


def test_sources_of_the_images_that_were_taken(photos: Path) -> None:
    (photos / "SOURCES.tsv").write_text(
        "a.png\thttps://example.org/wiki/File%3AA_tower%2C_by_night.jpg\n"
        "b.png\tA bridge\tJo Doe\tCC BY 4.0\thttps://example.org/b\n"
        "c.png\thttps://example.org/c.jpg\n"
    )
    assert image_set_note(f"{photos}[:2]", "train").credits == (
        Credit("a.png", "A tower, by night", page="https://example.org/wiki/File%3AA_tower%2C_by_night.jpg"),
        Credit("b.png", "A bridge", "Jo Doe", "CC BY 4.0", "https://example.org/b"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\tx\nb.png\tx\n", "no line for c.png"),
        ("a.png\tx\nb.png x\n", "line 2: expected FILE, PAGE or FILE, TITLE"),
    ],
)
def test_invalid_sources_are_refused(photos: Path, text: str, message: str) -> None:
    (photos / "SOURCES.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        image_set_note(str(photos), "train")
