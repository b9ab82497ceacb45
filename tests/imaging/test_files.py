"""Tests reading files of Pillow, tifffile and libvips, and reading nitido's files with Pillow."""

import dataclasses
import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from nitido.imaging import FORMATS, DecodedImage, ImageFileError, find_images, load_image, read_size, save_image

HEIGHT, WIDTH = 23, 37
LOSSLESS = ["png", "bmp", "tiff", "webp"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def rgb(rng) -> np.ndarray:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def smooth() -> np.ndarray:
    """An image that lossy formats keep nearly unchanged."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([60 + 4 * x, 40 + 6 * y, 200 - 2 * x - 2 * y], axis=2).astype(np.uint8)


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **({"lossless": True} if path.suffix == ".webp" else {}), **options)
    return path


def check(path: Path, pixels: np.ndarray, alpha: np.ndarray | None = None) -> DecodedImage:
    image = load_image(path)
    assert image.path == path
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.alpha is None) == (alpha is None)
    if alpha is not None:
        assert image.alpha.dtype == alpha.dtype
        np.testing.assert_array_equal(image.alpha, alpha)
    assert (image.width, image.height) == read_size(path) == pixels.shape[1::-1]
    return image


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_rgb(tmp_path, rgb, suffix):
    image = check(save(tmp_path / f"a.{suffix}", Image.fromarray(rgb)), rgb)
    assert image.format == suffix
    assert image.icc_profile is None


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_grey(tmp_path, rgb, suffix):
    grey = rgb[..., 0]
    check(save(tmp_path / f"a.{suffix}", Image.fromarray(grey)), grey[..., None])


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_alpha(tmp_path, rng, suffix):
    rgba = rng.integers(1, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    check(save(tmp_path / f"a.{suffix}", Image.fromarray(rgba)), rgba[..., :3], rgba[..., 3])


def test_bmp_with_alpha(tmp_path, rng):
    """Pillow writes no alpha into BMP, so the BITMAPV4HEADER with its channel masks is laid out here."""
    rgba = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, rgba.size, 0, 0, 0, 0) + masks
    header = header.ljust(108, b"\0")
    body = rgba[::-1].tobytes()  # rows from the bottom up
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 122 + len(body), 0, 0, 122) + header + body)
    check(tmp_path / "a.bmp", rgba[..., :3], rgba[..., 3])


def test_grey_with_alpha(tmp_path, rng):
    both = rng.integers(0, 256, (HEIGHT, WIDTH, 2), dtype=np.uint8)
    check(save(tmp_path / "a.png", Image.fromarray(both, "LA")), both[..., :1], both[..., 1])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_one_bit(tmp_path, rng, suffix):
    bits = rng.integers(0, 2, (HEIGHT, WIDTH)).astype(bool)
    check(save(tmp_path / f"a.{suffix}", Image.fromarray(bits)), bits[..., None].astype(np.uint8) * 255)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_palette(tmp_path, rgb, suffix):
    image = Image.fromarray(rgb).quantize(16)
    check(save(tmp_path / f"a.{suffix}", image), np.asarray(image.convert("RGB")))


def test_palette_with_transparency(tmp_path, rgb):
    image = Image.fromarray(rgb).quantize(8)
    alpha = np.array([0, 30, 255, 128, 255, 1, 254, 77], dtype=np.uint8)
    path = save(tmp_path / "a.png", image, transparency=alpha.tobytes())
    check(path, np.asarray(image.convert("RGB")), alpha[np.asarray(image)])


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_tiff_by_tifffile(tmp_path, rng, channels):
    pixels = rng.integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels.squeeze(), photometric="rgb" if channels == 3 else "minisblack")
    check(path, pixels)


def test_sixteen_bit_grey_png_by_pillow(tmp_path, rng):
    pixels = rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    check(save(tmp_path / "a.png", Image.fromarray(pixels)), pixels[..., None])


def test_sixteen_bit_rgba_png_by_libvips(tmp_path, rng):
    pixels = rng.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    path = tmp_path / "a.png"
    pyvips.Image.new_from_array(pixels, interpretation="rgb16").pngsave(str(path))
    check(path, pixels[..., :3], pixels[..., 3])


def test_jpeg_gives_the_standard_pixels(shared):
    path = min((shared / "data/bsd100").glob("*.jpg"))
    with Image.open(path) as image:
        check(path, np.asarray(image))


@pytest.mark.parametrize("embedded", [True, False])
def test_cmyk_jpeg_becomes_srgb(tmp_path, smooth, embedded):
    """Little CMS through Pillow with the same profile; a file without one is taken to be in libvips' own CMYK."""
    profile = bytes(pyvips.Image.profile_load("cmyk"))
    options = {"icc_profile": profile} if embedded else {}
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth).convert("CMYK"), quality=95, **options)
    with Image.open(path) as inks:
        assert inks.mode == "CMYK"
        expected = ImageCms.profileToProfile(
            inks,
            io.BytesIO(profile),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    image = load_image(path)
    assert image.pixels.dtype == np.uint8
    assert image.alpha is None
    assert image.icc_profile is None
    assert np.abs(image.pixels.astype(int) - np.asarray(expected)).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, smooth, suffix, orientation):
    """EXIF 2.3, tag 0x0112: where the stored 0th row and 0th column belong in the upright image."""
    upright = {
        1: smooth,
        2: smooth[:, ::-1],
        3: smooth[::-1, ::-1],
        4: smooth[::-1],
        5: smooth.swapaxes(0, 1),
        6: smooth.swapaxes(0, 1)[:, ::-1],
        7: smooth.swapaxes(0, 1)[::-1, ::-1],
        8: smooth.swapaxes(0, 1)[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(smooth), exif=exif, **options)
    image = load_image(path)
    assert image.pixels.shape == upright.shape
    assert np.abs(image.pixels.astype(int) - upright).max() <= (4 if suffix == "jpg" else 0)
    assert read_size(path) == (image.width, image.height)


def test_icc_profile_is_returned_and_not_applied(tmp_path, rgb):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = check(save(tmp_path / "a.png", Image.fromarray(rgb), icc_profile=profile), rgb)
    assert image.icc_profile == profile


def test_the_content_decides_not_the_name(tmp_path, rgb):
    path = tmp_path / "a.jpg"
    Image.fromarray(rgb).save(path, format="BMP")
    assert check(path, rgb).format == "bmp"


@pytest.mark.parametrize("name", ["a[1].png", "ü b.png", "a:b,c.png", os.fsdecode(b"\xff.png")])
@pytest.mark.parametrize("write", ["nitido", "pillow"])
def test_odd_file_names(tmp_path, rgb, name, write):
    path = tmp_path / name
    save_image(path, rgb) if write == "nitido" else save(path, Image.fromarray(rgb))
    check(path, rgb)


def test_a_changed_file_is_read_again(tmp_path, rgb):
    path = tmp_path / "a.png"
    save_image(path, rgb)
    check(path, rgb)
    save_image(path, 255 - rgb)
    check(path, 255 - rgb)


# What cannot be read


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ImageFileError, match=reason) as caught:
        load_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_missing_file(tmp_path):
    refused(tmp_path / "a.png", "No such file")
    with pytest.raises(ImageFileError, match="No such file"):
        read_size(tmp_path / "a.png")


