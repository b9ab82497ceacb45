"""Every command reads the same image formats, and names the same ones where it reads none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from nitido.data import Store, check_folder, prepare, resolve
from nitido.imaging import FORMATS
from nitido.upscaling.images import format_of, read_image

PHOTO = data.chelsea()[60:156, 100:244]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with an image in every format, by every suffix, and a GIF and a PPM, which nothing reads."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, suffix in enumerate(FORMATS):
        Image.fromarray(np.roll(PHOTO, 7 * number, axis=1)).save(folder / f"{number}{suffix}", format=FORMATS[suffix])
    for suffix in ("gif", "ppm"):
        Image.fromarray(PHOTO).save(folder / f"other.{suffix}")
    return folder


def prepared(folder: Path, tmp_path: Path) -> Store:
    return prepare(resolve(str(folder), "test"), [2], tmp_path / "cache")


def test_what_can_be_written_is_read_and_the_other_way_round() -> None:
    assert {format_of(Path(f"a{suffix}")).name for suffix in FORMATS} == set(FORMATS.values())


def test_a_set_of_images_has_all_that_upscale_reads(call, images: Path, tmp_path: Path) -> None:
    upscaled = call("upscale", images, "-o", "out", "--model", "bicubic", "--scale", 2)
    assert upscaled.code == 0
    results = {path.stem for path in (tmp_path / "out").rglob("*.*") if not path.name.startswith(".")}
    store = prepared(images, tmp_path)
    assert {Path(name).stem for name in store.names} == {str(number) for number in range(len(FORMATS))} == results
    for entry, index in zip(store.entries, range(len(store)), strict=True):
        np.testing.assert_array_equal(store.hr(index), read_image(Path(entry.path)).pixels)


@pytest.mark.parametrize(
    "command",
    [
        "data check images",
        "evaluate bicubic --data images --scale 2",
        "upscale images -o out --model bicubic --scale 2",
    ],
)
@pytest.mark.usefixtures("images")
def test_what_no_command_reads_is_named_by_each(call, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("nitido.base.notes._said", set())  # a note is printed once per process
    done = call(*command.split())
    output = done.out + done.err
    assert "other.gif" in output
    assert "other.ppm" in output


@pytest.mark.parametrize("content", ["GIF", "PPM"])
def test_compare_names_the_formats_that_it_reads(call, tmp_path: Path, content: str) -> None:
    Image.fromarray(PHOTO).save(tmp_path / f"a.{content.lower()}")
    compared = call("compare", f"a.{content.lower()}", "bicubic", "--scale", 2, "-o", "figure.png")
    upscaled = call("upscale", f"a.{content.lower()}", "-o", "b.png", "--model", "bicubic", "--scale", 2)
    for done in (compared, upscaled):
        assert done.code == 1
        assert "not a PNG, JPEG, BMP, TIFF, WebP or AVIF image" in done.error_line


def test_an_avif_can_be_compared(call, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.avif")
    done = call("compare", "photo.avif", "bicubic", "--scale", 2, "-o", "figure.png")
    assert done.code == 0, done.err
    assert "bicubic" in done.out
    assert (tmp_path / "figure.png").is_file()


def test_an_avif_can_be_evaluated_and_checked(call, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(PHOTO).save(folder / "photo.avif")
    done = call("evaluate", "bicubic", "--data", "photos", "--scale", 2)
    assert done.code == 0, done.err
    assert check_folder(folder) == []
    shutil.copy(folder / "photo.avif", folder / "twin.avif")
    (folder / "broken.avif").write_bytes((folder / "photo.avif").read_bytes()[:-500])
    assert [(f.path.name, f.problem) for f in check_folder(folder)] == [
        ("broken.avif", "unreadable"),
        ("twin.avif", "duplicate"),
    ]


def test_an_avif_can_be_trained_on(call, tmp_path: Path) -> None:
    for folder, rows in (("train", slice(0, 96)), ("validation", slice(100, 196)), ("test", slice(204, 300))):
        (tmp_path / folder).mkdir()
        Image.fromarray(data.chelsea()[rows, 100:244]).save(tmp_path / folder / "photo.avif")
    done = call(
        *("train", "srcnn", "--variant", "debug", "--out", "run", "--set", "data.train=train"),
        *("--set", "data.validation=validation", "--set", "data.test=test", "--set", "steps=2"),
        *("--set", "batch=1", "--set", "patch=16", "--set", "validate_every=2"),
    )
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "model.safetensors").is_file()
