"""Colors that a file names without an ICC profile, checked by exiftool, littleCMS and ImageMagick."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms
from skimage import data

from nitido.upscaling.images.png_chunks import png_chunk
from tests.upscaling.test_upscaler_files import done, exiftool

PHOTO = data.astronaut()[40:100, 180:260]
P3_CHROMATICITIES = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def png(path: Path, pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + content[33:])
    return path


def avif(path: Path, pixels: np.ndarray, primaries: int, transfer: int) -> Path:
    Image.fromarray(pixels).save(path, quality=100, subsampling="4:4:4")  # Pillow names the code points 1 and 13
    content = path.read_bytes()
    named = b"nclx" + struct.pack(">HH", 1, 13)
    assert content.count(named) == 1
    path.write_bytes(content.replace(named, b"nclx" + struct.pack(">HH", primaries, transfer)))
    return path


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, in [0, 1]."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def seen(path: Path) -> np.ndarray:
    """The numbers that littleCMS gives a screen for sRGB, in [0, 255]."""
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        mode = "L" if image.mode == "L" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return np.asarray(ImageCms.profileToProfile(image.convert(mode), profile, srgb, outputMode="RGB"), float)


@pytest.mark.parametrize("suffix", ["tif", "webp", "avif", "jpg"])
@pytest.mark.parametrize("exponent", [1.0, 0.55556])
def test_gamma_of_a_png_becomes_a_profile(tmp_path: Path, suffix: str, exponent: float) -> None:
    flat = np.broadcast_to(np.array([200, 100, 30], np.uint8), (32, 32, 3)).copy()
    source = png(tmp_path / "a.png", flat, (b"gAMA", struct.pack(">I", round(exponent * 100_000))))
    target = tmp_path / f"b.{suffix}"
    assert not done(source, target).notes
    expected = 255 * linear_to_srgb((np.array([200, 100, 30]) / 255) ** (1 / exponent))
    assert np.abs(seen(target) - expected).max() < 4


def test_gamma_of_a_grey_png_becomes_a_grey_profile(tmp_path: Path) -> None:
    source = png(tmp_path / "a.png", np.full((32, 32), 60, np.uint8), (b"gAMA", struct.pack(">I", 100_000)))
    done(source, tmp_path / "b.tif")
    assert exiftool(tmp_path / "b.tif")["ICC-header:ColorSpaceData"] == "GRAY"
    assert np.abs(seen(tmp_path / "b.tif") - 255 * linear_to_srgb(np.array(60 / 255))).max() < 2


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", P3_CHROMATICITIES)],
        [(b"cHRM", P3_CHROMATICITIES)],
    ],
)
def test_display_p3_of_a_png_is_that_of_littlecms(tmp_path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    source = png(tmp_path / "a.png", PHOTO, *chunks)
    assert not done(source, tmp_path / "b.tif").notes
    tags = exiftool(tmp_path / "b.tif")
    assert "Display P3" in tags["ICC_Profile:ProfileDescription"]
    pixels = pyvips.Image.new_from_array(np.asarray(Image.open(tmp_path / "b.tif")), interpretation="srgb")
    theirs = pixels.icc_transform("srgb", input_profile="p3", intent="relative").numpy()  # libvips' own Display P3
    assert np.abs(seen(tmp_path / "b.tif") - theirs).max() <= 2


def test_color_chunks_go_from_png_to_png(tmp_path: Path) -> None:
    cases = [
        [(b"sRGB", b"\1"), (b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", P3_CHROMATICITIES)],
        [(b"cICP", bytes([9, 16, 0, 1])), (b"mDCV", bytes(range(24))), (b"cLLI", bytes(range(8)))],
        [(b"cICP", bytes([9, 18, 0, 1]))],
    ]
    for number, chunks in enumerate(cases):
        source, target = png(tmp_path / f"{number}.png", PHOTO, *chunks), tmp_path / f"{number}.out.png"
        assert not done(source, target).notes
        content = target.read_bytes()
        for chunk in chunks:
            assert content.count(png_chunk(*chunk)) == 1
        before, after = exiftool(source), exiftool(target)
        color = [name for name in before if name.startswith("PNG-cICP") or name in ("PNG:Gamma", "PNG:RedX")]
        assert [before[name] for name in color] == [after[name] for name in color]
        np.testing.assert_array_equal(np.asarray(Image.open(target)).shape, (120, 160, 3))


def test_srgb_needs_no_profile(tmp_path: Path) -> None:
    for number, chunk in enumerate([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455)), (b"cICP", b"\1\x0d\0\1")]):
        source = png(tmp_path / f"{number}.png", PHOTO, chunk)
        assert not done(source, tmp_path / f"{number}.tif").notes
        assert "ICC-header:ColorSpaceData" not in exiftool(tmp_path / f"{number}.tif")


@pytest.mark.parametrize(
    ("primaries", "transfer", "name"), [(12, 13, "Display P3"), (9, 13, "BT.2020"), (1, 8, "BT.7")]
)
def test_code_points_of_an_avif_become_a_profile(tmp_path: Path, primaries: int, transfer: int, name: str) -> None:
    source = avif(tmp_path / "a.avif", PHOTO, primaries, transfer)
    for suffix in ("avif", "png", "jpg", "tif", "webp"):
        assert not done(source, tmp_path / f"b.{suffix}").notes
        assert exiftool(tmp_path / f"b.{suffix}")["ICC_Profile:ProfileDescription"].startswith(name)
    assert done(source, tmp_path / "b.bmp").notes[-1].startswith("BMP stores no color profile")


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_preserved_or_reported(tmp_path: Path, transfer: int, name: str) -> None:
    sources = [
        png(tmp_path / "a.png", PHOTO, (b"cICP", bytes([9, transfer, 0, 1]))),
        avif(tmp_path / "a.avif", PHOTO, 9, transfer),
    ]
    for source in sources:
        assert not done(source, tmp_path / "b.png").notes
        tags = exiftool(tmp_path / "b.png")
        assert (tags["PNG-cICP:ColorPrimaries"], tags["PNG-cICP:TransferCharacteristics"]) == (9, transfer)
        assert not done(source, tmp_path / "b.avif").notes
        tags = exiftool(tmp_path / "b.avif")
        assert (tags["QuickTime:ColorPrimaries"], tags["QuickTime:TransferCharacteristics"]) == (9, transfer)
        # Other decoders than the one that wrote it find the pixels where they were.
        theirs = np.asarray(Image.open(tmp_path / "b.avif").convert("RGB")).astype(int)
        assert np.abs(theirs - np.asarray(Image.open(tmp_path / "b.png").convert("RGB"))).mean() < 3
        for suffix in ("jpg", "webp", "tif", "bmp"):
            (note,) = done(source, tmp_path / f"b.{suffix}").notes
            assert f"does not support the color space BT.2020 {name}" in note


def test_impossible_color_chunks_are_no_traceback(tmp_path: Path) -> None:
    nonsense = [
        (b"gAMA", bytes(4)),
        (b"gAMA", b"\1"),
        (b"cHRM", bytes(32)),
        (b"cHRM", struct.pack(">8I", *[33333] * 8)),
        (b"cHRM", b"\xff" * 32),
        (b"cICP", b"\xff\xff\0\1"),
        (b"cICP", b"\2\2\0\1"),
        (b"cICP", b"\1"),
    ]
    for number, chunk in enumerate(nonsense):
        source = png(tmp_path / f"{number}.png", PHOTO, chunk)
        done(source, tmp_path / f"{number}.jpg")
        done(source, tmp_path / f"{number}.out.png")


def test_dropped_profiles_are_reported(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PHOTO).save(tmp_path / "bad.jpg", icc_profile=b"no profile" * 20)
    Image.fromarray(PHOTO).save(tmp_path / "short.webp", icc_profile=srgb[:300], lossless=True)
    Image.fromarray(PHOTO).save(tmp_path / "bad.png", icc_profile=b"no profile" * 20)
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "grey.jpg", icc_profile=srgb)
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "grey.png", icc_profile=srgb)
    for name in ("bad.jpg", "short.webp", "bad.png", "grey.jpg", "grey.png"):
        (note,) = done(tmp_path / name, tmp_path / "out.tif").notes
        assert "color profile" in note
        assert note.endswith("dropped")
        assert "icc_profile" not in Image.open(tmp_path / "out.tif").info