def test_folder(tmp_path):
    refused(tmp_path, "directory")


def test_empty_file(tmp_path):
    (tmp_path / "a.png").touch()
    refused(tmp_path / "a.png", "empty")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_avif_has_the_pixels_that_pillow_decodes(tmp_path, smooth, mode):
    original = Image.fromarray(smooth)
    original.putalpha(200)
    original.convert(mode).save(tmp_path / "a.avif", quality=90, subsampling="4:4:4")
    theirs = np.asarray(Image.open(tmp_path / "a.avif").convert(mode))
    image = load_image(tmp_path / "a.avif")
    assert (image.format, image.pixels.dtype) == ("avif", np.uint8)
    assert read_size(tmp_path / "a.avif") == (WIDTH, HEIGHT)
    assert np.abs(image.pixels.astype(int) - theirs[..., :3]).max() <= 2  # two decoders, each rounds YCbCr to RGB
    assert (image.alpha is None) == (mode == "RGB")
    if image.alpha is not None:
        np.testing.assert_array_equal(image.alpha, theirs[..., 3])


@pytest.mark.parametrize("bits", [10, 12])
def test_more_than_8_bits_of_an_avif_are_spread_over_16(tmp_path, bits):
    white = pyvips.Image.black(20, 16, bands=3).copy(interpretation="rgb16").cast("ushort") + 65535
    white.cast("ushort").heifsave(str(tmp_path / "a.avif"), compression="av1", bitdepth=bits, lossless=True)
    pixels = load_image(tmp_path / "a.avif").pixels
    assert pixels.dtype == np.uint16
    assert pixels.min() == 65535


