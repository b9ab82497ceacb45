"""Tests that duplicates are found despite modifications, and different images are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data as skimage_data

from nitido.data import DataError, ImageSet, Store, prepare, refuse_chosen_tests, refuse_equal_tests, resolve
from nitido.data.overlap import Overlap, find_overlaps, report_overlaps

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def _store(folder: Path, name: str, images: dict[str, Image.Image]) -> Store:
    (folder / name).mkdir()
    paths = [folder / name / f"{stem}.png" for stem in images]
    for path, image in zip(paths, images.values(), strict=True):
        image.save(path)
    return prepare(ImageSet(name, tuple(paths)), [])


def _images(*names: str) -> dict[str, Image.Image]:
    return {name: Image.fromarray(getattr(skimage_data, name)()) for name in names}


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=15)
    return Image.open(buffer)


def _rolled(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.roll(np.asarray(image), (7, 5), (0, 1)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": _jpeg,
    "shifted": _rolled,
    "shifted and cut": lambda p: p.crop((9, 6, p.width, p.height)),
    "cropped all round": lambda p: p.crop((p.width // 14, p.height // 14, p.width * 13 // 14, p.height * 13 // 14)),
    "cropped at one side": lambda p: p.crop((0, 0, p.width, p.height * 9 // 10)),
    "half as large": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.BICUBIC),
    "larger": lambda p: p.resize((p.width * 3 // 2, p.height * 3 // 2), Image.Resampling.LANCZOS),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned": lambda p: p.transpose(Image.Transpose.ROTATE_90),
    "turned the other way": lambda p: p.transpose(Image.Transpose.ROTATE_270),
    "transposed": lambda p: p.transpose(Image.Transpose.TRANSPOSE),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.8),
    "grey": lambda p: p.convert("L"),
    "several": lambda p: _jpeg(p.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((8, 4, p.width, p.height))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_recognized(folder: Path, change: str) -> None:
    train = _store(folder, "train", _images(*NAMES[:3]))
    changed = {f"x{name}": CHANGES[change](image) for name, image in _images(*NAMES[:3]).items()}
    validation = _store(folder, "validation", _images("rocket"))
    found = find_overlaps(train, validation, {"test": _store(folder, "test", changed)})
    assert found == tuple(
        Overlap("near", ("train", "test"), ("train", "test"), (name, f"x{name}")) for name in NAMES[:3]
    )


def test_different_images_are_distinguished(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    train, validation, *tests = [prepare(resolve(name), []) for name in ("bsds200[:60]", "t91", "set5", "bsd100[:40]")]
    found = find_overlaps(train, validation, {store.name: store for store in tests})
    assert found == ()


def test_known_leaks_between_classic_sets_are_found(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set5's woman is image 302003 of BSDS500's training part, and its head is Set14's face."""
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    train, validation, test = (prepare(resolve(name), []) for name in ("bsds200[120:140]", "set14", "set5"))
    assert find_overlaps(train, validation, {"set5": test}) == (
        Overlap("near", ("train", "test"), ("bsds200[120:140]", "set5"), ("302003", "woman")),
        Overlap("near", ("validation", "test"), ("set14", "set5"), ("face", "head")),
    )


def test_equal_pixels_are_found_between_any_two(folder: Path) -> None:
    one, two = (_store(folder, name, _images("chelsea")) for name in ("one", "two"))
    other = _store(folder, "other", _images("coffee"))
    third = _store(folder, "third", _images("rocket"))
    assert [(o.kind, o.roles) for o in find_overlaps(one, two, {"t": other})] == [("exact", ("train", "validation"))]
    assert [(o.kind, o.roles) for o in find_overlaps(other, one, {"t": two})] == [("exact", ("validation", "test"))]
    assert [(o.kind, o.roles) for o in find_overlaps(one, other, {"t": two})] == [("exact", ("train", "test"))]
    assert [(o.kind, o.roles) for o in find_overlaps(other, third, {"a": one, "b": two})] == [
        ("exact", ("test", "test"))
    ]


def test_images_that_occur_twice_among_the_tests_are_found(folder: Path) -> None:
    """Duplicates occur in one set, as an image and its JPEG, and in two sets."""
    train, validation = _store(folder, "train", _images("rocket")), _store(folder, "validation", _images("coffee"))
    cat = _images("chelsea")["chelsea"]
    one = _store(folder, "one", {"cat": cat, "recompressed": _jpeg(cat)} | _images("astronaut"))
    two = _store(folder, "two", {"mirrored": cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT)})
    roles = ("test", "test")
    assert find_overlaps(train, validation, {"one": one, "two": two}) == (
        Overlap("near", roles, ("one", "one"), ("cat", "recompressed")),
        Overlap("near", roles, ("one", "two"), ("cat", "mirrored")),
        Overlap("near", roles, ("one", "two"), ("recompressed", "mirrored")),
    )


def test_equal_test_sets_are_refused(folder: Path) -> None:
    one, two = (_store(folder, name, _images("chelsea", "coffee")) for name in ("one", "two"))
    part = _store(folder, "part", _images("chelsea"))
    refuse_equal_tests(one, part)
    with pytest.raises(DataError, match="test sets one and two contain the same images: specify only one"):
        refuse_equal_tests(one, part, two)


def test_flat_images_are_like_nothing(folder: Path) -> None:
    black, white = (_store(folder, str(value), {"a": Image.new("RGB", (60, 50), value)}) for value in ("#000", "#fff"))
    ramp = Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) // 20, (50, 1)))
    assert find_overlaps(black, white, {"ramp": _store(folder, "ramp", {"a": ramp})}) == ()


def test_images_that_choose_cannot_test(folder: Path) -> None:
    validation = _store(folder, "validation", _images("chelsea", "rocket"))
    refuse_chosen_tests(validation, _store(folder, "other", _images("coffee")))
    test = _store(folder, "test", {"cat": _images("chelsea")["chelsea"]})
    with pytest.raises(DataError, match="chelsea is also in test: cat; validation and test sets must not"):
        refuse_chosen_tests(validation, test)


def test_warnings_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report_overlaps([Overlap("near", ("train", "test"), ("a", "b"), (f"p{n}", f"q{n}")) for n in range(9)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0] == "note: q0 of b (test) and p0 of a (train) look nearly the same"
    assert lines[-1] == "note: 4 more pairs of images look nearly the same"
