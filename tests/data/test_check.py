"""Tests that every kind of unsuitable image is found and reported."""

import resource
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from PIL import Image
from skimage import data as skimage_data

from nitido.data import MINIMUM_SIDE, Finding, check_folder
from nitido.imaging import ImageFileError


def _noise(height: int = 60, width: int = 60, seed: int = 0, channels: int = 3) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _problems(findings: list[Finding]) -> list[tuple[str, str]]:
    for finding in findings:
        assert finding.path.name in finding.message
        assert "\n" not in finding.message
    return [(finding.path.name, finding.problem) for finding in findings]


def test_good_images_have_no_findings(folder: Path) -> None:
    Image.fromarray(_noise(MINIMUM_SIDE, 90)).save(folder / "a.png")
    Image.fromarray(_noise(seed=1)).save(folder / "b.jpg")
    assert check_folder(folder) == []


def test_every_problem_is_named(folder: Path) -> None:
    Image.fromarray(_noise()).save(folder / "a good.png")
    (folder / "b broken.png").write_bytes((folder / "a good.png").read_bytes()[:3000])
    (folder / "c text.jpg").write_text("hello")
    Image.fromarray(_noise(MINIMUM_SIDE - 1, 90, 2)).save(folder / "d small.png")
    Image.fromarray(_noise(seed=3)[..., 0]).save(folder / "e grey.png")
    Image.fromarray(_noise(seed=4, channels=4), "RGBA").save(folder / "f alpha.png")
    deep = pyvips.Image.new_from_array(_noise(seed=5).astype(np.uint16) * 250, interpretation="rgb16")
    deep.write_to_file(str(folder / "g deep.png"))
    Image.fromarray(_noise(seed=6, channels=4), "CMYK").save(folder / "h ink.jpg")
    Image.fromarray(_noise(seed=7, channels=4), "CMYK").save(folder / "i ink.tif")
    Image.fromarray(_noise()).save(folder / "j twin.bmp")
    findings = check_folder(folder)
    assert _problems(findings) == [
        ("b broken.png", "unreadable"),
        ("c text.jpg", "unreadable"),
        ("d small.png", "too small"),
        ("e grey.png", "grey"),
        ("f alpha.png", "alpha"),
        ("g deep.png", "16-bit"),
        ("h ink.jpg", "CMYK"),
        ("i ink.tif", "CMYK"),
        ("j twin.bmp", "duplicate"),
    ]
    assert findings[-1].message.endswith("the same pixels as a good.png")
    assert f"90×{MINIMUM_SIDE - 1} pixels" in findings[2].message


def test_one_image_may_have_several_problems(folder: Path) -> None:
    Image.fromarray(_noise(8, 8, channels=2), "LA").save(folder / "a.png")
    assert _problems(check_folder(folder)) == [("a.png", "too small"), ("a.png", "grey"), ("a.png", "alpha")]


def test_an_empty_or_missing_folder_is_an_error(folder: Path) -> None:
    with pytest.raises(ImageFileError):
        check_folder(folder)
    with pytest.raises(ImageFileError):
        check_folder(folder / "nowhere")


def _claim(path: Path, width: int, height: int) -> None:
    """Write a PNG whose header claims a size."""
    Image.fromarray(_noise()).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def test_an_image_that_claims_to_be_huge_is_a_finding_without_work(folder: Path) -> None:
    _claim(folder / "a.png", 60_000, 60_000)
    Image.fromarray(_noise()).save(folder / "b.jpg")
    content = bytearray((folder / "b.jpg").read_bytes())
    place = content.find(b"\xff\xc0")
    content[place + 5 : place + 9] = (60_000).to_bytes(2, "big") * 2
    (folder / "b.jpg").write_bytes(content)
    for name, at, value in (("c.bmp", 18, -5), ("d.bmp", 22, -(2**31)), ("e.bmp", 18, 2**31 - 1), ("f.bmp", 18, 0)):
        Image.fromarray(_noise()).save(folder / name)
        content = bytearray((folder / name).read_bytes())
        content[at : at + 4] = value.to_bytes(4, "little", signed=True)
        (folder / name).write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    findings = check_folder(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    assert [problem for _, problem in _problems(findings)] == ["unreadable"] * 6
    for finding in findings[:2]:
        assert "60000×60000 pixels exceed the limit of 134 million" in finding.message


def test_a_broken_link_with_the_name_of_an_image_is_a_finding(folder: Path) -> None:
    Image.fromarray(_noise()).save(folder / "a.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "notes").symlink_to(folder / "nowhere")
    assert _problems(check_folder(folder)) == [("gone.png", "unreadable")]


def test_subfolders_are_checked(folder: Path) -> None:
    (folder / "sub").mkdir()
    Image.fromarray(_noise()).save(folder / "a.png")
    Image.fromarray(_noise()).save(folder / "sub" / "b.jfif", "PNG")
    (finding,) = check_folder(folder)
    assert (finding.path, finding.problem) == (folder / "sub" / "b.jfif", "duplicate")


def test_rotated_images_are_compared_upright(folder: Path) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(_noise(50, 80, seed=orientation)).save(folder / f"{orientation}.png", exif=exif)
    assert check_folder(folder) == []
    exif[0x0112] = 6  # turned clockwise when it is shown
    Image.fromarray(np.rot90(_noise(50, 80, seed=1))).save(folder / "twin.png", exif=exif)
    assert _problems(check_folder(folder)) == [("twin.png", "duplicate")]


def test_an_image_that_looks_nearly_like_another_is_named(folder: Path) -> None:
    cat, cup = (Image.fromarray(getattr(skimage_data, name)()) for name in ("chelsea", "coffee"))
    cat.save(folder / "cat.png")
    cat.save(folder / "cat again.jpg", quality=60)
    cup.save(folder / "cup.png")
    cat.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png")
    findings = check_folder(folder)
    assert _problems(findings) == [("cat.png", "near duplicate"), ("turned.png", "near duplicate")]
    assert findings[0].message.endswith("nearly the same image as cat again.jpg")