def test_a_moving_or_cut_avif_is_refused_in_one_line(tmp_path, smooth):
    frames = [Image.fromarray(smooth), Image.fromarray(255 - smooth)]
    frames[0].save(tmp_path / "moving.avif", save_all=True, append_images=frames[1:])
    refused(tmp_path / "moving.avif", "an animated or multi-image AVIF")
    frames[0].save(tmp_path / "whole.avif")
    content = (tmp_path / "whole.avif").read_bytes()
    (tmp_path / "half.avif").write_bytes(content[:-200])
    refused(tmp_path / "half.avif", "damaged or incomplete AVIF")
    (tmp_path / "head.avif").write_bytes(content[:40])
    refused(tmp_path / "head.avif", "damaged or incomplete AVIF")


def test_every_format_is_written_and_read_again(tmp_path, smooth):
    for suffix in FORMATS:
        save_image(tmp_path / f"a{suffix}", smooth)
        image = load_image(tmp_path / f"a{suffix}")
        assert image.format == FORMATS[suffix]
        assert np.abs(image.pixels.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("content", [b"hello, this is text\n", b"GIF89a", b"<svg/>"])
def test_no_image(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", "not a PNG, JPEG, BMP, TIFF, WebP or AVIF image")
    with pytest.raises(ImageFileError, match="not a PNG"):
        read_size(tmp_path / "a.png")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp"])
def test_truncated(tmp_path, rng, suffix, share):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(rng.integers(0, 256, (100, 90, 3), dtype=np.uint8)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, f"damaged or incomplete {'JPEG' if suffix == 'jpg' else suffix.upper()}: .")


def test_flipped_bytes_in_a_png(tmp_path, rgb):
    path = save(tmp_path / "a.png", Image.fromarray(rgb))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
    path.write_bytes(content)
    refused(path, "damaged or incomplete PNG")


def test_multi_page_tiff(tmp_path, rgb):
    path = save(tmp_path / "a.tiff", Image.fromarray(rgb), save_all=True, append_images=[Image.fromarray(rgb)] * 2)
    refused(path, "3 pages or frames")


def test_animated_webp(tmp_path, rgb):
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    refused(save(tmp_path / "a.webp", frames[0], save_all=True, append_images=frames[1:]), "2 pages or frames")


def test_animated_png(tmp_path, rgb):
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    refused(save(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:]), "animated PNG")


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_samples_that_are_not_8_or_16_bits(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 3), dtype=dtype), photometric="rgb")
    refused(tmp_path / "a.tif", "only 8 and 16 bit")


def test_five_channels(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((8, 9, 5), dtype=np.uint8),
        photometric="rgb",
        planarconfig="contig",
        extrasamples=["unspecified", "unspecified"],
    )
    refused(tmp_path / "a.tif", "5 channels")


def test_nothing_is_printed_about_odd_files(tmp_path, rgb):
    """libvips and its libraries warn on their own; in a fresh process nothing may reach standard error."""
    jpeg = save(tmp_path / "a.jpg", Image.fromarray(rgb))
    content = jpeg.read_bytes()
    jpeg.write_bytes(content[:-200] + b"\xff\x00\x11\x22" + content[-196:])
    (tmp_path / "cut.jpg").write_bytes(content[:-300])
    (tmp_path / "text.png").write_bytes(b"hello")
    save(tmp_path / "profile.png", Image.fromarray(rgb), icc_profile=b"no profile at all")
    tiff = save(tmp_path / "a.tif", Image.fromarray(rgb))
    tiff.write_bytes(tiff.read_bytes().replace(b"\x06\x01\x03\x00", b"\x06\xff\x03\x00"))
    script = """
import sys
from pathlib import Path
from nitido.imaging import ImageFileError, load_image
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        load_image(file)
    except ImageFileError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert "cut.jpg: damaged" in run.stdout
    assert "text.png: not a PNG" in run.stdout


# The image itself


def test_rgb8_rounds_sixteen_bits_and_repeats_grey():
    levels = np.array([0, 128, 129, 385, 386, 65406, 65407, 65535], dtype=np.uint16)
    image = DecodedImage(Path("a.png"), "png", levels.reshape(2, 4, 1))
    expected = np.rint(levels / 257).astype(np.uint8)
    assert image.rgb8().shape == (2, 4, 3)
    for channel in range(3):
        np.testing.assert_array_equal(image.rgb8()[..., channel].ravel(), expected)


def test_rgb8_is_a_copy(rgb):
    image = DecodedImage(Path("a.png"), "png", rgb)
    image.rgb8()[:] = 0
    np.testing.assert_array_equal(image.rgb8(), rgb)
    assert image.rgb8().any()


def test_an_image_is_frozen(rgb):
    with pytest.raises(dataclasses.FrozenInstanceError):
        DecodedImage(Path("a.png"), "png", rgb).format = "bmp"


# Writing


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_written_rgb_is_what_pillow_reads(tmp_path, rgb, suffix):
    save_image(tmp_path / f"new/folder/a.{suffix}", rgb)
    with Image.open(tmp_path / f"new/folder/a.{suffix}") as image:
        assert image.format == suffix.upper()
        np.testing.assert_array_equal(np.asarray(image), rgb)
    assert [file.name for file in (tmp_path / "new/folder").iterdir()] == [f"a.{suffix}"]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)])
def test_written_grey_is_what_pillow_reads(tmp_path, rgb, suffix, shape):
    save_image(tmp_path / f"a.{suffix}", rgb[..., 0].reshape(shape))
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), rgb[..., 0])


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3)])
def test_written_sixteen_bits(tmp_path, rng, shape):
    pixels = rng.integers(0, 65536, shape, dtype=np.uint16)
    save_image(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)
    save_image(tmp_path / "a.png", pixels)
    check(tmp_path / "a.png", pixels.reshape(HEIGHT, WIDTH, -1))


def test_written_jpeg_is_close(tmp_path, smooth):
    save_image(tmp_path / "a.jpg", smooth)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - smooth).max() <= 8


def test_a_view_is_written_as_it_looks(tmp_path, rgb):
    save_image(tmp_path / "a.png", rgb[::-2, ::3])
    check(tmp_path / "a.png", rgb[::-2, ::3])


@pytest.mark.parametrize(
    ("name", "pixels", "reason"),
    [
        ("a.gif", np.zeros((4, 4), np.uint8), "cannot write this kind"),
        ("a", np.zeros((4, 4), np.uint8), "cannot write this kind"),
        ("a.png", np.zeros((4, 4), np.float32), "uint8 or uint16"),
        ("a.png", np.zeros((4, 4, 2), np.uint8), "uint8 or uint16"),
        ("a.png", np.zeros((0, 4, 3), np.uint8), "uint8 or uint16"),
        ("a.png", np.zeros(4, np.uint8), "uint8 or uint16"),
        ("a.jpg", np.zeros((4, 4), np.uint16), "does not support 16 bits"),
        ("a.webp", np.zeros((4, 4), np.uint16), "does not support 16 bits"),
        ("a.bmp", np.zeros((4, 4), np.uint16), "does not support 16 bits"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, pixels, reason):
    with pytest.raises(ImageFileError, match=reason) as caught:
        save_image(tmp_path / name, pixels)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file(tmp_path, rgb):
    (tmp_path / "a").touch()
    with pytest.raises(ImageFileError, match="cannot be written: "):
        save_image(tmp_path / "a/b.png", rgb)


def test_too_wide_for_webp(tmp_path):
    with pytest.raises(ImageFileError, match="cannot be written: "):
        save_image(tmp_path / "a.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


# Folders


def test_find_images(tmp_path):
    names = ["b.PNG", "A.jpg", "c.jpeg", "d.bmp", "E.tif", "f.tiff", "g.WebP"]
    for name in [*names, ".hidden.png", "notes.txt", "png"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = find_images(tmp_path)
    assert [file.name for file in found] == ["A.jpg", "b.PNG", "c.jpeg", "d.bmp", "E.tif", "f.tiff", "g.WebP"]
    assert all(file.parent == tmp_path for file in found)


def test_find_images_in_nothing(tmp_path):
    with pytest.raises(ImageFileError, match="no images"):
        find_images(tmp_path)
    with pytest.raises(ImageFileError, match="no such folder"):
        find_images(tmp_path / "missing")
